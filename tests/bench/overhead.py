"""What a task costs when its agent takes no time: our library and its rivals over the same callables."""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from parallel_agents import AgentTask, Orchestrator
from standin import ZeroLatency

from .rivals import RIVALS, ROWS, Callables, Rival
from .table import show

MODEL = "anthropic/claude-haiku-4-5"
ANSWER = json.dumps(
    {
        "caption": "Monday again, and the coffee is already cold. Who else is three meetings in before nine?",
        "hashtags": ["#monday", "#coffee", "#work"],
        "engagement_prediction": "medium: everybody knows it, nobody says it",
        "tone_notes": "wry, short, ends on a question",
    }
)
BARE, ASYNCIO = "bare loop", "asyncio + Semaphore + tenacity"
READ, UNREAD, ALONE = "parallel_agents, outputs read", "parallel_agents, outputs left unread", "the callables alone"


def tasks(count: int) -> list[AgentTask]:
    return [AgentTask("content_writer_creative", f"Write post {n}.", task_id=f"task-{n}") for n in range(count)]


def prompts_sent(count: int) -> list[str]:
    """The texts that our library sends for these tasks."""
    prompts: list[str] = []
    tools = ZeroLatency(ANSWER)

    def spawn(*, task: str, **arguments: Any) -> dict[str, Any]:
        prompts.append(task)
        return tools.sessions_spawn(task=task, **arguments)

    Orchestrator(
        1000,
        model=MODEL,
        sessions_spawn=spawn,
        sessions_list=tools.sessions_list,
        sessions_history=tools.sessions_history,
    ).run_parallel(tasks(count))
    assert len(prompts) == count
    return prompts


def ours(count: int, limit: int, *, read: bool) -> float:
    given = tasks(count)
    tools = ZeroLatency(ANSWER)
    orchestrator = Orchestrator(limit, tools=tools, model=MODEL)
    gc.collect()
    begun = time.perf_counter()
    results = orchestrator.run_parallel(given)
    if read:
        assert all(result.output["caption"] for result in results.values())
    seconds = time.perf_counter() - begun
    assert len(results) == tools.spawned == count
    assert all(result.output["hashtags"][0] == "#monday" for result in results.values())
    return seconds


def rival(program: Rival, prompts: list[str], limit: int) -> float:
    tools = ZeroLatency(ANSWER)
    gc.collect()
    begun = time.perf_counter()
    outputs = program(tools, prompts, MODEL, limit)
    assert all(output["caption"] for output in outputs)
    seconds = time.perf_counter() - begun
    assert len(outputs) == tools.spawned == len(prompts)
    return seconds


def alone(tools: Callables, prompts: list[str], model: str, limit: int) -> list[Any]:
    """As many calls as the bare loop makes, and nothing with their answers."""
    for first in range(0, len(prompts), limit):
        keys = []
        for number, prompt in enumerate(prompts[first : first + limit], first):
            answer = tools.sessions_spawn(
                task=prompt,
                model=model,
                runTimeoutSeconds=120,
                cleanup="keep",
                label=f"task-{number}",
                expectsCompletionMessage=False,
            )
            keys.append(answer["childSessionKey"])
        for offset in range(0, len(keys), ROWS):
            tools.sessions_list(limit=ROWS, offset=offset)
        for key in keys:
            tools.sessions_history(sessionKey=key)
    return [json.loads(ANSWER)] * len(prompts)


def measure(count: int, limits: list[int], rounds: int) -> None:
    """Measures and shows one table for each number of agents at once."""
    prompts = prompts_sent(count)
    for limit in limits:
        seconds = turns(prompts, limit, rounds)
        rows = [
            [
                name,
                f"{statistics.median(seconds[name]) / count * 1e6:.1f}",
                f"{ratio(seconds[name], seconds[BARE]):.2f}",
                f"{ratio(seconds[name], seconds[ASYNCIO]):.2f}",
            ]
            for name in seconds
        ]
        title = f"{count} tasks whose agents take no time, {limit} at once; medians of {rounds} rounds"
        show(title, ["program", "us/task", "x bare loop", "x asyncio + tenacity"], rows)


def turns(prompts: list[str], limit: int, rounds: int) -> dict[str, list[float]]:
    """The seconds each program took, round by round."""
    programs: dict[str, Callable[[], float]] = {
        name: partial(rival, program, prompts, limit) for name, program in RIVALS.items()
    }
    programs[READ] = partial(ours, len(prompts), limit, read=True)
    programs[UNREAD] = partial(ours, len(prompts), limit, read=False)
    programs[ALONE] = partial(rival, alone, prompts, limit)
    return take_turns(programs, rounds)


def take_turns(programs: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each program returned, round by round; each round has another order."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    order = list(programs)
    for _ in range(rounds):
        for name in order:
            seconds[name].append(programs[name]())
        order = [*order[1:], order[0]]
    return seconds


def ratio(mine: list[float], other: list[float]) -> float:
    """The median of the ratios within a round."""
    return statistics.median(each / base for each, base in zip(mine, other, strict=True))
