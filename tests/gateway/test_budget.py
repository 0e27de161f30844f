"""Runs with a budget on a real gateway, whose own prices count."""

from __future__ import annotations

from pathlib import Path

import pytest
from parallel_agents import AgentStatus, Budget, Orchestrator, Tier

from .apart import RecordedFact, facts
from .case import Case
from .openclaw import HAIKU, Gateway
from .tasks import assert_all_completed, posts

COUNT = 10
CAP = 0.3
# Somewhat less than is reserved for an agent: 12,000 tokens in beside the prompt, 8,000 out.
TOKENS = (10_000, 6_000)
COST = (TOKENS[0] * HAIKU.input_price + TOKENS[1] * HAIKU.output_price) / 1e6


def in_flight(recorded: list[RecordedFact]) -> list[int]:
    """How many attempts were under way after each start and end."""
    counts = [0]
    for fact in recorded:
        counts.append(counts[-1] + (fact.kind == "attempt_planned") - (fact.kind == "attempt_ended"))
    return [count for count, before in zip(counts[1:], counts, strict=False) if count != before]


def test_a_cap_in_dollars_is_kept_by_the_prices_that_the_gateway_tells(
    gateway: Gateway, case: Case, journal: Path
) -> None:
    before = gateway.sessions()
    orchestrator = Orchestrator(
        max_concurrent=COUNT, model=HAIKU.name, budget=Budget(usd=CAP), journal=journal, cleanup="keep"
    )
    results = orchestrator.run_parallel(posts(case, COUNT, f"[[usage={TOKENS[0]},{TOKENS[1]}]]"))
    keys = gateway.sessions() - before
    with gateway.client() as client:
        sessions = [client.call("sessions.describe", {"key": key})["session"] for key in keys]
        for key in keys:
            client.call("sessions.delete", {"key": key, "deleteTranscript": False})

    done = {name: result for name, result in results.items() if result.success}
    left = {name: result for name, result in results.items() if not result.success}
    assert_all_completed(done, len(case.calls()))
    assert 0 < len(left) < COUNT
    for result in left.values():
        assert result.status == AgentStatus.CANCELLED
        assert "budget" in str(result.error)
    # While nobody knows what it costs, an agent runs alone; once that is known, as many as the cap bears.
    flying = in_flight(facts(journal, str(results.run_id)))
    assert flying[:2] == [1, 0]
    assert max(flying) > 2

    spent = results.report["budget"]["usd"]["spent"]
    assert spent == pytest.approx(len(done) * COST)
    assert spent == pytest.approx(sum(session["estimatedCostUsd"] for session in sessions))
    assert spent == pytest.approx(sum(result.metadata["cost"] for result in done.values()))
    assert spent == pytest.approx(results.report["cost"])
    assert spent <= CAP
    assert results.report["budget"]["usd"]["overrun"] == 0
    assert results.report["budget"]["attempts_unpriced"] == 0
    not_started = results.report["budget"]["not_started"]
    assert {task["task_id"] for task in not_started} == set(left)
    for task in not_started:
        assert task["cap"] == "usd"
        assert spent + task["usd"] > CAP

    # A larger budget counts what was spent and starts the rest.
    more = Orchestrator.resume(str(results.run_id), journal, budget=Budget(usd=1))
    assert_all_completed(more, COUNT)
    assert len(case.calls()) == COUNT
    assert more.report["budget"]["usd"]["spent"] == pytest.approx(COUNT * COST)
    assert more.report["budget"]["not_started"] == []
    with gateway.client() as client:
        for key in gateway.sessions() - before:
            client.call("sessions.delete", {"key": key, "deleteTranscript": False})


def test_attempts_above_their_reservation_are_told_as_the_overrun(gateway: Gateway, case: Case) -> None:
    cheap = Tier(HAIKU.name, price={"input": HAIKU.input_price, "output": HAIKU.output_price})
    orchestrator = Orchestrator(max_concurrent=3, models=[cheap], budget=Budget(usd=0.2))
    # What an agent is taken to need is 52 thousandths of a dollar and its prompt; each takes 120.
    results = orchestrator.run_parallel(posts(case, 6, "[[usage=20000,20000]]"))

    done = [result for result in results.values() if result.success]
    spent = results.report["budget"]["usd"]["spent"]
    assert len(done) == len(case.calls()) == 3
    assert spent == pytest.approx(3 * 0.12)
    assert spent - 0.2 <= results.report["budget"]["usd"]["overrun"]
    assert results.report["budget"]["usd"]["overrun"] == pytest.approx(3 * 0.12 - 3 * 0.054, abs=0.003)
