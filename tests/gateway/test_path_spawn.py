"""Path B: the agents as children of `sessions_spawn`."""

from __future__ import annotations

import threading

import pytest
from parallel_agents import AgentStatus, Orchestrator, ParallelAgentsError
from parallel_agents import Gateway as GatewayOptions

from .case import Case
from .openclaw import HAIKU, K2P5, Gateway, OwnGateway
from .proxy import MakeProxy
from .tasks import assert_a_cut_loses_nothing, assert_all_completed, calls_per_task, outcomes, post, posts

SPAWN = GatewayOptions(path="spawn")


def test_children_answer_on_the_first_tier_and_climb_where_it_fails(gateway: Gateway, case: Case) -> None:
    tasks = [*posts(case, 3), post(case, "climbs", "[[claude-haiku-4-5: http=400]]")]
    results = Orchestrator(max_concurrent=4, gateway=SPAWN).run_parallel(tasks)

    assert_all_completed(results, 4)
    assert outcomes(results["climbs"]) == [(HAIKU.name, "model"), (K2P5.name, "completed")]
    assert {results[name].metadata["model_used"] for name in ("t0", "t1", "t2")} == {HAIKU.name}
    assert len(case.calls()) == 5


def test_the_sessions_of_children_are_deleted_after_the_run(gateway: Gateway, case: Case) -> None:
    before = gateway.sessions()
    results = Orchestrator(max_concurrent=4, gateway=SPAWN).run_parallel(posts(case, 4))

    assert_all_completed(results, 4)
    assert gateway.sessions() - before == set()


def test_a_long_output_of_a_child_arrives_whole(gateway: Gateway, case: Case) -> None:
    result = Orchestrator(gateway=SPAWN).run_parallel([post(case, "t0", "[[length=200000]]")])["t0"]

    assert result.success, result.error
    assert result.raw is not None
    assert len(result.raw) == 200_000


@pytest.mark.parametrize("count", [1, 4])
def test_a_spawn_whose_answer_was_lost_is_found_again_and_not_paid_twice(
    gateway: Gateway, make_proxy: MakeProxy, case: Case, count: int
) -> None:
    proxy = make_proxy(gateway)
    proxy.cut_after("tools.invoke", count)
    results = Orchestrator(max_concurrent=6, gateway=SPAWN).run_parallel(posts(case, 6, "[[sleep=1]]"))

    assert_all_completed(results, 6)
    assert proxy.connections >= 2
    assert calls_per_task(case) == {f"t{index}": 1 for index in range(6)}


def test_a_socket_cut_while_children_run_loses_nothing(gateway: Gateway, make_proxy: MakeProxy, case: Case) -> None:
    assert_a_cut_loses_nothing(make_proxy(gateway), case, gateway=SPAWN)


def test_cancel_stops_the_children_queued_ones_included(narrow_gateway: Gateway, case: Case) -> None:
    gateway = narrow_gateway
    orchestrator = Orchestrator(max_concurrent=5, gateway=SPAWN)

    def cancel() -> None:
        try:
            case.wait_for(3, outcome="open")
            gateway.wait_until_live(5)
        finally:
            orchestrator.cancel()

    canceller = threading.Thread(target=cancel)
    canceller.start()
    results = orchestrator.run_parallel(posts(case, 7, "[[stuck]]", timeout_seconds=900))
    canceller.join()

    assert {result.status for result in results.values()} == {AgentStatus.CANCELLED}
    assert gateway.live_sessions() == set()
    assert len(case.wait_for(3, outcome="cut")) == len(case.calls()) == 3


def test_a_gateway_killed_while_children_run_completes_all_tasks_after_its_restart(
    own_gateway: OwnGateway, case: Case
) -> None:
    gateway = own_gateway()

    def restart() -> None:
        case.wait_for(3)
        gateway.restart()

    restarter = threading.Thread(target=restart)
    restarter.start()
    orchestrator = Orchestrator(max_concurrent=3, gateway=SPAWN)
    results = orchestrator.run_parallel(posts(case, 3, "[[first 1: sleep=600]]", timeout_seconds=900))
    restarter.join()

    assert_all_completed(results, 3)
    assert calls_per_task(case, outcome="answered") == dict.fromkeys(results, 1)


def test_where_sessions_spawn_is_not_allowed_the_error_names_the_setting(bare_gateway: Gateway, case: Case) -> None:
    orchestrator = Orchestrator(gateway=SPAWN)
    try:
        errors = [str(result.error) for result in orchestrator.run_parallel(posts(case, 2)).values()]
    except ParallelAgentsError as error:
        errors = [str(error)]

    assert all("gateway.tools.allow" in error for error in errors), errors
    assert case.calls() == []
