"""`parallel-agents exec`: scripts written for an agent runtime, unchanged, on a real gateway."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .case import Case
from .openclaw import HAIKU, Gateway

COMMAND = str(Path(sys.executable).parent / "parallel-agents")
ENDED_SECONDS_MAX = 180

# The main pattern of the old guide: start, look half a minute later, read.
LOOKS_LATER = """
import json, sys, time
from tools import sessions_spawn, sessions_list, sessions_history

case, seconds = sys.argv[1], float(sys.argv[2])
spawned = [
    sessions_spawn(
        task=f"Write about {topic}. {case} [[task={topic}]] [[say=All about {topic}]]",
        model="anthropic/claude-haiku-4-5",
        runTimeoutSeconds=90,
        cleanup="delete",
        agent_id=f"agent_{topic}",
    )
    for topic in ("rain", "wind", "snow")
]
keys = [each["childSessionKey"] for each in spawned]
time.sleep(seconds)
"""

AS_A_DICT = """
sessions = sessions_list()["sessions"]
for key in keys:
    session = [each for each in sessions if each["key"] == key][0]
    assert session["status"] == "done", session
    assert session.get("totalTokens", 0) > 0
    messages = sessions_history(sessionKey=key)["messages"]
    texts = []
    for message in messages:
        if message["role"] != "assistant":
            continue
        content = message["content"]
        if isinstance(content, list):
            content = "".join(block["text"] for block in content if block["type"] == "text")
        texts.append(content)
    print(texts[-1])
"""

AS_A_LIST = """
done = {}
for session in sessions_list(agent_id_pattern="agent_*"):
    if session["status"] == "completed":
        done[session["sessionKey"]] = sessions_history(session["sessionKey"])[-1]["content"]
for key in keys:
    print(done[key])
"""


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Writes a script and returns its name."""

    def write(text: str) -> str:
        path = tmp_path / "script.py"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [COMMAND, "exec", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def run(*arguments: str) -> str:
    """Standard output of a script that ends well and says nothing elsewhere."""
    done = subprocess.run(
        [COMMAND, "exec", *arguments],
        capture_output=True,
        text=True,
        timeout=ENDED_SECONDS_MAX,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("reads", "seconds"), [(AS_A_DICT, 30), (AS_A_LIST, 8)], ids=["a dict after 30 s", "a list after 8 s"]
)
def test_the_old_guides_pattern_gives_three_outputs(
    gateway: Gateway, case: Case, script: Callable[[str], str], reads: str, seconds: float
) -> None:
    before = gateway.sessions()
    output = run(script(LOOKS_LATER + reads), str(case), str(seconds))

    assert output.splitlines() == ["All about rain", "All about wind", "All about snow"]
    assert [call.model for call in case.calls()] == [HAIKU.name] * 3
    assert gateway.sessions() - before == set()


LOOKS_AT_ONCE = """
import sys
from tools import *

key = sessions_spawn(task=sys.argv[1] + " [[length=20000]]", cleanup="delete")["childSessionKey"]
while [row for row in sessions_list() if row["key"] == key][0]["status"] != "completed":
    pass
print(sessions_history(key)[-1]["content"])
"""


def test_a_long_answer_is_whole_however_soon_it_is_read(
    gateway: Gateway, case: Case, script: Callable[[str], str]
) -> None:
    output = run(script(LOOKS_AT_ONCE), str(case))
    assert len(output.strip()) == 20_000
    assert json.loads(output)


def test_the_gateway_can_be_named(
    gateway: Gateway, case: Case, script: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCLAW_GATEWAY_PORT", "1")
    output = run("--gateway-url", gateway.url, script(LOOKS_AT_ONCE), str(case))
    assert len(output.strip()) == 20_000


ENDS_EARLY = """
import sys
from tools import sessions_spawn

for cleanup in ("delete", "keep"):
    print(sessions_spawn(task=f"{sys.argv[1]} [[task={cleanup}]] [[sleep=600]]", cleanup=cleanup)["sessionKey"])
"""


def test_at_the_end_only_agents_whose_session_is_to_be_deleted_are_stopped(
    gateway: Gateway, case: Case, script: Callable[[str], str]
) -> None:
    with started(script(ENDS_EARLY), str(case)) as process:
        output, errors = process.communicate(timeout=ENDED_SECONDS_MAX)
        assert process.returncode == 0, errors
    deleted, kept = output.split()
    assert '1 agent was still running and stopped, being of cleanup="delete"' in errors
    assert deleted not in gateway.sessions()
    assert kept in gateway.live_sessions()
    with gateway.client() as client:
        client.call("sessions.abort", {"key": kept})


INTERRUPTED = """
import sys, time
from tools import sessions_spawn

for cleanup in ("delete", "keep"):
    spawned = sessions_spawn(task=f"{sys.argv[1]} [[task={cleanup}]] [[sleep=600]]", cleanup=cleanup)
    print(spawned["sessionKey"], flush=True)
time.sleep(600)
"""


def test_ctrl_c_stops_every_agent_of_the_script(gateway: Gateway, case: Case, script: Callable[[str], str]) -> None:
    with started(script(INTERRUPTED), str(case)) as process:
        assert process.stdout is not None
        deleted, kept = (process.stdout.readline().strip() for _ in range(2))
        case.wait_for(2, outcome="open")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=ENDED_SECONDS_MAX)
        assert process.returncode == 130, errors
    assert errors.startswith("Traceback (most recent call last):\n  File ")
    assert "_exec.py" not in errors
    assert "KeyboardInterrupt" in errors
    assert gateway.live_sessions() & {deleted, kept} == set()
    assert deleted not in gateway.sessions()
    assert kept in gateway.sessions()
    case.wait_for(2, outcome="cut")


DENIED = """
import sys, time
from tools import sessions_spawn, sessions_list, sessions_history

keys = [sessions_spawn(task=sys.argv[1] + f" [[task=t{index}]] [[say=answer {index}]]", cleanup="delete")["sessionKey"]
        for index in range(2)]
while not all(row["status"] == "done" for row in sessions_list(agent_id_pattern="*")):
    time.sleep(0.1)
for key in keys:
    print(sessions_history(key)[-1]["content"])
"""


def test_where_spawning_is_denied_a_script_works_and_is_told_once(
    bare_gateway: Gateway, case: Case, script: Callable[[str], str]
) -> None:
    with started(script(DENIED), str(case)) as process:
        output, errors = process.communicate(timeout=ENDED_SECONDS_MAX)
        assert process.returncode == 0, errors
    assert output.split("\n") == ["answer 0", "answer 1", ""]
    assert errors.count("gateway.tools.allow") == 1
    assert len(errors.splitlines()) == 1
