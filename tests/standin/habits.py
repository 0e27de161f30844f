"""How a stand-in behaves: what a real gateway does, each habit with a switch of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

MODELS = ("anthropic/claude-haiku-4-5", "kimi-coding/k2p5", "anthropic/claude-opus-4-5")


@dataclass(frozen=True)
class Habits:
    """What the gateway behind the callables does. All times are in its own seconds, see `speed`.

    Args:
        models: The models it knows; another is refused with status `error`. `None`: any is known.
        agents: The agents that are configured; another `agent_id` is refused with status `forbidden`.
        children_max: Children that may be alive at once; one more is refused with status `forbidden`.
        lane: Agents that work at once; the others wait, first come first served.
        settling_seconds: So long after its acceptance an agent that waits is still called `running`.
        vanish_seconds: How long a session with `cleanup="delete"` stays after its end.
        text_chars_max: What a history shows of one text before it is cut.
        keeps_run_timeouts: Whether `runTimeoutSeconds` ends an agent.
        tells_run_timeouts: Whether the row of one that goes on all the same says `timeout` from then on.
        premature_timeout_seconds: So long before an agent ends its row already says `timeout`, and keeps saying so.
        rows_default: Rows of a page that was asked for without a limit.
        rows_max: Rows that a page has at most.
        other_rows: Sessions in the list that belong to somebody else.
        done: The word for a finished agent. `None`: rows have no `status` at all, only `totalTokens`.
        spawn_seconds: Time that a spawn takes, in real seconds, as the next two.
        list_seconds: Time that one page of the list takes.
        history_seconds: Time that a history takes.
        speed: How much faster than the real clock the gateway's own runs.
    """

    models: tuple[str, ...] | None = None
    agents: tuple[str, ...] = ("main",)
    children_max: int | None = None
    lane: int | None = None
    settling_seconds: float = 0.0
    vanish_seconds: float = 2.0
    text_chars_max: int = 4000
    keeps_run_timeouts: bool = True
    tells_run_timeouts: bool = False
    premature_timeout_seconds: float | None = None
    rows_default: int = 100
    rows_max: int = 200
    other_rows: int = 1
    done: Literal["done", "completed"] | None = "done"
    spawn_seconds: float = 0.0
    list_seconds: float = 0.0
    history_seconds: float = 0.0
    speed: float = 1.0


@dataclass(frozen=True)
class Request:
    """What an agent was asked. `number` counts the children, from 0."""

    number: int
    prompt: str
    model: str
    label: str | None


@dataclass(frozen=True)
class Reply:
    """What an agent does: `seconds` of work, then its text, or the error it fails with.

    Args:
        wrote: What it writes at once, before it goes on with a tool.
        busy_seconds: So long it is seen to do something: its row is as new as the look.
    """

    text: str = ""
    seconds: float = 0.0
    error: str | None = None
    wrote: str = ""
    busy_seconds: float = 0.0


Answers = Callable[[Request], Reply]
