"""The examples as they stand, and a fan-out that sums up, on a real gateway."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from parallel_agents import MapReduce

from .case import Case
from .openclaw import Gateway

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = sorted((REPOSITORY / "examples").glob("*.py"))
ENDED_SECONDS_MAX = 120


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_an_example_runs_on_a_gateway_as_it_stands(gateway: Gateway, program: Path) -> None:
    before = gateway.sessions()
    done = subprocess.run(
        [sys.executable, str(program), "--gateway"], capture_output=True, text=True, timeout=ENDED_SECONDS_MAX
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "rehearsal" not in done.stdout
    assert gateway.sessions() - before == set()


def test_a_failed_item_costs_no_summary_and_nothing_twice(gateway: Gateway, case: Case) -> None:
    # The one that sums up is told the beginning of an item, which must not hold the order to fail.
    items = [f"{tea} [[task={tea}]] {case}" for tea in ("green", "black", "white")]
    items[1] += f"{'.' * 200} [[http=400]]"
    outcome = MapReduce(items, map="Count the teas.", reduce="Add the counts up.").execute()

    assert [result.status.value for result in outcome.results] == ["completed", "failed", "completed"]
    assert outcome.summary.success, outcome.summary.error
    assert list(outcome.run) == ["item-0", "item-1", "item-2", "summary"]
    prompts = [call.prompt for call in case.calls()]
    assert len([prompt for prompt in prompts if "Add the counts up." in prompt]) == 1
    for tea in ("green", "white"):
        assert len([prompt for prompt in prompts if "Count the teas." in prompt and tea in prompt]) == 1
