"""Joins: what a run waits for. What they mean is decided in the core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._errors import OptionError
from ._session import Hooks
from ._task import AgentResult

Mark = Callable[[AgentResult], object]


@dataclass(frozen=True, repr=False)
class Join:
    """What a run waits for, for `run_parallel(..., until=)`; made by `first`, `quorum`, `best` and `vote`.

    Attributes:
        name: Which of them.
        k: How many results are enough.
        by: The field that counts, or the function that says what a result counts as.
        enough: The score that is enough.
    """

    name: str
    k: int | None = None
    by: str | Mark | None = None
    enough: float | None = None

    def __repr__(self) -> str:
        by = f"<{_name(self.by)}>" if callable(self.by) else self.by
        shown = [str(each) for each in (self.k, by) if each is not None]
        if self.enough is not None:
            shown.append(f"enough={self.enough}")
        return f"{self.name}({', '.join(shown)})"


def first(k: int) -> Join:
    """Waits for `k` tasks that complete; the rest is stopped. `first(1)` is `until="any"`.

    Args:
        k: From 1 to the number of tasks.

    Returns:
        What `run_parallel` and its like take as `until`. The text `"first(2)"` means the same.

    Example:
        >>> from parallel_agents import Orchestrator, create_content_team, first
        >>> results = Orchestrator(rehearsal=True).run_parallel(create_content_team("Mondays"), until=first(2))
        >>> results.outcome["met"], len(results.chosen), len(results)
        (True, 2, 5)
    """
    return Join("first", k)


def quorum(k: int) -> Join:
    """Waits for `k` tasks that complete, and stops the rest also as soon as so many no longer can.

    A task can no longer complete once it has failed for good, or one that it builds on has. One that waits for an
    answer or a budget still can.

    Args:
        k: From 1 to the number of tasks.

    Returns:
        What `run_parallel` and its like take as `until`. The text `"quorum(3)"` means the same.

    Example:
        >>> from parallel_agents import Orchestrator, create_content_team, quorum
        >>> results = Orchestrator(rehearsal=True).run_parallel(create_content_team("Mondays"), until=quorum(3))
        >>> results.outcome["met"], results.outcome["completed"]
        (True, 3)
    """
    return Join("quorum", k)


def best(score: str | Mark, enough: float | None = None) -> Join:
    """Chooses the result with the highest score among those that complete; of equal ones the first among the tasks.

    Args:
        score: The field of the output that holds it, with dots between names (`"review.overall_score"`,
            `"items.0.score"`), or a function of the `AgentResult` that gives a number; it may be `async def` where the
            run is awaited. A result of which it gives none, or for which it raises, has no score; that is logged.
        enough: A score that is enough: as soon as a result has it, the rest is stopped. Without one all tasks are
            waited for.

    Returns:
        What `run_parallel` and its like take as `until`. Of a field, `"best(score)"` and `"best(score, enough=8)"` mean
        the same.

    Example:
        >>> from parallel_agents import Orchestrator, best, create_content_team
        >>> longest = best(lambda result: len(result.output["caption"]))
        >>> results = Orchestrator(rehearsal=True).run_parallel(create_content_team("Mondays"), until=longest)
        >>> [task_id] = results.chosen
        >>> results.outcome["scores"][task_id] == max(results.outcome["scores"].values())
        True
    """
    return Join("best", by=score, enough=enough)


def vote(key: str | Mark) -> Join:
    """Chooses what most of the completed tasks say, and stops the rest once that can no longer change.

    Equal JSON values are one vote, 1 and 1.0 too. At a tie nothing is decided: `outcome["met"]` is false and
    `outcome["leaders"]` lists what is equally strong.

    Args:
        key: The field of the output that counts, with dots between names, or a function of the `AgentResult` that gives
            any value that JSON can hold; it may be `async def` where the run is awaited. A result of which it gives
            `None`, or for which it raises, does not vote; that is logged.

    Returns:
        What `run_parallel` and its like take as `until`. Of a field, `"vote(answer)"` means the same.

    Example:
        >>> from parallel_agents import AgentTask, Orchestrator, vote
        >>> safe = {"type": "object", "required": ["safe"], "properties": {"safe": {"type": "boolean"}}}
        >>> judges = [AgentTask("code_reviewer", "Is `x = 1` safe?", output_schema=safe) for _ in range(5)]
        >>> results = Orchestrator(rehearsal=True).run_parallel(judges, until=vote("safe"))
        >>> results.outcome["met"], results.outcome["tally"][0]["votes"]
        (True, 3)
    """
    return Join("vote", by=key)


def joined(until: object) -> tuple[dict[str, Any], Hooks]:
    """The strategy of a run with this `until`, and what its marks are made by.

    Raises:
        OptionError: It is neither a text nor a join, or it goes by neither a field nor a function.
    """
    if isinstance(until, str):
        return {"kind": "join", "until": until}, Hooks()
    if not isinstance(until, Join):
        forms = "all, any, first(k), quorum(k), best(score), vote(key)"
        raise OptionError(
            f"`until` is `{until!r}`, expected one of {forms}, as a text or made by the function of that name"
        )
    fields = {"kind": "join", "until": until.name, "k": _whole(until.k), "enough": until.enough}
    if until.by is None or isinstance(until.by, str):
        return {**fields, "by": until.by}, Hooks()
    if not callable(until.by):
        raise OptionError(f"`until` is `{until!r}`, expected a field's path in the outputs or a function of the result")
    read = _number if until.name == "best" else None
    return {**fields, "caller": _name(until.by)}, Hooks(mark=until.by, read=read)


def rejoined(run_id: str, stored: dict[str, Any] | None, until: object) -> Hooks:
    """What makes the marks of a run that goes on, whose strategy is `stored`; checked against what it was started with.

    Raises:
        OptionError: Another `until` than that.
    """
    if until is None:
        return Hooks()
    if stored is None or stored.get("caller") is None:
        raise OptionError(f"`until` of run `{run_id}` is what it was started with; leave it out")
    fields, hooks = joined(until)
    if hooks.mark is None or any(fields.get(name) != stored.get(name) for name in ("until", "enough")):
        started = Join(stored["until"], by=f"<{stored['caller']}>", enough=stored.get("enough"))
        raise OptionError(
            f"`until` of run `{run_id}` is `{until!r}`, and it was started with `{started}`: pass the same"
        )
    return hooks


def _name(function: object) -> str:
    return str(getattr(function, "__name__", type(function).__name__)).strip("<>") or "function"


def _whole(k: Any) -> Any:
    """Whole numbers of other libraries as ours; anything else stays for the core to judge."""
    return k if isinstance(k, bool) or not hasattr(k, "__index__") else k.__index__()


def _number(mark: Any) -> float:
    if isinstance(mark, (bool, str, bytes)) or not hasattr(mark, "__float__"):
        raise TypeError(f"`{mark!r}` is no number")
    number = float(mark)
    if number - number != 0:
        raise ValueError(f"`{mark!r}` is no finite number")
    return number
