"""The examples do what they and their descriptions say. Everything is rehearsed."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from . import child, documents

EXAMPLES = child.REPOSITORY / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
SNAPSHOTS = EXAMPLES / "output"
RENEW = "RENEW_SNAPSHOTS"
"""Set in the environment, it lets the snapshots be written instead of compared: `make snapshots`."""
SESSIONS = [
    session.split("\n", 1) for _, session in documents.blocks(EXAMPLES / "README.md", "console") if session[:2] == "$ "
]


@pytest.mark.parametrize(("command", "output"), SESSIONS, ids=lambda text: text if text[:2] == "$ " else "")
def test_an_example_prints_what_its_description_shows(command: str, output: str) -> None:
    _, program, *arguments = shlex.split(command.removeprefix("$ "))
    done = child.run(sys.executable, program, *arguments, cwd=child.REPOSITORY)
    assert (done.returncode, done.stderr) == (0, "")
    assert doctest.OutputChecker().check_output(output, done.stdout, doctest.ELLIPSIS), done.stdout


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_an_example_prints_what_its_snapshot_holds(program: Path) -> None:
    done = child.run(sys.executable, str(program.relative_to(child.REPOSITORY)), cwd=child.REPOSITORY)
    assert (done.returncode, done.stderr) == (0, "")
    snapshot = SNAPSHOTS / f"{program.stem}.txt"
    if os.environ.get(RENEW):
        snapshot.parent.mkdir(exist_ok=True)
        snapshot.write_text(done.stdout, encoding="utf-8")
    assert snapshot.exists(), f"{snapshot.name} is missing: make snapshots"
    assert done.stdout == snapshot.read_text(encoding="utf-8"), "if this is as it should be: make snapshots"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_an_example_says_that_it_is_a_rehearsal(program: Path) -> None:
    shown = (SNAPSHOTS / f"{program.stem}.txt").read_text(encoding="utf-8")
    assert shown.startswith("A rehearsal: no AI is called.\n")
    assert "[rehearsal, no AI]" in shown


def test_every_example_is_described_and_every_snapshot_has_its_example() -> None:
    programs = [path.name for path in PROGRAMS]
    assert programs == sorted(Path(shlex.split(command)[2]).name for command, _ in SESSIONS)
    assert [path.stem for path in PROGRAMS] == sorted(path.stem for path in SNAPSHOTS.iterdir())


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_an_example_says_how_it_is_run(program: Path) -> None:
    text = program.read_text(encoding="utf-8")
    path = program.relative_to(child.REPOSITORY).as_posix()
    assert re.search(rf"^python {path}.* as a rehearsal, with no AI$", text, re.MULTILINE)
    assert re.search(rf"^python {path}.*--gateway  for real; agents cost money$", text, re.MULTILINE)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_an_example_says_in_one_line_what_is_missing_to_run_it_for_real(program: Path, closed_port: int) -> None:
    done = child.run(sys.executable, str(program), "--gateway")
    assert done.returncode == 1
    assert done.stderr.startswith("error: nothing answers at ")
    assert f"127.0.0.1:{closed_port}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "rehearsal" not in done.stdout


def test_a_file_that_cannot_be_reviewed_is_told_in_one_line() -> None:
    done = child.run(sys.executable, str(EXAMPLES / "code_review.py"), "absent.py")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "absent.py" in done.stderr
