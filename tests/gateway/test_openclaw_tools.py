"""The tools of an agent runtime over a gateway, for callers of both generations."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from parallel_agents import Gateway as GatewayOptions
from parallel_agents import GatewayError, openclaw

from .case import Case
from .openclaw import HAIKU, OPUS, Gateway, Options
from .proxy import MakeProxy
from .script import GARBAGE

ENDED_SECONDS_MAX = 120


@pytest.fixture
def tools() -> Iterator[openclaw.Tools]:
    """Tools of the gateway that the test has chosen; nothing of theirs stays."""
    made = openclaw.tools()
    yield made
    made.close(stop_all=True)


def spawn(tools: openclaw.Tools, case: Case, name: str, directives: str = "", **fields: Any) -> str:
    """Starts an agent that the provider knows as `name` of the case. Returns its key."""
    spawned = tools.sessions_spawn(task=f"Answer. {case} [[task={name}]] {directives}", **fields)
    assert spawned["status"] == "accepted", spawned
    key = spawned["childSessionKey"]
    assert isinstance(key, str)
    assert spawned["sessionKey"] == key
    assert spawned["runId"]
    return key


def row_of(tools: openclaw.Tools, key: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = [row for row in tools.sessions_list() if row["key"] == key]
    assert len(rows) == 1, rows
    return rows[0]


def wait_until_ended(tools: openclaw.Tools, *keys: str) -> list[dict[str, Any]]:
    deadline = time.monotonic() + ENDED_SECONDS_MAX
    while True:
        rows = [row_of(tools, key) for key in keys]
        if all(row["status"] != "running" for row in rows):
            return rows
        assert time.monotonic() < deadline, rows
        time.sleep(0.1)


def test_an_agent_answers_callers_of_both_generations(gateway: Gateway, tools: openclaw.Tools, case: Case) -> None:
    key = spawn(tools, case, "t0", "[[say=the answer]]", model=HAIKU.name, runTimeoutSeconds=60, cleanup="keep")
    row = wait_until_ended(tools, key)[0]

    assert row["status"] == "done"
    assert row["status"] == "completed"
    assert row["sessionKey"] == key
    assert row["totalTokens"] > 0
    assert row["model"] == HAIKU.name
    listed = tools.sessions_list()
    assert key in {each["key"] for each in listed["sessions"]}
    assert len(listed) == listed["count"] == len(listed["sessions"])
    for history in (
        tools.sessions_history(key),
        tools.sessions_history(key=key),
        tools.sessions_history(sessionKey=key),
    ):
        assert history[-1]["content"] == "the answer"
        assert [message["role"] for message in history] == ["user", "assistant"]
        assert history["messages"][-1]["content"] == "the answer"
    assert [call.model for call in case.calls()] == [HAIKU.name]


def test_without_a_model_the_gateways_own_is_used(gateway: Gateway, tools: openclaw.Tools, case: Case) -> None:
    key = spawn(tools, case, "t0")
    wait_until_ended(tools, key)

    assert [call.model for call in case.calls()] == [OPUS.name]
    assert row_of(tools, key)["model"] == OPUS.name


def test_an_agent_type_stands_around_the_task(gateway: Gateway, tools: openclaw.Tools, case: Case) -> None:
    spawned = tools.sessions_spawn(task=f"Plan a party. {case}", agent_type="agent_creator", timeout=600)
    wait_until_ended(tools, spawned["childSessionKey"])

    prompt = case.calls()[0].prompt
    assert "## Role" in prompt
    assert "Plan a party." in prompt
    assert "## Output" in prompt


def test_ids_of_the_callers_own_are_accepted_and_not_sent(gateway: Gateway, tools: openclaw.Tools, case: Case) -> None:
    key = spawn(tools, case, "t0", agent_id="agent_1_writer", label="the first")
    wait_until_ended(tools, key)

    rows = tools.sessions_list(agent_id_pattern="agent_*")
    assert [row["key"] for row in rows] == [key]
    assert rows[0]["label"] == "the first"
    assert rows[0]["agent_id"] == "agent_1_writer"
    assert [row["key"] for row in tools.sessions_list(label="the first")] == [key]
    assert [row["key"] for row in tools.sessions_list(label="no other")] == []


def test_a_deleted_session_is_remembered_whole(gateway: Gateway, tools: openclaw.Tools, case: Case) -> None:
    before = gateway.sessions()
    key = spawn(tools, case, "t0", "[[length=20000]]", cleanup="delete")
    assert key in gateway.sessions()
    wait_until_ended(tools, key)
    deadline = time.monotonic() + 30
    while key in gateway.sessions():
        assert time.monotonic() < deadline, "in quiet moments it is deleted"
        time.sleep(0.2)

    content = tools.sessions_history(key)[-1]["content"]
    assert len(content) == 20_000
    assert len(json.loads(content)["filler"]) > 19_000
    assert row_of(tools, key)["status"] == "completed"
    assert gateway.sessions() - before == set()


def test_a_session_that_is_to_be_kept_stays(gateway: Gateway, case: Case) -> None:
    with openclaw.tools() as tools:
        key = spawn(tools, case, "t0", "[[say=kept]]")
        wait_until_ended(tools, key)
    assert key in gateway.sessions()

    with openclaw.tools() as others:
        assert row_of(others, key)["status"] == "completed"
        assert others.sessions_history(key)[-1]["content"] == "kept"


def test_refusals_come_as_the_real_tools_dict(narrow_gateway: Gateway, tools: openclaw.Tools, case: Case) -> None:
    unknown = tools.sessions_spawn(task=f"Answer. {case}", model="nope/none")
    assert unknown["status"] == "error"
    assert "nope/none" in unknown["error"]
    keys = [spawn(tools, case, f"t{index}", "[[stuck]]", cleanup="delete") for index in range(5)]
    full = tools.sessions_spawn(task=f"Answer. {case}", cleanup="delete")
    assert full["status"] == "forbidden"
    assert "max active children" in full["error"]

    tools.close()
    assert narrow_gateway.live_sessions() & set(keys) == set()
    assert narrow_gateway.sessions() & set(keys) == set()
    assert {row_of(tools, key)["status"] for key in keys} == {"killed"}


def test_an_agent_can_be_stopped_and_its_session_deleted(gateway: Gateway, tools: openclaw.Tools, case: Case) -> None:
    key = spawn(tools, case, "t0", "[[stuck]]", label="endless")
    case.wait_for(1)
    tasks = tools.subagents(action="list")["tasks"]
    assert [(task["label"], task["sessionKey"]) for task in tasks] == [("endless", key)]
    assert tools.subagents(action="cancel", taskId=tasks[0]["taskId"])["status"] == "ok"
    assert wait_until_ended(tools, key)[0]["status"] == "killed"
    assert tools.subagents()["tasks"] == []
    assert key in gateway.sessions()
    assert tools.sessions(action="delete", sessionKey=key)["status"] == "ok"
    assert tools.sessions("delete", sessionKey="agent:main:main")["status"] == "not_found"
    tools.close()
    assert key not in gateway.sessions()


def test_a_failed_agent_says_why(gateway: Gateway, tools: openclaw.Tools, case: Case) -> None:
    key = spawn(tools, case, "t0", "[[http=400]]", cleanup="delete")
    row = wait_until_ended(tools, key)[0]

    assert row["status"] == "failed"
    last = tools.sessions_history(key)[-1]
    assert last["role"] == "custom"
    assert last["content"] == row["error"] != ""


def test_an_agent_past_its_time_is_ended(gateway: Gateway, tools: openclaw.Tools, case: Case) -> None:
    key = spawn(tools, case, "t0", "[[stuck]]", runTimeoutSeconds=3, cleanup="delete")
    started = time.monotonic()
    row = wait_until_ended(tools, key)[0]

    assert row["status"] == "timeout"
    assert time.monotonic() - started < 30
    assert case.wait_for(1, outcome="cut")


def test_an_agent_that_the_gateway_lets_go_on_is_stopped(gateway: Gateway, tools: openclaw.Tools, case: Case) -> None:
    # The gateway retries a failing provider for far longer than the agent's time.
    key = spawn(tools, case, "t0", "[[http=500]]", runTimeoutSeconds=5, cleanup="delete")
    started = time.monotonic()
    row = wait_until_ended(tools, key)[0]

    assert row["status"] in ("timeout", "failed")
    assert time.monotonic() - started < 40


def test_where_spawning_is_denied_agents_are_started_otherwise_and_it_is_said_once(
    bare_gateway: Gateway, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    before = bare_gateway.sessions()
    with caplog.at_level(logging.WARNING, "parallel_agents"), openclaw.tools() as tools:
        keys = [
            spawn(tools, case, f"t{index}", f"[[say=answer {index}]]", model=HAIKU.name, cleanup="delete")
            for index in range(3)
        ]
        wait_until_ended(tools, *keys)
        answers = [tools.sessions_history(key)[-1]["content"] for key in keys]
    assert answers == [f"answer {index}" for index in range(3)]
    assert [record.name for record in caplog.records if "gateway.tools.allow" in record.message] == ["parallel_agents"]
    assert [call.model for call in case.calls()] == [HAIKU.name] * 3
    assert bare_gateway.sessions() - before == set()


def test_several_threads_may_call_at_once(gateway: Gateway, tools: openclaw.Tools, case: Case) -> None:
    answers: dict[int, str] = {}

    def work(index: int) -> None:
        key = spawn(tools, case, f"t{index}", f"[[say=answer {index}]]", cleanup="delete")
        wait_until_ended(tools, key)
        answers[index] = tools.sessions_history(key)[-1]["content"]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(ENDED_SECONDS_MAX)
    assert answers == {index: f"answer {index}" for index in range(8)}
    assert len(case.calls()) == 8


def test_a_walk_over_the_pages_meets_each_session_once(gateway: Gateway, tools: openclaw.Tools, case: Case) -> None:
    with openclaw.tools() as others:
        foreign = [spawn(others, case, f"foreign-{index}") for index in range(3)]
        wait_until_ended(others, *foreign)
    own = [spawn(tools, case, f"own-{index}", cleanup="delete") for index in range(5)]
    wait_until_ended(tools, *own)
    walked: list[str] = []
    page = tools.sessions_list(limit=2)
    while True:
        walked += [row["key"] for row in page]
        if not page["hasMore"]:
            break
        page = tools.sessions_list(limit=2, offset=page["nextOffset"])

    assert walked[:5] == own[::-1]
    assert set(foreign) <= set(walked)
    assert len(walked) == len(set(walked))


def test_a_cut_connection_loses_no_answer(gateway: Gateway, make_proxy: MakeProxy, case: Case) -> None:
    proxy = make_proxy(gateway)
    with openclaw.tools() as tools:
        keys = [spawn(tools, case, f"t{index}", "[[sleep=3]] [[say=late]]", cleanup="delete") for index in range(3)]
        case.wait_for(3)
        proxy.cut(refuse_seconds=1)
        wait_until_ended(tools, *keys)
        assert [tools.sessions_history(key)[-1]["content"] for key in keys] == ["late"] * 3
    assert len(case.calls()) == 3
    assert gateway.sessions() & set(keys) == set()


def test_an_explicit_gateway_is_used_and_named(gateway: Gateway, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_GATEWAY_PORT", "1")
    options = GatewayOptions(url=gateway.url, token=gateway.token)
    with pytest.raises(GatewayError):
        openclaw.tools().sessions_list()
    with openclaw.tools(options) as tools:
        assert tools.__parallel_agents_gateway__ is options
        assert gateway.token not in repr(tools)
        key = spawn(tools, case, "t0", "[[garbage]]", cleanup="delete")
        wait_until_ended(tools, key)
        assert tools.sessions_history(key)[-1]["content"] == GARBAGE


def test_a_forked_process_has_agents_of_its_own(gateway: Gateway, case: Case) -> None:
    program = f"""
import os, sys, time
from parallel_agents import openclaw

def ask(name):
    key = tools.sessions_spawn(task=f"{case} [[task={{name}}]] [[say={{name}}]]", cleanup="delete")["sessionKey"]
    while [row for row in tools.sessions_list() if row["key"] == key][0]["status"] != "done":
        time.sleep(0.1)
    return tools.sessions_history(key)[-1]["content"]

tools = openclaw.tools()
assert ask("parent") == "parent"
child = os.fork()
if not child:
    assert ask("child") == "child"
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert ask("again") == "again"
"""
    before = gateway.sessions()
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert gateway.sessions() - before == set()


def test_a_program_that_looks_without_a_pause_keeps_no_gateway_busy(
    gateway: Gateway, make_proxy: MakeProxy, case: Case
) -> None:
    proxy = make_proxy(gateway)
    with openclaw.tools() as tools:
        key = spawn(tools, case, "t0", "[[sleep=2]]", cleanup="delete")
        looks = 0
        while row_of(tools, key)["status"] == "running":
            looks += 1
    lists = [request for request in proxy.requests if request.get("params", {}).get("name") == "sessions_list"]
    assert looks > 50
    assert len(lists) <= 6


INTERRUPTED = """
import sys
from parallel_agents import openclaw

tools = openclaw.tools()
for index in range(3):
    tools.sessions_spawn(task=sys.argv[1] + f" [[stuck]] [[task=t{index}]]", cleanup="delete")
print("spawned", flush=True)
while True:
    tools.sessions_spawn(task=sys.argv[1] + " [[stuck]] [[task=more]]", cleanup="delete")
"""


def test_ctrl_c_in_the_middle_of_a_spawn_leaves_no_agent_and_no_session(gateway: Gateway, case: Case) -> None:
    before = gateway.sessions()
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(case)],
        env={**os.environ, **gateway.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "spawned\n"
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=ENDED_SECONDS_MAX)
    finally:
        child.kill()
        child.wait()
    assert "KeyboardInterrupt" in errors
    assert gateway.sessions() - before == set(), errors
    assert "not deleted" not in errors


def test_a_gateway_that_dies_fails_the_agents_and_not_the_program(own_gateway: Any, case: Case) -> None:
    gateway = own_gateway(Options())
    with openclaw.tools() as tools:
        key = spawn(tools, case, "t0", "[[first 1: sleep=600]]", cleanup="delete")
        case.wait_for(1)
        gateway.restart()
        row = wait_until_ended(tools, key)[0]
        assert row["status"] in ("failed", "done")
        assert tools.sessions_history(key)[-1]["content"]
