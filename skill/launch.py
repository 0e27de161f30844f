"""Runs the command `parallel-agents` with whatever Python has the package: python3 launch.py ARGUMENTS.

Tried in turn: the Python that runs this file, the one that the record of this folder names, and the private environment
in OpenClaw's state folder. `python3 launch.py setup [--wheel FILE]` makes that environment from a wheel on this disk.
The modules beside it find the package in the same places, by `provide`.

Written for Python 3.6 as well, which may be the one that starts it and then finds a newer one.
"""

import contextlib
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
LAUNCH = f"python3 {shlex.quote(str(FOLDER / 'launch.py'))}"
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# How a person types this command: what the command's own answers name, since `parallel-agents` may be on no path.
COMMAND = "PARALLEL_AGENTS_COMMAND"
# The copy of the skill that `skill verify`, `upgrade` and `uninstall` mean unless another is named.
HERE = "PARALLEL_AGENTS_SKILL"
# How many of the other Pythons were tried already: each of them runs this file again.
TRIED = "PARALLEL_AGENTS_LAUNCH"
WHEEL = "openclaw_parallel_agents-*.whl"
NOT_FOUND = 3


def main(arguments: "list[str]") -> int:
    tried = int(os.environ.pop(TRIED, "0"))
    if arguments[:1] == ["setup"]:
        return setup(arguments[1:])
    os.environ.setdefault(COMMAND, LAUNCH)
    os.environ[HERE] = str(FOLDER)
    # This folder's own modules are no part of the package.
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != FOLDER]
    problem = unfit()
    if not problem:
        try:
            from parallel_agents.__main__ import main as command
        except ImportError as error:
            problem = str(error)
        else:
            sys.argv = ["parallel-agents", *arguments]
            return command()
    for number, python in enumerate(others()[tried:], tried + 1):
        if os.access(python, os.X_OK):
            # In the place of this process: signals and the exit code are its own.
            os.environ[TRIED] = str(number)
            try:
                os.execv(python, [python, str(FOLDER / "launch.py"), *arguments])
            except OSError as error:
                problem = f"{python} cannot be executed: {error.strerror}"
    if any((FOLDER / "wheels").glob(WHEEL)):
        return refuse(f"the package is not installed yet ({problem}); run: {LAUNCH} setup")
    fix = f"{LAUNCH} setup --wheel FILE"
    return refuse(f"no Python here has the package ({problem}); with its wheel in FILE run: {fix}")


def unfit() -> str:
    """Why this Python cannot have the package; empty if it can."""
    if sys.version_info < (3, 10):  # noqa: UP036
        return f"{sys.executable} is Python {sys.version.split()[0]}, and 3.10 or newer is needed"
    if "t" in getattr(sys, "abiflags", ""):
        return f"{sys.executable} is a free-threaded Python, and one whose name does not end in `t` is needed"
    return ""


def refuse(line: str, code: int = NOT_FOUND) -> int:
    print(f"parallel-agents: {line}", file=sys.stderr)
    return code


def others() -> "list[str]":
    """The other Pythons that may have the package."""
    # One that is aside is whole: that which takes its place may not be.
    named = [recorded(), *(str(place / "bin" / "python") for place in (environment(), aside()))]
    return [python for python in named if python]


def recorded() -> str:
    try:
        record = json.loads((FOLDER / "parallel-agents.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    python = record.get("python") if isinstance(record, dict) else None
    return python if isinstance(python, str) else ""


def environment() -> Path:
    """The private environment, in OpenClaw's state folder."""
    home = os.environ.get("OPENCLAW_HOME") or os.environ.get("HOME") or str(Path.home())
    state = os.environ.get("OPENCLAW_STATE_DIR") or str(Path(home) / ".openclaw")
    return Path(state) / "parallel-agents" / "venv"


def aside() -> Path:
    """Where a private environment waits until a new one works in its place."""
    return environment().with_name("venv.old")


def provide() -> None:
    """Makes `parallel_agents` importable: in this Python, or where one of the others has it.

    Raises:
        ImportError: None has it. The message says what to run.
    """
    if unfit():
        raise ImportError(f"{unfit()}, to import the package parallel_agents")
    try:
        importlib.import_module("parallel_agents._core")
    except ImportError:
        sys.path.extend(place for place in libraries() if place not in sys.path)
        sys.modules.pop("parallel_agents", None)
        importlib.invalidate_caches()
    try:
        importlib.import_module("parallel_agents._core")
    except ImportError as error:
        fix = f"run: {LAUNCH} setup"
        raise ImportError(f"the package parallel_agents is not installed for this Python ({error}); {fix}") from error


def libraries() -> "list[str]":
    """The folders of packages in which the other Pythons have it."""
    found = []
    for python in others():
        find = "import parallel_agents, pathlib; print(pathlib.Path(parallel_agents.__file__).parent.parent)"
        try:
            done = subprocess.run([python, "-c", find], capture_output=True, text=True, cwd=FOLDER)
        except OSError:
            continue
        if not done.returncode:
            found.append(done.stdout.strip())
    return found


def setup(arguments: "list[str]") -> int:
    """Makes the private environment from a wheel that is on this disk. No package index is asked.

    One that is there stays until the new one works.
    """
    if len(arguments) == 2 and arguments[0] == "--wheel":
        wheels = [Path(arguments[1])]
    elif not arguments:
        wheels = sorted((FOLDER / "wheels").glob(WHEEL))
    else:
        return refuse("expected: launch.py setup [--wheel FILE]", 2)
    problem = unfit()
    if problem:
        again = " ".join(shlex.quote(word) for word in [str(FOLDER / "launch.py"), "setup", *arguments])
        return refuse(f"{problem}; nothing was changed; run it with such a Python, for example: python3.12 {again}")
    if not wheels:
        return refuse(f"no wheel in {FOLDER / 'wheels'}; name one: {LAUNCH} setup --wheel FILE")
    for wheel in wheels:
        if not wheel.is_file() or not re.fullmatch(r"openclaw_parallel_agents-.+\.whl", wheel.name):
            return refuse(f"`{wheel}` is no wheel of this package, expected a file {WHEEL}", 2)
    place, old = environment(), aside()
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(place.parent):
            recover(place, old)
            if os.path.lexists(str(place)):
                place.rename(old)
            try:
                said = make(place, wheels)
            except BaseException:
                undo(place, old)
                raise
            if said is None:
                discard(old)
            else:
                undo(place, old)
    except OSError as error:
        said = str(error)
    if said is not None:
        return refuse(f"{said}; what was there before is as it was")
    return 0


@contextlib.contextmanager
def alone(folder: Path) -> "Iterator[None]":
    """Holds a lock on the folder: two calls at once would move each other's environment away."""
    import fcntl

    handle = os.open(str(folder), os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(f"another setup works in {folder}; try again when it is done") from None
        yield
    finally:
        os.close(handle)


def recover(place: Path, old: Path) -> None:
    """Decides between two environments for a call that died over them."""
    if os.path.lexists(str(old)):
        if works(place) is None:
            discard(old)
        else:
            undo(place, old)


def discard(old: Path) -> None:
    # The new one is in its place: rests of the old one are no failure.
    with contextlib.suppress(OSError):
        remove(old)


def undo(place: Path, old: Path) -> None:
    remove(place)
    if os.path.lexists(str(old)):
        old.rename(place)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        import shutil

        shutil.rmtree(str(path))
    elif os.path.lexists(str(path)):
        path.unlink()


def works(place: Path) -> "str | None":
    """Why the environment cannot run the command; `None` if it can."""
    return run([str(place / "bin" / "python"), "-c", "import parallel_agents.__main__"])


def make(place: Path, wheels: "list[Path]") -> "str | None":
    """Makes an environment from the first wheel that fits. Returns why there is none."""
    said = run([sys.executable, "-m", "venv", "--clear", str(place)])
    if said is not None:
        return f"{sys.executable} cannot make {place}: {said}; Debian and Ubuntu need the package python3-venv"
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    for wheel in wheels:
        said = run([*pip, "--disable-pip-version-check", str(wheel)])
        if said is None:
            said = works(place)
        if said is None:
            print(f"parallel-agents: {wheel.name} is installed in {place}", file=sys.stderr)
            return None
    return f"no wheel fits {sys.executable} on this machine: {said}"


def run(command: "list[str]") -> "str | None":
    """Runs a command. Returns its last line if it fails."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    except OSError as error:
        return str(error)
    if not done.returncode:
        return None
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {done.returncode}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
