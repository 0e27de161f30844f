"""What CONTRIBUTING.md tells a contributor to type and to read exists."""

from __future__ import annotations

import re
import subprocess

from .child import REPOSITORY

TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")


def targets() -> set[str]:
    """The targets that `make` lists."""
    return set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


def test_every_target_that_it_names_exists_and_every_one_is_named() -> None:
    named = set(re.findall(r"make ([a-z]+(?:-[a-z]+)?)\b", "\n".join(re.findall(r"`(make [^`]+)`", TEXT))))
    assert named | {"help", "clean"} == targets()


def test_every_target_is_phony_and_make_shows_it() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert targets() == set(phony[1].split())
    shown = subprocess.run(["make"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"make ([a-z-]+)", shown)) >= targets()


def test_what_make_test_is_said_to_be_is_what_it_runs() -> None:
    run = re.search(r"^test: (.*?) ##", MAKEFILE, re.MULTILINE)
    assert run
    table = re.findall(r"^\| `make ([a-z-]+)` \|", TEXT, re.MULTILINE)
    before = table[: table.index("test")]
    assert before[-5:] == run[1].split(), "the five targets above it in the table"


def test_every_file_and_test_that_it_names_exists() -> None:
    paths = re.findall(r"\b((?:tests|src|examples)/[\w./-]*[\w/])", TEXT)
    paths += re.findall(r"\]\(([\w.]+)", TEXT)
    assert len(paths) > 10
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []


def test_the_fixtures_and_functions_that_it_names_exist() -> None:
    harness = "".join((REPOSITORY / "tests/gateway" / name).read_text() for name in ("conftest.py", "tasks.py"))
    names = ["gateway", "narrow_gateway", "bare_gateway", "own_gateway", "make_proxy", "case", "posts"]
    names += ["assert_all_completed", "calls_per_task"]
    assert [name for name in names if name not in TEXT or f"def {name}(" not in harness] == []


def test_the_version_stands_in_one_place() -> None:
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in project
    assert re.search(r'^version = "\d+\.\d+\.\d+"$', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)


def test_it_is_short() -> None:
    assert len(TEXT.splitlines()) < 150
