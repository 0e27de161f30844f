"""Runs that go on after a death, on a real gateway: no answer is lost, none is paid for twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from parallel_agents import AgentResult, Orchestrator, RunResults, journal_runs
from parallel_agents import Gateway as GatewayOptions

from .apart import command, facts, run_apart, wait_until
from .case import Case
from .openclaw import Gateway, Options
from .proxy import Json, MakeProxy
from .tasks import Way, assert_all_completed, calls_per_task, outcomes, posts

COUNT = 20
NAMES = [f"t{index}" for index in range(COUNT)]
ONCE = dict.fromkeys(NAMES, 1)
MORTAL = Options()


@pytest.fixture
def mortal_gateway(use_gateway: Callable[[Options], Gateway]) -> Iterator[Gateway]:
    """One that these tests kill. It is up again for the next of them."""
    gateway = use_gateway(MORTAL)
    yield gateway
    if not gateway.is_running:
        gateway.start()


def assert_is_over(journal: Path, run_id: str | None, results: RunResults) -> None:
    """The journal has the run as ended, with all its tasks, and nothing of it is left at the gateway."""
    (row,) = journal_runs(journal)
    assert (row["run_id"], row["state"], row["completed"]) == (run_id, "ended", len(results))
    assert results.run_id == run_id
    assert results.report["sessions_left"] == []


@pytest.mark.parametrize(("path", "by"), [("agent", "library"), ("spawn", "library"), ("agent", "command")])
def test_a_run_killed_with_twenty_agents_in_flight_goes_on_with_twenty_results_and_twenty_calls(
    gateway: Gateway, make_proxy: MakeProxy, case: Case, journal: Path, path: Way, by: str
) -> None:
    before = gateway.sessions()
    with run_apart(journal, posts(case, COUNT, "[[hold]]"), path=path) as run:
        case.wait_for(COUNT, outcome="open")
        run.kill()
        run_id = run.id
    assert journal_runs(journal)[0]["state"] == "open"
    # Half of them answer while nobody listens, the other half once they are listened to again.
    case.release(*NAMES[:10])
    case.wait_for(10, outcome="answered")
    proxy = make_proxy(gateway)

    def release() -> None:
        proxy.wait_for("agent.wait", COUNT)
        case.release(*NAMES)

    releaser = threading.Thread(target=release)
    releaser.start()
    if by == "library":
        results = Orchestrator.resume(run_id, journal)
        assert_all_completed(results, COUNT)
        assert_is_over(journal, run_id, results)
        report = results.report
    else:
        done = command("resume", "--journal", str(journal))
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert [result["status"] for result in document["results"]] == ["completed"] * COUNT
        report = document["summary"]
        assert journal_runs(journal)[0]["state"] == "ended"
    releaser.join()

    assert calls_per_task(case) == ONCE
    assert report["attempts"] == COUNT
    assert report["resumed"] == 1
    assert report["retries"] == report["restarts"] == 0
    assert report["sessions_left"] == []
    assert gateway.sessions() - before == set()


# Of children that nobody sent, all but a minute has to pass until that is certain: here all of them are sent.
@pytest.mark.parametrize(("path", "method", "sent_max"), [("agent", "agent", 15), ("spawn", "tools.invoke", COUNT)])
def test_a_run_killed_while_its_agents_are_being_sent_pays_for_none_of_them_twice(
    gateway: Gateway, make_proxy: MakeProxy, case: Case, journal: Path, path: Way, method: str, sent_max: int
) -> None:
    before = gateway.sessions()
    sent = 0
    died = threading.Event()

    def hold_back(request: Json) -> Json:
        nonlocal sent
        if request.get("method") == method and not died.is_set():
            sent += 1
            if sent == 11:
                # What comes now is sent by a process that heard of ten.
                wait_until(lambda: run.count("attempt_accepted") == 10, "ten are accepted")
        return request

    proxy = make_proxy(gateway, rewrite=hold_back)

    def die() -> None:
        run.kill()
        proxy.cut()
        died.set()

    proxy.when(method, sent_max, die)
    with run_apart(journal, posts(case, COUNT), path=path) as run:
        wait_until(died.is_set, "the process has died")
        recorded = facts(journal, run.id)
        run_id = run.id
    assert sum(fact.kind == "attempt_planned" for fact in recorded) == COUNT
    assert 10 <= sum(fact.kind == "attempt_accepted" for fact in recorded) < sent_max

    results = Orchestrator.resume(run_id, journal)

    assert_all_completed(results, COUNT)
    assert_is_over(journal, run_id, results)
    assert calls_per_task(case) == ONCE
    assert {len(result.metadata["attempts"]) for result in results.values()} == {1}
    assert gateway.sessions() - before == set()


@pytest.mark.parametrize("path", ["agent", "spawn"])
def test_agents_that_finished_before_we_heard_of_it_are_collected_and_not_asked_again(
    gateway: Gateway, make_proxy: MakeProxy, case: Case, journal: Path, path: Way
) -> None:
    before = gateway.sessions()
    with run_apart(journal, posts(case, COUNT, "[[hold]]"), path=path) as run:
        case.wait_for(COUNT, outcome="open")
        run.freeze()
        case.release(*NAMES)
        case.wait_for(COUNT, outcome="answered")
        wait_until(lambda: not gateway.live_sessions() - before, "the gateway has finished all")
        run.kill()
        run_id = run.id
        assert run.count("attempt_ended") == 0
    proxy = make_proxy(gateway)
    results = Orchestrator.resume(run_id, journal)

    assert_all_completed(results, COUNT)
    assert_is_over(journal, run_id, results)
    assert calls_per_task(case) == ONCE
    assert proxy.methods()["agent"] == proxy.methods()["tools.invoke"] == 0
    assert gateway.sessions() - before == set()
    assert sum(result.metadata["cost"] for result in results.values()) == pytest.approx(COUNT * 0.002)

    again = Orchestrator.resume(run_id, journal)
    assert {name: result.output for name, result in again.items()} == {
        name: result.output for name, result in results.items()
    }
    assert calls_per_task(case) == ONCE


def assert_second_calls_are_explained(case: Case, results: dict[str, AgentResult]) -> None:
    """Each model call beyond a task's first is an attempt of its own, after one whose end says why."""
    calls = calls_per_task(case)
    for name, result in results.items():
        attempts = result.metadata["attempts"]
        assert calls[name] == len(attempts), (name, outcomes(result))
        assert [attempt["no"] for attempt in attempts] == list(range(1, len(attempts) + 1))
        for attempt in attempts[:-1]:
            assert attempt["outcome"] == "transient"
            assert "restart" in attempt["reason"], attempt


@pytest.mark.parametrize("path", ["agent", "spawn"])
def test_a_gateway_killed_with_twenty_agents_in_flight_explains_every_second_call(
    mortal_gateway: Gateway, case: Case, journal: Path, path: Way
) -> None:
    gateway = mortal_gateway
    before = gateway.sessions()

    def restart() -> None:
        case.wait_for(COUNT, outcome="open")
        gateway.restart()

    restarter = threading.Thread(target=restart)
    restarter.start()
    orchestrator = Orchestrator(max_concurrent=COUNT, journal=journal, gateway=GatewayOptions(path=path))
    results = orchestrator.run_parallel(posts(case, COUNT, "[[first 1: hold]]"))
    restarter.join()

    assert_all_completed(results, COUNT)
    assert_is_over(journal, results.run_id, results)
    assert calls_per_task(case, outcome="cut") == ONCE
    assert calls_per_task(case, outcome="answered") == ONCE
    assert_second_calls_are_explained(case, results)
    assert results.report["restarts"] == 1
    assert results.report["retries"] == COUNT
    assert gateway.sessions() - before == set()


def test_when_both_died_what_had_finished_is_collected_and_what_was_cut_is_explained(
    mortal_gateway: Gateway, case: Case, journal: Path
) -> None:
    gateway = mortal_gateway
    before = gateway.sessions()
    finished, cut = NAMES[:5], NAMES[5:]
    with run_apart(journal, posts(case, COUNT, "[[first 1: hold]]")) as run:
        case.wait_for(COUNT, outcome="open")
        run.kill()
        run_id = run.id
    case.release(*finished)
    wait_until(lambda: len(gateway.live_sessions() - before) == len(cut), "five have finished at the gateway")
    gateway.restart()
    results = Orchestrator.resume(run_id, journal)

    assert_all_completed(results, COUNT)
    assert_is_over(journal, run_id, results)
    assert calls_per_task(case) == {**dict.fromkeys(finished, 1), **dict.fromkeys(cut, 2)}
    assert_second_calls_are_explained(case, results)
    assert results.report["restarts"] == 1
    assert results.report["resumed"] == 1
    assert gateway.sessions() - before == set()


def test_a_socket_cut_ten_times_during_a_run_loses_nothing_and_pays_nothing_twice(
    gateway: Gateway, make_proxy: MakeProxy, case: Case, journal: Path
) -> None:
    before = gateway.sessions()
    proxy = make_proxy(gateway)
    cuts = 0

    def cut() -> None:
        nonlocal cuts
        for index in range(10):
            # Each in another moment: agents are being started, work, and end.
            case.wait_for(2 * index + 1)
            proxy.wait_connected(cuts + 1)
            proxy.cut()
            cuts += 1
            case.release(*NAMES[2 * index : 2 * index + 2])

    cutter = threading.Thread(target=cut)
    cutter.start()
    results = Orchestrator(max_concurrent=8, journal=journal).run_parallel(posts(case, COUNT, "[[hold]]"))
    cutter.join()

    assert_all_completed(results, COUNT)
    assert_is_over(journal, results.run_id, results)
    assert cuts == 10
    assert proxy.connections >= 11
    assert calls_per_task(case) == ONCE
    assert {len(result.metadata["attempts"]) for result in results.values()} == {1}
    assert gateway.sessions() - before == set()
