"""Tasks and looks at results that the tests of the public API share."""

from __future__ import annotations

import threading
from typing import Any, Literal

from parallel_agents import AgentResult, AgentTask, Orchestrator

from .case import Case
from .proxy import Proxy

Way = Literal["agent", "spawn"]
"""How agents are started on a gateway."""
WORD_SCHEMA = {"type": "object", "required": ["word"], "properties": {"word": {"type": "string"}}}


def post(case: Case, name: str, directives: str = "", **fields: Any) -> AgentTask:
    """A writer's task that the provider knows as `name` of the case."""
    description = f"Write a post about mornings. {case} [[task={name}]] {directives}"
    return AgentTask("content_writer_creative", description, task_id=name, **fields)


def posts(case: Case, count: int, directives: str = "", **fields: Any) -> list[AgentTask]:
    """`count` tasks of the case: `t0`, `t1` and so on."""
    return [post(case, f"t{index}", directives, **fields) for index in range(count)]


def calls_per_task(case: Case, **which: Any) -> dict[str, int]:
    """How many model calls each task of the case has cost."""
    counts: dict[str, int] = {}
    for call in case.calls(**which):
        counts[call.task] = counts.get(call.task, 0) + 1
    return counts


def assert_all_completed(results: dict[str, AgentResult], count: int) -> None:
    """Every task has its one result, completed, with the output that its agent type promises."""
    troubles = {name: (result.status.value, result.error) for name, result in results.items() if not result.success}
    assert not troubles
    assert len(results) == count
    for name, result in results.items():
        assert result.task_id == name
        assert result.error is None
        assert isinstance(result.output, dict)
        assert result.output


def assert_a_cut_loses_nothing(proxy: Proxy, case: Case, **options: Any) -> None:
    """A socket that is cut while six agents run loses none of them, and none is paid for twice."""

    def cut() -> None:
        case.wait_for(6)
        proxy.cut(refuse_seconds=1)

    cutter = threading.Thread(target=cut)
    cutter.start()
    results = Orchestrator(max_concurrent=6, **options).run_parallel(posts(case, 6, "[[sleep=4]]"))
    cutter.join()

    assert_all_completed(results, 6)
    assert proxy.connections >= 2
    assert calls_per_task(case) == {f"t{index}": 1 for index in range(6)}


def outcomes(result: AgentResult) -> list[tuple[str, str]]:
    """Model and outcome of each attempt, in order."""
    return [(attempt["model"], attempt["outcome"]) for attempt in result.metadata["attempts"]]
