"""Tasks that end in a known way when they are rehearsed."""

from __future__ import annotations

from typing import Any

from parallel_agents import AgentTask, Rehearsal

FIRST_MODEL = "anthropic/claude-haiku-4-5"


def review(task_id: str, **fields: Any) -> AgentTask:
    """A task that completes."""
    return AgentTask("code_reviewer", "Review the change.", task_id=task_id, **fields)


def reviews(count: int, **fields: Any) -> list[AgentTask]:
    """Tasks `task-0`, `task-1` and so on."""
    return [review(f"task-{index}", **fields) for index in range(count)]


def too_slow(task_id: str, **fields: Any) -> AgentTask:
    """A task that times out: no rehearsed agent answers within a millisecond."""
    return review(task_id, **{"timeout_seconds": 0.001, "model": FIRST_MODEL, **fields})


def endless() -> Rehearsal:
    """Agents that work in real time for hours, unless their task has a timeout."""
    return Rehearsal(latency_seconds=36_000, speed=1)
