"""How a run ends early: by `cancel()`, by leaving an iteration, by Ctrl-C, by a cancelled coroutine.

The agents here work for hours of real time, so that they do not complete. `first` times out at once, which tells the
test that the run goes on; the others time out too late for a run that was stopped.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from contextlib import aclosing, closing
from typing import Any

import pytest
from parallel_agents import AgentResult, AgentStatus, AgentTask, Orchestrator, Rehearsal, RunInterrupted

from . import child
from .tasks import endless, review, reviews, too_slow

ENDS_BY_ITSELF: dict[str, Any] = {"timeout_seconds": 30, "model": "own/model"}
IDS = ["first", "task-0", "task-1", "task-2", "next"]


def team() -> list[AgentTask]:
    return [too_slow("first"), *reviews(3, **ENDS_BY_ITSELF), review("next", dependencies=["task-0"])]


def assert_stopped(results: dict[str, AgentResult]) -> None:
    assert sorted(results) == sorted(IDS)
    statuses = {task_id: result.status for task_id, result in results.items()}
    assert statuses.pop("first") is AgentStatus.TIMEOUT
    assert set(statuses.values()) == {AgentStatus.CANCELLED}, statuses
    assert all(result.error for result in results.values())


def test_cancel_from_another_thread_gives_a_result_for_every_task() -> None:
    orchestrator = Orchestrator(3, rehearsal=endless())
    running = threading.Event()

    def canceller() -> None:
        running.wait()
        orchestrator.cancel("the user closed the window")

    thread = threading.Thread(target=canceller, daemon=True)
    thread.start()
    results = orchestrator.run_parallel(team(), callback=lambda _: running.set())
    thread.join()
    assert list(results) == IDS
    assert_stopped(results)
    assert "the user closed the window" in str(results["task-1"].error)


def test_what_had_finished_before_a_cancel_is_kept() -> None:
    orchestrator = Orchestrator(1, rehearsal=Rehearsal(latency_seconds=0.02, speed=1))
    results = orchestrator.run_parallel(reviews(2000), callback=lambda _: orchestrator.cancel())
    assert len(results) == 2000
    assert results["task-0"].success
    assert results["task-0"].output
    assert results["task-1999"].status is AgentStatus.CANCELLED
    assert results["task-1999"].metadata["attempts"] == []


def test_cancel_without_a_run_does_nothing_to_the_next_one() -> None:
    orchestrator = Orchestrator(rehearsal=True)
    orchestrator.cancel()
    assert all(result.success for result in orchestrator.run_parallel(reviews(2)).values())
    orchestrator.cancel()
    assert all(result.success for result in orchestrator.run_parallel(reviews(2)).values())


def test_the_interpreter_is_not_held_while_waiting() -> None:
    orchestrator = Orchestrator(rehearsal=endless())
    running = threading.Event()
    steps = 0

    def work() -> None:
        nonlocal steps
        running.wait()
        while steps < 100_000:
            steps += 1
        orchestrator.cancel()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    # If nobody else gets to run, the tasks end by themselves and not by the cancel.
    tasks = [too_slow("first"), *reviews(3, **ENDS_BY_ITSELF)]
    results = orchestrator.run_parallel(tasks, callback=lambda _: running.set())
    thread.join()
    assert steps == 100_000
    assert [result.status.value for result in results.values()] == ["timeout", *["cancelled"] * 3]


def test_leaving_an_iteration_early_stops_the_run() -> None:
    orchestrator = Orchestrator(3, rehearsal=endless())
    iteration: Any = orchestrator.run_iter(team())
    with closing(iteration) as run:
        for result in run:
            assert result.task_id == "first"
            break
    assert_stopped(orchestrator.results)


def test_an_exception_in_the_loop_over_an_iteration_stops_the_run() -> None:
    orchestrator = Orchestrator(3, rehearsal=endless())
    with pytest.raises(ZeroDivisionError):
        for _ in orchestrator.run_iter(team()):
            _ = 1 / 0
    assert_stopped(orchestrator.results)


def test_ctrl_c_inside_a_callback_stops_the_run_and_keeps_the_results() -> None:
    def callback(_: AgentResult) -> None:
        raise KeyboardInterrupt

    # A bare KeyboardInterrupt would end the test session instead of the test.
    with pytest.raises(KeyboardInterrupt) as caught:
        Orchestrator(3, rehearsal=endless()).run_parallel(team(), callback=callback)
    assert isinstance(caught.value, RunInterrupted)
    assert_stopped(caught.value.results)


# The mark is printed once the main thread waits, in whatever code that is not the program's own: Ctrl-C between two
# lines of a caller is the caller's affair.
PROGRAM = """
import asyncio, json, signal, sys, threading
from parallel_agents import AgentTask, Orchestrator, Rehearsal

def task(task_id, **fields):
    return AgentTask("code_reviewer", "Review it.", task_id=task_id, **fields)

def watch():
    running.wait()
    while sys._current_frames()[threading.main_thread().ident].f_code.co_filename == "<string>":
        pass
    print("running", file=sys.stderr, flush=True)

async def main():
    # Makes signals wake the loop: by itself asyncio sees one that comes just before its wait only after it.
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
    await orchestrator.arun(tasks, callback=lambda _: running.set())

running = threading.Event()
threading.Thread(target=watch, daemon=True).start()
orchestrator = Orchestrator(3, rehearsal=Rehearsal(latency_seconds=36000, speed=1))
tasks = [task("first", timeout_seconds=0.001, model="own/model"), task("next", dependencies=["task-0"])]
tasks[1:1] = [task(f"task-{n}", timeout_seconds=30) for n in range(3)]
try:
    WAY
except KeyboardInterrupt as error:
    results = getattr(error, "results", orchestrator.results)
    statuses = {task_id: result.status.value for task_id, result in results.items()}
    print(json.dumps({"error": type(error).__name__, "text": str(error), "statuses": statuses}))
    sys.exit(5)
"""
WAYS = {
    "run_parallel": "orchestrator.run_parallel(tasks, callback=lambda _: running.set())",
    "run_iter": "[running.set() for _ in orchestrator.run_iter(tasks)]",
    "arun": "asyncio.run(main())",
}


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_stops_every_agent_and_keeps_the_results(way: str) -> None:
    with child.started(sys.executable, "-c", PROGRAM.replace("WAY", WAYS[way])) as process:
        told = json.loads(child.interrupt_after(process, "running"))
        assert process.returncode == 5
    expected = {task_id: "timeout" if task_id == "first" else "cancelled" for task_id in IDS}
    assert told["statuses"] == expected, told
    if way != "arun":
        assert told["error"] == "RunInterrupted"
        assert "0 of 5 tasks completed" in told["text"]


CANCELLED_COROUTINES = """
import asyncio, collections
from parallel_agents import AgentTask, Orchestrator, Rehearsal

def task(**fields):
    return AgentTask("code_reviewer", "Review it.", **fields)

async def main():
    for _ in range(20):
        orchestrator = Orchestrator(3, rehearsal=Rehearsal(latency_seconds=36000, speed=1))
        running = asyncio.Event()
        tasks = [task(timeout_seconds=0.001, model="own/model"), *(task() for _ in range(4))]
        run = asyncio.create_task(orchestrator.arun(tasks, callback=lambda _: running.set()))
        await running.wait()
        run.cancel()
        try:
            await run
        except asyncio.CancelledError:
            ends.update(result.status.value for result in orchestrator.results.values())

ends = collections.Counter()
asyncio.run(main())
print(sorted(ends.items()), flush=True)
"""


def test_cancelling_a_coroutine_stops_its_run_first() -> None:
    # In a child, since a wake-up that is lost would leave the event loop waiting for ever.
    with child.started(sys.executable, "-c", CANCELLED_COROUTINES) as process:
        told, errors = process.communicate(timeout=child.SECONDS_MAX)
    assert told.strip() == "[('cancelled', 80), ('timeout', 20)]", errors


def test_leaving_an_asynchronous_iteration_early_stops_the_run() -> None:
    orchestrator = Orchestrator(3, rehearsal=endless())

    async def main() -> None:
        iteration: Any = orchestrator.arun_iter(team())
        async with aclosing(iteration) as run:
            async for result in run:
                assert result.task_id == "first"
                break
        assert_stopped(orchestrator.results)

    asyncio.run(main())
