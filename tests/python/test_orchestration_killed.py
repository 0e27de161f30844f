"""Orchestrations whose process is killed, over a stand-in that lives on: they go on where they were."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import OptionError, Orchestration, Orchestrator
from standin import Habits, StandIn, apart

from . import child, kept
from .planners import ORCHESTRATOR, Planners, plan, step

pytestmark = pytest.mark.usefixtures("ends")

REQUEST = "Write about mornings."
PROGRAM = """
import os, signal, sys
from parallel_agents import Orchestrator

tests, address, journal, approval = sys.argv[1:]
sys.path.insert(0, tests)
from standin import tools_at

def die(asked):
    os.kill(os.getpid(), signal.SIGKILL)

approve = {"none": None, "yes": lambda asked: True, "die": die}[approval]
Orchestrator(journal=journal, tools=tools_at(address), max_concurrent=2).orchestrate(
    "Write about mornings.", approve=approve
)
"""


def planners() -> Planners:
    first = plan(step("one"), step("two"), step("broken", marks="[[http=400]]"), step("three", "one", "two"))
    return Planners(first, plan(step("instead", "three", target=6, replaces=["broken"])))


def killed(standin: StandIn, journal: Path, approval: str, killer: kept.Killer | None = None) -> str:
    """Orchestrates in another process, which is killed or kills itself. The run's id."""
    with apart(standin.tools(subagents=True, sessions=True)) as address:
        command = (sys.executable, "-c", PROGRAM, str(kept.TESTS), address, str(journal), approval)
        with child.started(*command) as process:
            if killer is not None:
                killer.watch(process)
            errors = process.communicate(timeout=child.SECONDS_MAX)[1]
            assert process.returncode == -9, errors
    return str(kept.only_run(journal)["run_id"])


def resumed(standin: StandIn, run_id: str, journal: Path, **more: Any) -> Orchestration:
    tools = standin.tools(subagents=True, sessions=True)
    done = Orchestrator.resume(run_id, journal, tools=tools, **more).orchestration
    assert done is not None
    return done


def starts(standin: StandIn) -> Counter[str]:
    """How often each step was started, and how often planners and reporters were."""
    names = []
    for each in standin.children:
        if ORCHESTRATOR in each.prompt:
            names.append("report" if "Mode: report" in each.prompt else "plan")
        elif "Review `output`" in each.prompt:
            names.append("review")
        else:
            names.append(each.prompt.split("[[task=")[1].split("]]")[0])
    return Counter(names)


@pytest.mark.parametrize(
    ("tool", "call_no", "when"),
    [
        ("sessions_spawn", 1, "after"),
        ("sessions_history", 1, "after"),
        ("sessions_spawn", 3, "after"),
        ("sessions_history", 3, "before"),
        ("sessions_spawn", 6, "after"),
        ("sessions_spawn", 7, "after"),
        ("sessions_spawn", 8, "after"),
        ("sessions_history", 9, "after"),
    ],
)
@pytest.mark.parametrize("approval", ["none", "yes"])
def test_one_goes_on_and_starts_nothing_twice(
    tmp_path: Path, tool: str, call_no: int, when: Any, approval: str
) -> None:
    standin = StandIn(Habits(speed=20, text_chars_max=10_000_000), planners())
    killer, journal = kept.Killer(), tmp_path / "runs.sqlite"
    standin.on(tool, killer, call_no=call_no, when=when)
    run_id = killed(standin, journal, approval, killer)
    asked: list[Any] = []

    def approve(plan: dict[str, Any]) -> bool:
        asked.append(plan["plan"])
        return True

    done = resumed(standin, run_id, journal, approve=None if approval == "none" else approve)
    assert (done.status, done.error, done.run_id) == ("completed", None, run_id)
    assert {row["task_id"]: row["status"] for row in done.plan} == {
        "one": "completed",
        "two": "completed",
        "broken": "failed",
        "three": "completed",
        "instead": "completed",
    }
    assert len(done.replans) == 1
    counted = starts(standin)
    assert counted.pop("plan") == 2
    assert counted.pop("report") == 1
    assert counted.pop("broken") >= 1
    assert set(counted.values()) == {1}, counted
    assert (standin.alive, standin.left) == ([], [])
    assert len(asked) == len(set(asked))
    assert done.report.startswith("It is done.")
    again = resumed(standin, run_id, journal)
    assert (again.plan, again.report) == (done.plan, done.report)


def test_one_that_waited_for_approval_asks_again(tmp_path: Path) -> None:
    standin = StandIn(Habits(speed=20, text_chars_max=10_000_000), Planners(plan(step("one"))))
    journal = tmp_path / "runs.sqlite"
    run_id = killed(standin, journal, "die")
    calls = len(standin.calls)
    with pytest.raises(OptionError, match="pass approve="):
        resumed(standin, run_id, journal)
    assert len(standin.calls) == calls
    assert kept.only_run(journal)["state"] == "open"
    asked: list[Any] = []
    done = resumed(standin, run_id, journal, approve=lambda plan: asked.append(plan) or "not today")  # type: ignore[func-returns-value]
    assert (done.status, done.error) == ("rejected", "plan 1 was not approved: not today")
    assert [row["task_id"] for row in asked[0]["steps"]] == ["one"]
    assert kept.only_run(journal)["state"] == "ended"
    assert starts(standin) == {"plan": 1}
