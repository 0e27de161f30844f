"""What a journal keeps of a run, and what goes wrong with one."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import (
    AgentTask,
    Gateway,
    JournalError,
    ModelError,
    OptionError,
    Orchestrator,
    PlanError,
    Rehearsal,
    RunResults,
    Tier,
    journal_runs,
)
from standin import StandIn

from . import child, kept
from .injected import assert_all_completed, posts
from .tasks import review, reviews, too_slow

REPORT = {
    "run_id",
    "started",
    "ended",
    "tasks",
    "attempts",
    "refusals",
    "retries",
    "breakers_opened",
    "restarts",
    "resumed",
    "cost",
    "currency",
    "budget",
    "sessions_left",
}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


def rehearse(journal: Path, tasks: list[AgentTask], **options: Any) -> RunResults:
    return Orchestrator(rehearsal=True, journal=journal, **options).run_parallel(tasks)


def test_results_are_a_dict_that_knows_its_run(journal: Path) -> None:
    results = rehearse(journal, [review("first"), review("next", dependencies=["first"])])
    assert isinstance(results, dict)
    assert list(results) == ["first", "next"]
    assert results.run_id == kept.only_run(journal)["run_id"]
    assert set(results.report) == REPORT
    assert results.report["run_id"] == results.run_id
    assert results.report["tasks"] == {
        "total": 2,
        "completed": 2,
        "failed": 0,
        "timeout": 0,
        "needs_input": 0,
        "cancelled": 0,
        "skipped": 0,
    }
    assert results.report["cost"] == pytest.approx(sum(each.metadata["cost"] for each in results.values()))
    assert results.questions == {}


def test_without_a_journal_a_run_has_a_report_and_no_name() -> None:
    orchestrator = Orchestrator(rehearsal=True)
    assert (orchestrator.run_id, orchestrator.report) == (None, {})
    results = orchestrator.run_parallel(reviews(2))
    assert (results.run_id, orchestrator.run_id) == (None, None)
    assert results.report["attempts"] == 2
    assert results.report == orchestrator.report


def test_every_way_to_run_is_kept(journal: Path) -> None:
    orchestrator = Orchestrator(rehearsal=True, journal=journal)

    async def arun() -> RunResults:
        return await orchestrator.arun(reviews(3))

    async def arun_iter() -> int:
        return len([result async for result in orchestrator.arun_iter(reviews(3))])

    ids = {orchestrator.run_parallel(reviews(3)).run_id, asyncio.run(arun()).run_id}
    assert len(list(orchestrator.run_iter(reviews(3)))) == 3
    ids.add(orchestrator.run_id)
    assert asyncio.run(arun_iter()) == 3
    ids.add(orchestrator.run_id)
    rows = journal_runs(journal)
    assert {row["run_id"] for row in rows} == ids
    assert [(row["state"], row["done"], row["completed"]) for row in rows] == [("ended", 3, 3)] * 4


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.usefixtures("ends")
def test_runs_of_injected_tools_are_kept(journal: Path, asynchronous: bool) -> None:
    standin = StandIn()
    orchestrator = Orchestrator(3, tools=standin.tools(asynchronous=asynchronous), journal=journal)
    results = orchestrator.run_parallel(posts(4))
    assert_all_completed(results, 4)
    row = kept.only_run(journal)
    assert (row["run_id"], row["runtime"], row["state"]) == (results.run_id, "tools", "ended")
    keys = kept.query(journal, "SELECT json_extract(body, '$.session') FROM log WHERE kind = 'attempt_accepted'")
    assert {key for (key,) in keys} == {spawned.key for spawned in standin.children}


def test_a_journal_is_readable_with_sqlite(journal: Path) -> None:
    results = rehearse(journal, [review("good"), too_slow("slow"), review("next", dependencies=["slow"])])
    rows = kept.query(journal, "SELECT run, task, status, answer, reason FROM results")
    assert [row[:3] for row in rows] == [
        (results.run_id, "good", "completed"),
        (results.run_id, "slow", "timeout"),
        (results.run_id, "next", "skipped"),
    ]
    assert json.loads(rows[0][3]) == results["good"].output
    assert [row[4] for row in rows] == [None, results["slow"].error, results["next"].error]
    kinds = [kind for (kind,) in kept.query(journal, "SELECT kind FROM log")]
    assert (kinds[0], kinds[-1]) == ("run_started", "run_ended")
    assert kinds.count("attempt_ended") == results.report["attempts"]


def test_the_list_of_runs_is_the_latest_first_and_says_how_they_stand(journal: Path) -> None:
    first = rehearse(journal, reviews(2)).run_id
    second = rehearse(journal, [too_slow("slow")]).run_id
    rows = journal_runs(journal)
    assert [row["run_id"] for row in rows] == [second, first]
    assert set(rows[0]) == {"run_id", "state", "started", "latest", "runtime", "tasks", "done", "completed"}
    assert [(row["tasks"], row["done"], row["completed"]) for row in rows] == [(1, 1, 0), (2, 2, 2)]


def test_options_are_stored_without_the_token(journal: Path, closed_port: int) -> None:
    gateway = Gateway(url=f"ws://127.0.0.1:{closed_port}", token="s3cr3t-t0ken")
    with pytest.raises(ConnectionError):
        Orchestrator(gateway=gateway, journal=journal).run_parallel(reviews(1))
    price = {"input": 1.0, "output": 2.0}
    rehearse(journal, reviews(1), models=[Tier("own/model", price)], max_concurrent=3)
    ((options,),) = kept.query(journal, "SELECT options FROM runs")
    assert json.loads(options) == {
        "max_concurrent": 3,
        "models": [{"model": "own/model", "price": price}],
        "rehearsal": True,
        "cleanup": "delete",
    }
    assert b"s3cr3t" not in b"".join(path.read_bytes() for path in journal.parent.iterdir() if path.is_file())


def test_nothing_is_kept_of_a_run_that_could_not_start(journal: Path) -> None:
    with pytest.raises(PlanError):
        rehearse(journal, [review("same"), review("same")])
    assert not journal.exists()


def test_a_run_that_is_over_before_it_begins_is_kept_too(journal: Path, closed_port: int) -> None:
    gateway = Gateway(url=f"ws://127.0.0.1:{closed_port}")
    for orchestrator in (
        Orchestrator(gateway=gateway, journal=journal),
        Orchestrator(rehearsal=True, journal=journal),
        Orchestrator(tools=StandIn().tools(), journal=journal),
    ):
        results = orchestrator.run_parallel([])
        row = journal_runs(journal)[0]
        assert (row["run_id"], row["state"], row["tasks"]) == (results.run_id, "ended", 0)


def test_several_threads_share_a_journal(journal: Path) -> None:
    orchestrators = [Orchestrator(rehearsal=Rehearsal(seed=seed), journal=journal) for seed in range(6)]
    threads = [threading.Thread(target=each.run_parallel, args=(reviews(20),)) for each in orchestrators]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = journal_runs(journal)
    assert {row["run_id"] for row in rows} == {each.run_id for each in orchestrators}
    assert [row["completed"] for row in rows] == [20] * 6


def test_the_durability_is_checked_by_name(journal: Path) -> None:
    assert_all_completed(rehearse(journal, reviews(2), durability="power"), 2)
    with pytest.raises(OptionError, match="`durability` is `disk`, expected one of process, power"):
        rehearse(journal, reviews(2), durability="disk")
    with pytest.raises(OptionError, match="`durability` is `5`"):
        rehearse(journal, reviews(2), durability=5)
    with pytest.raises(OptionError, match="`journal` is `5`, expected a path"):
        Orchestrator(rehearsal=True, journal=5)  # type: ignore[arg-type]


def test_a_journal_that_is_not_there_is_named(journal: Path) -> None:
    for look in (lambda: journal_runs(journal), lambda: Orchestrator.resume("any", journal)):
        with pytest.raises(JournalError, match=r"there is no journal at `.*runs\.sqlite`"):
            look()
    assert not journal.exists()
    with pytest.raises(OptionError, match="`journal` is `None`"):
        Orchestrator.resume("any", None)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="`run_id` is `None`, expected a run's name"):
        Orchestrator.resume(None, journal)  # type: ignore[arg-type]


def test_a_run_that_is_not_there_is_told_with_those_that_are(journal: Path) -> None:
    run_id = rehearse(journal, reviews(1)).run_id
    assert run_id is not None
    with pytest.raises(JournalError, match=f"no run `other` in .*the latest are `{run_id}`"):
        Orchestrator.resume("other", journal)
    misspelt = run_id[:-1] + ("0" if run_id[-1] != "0" else "1")
    with pytest.raises(JournalError, match=f"`{run_id}`"):
        Orchestrator.resume(misspelt, journal)
    second = rehearse(journal, reviews(1)).run_id
    with pytest.raises(JournalError, match="begins the ids of several runs") as caught:
        Orchestrator.resume("2", journal)
    assert run_id in str(caught.value)
    assert str(second) in str(caught.value)


def test_files_that_are_no_journals_are_left_as_they_are(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("These are notes, and no database of anybody. " * 40)
    foreign = tmp_path / "music.sqlite"
    connection = sqlite3.connect(foreign)
    connection.executescript("PRAGMA application_id = 7; CREATE TABLE songs (name); INSERT INTO songs VALUES ('a');")
    connection.close()
    for path, words in ((text, "no SQLite database"), (foreign, "another program")):
        before = path.read_bytes()
        for attempt in (
            lambda path=path: rehearse(path, reviews(1)),
            lambda path=path: journal_runs(path),
            lambda path=path: Orchestrator.resume("any", path),
        ):
            with pytest.raises(JournalError, match=words):
                attempt()
        assert path.read_bytes() == before


def test_a_journal_of_a_newer_release_is_refused_and_left_as_it_is(journal: Path) -> None:
    rehearse(journal, reviews(1))
    connection = sqlite3.connect(journal)
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    before = journal.read_bytes()
    with pytest.raises(JournalError, match="format 99"):
        rehearse(journal, reviews(1))
    assert journal.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="folders have no modes")
def test_a_folder_that_takes_no_file_is_named_and_nothing_is_started(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    standin = StandIn()
    with pytest.raises(JournalError, match="cannot be opened") as caught:
        Orchestrator(tools=standin.tools(), journal=blocked / "runs.sqlite").run_parallel(posts(1))
    assert isinstance(caught.value, OSError)
    assert standin.calls == []


@pytest.mark.usefixtures("ends")
def test_a_run_that_goes_on_elsewhere_cannot_be_resumed(journal: Path) -> None:
    options = "dict(max_concurrent=3, rehearsal=Rehearsal(latency_seconds=36000, speed=1))"
    tasks = [task.to_dict() for task in [too_slow("first"), *reviews(2)]]
    with child.started(*kept.command(journal, tasks, options)) as process:
        assert process.stderr is not None
        assert "first" in process.stderr.readline()
        # What is told may be written a moment later.
        while (row := kept.only_run(journal))["done"] == 0:
            assert row["state"] == "running"
        words = f"run `{row['run_id']}` is being run by process {process.pid}"
        with pytest.raises(JournalError, match=words):
            Orchestrator.resume(row["run_id"], journal)
        process.kill()
        process.wait()
    assert kept.only_run(journal)["state"] == "open"


def test_a_run_whose_models_are_wrong_is_not_kept(journal: Path) -> None:
    with pytest.raises(ModelError):
        rehearse(journal, reviews(1), models=[])
    assert not journal.exists()
