"""Every test here plays its agents: none may find a gateway that happens to run on this machine."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS_MAX = 30

# Modules ask for agent types while they are collected: none may find those of whoever runs the tests.
os.environ["OPENCLAW_STATE_DIR"] = os.path.join(os.path.dirname(__file__), "no-openclaw")  # noqa: PTH118, PTH120

# What the scenarios assert is told as in a test module.
pytest.register_assert_rewrite("conformance.scenarios")


@pytest.fixture
def closed_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(autouse=True)
def no_gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, closed_port: int) -> None:
    """Discovery ends at a port where nobody listens, here and in child processes."""
    for name in [name for name in os.environ if name.startswith("OPENCLAW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OPENCLAW_STATE_DIR", str(tmp_path / "no-openclaw"))
    monkeypatch.setenv("OPENCLAW_GATEWAY_PORT", str(closed_port))


@pytest.fixture
def ends() -> Iterator[None]:
    """Fails a test that has not ended by itself after half a minute; if it cannot be failed, ends the whole run."""

    def fail(signal_no: int, frame: object) -> None:
        # No `Exception`: what is being tested must not take it for a failure of a callable.
        pytest.fail(f"it has not ended after {SECONDS_MAX} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(SECONDS_MAX)
    faulthandler.dump_traceback_later(2 * SECONDS_MAX, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that has nothing installed."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return str(folder / "bin" / "python")
