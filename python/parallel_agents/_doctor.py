"""What this Python knows of itself and of the package in it, for `parallel-agents doctor`. It judges nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
import sysconfig
from pathlib import Path

from . import _core

DISTRIBUTION = "openclaw-parallel-agents"
COMMAND = "parallel-agents"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def facts() -> dict[str, Any]:
    """The fields of `Python` in `src/doctor/package.rs`."""
    command = shutil.which(COMMAND)
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "executable": sys.executable,
        "module": _core.__version__,
        "folder": str(Path(__file__).parent),
        "distribution": _distribution(),
        "command": command,
        "command_python": command and _python_of(Path(command)),
    }


def _distribution() -> str | None:
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return None


def _python_of(command: Path) -> str | None:
    """The Python that a console script runs: this one if it is one of ours, else what its first line names."""
    try:
        with command.open("rb") as script:
            first = script.readline(1_000)
    except OSError:
        return None
    named = first[2:].decode(errors="replace").strip() if first.startswith(b"#!") else ""
    if not os.path.isabs(named):  # noqa: PTH117
        return None
    folder, ours = Path(named).parent, Path(sys.executable).parent
    # `python`, `python3` and `python3.12` of one environment are the same; its folder tells environments apart.
    return sys.executable if folder == ours or _same(folder, ours) else named


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
