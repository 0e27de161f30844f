"""The private environment that `launch.py setup` makes, and the Pythons that start `launch.py`."""

from __future__ import annotations

import ast
import fcntl
import json
import os
import subprocess
import zipfile
from pathlib import Path

from . import child, skills
from .skills import NAME, fake_wheel, stamps, state, told


def broken_wheel(folder: Path) -> Path:
    """A wheel of our name that pip installs and Python cannot use."""
    folder.mkdir()
    path = fake_wheel(folder)
    with zipfile.ZipFile(path) as wheel:
        entries = {name: wheel.read(name) for name in wheel.namelist()}
    entries["parallel_agents/__init__.py"] = b"raise ImportError('broken')"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in entries.items():
            wheel.writestr(name, content)
    return path


def played(python: str, launch: str, *arguments: str, mark: str) -> subprocess.CompletedProcess[str]:
    """Runs the launcher as another Python would; `mark` is what tells that one."""
    start = f"sys.argv = {[launch, *arguments]!r}; runpy.run_path({launch!r}, run_name='__main__')"
    return child.run(python, "-c", f"import runpy, sys; {mark}; {start}")


def test_a_setup_that_fails_leaves_the_environment_that_works(tmp_path: Path, bare_python: str) -> None:
    wheel, broken = fake_wheel(tmp_path), broken_wheel(tmp_path / "broken")
    told("package", "--to", str(tmp_path))
    launch = str(tmp_path / NAME / "launch.py")
    own = state() / "parallel-agents"
    failed = child.run(bare_python, launch, "setup", "--wheel", str(broken))
    assert (failed.returncode, list(own.iterdir())) == (3, []), "nothing half made stays"
    assert child.run(bare_python, launch, "setup", "--wheel", str(wheel)).returncode == 0
    before = stamps(own / "venv" / "lib")
    old, threaded = "sys.version_info = (3, 7, 3, 'final', 0)", "sys.abiflags = 't'"
    for failed, reason in (
        (child.run(bare_python, launch, "setup", "--wheel", str(broken)), "broken; what was there before is as it was"),
        (played(bare_python, launch, "setup", "--wheel", str(wheel), mark=old), "3.10 or newer is needed"),
        (played(bare_python, launch, "setup", "--wheel", str(wheel), mark=threaded), "free-threaded"),
    ):
        assert (failed.returncode, len(failed.stderr.splitlines())) == (3, 1), failed.stderr
        assert reason in failed.stderr
        assert stamps(own / "venv" / "lib") == before
        assert [path.name for path in own.iterdir()] == ["venv"]
    assert f"python3.12 {launch} setup --wheel {wheel}" in failed.stderr
    assert child.run(bare_python, launch, "x").returncode == 7


def test_a_setup_that_was_killed_is_mended_by_the_next_call(tmp_path: Path, bare_python: str) -> None:
    wheel, broken = fake_wheel(tmp_path), broken_wheel(tmp_path / "broken")
    told("package", "--to", str(tmp_path))
    launch = str(tmp_path / NAME / "launch.py")
    own = state() / "parallel-agents"
    assert child.run(bare_python, launch, "setup", "--wheel", str(wheel)).returncode == 0
    # Killed while the new one was made: the old one stands aside.
    (own / "venv").rename(own / "venv.old")
    (own / "venv" / "bin").mkdir(parents=True)
    assert child.run(bare_python, launch, "x").returncode == 7, "that which is whole is used"
    assert child.run(bare_python, launch, "setup", "--wheel", str(broken)).returncode == 3
    assert [path.name for path in own.iterdir()] == ["venv"]
    assert child.run(bare_python, launch, "x").returncode == 7
    # Killed while the old one was removed.
    (own / "venv.old" / "bin").mkdir(parents=True)
    assert child.run(bare_python, launch, "setup", "--wheel", str(wheel)).returncode == 0
    assert [path.name for path in own.iterdir()] == ["venv"]


def test_one_setup_at_a_time_works(tmp_path: Path, bare_python: str) -> None:
    told("package", "--to", str(tmp_path), "--wheel", str(fake_wheel(tmp_path)))
    own = state() / "parallel-agents"
    own.mkdir(parents=True)
    handle = os.open(own, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        done = child.run(bare_python, str(tmp_path / NAME / "launch.py"), "setup")
    finally:
        os.close(handle)
    assert (done.returncode, "try again" in done.stderr, list(own.iterdir())) == (3, True, [])


def test_the_modules_can_be_started_by_a_python_that_is_too_old(tmp_path: Path, bare_python: str) -> None:
    for path in (child.REPOSITORY / "skill").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        ast.parse(text, feature_version=(3, 6))
        assert "__future__ import annotations" not in text, "it is newer than Python 3.6"
    told("package", "--to", str(tmp_path))
    done = played(
        bare_python, str(tmp_path / NAME / "launch.py"), "run", mark="sys.version_info = (3, 6, 9, 'final', 0)"
    )
    assert (done.returncode, "3.10 or newer is needed" in done.stderr) == (3, True)


def test_a_recorded_python_that_cannot_be_executed_is_passed_over(tmp_path: Path, bare_python: str) -> None:
    told("package", "--to", str(tmp_path), "--wheel", str(fake_wheel(tmp_path)))
    launch = str(tmp_path / NAME / "launch.py")
    odd = tmp_path / "python"
    odd.write_bytes(b"\x00 of another machine")
    odd.chmod(0o755)
    changed = skills.record(tmp_path / NAME)
    changed["python"] = str(odd)
    (tmp_path / NAME / "parallel-agents.json").write_text(json.dumps(changed), "utf-8")
    done = child.run(bare_python, launch, "x")
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 1), done.stderr
    assert f"{odd} cannot be executed" in done.stderr
    assert child.run(bare_python, launch, "setup").returncode == 0
    assert child.run(bare_python, launch, "x").returncode == 7


def test_commands_that_are_printed_can_be_typed_where_a_folder_has_a_space(tmp_path: Path, bare_python: str) -> None:
    told("package", "--to", str(tmp_path / "a folder"))
    launch = tmp_path / "a folder" / NAME / "launch.py"
    for arguments in (["run"], ["setup"]):
        assert f"python3 '{launch}' setup --wheel FILE" in child.run(bare_python, str(launch), *arguments).stderr
