"""What keeps a run from doing harm: breakers, limits on idle agents, on tasks and on answers."""

from __future__ import annotations

import time
from typing import Any

import pytest
from parallel_agents import AgentStatus, AgentTask, CircuitBreaker, OptionError, Orchestrator, PlanError, Rehearsal
from standin import Habits, Reply, StandIn

from .injected import HAIKU, K2P5, ask, asks, outcomes, post, posts, statuses
from .tasks import review

pytestmark = pytest.mark.usefixtures("ends")


def models_asked(standin: StandIn) -> list[str]:
    return [child.model for child in standin.children]


def test_a_model_that_fails_for_one_task_after_another_is_left_alone() -> None:
    standin = StandIn()
    breaker = CircuitBreaker(failures_max=3, pause_seconds=600)
    orchestrator = Orchestrator(1, tools=standin.tools(), models=[HAIKU, K2P5], breaker=breaker)
    results = orchestrator.run_parallel(asks(10, "[[claude-haiku-4-5: http=429]]"))
    assert all(result.success for result in results.values())
    assert results.report["breakers_opened"] == 1
    assert models_asked(standin).count(HAIKU) == 3
    assert outcomes(results["t9"]) == [(K2P5, "completed")]


def test_without_breakers_every_task_asks_for_itself() -> None:
    standin = StandIn()
    breaker = CircuitBreaker(failures_max=0)
    orchestrator = Orchestrator(1, tools=standin.tools(), models=[HAIKU, K2P5], breaker=breaker)
    results = orchestrator.run_parallel(asks(10, "[[claude-haiku-4-5: http=429]]"))
    assert results.report["breakers_opened"] == 0
    assert models_asked(standin).count(HAIKU) == 10


def test_a_breaker_lets_one_try_after_its_pause() -> None:
    standin = StandIn()
    breaker = CircuitBreaker(failures_max=2, pause_seconds=0.2)
    orchestrator = Orchestrator(1, tools=standin.tools(), model=HAIKU, breaker=breaker)
    tasks = [*asks(2, "[[http=429]]"), ask("later")]
    since = time.monotonic()
    results = orchestrator.run_parallel(tasks)
    assert statuses(results) == {"t0": "failed", "t1": "failed", "later": "completed"}
    assert results.report["breakers_opened"] == 1
    assert time.monotonic() - since >= 0.1


def test_what_a_breaker_has_given_up_is_not_paid_for() -> None:
    standin = StandIn()
    breaker = CircuitBreaker(failures_max=2, pause_seconds=0.01, trials_max=2)
    results = Orchestrator(1, tools=standin.tools(), model=HAIKU, breaker=breaker).run_parallel(
        asks(20, "[[http=429]]")
    )
    assert len(standin.children) < 10
    assert results["t19"].status is AgentStatus.CANCELLED
    assert "failed too often in a row" in str(results["t19"].error)
    assert results["t19"].metadata["cost"] == 0


def test_one_tasks_own_retries_open_no_breaker() -> None:
    standin = StandIn()
    results = Orchestrator(tools=standin.tools()).run_parallel([post("only", "[[http=503]]")])
    assert results["only"].failed
    assert results.report["breakers_opened"] == 0


@pytest.mark.parametrize(
    ("breaker", "words"),
    [
        (CircuitBreaker(failures_max=-1), "`breaker.failures_max` is `-1`, expected a whole number from 0 to 1000000"),
        (CircuitBreaker(pause_seconds=0), "`breaker.pause_seconds` is `0`, expected a number of seconds above 0"),
        (CircuitBreaker(trials_max=0), "`breaker.trials_max` is `0`, expected a whole number from 1 to 1000"),
        ({"pause": 3}, "unknown option `breaker.pause`"),
        ("no", '`breaker` is `"no"`, expected an object'),
    ],
    ids=str,
)
def test_a_bad_breaker_is_named_with_its_value(breaker: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Orchestrator(rehearsal=True, breaker=breaker)


def test_a_tasks_deadline_covers_all_its_attempts() -> None:
    standin = StandIn(Habits(speed=10))
    task = ask("slow", "[[sleep=100]]", timeout_seconds=60, deadline_seconds=0.3)
    other = ask("other", "[[sleep=6]]")
    results = Orchestrator(tools=standin.tools(subagents=True), models=[HAIKU, K2P5]).run_parallel([task, other])
    assert statuses(results) == {"slow": "timeout", "other": "completed"}
    assert results["slow"].error == "the task's time of 0.3 s is up"
    assert len(results["slow"].metadata["attempts"]) == 1
    assert standin.alive == []


@pytest.mark.parametrize("value", [0, -1, "soon", float("nan")], ids=str)
def test_a_bad_deadline_of_a_task_is_named(value: Any) -> None:
    with pytest.raises(PlanError, match="deadline_seconds"):
        Orchestrator(rehearsal=True).run_parallel([review("only", deadline_seconds=value)])


def test_a_tasks_deadline_stands_among_its_fields() -> None:
    task = AgentTask("code_reviewer", "Review it.", deadline_seconds=5)
    assert task.to_dict()["deadline_seconds"] == 5


def test_an_agent_that_does_nothing_for_too_long_is_stopped() -> None:
    reply = Reply("never told", seconds=3600, wrote="A beginning.", busy_seconds=1)
    standin = StandIn(answers=lambda request: reply)
    orchestrator = Orchestrator(tools=standin.tools(subagents=True), model=HAIKU, idle_seconds=0.5)
    result = orchestrator.run_parallel([ask("idle", timeout_seconds=600)])["idle"]
    assert result.status is AgentStatus.TIMEOUT
    assert "nothing was heard of the agent for too long" in str(result.error)
    assert result.raw == "A beginning."
    assert standin.alive == []


def test_bad_idle_times_and_answer_sizes_are_named() -> None:
    for option, value in (
        ("idle_seconds", 0),
        ("idle_seconds", "x"),
        ("output_bytes_max", 0),
        ("output_bytes_max", 2.5),
    ):
        with pytest.raises(OptionError, match=f"`{option}` is"):
            Orchestrator(rehearsal=True, **{option: value})  # type: ignore[arg-type]


def test_an_answer_longer_than_allowed_is_cut_and_said_to_be() -> None:
    standin = StandIn()
    orchestrator = Orchestrator(tools=standin.tools(), output_bytes_max=10)
    results = orchestrator.run_parallel([ask("text", "[[say=0123456789abcdef]]"), posts(1)[0]])
    assert results["text"].output == "0123456789"
    assert results["text"].metadata["truncated"] is True
    assert results["t0"].status is AgentStatus.FAILED
    assert outcomes(results["t0"]) == [(HAIKU, "truncated")]


def test_breakers_hold_in_a_rehearsal_of_failures() -> None:
    orchestrator = Orchestrator(rehearsal=Rehearsal(failure_rate=1.0), breaker=CircuitBreaker(failures_max=2))
    results = orchestrator.run_parallel([review(f"t{index}") for index in range(50)])
    assert len(results) == 50
    assert results.report["breakers_opened"] > 0
    assert results.report["attempts"] < 150
