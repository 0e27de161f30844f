"""Budgets: what would pass a cap is not started, what runs finishes, and the report says what was not done."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import AgentStatus, Budget, OptionError, Orchestrator, Rehearsal, RetryPolicy, RunResults, Tier
from standin import Reply, StandIn

from .injected import ask, asks, assert_all_completed, statuses
from .tasks import review, reviews

pytestmark = pytest.mark.usefixtures("ends")

PRICE = {"input": 1.0, "output": 5.0}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


def rehearse(count: int, budget: Budget | None, **options: Any) -> RunResults:
    options = {"rehearsal": Rehearsal(seed=3), **options}
    return Orchestrator(4, budget=budget, **options).run_parallel(reviews(count))


def cost_of_one() -> float:
    return float(rehearse(1, None).report["cost"])


def split(results: RunResults) -> tuple[list[str], list[str]]:
    """Tasks that completed, and those that were not started."""
    done = [name for name, result in results.items() if result.success]
    rest = [name for name, result in results.items() if not result.success]
    for name in rest:
        assert results[name].status is AgentStatus.CANCELLED
        assert str(results[name].error).startswith("not started: the budget")
        assert results[name].metadata["attempts"] == []
        assert results[name].metadata["cost"] == 0
    return done, rest


def test_dollars_are_never_passed_and_the_rest_is_named_with_its_cost() -> None:
    cap = 5.5 * cost_of_one()
    results = rehearse(20, Budget(usd=cap))
    done, rest = split(results)
    assert len(done) == 5
    report = results.report["budget"]
    assert report["usd"] == {"cap": cap, "spent": pytest.approx(results.report["cost"]), "overrun": 0.0}
    assert report["usd"]["spent"] <= cap
    assert [each["task_id"] for each in report["not_started"]] == rest
    for each in report["not_started"]:
        assert each["cap"] == "usd"
        assert each["usd"] == pytest.approx(cost_of_one(), rel=0.5)
        assert report["usd"]["spent"] + each["usd"] > cap


def test_a_cap_holds_at_every_moment_whatever_fails(journal: Path) -> None:
    cap = 40 * cost_of_one()
    played = Rehearsal(seed=7, failure_rate=0.4)
    results = rehearse(200, Budget(usd=cap), rehearsal=played, journal=journal)
    spent = 0.0
    connection = sqlite3.connect(journal)
    ends = connection.execute("SELECT json_extract(body, '$.usd') FROM log WHERE kind = 'attempt_ended'").fetchall()
    connection.close()
    for (cost,) in ends:
        spent += cost or 0.0
        assert spent <= cap + 1e-9
    assert spent > cap / 2
    assert results.report["budget"]["usd"]["spent"] == pytest.approx(spent)
    assert results.report["budget"]["usd"]["overrun"] == 0.0
    assert {"completed", "cancelled"} <= set(statuses(results).values())


def test_tokens_and_attempts_are_capped_too() -> None:
    tokens = rehearse(1, None)["task-0"].metadata["tokens"]["total"]
    results = rehearse(10, Budget(tokens=int(3.5 * tokens)))
    assert len(split(results)[0]) == 3
    assert results.report["budget"]["tokens"]["spent"] <= 3.5 * tokens
    assert {each["cap"] for each in results.report["budget"]["not_started"]} == {"tokens"}
    results = rehearse(10, Budget(attempts=4))
    assert len(split(results)[0]) == 4
    assert results.report["budget"]["attempts"] == {"cap": 4, "spent": 4}
    assert results.report["attempts"] == 4


def test_time_that_is_over_starts_nothing_and_stops_nothing() -> None:
    tasks = [ask("long", "[[sleep=0.3]]"), ask("late", dependencies=["long"])]
    standin = StandIn()
    results = Orchestrator(tools=standin.tools(), budget=Budget(seconds=0.05)).run_parallel(tasks)
    assert statuses(results) == {"long": "completed", "late": "cancelled"}
    assert results["late"].error == "not started: the budget's time is over"
    assert len(standin.children) == 1


def test_siblings_keep_their_results_and_dependents_are_skipped() -> None:
    tasks = [*reviews(3), review("next", dependencies=["task-0"]), review("late", dependencies=["task-2"])]
    results = Orchestrator(1, rehearsal=True, budget=Budget(attempts=2)).run_parallel(tasks)
    told = statuses(results)
    assert list(told.values()).count("completed") == 2
    assert told["late"] == "skipped"
    assert results["late"].metadata["skipped_because"] == "task-2"


def test_a_retry_that_the_budget_does_not_bear_leaves_the_failure() -> None:
    standin = StandIn()
    task = ask("only", "[[http=503]]")
    results = Orchestrator(tools=standin.tools(), budget=Budget(attempts=1)).run_parallel([task])
    assert results["only"].status is AgentStatus.FAILED
    assert "503" in str(results["only"].error)
    assert "not tried again: the budget's attempts are spent" in str(results["only"].error)
    assert len(standin.children) == 1


def test_a_bigger_budget_goes_on_and_counts_what_was_spent(journal: Path) -> None:
    one = cost_of_one()
    before = rehearse(8, Budget(usd=3.5 * one), journal=journal)
    assert len(split(before)[0]) == 3
    run_id = str(before.run_id)
    same = Orchestrator.resume(run_id, journal)
    assert statuses(same) == statuses(before)
    more = Orchestrator.resume(run_id, journal, budget=Budget(usd=5.5 * one))
    assert len(split(more)[0]) == 5
    assert more.report["budget"]["usd"]["spent"] <= 5.5 * one
    assert len(more.report["budget"]["not_started"]) == 3
    last = Orchestrator.resume(run_id, journal, budget=Budget())
    assert_all_completed(last, 8)
    assert last.report["budget"] is None
    assert last.report["attempts"] == 8


def test_a_run_without_a_budget_reports_none() -> None:
    assert rehearse(2, None).report["budget"] is None
    assert rehearse(2, Budget()).report["budget"] is None


def test_an_unknown_price_behind_injected_tools_is_refused_before_anything_starts() -> None:
    standin = StandIn()
    with pytest.raises(OptionError, match=r"`budget.usd` is `1`, expected a price for each model.*own/model") as caught:
        Orchestrator(tools=standin.tools(), model="own/model", budget=Budget(usd=1)).run_parallel(asks(2))
    assert "Tier" in str(caught.value)
    assert standin.calls == []
    tiers = [Tier("own/model", PRICE)]
    budget = Budget(usd=1)
    assert_all_completed(Orchestrator(tools=standin.tools(), models=tiers, budget=budget).run_parallel(asks(2)), 2)


def test_what_callables_do_not_price_counts_with_what_was_reserved() -> None:
    standin = StandIn(answers=lambda request: Reply("fine"))
    budget = Budget(tokens=50_000)
    results = Orchestrator(4, tools=standin.tools(), budget=budget).run_parallel(asks(10))
    told = list(statuses(results).values())
    assert 0 < told.count("completed") <= 10
    assert results.report["budget"]["tokens"]["spent"] <= 50_000


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(usd=0), "`budget.usd` is `0`, expected a number of US dollars above 0"),
        (Budget(usd=-1.5), "`budget.usd` is `-1.5`"),
        (Budget(usd=float("nan")), "budget"),
        (Budget(usd="ten"), '`budget.usd` is `"ten"`'),  # type: ignore[arg-type]
        (Budget(tokens=0), "`budget.tokens` is `0`, expected a whole number 1 or more"),
        (Budget(tokens=1.5), "`budget.tokens` is `1.5`"),  # type: ignore[arg-type]
        (Budget(attempts=0), "`budget.attempts` is `0`"),
        (Budget(seconds=0), "`budget.seconds` is `0`, expected a number of seconds above 0"),
        (Budget(seconds=-1), "`budget.seconds` is `-1`"),
        ({"usb": 1}, "unknown option `budget.usb` .did you mean `usd`?"),
        (5, "`budget` is `5`, expected an object"),
    ],
    ids=str,
)
def test_a_bad_budget_is_named_with_its_value(budget: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Orchestrator(rehearsal=True, budget=budget)


def test_a_retry_policy_bounds_the_retries_of_a_whole_run() -> None:
    standin = StandIn()
    retry = RetryPolicy(retries_min=2, retries_share=0)
    results = Orchestrator(1, tools=standin.tools(), retry=retry).run_parallel(asks(5, "[[first 1: http=503]]"))
    assert results.report["retries"] == 2
    assert len(standin.children) == 7
    told = list(statuses(results).values())
    assert (told.count("completed"), told.count("failed")) == (2, 3)
    failed = next(result for result in results.values() if result.failed)
    assert "the run's 2 retries for" in str(failed.error)
    assert "(retries_share, retries_min)" in str(failed.error)


def test_a_share_of_the_tasks_may_be_tried_again() -> None:
    standin = StandIn()
    retry = RetryPolicy(retries_min=0, retries_share=1.0, delay_first_seconds=0.001)
    tasks = asks(6, "[[first 1: http=503]]")
    assert_all_completed(Orchestrator(1, tools=standin.tools(), retry=retry).run_parallel(tasks), 6)
    with pytest.raises(OptionError, match="`retries_share` is `-1`"):
        Orchestrator(rehearsal=True, retry=RetryPolicy(retries_share=-1))
    with pytest.raises(OptionError, match=r"`retry\.retries_min` is `-1`"):
        Orchestrator(rehearsal=True, retry=RetryPolicy(retries_min=-1))


def test_a_budget_that_still_bears_nothing_is_told_once_for_each_task(journal: Path) -> None:
    first = Orchestrator(rehearsal=True, budget=Budget(attempts=1), journal=journal).run_parallel(reviews(3))
    told: list[str] = []
    again = Orchestrator.resume(
        str(first.run_id), journal, callback=lambda result: told.append(result.task_id), budget=Budget(attempts=1)
    )
    assert sorted(told) == sorted(again)
    with sqlite3.connect(journal) as database:
        kept = dict(database.execute("SELECT task, reason FROM results"))
    assert {task_id: result.error for task_id, result in again.items()} == kept


def test_what_an_attempt_of_unknown_price_takes_above_the_cap_is_shown() -> None:
    spent = rehearse(1, Budget(usd=10.0), models=["own/model"])
    assert spent.report["budget"]["usd"]["spent"] is None, "unknown is not zero"
