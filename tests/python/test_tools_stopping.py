"""How a run on injected tools ends early, and that each child is accounted for: collected, ended, or reported."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from parallel_agents import AgentResult, Orchestrator, RetryPolicy, RunInterrupted
from standin import Habits, Reply, StandIn

from . import child
from .injected import (
    K2P5,
    Raise,
    ask,
    asks,
    assert_accounted_for,
    assert_all_completed,
    hang_async,
    outcomes,
    statuses,
)

pytestmark = pytest.mark.usefixtures("ends")

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
STUCK: dict[str, Any] = {"timeout_seconds": 3600}


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises here, also where the test run was started in the background and ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def cancelled_when_running(orchestrator: Orchestrator, standin: StandIn, tasks: Any) -> dict[str, AgentResult]:
    """Runs tasks and cancels them from another thread once they all have their child."""
    count = len(tasks)

    def cancel() -> None:
        while len(standin.children) < count:
            time.sleep(0.001)
        orchestrator.cancel("the user closed the window")

    canceller = threading.Thread(target=cancel, daemon=True)
    canceller.start()
    results = orchestrator.run_parallel(tasks)
    canceller.join()
    return results


@BOTH
def test_cancel_stops_the_children_where_something_can(asynchronous: bool) -> None:
    standin = StandIn(Habits(lane=2))
    orchestrator = Orchestrator(5, tools=standin.tools(asynchronous=asynchronous, subagents=True))
    results = cancelled_when_running(orchestrator, standin, asks(5, "[[stuck]]", **STUCK))
    assert set(statuses(results).values()) == {"cancelled"}
    assert standin.alive == []
    assert {each.fate for each in standin.children} == {"killed"}
    assert "the user closed the window" in str(results["t0"].error)


@pytest.mark.parametrize("answers", ["object", "json", "envelope", "text"])
def test_subagents_is_read_in_every_shape(answers: str) -> None:
    standin = StandIn()
    orchestrator = Orchestrator(3, tools=standin.tools(answers=answers, subagents=True))
    cancelled_when_running(orchestrator, standin, asks(3, "[[stuck]]", **STUCK))
    assert standin.alive == []


@BOTH
def test_children_that_nothing_can_stop_are_reported_with_the_reason(asynchronous: bool) -> None:
    standin = StandIn()
    orchestrator = Orchestrator(3, tools=standin.tools(asynchronous=asynchronous))
    results = cancelled_when_running(orchestrator, standin, asks(3, "[[stuck]]", **STUCK))
    assert set(statuses(results).values()) <= {"cancelled", "failed"}
    told = {each["session_key"]: each for each in orchestrator.sessions_left}
    assert {each.key for each in standin.alive} <= set(told)
    assert len(standin.alive) == 3
    for each in told.values():
        assert each["task_id"] in results
        assert each["reason"]


def test_a_cancel_from_another_thread_wakes_the_wait_at_once() -> None:
    # A look costs so much that the next one is seconds away.
    standin = StandIn(Habits(list_seconds=0.2))
    orchestrator = Orchestrator(2, tools=standin.tools(subagents=True))
    cancelled: list[float] = []

    def cancel() -> None:
        while not standin.looks:
            time.sleep(0.001)
        time.sleep(0.1)
        cancelled.append(time.monotonic())
        orchestrator.cancel()

    canceller = threading.Thread(target=cancel, daemon=True)
    canceller.start()
    results = orchestrator.run_parallel(asks(2, "[[stuck]]", **STUCK))
    assert time.monotonic() - cancelled[0] < 1.0
    assert set(statuses(results).values()) == {"cancelled"}
    assert standin.threads == {threading.get_ident()}


def test_what_had_finished_before_a_cancel_is_kept() -> None:
    standin = StandIn()
    orchestrator = Orchestrator(3, tools=standin.tools(subagents=True))
    tasks = [ask("quick"), *asks(2, "[[stuck]]", **STUCK)]
    results = orchestrator.run_parallel(tasks, callback=lambda result: orchestrator.cancel())
    assert statuses(results) == {"quick": "completed", "t0": "cancelled", "t1": "cancelled"}
    assert results["quick"].output
    assert standin.alive == []


@BOTH
def test_an_answer_that_crosses_a_cancel_is_kept(asynchronous: bool) -> None:
    standin = StandIn()
    orchestrator = Orchestrator(3, tools=standin.tools(asynchronous=asynchronous, subagents=True))
    # The first two have answered by then, and nobody has looked.
    standin.on("sessions_spawn", orchestrator.cancel, call_no=3)
    results = orchestrator.run_parallel([*asks(2), ask("stuck", "[[stuck]]", **STUCK), ask("next")])
    assert statuses(results) == {"t0": "completed", "t1": "completed", "stuck": "cancelled", "next": "cancelled"}
    assert standin.alive == []


def test_leaving_an_iteration_early_stops_the_children() -> None:
    standin = StandIn()
    orchestrator = Orchestrator(3, tools=standin.tools(subagents=True))
    with closing(orchestrator.run_iter([ask("quick"), *asks(2, "[[stuck]]", **STUCK)])) as run:
        assert next(run).task_id == "quick"
    assert standin.alive == []
    assert_accounted_for(standin, orchestrator)


@pytest.mark.parametrize("way", ["before", "after"])
@pytest.mark.parametrize("subagents", [False, True], ids=["unstoppable", "stoppable"])
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_the_middle_of_a_spawn_loses_no_child(way: Any, subagents: bool) -> None:
    standin = StandIn()
    standin.on("sessions_spawn", lambda: signal.raise_signal(signal.SIGINT), call_no=3, when=way)
    orchestrator = Orchestrator(3, tools=standin.tools(subagents=subagents))
    with pytest.raises(RunInterrupted) as interrupted:
        orchestrator.run_parallel(asks(5, "[[stuck]]", **STUCK))
    assert set(interrupted.value.results) == {f"t{index}" for index in range(5)}
    assert not any(result.success for result in interrupted.value.results.values())
    assert len(standin.children) == (3 if way == "after" else 2)
    assert_accounted_for(standin, orchestrator)
    if subagents:
        assert standin.alive == [], "the interrupted spawn was not found by its label"


@pytest.mark.parametrize("tool", ["sessions_spawn", "sessions_list", "sessions_history"])
@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_any_call_keeps_what_had_finished(tool: str) -> None:
    standin = StandIn()
    call_no = {"sessions_spawn": 5, "sessions_list": 4, "sessions_history": 3}[tool]
    standin.on(tool, lambda: signal.raise_signal(signal.SIGINT), call_no=call_no)
    orchestrator = Orchestrator(2, tools=standin.tools(subagents=True))
    with pytest.raises(RunInterrupted) as interrupted:
        orchestrator.run_parallel([*asks(2), *(ask(f"s{index}", "[[sleep=0.1]]") for index in range(8))])
    results = interrupted.value.results
    assert len(results) == 10
    assert results == orchestrator.results
    done = [result for result in results.values() if result.success]
    assert done
    assert all(result.output for result in done)
    assert any(result.status == "cancelled" for result in results.values())
    assert standin.alive == []


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt("own"), asyncio.CancelledError()], ids=repr)
@pytest.mark.parametrize("tool", ["sessions_spawn", "sessions_list", "sessions_history"])
@BOTH
def test_what_is_no_exception_cancels_the_run_and_comes_through(
    error: BaseException, tool: str, asynchronous: bool
) -> None:
    standin = StandIn()
    standin.on(tool, Raise(error), call_no=3)
    orchestrator = Orchestrator(2, tools=standin.tools(asynchronous=asynchronous, subagents=True))
    with pytest.raises(BaseException) as raised:
        orchestrator.run_parallel([*asks(3), *(ask(f"s{index}", "[[sleep=0.2]]") for index in range(4))])
    assert isinstance(raised.value, type(error))
    assert not isinstance(raised.value, Exception)
    assert len(orchestrator.results) == 7
    assert "completed" in statuses(orchestrator.results).values()
    assert "cancelled" in statuses(orchestrator.results).values()
    assert standin.alive == []
    assert_accounted_for(standin, orchestrator)


def test_cancelling_the_coroutine_ends_a_tool_that_hangs() -> None:
    standin = StandIn()
    standin.on("sessions_spawn", hang_async, call_no=3)

    async def main() -> Orchestrator:
        orchestrator = Orchestrator(5, tools=standin.tools(asynchronous=True, subagents=True))
        done: list[str] = []

        def callback(result: AgentResult) -> None:
            done.append(result.task_id)
            if len(done) == 2:
                asyncio.get_running_loop().call_later(0.05, run.cancel)

        tasks = [*asks(2), *(ask(f"s{index}", "[[stuck]]") for index in range(3))]
        run = asyncio.create_task(orchestrator.arun(tasks, callback))
        with pytest.raises(asyncio.CancelledError):
            await run
        return orchestrator

    orchestrator = asyncio.run(main())
    assert len(orchestrator.results) == 5
    assert statuses(orchestrator.results)["t0"] == "completed"
    assert_accounted_for(standin, orchestrator)
    assert standin.alive == []


@pytest.mark.parametrize("kept", [True, False], ids=["by its own runtime", "by us"])
@BOTH
def test_what_an_agent_had_written_when_its_time_was_up_is_kept(kept: bool, asynchronous: bool) -> None:
    answers = lambda request: Reply("never said", 3600.0, wrote="half of it")  # noqa: E731
    standin = StandIn(Habits(keeps_run_timeouts=kept, tells_run_timeouts=True), answers)
    orchestrator = Orchestrator(tools=standin.tools(asynchronous=asynchronous, subagents=True), retry=RetryPolicy(1))
    result = orchestrator.run_parallel([ask("t0", timeout_seconds=0.3)])["t0"]
    assert (result.status.value, result.raw) == ("timeout", "half of it")
    assert standin.alive == []


@BOTH
def test_what_an_agent_had_written_when_it_was_cancelled_is_kept(asynchronous: bool) -> None:
    answers = lambda request: Reply("never said", 3600.0, wrote="half of it")  # noqa: E731
    standin = StandIn(answers=answers)
    orchestrator = Orchestrator(tools=standin.tools(asynchronous=asynchronous, subagents=True))
    result = cancelled_when_running(orchestrator, standin, [ask("t0", **STUCK)])["t0"]
    assert (result.status.value, result.raw) == ("cancelled", "half of it")


def test_an_agent_that_works_on_with_a_tool_has_not_answered() -> None:
    standin = StandIn(Habits(premature_timeout_seconds=1000), lambda request: Reply("all of it", 0.3, wrote="half"))
    result = Orchestrator(tools=standin.tools()).run_parallel([ask("t0")])["t0"]
    assert result.output == "all of it"


@pytest.mark.parametrize("told", [False, True], ids=["ignored", "told and not kept"])
def test_a_timeout_stops_its_agent_before_the_next_one_starts(told: bool) -> None:
    standin = StandIn(Habits(keeps_run_timeouts=False, tells_run_timeouts=told))
    orchestrator = Orchestrator(tools=standin.tools(subagents=True))
    results = orchestrator.run_parallel([ask("t0", "[[claude-haiku-4-5: stuck]]", timeout_seconds=0.2)])
    assert_all_completed(results, 1)
    assert [outcome for _, outcome in outcomes(results["t0"])] == ["timeout", "completed"]
    assert outcomes(results["t0"])[1][0] == K2P5
    assert standin.alive_max == 1


def test_nothing_is_paid_twice_where_an_agent_cannot_be_stopped() -> None:
    standin = StandIn(Habits(keeps_run_timeouts=False))
    orchestrator = Orchestrator(tools=standin.tools())
    result = orchestrator.run_parallel([ask("t0", "[[stuck]]", timeout_seconds=0.2)])["t0"]
    assert result.failed
    assert len(standin.children) == 1
    assert_accounted_for(standin, orchestrator)


def test_sessions_that_stay_are_reported() -> None:
    standin = StandIn()
    orchestrator = Orchestrator(3, tools=standin.tools())
    assert_all_completed(orchestrator.run_parallel(asks(5)), 5)
    told = {each["session_key"]: each for each in orchestrator.sessions_left}
    assert set(told) == {each.key for each in standin.left}
    assert all(each["reason"] for each in told.values())


@BOTH
@pytest.mark.parametrize("answers", ["dict", "object", "envelope", "text"])
def test_sessions_are_deleted_where_something_can(asynchronous: bool, answers: str) -> None:
    standin = StandIn()
    orchestrator = Orchestrator(3, tools=standin.tools(asynchronous=asynchronous, answers=answers, sessions=True))
    assert_all_completed(orchestrator.run_parallel(asks(5)), 5)
    assert standin.left == []
    assert orchestrator.sessions_left == []


def test_a_session_that_cannot_be_deleted_is_reported_alone() -> None:
    standin = StandIn()
    standin.on("sessions", Raise(RuntimeError("the disk is full")), call_no=2, when="before")
    orchestrator = Orchestrator(3, tools=standin.tools(sessions=True))
    assert_all_completed(orchestrator.run_parallel(asks(5)), 5)
    (told,) = orchestrator.sessions_left
    assert "the disk is full" in told["reason"]
    assert {told["session_key"]} == {each.key for each in standin.left}


def test_sessions_that_were_to_be_kept_are_not_reported() -> None:
    orchestrator = Orchestrator(3, tools=StandIn().tools(), cleanup="keep")
    assert_all_completed(orchestrator.run_parallel(asks(5)), 5)
    assert orchestrator.sessions_left == []


def test_at_its_deadline_a_run_ends_with_what_has_finished() -> None:
    standin = StandIn()
    orchestrator = Orchestrator(3, tools=standin.tools(subagents=True), deadline_seconds=0.3)
    begun = time.monotonic()
    results = orchestrator.run_parallel([ask("quick"), ask("stuck", "[[stuck]]", **STUCK)])
    assert time.monotonic() - begun < 2
    assert results["quick"].success
    assert not results["stuck"].success
    assert standin.alive == []


HANGS = f"""
import sys
sys.path.insert(0, {str(child.REPOSITORY / "tests")!r})
from parallel_agents import Orchestrator, RunInterrupted
from python.injected import ask, asks, hang, hang_async
from standin import StandIn

standin = StandIn()

def hang_and_tell():
    print("running", file=sys.stderr, flush=True)
    return hang_async() if ASYNC else hang()

standin.on("TOOL", hang_and_tell, call_no=2)
orchestrator = Orchestrator(3, tools=standin.tools(subagents=True, asynchronous=ASYNC))
try:
    orchestrator.run_parallel([ask("quick"), *asks(2, "[[sleep=0.3]]"), ask("stuck", "[[stuck]]")])
except RunInterrupted as interrupted:
    print(sorted(result.status.value for result in interrupted.results.values()), len(standin.alive))
    sys.exit(5)
"""


@pytest.mark.parametrize("tool", ["sessions_spawn", "sessions_list", "sessions_history"])
@BOTH
def test_ctrl_c_ends_a_tool_that_hangs(tool: str, asynchronous: bool) -> None:
    program = HANGS.replace("TOOL", tool).replace("ASYNC", str(asynchronous))
    with child.started(sys.executable, "-c", program) as process:
        told = child.interrupt_after(process, "running")
        assert process.returncode == 5, told
    assert told.split()[-1] == "0", "a child was left alive"
    # What had ended before its answer was read is paid for, and kept.
    assert "cancelled" in told or tool == "sessions_history"
