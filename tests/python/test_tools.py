"""Callables that an agent runtime injects: in every form they come in, each task gets its answer through them."""

from __future__ import annotations

import asyncio
import contextvars
import re
import threading
import time
from contextlib import aclosing
from typing import Any

import pytest
from parallel_agents import AgentResult, EventLoopError, OptionError, Orchestrator, ParallelAgentsError
from standin import Habits, StandIn

from .injected import HAIKU, ask, asks, assert_all_completed, hang_async, outcomes, post, posts

pytestmark = pytest.mark.usefixtures("ends")

SHAPES: list[dict[str, Any]] = [
    *({"answers": answers} for answers in ("dict", "object", "json", "envelope", "text", "bare")),
    {"spawned_key": "sessionKey", "key": "sessionKey"},
    {"content": "string", "answers": "json"},
    {"answers": "bare", "key": "sessionKey", "content": "string"},
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "-".join(shape.values()))
@pytest.mark.parametrize("signature", ["open", "named", "strict"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_answers_are_read_in_every_shape(shape: dict[str, Any], signature: str, asynchronous: bool) -> None:
    standin = StandIn()
    orchestrator = Orchestrator(3, tools=standin.tools(signature=signature, asynchronous=asynchronous, **shape))
    tasks: list[Any] = [ask("text", "[[say=hello there]]"), post("json"), *asks(4, "[[sleep=0.01]]")]
    results = orchestrator.run_parallel(tasks)
    assert_all_completed(results, 6)
    assert results["text"].output == results["text"].raw == "hello there"
    assert results["json"].output["caption"]
    assert {result.metadata["runtime"] for result in results.values()} == {"tools"}
    keys = {child.label or child.prompt: child.key for child in standin.children}
    assert {result.session_key for result in results.values()} == set(keys.values())
    assert len(standin.children) == 6


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_callables_may_be_handed_over_by_name(asynchronous: bool) -> None:
    tools = StandIn().tools(asynchronous=asynchronous, subagents=True)
    results = Orchestrator(**tools.by_name()).run_parallel(asks(3))
    assert_all_completed(results, 3)


def test_what_is_no_callable_or_lacks_one_is_refused_by_name() -> None:
    tools = StandIn().tools()
    with pytest.raises(OptionError, match="sessions_list"):
        Orchestrator(sessions_spawn=tools.sessions_spawn, sessions_history=tools.sessions_history)
    with pytest.raises(OptionError, match="sessions_history"):
        Orchestrator(**{**tools.by_name(), "sessions_history": "not a callable"})
    with pytest.raises(OptionError, match="sessions_spawn"):
        Orchestrator(tools=object())


def test_a_spawn_is_told_what_the_task_says_and_no_agent_id() -> None:
    standin = StandIn()
    task = ask("the-task", "[[say=hi]]", timeout_seconds=7, model="own/model")
    Orchestrator(tools=standin.tools()).run_parallel([task])
    (arguments,) = standin.spawns
    assert arguments.pop("label")
    assert arguments == {
        "task": task["task_description"],
        "model": "own/model",
        "runTimeoutSeconds": 7,
        "cleanup": "keep",
        "expectsCompletionMessage": False,
    }


@pytest.mark.parametrize("signature", ["named", "strict"])
def test_only_parameters_that_a_signature_accepts_are_given(signature: str) -> None:
    standin = StandIn()
    results = Orchestrator(tools=standin.tools(signature=signature)).run_parallel(asks(3, timeout_seconds=9))
    # One parameter too many is a TypeError, and no answer.
    assert_all_completed(results, 3)
    for arguments in standin.spawns:
        assert (arguments["runTimeoutSeconds"], arguments["model"], arguments["cleanup"]) == (9, HAIKU, "keep")
        if signature == "named":
            assert arguments["label"]
            assert arguments["expectsCompletionMessage"] is False
            assert "agentId" not in arguments
            assert "agent_id" not in arguments


def test_labels_are_unique_and_hold_the_task_id() -> None:
    standin = StandIn()
    Orchestrator(4, tools=standin.tools()).run_parallel(posts(6, "[[claude-haiku-4-5: garbage]]"))
    labels = [arguments["label"] for arguments in standin.spawns]
    assert len(labels) == len(set(labels)) == 18
    for arguments in standin.spawns:
        task_id = arguments["task"].split("[[task=")[1].split("]]")[0]
        assert task_id in arguments["label"]
        assert not {"agent_id", "agentId"} & set(arguments)


def test_sync_callables_are_called_on_the_callers_thread_alone() -> None:
    standin = StandIn()
    orchestrator = Orchestrator(4, tools=standin.tools())
    orchestrator.run_parallel(asks(8, "[[sleep=0.01]]"))
    list(orchestrator.run_iter(asks(8, "[[sleep=0.01]]")))
    assert standin.threads == {threading.get_ident()}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_on_an_event_loop_they_are_called_on_its_thread_alone(asynchronous: bool) -> None:
    standin = StandIn()
    loops: list[int] = []

    async def main() -> None:
        loops.append(threading.get_ident())
        orchestrator = Orchestrator(4, tools=standin.tools(asynchronous=asynchronous))
        assert_all_completed(await orchestrator.arun(asks(8, "[[sleep=0.01]]")), 8)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()
    assert standin.threads == set(loops)


def test_async_callables_work_from_a_plain_call_on_the_callers_thread() -> None:
    standin = StandIn()
    results = Orchestrator(4, tools=standin.tools(asynchronous=True)).run_parallel(asks(8, "[[sleep=0.01]]"))
    assert_all_completed(results, 8)
    assert standin.threads == {threading.get_ident()}


def test_async_callables_in_a_plain_call_on_a_running_loop_are_refused_with_the_remedy() -> None:
    standin = StandIn()

    async def main() -> None:
        orchestrator = Orchestrator(tools=standin.tools(asynchronous=True))
        with pytest.raises(ParallelAgentsError, match="arun"):
            orchestrator.run_parallel(asks(2))
        assert_all_completed(await orchestrator.arun(asks(2)), 2)

    asyncio.run(main())
    assert len(standin.children) == 2


@pytest.mark.parametrize(
    ("call", "variant"),
    [
        (lambda each: each.orchestrate("Write."), "`await orchestrator.aorchestrate(...)`"),
        (lambda each: each.refine(ask("a"), "code_reviewer", score="score"), "`await orchestrator.arefine(...)`"),
        (
            lambda each: each.run_iterative_refinement([{"name": "a"}]),
            "`await orchestrator.arun_iterative_refinement(...)`",
        ),
        (lambda each: list(each.run_iter(asks(1))), "`orchestrator.arun_iter(...)`"),
    ],
    ids=["orchestrate", "refine", "run_iterative_refinement", "run_iter"],
)
def test_each_of_them_names_its_own_variant_for_event_loops(call: Any, variant: str) -> None:
    orchestrator = Orchestrator(tools=StandIn().tools(asynchronous=True))

    async def main() -> None:
        with pytest.raises(EventLoopError, match=re.escape(variant)):
            call(orchestrator)

    asyncio.run(main())


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_an_event_loop_goes_on_while_agents_work(asynchronous: bool) -> None:
    standin = StandIn()
    pauses: list[float] = []

    async def beat() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.001)
            pauses.append(time.monotonic() - before)

    async def main() -> None:
        other = asyncio.create_task(beat())
        await Orchestrator(4, tools=standin.tools(asynchronous=asynchronous)).arun(asks(4, "[[sleep=0.3]]"))
        other.cancel()

    asyncio.run(main())
    assert len(pauses) > 50, "the loop was held while agents worked"


def test_asked_for_threads_and_no_more_call_sync_tools() -> None:
    standin = StandIn(Habits(spawn_seconds=0.05))
    begun = time.monotonic()
    results = Orchestrator(8, tools=standin.tools(), tool_threads=4).run_parallel(asks(8))
    assert_all_completed(results, 8)
    assert 2 <= len(standin.threads - {threading.get_ident()}) <= 4
    assert time.monotonic() - begun < 8 * 0.05, "the spawns did not overlap"


def test_overlapping_spawns_of_async_tools_share_the_loop() -> None:
    standin = StandIn(Habits(spawn_seconds=0.1))
    begun = time.monotonic()
    results = Orchestrator(8, tools=standin.tools(asynchronous=True)).run_parallel(asks(8))
    assert_all_completed(results, 8)
    assert time.monotonic() - begun < 8 * 0.1, "the spawns did not overlap"


REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("REQUEST", default="nobody's")


@pytest.mark.parametrize("way", ["run_parallel", "run_parallel of async ones", "arun", "arun of async ones", "threads"])
def test_callables_see_the_callers_context(way: str) -> None:
    standin = StandIn()
    seen: list[str] = []
    for tool in ("sessions_spawn", "sessions_list", "sessions_history"):
        standin.on(tool, lambda: seen.append(REQUEST.get()))
    options: dict[str, Any] = {"tool_threads": 2} if way == "threads" else {}
    orchestrator = Orchestrator(tools=standin.tools(asynchronous="async ones" in way), **options)

    async def main() -> None:
        await orchestrator.arun(asks(3))

    def work() -> None:
        REQUEST.set("mine")
        if way.startswith("arun"):
            asyncio.run(main())
        else:
            orchestrator.run_parallel(asks(3))

    contextvars.copy_context().run(work)
    assert len(seen) >= 7
    assert set(seen) == {"mine"}


def test_results_are_yielded_as_they_come() -> None:
    standin = StandIn()
    tasks = [ask("slow", "[[sleep=0.2]]"), ask("quick", "[[sleep=0.05]]"), ask("next", dependencies=["quick"])]
    yielded = [result.task_id for result in Orchestrator(tools=standin.tools()).run_iter(tasks)]
    assert yielded == ["quick", "next", "slow"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_results_are_yielded_on_an_event_loop(asynchronous: bool) -> None:
    standin = StandIn()
    tasks = [ask("slow", "[[sleep=0.2]]"), ask("quick", "[[sleep=0.05]]")]

    async def main() -> list[str]:
        iteration = Orchestrator(tools=standin.tools(asynchronous=asynchronous)).arun_iter(tasks)
        async with aclosing(iteration) as run:
            return [result.task_id async for result in run]

    assert asyncio.run(main()) == ["quick", "slow"]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_callback_comes_once_per_task_on_the_callers_thread(asynchronous: bool) -> None:
    called: list[tuple[str, int]] = []

    def callback(result: AgentResult) -> None:
        called.append((result.task_id, threading.get_ident()))

    orchestrator = Orchestrator(3, tools=StandIn().tools(asynchronous=asynchronous))
    orchestrator.run_parallel(asks(9), callback)
    assert sorted(called) == sorted((f"t{index}", threading.get_ident()) for index in range(9))


def test_no_tasks_call_nothing() -> None:
    standin = StandIn()
    assert Orchestrator(tools=standin.tools()).run_parallel([]) == {}
    assert standin.calls == []


def test_outputs_of_dependencies_go_into_the_prompt() -> None:
    standin = StandIn()
    tasks = [ask("first", "[[say=the answer is 42]]"), ask("second", dependencies=["first"])]
    assert_all_completed(Orchestrator(tools=standin.tools()).run_parallel(tasks), 2)
    first, second = standin.children
    assert "the answer is 42" in second.prompt
    assert first.ended is not None
    assert first.ended <= second.accepted


def test_one_orchestrator_runs_more_than_once() -> None:
    standin = StandIn()
    orchestrator = Orchestrator(tools=standin.tools())
    assert_all_completed(orchestrator.run_parallel(asks(3)), 3)
    assert_all_completed(orchestrator.run_parallel([ask("again")]), 1)
    assert orchestrator.stats["agents_spawned"] == orchestrator.stats["agents_completed"] == 4
    assert {outcome for result in orchestrator.results.values() for outcome in outcomes(result)} == {
        (HAIKU, "completed")
    }


def test_an_async_tool_that_hangs_does_not_hold_up_the_others() -> None:
    standin = StandIn()
    standin.on("sessions_spawn", hang_async, call_no=2)

    async def main() -> dict[str, AgentResult]:
        orchestrator = Orchestrator(3, tools=standin.tools(asynchronous=True))
        done: list[str] = []

        def callback(result: AgentResult) -> None:
            done.append(result.task_id)
            if len(done) == 4:
                orchestrator.cancel()

        return await orchestrator.arun(asks(5), callback)

    results = asyncio.run(main())
    assert sorted(result.status.value for result in results.values()) == ["cancelled", *["completed"] * 4]
