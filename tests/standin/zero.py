"""Callables whose agents have ended as soon as they are started: what is left is what their caller costs.

They answer in dicts, have no habits and keep no account beyond the rows of their sessions, so that a bare loop over
them takes a few microseconds per agent.
"""

from __future__ import annotations

from typing import Any


class ZeroLatency:
    """The callables over `count` agents that were all prepared in advance.

    Args:
        count: Agents that can be started; their sessions stay.
        text: What each of them answers.
        ends: Whether they end. If not, all stay in flight until `end_all`.

    Attributes:
        spawned: How many were started.
        pages: How many pages of the list were asked for.
    """

    def __init__(self, count: int, text: str, *, ends: bool = True) -> None:
        self.spawned = 0
        self.pages = 0
        status = "done" if ends else "running"
        keys = [f"agent:main:subagent:00000000-0000-4000-8000-{number:012x}" for number in range(count)]
        self._rows = [{"key": key, "status": status, "totalTokens": 1200, "updatedAt": 0} for key in keys]
        self._accepted = [
            {"status": "accepted", "childSessionKey": key, "runId": key[-36:], "mode": "run"} for key in keys
        ]
        message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
        self._history = {"messages": [{"role": "user", "content": "…"}, message], "contentTruncated": False}

    def end_all(self) -> None:
        """Ends every agent."""
        for row in self._rows:
            row["status"] = "done"

    def sessions_spawn(
        self,
        *,
        task: str,
        model: str | None = None,
        runTimeoutSeconds: float | None = None,  # noqa: N803, the tool's own spelling
        cleanup: str = "keep",
        label: str | None = None,
        expectsCompletionMessage: bool = True,  # noqa: N803
    ) -> dict[str, Any]:
        number = self.spawned
        self.spawned = number + 1
        return self._accepted[number]

    def sessions_list(self, *, limit: int = 100, offset: int = 0) -> dict[str, Any]:
        """A page of the newest sessions first, 200 at most."""
        self.pages += 1
        last = self.spawned - offset
        first = max(last - min(limit, 200), 0)
        rows = self._rows[first:last]
        rows.reverse()
        if first:
            return {"sessions": rows, "hasMore": True, "nextOffset": offset + len(rows)}
        return {"sessions": rows, "hasMore": False}

    def sessions_history(self, *, sessionKey: str) -> dict[str, Any]:  # noqa: N803
        return self._history
