"""Refinement of agent designs: review, improve by the objections, review again, and keep the best version.

Decides what each round asks for and when an agent is done. Knows nothing of models or runtimes: whoever calls it
hands in what runs the tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._errors import PlanError
from ._task import AgentResult, AgentStatus, AgentTask
from ._teams import create_custom_agent, task_of_type

TARGET = 8.5
"""The score that is good enough, from 0 to 10."""
ITERATIONS_MAX = 3
"""How often a design is improved."""
GAIN_MIN = 0.1
"""The step of the reviewers' scale: a smaller gain is none."""

# What a refiner is told of a review. Scores are left out, so that nobody can write for them.
_OBJECTIONS = ("strengths", "areas_for_improvement", "missing_elements", "recommendations", "revised_system_prompt")
_FIELDS = ("name", "current_score", "target", "design", "purpose", "domain", "capabilities")


@dataclass
class RefinementRound:
    """One version of a design, and what its reviewer made of it.

    Attributes:
        score: The reviewer's score, from 0 to 10; `None` where there was no review.
        cost: What the round cost, in US dollars; `None` where a part of it is not known.
        changes: What the refiner says it changed; empty for the first version.
    """

    score: float | None
    cost: float | None
    changes: list[str]


@dataclass
class Refinement:
    """What became of one design.

    Attributes:
        design: The best version: of all that were reviewed, the one with the highest score.
        score: Its score; `None` if it was never reviewed.
        target: The score that was wanted.
        reached: Whether it was reached.
        rounds: All versions, the first one included.
        stopped_because: `target`, `plateau` (no gain), `regression` (the new version is worse), `iterations_max`,
            `failed` or `cancelled`.
        cost: What it all cost, in US dollars; `None` where a part of it is not known.
        error: Why it failed or was cancelled.
    """

    design: Any
    score: float | None
    target: float
    reached: bool
    rounds: list[RefinementRound]
    stopped_because: str
    cost: float | None
    error: str | None = None


def refine(
    run: Callable[[list[AgentTask]], Mapping[str, AgentResult]],
    agents: Iterable[Mapping[str, Any]],
    target: float,
    iterations_max: int,
) -> dict[str, Refinement]:
    """Refines the designs, all agents of a round in one run.

    Args:
        run: Runs tasks and returns a result for each.
        agents: As `RealAIParallelOrchestrator.run_iterative_refinement` describes them.
        target: The score for entries that name none.
        iterations_max: How often a design is improved at the most.

    Returns:
        Name to what became of its design.

    Raises:
        PlanError: An entry or a bound cannot be used. Nothing was started.
    """
    if not isinstance(iterations_max, int) or isinstance(iterations_max, bool) or iterations_max < 0:
        raise PlanError(f"`iterations_max` is `{iterations_max!r}`, expected a whole number, 0 or more")
    if isinstance(agents, (str, Mapping)):
        raise PlanError(f"`agents` is of type `{type(agents).__name__}`, expected a list of dicts with `name`")
    drafts: dict[str, _Draft] = {}
    for index, entry in enumerate(agents):
        draft = _draft(f"agents[{index}]", entry, target)
        if draft.name in drafts:
            raise PlanError(f"agents[{index}]: `name` is `{draft.name}` once more, expected each name once")
        drafts[draft.name] = draft
    while working := [draft for draft in drafts.values() if draft.stopped_because is None]:
        steps = [(draft, draft.next_tasks()) for draft in working]
        results = run([task for _, tasks in steps for task in tasks])
        for draft, tasks in steps:
            draft.settle([results[task.task_id] for task in tasks])
            if draft.stopped_because is None and len(draft.rounds) > iterations_max:
                draft.stopped_because = "iterations_max"
    return {name: draft.refinement() for name, draft in drafts.items()}


@dataclass
class _Draft:
    """An agent whose design is being refined."""

    name: str
    purpose: str
    target: float
    design: Any
    score: float | None
    domain: str
    capabilities: list[str]
    stopped_because: str | None = None
    error: str | None = None
    review: dict[str, Any] | None = None
    rounds: list[RefinementRound] = field(default_factory=list)

    def next_tasks(self) -> list[AgentTask]:
        """The tasks of the next round; the last of them reviews."""
        told = {"name": self.name, "purpose": self.purpose}
        if self.review is not None:
            objections = {name: self.review[name] for name in _OBJECTIONS if name in self.review}
            refiner = task_of_type(
                "agent_refiner",
                f"Improve the design of the agent {self.name} by the objections of its review.",
                {**told, "design": self.design, "review": objections},
            )
            # A list of changes is the author's praise of the version, and the reviewer is to judge the version alone.
            reviewer = task_of_type(
                "agent_design_reviewer",
                f"Review the design of the agent {self.name}, which is among the results of other agents. Judge the "
                "design as it stands; its list of changes is no part of it and no evidence.",
                told,
                dependencies=[refiner.task_id],
            )
            return [refiner, reviewer]
        if self.design is None:
            return create_custom_agent(self.name, self.purpose, self.domain, self.capabilities)
        description = f"Review the design of the agent {self.name}."
        return [task_of_type("agent_design_reviewer", description, {**told, "design": self.design})]

    def settle(self, results: list[AgentResult]) -> None:
        """Takes a round in: adopts a better version, and says whether to stop."""
        *makers, reviewed = results
        design, changes = self.design, []
        failed = next((result for result in results if not result.success), None)
        for made in makers:
            if made.success:
                design = dict(made.output)
                changes = design.pop("changes", [])
        score = reviewed.output.get("overall_score") if reviewed.success else None
        self.rounds.append(RefinementRound(score, _sum(result.metadata.get("cost") for result in results), changes))
        if failed is not None or score is None:
            # A version without a review takes the place of none.
            self.design = design if self.design is None else self.design
            self.error = failed.error if failed is not None else "the review holds no `overall_score`"
            is_cancelled = failed is not None and failed.status is AgentStatus.CANCELLED
            self.stopped_because = "cancelled" if is_cancelled else "failed"
            return
        gain = None if self.review is None or self.score is None else round(score - self.score, 6)
        if gain is None or gain > 0:
            self.design, self.score, self.review = design, score, reviewed.output
        if score >= self.target:
            self.stopped_because = "target"
        elif gain is not None and gain < GAIN_MIN:
            self.stopped_because = "regression" if gain < 0 else "plateau"

    def refinement(self) -> Refinement:
        """What became of it."""
        return Refinement(
            design=self.design,
            score=self.score,
            target=self.target,
            reached=self.stopped_because == "target",
            rounds=self.rounds,
            stopped_because=self.stopped_because or "iterations_max",
            cost=_sum(each.cost for each in self.rounds),
            error=self.error,
        )


def _draft(place: str, entry: Mapping[str, Any], target: float) -> _Draft:
    """The agent that an entry describes."""
    if not isinstance(entry, Mapping):
        raise PlanError(f"{place} is of type `{type(entry).__name__}`, expected a dict with `name`")
    for unknown in entry.keys() - set(_FIELDS):
        raise PlanError(f"{place}: unknown field `{unknown}`; known are {', '.join(f'`{name}`' for name in _FIELDS)}")
    name = entry.get("name")
    if not isinstance(name, str) or not name.strip():
        raise PlanError(f"{place}: `name` is `{name!r}`, expected the agent's name")
    wanted = _score(f"{place}: `target`", entry.get("target", target))
    current = entry.get("current_score")
    known = None if current is None else _score(f"{place}: `current_score`", current)
    is_there = known is not None and known >= wanted
    return _Draft(
        name=name,
        purpose=entry.get("purpose") or f"what its name says: {name}",
        target=wanted,
        design=entry.get("design") or None,
        # Another reviewer's score is no measure for ours: it only says whether there is something to do.
        score=known if is_there else None,
        domain=entry.get("domain") or "general",
        capabilities=list(entry.get("capabilities") or []),
        stopped_because="target" if is_there else None,
    )


def _score(what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 10:
        raise PlanError(f"{what} is `{value!r}`, expected a score from 0 to 10")
    return value


def _sum(costs: Iterable[float | None]) -> float | None:
    total = 0.0
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total
