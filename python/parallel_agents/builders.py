"""Teams that are built from what they are to work on, and run themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ._errors import PlanError
from ._orchestrator import Orchestrator
from ._research import TIMEOUT_SECONDS, research_task

if TYPE_CHECKING:
    from ._orchestrator import Callback
    from ._task import AgentResult, AgentTask

__all__ = ["ResearchTeam"]


class ResearchTeam:
    """One researcher per topic, all at once.

    Args:
        topics: What to research; each topic once.
        timeout_seconds: Time for one attempt of a researcher, in seconds.
        options: Options of `Orchestrator`, by keyword.

    Raises:
        PlanError: A topic cannot be used. (A `ValueError`, as is the next.)
        OptionError: An option has a value it does not take.

    Attributes:
        topics: The topics, in order.
        tasks: Their tasks, in the same order; they may be changed before the team is run.
        orchestrator: What runs them.

    Example:
        >>> results = ResearchTeam(["tea", "coffee"], rehearsal=True).execute()
        >>> sorted(results["tea"].output)
        ['key_points', 'open_questions', 'sources', 'summary']
    """

    def __init__(self, topics: Iterable[str], *, timeout_seconds: float = TIMEOUT_SECONDS, **options: Any) -> None:
        if isinstance(topics, str):
            raise PlanError(f"`topics` is `{topics!r}`, expected a list of texts")
        self.topics = list(topics)
        self.tasks: list[AgentTask] = [research_task(topic, timeout_seconds=timeout_seconds) for topic in self.topics]
        twice = next((topic for index, topic in enumerate(self.topics) if topic in self.topics[:index]), None)
        if twice is not None:
            raise PlanError(f"`topics` names `{twice}` twice, expected each topic once")
        self.orchestrator = Orchestrator(**options)

    def execute(self, callback: Callback | None = None) -> dict[str, AgentResult]:
        """Runs the team and waits for all of it.

        Args:
            callback: Called with each result as it comes.

        Returns:
            Topic to result, in the order of the topics. The output of a completed one holds `summary`, `key_points`,
            `sources` and `open_questions`.

        Raises:
            As `Orchestrator.run_parallel`.
        """
        return self._by_topic(self.orchestrator.run_parallel(self.tasks, callback))

    async def aexecute(self, callback: Callback | None = None) -> dict[str, AgentResult]:
        """The same for an event loop. The callback may be `async def`."""
        return self._by_topic(await self.orchestrator.arun(self.tasks, callback))

    def _by_topic(self, results: dict[str, AgentResult]) -> dict[str, AgentResult]:
        return {topic: results[task.task_id] for topic, task in zip(self.topics, self.tasks, strict=True)}
