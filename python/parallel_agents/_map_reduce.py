"""One task for each of many items, and one that sums up.

Both are one run, in which the one that sums up depends on all others. A dependency that fails skips what depends on it,
and one failed item is not to cost the summary: then it is made by a second run, of the results that there are.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ._errors import ParallelAgentsError, PlanError, RunInterrupted
from ._options import Budget
from ._orchestrator import Orchestrator
from ._session import RunResults, acall, call
from ._task import AgentResult, AgentStatus, AgentTask
from ._teams import listed, shown, task_of_type, text_of

if TYPE_CHECKING:
    from ._orchestrator import Callback

SUMMARY = "summary"
"""The id of the task that sums up."""
LABEL_CHARS = 200
"""How much of each item the one that sums up is told, beside the item's result."""
RESULTS_BYTES_MAX = 1024 * 1024
"""What the results may share of the prompt of a summary that a second run makes."""


@dataclass
class MapReduceResult:
    """What became of the items and of their summary.

    Attributes:
        results: One per item, in the order of the items.
        summary: The result of the task that sums up. `SKIPPED` where there was nothing to sum up, or where what is
            missing may still come: its `error` says which.
        runs: The run, and the second one that made the summary where items had failed. Each with `run_id` and `report`.
    """

    results: list[AgentResult]
    summary: AgentResult
    runs: list[RunResults]

    @property
    def cost(self) -> float | None:
        """What it all cost, in US dollars; `None` where a part of it is not known."""
        costs = [run.report["cost"] for run in self.runs]
        return None if None in costs else sum(costs)


class MapReduce:
    """One task for each item, all at once, then one task that sums up.

    The task that sums up finds all results in its prompt, marked as data, beside the beginning of each item. Those that
    are too long for one prompt are cut there, visibly: at 64 KiB each and 2 MiB together, or at 1 MiB together in a
    second run. `MapReduceResult.results` holds them whole.

    An item that fails costs the others nothing, nor the summary, which is then made of what completed and told what did
    not, and why. That takes a second run: it has what the first left of `budget` and `deadline_seconds`, and a journal
    keeps it beside the first. There is none if no item completed, after `cancel`, or where the budget or the time is
    used up. Nor is there one while a journal keeps the question of an agent: resumed with the answer, as with a bigger
    budget, the run itself makes the summary. A process that dies between the two runs leaves the results in its
    journal, and no summary.

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
        tasks: `item-0`, `item-1` and so on, and last `summary`. They may be changed before the run.
        orchestrator: What runs them.

    Example:
        >>> job = MapReduce(
        ...     ["The tea was cold.", "Quick and friendly."],
        ...     map="Say what this guest's comment praises and what it objects to.",
        ...     reduce="Name the three most frequent objections of the guests.",
        ...     rehearsal=True,
        ... )
        >>> outcome = job.execute()
        >>> [result.success for result in outcome.results], outcome.summary.success, len(outcome.runs)
        ([True, True], True, 1)
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
        summary.dependencies = list(labels)
        self.tasks.append(summary)
        if timeout_seconds is not None:
            self.tasks = [replace(task, timeout_seconds=timeout_seconds) for task in self.tasks]
        self._allow_failures = allow_failures
        self._options = options
        self.orchestrator = Orchestrator(**options)

    def execute(self, callback: Callback | None = None) -> MapReduceResult:
        """Runs all tasks and waits for them.

        Args:
            callback: Called with each result as it comes, the summary's once.

        Returns:
            The results and the summary. A second run that could not be started is told in the `error` of the summary.

        Raises:
            PlanError: The tasks cannot be run, or the prompt of the summary is too long for as many items; nothing was
                started.
            RunInterrupted: Ctrl-C; `.results` holds the results of both runs.
            As `Orchestrator.run_parallel` otherwise, before anything was started.
        """
        summary, cancels = self._summary(), self.orchestrator._cancels
        first = self.orchestrator.run_parallel(self.tasks, _but_for_a_skipped_summary(callback))
        second = RunResults()
        task = self._second_summary(summary, first)
        if task is not None and self.orchestrator._cancels == cancels:
            try:
                with self._what_is_left(first):
                    second = self.orchestrator.run_parallel([task], callback)
            except RunInterrupted as interrupted:
                raise RunInterrupted({**first, **interrupted.results}) from None
            except ParallelAgentsError as error:
                _explain(first, error)
        outcome = _outcome(first, second)
        if not second and outcome.summary.status is AgentStatus.SKIPPED:
            call(callback, outcome.summary)
        return outcome

    async def aexecute(self, callback: Callback | None = None) -> MapReduceResult:
        """The same for an event loop. The callback may be `async def`."""
        summary, cancels = self._summary(), self.orchestrator._cancels
        first = await self.orchestrator.arun(self.tasks, _but_for_a_skipped_summary(callback))
        second = RunResults()
        task = self._second_summary(summary, first)
        if task is not None and self.orchestrator._cancels == cancels:
            try:
                with self._what_is_left(first):
                    second = await self.orchestrator.arun([task], callback)
            except ParallelAgentsError as error:
                _explain(first, error)
        outcome = _outcome(first, second)
        if not second and outcome.summary.status is AgentStatus.SKIPPED:
            await acall(callback, outcome.summary)
        return outcome

    def _summary(self) -> AgentTask:
        """The task that sums up."""
        found = next((task for task in self.tasks if getattr(task, "task_id", None) == SUMMARY), None)
        if found is None:
            raise PlanError(f"`tasks` holds no task `{SUMMARY}`, expected the one that sums up")
        return found

    def _second_summary(self, task: AgentTask, first: RunResults) -> AgentTask | None:
        """The task that sums up what there is; `None` if there is nothing to sum up or it is not the time for it."""
        needed = [first[task_id] for task_id in dict.fromkeys(task.dependencies)]
        outputs = {result.task_id: result.output for result in needed if result.success}
        missing = [result for result in needed if not result.success]
        ended_early = any(result.status in (AgentStatus.CANCELLED, AgentStatus.SKIPPED) for result in missing)
        if first[SUMMARY].status is not AgentStatus.SKIPPED or not self._allow_failures or not outputs or ended_early:
            return None
        if first.run_id is not None and first.questions:
            return None
        data = {
            **task.input_data,
            "results": _bounded(outputs),
            "without_result": {result.task_id: f"{result.status.value}: {result.error}" for result in missing},
        }
        said = (
            f"The results are in the input under `results`. {len(missing)} of {len(needed)} are missing: "
            "`without_result` says which and why. Do not guess them."
        )
        return replace(task, task_description=f"{task.task_description}\n\n{said}", dependencies=[], input_data=data)

    @contextmanager
    def _what_is_left(self, first: RunResults) -> Iterator[None]:
        """The orchestrator with what a run has left of its time and its budget."""
        elapsed = _elapsed(first.report)
        left: dict[str, Any] = {}
        if self._options.get("deadline_seconds") is not None:
            left["deadline_seconds"] = self._options["deadline_seconds"] - elapsed
            if left["deadline_seconds"] <= 0:
                raise PlanError("the time of the run is up")
        caps = {name: each for name, each in (first.report["budget"] or {}).items() if isinstance(each, dict)}
        budget = {
            name: each["cap"] - (each.get("spent", elapsed) or 0)
            for name, each in caps.items()
            if each["cap"] is not None
        }
        for name, value in budget.items():
            if value <= 0:
                raise PlanError(f"the budget's {name} are spent")
        if budget:
            left["budget"] = Budget(**budget)
        orchestrator = self.orchestrator
        whole = orchestrator._engine, orchestrator._tools
        rest = Orchestrator(**{**self._options, **left})
        orchestrator._engine, orchestrator._tools = rest._engine, rest._tools
        try:
            yield
        finally:
            orchestrator._engine, orchestrator._tools = whole


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


def _but_for_a_skipped_summary(callback: Callback | None) -> Callback | None:
    """The callback, which is told of a summary once it is known that no second run makes it."""
    if callback is None:
        return None

    def told(result: AgentResult) -> object:
        is_skipped = result.task_id == SUMMARY and result.status is AgentStatus.SKIPPED
        return None if is_skipped else callback(result)

    return told


def _bounded(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs, those that are longer than their share cut visibly."""
    share = RESULTS_BYTES_MAX // len(outputs)

    def cut(output: Any) -> Any:
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
        encoded = text.encode()
        if len(encoded) <= share:
            return output
        return f"{encoded[:share].decode(errors='ignore')}\n[cut here: {share} of {len(encoded)} bytes shown]"

    return {task_id: cut(output) for task_id, output in outputs.items()}


def _elapsed(report: Mapping[str, Any]) -> float:
    """How long a run took, in seconds, by its own clock."""
    from datetime import datetime

    began, ended = (datetime.strptime(report[name], "%Y-%m-%dT%H:%M:%S.%fZ") for name in ("started", "ended"))
    return (ended - began).total_seconds()


def _explain(first: RunResults, error: ParallelAgentsError) -> None:
    first[SUMMARY] = replace(first[SUMMARY], error=f"no summary was made of the results there are: {error}")


def _outcome(first: RunResults, second: RunResults) -> MapReduceResult:
    results = [result for task_id, result in first.items() if task_id != SUMMARY]
    return MapReduceResult(results, second.get(SUMMARY, first[SUMMARY]), [first, second] if second else [first])
