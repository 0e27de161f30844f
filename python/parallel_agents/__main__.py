"""The command `parallel-agents`, also as `python -m parallel_agents`."""

from __future__ import annotations

import sys

from . import _core


def main() -> int:
    """Runs the command on this process's arguments. Returns its exit code."""
    return _core.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
