"""Runs that have had enough, on a real gateway: what is not needed any more is stopped there, too."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from parallel_agents import AgentResult, Orchestrator, best, first
from parallel_agents import Gateway as GatewayOptions

from .case import Case
from .openclaw import Gateway
from .tasks import Way, post, posts


@pytest.mark.parametrize("path", ["agent", "spawn"])
def test_the_first_two_are_enough_and_the_other_four_are_cut(
    gateway: Gateway, case: Case, journal: Path, path: Way
) -> None:
    before = gateway.sessions()
    # The two that answer wait until the four are at work.
    held = posts(case, 4, "[[hold]]", timeout_seconds=900)
    quick = [post(case, f"quick-{index}", "[[hold]]", timeout_seconds=900) for index in range(2)]
    orchestrator = Orchestrator(max_concurrent=6, gateway=GatewayOptions(path=path), journal=journal)

    def release() -> None:
        case.wait_for(6)
        case.release("quick-0", "quick-1")

    releaser = threading.Thread(target=release)
    releaser.start()
    results = orchestrator.run_parallel([*held, *quick], until=first(2))
    releaser.join()

    assert sorted(results.chosen) == ["quick-0", "quick-1"]
    assert results.outcome is not None
    assert (results.outcome["met"], results.outcome["completed"]) == (True, 2)
    for index in range(4):
        result = results[f"t{index}"]
        assert (result.status.value, result.error) == ("cancelled", "no longer needed: `first(2)` has its 2 results")
    assert gateway.sessions() - before == set()
    assert results.report["sessions_left"] == []
    assert len(case.calls()) == 6
    assert sorted(call.outcome for call in case.calls()) == ["answered"] * 2 + ["cut"] * 4
    again = Orchestrator.resume(str(results.run_id), journal)
    assert again.outcome == results.outcome
    assert len(case.calls()) == 6


def test_a_function_of_the_program_decides_when_it_is_enough(gateway: Gateway, case: Case) -> None:
    before = gateway.sessions()

    def judge(result: AgentResult) -> int:
        return len(result.output["caption"])

    tasks = [post(case, "quick"), *posts(case, 2, "[[hold]]", timeout_seconds=900)]
    results = Orchestrator(max_concurrent=3).run_parallel(tasks, until=best(judge, enough=1))
    assert list(results.chosen) == ["quick"]
    assert {results[name].status.value for name in ("t0", "t1")} == {"cancelled"}
    assert gateway.sessions() - before == set()
