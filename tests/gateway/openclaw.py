"""A real OpenClaw gateway as a child process: own port, own state folder, own token, stopped with SIGKILL."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from .client import ADMIN, Client, connect_when_ready
from .install import Install
from .provider import Provider

READY_SECONDS_MAX = 180
# The gateway ends with us however we end: our end of the pipe closes, and its shell kills the group.
LEASHED = '("$@" </dev/null; kill -9 0) & read -r _; kill -9 0'
# In which the gateway's agent wakes up by itself, for example some time after a command of `exec` has ended.
OWN_SESSION = "agent:main:main"
KEPT_VARIABLES = ("PATH", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "SHELL", "USER")


@dataclass(frozen=True)
class Model:
    """A model as the gateway's configuration lists it; prices are per million tokens."""

    name: str
    input_price: float
    output_price: float


HAIKU = Model("anthropic/claude-haiku-4-5", 1.0, 5.0)
K2P5 = Model("kimi-coding/k2p5", 0.6, 3.0)
OPUS = Model("anthropic/claude-opus-4-5", 5.0, 25.0)
HIERARCHY = (HAIKU, K2P5, OPUS)


@dataclass(frozen=True)
class Options:
    """What a test may want different about a gateway."""

    models: Sequence[Model] = HIERARCHY
    children_max: int = 20
    subagents_concurrent: int = 64
    main_concurrent: int = 64
    allow_tools: Sequence[str] = ("sessions_spawn",)
    environment: dict[str, str] = field(default_factory=dict)
    """Further variables of the gateway's process."""
    extra: dict[str, Any] = field(default_factory=dict)
    """What else the configuration has, merged into it key by key; `None` takes a key away."""


class Gateway:
    """A gateway that answers, from `start` to `close`.

    Raises:
        TimeoutError: it did not become ready; the message carries the end of its log.
    """

    def __init__(self, install: Install, provider: Provider, options: Options | None = None) -> None:
        self.install = install
        self.options = options or Options()
        self.token = secrets.token_hex(16)
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="openclaw-gateway-"))
        self.state = self.folder / "state"
        self.workspace = self.folder / "workspace"
        self.home = self.folder / "home"
        self.config = self.folder / "openclaw.json"
        self._log = self.folder / "gateway.log"
        self._process: subprocess.Popen[bytes] | None = None
        for folder in (self.state, self.workspace, self.home):
            folder.mkdir()
        self.config.write_text(json.dumps(self._configuration(provider), indent=1))

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    @property
    def log(self) -> str:
        """All that the gateway has printed so far, over its restarts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.splitlines()[-lines:])

    @property
    def env(self) -> dict[str, str]:
        """What a program beside this gateway finds in its environment."""
        return {
            "OPENCLAW_STATE_DIR": str(self.state),
            "OPENCLAW_CONFIG_PATH": str(self.config),
            "OPENCLAW_GATEWAY_PORT": str(self.port),
        }

    def start(self) -> Gateway:
        """Launches the process and waits until it accepts a connection."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> None:
        """Launches the process without waiting."""
        assert self._process is None, "the gateway is already running"
        gateway = [str(self.install.node), str(self.install.openclaw), "gateway", "run", "--port", str(self.port)]
        with self._log.open("ab") as log:
            # A session of its own, so that SIGKILL reaches all of its children and nothing else.
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", LEASHED, "sh", *gateway],
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, seconds: float = READY_SECONDS_MAX) -> None:
        deadline = time.monotonic() + seconds
        while not self._is_healthy():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > deadline:
                state = "ended" if ended else f"not healthy after {seconds} s"
                raise TimeoutError(f"the gateway on port {self.port} is {state}; its log ends:\n{self.tail()}")
            time.sleep(0.1)
        try:
            connect_when_ready(self.url, self.token, seconds=max(deadline - time.monotonic(), 1)).close()
        except TimeoutError as error:
            raise TimeoutError(f"{error}; its log ends:\n{self.tail()}") from error

    def kill(self) -> None:
        """SIGKILL to the process group it was started with. SIGTERM would drain for up to five minutes."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.let_go()

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def group(self) -> int:
        """The process group of the gateway and all of its children."""
        assert self._process is not None, "the gateway is not running"
        return self._process.pid

    def let_go(self) -> None:
        """Closes our end of the pipe, as our own end would, and waits for the gateway's."""
        assert self._process is not None, "the gateway is not running"
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process = None

    def restart(self) -> None:
        """SIGKILL, then a new process on the same port and state folder."""
        self.kill()
        self.start()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Gateway:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def client(self, *, scopes: Sequence[str] = ADMIN) -> Client:
        return connect_when_ready(self.url, self.token, scopes=scopes)

    def sessions(self) -> set[str]:
        """The keys of all sessions that the gateway stores, but for its own."""
        with self.client() as client:
            return {str(row["key"]) for row in _pages(client, {})} - {OWN_SESSION}

    def live_sessions(self) -> set[str]:
        """The keys of the sessions in which a run is going on or waits for its turn, but for the gateway's own."""
        with self.client() as client:
            active = {str(row["key"]) for row in _pages(client, {"activeOnly": True})}
            tasks = client.call("tasks.list", {"status": ["queued", "running"], "limit": 500})["tasks"]
        # A queued run is no active session for its first moments, but it has its task.
        waiting = {str(task["childSessionKey"]) for task in tasks if task.get("childSessionKey")}
        return (active | waiting) - {OWN_SESSION}

    def wait_until_live(self, count: int, seconds: float = 120) -> None:
        """Waits until at least `count` sessions are live, running or queued."""
        deadline = time.monotonic() + seconds
        while len(live := self.live_sessions()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited for {count} live sessions, saw {sorted(live)}")
            time.sleep(0.2)

    def _environment(self) -> dict[str, str]:
        """Nothing of the developer's own: a key or a login found there would make real models usable."""
        kept = {name: value for name, value in self.install.environment().items() if name in KEPT_VARIABLES}
        fixed = {"HOME": str(self.home), "OPENCLAW_SKIP_CHANNELS": "1", "NO_COLOR": "1"}
        return {**kept, **fixed, **self.env, **self.options.environment}

    def _is_healthy(self) -> bool:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def _configuration(self, provider: Provider) -> dict[str, Any]:
        options = self.options
        configuration = {
            "gateway": {
                "mode": "local",
                "port": self.port,
                "bind": "loopback",
                "auth": {"mode": "token", "token": self.token},
                "tools": {"allow": list(options.allow_tools)},
            },
            "logging": {"file": str(self.folder / "openclaw.log")},
            # No request may leave the machine: neither for updates and catalogs, nor for the plugin that the
            # name `kimi-coding` would have it install at every start.
            "update": {"checkOnStart": False},
            "plugins": {"entries": {"kimi": {"enabled": False}}},
            "models": {"catalogRefresh": {"enabled": False}, "providers": _providers(options.models, provider)},
            "agents": {
                "defaults": {
                    "model": {"primary": options.models[-1].name},
                    "workspace": str(self.workspace),
                    "skipBootstrap": True,
                    "maxConcurrent": options.main_concurrent,
                    "subagents": {
                        "maxConcurrent": options.subagents_concurrent,
                        "maxChildrenPerAgent": options.children_max,
                    },
                }
            },
        }
        return _merged(configuration, options.extra)


OwnGateway = Callable[..., Gateway]
"""Makes a started gateway, from `Options` if given, for one test alone."""


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged


def _providers(models: Sequence[Model], provider: Provider) -> dict[str, Any]:
    providers: dict[str, Any] = {}
    for model in models:
        name, id = model.name.split("/", 1)
        entry = providers.setdefault(
            name, {"baseUrl": provider.url(name), "apiKey": "scripted", "api": "openai-completions", "models": []}
        )
        entry["models"].append(
            {
                "id": id,
                "name": id,
                "contextWindow": 200_000,
                "maxTokens": 100_000,
                "input": ["text"],
                "reasoning": False,
                "cost": {"input": model.input_price, "output": model.output_price, "cacheRead": 0, "cacheWrite": 0},
            }
        )
    return providers


def _pages(client: Client, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        page = client.call("sessions.list", {**params, "limit": 200, "offset": offset})
        yield from page["sessions"]
        if not page.get("hasMore"):
            return
        offset = page["nextOffset"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
