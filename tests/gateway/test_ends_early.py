"""Runs that end before their agents do, on a real gateway: nothing of ours is left, and what was written is kept."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest
from parallel_agents import AgentStatus, Orchestrator, journal_runs
from parallel_agents import Gateway as GatewayOptions

from .apart import command, run_apart
from .case import Case
from .openclaw import OPUS, Gateway
from .proxy import Json, MakeProxy
from .tasks import Way, post, posts

COUNT = 8
WORKING = 3
"""How many of them the narrow gateway lets work at once; the others wait for their turn."""
NUMBERS = " ".join(map(str, range(600)))


@pytest.mark.parametrize(
    ("path", "by"), [("agent", "Ctrl-C"), ("agent", "stop"), ("spawn", "stop"), ("agent", "deadline")]
)
def test_a_run_that_is_ended_early_leaves_no_session_behind(
    narrow_gateway: Gateway, case: Case, journal: Path, path: Way, by: str
) -> None:
    gateway = narrow_gateway
    before = gateway.sessions()
    tasks = [post(case, "quick"), *posts(case, COUNT, "[[hold]]", timeout_seconds=900, dependencies=["quick"])]
    deadline = {"deadline_seconds": 25} if by == "deadline" else {}
    with run_apart(journal, tasks, path=path, **deadline) as run:
        case.wait_for(WORKING, outcome="open")
        if by == "Ctrl-C":
            run.process.send_signal(signal.SIGINT)
        elif by == "stop":
            done = command("stop", run.id, "--journal", str(journal), "--reason", "enough of it")
            assert done.returncode == 0, done.stderr
        ended = run.end()

    assert ended["statuses"].pop("quick") == "completed"
    statuses = set(ended["statuses"].values())
    assert statuses == ({"timeout"} if by == "deadline" else {"cancelled"})
    assert ended["report"]["sessions_left"] == []
    assert gateway.live_sessions() - before == set()
    assert gateway.sessions() - before == set()
    assert [call.outcome for call in case.calls()] == ["answered", *["cut"] * WORKING]
    (row,) = journal_runs(journal)
    assert row["state"] == "ended"
    if by == "stop":
        results = Orchestrator.resume(run.id, journal)
        assert "enough of it" in str(results["t0"].error)
        assert len(case.calls()) == WORKING + 1


@pytest.mark.parametrize("path", ["agent", "spawn"])
def test_the_agents_of_a_run_whose_process_died_are_stopped_from_another_terminal(
    narrow_gateway: Gateway, case: Case, journal: Path, path: Way
) -> None:
    gateway = narrow_gateway
    before = gateway.sessions()
    with run_apart(journal, posts(case, COUNT, "[[hold]]", timeout_seconds=900), path=path) as run:
        case.wait_for(WORKING, outcome="open")
        run.kill()
    assert gateway.live_sessions() - before
    done = command("stop", run.id, "--journal", str(journal))

    assert done.returncode == 0, done.stderr
    assert gateway.live_sessions() - before == set()
    assert gateway.sessions() - before == set()
    assert {call.outcome for call in case.calls()} == {"cut"}
    assert len(case.calls()) == WORKING
    (row,) = journal_runs(journal)
    assert (row["state"], row["done"], row["completed"]) == ("ended", COUNT, 0)
    results = Orchestrator.resume(run.id, journal)
    assert {result.status for result in results.values()} == {AgentStatus.CANCELLED}
    assert len(case.calls()) == WORKING


def test_cancel_leaves_no_session_behind(narrow_gateway: Gateway, case: Case, journal: Path) -> None:
    gateway = narrow_gateway
    before = gateway.sessions()
    orchestrator = Orchestrator(max_concurrent=COUNT, journal=journal)

    def cancel() -> None:
        try:
            case.wait_for(WORKING, outcome="open")
        finally:
            orchestrator.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    results = orchestrator.run_parallel(posts(case, COUNT, "[[hold]]", timeout_seconds=900))
    canceller.join()

    assert {result.status for result in results.values()} == {AgentStatus.CANCELLED}
    assert results.report["sessions_left"] == []
    assert gateway.live_sessions() - before == set()
    assert gateway.sessions() - before == set()
    assert [call.outcome for call in case.calls()] == ["cut"] * WORKING


@pytest.mark.parametrize("path", ["agent", "spawn"])
def test_what_an_agent_had_written_when_its_time_was_up_is_kept(gateway: Gateway, case: Case, path: Way) -> None:
    before = gateway.sessions()
    orchestrator = Orchestrator(max_concurrent=2, model=OPUS.name, gateway=GatewayOptions(path=path))
    result = orchestrator.run_parallel([post(case, "t0", f"[[drip=0.2]] [[say={NUMBERS}]]", timeout_seconds=4)])["t0"]

    assert result.status == AgentStatus.TIMEOUT
    assert result.raw is not None
    assert result.raw.startswith("0 1 2 3")
    assert len(result.raw) < len(NUMBERS) / 2
    assert [call.outcome for call in case.wait_for(1, outcome="cut")] == ["cut"]
    assert gateway.sessions() - before == set()


def test_an_agent_that_does_nothing_is_stopped_long_before_its_time_and_one_that_writes_is_not(
    gateway: Gateway, case: Case
) -> None:
    before = gateway.sessions()
    orchestrator = Orchestrator(max_concurrent=2, model=OPUS.name, idle_seconds=6)
    silent = post(case, "silent", "[[hold]]", timeout_seconds=600)
    text = " ".join(map(str, range(100)))
    writes = post(case, "writes", f"[[drip=0.12]] [[say={text}]]", timeout_seconds=600, output_format="text")
    results = orchestrator.run_parallel([silent, writes])

    assert results["writes"].output == text, results["writes"].error
    assert results["writes"].execution_time > 10, "it does not outlast the limit"
    assert results["silent"].status == AgentStatus.TIMEOUT
    assert "nothing was heard" in str(results["silent"].error)
    assert 6 <= results["silent"].execution_time < 30
    assert {call.task: call.outcome for call in case.calls()} == {"silent": "cut", "writes": "answered"}
    assert gateway.sessions() - before == set()


def test_sessions_that_take_long_to_delete_are_deleted_all_the_same(
    gateway: Gateway, make_proxy: MakeProxy, case: Case
) -> None:
    def slow_down(request: Json) -> Json:
        if request.get("method") == "sessions.delete":
            time.sleep(2)  # As a gateway with much to do takes for each.
        return request

    make_proxy(gateway, rewrite=slow_down)
    before = gateway.sessions()
    results = Orchestrator(max_concurrent=COUNT).run_parallel(posts(case, COUNT))

    assert results.report["sessions_left"] == []
    assert gateway.sessions() - before == set()
