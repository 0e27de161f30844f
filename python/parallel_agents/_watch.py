"""Waits for sessions that somebody else started, by one shared look for all of them.

Calls the tools on the caller's thread. Knows nothing of how the sessions came to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from . import _answers
from ._errors import EventLoopError, OptionError, ParallelAgentsError
from ._tools import parameter_names, refuse_running_loop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

PAGE = 200
"""Rows asked for at once: the most that a gateway gives."""
PAGES_MAX = 1_000
"""Pages of one look. A list that never ends is broken."""
PAUSE_MIN, PAUSE_MAX = 0.05, 2.0
"""Seconds between two looks, at the least and, where looking is cheap, at the most."""
ABSENT_LOOKS_MAX = 3
"""Looks in a row that do not show a session, after which it is gone."""
ABSENT_MIN = 4.0
"""Seconds for which they must not: a busy gateway takes 1 to 3.6 s until it lists what it accepted."""
TIMEOUT_GRACE = 2.0
"""Seconds that a session which is said to be out of time may still take to answer."""


class Watch:
    """The session tools of a runtime, and what they told of some sessions.

    Args:
        tools: An object with `sessions_list` and `sessions_history`, each of them sync or `async def`.
    """

    def __init__(self, tools: object) -> None:
        self._list: Callable[..., Any] = _callable(tools, "sessions_list")
        self._history: Callable[..., Any] = _callable(tools, "sessions_history")
        self._list_names = parameter_names("sessions_list", self._list)
        self._history_names = parameter_names("sessions_history", self._history)
        self._loop: AbstractEventLoop | None = None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop is not None:
            self._loop.close()

    def text(self, key: str) -> str | None:
        """What the agent of a session wrote last, or `None`. A history that cannot be had is logged."""
        name = self._history_names.get("sessionKey")
        try:
            history = self._history(key) if name is None else self._history(**{name: key})
            return _answers.final_text(self._called(history))
        except EventLoopError:
            raise
        except Exception:
            _log(f"no history of session `{key}`")
            return None

    def until_ended(self, keys: Iterable[str], timeout: float) -> dict[str, str | None]:
        """Waits until all sessions have ended, or `timeout` seconds.

        Returns:
            Key to text, for those that ended; `None` for one that left no text.
        """
        start = monotonic()
        texts: dict[str, str | None] = {}
        waiting = {key: _Seen() for key in keys}
        while waiting:
            begun = monotonic()
            try:
                rows = self._look(set(waiting))
            except ParallelAgentsError:
                raise
            except Exception as error:
                left = timeout - (monotonic() - start)
                if left > 0:
                    _log("a look at the sessions failed; looking again")
                    sleep(min(PAUSE_MAX / 4, left))
                    continue
                # What they wrote may be had all the same.
                texts |= {key: text for key in waiting if (text := self.text(key)) is not None}
                if not texts:
                    raise error
                break
            for key, seen in list(waiting.items()):
                is_over = seen.is_over(rows.get(key), begun)
                text = self.text(key) if is_over or seen.may_have_answered(begun) else None
                if is_over or text is not None:
                    texts[key] = text
                    del waiting[key]
            # While another one works, those that are said to be out of time may be waiting for its place.
            if all(seen.is_given_up(begun) for seen in waiting.values()):
                texts |= {key: self.text(key) for key in waiting}
                waiting.clear()
            now = monotonic()
            left = timeout - (now - start)
            if not waiting or left <= 0:
                break
            # An end is found within a tenth of the time it took, and a tenth of the time goes into looking.
            pause = max(9 * (now - begun), min(max((now - start) / 10, PAUSE_MIN), PAUSE_MAX))
            sleep(min(pause, left))
        return texts

    def _look(self, awaited: set[str]) -> dict[str, Any]:
        """The rows of the awaited sessions: pages until each of them was seen, or there are no more."""
        found: dict[str, Any] = {}
        offset = 0
        for _ in range(PAGES_MAX):
            wanted = {"limit": PAGE, "offset": offset} if offset else {"limit": PAGE}
            names = self._list_names
            page = self._called(self._list(**{names[each] or each: wanted[each] for each in wanted if each in names}))
            page = _answers.unwrapped(page)
            if _answers.get(page, "ok") is False:
                raise RuntimeError(f"sessions_list answered {page!r}")
            for row in _answers.rows(page):
                key = _answers.session_key(row)
                if key in awaited:
                    found[key] = row
            following = _answers.next_offset(page)
            if following is None or following <= offset or "offset" not in names or len(found) == len(awaited):
                break
            offset = following
        return found

    def _called(self, answer: Any) -> Any:
        """The answer of a call; that of an `async def` is awaited on a loop of this watch."""
        if not hasattr(answer, "__await__"):
            return answer
        import asyncio

        try:
            refuse_running_loop()
        except EventLoopError:
            answer.close()
            raise EventLoopError(
                "the injected callables need an event loop, and one is running in this thread; call this function by "
                "`await asyncio.to_thread(...)`"
            ) from None
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(_awaited(answer))


class _Seen:
    """What the looks so far told of one session."""

    def __init__(self) -> None:
        self._absent = 0
        self._absent_since: float | None = None
        self._timed_out: float | None = None
        self._read_again = 0.0

    def is_over(self, row: object, now: float) -> bool:
        """Whether it has ended for certain, by a look at `now` that showed this row, or none."""
        if row is None:
            self._absent += 1
            if self._absent_since is None:
                self._absent_since = now
            return self._absent >= ABSENT_LOOKS_MAX and now - self._absent_since >= ABSENT_MIN
        self._absent, self._absent_since = 0, None
        if not _answers.says_timeout(row):
            self._timed_out = None
            return _answers.has_ended(row)
        # This status counts the time in a queue as well: the agent may still be at work, and the row never say so.
        if self._timed_out is None:
            self._timed_out = now
        return False

    def may_have_answered(self, now: float) -> bool:
        """Whether to read what it wrote, although it is only said to be out of time: at pauses that grow."""
        if self._timed_out is None or now < self._read_again:
            return False
        self._read_again = now + max(PAUSE_MIN, (now - self._timed_out) / 4)
        return True

    def is_given_up(self, now: float) -> bool:
        """Whether it has been said to be out of time for long enough."""
        return self._timed_out is not None and now - self._timed_out >= TIMEOUT_GRACE


def _log(text: str) -> None:
    import logging

    logging.getLogger("parallel_agents").warning(text, exc_info=True)


async def _awaited(answer: Any) -> Any:
    return await answer


def _callable(tools: object, name: str) -> Callable[..., Any]:
    found = getattr(tools, name, None)
    if not callable(found):
        raise OptionError(f"the tools have no callable `{name}`, which is needed to read sessions")
    return found  # type: ignore[no-any-return]
