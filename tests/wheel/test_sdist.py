"""The sources: they hold what a build needs and nothing else, and a build from them works.

The build here is that of pip, but without optimisation, so that what other builds have compiled is used again. FULL=1
builds it as a user's machine would.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from .conftest import REPOSITORY, only

TOP_LEVEL = {
    *("Cargo.toml", "Cargo.lock", "build.rs", "pyproject.toml", "PKG-INFO"),
    *("README.md", "CHANGELOG.md", "LICENSE", "SKILL.md", "USAGE-GUIDE.md"),
}
FOLDERS = {"src", "python", "skill", "examples"}
FULL = os.environ.get("FULL") == "1"
BUILD_SECONDS_MAX = 1800


def names(sdist: Path) -> set[str]:
    """The files in it, below the one folder that holds them all."""
    with tarfile.open(sdist) as archive:
        paths = [member.name.split("/", 1) for member in archive.getmembers() if member.isfile()]
    assert {folder for folder, _ in paths} == {sdist.name.removesuffix(".tar.gz")}
    return {path for _, path in paths}


def embedded() -> set[str]:
    """The files that the Rust sources include, from the top of the repository."""
    found = set[str]()
    for path in (REPOSITORY / "src").rglob("*.rs"):
        code = path.read_text(encoding="utf-8")
        for name in re.findall(r"include_(?:str|bytes)!\(\s*\"([^\"]+)\"", code):
            found.add(os.path.relpath((path.parent / name).resolve(), REPOSITORY))
        for name in re.findall(r"concat!\(env!\(\"CARGO_MANIFEST_DIR\"\), \"/([^\"]+)\"", code):
            found.add(name)
    return found


def test_they_hold_what_a_build_needs_and_nothing_else(sdist: Path) -> None:
    held = names(sdist)
    assert {name for name in held if "/" not in name} <= TOP_LEVEL
    assert {name.split("/")[0] for name in held if "/" in name} <= FOLDERS
    assert [name for name in held if re.search(r"\.(so|pyc|whl|gz)$|__pycache__|(^|/)\.", name)] == []


def test_every_source_and_every_embedded_file_is_among_them(sdist: Path) -> None:
    sources = [*(REPOSITORY / "src").rglob("*"), *(REPOSITORY / "python").rglob("*.py*")]
    wanted = {str(path.relative_to(REPOSITORY)) for path in sources if path.is_file() and path.suffix != ".pyc"}
    wanted |= {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "skill").glob("*.*")}
    assert embedded(), "the agent types are embedded"
    assert (wanted | embedded()) - names(sdist) == set()


def test_a_wheel_is_built_of_them(sdist: Path, tmp_path: Path) -> None:
    # Always in the same folder, so that the next build overwrites what this one has left among the compiled.
    unpacked = Path(os.environ.get("CARGO_TARGET_DIR", tmp_path)) / "from-sdist"
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        for member in archive.getmembers():
            # The archive says when nothing was changed: cargo would take the files for those of the last build.
            member.mtime = time.time()
            archive.extract(member, unpacked)
    source = only(unpacked, "openclaw_parallel_agents-*", "wheel")
    # Of two builds from different folders only the compiled dependencies are shared.
    environment = {**os.environ, "MATURIN_PEP517_ARGS": "" if FULL else "--profile dev"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(tmp_path / "built")]
    done = subprocess.run(
        [*build, str(source)], env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS_MAX
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    built = only(tmp_path / "built", "*-cp310-abi3-*.whl", "wheel")
    target = tmp_path / "installed"
    subprocess.run(
        [*pip, "install", "-q", "--no-index", "--target", str(target), str(built)], check=True, capture_output=True
    )
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import parallel_agents as p; print(p.__version__, p.__file__)"
    )
    shown = subprocess.run(
        [sys.executable, "-S", "-I", "-c", program, str(target)], check=True, capture_output=True, text=True
    )
    assert shown.stdout.split() == [built.stem.split("-")[1], str(target / "parallel_agents" / "__init__.py")]


@pytest.mark.parametrize("file", ["build.rs", "Cargo.lock", "pyproject.toml", "src/lib.rs", "examples/README.md"])
def test_the_files_that_a_build_starts_from_are_there(sdist: Path, file: str) -> None:
    assert file in names(sdist)
