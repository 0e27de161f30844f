"""The module `helpers` of the skill: `parallel_agents.helpers` under its old name."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def package() -> None:
    """Makes `parallel_agents` importable: in this Python, or where this folder's record or the environment has it."""
    try:
        importlib.import_module("parallel_agents._core")
    except ImportError:
        sys.path.extend(place for place in places() if place not in sys.path)
        sys.modules.pop("parallel_agents", None)
        importlib.invalidate_caches()
    try:
        importlib.import_module("parallel_agents._core")
    except ImportError as error:
        fix = f"run: python3 {FOLDER / 'launch.py'} setup"
        raise ImportError(f"the package parallel_agents is not installed for this Python ({error}); {fix}") from error


def places() -> list[str]:
    """The folders of packages of the Python that the record names, and of the private environment."""
    found = []
    try:
        python = json.loads((FOLDER / "parallel-agents.json").read_text(encoding="utf-8"))["python"]
        find = "import parallel_agents, pathlib; print(pathlib.Path(parallel_agents.__file__).parent.parent)"
        done = subprocess.run([python, "-c", find], capture_output=True, text=True, cwd=FOLDER, check=True)
        found.append(done.stdout.strip())
    except (OSError, ValueError, KeyError, TypeError, subprocess.CalledProcessError):
        pass
    home = os.environ.get("OPENCLAW_HOME") or os.environ.get("HOME") or str(Path.home())
    state = Path(os.environ.get("OPENCLAW_STATE_DIR") or Path(home) / ".openclaw")
    libraries = (state / "parallel-agents" / "venv").glob("lib/python3.*/site-packages")
    return found + [str(place) for place in libraries]


package()
# One module under both names: what a program assigns in one is assigned in the other.
module = importlib.import_module("parallel_agents.helpers")
if __name__ == "__main__":
    help(module)
else:
    sys.modules[__name__] = module
