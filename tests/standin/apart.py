"""A stand-in that other processes call: its agents go on when the process that started them dies.

with apart(standin.tools()) as address:
    ...  # another process: Orchestrator(tools=tools_at(address))
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from .shapes import Tools


@contextmanager
def apart(tools: Tools) -> Iterator[str]:
    """Answers calls of other processes by these plain callables, each on a thread of its own. Gives the address."""
    with tempfile.TemporaryDirectory() as folder:
        address = str(Path(folder) / "tools")
        listener = Listener(address)

        def serve() -> None:
            # The listener is closed when the block is left.
            with suppress(OSError):
                while True:
                    threading.Thread(target=_answer, args=(listener.accept(), tools), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield address
        finally:
            listener.close()


def _answer(connection: Connection, tools: Tools) -> None:
    # Whoever asked may be dead by now.
    with connection, suppress(OSError, EOFError):
        name, arguments = connection.recv()
        try:
            told = (True, getattr(tools, name)(**arguments))
        except Exception as error:
            told = (False, error)
        connection.send(told)


def tools_at(address: str, *, asynchronous: bool = False) -> Tools:
    """The callables of another process, by keyword; all five of them."""
    tools = Tools()
    for name in ("sessions_spawn", "sessions_list", "sessions_history", "subagents", "sessions"):
        setattr(tools, name, _callable(address, name, asynchronous))
    return tools


def _callable(address: str, name: str, asynchronous: bool) -> Callable[..., Any]:
    def call(**arguments: Any) -> Any:
        with Client(address) as connection:
            connection.send((name, arguments))
            succeeded, told = connection.recv()
        if not succeeded:
            raise told
        return told

    async def acall(**arguments: Any) -> Any:
        return await asyncio.to_thread(call, **arguments)

    return acall if asynchronous else call
