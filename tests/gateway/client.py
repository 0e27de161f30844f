"""A small synchronous client of the gateway's WebSocket protocol, for assertions and for the harness's own tests.

One socket, one thread: `send` writes a request, `answer` reads frames until the wanted one is there. It knows that
an `agent` request is answered twice under the same id, and keeps all events it came across.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

Json = dict[str, Any]

READ = ("operator.read",)
WRITE = ("operator.read", "operator.write")
ADMIN = ("operator.read", "operator.write", "operator.admin")


class RefusedError(Exception):
    """The gateway answered a request with `ok: false`."""

    def __init__(self, method: str, frame: Json) -> None:
        error: Json = frame.get("error") or {}
        self.frame = frame
        self.code = str(error.get("code", ""))
        self.details: Json = error.get("details") or {}
        super().__init__(f"`{method}` refused with {self.code}: {error.get('message')} {self.details or ''}")


class Client:
    """A connected operator.

    Raises:
        RefusedError: the gateway does not accept the connect request.
        OSError: nothing listens there.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        scopes: Sequence[str] = ADMIN,
        caps: Sequence[str] = ("session-scoped-events",),
        open_timeout: float = 10,
    ) -> None:
        self.events: list[tuple[float, Json]] = []
        self._ids = itertools.count(1)
        self._methods: dict[str, str] = {}
        self._frames: dict[str, list[tuple[float, Json]]] = {}
        self._stack = contextlib.ExitStack()
        # Proxies of the environment are for the outside world, and the gateway is on loopback.
        opened = connect(url, max_size=None, open_timeout=open_timeout, proxy=None, ping_interval=None)
        self._socket = self._stack.enter_context(opened)
        try:
            self._read(open_timeout)  # connect.challenge
            params = {
                "minProtocol": 4,
                "maxProtocol": 4,
                "client": {"id": "gateway-client", "version": "0", "platform": "linux", "mode": "backend"},
                "role": "operator",
                "scopes": list(scopes),
                "caps": list(caps),
                "auth": {"token": token},
            }
            self.hello = self.call("connect", params, seconds=open_timeout)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def send(self, method: str, params: Json | None = None) -> str:
        """Sends a request without waiting; returns its id."""
        id = f"t{next(self._ids)}"
        self._methods[id] = method
        self._frames[id] = []
        self._socket.send(json.dumps({"type": "req", "id": id, "method": method, "params": params or {}}))
        return id

    def answer(self, id: str, *, final: bool = False, seconds: float = 60) -> Json:
        """The first answer to a request, or the one after `accepted` when `final` is asked for, as a whole frame."""
        return self.answer_at(id, final=final, seconds=seconds)[1]

    def answer_at(self, id: str, *, final: bool = False, seconds: float = 60) -> tuple[float, Json]:
        deadline = time.monotonic() + seconds
        while True:
            for at, frame in self._frames[id]:
                if not final or (frame.get("payload") or {}).get("status") != "accepted":
                    return at, frame
            self._read(deadline - time.monotonic())

    def call(self, method: str, params: Json | None = None, *, seconds: float = 60) -> Json:
        """The payload of the first answer.

        Raises:
            RefusedError: the answer is `ok: false`.
            TimeoutError: there was none in time.
        """
        frame = self.answer(self.send(method, params), seconds=seconds)
        if not frame.get("ok"):
            raise RefusedError(method, frame)
        payload: Json = frame.get("payload") or {}
        return payload

    def listen(self, seconds: float) -> None:
        """Keeps reading for a while, to collect events."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._read(left)
            except TimeoutError:
                return

    def _read(self, seconds: float) -> None:
        frame: Json = json.loads(self._socket.recv(timeout=max(seconds, 0)))
        now = time.monotonic()
        if frame.get("type") == "res":
            self._frames.setdefault(frame["id"], []).append((now, frame))
        else:
            self.events.append((now, frame))


def connect_when_ready(url: str, token: str, *, seconds: float = 120, scopes: Sequence[str] = ADMIN) -> Client:
    """Connects to a gateway that may still be starting.

    Raises:
        TimeoutError: it did not accept in time; the last refusal is its cause.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return Client(url, token, scopes=scopes)
        except (OSError, ConnectionClosed, InvalidStatus, TimeoutError, RefusedError) as error:
            if isinstance(error, RefusedError) and error.code != "UNAVAILABLE":
                raise
            if time.monotonic() > deadline:
                raise TimeoutError(f"the gateway at {url} did not accept a connection in {seconds} s") from error
            time.sleep(0.1)
