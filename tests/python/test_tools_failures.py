"""What goes wrong with injected tools: one attempt fails and says why, its siblings do not notice."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from parallel_agents import AgentStatus, Orchestrator, RetryPolicy
from standin import Habits, StandIn

from .injected import (
    HAIKU,
    K2P5,
    OPUS,
    Raise,
    ask,
    asks,
    assert_accounted_for,
    assert_all_completed,
    outcomes,
    post,
    posts,
    statuses,
)

pytestmark = pytest.mark.usefixtures("ends")

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
QUICK = RetryPolicy(delay_first_seconds=0.01, delay_max_seconds=0.02)
GARBAGE: list[Any] = [42, "no JSON", b"bytes", [], {}, {"status": "accepted"}, {"ok": True, "result": None}, [[1]]]


@BOTH
@pytest.mark.parametrize("tool", ["sessions_spawn", "sessions_history"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_tool_that_raises_fails_that_attempt_alone(asynchronous: bool, tool: str, when: Any) -> None:
    standin = StandIn()
    standin.on(tool, Raise(RuntimeError("the tool broke")), call_no=2, when=when)
    orchestrator = Orchestrator(3, tools=standin.tools(asynchronous=asynchronous), retry=QUICK)
    results = orchestrator.run_parallel(asks(6, "[[sleep=0.02]]"))
    assert len(results) == 6
    assert sum(result.success for result in results.values()) >= 5
    spoilt = [result for result in results.values() if len(result.metadata["attempts"]) > 1 or result.failed]
    if tool == "sessions_spawn" and when == "before":
        assert len(spoilt) == 1
    for result in spoilt:
        first = result.metadata["attempts"][0]
        assert first["outcome"] != "completed"
        assert "the tool broke" in first["reason"]
    assert standin.alive == []
    assert_accounted_for(standin, orchestrator)


@pytest.mark.parametrize("tool", ["sessions_spawn", "sessions_history"])
def test_a_tool_that_always_raises_fails_every_task_with_its_words(tool: str) -> None:
    standin = StandIn()
    standin.on(tool, Raise(RuntimeError("the tool broke")), when="before")
    results = Orchestrator(3, tools=standin.tools(), retry=QUICK).run_parallel(asks(4))
    assert len(results) == 4
    for result in results.values():
        assert result.failed
        assert "the tool broke" in str(result.error)
        assert 1 <= len(result.metadata["attempts"]) <= 8


@BOTH
@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_a_spawn_that_answers_garbage_fails_that_attempt_alone(asynchronous: bool, garbage: Any) -> None:
    standin = StandIn()
    standin.on("sessions_spawn", lambda: garbage, call_no=2)
    orchestrator = Orchestrator(3, tools=standin.tools(asynchronous=asynchronous), retry=QUICK)
    results = orchestrator.run_parallel(asks(4, "[[sleep=0.02]]"))
    assert len(results) == 4
    assert sum(result.success for result in results.values()) >= 3
    for result in results.values():
        assert all(attempt["reason"] for attempt in result.metadata["attempts"][:-1])
    assert_accounted_for(standin, orchestrator)


@pytest.mark.parametrize("garbage", GARBAGE, ids=repr)
def test_a_look_that_answers_garbage_is_looked_again(garbage: Any) -> None:
    standin = StandIn()
    standin.on("sessions_list", lambda: garbage, call_no=1)
    results = Orchestrator(3, tools=standin.tools()).run_parallel(asks(4, "[[sleep=0.02]]"))
    assert_all_completed(results, 4)


@pytest.mark.parametrize("garbage", [42, {}, "raises"], ids=repr)
def test_where_looks_never_tell_anything_the_answers_are_found_once_the_time_is_up(garbage: Any) -> None:
    standin = StandIn()
    effect = Raise(RuntimeError("the tool broke")) if garbage == "raises" else lambda: garbage
    standin.on("sessions_list", effect)
    orchestrator = Orchestrator(3, tools=standin.tools(), retry=QUICK, model=HAIKU)
    results = orchestrator.run_parallel([*asks(2, timeout_seconds=0.3), ask("stuck", "[[stuck]]", timeout_seconds=0.3)])
    assert statuses(results) == {"t0": "completed", "t1": "completed", "stuck": "timeout"}
    assert len(standin.children) == 3


@BOTH
def test_a_look_that_raises_is_looked_again(asynchronous: bool) -> None:
    standin = StandIn()
    standin.on("sessions_list", Raise(OSError("no route")), call_no=1)
    standin.on("sessions_list", Raise(OSError("no route")), call_no=2)
    results = Orchestrator(3, tools=standin.tools(asynchronous=asynchronous)).run_parallel(asks(4, "[[sleep=0.02]]"))
    assert_all_completed(results, 4)


@pytest.mark.parametrize("garbage", [42, "no JSON", {}, {"messages": 7}, {"messages": [None, 3]}], ids=repr)
def test_a_history_that_is_garbage_is_no_answer(garbage: Any) -> None:
    standin = StandIn()
    standin.on("sessions_history", lambda: garbage, call_no=1)
    results = Orchestrator(1, tools=standin.tools(), retry=QUICK).run_parallel(asks(3))
    assert len(results) == 3
    assert sum(result.success for result in results.values()) >= 2
    assert all(result.output != "None" for result in results.values())


def test_an_unusable_answer_is_asked_for_again_and_then_climbs() -> None:
    standin = StandIn()
    orchestrator = Orchestrator(4, tools=standin.tools())
    results = orchestrator.run_parallel(posts(4, "[[claude-haiku-4-5: garbage]]"))
    assert_all_completed(results, 4)
    for result in results.values():
        assert outcomes(result) == [(HAIKU, "output"), (HAIKU, "output"), (K2P5, "completed")]
        assert result.metadata["tier"] == 1
        assert result.metadata["model_used"] == K2P5


@BOTH
def test_a_failed_agent_and_a_silent_one_climb_at_once(asynchronous: bool) -> None:
    standin = StandIn()
    tasks = [ask("fails", "[[claude-haiku-4-5: http=400]]"), ask("silent", "[[claude-haiku-4-5: empty]]")]
    results = Orchestrator(tools=standin.tools(asynchronous=asynchronous)).run_parallel(tasks)
    assert_all_completed(results, 2)
    for result in results.values():
        assert outcomes(result) == [(HAIKU, "model"), (K2P5, "completed")]


def test_the_words_of_a_failure_are_no_answer_but_the_reason() -> None:
    # An agent whose provider was tried again and again: called timed out first, and then it failed with a message.
    late = StandIn(Habits(premature_timeout_seconds=1000))
    for standin in (StandIn(), late):
        result = Orchestrator(tools=standin.tools(), model=HAIKU, retry=QUICK).run_parallel(
            [ask("t0", "[[sleep=0.05]] [[http=400]]", timeout_seconds=0.5)]
        )["t0"]
        assert result.failed, result.output
        assert result.output is None
        if standin is not late:
            assert "LLM request failed" in str(result.error)


def test_when_every_model_fails_the_task_fails_after_all_of_them() -> None:
    standin = StandIn()
    result = Orchestrator(tools=standin.tools()).run_parallel([ask("t0", "[[http=400]]")])["t0"]
    assert result.status is AgentStatus.FAILED
    assert outcomes(result) == [(model, "model") for model in (HAIKU, K2P5, OPUS)]


def test_a_model_that_the_runtime_does_not_know_is_left_for_the_next() -> None:
    standin = StandIn(Habits(models=(K2P5, OPUS)))
    results = Orchestrator(3, tools=standin.tools()).run_parallel(asks(3))
    assert_all_completed(results, 3)
    assert {result.metadata["model_used"] for result in results.values()} == {K2P5}
    assert len(standin.children) == 3


def test_a_refusal_that_no_repetition_can_help_is_told_in_the_runtimes_words() -> None:
    standin = StandIn()
    refusal = {"status": "forbidden", "error": "sessions_spawn is not allowed at this depth (current depth: 1, max: 1)"}
    standin.on("sessions_spawn", lambda: refusal, when="before")
    results = Orchestrator(3, tools=standin.tools(), retry=QUICK).run_parallel(asks(3))
    assert {result.status for result in results.values()} == {AgentStatus.FAILED}
    for result in results.values():
        assert "not allowed at this depth" in str(result.error)
        assert len(result.metadata["attempts"]) == 1


@BOTH
def test_a_full_child_limit_spends_no_attempt(asynchronous: bool) -> None:
    standin = StandIn(Habits(children_max=3))
    orchestrator = Orchestrator(12, tools=standin.tools(asynchronous=asynchronous))
    results = orchestrator.run_parallel(asks(12, "[[sleep=0.05]]"))
    assert_all_completed(results, 12)
    assert {len(result.metadata["attempts"]) for result in results.values()} == {1}
    assert {result.metadata["model_used"] for result in results.values()} == {HAIKU}
    assert (len(standin.children), standin.alive_max) == (12, 3)
    assert len(standin.spawns) < 100, "the full runtime was asked over and over"


def test_the_concurrency_asked_for_is_kept() -> None:
    standin = StandIn()
    assert_all_completed(Orchestrator(4, tools=standin.tools()).run_parallel(asks(30, "[[sleep=0.01]]")), 30)
    assert standin.alive_max == 4


@BOTH
def test_json_that_was_cut_is_told_as_cut_and_not_paid_for_again(asynchronous: bool) -> None:
    standin = StandIn()
    orchestrator = Orchestrator(tools=standin.tools(asynchronous=asynchronous))
    results = orchestrator.run_parallel([post("long", "[[length=7000]]"), post("short")])
    assert results["short"].success
    long = results["long"]
    assert long.status is AgentStatus.FAILED
    assert outcomes(long) == [(HAIKU, "truncated")]
    assert "gateway" in str(long.error)
    assert long.metadata["truncated"] is True
    assert long.output is None
    whole = next(child.reply.text for child in standin.children if child.key == long.session_key)
    assert long.raw is not None
    assert long.raw[:4000] == whole[:4000]
    assert len(standin.children) == 2


def test_what_depends_on_a_cut_answer_is_skipped() -> None:
    results = Orchestrator(tools=StandIn().tools()).run_parallel(
        [post("long", "[[length=7000]]"), ask("next", dependencies=["long"])]
    )
    assert statuses(results) == {"long": "failed", "next": "skipped"}


@pytest.mark.parametrize("answers", ["dict", "json", "envelope", "bare"])
def test_a_text_that_was_cut_is_kept_with_a_warning(answers: str, caplog: pytest.LogCaptureFixture) -> None:
    text = "word " * 1200
    with caplog.at_level(logging.WARNING, logger="parallel_agents"):
        orchestrator = Orchestrator(tools=StandIn().tools(answers=answers))
        result = orchestrator.run_parallel([ask("t0", f"[[say={text}]]")])["t0"]
    assert result.success, result.error
    assert result.metadata["truncated"] is True
    assert str(result.output).startswith(text[:3900])
    assert "t0" in caplog.text


def test_json_that_parses_in_spite_of_a_long_prompt_that_was_cut_is_whole() -> None:
    standin = StandIn()
    task = post("t0", input_data={"text": "long " * 2000})
    result = Orchestrator(tools=standin.tools()).run_parallel([task])["t0"]
    assert result.success, result.error
    assert result.metadata["truncated"] is False
    assert result.raw is not None
    assert json.loads(result.raw[result.raw.index("{") : result.raw.rindex("}") + 1]) == result.output


def test_an_answer_of_just_the_limit_is_whole() -> None:
    result = Orchestrator(tools=StandIn().tools()).run_parallel([post("t0", "[[length=4000]]")])["t0"]
    assert result.success, result.error
    assert result.metadata["truncated"] is False
