"""The gateway runtime at its edges: models, scopes, refusals, restarts, dependencies, clean-up."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import traceback

import pytest
from parallel_agents import AgentResult, AgentStatus, GatewayError, ModelError, Orchestrator
from parallel_agents import Gateway as GatewayOptions

from .case import Case
from .openclaw import HAIKU, HIERARCHY, K2P5, OPUS, Gateway, Options, OwnGateway, free_port
from .proxy import MakeProxy, without_admin
from .tasks import WORD_SCHEMA, assert_all_completed, calls_per_task, outcomes, post, posts

UNKNOWN = "nonesuch/model-1"


def test_a_gateway_killed_in_the_middle_and_started_again_completes_all_tasks(
    own_gateway: OwnGateway, case: Case
) -> None:
    gateway = own_gateway(Options(subagents_concurrent=3))

    cut = ["t0", "t1", "t2"]

    def restart() -> None:
        for name in cut:
            case.wait_for(1, task=name)
        gateway.restart()

    restarter = threading.Thread(target=restart)
    restarter.start()
    # The first call of each would last longer than the run: only one that was cut and made again can answer.
    slow = posts(case, 3, "[[first 1: sleep=600]]", timeout_seconds=900)
    results = Orchestrator(max_concurrent=5).run_parallel([*slow, post(case, "queued-0"), post(case, "queued-1")])
    restarter.join()

    assert_all_completed(results, 5)
    assert calls_per_task(case, outcome="answered") == dict.fromkeys(results, 1)
    assert calls_per_task(case, outcome="cut") == dict.fromkeys(cut, 1)


def test_the_write_scope_alone_gives_results_on_the_models_that_were_asked_for(
    gateway: Gateway, make_proxy: MakeProxy, case: Case
) -> None:
    proxy = make_proxy(gateway, rewrite=without_admin)
    results = Orchestrator(max_concurrent=4, models=[HAIKU.name, K2P5.name]).run_parallel(
        [*posts(case, 3), post(case, "climbs", "[[claude-haiku-4-5: http=400]]")]
    )

    assert_all_completed(results, 4)
    assert results["climbs"].metadata["model_used"] == K2P5.name
    assert [call.model for call in case.calls(task="climbs")] == [HAIKU.name, K2P5.name]
    assert {call.model for name in ("t0", "t1", "t2") for call in case.calls(task=name)} == {HAIKU.name}
    assert proxy.methods()["agent"] == 5


def test_a_model_that_the_gateway_does_not_know_is_passed_over_with_one_warning(
    gateway: Gateway, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="parallel_agents"):
        results = Orchestrator(models=[UNKNOWN, HAIKU.name]).run_parallel(posts(case, 3))

    assert_all_completed(results, 3)
    for result in results.values():
        assert outcomes(result) == [(HAIKU.name, "completed")]
    warnings = [record for record in caplog.records if UNKNOWN in record.getMessage()]
    assert len(warnings) == 1
    assert warnings[0].levelno == logging.WARNING


def test_without_a_usable_model_the_error_lists_what_is_configured_before_anything_is_spent(
    gateway: Gateway, case: Case
) -> None:
    before = gateway.sessions()
    with pytest.raises(ModelError, match=UNKNOWN) as caught:
        Orchestrator(model=UNKNOWN).run_parallel(posts(case, 3))

    assert isinstance(caught.value, ValueError)
    for model in HIERARCHY:
        assert model.name in str(caught.value)
    assert case.calls() == []
    assert gateway.sessions() <= before


def test_a_wrong_token_is_a_typed_error_without_the_token_in_it(
    gateway: Gateway, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "not-the-token-of-this-gateway"
    options = GatewayOptions(token=wrong)
    with caplog.at_level(logging.DEBUG), pytest.raises(GatewayError, match="token") as caught:
        Orchestrator(gateway=options).run_parallel(posts(case, 1))

    assert wrong not in "".join(traceback.format_exception(caught.value, chain=True))
    assert wrong not in repr(caught.value)
    assert wrong not in repr(options)
    assert wrong not in caplog.text
    assert case.calls() == []


def test_where_no_gateway_listens_the_error_names_the_address(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with pytest.raises(GatewayError, match=str(port)) as caught:
        Orchestrator(gateway=GatewayOptions(url=f"ws://127.0.0.1:{port}", token="t")).run_parallel(posts(case, 1))
    assert isinstance(caught.value, ConnectionError)


def test_a_dependent_task_gets_the_output_of_the_first_as_data(gateway: Gateway, case: Case) -> None:
    answer = json.dumps({"word": "heliotrope"})
    first = post(case, "first", f"[[say={answer}]]", output_schema=WORD_SCHEMA)
    second = post(case, "second", "[[sleep=0]]", dependencies=["first"])
    results = Orchestrator(max_concurrent=2).run_parallel([second, first])

    assert_all_completed(results, 2)
    assert results["first"].output == {"word": "heliotrope"}
    assert [call.task for call in case.calls()] == ["first", "second"]
    assert "heliotrope" in case.calls(task="second")[0].prompt


def test_a_failed_task_skips_what_depends_on_it_and_nothing_else(gateway: Gateway, case: Case) -> None:
    tasks = [
        post(case, "fails", "[[garbage]]"),
        post(case, "depends", dependencies=["fails"]),
        post(case, "depends-further", dependencies=["depends"]),
        post(case, "stands-alone"),
    ]
    seen: list[AgentResult] = []
    results = Orchestrator(max_concurrent=4, model=HAIKU.name).run_parallel(tasks, callback=seen.append)

    assert results["fails"].status == AgentStatus.FAILED
    assert results["fails"].raw
    assert results["depends"].status.value == results["depends-further"].status.value == "skipped"
    assert "fails" in str(results["depends"].metadata["skipped_because"])
    assert results["stands-alone"].success
    assert calls_per_task(case) == {"fails": 2, "stands-alone": 1}
    assert sorted(result.task_id for result in seen) == sorted(results)


def test_sessions_are_deleted_after_the_run(gateway: Gateway, case: Case) -> None:
    before = gateway.sessions()
    results = Orchestrator(max_concurrent=5).run_parallel(posts(case, 5))

    assert_all_completed(results, 5)
    keys = {result.session_key for result in results.values()}
    assert len(keys) == 5
    assert gateway.sessions() - before == set()


def test_sessions_are_kept_where_that_is_asked_for(gateway: Gateway, case: Case) -> None:
    results = Orchestrator(max_concurrent=3, cleanup="keep").run_parallel(posts(case, 3))

    assert_all_completed(results, 3)
    assert {result.session_key for result in results.values()} <= gateway.sessions()


def test_agents_have_the_tools_of_a_sub_agent_and_no_more(gateway: Gateway, case: Case) -> None:
    results = Orchestrator().run_parallel([post(case, "t0")])

    assert_all_completed(results, 1)
    (call,) = case.calls()
    assert "exec" in call.tools
    assert "openclaw" not in call.tools


def test_an_agent_that_outlasts_its_time_is_stopped_and_tried_on_the_next_tier(gateway: Gateway, case: Case) -> None:
    before = gateway.live_sessions()
    result = Orchestrator().run_parallel([post(case, "t0", "[[claude-haiku-4-5: stuck]]", timeout_seconds=5)])["t0"]

    assert result.success, result.error
    assert [model for model, _ in outcomes(result)] == [HAIKU.name, K2P5.name]
    assert [call.outcome for call in case.calls()] == ["cut", "answered"]
    assert gateway.live_sessions() <= before


def test_a_task_whose_last_attempt_ran_out_of_time_has_the_status_timeout(gateway: Gateway, case: Case) -> None:
    orchestrator = Orchestrator(model=OPUS.name)
    result = orchestrator.run_parallel([post(case, "t0", "[[stuck]]", timeout_seconds=4)])["t0"]

    assert result.status == AgentStatus.TIMEOUT
    assert result.error
    assert {call.outcome for call in case.calls()} == {"cut"}


def test_results_come_one_by_one_as_they_finish(gateway: Gateway, case: Case) -> None:
    tasks = [post(case, "slow", "[[sleep=8]]"), post(case, "fast")]
    order = [result.task_id for result in Orchestrator(max_concurrent=2).run_iter(tasks)]

    assert order == ["fast", "slow"]


def test_an_event_loop_runs_a_team_beside_other_work(gateway: Gateway, case: Case) -> None:
    async def main() -> tuple[dict[str, AgentResult], list[str], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.05)

        ticking = asyncio.create_task(tick())
        results = await Orchestrator(max_concurrent=2).arun(posts(case, 2, "[[sleep=1]]"))
        order = [result.task_id async for result in Orchestrator(max_concurrent=2).arun_iter(posts(case, 2))]
        ticking.cancel()
        return results, order, ticks

    results, order, ticks = asyncio.run(main())
    assert_all_completed(results, 2)
    assert sorted(order) == ["t0", "t1"]
    assert ticks > 5
    assert len(case.calls()) == 4


def test_a_cancelled_event_loop_task_leaves_no_live_session_behind(gateway: Gateway, case: Case) -> None:
    before = gateway.live_sessions()

    async def main() -> None:
        running = asyncio.create_task(Orchestrator(max_concurrent=2).arun(posts(case, 2, "[[stuck]]")))
        await asyncio.to_thread(case.wait_for, 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())
    assert [call.outcome for call in case.wait_for(2, outcome="cut")] == ["cut", "cut"]
    assert gateway.live_sessions() <= before
