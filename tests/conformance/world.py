"""A place where agents run: how to run them there, and what can be seen of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal

from parallel_agents import AgentResult, AgentTask, Orchestrator, Rehearsal
from standin import Habits, StandIn

How = Literal["answers", "works", "never"]
"""What an agent does: answers at once, after a moment, or never."""

BORNE = 3
"""How many agents at once a narrow runtime bears."""


class World(ABC):
    """One runtime, fresh for each scenario.

    Attributes:
        timeout: A timeout in seconds within which an agent that never answers is certain not to, and that is still
            long enough for the runtime to keep.
    """

    timeout: float

    @abstractmethod
    def orchestrator(self, max_concurrent: int = 5, **options: Any) -> Orchestrator:
        """On a runtime that bears any number of agents."""

    @abstractmethod
    def narrow(self, max_concurrent: int) -> Orchestrator:
        """On a runtime that bears `BORNE` agents at once."""

    @abstractmethod
    def endless(self, max_concurrent: int) -> Orchestrator:
        """On a runtime where a task that is to answer never does so within a test."""

    @abstractmethod
    def task(self, task_id: str, how: How = "answers", **fields: Any) -> AgentTask:
        """A task whose agent does this."""

    @abstractmethod
    def soon(self, task_id: str) -> AgentTask:
        """A task that ends by itself in an endless world."""

    @abstractmethod
    def alive(self) -> set[str]:
        """Keys of the sessions in which an agent waits or works."""

    @abstractmethod
    def existing(self, results: dict[str, AgentResult]) -> set[str]:
        """Keys of those sessions of these results that still exist."""

    def prompts(self, task_id: str) -> list[str] | None:
        """What the agents of a task were told; `None` where that cannot be seen."""
        return None

    def alive_max(self) -> int | None:
        """The most agents that were alive at once; `None` where that cannot be seen."""
        return None


def session_keys(results: dict[str, AgentResult]) -> set[str]:
    """The keys of all sessions that these results name."""
    attempts = [attempt for result in results.values() for attempt in result.metadata["attempts"]]
    return {attempt["session_key"] for attempt in attempts if attempt["session_key"]}


class RehearsalWorld(World):
    """Agents that are played."""

    timeout = 0.001

    def orchestrator(self, max_concurrent: int = 5, **options: Any) -> Orchestrator:
        return Orchestrator(max_concurrent, rehearsal=True, **options)

    def narrow(self, max_concurrent: int) -> Orchestrator:
        return Orchestrator(max_concurrent, rehearsal=Rehearsal(agents_max=BORNE))

    def endless(self, max_concurrent: int) -> Orchestrator:
        return Orchestrator(max_concurrent, rehearsal=Rehearsal(latency_seconds=36_000, speed=1))

    def task(self, task_id: str, how: How = "answers", **fields: Any) -> AgentTask:
        return AgentTask("content_writer_creative", f"Write about {task_id}.", task_id=task_id, **fields)

    def soon(self, task_id: str) -> AgentTask:
        return self.task(task_id, timeout_seconds=self.timeout, model="own/model")

    def alive(self) -> set[str]:
        return set()

    def existing(self, results: dict[str, AgentResult]) -> set[str]:
        return set()


class InjectedWorld(World):
    """Callables over a stand-in."""

    timeout = 0.2

    def __init__(self, **shape: Any) -> None:
        self._shape = shape
        self._standin = StandIn()

    def orchestrator(self, max_concurrent: int = 5, **options: Any) -> Orchestrator:
        return Orchestrator(max_concurrent, tools=self._standin.tools(**self._shape), **options)

    def narrow(self, max_concurrent: int) -> Orchestrator:
        self._standin = StandIn(Habits(children_max=BORNE))
        return self.orchestrator(max_concurrent)

    def endless(self, max_concurrent: int) -> Orchestrator:
        return self.orchestrator(max_concurrent)

    def task(self, task_id: str, how: How = "answers", **fields: Any) -> AgentTask:
        marks = {"answers": "", "works": "[[sleep=0.05]]", "never": "[[stuck]]"}[how]
        prompt = f"Write about it. [[task={task_id}]] {marks}"
        return AgentTask("content_writer_creative", prompt, task_id=task_id, **fields)

    def soon(self, task_id: str) -> AgentTask:
        return self.task(task_id)

    def alive(self) -> set[str]:
        return {child.key for child in self._standin.alive}

    def existing(self, results: dict[str, AgentResult]) -> set[str]:
        return {child.key for child in self._standin.left} & session_keys(results)

    def prompts(self, task_id: str) -> list[str] | None:
        mark = f"[[task={task_id}]]"
        return [child.prompt for child in self._standin.children if mark in child.prompt]

    def alive_max(self) -> int | None:
        return self._standin.alive_max
