"""The orchestrator: hands tasks to the core and results back."""

from __future__ import annotations

import threading

from . import _core
from ._designs import Designs
from ._errors import OptionError, PlanError, RunInterrupted
from ._session import Hooks, RunResults, Session, acall, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Callable,
        Generator,
        Iterable,
        Mapping,
        Sequence,
    )
    from os import PathLike
    from pathlib import Path
    from typing import Any, NoReturn, TypeVar

    T = TypeVar("T")

    from ._joins import Join
    from ._options import Budget, CircuitBreaker, Gateway, Rehearsal, RetryPolicy, Tier
    from ._orchestration import Approve, Orchestration
    from ._refinement import Refinement
    from ._task import AgentResult, AgentTask
    from ._tools import Tools

    Callback = Callable[[AgentResult], object]
    Task = AgentTask | Mapping[str, Any]
    Start = Callable[[_core.Engine, list[Any]], None]


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
        sessions_spawn, sessions_list, sessions_history, subagents, sessions: These callables one by one, instead.
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
        **_unknown: NoReturn,
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
                **_unknown,
            },
            None if self._tools is None else self._tools.toolbox,
            _path("journal", journal),
            _durability(durability),
        )
        self._results_dir = _path("results_dir", results_dir)
        self._runs: set[_core.Run | _core.ToolRun] = set()
        # Reentrant: a signal handler may call `cancel` while this thread holds it.
        self._lock = threading.RLock()
        self.max_concurrent = max_concurrent
        self.results: dict[str, AgentResult] = {}
        self._designs = Designs()
        self._latest: _core.Run | _core.ToolRun | None = None
        self.stats: dict[str, float] = {
            "agents_spawned": 0,
            "agents_completed": 0,
            "agents_failed": 0,
            "total_time": 0.0,
        }

    def run_parallel(
        self, tasks: Iterable[Task], callback: Callback | None = None, *, until: str | Join | None = None
    ) -> RunResults:
        """Runs the tasks and waits for them, without holding the interpreter.

        Args:
            tasks: `AgentTask`s, or dicts of the same fields. An empty list gives an empty dict.
            callback: Called on this thread with each result, in order of completion, once per task. What it raises
                is logged and ends nothing.
            until: What is waited for: `"all"`, `"any"`, or `first(k)`, `quorum(k)`, `best(score)`, `vote(key)`, each
                also as a text such as `"first(2)"`. What is no longer needed then is stopped and ends as cancelled, its
                `error` naming the join. An answer that crosses the stop is kept. Default: all, and no `outcome`.

        Returns:
            Task id to result, in the order of the tasks. Every task has exactly one, whatever became of it. With
            `until` its `outcome` says what that came to, and `chosen` holds the results that count.

        Raises:
            OptionError: `until` is none, or asks for more than there are tasks; nothing was started. (A `ValueError`.)
            PlanError: The tasks cannot be run; nothing was started. (A `ValueError`.)
            ModelError: The gateway knows none of the models; nothing was started.
            GatewayError: No gateway can be used; nothing was started.
            JournalError: The journal cannot be used; nothing was started.
            RunInterrupted: Ctrl-C. All agents were stopped; `.results` holds one result per task.
        """
        return self._run(self._session(tasks, until), callback)

    def _session(self, tasks: Iterable[Task], until: str | Join | None) -> Session:
        if until is None:
            return Session(self, _starting(tasks, designs=self._designs))
        from ._joins import joined

        strategy, hooks = joined(until)
        return Session(self, _starting(tasks, strategy, self._designs), hooks)

    def _run(self, session: Session, callback: Callback | None, variant: str = "orchestrator.arun") -> RunResults:
        if session.needs_loop:
            return session.on_own_loop(self._arun(session, callback), variant)
        try:
            session.start()
            while not session.ended:
                session.advance(quiet=callback is None)
                for result in session.poll():
                    call(callback, result)
                session.answer()
        except KeyboardInterrupt:
            raise RunInterrupted(session.stop("interrupted by Ctrl-C")) from None
        except BaseException:
            session.stop("an exception ended the wait")
            raise
        return session.results()

    def run_iter(self, tasks: Iterable[Task], *, until: str | Join | None = None) -> Generator[AgentResult, None, None]:
        """Runs the tasks and yields each result as soon as its task has ended.

        The run goes on between two results. Leaving the loop early stops the agents that still run.

        Args:
            tasks: As for `run_parallel`.
            until: As for `run_parallel`. What it stops comes as cancelled.

        Yields:
            Each task's result, in order of completion.

        Raises:
            As `run_parallel`, when the first result is asked for.
        """
        session = self._session(tasks, until)
        if session.needs_loop:
            yield from session.on_own_loop_iter(self._arun_iter(session))
            return
        try:
            session.start()
            while not session.ended:
                session.advance(quiet=False)
                yield from session.poll()
                session.answer()
        except KeyboardInterrupt:
            raise RunInterrupted(session.stop("interrupted by Ctrl-C")) from None
        finally:
            session.stop("the iteration was left early")

    async def arun(
        self, tasks: Iterable[Task], callback: Callback | None = None, *, until: str | Join | None = None
    ) -> RunResults:
        """The same as `run_parallel` for an event loop. Cancelling it stops all agents first.

        Args:
            tasks: As for `run_parallel`.
            callback: Called on the loop's thread with each result; may be `async def`.
            until: As for `run_parallel`; its function may be `async def`. It is awaited beside the run, for several
                results at once, and cancelled if the run ends before it.

        Returns:
            As `run_parallel`. After Ctrl-C `asyncio.run` raises a plain `KeyboardInterrupt`; the results are in
            `.results` of the orchestrator.

        Raises:
            As `run_parallel`, and `asyncio.CancelledError` once the agents are stopped.
        """
        return await self._arun(self._session(tasks, until), callback)

    async def _arun(self, session: Session, callback: Callback | None) -> RunResults:
        from contextlib import aclosing

        async with aclosing(self._arun_iter(session)) as results:
            async for result in results:
                await acall(callback, result)
        return session.results()

    def arun_iter(self, tasks: Iterable[Task], *, until: str | Join | None = None) -> AsyncGenerator[AgentResult, None]:
        """The same as `run_iter` for an event loop.

        Leaving the loop early stops the agents as soon as the iterator is closed: close it with
        `contextlib.aclosing`, since Python itself closes one only some time later.
        """
        return self._arun_iter(self._session(tasks, until))

    def run_iterative_refinement(
        self,
        agents: Iterable[Mapping[str, Any]],
        target: float = 8.5,
        iterations_max: int = 3,
        callback: Callback | None = None,
    ) -> dict[str, Refinement]:
        """Designs agents, or improves designs, until their reviewer's score is good enough.

        A design is made where there is none, then reviewed, improved by the review's objections and reviewed again. All
        agents share one run, each at its own pace: a slow one holds nobody back. The reviewers are told neither which
        score is wanted nor which was given before, the refiners no score at all, and the best version is kept.

        Args:
            agents: Dicts with `name` and optionally `purpose`, `design` (the design to start from), `target` (this
                agent's own), `current_score` (an agent that has its target is left alone; any other is scored anew),
                `domain` and `capabilities` for a new design. Without a `design` it is looked up: an agent type of that
                name, then the best version of the latest refinement on this orchestrator, or a later design in
                `results`; if there is none, it is made. `Email Sorter` is looked up as `email_sorter` too.
            target: The score that is good enough, from 0 to 10.
            iterations_max: How often a design is improved at the most, up to 100. 0: it is only reviewed.
            callback: As for `run_parallel`.

        Returns:
            Name to `Refinement`. A failed agent ends its own refinement and no other's. The tasks are in `results`:
            `{name}/create`, `{name}/review-1`, `{name}/refine-2`, `{name}/review-2` and so on. What stopped for want of
            an answer or of budget goes on with `resume`, which has them in `RunResults.refinements`.

        Raises:
            PlanError: An entry cannot be used; nothing was started. (A `ValueError`.)
            As `run_parallel` otherwise.

        Example:
            >>> refined = Orchestrator(rehearsal=True).run_iterative_refinement(
            ...     [{"name": "mail_sorter", "purpose": "sorts mail by urgency"}]
            ... )["mail_sorter"]
            >>> refined.stopped_because, [each.score for each in refined.rounds]
            ('target', [7.1, 8.2, 8.8])
        """
        session = self._refining_agents(agents, target, iterations_max)
        return self._run(session, callback, "orchestrator.arun_iterative_refinement").refinements

    async def arun_iterative_refinement(
        self,
        agents: Iterable[Mapping[str, Any]],
        target: float = 8.5,
        iterations_max: int = 3,
        callback: Callback | None = None,
    ) -> dict[str, Refinement]:
        """The same as `run_iterative_refinement` for an event loop. Cancelling it stops all agents first."""
        session = self._refining_agents(agents, target, iterations_max)
        return (await self._arun(session, callback)).refinements

    def _refining_agents(self, agents: Iterable[Mapping[str, Any]], target: float, iterations_max: int) -> Session:
        from ._refinement import agents_spec

        with self._lock:
            known = dict(self.results)
        return Session(self, _starting([], agents_spec(agents, target, iterations_max, self._designs, known)))

    def refine(
        self,
        task: Task,
        reviewer: str | Task,
        target: float = 8.5,
        iterations_max: int = 3,
        score: str = "overall_score",
        callback: Callback | None = None,
    ) -> Refinement:
        """Has a task done, reviewed, improved by the objections and reviewed again, until its score is good enough.

        The reviewer gets the task and what came of it as data; it is told neither the wanted score nor earlier ones.
        Who improves gets the best version and the objections to it, without scores. An output of more than 256 KiB in
        a prompt ends it as `failed`, for nobody judges or rewrites what is not shown whole; of objections the first
        256 KiB are shown.

        Args:
            task: What is to be done.
            reviewer: Who reviews it: an agent type such as `"code_reviewer"`, or a task whose type, models, data and
                `task_description` the reviews take over.
            target: The score that is good enough, from 0 to 10.
            iterations_max: How often the output is improved at the most, up to 100. 0: it is only reviewed.
            score: The number in the review that counts, from 0 to 10. Where the reviewer's type promises `score` and
                no `overall_score`, as `code_reviewer` does, it is `score`. A reviewer whose type promises no such
                number is asked for a small review: that number and `objections`.
            callback: As for `run_parallel`.

        Returns:
            What became of it, the best version in `output`.

        Raises:
            As `run_iterative_refinement`.

        Example:
            >>> task = {"agent_type": "backend_developer", "task_description": "Build a service that sorts mail"}
            >>> refined = Orchestrator(rehearsal=True).refine(task, reviewer="code_reviewer", target=8)
            >>> refined.reached, refined.score, [each.score for each in refined.rounds]
            (True, 8.2, [7.1, 8.2])
        """
        session = self._refining_task(task, reviewer, target, iterations_max, score)
        (refined,) = self._run(session, callback, "orchestrator.arefine").refinements.values()
        return refined

    async def arefine(
        self,
        task: Task,
        reviewer: str | Task,
        target: float = 8.5,
        iterations_max: int = 3,
        score: str = "overall_score",
        callback: Callback | None = None,
    ) -> Refinement:
        """The same as `refine` for an event loop. Cancelling it stops all agents first."""
        session = self._refining_task(task, reviewer, target, iterations_max, score)
        (refined,) = (await self._arun(session, callback)).refinements.values()
        return refined

    def _refining_task(
        self, task: Task, reviewer: str | Task, target: float, iterations_max: int, score: str
    ) -> Session:
        from ._refinement import task_spec

        return Session(self, _starting([], task_spec(task, reviewer, target, iterations_max, score)))

    @classmethod
    def resume(
        cls,
        run_id: str,
        journal: str | PathLike[str],
        answers: Mapping[str, str] | None = None,
        callback: Callback | None = None,
        *,
        approve: Approve | None = None,
        until: str | Join | None = None,
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
            approve: As for `orchestrate`: needed again by an orchestration that was started with one and is not over.
            until: The same as the run was started with, where a function says what its results count as: no journal
                keeps that. It is not asked again about results that it has marked. Any other `until` is known.
            options: Options of `Orchestrator` in place of those the run was started with. `budget` counts what was
                spent before, and starts what an earlier one did not bear. Injected `tools` must be given again.

        Returns:
            As `run_parallel`; `.orchestration` of it is what an orchestration came to.

        Raises:
            OptionError: An option, or `approve`, is missing or is not what it may be. (A `ValueError`.)
            JournalError: The journal cannot be used, does not hold the run, or another process runs it.
            PlanError: An answer to a task that asks nothing, or one that is no text or empty.
            OptionError: `until` is missing where it is needed, or is another one.
            As `run_parallel` otherwise, and what `approve` raises. After any of them but `RunInterrupted`, which ends a
                run, it can be resumed again.
        """
        from ._orchestration import check_approve

        check_approve(approve, "Orchestrator.aresume")
        orchestrator, start, hooks = cls._resuming(run_id, journal, answers, approve, until, options)
        return orchestrator._run(Session(orchestrator, start, hooks), callback, "Orchestrator.aresume")

    @classmethod
    async def aresume(
        cls,
        run_id: str,
        journal: str | PathLike[str],
        answers: Mapping[str, str] | None = None,
        callback: Callback | None = None,
        *,
        approve: Approve | None = None,
        until: str | Join | None = None,
        **options: Any,
    ) -> RunResults:
        """The same as `resume` for an event loop. Cancelling it stops all agents first."""
        orchestrator, start, hooks = cls._resuming(run_id, journal, answers, approve, until, options)
        return await orchestrator._arun(Session(orchestrator, start, hooks), callback)

    @staticmethod
    def _resuming(
        run_id: str,
        journal: str | PathLike[str],
        answers: Mapping[str, str] | None,
        approve: Approve | None,
        until: str | Join | None,
        options: dict[str, Any],
    ) -> tuple[Orchestrator, Start, Hooks]:
        """An orchestrator with the run's own options, what takes the run up, and what that asks its caller."""
        from ._joins import rejoined
        from ._options import Gateway
        from ._orchestration import asks_for_approval, check_approve
        from ._tools import importable

        check_approve(approve)
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
        strategy = known.pop("strategy", None)
        goes_on = not stored["ended"] or answers or options.get("budget") is not None
        if asks_for_approval(strategy) and goes_on and approve is None:
            raise OptionError(
                f"run `{stored['id']}` asks for approval before a plan is run, and nobody is there to be asked; pass "
                "approve=..."
            )
        hooks = rejoined(stored["id"], strategy, until)
        hooks.approve = approve
        orchestrator = Orchestrator(**{**known, **options, "journal": path})
        if orchestrator._engine.runtime != stored["runtime"]:
            was, other = stored["runtime"], orchestrator._engine.runtime
            raise OptionError(f"run `{stored['id']}` has the runtime `{was}`, and these options are for `{other}`")
        replies = _replies(answers)

        def start(engine: _core.Engine, started: list[Any]) -> None:
            steered = None if strategy is None else (strategy, hooks.mark is not None)
            engine.resume(stored["id"], replies, options.get("budget") is not None, started, steered)

        return orchestrator, start, hooks

    async def _arun_iter(self, session: Session) -> AsyncGenerator[AgentResult, None]:
        from contextlib import aclosing

        try:
            session.start()
            async with aclosing(session.stream()) as stream:
                async for result in stream:
                    yield result
        finally:
            await session.aclose()

    def orchestrate(
        self,
        request: str,
        *,
        approve: Approve | None = None,
        tasks_max: int = 50,
        replans_max: int = 2,
        timeout_seconds: float = 600,
        callback: Callback | None = None,
    ) -> Orchestration:
        """Has an agent plan for a request, runs its plan, and has what came of it reported.

        The plan is checked before anything of it is run: known agent types, no cycle, within the limits and the budget.
        One that does not hold goes back to its agent, and so does what failed once nothing else can proceed, for
        substitutes. Nothing that agents write can raise a limit, a budget or a permission; what one writes reaches
        others as data. The report is held to the facts. All of it is one run: its journal, budget, models and limits
        are those of this orchestrator.

        Args:
            request: What is to be achieved.
            approve: Called on this thread with each plan before anything of it is run: a dict of `request plan
                rationale steps worst_cost currency`, each step a dict of `task_id agent_type task_description
                input_data dependencies priority target replaces worst_cost` (US dollars that its first attempt may take
                at most, of one with a target the first version and its review; no repeats; `None` where the price of a
                model is not known). `True` lets it run; anything else does not, and a text is told as the reason. What
                it raises is raised here: a run with a journal is then left as it stands, and `resume` asks again; any
                other is cancelled. Absent: plans are run as they are.
            tasks_max: Tasks of one plan, from 1 to 200.
            replans_max: How often a plan is made anew, from 0 to 10.
            timeout_seconds: Time for one attempt at a plan or at the report; tasks have the time of their agent type.
                For the whole there is `deadline_seconds` of the orchestrator.
            callback: As for `run_parallel`.

        Returns:
            What became of it, whatever that is; see `Orchestration.status`.

        Raises:
            OptionError: A limit, `approve` or the request is not what it may be; nothing was started. (A `ValueError`.)
            RunInterrupted: Ctrl-C. All agents were stopped; `.results.orchestration` holds what there is.
            As `run_parallel` otherwise.

        Example:
            >>> from parallel_agents import Orchestrator
            >>> done = Orchestrator(rehearsal=True).orchestrate("Explain how tides work, and check it")
            >>> done.status, sorted(done.results)
            ('completed', ['plan-1', 'report', 'step/check', 'step/facts', 'step/outline'])
        """
        from ._orchestration import check_approve, finished

        check_approve(approve, "orchestrator.aorchestrate")
        session = self._orchestrating(request, approve, tasks_max, replans_max, timeout_seconds)
        return finished(self._run(session, callback, "orchestrator.aorchestrate"))

    async def aorchestrate(
        self,
        request: str,
        *,
        approve: Approve | None = None,
        tasks_max: int = 50,
        replans_max: int = 2,
        timeout_seconds: float = 600,
        callback: Callback | None = None,
    ) -> Orchestration:
        """The same as `orchestrate` for an event loop; `approve` and `callback` may be `async def`.

        While `approve` is awaited the run goes on, and is told of `cancel` and the deadline: at its end what is still
        awaited is cancelled.
        """
        from ._orchestration import finished

        session = self._orchestrating(request, approve, tasks_max, replans_max, timeout_seconds)
        return finished(await self._arun(session, callback))

    def _orchestrating(self, request: str, approve: Approve | None, *limits: Any) -> Session:
        from ._orchestration import strategy

        return Session(self, _starting([], strategy(request, approve, *limits)), Hooks(approve=approve))

    def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Ends the current runs early, from any thread: their calls return with what has finished.

        All agents are stopped first, queued ones included. Calling it again changes nothing. Without a current run
        nothing happens.

        Args:
            reason: What the results of the cancelled tasks give as their error.
        """
        with self._lock:
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
        OptionError: `journal` is no path.
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


def _starting(tasks: Iterable[Task], strategy: dict[str, Any] | None = None, designs: Designs | None = None) -> Start:
    """What starts a run of `tasks`, or of those that `strategy` makes."""

    def start(engine: _core.Engine, started: list[Any]) -> None:
        from ._task import task_list

        listed = task_list(tasks)
        engine.start(listed, started, strategy)
        if designs is not None:
            designs.ask(listed, started[0])

    return start
