"""The command keeps its runs: `run`, `runs`, `resume` and `stop` from one terminal or several."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import Budget, Orchestrator, journal_runs
from standin import StandIn

from . import child, kept
from .injected import asks
from .tasks import too_slow
from .test_command import FAILS, TASKS, refused, told, write
from .test_stuck import asking, first_run

LONG: dict[str, Any] = {"rehearsal": {"latency_seconds": 36_000, "speed": 1}, "max_concurrent": 2}


@pytest.fixture
def default() -> Path:
    """Where runs are kept if nobody says otherwise."""
    return Path(os.environ["OPENCLAW_STATE_DIR"]) / "parallel-agents" / "journal.sqlite"


@pytest.fixture
def long_plan(tmp_path: Path) -> str:
    """Two agents that work for hours, after a task that times out at once."""
    return str(write(tmp_path, {"tasks": [FAILS, *TASKS], **LONG}))


@contextmanager
def running(plan: str, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """A run in the middle of its work, of whose three tasks one has ended."""
    with child.started(child.COMMAND, "run", plan, *flags) as process:
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if "[1/3]" in line:
                break
        else:
            raise AssertionError("".join(seen))
        yield process


def killed(plan: str, default: Path, *flags: str) -> str:
    """The id of a run whose process was killed after its first result was kept."""
    with running(plan, *flags) as process:
        while journal_runs(default)[0]["done"] == 0:
            assert process.poll() is None
        process.kill()
        process.wait()
    return str(journal_runs(default)[0]["run_id"])


def test_a_run_is_kept_by_default(tmp_path: Path, default: Path) -> None:
    document, errors = told("run", str(write(tmp_path, TASKS)), "--rehearsal")
    row = kept.only_run(default)
    assert document["summary"]["run_id"] == row["run_id"]
    assert f"parallel-agents resume {row['run_id']}" in errors
    assert (row["state"], row["completed"]) == ("ended", 2)
    assert default.stat().st_mode & 0o077 == 0


def test_a_run_need_not_be_kept_or_elsewhere(tmp_path: Path, default: Path) -> None:
    plan = str(write(tmp_path, TASKS))
    document, errors = told("run", plan, "--rehearsal", "--no-journal")
    assert document["summary"]["run_id"] is None
    assert "resume" not in errors
    assert not default.exists()
    own = tmp_path / "own" / "runs.sqlite"
    document, _ = told("run", plan, "--rehearsal", "--journal", str(own), "--durability", "power")
    assert document["summary"]["run_id"] == kept.only_run(own)["run_id"]
    assert not default.exists()
    assert "--journal" in refused("run", plan, "--rehearsal", "--journal", str(own), "--no-journal")
    assert "`durability` is `disk`" in refused("run", plan, "--rehearsal", "--durability", "disk")


def test_a_demo_is_not_kept(default: Path) -> None:
    assert child.run(child.COMMAND, "demo").returncode == 0
    assert not default.exists()


def test_a_plan_that_cannot_be_run_is_not_kept(tmp_path: Path, default: Path) -> None:
    refused("run", str(write(tmp_path, [TASKS[1]])), "--rehearsal")
    assert not default.exists()


def test_resume_without_a_name_takes_the_latest_that_is_open(tmp_path: Path, default: Path, long_plan: str) -> None:
    first, second = killed(long_plan, default), killed(long_plan, default)
    told("run", str(write(tmp_path, TASKS)), "--rehearsal")
    for run_id in (second, first):
        document, errors = told("resume", "--deadline", "0.2", code=1)
        assert document["summary"]["run_id"] == run_id
        assert document["summary"]["resumed"] == 1
        assert f"run {run_id}: 1 of 3 tasks were done" in errors
        assert len(document["results"]) == 3
    assert "no run of" in refused("resume")


def test_resume_prints_all_results_those_of_before_too(tmp_path: Path, default: Path) -> None:
    tasks = [{**TASKS[0], "task_id": f"t{index}"} for index in range(6)]
    document, _ = told("run", str(write(tmp_path, tasks)), "--rehearsal", "--budget-attempts", "2", code=1)
    run_id = document["summary"]["run_id"]
    assert [each["status"] for each in document["results"]].count("completed") == 2
    assert len(document["summary"]["budget"]["not_started"]) == 4
    again, _ = told("resume", run_id, code=1)
    assert again["results"] == document["results"]
    more, _ = told("resume", run_id, "--budget-attempts", "10")
    assert [each["task_id"] for each in more["results"]] == [f"t{index}" for index in range(6)]
    assert more["summary"]["attempts"] == 6
    assert more["summary"]["budget"]["attempts"] == {"cap": 10, "spent": 6}


@pytest.mark.parametrize(
    ("flag", "value", "cap"), [("usd", "0.004", 0.004), ("tokens", "2000", 2000), ("seconds", "3600", 3600)]
)
def test_budgets_are_flags_too(tmp_path: Path, flag: str, value: str, cap: float) -> None:
    tasks = [{**TASKS[0], "task_id": f"t{index}"} for index in range(9)]
    done = child.run(child.COMMAND, "run", str(write(tmp_path, tasks)), "--rehearsal", f"--budget-{flag}", value)
    budget = json.loads(done.stdout)["summary"]["budget"]
    assert budget[flag]["cap"] == cap
    assert budget[flag].get("spent", 0) <= cap
    assert done.returncode == int(bool(budget["not_started"]))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--budget-usd", "0"], "`budget.usd` is `0.0`"),
        (["--budget-tokens", "0"], "`budget.tokens` is `0`"),
        (["--budget-attempts=-1"], "--budget-attempts"),
        (["--budget-seconds", "0"], "`budget.seconds` is `0.0`"),
    ],
    ids=str,
)
def test_a_bad_budget_gives_exit_code_2(tmp_path: Path, default: Path, flags: list[str], words: str) -> None:
    assert words in refused("run", str(write(tmp_path, TASKS)), "--rehearsal", *flags)
    assert not default.exists()


@pytest.mark.usefixtures("ends")
def test_a_question_is_answered_where_the_tools_are(tmp_path: Path) -> None:
    journal = tmp_path / "runs.sqlite"
    run_id, _ = first_run(asking(), journal)
    errors = refused("resume", run_id, "--answer", "asks=the one", "--journal", str(journal))
    assert f'Orchestrator.resume("{run_id}"' in errors
    assert "injected tools" in errors


def test_answers_to_what_asks_nothing_give_exit_code_2(tmp_path: Path, default: Path) -> None:
    told("run", str(write(tmp_path, TASKS)), "--rehearsal")
    run_id = kept.only_run(default)["run_id"]
    assert "asks nothing, it is completed" in refused("resume", run_id, "--answer", "review=yes")
    assert "has no task `revew` (did you mean `review`?)" in refused("resume", run_id, "--answer", "revew=yes")
    assert "an answer is `review`, expected TASK=TEXT" in refused("resume", run_id, "--answer", "review")


def test_runs_are_listed_for_people_and_for_programs(tmp_path: Path, default: Path, long_plan: str) -> None:
    done = child.run(child.COMMAND, "runs")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no run is kept yet" in done.stderr
    assert told("runs", "--json")[0] == []
    assert not default.exists()
    told("run", str(write(tmp_path, TASKS)), "--rehearsal")
    with running(str(write(tmp_path, {"tasks": [FAILS, *TASKS], **LONG}))):
        rows = told("runs", "--json")[0]
        assert [row["state"] for row in rows] == ["running", "ended"]
    assert [row["state"] for row in told("runs", "--json")[0]] == ["open", "ended"]
    lines = child.run(child.COMMAND, "runs").stdout.splitlines()
    assert len(lines) == 2
    assert lines[1].split()[:4] == [rows[1]["run_id"], "ended", "2/2", "done,"]
    assert told("runs", "--json", "--journal", str(default))[0][1] == rows[1]


def test_stop_ends_a_run_of_another_process(default: Path, long_plan: str) -> None:
    with running(long_plan) as process:
        run_id = kept.only_run(default)["run_id"]
        done = child.run(child.COMMAND, "stop", run_id[:17], "--reason", "the office closes")
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert "is stopped" in done.stderr
        document = json.loads(process.communicate(timeout=child.SECONDS_MAX)[0])
        assert process.returncode == 1
    assert [each["status"] for each in document["results"]] == ["timeout", "cancelled", "cancelled"]
    assert "the office closes" in document["results"][1]["error"]
    row = kept.only_run(default)
    assert (row["state"], row["done"]) == ("ended", 3)


def test_stop_ends_what_a_dead_process_left(default: Path, long_plan: str) -> None:
    run_id = killed(long_plan, default)
    for _ in range(2):
        done = child.run(child.COMMAND, "stop", run_id)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert f"run {run_id} is over" in done.stderr
    assert kept.only_run(default)["state"] == "ended"
    statuses = kept.query(default, "SELECT status FROM results")
    assert statuses == [("timeout",), ("cancelled",), ("cancelled",)]


@pytest.mark.usefixtures("ends")
def test_stop_reaches_a_run_of_injected_tools(tmp_path: Path) -> None:
    journal = tmp_path / "runs.sqlite"
    standin = StandIn()
    orchestrator = Orchestrator(tools=standin.tools(subagents=True), journal=journal)
    tasks = [*asks(2, "[[stuck]]"), *asks(1, "")]
    tasks[2]["task_id"] = "quick"

    codes: list[int] = []

    def stop() -> None:
        done = child.run(child.COMMAND, "stop", str(orchestrator.run_id), "--journal", str(journal))
        codes.append(done.returncode)

    threads: list[threading.Thread] = []

    def callback(_: object) -> None:
        if not threads:
            threads.append(threading.Thread(target=stop))
            threads[0].start()

    results = orchestrator.run_parallel(tasks, callback)
    threads[0].join()
    assert codes == [0]
    assert {name: each.status.value for name, each in results.items()} == {
        "t0": "cancelled",
        "t1": "cancelled",
        "quick": "completed",
    }
    assert "stopped by `parallel-agents stop`" in str(results["t0"].error)
    assert standin.alive == []


def test_ctrl_c_leaves_a_run_that_is_over(default: Path, long_plan: str) -> None:
    with child.started(child.COMMAND, "run", long_plan) as process:
        document = json.loads(child.interrupt_after(process, "[1/3]"))
        assert process.returncode == 130
    again, _ = told("resume", document["summary"]["run_id"], code=1)
    assert again["results"] == document["results"]
    assert kept.only_run(default)["state"] == "ended"


def test_what_a_journal_cannot_do_gives_exit_code_2(tmp_path: Path, default: Path) -> None:
    for arguments in (["resume", "any"], ["resume"], ["stop", "any"]):
        assert f"there is no journal at `{default}`" in refused(*arguments)
        assert not default.exists()
    plan = write(tmp_path, TASKS)
    for arguments in (
        ["run", str(plan), "--rehearsal"],
        ["runs"],
        ["resume"],
        ["resume", "any"],
        ["stop", "any"],
    ):
        errors = refused(*arguments, "--journal", str(plan))
        assert "is no SQLite database" in errors
        assert len(errors.splitlines()) == 1
    told("run", str(plan), "--rehearsal")
    for arguments in (["resume", "any"], ["stop", "any"]):
        errors = refused(*arguments)
        assert "no run `any` in" in errors
        assert "the latest are `" in errors


def test_a_run_that_is_running_cannot_be_resumed(default: Path, long_plan: str) -> None:
    with running(long_plan) as process:
        run_id = kept.only_run(default)["run_id"]
        errors = refused("resume", run_id)
        assert f"run `{run_id}` is being run by process {process.pid}" in errors
        assert f"parallel-agents stop {run_id}" in errors
        assert "no run of" in refused("resume")


def test_a_run_of_python_goes_on_at_the_command_line_and_back(tmp_path: Path) -> None:
    journal = tmp_path / "runs.sqlite"
    options: Any = {"rehearsal": True, "journal": journal, "budget": Budget(attempts=1)}
    results = Orchestrator(1, **options).run_parallel([too_slow("slow"), *TASKS])
    document, _ = told("resume", str(results.run_id), "--journal", str(journal), "--budget-attempts", "9", code=1)
    assert [each["status"] for each in document["results"]] == ["timeout", "completed", "completed"]
    back = Orchestrator.resume(str(results.run_id), journal)
    assert [result.to_dict() for result in back.values()] == [
        {name: value for name, value in each.items() if name != "raw"} for each in document["results"]
    ]


def test_a_run_on_a_gateway_that_is_not_there_can_be_resumed_later(
    default: Path, long_plan: str, closed_port: int
) -> None:
    run_id = killed(long_plan, default)
    kept.change(default, "UPDATE runs SET runtime = 'gateway', options = '{\"gateway\": true}'")
    assert f"127.0.0.1:{closed_port}" in refused("resume", run_id, code=3)
    assert "127.0.0.1:9" in refused("resume", run_id, "--gateway-url", "ws://127.0.0.1:9", code=3)
    assert "127.0.0.1" in refused("stop", run_id, code=3)
    assert kept.only_run(default)["state"] == "open"
