"""What a run waits for, and what it stops once it has that: `until=`."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import (
    AgentResult,
    AgentStatus,
    Join,
    OptionError,
    Orchestrator,
    RealAIParallelOrchestrator,
    Rehearsal,
    RunInterrupted,
    RunResults,
    best,
    first,
    quorum,
    vote,
)
from standin import Habits, StandIn

from . import child, kept
from .injected import ask, post, statuses
from .tasks import review, reviews, too_slow
from .test_command import FAILS, TASKS, refused, told, write
from .test_stuck import asking

pytestmark = pytest.mark.usefixtures("ends")

SCORES = {"low": 3, "middle": 5.5, "high": 9}


def rehearsed(tasks: Any, until: Any, **options: Any) -> RunResults:
    return Orchestrator(rehearsal=True, **options).run_parallel(tasks, until=until)


def say(task_id: str, value: object, marks: str = "", **fields: Any) -> dict[str, Any]:
    """A task whose answer is this JSON."""
    words = json.dumps({"it": value}).replace("]]", "] ]")
    return ask(task_id, f"{marks} [[say={words}]]", **{"output_format": "json", **fields})


def slow(task_id: str, **fields: Any) -> dict[str, Any]:
    """A task whose agent works for ever."""
    return ask(task_id, "[[sleep=99999]]", timeout_seconds=1000, **fields)


def over(standin: StandIn, asynchronous: bool, **options: Any) -> Callable[..., RunResults]:
    """Runs tasks over the stand-in, plainly or on an event loop."""
    tools = standin.tools(asynchronous=asynchronous, subagents=True, sessions=True)
    orchestrator = Orchestrator(max_concurrent=20, tools=tools, **options)

    def run(tasks: Any, **more: Any) -> RunResults:
        if asynchronous:
            return asyncio.run(orchestrator.arun(tasks, **more))
        return orchestrator.run_parallel(tasks, **more)

    return run


both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


def assert_cut(results: RunResults, names: set[str], join: str) -> None:
    """These tasks, and no others, were stopped because of the join."""
    cut = {name for name, result in results.items() if result.status is AgentStatus.CANCELLED}
    assert cut == names, statuses(results)
    assert all(str(results[name].error).startswith(f"no longer needed: `{join}` ") for name in names)


@pytest.mark.parametrize("until", ["any", "first(1)", first(1), "first(3)", first(3), "quorum(3)", quorum(3)], ids=str)
def test_a_run_ends_with_as_many_as_it_waits_for(until: Any) -> None:
    results = rehearsed(reviews(8), until)
    k = 1 if until in ("any", "first(1)", first(1)) else 3
    done = {name for name, result in results.items() if result.success}
    assert len(done) == k
    assert_cut(results, set(results) - done, str(until))
    assert results.outcome == {"until": str(until), "met": True, "chosen": list(results.chosen), "completed": k}
    assert set(results.chosen) == done
    assert all(results.chosen[name] is results[name] for name in done)


def test_all_is_the_default_and_has_no_outcome_unless_it_is_said() -> None:
    tasks = [review("done"), too_slow("late")]
    plain, said = rehearsed(tasks, None), rehearsed(tasks, "all")
    assert statuses(plain) == statuses(said) == {"done": "completed", "late": "timeout"}
    assert plain.outcome is None
    assert said.outcome == {"until": "all", "met": False, "chosen": ["done"], "completed": 1}
    assert list(plain.chosen) == list(said.chosen) == ["done"]


def test_a_quorum_that_cannot_be_reached_stops_the_rest() -> None:
    tasks = [too_slow("x"), too_slow("y"), *reviews(2), review("on_x", dependencies=["x"])]
    results = rehearsed(tasks, quorum(3), max_concurrent=2)
    assert results.outcome == {"until": "quorum(3)", "met": False, "chosen": [], "completed": 0}
    assert_cut(results, {"task-0", "task-1"}, "quorum(3)")
    assert [results[name].status.value for name in ("x", "y", "on_x")] == ["timeout", "timeout", "skipped"]


@both
def test_the_slow_ones_are_really_stopped_and_their_sessions_deleted(asynchronous: bool) -> None:
    standin = StandIn(Habits(speed=20))
    tasks = [*(ask(f"q{index}") for index in range(2)), *(slow(f"s{index}") for index in range(4))]
    later = [ask("later", dependencies=["s0"])]
    results = over(standin, asynchronous)([*tasks, *later], until=first(2))
    assert_cut(results, {"s0", "s1", "s2", "s3", "later"}, "first(2)")
    assert sorted(results.chosen) == ["q0", "q1"]
    assert (standin.alive, standin.left) == ([], [])
    assert len(standin.children) <= 6
    killed = [each for each in standin.children if each.fate == "killed"]
    assert len(killed) == len(standin.children) - 2
    assert results.report["sessions_left"] == []


@both
def test_a_vote_is_cut_short_once_nothing_can_change_it(asynchronous: bool) -> None:
    standin = StandIn(Habits(speed=20))
    tasks = [*(say(f"y{index}", "yes", "[[sleep=1]]") for index in range(3)), slow("s0"), slow("s1")]
    results = over(standin, asynchronous)(tasks, until="vote(it)")
    assert_cut(results, {"s0", "s1"}, "vote(it)")
    assert results.outcome is not None
    assert (results.outcome["met"], results.outcome["leaders"]) == (True, ["yes"])
    assert results.outcome["tally"] == [{"value": "yes", "votes": 3}]
    assert sorted(results.chosen) == ["y0", "y1", "y2"]
    assert standin.alive == []


def test_a_tie_is_no_decision_and_lists_all_that_lead() -> None:
    standin = StandIn(Habits(speed=20))
    tasks = [say("a", {"x": [1]}), say("b", 2), say("c", {"x": [1.0]}), say("d", 2.0), say("e", None)]
    results = over(standin, False)(tasks, until=vote("it"))
    assert results.outcome is not None
    assert results.outcome["met"] is False
    assert len(results.outcome["leaders"]) == 2
    assert 2 in results.outcome["leaders"]
    assert {"x": [1]} in results.outcome["leaders"]
    assert sorted(results.chosen) == ["a", "b", "c", "d"]
    assert results.outcome["unmarked"] == ["e"]


@both
def test_the_best_by_a_field_of_the_output(asynchronous: bool) -> None:
    standin = StandIn(Habits(speed=20))
    tasks = [say(name, {"score": score}) for name, score in SCORES.items()]
    tasks.append(say("odd", {"score": "nine"}))
    results = over(standin, asynchronous)(tasks, until="best(it.score)")
    assert results.outcome == {
        "until": "best(it.score)",
        "met": True,
        "chosen": ["high"],
        "scores": SCORES,
        "unmarked": ["odd"],
    }


def score_of(result: AgentResult) -> Any:
    return result.output["it"]


@both
def test_the_best_by_a_function_stops_the_rest_when_it_is_enough(asynchronous: bool) -> None:
    standin = StandIn(Habits(speed=20))
    tasks = [say("low", 3), say("high", 9, "[[sleep=2]]"), slow("s0")]
    heard: list[str] = []

    def callback(result: AgentResult) -> None:
        heard.append(result.task_id)

    results = over(standin, asynchronous)(tasks, callback=callback, until=best(score_of, enough=9))
    join = "best(<score_of>, enough=9)"
    assert_cut(results, {"s0"}, join)
    assert results.outcome == {
        "until": join,
        "met": True,
        "chosen": ["high"],
        "scores": {"low": 3, "high": 9},
        "unmarked": [],
    }
    assert sorted(heard) == ["high", "low", "s0"]
    assert standin.alive == []


def test_a_rehearsal_waits_for_marks_before_it_goes_on() -> None:
    seen: list[str] = []

    def judge(result: AgentResult) -> int:
        seen.append(result.task_id)
        return len(seen)

    results = rehearsed(reviews(50), best(judge, enough=3), max_concurrent=1)
    assert seen == ["task-0", "task-1", "task-2"]
    assert list(results.chosen) == ["task-2"]
    assert_cut(results, {f"task-{index}" for index in range(3, 50)}, "best(<judge>, enough=3)")


def test_results_that_come_one_by_one_are_joined_too() -> None:
    orchestrator = Orchestrator(rehearsal=True)
    told_first = list(orchestrator.run_iter(reviews(6), until=first(2)))
    assert [result.success for result in told_first[:2]] == [True, True]
    assert len(told_first) == 6

    async def gather() -> list[AgentResult]:
        marks = best(lambda result: 1, enough=1)
        return [result async for result in orchestrator.arun_iter(reviews(6), until=marks)]

    told_later = asyncio.run(gather())
    assert len(told_later) == 6
    assert sum(result.success for result in told_later) == 1


@both
def test_a_function_may_be_async_where_the_run_is_awaited(asynchronous: bool) -> None:
    async def judge(result: AgentResult) -> float:
        await asyncio.sleep(0)
        return float(result.output["it"])

    heard: list[str] = []

    async def callback(result: AgentResult) -> None:
        await asyncio.sleep(0)
        heard.append(result.task_id)

    standin = StandIn(Habits(speed=20))
    tools = standin.tools(asynchronous=asynchronous, subagents=True, sessions=True)
    tasks = [say(name, score) for name, score in SCORES.items()]
    results = asyncio.run(Orchestrator(tools=tools).arun(tasks, callback, until=best(judge)))
    assert list(results.chosen) == ["high"]
    assert sorted(heard) == sorted(SCORES)
    on_thread = asyncio.run(Orchestrator(rehearsal=True).arun(reviews(4), until=vote(async_vote)))
    assert on_thread.outcome is not None
    assert on_thread.outcome["leaders"] == ["same"]


async def async_vote(result: AgentResult) -> str:
    await asyncio.sleep(0)
    return "same"


def test_an_async_function_is_refused_where_nobody_awaits_it(caplog: pytest.LogCaptureFixture) -> None:
    results = rehearsed(reviews(2), vote(async_vote))
    assert results.outcome is not None
    assert (results.outcome["met"], results.outcome["unmarked"]) == (False, ["task-0", "task-1"])
    assert "nobody awaits it here: use arun" in caplog.text


@pytest.mark.parametrize(
    "mark", [None, "nine", True, float("nan"), float("inf"), 10**400, [9], object()], ids=lambda value: repr(value)[:9]
)
def test_what_is_no_score_does_not_count_and_is_logged(mark: object, caplog: pytest.LogCaptureFixture) -> None:
    results = rehearsed(reviews(3), best(lambda result: 1 if result.task_id == "task-1" else mark))
    assert results.outcome is not None
    assert results.outcome["scores"] == {"task-1": 1}
    assert results.outcome["unmarked"] == ["task-0", "task-2"]
    logged = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(logged) == 2
    assert "task `task-0`" in caplog.text


def test_a_function_that_raises_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def judge(result: AgentResult) -> object:
        if result.task_id == "task-0":
            raise ValueError("no idea")
        return {1, 2} if result.task_id == "task-1" else "yes"

    results = rehearsed([*reviews(3), too_slow("late")], vote(judge))
    assert results.outcome is not None
    assert results.outcome["tally"] == [{"value": "yes", "votes": 1}]
    assert results.outcome["unmarked"] == ["task-0", "task-1"]
    assert "no idea" in caplog.text


def test_numbers_of_other_libraries_are_numbers() -> None:
    class Own:
        def __init__(self, number: float) -> None:
            self.number = number

        def __float__(self) -> float:
            return self.number

        def __index__(self) -> int:
            return int(self.number)

    results = rehearsed(reviews(3), best(lambda result: Own(float(result.task_id[-1]))))
    assert list(results.chosen) == ["task-2"]
    assert len(rehearsed(reviews(3), first(Own(2))).chosen) == 2  # type: ignore[arg-type]


ERRORS: list[tuple[Any, str]] = [
    ("first(7)", "`until` is `first(7)`, expected first(k) with a whole number from 1 to 6: the run has 6 tasks"),
    (first(0), "`until` is `first(0)`, expected first(k) with a whole number from 1 to 6"),
    (quorum(-3), "`until` is `quorum(-3)`, expected quorum(k) with a whole number"),
    (first(True), "`until` is `first(true)`, expected first(k) with a whole number"),
    (first(2.5), "`until` is `first(2.5)`"),  # type: ignore[arg-type]
    (first("2"), "`until` is `first(2)`"),  # type: ignore[arg-type]
    (first(object()), "`k` is of type `object`"),  # type: ignore[arg-type]
    (best(5), "`until` is `best(5)`, expected a field's path in the outputs or a function"),  # type: ignore[arg-type]
    (best(""), "expected best(score) with a field's path in the outputs, such as `score`"),
    (best("a..b"), "`until` is `best(a..b)`"),
    (best("a", enough=float("nan")), "`enough` is `NaN`"),
    (best("a", enough="8"), "`until` is `best(a, enough=8)`, expected `enough` to be a number"),  # type: ignore[arg-type]
    (best("a", enough=True), "`until` is `best(a, enough=true)`, expected `enough` to be a number"),
    (vote(None), "`until` is `vote`, expected vote(key) with a field's path"),  # type: ignore[arg-type]
    ("vote", "`until` is `vote`, expected vote(key)"),
    ("best(score, enough=)", "expected `enough` to be a number"),
    ("frist(2)", "(did you mean `first`?)"),
    ("", "`until` is ``, expected one of all, any, first(k)"),
    (Join("any", k=2), "`until` is `any(2)`, expected one of all, any"),
    (Join("some"), "`until` is `some`, expected one of all, any"),
    (5, "`until` is `5`, expected one of all, any, first(k), quorum(k), best(score), vote(key), as a text or"),
    (first, "as a text or made by the function of that name"),
    (True, "`until` is `True`, expected one of"),
]


@pytest.mark.parametrize(("until", "message"), ERRORS, ids=lambda value: str(value)[:30])
def test_what_cannot_be_waited_for_is_refused_before_anything_is_started(until: Any, message: str) -> None:
    standin = StandIn()
    orchestrator = Orchestrator(tools=standin.tools())
    with pytest.raises(OptionError) as refusal:
        orchestrator.run_parallel([ask(f"t{index}") for index in range(6)], until=until)
    assert message in str(refusal.value)
    with pytest.raises(OptionError):
        next(orchestrator.run_iter([ask(f"t{index}") for index in range(6)], until=until))
    assert standin.calls == []


def test_nothing_to_choose_from() -> None:
    assert rehearsed([], "all") == {}
    assert rehearsed([], "all").outcome == {"until": "all", "met": True, "chosen": [], "completed": 0}
    assert rehearsed([], "best(score)").outcome == {
        "until": "best(score)",
        "met": False,
        "chosen": [],
        "scores": {},
        "unmarked": [],
    }
    with pytest.raises(OptionError, match="`until` is `any`, expected a run with tasks to choose from"):
        rehearsed([], "any")
    with pytest.raises(OptionError, match="unknown option `until`"):
        Orchestrator(rehearsal=True, until="any")  # type: ignore[arg-type]


def test_a_join_is_a_value() -> None:
    assert first(2) == first(2) != quorum(2)
    assert len({first(2), first(2), first(3)}) == 2
    assert [repr(each) for each in (first(2), quorum(3), best("a.b", enough=8), vote(score_of))] == [
        "first(2)",
        "quorum(3)",
        "best(a.b, enough=8)",
        "vote(<score_of>)",
    ]
    with pytest.raises(AttributeError):
        first(2).k = 3  # type: ignore[misc]


def test_the_old_class_takes_it_too() -> None:
    results = RealAIParallelOrchestrator(rehearsal=True).run_parallel(reviews(4), until=first(2))
    assert len(results.chosen) == 2
    parameters = list(inspect.signature(RealAIParallelOrchestrator.run_parallel).parameters)
    assert parameters == ["self", "tasks", "callback", "until"]


def test_a_run_that_is_cancelled_says_what_it_came_to() -> None:
    orchestrator = Orchestrator(1, rehearsal=Rehearsal(latency_seconds=0.02, speed=1))
    results = orchestrator.run_parallel(reviews(9), callback=lambda _: orchestrator.cancel("by hand"), until=first(5))
    assert results.outcome is not None
    assert results.outcome["met"] is False
    assert {str(result.error) for result in results.values() if not result.success} == {"by hand"}
    assert set(results.chosen) == {name for name, result in results.items() if result.success}


@both
def test_an_interrupt_while_a_mark_is_missing_ends_the_run(asynchronous: bool) -> None:
    standin = StandIn(Habits(speed=20))
    asked: list[str] = []

    def judge(result: AgentResult) -> object:
        asked.append(result.task_id)
        raise KeyboardInterrupt

    tasks = [say("quick", 1), say("other", 2), slow("s0")]
    tools = standin.tools(asynchronous=asynchronous, subagents=True, sessions=True)
    with pytest.raises(RunInterrupted) as interrupted:
        Orchestrator(tools=tools).run_parallel(tasks, until=best(judge))
    assert len(asked) == 1
    assert list(interrupted.value.results) == ["quick", "other", "s0"]
    assert interrupted.value.results["s0"].status is AgentStatus.CANCELLED
    assert standin.alive == []


def test_ctrl_c_ends_a_run_whose_judge_is_slow() -> None:
    with child.started(sys.executable, "-c", SLOW_JUDGE) as process:
        assert child.interrupt_after(process, "judging").strip() == "['a', 'b', 'c'] False"
        assert process.returncode == 0


SLOW_JUDGE = """
import sys, time
from parallel_agents import AgentTask, Orchestrator, Rehearsal, RunInterrupted, best

def judge(result):
    print("judging", file=sys.stderr, flush=True)
    time.sleep(3600)

tasks = [AgentTask("code_reviewer", "Review.", task_id=task_id) for task_id in "abc"]
try:
    Orchestrator(rehearsal=Rehearsal(latency_seconds=0.01, speed=1)).run_parallel(tasks, until=best(judge))
except RunInterrupted as interrupted:
    print(sorted(interrupted.results), interrupted.results.outcome["met"])
"""


# Runs that are kept.


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


def resume(standin: StandIn, run_id: str, journal: Path, **more: Any) -> RunResults:
    return Orchestrator.resume(run_id, journal, tools=standin.tools(subagents=True, sessions=True), **more)


JOINED = """
import sys
from parallel_agents import *
tests, address, journal, until = sys.argv[1:]
sys.path.insert(0, tests)
from standin import tools_at
from python.test_joins import say, score_of, slow
from python.injected import ask
tasks = eval(sys.stdin.read())
Orchestrator(20, tools=tools_at(address), journal=journal).run_parallel(tasks, until=eval(until))
"""


def killed(standin: StandIn, journal: Path, tasks: str, until: str, killer: kept.Killer) -> str:
    """The id of a joined run over the stand-in whose process `killer` killed."""
    from standin import apart

    with apart(standin.tools(subagents=True, sessions=True)) as address:
        command = [sys.executable, "-c", JOINED, str(kept.TESTS), address, str(journal), until]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            killer.watch(process)
            errors = process.communicate(tasks, timeout=child.SECONDS_MAX)[1]
            assert process.returncode == -9, errors
    return str(kept.only_run(journal)["run_id"])


FOUR = "[ask('q0'), ask('q1', '[[sleep=2]]'), slow('s0'), slow('s1')]"


@pytest.mark.parametrize(
    ("tool", "call_no"),
    [
        ("sessions_spawn", 2),
        ("sessions_history", 1),
        ("sessions_history", 2),
        # The first two have completed by now: the join is decided, and the others are being stopped.
        ("subagents", 1),
        ("subagents", 2),
        ("sessions", 1),
    ],
)
def test_a_run_that_was_killed_comes_to_its_join(journal: Path, tool: str, call_no: int) -> None:
    standin = StandIn(Habits(speed=20))
    killer = kept.Killer()
    standin.on(tool, killer, call_no=call_no)
    run_id = killed(standin, journal, FOUR, "'first(2)'", killer)
    results = resume(standin, run_id, journal)
    # Both may have ended by the time that somebody looks: then either may be heard of first.
    chosen = sorted((results.outcome or {})["chosen"])
    assert {**(results.outcome or {}), "chosen": chosen} == {
        "until": "first(2)",
        "met": True,
        "chosen": ["q0", "q1"],
        "completed": 2,
    }
    assert_cut(results, {"s0", "s1"}, "first(2)")
    assert (standin.alive, standin.left) == ([], [])
    again = resume(standin, run_id, journal)
    assert again.outcome == results.outcome
    assert statuses(again) == statuses(results)


THREE = "[say('low', 3), say('high', 9, '[[sleep=3]]'), slow('s0')]"


def test_a_run_that_goes_by_a_function_wants_it_again(journal: Path) -> None:
    standin = StandIn(Habits(speed=20))
    killer = kept.Killer()
    # The last agent's answer is being read, so that one mark is given and the other is not.
    standin.on("sessions_history", killer, call_no=2)
    run_id = killed(standin, journal, THREE, "best(score_of, enough=9)", killer)
    started = r"`best\(<score_of>, enough=9\)`"
    with pytest.raises(OptionError, match=rf"run `{run_id}` goes by what a function .*resume it from Python"):
        resume(standin, run_id, journal)
    for other in (best(score_of), best("it", enough=9), vote(score_of), "first(2)"):
        with pytest.raises(OptionError, match=f"and it was started with {started}: pass the same"):
            resume(standin, run_id, journal, until=other)
    asked: list[str] = []

    def judge(result: AgentResult) -> Any:
        asked.append(result.task_id)
        return score_of(result)

    results = resume(standin, run_id, journal, until=best(judge, enough=9))
    assert asked == ["high"]
    assert results.outcome is not None
    assert results.outcome["scores"] == {"low": 3, "high": 9}
    assert list(results.chosen) == ["high"]
    assert_cut(results, {"s0"}, "best(<score_of>, enough=9)")
    assert standin.alive == []
    over = resume(standin, run_id, journal)
    assert over.outcome == results.outcome
    resume(standin, run_id, journal, until=best(judge, enough=9))
    assert asked == ["high"]


def test_any_other_until_is_known_and_not_given_again(journal: Path) -> None:
    run_id = Orchestrator(rehearsal=True, journal=journal).run_parallel(reviews(3), until=first(2)).run_id
    assert run_id is not None
    for until in (first(2), "first(2)", best(score_of)):
        with pytest.raises(OptionError, match=f"`until` of run `{run_id}` is what it was started with; leave it out"):
            Orchestrator.resume(run_id, journal, until=until)
    assert len(Orchestrator.resume(run_id, journal).chosen) == 2


def test_an_answer_lets_a_quorum_be_reached_after_all(journal: Path) -> None:
    standin = asking()
    tasks = [post("asks"), post("done"), post("next", dependencies=["asks"])]
    before = Orchestrator(tools=standin.tools(), journal=journal).run_parallel(tasks, until=quorum(3))
    assert before.outcome == {"until": "quorum(3)", "met": False, "chosen": ["done"], "completed": 1}
    assert list(before.questions) == ["asks"]
    after = resume(standin, str(before.run_id), journal, answers={"asks": "the one by the station"})
    assert after.outcome == {"until": "quorum(3)", "met": True, "chosen": ["done", "asks", "next"], "completed": 3}


# The command.


def test_a_plan_file_says_what_it_waits_for(tmp_path: Path) -> None:
    tasks = [{**TASKS[0], "task_id": f"t{index}"} for index in range(5)]
    plan = str(write(tmp_path, {"tasks": tasks, "until": "first(2)", "rehearsal": True}))
    document, _ = told("run", plan)
    assert document["outcome"]["until"] == "first(2)"
    assert (document["outcome"]["met"], len(document["outcome"]["chosen"])) == (True, 2)
    assert sum(result["status"] == "cancelled" for result in document["results"]) == 3
    document, _ = told("run", plan, "--until", "quorum(4)")
    assert document["outcome"]["completed"] == 4
    document, _ = told("run", plan, "--until", "best(nothing.there)", code=1)
    assert document["outcome"]["met"] is False
    assert len(document["outcome"]["unmarked"]) == 5
    assert "outcome" not in told("run", str(write(tmp_path, tasks)), "--rehearsal")[0]


@pytest.mark.parametrize("until", ["first(9)", "frist(2)", 5, {"first": 2}, True])
def test_a_plan_file_that_waits_for_nothing_is_refused(tmp_path: Path, until: object) -> None:
    plan = str(write(tmp_path, {"tasks": TASKS, "until": until, "rehearsal": True}))
    shown = until if isinstance(until, str) else json.dumps(until, separators=(",", ":"))
    assert f"`until` is `{shown}`, expected" in refused("run", plan)


def test_the_command_goes_on_with_a_joined_run(tmp_path: Path) -> None:
    tasks = [FAILS, *({**TASKS[0], "task_id": f"t{index}"} for index in range(3))]
    long = {"latency_seconds": 36_000, "speed": 1}
    plan = str(write(tmp_path, {"tasks": tasks, "until": "first(2)", "rehearsal": long}))
    journal = ("--journal", str(tmp_path / "runs.sqlite"))
    with child.started(child.COMMAND, "run", plan, *journal) as process:
        assert process.stderr is not None
        assert any("[1/4]" in line for line in process.stderr)
    document, _ = told("resume", *journal, "--deadline", "0.2", code=1)
    assert document["outcome"] == {"until": "first(2)", "met": False, "chosen": [], "completed": 0}


def test_the_command_leaves_runs_that_go_by_a_function_to_python(tmp_path: Path) -> None:
    journal = ("--journal", str(tmp_path / "runs.sqlite"))
    with child.started(sys.executable, "-c", BY_FUNCTION, journal[1]) as process:
        assert process.stderr is not None
        assert process.stderr.readline().strip() == "late"
    run_id = kept.only_run(Path(journal[1]))["run_id"]
    for _ in range(2):
        errors = refused("resume", run_id, *journal)
        assert f"run `{run_id}` goes by what a function of its program makes of each result" in errors
        assert "(`until`: best(<lambda>))" in errors
        assert (
            f'resume it from Python with the same one: Orchestrator.resume("{run_id}", journal=..., until=...)'
            in errors
        )
    assert child.run(child.COMMAND, "stop", run_id, *journal).returncode == 0
    document, _ = told("resume", run_id, *journal, code=1)
    assert document["outcome"]["until"] == "best(<lambda>)"
    assert document["results"][1]["status"] == "cancelled"


BY_FUNCTION = """
import sys
from parallel_agents import AgentTask, Orchestrator, Rehearsal, best

late = AgentTask("code_reviewer", "Review.", task_id="late", timeout_seconds=0.001, model="own/model")
long = AgentTask("code_reviewer", "Review.", task_id="long")
orchestrator = Orchestrator(rehearsal=Rehearsal(latency_seconds=36_000, speed=1), journal=sys.argv[1])

def tell(result):
    print(result.task_id, file=sys.stderr, flush=True)

orchestrator.run_parallel([late, long], tell, until=best(lambda result: 1))
"""
