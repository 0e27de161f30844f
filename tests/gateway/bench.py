"""The figures of the README: our runtime beside a bare client, on one real gateway, in one run.

    python -m tests.gateway.bench [--agents 100] [--rounds 3] [--client PROGRAM.py]

Both start the same number of agents that answer at once, all together, and are timed until the last result. The bare
client sends one `agent` request per agent and reads the answers: no retries, limits or checks. With `--client` another
program takes its place, called as `PROGRAM.py MODEL MESSAGE COUNT` with the gateway's port and token in its
environment. They take turns, and the ratio is the median over the rounds. Deleting the sessions is timed apart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
import uuid

import websockets
from parallel_agents import AgentResult, AgentType, Orchestrator, register_agent_type

from .install import install
from .openclaw import HAIKU, Gateway, Options
from .provider import Provider

MESSAGE = "[[say=hi]] Say hi."


async def bare_client(port: int, token: str, count: int) -> None:
    """As many agents as asked for on one socket, and nothing else."""
    async with websockets.connect(f"ws://127.0.0.1:{port}/", max_size=None) as socket:

        async def request(name: str, method: str, params: dict[str, object]) -> None:
            await socket.send(json.dumps({"type": "req", "id": name, "method": method, "params": params}))

        await socket.recv()
        client = {"id": "gateway-client", "version": "0", "platform": sys.platform, "mode": "backend"}
        await request(
            "connect",
            "connect",
            {
                "minProtocol": 4,
                "maxProtocol": 4,
                "client": client,
                "role": "operator",
                "scopes": ["operator.read", "operator.write", "operator.admin"],
                "caps": ["session-scoped-events"],
                "auth": {"token": token},
            },
        )
        pending = {str(uuid.uuid4()) for _ in range(count)}
        while pending:
            frame = json.loads(await socket.recv())
            if frame.get("type") != "res":
                continue
            if frame["id"] == "connect":
                for run in list(pending):
                    key = f"agent:main:subagent:{run}"
                    params = {"message": MESSAGE, "sessionKey": key, "idempotencyKey": run, "model": HAIKU.name}
                    await request(run, "agent", {**params, "timeout": 120, "deliver": False, "lane": "subagent"})
            elif (frame.get("payload") or {}).get("status") != "accepted":
                assert frame["payload"]["status"] == "ok", frame
                pending.discard(frame["id"])


def time_bare(gateway: Gateway, count: int, program: str | None) -> float:
    """Seconds until the last answer."""
    begun = time.perf_counter()
    if program is None:
        asyncio.run(bare_client(gateway.port, gateway.token, count))
        return time.perf_counter() - begun
    env = {**os.environ, "OPENCLAW_GATEWAY_PORT": str(gateway.port), "OPENCLAW_GATEWAY_TOKEN": gateway.token}
    command = [sys.executable, program, HAIKU.name, MESSAGE, str(count)]
    output = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    # It prints, for each answer, how long it took since its own connection stood.
    return max(float(line.split()[0]) for line in output.splitlines())


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


def measure(agents: int, rounds: int, program: str | None) -> None:
    """Takes turns on one gateway and prints each round and the median ratio."""
    register_agent_type(AgentType("greeter", "Says hi", "Greet."), replace=True)
    provider = Provider()
    lanes = Options(subagents_concurrent=128, main_concurrent=128)
    ratios = []
    with Gateway(install(), provider, lanes) as gateway:
        gateway.start()
        # The first agents of a gateway are slow: it loads what it needs.
        time_bare(gateway, 10, None)
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
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", metavar="PROGRAM.py")
    options = parser.parse_args()
    measure(options.agents, options.rounds, options.client)


if __name__ == "__main__":
    main()
