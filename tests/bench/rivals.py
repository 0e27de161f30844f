"""Programs that do the same without us, as one would write them by hand over the same three callables.

Each starts an agent per prompt, at most `limit` at once, finds out by looks that all agents share which have ended, and
parses what they answered. None of them has retries that know a reason, timeouts, a hierarchy of models, dependencies,
schemas, cancellation, or an account of its children.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential


class Callables(Protocol):
    """What an agent runtime injects."""

    @property
    def sessions_spawn(self) -> Callable[..., Any]: ...
    @property
    def sessions_list(self) -> Callable[..., Any]: ...
    @property
    def sessions_history(self) -> Callable[..., Any]: ...


Rival = Callable[[Callables, list[str], str, int], list[Any]]
ROWS = 200


def bare_loop(tools: Callables, prompts: list[str], model: str, limit: int) -> list[Any]:
    """No more than has to be done."""
    outputs: list[Any] = [None] * len(prompts)
    waiting: dict[str, int] = {}
    started = 0
    while started < len(prompts) or waiting:
        while started < len(prompts) and len(waiting) < limit:
            answer = spawn(tools, prompts[started], model, started)
            waiting[answer["childSessionKey"]] = started
            started += 1
        for key in ended(tools, waiting):
            outputs[waiting.pop(key)] = answer_of(tools, key)
    return outputs


def state_machine(tools: Callables, prompts: list[str], model: str, limit: int) -> list[Any]:
    """The decisions apart from the calls, as a machine that is told and asked."""
    machine = Machine(len(prompts), limit)
    while not machine.over:
        while (index := machine.next_spawn()) is not None:
            machine.handle_spawned(index, spawn(tools, prompts[index], model, index)["childSessionKey"])
        for key in ended(tools, machine.waiting):
            machine.handle_ended(key)
        while (key_to_read := machine.next_read()) is not None:
            machine.handle_text(key_to_read, answer_of(tools, key_to_read))
    return machine.outputs


class Machine:
    """Which task is next, which agents are waited for, which answers are still to be read."""

    def __init__(self, count: int, limit: int) -> None:
        self.outputs: list[Any] = [None] * count
        self.waiting: dict[str, int] = {}
        self._ready = deque(range(count))
        self._to_read: deque[str] = deque()
        self._limit = limit
        self._left = count

    @property
    def over(self) -> bool:
        return self._left == 0

    def next_spawn(self) -> int | None:
        return self._ready.popleft() if self._ready and len(self.waiting) < self._limit else None

    def next_read(self) -> str | None:
        return self._to_read.popleft() if self._to_read else None

    def handle_spawned(self, index: int, key: str) -> None:
        self.waiting[key] = index

    def handle_ended(self, key: str) -> None:
        self._to_read.append(key)

    def handle_text(self, key: str, output: Any) -> None:
        self.outputs[self.waiting.pop(key)] = output
        self._left -= 1


def asyncio_tenacity(tools: Callables, prompts: list[str], model: str, limit: int) -> list[Any]:
    """A coroutine per task, a semaphore, `tenacity` for the retries, and one more coroutine that looks for all."""
    return asyncio.run(_gathered(tools, prompts, model, limit))


class AgentError(Exception):
    """An agent was not started, or gave no JSON."""


async def _gathered(tools: Callables, prompts: list[str], model: str, limit: int) -> list[Any]:
    semaphore = asyncio.Semaphore(limit)
    waiting: dict[str, asyncio.Future[None]] = {}
    wake = asyncio.Event()

    @retry(
        stop=stop_after_attempt(3),
        wait=wait_random_exponential(multiplier=1, max=30),
        retry=retry_if_exception_type(AgentError),
        reraise=True,
    )
    async def attempt(index: int) -> Any:
        answer = spawn(tools, prompts[index], model, index)
        if answer.get("status") != "accepted":
            raise AgentError(answer)
        key = answer["childSessionKey"]
        ended_now = waiting[key] = asyncio.get_running_loop().create_future()
        wake.set()
        await ended_now
        try:
            return answer_of(tools, key)
        except ValueError as error:
            raise AgentError from error

    async def run(index: int) -> Any:
        async with semaphore:
            return await attempt(index)

    async def look() -> None:
        while True:
            await wake.wait()
            # Whoever is ready to start does so before the look.
            await asyncio.sleep(0)
            for key in ended(tools, waiting):
                waiting.pop(key).set_result(None)
            if not waiting:
                wake.clear()

    looking = asyncio.create_task(look())
    try:
        return await asyncio.gather(*(run(index) for index in range(len(prompts))))
    finally:
        looking.cancel()


def spawn(tools: Callables, prompt: str, model: str, index: int) -> Any:
    """Starts an agent with the parameters that our library gives."""
    return tools.sessions_spawn(
        task=prompt,
        model=model,
        runTimeoutSeconds=120,
        cleanup="keep",
        label=f"task-{index}",
        expectsCompletionMessage=False,
    )


def ended(tools: Callables, waiting: dict[str, Any]) -> list[str]:
    """One look: pages until each awaited session was seen. Returns those that have ended."""
    keys = []
    unseen = len(waiting)
    offset = 0
    while True:
        page = tools.sessions_list(limit=ROWS, offset=offset)
        for row in page["sessions"]:
            if row["key"] in waiting:
                unseen -= 1
                if row["status"] == "done":
                    keys.append(row["key"])
        if unseen <= 0 or not page["hasMore"]:
            return keys
        offset = page["nextOffset"]


def answer_of(tools: Callables, key: str) -> Any:
    """The last message of a session, parsed."""
    message = tools.sessions_history(sessionKey=key)["messages"][-1]
    return json.loads(message["content"][0]["text"])


RIVALS: dict[str, Rival] = {
    "bare loop": bare_loop,
    "plain Python state machine": state_machine,
    "asyncio + Semaphore + tenacity": asyncio_tenacity,
}
