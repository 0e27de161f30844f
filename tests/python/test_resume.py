"""Runs go on after any death of their process: nothing is started twice, nothing that has finished is lost.

The agents live in a stand-in here, and their orchestrator in another process, which is killed in the middle of a call.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import (
    AgentResult,
    GatewayError,
    JournalError,
    OptionError,
    Orchestrator,
    Rehearsal,
    RunResults,
    journal_runs,
)
from standin import Habits, StandIn

from . import kept
from .injected import ask, assert_all_completed, statuses
from .tasks import review, reviews, too_slow

pytestmark = pytest.mark.usefixtures("ends")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


def team() -> list[dict[str, Any]]:
    """Four agents beside each other, one that builds on two of them, and one that builds on that."""
    return [
        *(ask(f"t{index}", f"[[sleep={index + 1}]] [[say=answer {index}]]") for index in range(4)),
        ask("sum", dependencies=["t0", "t1"]),
        ask("last", dependencies=["sum"]),
    ]


def resume(standin: StandIn, run_id: str, journal: Path, *, asynchronous: bool = False, **more: Any) -> RunResults:
    tools = standin.tools(asynchronous=asynchronous, subagents=True, sessions=True)
    if asynchronous:
        return asyncio.run(Orchestrator.aresume(run_id, journal, tools=tools, **more))
    return Orchestrator.resume(run_id, journal, tools=tools, **more)


def children_of(standin: StandIn) -> Counter[str]:
    """How many agents each task had."""
    return Counter(child.prompt.split("[[task=")[1].split("]]")[0] for child in standin.children)


MOMENTS = [
    ("sessions_spawn", 1, "before", False),
    ("sessions_spawn", 1, "after", True),
    ("sessions_spawn", 3, "after", True),
    ("sessions_list", 1, "before", True),
    ("sessions_history", 1, "before", True),
    ("sessions_history", 2, "after", True),
    ("sessions_spawn", 5, "before", False),
    ("sessions_spawn", 5, "after", True),
    ("sessions_spawn", 6, "after", True),
    ("sessions_history", 6, "after", True),
    ("sessions", 1, "after", True),
    ("sessions", 6, "after", True),
]


WAYS = [(moment, False) for moment in MOMENTS] + [(moment, True) for moment in MOMENTS[2::4]]


@pytest.mark.parametrize(
    ("moment", "asynchronous"),
    WAYS,
    ids=lambda value: "-".join(map(str, value[:3])) if isinstance(value, tuple) else "async" if value else "sync",
)
def test_a_killed_run_goes_on_and_starts_no_agent_twice(
    journal: Path, moment: tuple[str, int, Any, bool], asynchronous: bool
) -> None:
    tool, call_no, when, arrives = moment
    standin = StandIn(Habits(speed=20))
    killer = kept.Killer(arrives=arrives)
    standin.on(tool, killer, call_no=call_no, when=when)
    options = "dict(max_concurrent=3)"
    run_id = kept.killed_run(standin, journal, team(), killer, options=options, asynchronous=asynchronous)
    assert kept.only_run(journal)["state"] == "open"
    results = resume(standin, run_id, journal, asynchronous=asynchronous)
    assert_all_completed(results, 6)
    assert list(results) == ["t0", "t1", "t2", "t3", "sum", "last"]
    assert [results[f"t{index}"].output for index in range(4)] == [f"answer {index}" for index in range(4)]
    assert set(children_of(standin).values()) == {1}
    assert (standin.alive, standin.left) == ([], [])
    assert results.report["resumed"] == 1
    assert kept.only_run(journal)["state"] == "ended"


def test_a_finished_agent_is_collected_and_a_running_one_followed(journal: Path) -> None:
    standin = StandIn(Habits(speed=10))
    killer = kept.Killer()
    tasks = [ask("quick", "[[say=done meanwhile]]"), ask("slow", "[[sleep=20]] [[say=took its time]]")]
    standin.on("sessions_list", killer, call_no=1)
    run_id = kept.killed_run(standin, journal, tasks, killer)
    keys = [child.key for child in standin.children]
    calls = len(standin.calls)
    results = resume(standin, run_id, journal)
    assert {name: result.output for name, result in results.items()} == {
        "quick": "done meanwhile",
        "slow": "took its time",
    }
    assert [result.session_key for result in results.values()] == keys
    assert [len(result.metadata["attempts"]) for result in results.values()] == [1, 1]
    later = Counter(call.tool for call in standin.calls[calls:])
    assert later["sessions_spawn"] == 0
    assert later["sessions_history"] >= 2


def test_an_agent_that_is_gone_is_started_again_with_the_reason(journal: Path) -> None:
    standin = StandIn(Habits(speed=10))
    killer = kept.Killer()
    standin.on("sessions_list", killer, call_no=1)
    tasks = [ask("gone", "[[first 1: sleep=9999]]"), ask("stays", "[[sleep=10]]")]
    run_id = kept.killed_run(standin, journal, tasks, killer)
    assert standin.tools(sessions=True).sessions(action="delete", sessionKey=standin.children[0].key)["deleted"]
    results = resume(standin, run_id, journal)
    assert_all_completed(results, 2)
    first, second = results["gone"].metadata["attempts"]
    assert first["outcome"] != "completed"
    assert first["reason"]
    assert (first["no"], second["no"], second["outcome"]) == (1, 2, "completed")
    assert children_of(standin) == {"gone": 2, "stays": 1}


def test_where_a_lost_start_cannot_be_found_its_task_fails_instead_of_being_paid_for_twice(journal: Path) -> None:
    standin = StandIn(Habits(speed=20))
    killer = kept.Killer()
    standin.on("sessions_spawn", killer, call_no=1)
    tasks = [ask("lost"), ask("later")]
    run_id = kept.killed_run(standin, journal, tasks, killer, options="dict(max_concurrent=1)")
    # These take no labels.
    results = Orchestrator.resume(run_id, journal, tools=standin.tools(signature="strict", subagents=True))
    assert statuses(results) == {"lost": "failed", "later": "completed"}
    assert "start" in str(results["lost"].error)
    assert set(children_of(standin).values()) == {1}


def test_a_run_survives_several_deaths(journal: Path) -> None:
    standin = StandIn(Habits(speed=20))
    killer = kept.Killer()
    standin.on("sessions_spawn", killer, call_no=2)
    run_id = kept.killed_run(standin, journal, team(), killer)
    for call_no in (4, 5):
        killer = kept.Killer()
        standin.on("sessions_spawn", killer, call_no=call_no)
        assert kept.killed_run(standin, journal, run_id, killer) == run_id
    results = resume(standin, run_id, journal)
    assert_all_completed(results, 6)
    assert set(children_of(standin).values()) == {1}
    assert results.report["resumed"] == 3


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_resuming_a_run_that_is_over_calls_nothing(journal: Path, asynchronous: bool) -> None:
    standin = StandIn()
    tools = standin.tools(asynchronous=asynchronous, sessions=True)
    before = Orchestrator(tools=tools, journal=journal).run_parallel([*team(), ask("bad", "[[http=401]]")])
    calls = len(standin.calls)
    assert before.run_id is not None
    after = resume(standin, before.run_id, journal, asynchronous=asynchronous)
    assert len(standin.calls) == calls
    told = {name: result.to_dict() for name, result in after.items()}
    assert told == {name: result.to_dict() for name, result in before.items()}
    assert after["bad"].raw == before["bad"].raw
    assert after.report == before.report
    assert after.run_id == before.run_id


def test_the_callback_hears_of_what_had_ended_before(journal: Path) -> None:
    tasks = [task.to_dict() for task in [too_slow("first"), *reviews(3)]]
    kept.kill_after(journal, tasks, "dict(rehearsal=Rehearsal(latency_seconds=36000, speed=1))", 1)
    heard: list[str] = []

    def callback(result: AgentResult) -> None:
        heard.append(result.task_id)

    run_id = journal_runs(journal)[0]["run_id"]
    results = Orchestrator.resume(run_id, journal, callback=callback, rehearsal=True)
    assert statuses(results) == {
        "first": "timeout",
        "task-0": "completed",
        "task-1": "completed",
        "task-2": "completed",
    }
    assert sorted(heard) == sorted(results)
    assert Counter(heard).most_common(1)[0][1] == 1


@pytest.mark.parametrize("results_before", [1, 7, 15, 29])
def test_a_rehearsal_that_was_killed_goes_on(journal: Path, results_before: int) -> None:
    tasks = [review(f"t{index}", dependencies=[f"t{index - 10}"] if index > 9 else []) for index in range(30)]
    options = "dict(max_concurrent=4, rehearsal=Rehearsal(seed=5, failure_rate=0.2, speed=400))"
    kept.kill_after(journal, [task.to_dict() for task in tasks], options, results_before)
    row = kept.only_run(journal)
    results = Orchestrator.resume(row["run_id"][:15], journal)
    assert results.run_id == row["run_id"]
    assert list(results) == [task.task_id for task in tasks]
    assert all(result.success or result.failed or result.error for result in results.values())
    ended = kept.query(journal, "SELECT count(*), count(DISTINCT task) FROM log WHERE kind = 'task_ended'")
    assert ended == [(30, 30)]
    attempts = kept.query(journal, "SELECT count(*) FROM log WHERE kind = 'attempt_planned'")[0][0]
    ends = kept.query(journal, "SELECT count(*) FROM log WHERE kind IN ('attempt_ended', 'attempt_refused')")[0][0]
    assert attempts == ends


def test_options_of_a_resumed_run_are_its_own_but_for_those_given_anew(journal: Path) -> None:
    options = 'dict(model="own/model", max_concurrent=2, rehearsal=Rehearsal(latency_seconds=36000, speed=1))'
    kept.kill_after(journal, [task.to_dict() for task in [too_slow("first"), *reviews(4)]], options, 1)
    run_id = kept.only_run(journal)["run_id"]
    with pytest.raises(OptionError, match="`max_concurrent` is `0`"):
        Orchestrator.resume(run_id, journal, max_concurrent=0)
    with pytest.raises(OptionError, match="unknown option `max_conccurrent`"):
        Orchestrator.resume(run_id, journal, max_conccurrent=2)
    results = Orchestrator.resume(run_id, journal, rehearsal=Rehearsal())
    assert {result.metadata["model_used"] for result in results.values() if result.success} == {"own/model"}


def test_the_models_of_a_run_stay_what_they_were(journal: Path) -> None:
    run_id = Orchestrator(rehearsal=True, journal=journal).run_parallel(team()).run_id
    with pytest.raises(OptionError, match=r"`models` of run .* is what it was started with; leave it out"):
        Orchestrator.resume(str(run_id), journal, models=["own/model"])


def test_a_run_of_injected_tools_wants_them_again(journal: Path) -> None:
    standin = StandIn(Habits(speed=20))
    killer = kept.Killer()
    standin.on("sessions_spawn", killer, call_no=1)
    run_id = kept.killed_run(standin, journal, team(), killer)
    with pytest.raises(OptionError, match=f"run `{run_id}` was started with injected tools; pass them again"):
        Orchestrator.resume(run_id, journal)
    with pytest.raises(OptionError, match="pass them again"):
        Orchestrator.resume(run_id, journal, rehearsal=True)
    assert_all_completed(resume(standin, run_id, journal), 6)


def test_a_run_does_not_change_its_runtime(journal: Path) -> None:
    kept.kill_after(journal, [too_slow("first").to_dict(), review("next").to_dict()], REHEARSAL, 1)
    run_id = kept.only_run(journal)["run_id"]
    standin = StandIn()
    with pytest.raises(OptionError, match="rehearsal"):
        Orchestrator.resume(run_id, journal, tools=standin.tools())
    with pytest.raises(OptionError, match="has the runtime `rehearsal`, and these options are for `tools`"):
        Orchestrator.resume(run_id, journal, rehearsal=None, tools=standin.tools())
    assert standin.calls == []
    assert statuses(Orchestrator.resume(run_id, journal, rehearsal=True)) == {"first": "timeout", "next": "completed"}


REHEARSAL = "dict(rehearsal=Rehearsal(latency_seconds=36000, speed=1))"


def test_a_gateway_that_is_not_there_loses_nothing(journal: Path, closed_port: int) -> None:
    kept.kill_after(journal, [too_slow("first").to_dict(), review("next").to_dict()], REHEARSAL, 1)
    run_id = kept.only_run(journal)["run_id"]
    # As a run on a gateway leaves it.
    options = json.dumps({"gateway": {"url": f"ws://127.0.0.1:{closed_port}"}})
    kept.change(journal, f"UPDATE runs SET runtime = 'gateway', options = '{options}'")
    facts = kept.query(journal, "SELECT count(*) FROM log")
    for _ in range(2):
        with pytest.raises(GatewayError, match=f"127.0.0.1:{closed_port}"):
            Orchestrator.resume(run_id, journal)
    assert kept.query(journal, "SELECT count(*) FROM log") == facts
    assert kept.only_run(journal)["state"] == "open"


def test_a_run_that_was_interrupted_goes_on_with_what_it_had(journal: Path) -> None:
    orchestrator = Orchestrator(1, rehearsal=Rehearsal(latency_seconds=0.02, speed=1), journal=journal)
    before = orchestrator.run_parallel(reviews(50), callback=lambda _: orchestrator.cancel("enough"))
    assert before["task-49"].status.value == "cancelled"
    assert before.run_id is not None
    after = Orchestrator.resume(before.run_id, journal)
    assert statuses(after) == statuses(before)


def test_a_journal_error_is_an_os_error(journal: Path) -> None:
    with pytest.raises(OSError, match="no journal"):
        Orchestrator.resume("any", journal)
    assert issubclass(JournalError, OSError)
