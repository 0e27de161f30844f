"""What `make wheel` and `make docs` have left in the checkout, and machines to try it on."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from . import bare

REPOSITORY = Path(__file__).resolve().parents[2]


def only(folder: Path, pattern: str, target: str) -> Path:
    found = list(folder.glob(pattern))
    assert len(found) == 1, f"{folder} holds {len(found)} files {pattern}, expected one: run `make {target}`"
    return found[0]


@pytest.fixture(scope="session")
def wheel() -> Path:
    return only(REPOSITORY / "dist", "*.whl", "wheel")


@pytest.fixture(scope="session")
def sdist() -> Path:
    return only(REPOSITORY / "dist", "*.tar.gz", "wheel")


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[Path], bare.Bare]:
    """Makes a machine with nothing but the Python that is given."""

    def make(interpreter: Path) -> bare.Bare:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return bare.make(tmp_path / "machine", interpreter, probe.getsockname()[1])

    return make
