"""What a stand-in knows of its children and of the calls that were made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from .habits import Reply

Fate = Literal["done", "failed", "timeout", "killed"]


@dataclass(slots=True)
class Child:
    """One agent that was really started. Times are the stand-in's own, `None` for what has not happened.

    Attributes:
        arguments: What `sessions_spawn` was called with.
        reply: What it was going to say.
        fate: How it ended; `None` while it waits or works.
    """

    number: int
    key: str
    run_id: str
    arguments: dict[str, Any]
    reply: Reply
    row: dict[str, Any] = field(repr=False)
    accepted: float
    started: float | None = None
    ends: float = 0.0
    ended: float | None = None
    fate: Fate | None = None
    deleted: bool = False

    @property
    def alive(self) -> bool:
        return self.ended is None

    @property
    def prompt(self) -> str:
        return str(self.arguments["task"])

    @property
    def model(self) -> str:
        return str(self.arguments.get("model") or "")

    @property
    def label(self) -> str:
        return str(self.arguments.get("label") or "")

    @property
    def run_timeout(self) -> float:
        """Seconds, 0 for none."""
        return float(self.arguments.get("runTimeoutSeconds") or 0)


@dataclass(slots=True)
class Call:
    """One call of a callable. `begun` and `over` are readings of `time.monotonic`."""

    tool: str
    arguments: dict[str, Any]
    thread: int
    begun: float
    over: float | None = None
    ends_seen: int = 0


@dataclass(frozen=True)
class Look:
    """One look at the list: its first page and those that followed it.

    Attributes:
        news: How many agents had ended since the look before.
    """

    begun: float
    over: float
    pages: int
    news: int

    @property
    def seconds(self) -> float:
        return self.over - self.begun


def looks_of(calls: list[Call]) -> list[Look]:
    """The looks that a series of calls amounts to."""
    looks: list[Look] = []
    seen = 0
    for call in calls:
        if call.tool != "sessions_list" or call.over is None:
            continue
        if call.arguments.get("offset") and looks:
            last = looks[-1]
            looks[-1] = Look(last.begun, call.over, last.pages + 1, last.news + call.ends_seen - seen)
        else:
            looks.append(Look(call.begun, call.over, 1, call.ends_seen - seen))
        seen = call.ends_seen
    return looks
