"""`parallel-agents doctor` beside a real gateway: what is found there, and that its commands put it right."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import Gateway as GatewayOptions
from parallel_agents import GatewayError, ModelError, Orchestrator
from python.skills import told

from python import child

from .apart import COMMAND
from .case import Case
from .openclaw import HAIKU, K2P5, Gateway, Options, OwnGateway
from .provider import Provider
from .proxy import Json, MakeProxy
from .tasks import post

SPAWN = GatewayOptions(path="spawn")
APPLIED_SECONDS_MAX = 30


def lines(*arguments: str, code: int | None = 0, errors: str = "") -> dict[str, dict[str, Any]]:
    """The doctor's lines, by their names."""
    command = [COMMAND, "doctor", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode if code is None else code, errors) == (done.returncode, done.stderr)
    return {line["id"]: line for line in json.loads(done.stdout)["lines"]}


def expect(line: dict[str, Any], level: str, found: str, fix: str | None = None) -> None:
    assert line["level"] == level, line
    assert found in line["found"], line
    assert fix is None or fix in line["fix"], line


@contextmanager
def skill_in(folder: Path) -> Iterator[Path]:
    """The skill, installed there."""
    skill = Path(told("install", "--to", str(folder / "skills"))["folder"])
    try:
        yield skill
    finally:
        shutil.rmtree(skill)


def apply(gateway: Gateway, command: str) -> None:
    """Runs a command that a line has printed, as a person would."""
    program, *arguments = shlex.split(command)
    assert program == "openclaw"
    openclaw = [str(gateway.install.node), str(gateway.install.openclaw)]
    done = subprocess.run(
        [*openclaw, *arguments],
        env={**os.environ, **gateway._environment()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def wait_until_green(name: str) -> dict[str, Any]:
    """The line once the gateway has taken its new setting up."""
    deadline = time.monotonic() + APPLIED_SECONDS_MAX
    while (line := lines(code=None)[name])["level"] != "green" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert line["level"] == "green", line
    return line


def test_a_healthy_gateway_is_green_all_over_and_notices_nothing(gateway: Gateway, provider: Provider) -> None:
    sessions, calls = gateway.sessions(), len(provider.log)
    with skill_in(gateway.workspace) as skill:
        found = lines()
    assert {name: line for name, line in found.items() if line["level"] != "green"} == {}
    expect(found["runtime"], "green", f"{gateway.url}, known from OPENCLAW_GATEWAY_PORT")
    expect(found["version"], "green", "OpenClaw 2026.9.6, protocol 4")
    expect(found["token"], "green", f"accepted, from `{gateway.config}`")
    expect(found["scopes"], "green", "operator.read, operator.write, operator.admin")
    expect(found["path_spawn"], "green", "`sessions_spawn` is allowed; its children have no `exec`, `apply_patch`")
    expect(found["limits"], "green", "64 agents at once; 20 children of one session (path spawn); 64 conversations")
    expect(found["models"], "green", f"`{HAIKU.name}` is available; `{K2P5.name}` is available")
    expect(found["skill"], "green", f"{skill}: ")
    assert "complete and unmodified, " in found["skill"]["found"]
    assert found["skill"]["found"].endswith("the agent sees it")
    assert gateway.token not in json.dumps(found)
    assert (gateway.sessions() - sessions, len(provider.log) - calls) == (set(), 0)


def test_a_wrong_token_is_red_and_the_run_s_error_points_to_it(
    gateway: Gateway, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", "wrong-one-of-this-test")
    found = lines(code=1)
    expect(found["gateway"], "green", "answers at")
    expect(found["token"], "red", "refused, the one from OPENCLAW_GATEWAY_TOKEN", "export OPENCLAW_GATEWAY_TOKEN")
    assert found["version"]["because"] == found["models"]["because"] == "token"
    assert "wrong-one" not in json.dumps(found)
    with pytest.raises(GatewayError) as caught:
        Orchestrator().run_parallel([post(case, "t0")])
    assert caught.value.doctor == "token"


def test_a_denied_tool_is_told_by_the_line_and_by_the_result(bare_gateway: Gateway, case: Case) -> None:
    found = lines()
    expect(found["token"], "green", "none, and none is asked for")
    command = """openclaw config set gateway.tools.allow '["sessions_spawn"]'"""
    expect(found["path_spawn"], "yellow", "`sessions_spawn` is denied to clients", command)
    expect(found["skill"], "yellow", "not installed", "parallel-agents skill install")
    result = Orchestrator(gateway=SPAWN).run_parallel([post(case, "t0")])["t0"]
    assert result.failed
    assert result.metadata["doctor"] == "path_spawn"


def test_narrow_limits_are_told_with_the_setting(narrow_gateway: Gateway) -> None:
    command = "openclaw config set agents.defaults.subagents.maxConcurrent 8"
    expect(lines()["limits"], "yellow", "only 3 agents at once, and a run starts 5; the rest wait", command)


def test_models_are_judged_one_by_one(gateway: Gateway, case: Case) -> None:
    models = lines("--models", f"nope/none,{HAIKU.name}")["models"]
    expect(
        models, "yellow", f"`nope/none` is unknown to the gateway; `{HAIKU.name}` is available", "openclaw models list"
    )
    models = lines("--models", "nope/none", code=1)["models"]
    expect(models, "red", "`nope/none` is unknown to the gateway", f"parallel-agents run --models {HAIKU.name}")
    with pytest.raises(ModelError) as caught:
        Orchestrator(models=["nope/none"]).run_parallel([post(case, "t0")])
    assert caught.value.doctor == "models"
    broken = Orchestrator(model=HAIKU.name).run_parallel([post(case, "t1", "[[garbage]]")])["t1"]
    assert (broken.status.value, broken.metadata["doctor"]) == ("failed", None)


def test_models_are_tried_only_when_that_is_wished_and_said_before(gateway: Gateway, provider: Provider) -> None:
    calls = len(provider.log)
    words = "each provider of the models is asked for one small answer, which costs\n"
    models = lines("--try-models", "--models", HAIKU.name, errors=words)["models"]
    expect(models, "green", f"`{HAIKU.name}` is available, and its provider answers")
    assert len(provider.log) > calls


def test_scopes_that_are_not_granted_are_told(gateway: Gateway, make_proxy: MakeProxy) -> None:
    def with_scopes(*scopes: str) -> None:
        def rewrite(frame: Json) -> Json:
            if frame.get("method") == "connect":
                frame["params"]["scopes"] = list(scopes)
            return frame

        make_proxy(gateway, rewrite=rewrite)

    with_scopes("operator.read", "operator.write")
    found = lines()
    expect(
        found["scopes"], "yellow", "without operator.admin the agents' sessions are not deleted", "gateway.auth.token"
    )
    assert found["path_spawn"]["level"] == found["models"]["level"] == "green"
    with_scopes("operator.read")
    found = lines(code=1)
    expect(found["scopes"], "red", "agents cannot be started without operator.write")
    assert found["path_agent"]["because"] == found["path_spawn"]["because"] == "scopes"
    expect(found["limits"], "green", "64 agents at once")


def test_the_commands_of_the_lines_put_them_right(own_gateway: OwnGateway, case: Case) -> None:
    disabled = {"skills": {"entries": {"parallel-agents": {"enabled": False}}}}
    gateway = own_gateway(Options(allow_tools=("cron",), subagents_concurrent=1, extra=disabled))
    with skill_in(gateway.workspace):
        found = lines(code=1)
        command = """openclaw config set gateway.tools.allow '["cron","sessions_spawn"]'"""
        expect(found["path_spawn"], "yellow", "`sessions_spawn` is denied to clients", command)
        expect(found["skill"], "red", "the agent does not see it: it is disabled")
        assert child.run(COMMAND, "skill", "verify").returncode == 1
        expect(found["limits"], "yellow", "only one agent at a time, and a run starts 5")
        for name in ("path_spawn", "skill", "limits"):
            apply(gateway, found[name]["fix"])
        expect(wait_until_green("path_spawn"), "green", "`sessions_spawn` is allowed")
        expect(wait_until_green("skill"), "green", "the agent sees it")
        expect(wait_until_green("limits"), "green", "8 agents at once")
    # What its provider refuses, the gateway remembers: no gateway that others use is told so.
    refused = Orchestrator(model=HAIKU.name).run_parallel([post(case, "t0", "[[http=401]]")])["t0"]
    assert refused.metadata["doctor"] == "models", refused.error
    command = "openclaw models auth login --provider anthropic"
    models = lines()["models"]
    expect(models, "yellow", f"`{HAIKU.name}` is left alone by the gateway after failures (cooldown)", command)
