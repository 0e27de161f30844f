"""Coroutines of the caller that go on beside a run: approvals and marks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    Take = Callable[[Any, BaseException | None], None]


class Asides:
    """Awaits what the caller's functions return, as tasks of the running loop.

    Args:
        wake: Called whenever one is done.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._under_way: dict[asyncio.Task[Any], tuple[Awaitable[Any], Take]] = {}

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def begin(self, awaitable: Awaitable[Any], take: Take) -> None:
        """Awaits it. `take` is later given what came of it, or what it raised: see `hand_over`."""
        task = asyncio.ensure_future(_outcome(awaitable))
        self._under_way[task] = (awaitable, take)
        task.add_done_callback(lambda _: self._wake())

    def hand_over(self) -> None:
        """Hands over what came of those that are done, in the order in which they were begun."""
        for task in [task for task in self._under_way if task.done()]:
            _, take = self._under_way[task]
            take(*self._taken(task))

    async def wait(self, other: asyncio.Future[Any]) -> None:
        """Until one of them is done, or `other` is."""
        await asyncio.wait({other, *self._under_way}, return_when=asyncio.FIRST_COMPLETED)

    def cancel(self) -> None:
        """Nobody wants to know any more."""
        for task in self._under_way:
            task.cancel()

    async def close(self) -> None:
        """Cancels them and waits until they have ended. What comes of them is dropped."""
        self.cancel()
        while self._under_way:
            await asyncio.wait(self._under_way)
            for task in [task for task in self._under_way if task.done()]:
                self._taken(task)

    def _taken(self, task: asyncio.Task[Any]) -> tuple[Any, BaseException | None]:
        awaitable, _ = self._under_way.pop(task)
        if not task.cancelled():
            outcome: tuple[Any, BaseException | None] = task.result()
            return outcome
        # It was cancelled before its first step, and never got to await it.
        if hasattr(awaitable, "close"):
            awaitable.close()
        return None, asyncio.CancelledError()


async def _outcome(awaitable: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    try:
        return await awaitable, None
    except BaseException as error:
        # Some would break the loop if they left the task.
        return None, error
