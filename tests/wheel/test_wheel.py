"""The wheel: what is in it, which machines it is for, and that it needs nothing there but Python."""

from __future__ import annotations

import platform
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from . import bare
from .bare import Bare
from .elf import Elf, glibc_newest

MEGABYTE = 1_000_000
GLIBC_MAX = (2, 28)
LIBRARIES_OF_GLIBC = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1"}
linux = pytest.mark.skipif(sys.platform != "linux", reason="tags and libraries of Linux")


def tags(wheel: Path) -> tuple[str, str, list[str]]:
    """The tags in the name of a wheel: Python, ABI, and the platforms."""
    python, abi, platforms = wheel.stem.split("-")[2:]
    return python, abi, platforms.split(".")


def test_one_wheel_is_for_every_python_from_3_10_on(wheel: Path) -> None:
    assert tags(wheel)[:2] == ("cp310", "abi3")
    with zipfile.ZipFile(wheel) as archive:
        modules = [name for name in archive.namelist() if name.endswith(".so")]
    assert modules == ["parallel_agents/_core.abi3.so"]


@linux
def test_it_is_for_linuxes_of_the_last_years(wheel: Path) -> None:
    platforms = tags(wheel)[2]
    versions = [re.fullmatch(r"manylinux_(\d+)_(\d+)_(\w+)", each) for each in platforms]
    named = [match for match in versions if match]
    assert named, f"{platforms} holds a manylinux tag"
    for match in named:
        assert (int(match[1]), int(match[2])) <= GLIBC_MAX
        assert match[3] == platform.machine()


@linux
def test_it_needs_no_newer_glibc_than_its_tag_says_and_no_other_library(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        module = Elf(Path(archive.extract("parallel_agents/_core.abi3.so", tmp_path)))
    tagged = [re.fullmatch(r"manylinux_(\d+)_(\d+)_\w+", each) for each in tags(wheel)[2]]
    promised = min((int(match[1]), int(match[2])) for match in tagged if match)
    assert glibc_newest(module.versions()) <= promised
    loader = {name for name in module.libraries() if re.match(r"ld-linux-\w+", name)}
    assert module.libraries() - loader <= LIBRARIES_OF_GLIBC


@linux
def test_the_reader_sees_what_an_interpreter_is_linked_with() -> None:
    interpreter = Elf(Path(sys.executable).resolve())
    assert any(name.startswith("libc.so") for name in interpreter.libraries())
    assert (2, 2) <= glibc_newest(interpreter.versions()) < (3, 0)


def test_the_newest_glibc_is_found_by_number() -> None:
    assert glibc_newest({"GLIBC_2.9", "GLIBC_2.28", "GLIBC_2.3.4", "GLIBC_PRIVATE", "GCC_3.0"}) == (2, 28)


def test_it_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 8 * MEGABYTE


def test_it_holds_the_package_and_what_describes_it_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        described = f"{'-'.join(wheel.stem.split('-')[:2])}.dist-info/"
        metadata = archive.read(f"{described}METADATA").decode()
    assert {"parallel_agents/py.typed", "parallel_agents/_core.pyi", "parallel_agents/__init__.py"} <= names
    assert [name for name in names if not name.startswith(("parallel_agents/", described))] == []
    assert [name for name in names if name.startswith("parallel_agents/") and "test" in name.lower()] == []
    assert "Requires-Python: >=3.10\n" in metadata
    assert "\nRequires-Dist:" not in metadata
    assert f"{described}licenses/LICENSE" in names


def test_it_tells_nobody_where_it_was_built(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = b"\0".join(archive.read(name) for name in archive.namelist())
    home = str(Path.home()).encode()
    at = text.find(home + b"/")
    assert at < 0, text[max(0, at - 40) : at + 160]


@pytest.mark.parametrize("interpreter", bare.interpreters(), ids=lambda path: path.parents[1].name)
def test_it_is_installed_and_works_where_there_is_nothing_but_python(
    interpreter: Path, wheel: Path, machine: Callable[[Path], Bare]
) -> None:
    here = machine(interpreter)
    assert [name for name in bare.BUILDERS if here.found(name)] == []
    here.run("python3", "-m", "venv", "env")
    installed = here.folder / "env" / "bin"
    here.run(str(installed / "pip"), "install", "--no-index", str(wheel))
    command = str(installed / "parallel-agents")
    version = wheel.stem.split("-")[1]
    assert here.run(command, "--version") == f"parallel-agents {version}\n"
    assert "5 of 5 tasks completed" in here.run(command, "demo")
    elsewhere = here.folder / "elsewhere"
    elsewhere.mkdir()
    program = "import parallel_agents as p; print(p.__version__, p.__file__, p.Orchestrator.__name__)"
    shown, file, name = here.run(str(installed / "python"), "-c", program, cwd=elsewhere).split()
    assert (shown, name) == (version, "Orchestrator")
    assert Path(file).is_relative_to(here.folder / "env")
    assert list(elsewhere.iterdir()) == []
