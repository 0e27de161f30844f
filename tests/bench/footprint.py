"""What it costs to have the package: the time of its import, and memory per agent in flight."""

from __future__ import annotations

import argparse
import gc
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .table import show

PAIRS = 21
BARE = "pass"
IMPORTS = {
    "`import parallel_agents`": "import parallel_agents",
    "and `Orchestrator` and `AgentTask` from it": "from parallel_agents import AgentTask, Orchestrator",
}


def start_seconds(code: str) -> float:
    """Seconds from starting an interpreter to its end."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun


def measure_import(pairs: int = PAIRS) -> None:
    """Each start of ours is compared with the bare one before it."""
    rows = []
    for name, code in IMPORTS.items():
        # The first start compiles what is imported.
        start_seconds(code)
        taken = [(start_seconds(BARE), start_seconds(code)) for _ in range(pairs)]
        bare = statistics.median(before for before, _ in taken)
        above = statistics.median(after - before for before, after in taken)
        rows.append([name, f"{bare * 1000:.1f}", f"{above * 1000:.1f}"])
    title = f"starting Python, in milliseconds; medians of {pairs} alternating pairs"
    show(title, ["", "bare interpreter", "above it"], rows)


def measure_memory(count: int) -> None:
    """Fresh processes: one whose agents are started by a bare loop, one whose agents are started by us."""
    held = _in_child("bare", count)
    mine = _in_child("ours", count)
    rows = [
        ["the stand-in with its agents", f"{held['flight'] / count:.0f}"],
        ["parallel_agents, above that", f"{(mine['flight'] - held['flight']) / count:.0f}"],
        ["the caller's own list of tasks", f"{mine['tasks'] / count:.0f}"],
        ["parallel_agents and the tasks, above the stand-in", f"{(mine['all'] - held['flight']) / count:.0f}"],
    ]
    show(f"memory with {count} agents in flight (resident set)", ["", "bytes/agent"], rows)


def _in_child(who: str, count: int) -> dict[str, int]:
    command = [sys.executable, "-m", "bench.footprint", who, str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    return {name: int(value) for name, value in (part.split("=") for part in done.stdout.split())}


def resident() -> int:
    """Bytes of memory that this process occupies, as Linux tells."""
    gc.collect()
    with open("/proc/self/statm") as file:  # noqa: PTH123, in the middle of a measurement
        return int(file.read().split()[1]) * 4096


def _bare(count: int) -> None:
    from standin import ZeroLatency

    from .overhead import ANSWER, MODEL
    from .rivals import bare_loop, spawn

    prompt = "Write a post."
    bare_loop(ZeroLatency(ANSWER), [prompt] * 10, MODEL, 10)
    tools = ZeroLatency(ANSWER, ends=False)
    before = resident()
    for number in range(count):
        spawn(tools, prompt, MODEL, number)
    print(f"flight={resident() - before}")


def _ours(count: int) -> None:
    from parallel_agents import Orchestrator
    from standin import ZeroLatency

    from .overhead import ANSWER, MODEL, tasks

    # What is needed once is not counted per agent.
    Orchestrator(10, tools=ZeroLatency(ANSWER), model=MODEL).run_parallel(tasks(10))
    tools = ZeroLatency(ANSWER, ends=False)
    seen: list[int] = []
    plain_list = tools.sessions_list

    def when_all_fly(**arguments: Any) -> Any:
        if tools.spawned == count and not seen:
            seen.append(resident())
            tools.end_all()
        return plain_list(**arguments)

    orchestrator = Orchestrator(
        count,
        model=MODEL,
        sessions_spawn=tools.sessions_spawn,
        sessions_list=when_all_fly,
        sessions_history=tools.sessions_history,
    )
    before = resident()
    given = tasks(count)
    with_tasks = resident()
    results = orchestrator.run_parallel(given)
    assert sum(result.success for result in results.values()) == count
    print(f"flight={seen[0] - with_tasks} tasks={with_tasks - before} all={seen[0] - before}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One process of the memory measurement.")
    parser.add_argument("who", choices=["bare", "ours"])
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    {"bare": _bare, "ours": _ours}[options.who](options.count)
