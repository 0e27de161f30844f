"""The orchestrator: hands tasks to the core and results back."""

from __future__ import annotations

import threading

from . import _core
from ._errors import OptionError, RunInterrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Generator,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )
    from os import PathLike
    from pathlib import Path
    from typing import Any, NoReturn

    from ._options import Gateway, Rehearsal, RetryPolicy, Tier
    from ._task import AgentResult, AgentTask

    Callback = Callable[[AgentResult], object]
    Task = AgentTask | Mapping[str, Any]


class Orchestrator:
    """Runs tasks on agents in parallel.

    Args:
        max_concurrent: Agents at once, from 1 to 10000.
        model: The one model to use, instead of a hierarchy.
        models: Models from cheap to costly: names or `Tier`s. Default `MODEL_HIERARCHY`. A failed attempt goes on
            to the next; models that the gateway does not know are passed over with a warning.
        tools: Callables injected by an agent runtime. Not supported by this version.
        gateway: The OpenClaw gateway. Default: the one that is found, see `Gateway`.
        rehearsal: `True` or a `Rehearsal`: play the run, with no AI.
        results_dir: Where `save_results` writes. Default `~/.openclaw/agent_results`.
        cleanup: `"delete"` deletes the agents' sessions after their results are in hand; `"keep"` leaves them.
        retry: How often an attempt is repeated.
        deadline_seconds: Time for a whole run. Default 86400 (24 hours). At the deadline agents are stopped; what
            has finished is kept.

    Raises:
        OptionError: An option has a value it does not take. (A `ValueError`.)
        ModelError: The models are not a hierarchy. (A `ValueError`.)

    Attributes:
        results: Task id to result, of all runs so far.
        stats: Counts and total time in seconds, of all runs so far.
        sessions_left: Sessions of the latest run that could not be deleted: `task_id session_key reason`.

    Example:
        >>> from parallel_agents import Orchestrator, create_content_team
        >>> results = Orchestrator(rehearsal=True).run_parallel(create_content_team("Mondays"))
        >>> sum(result.success for result in results.values())
        5
    """

    def __init__(
        self,
        max_concurrent: int = 5,
        *,
        model: str | None = None,
        models: Sequence[str | Tier] | None = None,
        tools: object = None,
        gateway: Gateway | None = None,
        rehearsal: Rehearsal | bool | None = None,
        results_dir: str | PathLike[str] | None = None,
        cleanup: str = "delete",
        retry: RetryPolicy | None = None,
        deadline_seconds: float | None = None,
        **unknown: NoReturn,
    ) -> None:
        import os

        from ._options import models_fields, option_fields

        if tools is not None:
            raise OptionError("`tools` is not supported by this version; leave it out to use the gateway")
        self._engine = _core.Engine(
            {
                "max_concurrent": max_concurrent,
                "model": model,
                "models": models_fields(models),
                "gateway": option_fields(gateway),
                "rehearsal": option_fields(rehearsal),
                "cleanup": cleanup,
                "retry": option_fields(retry),
                "deadline_seconds": deadline_seconds,
                # The core refuses these by name, with the nearest option.
                **unknown,
            }
        )
        try:
            self._results_dir = None if results_dir is None else os.fspath(results_dir)
        except TypeError:
            raise OptionError(f"`results_dir` is `{results_dir!r}`, expected a path") from None
        self._runs: set[_core.Run] = set()
        # Reentrant: a signal handler may call `cancel` while this thread holds it.
        self._lock = threading.RLock()
        self.max_concurrent = max_concurrent
        self.results: dict[str, AgentResult] = {}
        self.sessions_left: list[dict[str, str]] = []
        self.stats: dict[str, float] = {
            "agents_spawned": 0,
            "agents_completed": 0,
            "agents_failed": 0,
            "total_time": 0.0,
        }

    def run_parallel(self, tasks: Iterable[Task], callback: Callback | None = None) -> dict[str, AgentResult]:
        """Runs the tasks and waits for all of them, without holding the interpreter.

        Args:
            tasks: `AgentTask`s, or dicts of the same fields. An empty list gives an empty dict.
            callback: Called on this thread with each result, in order of completion, once per task. What it raises
                is logged and ends nothing.

        Returns:
            Task id to result, in the order of the tasks. Every task has exactly one, whatever became of it.

        Raises:
            PlanError: The tasks cannot be run; nothing was started. (A `ValueError`.)
            ModelError: The gateway knows none of the models; nothing was started.
            GatewayError: No gateway can be used; nothing was started.
            RunInterrupted: Ctrl-C. All agents were stopped; `.results` holds one result per task.
        """
        session = _Session(self)
        try:
            session.start(tasks)
            while not session.ended:
                for result in session.poll():
                    _call(callback, result)
                session.wait()
        except KeyboardInterrupt:
            raise RunInterrupted(session.stop("interrupted by Ctrl-C")) from None
        except BaseException:
            session.stop("an exception ended the wait")
            raise
        return session.results()

    def run_iter(self, tasks: Iterable[Task]) -> Generator[AgentResult, None, None]:
        """Runs the tasks and yields each result as soon as its task has ended.

        The run goes on between two results. Leaving the loop early stops the agents that still run.

        Args:
            tasks: As for `run_parallel`.

        Yields:
            Each task's result, in order of completion.

        Raises:
            As `run_parallel`, when the first result is asked for.
        """
        session = _Session(self)
        try:
            session.start(tasks)
            while not session.ended:
                yield from session.poll()
                session.wait()
        except KeyboardInterrupt:
            raise RunInterrupted(session.stop("interrupted by Ctrl-C")) from None
        finally:
            session.stop("the iteration was left early")

    async def arun(self, tasks: Iterable[Task], callback: Callback | None = None) -> dict[str, AgentResult]:
        """The same as `run_parallel` for an event loop. Cancelling it stops all agents first.

        Args:
            tasks: As for `run_parallel`.
            callback: Called on the loop's thread with each result; may be `async def`.

        Returns:
            As `run_parallel`. After Ctrl-C `asyncio.run` raises a plain `KeyboardInterrupt`; the results are in
            `.results` of the orchestrator.

        Raises:
            As `run_parallel`, and `asyncio.CancelledError` once the agents are stopped.
        """
        session = _Session(self)
        try:
            session.start(tasks)
            async for result in session.stream():
                await _acall(callback, result)
        finally:
            await session.aclose()
        return session.results()

    async def arun_iter(self, tasks: Iterable[Task]) -> AsyncGenerator[AgentResult, None]:
        """The same as `run_iter` for an event loop.

        Leaving the loop early stops the agents as soon as the iterator is closed: close it with
        `contextlib.aclosing`, since Python itself closes one only some time later.
        """
        session = _Session(self)
        try:
            session.start(tasks)
            async for result in session.stream():
                yield result
        finally:
            await session.aclose()

    def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Ends the current runs early, from any thread: their calls return with what has finished.

        All agents are stopped first, queued ones included. Calling it again changes nothing. Without a current run
        nothing happens.
        """
        with self._lock:
            for run in list(self._runs):
                run.cancel(reason, False)

    @property
    def results_dir(self) -> Path:
        """Where `save_results` writes."""
        from pathlib import Path

        return Path(self._results_dir) if self._results_dir else Path.home() / ".openclaw" / "agent_results"

    def save_results(self, filename: str | None = None) -> Path:
        """Writes all results so far as JSON.

        Args:
            filename: Name in `results_dir`. Default: `results_` and the time, in UTC.

        Returns:
            The file, which holds `timestamp`, `stats` and `results`. It appears whole or not at all.
        """
        import json
        import os
        import time

        now = time.gmtime()
        folder = self.results_dir
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (filename or time.strftime("results_%Y%m%d_%H%M%S.json", now))
        document = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", now),
            "stats": self.stats,
            "results": {task_id: result.to_dict() for task_id, result in self.results.items()},
        }
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        partial.write_text(json.dumps(document, indent=2, ensure_ascii=False), encoding="utf-8")
        partial.replace(path)
        return path


class _Session:
    """One run of an orchestrator, from its start to the last event."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._results: dict[str, AgentResult] = {}
        self._started: list[_core.Run] = []
        self.ended = False

    def start(self, tasks: Iterable[Task]) -> None:
        """Starts the run. Ctrl-C may come at any point of it, and what was started must be known by then."""
        from ._task import tasks_fields

        # The core puts the run into the list itself: an interrupt cannot come between its start and our knowing it.
        self._orchestrator._engine.start(tasks_fields(tasks), self._started)
        with self._orchestrator._lock:
            self._orchestrator._runs.add(self._run)

    @property
    def _run(self) -> _core.Run:
        return self._started[0]

    def poll(self) -> Iterator[AgentResult]:
        """The results that have come since the last call."""
        while not self.ended:
            try:
                event = self._run.poll()
            except Exception:
                self._end()
                raise
            if event is None:
                return
            kind, fields = event
            if kind == "result":
                yield self._keep(fields)
            elif kind == "notice":
                _log(fields["level"], fields["text"])
            else:
                with self._orchestrator._lock:
                    self._orchestrator.sessions_left = fields["sessions_left"]
                    self._orchestrator.stats["agents_spawned"] += fields["attempts"]
                self._end()

    def wait(self) -> None:
        """Until there may be more, or a signal comes."""
        if not self.ended:
            self._run.wait()

    async def stream(self) -> AsyncIterator[AgentResult]:
        """All results, as they come."""
        while not self.ended:
            for result in self.poll():
                yield result
            if not self.ended:
                await self._run.ready()

    def stop(self, reason: str) -> dict[str, AgentResult]:
        """Ends the run early and waits for its end. A second Ctrl-C ends it at once."""
        insist = False
        while self._started and not self.ended:
            self._run.cancel(reason, insist)
            try:
                while not self.ended:
                    for _ in self.poll():
                        pass
                    self.wait()
            except KeyboardInterrupt:
                insist = True
        return self.results()

    async def aclose(self) -> None:
        """The same for an event loop."""
        if self._started and not self.ended:
            self._run.cancel("the caller was cancelled or left early", False)
            async for _ in self.stream():
                pass

    def results(self) -> dict[str, AgentResult]:
        """Task id to result, in the order of the tasks."""
        if not self._started:
            return {}
        # An interrupt may have come between the core's handing a result out and our keeping it.
        for fields in self._run.results() if len(self._results) < len(self._run.task_ids) else ():
            if fields["task_id"] not in self._results:
                self._keep(fields)
        return {task_id: self._results[task_id] for task_id in self._run.task_ids if task_id in self._results}

    def _keep(self, fields: dict[str, Any]) -> AgentResult:
        from ._task import result_from_core

        result = result_from_core(fields)
        self._results[result.task_id] = result
        orchestrator = self._orchestrator
        # Runs in several threads share these sums.
        with orchestrator._lock:
            orchestrator.results[result.task_id] = result
            orchestrator.stats["agents_completed"] += result.success
            orchestrator.stats["agents_failed"] += result.failed
            orchestrator.stats["total_time"] += result.execution_time
        return result

    def _end(self) -> None:
        self.ended = True
        with self._orchestrator._lock:
            self._orchestrator._runs.discard(self._run)


def _log(level: str, text: str) -> None:
    import logging

    logging.getLogger("parallel_agents").log(logging.WARNING if level == "warning" else logging.INFO, text)


def _call(callback: Callback | None, result: AgentResult) -> object:
    if callback is None:
        return None
    try:
        return callback(result)
    except Exception:
        _log_callback(result)
        return None


async def _acall(callback: Callback | None, result: AgentResult) -> None:
    outcome: Any = _call(callback, result)
    if hasattr(outcome, "__await__"):
        try:
            await outcome
        except Exception:
            _log_callback(result)


def _log_callback(result: AgentResult) -> None:
    import logging

    logging.getLogger("parallel_agents").exception("the callback raised for task `%s`", result.task_id)
