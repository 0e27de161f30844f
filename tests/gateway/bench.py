"""The figures of the README: our runtime beside a bare client, on one real gateway, in one run.

    python -m tests.gateway.bench [--agents 50] [--rounds 3] [--client PROGRAM.py]

Both start the same number of agents that answer at once, all together, and are timed until the last result. The bare
client (`bare_client.py`) is a process of its own, since the one here also holds the scripted provider. With `--client`
another program takes its place, called as `PROGRAM.py MODEL MESSAGE COUNT` with the gateway's port and token in its
environment. They take turns, and the ratio is the median over the rounds. Deleting the sessions is timed apart.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from parallel_agents import AgentResult, AgentType, Orchestrator, register_agent_type

from .install import install
from .openclaw import HAIKU, Gateway, Options
from .provider import Provider

MESSAGE = "[[say=hi]] Say hi."
# A hundred that a client without limits starts at once can end the gateway itself (OpenClaw 2026.9.6): more than 128
# pieces of background work wait, the next is refused with "worker task capacity reached", and nobody handles that.
AGENTS = 50
CLIENT = Path(__file__).parent / "bare_client.py"


def time_bare(gateway: Gateway, count: int, program: Path) -> float:
    """Seconds until the last answer."""
    env = {**os.environ, "OPENCLAW_GATEWAY_PORT": str(gateway.port), "OPENCLAW_GATEWAY_TOKEN": gateway.token}
    command = [sys.executable, str(program), HAIKU.name, MESSAGE, str(count)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the bare client ended with status {done.returncode}: {done.stderr}\n{gateway.tail(40)}")
    # It prints, for each answer, how long it took since its own connection stood.
    return max(float(line.split()[0]) for line in done.stdout.splitlines())


def time_ours(gateway: Gateway, count: int) -> tuple[float, float]:
    """Seconds until the last result, and from there until the sessions are deleted."""
    os.environ.update(gateway.env)
    orchestrator = Orchestrator(max_concurrent=count, model=HAIKU.name)
    ended: list[float] = []

    def note(result: AgentResult) -> None:
        assert result.success, result.error
        ended.append(time.perf_counter())

    begun = time.perf_counter()
    tasks = [{"agent_type": "greeter", "task_description": MESSAGE, "output_format": "text"} for _ in range(count)]
    results = orchestrator.run_parallel(tasks, note)
    over = time.perf_counter()
    assert len(results) == count
    left = len(orchestrator.sessions_left)
    if left:
        print(f"  {left} of {count} sessions were not deleted in time")
    return ended[-1] - begun, over - ended[-1]


def measure(agents: int, rounds: int, program: Path) -> None:
    """Takes turns on one gateway and prints each round and the median ratio."""
    register_agent_type(AgentType("greeter", "Says hi", "Greet."), replace=True)
    provider = Provider()
    lanes = Options(subagents_concurrent=128, main_concurrent=128)
    ratios = []
    with Gateway(install(), provider, lanes) as gateway:
        gateway.start()
        # The first agents of a gateway are slow: it loads what it needs.
        time_bare(gateway, 10, program)
        print(f"{agents} agents on a real gateway, {rounds} rounds, taking turns")
        for round_no in range(1, rounds + 1):
            bare = time_bare(gateway, agents, program)
            ours, cleanup = time_ours(gateway, agents)
            ratios.append(bare / ours)
            print(
                f"  round {round_no}: bare client {agents / bare:.2f} agents/s, "
                f"parallel_agents {agents / ours:.2f} agents/s, ratio {ratios[-1]:.2f}, "
                f"cleanup {cleanup:.1f} s"
            )
    provider.close()
    print(f"median ratio: {statistics.median(ratios):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Our runtime beside a bare client, on one real gateway.")
    parser.add_argument("--agents", type=int, default=AGENTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", metavar="PROGRAM.py", type=Path, default=CLIENT)
    options = parser.parse_args()
    measure(options.agents, options.rounds, options.client)


if __name__ == "__main__":
    main()
