"""Tasks for injected tools, what goes wrong with a tool, and looks at what became of both."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import models
from parallel_agents import AgentResult, AgentTask, Orchestrator
from standin import Habits, StandIn

HAIKU, K2P5, OPUS = "anthropic/claude-haiku-4-5", "kimi-coding/k2p5", "anthropic/claude-opus-4-5"


def capable(**options: Any) -> tuple[Orchestrator, StandIn]:
    """An orchestrator whose agents answer like capable models do: `models` in the roles that it knows.

    Tokens in their tasks' own texts steer them, see `gateway/script.py`. `StandIn.children` has the prompts.
    """
    standin = StandIn(Habits(text_chars_max=10_000_000))
    return Orchestrator(tools=standin.tools(), **options), standin


def prompts_of(standin: StandIn, role: str) -> list[str]:
    """What the agents of a role were told, in the order in which they were started."""
    return [child.prompt for child in standin.children if models.read(child.prompt).role == role]


def ask(task_id: str, marks: str = "", **fields: Any) -> dict[str, Any]:
    """A task whose prompt is its own text, and whose answer is a text."""
    prompt = f"Answer in a word. [[task={task_id}]] {marks}"
    task = {"agent_type": "plain", "task_description": prompt, "output_format": "text", "task_id": task_id}
    return {**task, **fields}


def asks(count: int, marks: str = "", **fields: Any) -> list[dict[str, Any]]:
    """`count` such tasks: `t0`, `t1` and so on."""
    return [ask(f"t{index}", marks, **fields) for index in range(count)]


def post(task_id: str, marks: str = "", **fields: Any) -> AgentTask:
    """A task whose answer is JSON of a known shape."""
    prompt = f"Write a post about mornings. [[task={task_id}]] {marks}"
    return AgentTask("content_writer_creative", prompt, task_id=task_id, **fields)


def posts(count: int, marks: str = "", **fields: Any) -> list[AgentTask]:
    """`count` such tasks: `t0`, `t1` and so on."""
    return [post(f"t{index}", marks, **fields) for index in range(count)]


def outcomes(result: AgentResult) -> list[tuple[str, str]]:
    """Model and outcome of each attempt, in order."""
    return [(attempt["model"], attempt["outcome"]) for attempt in result.metadata["attempts"]]


def statuses(results: dict[str, AgentResult]) -> dict[str, str]:
    return {task_id: result.status.value for task_id, result in results.items()}


def assert_all_completed(results: dict[str, AgentResult], count: int) -> None:
    troubles = {name: (result.status.value, result.error) for name, result in results.items() if not result.success}
    assert not troubles
    assert len(results) == count


def assert_accounted_for(standin: StandIn, orchestrator: Orchestrator) -> None:
    """No child is both alive and unknown: each has ended, or is reported by its key or its label, with the reason."""
    told = orchestrator.sessions_left
    assert all(each["reason"] for each in told), told
    names = {value for each in told for value in each.values()}
    lost = [child.label for child in standin.alive if not {child.key, child.label} & names]
    assert not lost, (lost, told)


class Raise:
    """An effect that raises: every time it is met, the same exception."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self) -> None:
        raise self.error


def hang() -> None:
    """Never returns, but for Ctrl-C."""
    while True:
        time.sleep(3600)


async def hang_async() -> None:
    """Never returns, but for being cancelled."""
    await asyncio.Event().wait()
