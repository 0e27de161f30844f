"""Which copy of the skill a command means that names none, and what is told where no OpenClaw is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from . import child
from .skills import NAME, make_older, refused, state, told


def test_the_only_copy_is_meant_wherever_it_is() -> None:
    folder = Path(told("install", "--global")["folder"])
    make_older(folder)
    assert told("upgrade", "--dry-run")["folder"] == str(folder)
    assert told("upgrade")["folder"] == str(folder)
    assert told("uninstall")["folder"] == str(folder)
    assert not folder.exists()
    assert "is not installed in" in refused("uninstall")


def test_of_several_copies_one_has_to_be_named() -> None:
    folders = [Path(told("install", flag)["folder"]) for flag in ("--workspace", "--global")]
    for action in ("upgrade", "uninstall"):
        assert "name one of `--workspace`, `--global`" in refused(action)
    assert all((folder / "SKILL.md").is_file() for folder in folders)
    told("uninstall", "--workspace")
    assert [folder.exists() for folder in folders] == [False, True]


def test_a_copy_that_is_launched_means_itself(tmp_path: Path) -> None:
    other = Path(told("install", "--workspace")["folder"])
    own = Path(told("install", "--to", str(tmp_path / "own skills"))["folder"])
    for action in ("verify", "upgrade", "uninstall"):
        done = child.run(sys.executable, str(own / "launch.py"), "skill", action, "--json")
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert [each["folder"] for each in said.get("copies", [said])] == [str(own)]
    assert not own.exists()
    assert (other / "SKILL.md").is_file()


def test_nobody_is_told_that_an_agent_sees_it_where_no_openclaw_is() -> None:
    installed = child.run(child.COMMAND, "skill", "install", "--global").stdout
    assert "no OpenClaw was found here" in installed
    told("uninstall", "--global")
    (state() / "openclaw.json").write_text("{}", encoding="utf-8")
    installed = child.run(child.COMMAND, "skill", "install", "--global").stdout
    assert "an agent sees it in a new session" in installed
    assert f"skills/{NAME}" in installed
