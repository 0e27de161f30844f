"""What holds in every world."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from parallel_agents import MODEL_HIERARCHY, AgentResult, AgentStatus, Orchestrator

from .world import World

NEVER_FITS = {"type": "string", "pattern": "^$."}
OUTCOMES_OF = {
    AgentStatus.COMPLETED: {"completed"},
    AgentStatus.TIMEOUT: {"timeout"},
    # The last is said of an agent that nothing here can stop.
    AgentStatus.CANCELLED: {"cancelled", "stopped", "permanent"},
}


def every_task_has_one_result(world: World) -> None:
    seen: list[str] = []
    orchestrator = world.orchestrator(4)
    tasks = [world.task(f"t{index}") for index in range(6)]
    results = orchestrator.run_parallel(tasks, callback=lambda result: seen.append(result.task_id))
    assert list(results) == [task.task_id for task in tasks]
    assert sorted(seen) == sorted(results)
    for result in results.values():
        assert result.success, result.error
        assert result.output["caption"]
        assert result.metadata["model_used"] == MODEL_HIERARCHY[0]
    assert orchestrator.stats["agents_spawned"] == orchestrator.stats["agents_completed"] == 6
    assert_each_attempt_ended_once(results)
    assert world.alive() == set()


def the_concurrency_asked_for_is_kept(world: World) -> None:
    results = world.orchestrator(2).run_parallel([world.task(f"t{index}", "works") for index in range(6)])
    assert all(result.success for result in results.values())
    assert overlap(results) == 2
    assert world.alive_max() in (2, None)


def a_busy_runtime_spends_no_attempt(world: World) -> None:
    results = world.narrow(8).run_parallel([world.task(f"t{index}", "works") for index in range(8)])
    assert all(result.success for result in results.values())
    assert {len(result.metadata["attempts"]) for result in results.values()} == {1}
    assert {result.metadata["model_used"] for result in results.values()} == {MODEL_HIERARCHY[0]}


def outputs_of_dependencies_are_handed_on(world: World) -> None:
    tasks = [
        world.task("last", dependencies=["first", "second"]),
        world.task("first", "works"),
        world.task("second"),
    ]
    results = world.orchestrator().run_parallel(tasks)
    assert all(result.success for result in results.values())
    started = results["last"].metadata["attempts"][0]["started"]
    for name in ("first", "second"):
        assert results[name].metadata["attempts"][-1]["ended"] <= started
    told = world.prompts("last")
    if told is None:
        alone = world.orchestrator().run_parallel([world.task("last")])["last"]
        assert results["last"].metadata["tokens"]["input"] > alone.metadata["tokens"]["input"]
    else:
        (prompt,) = told
        for name in ("first", "second"):
            assert results[name].output["caption"] in prompt


def an_unusable_output_climbs_the_hierarchy(world: World) -> None:
    result = world.orchestrator().run_parallel([world.task("t0", output_schema=NEVER_FITS)])["t0"]
    assert result.status is AgentStatus.FAILED
    attempts = result.metadata["attempts"]
    models, ladder = [attempt["model"] for attempt in attempts], [model for model in MODEL_HIERARCHY for _ in range(2)]
    assert models == ladder[: len(models)]
    # A dearer model that writes what a cheaper one wrote ends it.
    assert len(models) == len(ladder) or (len(models) > 2 and "the very same answer" in str(result.error))
    assert {attempt["outcome"] for attempt in attempts} == {"output"}
    assert all(attempt["reason"] for attempt in attempts)
    assert_each_attempt_ended_once({"t0": result})
    assert world.alive() == set()


def a_failing_task_leaves_its_siblings_alone(world: World) -> None:
    tasks = [
        world.task("fails", output_schema=NEVER_FITS, model=MODEL_HIERARCHY[0]),
        world.task("next", dependencies=["fails"]),
        world.task("own", "works"),
    ]
    results = world.orchestrator().run_parallel(tasks)
    assert {name: result.status.value for name, result in results.items()} == {
        "fails": "failed",
        "next": "skipped",
        "own": "completed",
    }
    assert results["next"].metadata["skipped_because"] == "fails"


def a_timeout_ends_as_one_and_its_agent_is_stopped(world: World) -> None:
    task = world.task("t0", "never", timeout_seconds=world.timeout, model=MODEL_HIERARCHY[0])
    begun = time.monotonic()
    results = world.orchestrator().run_parallel([task, world.task("own")])
    assert time.monotonic() - begun < world.timeout + 60
    assert results["own"].success
    assert results["t0"].status is AgentStatus.TIMEOUT, results["t0"].error
    assert results["t0"].error
    (attempt,) = results["t0"].metadata["attempts"]
    assert attempt["outcome"] == "timeout"
    assert_each_attempt_ended_once(results)
    assert world.alive() == set()


def a_cancel_leaves_nothing_alive_that_is_not_reported(world: World) -> None:
    orchestrator = world.endless(4)
    tasks = [world.soon("soon"), *(world.task(f"t{index}", "never", timeout_seconds=3600) for index in range(4))]
    results = orchestrator.run_parallel(tasks, callback=lambda result: orchestrator.cancel("that is enough"))
    assert len(results) == 5
    assert results["soon"].status in (AgentStatus.COMPLETED, AgentStatus.TIMEOUT)
    for name in ("t0", "t1", "t2", "t3"):
        assert not results[name].success
        assert results[name].output is None
        assert results[name].error
    assert_each_attempt_ended_once(results)
    assert world.alive() <= reported(orchestrator)


def sessions_are_deleted_or_reported(world: World) -> None:
    orchestrator = world.orchestrator(3)
    results = orchestrator.run_parallel([world.task(f"t{index}") for index in range(4)])
    assert all(result.success for result in results.values())
    assert world.existing(results) == reported(orchestrator)


def sessions_are_kept_where_that_was_asked_for(world: World) -> None:
    orchestrator = world.orchestrator(3, cleanup="keep")
    results = orchestrator.run_parallel([world.task(f"t{index}") for index in range(3)])
    assert all(result.success for result in results.values())
    assert reported(orchestrator) == set()


SCENARIOS: list[Callable[[World], None]] = [
    every_task_has_one_result,
    the_concurrency_asked_for_is_kept,
    a_busy_runtime_spends_no_attempt,
    outputs_of_dependencies_are_handed_on,
    an_unusable_output_climbs_the_hierarchy,
    a_failing_task_leaves_its_siblings_alone,
    a_timeout_ends_as_one_and_its_agent_is_stopped,
    a_cancel_leaves_nothing_alive_that_is_not_reported,
    sessions_are_deleted_or_reported,
    sessions_are_kept_where_that_was_asked_for,
]


def assert_each_attempt_ended_once(results: dict[str, AgentResult]) -> None:
    for name, result in results.items():
        attempts: list[dict[str, Any]] = result.metadata["attempts"]
        assert [attempt["no"] for attempt in attempts] == list(range(1, len(attempts) + 1)), name
        for attempt, following in zip(attempts, [*attempts[1:], None], strict=True):
            assert attempt["outcome"], (name, attempt)
            assert attempt["started"] <= attempt["ended"], (name, attempt)
            assert attempt["reason"] or attempt["outcome"] in ("completed", "cancelled"), (name, attempt)
            if following is not None:
                assert attempt["outcome"] != "completed", (name, attempts)
                assert attempt["ended"] <= following["started"], (name, attempts)
        if attempts and result.status in OUTCOMES_OF:
            last = attempts[-1]
            assert last["outcome"] in OUTCOMES_OF[result.status], (name, result.status, last)
            assert last["outcome"] != "permanent" or "could not be stopped" in last["reason"], (name, last)


def overlap(results: dict[str, AgentResult]) -> int:
    """The most attempts that ran at once."""
    attempts = [attempt for result in results.values() for attempt in result.metadata["attempts"]]
    changes = [(attempt["started"], 1) for attempt in attempts] + [(attempt["ended"], -1) for attempt in attempts]
    most = running = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most


def reported(orchestrator: Orchestrator) -> set[str]:
    assert all(each["reason"] for each in orchestrator.sessions_left)
    return {each["session_key"] for each in orchestrator.sessions_left}
