"""One suite for every runtime: the same scenarios on a rehearsal, on injected tools and on a gateway.

A `World` says how to run agents there and what can be seen of them; `SCENARIOS` hold for all of them alike.
"""

from __future__ import annotations

from .scenarios import SCENARIOS
from .world import How, InjectedWorld, RehearsalWorld, World

__all__ = ["SCENARIOS", "How", "InjectedWorld", "RehearsalWorld", "World"]
