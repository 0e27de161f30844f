"""Designs and other work refined to a score, on a real gateway: judged, improved by the objections, the best kept."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import models
import pytest
from models import mark_of, score_of
from parallel_agents import AgentResult, AgentTask, Orchestrator, Refinement, journal_runs

from .apart import command
from .case import Case
from .openclaw import Gateway
from .provider import Call

ENDED_SECONDS_MAX = 120
MARK = re.compile("[0-9a-f]{24}")


def entry(case: Case, name: str, tokens: str = "", **fields: Any) -> dict[str, Any]:
    """An agent to be refined, whose model calls are those of the task `name`."""
    return {"name": name, "purpose": f"sorts {name} {case} [[task={name}]] {tokens}", **fields}


def refine(case: Case, tokens: str = "", **bounds: Any) -> Refinement:
    """What becomes of one agent's design."""
    return Orchestrator().run_iterative_refinement([entry(case, "sorter", tokens)], **bounds)["sorter"]


def told(case: Case, role: str, **which: Any) -> list[Call]:
    return [call for call in case.calls(**which) if models.read(call.prompt).role == role]


def scores(refinement: Refinement) -> list[float | None]:
    return [each.score for each in refinement.rounds]


def test_three_agents_get_from_below_eight_to_their_target_each_at_its_own_pace(gateway: Gateway, case: Case) -> None:
    agents = [
        entry(case, "near", "[[design=9]]"),
        entry(case, "far", "[[design=5]] [[gain=3]]"),
        entry(case, "slow", "[[design=8]] [[gain=1]] [[agent_design_reviewer, round 1: hold]]"),
    ]

    def let_go(result: AgentResult) -> None:
        # Nobody waits for the slow one: its first review is answered only when the others are done.
        if result.task_id == "far/review-3":
            case.release("slow")

    orchestrator = Orchestrator(max_concurrent=6)
    refined = orchestrator.run_iterative_refinement(agents, target=8.5, iterations_max=3, callback=let_go)

    assert {name: scores(each) for name, each in refined.items()} == {
        "near": [7.5, 9.2],
        "far": [4.2, 6.7, 9.2],
        "slow": [6.7, 7.5, 8.3, 9.2],
    }
    for name, each in refined.items():
        assert (each.reached, each.stopped_because, each.score, each.target) == (True, "target", 9.2, 8.5)
        assert score_of(each.design) == 9.2
        assert each.cost == pytest.approx(sum(part.cost or 0 for part in each.rounds))
        assert all(part.cost for part in each.rounds)
        assert [bool(part.changes) for part in each.rounds] == [False] + [True] * (len(each.rounds) - 1)
        assert len(case.calls(task=name)) == 2 * len(each.rounds)


def test_each_step_is_told_the_very_design_that_the_step_before_made_and_no_score(gateway: Gateway, case: Case) -> None:
    refined = refine(case, "[[design=6]]", target=8.8)

    assert scores(refined) == [5.0, 6.7, 8.3, 10.0]
    marks = [mark_of("sorter", f"1.{number}.0") for number in range(4)]
    reviews, refiners = told(case, "agent_design_reviewer"), told(case, "agent_refiner")
    assert [set(MARK.findall(call.prompt)) for call in reviews] == [{mark} for mark in marks]
    assert [set(MARK.findall(call.prompt)) & set(marks) for call in refiners] == [{mark} for mark in marks[:3]]
    for call in [*reviews, *refiners]:
        assert "8.8" not in call.prompt, "the target stands in a prompt"
    for call, score in zip(refiners, (5.0, 6.7, 8.3), strict=True):
        reading = models.read(call.prompt)
        assert "overall_score" not in json.dumps(reading.data)
        assert str(score) not in json.dumps(reading.data)
        assert "no `" in json.dumps(reading.data)


def test_the_best_round_is_kept_where_a_later_one_is_worse(gateway: Gateway, case: Case) -> None:
    refined = refine(case, "[[design=7]] [[round 3: refine=worse]]", target=9)

    assert scores(refined) == [5.8, 7.5, 5.8]
    assert (refined.reached, refined.stopped_because, refined.score) == (False, "regression", 7.5)
    assert refined.design["version"] == "1.1.0"
    assert mark_of("sorter", "1.1.0") in refined.design["system_prompt"]


@pytest.mark.parametrize(("how", "calls"), [("same", 3), ("praise", 4)])
def test_a_refiner_that_improves_nothing_is_asked_once(gateway: Gateway, case: Case, how: str, calls: int) -> None:
    refined = refine(case, f"[[design=7]] [[refine={how}]]", iterations_max=9)

    assert scores(refined) == [5.8, 5.8]
    assert (refined.reached, refined.stopped_because, refined.score) == (False, "plateau", 5.8)
    assert refined.design["version"] == "1.0.0"
    assert len(case.calls()) == calls, "the same design again needs no review"


def test_slow_progress_ends_with_the_iterations(gateway: Gateway, case: Case) -> None:
    refined = refine(case, "[[design=1]] [[gain=1]]", iterations_max=2)

    assert scores(refined) == [0.8, 1.7, 2.5]
    assert (refined.reached, refined.stopped_because, refined.score) == (False, "iterations_max", 2.5)


@pytest.mark.parametrize("score", ["11", "-3", "nine", "null", "NaN"])
def test_a_score_that_is_none_is_asked_for_again_and_counts_for_nothing(
    gateway: Gateway, case: Case, score: str
) -> None:
    refined = refine(case, f"[[design=9]] [[once: score={score}]]")

    assert (scores(refined), refined.stopped_because) == ([7.5, 9.2], "target")
    reviews = [models.read(call.prompt) for call in told(case, "agent_design_reviewer")]
    assert [reading.is_objected for reading in reviews] == [False, True, False, True]


@pytest.mark.parametrize("score", ["11", "nine"])
def test_a_reviewer_that_never_gives_a_score_ends_the_refinement_in_a_clear_state(
    gateway: Gateway, case: Case, score: str
) -> None:
    refined = refine(case, f"[[design=9]] [[score={score}]]")

    assert (refined.reached, refined.stopped_because, refined.score) == (False, "failed", None)
    assert refined.error
    assert mark_of("sorter", "1.0.0") in refined.design["system_prompt"], "the design is lost with its review"
    assert len(case.calls()) < 20


@pytest.mark.parametrize("kind", ["front matter", "frame", "output", "ignore", "all", "orders"])
def test_a_hostile_version_gets_the_score_of_its_lines(gateway: Gateway, case: Case, kind: str) -> None:
    refined = refine(case, f"[[design=9]] [[gain=1]] [[agent_refiner: hostile={kind}]]", iterations_max=2)

    assert scores(refined) == [7.5, 8.3, 9.2]
    for call in told(case, "agent_design_reviewer"):
        reading = models.read(call.prompt)
        marks = [frame.mark for frame in reading.results]
        assert all(
            len(mark) > max(map(len, re.findall("=+", frame.text)), default=0)
            for mark, frame in zip(marks, reading.results, strict=True)
        )
        assert reading.contract.count("overall_score") >= 1


def test_any_task_is_refined_to_its_target(gateway: Gateway, case: Case) -> None:
    task = AgentTask("content_writer_creative", f"Write a post. {case} [[work=7]]")
    # A type whose own score is a letter: its reviewers are asked for a number.
    refined = Orchestrator().refine(task, reviewer="security_reviewer", target=8.5)

    assert (scores(refined), refined.stopped_because) == ([5.8, 7.5, 9.2], "target")
    assert "Mark: " in json.dumps(refined.output)


PROGRAM = """
import json, sys
from parallel_agents import Orchestrator

journal, agents = sys.argv[1:]
Orchestrator(journal=journal).run_iterative_refinement(json.loads(agents), 8.5, 3)
"""


def test_a_refinement_killed_in_the_middle_goes_on_where_it_was(gateway: Gateway, case: Case, journal: Path) -> None:
    agents = [entry(case, f"a{number}", "[[design=7]] [[agent_refiner, round 3: hold]]") for number in range(3)]
    child = subprocess.Popen([sys.executable, "-c", PROGRAM, str(journal), json.dumps(agents)])
    try:
        # Created, reviewed, refined, reviewed: the fifth call of each is the second refiner, which is held.
        case.wait_for(15)
        child.send_signal(signal.SIGKILL)
        child.wait(ENDED_SECONDS_MAX)
    finally:
        child.kill()
    case.release(*(f"a{number}" for number in range(3)))
    (run,) = journal_runs(journal)
    done = command("resume", str(run["run_id"]), "--journal", str(journal))

    assert done.returncode == 0, done.stderr
    assert len(case.calls(outcome="answered")) == 18, "what was done before the kill was done again"
    assert len(case.calls()) <= 21
    assert gateway.live_sessions() == set()
