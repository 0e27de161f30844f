"""The orchestrator: hands tasks to the core and results back."""

from __future__ import annotations

import threading

from . import _core
from ._errors import OptionError, PlanError, RunInterrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import (
        AsyncGenerator,
        Callable,
        Coroutine,
        Generator,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )
    from os import PathLike
    from pathlib import Path
    from typing import Any, NoReturn, TypeVar

    T = TypeVar("T")

    from ._options import Budget, CircuitBreaker, Gateway, Rehearsal, RetryPolicy, Tier
    from ._pump import Pump
    from ._task import AgentResult, AgentTask
    from ._tools import Tools

    Callback = Callable[[AgentResult], object]
    Task = AgentTask | Mapping[str, Any]
    Start = Callable[[_core.Engine, list[Any]], None]


class RunResults(dict[str, "AgentResult"]):
    """The results of a run: task id to result, in the order of the tasks. A `dict` that also knows its run.

    Attributes:
        run_id: The run's name in its journal; `None` without one.
        report: What the run came to: `run_id started ended tasks attempts refusals retries breakers_opened restarts
            resumed cost currency budget sessions_left`. Costs in US dollars, `None` once one attempt's is unknown.
            `budget` holds what was `spent` of each `cap`, the `overrun` (what attempts used above what was reserved for
            them) and `not_started`: the tasks that it did not bear, with what they would have taken at the most.
    """

    run_id: str | None = None
    report: dict[str, Any] = {}  # noqa: RUF012  (replaced, never changed)

    @property
    def questions(self) -> dict[str, str]:
        """Task id to question, of the agents that wait for an answer: see `Orchestrator.resume`."""
        from ._task import AgentStatus

        # A team keys its results by other names; an answer goes to a task.
        asking = (each for each in self.values() if each.status == AgentStatus.NEEDS_INPUT)
        return {each.task_id: each.error or "" for each in asking}


class Orchestrator:
    """Runs tasks on agents in parallel.

    Args:
        max_concurrent: Agents at once, from 1 to 10000.
        model: The one model to use, instead of a hierarchy.
        models: Models from cheap to costly: names or `Tier`s. Default `MODEL_HIERARCHY`. A failed attempt goes on
            to the next; models that the gateway does not know are passed over with a warning.
        tools: An object with the callables that an agent runtime injects: `sessions_spawn`, `sessions_list` and
            `sessions_history`, plain or `async def`; `subagents` and `sessions` are used where it has them. Default:
            the module `tools`, if one with a callable `sessions_spawn` can be imported and neither `gateway` nor
            `rehearsal` is given. They are called on the thread that calls `run_parallel`, or on the loop of `arun`.
        sessions_spawn: One of these callables by itself; likewise `sessions_list`, `sessions_history`, `subagents`,
            `sessions`.
        tool_threads: How many threads may call plain callables beside each other. Default: none but the caller's.
        gateway: The OpenClaw gateway. Default: the one that is found, see `Gateway`.
        rehearsal: `True` or a `Rehearsal`: play the run, with no AI.
        results_dir: Where `save_results` writes. Default `~/.openclaw/agent_results`.
        cleanup: `"delete"` deletes the agents' sessions after their results are in hand; `"keep"` leaves them.
        retry: How often an attempt is repeated.
        deadline_seconds: Time for a whole run. Default 86400 (24 hours). At the deadline agents are stopped; what
            has finished is kept.
        idle_seconds: How long an agent may do nothing until it is stopped, where its runtime tells of activity.
            Default: as long as its timeout. A gateway shows a code fence only once it is closed: allow for the
            time that the longest one takes to write.
        output_bytes_max: The longest answer that is kept whole, in bytes. Default 8 MiB.
        budget: What a run may spend. Default: no caps.
        breaker: When a model or a type of agent that fails again and again is left alone for a while.
        journal: A file that keeps every run, so that `resume` can go on with it after any death: an SQLite database,
            which other runs and processes may share. Default: none.
        durability: What the journal survives: `"process"`, the death of this process; `"power"`, a power cut too, which
            costs a disk flush for each group of facts.

    Raises:
        OptionError: An option has a value it does not take. (A `ValueError`.)
        ModelError: The models are not a hierarchy. (A `ValueError`.)

    What the journal cannot do is told when a run starts, as `JournalError`.

    Attributes:
        results: Task id to result, of all runs so far.
        stats: Counts and total time in seconds, of all runs so far.

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
        sessions_spawn: Callable[..., Any] | None = None,
        sessions_list: Callable[..., Any] | None = None,
        sessions_history: Callable[..., Any] | None = None,
        subagents: Callable[..., Any] | None = None,
        sessions: Callable[..., Any] | None = None,
        tool_threads: int | None = None,
        gateway: Gateway | None = None,
        rehearsal: Rehearsal | bool | None = None,
        results_dir: str | PathLike[str] | None = None,
        cleanup: str = "delete",
        retry: RetryPolicy | None = None,
        deadline_seconds: float | None = None,
        idle_seconds: float | None = None,
        output_bytes_max: int | None = None,
        budget: Budget | None = None,
        breaker: CircuitBreaker | None = None,
        journal: str | PathLike[str] | None = None,
        durability: str = "process",
        **unknown: NoReturn,
    ) -> None:
        from ._options import models_fields, option_fields

        by_name = {
            "sessions_spawn": sessions_spawn,
            "sessions_list": sessions_list,
            "sessions_history": sessions_history,
            "subagents": subagents,
            "sessions": sessions,
        }
        self._tools, gateway = _find_tools(tools, by_name, tool_threads, gateway, rehearsal)
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
                "idle_seconds": idle_seconds,
                "output_bytes_max": output_bytes_max,
                "budget": option_fields(budget),
                "breaker": option_fields(breaker),
                # The core refuses these by name, with the nearest option.
                **unknown,
            },
            None if self._tools is None else self._tools.toolbox,
            _path("journal", journal),
            _durability(durability),
        )
        self._results_dir = _path("results_dir", results_dir)
        self._runs: set[_core.Run | _core.ToolRun] = set()
        # Reentrant: a signal handler may call `cancel` while this thread holds it.
        self._lock = threading.RLock()
        # How often it was cancelled, for who makes several runs of one job.
        self._cancels = 0
        self.max_concurrent = max_concurrent
        self.results: dict[str, AgentResult] = {}
        self._latest: _core.Run | _core.ToolRun | None = None
        self.stats: dict[str, float] = {
            "agents_spawned": 0,
            "agents_completed": 0,
            "agents_failed": 0,
            "total_time": 0.0,
        }

    def run_parallel(self, tasks: Iterable[Task], callback: Callback | None = None) -> RunResults:
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
            JournalError: The journal cannot be used; nothing was started.
            RunInterrupted: Ctrl-C. All agents were stopped; `.results` holds one result per task.
        """
        return self._run(_Session(self, _starting(tasks)), callback)

    def _run(self, session: _Session, callback: Callback | None) -> RunResults:
        if session.needs_loop:
            return session.on_own_loop(self._arun(session, callback))
        try:
            session.start()
            while not session.ended:
                session.advance(quiet=callback is None)
                for result in session.poll():
                    _call(callback, result)
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
        session = _Session(self, _starting(tasks))
        if session.needs_loop:
            yield from session.on_own_loop_iter(self._arun_iter(session))
            return
        try:
            session.start()
            while not session.ended:
                session.advance(quiet=False)
                yield from session.poll()
        except KeyboardInterrupt:
            raise RunInterrupted(session.stop("interrupted by Ctrl-C")) from None
        finally:
            session.stop("the iteration was left early")

    async def arun(self, tasks: Iterable[Task], callback: Callback | None = None) -> RunResults:
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
        return await self._arun(_Session(self, _starting(tasks)), callback)

    async def _arun(self, session: _Session, callback: Callback | None) -> RunResults:
        from contextlib import aclosing

        async with aclosing(self._arun_iter(session)) as results:
            async for result in results:
                await _acall(callback, result)
        return session.results()

    def arun_iter(self, tasks: Iterable[Task]) -> AsyncGenerator[AgentResult, None]:
        """The same as `run_iter` for an event loop.

        Leaving the loop early stops the agents as soon as the iterator is closed: close it with
        `contextlib.aclosing`, since Python itself closes one only some time later.
        """
        return self._arun_iter(_Session(self, _starting(tasks)))

    @classmethod
    def resume(
        cls,
        run_id: str,
        journal: str | PathLike[str],
        answers: Mapping[str, str] | None = None,
        callback: Callback | None = None,
        **options: Any,
    ) -> RunResults:
        """Goes on with a run of a journal, whatever its process died of, and waits for its end.

        First it is found out what became of each agent: one that has finished is collected, one that runs is followed,
        and only what is provably gone is started again. A run that is over gives its results, and nothing is called.

        Args:
            run_id: The run, or the beginning of its id; `journal_runs` lists them.
            journal: The file that keeps it.
            answers: Task id to answer, for tasks that are `needs_input`: they go on with it.
            callback: As for `run_parallel`; also called with what had ended before.
            options: Options of `Orchestrator` in place of those the run was started with. `budget` counts what was
                spent before, and starts what an earlier one did not bear. Injected `tools` must be given again.

        Returns:
            As `run_parallel`.

        Raises:
            JournalError: The journal cannot be used, does not hold the run, or another process runs it.
            PlanError: An answer to a task that asks nothing, or one that is no text or empty.
            As `run_parallel` otherwise. After any of them but `RunInterrupted`, which ends a run, it can be resumed
                again.
        """
        orchestrator, start = cls._resuming(run_id, journal, answers, options)
        return orchestrator._run(_Session(orchestrator, start), callback)

    @classmethod
    async def aresume(
        cls,
        run_id: str,
        journal: str | PathLike[str],
        answers: Mapping[str, str] | None = None,
        callback: Callback | None = None,
        **options: Any,
    ) -> RunResults:
        """The same as `resume` for an event loop. Cancelling it stops all agents first."""
        orchestrator, start = cls._resuming(run_id, journal, answers, options)
        return await orchestrator._arun(_Session(orchestrator, start), callback)

    @staticmethod
    def _resuming(
        run_id: str, journal: str | PathLike[str], answers: Mapping[str, str] | None, options: dict[str, Any]
    ) -> tuple[Orchestrator, Start]:
        """An orchestrator with the run's own options, and what takes the run up."""
        from ._options import Gateway
        from ._tools import importable

        path = _path("journal", journal)
        if path is None:
            raise OptionError("`journal` is `None`, expected the file that keeps the run")
        if not isinstance(run_id, str):
            raise OptionError(f"`run_id` is `{run_id!r}`, expected a run's name: journal_runs(journal) lists them")
        stored = _core.stored_run(path, run_id)
        for name in ("model", "models"):
            if name in options:
                raise OptionError(f"`{name}` of run `{stored['id']}` is what it was started with; leave it out")
        known = dict(stored["options"])
        if stored["runtime"] == "tools":
            if not any(name in options for name in ("tools", "sessions_spawn")) and importable() is None:
                raise OptionError(f"run `{stored['id']}` was started with injected tools; pass them again: tools=...")
        elif stored["runtime"] == "gateway":
            fields = known.get("gateway")
            known["gateway"] = Gateway(**fields) if isinstance(fields, dict) else Gateway()
        orchestrator = Orchestrator(**{**known, **options, "journal": path})
        if orchestrator._engine.runtime != stored["runtime"]:
            was, other = stored["runtime"], orchestrator._engine.runtime
            raise OptionError(f"run `{stored['id']}` has the runtime `{was}`, and these options are for `{other}`")
        replies = _replies(answers)

        def start(engine: _core.Engine, started: list[Any]) -> None:
            engine.resume(stored["id"], replies, options.get("budget") is not None, started)

        return orchestrator, start

    async def _arun_iter(self, session: _Session) -> AsyncGenerator[AgentResult, None]:
        from contextlib import aclosing

        try:
            session.start()
            async with aclosing(session.stream()) as stream:
                async for result in stream:
                    yield result
        finally:
            await session.aclose()

    def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Ends the current runs early, from any thread: their calls return with what has finished.

        All agents are stopped first, queued ones included. Calling it again changes nothing. Without a current run
        nothing happens.
        """
        with self._lock:
            self._cancels += 1
            for run in list(self._runs):
                run.cancel(reason, False)

    @property
    def sessions_left(self) -> list[dict[str, str]]:
        """Sessions of the latest run that could not be deleted: `task_id session_key reason`."""
        return [] if self._latest is None else self._latest.sessions_left()

    @property
    def run_id(self) -> str | None:
        """The latest run's name in the journal; `None` without one."""
        return None if self._latest is None else self._latest.id

    @property
    def report(self) -> dict[str, Any]:
        """What the latest run came to, see `RunResults.report`; empty before the end of the first."""
        return {} if self._latest is None else self._latest.report()

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


def _find_tools(
    tools: object,
    by_name: dict[str, Callable[..., Any] | None],
    threads: int | None,
    gateway: Gateway | None,
    rehearsal: Rehearsal | bool | None,
) -> tuple[Tools | None, Gateway | None]:
    """The injected callables, or the gateway to use in place of those that are ours."""
    from ._tools import Tools, importable, injected

    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise OptionError(f"`tool_threads` is `{threads!r}`, expected a whole number above 0")
    is_named = tools is not None or any(given is not None for given in by_name.values())
    if is_named and (gateway or rehearsal):
        other = "gateway" if gateway else "rehearsal"
        raise OptionError(f"`{other}` is given beside `tools`; a run has one runtime, leave one of them out")
    found = tools if is_named or gateway or rehearsal else importable()
    if found is None and not is_named:
        return None, gateway
    ours = getattr(found, "__parallel_agents_gateway__", None)
    if ours is not None:
        if named := [name for name, given in by_name.items() if given is not None]:
            raise OptionError(f"`{named[0]}` is given beside `tools` over a gateway; leave one of them out")
        # They lead to a gateway, and the way without them is shorter.
        return None, ours
    return Tools(injected(found, by_name), threads), gateway


def journal_runs(journal: str | PathLike[str]) -> list[dict[str, Any]]:
    """The runs that a journal keeps, the latest first.

    Args:
        journal: The file.

    Returns:
        A dict for each: `run_id state started latest runtime tasks done completed`. The state is `running` while a
        process runs it, `ended`, or `open`: `Orchestrator.resume` goes on with it.

    Raises:
        JournalError: There is no such journal, or it cannot be read.
    """
    path = _path("journal", journal)
    if path is None:
        raise OptionError("`journal` is `None`, expected a file")
    return _core.stored_runs(path)


def _path(option: str, value: object) -> str | None:
    import os

    try:
        return None if value is None else os.fsdecode(value)  # type: ignore[arg-type]
    except TypeError:
        raise OptionError(f"`{option}` is `{value!r}`, expected a path") from None


def _durability(value: object) -> str:
    if isinstance(value, str):
        return value
    raise OptionError(f"`durability` is `{value!r}`, expected one of process, power")


def _replies(answers: object) -> dict[str, str]:
    """Answers to questions, all of them texts."""
    if answers is None:
        return {}
    if not hasattr(answers, "items"):
        raise OptionError(f"`answers` is of type `{type(answers).__name__}`, expected a dict from task id to answer")
    replies = dict(answers.items())
    for task_id, answer in replies.items():
        if not isinstance(task_id, str) or not isinstance(answer, str):
            raise PlanError(f"the answer to task `{task_id}` is `{answer!r}`, expected a text")
    return replies


def _starting(tasks: Iterable[Task]) -> Start:
    """What starts a run of `tasks`."""

    def start(engine: _core.Engine, started: list[Any]) -> None:
        from ._task import task_list

        engine.start(task_list(tasks), started)

    return start


class _Session:
    """One run of an orchestrator, from its start to the last event."""

    def __init__(self, orchestrator: Orchestrator, start: Start) -> None:
        self._orchestrator = orchestrator
        self._start = start
        self._started: list[_core.Run | _core.ToolRun] = []
        self._counted = {"agents_completed": 0, "agents_failed": 0, "total_time": 0.0}
        self._pump: Pump | None = None
        self._task_ids: list[str] = []
        self._results = RunResults()
        self.ended = False

    @property
    def needs_loop(self) -> bool:
        """Whether the run's callables want an event loop."""
        tools = self._orchestrator._tools
        return tools is not None and tools.needs_loop

    def start(self) -> None:
        """Starts the run. Ctrl-C may come at any point of it, and what was started must be known by then."""
        # The core puts the run into the list itself: an interrupt cannot come between its start and our knowing it.
        self._start(self._orchestrator._engine, self._started)
        with self._orchestrator._lock:
            self._orchestrator._runs.add(self._run)
            self._orchestrator._latest = self._run

    @property
    def _run(self) -> _core.Run | _core.ToolRun:
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
            kind, content = event
            if kind == "result":
                yield self._keep(*content)
            elif kind == "notice":
                _log(**content)
            else:
                self._end(content)

    def advance(self, *, quiet: bool) -> None:
        """Until there may be more, or a signal comes. If `quiet`, single results are not waited for."""
        if not self.ended:
            self._run.advance(quiet)

    async def stream(self) -> AsyncGenerator[AgentResult, None]:
        """All results, as they come."""
        if isinstance(self._run, _core.Run):
            while not self.ended:
                for result in self.poll():
                    yield result
                if not self.ended:
                    await self._run.ready()
            return
        from contextlib import aclosing

        from ._pump import Pump

        tools = self._orchestrator._tools
        if self._pump is None:
            self._pump = Pump(self._run, tools.threads if tools else None)
        async with aclosing(self._pump.steps()) as steps:
            async for _ in steps:
                for result in self.poll():
                    yield result
                if self.ended:
                    break

    def stop(self, reason: str) -> RunResults:
        """Ends the run early and waits for its end. A second Ctrl-C ends it at once."""
        insist = False
        while self._started and not self.ended:
            self._run.cancel(reason, insist)
            try:
                while not self.ended:
                    for _ in self.poll():
                        pass
                    self.advance(quiet=True)
            except BaseException:
                # A second Ctrl-C, or a callable that raises what is no `Exception` even now.
                insist = True
        return self.results()

    async def aclose(self) -> None:
        """The same for an event loop."""
        reason = "the caller was cancelled or left early"
        try:
            if self._started and not self.ended:
                self._run.cancel(reason, False)
                async for _ in self.stream():
                    pass
        except BaseException:
            # A callable raises what is no `Exception` even now.
            if isinstance(self._run, _core.ToolRun):
                self._run.cancel(reason, True)
                self._run.next_call()
                for _ in self.poll():
                    pass
            raise
        finally:
            if self._pump is not None:
                await self._pump.close()

    def on_own_loop(self, run: Coroutine[Any, Any, RunResults]) -> RunResults:
        """Runs `run` on a loop of this thread."""
        import asyncio

        from ._tools import refuse_running_loop

        try:
            refuse_running_loop()
        except BaseException:
            run.close()
            raise
        loop = asyncio.new_event_loop()
        try:
            return self._until_done(loop, loop.create_task(run))
        finally:
            _close_loop(loop)

    def on_own_loop_iter(self, results: AsyncGenerator[AgentResult, None]) -> Iterator[AgentResult]:
        """The results of `results`, which runs on a loop of this thread while it is waited for."""
        import asyncio

        from ._tools import refuse_running_loop

        async def next_result() -> AgentResult | None:
            return await anext(results, None)

        refuse_running_loop()
        loop = asyncio.new_event_loop()
        try:
            while (result := self._until_done(loop, loop.create_task(next_result()))) is not None:
                yield result
        finally:
            self._until_done(loop, loop.create_task(_aclose(results)))
            _close_loop(loop)

    def _until_done(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[T]) -> T:
        """Runs the loop until `task` is done. Ctrl-C cancels it, a second one ends the run at once.

        Not as `asyncio.run` does it, which leaves a callable that blocks the loop running at the first Ctrl-C.
        """
        import asyncio

        interrupted = False
        while True:
            try:
                result = loop.run_until_complete(task)
            except KeyboardInterrupt:
                if interrupted and self._started:
                    self._run.cancel("interrupted by Ctrl-C", True)
                elif not task.done():
                    task.cancel()
                interrupted = True
                if not task.done():
                    continue
            except asyncio.CancelledError:
                if not interrupted:
                    raise
            if interrupted:
                raise RunInterrupted(self.results()) from None
            return result

    def results(self) -> RunResults:
        """Task id to result, in the order of the tasks."""
        from ._task import results_from_core

        if not self._started:
            return self._results
        told_singly = bool(self._results)
        results_from_core(self._run.reports(), self._ids, self._results)
        if told_singly:
            told = self._results
            self._results = RunResults((task_id, told[task_id]) for task_id in self._ids if task_id in told)
        self._results.run_id = self._run.id
        self._results.report = self._run.report()
        with self._orchestrator._lock:
            self._orchestrator.results.update(self._results)
        return self._results

    @property
    def _ids(self) -> list[str]:
        if not self._task_ids:
            self._task_ids = self._run.task_ids
        return self._task_ids

    def _keep(self, index: int, report: _core.Report) -> AgentResult:
        from ._task import results_from_core

        task_id = self._ids[index]
        results_from_core([report], [task_id], self._results)
        result = self._results[task_id]
        orchestrator = self._orchestrator
        counted = {
            "agents_completed": int(result.success),
            "agents_failed": int(result.failed),
            "total_time": result.execution_time,
        }
        # Runs in several threads share these sums.
        with orchestrator._lock:
            orchestrator.results[task_id] = result
            for name, count in counted.items():
                self._counted[name] += count
                orchestrator.stats[name] += count
        return result

    def _end(self, totals: dict[str, Any] | None = None) -> None:
        self.ended = True
        orchestrator = self._orchestrator
        with orchestrator._lock:
            orchestrator._runs.discard(self._run)
            if totals is not None:
                orchestrator.stats["agents_spawned"] += totals["attempts"]
                # What was told one by one is counted already.
                orchestrator.stats["agents_completed"] += totals["completed"] - self._counted["agents_completed"]
                orchestrator.stats["agents_failed"] += totals["failed"] - self._counted["agents_failed"]
                orchestrator.stats["total_time"] += totals["execution_time"] - self._counted["total_time"]


async def _aclose(results: AsyncGenerator[AgentResult, None]) -> None:
    await results.aclose()


def _close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Ends what callables have left on a loop of ours, and the loop."""
    import asyncio

    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _log(level: str, text: str, exception: BaseException | None = None) -> None:
    import logging

    number = logging.WARNING if level == "warning" else logging.INFO
    logging.getLogger("parallel_agents").log(number, text, exc_info=exception)


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
