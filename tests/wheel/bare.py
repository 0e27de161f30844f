"""A machine with nothing but Python: on its search path are a shell, core utilities and one interpreter."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SECONDS_MAX = 120
COREUTILS = ["cat", "chmod", "cp", "env", "ls", "mkdir", "mv", "pwd", "rm", "sh", "sleep"]
BUILDERS = ["cc", "c++", "gcc", "clang", "ld", "ar", "make", "cmake", "cargo", "rustc", "maturin", "zig", "pip"]


@dataclass(frozen=True)
class Bare:
    """Such a machine, played in a folder."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Runs a command that is expected to succeed. Returns what it printed."""
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=cwd or self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )
        assert done.returncode == 0, f"{shlex.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def found(self, program: str) -> str | None:
        return shutil.which(program, path=self.environment["PATH"])


def make(folder: Path, interpreter: Path, closed_port: int) -> Bare:
    """Makes one in an empty folder. pip knows no index, and nothing listens where a gateway would be looked for."""
    tools, home = folder / "bin", folder / "home"
    tools.mkdir(parents=True)
    home.mkdir()
    for name in COREUTILS:
        program = shutil.which(name)
        assert program, f"`{name}` is on this machine"
        (tools / name).symlink_to(program)
    # A script, not a link: an interpreter finds its library beside the name that it is called by.
    (tools / "python3").write_text(f'#!/bin/sh\nexec {shlex.quote(str(interpreter))} "$@"\n', encoding="utf-8")
    (tools / "python3").chmod(0o755)
    environment = {
        "PATH": str(tools),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TMPDIR": str(folder),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INDEX": "1",
        "OPENCLAW_GATEWAY_PORT": str(closed_port),
    }
    return Bare(folder, environment)


def interpreters() -> list[Path]:
    """The oldest and the newest Python of this machine that the package is for, or the one there is."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [*pyenv.glob("versions/3.*/bin/python3"), Path(sys.executable).resolve()]
    on_path = [shutil.which(f"python3.{minor}") for minor in range(10, 20)]
    # pyenv puts a script for each version on the path, whether that version is the chosen one or not.
    candidates += [Path(each) for each in on_path if each and Path(each).parent.name != "shims"]
    by_version = {version: each for each in candidates if (version := _version(each))}
    ordered = [by_version[version] for version in sorted(by_version)]
    return [ordered[0], *ordered[1:][-1:]]


def _version(interpreter: Path) -> tuple[int, int] | None:
    """Its version, if it is one that the package is for and that can make environments."""
    program = "import ensurepip, sys, venv; 't' in sys.abiflags and sys.exit(1); print(*sys.version_info[:2])"
    done = subprocess.run([str(interpreter), "-I", "-c", program], capture_output=True, text=True, timeout=SECONDS_MAX)
    if done.returncode:
        return None
    major, minor = (int(part) for part in done.stdout.split())
    return (major, minor) if (major, minor) >= (3, 10) else None
