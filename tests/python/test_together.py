"""Several runs at once: in an event loop, in threads, on one orchestrator and on several."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from parallel_agents import AgentResult, AgentTask, Orchestrator, Rehearsal

from . import child
from .tasks import endless, review, reviews, too_slow


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Threads change places as often as they can, which shows what they do to each other."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def named(prefix: str, count: int) -> list[AgentTask]:
    return [review(f"{prefix}-{index}") for index in range(count)]


def test_arun_gives_what_run_parallel_gives() -> None:
    def tasks() -> list[AgentTask]:
        return [*reviews(8), too_slow("slow"), review("skipped", dependencies=["slow"])]

    threads: list[int] = []

    def callback(_: AgentResult) -> None:
        threads.append(threading.get_ident())

    awaited = asyncio.run(Orchestrator(rehearsal=Rehearsal(seed=2)).arun(tasks(), callback=callback))
    blocking = Orchestrator(rehearsal=Rehearsal(seed=2)).run_parallel(tasks())
    assert list(awaited) == list(blocking)
    assert [each.status for each in awaited.values()] == [each.status for each in blocking.values()]
    assert [each.output for each in awaited.values()] == [each.output for each in blocking.values()]
    assert threads == [threading.get_ident()] * 10


def test_arun_iter_yields_what_run_iter_yields() -> None:
    async def collect() -> list[str]:
        run = Orchestrator(rehearsal=Rehearsal(seed=2)).arun_iter(reviews(8))
        return [result.task_id async for result in run]

    blocking = Orchestrator(rehearsal=Rehearsal(seed=2)).run_iter(reviews(8))
    assert asyncio.run(collect()) == [result.task_id for result in blocking]


def test_no_tasks_are_no_work_for_an_event_loop_either() -> None:
    assert asyncio.run(Orchestrator(rehearsal=True).arun([])) == {}


def test_a_run_leaves_its_event_loop_to_others() -> None:
    async def main() -> None:
        orchestrator = Orchestrator(rehearsal=endless())
        running = asyncio.Event()
        run = asyncio.create_task(orchestrator.arun([too_slow("first"), review("last")], lambda _: running.set()))
        waiting = asyncio.create_task(running.wait())
        # A run that cannot start fails the test instead of leaving it to wait.
        await asyncio.wait({run, waiting}, return_when=asyncio.FIRST_COMPLETED)
        assert waiting.done(), run
        for _ in range(1000):
            await asyncio.sleep(0)
        orchestrator.cancel()
        assert [result.status.value for result in (await run).values()] == ["timeout", "cancelled"]

    asyncio.run(main())


def test_an_interpreter_ends_cleanly_right_after_an_awaited_run() -> None:
    program = """
import asyncio
from parallel_agents import AgentTask, Orchestrator
tasks = [AgentTask("code_reviewer", "Review it.") for _ in range(3)]
asyncio.run(Orchestrator(rehearsal=True).arun(tasks))
"""
    # What a thread of ours does to an interpreter that is going away shows in one end of about ten.
    codes = [child.run(sys.executable, "-c", program).returncode for _ in range(30)]
    assert codes == [0] * 30


def test_many_runs_share_an_event_loop() -> None:
    async def main() -> list[dict[str, AgentResult]]:
        orchestrator = Orchestrator(rehearsal=True)
        runs = (orchestrator.arun(named(f"run-{number}", 5)) for number in range(20))
        return await asyncio.gather(*runs)

    for number, results in enumerate(asyncio.run(main())):
        assert list(results) == [f"run-{number}-{index}" for index in range(5)]
        assert all(result.success for result in results.values())


@pytest.mark.usefixtures("eager_switching")
def test_runs_in_threads_share_an_orchestrator_and_its_sums_are_right() -> None:
    orchestrator = Orchestrator(rehearsal=True)

    def run(number: int) -> dict[str, AgentResult]:
        return orchestrator.run_parallel(named(f"run-{number}", 100))

    with ThreadPoolExecutor(8) as threads:
        every = list(threads.map(run, range(16)))
    for number, results in enumerate(every):
        assert list(results) == [f"run-{number}-{index}" for index in range(100)]
        assert all(result.success for result in results.values())
    assert len(orchestrator.results) == 1600
    assert orchestrator.stats["agents_completed"] == 1600
    assert orchestrator.stats["agents_spawned"] == 1600
    assert orchestrator.stats["total_time"] == pytest.approx(
        sum(result.execution_time for results in every for result in results.values())
    )


def test_orchestrators_in_threads_know_nothing_of_each_other() -> None:
    def run(number: int) -> Orchestrator:
        orchestrator = Orchestrator(number + 1, rehearsal=Rehearsal(seed=number, failure_rate=0.3))
        orchestrator.run_parallel(named(f"run-{number}", 30))
        return orchestrator

    with ThreadPoolExecutor(8) as threads:
        for number, orchestrator in enumerate(threads.map(run, range(8))):
            assert sorted(orchestrator.results) == sorted(f"run-{number}-{index}" for index in range(30))


def test_cancel_ends_all_runs_of_its_orchestrator_and_no_other() -> None:
    ours, other = Orchestrator(rehearsal=endless()), Orchestrator(rehearsal=endless())
    running = threading.Barrier(4)

    def run(orchestrator: Orchestrator, name: str) -> dict[str, AgentResult]:
        tasks = [too_slow(f"{name}-first"), review(f"{name}-last", timeout_seconds=1, model="own/model")]
        if orchestrator is ours:
            tasks[1].timeout_seconds = 3600
        return orchestrator.run_parallel(
            tasks, callback=lambda result: running.wait(60) if result.task_id.endswith("first") else None
        )

    with ThreadPoolExecutor(3) as threads:
        runs = [threads.submit(run, *each) for each in ((ours, "one"), (ours, "two"), (other, "three"))]
        running.wait(60)
        ours.cancel()
        ends = [list(each.result(60).values())[1].status.value for each in runs]
    assert ends == ["cancelled", "cancelled", "timeout"]
