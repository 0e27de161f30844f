"""The stand-in has the habits that were seen on a real gateway: the other tests rest on it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from standin import Habits, Reply, StandIn

SAMPLES = Path(__file__).parents[1] / "samples"
SEEN = json.loads((SAMPLES / "tool_histories.json").read_text(encoding="utf-8"))
"""What a real gateway's tools answered about agents that ended in each way."""


def rows_of(tools: Any, **arguments: Any) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in tools.sessions_list(**arguments)["sessions"]}


def text_of(tools: Any, key: str) -> str | None:
    last = tools.sessions_history(sessionKey=key)["messages"][-1]
    return str(last["content"][0]["text"]) if last["role"] == "assistant" else None


def wait_for_ends(standin: StandIn) -> None:
    while standin.alive:
        time.sleep(0.001)


def test_an_agent_runs_for_its_time_and_then_its_text_can_be_had() -> None:
    standin = StandIn(Habits(speed=100))
    tools = standin.tools()
    key = tools.sessions_spawn(task="[[sleep=1]] [[say=hello]]")["childSessionKey"]
    assert rows_of(tools)[key]["status"] == "running"
    assert text_of(tools, key) is None
    wait_for_ends(standin)
    row = rows_of(tools)[key]
    assert (row["status"], text_of(tools, key)) == ("done", "hello")
    assert row["totalTokens"] > 0


def test_refusals_are_told_as_the_real_gateway_tells_them() -> None:
    tools = StandIn(Habits(children_max=5, models=("own/model",))).tools()
    agent = json.loads((SAMPLES / "errors.json").read_text())["ws_tools_invoke_bad_agent"]
    assert tools.sessions_spawn(task="x", agent_id="nope") == agent["response"]["payload"]["output"]["details"]
    model = json.loads((SAMPLES / "errors.json").read_text())["ws_tools_invoke_bad_model"]
    assert tools.sessions_spawn(task="x", model="nope/none") == model["response"]["payload"]["output"]["details"]
    for _ in range(5):
        assert tools.sessions_spawn(task="[[stuck]]", model="own/model")["status"] == "accepted"
    (full,) = json.loads((SAMPLES / "spawn_max_children.json").read_text())
    assert tools.sessions_spawn(task="x", model="own/model") == full


def test_queued_agents_wait_in_order() -> None:
    standin = StandIn(Habits(lane=1, speed=100))
    tools = standin.tools()
    keys = [tools.sessions_spawn(task=f"[[sleep=1]] [[say={number}]]")["childSessionKey"] for number in range(3)]
    assert [rows_of(tools)[key].get("status") for key in keys] == ["running", "queued", "queued"]
    wait_for_ends(standin)
    first, second, third = standin.children
    assert (first.ended, second.ended) == (second.started, third.started)


def test_one_that_had_to_wait_is_told_as_on_a_real_gateway() -> None:
    standin = StandIn(Habits(lane=1, speed=20, settling_seconds=0.5))
    tools = standin.tools()
    tools.sessions_spawn(task="[[sleep=4.5]]", runTimeoutSeconds=20)
    key = tools.sessions_spawn(task="[[sleep=3]] [[say=late]]", runTimeoutSeconds=4)["childSessionKey"]
    seen: list[str] = []
    while "timeout" not in seen:
        status = rows_of(tools)[key]["status"]
        if status not in seen[-1:]:
            seen.append(status)
        time.sleep(0.001)
    assert seen == SEEN["statuses_of_one_that_had_to_wait"]
    assert (standin.children[1].fate, text_of(tools, key)) == ("done", "late")


def test_a_timeout_may_be_premature() -> None:
    standin = StandIn(Habits(speed=100, premature_timeout_seconds=5))
    tools = standin.tools()
    key = tools.sessions_spawn(task="[[sleep=2]] [[say=late]]")["childSessionKey"]
    assert rows_of(tools)[key]["status"] == "timeout"
    assert text_of(tools, key) is None
    wait_for_ends(standin)
    assert (rows_of(tools)[key]["status"], text_of(tools, key)) == ("timeout", "late")


def test_a_session_with_cleanup_delete_vanishes_after_its_end() -> None:
    standin = StandIn(Habits(speed=100))
    tools = standin.tools()
    key = tools.sessions_spawn(task="[[say=gone]]", cleanup="delete")["childSessionKey"]
    assert text_of(tools, key) == "gone"
    while standin.left:
        time.sleep(0.001)
    assert key not in rows_of(tools)
    assert tools.sessions_history(sessionKey=key) == {"status": "error", "error": f"No session found: {key}"}


def test_texts_are_cut_in_histories_and_every_history_says_that_one_was() -> None:
    tools = StandIn().tools()
    key = tools.sessions_spawn(task="[[length=7000]]" + "x" * 5000)["childSessionKey"]
    prompt, answer = (message["content"] for message in tools.sessions_history(sessionKey=key)["messages"])
    assert len(prompt) == len(answer[0]["text"]) == 4014
    assert prompt.endswith("\n…(truncated)…")
    key = tools.sessions_spawn(task="[[say=short]]")["childSessionKey"]
    assert tools.sessions_history(sessionKey=key)["contentTruncated"] is True
    assert text_of(tools, key) == "short"


ENDINGS = {"short": "[[say=fine]]", "cut": "[[length=7000]]", "empty": "[[empty]]", "failed": "[[http=400]]"}
ENDINGS |= {"timed_out": "[[stuck]]"}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_an_agent_leaves_behind_is_what_it_leaves_on_a_real_gateway(ending: str) -> None:
    standin = StandIn(Habits(speed=100))
    tools = standin.tools()
    key = tools.sessions_spawn(task=ENDINGS[ending], runTimeoutSeconds=1)["childSessionKey"]
    wait_for_ends(standin)
    history, seen = tools.sessions_history(sessionKey=key), SEEN[ending]["history"]
    assert rows_of(tools)[key]["status"] == SEEN[ending]["status"]
    flags = ("truncated", "droppedMessages", "contentTruncated", "contentRedacted")
    assert [history[flag] for flag in flags] == [seen[flag] for flag in flags]
    for message, real in zip(history["messages"], seen["messages"], strict=True):
        assert message["role"] == real["role"]
        assert message.get("stopReason") == real.get("stopReason")
        assert message.get("errorMessage") == real.get("errorMessage")
        assert type(message["content"]) is type(real["content"])
        assert len(message["content"]) == len(real["content"]) or real["role"] == "user"
        if real["role"] == "assistant" and real["content"]:
            assert message["content"][0]["text"][:10] == real["content"][0]["text"][:10]
            assert message["content"][0]["text"][-5:] == real["content"][0]["text"][-5:] or ending == "cut"


def test_what_cannot_be_done_is_refused_in_the_real_gateways_words() -> None:
    standin = StandIn()
    tools = standin.tools(subagents=True)
    unknown = SEEN["unknown_session"]
    assert tools.sessions_history(sessionKey="agent:main:subagent:nope") == unknown
    tools.sessions_spawn(task="[[stuck]]", label="mine")
    task_id = tools.subagents(action="list")["tasks"][0]["taskId"]
    assert tools.subagents(action="cancel", taskId=task_id) == {**SEEN["cancel"], "taskId": task_id}
    assert tools.subagents(action="cancel", taskId=task_id) == {**SEEN["cancel_again"], "taskId": task_id}
    assert tools.subagents(action="cancel", taskId="bogus") == SEEN["cancel_unknown"]


def test_the_list_comes_in_pages_the_latest_activity_first() -> None:
    tools = StandIn(answers=lambda request: Reply("x", 0.0 if request.number else 3600)).tools()
    keys = [tools.sessions_spawn(task="x")["childSessionKey"] for _ in range(250)]
    page = tools.sessions_list(limit=500)
    assert (page["count"], page["hasMore"], page["nextOffset"]) == (200, True, 200)
    assert page["sessions"][0]["key"] == keys[-1]
    rest = tools.sessions_list(limit=200, offset=200)
    assert (rest["count"], rest["hasMore"]) == (51, False)
    assert len(tools.sessions_list()["sessions"]) == 100


def test_subagents_lists_by_label_and_cancels_by_task_id() -> None:
    standin = StandIn()
    tools = standin.tools(subagents=True)
    key = tools.sessions_spawn(task="[[stuck]]", label="mine")["childSessionKey"]
    (task,) = tools.subagents(action="list")["tasks"]
    assert (task["label"], task["status"]) == ("mine", "running")
    told = tools.subagents(action="cancel", taskId=task["taskId"])
    assert told == {"status": "cancelled", "taskId": task["taskId"], "found": True, "cancelled": True}
    assert standin.alive == []
    assert rows_of(tools)[key]["status"] == "killed"
    again = tools.subagents(action="cancel", taskId=task["taskId"])
    assert (again["status"], again["reason"]) == ("error", "Task is already terminal.")
    assert tools.subagents(action="kill", target=key) == {"status": "error", "error": "Unsupported action."}


def test_what_goes_wrong_after_a_spawn_leaves_its_child_alive() -> None:
    standin = StandIn()

    def interrupt() -> None:
        raise KeyboardInterrupt

    standin.on("sessions_spawn", interrupt, call_no=2)
    tools = standin.tools()
    tools.sessions_spawn(task="[[stuck]]", label="first")
    with pytest.raises(KeyboardInterrupt):
        tools.sessions_spawn(task="[[stuck]]", label="second")
    assert [child.label for child in standin.alive] == ["first", "second"]
    assert {row["label"] for row in rows_of(tools).values() if "label" in row} == {"first", "second"}


def first_key(answer: Any, shape: str) -> str:
    """The key of the first row of an answered list, read as only this shape can be read."""
    match shape:
        case "dict":
            return str(answer["sessions"][0]["key"])
        case "object":
            assert not hasattr(answer, "__getitem__")
            return str(answer.get("sessions")[0].get("key"))
        case "json":
            return first_key(json.loads(answer), "dict")
        case "envelope":
            return first_key(answer["result"]["details"], "dict")
        case "text":
            assert "details" not in answer["result"]
            return first_key(answer["result"]["content"][0]["text"], "json")
        case _:
            return str(answer[0]["key"])


@pytest.mark.parametrize("answers", ["dict", "object", "json", "envelope", "text", "bare"])
@pytest.mark.parametrize("signature", ["open", "named", "strict"])
def test_a_callable_may_be_sync_or_async_in_every_shape(answers: str, signature: str) -> None:
    standin = StandIn()
    sync = standin.tools(answers=answers, signature=signature)
    spawn = {"task": "x", "model": "own/model", "runTimeoutSeconds": 5, "cleanup": "keep"}
    sync.sessions_spawn(**spawn)
    assert first_key(sync.sessions_list(), answers) == standin.children[0].key

    async def main() -> None:
        tools = standin.tools(answers=answers, signature=signature, asynchronous=True)
        await tools.sessions_spawn(**spawn)
        assert first_key(await tools.sessions_list(), answers) == standin.children[1].key

    asyncio.run(main())


def test_a_strict_signature_takes_nothing_else() -> None:
    tools = StandIn().tools(signature="strict")
    with pytest.raises(TypeError):
        tools.sessions_spawn(task="x", model="m", runTimeoutSeconds=1, cleanup="keep", label="l")
    with pytest.raises(TypeError):
        tools.sessions_list(limit=200)
    with pytest.raises(TypeError):
        tools.sessions_history(sessionKey="x")


def test_keys_and_contents_have_other_names_where_a_runtime_has() -> None:
    tools = StandIn().tools(spawned_key="sessionKey", key="sessionKey", content="string")
    key = tools.sessions_spawn(task="[[say=hi]]")["sessionKey"]
    assert tools.sessions_list()["sessions"][0]["sessionKey"] == key
    assert tools.sessions_history(sessionKey=key)["messages"][-1]["content"] == "hi"


def test_looks_are_told_apart_from_their_pages() -> None:
    standin = StandIn()
    tools = standin.tools()
    for _ in range(5):
        tools.sessions_spawn(task="x")
    tools.sessions_list(limit=3)
    tools.sessions_list(limit=3, offset=3)
    tools.sessions_list(limit=3)
    assert [(look.pages, look.news) for look in standin.looks] == [(2, 5), (1, 0)]
