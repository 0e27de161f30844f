"""`parallel-agents doctor` without a gateway: each line provoked, judged and put right."""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import re
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import parallel_agents
import pytest
from parallel_agents import (
    AgentTypeError,
    GatewayError,
    JournalError,
    Orchestrator,
    ParallelAgentsError,
    PlanError,
    SpawnError,
)
from websockets.sync.server import ServerConnection, serve

from . import child
from .skills import make_older
from .skills import told as told_skill

LINES = [
    *("python", "package", "runtime", "gateway", "version", "token", "scopes", "path_agent", "path_spawn", "limits"),
    *("models", "state", "journal", "agents", "skill"),
]
BEHIND_THE_GATEWAY = ["version", "token", "scopes", "path_agent", "path_spawn", "limits", "models"]
PEER_HELLO = "c0"


class Report:
    """What the doctor said, as its JSON document."""

    def __init__(self, document: dict[str, Any], code: int) -> None:
        self.document = document
        self.code = code
        self.lines = {line["id"]: line for line in document["lines"]}
        assert list(self.lines) == LINES
        for line in document["lines"]:
            # What is not green says what to do about it, or which line does.
            told = {"green": (False, False), "yellow": (True, False), "red": (True, False), "skipped": (False, True)}
            assert (line["fix"] is not None, line["because"] is not None) == told[line["level"]], line
            assert "\n" not in line["found"], line
        assert document["ok"] is (code == 0) is ("red" not in self.levels.values())

    @property
    def levels(self) -> dict[str, str]:
        return {name: line["level"] for name, line in self.lines.items()}

    def expect(self, line: str, level: str, found: str, fix: str | None = None) -> None:
        shown = self.lines[line]
        assert shown["level"] == level, shown
        assert found in shown["found"], shown
        assert fix is None or fix in shown["fix"], shown


def doctor(*arguments: str) -> Report:
    done = child.run(child.COMMAND, "doctor", "--json", *arguments)
    assert done.stderr == "", done.stderr
    assert done.returncode in (0, 1)
    return Report(json.loads(done.stdout), done.returncode)


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A state folder of this test's own."""
    folder = tmp_path / "state"
    folder.mkdir()
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(folder))
    return folder


@pytest.fixture
def found(state: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any] | str], Path]:
    """Writes openclaw.json, by which the gateway is then found."""
    monkeypatch.delenv("OPENCLAW_GATEWAY_PORT")

    def write(configuration: dict[str, Any] | str) -> Path:
        path = state / "openclaw.json"
        text = configuration if isinstance(configuration, str) else json.dumps(configuration)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def make_journal(state: Path) -> Path:
    """A journal with one run that is over, in the default place."""
    path = state / "parallel-agents" / "journal.sqlite"
    tasks = [{"agent_type": "code_reviewer", "task_description": "Review it."}]
    Orchestrator(rehearsal=True, journal=path).run_parallel(tasks)
    return path


@contextmanager
def listening(answer: bytes | None = None) -> Iterator[int]:
    """A port that accepts, says `answer` if there is one, and nothing more."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        taken: list[socket.socket] = []

        def accept() -> None:
            try:
                while True:
                    taken.append(server.accept()[0])
                    if answer is not None:
                        taken[-1].sendall(answer)
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for each in taken:
                each.close()


@contextmanager
def peer(answer: dict[str, Any]) -> Iterator[int]:
    """A gateway that answers the greeting so."""

    def greet(connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n"}}))
        connection.recv()
        connection.send(json.dumps({"type": "res", "id": PEER_HELLO, **answer}))
        for _ in connection:
            pass

    with serve(greet, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.socket.getsockname()[1]
        server.shutdown()


def refusing(code: str, message: str, detail: str | None = None) -> dict[str, Any]:
    return {"ok": False, "error": {"code": code, "message": message, "details": {"code": detail}}}


def at(port: int) -> tuple[str, str]:
    return "--gateway-url", f"ws://127.0.0.1:{port}"


def test_without_a_gateway_that_line_is_red_and_what_lies_behind_it_is_skipped(state: Path) -> None:
    report = doctor()
    assert report.code == 1
    report.expect("runtime", "green", "known from OPENCLAW_GATEWAY_PORT")
    report.expect("gateway", "red", "nothing answers at ws://127.0.0.1:", "openclaw gateway run")
    for name in BEHIND_THE_GATEWAY:
        assert (report.lines[name]["level"], report.lines[name]["because"]) == ("skipped", "gateway")
    report.expect("state", "green", f"{state} is writable")
    report.expect("journal", "green", "none yet at")
    report.expect("skill", "yellow", "not installed", "parallel-agents skill install")


def test_looking_makes_and_changes_nothing(state: Path) -> None:
    doctor()
    assert list(state.rglob("*")) == []
    journal = make_journal(state)
    before = journal.read_bytes()
    doctor()
    assert sorted(path.name for path in state.rglob("*")) == ["journal.sqlite", "parallel-agents"]
    assert journal.read_bytes() == before


def test_the_whole_report_for_people(state: Path, closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (state / "parallel-agents").mkdir()
    (state / "parallel-agents").chmod(0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    done = child.run(child.COMMAND, "doctor")
    assert (done.returncode, done.stderr) == (1, "")
    text = done.stdout
    for shown, name in [
        (str(state), "STATE"),
        (f":{closed_port}", ":PORT"),
        (str(Path(parallel_agents.__file__).parent), "PACKAGE"),
    ]:
        text = text.replace(shown, name)
    # The command's own Python, by whichever of its names.
    text = re.sub(re.escape(str(Path(sys.executable).parent)) + r"/python[\d.]*", "PYTHON", text)
    text = re.sub(r"CPython [\d.]+\w*", "CPython X", re.sub(r"\d+ [GM]B free", "N GB free", text))
    text = re.sub(r"os error \d+", "os error N", text)
    skipped = "".join(f"skipped  {name:11} not looked at: see `gateway`\n" for name in BEHIND_THE_GATEWAY)
    assert text == (
        "green    python      CPython X, PYTHON\n"
        "green    package     0.1.0 in PACKAGE; its command is not on the path\n"
        "green    runtime     gateway ws://127.0.0.1:PORT/, known from OPENCLAW_GATEWAY_PORT; a Python program may pass"
        " its own `tools` instead\n"
        "red      gateway     nothing answers at ws://127.0.0.1:PORT/ (IO error: Connection refused (os error N))\n"
        "                     -> openclaw gateway run, or export OPENCLAW_GATEWAY_URL=ws://HOST:PORT of one that runs\n"
        f"{skipped}"
        "yellow   state       STATE is writable; STATE/parallel-agents is open to other users; N GB free\n"
        "                     -> parallel-agents doctor --fix\n"
        "green    journal     none yet at STATE/parallel-agents/journal.sqlite; a run makes it\n"
        "green    agents      the built-in types, none of your own\n"
        "yellow   skill       not installed: agents do not know how to run teams\n"
        "                     -> parallel-agents skill install\n"
        "5 green, 2 yellow, 1 red, 7 skipped\n"
    )


def test_a_silent_gateway_ends_in_a_red_line_soon(state: Path) -> None:
    with listening() as port:
        since = time.monotonic()
        report = doctor(*at(port))
        assert time.monotonic() - since < 12
    report.expect("gateway", "red", "is no OpenClaw gateway (no greeting within 7 s)", "OPENCLAW_GATEWAY_URL")


def test_ctrl_c_ends_a_wait_at_once(state: Path) -> None:
    with listening() as port, child.started(child.COMMAND, "doctor", *at(port)) as process:
        time.sleep(1)
        since = time.monotonic()
        process.send_signal(2)
        output, errors = process.communicate(timeout=10)
        assert time.monotonic() - since < 3
    assert (process.returncode, output, errors) == (130, "", "")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "is no OpenClaw gateway (it answers HTTP 200"),
        (b"SSH-2.0-OpenSSH_9\r\n", "is no OpenClaw gateway (WebSocket protocol error"),
    ],
)
def test_another_server_on_the_port_is_told_from_a_gateway(answer: bytes, found: str, state: Path) -> None:
    with listening(answer) as port:
        doctor(*at(port)).expect("gateway", "red", found, "OPENCLAW_GATEWAY_URL")


def test_a_gateway_that_is_still_starting_is_waited_for_a_while(state: Path) -> None:
    class Starting(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_error(503)

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Starting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        report = doctor(*at(server.server_port))
        server.shutdown()
    report.expect("gateway", "red", "is still starting after 7 s", "openclaw logs")


def test_an_older_protocol_is_red_at_the_version(state: Path) -> None:
    with peer(refusing("INVALID_REQUEST", "protocol mismatch: expected 3", "PROTOCOL_MISMATCH")) as port:
        report = doctor(*at(port))
    report.expect("gateway", "green", "answers at")
    report.expect("version", "red", "does not speak protocol 4 (protocol mismatch: expected 3)", "openclaw update")
    assert report.lines["token"]["because"] == "version"


def test_a_token_that_is_in_no_file_is_told_with_the_setting(state: Path) -> None:
    with peer(refusing("UNAUTHORIZED", "unauthorized: gateway token missing", "AUTH_TOKEN_MISSING")) as port:
        report = doctor(*at(port))
    report.expect("token", "red", "there is none in OPENCLAW_GATEWAY_TOKEN", "openclaw doctor --generate-gateway-token")
    assert str(state / "openclaw.json") in report.lines["token"]["found"]
    assert "gateway.auth.token" in report.lines["token"]["fix"]
    assert report.lines["version"]["because"] == report.lines["models"]["because"] == "token"


def test_no_secret_is_shown(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "s3cret-of-this-test"
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", secret)
    with peer(refusing("UNAUTHORIZED", "unauthorized: gateway token mismatch", "AUTH_TOKEN_MISMATCH")) as port:
        done = child.run(child.COMMAND, "doctor", *at(port))
        report = doctor(*at(port))
    report.expect("token", "red", "refused, the one from OPENCLAW_GATEWAY_TOKEN", "export OPENCLAW_GATEWAY_TOKEN")
    assert secret not in done.stdout + done.stderr + json.dumps(report.document)


def test_a_token_that_only_openclaw_can_open_is_named(found: Callable[[dict[str, Any]], Path]) -> None:
    refusal = refusing("UNAUTHORIZED", "unauthorized: gateway token missing", "AUTH_TOKEN_MISSING")
    with peer(refusal) as port:
        found({"gateway": {"port": port, "auth": {"token": {"source": "exec", "id": "x"}}}})
        report = doctor()
    report.expect("runtime", "green", "openclaw.json")
    report.expect("token", "red", "kept in the source `exec`", "OPENCLAW_GATEWAY_TOKEN")


@pytest.mark.parametrize("text", ["{gateway: {", "[" * 1_000])
def test_a_configuration_that_cannot_be_read_is_red(text: str, found: Callable[[str], Path]) -> None:
    path = found(text)
    report = doctor()
    report.expect("runtime", "red", f"cannot read {path}", f"correct {path}")
    assert report.lines["gateway"]["because"] == report.lines["models"]["because"] == "runtime"


def test_a_configuration_that_no_run_can_read_is_red_wherever_the_gateway_is_known_from(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = state / "openclaw.json"
    path.write_text("{gateway: {")
    monkeypatch.setenv("OPENCLAW_GATEWAY_URL", "ws://127.0.0.1:1")
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", "t")
    doctor().expect("runtime", "red", f"cannot read {path}", f"correct {path}: openclaw config validate")
    plan = state / "plan.json"
    plan.write_text(json.dumps([{"agent_type": "code_reviewer", "task_description": "Review."}]))
    done = child.run(child.COMMAND, "run", str(plan))
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith("(see line `runtime` of `parallel-agents doctor`)"), done.stderr


def test_what_is_said_to_do_without_a_home_finds_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "OPENCLAW_HOME", "OPENCLAW_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    report = doctor()
    report.expect("state", "red", "nothing says where it is", "export HOME=")
    done = child.run("/bin/sh", "-c", f'{report.lines["state"]["fix"]}; test -d "$HOME"')
    assert done.returncode == 0, done.stderr


def test_an_address_that_is_none_is_red(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_GATEWAY_URL", "http://127.0.0.1:1")
    doctor().expect("runtime", "red", "is no address of a gateway", "OPENCLAW_GATEWAY_URL=ws://")
    monkeypatch.setenv("OPENCLAW_GATEWAY_URL", "ws://gateway.invalid:1")
    doctor().expect("runtime", "red", "would send the token unencrypted", "ssh -N -L")


def test_scopes_that_a_token_lacks_are_told_with_what_is_lost(state: Path) -> None:
    hello = {
        "protocol": 4,
        "server": {"version": "2026.9.6", "bootId": "b"},
        "features": {"methods": ["agent", "agent.wait"]},
        "auth": {"scopes": ["operator.read"]},
    }
    with peer({"ok": True, "payload": hello}) as port:
        report = doctor(*at(port))
    report.expect("scopes", "red", "agents cannot be started without operator.write", "gateway.auth.token")
    assert report.lines["path_agent"]["because"] == "scopes"
    # It greets and answers nothing more.
    report.expect("limits", "yellow", "the gateway does not tell: no answer within 7 s")


def test_a_file_in_place_of_the_state_folder_is_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("")
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(path))
    report = doctor("--fix")
    report.expect("state", "red", f"{path} is no folder", f"mv {path}")
    report.expect("journal", "red", "cannot be opened")
    assert path.read_text() == ""


def test_a_file_in_place_of_our_folder_is_red_and_left(state: Path) -> None:
    path = state / "parallel-agents"
    path.write_text("mine")
    report = doctor("--fix")
    report.expect("state", "red", f"{path} is no folder", f"mv {path} {path}.old")
    assert (path.read_text(), report.document["fixed"]) == ("mine", [])


def test_fix_makes_our_folder_and_closes_it(state: Path) -> None:
    folder = state / "parallel-agents"
    assert doctor("--fix").document["fixed"] == [f"made {folder}"]
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o775)
    doctor().expect("state", "yellow", "is open to other users", "parallel-agents doctor --fix")
    report = doctor("--fix")
    assert report.document["fixed"] == [f"closed {folder} to other users"]
    report.expect("state", "green", f"{folder} is writable")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_sound_journal_is_counted(state: Path) -> None:
    path = make_journal(state)
    doctor().expect("journal", "green", f"{path}, format 2 of 2, 1 run")


def test_a_journal_that_others_may_read_is_closed(state: Path) -> None:
    path = make_journal(state)
    path.chmod(0o644)
    doctor().expect("journal", "yellow", "other users may read it", "parallel-agents doctor --fix")
    report = doctor("--fix")
    report.expect("journal", "green", "1 run")
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_open_run_whose_process_has_died_is_named_with_the_command(state: Path) -> None:
    path = make_journal(state)
    with sqlite3.connect(path) as database:
        (run_id,) = database.execute("SELECT id FROM runs").fetchone()
        database.execute("DELETE FROM facts WHERE kind = 'run_ended'")
    database.close()
    report = doctor()
    report.expect("journal", "yellow", f"1 open run that nobody runs any more ({run_id})", f"resume {run_id}")
    lock = path.with_name("journal.sqlite-run-1")
    lock.write_text("99999\n")
    doctor().expect("journal", "yellow", "1 lock file of dead processes")
    assert "removed 1 lock files" in doctor("--fix").document["fixed"][0]
    assert not lock.exists()


def test_a_run_that_goes_on_keeps_its_lock_and_is_not_called_dead(state: Path) -> None:
    path = state / "parallel-agents" / "journal.sqlite"
    plan = [{"agent_type": "code_reviewer", "task_description": "Review."}]
    options = {"tasks": plan, "rehearsal": {"latency_seconds": 3_000, "speed": 1}}
    plan_file = state / "plan.json"
    plan_file.write_text(json.dumps(options))
    with child.started(child.COMMAND, "run", str(plan_file)) as process:
        deadline = time.monotonic() + 20
        while not list(path.parent.glob("*-run-*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        report = doctor("--fix")
        report.expect("journal", "green", "1 run")
        assert list(path.parent.glob("*-run-*"))
        process.send_signal(2)
        process.communicate(timeout=30)


def test_a_broken_journal_is_red_and_set_aside_whole(state: Path) -> None:
    path = make_journal(state)
    os.truncate(path, path.stat().st_size // 2)
    broken = path.read_bytes()
    doctor().expect("journal", "red", "damaged", "parallel-agents doctor --fix")
    report = doctor("--fix")
    aside = path.with_name("journal.sqlite.damaged-1")
    assert report.document["fixed"] == [f"renamed the damaged journal {path} to {aside}"]
    report.expect("journal", "green", "none yet at")
    assert aside.read_bytes() == broken


def test_a_journal_that_is_no_database_is_set_aside_only_where_all_is_ours(state: Path, tmp_path: Path) -> None:
    other = tmp_path / "letter.txt"
    other.write_text("Dear all, " * 1_000)
    report = doctor("--fix", "--journal", str(other))
    report.expect("journal", "red", "is no SQLite database")
    assert "could not set" in report.document["not_fixed"][-1]
    assert not any("could not" in line for line in report.document["fixed"])
    assert report.lines["journal"]["fix"] == "name another file with `--journal`"
    assert other.exists()
    ours = state / "parallel-agents" / "journal.sqlite"
    ours.write_text("Dear all, " * 1_000)
    doctor("--fix").expect("journal", "green", "none yet at")
    assert ours.with_name("journal.sqlite.damaged-1").exists()


def test_the_journal_of_a_later_release_is_red_and_left(state: Path) -> None:
    path = make_journal(state)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 9")
    database.close()
    report = doctor("--fix")
    report.expect("journal", "red", "has format 9", "use the release that wrote it")
    assert path.exists()


def test_an_agent_type_that_cannot_be_used_is_named_with_why(state: Path) -> None:
    folder = state / "parallel-agents" / "agents"
    folder.mkdir(parents=True)
    (folder / "good.md").write_text("---\nname: haiku_writer\ndescription: Writes one haiku\n---\nWrite a haiku.\n")
    doctor().expect("agents", "green", "1 type of your own")
    (folder / "bad.md").write_text("no front matter")
    report = doctor()
    report.expect("agents", "yellow", f"1 file passed over: agent type {folder / 'bad.md'}: no front matter", "correct")
    report = doctor("--agents", str(state / "none.md"))
    report.expect("agents", "yellow", "2 files passed over: ")
    assert f"cannot read agent type file `{state / 'none.md'}`" in report.lines["agents"]["found"]


def test_fix_removes_what_dead_processes_half_wrote_and_nothing_else(state: Path) -> None:
    folder = state / "parallel-agents" / "agents"
    folder.mkdir(parents=True)
    (folder.parent).chmod(0o700)
    with child.started(sys.executable, "-c", "") as dead:
        dead.wait()
    left = folder / f".haiku_writer.md.{dead.pid}-0"
    kept = [folder / f".haiku_writer.md.{os.getpid()}-0", folder / ".notes", folder / f".notes.{dead.pid}-0"]
    for path in [left, *kept]:
        path.write_text("half")
    assert doctor("--fix").document["fixed"] == [f"removed 1 half-written files of dead processes in {folder}"]
    assert sorted(folder.iterdir()) == sorted(kept)


STATES: dict[str, Callable[[Path], object]] = {
    "whole": lambda skill: None,
    "edited": lambda skill: (skill / "SKILL.md").write_text("mine"),
    "missing": lambda skill: (skill / "launch.py").unlink(),
    "a folder in a file's place": lambda skill: put_folder_at(skill / "SKILL.md"),
    "with a file of its own": lambda skill: (skill / "notes.txt").write_text("mine"),
    "older": make_older,
    "no record": lambda skill: (skill / "parallel-agents.json").unlink(),
    "a record that is none": lambda skill: (skill / "parallel-agents.json").write_text("{"),
    "no Python": lambda skill: edit_record(skill, python="/no/such/python"),
    "a second one": lambda skill: told_skill("install", "--workspace"),
}


def put_folder_at(path: Path) -> None:
    path.unlink()
    path.mkdir()


def edit_record(skill: Path, **fields: object) -> None:
    path = skill / "parallel-agents.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize("change", STATES)
def test_the_line_of_the_skill_says_what_verify_says(change: str, state: Path) -> None:
    skill = Path(told_skill("install", "--global")["folder"])
    STATES[change](skill)
    done = child.run(child.COMMAND, "skill", "verify", "--json")
    report = doctor()
    line = report.lines["skill"]
    assert line["level"] == ("green" if done.returncode == 0 else "red"), line
    if done.returncode == 2:
        assert line["found"] in done.stderr
        return
    differences = [
        line for copy in json.loads(done.stdout)["copies"] for line in copy["lines"] if line["colour"] == "red"
    ]
    assert bool(differences) == (line["level"] == "red")
    for each in differences:
        found, _, fix = each["text"].partition("; to put it right: ")
        assert found in line["found"]
        assert fix in line["fix"]


def test_what_an_install_that_died_left_is_removed_by_fix_alone(state: Path) -> None:
    skill = Path(told_skill("install", "--global")["folder"])
    (state / "parallel-agents").mkdir(mode=0o700)
    stage = skill.with_name(".parallel-agents.stage")
    stage.mkdir()
    (stage / "SKILL.md").write_text("half")
    foreign = skill.with_name(".mine.stage")
    foreign.mkdir()
    doctor().expect("skill", "yellow", f"a call that died has left something beside {skill}", "doctor --fix")
    around = os.open(skill.parent, os.O_RDONLY)
    # As a call that is alive does.
    fcntl.flock(around, fcntl.LOCK_EX)
    assert doctor("--fix").document["fixed"] == []
    assert stage.exists()
    os.close(around)
    report = doctor("--fix")
    assert report.document["fixed"] == [f"removed what a call that died had left beside {skill}"]
    report.expect("skill", "green", "complete and unmodified")
    assert (stage.exists(), foreign.exists()) == (False, True)
    # The folder itself, set aside by a call that died before it gave the new one its name.
    skill.rename(skill.with_name(".parallel-agents.aside"))
    doctor("--fix").expect("skill", "green", "complete and unmodified")


def test_settings_are_judged_with_the_file_and_the_field(state: Path) -> None:
    doctor().expect("models", "skipped", "gateway")
    path = state / "parallel-agents" / "settings.json"
    path.parent.mkdir(mode=0o700)
    path.write_text('{"max_concurrent": 8}')
    doctor().expect("state", "green", "settings: max_concurrent")
    path.write_text('{"max_concurent": 8}')
    doctor().expect(
        "state", "red", f"`{path}`: unknown setting `max_concurent`", f"take `max_concurent` out of `{path}`"
    )
    path.write_text('{"max_concurrent": 0}')
    doctor().expect("state", "red", f"`{path}`: `max_concurrent` is `0`", f"correct `{path}`")
    path.write_text("{")
    doctor().expect("state", "red", f"`{path}` are not valid JSON", f"correct {path}")
    path.unlink()
    config = state / "openclaw.json"
    entry = {"config": {"retry": {"attempts_max": "many"}}}
    config.write_text(json.dumps({"skills": {"entries": {"parallel-agents": entry}}}))
    place = f"`skills.entries.parallel-agents.config` in `{config}`"
    doctor().expect("state", "red", f"{place}: `retry.attempts_max` is", f"correct {place}")
    done = child.run(child.COMMAND, "run", "-", "--rehearsal", stdin="[]")
    assert done.returncode == 2
    assert "(see line `state` of `parallel-agents doctor`)" in done.stderr


def in_python(change: str) -> Report:
    """The doctor of a Python in which something was changed before."""
    code = (
        f"import sys\nfrom parallel_agents import _core, _doctor\n{change}\nsys.exit(_core.main(['doctor', '--json']))"
    )
    done = child.run(sys.executable, "-c", code)
    return Report(json.loads(done.stdout), done.returncode)


def test_the_python_and_its_package_are_told(state: Path) -> None:
    report = in_python("")
    report.expect("python", "green", f"CPython {sys.version.split()[0]}")
    report.expect("package", "green", f"{parallel_agents.__version__} in ")


def test_a_distribution_of_another_version_is_red(state: Path) -> None:
    report = in_python("_doctor._distribution = lambda: '9.9.9'")
    report.expect("package", "red", "the distribution says 9.9.9", "pip install --force-reinstall --no-index")
    in_python("_doctor._distribution = lambda: None").expect("package", "yellow", "of no installed distribution")


def test_a_free_threaded_python_is_red(state: Path) -> None:
    report = in_python("_doctor.sysconfig.get_config_var = lambda name: name == 'Py_GIL_DISABLED'")
    report.expect("python", "red", "a free-threaded build", "the usual build of the same Python")


def test_a_command_of_another_python_on_the_path_is_told(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "bin" / "parallel-agents"
    command.parent.mkdir()
    command.write_text("#!/opt/other/bin/python3\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent))
    report = doctor()
    report.expect("package", "yellow", f"the command on the path, {command}, runs /opt/other/bin/python3", "PATH")
    monkeypatch.setenv("PATH", str(Path(child.COMMAND).parent))
    doctor().expect("package", "green", f"command {child.COMMAND}")


def test_a_mistake_on_the_command_line_is_told() -> None:
    done = child.run(child.COMMAND, "doctor", "--repair")
    assert done.returncode == 2
    assert "--repair" in done.stderr


def test_errors_point_to_the_line_that_explains_them(state: Path, closed_port: int, tmp_path: Path) -> None:
    tasks = [{"agent_type": "code_reviewer", "task_description": "Review."}]

    def raised(call: Callable[[], object]) -> ParallelAgentsError:
        with pytest.raises(ParallelAgentsError) as caught:
            call()
        return caught.value

    broken = tmp_path / "journal.sqlite"
    broken.write_text("Dear all, " * 1_000)
    odd = tmp_path / "odd.md"
    odd.write_text("no front matter")
    cases: list[tuple[type[ParallelAgentsError], str | None, Callable[[], object]]] = [
        (GatewayError, "gateway", lambda: Orchestrator().run_parallel(tasks)),
        (JournalError, "journal", lambda: Orchestrator(rehearsal=True, journal=broken).run_parallel(tasks)),
        (JournalError, "journal", lambda: parallel_agents.journal_runs(tmp_path / "none")),
        (AgentTypeError, "agents", lambda: parallel_agents.load_agent_types(odd)),
        (AgentTypeError, None, lambda: parallel_agents.get_agent_type("nobody")),
        (PlanError, None, lambda: Orchestrator(rehearsal=True).run_parallel([{"agent_type": "code_reviewer"}])),
    ]
    for kind, line, call in cases:
        error = raised(call)
        assert isinstance(error, kind)
        assert error.doctor == line, error
        assert line is None or line in LINES
        pointer = f"(see line `{line}` of `parallel-agents doctor`)"
        assert str(error).endswith(pointer) is (line is not None), error
        copied = pickle.loads(pickle.dumps(error))
        assert (copied.doctor, str(copied)) == (line, str(error))
    assert ParallelAgentsError.doctor is None
    spawn = SpawnError("it broke", [], "models")
    copied = pickle.loads(pickle.dumps(spawn))
    assert (copied.doctor, str(copied)) == ("models", str(spawn))


def test_the_command_points_to_the_line_too(state: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps([{"agent_type": "code_reviewer", "task_description": "Review."}]))
    done = child.run(child.COMMAND, "run", str(plan))
    assert done.returncode == 3
    assert done.stderr.rstrip().endswith("(see line `gateway` of `parallel-agents doctor`)"), done.stderr
    plan.write_text("[")
    done = child.run(child.COMMAND, "run", str(plan))
    assert done.returncode == 2
    assert "doctor" not in done.stderr
