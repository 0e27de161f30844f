"""`parallel-agents run --detach`: the run goes on in a process that outlives this one and whoever started it."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from subprocess import Popen

# Both processes import the same package, whatever the variables, the working folder and this interpreter's options say.
_BOOT = r"import sys; sys.path[:] = sys.argv.pop(1).split('\n')"
_BOOT += "; from parallel_agents.__main__ import main; sys.exit(main())"
_STOP_SECONDS = 15
_LOG_BYTES = 4000


def run_detached(order: str, arguments: list[str], log: str, answer: str) -> int:
    """Starts the process, and waits until the journal has its run.

    Args:
        order: What it is given on standard input.
        arguments: Its arguments for the command.
        log: The file that takes its standard error.
        answer: What is printed once the journal has the run.

    Returns:
        0, or the exit code of a process that ended before; 2 if none can be started, 130 after Ctrl-C; 141 if
        nobody reads the answer, 4 if it cannot be written, and then the run goes on.
    """
    if not sys.executable:
        print("parallel-agents: this Python does not know its own interpreter; run without --detach", file=sys.stderr)
        return 2
    try:
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            process = _start(arguments, file.fileno())
    except OSError as error:
        print(f"parallel-agents: cannot start a process that logs to `{log}`: {error}", file=sys.stderr)
        return 2
    try:
        told = _hand_over(process, order)
    except KeyboardInterrupt:
        _stop(process)
        print("parallel-agents: interrupted; the run does not go on", file=sys.stderr)
        return 130
    if told:
        # Nobody waits for it any more, which Python would warn of.
        process.returncode = 0
        return _tell(answer)
    code = process.wait()
    _relay(log)
    # One that a signal ended has told nothing.
    return code if code > 0 else 4


def _start(arguments: list[str], log: int) -> Popen[bytes]:
    import subprocess

    # A session of its own: no signal to our process group, no terminal. Nothing that we were given stays open in it, or
    # whoever reads our output to its end would wait for the end of the run.
    return subprocess.Popen(
        [sys.executable, *_options(), "-c", _BOOT, "\n".join(sys.path), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
        close_fds=True,
    )


def _options() -> list[str]:
    """The options of this interpreter that decide what it reads at its start."""
    flags = sys.flags
    if flags.isolated:
        return ["-I"]
    chosen = [("-E", flags.ignore_environment), ("-s", flags.no_user_site), ("-S", flags.no_site)]
    return [option for option, is_set in chosen if is_set]


def _hand_over(process: Popen[bytes], order: str) -> bool:
    """Whether the journal has the run."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(order.encode())
        process.stdin.close()
    except BrokenPipeError:
        # It has ended already, and its log says why.
        return False
    with process.stdout as told:
        return bool(told.readline())


def _tell(answer: str) -> int:
    """Prints the answer. Where nobody takes it, standard error names the run, which goes on and costs."""
    try:
        # Past Python's own stream, which would try once more at the end of the process, and complain.
        with open(1, "wb", closefd=False) as output:
            output.write(f"{answer}\n".encode())
    except OSError as error:
        import json
        from contextlib import suppress

        fields = json.loads(answer)
        told = f"parallel-agents: cannot write the answer: {error}; run {fields['run_id']} goes on: {fields['wait']}"
        with suppress(OSError):
            print(told, file=sys.stderr)
        return 141 if isinstance(error, BrokenPipeError) else 4
    return 0


def _stop(process: Popen[bytes]) -> None:
    import signal
    import subprocess

    process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _relay(log: str) -> None:
    """Tells what the process told, and removes its log: its run is in no journal."""
    from pathlib import Path

    path = Path(log)
    text = path.read_bytes()[-_LOG_BYTES:].decode(errors="replace")
    sys.stderr.write(text or "parallel-agents: the process of the run ended without a word\n")
    path.unlink()
