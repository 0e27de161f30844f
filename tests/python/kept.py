"""Runs that a journal keeps, and runs of another process that is killed on the way."""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

from parallel_agents import journal_runs
from standin import StandIn, apart

from . import child

TESTS = Path(__file__).parents[1]

# Prints each result as it comes. What `Orchestrator` is made with stands on the command line. In place of tasks there
# may be the name of a run that is to go on, or what is to be refined.
PROGRAM = """
import json, sys
from parallel_agents import Budget, CircuitBreaker, Orchestrator, Rehearsal, RetryPolicy

tests, address, kind, journal, options, tasks = sys.argv[1:]
options = eval(options)
if address:
    sys.path.insert(0, tests)
    from standin import tools_at
    options["tools"] = tools_at(address, asynchronous=kind == "async")

def tell(result):
    print(result.task_id, result.status.value, file=sys.stderr, flush=True)

tasks = json.loads(tasks)
if isinstance(tasks, str):
    Orchestrator.resume(tasks, journal, callback=tell, **options)
elif isinstance(tasks, dict):
    Orchestrator(journal=journal, **options).run_iterative_refinement(**tasks, callback=tell)
else:
    Orchestrator(journal=journal, **options).run_parallel(tasks, callback=tell)
"""


def query(journal: Path, statement: str) -> list[Any]:
    """What SQLite itself says of a journal."""
    connection = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def change(journal: Path, statement: str) -> None:
    """Changes a journal as nobody does."""
    connection = sqlite3.connect(journal)
    connection.execute(statement)
    connection.commit()
    connection.close()


def only_run(journal: Path) -> dict[str, Any]:
    """The only run of a journal."""
    (run,) = journal_runs(journal)
    return run


def command(
    journal: Path, tasks: list[Any] | dict[str, Any] | str, options: str = "{}", address: str = "", kind: str = "sync"
) -> list[str]:
    """What runs `tasks`, or goes on with the run of that name, in another process."""
    return [sys.executable, "-c", PROGRAM, str(TESTS), address, kind, str(journal), options, json.dumps(tasks)]


def kill_after(journal: Path, tasks: list[Any], options: str, results: int) -> None:
    """Runs `tasks` in another process, and kills that after so many results."""
    with child.started(*command(journal, tasks, options)) as process:
        assert process.stderr is not None
        for _ in range(results):
            line = process.stderr.readline()
            assert line, "the process ended by itself"
        process.kill()
        process.wait()


class Killer:
    """An effect of a stand-in's call: the process that made it is dead before the call is over.

    Args:
        arrives: Whether what it asked for is done all the same.
    """

    def __init__(self, *, arrives: bool = True) -> None:
        self._arrives = arrives
        self._process: Any = None
        self._known = threading.Event()

    def watch(self, process: Any) -> None:
        self._process = process
        self._known.set()

    def __call__(self) -> None:
        self._known.wait()
        self._process.kill()
        self._process.wait()
        if not self._arrives:
            raise ConnectionError("it was killed")


def killed_run(
    standin: StandIn,
    journal: Path,
    tasks: list[Any] | dict[str, Any] | str,
    killer: Killer,
    *,
    options: str = "{}",
    asynchronous: bool = False,
) -> str:
    """Runs `tasks` over the stand-in in another process, or goes on with the run of that name; `killer` kills it. The
    run's id."""
    kind = "async" if asynchronous else "sync"
    with (
        apart(standin.tools(subagents=True, sessions=True)) as address,
        child.started(*command(journal, tasks, options, address, kind)) as process,
    ):
        killer.watch(process)
        errors = process.communicate(timeout=child.SECONDS_MAX)[1]
        assert process.returncode == -9, errors
    return str(only_run(journal)["run_id"])
