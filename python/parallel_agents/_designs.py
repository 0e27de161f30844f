"""The designs that an orchestrator knows, for who refines an agent again."""

from __future__ import annotations

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from ._session import RunResults
    from ._task import AgentResult

_AUTHORS = ("agent_creator", "agent_refiner")


class Designs:
    """Of each agent the best version of its latest refinement, or a design among results that is later.

    `Email Sorter` and `email_sorter` are names of the same agent, as they are for the registry.
    """

    def __init__(self) -> None:
        self._best: dict[str, tuple[dict[str, Any], str]] = {}
        self._asked: dict[str, str] = {}

    def ask(self, tasks: Iterable[Any], run: _core.Run | _core.ToolRun) -> None:
        """A run of these tasks has started. The data of an author's task has the name of its agent."""
        names = [_asked_of(task) for task in tasks]
        if any(names):
            named = zip(run.task_ids, names, strict=False)
            self._asked.update((task_id, key_of(name)) for task_id, name in named if name)

    def keep(self, results: RunResults) -> None:
        """A run has ended: what it refined."""
        for reached in (results.outcome or {}).get("refinements", []):
            name, design, output = reached["name"], reached.get("design"), reached.get("output")
            if isinstance(output, dict) and "system_prompt" in output and isinstance(output.get("agent_name"), str):
                name, design = output["agent_name"], output
            task_ids = [task_id for each in reached["rounds"] for task_id in each["task_ids"]]
            ends = [results[task_id].timestamp for task_id in task_ids if task_id in results]
            if design is not None and ends:
                self._best[key_of(name)] = design, max(ends)

    def find(self, name: str, results: Mapping[str, AgentResult]) -> dict[str, Any] | None:
        """The latest design of that agent."""
        key = key_of(name)
        latest, known = self._best.get(key, (None, ""))
        since = known
        for result in results.values():
            if result.agent_type not in _AUTHORS or not result.success:
                continue
            if result.timestamp >= since and (latest is None or result.timestamp > known):
                output = result.output
                if isinstance(output, dict) and key in (self._asked.get(result.task_id), _own_key(output)):
                    latest, since = output, result.timestamp
        return latest


def key_of(name: str) -> str:
    """What the names of one agent have in common."""
    return _core.agent_type_name(name) or name.strip()


def _own_key(design: Mapping[str, Any]) -> str | None:
    name = design.get("agent_name")
    return key_of(name) if isinstance(name, str) else None


def _asked_of(task: Any) -> str | None:
    """The name of the agent that a task is to design."""
    fields = task if isinstance(task, dict) else task.__dict__
    if fields["agent_type"] not in _AUTHORS:
        return None
    name = (fields.get("input_data") or {}).get("name")
    return name if isinstance(name, str) else None
