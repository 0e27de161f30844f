"""A journaled run in a process of its own, which a test freezes, kills or interrupts; and what its journal says."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parallel_agents import AgentTask

COMMAND = str(Path(sys.executable).parent / "parallel-agents")
ENDED_SECONDS_MAX = 120

PROGRAM = """
import json, sys
from parallel_agents import AgentTask, Gateway, Orchestrator, RunInterrupted

order = json.loads(sys.stdin.read())
tasks = [AgentTask(**fields) for fields in order["tasks"]]
orchestrator = Orchestrator(gateway=Gateway(path=order["path"]), **order["options"])
try:
    results = orchestrator.run_parallel(tasks)
except RunInterrupted as interrupted:
    results = interrupted.results
statuses = {name: result.status.value for name, result in results.items()}
print(json.dumps({"statuses": statuses, "report": orchestrator.report}))
"""


@dataclass(frozen=True)
class RecordedFact:
    """A fact as a journal shows it."""

    kind: str
    task: str | None
    body: dict[str, Any]


class RunApart:
    """A run in a child process."""

    def __init__(self, journal: Path, tasks: Sequence[AgentTask], path: str, options: dict[str, Any]) -> None:
        self.journal = journal
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_obey_interrupts,
        )
        assert self.process.stdin is not None
        fields = {"journal": str(journal), "max_concurrent": len(tasks), **options}
        order = {"tasks": [task.to_dict() for task in tasks], "path": path, "options": fields}
        self.process.stdin.write(json.dumps(order))
        self.process.stdin.close()
        self.process.stdin = None

    @property
    def id(self) -> str:
        """The run's name in its journal, once it has begun."""
        return run_ids(self.journal)[-1]

    def count(self, kind: str) -> int:
        """How many facts of a kind are in its journal."""
        if not self.journal.exists() or not run_ids(self.journal):
            return 0
        return sum(fact.kind == kind for fact in facts(self.journal, self.id))

    def freeze(self) -> None:
        """Lets it hear and do nothing more, without its knowing."""
        self.process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(ENDED_SECONDS_MAX)

    def end(self) -> dict[str, Any]:
        """Waits for its own end: `statuses` and `report`."""
        output, errors = self.process.communicate(timeout=ENDED_SECONDS_MAX)
        assert self.process.returncode == 0, errors
        ended: dict[str, Any] = json.loads(output)
        return ended


@contextlib.contextmanager
def run_apart(journal: Path, tasks: Sequence[AgentTask], *, path: str = "agent", **options: Any) -> Iterator[RunApart]:
    """Starts a run of `tasks`, all at once unless `options` of the orchestrator say otherwise. Killed at the end."""
    run = RunApart(journal, tasks, path, options)
    try:
        yield run
    finally:
        run.kill()
        for stream in (run.process.stdout, run.process.stderr):
            if stream is not None:
                stream.close()


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `parallel-agents` to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ENDED_SECONDS_MAX,
        env=os.environ,
        preexec_fn=_obey_interrupts,
    )


def run_ids(journal: Path) -> list[str]:
    """The runs that a journal keeps, oldest first."""
    return [row[0] for row in _rows(journal, "SELECT id FROM runs ORDER BY run")]


def facts(journal: Path, run_id: str) -> list[RecordedFact]:
    """What the journal says of a run. Not while this very process runs it: SQLite's locks would end with our look."""
    rows = _rows(journal, "SELECT kind, task, body FROM log WHERE run = ? ORDER BY no", run_id)
    return [RecordedFact(kind, task, json.loads(body)) for kind, task, body in rows]


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 120) -> None:
    """Waits for something that is on its way."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s until {what}")
        time.sleep(0.02)


def _rows(journal: Path, query: str, *parameters: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=10)) as database:
        try:
            return database.execute(query, parameters).fetchall()
        except sqlite3.OperationalError as error:
            # Its process is about to make it.
            if "no such table" in str(error):
                return []
            raise


def _obey_interrupts() -> None:
    # A shell's background jobs ignore Ctrl-C, and so would their children.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
