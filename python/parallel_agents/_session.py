"""One run of an orchestrator, from its start to the last event: what it tells, asks, and came to."""

from __future__ import annotations

from . import _core
from ._errors import OptionError, RunInterrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
    from typing import Any, TypeVar

    T = TypeVar("T")

    from ._asides import Asides
    from ._orchestration import Orchestration
    from ._orchestrator import Orchestrator
    from ._pump import Pump
    from ._refinement import Refinement
    from ._task import AgentResult

    Callback = Callable[[AgentResult], object]
    Start = Callable[[_core.Engine, list[Any]], None]


class RunResults(dict[str, "AgentResult"]):
    """The results of a run: task id to result, in the order of the tasks. A `dict` that also knows its run.

    Attributes:
        run_id: The run's name in its journal; `None` without one.
        report: What the run came to: `run_id started ended tasks attempts refusals retries breakers_opened restarts
            resumed cost currency budget sessions_left`. Costs in US dollars, `None` once one attempt's is unknown.
            `budget` holds what was `spent` of each `cap`, the `overrun` (what attempts used above what was reserved for
            them) and `not_started`: the tasks that it did not bear, with what they would have taken at the most.
        outcome: What its `until` came to, `None` for a run without one: `until`, whether it is `met`, the ids of the
            `chosen` tasks, and, by its kind, how many `completed`, the `scores`, or the `tally` of a vote with its
            `leaders`; `unmarked` are the completed tasks without a score or a vote.
    """

    run_id: str | None = None
    report: dict[str, Any] = {}  # noqa: RUF012  (replaced, never changed)
    outcome: dict[str, Any] | None = None

    @property
    def orchestration(self) -> Orchestration | None:
        """What became of the request of an orchestration; `None` for any other run."""
        from ._orchestration import orchestration_of

        return orchestration_of(self)

    @property
    def chosen(self) -> dict[str, AgentResult]:
        """Task id to result, of those that its `until` chose; all that completed for a run without one."""
        if self.outcome is None or "chosen" not in self.outcome:
            return {task_id: result for task_id, result in self.items() if result.success}
        return {task_id: self[task_id] for task_id in self.outcome["chosen"]}

    @property
    def questions(self) -> dict[str, str]:
        """Task id to question, of the agents that wait for an answer: see `Orchestrator.resume`."""
        from ._task import AgentStatus

        # A team keys its results by other names; an answer goes to a task.
        asking = (each for each in self.values() if each.status == AgentStatus.NEEDS_INPUT)
        return {each.task_id: each.error or "" for each in asking}

    @property
    def refinements(self) -> dict[str, Refinement]:
        """Name to what became of it, of what the run refined; empty for other runs."""
        from ._refinement import refinements

        return refinements(self)


class Hooks:
    """What the strategy of a run asks its caller."""

    def __init__(
        self,
        approve: Callable[[dict[str, Any]], object] | None = None,
        mark: Callable[[AgentResult], object] | None = None,
        read: Callable[[Any], object] | None = None,
    ) -> None:
        self.approve = approve
        """Whether a plan may be run: `True`, or why not. May be `async def` where the run is awaited."""
        self.mark = mark
        """What a completed result counts as. May be `async def` where the run is awaited."""
        self.read = read
        """Makes a mark of what it gives; raises, if that is none."""


class Session:
    """One run of an orchestrator, from its start to the last event."""

    def __init__(self, orchestrator: Orchestrator, start: Start, hooks: Hooks | None = None) -> None:
        self._orchestrator = orchestrator
        self._start = start
        self._hooks = hooks or Hooks()
        self._asked: dict[str, Any] | None = None
        self._asides: Asides | None = None
        self._ready: asyncio.Future[None] | None = None
        self._stopping = False
        self._leaves_open = False
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
            elif kind == "approval":
                self._asked = content
            else:
                self._end(content)

    def advance(self, *, quiet: bool) -> None:
        """Until there may be more, or a signal comes. If `quiet`, single results are not waited for."""
        if not self.ended:
            self._run.advance(quiet and self._hooks.mark is None)

    def answer(self) -> None:
        """Lets the caller's function say whether it approves of what the run asks about."""
        if self._asked is None or self._stopping or self.ended:
            return
        subject, self._asked = self._asked, None
        try:
            outcome: Any = self._hooks.approve and self._hooks.approve(subject)
            if hasattr(outcome, "__await__") and self._asides is None:
                _discard(outcome)
                raise OptionError(
                    "`approve` gave what is to be awaited, and nothing awaits it here; use the call for an event loop"
                )
        except BaseException as error:
            self._no_verdict(error)
            raise
        if self._asides is not None and hasattr(outcome, "__await__"):
            self._asides.begin(outcome, self._take_verdict)
        else:
            self._run.approve(*_verdict(outcome))

    def _take_verdict(self, outcome: object, error: BaseException | None) -> None:
        if self._stopping or self.ended:
            return
        if error is not None:
            self._no_verdict(error)
            raise error
        self._run.approve(*_verdict(outcome))

    def _no_verdict(self, error: BaseException) -> None:
        """A mistake there need not cost what was paid for: a run that can be resumed is left open."""
        if self._run.id is not None and not isinstance(error, KeyboardInterrupt):
            self._leaves_open = True
            _log("warning", f"`approve` raised; run {self._run.id} is left as it stands, and can be resumed")

    async def stream(self) -> AsyncGenerator[AgentResult, None]:
        """All results, as they come."""
        from ._asides import Asides

        if isinstance(self._run, _core.Run):
            self._asides = self._asides or Asides(lambda: None)
            while not self.ended:
                for result in self.poll():
                    yield result
                self._asides.hand_over()
                self.answer()
                if not self.ended:
                    await self._pause(self._run, self._asides)
            return
        from contextlib import aclosing

        from ._pump import Pump

        tools = self._orchestrator._tools
        if self._pump is None:
            self._pump = Pump(self._run, tools.threads if tools else None)
        self._asides = self._asides or Asides(self._pump.wake)
        async with aclosing(self._pump.steps()) as steps:
            async for _ in steps:
                for result in self.poll():
                    yield result
                self._asides.hand_over()
                self.answer()
                if self.ended:
                    break

    async def _pause(self, run: _core.Run, asides: Asides) -> None:
        if not asides and self._ready is None:
            await run.ready()
            return
        import asyncio

        # Kept until it is done: a wake-up must not be lost with it.
        self._ready = self._ready or asyncio.ensure_future(run.ready())
        await asides.wait(self._ready)
        if self._ready.done():
            self._ready = None

    def _call_off(self, reason: str, *, insist: bool) -> None:
        if self._leaves_open and not insist:
            self._run.leave()
        else:
            self._run.cancel(reason, insist)

    def stop(self, reason: str) -> RunResults:
        """Ends the run early and waits for its end. A second Ctrl-C ends it at once."""
        insist = False
        self._stopping = True
        while self._started and not self.ended:
            self._call_off(reason, insist=insist)
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
                self._stopping = True
                self._call_off(reason, insist=False)
                if self._asides is not None:
                    self._asides.cancel()
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
            self._stopping = True
            if self._ready is not None:
                self._ready.cancel()
            try:
                if self._asides is not None:
                    await self._asides.close()
            finally:
                if self._pump is not None:
                    await self._pump.close()

    def on_own_loop(self, run: Coroutine[Any, Any, RunResults], variant: str) -> RunResults:
        """Runs `run` on a loop of this thread; `variant` is what the caller uses where one runs already."""
        import asyncio

        from ._tools import refuse_running_loop

        try:
            refuse_running_loop(f"`await {variant}(...)`")
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

        refuse_running_loop("`orchestrator.arun_iter(...)`")
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
        self._results.outcome = self._run.outcome()
        with self._orchestrator._lock:
            self._orchestrator.results.update(self._results)
            self._orchestrator._designs.keep(self._results)
        return self._results

    @property
    def _ids(self) -> list[str]:
        if not self._task_ids or self.ended:
            self._task_ids = self._run.task_ids
        return self._task_ids

    def _keep(self, index: int, report: _core.Report) -> AgentResult:
        from ._task import results_from_core

        if index >= len(self._ids):
            # The run has grown.
            self._task_ids = []
        task_id = self._ids[index]
        results_from_core([report], [task_id], self._results)
        result = self._results[task_id]
        orchestrator = self._orchestrator
        counted = {
            "agents_completed": int(result.success),
            "agents_failed": int(result.failed),
            "total_time": result.execution_time,
        }
        if self._hooks.mark is not None and result.success and not self._stopping and self._run.wants_mark(task_id):
            self._mark(result)
        # Runs in several threads share these sums.
        with orchestrator._lock:
            orchestrator.results[task_id] = result
            for name, count in counted.items():
                self._counted[name] += count
                orchestrator.stats[name] += count
        return result

    def _mark(self, result: AgentResult) -> None:
        """Lets the caller's function say what a completed result counts as."""
        try:
            mark: Any = self._hooks.mark and self._hooks.mark(result)
        except Exception:
            _log_mark(result, "raised")
            mark = None
        if not hasattr(mark, "__await__"):
            self._tell_mark(result, mark)
        elif self._asides is not None:
            self._asides.begin(mark, lambda mark, error: self._take_mark(result, mark, error))
        else:
            _discard(mark)
            _log_mark(result, "is `async def`, and nobody awaits it here: use arun,")
            self._tell_mark(result, None)

    def _take_mark(self, result: AgentResult, mark: object, error: BaseException | None) -> None:
        if self._stopping or self.ended:
            return
        if isinstance(error, Exception):
            _log_mark(result, "raised", error)
        elif error is not None:
            raise error
        self._tell_mark(result, mark)

    def _tell_mark(self, result: AgentResult, mark: Any) -> None:
        try:
            if mark is not None and self._hooks.read is not None:
                mark = self._hooks.read(mark)
            self._run.mark(result.task_id, {"mark": mark})
        except Exception:
            _log_mark(result, "gave nothing that can count")
            self._run.mark(result.task_id, {"mark": None})
        else:
            if mark is None:
                _log_mark(result, "gave nothing")

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


def _verdict(outcome: object) -> tuple[bool, str]:
    """Whether it is a yes, and why not."""
    return outcome is True, outcome if isinstance(outcome, str) else ""


def _discard(awaitable: Any) -> None:
    """Nobody awaits it any more."""
    if hasattr(awaitable, "close"):
        awaitable.close()


def _log_mark(result: AgentResult, what: str, error: BaseException | None = None) -> None:
    import logging
    import sys

    text = "the function of `until` %s for task `%s`, whose result does not count"
    logging.getLogger("parallel_agents").warning(text, what, result.task_id, exc_info=error or sys.exc_info()[1])


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


def call(callback: Callback | None, result: AgentResult) -> object:
    if callback is None:
        return None
    try:
        return callback(result)
    except Exception:
        _log_callback(result)
        return None


async def acall(callback: Callback | None, result: AgentResult) -> None:
    outcome: Any = call(callback, result)
    if hasattr(outcome, "__await__"):
        try:
            await outcome
        except Exception:
            _log_callback(result)


def _log_callback(result: AgentResult) -> None:
    import logging

    logging.getLogger("parallel_agents").exception("the callback raised for task `%s`", result.task_id)
