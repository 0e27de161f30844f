"""The benchmark measures what it says: every program gives all outputs, and the ideal schedule is one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench import journal
from bench.overhead import ANSWER, MODEL, prompts_sent, ratio, tasks, turns
from bench.rivals import RIVALS
from bench.schedule import ideal_seconds
from standin import ZeroLatency

pytestmark = pytest.mark.usefixtures("ends")


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize(("count", "limit"), [(0, 5), (3, 5), (700, 64), (450, 450)])
def test_a_rival_gives_every_output(name: str, count: int, limit: int) -> None:
    tools = ZeroLatency(ANSWER)
    outputs = RIVALS[name](tools, [f"prompt {number}" for number in range(count)], MODEL, limit)
    assert outputs == [json.loads(ANSWER)] * count
    assert tools.spawned == count


def test_the_rivals_are_given_the_prompts_that_we_send() -> None:
    given = tasks(5)
    prompts = prompts_sent(5)
    for task in given:
        (prompt,) = [each for each in prompts if task.task_description in each]
        assert "hashtags" in prompt


def test_all_programs_take_their_turns() -> None:
    seconds = turns(prompts_sent(20), 7, 3)
    assert {len(each) for each in seconds.values()} == {3}
    assert set(RIVALS) < set(seconds)


def test_ratios_are_taken_within_a_round() -> None:
    assert ratio([2.0, 30.0, 8.0], [1.0, 10.0, 2.0]) == 3.0


def test_a_run_is_measured_with_and_without_its_journal(tmp_path: Path) -> None:
    seconds = journal.turns(20, 7, 2, tmp_path)
    assert list(seconds) == [journal.WITHOUT, journal.PROCESS, journal.POWER]
    assert {len(each) for each in seconds.values()} == {2}
    assert list(tmp_path.iterdir()) == []


def test_what_a_journal_takes_is_compared_within_a_round() -> None:
    assert journal.above([2.0, 30.0, 8.0], [1.0, 10.0, 2.0], 10) == 0.6e6


def test_the_journal_is_measured_on_a_disk(capsys: pytest.CaptureFixture[str]) -> None:
    assert journal.file_system(Path("/proc/self")) == "proc"
    on = journal.file_system(journal.on_disk())
    assert on not in journal.NO_DISK
    journal.measure(20, [7], 1)
    table = capsys.readouterr().out
    assert f"20 tasks whose agents take no time, 7 at once, journal on {on}; medians of 1 rounds" in table
    assert all(name in table for name in (journal.WITHOUT, journal.PROCESS, journal.POWER))


def test_the_ideal_schedule_starts_each_task_where_a_place_becomes_free() -> None:
    assert ideal_seconds([3, 1, 1, 1], 2) == 3
    assert ideal_seconds([1, 1, 3], 2) == 4
    assert ideal_seconds([5, 4, 3], 10) == 5
