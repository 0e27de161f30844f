"""All figures of the README in one command; parts of it by name.

    python -m bench [overhead] [journal] [import] [memory] [schedule] [gateway] [--rounds 7] [--agents 50]

Run in `tests/`, with the package built with optimisation: `make bench` does both.
"""

from __future__ import annotations

import argparse

from gateway import bench as gateway_bench

from . import footprint, journal, overhead, schedule
from .table import machine

PARTS = ("overhead", "journal", "import", "memory", "schedule", "gateway")


def main() -> None:
    parser = argparse.ArgumentParser(description="The figures of the README.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)}; default: all")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of the overhead and journal parts")
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks of the overhead, journal and memory parts")
    parser.add_argument("--agents", type=int, default=gateway_bench.AGENTS, help="agents of the gateway part")
    parser.add_argument("--gateway-rounds", type=int, default=3)
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    parts = options.parts or PARTS
    print(machine())
    if "overhead" in parts:
        overhead.measure(options.tasks, [64, 1000], options.rounds)
    if "journal" in parts:
        journal.measure(options.tasks, [64, 1000], options.rounds)
    if "import" in parts:
        footprint.measure_import()
    if "memory" in parts:
        footprint.measure_memory(options.tasks)
    if "schedule" in parts:
        schedule.measure(2000, 100, 3)
    if "gateway" in parts:
        print()
        gateway_bench.measure(options.agents, options.gateway_rounds, gateway_bench.CLIENT)
    print(f"\nafterwards: {machine()}")


if __name__ == "__main__":
    main()
