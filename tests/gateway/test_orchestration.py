"""A request that is planned, run, planned anew and reported, on a real gateway."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import models
import pytest
from parallel_agents import Orchestrator, journal_runs, openclaw

from .case import Case
from .openclaw import Gateway

PROGRAM = """
import os, signal, sys
from parallel_agents import Orchestrator

def die(result):
    if result.task_id == "step/sound":
        os.kill(os.getpid(), signal.SIGKILL)

request, journal = sys.argv[1:]
Orchestrator(journal=journal).orchestrate(request, callback=die)
"""


def plans_and_reports(case: Case) -> list[str]:
    """What the orchestrator's agents were asked for, in order."""
    readings = [models.read(call.prompt) for call in case.calls()]
    return [str(reading.data["mode"]) for reading in readings if reading.role == "agent_orchestrator"]


def test_a_request_ends_with_a_report_after_a_failure_that_was_planned_anew(gateway: Gateway, case: Case) -> None:
    done = Orchestrator().orchestrate(f"Write about mornings. {case} [[plan=failing]]")
    assert (done.status, done.error, len(done.replans)) == ("completed", None, 1)
    assert {row["task_id"]: row["status"] for row in done.plan} == {
        "sound": "completed",
        "broken": "failed",
        "after": "skipped",
        "broken-again": "completed",
        "after-again": "completed",
    }
    assert plans_and_reports(case) == ["plan", "plan", "report"]
    assert "| broken | content_writer_controversial | 1 | failed |" in done.report
    assert done.results["report"].success


@pytest.mark.parametrize("lie", ["flatters", "invents", "forgets"])
def test_a_report_that_is_not_true_is_replaced_by_the_facts(gateway: Gateway, case: Case, lie: str) -> None:
    done = Orchestrator().orchestrate(f"Write. {case} [[plan=failing]] [[report={lie}]]", replans_max=0)
    assert done.status == "partial"
    assert done.report.startswith("This report was compiled without an agent: the JSON does not fit")
    assert "| broken | content_writer_controversial | 1 | failed |" in done.report


@pytest.mark.parametrize("how", ["million", "greedy", "self", "cycle", "unknown", "recursive", "empty"])
def test_a_plan_that_no_runtime_should_carry_out_is_not(gateway: Gateway, case: Case, how: str) -> None:
    done = Orchestrator().orchestrate(f"Write. {case} [[plan={how}]]", replans_max=1)
    assert (done.status, done.plan) == ("failed", [])
    assert set(plans_and_reports(case)) == {"plan"}


def test_agents_are_made_and_refined_until_they_score(gateway: Gateway, case: Case) -> None:
    done = Orchestrator(max_concurrent=10).orchestrate(
        f"Create 3 agents and ensure all score 8.5+. {case} [[design=8]]"
    )
    assert (done.status, done.error) == ("completed", None)
    assert [row["reached"] for row in done.plan] == [True] * 3
    assert all(row["score"] >= 8.5 and row["attempts"] > 2 for row in done.plan)


def test_one_whose_second_approval_raised_is_asked_again_and_pays_nothing_twice(
    gateway: Gateway, case: Case, tmp_path: Path
) -> None:
    journal, asked = tmp_path / "runs.sqlite", []

    def approve(plan: dict[str, Any]) -> bool:
        asked.append(plan["plan"])
        if len(asked) == 2:
            raise ValueError("a mistake")
        return True

    with pytest.raises(ValueError, match="a mistake"):
        Orchestrator(journal=journal).orchestrate(f"Write about mornings. {case} [[plan=failing]]", approve=approve)
    (run,) = journal_runs(journal)
    assert run["state"] == "open"
    done = Orchestrator.resume(run["run_id"], journal, approve=approve).orchestration
    assert done is not None
    assert (done.status, asked) == ("completed", [1, 2, 2])
    assert plans_and_reports(case) == ["plan", "plan", "report"]


def test_one_that_is_killed_in_the_middle_goes_on(gateway: Gateway, case: Case, tmp_path: Path) -> None:
    journal, request = tmp_path / "runs.sqlite", f"Write about mornings. {case} [[plan=failing]]"
    process = subprocess.run([sys.executable, "-c", PROGRAM, request, str(journal)], timeout=120, env=os.environ)
    assert process.returncode == -signal.SIGKILL
    (row,) = journal_runs(journal)
    assert row["state"] == "open"
    done = Orchestrator.resume(row["run_id"], journal).orchestration
    assert done is not None
    assert (done.status, done.error) == ("completed", None)
    assert plans_and_reports(case) == ["plan", "plan", "report"]
    assert [call.task for call in case.calls()].count("sound") == 1


def test_one_that_is_spawned_is_one_session(gateway: Gateway, case: Case) -> None:
    with openclaw.tools() as tools:
        request = f"Write about mornings. {case}"
        spawned = tools.sessions_spawn(task=request, agent_type="agent_orchestrator", timeout=600)
        key = spawned["childSessionKey"]
        assert spawned["status"] == "accepted"
        assert tools.subagents()["tasks"][0]["sessionKey"] == key
        deadline = time.monotonic() + 120
        while not all(row["status"] == "completed" for row in tools.sessions_list(agent_id_pattern="agent_*")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        listed = tools.sessions_list()
        assert listed[0]["key"] == key
        assert len(listed) == listed["count"]
        assert key not in {row["key"] for row in tools.sessions_list(offset=1)}
        last = tools.sessions_history(key)[-1]
        assert last["role"] == "assistant"
        assert "| link-2 |" in last["content"]
        assert tools.sessions_history(key, limit=1)["truncated"] is True


def test_one_that_is_spawned_is_stopped_with_the_program(gateway: Gateway, case: Case) -> None:
    with openclaw.tools() as tools:
        request = f"Write about mornings. {case} [[hold]]"
        keys = [tools.sessions_spawn(task=request, agent_type="agent_orchestrator")["sessionKey"] for _ in range(2)]
        case.wait_for(2)
        page = tools.sessions_list(limit=1)
        assert ([row["key"] for row in page], page["hasMore"], page["nextOffset"]) == ([keys[1]], True, 1)
        assert [row["key"] for row in tools.sessions_list(limit=1, offset=1)] == [keys[0]]
        assert tools.subagents("cancel", taskId=keys[0]) == {"status": "ok"}
        tools.close()
        rows = {row["key"]: row["status"] for row in tools.sessions_list() if row["key"] in keys}
        assert rows == dict.fromkeys(keys, "killed")
    case.release()
