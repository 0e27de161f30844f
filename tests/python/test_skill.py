"""The skill as a folder: installed, upgraded, verified, removed and packaged."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import parallel_agents
import pytest

from . import child, skills
from .skills import NAME, VERSION, fake_wheel, files, make_old_layout, make_older, refused, stamps, state, told
from .test_command_json import kept_run
from .test_stuck import asking, first_run


@pytest.fixture
def folder() -> Path:
    """The folder of a skill that is installed for all agents."""
    return Path(told("install", "--global")["folder"])


def contract() -> set[str]:
    """The files that an installed folder holds, by the source tree."""
    examples = [path for path in (child.REPOSITORY / "examples").rglob("*") if path.suffix in (".py", ".md")]
    named = ["SKILL.md", "USAGE-GUIDE.md", "README.md", "ai_orchestrator.py", "helpers.py", "launch.py"]
    return {*named, *(str(path.relative_to(child.REPOSITORY)) for path in examples)}


def source(name: str) -> Path:
    tree = child.REPOSITORY
    return tree / "skill" / name if (tree / "skill" / name).is_file() else tree / name


# Installing


def test_a_folder_holds_what_the_source_tree_has_and_nothing_else(folder: Path) -> None:
    installed = files(folder)
    assert set(installed) == contract() | {"parallel-agents.json"}
    for name in contract():
        assert installed[name] == source(name).read_text(encoding="utf-8"), name
        assert (folder / name).stat().st_mode & 0o777 == 0o644
    record = skills.record(folder)
    assert (record["format"], record["version"]) == (1, VERSION)
    # The command's own Python, by whichever of its names.
    assert Path(record["python"]).samefile(sys.executable)
    assert Path(record["python"]).parent == Path(sys.executable).parent
    assert set(record["files"]) == contract()
    assert set((child.REPOSITORY / "skill").glob("*.*")) == {
        child.REPOSITORY / "skill" / name for name in ("README.md", "ai_orchestrator.py", "helpers.py", "launch.py")
    }


def test_each_place_is_where_openclaw_reads_skills(tmp_path: Path) -> None:
    work = tmp_path / "work"
    state().mkdir()
    (state() / "openclaw.json").write_text(json.dumps({"agents": {"defaults": {"workspace": str(work)}}}), "utf-8")
    assert told("install")["folder"] == str(work / "skills" / NAME)
    assert told("install", "--global")["folder"] == str(state() / "skills" / NAME)
    assert told("install", "--to", str(tmp_path / "some"))["folder"] == str(tmp_path / "some" / NAME)
    assert told("install", "--to", str(tmp_path / "other" / NAME))["folder"] == str(tmp_path / "other" / NAME)
    copies = told("verify")["copies"]
    assert [copy["folder"] for copy in copies] == [str(work / "skills" / NAME), str(state() / "skills" / NAME)]
    assert told("verify", "--workspace")["ok"]


def test_without_a_configuration_the_workspace_is_in_the_state_folder() -> None:
    assert told("install", "--workspace")["folder"] == str(state() / "workspace" / "skills" / NAME)


def test_a_few_lines_say_what_was_installed_and_what_to_try() -> None:
    done = child.run(child.COMMAND, "skill", "install")
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert first.startswith(f"installed: version {VERSION} ")
    assert "an agent sees it once" in lines[0]
    command = next(line for line in lines if "launch.py demo" in line).split(": ")[1]
    tried = child.run("/bin/sh", "-c", command)
    assert tried.returncode == 0, tried.stderr
    assert "5 of 5 tasks completed" in tried.stdout


def test_a_folder_with_a_space_is_quoted_in_every_command(tmp_path: Path) -> None:
    to = tmp_path / "a folder"
    done = child.run(child.COMMAND, "skill", "install", "--to", str(to))
    for start in ("to try it", "to check it"):
        command = next(line for line in done.stdout.splitlines() if line.startswith(start)).split(": ")[1]
        assert f"'{to}" in command
    assert f"parallel-agents skill upgrade --to '{to}'" in refused("install", "--to", str(to))


def test_a_folder_that_is_there_is_refused_with_the_way_out(folder: Path, tmp_path: Path) -> None:
    before = stamps(folder.parent)
    assert "parallel-agents skill upgrade --global" in refused("install", "--global")
    assert stamps(folder.parent) == before
    (tmp_path / "some" / NAME).mkdir(parents=True)
    (tmp_path / "some" / NAME / "notes.txt").write_text("mine", "utf-8")
    assert "not a folder of this skill" in refused("install", "--to", str(tmp_path / "some"))
    assert files(tmp_path / "some") == {f"{NAME}/notes.txt": "mine"}


def test_links_are_not_followed_out_of_the_place(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    state().mkdir()
    (state() / "skills").symlink_to(outside)
    assert "leads out of" in refused("install", "--global")
    (state() / "skills").unlink()
    (state() / "skills").mkdir()
    (state() / "skills" / NAME).symlink_to(outside)
    for command in ("install", "upgrade", "verify", "uninstall"):
        assert "leads out of" in refused(command, "--global")
    assert list(outside.iterdir()) == []


def test_a_file_where_a_folder_has_to_be_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "some").write_text("", "utf-8")
    assert str(tmp_path / "some") in refused("install", "--to", str(tmp_path / "some"))
    assert "HOME" in child.run("/usr/bin/env", "-i", child.COMMAND, "skill", "install", "--global").stderr


def test_one_call_at_a_time_works_in_a_place(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert "try again" in refused("install", "--to", str(tmp_path))
    finally:
        os.close(handle)
    assert told("install", "--to", str(tmp_path))["version"] == VERSION


@pytest.mark.parametrize("seconds", [0.02, 0.04, 0.05, 0.06, 0.08])
def test_a_death_leaves_nothing_or_all(tmp_path: Path, seconds: float) -> None:
    process = subprocess.Popen([child.COMMAND, "skill", "install", "--to", str(tmp_path)], stdout=subprocess.DEVNULL)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    if not (tmp_path / NAME).exists():
        told("install", "--to", str(tmp_path))
    assert skills.record(tmp_path / NAME)["files"].keys() == contract()
    assert told("verify", "--to", str(tmp_path))["ok"]
    told("upgrade", "--to", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".", NAME))] == [NAME]


def test_a_stage_that_a_death_left_is_cleared_by_the_next_call(tmp_path: Path) -> None:
    (tmp_path / f".{NAME}.stage" / "examples").mkdir(parents=True)
    (tmp_path / f".{NAME}.stage" / "SKILL.md").write_text("half", "utf-8")
    told("install", "--to", str(tmp_path))
    assert [path.name for path in tmp_path.iterdir() if NAME in path.name] == [NAME]


# Verifying


def test_each_difference_is_one_line(folder: Path) -> None:
    (folder / "SKILL.md").unlink()
    (folder / "README.md").write_text("mine", "utf-8")
    (folder / "helpers.py").unlink()
    (folder / "helpers.py").symlink_to("launch.py")
    (folder / "own.txt").write_text("mine", "utf-8")
    (copy,) = told("verify", "--global", code=1)["copies"]
    lines = {line["text"].split()[0]: line for line in copy["lines"] if line["id"] == "files"}
    assert {name: line["colour"] for name, line in lines.items()} == {
        "README.md": "red", "SKILL.md": "red", "helpers.py": "red", "not": "yellow",
    }  # fmt: skip
    assert "is missing" in lines["SKILL.md"]["text"]
    assert "own.txt" in lines["not"]["text"]
    done = child.run(child.COMMAND, "skill", "verify", "--global")
    assert done.returncode == 1
    assert "red     files    README.md was edited" in done.stdout
    assert "yellow  agent    not checked: no gateway" in done.stdout


def test_another_version_and_a_python_that_is_gone_are_differences(folder: Path) -> None:
    make_older(folder)
    changed = skills.record(folder)
    changed["python"] = "/no/such/python"
    (folder / "parallel-agents.json").write_text(json.dumps(changed), "utf-8")
    (copy,) = told("verify", "--global", code=1)["copies"]
    lines = {line["id"]: line for line in copy["lines"]}
    assert lines["files"]["colour"] == "green"
    assert f"0.0.9, and the package is {VERSION}" in lines["version"]["text"]
    assert (lines["python"]["colour"], "/no/such/python" in lines["python"]["text"]) == ("red", True)
    told("upgrade", "--global")
    assert told("verify", "--global")["ok"]


def test_a_python_without_the_package_is_a_difference(folder: Path, bare_python: str) -> None:
    changed = skills.record(folder)
    changed["python"] = bare_python
    (folder / "parallel-agents.json").write_text(json.dumps(changed), "utf-8")
    (copy,) = told("verify", "--global", code=1)["copies"]
    (line,) = [line for line in copy["lines"] if line["id"] == "python"]
    assert "has no package any more" in line["text"]


def test_where_there_is_no_skill_is_said(tmp_path: Path) -> None:
    assert "parallel-agents skill install" in refused("verify")
    assert "not installed" in refused("verify", "--to", str(tmp_path))
    assert "not installed" in refused("upgrade", "--global")
    assert "not installed" in refused("uninstall", "--global")
    assert not (state() / "skills").exists()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "no JSON"),
        ('{"format": 2, "version": "9", "files": {}}', "format"),
        ('{"format": 1, "files": {}}', "version"),
        ('{"format": 1, "version": "0", "files": {"../x": "00"}}', "../x"),
    ],
)
def test_a_record_that_cannot_be_used_is_named(folder: Path, text: str, part: str) -> None:
    (folder / "parallel-agents.json").write_text(text, "utf-8")
    before = stamps(folder)
    for command in ("verify", "upgrade", "uninstall"):
        told_why = refused(command, "--global")
        assert part in told_why
        assert "parallel-agents skill install --global" in told_why
    assert stamps(folder) == before


# Upgrading


def test_an_older_version_is_replaced_and_what_was_edited_is_kept(folder: Path) -> None:
    make_older(folder)
    (folder / "USAGE-GUIDE.md").write_text("my guide", "utf-8")
    (folder / "launch.py").write_text("my = 'launcher'", "utf-8")
    (folder / "notes.txt").write_text("my notes", "utf-8")
    noted = (folder / "notes.txt").stat()
    before = stamps(state())
    looked = told("upgrade", "--global", "--dry-run")
    assert stamps(state()) == before
    told_of = told("upgrade", "--global")
    assert {**looked, "dry_run": False} == told_of
    assert (told_of["from"], told_of["to"]) == ("0.0.9", VERSION)
    assert told_of["replaced"] == ["SKILL.md", "helpers.py"]
    assert told_of["added"] == ["examples/content_team.py"]
    assert told_of["removed"] == ["examples/gone.py"]
    # The guide is the same in both versions: there is nothing new to put beside it.
    assert told_of["kept"] == [
        {"file": "USAGE-GUIDE.md", "at": "USAGE-GUIDE.md", "ours_at": None},
        {"file": "launch.py", "at": "launch.py.mine", "ours_at": "launch.py"},
    ]
    assert told_of["foreign"] == ["notes.txt"]
    texts = files(folder)
    assert texts["launch.py.mine"] == "my = 'launcher'"
    assert texts["USAGE-GUIDE.md"] == "my guide"
    assert texts["helpers.py"] == source("helpers.py").read_text(encoding="utf-8")
    now = (folder / "notes.txt").stat()
    assert (now.st_ino, now.st_mtime_ns) == (noted.st_ino, noted.st_mtime_ns), "the very same file"


def test_a_summary_tells_people_the_same(folder: Path) -> None:
    make_older(folder)
    (folder / "SKILL.md").write_text("mine", "utf-8")
    done = child.run(child.COMMAND, "skill", "upgrade", "--global")
    assert done.stdout.splitlines() == [
        f"{folder}: upgraded from 0.0.9 to {VERSION}",
        "replaced (1): helpers.py",
        "added (1): examples/content_team.py",
        "removed (1): examples/gone.py",
        "kept, since you edited them (1): SKILL.md (ours is SKILL.md.new)",
    ]
    again = child.run(child.COMMAND, "skill", "upgrade", "--global").stdout
    assert "nothing to do" in again
    assert "edited by you, and left so: SKILL.md" in again


def test_a_newer_version_gives_way_only_when_asked(folder: Path) -> None:
    make_older(folder, "99.0.0")
    before = stamps(folder)
    assert "skill upgrade --downgrade --global" in refused("upgrade", "--global")
    assert stamps(folder) == before
    assert told("upgrade", "--global", "--downgrade")["to"] == VERSION


def test_an_old_release_is_backed_up_and_its_configuration_carried_over() -> None:
    folder = state() / "skills" / NAME
    make_old_layout(folder)
    config = state() / "openclaw.json"
    config.write_text('{skills: {entries: {"parallel-agents": {config: {max_concurrent: 2}}}}}\n', "utf-8")
    theirs, before = files(folder), stamps(state())
    looked = told("upgrade", "--global", "--dry-run")
    assert stamps(state()) == before
    told_of = told("upgrade", "--global")
    assert {**looked, "dry_run": False} == told_of
    assert told_of["from"] == "3.2.0"
    assert files(folder).keys() == contract() | {"parallel-agents.json"}
    backup = Path(told_of["backup"]["folder"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-3\.2\.0", backup.name)
    assert backup.parent == state() / "parallel-agents" / "backups"
    assert files(backup) == theirs
    kept = ["haiku_writer", "recipe_finder", "late_comer", "updated", "named", "merged"]
    assert told_of["carried_over"] == {
        "agents": kept,
        "settings": {"max_concurrent": 3, "models": ["anthropic/claude-haiku-4-5", "own/model"]},
    }
    missed = {each["name"]: each["reason"] for each in told_of["not_carried_over"]}
    assert set(missed) == {
        "code_reviewer", "computed_type", "numbered", "ünseen", "**{}", "DEFAULT_AGENT_TIMEOUT",
    }  # fmt: skip
    assert "computed" in missed["computed_type"]
    assert "timeout_seconds" in missed["DEFAULT_AGENT_TIMEOUT"]
    settings = json.loads((state() / "parallel-agents" / "settings.json").read_text(encoding="utf-8"))
    assert settings == told_of["carried_over"]["settings"]
    assert (state() / "parallel-agents" / "settings.json").stat().st_mode & 0o777 == 0o600
    assert config.read_text(encoding="utf-8").startswith("{skills:")
    assert stamps(state())[str(config)] == before[str(config)]
    rows = json.loads(child.run(child.COMMAND, "agents", "list", "--json").stdout)
    assert {row["name"] for row in rows} >= set(kept)
    plan = json.dumps([{"agent_type": "haiku_writer", "task_description": "Write one."}])
    assert child.run(child.COMMAND, "run", "-", "--rehearsal", stdin=plan).returncode == 0
    assert told("verify", "--global")["ok"]


def test_a_setting_that_was_changed_in_an_old_release_is_what_the_next_run_uses(tmp_path: Path) -> None:
    folder = state() / "workspace" / "skills" / NAME
    make_old_layout(folder)
    for name, old, new in (
        ("ai_orchestrator.py", "DEFAULT_MAX_CONCURRENT = 3", "DEFAULT_MAX_CONCURRENT = 8"),
        ("helpers.py", '"anthropic/claude-haiku-4-5", "own/model"', '"own/cheap", "own/costly"'),
    ):
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), "utf-8")
    told("upgrade")

    def models(*flags: str, count: int = 20, **plan: object) -> tuple[set[str], int]:
        """The models that a team of the custom type used, and how many of its agents ran at once."""
        tasks = [{"agent_type": "haiku_writer", "task_description": "Write one."}] * count
        journal = str(tmp_path / "journal.sqlite")
        arguments = ("run", "-", "--json", "--rehearsal", "--journal", journal, *flags)
        done = child.run(child.COMMAND, *arguments, stdin=json.dumps({"tasks": tasks, **plan}))
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert [each["status"] for each in document["results"]] == ["completed"] * count
        with sqlite3.connect(journal) as database:
            (options,) = database.execute("SELECT options FROM runs WHERE id = ?", (document["run_id"],)).fetchone()
        return {each["model_used"] for each in document["results"]}, json.loads(options)["max_concurrent"]

    assert models() == ({"own/cheap"}, 8)
    config = {"skills": {"entries": {NAME: {"config": {"max_concurrent": 6, "models": ["config/model"]}}}}}
    (state() / "openclaw.json").write_text(json.dumps(config), "utf-8")
    assert models() == ({"config/model"}, 6)
    assert models(models=["plan/model"], max_concurrent=4) == ({"plan/model"}, 4)
    flags = ("--model", "flag/model", "--max-concurrent", "2")
    assert models(*flags, models=["plan/model"], max_concurrent=4) == ({"flag/model"}, 2)


@pytest.mark.parametrize("text", ["def broken(:\n", "\x00", "AGENT_PROMPTS = " + "(" * 5000])
def test_an_old_release_that_cannot_be_read_is_upgraded_all_the_same(text: str) -> None:
    folder = state() / "skills" / NAME
    make_old_layout(folder)
    (folder / "ai_orchestrator.py").write_text(text, "utf-8")
    told_of = told("upgrade", "--global")
    assert [each["name"] for each in told_of["not_carried_over"]] == ["ai_orchestrator.py"]
    assert told_of["carried_over"]["settings"] == {"models": ["anthropic/claude-haiku-4-5", "own/model"]}
    assert (Path(told_of["backup"]["folder"]) / "ai_orchestrator.py").read_text(encoding="utf-8") == text


def test_a_death_in_an_upgrade_leaves_a_skill_and_loses_nothing() -> None:
    for number in range(6):
        folder = state() / str(number) / NAME
        make_old_layout(folder)
        where = ["upgrade", "--to", str(folder.parent)]
        process = subprocess.Popen([child.COMMAND, "skill", *where], stdout=subprocess.DEVNULL)
        try:
            process.wait(0.03 + 0.02 * number)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert (folder / "SKILL.md").is_file()
        told(*where)
        assert told("verify", "--to", str(folder.parent))["ok"]
        assert [path.name for path in folder.parent.iterdir()] == [NAME]
    backups = list((state() / "parallel-agents" / "backups").iterdir())
    assert len(backups) == 1, "one that is the same is not made twice"


USER = 65534 if os.geteuid() == 0 else os.geteuid()


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that this user can reach: those that pytest makes are root's alone."""
    with tempfile.TemporaryDirectory() as place:
        monkeypatch.setenv("OPENCLAW_STATE_DIR", str(Path(place) / "state"))
        yield Path(place)


def as_user(folder: Path, *arguments: str) -> Any:
    """What `parallel-agents skill` says to a user whom the modes of folders bind."""
    code = f"import os; os.geteuid() == {USER} or (os.setgroups([]), os.setuid({USER}))\n"
    # Imported before, since only root may read where this Python is.
    code = "import sys, parallel_agents.__main__ as command\n" + code
    code += "sys.argv = ['parallel-agents', *sys.argv[1:]]\nsys.exit(command.main())"
    done = child.run(sys.executable, "-c", code, "skill", *arguments, "--to", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_folder_that_is_closed_to_changes_is_no_trap(users: Path) -> None:
    folder = Path(told("install", "--to", str(users))["folder"])
    (folder / "data").mkdir()
    (folder / "data" / "own.txt").write_text("mine", "utf-8")
    make_older(folder)
    (folder / "data").chmod(0o555)
    for path in (users, *users.rglob("*")):
        os.chown(path, USER, -1, follow_symlinks=False)
    assert as_user(users, "upgrade")["to"] == VERSION
    assert files(folder)["data/own.txt"] == "mine"
    assert (folder / "data").stat().st_mode & 0o777 == 0o555
    removed = as_user(users, "uninstall")
    assert (removed["moved"], removed["warnings"]) == (["data/own.txt"], [])
    assert [path.name for path in users.iterdir() if NAME in path.name] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of others")
def test_rests_that_cannot_be_removed_are_a_warning_that_names_them(users: Path) -> None:
    folder = Path(told("install", "--to", str(users))["folder"])
    make_older(folder)
    for path in (users, *users.rglob("*")):
        os.chown(path, USER, -1, follow_symlinks=False)
    (folder / "theirs").mkdir()
    (folder / "theirs" / "file").write_text("theirs", "utf-8")
    upgraded = as_user(users, "upgrade")
    rests = users / f".{NAME}.stage" / "theirs" / "file"
    (warning,) = upgraded["warnings"]
    assert f"cannot change `{rests}`" in warning
    assert (upgraded["to"], files(folder)["theirs/file"]) == (VERSION, "theirs")


def test_settings_that_are_carried_over_reach_programs_that_import_the_old_modules() -> None:
    folder = state() / "skills" / NAME
    make_old_layout(folder)
    told("upgrade", "--global")
    program = """
import ai_orchestrator, helpers, parallel_agents
print(ai_orchestrator.DEFAULT_MAX_CONCURRENT, helpers.MAX_CONCURRENT, helpers.MODEL_HIERARCHY)
orchestrator = ai_orchestrator.RealAIParallelOrchestrator(rehearsal=True)
task = {"agent_type": "code_reviewer", "task_description": "x", "task_id": "t", "timeout_seconds": 0.001}
(result,) = orchestrator.run_parallel([task]).values()
print(orchestrator.max_concurrent, [attempt["model"] for attempt in result.metadata["attempts"]])
(result,) = parallel_agents.Orchestrator(rehearsal=True).run_parallel([task]).values()
print(parallel_agents.DEFAULT_MAX_CONCURRENT, [attempt["model"] for attempt in result.metadata["attempts"]])
"""
    done = child.run(sys.executable, "-c", program, cwd=folder)
    own = ["anthropic/claude-haiku-4-5", "own/model"]
    assert done.stdout.splitlines() == [f"3 3 {own}", f"3 {own}", f"5 {parallel_agents.MODEL_HIERARCHY}"], done.stderr


# Uninstalling


def test_uninstalling_leaves_nothing(folder: Path) -> None:
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "helpers.cpython-311.pyc").write_bytes(b"\x00")
    removed = told("uninstall", "--global")
    assert (removed["version"], removed["moved"], removed["backup"], removed["left"]) == (VERSION, [], None, [])
    assert list(folder.parent.iterdir()) == []
    assert not (state() / "parallel-agents").exists()


def test_what_was_edited_or_added_goes_into_a_backup_and_what_is_the_persons_stays(folder: Path) -> None:
    (folder / "README.md").write_text("mine", "utf-8")
    (folder / "notes").mkdir()
    (folder / "notes" / "own.txt").write_text("own", "utf-8")
    agents = state() / "parallel-agents" / "agents"
    agents.mkdir(parents=True)
    log = agents.with_name("journal.sqlite-20261122-032054-30a49f.log")
    log.touch()
    removed = told("uninstall", "--global")
    assert removed["moved"] == ["README.md", "notes/own.txt"]
    assert files(Path(removed["backup"])) == {"README.md": "mine", "notes/own.txt": "own"}
    assert [left["path"] for left in removed["left"]] == [str(agents), str(agents.parent / "backups"), str(log)]
    assert list(folder.parent.iterdir()) == []


def test_what_is_not_ours_is_not_uninstalled() -> None:
    folder = state() / "skills" / NAME
    make_old_layout(folder)
    before = stamps(folder)
    assert "skill upgrade" in refused("uninstall", "--global")
    for name in ("SKILL.md", "ai_orchestrator.py"):
        (folder / name).unlink()
        before.pop(str(folder / name))
    assert "not a folder of this skill" in refused("uninstall", "--global")
    assert {path: stamp[2] for path, stamp in stamps(folder).items()} == {
        path: stamp[2] for path, stamp in before.items()
    }


# Packaging


def test_a_package_is_the_same_bytes_wherever_it_is_made(tmp_path: Path) -> None:
    made = []
    for name, mask, zone in (("one", "022", "UTC"), ("another", "077", "Pacific/Auckland")):
        to = tmp_path / name
        command = f"umask {mask}; TZ={zone} exec '{child.COMMAND}' skill package --to '{to}' --json"
        done = child.run("/bin/sh", "-c", command)
        assert done.returncode == 0, done.stderr
        made.append((json.loads(done.stdout), (to / f"{NAME}-{VERSION}.zip").read_bytes()))
    (first, one), (second, other) = made
    assert one == other
    assert first["assets"] == second["assets"]
    with zipfile.ZipFile(tmp_path / "one" / f"{NAME}-{VERSION}.zip") as archive:
        assert archive.testzip() is None
        assert {entry.filename for entry in archive.infolist()} == {
            f"{NAME}/{name}" for name in contract() | {"parallel-agents.json"}
        }
        assert {(entry.external_attr >> 16) & 0o777 for entry in archive.infolist()} == {0o644}
        archive.extractall(tmp_path / "unzipped")
    assert files(tmp_path / "unzipped" / NAME) == files(tmp_path / "one" / NAME)
    assert "python" not in skills.record(tmp_path / "one" / NAME)


def test_a_package_comes_with_its_assets_and_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    package = told("package", "--to", str(tmp_path))
    assert package["assets"][0]["name"] == f"{NAME}-{VERSION}.zip"
    for asset in package["assets"]:
        assert (tmp_path / asset["name"]).stat().st_size == asset["bytes"]
    launch = {each["command"]: each["expected"] for each in package["checks"] if "launch.py" in each["command"]}
    for command, expected in launch.items():
        done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path, timeout=60)
        assert done.returncode == 0, done.stdout
        assert expected.split(",")[0] in done.stdout or "every line" in expected
    again = told("package", "--to", str(tmp_path))
    assert again == package
    (tmp_path / NAME / "own.txt").write_text("mine", "utf-8")
    assert "in the way" in refused("package", "--to", str(tmp_path))
    assert (tmp_path / NAME / "own.txt").is_file()


def test_the_packaged_folder_is_a_valid_skill(tmp_path: Path) -> None:
    told("package", "--to", str(tmp_path))
    validator = Path(sys.executable).parent / "agentskills"
    done = child.run(str(validator), "validate", str(tmp_path / NAME))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wheel_goes_with_the_skill_if_it_is_ours_and_of_this_version(tmp_path: Path) -> None:
    wheel = fake_wheel(tmp_path)
    installed = Path(told("install", "--global", "--wheel", str(wheel))["folder"])
    assert (installed / "wheels" / wheel.name).read_bytes() == wheel.read_bytes()
    assert f"wheels/{wheel.name}" in skills.record(installed)["files"]
    assert told("verify", "--global")["ok"]
    assert told("upgrade", "--global")["nothing_to_do"], "it stays with its version"
    assert f"{NAME}/wheels/{wheel.name}" in {
        asset["name"] for asset in told("package", "--to", str(tmp_path / "p"), "--wheel", str(wheel))["assets"]
    }
    other = fake_wheel(tmp_path, "9.9.9")
    assert "9.9.9" in refused("upgrade", "--global", "--wheel", str(other))
    (tmp_path / "empty.whl").write_bytes(b"")
    assert "its name is" in refused("install", "--to", str(tmp_path), "--wheel", str(tmp_path / "empty.whl"))
    assert "no.whl" in refused("install", "--to", str(tmp_path), "--wheel", str(tmp_path / "no.whl"))


# launch.py, ai_orchestrator.py and helpers.py


def test_launching_runs_the_command_and_passes_its_exit_code(folder: Path, bare_python: str) -> None:
    for python in (sys.executable, bare_python):
        done = child.run(python, str(folder / "launch.py"), "--version")
        assert (done.returncode, done.stdout) == (0, f"parallel-agents {VERSION}\n"), done.stderr
        done = child.run(python, str(folder / "launch.py"), "run", "-", "--rehearsal", stdin="{")
        assert done.returncode == 2
        assert "not valid JSON" in done.stderr


def test_launching_replaces_the_process_so_that_signals_reach_the_command(folder: Path, bare_python: str) -> None:
    plan = {
        "tasks": [{"agent_type": "code_reviewer", "task_description": "x"}],
        "rehearsal": {"latency_seconds": 36_000, "speed": 1},
    }
    path = folder.parent / "plan.json"
    path.write_text(json.dumps(plan), "utf-8")
    with child.started(bare_python, str(folder / "launch.py"), "run", str(path)) as process:
        assert "cancelled" in child.interrupt_after(process, "is kept")
        assert process.returncode == 130


def test_without_the_package_one_line_says_what_to_do(tmp_path: Path, bare_python: str) -> None:
    told("package", "--to", str(tmp_path))
    launch = tmp_path / NAME / "launch.py"
    done = child.run(bare_python, str(launch), "run", "-")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)
    assert f"python3 {launch} setup --wheel FILE" in done.stderr
    assert "pip" not in done.stderr
    for module in ("ai_orchestrator", "helpers"):
        done = subprocess.run(
            [bare_python, "-c", f"import {module}"], cwd=tmp_path / NAME, capture_output=True, text=True
        )
        assert done.stderr.splitlines()[-1].startswith("ImportError: the package parallel_agents is not installed")
        assert f"{launch} setup" in done.stderr


def test_setup_makes_an_environment_from_a_wheel_on_this_disk(tmp_path: Path, bare_python: str) -> None:
    wheel = fake_wheel(tmp_path)
    told("package", "--to", str(tmp_path), "--wheel", str(wheel))
    launch = str(tmp_path / NAME / "launch.py")
    hint = child.run(bare_python, launch, "run")
    assert hint.stderr.strip().endswith(f"python3 {launch} setup")
    done = child.run(bare_python, launch, "setup")
    assert done.returncode == 0, done.stderr
    assert (state() / "parallel-agents" / "venv" / "bin" / "python").exists()
    assert (state() / "parallel-agents").stat().st_mode & 0o777 == 0o700
    done = child.run(bare_python, launch, "run", "a b", "--json")
    assert (done.returncode, done.stdout) == (7, "fake ['run', 'a b', '--json']\n"), done.stderr
    (tmp_path / "other.whl").write_bytes(b"")
    assert child.run(bare_python, launch, "setup", "--wheel", str(tmp_path / "other.whl")).returncode == 2
    assert child.run(bare_python, launch, "setup", "--index").returncode == 2


def test_an_example_runs_where_it_is_installed(folder: Path) -> None:
    done = child.run(sys.executable, str(folder / "examples" / "own_agent_types.py"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["ai_orchestrator", "helpers"])
def test_the_old_modules_are_those_of_the_package(folder: Path, bare_python: str, module: str) -> None:
    code = f"import {module}, parallel_agents.{module} as ours; assert {module} is ours; print(ours.__file__)"
    for python in (sys.executable, bare_python):
        done = subprocess.run([python, "-c", code], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip().endswith(f"parallel_agents/{module}.py")


@pytest.mark.parametrize("module", ["ai_orchestrator", "helpers"])
def test_the_old_modules_say_what_to_do_where_no_python_has_the_package(
    tmp_path: Path, bare_python: str, module: str
) -> None:
    for name in (f"{module}.py", "launch.py"):
        (tmp_path / name).write_bytes(source(name).read_bytes())
    # Found by its file, as some programs load it: the folder is on no path, and another `launch` may be.
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "launch.py").write_text("raise SystemExit('the wrong one')\n", encoding="utf-8")
    code = f"import runpy; runpy.run_path({str(tmp_path / f'{module}.py')!r})"
    done = subprocess.run([bare_python, "-c", code], cwd=tmp_path / "elsewhere", capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(f"run: python3 {tmp_path / 'launch.py'} setup")


def test_nothing_of_the_folder_is_what_a_scan_flags(folder: Path) -> None:
    for name, text in files(folder).items():
        for flagged in ("eval(", "exec_module", "verify=False", "always: true", "index-url"):
            assert flagged not in text, name
        if name.endswith(".py"):
            assert "pip install" not in text


def test_every_command_that_is_named_can_be_typed_where_the_command_is_on_no_path(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to("/usr/bin/python3")
    monkeypatch.setenv("PATH", str(programs))
    launch = f"python3 {folder / 'launch.py'}"

    def shell(command: str, stdin: str = "", code: int = 0) -> subprocess.CompletedProcess[str]:
        assert command.startswith(f"{launch} "), command
        done = child.run("/bin/sh", "-c", command, stdin=stdin)
        assert done.returncode == code, done.stderr
        return done

    plan = json.dumps([{"agent_type": "plain", "task_description": "x", "output_format": "text", "task_id": "t"}])
    answer = json.loads(shell(f"{launch} run --detach --rehearsal -", plan).stdout)
    assert json.loads(shell(answer["wait"]).stdout)["status"] == "completed"
    assert "rehearsal" in shell(answer["output"].replace("TASK", "t")).stdout
    assert "is over" in shell(answer["stop"]).stderr
    assert not Path(answer["log"]).exists(), "nothing in it was needed"
    kept = shell(f"{launch} run --rehearsal -", plan).stderr
    (line,) = [line for line in kept.splitlines() if " is kept" in line]
    assert "--journal" not in line
    assert shell(line.partition("cut short: ")[2]).returncode == 0

    journal = tmp_path / "the runs.sqlite"
    outputs = {f"t{index}": f"{index} " * 3_000 for index in range(20)}
    run = kept_run(journal, outputs)
    named = f"--journal '{journal}'"
    document = json.loads(shell(f"{launch} wait {named} {run} --output-bytes 5000").stdout)
    for each in document["results"]:
        assert shell(each["rest"]).stdout == outputs[each["task_id"]].strip() + "\n"
    assert len(shell(document["omitted"]["list"]).stdout.splitlines()) == len(outputs)
    run, _ = first_run(asking(), journal)
    (question,) = json.loads(shell(f"{launch} wait {named} {run}", code=1).stdout)["questions"]
    # Its tools are in Python; it found the run and the journal.
    assert f'Orchestrator.resume("{run}"' in shell(question["answer"], code=2).stderr

    assert f"`{launch} runs`" in shell(f"{launch} wait none", code=2).stderr
    (state() / "parallel-agents" / "settings.json").write_text("{", "utf-8")
    assert f"of `{launch} doctor`)" in shell(f"{launch} run --rehearsal -", plan, code=2).stderr
    (folder / "SKILL.md").unlink()
    lines = {line["id"]: line for line in json.loads(shell(f"{launch} doctor --json", code=1).stdout)["lines"]}
    assert lines["skill"]["fix"] == f"{launch} skill upgrade --global"
    shell(lines["skill"]["fix"])
    assert "is missing" not in shell(f"{launch} skill verify --global").stdout
