"""Callables that are plain or asynchronous in odd ways, and results that are handled in odd ways."""

from __future__ import annotations

import asyncio
import copy
import functools
import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from parallel_agents import AgentResult, AgentStatus, OptionError, Orchestrator, RetryPolicy
from standin import StandIn

from . import child
from .injected import HAIKU, ask, asks, assert_all_completed

pytestmark = pytest.mark.usefixtures("ends")

ONCE = RetryPolicy(attempts_max=1)


def test_a_plain_wrapper_of_an_async_callable_is_called_as_the_plain_one_it_is() -> None:
    tools = StandIn().tools(asynchronous=True)

    def plain(real: Any) -> Any:
        @functools.wraps(real)
        def call(*arguments: Any, **named: Any) -> Any:
            return asyncio.run(real(*arguments, **named))

        return call

    by_name = {name: plain(getattr(tools, name)) for name in ("sessions_spawn", "sessions_list", "sessions_history")}
    assert_all_completed(Orchestrator(**by_name).run_parallel(asks(3)), 3)


@pytest.mark.parametrize("threads", [None, 2])
def test_a_plain_callable_may_return_what_is_to_be_awaited(threads: int | None) -> None:
    tools = StandIn().tools(asynchronous=True)

    def later(real: Any) -> Any:
        def call(**named: Any) -> Any:
            return real(**named)

        return call

    by_name = {name: later(getattr(tools, name)) for name in ("sessions_spawn", "sessions_list", "sessions_history")}
    assert_all_completed(Orchestrator(tool_threads=threads, **by_name).run_parallel(asks(3)), 3)


@pytest.mark.parametrize("threads", [None, 2])
def test_stop_iteration_is_an_exception_like_any_other(threads: int | None) -> None:
    standin = StandIn()
    by_name = standin.tools().by_name()

    def spawn(**_: Any) -> Any:
        raise StopIteration

    by_name["sessions_spawn"] = spawn
    orchestrator = Orchestrator(tool_threads=threads, model=HAIKU, retry=ONCE, **by_name)
    result = orchestrator.run_parallel([ask("t0")])["t0"]
    assert result.status is AgentStatus.FAILED
    assert "StopIteration" in str(result.error)


def test_subagents_that_cannot_tell_the_children_apart_stop_none() -> None:
    standin = StandIn()
    by_name = standin.tools(subagents=True).by_name()
    spawn = by_name["sessions_spawn"]

    def without_label(task: str, model: str, runTimeoutSeconds: float, cleanup: str) -> Any:  # noqa: N803
        return spawn(task=task, model=model, runTimeoutSeconds=runTimeoutSeconds, cleanup=cleanup)

    by_name["sessions_spawn"] = without_label
    orchestrator = Orchestrator(2, **by_name)
    standin.on("sessions_list", orchestrator.cancel, call_no=2)
    results = orchestrator.run_parallel(asks(2, "[[stuck]]", timeout_seconds=3600))
    assert {result.status for result in results.values()} == {AgentStatus.CANCELLED}
    assert all("could not be stopped" in result.metadata["attempts"][0]["reason"] for result in results.values())
    assert len(orchestrator.sessions_left) == len(standin.alive) == 2


def test_a_list_that_does_not_say_whether_there_is_more_loses_no_slow_agent() -> None:
    standin = StandIn()
    by_name = standin.tools().by_name()
    rows = by_name["sessions_list"]

    def latest(limit: int = 100) -> Any:
        return rows(limit=limit)["sessions"]

    by_name["sessions_list"] = latest
    tasks = [ask("slow", "[[sleep=1.5]]"), *asks(60)]
    assert_all_completed(Orchestrator(5, **by_name).run_parallel(tasks), 61)
    assert len(standin.children) == 61


def test_tools_over_a_gateway_take_no_other_callable_beside_them() -> None:
    from parallel_agents import openclaw

    with pytest.raises(OptionError, match="sessions_list"):
        Orchestrator(tools=openclaw.tools(), sessions_list=lambda: [])


HALF = "\ud800"
"""Half of a surrogate pair, which JSON texts may name and no encoding can carry."""


def test_a_session_with_a_broken_name_hides_no_other() -> None:
    by_name = StandIn().tools().by_name()
    rows = by_name["sessions_list"]

    def latest(**named: Any) -> Any:
        return {"sessions": [{"key": HALF, "status": "done"}, *rows(**named)["sessions"]]}

    by_name["sessions_list"] = latest
    assert_all_completed(Orchestrator(2, **by_name).run_parallel(asks(3)), 3)


def test_an_answer_with_half_a_character_is_an_answer() -> None:
    by_name = StandIn().tools().by_name()
    by_name["sessions_history"] = lambda **_: {"messages": [{"role": "assistant", "content": f"well{HALF}"}]}
    result = Orchestrator(model=HAIKU, retry=ONCE, **by_name).run_parallel([ask("t0")])["t0"]
    assert result.output is not None and result.output.rstrip("\ufffd") == "well"


def test_what_a_callable_says_of_a_failure_is_told_on_one_line() -> None:
    by_name = StandIn().tools().by_name()
    by_name["sessions_spawn"] = lambda **_: {"status": "forbidden", "error": "no\n\x1b[2Jroom"}
    result = Orchestrator(model=HAIKU, retry=ONCE, **by_name).run_parallel([ask("t0")])["t0"]
    assert result.error == "no\\n\\u{1b}[2Jroom"


ITERATES = """
import sys
sys.path.insert(0, TESTS)
from parallel_agents import Orchestrator, RunInterrupted
from python.injected import ask, asks
from standin import StandIn

standin = StandIn()
standin.on("sessions_list", lambda: print("running", file=sys.stderr, flush=True), call_no=2)
orchestrator = Orchestrator(3, tools=standin.tools(subagents=True, asynchronous=True))
try:
    for result in orchestrator.run_iter([ask("quick"), *asks(3, "[[sleep=5]]")]):
        pass
except RunInterrupted as interrupted:
    print(sorted(result.status.value for result in interrupted.results.values()), len(standin.alive))
    sys.exit(5)
"""


def test_ctrl_c_ends_an_iteration_over_async_callables() -> None:
    program = ITERATES.replace("TESTS", repr(str(child.REPOSITORY / "tests")))
    with child.started(sys.executable, "-c", program) as process:
        told = child.interrupt_after(process, "running")
        assert process.returncode == 5, told
    assert told.split()[-1] == "0", "a child was left alive"
    assert told.count("cancelled") >= 2


def test_an_iteration_over_async_callables_may_be_left(recwarn: pytest.WarningsRecorder) -> None:
    standin = StandIn()
    orchestrator = Orchestrator(3, tools=standin.tools(subagents=True, asynchronous=True))
    for _ in orchestrator.run_iter([ask("quick"), *asks(3, "[[sleep=5]]")]):
        break
    assert standin.alive == []
    assert not recwarn.list


@dataclass
class Scored(AgentResult):
    score: int = 3


def test_results_keep_what_programs_add_to_them() -> None:
    result = Orchestrator(tools=StandIn().tools()).run_parallel([ask("t0")])["t0"]
    result.mine = "kept"  # type: ignore[attr-defined]
    scored = Scored("t", "plain", AgentStatus.COMPLETED, score=7)
    ways: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))]
    for again in ways:
        assert again(result) == result
        assert again(result).mine == "kept"
        assert again(scored) == scored
        assert again(scored).score == 7
