"""The harness itself, on a real gateway, with a plain client of its protocol."""

from __future__ import annotations

import http.client
import json
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .case import Case
from .client import WRITE, Client, RefusedError
from .install import Install, InstallError, run_installer
from .openclaw import HAIKU, HIERARCHY, K2P5, Gateway, Options, OwnGateway
from .provider import Provider
from .proxy import MakeProxy, without_admin
from .script import Script, ScriptError

EXAMPLE = '{"caption": "text", "hashtags": ["#one"]}'
PROMPT = f"Write a caption. The contract:\n```json\n{EXAMPLE}\n```\n"


def start(client: Client, message: str, *, model: str | None = HAIKU.name, timeout: int = 120) -> tuple[str, str]:
    """Starts an agent as path A does; returns the request id and the session key."""
    run = str(uuid.uuid4())
    key = f"agent:main:subagent:{run}"
    params: dict[str, Any] = {
        "message": message,
        "sessionKey": key,
        "idempotencyKey": run,
        "timeout": timeout,
        "deliver": False,
        "lane": "subagent",
    }
    if model is not None:
        params["model"] = model
    return client.send("agent", params), key


def run(client: Client, message: str, *, model: str | None = HAIKU.name) -> dict[str, Any]:
    return client.answer(start(client, message, model=model)[0], final=True, seconds=300)


def text(frame: dict[str, Any]) -> str:
    assert frame["ok"], frame
    return "".join(part["text"] for part in frame["payload"]["result"]["payloads"])


def test_the_default_answer_is_the_example_of_the_prompt(gateway: Gateway, case: Case) -> None:
    with gateway.client() as client:
        requests = [start(client, f"{case} [[task={n}]] {PROMPT}")[0] for n in range(6)]
        answers = [text(client.answer(request, final=True, seconds=300)) for request in requests]
    for answer in answers:
        assert EXAMPLE in answer
    assert len({answer.replace(EXAMPLE, "") for answer in answers}) > 1, "all six were written in one manner"
    assert [call.outcome for call in case.calls()] == ["answered"] * 6


def test_directives_choose_the_answer(gateway: Gateway, case: Case) -> None:
    with gateway.client() as client:
        assert text(run(client, f"{case} [[say=just: this]] {PROMPT}")) == "just: this"
        assert "{" not in text(run(client, f"{case} [[garbage]] {PROMPT}"))
        assert text(run(client, f"{case} [[empty]] {PROMPT}")) == ""
        long = text(run(client, f"{case} [[length=200000]] {PROMPT}"))
    assert len(long) == 200_000
    assert json.loads(long)["caption"] == "text"


def test_a_condition_on_the_model_holds_for_that_model_only(gateway: Gateway, case: Case) -> None:
    prompt = f"{case} [[claude-haiku-4-5: garbage]] {PROMPT}"
    with gateway.client() as client:
        assert EXAMPLE not in text(run(client, prompt, model=HAIKU.name))
        assert EXAMPLE in text(run(client, prompt, model=K2P5.name))
    assert [call.model for call in case.calls()] == [HAIKU.name, K2P5.name]


def test_a_condition_on_the_count_is_per_case_and_task(gateway: Gateway, case: Case) -> None:
    prompt = f"{case} [[first 1: say=early]] {PROMPT}"
    with gateway.client() as client:
        assert text(run(client, f"[[task=a]] {prompt}")) == "early"
        assert text(run(client, f"[[task=b]] {prompt}")) == "early"
        assert EXAMPLE in text(run(client, f"[[task=a]] {prompt}"))
    assert len(case.calls(task="a")) == 2
    assert len(case.calls(task="b")) == 1


def test_a_refusal_of_the_provider_is_the_end_of_the_run(gateway: Gateway, case: Case) -> None:
    with gateway.client() as client:
        frame = run(client, f"{case} [[http=400]]")
    assert not frame["ok"]
    assert frame["payload"]["status"] == "error"
    assert [call.outcome for call in case.calls()] == ["http 400"]


def test_an_agent_can_be_made_to_run_a_command(gateway: Gateway, case: Case) -> None:
    with gateway.client() as client:
        answer = text(run(client, f"{case} [[exec=echo shell-is-$OPENCLAW_SHELL: $((6 * 7))]]"))
    assert answer.strip() == "shell-is-exec: 42"
    assert [call.outcome for call in case.calls()] == ["answered", "answered"]


def test_an_aborted_run_is_seen_as_cut_and_leaves_nothing_live(gateway: Gateway, case: Case) -> None:
    with gateway.client() as client:
        request, key = start(client, f"{case} [[stuck]]")
        case.wait_for(1)
        assert key in gateway.live_sessions()
        assert client.call("sessions.abort", {"key": key})["status"] == "aborted"
        client.answer(request, final=True)
        case.wait_for(1, outcome="cut")
        assert key not in gateway.live_sessions()
        assert key in gateway.sessions()
        client.call("sessions.delete", {"key": key, "deleteTranscript": False})
    assert key not in gateway.sessions()


def test_a_streamed_answer_shows_in_the_agents_task_and_what_came_of_it_outlives_an_abort(
    gateway: Gateway, case: Case
) -> None:
    with gateway.client() as client:
        request, key = start(client, f"{case} [[drip=0.2]] [[say={' '.join(map(str, range(600)))}]]")
        case.wait_for(1)
        active: dict[str, int] = {}
        deadline = time.monotonic() + 60
        while len(active) < 3:
            (task,) = client.call("tasks.list", {"sessionKey": key})["tasks"]
            if task.get("lastActivity", "").startswith("0 1 2"):
                active[task["lastActivity"]] = task["execution"]["lastActivityAt"]
            assert time.monotonic() < deadline, task
        assert len(set(active.values())) == len(active), "its times stand still while it writes"
        client.call("sessions.abort", {"key": key})
        client.answer(request, final=True)
        messages = client.call("sessions.get", {"key": key})["messages"]
    assert messages[-1]["openclawAbort"]["aborted"]
    assert messages[-1]["content"][0]["text"].startswith("0 1 2")
    case.wait_for(1, outcome="cut")


def test_what_an_agent_writes_in_a_fence_does_not_show_before_the_fence_is_closed(gateway: Gateway, case: Case) -> None:
    fenced = "\n".join(["Now", "```", *map(str, range(40)), "```", *map(str, range(600))])
    with gateway.client() as client:
        request, key = start(client, f"{case} [[drip=0.1]] [[say={fenced}]]")
        case.wait_for(1)
        seen: dict[str, int] = {}
        deadline = time.monotonic() + 60
        while not any("39" in shown for shown in seen):
            (task,) = client.call("tasks.list", {"sessionKey": key})["tasks"]
            if "lastActivity" in task:
                seen[task["lastActivity"]] = task["execution"]["lastActivityAt"]
            assert time.monotonic() < deadline, seen
        client.call("sessions.abort", {"key": key})
        client.answer(request, final=True)
    before, behind = seen.values()
    assert next(iter(seen)) == "Now"
    assert behind - before > 40 * 100 / 2, "its times stand still meanwhile"


def test_a_run_that_ran_out_of_time_tells_what_it_had_written(gateway: Gateway, case: Case) -> None:
    with gateway.client() as client:
        request, key = start(client, f"{case} [[drip=0.2]] [[say={' '.join(map(str, range(600)))}]]", timeout=3)
        frame = client.answer(request, final=True)
        ended = client.call("agent.wait", {"runId": key.rsplit(":", 1)[-1], "timeoutMs": 0})
    assert frame["payload"]["status"] == "timeout"
    assert frame["payload"]["result"]["payloads"][0]["isError"]
    assert ended["terminalReply"]["text"].startswith("0 1 2")


def test_the_configured_models_are_listed_with_prices_that_count(gateway: Gateway, case: Case) -> None:
    with gateway.client() as client:
        listed = client.call("models.list")["models"]
        frame = run(client, f"{case} {PROMPT}")
    assert {f"{model['provider']}/{model['id']}" for model in listed} == {model.name for model in HIERARCHY}
    usage = frame["payload"]["result"]["meta"]["agentMeta"]["usage"]
    assert usage["total"] == 1200
    assert usage["cost"]["total"] == pytest.approx((1000 * HAIKU.input_price + 200 * HAIKU.output_price) / 1e6)


def test_the_provider_carries_a_hundred_streams_at_once(provider: Provider, case: Case) -> None:
    def ask(number: int) -> str:
        link = http.client.HTTPConnection("127.0.0.1", provider.port, timeout=120)
        message = {"role": "user", "content": f"{case} [[task={number}]] [[sleep=3]] {PROMPT}"}
        link.request("POST", "/anthropic/v1/chat/completions", json.dumps({"model": "m", "messages": [message]}))
        answer = json.load(link.getresponse())
        return str(answer["choices"][0]["message"]["content"])

    with ThreadPoolExecutor(100) as pool:
        answers = pool.map(ask, range(100))
        case.wait_for(100, outcome="open")
        assert all(EXAMPLE in answer for answer in answers)
    assert [call.outcome for call in case.calls()] == ["answered"] * 100


def test_a_killed_gateway_restarts_on_its_port_and_state(own_gateway: OwnGateway, case: Case) -> None:
    gateway = own_gateway(Options(subagents_concurrent=2))
    with gateway.client() as client:
        boot = client.hello["server"]["bootId"]
        answered = start(client, f"{case} {PROMPT}")
        client.answer(answered[0], final=True)
        start(client, f"{case} [[task=cut]] [[stuck]]")
        case.wait_for(2)
        gateway.kill()
    case.wait_for(1, outcome="cut")
    gateway.start()
    with gateway.client() as client:
        assert client.hello["server"]["bootId"] != boot
    assert answered[1] in gateway.sessions()
    assert len(case.calls()) == 2


def test_a_gateway_ends_with_the_process_that_started_it_however_that_ends(
    openclaw: Install, provider: Provider
) -> None:
    gateway = Gateway(openclaw, provider)
    gateway.launch()
    group = gateway.group
    gateway.let_go()
    for _ in range(600):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the gateway is still there after a minute")
    gateway.close()


def test_a_proxy_counts_requests_and_cuts_the_line(gateway: Gateway, make_proxy: MakeProxy, case: Case) -> None:
    proxy = make_proxy(gateway)
    client = Client(proxy.url, gateway.token)
    request, _ = start(client, f"{case} [[sleep=1]] {PROMPT}")
    client.answer(request)
    assert proxy.cut() == 1
    with pytest.raises(Exception, match="close"):
        client.answer(request, final=True)
    assert proxy.methods() == {"connect": 1, "agent": 1}
    case.wait_for(1, outcome="answered")


def test_a_proxy_can_withhold_the_admin_scope(gateway: Gateway, make_proxy: MakeProxy) -> None:
    proxy = make_proxy(gateway, rewrite=without_admin)
    with Client(proxy.url, gateway.token) as client:
        assert tuple(client.hello["auth"]["scopes"]) == WRITE
        with pytest.raises(RefusedError, match="scope"):
            client.call("sessions.delete", {"key": "agent:main:subagent:none"})
    assert proxy.refusals("sessions.delete") == 1


def test_a_misspelt_directive_is_refused() -> None:
    with pytest.raises(ScriptError, match="unknown directive `\\[\\[slep=2]]`"):
        Script.parse("do it [[slep=2]]")
    assert Script.parse("a table of [[1, 2], [3, 4]] and [[ -f x ]]").directives == ()


def test_a_failed_installation_shows_the_last_lines_of_the_installer(openclaw: Install) -> None:
    command = [str(openclaw.node), "-e", "console.log('no such registry'); process.exit(7)"]
    with pytest.raises(InstallError, match="ended with 7") as caught:
        run_installer(command, openclaw)
    assert "no such registry" in str(caught.value)
