"""The module `ai_orchestrator` of the old skill: its names, parameters and defaults, on this package's engine.

New programs import the same from `parallel_agents` and use `Orchestrator`. What people changed in the old module was in
its constants; here the constants take what the settings of the command say, and the defaults where they say nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from . import _task
from ._agents import AGENT_PROMPTS, get_agent_prompt, list_available_agents, validate_agent_type
from ._errors import GatewayError, ModelError, OptionError, ParallelAgentsError
from ._orchestrator import Orchestrator
from ._refinement import ITERATIONS_MAX, TARGET, Refinement, RefinementRound, not_run
from ._session import RunResults, call
from ._settings import standing
from ._task import (
    DEFAULT_AGENT_TIMEOUT,
    AgentResult,
    AgentStatus,
    AgentTask,
    OutputFormat,
    task_fields,
    task_list,
)
from ._teams import (
    create_content_team,
    create_custom_agent,
    create_dev_team,
    create_meta_agent_workflow,
    create_review_team,
)

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from ._joins import Join
    from ._orchestrator import Callback, Task

__all__ = [
    "AGENT_PROMPTS",
    "DEFAULT_AGENT_TIMEOUT",
    "DEFAULT_MAX_CONCURRENT",
    "DEFAULT_MODEL",
    "AgentResult",
    "AgentStatus",
    "AgentTask",
    "OutputFormat",
    "RealAIParallelOrchestrator",
    "Refinement",
    "RefinementRound",
    "create_content_team",
    "create_custom_agent",
    "create_dev_team",
    "create_meta_agent_workflow",
    "create_review_team",
    "demo_real_ai_agents",
    "get_agent_prompt",
    "list_available_agents",
    "validate_agent_type",
]

_SETTINGS = standing()
DEFAULT_MAX_CONCURRENT: int = _SETTINGS.get("max_concurrent", _task.DEFAULT_MAX_CONCURRENT)
"""Agents at once: what the settings say, or 5."""
DEFAULT_MODEL: str = _SETTINGS.get("model", "kimi-coding/k2p5")
"""What `RealAIParallelOrchestrator.model` reads where no model was named. Only one that the settings name is pinned."""


class _Unsaid(str):
    """Equal to the text it is made of, and still to be told from it."""

    __slots__ = ()


_UNSAID = _Unsaid(DEFAULT_MODEL)


class RealAIParallelOrchestrator(Orchestrator):
    """`Orchestrator` under its old name, with the old parameters and habits.

    Without a runtime `run_parallel` does not raise: every task gets a `FAILED` result that says what is missing.

    Args:
        max_concurrent: Agents at once, from 1 to 10000. Default: what the settings say, or 5.
        model: The one model to use. Not passed: that of the settings, or a hierarchy from cheap to costly.
        results_dir: Where `save_results` writes. Default `~/.openclaw/agent_results`.
        options: Any other option of `Orchestrator`, by keyword.

    Raises:
        OptionError: An option has a value it does not take. (A `ValueError`.)

    Attributes:
        max_concurrent: May be assigned; the next run goes by it.
        model: The model, or the default's name where none was passed. May be assigned, which pins it.
        results_dir: May be assigned.
        results: Task id to result, of all runs so far.
        stats: Counts and total time in seconds, of all runs so far.

    Example:
        >>> orchestrator = RealAIParallelOrchestrator(max_concurrent=3, rehearsal=True)
        >>> results = orchestrator.run_parallel(create_content_team("Mondays"))
        >>> orchestrator.stats["agents_completed"]
        5
    """

    def __init__(
        self,
        max_concurrent: int = DEFAULT_MAX_CONCURRENT,
        model: str | None = _UNSAID,
        results_dir: str | PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        self._other_options = options
        self._model = model
        super().__init__(max_concurrent, results_dir=results_dir, **self._chosen())

    def _pinned(self) -> str | None:
        return None if self._model is _UNSAID else self._model

    def _chosen(self) -> dict[str, Any]:
        """The options, with the models that are meant."""
        pinned, options = self._pinned(), self._other_options
        if pinned is not None or options.get("models") is not None:
            return {**options, "model": pinned}
        if self._model is _UNSAID and "model" in _SETTINGS:
            return {**options, "model": DEFAULT_MODEL}
        return {**options, "models": _SETTINGS.get("models")}

    def _set(self, max_concurrent: int, model: str | None) -> None:
        # A run that goes on keeps the engine it was started with.
        before, self._model = self._model, model
        try:
            fresh = Orchestrator(max_concurrent, **self._chosen())
        except ParallelAgentsError:
            self._model = before
            raise
        self._engine, self._tools = fresh._engine, fresh._tools
        self._max_concurrent = max_concurrent

    # The base class assigns a plain attribute, and programs do so later.
    @property
    def max_concurrent(self) -> int:
        """Agents at once."""
        return self._max_concurrent

    @max_concurrent.setter
    def max_concurrent(self, count: int) -> None:
        if hasattr(self, "_max_concurrent"):
            self._set(count, self._model)
        self._max_concurrent = count

    @property
    def model(self) -> str:
        """The model that is pinned, or the default's name where none is."""
        return self._pinned() or _UNSAID

    @model.setter
    def model(self, model: str | None) -> None:
        self._set(self._max_concurrent, model)

    @property
    def results_dir(self) -> Path:
        """Where `save_results` writes."""
        return super().results_dir

    @results_dir.setter
    def results_dir(self, folder: str | PathLike[str] | None) -> None:
        import os

        try:
            self._results_dir = None if folder is None else os.fspath(folder)
        except TypeError:
            raise OptionError(f"`results_dir` is `{folder!r}`, expected a path") from None

    @property
    def active_sessions(self) -> dict[str, str]:
        """A copy of the live sessions of all current runs: task id to session key. From any thread or callback."""
        with self._lock:
            runs = list(self._runs)
        return {task_id: key for run in runs for task_id, key in run.live_sessions().items()}

    def get_active_sessions(self) -> dict[str, str]:
        """A copy of the live sessions of all current runs: task id to session key. From any thread or callback."""
        return self.active_sessions

    def run_parallel(
        self, tasks: Iterable[Task], callback: Callback | None = None, *, until: str | Join | None = None
    ) -> RunResults:
        """Runs the tasks and waits for all of them.

        Args:
            tasks: `AgentTask`s, or dicts of the same fields. An empty list gives an empty dict.
            callback: Called with each result, once per task.
            until: What is waited for, as for `Orchestrator.run_parallel`. Default: all tasks.

        Returns:
            Task id to result, in the order of the tasks. Without a runtime, or if it knows none of the models, each
            of them is `FAILED` and its `error` says what to do.

        Raises:
            PlanError: The tasks cannot be run; nothing was started. (A `ValueError`.)
            RunInterrupted: Ctrl-C. All agents were stopped; `.results` holds one result per task.
        """
        listed = task_list(tasks)
        try:
            return super().run_parallel(listed, callback, until=until)
        except (GatewayError, ModelError) as error:
            # Both come before anything is started; the old module answered with results even then.
            results = [self._not_run(task_fields(task, index), index, error) for index, task in enumerate(listed)]
        for result in results:
            call(callback, result)
        return RunResults((result.task_id, result) for result in results)

    def _not_run(self, fields: Mapping[str, Any], index: int, error: ParallelAgentsError) -> AgentResult:
        import time

        agent_type = fields["agent_type"]
        result = AgentResult(
            task_id=fields.get("task_id") or f"{agent_type}-{index + 1}",
            agent_type=agent_type,
            status=AgentStatus.FAILED,
            timestamp=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            error=f"the agent was not started: {error}",
            metadata={
                "model_requested": None,
                "model_used": None,
                "tier": None,
                "attempts": [],
                "tokens": None,
                "cost": 0.0,
                "currency": "USD",
                "queued_seconds": 0.0,
                "runtime": None,
                "truncated": False,
                "skipped_because": None,
                "doctor": error.doctor,
            },
        )
        with self._lock:
            self.results[result.task_id] = result
            self.stats["agents_failed"] += 1
        return result

    def run_iterative_refinement(
        self,
        agents: Iterable[Mapping[str, Any]],
        target: float = TARGET,
        iterations_max: int = ITERATIONS_MAX,
        callback: Callback | None = None,
    ) -> dict[str, Refinement]:
        """As `Orchestrator.run_iterative_refinement`; without a runtime every refinement is `failed` and says why."""
        listed = list(agents) if isinstance(agents, Iterable) and not isinstance(agents, (str, Mapping)) else agents
        try:
            return super().run_iterative_refinement(listed, target, iterations_max, callback)
        except (GatewayError, ModelError) as error:
            # Both come before anything is started, and after every entry was checked.
            return {entry["name"]: not_run(entry, target, error) for entry in listed}


def demo_real_ai_agents(topic: str = "Monday motivation") -> dict[str, AgentResult]:
    """Runs a team of five writers and prints what they do; without a runtime as a rehearsal, which it says.

    On a runtime the agents cost money.

    Args:
        topic: What they write about.

    Returns:
        Task id to result.
    """

    def show(result: AgentResult) -> None:
        style = result.agent_type.removeprefix("content_writer_")
        print(f"  {style:<15} {result.status.value}  {result.metadata['model_used'] or ''}".rstrip(), flush=True)

    tasks = create_content_team(topic)
    print(f"Five agents write about {topic}.", flush=True)
    try:
        results = Orchestrator().run_parallel(tasks, show)
    except (GatewayError, ModelError) as error:
        print(f"REHEARSAL: no AI is called and nothing is paid, since {error}", flush=True)
        results = Orchestrator(rehearsal=True).run_parallel(tasks, show)
    written = [result for result in results.values() if result.success]
    for result in written[:1]:
        print(f"\n{result.output['caption']}")
    costs = [result.metadata["cost"] for result in results.values()]
    paid = "its cost is not known" if None in costs else f"${sum(costs):.4f}"
    print(f"\n{len(written)} of {len(results)} completed, {paid}")
    return results
