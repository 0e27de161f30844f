"""Callables whose agents have ended as soon as they are started: what is left is what their caller costs.

They answer in dicts, have no habits and keep no account beyond the rows of their sessions, so that a bare loop over
them takes a few microseconds per agent.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4


class ZeroLatency:
    """The callables over agents that answer at once.

    Args:
        text: What each of them answers.
        ends: Whether they end. If not, all stay in flight until `end_all`.

    Attributes:
        pages: How many pages of the list were asked for.
    """

    def __init__(self, text: str, *, ends: bool = True) -> None:
        self.pages = 0
        self._text = text
        self._status = "done" if ends else "running"
        self._rows: list[dict[str, Any]] = []

    @property
    def spawned(self) -> int:
        """How many agents were started."""
        return len(self._rows)

    def end_all(self) -> None:
        """Ends every agent."""
        self._status = "done"
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
        run_id = str(uuid4())
        key = "agent:main:subagent:" + run_id
        row = {"key": key, "kind": "other", "label": label, "updatedAt": 0, "totalTokens": 1200, "status": self._status}
        self._rows.append(row)
        return {
            "status": "accepted",
            "childSessionKey": key,
            "runId": run_id,
            "mode": "run",
            "expectsCompletionMessage": expectsCompletionMessage,
            "context": "isolated",
            "note": "Quiet run: no completion notification is sent. Do not wait for an announcement.",
            "resolvedModel": model,
            "modelApplied": True,
        }

    def sessions_list(self, *, limit: int = 100, offset: int = 0) -> dict[str, Any]:
        """A page of the newest sessions first, 200 at most."""
        self.pages += 1
        last = len(self._rows) - offset
        first = max(last - min(limit, 200), 0)
        rows = self._rows[first:last]
        rows.reverse()
        page: dict[str, Any] = {"count": len(rows), "sessions": rows, "hasMore": first > 0, "limitApplied": limit}
        if first:
            page["nextOffset"] = offset + len(rows)
        return page

    def sessions_history(self, *, sessionKey: str) -> dict[str, Any]:  # noqa: N803
        answer = {"role": "assistant", "content": [{"type": "text", "text": self._text}]}
        return {
            "sessionKey": sessionKey,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "…"}]}, answer],
            "truncated": False,
            "droppedMessages": False,
            "contentTruncated": False,
            "contentRedacted": False,
        }
