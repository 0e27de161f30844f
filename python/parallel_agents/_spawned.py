"""Orchestrations that a program starts by `sessions_spawn(agent_type="agent_orchestrator")`, each told as a session."""

from __future__ import annotations

import os
import threading
import time
import uuid

from ._session import RunResults, Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._orchestration import Orchestration
    from ._orchestrator import Orchestrator

CLOSE_SECONDS_MAX = 20.0
"""How long the end of a program waits until agents are stopped."""


class Orchestrations:
    """Those of one program. Their runs go on by themselves; what became of them is looked at when somebody asks.

    Args:
        make: Makes an orchestrator of these options.
    """

    def __init__(self, make: Callable[..., Orchestrator]) -> None:
        self._make = make
        self._spawned: list[Spawned] = []

    def spawn(
        self,
        request: str,
        *,
        model: str | None = None,
        timeout: float | None = None,
        cleanup: str | None = None,
        label: str | None = None,
        agent_id: str | None = None,
    ) -> dict[str, Any]:
        """Starts one; what `sessions_spawn` answers."""
        options = {"model": model, "deadline_seconds": timeout or None, "cleanup": cleanup}
        orchestrator = self._make(**{name: value for name, value in options.items() if value is not None})
        spawned = Spawned(request, orchestrator, {"label": label, "agent_id": agent_id, "model": model})
        self._spawned.append(spawned)
        try:
            spawned.start()
        except BaseException:
            # Nobody knows its key. What has begun is stopped.
            self._spawned.remove(spawned)
            spawned.cancel("its start was interrupted")
            raise
        return {
            "status": "accepted",
            "childSessionKey": spawned.key,
            "sessionKey": spawned.key,
            "runId": spawned.run_id,
        }

    def __len__(self) -> int:
        return len(self._spawned)

    def rows(self, label: str | None = None) -> list[dict[str, Any]]:
        """Rows for `sessions_list`, the latest first."""
        rows = [each.row() for each in reversed(self._spawned)]
        return [row for row in rows if label is None or row.get("label") == label]

    def find(self, key: object) -> Spawned | None:
        return next((each for each in self._spawned if each.key == key), None)

    def close(self) -> int:
        """Stops those that run, and waits until their agents are stopped. How many there were."""
        running = [each for each in self._spawned if each.is_ours and each.is_running()]
        for each in running:
            each.cancel("the program ended")
        deadline = time.monotonic() + CLOSE_SECONDS_MAX
        for each in running:
            each.wait(deadline)
        return len(running)


class Spawned:
    """One orchestration."""

    def __init__(self, request: str, orchestrator: Orchestrator, named: dict[str, str | None]) -> None:
        self.key = f"orchestration:{uuid.uuid4()}"
        self.run_id = str(uuid.uuid4())
        self._request = request
        self._named = {name: value for name, value in named.items() if value is not None}
        self._session: Session = orchestrator._orchestrating(request, None, None, None, None)
        self._error: str | None = None
        self._is_cancelled = False
        # A thread of the process that this one was forked from runs no longer.
        self._process_id = os.getpid()
        self._created = self._ended = _now()
        self._lock = threading.RLock()

    @property
    def is_ours(self) -> bool:
        return self._process_id == os.getpid()

    def start(self) -> None:
        self._session.start()

    def is_running(self) -> bool:
        """Takes in what has happened since the last look."""
        with self._lock:
            if self._session.ended:
                return False
            try:
                for _ in self._session.poll():
                    pass
            except Exception as error:
                # It is told where it is asked for: in its row and its history.
                self._error = str(error)
            if self._session.ended:
                self._ended = _now()
            return not self._session.ended

    def cancel(self, reason: str) -> None:
        self._is_cancelled = True
        for run in self._session._started:
            run.cancel(reason, False)

    def wait(self, deadline: float) -> None:
        """Until it is over, or until `deadline`: then it is left behind."""
        while self.is_running():
            if time.monotonic() > deadline:
                for run in self._session._started:
                    run.cancel("it did not end in time", True)
                return
            self._session.advance(quiet=True)

    def _outcome(self) -> tuple[str, RunResults, Orchestration | None]:
        """The gateway's word for what became of it, and what that was."""
        results = self._session.results()
        done = results.orchestration
        if done is None:
            return "failed", results, None
        if done.status in ("completed", "partial"):
            return "done", results, done
        if done.status == "cancelled":
            return "killed" if self._is_cancelled else "timeout", results, done
        return "failed", results, done

    def row(self) -> dict[str, Any]:
        row = {
            "key": self.key,
            "runId": self.run_id,
            "agentId": "main",
            "kind": "other",
            "createdAt": self._created,
            "updatedAt": self._created,
            "totalTokens": 0,
            "status": "running",
            **self._named,
        }
        if self.is_running():
            return row
        status, results, done = self._outcome()
        tokens = [each.metadata["tokens"] for each in results.values()]
        row |= {"status": status, "updatedAt": self._ended, "endedAt": self._ended}
        # Programs without an eye for `status` take any tokens for the sign of an end.
        row["totalTokens"] = max(1, sum(each["total"] for each in tokens if each))
        error = self._error or (done.error if done else None)
        if done is not None and done.cost is not None:
            row["estimatedCostUsd"] = done.cost
        if status != "done" and error:
            row["error"] = error
        return row

    def messages(self) -> list[dict[str, Any]]:
        """What it was asked, and at its end what came of it: the report."""
        messages: list[dict[str, Any]] = [{"role": "user", "content": self._request}]
        if self.is_running():
            return messages
        status, _, done = self._outcome()
        content = done.report if done else self._error or "it ended without a word"
        if status == "done":
            messages.append({"role": "assistant", "content": content, "timestamp": self._ended})
        else:
            messages.append({"role": "custom", "content": content, "isError": True, "timestamp": self._ended})
        return messages


def _now() -> int:
    return int(time.time() * 1000)
