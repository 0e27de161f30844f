"""A client of a gateway that does no more than it must: one `agent` request per agent, all at once, on one socket.

    OPENCLAW_GATEWAY_PORT=18789 OPENCLAW_GATEWAY_TOKEN=... python bare_client.py MODEL MESSAGE COUNT

No retries, limits or checks. For each answer it prints the seconds since the connection stood.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid

import websockets

CONNECT = {
    "minProtocol": 4,
    "maxProtocol": 4,
    "client": {"id": "gateway-client", "version": "0", "platform": sys.platform, "mode": "backend"},
    "role": "operator",
    "scopes": ["operator.read", "operator.write", "operator.admin"],
    "caps": ["session-scoped-events"],
}


async def run(model: str, message: str, count: int) -> None:
    """Starts the agents and reads until each has answered."""
    url = f"ws://127.0.0.1:{os.environ['OPENCLAW_GATEWAY_PORT']}/"
    # A busy gateway may be silent for longer than the 20 s after which `websockets` gives up.
    async with websockets.connect(url, max_size=None, ping_interval=None) as socket:

        async def request(name: str, method: str, params: dict[str, object]) -> None:
            await socket.send(json.dumps({"type": "req", "id": name, "method": method, "params": params}))

        await socket.recv()
        await request("connect", "connect", {**CONNECT, "auth": {"token": os.environ["OPENCLAW_GATEWAY_TOKEN"]}})
        pending = {str(uuid.uuid4()) for _ in range(count)}
        begun = 0.0
        while pending:
            frame = json.loads(await socket.recv())
            if frame.get("type") != "res":
                continue
            if frame["id"] == "connect":
                begun = time.perf_counter()
                for name in list(pending):
                    key = f"agent:main:subagent:{name}"
                    params = {"message": message, "sessionKey": key, "idempotencyKey": name, "model": model}
                    await request(name, "agent", {**params, "timeout": 120, "deliver": False, "lane": "subagent"})
            elif (frame.get("payload") or {}).get("status") != "accepted":
                assert frame["payload"]["status"] == "ok", frame
                pending.discard(frame["id"])
                print(f"{time.perf_counter() - begun:.3f}")


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
