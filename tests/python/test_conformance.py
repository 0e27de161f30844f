"""The scenarios of every runtime, on a rehearsal and on injected tools."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conformance import SCENARIOS, InjectedWorld, RehearsalWorld, World

pytestmark = pytest.mark.usefixtures("ends")

WORLDS: dict[str, Callable[[], World]] = {
    "rehearsal": RehearsalWorld,
    "sync": InjectedWorld,
    "sync with subagents": lambda: InjectedWorld(subagents=True),
    "async": lambda: InjectedWorld(asynchronous=True),
    "async with subagents": lambda: InjectedWorld(asynchronous=True, subagents=True),
    "sync with all": lambda: InjectedWorld(subagents=True, sessions=True),
    "async with all": lambda: InjectedWorld(asynchronous=True, subagents=True, sessions=True),
    "strict": lambda: InjectedWorld(signature="strict", answers="envelope"),
}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.parametrize("world", WORLDS)
def test_conformance(world: str, scenario: Callable[[World], None]) -> None:
    scenario(WORLDS[world]())
