"""Every test here plays its agents: none may find a gateway that happens to run on this machine."""

from __future__ import annotations

import faulthandler
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

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
    """Ends the whole test run, with every thread's stack, if a test has not ended by itself after a minute."""
    faulthandler.dump_traceback_later(60, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
