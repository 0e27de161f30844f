"""How the end of agents is found with injected tools: by looks that all agents share, as often as they are worth."""

from __future__ import annotations

import time
from typing import Any

import pytest
from parallel_agents import AgentStatus, Orchestrator
from standin import Habits, Reply, StandIn

from .injected import HAIKU, ask, asks, assert_all_completed, outcomes, post

pytestmark = pytest.mark.usefixtures("ends")


def run(standin: StandIn, tasks: Any, *, max_concurrent: int = 5, **shape: Any) -> float:
    """Runs tasks that must all complete. Returns the seconds it took."""
    orchestrator = Orchestrator(max_concurrent, tools=standin.tools(**shape))
    begun = time.monotonic()
    results = orchestrator.run_parallel(tasks)
    seconds = time.monotonic() - begun
    assert_all_completed(results, len(tasks))
    return seconds


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_nothing_sleeps_for_a_fixed_time(asynchronous: bool) -> None:
    assert run(StandIn(), asks(25), asynchronous=asynchronous) < 0.5


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_first_look_comes_within_a_tenth_of_a_second(asynchronous: bool) -> None:
    standin = StandIn()
    run(standin, asks(3, "[[sleep=0.4]]"), asynchronous=asynchronous)
    spawned = standin.calls_of("sessions_spawn")[2].over
    assert spawned is not None
    assert standin.looks[0].begun - spawned < 0.1


def test_one_look_serves_all_agents() -> None:
    few, many = StandIn(), StandIn()
    run(few, asks(4, "[[sleep=0.3]]"), max_concurrent=4)
    run(many, asks(150, "[[sleep=0.3]]"), max_concurrent=150)
    assert len(many.looks) <= 2 * len(few.looks) + 10
    assert len(many.looks) < 60
    assert len(many.calls_of("sessions_history")) == 150


def test_an_agents_text_is_asked_for_once_and_only_when_it_has_ended() -> None:
    standin = StandIn()
    run(standin, asks(6, "[[sleep=0.2]]"), max_concurrent=3)
    asked = [call.arguments["sessionKey"] for call in standin.calls_of("sessions_history")]
    assert sorted(asked) == sorted(child.key for child in standin.children)


@pytest.mark.parametrize("look_seconds", [0.05, 0.1])
def test_slow_looks_that_find_nothing_take_a_tenth_of_the_time_at_most(look_seconds: float) -> None:
    standin = StandIn(Habits(list_seconds=look_seconds))
    seconds = run(standin, asks(3, "[[sleep=1.2]]"), max_concurrent=3)
    fruitless = sum(look.seconds for look in standin.looks if not look.news)
    # One look is always allowed: without it nothing is known.
    assert fruitless <= 0.1 * seconds + 1.5 * look_seconds
    assert seconds < 1.2 + 12 * look_seconds + 0.3, "an end was found late"


def test_quick_looks_find_an_end_quickly() -> None:
    standin = StandIn()
    seconds = run(standin, asks(40, "[[sleep=0.05]]"), max_concurrent=4)
    assert seconds < 1.5 * 10 * 0.05


def test_all_pages_are_read_until_each_awaited_session_was_seen() -> None:
    standin = StandIn(Habits(rows_default=10, rows_max=20))
    run(standin, asks(90, "[[sleep=0.1]]"), max_concurrent=90)
    pages = standin.calls_of("sessions_list")
    assert max(look.pages for look in standin.looks) == 5
    assert all(90 <= call.arguments["limit"] <= 200 for call in pages if not call.arguments.get("offset"))
    offsets = {call.arguments["offset"] for call in pages if call.arguments.get("offset")}
    assert offsets <= {20, 40, 60, 80}


def test_pages_that_hold_nobody_awaited_are_not_read() -> None:
    # The sessions of others are older than ours, and so come last.
    standin = StandIn(Habits(rows_max=20, other_rows=500))
    run(standin, asks(30, "[[sleep=0.05]]"), max_concurrent=5)
    assert max(look.pages for look in standin.looks) <= 2


@pytest.mark.parametrize("done", ["completed", None], ids=["completed", "no status at all"])
@pytest.mark.parametrize("answers", ["dict", "bare"])
def test_rows_are_read_as_old_programs_did(done: Any, answers: str) -> None:
    standin = StandIn(Habits(done=done))
    run(standin, [*asks(4, "[[sleep=0.05]]"), post("json")], max_concurrent=3, answers=answers)


def test_queued_agents_are_waited_for() -> None:
    standin = StandIn(Habits(lane=2))
    run(standin, asks(9, "[[sleep=0.03]]"), max_concurrent=9)
    assert standin.alive_max == 9
    assert len(standin.children) == 9


@pytest.mark.parametrize("settling", [0.0, 0.05], ids=["queued at once", "called running at first"])
@pytest.mark.parametrize("subagents", [False, True], ids=["unstoppable", "stoppable"])
def test_time_in_a_queue_is_not_counted_against_the_agent(settling: float, subagents: bool) -> None:
    standin = StandIn(Habits(lane=1, settling_seconds=settling))
    run(standin, asks(4, "[[sleep=0.3]]", timeout_seconds=0.5), max_concurrent=4, subagents=subagents)
    assert len(standin.children) == 4


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_premature_timeout_is_not_final(asynchronous: bool) -> None:
    standin = StandIn(Habits(premature_timeout_seconds=0.15))
    orchestrator = Orchestrator(tools=standin.tools(asynchronous=asynchronous))
    results = orchestrator.run_parallel(asks(3, "[[sleep=0.2]] [[say=late]]", timeout_seconds=30))
    assert_all_completed(results, 3)
    assert {result.output for result in results.values()} == {"late"}
    assert {attempt for result in results.values() for attempt in outcomes(result)} == {(HAIKU, "completed")}


def test_an_answer_that_crossed_its_timeout_is_kept() -> None:
    # The registry called the agent timed out, and it had answered all the same.
    standin = StandIn(Habits(premature_timeout_seconds=1000))
    assert_all_completed(Orchestrator(tools=standin.tools()).run_parallel(asks(3)), 3)


def test_a_true_timeout_ends_as_one_and_climbs() -> None:
    standin = StandIn()
    orchestrator = Orchestrator(tools=standin.tools())
    results = orchestrator.run_parallel(
        [
            ask("never", "[[stuck]]", timeout_seconds=0.2, model="own/model"),
            ask("climbs", "[[claude-haiku-4-5: stuck]]", timeout_seconds=0.2),
        ]
    )
    assert results["never"].status is AgentStatus.TIMEOUT
    assert outcomes(results["never"]) == [("own/model", "timeout")]
    assert [outcome for _, outcome in outcomes(results["climbs"])] == ["timeout", "completed"]
    assert standin.alive == []


def test_agents_that_take_their_time_are_not_looked_at_all_the_time() -> None:
    standin = StandIn(answers=lambda request: Reply("done", 1.0))
    run(standin, asks(3), max_concurrent=3)
    assert len(standin.looks) < 60


def test_a_session_that_vanishes_before_it_was_seen_to_end_fails_its_attempt_alone() -> None:
    standin = StandIn()
    tools = standin.tools()
    plain_list = tools.sessions_list

    def without_the_second(**arguments: Any) -> Any:
        page = plain_list(**arguments)
        gone = {child.key for child in standin.children if child.number == 1}
        page["sessions"] = [row for row in page["sessions"] if row["key"] not in gone]
        return page

    tools.sessions_list = without_the_second
    tools.sessions_history = _forgetting(standin, tools.sessions_history)
    results = Orchestrator(3, tools=tools).run_parallel(asks(3, timeout_seconds=1))
    assert len(results) == 3
    assert sum(result.success for result in results.values()) >= 2


@pytest.mark.parametrize("rows", [0, 1], ids=["the same page again and again", "a page after every other"])
def test_a_list_that_never_ends_is_left_after_some_pages(rows: int) -> None:
    standin = StandIn()
    tools = standin.tools()
    plain_list = tools.sessions_list
    first_pages: list[int] = []

    def endless(limit: int = 100, offset: int = 0) -> Any:
        if not offset:
            first_pages.append(limit)
        if len(first_pages) > 1:
            return plain_list(limit=limit, offset=offset)
        return {"sessions": [{"key": "somebody's"}], "hasMore": True, "nextOffset": max(offset + rows, 1)}

    tools.sessions_list = endless
    assert_all_completed(Orchestrator(3, tools=tools).run_parallel(asks(3)), 3)
    assert len(first_pages) > 1


def _forgetting(standin: StandIn, history: Any) -> Any:
    def forgetting(**arguments: Any) -> Any:
        told = history(**arguments)
        gone = {child.key for child in standin.children if child.number == 1}
        return {**told, "messages": []} if arguments["sessionKey"] in gone else told

    return forgetting
