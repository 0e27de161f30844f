"""A WebSocket relay between a client and the gateway, to count what passes and to cut the line.

It reads the frames (the wire is JSON text), so a test can count requests per method, cut every socket at a chosen
moment, swallow an answer, or rewrite a request: a gateway that grants fewer scopes is the connect request with fewer
scopes asked for.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

Json = dict[str, Any]
Rewrite = Callable[[Json], Json]


class Proxy:
    """Relays between its own port and the gateway's, until `close`.

    Args:
        target: the port of the gateway on loopback.
        rewrite: what to make of each request before it is passed on.
    """

    def __init__(self, target: int, *, rewrite: Rewrite | None = None) -> None:
        self.requests: list[Json] = []
        self.answers: list[Json] = []
        self.connections = 0
        self._target = target
        self._rewrite = rewrite
        self._lock = threading.Lock()
        self._lines: set[_Line] = set()
        self._refuse_until = 0.0
        self._when: tuple[str, int, Callable[[], object]] | None = None
        self._server = serve(self._relay, "127.0.0.1", 0, max_size=None, compression=None, ping_interval=None)
        self.port: int = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="proxy", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    def methods(self) -> Counter[str]:
        """How many requests of each method the client has sent."""
        with self._lock:
            return Counter(str(request.get("method")) for request in self.requests)

    def refusals(self, method: str) -> int:
        """How many requests of this method the gateway has answered with `ok: false`."""
        with self._lock:
            ids = {request["id"] for request in self.requests if request.get("method") == method}
            return sum(1 for answer in self.answers if answer["id"] in ids and not answer.get("ok"))

    def wait_for(self, method: str, count: int, *, seconds: float = 120) -> None:
        """Waits until the client has sent `count` requests of a method."""
        deadline = time.monotonic() + seconds
        while self.methods()[method] < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited for {count} `{method}` requests, saw {dict(self.methods())}")
            time.sleep(0.02)

    def wait_connected(self, count: int, *, seconds: float = 120) -> None:
        """Waits until the client has connected for the `count`-th time."""
        deadline = time.monotonic() + seconds
        while self.connections < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited for {count} connections, saw {self.connections}")
            time.sleep(0.02)

    def cut(self, *, refuse_seconds: float = 0) -> int:
        """Breaks all connections without a close handshake; refuses new ones for a while. Says how many it broke."""
        with self._lock:
            self._refuse_until = time.monotonic() + refuse_seconds
            lines = list(self._lines)
        for line in lines:
            line.cut()
        return len(lines)

    def when(self, method: str, count: int, action: Callable[[], object]) -> None:
        """Acts once, when the `count`-th request of a method has been passed on."""
        self._when = (method, count, action)

    def cut_after(self, method: str, count: int) -> None:
        """Breaks the line once, when the `count`-th request of a method has been passed on: its answer is lost."""
        self.when(method, count, self.cut)

    def freeze(self) -> None:
        """Carries nothing more on the present connections, without breaking them, like a peer that fell asleep."""
        with self._lock:
            for line in self._lines:
                line.frozen.set()

    def close(self) -> None:
        self.cut()
        self._server.shutdown()
        self._thread.join(10)

    def _relay(self, client: ServerConnection) -> None:
        if time.monotonic() < self._refuse_until:
            client.socket.close()
            return
        url = f"ws://127.0.0.1:{self._target}/"
        try:
            with connect(url, max_size=None, compression=None, ping_interval=None, proxy=None) as gateway:
                self._relay_between(_Line(client, gateway))
        except (OSError, InvalidHandshake):
            client.socket.close()

    def _relay_between(self, line: _Line) -> None:
        with self._lock:
            self._lines.add(line)
            self.connections += 1
        back = threading.Thread(target=self._carry_answers, args=(line,), daemon=True)
        back.start()
        try:
            for raw in line.client:
                if line.frozen.is_set():
                    continue
                line.gateway.send(self._requested(raw))
                self._act()
        except (ConnectionClosed, OSError):
            line.cut()
        finally:
            with self._lock:
                self._lines.discard(line)
            line.gateway.close()
            back.join(10)

    def _act(self) -> None:
        if self._when is not None and self.methods()[self._when[0]] >= self._when[1]:
            action, self._when = self._when[2], None
            action()

    def _requested(self, raw: str | bytes) -> str:
        request: Json = json.loads(raw)
        if self._rewrite is not None:
            request = self._rewrite(request)
        with self._lock:
            self.requests.append(request)
        return json.dumps(request)

    def _carry_answers(self, line: _Line) -> None:
        try:
            for raw in line.gateway:
                frame: Json = json.loads(raw)
                if frame.get("type") == "res":
                    with self._lock:
                        self.answers.append(frame)
                if not line.frozen.is_set():
                    line.client.send(raw)
            line.client.close(line.gateway.close_code or 1006, line.gateway.close_reason or "")
        except (ConnectionClosed, OSError):
            line.cut()


MakeProxy = Callable[..., Proxy]
"""Puts a proxy before a gateway."""


class _Line:
    """One client and its connection to the gateway."""

    def __init__(self, client: ServerConnection, gateway: ClientConnection) -> None:
        self.client = client
        self.gateway = gateway
        self.frozen = threading.Event()

    def cut(self) -> None:
        for socket in (self.client.socket, self.gateway.socket):
            try:
                socket.shutdown(2)
            except OSError:
                continue


def without_admin(request: Json) -> Json:
    """A rewrite that takes the admin scope out of the connect request."""
    if request.get("method") != "connect":
        return request
    params = dict(request["params"])
    params["scopes"] = [scope for scope in params.get("scopes", []) if scope != "operator.admin"]
    return {**request, "params": params}
