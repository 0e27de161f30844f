"""The command `parallel-agents`, also as `python -m parallel_agents`."""

from __future__ import annotations

import sys

from . import _core


def main() -> int:
    """Runs the command on this process's arguments. Returns its exit code."""
    outcome = _core.main(sys.argv[1:])
    if isinstance(outcome, int):
        return outcome
    if "order" in outcome:
        from ._detach import run_detached

        return run_detached(**outcome)
    # A script runs outside of the core: no frame of it stands between the script and the interpreter.
    from ._exec import run_script

    return run_script(**outcome)


if __name__ == "__main__":
    sys.exit(main())
