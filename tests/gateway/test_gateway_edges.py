"""Bad moments and bad lines: what a run meets that is nobody's fault, on a real gateway."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from parallel_agents import AgentResult, AgentStatus, Orchestrator, PlanError
from parallel_agents import Gateway as GatewayOptions

from .case import Case
from .openclaw import HAIKU, K2P5, Gateway, OwnGateway
from .proxy import MakeProxy
from .tasks import assert_all_completed, calls_per_task, outcomes, post, posts
from .test_show import ENDED_SECONDS_MAX, INTERRUPTED


@pytest.mark.parametrize("count", [1, 3])
def test_ctrl_c_while_agents_are_being_started_leaves_no_live_session_behind(
    gateway: Gateway, make_proxy: MakeProxy, case: Case, count: int
) -> None:
    before = gateway.live_sessions()
    proxy = make_proxy(gateway)
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        env={**os.environ, **gateway.env, "OPENCLAW_GATEWAY_PORT": str(proxy.port)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    proxy.when("agent", count, lambda: child.send_signal(signal.SIGINT))
    tasks = json.dumps([task.to_dict() for task in posts(case, 6, "[[stuck]]", timeout_seconds=900)])
    try:
        output, errors = child.communicate(tasks, timeout=ENDED_SECONDS_MAX)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 42, errors
    assert set(json.loads(output).values()) == {"cancelled"}
    assert gateway.live_sessions() <= before
    assert {call.outcome for call in case.calls()} <= {"cut"}


def test_a_line_that_falls_silent_is_given_up_and_nothing_is_lost(
    gateway: Gateway, make_proxy: MakeProxy, case: Case
) -> None:
    proxy = make_proxy(gateway)

    def freeze() -> None:
        case.wait_for(3)
        proxy.freeze()

    freezer = threading.Thread(target=freeze)
    freezer.start()
    results = Orchestrator(max_concurrent=3).run_parallel(posts(case, 3, "[[sleep=3]]", timeout_seconds=400))
    freezer.join()

    assert_all_completed(results, 3)
    assert calls_per_task(case) == {f"t{index}": 1 for index in range(3)}


def test_a_gateway_that_is_still_starting_is_waited_for(own_gateway: OwnGateway, case: Case) -> None:
    gateway = own_gateway(start=False)
    gateway.launch()
    deadline = time.monotonic() + ENDED_SECONDS_MAX
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", gateway.port)) == 0:
                break
        time.sleep(0.05)
    assert_all_completed(Orchestrator().run_parallel(posts(case, 2)), 2)


def test_a_prompt_of_a_megabyte_arrives_whole(gateway: Gateway, case: Case) -> None:
    result = Orchestrator().run_parallel([post(case, "book", input_data={"book": "word " * 200_000})])["book"]

    assert result.success, result.error
    (call,) = case.calls()
    assert call.prompt.count("word ") >= 200_000 - 1


def test_a_task_too_large_for_the_gateway_is_refused_before_anything_is_spent(gateway: Gateway, case: Case) -> None:
    book = post(case, "book", input_data={"book": "word " * 6_000_000})
    with pytest.raises(PlanError, match=r"`book`.* 30\d{6} bytes"):
        Orchestrator(max_concurrent=4).run_parallel([*posts(case, 3), book])
    assert case.calls() == []


@pytest.mark.parametrize("where", ["argument", "environment", "named in the configuration", "beside the configuration"])
def test_the_token_is_found_in_each_of_its_places(
    gateway: Gateway, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path))
    configuration = tmp_path / "openclaw.json"
    monkeypatch.setenv("OPENCLAW_CONFIG_PATH", str(configuration))
    # A configuration is JSON5, and the port of the environment goes before its own.
    text = "{ // ours\n gateway: { port: 1, auth: { mode: 'token', %s } },\n}"
    options = None
    match where:
        case "argument":
            configuration.write_text(text % "")
            options = GatewayOptions(token=gateway.token)
        case "environment":
            configuration.write_text(text % "token: 'another'")
            monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", gateway.token)
        case "named in the configuration":
            configuration.write_text(text % "token: '${MY_OWN_SECRET}'")
            monkeypatch.setenv("MY_OWN_SECRET", gateway.token)
        case _:
            configuration.write_text(text % "token: '$MY_OWN_SECRET'")
            (tmp_path / ".env").write_text(f"MY_OWN_SECRET={gateway.token}\n")
    assert_all_completed(Orchestrator(gateway=options).run_parallel(posts(case, 1)), 1)


def test_a_gateway_without_authentication_needs_no_token(bare_gateway: Gateway, case: Case) -> None:
    assert "token" not in json.loads(bare_gateway.config.read_text())["gateway"]["auth"]
    assert_all_completed(Orchestrator().run_parallel(posts(case, 2)), 2)


def test_two_runs_at_once_in_one_process_keep_apart(gateway: Gateway, case: Case) -> None:
    found: dict[str, dict[str, AgentResult]] = {}

    def run(side: str) -> None:
        tasks = [post(case, f"{side}-{index}", "[[sleep=1]]") for index in range(4)]
        found[side] = Orchestrator(max_concurrent=4).run_parallel(tasks)

    threads = [threading.Thread(target=run, args=(side,)) for side in ("left", "right")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for side in ("left", "right"):
        assert_all_completed(found[side], 4)
        assert all(name.startswith(side) for name in found[side])
    assert len(case.calls()) == 8


def test_no_fallback_of_the_gateway_stands_in_for_the_model_that_was_asked_for(
    bare_gateway: Gateway, case: Case
) -> None:
    result = Orchestrator(model=HAIKU.name).run_parallel([post(case, "t0", "[[claude-haiku-4-5: http=401]]")])["t0"]

    assert K2P5.name in bare_gateway.config.read_text()
    assert result.status == AgentStatus.FAILED
    assert outcomes(result) == [(HAIKU.name, "model")]
    assert [call.model for call in case.calls()] == [HAIKU.name]
