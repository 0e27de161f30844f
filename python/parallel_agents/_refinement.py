"""Refinement as Python shows it: what is refined, and what became of it. What happens in between the core decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import _core
from ._designs import Designs, key_of
from ._errors import PlanError
from ._task import AgentResult, task_fields

if TYPE_CHECKING:
    from ._orchestrator import Task
    from ._session import RunResults

TARGET = 8.5
"""The score that is good enough, from 0 to 10."""
ITERATIONS_MAX = 3
"""How often a version is improved."""


@dataclass
class RefinementRound:
    """One version, and what its reviewer made of it.

    Attributes:
        score: The reviewer's score, from 0 to 10; `None` where there was no review. A version that is no other than an
            earlier one has that one's score, and is not reviewed again.
        cost: What the round cost, in US dollars; `None` where a part of it is not known.
        changes: What the refiner says it changed; empty for the first version, and for the output of a task.
        task_ids: The tasks of the round, which are in `results` of the orchestrator.
    """

    score: float | None
    cost: float | None
    changes: list[str]
    task_ids: list[str] = field(default_factory=list)


@dataclass
class Refinement:
    """What became of one design, or of the output of one task.

    Attributes:
        design: The best version of a design: of all that were reviewed, the first with the highest score.
        score: Its score; `None` if it was never reviewed.
        target: The score that was wanted.
        reached: Whether it was reached.
        rounds: All versions, the first one included.
        stopped_because: `target`, `plateau` (a gain below 0.1), `regression` (the new version is worse),
            `iterations_max`, `failed`, `cancelled` (somebody ended it, or its run); and, where `resume` goes on with an
            answer or a larger budget, `needs_input` or `budget`.
        cost: What it all cost, in US dollars; `None` where a part of it is not known.
        error: Why it failed, was cancelled or did not fit into the budget, or what its agent asks.
        output: The best version of the output of a task.
    """

    design: Any
    score: float | None
    target: float
    reached: bool
    rounds: list[RefinementRound]
    stopped_because: str
    cost: float | None
    error: str | None = None
    output: Any = None


def agents_spec(
    agents: Iterable[Mapping[str, Any]],
    target: float,
    iterations_max: int,
    designs: Designs,
    results: Mapping[str, AgentResult],
) -> dict[str, Any]:
    """What the core is to refine: these agents, their designs looked up where they are not given."""
    if isinstance(agents, (str, Mapping)) or not hasattr(agents, "__iter__"):
        raise PlanError(f"`agents` is of type `{type(agents).__name__}`, expected a list of dicts with `name`")
    entries = []
    for index, given in enumerate(agents):
        if not isinstance(given, Mapping):
            raise PlanError(f"agents[{index}] is of type `{type(given).__name__}`, expected a dict with `name`")
        entry = dict(given)
        _refuse_nan(f"agents[{index}]: ", entry)
        name = entry.get("name")
        if isinstance(name, str) and not entry.get("design"):
            entry["design"] = _of_registry(name) or designs.find(name, results)
        entries.append(entry)
    return {"agents": entries, **_bounds(target, iterations_max)}


def task_spec(task: Task, reviewer: str | Task, target: float, iterations_max: int, score: str) -> dict[str, Any]:
    """What the core is to refine: the output of this task."""
    return {
        "task": task_fields(task, 0),
        "reviewer": reviewer if isinstance(reviewer, str) else task_fields(reviewer, 1),
        "score": score,
        **_bounds(target, iterations_max),
    }


def refinements(results: RunResults) -> dict[str, Refinement]:
    """What became of what a run refined, by name."""
    reached: list[dict[str, Any]] = (results.outcome or {}).get("refinements", [])
    return {each["name"]: refinement(each, results) for each in reached}


def refinement(reached: Mapping[str, Any], results: Mapping[str, AgentResult]) -> Refinement:
    """What the core says of one refinement, and what its tasks cost."""
    rounds = [
        RefinementRound(each["score"], _cost(each["task_ids"], results), each["changes"], each["task_ids"])
        for each in reached["rounds"]
    ]
    return Refinement(
        design=reached.get("design"),
        score=reached["score"],
        target=reached["target"],
        reached=reached["reached"],
        rounds=rounds,
        stopped_because=reached["stopped_because"],
        cost=_sum(each.cost for each in rounds),
        error=reached["error"],
        output=reached.get("output"),
    )


def not_run(entry: Mapping[str, Any], target: float, error: Exception) -> Refinement:
    """What becomes of an agent where there is nothing to run it on."""
    wanted, known = entry.get("target"), entry.get("current_score")
    wanted = target if wanted is None else wanted
    reached = known is not None and known >= wanted
    return Refinement(
        design=entry.get("design"),
        score=known if reached else None,
        target=wanted,
        reached=reached,
        rounds=[],
        stopped_because="target" if reached else "failed",
        cost=0.0,
        error=None if reached else f"no agent was started: {error}",
    )


def refine(
    task: Task,
    reviewer: str | Task,
    target: float = TARGET,
    iterations_max: int = ITERATIONS_MAX,
    score: str = "overall_score",
    **options: Any,
) -> Refinement:
    """`Orchestrator(**options).refine(...)`: has a task done, reviewed and improved until its score is good enough.

    Args:
        task: As for `Orchestrator.refine`, like the next four.
        reviewer: Who judges.
        target: The score that is good enough.
        iterations_max: How often the output is improved at the most.
        score: The number in the review that counts.
        **options: The options of `Orchestrator`.

    Returns:
        The best version and how it came to be.

    Raises:
        As `Orchestrator` and `Orchestrator.refine`.

    Example:
        >>> from parallel_agents import AgentTask, refine
        >>> task = AgentTask("documentation_writer", "Write a quick start for the command `sort`.")
        >>> refined = refine(task, reviewer="code_reviewer", rehearsal=True)
        >>> refined.score, [each.score for each in refined.rounds]
        (8.8, [7.1, 8.2, 8.8])
    """
    from ._orchestrator import Orchestrator

    return Orchestrator(**options).refine(task, reviewer, target, iterations_max, score)


def _bounds(target: float, iterations_max: int) -> dict[str, Any]:
    bounds = {"kind": "refine", "target": target, "iterations_max": iterations_max}
    _refuse_nan("", bounds)
    return bounds


def _refuse_nan(place: str, fields: Mapping[str, Any]) -> None:
    # The one thing among scores that JSON cannot hold.
    for name in ("target", "current_score"):
        value = fields.get(name)
        if isinstance(value, float) and not -1e308 < value < 1e308:
            raise PlanError(f"{place}`{name}` is `{value}`, expected a score from 0 to 10")


def _of_registry(name: str) -> dict[str, Any] | None:
    """The agent type of that name, or of the one that the registry makes of it, as a design."""
    for known in (name, key_of(name)):
        if known != "plain" and _core.has_agent_type(known):
            return _core.agent_design(known)
    return None


def _cost(task_ids: Iterable[str], results: Mapping[str, AgentResult]) -> float | None:
    return _sum(results[task_id].metadata.get("cost") for task_id in task_ids if task_id in results)


def _sum(costs: Iterable[float | None]) -> float | None:
    total = 0.0
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total
