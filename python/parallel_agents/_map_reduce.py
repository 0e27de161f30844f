"""One task for each of many items, and one that sums up.

All is one run. The one that sums up is added once every other task has ended, so that a failed item costs the others
nothing, nor the summary; see `src/workflow/gather.rs`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ._errors import PlanError
from ._orchestrator import Orchestrator, _starting
from ._session import RunResults, Session, acall, call
from ._task import AgentResult, AgentStatus, AgentTask, task_fields
from ._teams import listed, shown, task_of_type, text_of

if TYPE_CHECKING:
    from ._orchestrator import Callback

SUMMARY = "summary"
"""The id of the task that sums up."""
LABEL_CHARS = 200
"""How much of each item the one that sums up is told, beside the item's result."""


@dataclass
class MapReduceResult:
    """What became of the items and of their summary.

    Attributes:
        results: One per item, in the order of the items. Those of tasks that were added are in `run` alone, and a task
            that was removed has none.
        summary: The result of the task that sums up. `SKIPPED` where there was nothing to sum up, or where what is
            missing may still come: its `error` says which.
        run: All of them, as `Orchestrator.run_parallel` returns them: with `run_id` and `report`.
    """

    results: list[AgentResult]
    summary: AgentResult
    run: RunResults

    @property
    def cost(self) -> float | None:
        """What it all cost, in US dollars; `None` where a part of it is not known."""
        cost: float | None = self.run.report["cost"]
        return cost


class MapReduce:
    """One task for each item, all at once, then one task that sums up.

    The task that sums up finds all results in its prompt, marked as data, beside the beginning of each item. Those that
    are too long for one prompt are cut there, visibly: at 64 KiB each and 2 MiB together. They are whole in
    `MapReduceResult.results`.

    An item that fails costs the others nothing, nor the summary, which is then made of what completed and told what did
    not, and why. There is none if no item completed, after `cancel`, or while an item waits: for the answer to its
    agent's question, or for a bigger budget. Resumed with that, the run makes it.

    Args:
        items: What to work on, in order. A dict is an item's whole `input_data`; anything else that JSON can hold goes
            there as `item`. Equal items are worked on separately.
        map: What to do with one item.
        reduce: How to sum up.
        agent_type: Who works on an item. Default `plain`, who is told `map` and the item and nothing else.
        reduce_agent_type: Who sums up.
        output_schema: JSON Schema for the answer to one item, or a class with `model_json_schema()`. Without one, plain
            agents answer with text, others with the JSON of their type.
        reduce_output_schema: The same for the summary.
        timeout_seconds: Time for one attempt of any of them, in seconds. Default: that of the agent type.
        allow_failures: `False` makes no summary where an item failed.
        options: Options of `Orchestrator`, by keyword.

    Raises:
        PlanError: There are no items, or one of them or a text cannot be used. (A `ValueError`, as are the next.)
        AgentTypeError: There is no such agent type.
        OptionError: An option has a value it does not take.

    Attributes:
        items: The items, in order.
        tasks: `item-0`, `item-1` and so on, and last `summary`, which builds on all the others. They may be changed,
            removed and added to before the run.
        orchestrator: What runs them.

    Example:
        >>> job = MapReduce(
        ...     ["The tea was cold.", "Quick and friendly."],
        ...     map="Say what this guest's comment praises and what it objects to.",
        ...     reduce="Name the three most frequent objections of the guests.",
        ...     rehearsal=True,
        ... )
        >>> outcome = job.execute()
        >>> [result.success for result in outcome.results], outcome.summary.success
        ([True, True], True)
    """

    def __init__(
        self,
        items: Iterable[Any],
        map: str,
        reduce: str,
        *,
        agent_type: str = "plain",
        reduce_agent_type: str = "plain",
        output_schema: Any = None,
        reduce_output_schema: Any = None,
        timeout_seconds: float | None = None,
        allow_failures: bool = True,
        **options: Any,
    ) -> None:
        self.items = listed("items", items, "a list")
        if not self.items:
            raise PlanError("`items` is empty, expected at least one item to work on")
        text_of("map", map)
        text_of("reduce", reduce)
        labels = {f"item-{index}": _label(index, item) for index, item in enumerate(self.items)}
        self.tasks: list[AgentTask] = [
            _task(agent_type, map, _data(item), task_id, output_schema)
            for task_id, item in zip(labels, self.items, strict=True)
        ]
        summary = _task(reduce_agent_type, reduce, {"items": labels}, SUMMARY, reduce_output_schema)
        self._item_ids = list(labels)
        self.tasks.append(summary)
        if timeout_seconds is not None:
            self.tasks = [replace(task, timeout_seconds=timeout_seconds) for task in self.tasks]
        self._allow_failures = allow_failures
        self.orchestrator = Orchestrator(**options)

    def execute(self, callback: Callback | None = None) -> MapReduceResult:
        """Runs all tasks and waits for them.

        Args:
            callback: Called with each result as it comes.

        Returns:
            The results and the summary.

        Raises:
            PlanError: The tasks cannot be run, or the prompt of the summary is too long for as many items; nothing was
                started.
            As `Orchestrator.run_parallel` otherwise.
        """
        session, summary = self._session()
        outcome = self._outcome(self.orchestrator._run(session, callback, "job.aexecute"), summary)
        if SUMMARY not in outcome.run:
            call(callback, outcome.summary)
        return outcome

    async def aexecute(self, callback: Callback | None = None) -> MapReduceResult:
        """The same as `execute` for an event loop. The callback may be `async def`."""
        session, summary = self._session()
        outcome = self._outcome(await self.orchestrator._arun(session, callback), summary)
        if SUMMARY not in outcome.run:
            await acall(callback, outcome.summary)
        return outcome

    def _session(self) -> tuple[Session, AgentTask]:
        """The run, and the task that sums up."""
        found = [task for task in self.tasks if getattr(task, "task_id", None) == SUMMARY]
        if len(found) != 1:
            raise PlanError(f"`tasks` holds {len(found)} tasks `{SUMMARY}`, expected one, which sums up")
        fields = task_fields(found[0], len(self.tasks) - 1)
        if fields.pop("dependencies", None):
            raise PlanError(f"task `{SUMMARY}` builds on all others, leave its `dependencies` empty")
        others = [task for task in self.tasks if task is not found[0]]
        strategy = {"kind": "gather", "task": fields, "allow_failures": self._allow_failures}
        return Session(self.orchestrator, _starting(others, strategy)), found[0]

    def _outcome(self, run: RunResults, summary: AgentTask) -> MapReduceResult:
        results = [run[task_id] for task_id in self._item_ids if task_id in run]
        return MapReduceResult(results, run.get(SUMMARY) or _not_made(summary, run), run)


def _not_made(task: AgentTask, run: RunResults) -> AgentResult:
    """What stands for a summary that was not made, and says why."""
    waiting = (run.outcome or {}).get("waiting", [])
    missing = [result for result in run.values() if not result.success]
    if waiting:
        how = "resume the run with what it waits for" if run.run_id else "only a run with a journal can be resumed"
        why = f"task `{waiting[0]}` is {run[waiting[0]].status.value} and may yet go on: {how}"
    elif missing and len(missing) == len(run):
        why = f"nothing completed: task `{missing[0].task_id}`: {missing[0].error}"
    elif missing:
        why = f"task `{missing[0].task_id}` did not complete: {missing[0].error}"
    else:
        why = "the run ended early"
    return AgentResult(task.task_id, task.agent_type, AgentStatus.SKIPPED, error=f"no summary was made: {why}")


def _label(index: int, item: object) -> str:
    """What the one that sums up is told of an item."""
    is_empty = not item if isinstance(item, (dict, list, tuple)) else item is None
    if is_empty or (isinstance(item, str) and not item.strip()):
        raise PlanError(f"`items[{index}]` is {shown(item)}, expected something to work on")
    if isinstance(item, str):
        text = item
    else:
        try:
            text = json.dumps(item, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise PlanError(f"`items[{index}]` is {shown(item)}, expected what JSON can hold: {error}") from None
    return text if len(text) <= LABEL_CHARS else text[: LABEL_CHARS - 3] + "..."


def _data(item: object) -> dict[str, Any]:
    return dict(item) if isinstance(item, Mapping) else {"item": item}


def _task(agent_type: str, text: str, data: dict[str, Any], task_id: str, schema: Any) -> AgentTask:
    output_format = "text" if agent_type == "plain" and schema is None else "json"
    return task_of_type(agent_type, text, data, task_id=task_id, output_format=output_format, output_schema=schema)
