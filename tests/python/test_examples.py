"""The examples and the documents do what they say. Everything is rehearsed."""

from __future__ import annotations

import doctest
import shlex
import sys
from pathlib import Path

import pytest

from . import child, documents

EXAMPLES = child.REPOSITORY / "examples"
SESSIONS = [
    session.split("\n", 1) for _, session in documents.blocks(EXAMPLES / "README.md", "console") if session[:2] == "$ "
]
DOCUMENTS = [
    document
    for document in (
        child.REPOSITORY / "README.md",
        child.REPOSITORY / "USAGE-GUIDE.md",
        EXAMPLES / "README.md",
    )
    if document.exists()
]


@pytest.mark.parametrize(("command", "output"), SESSIONS, ids=lambda text: text if text[:2] == "$ " else "")
def test_an_example_prints_what_its_description_shows(command: str, output: str) -> None:
    _, program, *arguments = shlex.split(command.removeprefix("$ "))
    done = child.run(sys.executable, program, *arguments, cwd=child.REPOSITORY)
    assert (done.returncode, done.stderr) == (0, "")
    assert doctest.OutputChecker().check_output(output, done.stdout, doctest.ELLIPSIS), done.stdout


def test_every_example_is_described() -> None:
    programs = sorted(path.name for path in EXAMPLES.glob("*.py"))
    assert programs == sorted(Path(shlex.split(command)[2]).name for command, _ in SESSIONS)


@pytest.mark.parametrize("program", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_says_what_is_missing_to_run_it_for_real(program: Path, closed_port: int) -> None:
    done = child.run(sys.executable, str(program), "--gateway")
    assert done.returncode == 1
    assert f"127.0.0.1:{closed_port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_review_runs_without_a_path() -> None:
    done = child.run(sys.executable, str(EXAMPLES / "review_with_dependencies.py"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("completed") == 4


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(child.REPOSITORY)))
def test_the_python_in_a_document_runs(document: Path, tmp_path: Path) -> None:
    assert documents.blocks(document, "python"), "a document without a block that runs promises nothing"
    done = child.run(sys.executable, documents.__file__, str(document), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
