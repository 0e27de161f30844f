"""Drives a run of injected callables on the running event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import Any

    from . import _core


class Pump:
    """Makes a run's calls on the loop: plain functions at once, coroutines as tasks, all beside each other.

    Args:
        run: The run.
        threads: How many threads may make the calls of plain functions instead of the loop's.
    """

    def __init__(self, run: _core.ToolRun, threads: int | None) -> None:
        self._run = run
        self._threads = threads
        self._pool: Any = None
        self._wake = asyncio.Event()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._withdrawn: set[int] = set()
        self._broken: BaseException | None = None

    async def steps(self) -> AsyncGenerator[None, None]:
        """Goes on, and pauses whenever there may be an event. Leave it when the run is over.

        Raises:
            BaseException: What a callable raised that is no `Exception`. The run still has to be cancelled.
        """
        loop = asyncio.get_running_loop()
        descriptor = self._run.fileno()
        loop.add_reader(descriptor, self._woken)
        try:
            while True:
                while (call := self._run.next_call()) is not None:
                    self._make(*call)
                for number in self._run.withdrawn():
                    self._withdraw(number)
                if self._broken is not None:
                    broken, self._broken = self._broken, None
                    raise broken
                yield
                await self._pause()
        finally:
            loop.remove_reader(descriptor)

    def wake(self) -> None:
        """Something else than a call is done."""
        self._wake.set()

    async def close(self) -> None:
        """Ends what is still under way of calls that nobody waits for."""
        tasks = list(self._tasks.values())
        for number in list(self._tasks):
            self._withdraw(number)
        if tasks:
            await asyncio.wait(tasks, timeout=1)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _withdraw(self, number: int) -> None:
        if number in self._tasks:
            self._withdrawn.add(number)
            self._tasks[number].cancel()

    def _woken(self) -> None:
        self._run.drain()
        self._wake.set()

    async def _pause(self) -> None:
        pause = self._run.pause()
        if pause == 0:
            # Others on the loop have their turn all the same.
            await asyncio.sleep(0)
            return
        # Not `wait_for`: before Python 3.12 it swallows a cancellation that comes together with the wake-up.
        timer = None if pause is None else asyncio.get_running_loop().call_later(pause, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self._wake.clear()

    def _make(self, number: int, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        try:
            answer = self._call(function, arguments)
        except Exception as error:
            self._run.raised(number, error)
        except BaseException as error:
            self._run.raised(number, error)
            raise
        else:
            if hasattr(answer, "__await__"):
                task = asyncio.ensure_future(self._finish(number, answer))
                # An eager one may be done by now.
                if not task.done():
                    self._tasks[number] = task
                    task.add_done_callback(lambda _: self._never_begun(number, answer))
            else:
                self._run.answered(number, answer)

    def _never_begun(self, number: int, awaitable: Awaitable[Any]) -> None:
        # A task that is cancelled before its first step never gets to say so itself.
        if self._tasks.pop(number, None) is not None:
            if hasattr(awaitable, "close"):
                awaitable.close()
            self._run.raised(number, asyncio.CancelledError())
            self._wake.set()

    def _call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if self._threads is None or getattr(function, "is_async", False):
            return function(*arguments)
        import contextvars
        import functools
        from concurrent.futures import ThreadPoolExecutor

        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="parallel-agents-tools")
        call = functools.partial(contextvars.copy_context().run, _without_stop_iteration, function, arguments)
        return asyncio.get_running_loop().run_in_executor(self._pool, call)

    async def _finish(self, number: int, awaitable: Awaitable[Any]) -> None:
        try:
            answer = await awaitable
            if hasattr(answer, "__await__"):
                # What a plain function on a thread of the pool returned.
                answer = await answer
        except Exception as error:
            self._run.raised(number, error)
        except BaseException as error:
            self._run.raised(number, error)
            # The run ends with it, in its own task: raised from here it would break the loop. A cancellation of ours is
            # no reason to end the run.
            if not (isinstance(error, asyncio.CancelledError) and number in self._withdrawn):
                self._broken = error
        else:
            self._run.answered(number, answer)
        finally:
            self._tasks.pop(number, None)
            self._wake.set()


def _without_stop_iteration(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        return function(*arguments)
    except StopIteration as error:
        # A future cannot carry it, and would never be done.
        raise RuntimeError("it raised StopIteration") from error
