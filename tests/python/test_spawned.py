"""Orchestrations that are started as one session, over rehearsals and the stand-in of nothing: no gateway is needed."""

from __future__ import annotations

import time
from typing import Any

import pytest
from parallel_agents import Gateway, GatewayError, OptionError, Orchestrator, Rehearsal, openclaw
from parallel_agents._spawned import Orchestrations, Spawned

pytestmark = pytest.mark.usefixtures("ends")

REQUEST = "Explain how tides work, and check it"


def orchestrations(speed: float | None = None) -> Orchestrations:
    return Orchestrations(lambda **options: Orchestrator(rehearsal=Rehearsal(speed=speed), **options))


def ended(spawned: Spawned | None) -> dict[str, Any]:
    assert spawned is not None
    spawned.wait(time.monotonic() + 20)
    return spawned.row()


def test_one_is_told_as_a_session_that_ends_with_its_report() -> None:
    own = orchestrations()
    answer = own.spawn(REQUEST, label="tides")
    assert answer["status"] == "accepted"
    key = answer["childSessionKey"]
    assert answer["sessionKey"] == key
    row = ended(own.find(key))
    assert (row["key"], row["status"], row["label"]) == (key, "done", "tides")
    assert row["totalTokens"] > 0
    spawned = own.find(key)
    assert spawned is not None
    first, last = spawned.messages()
    assert first == {"role": "user", "content": REQUEST}
    assert last["role"] == "assistant"
    assert "| check | code_reviewer | 1 | completed |" in last["content"]
    assert [each["key"] for each in own.rows("tides")] == [key]
    assert own.rows("others") == []
    assert own.find("nowhere") is None


def test_one_that_runs_is_told_as_running_and_can_be_stopped() -> None:
    own = orchestrations(speed=1.0)
    spawned = own.find(own.spawn(REQUEST)["sessionKey"])
    assert spawned is not None
    assert spawned.row()["status"] == "running"
    assert len(spawned.messages()) == 1
    spawned.cancel("no longer wanted")
    row = ended(spawned)
    assert row["status"] == "killed"
    assert "no longer wanted" in row["error"]
    assert spawned.messages()[-1]["isError"] is True


def test_one_has_the_time_that_it_was_given() -> None:
    own = orchestrations()
    row = ended(own.find(own.spawn(REQUEST, timeout=1)["sessionKey"]))
    assert row["status"] == "timeout"
    assert "the run's time of 1 s is up" in row["error"]


def test_the_end_of_the_program_stops_those_that_run() -> None:
    own = orchestrations(speed=1.0)
    first, second = (own.find(own.spawn(REQUEST)["sessionKey"]) for _ in range(2))
    assert own.close() == 2
    assert [each.row()["status"] for each in (first, second) if each] == ["killed", "killed"]
    assert own.close() == 0


def test_one_without_a_gateway_is_told_at_once() -> None:
    tools = openclaw.tools(Gateway(url="ws://127.0.0.1:1", token="t"))
    with pytest.raises(GatewayError):
        tools.sessions_spawn(task=REQUEST, agent_type="agent_orchestrator", timeout=600)


def test_a_bad_argument_is_named() -> None:
    own = orchestrations()
    for fields in ({"request": " "}, {"request": REQUEST, "timeout": -1}, {"request": REQUEST, "cleanup": "burn"}):
        with pytest.raises(OptionError):
            own.spawn(**fields)
    assert len(own) == 0
