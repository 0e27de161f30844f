"""What it costs to keep a journal: the same tasks, whose agents take no time, without one and with each durability."""

from __future__ import annotations

import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from parallel_agents import Orchestrator
from standin import ZeroLatency

from .overhead import ANSWER, MODEL, ratio, take_turns, tasks
from .table import show

WITHOUT, PROCESS, POWER = "no journal", 'durability="process", the default', 'durability="power"'
DURABILITIES = {PROCESS: "process", POWER: "power"}
TARGET = 30
"""Microseconds of our own that a journal may take for each task, with the default durability."""
NO_DISK = {"tmpfs", "ramfs", "devtmpfs"}


def kept(count: int, limit: int, folder: Path, durability: str | None) -> float:
    """Seconds of one run, its journal's beginning and end included. Each has a file of its own."""
    given = tasks(count)
    tools = ZeroLatency(ANSWER)
    journal = None if durability is None else folder / "runs.db"
    gc.collect()
    begun = time.perf_counter()
    orchestrator = Orchestrator(limit, tools=tools, model=MODEL, journal=journal, durability=durability or "process")
    results = orchestrator.run_parallel(given)
    assert all(result.output["caption"] for result in results.values())
    # The file is closed with the last that holds the run.
    del orchestrator, results
    seconds = time.perf_counter() - begun
    assert tools.spawned == count
    if journal is not None:
        assert journal.stat().st_size > 0
        for file in folder.iterdir():
            file.unlink()
    return seconds


def turns(count: int, limit: int, rounds: int, folder: Path) -> dict[str, list[float]]:
    """The seconds with and without a journal, round by round."""
    programs: dict[str, Callable[[], float]] = {WITHOUT: partial(kept, count, limit, folder, None)}
    for name, durability in DURABILITIES.items():
        programs[name] = partial(kept, count, limit, folder, durability)
    return take_turns(programs, rounds)


def above(mine: list[float], other: list[float], count: int) -> float:
    """The median of what a task took longer within a round, in microseconds."""
    return statistics.median(each - base for each, base in zip(mine, other, strict=True)) / count * 1e6


def file_system(folder: Path) -> str:
    """The type of the file system that `folder` is on, as Linux tells."""
    folder = folder.resolve()
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    around = [(point, kind) for _, point, kind, *_ in mounts if folder.is_relative_to(point)]
    # Of two at the same place the later one is seen.
    return max(reversed(around), key=lambda mount: len(mount[0]))[1]


def on_disk() -> Path:
    """A folder for temporary files that is not in memory."""
    for folder in (Path(tempfile.gettempdir()), Path("/var/tmp"), Path.cwd()):
        if file_system(folder) not in NO_DISK and os.access(folder, os.W_OK):
            return folder
    raise SystemExit("bench: no folder for temporary files is on a disk; set TMPDIR to one that is")


def measure(count: int, limits: list[int], rounds: int) -> None:
    """Measures and shows one table for each number of agents at once."""
    disk = on_disk()
    for limit in limits:
        with tempfile.TemporaryDirectory(dir=disk) as folder:
            seconds = turns(count, limit, rounds, Path(folder))
        rows = [
            [
                name,
                f"{statistics.median(seconds[name]) / count * 1e6:.1f}",
                f"{above(seconds[name], seconds[WITHOUT], count):.1f}",
                f"{ratio(seconds[name], seconds[WITHOUT]):.2f}",
            ]
            for name in seconds
        ]
        title = f"{count} tasks whose agents take no time, {limit} at once, journal on {file_system(disk)}"
        show(f"{title}; medians of {rounds} rounds", ["", "us/task", "above none", "x none"], rows)
    print(f"\n  the default durability may take {TARGET} us/task above none")
