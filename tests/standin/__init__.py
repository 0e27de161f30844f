"""A stand-in for the callables that an agent runtime injects, with the habits of a real gateway.

    standin = StandIn(Habits(children_max=5, lane=3))
    results = Orchestrator(tools=standin.tools()).run_parallel(tasks)
    assert standin.alive == []

What the agents answer is written into their prompts, with the marks of the scripted provider (`gateway/script.py`).
`Habits` says how the gateway behaves, `StandIn.tools` in which shape the callables answer, `StandIn.on` what goes wrong
with a call; afterwards `spawns`, `children`, `calls` and `looks` tell what was done. `apart` lets other processes call
it. `ZeroLatency` is a bare one for benchmarks.
"""

from __future__ import annotations

from .account import Call, Child, Look
from .apart import apart, tools_at
from .habits import Habits, Reply, Request
from .runtime import StandIn
from .shapes import Answer, Tools
from .zero import ZeroLatency

__all__ = [
    "Answer",
    "Call",
    "Child",
    "Habits",
    "Look",
    "Reply",
    "Request",
    "StandIn",
    "Tools",
    "ZeroLatency",
    "apart",
    "tools_at",
]
