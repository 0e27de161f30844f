"""Rules of the source tree that no compiler and no linter checks."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .child import REPOSITORY

SOURCE = REPOSITORY / "src"

ARROWS = {
    "core": set[str](),
    "agents": {"core"},
    "runtime": {"core"},
    "journal": {"core"},
    "driver": {"core", "runtime", "journal"},
    "workflow": {"core", "agents", "runtime", "journal", "driver"},
    "skill": {"core", "agents", "runtime"},
    "doctor": {"core", "agents", "runtime", "journal", "driver", "workflow", "skill"},
    "cli": {"core", "agents", "runtime", "journal", "driver", "workflow", "skill", "doctor"},
    "python": {"core", "agents", "runtime", "journal", "driver", "workflow", "skill", "doctor", "cli"},
}
"""Which rooms a room may use."""

OUTSIDE_WORLD = {
    "Python": r"\bpyo3\b",
    "waiting": r"\btokio\b|\bstd::thread\b|\basync\s+(fn|move)\b|\.await\b",
    "files": r"\bstd::fs\b",
    "the network": r"\bstd::net\b",
    "processes": r"\bstd::(process|env)\b",
    "a clock": r"\b(SystemTime|Instant)\b",
    # A generator that is made from the seed of the run is an argument; the machine's own randomness is not.
    "randomness": r"\b(rand|getrandom)\b|\bfastrand::(?!Rng\b)\w+|\bRng::(?!with_seed\b)\w+",
}


def code_of(path: Path) -> str:
    """A Rust file without its comments, and with grouped paths such as `std::{fs, io}` written out."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return code + "".join(f"\n{prefix}::{name}" for prefix, name in grouped(code))


def grouped(code: str) -> Iterator[tuple[str, str]]:
    for match in re.finditer(r"\b(std|crate)::\{", code):
        depth, name = 1, ""
        for character in code[match.end() :]:
            depth += {"{": 1, "}": -1}.get(character, 0)
            if depth == 0 or (depth == 1 and character == ","):
                yield match[1], name.strip()
                name = ""
                if depth == 0:
                    break
            elif depth == 1 and character != "}":
                name += character


def room_files(room: str) -> list[Path]:
    return sorted([*(SOURCE / room).rglob("*.rs"), *SOURCE.glob(f"{room}.rs")])


def tracked() -> list[Path]:
    """The files of the repository, those that are new included."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return [REPOSITORY / name for name in listed.split("\0") if name and (REPOSITORY / name).is_file()]


def test_grouped_paths_are_seen() -> None:
    code = "use std::{fs::File, io::{self, Read}}; use crate::{core::plan, agents};"
    assert list(grouped(code)) == [("std", "fs::File"), ("std", "io::"), ("crate", "core::plan"), ("crate", "agents")]


@pytest.mark.parametrize("what", OUTSIDE_WORLD)
def test_the_core_knows_nothing_of(what: str) -> None:
    assert room_files("core")
    found = [str(path) for path in room_files("core") if re.search(OUTSIDE_WORLD[what], code_of(path))]
    assert found == []


def test_every_room_has_its_arrows() -> None:
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir()}
    assert rooms == set(ARROWS)


@pytest.mark.parametrize("room", ARROWS)
def test_a_room_uses_only_those_below_it(room: str) -> None:
    wrong = []
    for path in room_files(room):
        used = set(re.findall(r"\b(?:crate|super::super)::(\w+)", code_of(path)))
        wrong += [f"{path.relative_to(SOURCE)} uses {other}" for other in used & set(ARROWS) - ARROWS[room] - {room}]
    assert wrong == []


def test_python_objects_are_known_in_one_room_only() -> None:
    outside = [path for path in SOURCE.rglob("*.rs") if SOURCE / "python" not in path.parents]
    assert [str(path) for path in outside if re.search(r"\bpyo3\b", code_of(path))] == []


def test_no_source_file_is_long() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCE.rglob("*.*")}
    assert {str(path.relative_to(SOURCE)): length for path, length in lengths.items() if length > 700} == {}


def test_no_tracked_file_names_somebodys_home_or_a_registry() -> None:
    # `u` is the user of no machine: tests that need a home write /home/u.
    home = re.compile(r"(?<![\w.])/(?:home|Users)/(?!u\b)\w+|(?<![\w.])/root/\w")
    registry = re.compile(
        r"https?://[\w.-]*(?:registry|mirror|pypi|pythonhosted|npmjs|crates\.io|artifact|nexus)[\w.-]*"
    )
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for pattern in (home, registry):
            found += [f"{path.relative_to(REPOSITORY)}: {match[0]}" for match in pattern.finditer(text)]
    assert found == []


@pytest.mark.parametrize("folder", [".", "tests/fuzz"])
def test_the_lock_file_names_no_registry_but_the_public_one(folder: str) -> None:
    lines = (REPOSITORY / folder / "Cargo.lock").read_text(encoding="utf-8").splitlines()
    sources = {line for line in lines if line.startswith("source = ")}
    assert sources == {'source = "registry+https://github.com/rust-lang/crates.io-index"'}


def test_the_package_needs_no_other_at_run_time() -> None:
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8").split("[project]")[1].split("\n[")[0]
    assert not re.search(r"^dependencies\b", project, re.MULTILINE)
    imported = set[str]()
    for path in (REPOSITORY / "python" / "parallel_agents").glob("*.py"):
        imported |= set(re.findall(r"^\s*(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    assert imported - {"parallel_agents"} <= sys.stdlib_module_names


def test_every_mutant_of_the_simulation_can_be_applied() -> None:
    command = [sys.executable, str(REPOSITORY / "tests/sim/mutants.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
