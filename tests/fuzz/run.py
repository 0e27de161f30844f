"""Runs the fuzzers, one after the other: `make fuzz`, `make fuzz SECONDS=600 TARGETS="plan tools"`.

What they find goes to `findings/TARGET/`, which is checked in and replayed by `make test` for ever after: give it a
name that says what it is. What they learn stays in the cache; `make fuzz MERGE=1` puts the smallest inputs that reach
all of it into `corpus/TARGET/`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CARGO_FUZZ = "0.13.1"
ATHERIS = "3.0.0"
TOOLCHAIN = "nightly"
RUST = sorted(path.stem for path in (HERE / "bins").glob("*.rs") if path.stem != "mutate")
PYTHON = ["tools"]

INPUT_BYTES_MAX = {"tools": 2_048}
"""The longest inputs, 16 KiB where nothing else is said: long enough for what grows with its input to show."""
INPUT_SECONDS_MAX = 10
MEMORY_MB_MAX = 2_048
ALLOCATION_MB_MAX = 512
CORPUS_BYTES_MAX = 72 * 1024
"""How much of a target's corpus is kept here."""

COVERAGE = """
    -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
"""
"""What cargo-fuzz tells the compiler, for the extension module."""


_SANE = {**os.environ, "ASAN_OPTIONS": "detect_odr_violation=0"}
"""SQLite, all in one file, has several tables of one name."""


class MissingError(Exception):
    """Something that this needs and cannot install."""


class Fuzzers:
    """Builds the fuzzers in a cache, and knows how each is called."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    def command(self, target: str) -> list[str]:
        """Builds a target. Returns how it is called."""
        return self._python() if target in PYTHON else self._rust(target)

    def _rust(self, target: str) -> list[str]:
        if shutil.which("rustup") is None or not _succeeds(["rustup", "run", TOOLCHAIN, "cargo", "--version"]):
            raise MissingError(
                f"no {TOOLCHAIN} Rust toolchain was found, which cargo-fuzz needs; install one beside yours with "
                f"`rustup toolchain install {TOOLCHAIN}`"
            )
        tool = self.cache.parent / f"cargo-fuzz-{CARGO_FUZZ}"
        if not (tool / "bin" / "cargo-fuzz").exists():
            print(f"installing cargo-fuzz {CARGO_FUZZ}", flush=True)
            _run(
                ["cargo", "install", "--quiet", "--locked", "--version", CARGO_FUZZ, "--root", str(tool), "cargo-fuzz"]
            )
        folder = self.cache / "target"
        path = f"{tool / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {"CARGO_TARGET_DIR": str(folder), "RUSTUP_TOOLCHAIN": TOOLCHAIN, "PATH": path}
        # The first build takes some minutes.
        _run(["cargo", "fuzz", "build", "--fuzz-dir", str(HERE), target], environment)
        return [str(folder / _host() / "release" / target), f"-dict={HERE / 'words.dict'}"]

    def _python(self) -> list[str]:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        environment = self.cache / f"python-{version}-atheris-{ATHERIS}"
        bin_folder = environment / "bin"
        if not (environment / "ready").exists():
            _run([sys.executable, "-m", "venv", "--clear", str(environment)])
            install = [str(bin_folder / "pip"), "install", "--quiet", "--disable-pip-version-check"]
            if not _succeeds([*install, f"atheris=={ATHERIS}", "maturin>=1.9,<2"]):
                raise MissingError(
                    f"atheris {ATHERIS} cannot be installed for Python {version} on this system; choose another with "
                    "`make fuzz PYTHON=python3.12`, or the other targets with `make fuzz TARGETS=...`"
                )
            (environment / "ready").touch()
        wheels = environment / "wheels"
        shutil.rmtree(wheels, ignore_errors=True)
        build = ["build", "--quiet", "--locked", "--profile", "dev", "--target", _host(), "--out", str(wheels)]
        flags = {"RUSTFLAGS": " ".join(COVERAGE.split()), "CARGO_TARGET_DIR": str(self.cache / "target-python")}
        _run([str(bin_folder / "maturin"), *build], flags)
        (wheel,) = wheels.glob("*.whl")
        install = ["install", "--quiet", "--disable-pip-version-check", "--force-reinstall", "--no-deps"]
        _run([str(bin_folder / "pip"), *install, str(wheel)])
        return [str(bin_folder / "python"), str(HERE / "bins" / "tools.py")]

    def fuzz(self, target: str, seconds: int) -> bool:
        """Runs a target for a time. Returns whether it found nothing."""
        command = self.command(target)
        learned = self.cache / "corpus" / target
        findings = HERE / "findings" / target
        for folder in (learned, findings):
            folder.mkdir(parents=True, exist_ok=True)
        known = [folder for folder in (HERE / "corpus" / target, findings) if folder.exists()]
        before = set(findings.iterdir())
        log = self.cache / f"{target}.log"
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={INPUT_BYTES_MAX.get(target, 16_384)}",
            f"-timeout={INPUT_SECONDS_MAX}",
            f"-rss_limit_mb={MEMORY_MB_MAX}",
            f"-malloc_limit_mb={ALLOCATION_MB_MAX}",
            f"-artifact_prefix={findings}/",
            "-print_final_stats=1",
        ]
        with log.open("w") as told:
            arguments = [*command, str(learned), *map(str, known), *options]
            code = subprocess.run(arguments, env=_SANE, stdout=told, stderr=subprocess.STDOUT, check=False).returncode
        text = log.read_text(errors="replace")
        figure = {name: int(count) for name, count in re.findall(r"^stat::(\w+): +(\d+)$", text, re.MULTILINE)}
        count, speed = figure.get("number_of_executed_units", 0), figure.get("average_exec_per_sec", 0)
        memory, new = figure.get("peak_rss_mb", 0), figure.get("new_units_added", 0)
        print(f"{target:8} {count:>9} inputs, {speed:>5} a second, {new:>5} new, {memory:>4} MB", flush=True)
        for found in sorted(set(findings.iterdir()) - before):
            print(f"  found {found.relative_to(ROOT)}")
        if code != 0:
            # What went wrong stands before the report of the fuzzer itself.
            wrong = re.search(r"(panicked at .*\n.*|Uncaught Python exception.*\n.*|ERROR: .*)", text)
            print(f"  {wrong[0] if wrong else 'it ended badly'}\n  see {log}")
        return code == 0

    def merge(self, target: str) -> None:
        """Keeps the smallest inputs that reach what all known ones do, as many as there is room for."""
        command = self.command(target)
        kept = HERE / "corpus" / target
        sources = [folder for folder in (kept, self.cache / "corpus" / target) if folder.exists()]
        with tempfile.TemporaryDirectory() as folder:
            _run([*command, "-merge=1", folder, *map(str, sources)], _SANE, quiet=True)
            shutil.rmtree(kept, ignore_errors=True)
            kept.mkdir(parents=True)
            total = 0
            for path in sorted(Path(folder).iterdir(), key=lambda path: path.stat().st_size):
                total += path.stat().st_size
                if total <= CORPUS_BYTES_MAX:
                    shutil.copy(path, kept / path.name[:16])
        print(f"{target:8} {len(list(kept.iterdir()))} inputs kept", flush=True)


def _host() -> str:
    told = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    return next(line.split()[1] for line in told.splitlines() if line.startswith("host:"))


def _run(command: list[str], environment: Mapping[str, str] | None = None, *, quiet: bool = False) -> None:
    output = subprocess.DEVNULL if quiet else None
    subprocess.run(command, cwd=ROOT, env={**os.environ, **(environment or {})}, stderr=output, check=True)


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="a folder for what can be used again")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--merge", action="store_true", help="keep what was learned instead of learning more")
    parser.add_argument("targets", nargs="*", help=f"some of {', '.join(RUST + PYTHON)}; all without any")
    arguments = parser.parse_args()
    targets = arguments.targets or RUST + PYTHON
    if unknown := set(targets) - {*RUST, *PYTHON}:
        parser.error(f"there is no target `{unknown.pop()}`; there are {', '.join(RUST + PYTHON)}")
    arguments.cache.mkdir(parents=True, exist_ok=True)
    fuzzers = Fuzzers(arguments.cache)
    try:
        if arguments.merge:
            for target in targets:
                fuzzers.merge(target)
            return 0
        found_nothing = [fuzzers.fuzz(target, arguments.seconds) for target in targets]
        return 0 if all(found_nothing) else 1
    except MissingError as missing:
        print(f"make fuzz: {missing}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as failed:
        print(f"make fuzz: `{' '.join(failed.cmd)}` failed", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
