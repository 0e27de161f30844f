#!/usr/bin/env python3
"""Shows that the simulation suite falls when the machine is broken: at least one small mutant per invariant.

Each mutant is applied alone to a copy of the sources, where `cargo test --test sim` must then fail. A mutant counts as
caught if the invariant that it is listed under is broken, if need be when the suite looks at nothing else.

    python3 tests/sim/mutants.py [--check] [--only PATTERN] [--seeds NUMBER] [--timeout SECONDS] [--target-dir FOLDER]

The exit status is 1 if a mutant survives, 2 if one cannot be applied or built.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from breakages import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Verdict:
    """What the suite said: whether it fell, what fell, and the end of its output."""

    fell: bool
    names: list[str]
    tail: str


class BuildError(Exception):
    """A mutant that does not compile tests nothing."""


def copy_sources(to: Path) -> None:
    """Copies what `cargo test --test sim` needs, and what Cargo.toml may name."""
    ignore = shutil.ignore_patterns("target", ".git", "__pycache__", "node_modules", ".venv", "*.so")
    # With fresh times: cargo takes what is older than its last build, here perhaps of a mutant, for built.
    shutil.copytree(ROOT, to, ignore=ignore, copy_function=shutil.copy, dirs_exist_ok=True)


def run(command: list[str], folder: Path, environment: dict[str, str], timeout: float) -> tuple[int | None, str]:
    """The exit status (None if it took too long and was ended with all its children) and all that was printed."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as printed:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True
        )
        status: int | None
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        printed.seek(0)
        return status, printed.read()


def run_suite(folder: Path, target: Path, timeout: float, seeds: int | None, only: str | None = None) -> Verdict:
    """Runs the suite in `folder`; a run that does not end in time has not caught anything."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target), "RUST_BACKTRACE": "0", "CARGO_TERM_COLOR": "never"}
    environment = {name: value for name, value in environment.items() if not name.startswith("SIM_")}
    build = ["test", "--quiet", "--test", "sim"]
    status, output = run(["cargo", *build, "--no-run"], folder, environment, timeout=1800)
    if status != 0:
        raise BuildError(output[-3000:])
    if seeds is not None:
        environment["SIM_SEEDS"] = str(seeds)
    if only is not None:
        environment["SIM_INVARIANT"] = only
        build += ["--", "every_invariant_holds"]
    status, output = run(["cargo", *build], folder, environment, timeout)
    if status is None:
        return Verdict(fell=False, names=[], tail=f"no end within {timeout:.0f} s")
    broken = re.findall(r"invariant `(\w+)` broken", output)
    scenarios = re.findall(r"^    (?:scenarios|steered)::(\w+)$", output, re.MULTILINE)
    reached = ["what_must_be_reached"] if "too seldom reached" in output else []
    names = list(dict.fromkeys(broken + scenarios + reached))
    return Verdict(fell=status != 0, names=names, tail=output[-2000:])


def misfits() -> list[str]:
    """Mutants that cannot be applied, each with the reason."""
    texts = {mutant.file: (ROOT / mutant.file).read_text(encoding="utf-8") for mutant in MUTANTS}
    counts = [(mutant, texts[mutant.file].count(mutant.old)) for mutant in MUTANTS]
    return [
        f"mutant `{mutant.name}`: the text to replace occurs {count} times in {mutant.file}: {mutant.old!r}"
        for mutant, count in counts
        if count != 1
    ]


def try_mutant(mutant: Mutant, folder: Path, target: Path, timeout: float, seeds: int | None) -> tuple[bool, str]:
    """Whether the mutant's own invariant catches it, and what the table says about it."""
    path = folder / mutant.file
    original = path.read_text(encoding="utf-8")
    found = original.count(mutant.old)
    if found != 1:
        raise BuildError(f"the text to replace occurs {found} times in {mutant.file}: {mutant.old!r}")
    path.write_text(original.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        verdict = run_suite(folder, target, timeout, seeds)
        if not verdict.fell:
            return False, f"SURVIVED: {verdict.tail.strip().splitlines()[-1]}"
        if mutant.invariant in verdict.names:
            others = [name for name in verdict.names if name != mutant.invariant]
            return True, ", ".join(["itself", *others])
        alone = run_suite(folder, target, timeout, seeds, only=mutant.invariant)
        if mutant.invariant in alone.names:
            return True, f"{', '.join(verdict.names)}; alone, itself"
        return False, f"SURVIVED its invariant, caught by {', '.join(verdict.names)}"
    finally:
        path.write_text(original, encoding="utf-8")


def main() -> int:
    """Tries all mutants and prints the table."""
    parser = argparse.ArgumentParser(description="Break the machine, one mutant at a time, and see the suite fall.")
    parser.add_argument("--only", default="", metavar="PATTERN", help="only mutants whose name or invariant holds it")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS", help="for one run of the suite")
    parser.add_argument("--seeds", type=int, metavar="NUMBER", help="runs to play; default: as the suite does")
    parser.add_argument("--target-dir", type=Path, default=ROOT / "target" / "mutants", metavar="FOLDER")
    parser.add_argument("--check", action="store_true", help="only see whether every mutant can be applied")
    options = parser.parse_args()
    if options.check:
        stale = misfits()
        print("\n".join(stale) or f"{len(MUTANTS)} mutants can be applied")
        return 2 if stale else 0
    chosen = [
        mutant
        for mutant in MUTANTS
        if re.search(options.only, mutant.name) or re.search(options.only, mutant.invariant)
    ]
    target = options.target_dir.resolve()
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        copy_sources(folder)
        sound = run_suite(folder, target, options.timeout, options.seeds)
        if sound.fell or "test result: ok" not in sound.tail:
            print(f"the suite must hold before anything is broken:\n{sound.tail}", file=sys.stderr)
            return 2
        print("| mutant | invariant | caught by |\n| --- | --- | --- |")
        survivors = 0
        for mutant in chosen:
            try:
                caught, said = try_mutant(mutant, folder, target, options.timeout, options.seeds)
            except BuildError as error:
                print(f"mutant `{mutant.name}`: {error}", file=sys.stderr)
                return 2
            survivors += not caught
            print(f"| {mutant.name} | {mutant.invariant} | {said} |", flush=True)
    print(f"\n{len(chosen) - survivors} of {len(chosen)} mutants caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
