"""Child processes with a deadline, so that a test of something that hangs fails instead of hanging."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SECONDS_MAX = 60
COMMAND = str(Path(sys.executable).parent / "parallel-agents")
REPOSITORY = Path(__file__).resolve().parents[2]


def run(*command: str, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=SECONDS_MAX, cwd=cwd)


def run_python(code: str, *options: str) -> str:
    """Runs a Python program that is expected to succeed. Returns what it printed."""
    done = run(sys.executable, *options, "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of its work. It is killed at the deadline or when the block is left."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_obey_interrupts,
    )
    deadline = threading.Timer(SECONDS_MAX, process.kill)
    deadline.start()
    try:
        yield process
    finally:
        deadline.cancel()
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def interrupt_after(process: subprocess.Popen[str], mark: str) -> str:
    """Presses Ctrl-C once a line with `mark` stands on standard error. Returns what came on standard output."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if mark in line:
            break
    else:
        raise AssertionError(f"the process ended before {mark!r}: {''.join(seen)}")
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=SECONDS_MAX)[0]


def _obey_interrupts() -> None:
    # A shell's background jobs ignore Ctrl-C, and so would their children.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
