"""Agents that are stuck ask, on a real gateway, and go on with the answer."""

from __future__ import annotations

import json
from pathlib import Path

from parallel_agents import AgentStatus, Orchestrator, journal_runs

from .apart import command
from .case import Case
from .openclaw import Gateway
from .tasks import assert_all_completed, calls_per_task, post

FIELD = json.dumps({"stuck": "Which city are the mornings in?"})


def test_agents_that_ask_go_on_with_the_answer_in_their_prompt(gateway: Gateway, case: Case, journal: Path) -> None:
    before = gateway.sessions()
    tasks = [
        post(case, "field", f"[[first 1: say={FIELD}]]"),
        post(case, "line", "[[first 1: say=I looked.\nSTUCK: At which harbour?]]", output_format="text"),
        post(case, "builds", dependencies=["field"]),
        post(case, "alone"),
    ]
    results = Orchestrator(max_concurrent=4, journal=journal).run_parallel(tasks)

    assert {name: result.status.value for name, result in results.items()} == {
        "field": "needs_input",
        "line": "needs_input",
        "builds": "skipped",
        "alone": "completed",
    }
    assert results.questions == {"field": "Which city are the mornings in?", "line": "At which harbour?"}
    assert gateway.sessions() - before == set()

    resumed = Orchestrator.resume(str(results.run_id), journal, answers={"field": "In Lisbon."})
    assert_all_completed({name: resumed[name] for name in ("field", "builds", "alone")}, 3)
    assert resumed["line"].status == AgentStatus.NEEDS_INPUT
    first, second = (call.prompt for call in case.calls(task="field"))
    assert "In Lisbon." not in first
    assert "In Lisbon." in second
    assert second.count("Which city are the mornings in?") > first.count("Which city are the mornings in?")
    assert [attempt["no"] for attempt in resumed["field"].metadata["attempts"]] == [1, 2]

    done = command("resume", str(results.run_id), "--journal", str(journal), "--answer", "line=At Dover.")
    assert done.returncode == 0, done.stderr
    first, second = (call.prompt for call in case.calls(task="line"))
    assert "At Dover." in second
    assert "At Dover." not in first
    assert calls_per_task(case) == {"field": 2, "line": 2, "builds": 1, "alone": 1}
    assert journal_runs(journal)[0]["state"] == "ended"
    assert gateway.sessions() - before == set()
