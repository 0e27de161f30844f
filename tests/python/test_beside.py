"""Approvals and marks that are awaited beside their run: they hold back neither its agents nor its end."""

from __future__ import annotations

import asyncio
import contextvars
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import AgentResult, Orchestrator, Rehearsal, best
from standin import Habits, StandIn

from . import kept
from .injected import ask, statuses
from .planners import Planners, plan, step, team
from .tasks import reviews

pytestmark = pytest.mark.usefixtures("ends")

REQUEST = "Write about mornings."
GONE = object()
both = pytest.mark.parametrize("make", ["rehearsal", "tools", "async tools"])


class Waiting:
    """A function of a caller that waits for what never comes, and knows what became of it."""

    def __init__(self, at_once: Callable[[], object] = lambda: None) -> None:
        self.at_once = at_once
        self.calls = 0
        self.cancelled = 0

    async def __call__(self, subject: object) -> float:
        self.calls += 1
        self.at_once()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            self.cancelled += 1
            raise
        raise AssertionError("nothing ever comes")


def orchestrator_of(make: str, **options: Any) -> Orchestrator:
    if make == "rehearsal":
        return Orchestrator(rehearsal=Rehearsal(), **options)
    standin = StandIn(Habits(text_chars_max=10_000_000), Planners(plan(step("one"))))
    tools = standin.tools(subagents=True, sessions=True, asynchronous=make == "async tools")
    return Orchestrator(tools=tools, **options)


def run_alone(main: Any) -> Any:
    """Runs it on a loop, and sees that it leaves no task behind."""

    async def alone() -> Any:
        result = await main
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result

    return asyncio.run(alone())


@both
def test_cancel_does_not_wait_for_an_approval(make: str) -> None:
    orchestrator = orchestrator_of(make)
    approve = Waiting(lambda: asyncio.get_running_loop().call_soon(orchestrator.cancel))
    done = run_alone(orchestrator.aorchestrate(REQUEST, approve=approve))
    assert done.status == "cancelled"
    assert (approve.calls, approve.cancelled) == (1, 1)


@pytest.mark.parametrize("make", ["tools", "async tools"])
def test_the_deadline_does_not_wait_for_an_approval(make: str) -> None:
    approve = Waiting()
    done = run_alone(orchestrator_of(make, deadline_seconds=0.3).aorchestrate(REQUEST, approve=approve))
    assert done.status == "cancelled"
    assert (approve.calls, approve.cancelled) == (1, 1)


@both
def test_neither_waits_for_a_mark(make: str) -> None:
    standin = StandIn()
    tools = {"tools": standin.tools(subagents=True, sessions=True, asynchronous=make == "async tools")}
    runtime: dict[str, Any] = {"rehearsal": True} if make == "rehearsal" else tools
    orchestrator = Orchestrator(**runtime)
    cancelling = Waiting(lambda: asyncio.get_running_loop().call_soon(orchestrator.cancel))
    # A rehearsal's time stands still while somebody is asked.
    late = [(Orchestrator(deadline_seconds=0.3, **runtime), Waiting())] if make != "rehearsal" else []
    for each, judge in [(orchestrator, cancelling), *late]:
        results = run_alone(each.arun([ask("a"), ask("b", "[[sleep=30]]")], until=best(judge)))
        assert judge.calls == judge.cancelled >= 1
        assert results.outcome is not None
        assert results.outcome["met"] is False
        done = [task_id for task_id, result in results.items() if result.success]
        assert results.outcome["unmarked"] == done != []


def test_other_agents_start_while_a_mark_is_awaited() -> None:
    standin = StandIn(Habits(speed=20))
    all_are_done = asyncio.Event()
    orchestrator = Orchestrator(1, tools=standin.tools(subagents=True, sessions=True, asynchronous=True))
    marked: list[str] = []
    heard: list[str] = []

    async def judge(result: AgentResult) -> float:
        marked.append(result.task_id)
        if len(marked) == 4:
            all_are_done.set()
        await all_are_done.wait()
        return float(result.task_id[1:])

    tasks = [ask(f"t{index}") for index in range(4)]
    results = run_alone(orchestrator.arun(tasks, lambda result: heard.append(result.task_id), until=best(judge)))
    assert (list(results.chosen), (results.outcome or {})["scores"]) == (["t3"], {"t0": 0, "t1": 1, "t2": 2, "t3": 3})
    assert heard == marked == ["t0", "t1", "t2", "t3"]


@both
def test_a_caller_that_is_cancelled_leaves_nothing_behind(make: str) -> None:
    async def main() -> None:
        asked = asyncio.Event()
        approve = Waiting(asked.set)
        run = asyncio.create_task(orchestrator_of(make).aorchestrate(REQUEST, approve=approve))
        await asked.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        assert approve.cancelled == 1

    run_alone(main())


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), asyncio.CancelledError()], ids=repr)
def test_what_an_approval_raises_reaches_the_caller(error: BaseException) -> None:
    async def approve(asked: dict[str, Any]) -> bool:
        await asyncio.sleep(0)
        raise error

    async def main() -> None:
        orchestrator, standin = team(Planners(plan(step("one"))))
        with pytest.raises(type(error)) as caught:
            await orchestrator.aorchestrate(REQUEST, approve=approve)
        assert caught.value is error
        assert "in approve" in "".join(traceback.format_exception(caught.value))
        assert caught.value.__context__ is None
        assert [child.alive for child in standin.children] == [False]

    run_alone(main())


def test_an_approval_sees_the_context_of_the_call() -> None:
    who = contextvars.ContextVar("who", default="nobody")
    seen: list[str] = []

    async def approve(asked: dict[str, Any]) -> bool:
        seen.append(who.get())
        return True

    async def main() -> None:
        who.set("the caller")
        assert (await Orchestrator(rehearsal=True).aorchestrate(REQUEST, approve=approve)).status == "completed"

    run_alone(main())
    assert seen == ["the caller"]


def test_a_mark_that_raises_is_logged_and_does_not_count(caplog: pytest.LogCaptureFixture) -> None:
    async def judge(result: AgentResult) -> float:
        await asyncio.sleep(0)
        raise ValueError("cannot judge")

    results = run_alone(Orchestrator(rehearsal=True).arun(reviews(2), until=best(judge)))
    assert set(statuses(results).values()) == {"completed"}
    assert (results.outcome or {})["unmarked"] == ["task-0", "task-1"]
    assert caplog.text.count("ValueError: cannot judge") == 2


class TestAnApprovalThatRaises:
    """It costs nothing that was paid for: the run stays open where a journal keeps it."""

    @pytest.mark.parametrize("awaited", [False, True], ids=["plain", "awaited"])
    @both
    def test_is_asked_again_when_its_run_is_resumed(
        self, make: str, awaited: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        journal = tmp_path / "runs.db"
        planners = Planners(plan(step("one")))
        standin = StandIn(Habits(text_chars_max=10_000_000), planners)
        tools = standin.tools(subagents=True, sessions=True, asynchronous=make == "async tools")
        options: dict[str, Any] = {"rehearsal": True} if make == "rehearsal" else {"tools": tools}

        async def broken(asked: dict[str, Any]) -> bool:
            await asyncio.sleep(0)
            raise ValueError("a mistake")

        def broken_too(asked: dict[str, Any]) -> bool:
            raise ValueError("a mistake")

        with pytest.raises(ValueError, match="a mistake"):
            if awaited:
                run_alone(Orchestrator(journal=journal, **options).aorchestrate(REQUEST, approve=broken))
            else:
                Orchestrator(journal=journal, **options).orchestrate(REQUEST, approve=broken_too)
        run_id = str(kept.only_run(journal)["run_id"])
        assert f"run {run_id} is left as it stands" in caplog.text
        again = {} if make == "rehearsal" else options
        for _ in range(2):
            with pytest.raises(ValueError, match="a mistake"):
                if awaited:
                    run_alone(Orchestrator.aresume(run_id, journal, approve=broken, **again))
                else:
                    Orchestrator.resume(run_id, journal, approve=broken_too, **again)
            assert kept.only_run(journal)["state"] == "open"
        results = Orchestrator.resume(run_id, journal, approve=lambda _: True, **again)
        assert results.orchestration is not None
        assert results.orchestration.status == "completed"
        assert kept.only_run(journal)["state"] == "ended"
        if make != "rehearsal":
            assert len(planners.plans_asked) == 1
            assert not [child for child in standin.children if child.alive or not child.deleted]
