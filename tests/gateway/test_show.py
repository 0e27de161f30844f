"""Teams of agents on a real gateway, through the public API alone: the main promises of the package."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import AgentTask, Orchestrator, create_content_team
from parallel_agents import Gateway as GatewayOptions

from .case import Case
from .openclaw import HAIKU, K2P5, Gateway
from .provider import INPUT_TOKENS, OUTPUT_TOKENS
from .proxy import MakeProxy
from .tasks import assert_a_cut_loses_nothing, assert_all_completed, calls_per_task, outcomes, post, posts

ENDED_SECONDS_MAX = 120


def test_a_content_team_gives_five_results_on_the_first_tier_with_five_calls(gateway: Gateway, case: Case) -> None:
    results = Orchestrator(max_concurrent=5).run_parallel(create_content_team(f"Monday motivation {case}"))

    assert_all_completed(results, 5)
    for result in results.values():
        assert isinstance(result.output["caption"], str)
        assert isinstance(result.output["hashtags"], list)
        assert result.metadata["tier"] == 0
        assert result.metadata["model_requested"] == HAIKU.name
        assert result.metadata["model_used"] == HAIKU.name
        assert result.metadata["runtime"] == "gateway"
        assert len(result.metadata["attempts"]) == 1
    assert [call.model for call in case.calls()] == [HAIKU.name] * 5


def test_each_result_carries_its_tokens_and_cost(gateway: Gateway, case: Case) -> None:
    result = Orchestrator().run_parallel([post(case, "t0")])["t0"]

    tokens = result.metadata["tokens"]
    assert (tokens["input"], tokens["output"]) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert tokens["total"] == INPUT_TOKENS + OUTPUT_TOKENS
    price = (INPUT_TOKENS * HAIKU.input_price + OUTPUT_TOKENS * HAIKU.output_price) / 1e6
    assert result.metadata["cost"] == pytest.approx(price)


def test_ten_creators_and_ten_reviewers_at_once_give_twenty_results(gateway: Gateway, case: Case) -> None:
    creators: list[AgentTask | dict[str, Any]] = [
        AgentTask("agent_creator", f"Design agent {index}. {case} [[task=creator-{index}]]", task_id=f"creator-{index}")
        for index in range(10)
    ]
    reviewers: list[AgentTask | dict[str, Any]] = [
        {
            "agent_type": "agent_design_reviewer",
            "task_description": f"Review design {index}. {case} [[task=reviewer-{index}]]",
            "task_id": f"reviewer-{index}",
        }
        for index in range(10)
    ]
    results = Orchestrator(max_concurrent=20).run_parallel(creators + reviewers)

    assert_all_completed(results, 20)
    assert "system_prompt" in results["creator-3"].output
    assert "overall_score" in results["reviewer-3"].output
    assert len(case.calls()) == 20
    assert set(calls_per_task(case).values()) == {1}


def test_fifty_agents_at_once_give_fifty_results_with_fifty_calls(gateway: Gateway, case: Case) -> None:
    seen: list[str] = []
    results = Orchestrator(max_concurrent=50).run_parallel(
        posts(case, 50), callback=lambda result: seen.append(result.task_id)
    )

    assert_all_completed(results, 50)
    assert len(case.calls()) == 50
    assert sorted(seen) == sorted(results)


def test_more_tasks_than_max_concurrent_are_all_run(gateway: Gateway, case: Case) -> None:
    results = Orchestrator(max_concurrent=2).run_parallel(posts(case, 7))

    assert_all_completed(results, 7)
    assert len(case.calls()) == 7


def test_a_first_tier_without_json_gives_every_task_its_answer_on_the_second(gateway: Gateway, case: Case) -> None:
    results = Orchestrator(max_concurrent=4).run_parallel(posts(case, 4, "[[claude-haiku-4-5: garbage]]"))

    assert_all_completed(results, 4)
    for name, result in results.items():
        assert result.metadata["tier"] == 1
        assert result.metadata["model_used"] == K2P5.name
        first, again, last = outcomes(result)
        assert first == again == (HAIKU.name, "output")
        assert last == (K2P5.name, "completed")
        assert [attempt["no"] for attempt in result.metadata["attempts"]] == [1, 2, 3]
        assert all(attempt["reason"] for attempt in result.metadata["attempts"][:2])
        prompts = [call.prompt for call in case.calls(task=name)]
        assert len(prompts) == 3
        assert len(prompts[1]) > len(prompts[0]), "the second attempt is not told what was wrong with the first"


def test_a_first_tier_that_the_provider_refuses_is_left_at_once(gateway: Gateway, case: Case) -> None:
    results = Orchestrator(max_concurrent=3).run_parallel(posts(case, 3, "[[claude-haiku-4-5: http=400]]"))

    assert_all_completed(results, 3)
    for result in results.values():
        assert outcomes(result) == [(HAIKU.name, "model"), (K2P5.name, "completed")]


def test_an_empty_answer_is_no_output_and_goes_to_the_next_tier(gateway: Gateway, case: Case) -> None:
    result = Orchestrator().run_parallel([post(case, "t0", "[[claude-haiku-4-5: empty]]")])["t0"]

    assert result.success, result.error
    assert outcomes(result) == [(HAIKU.name, "model"), (K2P5.name, "completed")]


def test_an_output_of_two_hundred_thousand_characters_arrives_whole(gateway: Gateway, case: Case) -> None:
    result = Orchestrator().run_parallel([post(case, "t0", "[[length=200000]]")])["t0"]

    assert result.success, result.error
    assert result.raw is not None
    assert len(result.raw) == 200_000
    assert result.output == json.loads(result.raw)
    assert set(result.output["filler"]) == {"x"}
    assert not result.metadata["truncated"]


def test_on_path_b_a_full_child_limit_costs_no_attempts(narrow_gateway: Gateway, case: Case) -> None:
    orchestrator = Orchestrator(max_concurrent=20, gateway=GatewayOptions(path="spawn"))
    results = orchestrator.run_parallel(posts(case, 20, "[[sleep=1]]"))

    assert_all_completed(results, 20)
    assert [len(result.metadata["attempts"]) for result in results.values()] == [1] * 20
    assert {result.metadata["model_used"] for result in results.values()} == {HAIKU.name}
    assert len(case.calls()) == 20


INTERRUPTED = """
import json, os, sys
from parallel_agents import AgentTask, Orchestrator, RunInterrupted

tasks = [AgentTask(**fields) for fields in json.loads(sys.stdin.read())]
try:
    Orchestrator(max_concurrent=len(tasks)).run_parallel(tasks)
except RunInterrupted as interrupted:
    assert isinstance(interrupted, KeyboardInterrupt)
    print(json.dumps({name: result.status.value for name, result in interrupted.results.items()}))
    sys.exit(42)
"""


def test_ctrl_c_leaves_no_live_session_behind(narrow_gateway: Gateway, case: Case) -> None:
    gateway = narrow_gateway
    tasks = [post(case, "quick"), *posts(case, 8, "[[stuck]]", timeout_seconds=900, dependencies=["quick"])]
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        env={**os.environ, **gateway.env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdin is not None
        child.stdin.write(json.dumps([task.to_dict() for task in tasks]))
        child.stdin.close()
        child.stdin = None
        case.wait_for(1, outcome="answered")
        case.wait_for(3, outcome="open")
        gateway.wait_until_live(8)
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=ENDED_SECONDS_MAX)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 42, errors
    assert gateway.live_sessions() == set()
    statuses = json.loads(output)
    assert statuses.pop("quick") == "completed"
    assert statuses == {f"t{index}": "cancelled" for index in range(8)}
    assert sorted(call.outcome for call in case.calls()) == ["answered", "cut", "cut", "cut"]


def test_cancel_from_another_thread_returns_what_there_is_and_leaves_no_live_session(
    narrow_gateway: Gateway, case: Case
) -> None:
    gateway = narrow_gateway
    orchestrator = Orchestrator(max_concurrent=9)

    def cancel() -> None:
        try:
            case.wait_for(1, outcome="answered")
            case.wait_for(3, outcome="open")
            gateway.wait_until_live(8)
        finally:
            orchestrator.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    results = orchestrator.run_parallel(
        [post(case, "quick"), *posts(case, 8, "[[stuck]]", timeout_seconds=900, dependencies=["quick"])]
    )
    canceller.join()

    assert gateway.live_sessions() == set()
    statuses = {name: result.status.value for name, result in results.items()}
    assert statuses.pop("quick") == "completed"
    assert set(statuses.values()) <= {"cancelled"}
    assert sorted(call.outcome for call in case.calls()) == ["answered", "cut", "cut", "cut"]


def test_a_socket_cut_in_the_middle_loses_nothing_and_pays_nothing_twice(
    gateway: Gateway, make_proxy: MakeProxy, case: Case
) -> None:
    assert_a_cut_loses_nothing(make_proxy(gateway), case)


@pytest.mark.parametrize("count", [1, 4])
def test_a_socket_cut_before_the_gateway_has_accepted_loses_nothing_and_pays_nothing_twice(
    gateway: Gateway, make_proxy: MakeProxy, case: Case, count: int
) -> None:
    proxy = make_proxy(gateway)
    proxy.cut_after("agent", count)
    results = Orchestrator(max_concurrent=6).run_parallel(posts(case, 6, "[[sleep=1]]"))

    assert_all_completed(results, 6)
    assert proxy.connections >= 2
    assert calls_per_task(case) == {f"t{index}": 1 for index in range(6)}


SCRIPT = """
import json, sys
from parallel_agents import Orchestrator, create_content_team

team = create_content_team(f"Mondays [[case={sys.argv[1]}]]")
results = Orchestrator(max_concurrent=5).run_parallel(team)
print(json.dumps([result.status.value for result in results.values()]))
"""


def test_a_script_that_an_agent_runs_with_exec_runs_a_team(gateway: Gateway, case: Case, tmp_path: Path) -> None:
    script = tmp_path / "team.py"
    script.write_text(SCRIPT)
    command = shlex.join([sys.executable, str(script), case.name])
    run = str(uuid.uuid4())
    params = {
        "message": f"[[case={case.name}-outer]] [[exec={command}]]",
        "sessionKey": f"agent:main:subagent:{run}",
        "idempotencyKey": run,
        "model": HAIKU.name,
        "timeout": ENDED_SECONDS_MAX,
        "deliver": False,
        "lane": "subagent",
    }
    with gateway.client() as client:
        frame = client.answer(client.send("agent", params), final=True, seconds=2 * ENDED_SECONDS_MAX)

    answer = frame["payload"]["result"]["payloads"][0]["text"]
    assert json.loads(answer.splitlines()[-1]) == ["completed"] * 5, answer
    assert len(case.calls()) == 5


def test_at_most_two_gateway_calls_are_made_per_agent_on_path_a(
    gateway: Gateway, make_proxy: MakeProxy, case: Case
) -> None:
    proxy = make_proxy(gateway)
    results = Orchestrator(max_concurrent=10).run_parallel(posts(case, 10))

    assert_all_completed(results, 10)
    methods = proxy.methods()
    # These two are per run, however many agents it has.
    assert methods.pop("connect") == 1
    assert methods.pop("models.list") <= 1
    assert methods["agent"] == 10
    assert methods.total() - proxy.refusals("sessions.delete") <= 20, dict(methods)
