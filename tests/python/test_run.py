"""What a run does with its tasks: each gets one result, whatever becomes of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from parallel_agents import (
    AgentResult,
    AgentStatus,
    AgentTask,
    CircuitBreaker,
    Orchestrator,
    OutputFormat,
    Rehearsal,
    RetryPolicy,
)

from .tasks import review, reviews, too_slow

FAILURES = {"transient", "model", "timeout", "output", "permanent"}


def rehearse(tasks: Any, *, max_concurrent: int = 5, **behaviour: Any) -> dict[str, AgentResult]:
    return Orchestrator(max_concurrent, rehearsal=Rehearsal(**behaviour)).run_parallel(tasks)


def test_every_task_has_one_result_in_the_order_given() -> None:
    tasks = [review(f"task-{index}", priority=index % 4) for index in range(23)]
    results = rehearse(tasks, max_concurrent=3)
    assert list(results) == [task.task_id for task in tasks]
    assert all(result.success and result.task_id == task_id for task_id, result in results.items())


def test_no_tasks_give_no_results_and_no_call() -> None:
    called: list[AgentResult] = []
    orchestrator = Orchestrator(rehearsal=Rehearsal())
    assert orchestrator.run_parallel([], callback=called.append) == {}
    assert list(orchestrator.run_iter([])) == called == []
    assert orchestrator.stats["agents_spawned"] == 0


def test_the_callback_comes_once_per_task_on_this_thread_in_order_of_completion() -> None:
    calls: list[tuple[str, str, int]] = []
    results = Orchestrator(rehearsal=True).run_parallel(
        [*reviews(12), too_slow("slow"), review("skipped", dependencies=["slow"])],
        callback=lambda result: calls.append((result.timestamp, result.task_id, threading.get_ident())),
    )
    assert results["skipped"].status is AgentStatus.SKIPPED
    assert sorted(task_id for _, task_id, _ in calls) == sorted(results)
    assert {thread for _, _, thread in calls} == {threading.get_ident()}
    ends = [timestamp for timestamp, _, _ in calls]
    assert ends == sorted(ends)


def test_a_callback_that_raises_is_logged_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    called: list[str] = []

    def callback(result: AgentResult) -> None:
        called.append(result.task_id)
        raise RuntimeError("the listener broke")

    with caplog.at_level(logging.ERROR, logger="parallel_agents"):
        results = Orchestrator(rehearsal=True).run_parallel(reviews(3), callback=callback)
    assert all(result.success for result in results.values())
    assert sorted(called) == sorted(results)
    assert len(caplog.records) == 3
    assert "the listener broke" in caplog.text
    assert all(f"`{task_id}`" in caplog.text for task_id in results)


def test_a_run_that_goes_well_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    rehearse([*reviews(3), too_slow("slow")])
    assert capfd.readouterr() == ("", "")


def test_an_iteration_yields_each_result_in_the_order_of_completion() -> None:
    called: list[str] = []
    Orchestrator(rehearsal=Rehearsal(seed=3)).run_parallel(
        reviews(9), callback=lambda each: called.append(each.task_id)
    )
    orchestrator = Orchestrator(rehearsal=Rehearsal(seed=3))
    yielded = [result.task_id for result in orchestrator.run_iter(reviews(9))]
    assert yielded == called
    assert sorted(yielded) == sorted(orchestrator.results)


def test_tasks_may_be_dicts_beside_agent_tasks_and_come_from_a_generator() -> None:
    def tasks() -> Iterator[AgentTask | dict[str, Any]]:
        yield {"agent_type": "code_reviewer", "task_description": "Review it.", "task_id": "dict"}
        yield review("task")
        yield {"agent_type": "test_engineer", "task_description": "Test it.", "output_format": "text"}

    results = rehearse(tasks())
    assert list(results)[:2] == ["dict", "task"]
    assert len(results) == 3
    assert all(result.success for result in results.values())
    assert isinstance(list(results.values())[2].output, str)


def test_a_run_works_on_what_its_tasks_were_when_it_started() -> None:
    tasks = reviews(4, input_data={"lines": [1, 2]})
    run = Orchestrator(1, rehearsal=True).run_iter(tasks)
    results = [next(run)]
    for task in tasks:
        task.task_id = "changed"
        task.output_format = OutputFormat.TEXT
        task.timeout_seconds = -1
        task.input_data["lines"].append(object())
    tasks.clear()
    results.extend(run)
    assert [result.task_id for result in results] == ["task-0", "task-1", "task-2", "task-3"]
    assert all(isinstance(result.output, dict) for result in results)


def test_higher_priorities_start_first_and_ties_in_the_order_given() -> None:
    priorities = {"low": 1, "first": 5, "second": 5, "high": 9}
    run = Orchestrator(1, rehearsal=True).run_iter([review(name, priority=each) for name, each in priorities.items()])
    assert [result.task_id for result in run] == ["high", "first", "second", "low"]


def test_a_task_starts_when_all_it_depends_on_has_completed() -> None:
    results = rehearse(
        [
            review("last", dependencies=["left", "right"]),
            review("left", dependencies=["first"]),
            review("right", dependencies=["first"]),
            review("first"),
        ]
    )
    assert all(result.success for result in results.values())

    def span(task_id: str) -> tuple[float, float]:
        attempts = results[task_id].metadata["attempts"]
        return attempts[0]["started"], attempts[-1]["ended"]

    for task_id, dependency in [("left", "first"), ("right", "first"), ("last", "left"), ("last", "right")]:
        assert span(task_id)[0] >= span(dependency)[1]


def test_the_outputs_of_dependencies_go_into_the_prompt() -> None:
    alone = rehearse([review("first"), review("second")])
    after = rehearse([review("first"), review("second", dependencies=["first"])])
    assert after["second"].metadata["tokens"]["input"] > alone["second"].metadata["tokens"]["input"]


def test_what_depends_on_a_failed_task_is_skipped_with_the_reason() -> None:
    results = rehearse(
        [too_slow("slow"), review("next", dependencies=["slow"]), review("after", dependencies=["next"]), review("own")]
    )
    assert [result.status.value for result in results.values()] == ["timeout", "skipped", "skipped", "completed"]
    for task_id in ("next", "after"):
        skipped = results[task_id]
        assert skipped.metadata["skipped_because"] == "slow"
        assert skipped.error is not None
        assert "`slow`" in skipped.error
        assert skipped.metadata["attempts"] == []
        assert not skipped.success
        assert not skipped.failed


def test_failures_end_as_data_and_never_as_exceptions() -> None:
    # With breakers most of them would not even be started.
    options: Any = {"rehearsal": Rehearsal(failure_rate=1.0), "breaker": CircuitBreaker(failures_max=0)}
    results = Orchestrator(**options).run_parallel(reviews(30))
    assert len(results) == 30
    for result in results.values():
        assert result.failed, result
        assert result.error
        assert result.output is None
        attempts = result.metadata["attempts"]
        assert 1 <= len(attempts) <= 8
        assert [each["no"] for each in attempts] == list(range(1, len(attempts) + 1))
        assert {each["outcome"] for each in attempts} <= FAILURES
        assert all(each["reason"] for each in attempts)
        assert (result.status is AgentStatus.TIMEOUT) == (attempts[-1]["outcome"] == "timeout")


def test_a_failed_attempt_leaves_the_others_alone_and_is_repeated_or_moved_up() -> None:
    results = rehearse(reviews(40), seed=1, failure_rate=0.4)
    several = [result for result in results.values() if result.success and len(result.metadata["attempts"]) > 1]
    assert several
    for result in several:
        outcomes = [each["outcome"] for each in result.metadata["attempts"]]
        assert outcomes[-1] == "completed"
        assert set(outcomes[:-1]) <= FAILURES
        tiers = [each["tier"] for each in result.metadata["attempts"]]
        assert tiers == sorted(tiers)


def test_the_same_seed_plays_the_same_run() -> None:
    def told(seed: int) -> list[tuple[object, ...]]:
        results = rehearse(reviews(20), seed=seed, failure_rate=0.5)
        return [
            (
                result.status,
                result.output,
                result.error,
                result.execution_time,
                result.metadata["cost"],
                [(each["model"], each["outcome"], each["reason"]) for each in result.metadata["attempts"]],
            )
            for result in results.values()
        ]

    assert told(5) == told(5)
    assert told(5) != told(6)


def test_a_busy_runtime_costs_no_attempt() -> None:
    results = rehearse(reviews(12), max_concurrent=12, agents_max=2)
    assert all(result.success for result in results.values())
    assert {len(result.metadata["attempts"]) for result in results.values()} == {1}


def test_the_retry_policy_bounds_the_attempts() -> None:
    never_fits = {"type": "string", "pattern": "^$."}
    for attempts_max in (1, 3):
        orchestrator = Orchestrator(rehearsal=True, retry=RetryPolicy(attempts_max=attempts_max))
        result = orchestrator.run_parallel([review("only", output_schema=never_fits)])["only"]
        assert len(result.metadata["attempts"]) == attempts_max


def test_at_its_deadline_a_run_ends_with_what_has_finished() -> None:
    orchestrator = Orchestrator(1, rehearsal=Rehearsal(latency_seconds=10), deadline_seconds=60)
    results = orchestrator.run_parallel(reviews(100))
    assert len(results) == 100
    unfinished = [result for result in results.values() if not result.success]
    assert 0 < len(unfinished) < 100
    for result in unfinished:
        assert result.error is not None
        assert "60 s" in result.error
        last = [each["outcome"] for each in result.metadata["attempts"]][-1:]
        assert (result.status is AgentStatus.TIMEOUT) == (last == ["timeout"]), (result.status, last)
