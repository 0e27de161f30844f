"""Standing defaults of a user's runs, as the command applies them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from . import child
from .test_command import TASKS, refused, told, write


@pytest.fixture
def state() -> Path:
    """OpenClaw's state folder."""
    folder = Path(os.environ["OPENCLAW_STATE_DIR"])
    (folder / "parallel-agents").mkdir(parents=True)
    return folder


def configure(state: Path, **settings: Any) -> Path:
    """Writes them into OpenClaw's configuration."""
    path = state / "openclaw.json"
    path.write_text(json.dumps({"skills": {"entries": {"parallel-agents": {"config": settings}}}}), encoding="utf-8")
    return path


def keep(state: Path, **settings: Any) -> Path:
    """Writes them into the file of their own."""
    path = state / "parallel-agents" / "settings.json"
    path.write_text(json.dumps(settings), encoding="utf-8")
    return path


def models(document: Any) -> set[str]:
    return {each["metadata"]["model_used"] for each in document["results"]}


def test_the_command_line_goes_before_the_plan_before_the_settings(state: Path, tmp_path: Path) -> None:
    plan = str(write(tmp_path, TASKS))
    keep(state, models=["kept/one"], budget={"attempts": 9})
    document, _ = told("run", plan, "--rehearsal")
    assert models(document) == {"kept/one"}
    configure(state, model="configured/one", budget={"tokens": 900_000})
    document, _ = told("run", plan, "--rehearsal")
    assert models(document) == {"configured/one"}
    assert document["summary"]["budget"]["attempts"]["cap"] == 9
    assert document["summary"]["budget"]["tokens"]["cap"] == 900_000
    planned = str(write(tmp_path, {"tasks": TASKS, "models": ["planned/one"], "budget": {"attempts": 5}}))
    document, _ = told("run", planned, "--rehearsal")
    assert models(document) == {"planned/one"}
    assert document["summary"]["budget"]["attempts"]["cap"] == 5
    document, _ = told("run", planned, "--rehearsal", "--model", "given/one")
    assert models(document) == {"given/one"}
    nothing = str(write(tmp_path, {"tasks": TASKS, "budget": None}))
    document, _ = told("run", nothing, "--rehearsal")
    assert document["summary"]["budget"] is None


def test_a_setting_of_a_gateway_makes_no_real_run_of_a_rehearsal(state: Path, tmp_path: Path, closed_port: int) -> None:
    url = "ws://127.0.0.1:2/"
    configure(state, gateway={"url": url})
    document, _ = told("run", str(write(tmp_path, TASKS)), "--rehearsal")
    assert document["results"][0]["metadata"]["runtime"] == "rehearsal"
    document, _ = told("run", str(write(tmp_path, {"tasks": TASKS, "rehearsal": {"seed": 2}})))
    assert document["results"][0]["metadata"]["runtime"] == "rehearsal"
    assert child.run(child.COMMAND, "demo").returncode == 0
    plan = str(write(tmp_path, TASKS))
    assert url in refused("run", plan, code=3)
    assert url in refused("orchestrate", "Do it.", code=3)
    assert url in child.run(child.COMMAND, "demo", "--gateway").stderr
    assert f"127.0.0.1:{closed_port}" in refused("run", plan, "--gateway-url", f"ws://127.0.0.1:{closed_port}", code=3)


def test_settings_of_a_run_are_kept_with_it(state: Path, tmp_path: Path) -> None:
    path = keep(state, budget={"attempts": 1})
    document, _ = told("run", str(write(tmp_path, TASKS)), "--rehearsal", code=1)
    path.write_text('{"max_concurrent": 0}', encoding="utf-8")
    again, _ = told("resume", document["summary"]["run_id"], code=1)
    assert again["summary"]["budget"]["attempts"] == {"cap": 1, "spent": 1}


@pytest.mark.parametrize("command", [["run", "PLAN"], ["orchestrate", "Do it."], ["demo", "--gateway"]], ids=" ".join)
def test_a_bad_setting_is_told_before_anything_is_done(command: list[str], state: Path, tmp_path: Path) -> None:
    command = [str(write(tmp_path, TASKS)) if word == "PLAN" else word for word in command]
    path = configure(state, max_concurrent=0)
    errors = refused(*command)
    assert f"`skills.entries.parallel-agents.config` in `{path}`: `max_concurrent` is `0`" in errors
    path.unlink()
    path = keep(state, gateway={"token": "do-not-tell"})
    errors = refused(*command)
    assert f"`{path}`: `gateway.token` does not belong" in errors
    assert "OPENCLAW_GATEWAY_TOKEN" in errors
    assert "do-not-tell" not in errors
    assert not (state / "parallel-agents" / "journal.sqlite").exists()
