"""The skill, as OpenClaw finds it: installed by each of the ways, upgraded, removed, and used by an agent's `exec`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from python.skills import NAME, VERSION, files, make_old_layout, make_older, told

from .case import Case
from .openclaw import HAIKU, Gateway
from .test_agent_exec import document, shown

ENDED_SECONDS_MAX = 120


@pytest.fixture
def gateway(gateway: Gateway) -> Iterator[Gateway]:
    """The usual gateway, left as it was."""
    # OpenClaw starts no agent in a workspace that held something, such as a skill, and is empty later.
    (gateway.workspace / "memory").mkdir(exist_ok=True)
    yield gateway
    for folder in (gateway.workspace / "skills", gateway.state / "skills", gateway.state / NAME):
        shutil.rmtree(folder, ignore_errors=True)


def openclaw(gateway: Gateway, *arguments: str) -> str:
    """What OpenClaw's own command prints."""
    done = subprocess.run(
        [str(gateway.install.node), str(gateway.install.openclaw), *arguments],
        env=gateway._environment(),
        cwd=gateway.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def listed(gateway: Gateway) -> dict[str, Any] | None:
    """The row of our skill in `openclaw skills list`."""
    rows = json.loads(openclaw(gateway, "skills", "list", "--json"))["skills"]
    return next((row for row in rows if row["name"] == NAME), None)


def assert_ready(gateway: Gateway, folder: Path) -> None:
    row = listed(gateway)
    assert row is not None
    assert (row["eligible"], row["modelVisible"], row["disabled"]) == (True, True, False), row
    assert (folder / "SKILL.md").is_file()


def lines(*flags: str) -> dict[str, dict[str, str]]:
    """What `skill verify` says of one folder, by what it looked at."""
    (copy,) = told("verify", *flags)["copies"]
    return {line["id"]: line for line in copy["lines"]}


def by_openclaw(gateway: Gateway, package: Path) -> Path:
    openclaw(gateway, "skills", "install", str(package / NAME))
    return gateway.workspace / "skills" / NAME


def by_zip(gateway: Gateway, package: Path) -> Path:
    with zipfile.ZipFile(package / f"{NAME}-{VERSION}.zip") as archive:
        archive.extractall(gateway.workspace / "skills")
    return gateway.workspace / "skills" / NAME


def by_us(*flags: str) -> Callable[[Gateway, Path], Path]:
    def install(gateway: Gateway, _: Path) -> Path:
        to = [flag.format(workspace=gateway.workspace) for flag in flags]
        return Path(told("install", *to)["folder"])

    return install


WAYS = {
    "workspace": by_us("--workspace"),
    "global": by_us("--global"),
    "to": by_us("--to", "{workspace}/skills"),
    "openclaw": by_openclaw,
    "zip": by_zip,
}


@pytest.mark.parametrize("way", WAYS)
def test_openclaw_shows_the_skill_as_ready_however_it_was_installed(
    gateway: Gateway, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a copy without a recorded Python is started with.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    told("package", "--to", str(tmp_path))
    (gateway.workspace / "skills").mkdir(exist_ok=True)
    folder = WAYS[way](gateway, tmp_path)
    assert folder.is_relative_to(gateway.state if way == "global" else gateway.workspace)
    assert_ready(gateway, folder)
    (copy,) = told("verify")["copies"]
    assert copy["folder"] == str(folder)
    seen = {line["id"]: line for line in copy["lines"]}
    assert (seen["agent"]["colour"], seen["files"]["colour"]) == ("green", "green"), copy
    told("uninstall", *(["--global"] if way == "global" else ["--workspace"]))
    assert not folder.exists()
    assert NAME not in {path.name for path in folder.parent.iterdir()}


def test_of_two_folders_the_one_that_is_passed_over_is_named(gateway: Gateway) -> None:
    told("install", "--global")
    told("install", "--workspace")
    assert lines("--workspace")["agent"]["colour"] == "green"
    (copy,) = told("verify", "--global", code=1)["copies"]
    (line,) = [line for line in copy["lines"] if line["id"] == "agent"]
    assert f"`{gateway.workspace}/skills/{NAME}` comes before it" in line["text"]


def block(folder: Path, section: str, case: Case) -> str:
    """The first command of a section of the installed SKILL.md, for tasks that belong to this case."""
    text = (folder / "SKILL.md").read_text(encoding="utf-8").split(f"\n## {section}\n")[1]
    command = text.split("```sh\n")[1].split("```")[0].strip()
    count = iter(range(100))
    # As JSON writes them, so that they are not taken for tokens of the prompt that holds the command.
    token = case.token.replace("[[", "\\u005b[").replace("]]", "\\u005d]")

    def marked(found: re.Match[str]) -> str:
        return f"{found[0]}{token} \\u005b[task=t{next(count)}\\u005d] "

    return re.sub(r'"task_description": "', marked, command).replace("{baseDir}", str(folder))


def test_an_agent_runs_the_commands_of_skill_md_as_they_stand_there(gateway: Gateway, case: Case) -> None:
    folder = Path(told("install", "--workspace")["folder"])
    # Whatever Python the agent's PATH has: the record names the one with the package.
    team = document(shown(gateway, case, block(folder, "Run a team", case)))
    assert team["status"] == "completed"
    assert [each["task_id"] for each in team["results"]] == ["pros", "cons", "advice"]
    for index, each in enumerate(team["results"]):
        (call,) = case.calls(task=f"t{index}")
        assert (each["status"], each["model_used"]) == ("completed", call.model)
        assert each["session_key"].startswith("agent:main:")
        assert each["output"]
    assert team["totals"]["cost"] > 0

    later = Case(case.provider, f"{case.name}-later")
    begun = document(shown(gateway, later, block(folder, "When the run takes longer than a call may", later)))
    assert begun["wait"].startswith(f"python3 {folder}/launch.py wait ")
    ended = document(shown(gateway, later, begun["wait"]))
    assert (ended["run_id"], ended["status"]) == (begun["run_id"], "completed")
    assert len(later.calls(task="t0")) == 1


def test_an_upgrade_keeps_a_custom_agent_and_a_changed_setting(gateway: Gateway, case: Case) -> None:
    folder = gateway.workspace / "skills" / NAME
    make_old_layout(folder)
    configured = gateway.config.read_bytes()
    assert (told_of := told("upgrade"))["from"] == "3.2.0"
    assert "haiku_writer" in told_of["carried_over"]["agents"]
    settings = json.loads((gateway.state / NAME / "settings.json").read_text(encoding="utf-8"))
    assert settings["max_concurrent"] == 3
    assert gateway.config.read_bytes() == configured
    assert_ready(gateway, folder)

    # An agent type that was carried over answers in a run.
    plan = [{"agent_type": "haiku_writer", "task_description": f'Write. {case} [[say={{"haiku": "rain"}}]]'}]
    command = [sys.executable, str(folder / "launch.py"), "run", "-", "--model", HAIKU.name]
    done = subprocess.run(command, input=json.dumps(plan), capture_output=True, text=True, timeout=ENDED_SECONDS_MAX)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["results"][0]["output"] == {"haiku": "rain"}

    # The same over an older version of ours.
    make_older(folder)
    (folder / "README.md").write_text("mine", encoding="utf-8")
    assert told("upgrade")["replaced"] == ["SKILL.md", "helpers.py"]
    assert files(folder)["README.md"] == "mine"
    assert (gateway.state / NAME / "agents" / "haiku_writer.md").is_file()
    assert json.loads((gateway.state / NAME / "settings.json").read_text(encoding="utf-8")) == settings

    removed = told("uninstall")
    assert removed["moved"] == ["README.md"]
    assert listed(gateway) is None
    assert list(folder.parent.iterdir()) == []
