"""Orchestration: an agent plans, its plan is run, and a last agent reports. The run's core decides; this tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._errors import OptionError
from ._session import RunResults
from ._task import AgentResult

Approve = Callable[[dict[str, Any]], object]
"""Says of a plan whether it may be run: `True`, or why not."""


@dataclass
class Orchestration:
    """What became of a request.

    Attributes:
        report: The agent's report, a fixed line, and below it a table of all tasks from the facts. Where no agent could
            report, it is compiled from the facts alone, and says so.
        plan: All planned tasks, those of later plans behind those of earlier ones: `task_id agent_type task_description
            input_data dependencies priority target`, `replaces` (the ids of earlier tasks that it is to make up for),
            `plan` (the number of its plan), `status`, `error` (also why one fell short of its target), `score` and
            `reached` (of those with a target), `replaced_by` (the ids of the tasks that made up for it), `task` (the id
            of their result; of those with a target, the beginning of the ids), `output_task` (the id of the result that
            holds their output), `attempts` and `cost`.
        results: Results of all agents by the id of their task: `plan-1`, `step/` and the id of a planned task,
            `report`.
        replans: Why plans were made anew: `plan` (the number of the new one), `reason`, `complaints`.
        cost: US dollars; `None` where a part is not known.
        status: `completed`; `partial`, where tasks failed, were skipped or fell short of their target, and no completed
            task replaces them; `failed`, where no task completed or no plan held; `rejected`, where a plan was not
            approved; `needs_input`, where an agent asks: resume it with the answer; `budget`, where the budget does not
            bear the rest or any plan: resume it with a larger one; `cancelled`.
        run_id: The run's name in its journal; `None` without one.
        error: What went wrong, beside tasks that failed: why it ended early, or why there is no agent's report.
    """

    report: str
    plan: list[dict[str, Any]]
    results: dict[str, AgentResult]
    replans: list[dict[str, Any]]
    cost: float | None
    status: str
    run_id: str | None = None
    error: str | None = field(default=None)


def orchestration_of(results: RunResults) -> Orchestration | None:
    """What the results of a run are those of; `None` if it was no orchestration."""
    outcome = results.outcome
    if outcome is None or outcome.get("kind") != "orchestration":
        return None
    return Orchestration(
        report=outcome["report"],
        plan=[_with_account(step, results) for step in outcome["plan"]],
        results=results,
        replans=outcome["replans"],
        cost=results.report.get("cost"),
        status=outcome["status"],
        run_id=results.run_id,
        error=outcome["error"],
    )


def finished(results: RunResults) -> Orchestration:
    """The same of a run that was an orchestration."""
    found = orchestration_of(results)
    if found is None:
        from ._errors import InternalError

        raise InternalError("internal error: an orchestration ended without an outcome; please report it")
    return found


def strategy(
    request: object, approve: object, tasks_max: int | None, replans_max: int | None, timeout_seconds: float | None
) -> dict[str, Any]:
    """What the core is told of an orchestration, with the agent types of this moment."""
    from ._agents import list_available_agents

    check_approve(approve)
    types = list_available_agents()
    return {
        "kind": "orchestrate",
        "request": request,
        "tasks_max": tasks_max,
        "replans_max": replans_max,
        "timeout_seconds": timeout_seconds,
        "approval": approve is not None,
        "agent_types": [{"name": name, "description": does} for name, does in types.items()],
    }


def check_approve(approve: object, variant: str | None = None) -> None:
    """Raises `OptionError` for what cannot be asked; `variant` is the call that awaits, where this one does not."""
    from ._tools import is_async

    if approve is not None and not callable(approve):
        raise OptionError(f"`approve` is `{approve!r}`, expected a callable that is given the plan")
    if variant is not None and is_async(approve):
        raise OptionError(f"`approve` is `async def`, and nothing awaits it here; use `await {variant}(...)`")


def asks_for_approval(strategy: Mapping[str, Any] | None) -> bool:
    """Whether a run with this strategy asks before a plan is run."""
    return strategy is not None and strategy.get("kind") == "orchestrate" and strategy.get("approval") is True


def _with_account(step: dict[str, Any], results: RunResults) -> dict[str, Any]:
    """A planned task with what its agents did and cost."""
    own = [each.metadata for task_id, each in results.items() if _is_of(task_id, step["task"])]
    costs = [each["cost"] for each in own]
    known = None not in costs
    attempts = sum(len(each["attempts"]) for each in own)
    return {**step, "attempts": attempts, "cost": sum(costs) if known else None}


def _is_of(task_id: str, step: str) -> bool:
    # The tasks of a refinement have the step's id before their own part.
    return task_id == step or task_id.startswith(f"{step}/")


def orchestrate(
    request: str,
    *,
    approve: Approve | None = None,
    tasks_max: int = 50,
    replans_max: int = 2,
    timeout_seconds: float = 600,
    callback: Callable[[AgentResult], object] | None = None,
    **options: Any,
) -> Orchestration:
    """Has a request planned, carried out and reported: `Orchestrator.orchestrate`, on an `Orchestrator` made for it.

    Args:
        request: As for `Orchestrator.orchestrate`, and likewise the others.
        approve: Whether a plan may be run.
        tasks_max: Tasks of one plan, at the most.
        replans_max: How often a plan is made anew, at the most.
        timeout_seconds: Time for one attempt at a plan or at the report.
        callback: Called with each result.
        options: Options of `Orchestrator`, such as `budget`.

    Returns:
        What became of it.

    Raises:
        As `Orchestrator` and `Orchestrator.orchestrate`.

    Example:
        >>> from parallel_agents import orchestrate
        >>> done = orchestrate("Explain how tides work, and check it", rehearsal=True)
        >>> done.status, [step["task_id"] for step in done.plan]
        ('completed', ['facts', 'outline', 'check'])
    """
    from ._orchestrator import Orchestrator

    return Orchestrator(**options).orchestrate(
        request,
        approve=approve,
        tasks_max=tasks_max,
        replans_max=replans_max,
        timeout_seconds=timeout_seconds,
        callback=callback,
    )
