"""The tools of an agent runtime over a gateway, as far as they need none."""

from __future__ import annotations

import copy
import json
import pickle
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from parallel_agents import AgentTypeError, Gateway, GatewayError, OptionError, openclaw
from parallel_agents.openclaw import DONE, SessionMessages, SessionRows

from . import child


class TestDone:
    def test_is_both_words_and_prints_as_the_gateways(self) -> None:
        assert DONE == "done" == DONE
        assert DONE == "completed" == DONE
        assert DONE != "failed"
        assert DONE in ("completed", "failed")
        assert DONE in {"done", "failed"}
        assert f"{DONE} {DONE!s}" == "done done"
        assert json.dumps({"status": DONE}) == '{"status": "done"}'
        assert isinstance(DONE, str)

    def test_survives_being_copied(self) -> None:
        for again in (copy.deepcopy(DONE), pickle.loads(pickle.dumps(DONE))):
            assert again == "completed"
            assert hash(again) == hash("done")


class TestRows:
    rows = SessionRows({"sessions": [{"key": "a"}, {"key": "b"}], "count": 2, "hasMore": False})

    def test_are_a_dict(self) -> None:
        assert isinstance(self.rows, dict)
        assert self.rows["sessions"] == self.rows.get("sessions") == [{"key": "a"}, {"key": "b"}]
        assert "sessions" in self.rows
        assert "nextOffset" not in self.rows
        assert self.rows.get("nextOffset") is None
        assert {**self.rows}["count"] == dict(self.rows)["count"] == 2
        assert json.loads(json.dumps(self.rows)) == json.loads(json.dumps(self.rows, indent=1)) == dict(self.rows)

    def test_are_the_list_of_their_rows(self) -> None:
        assert [row["key"] for row in self.rows] == ["a", "b"]
        assert [row["key"] for row in reversed(self.rows)] == ["b", "a"]
        assert len(self.rows) == 2
        assert self.rows[-1] == {"key": "b"}
        assert self.rows[:1] == [{"key": "a"}]
        assert any(row in self.rows for row in [{"key": "b"}])  # type: ignore[comparison-overlap]
        assert self.rows == [{"key": "a"}, {"key": "b"}]
        assert not SessionRows({"sessions": []})
        with pytest.raises(IndexError):
            self.rows[2]
        with pytest.raises(KeyError):
            self.rows["nextOffset"]

    def test_survive_being_copied(self) -> None:
        for again in (copy.deepcopy(self.rows), pickle.loads(pickle.dumps(self.rows))):
            assert again == self.rows
            assert again[0] == {"key": "a"}

    def test_messages_are_the_list_of_theirs(self) -> None:
        history = SessionMessages({"sessionKey": "a", "messages": [{"role": "assistant", "content": "text"}]})
        assert history[-1]["content"] == history["messages"][0]["content"] == "text"


def test_nothing_is_asked_before_the_first_call() -> None:
    with openclaw.tools() as tools:
        assert tools.__parallel_agents_gateway__ == Gateway()
        tools.close()
    options = Gateway(url="ws://127.0.0.1:1", token="hunter2")
    assert openclaw.tools(options).__parallel_agents_gateway__ is options
    assert "hunter2" not in repr(openclaw.tools(options))
    assert "127.0.0.1:1" in repr(openclaw.tools(options))


def test_without_a_gateway_every_call_says_what_is_missing(closed_port: int) -> None:
    tools = openclaw.tools()
    calls: list[Callable[[], object]] = [
        lambda: tools.sessions_spawn(task="Count."),
        lambda: tools.sessions_list(),
        lambda: tools.sessions_history("agent:main:subagent:x"),
        # It is looked for again each time.
        lambda: tools.sessions_spawn("Count."),
    ]
    for call in calls:
        with pytest.raises(GatewayError, match=f"127.0.0.1:{closed_port}.*openclaw gateway run"):
            call()
    tools.close()


def test_several_threads_without_a_gateway_all_learn_of_it() -> None:
    tools = openclaw.tools()
    errors: list[BaseException] = []

    def call() -> None:
        try:
            tools.sessions_list()
        except GatewayError as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(child.SECONDS_MAX)
    assert len(errors) == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": ""}, "`task`"),
        ({"task": 5}, "`task` is `5`"),
        ({"task": "t", "cleanup": "burn"}, "`cleanup`.*keep, delete"),
        ({"task": "t", "runTimeoutSeconds": -1}, "`timeout`"),
        ({"task": "t", "timeout": "soon"}, "`timeout`"),
        ({"task": "t", "runTimeoutSeconds": 5, "timeout": 6}, "`runTimeoutSeconds` is given twice"),
        ({"task": "t", "model": ["a/b"]}, "`model`"),
        ({"task": "t", "label": ""}, "`label`"),
        ({"task": object()}, "`task`"),
    ],
    ids=str,
)
def test_a_bad_argument_is_named_before_a_gateway_is_looked_for(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        openclaw.tools().sessions_spawn(**arguments)


def test_an_unknown_agent_type_is_refused_before_anything_is_spent() -> None:
    with pytest.raises(AgentTypeError, match=r"`agent_orchestrato`.*`agent_orchestrator`"):
        openclaw.tools().sessions_spawn(task="Plan.", agent_type="agent_orchestrato", timeout=600)


def test_bad_questions_are_refused() -> None:
    tools = openclaw.tools()
    with pytest.raises(OptionError, match="`limit`"):
        tools.sessions_list(limit=0)
    with pytest.raises(OptionError, match="`key` is `None`"):
        tools.sessions_history()
    with pytest.raises(OptionError, match="`limit` is `0`"):
        tools.sessions_history("a", limit=0)
    with pytest.raises(OptionError, match="`action` is `'kill'`, expected one of list, cancel"):
        tools.subagents("kill")
    with pytest.raises(OptionError, match="`taskId` is `None`"):
        tools.subagents("cancel")
    with pytest.raises(OptionError, match="`action` is `'list'`, expected delete"):
        tools.sessions("list")
    with pytest.raises(OptionError, match="`key` is given twice"):
        tools.sessions_history("a", sessionKey="b")


def test_a_bad_gateway_is_refused_when_the_tools_are_made() -> None:
    with pytest.raises(OptionError, match="unencrypted"):
        openclaw.tools(Gateway(url="ws://example.com"))
    with pytest.raises(OptionError, match="path"):
        openclaw.tools(Gateway(path="x"))  # type: ignore[arg-type]


def test_arguments_that_are_not_passed_on_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    tools = openclaw.tools()
    for _ in range(2):
        with pytest.raises(GatewayError):
            tools.sessions_spawn(task="t", thinking="high", agentId="mine", expectsCompletionMessage=False)
    told = [record.message for record in caplog.records]
    assert told == ["`sessions_spawn` does not pass `thinking` on to the gateway"]


def test_their_module_is_found_when_it_is_first_used() -> None:
    program = """
import parallel_agents
assert "openclaw" in dir(parallel_agents)
print(parallel_agents.openclaw.tools())
"""
    assert "openclaw.Tools at the gateway that is found" in child.run_python(program)


def test_importing_them_loads_nothing_heavy() -> None:
    program = """
import sys
import parallel_agents
before = set(sys.modules)
import parallel_agents.openclaw
print(sorted(set(sys.modules) - before))
"""
    assert child.run_python(program).strip() == "['parallel_agents._core', 'parallel_agents.openclaw']"


WAITS = """
import socket, sys
from parallel_agents import Gateway, openclaw

silent = socket.socket()
silent.bind(("127.0.0.1", 0))
silent.listen()
tools = openclaw.tools(Gateway(url=f"ws://127.0.0.1:{silent.getsockname()[1]}", token="t"))
try:
    print("waiting", file=sys.stderr, flush=True)
    tools.sessions_spawn(task="Count.")
except KeyboardInterrupt:
    print("interrupted", flush=True)
    import os
    os._exit(0)
"""


def test_ctrl_c_ends_a_wait_for_the_gateway_at_once() -> None:
    with child.started(sys.executable, "-c", WAITS) as process:
        assert child.interrupt_after(process, "waiting") == "interrupted\n"
