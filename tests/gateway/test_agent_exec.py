"""An agent of a gateway runs a team on that same gateway from its shell tool, and reads the results back."""

from __future__ import annotations

import json
import shlex
import sys
import uuid
from pathlib import Path
from typing import Any

from .case import Case
from .openclaw import HAIKU, Gateway

COMMAND = str(Path(sys.executable).parent / "parallel-agents")
ENDED_SECONDS_MAX = 240
# What it may take of the least that a model with a context of 100,000 tokens is shown.
SHOWN_CHARS = 32_000


def shown(gateway: Gateway, case: Case, command: str) -> str:
    """What the model of an agent is sent back when it runs a command with its shell tool."""
    message = f"{case} [[task=lead]] Run it. [[exec={command}]]"
    params = {
        "message": message,
        "sessionKey": f"agent:main:subagent:{uuid.uuid4()}",
        "idempotencyKey": str(uuid.uuid4()),
        "deliver": False,
        "lane": "subagent",
    }
    with gateway.client() as client:
        frame = client.answer(client.send("agent", params), final=True, seconds=ENDED_SECONDS_MAX)
        assert frame["ok"], frame
        # The scripted model answers with what its tool gave back, word for word.
        text = str(frame["payload"]["result"]["payloads"][0]["text"])
        client.call("sessions.delete", {"key": params["sessionKey"], "deleteTranscript": False})
    return text


def team(case: Case, *directives: str) -> str:
    """A plan as it stands between quotes of a shell, and whose tokens are not those of the prompt that holds it."""
    tasks = [
        {
            "agent_type": "content_writer_creative",
            "task_description": f"Write a post about mornings. {case} [[task=t{index}]] {directive}",
            "task_id": f"t{index}",
        }
        for index, directive in enumerate(directives)
    ]
    text = json.dumps({"tasks": tasks}, indent=1)
    return text.replace("[[", "\\u005b[").replace("]]", "\\u005d]")


def document(text: str) -> Any:
    """The JSON among what a model is shown: both outputs of a command come as one text."""
    (line,) = [line for line in text.splitlines() if line.startswith("{")]
    return json.loads(line)


def test_an_agent_runs_a_team_and_is_shown_one_document(gateway: Gateway, case: Case) -> None:
    before = gateway.sessions()
    plan = team(case, "", "[[length=200000]]", "[[say=This is all that I have.]]")
    flags = "--json --budget-attempts 3 --model " + HAIKU.name
    text = shown(gateway, case, f"{COMMAND} run {flags} - <<'EOF'\n{plan}\nEOF")

    assert len(text) < SHOWN_CHARS
    told = document(text)
    assert told["status"] == "partial"
    assert [each["task_id"] for each in told["results"]] == ["t0", "t1", "t2"]
    first, long, wrong = told["results"]
    assert (first["status"], set(first["output"]) >= {"caption", "hashtags"}) == ("completed", True)
    assert (long["output_cut"], long["output_bytes"] > 100_000, len(long["output"]) > 10_000) == (True, True, True)
    assert (wrong["status"], wrong["output"]) == ("failed", None)
    assert told["totals"]["cost"] > 0
    assert {each["model_used"] for each in told["results"]} == {HAIKU.name}
    assert len(case.calls(task="t0")) == 1
    assert gateway.sessions() - before == set()

    whole = shown(gateway, case, long["rest"].replace("parallel-agents", COMMAND, 1) + " --raw | wc -c")
    assert int(whole) == 200_001


def test_an_agent_need_not_wait_for_its_team(gateway: Gateway, case: Case) -> None:
    plan = team(case, "[[hold]]", "[[hold]]", "[[hold]]")
    told = document(shown(gateway, case, f"{COMMAND} run --detach - <<'EOF'\n{plan}\nEOF"))
    case.wait_for(3, outcome="open")
    assert told["status"] == "running"

    wait = f"PATH={shlex.quote(str(Path(COMMAND).parent))}:$PATH {told['wait']}"
    still = document(shown(gateway, case, f"{wait} --timeout 1"))
    assert (still["status"], still["progress"]["agents"], still["progress"]["done"]) == ("running", 3, 0)

    case.release("t0", "t1", "t2")
    done = document(shown(gateway, case, wait))
    assert done["status"] == "completed"
    assert [each["output"]["caption"] != "" for each in done["results"]] == [True] * 3
    assert [len(case.calls(task=f"t{index}")) for index in range(3)] == [1] * 3


def test_the_shell_tool_shows_more_than_the_document_takes(gateway: Gateway, case: Case) -> None:
    text = shown(gateway, case, f"{sys.executable} -c 'print(300_000 * chr(120))'")
    assert SHOWN_CHARS <= len(text) < 100_000
