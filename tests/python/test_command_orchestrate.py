"""`parallel-agents orchestrate`: the plan on the terminal, the report on standard output."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from parallel_agents import journal_runs

from . import child

pytestmark = pytest.mark.usefixtures("ends")

REQUEST = "Explain how tides work, and check it"
QUESTION = "Run this plan? [y, or why not] "


def orchestrate(*flags: str) -> subprocess.CompletedProcess[str]:
    return child.run(child.COMMAND, "orchestrate", REQUEST, "--rehearsal", *flags)


class Terminal:
    """A command whose standard input and standard error are a terminal."""

    def __init__(self, process: subprocess.Popen[str], terminal: int) -> None:
        self.process = process
        self._terminal = terminal
        self.shown = ""

    def until(self, text: str) -> str:
        """What is shown up to and with `text`."""
        while text not in self.shown:
            self.shown += os.read(self._terminal, 4096).decode()
        return self.shown

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def ends(self) -> tuple[int, str]:
        """The exit code, and what came on standard output."""
        output = self.process.communicate(timeout=child.SECONDS_MAX)[0]
        return self.process.returncode, output


@contextmanager
def on_a_terminal(*arguments: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [child.COMMAND, *arguments],
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=child._obey_interrupts,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.communicate()
        os.close(ours)


def test_the_report_stands_on_standard_output_alone() -> None:
    done = orchestrate("--no-journal")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[rehearsal, no AI] ")
    assert done.stdout.endswith("| check | code_reviewer | 1 | completed |  |\n")
    assert "rehearsal: no AI is called, the plan and the results are made up" in done.stderr
    assert "completed step/check" in done.stderr
    assert "the orchestration is completed" in done.stderr


def test_all_of_it_is_printed_as_json() -> None:
    done = orchestrate("--no-journal", "--full", "--tasks-max", "2", "--replans-max", "0")
    document = json.loads(done.stdout)
    assert document["outcome"]["status"] == "completed"
    assert [row["task_id"] for row in document["outcome"]["plan"]] == ["facts", "outline"]
    assert [row["task_id"] for row in document["results"]] == ["plan-1", "step/facts", "step/outline", "report"]
    assert document["summary"]["tasks"]["completed"] == 4


def test_what_was_not_carried_out_has_a_code_of_its_own() -> None:
    done = orchestrate("--no-journal", "--budget-attempts", "2")
    assert done.returncode == 1
    assert "the orchestration is budget: task `plan-3`: not started: the budget's attempts are spent" in done.stderr
    assert "compiled without an agent" in done.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--tasks-max", "0"), "`tasks_max` is `0`, expected a whole number from 1 to 200"),
        (("--replans-max", "99"), "`replans_max` is `99`"),
        (
            ("--approve",),
            "plans are to be approved, and standard input or standard error is no terminal; run it on one",
        ),
    ],
)
def test_a_mistake_is_told_before_anything_is_started(flags: tuple[str, ...], message: str) -> None:
    done = orchestrate(*flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert not (Path(os.environ["OPENCLAW_STATE_DIR"]) / "parallel-agents").exists()


class TestApproval:
    arguments = ("orchestrate", REQUEST, "--rehearsal", "--approve")

    def test_is_asked_for_on_the_terminal(self) -> None:
        with on_a_terminal(*self.arguments, "--no-journal") as terminal:
            shown = terminal.until(QUESTION)
            assert "Plan 1, 3 tasks: " in shown
            assert "  check (code_reviewer, after facts, outline, at most $" in shown
            terminal.type("y\n")
            code, output = terminal.ends()
        assert code == 0
        assert "| check | code_reviewer | 1 | completed |" in output

    @pytest.mark.parametrize(("typed", "reason"), [("no\n", "."), ("\n \nno\n", "."), ("too dear\n", ": too dear.")])
    def test_that_is_not_given_ends_it(self, typed: str, reason: str) -> None:
        with on_a_terminal(*self.arguments, "--no-journal") as terminal:
            terminal.until(QUESTION)
            terminal.type(typed)
            code, output = terminal.ends()
        assert code == 1
        assert f"compiled without an agent: plan 1 was not approved{reason}" in output
        assert "| check | code_reviewer | 1 | skipped |" in output

    def test_is_asked_for_again_when_a_run_goes_on(self) -> None:
        journal = Path(os.environ["OPENCLAW_STATE_DIR"]) / "parallel-agents" / "journal.sqlite"
        with on_a_terminal(*self.arguments) as terminal:
            terminal.until(QUESTION)
            terminal.process.kill()
            terminal.ends()
        refused = child.run(child.COMMAND, "resume")
        assert refused.returncode == 2
        assert "plans are to be approved" in refused.stderr
        (row,) = journal_runs(journal)
        assert row["state"] == "open"
        with on_a_terminal("resume", "--full") as terminal:
            assert "  check (code_reviewer, after facts, outline, at most $" in terminal.until(QUESTION)
            terminal.type("y\n")
            code, output = terminal.ends()
        assert (code, json.loads(output)["outcome"]["status"]) == (0, "completed")
        again = child.run(child.COMMAND, "resume", row["run_id"])
        assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "| check | code_reviewer | 1 | completed |  |")

    def test_that_nobody_gives_leaves_the_run_open(self) -> None:
        with on_a_terminal(*self.arguments) as terminal:
            terminal.until(QUESTION)
            terminal.type("\x04")
            terminal.until("the run stays open; to be asked again: parallel-agents resume ")
            code, output = terminal.ends()
        assert (code, output) == (1, "")
        (row,) = journal_runs(Path(os.environ["OPENCLAW_STATE_DIR"]) / "parallel-agents" / "journal.sqlite")
        assert row["state"] == "open"
        with on_a_terminal("resume", row["run_id"]) as terminal:
            terminal.until(QUESTION)
            terminal.type("y\n")
            code, output = terminal.ends()
        assert code == 0
        assert "| check | code_reviewer | 1 | completed |" in output

    def test_is_not_needed_to_stop_a_run_whose_agent_types_are_gone(self, tmp_path: Path) -> None:
        poet = tmp_path / "poet.md"
        poet.write_text(
            "---\nname: poet\ncategory: writing\ndescription: Writes one haiku\n---\nYou write one haiku.\n"
        )
        with on_a_terminal(*self.arguments, "--agents", str(poet)) as terminal:
            terminal.until(QUESTION)
            terminal.process.kill()
            terminal.ends()
        (row,) = journal_runs(Path(os.environ["OPENCLAW_STATE_DIR"]) / "parallel-agents" / "journal.sqlite")
        stopped = child.run(child.COMMAND, "stop", row["run_id"])
        assert stopped.returncode == 0, stopped.stderr
        read = child.run(child.COMMAND, "resume", row["run_id"])
        assert (read.returncode, "the orchestration is cancelled" in read.stderr) == (1, True)

    def test_that_nobody_can_give_later_ends_a_run_without_a_journal(self) -> None:
        with on_a_terminal(*self.arguments, "--no-journal") as terminal:
            terminal.until(QUESTION)
            terminal.type("\x04")
            code, output = terminal.ends()
        assert code == 1
        assert "the run was ended early: nobody is left to approve of the plan" in output

    def test_is_asked_for_no_longer_than_the_run_goes_on(self) -> None:
        with on_a_terminal(*self.arguments) as terminal:
            terminal.until(QUESTION)
            (row,) = journal_runs(Path(os.environ["OPENCLAW_STATE_DIR"]) / "parallel-agents" / "journal.sqlite")
            stopped = child.run(child.COMMAND, "stop", row["run_id"], "--reason", "too late")
            code, output = terminal.ends()
        assert (stopped.returncode, code) == (0, 1)
        assert "the run was ended early: too late" in output

    def test_that_is_interrupted_ends_it(self) -> None:
        with on_a_terminal(*self.arguments, "--no-journal") as terminal:
            terminal.until(QUESTION)
            terminal.process.send_signal(signal.SIGINT)
            code, output = terminal.ends()
        assert code == 130
        assert "| check | code_reviewer | 1 | skipped |" in output
