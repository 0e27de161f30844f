"""How close a run comes to an ideal schedule, when looks are all that tells of an end."""

from __future__ import annotations

import heapq
import math
import random
import time

from parallel_agents import Orchestrator
from standin import Reply, Request, StandIn

from .overhead import ANSWER, MODEL, tasks
from .table import show

MEDIAN_SECONDS, SIGMA, SEED = 0.2, 0.6, 2026


def ideal_seconds(latencies: list[float], limit: int) -> float:
    """First in, first out: each task starts when a place becomes free, and no time passes between."""
    free = [0.0] * limit
    for latency in latencies:
        heapq.heapreplace(free, free[0] + latency)
    return max(free)


def measure(count: int, limit: int, rounds: int) -> None:
    draw = random.Random(SEED)
    latencies = [draw.lognormvariate(math.log(MEDIAN_SECONDS), SIGMA) for _ in range(count)]
    ideal = ideal_seconds(latencies, limit)

    def answer(request: Request) -> Reply:
        return Reply(ANSWER, latencies[request.number])

    rows = []
    for round_no in range(1, rounds + 1):
        standin = StandIn(answers=answer)
        orchestrator = Orchestrator(limit, tools=standin.tools(), model=MODEL)
        given = tasks(count)
        begun = time.perf_counter()
        results = orchestrator.run_parallel(given)
        seconds = time.perf_counter() - begun
        assert sum(result.success for result in results.values()) == count
        ratio = f"{seconds / ideal:.3f}"
        rows.append([f"round {round_no}", f"{seconds:.2f}", f"{ideal:.2f}", ratio, str(len(standin.looks))])
    title = f"{count} tasks, lognormal latencies (median {MEDIAN_SECONDS} s, sigma {SIGMA}), {limit} at once"
    show(title, ["", "seconds", "ideal", "x ideal", "looks"], rows)
