"""The scenarios of every runtime, on a real gateway: by both of its paths, and through callables over it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from conformance import SCENARIOS, How, World
from conformance.world import session_keys
from parallel_agents import AgentResult, AgentTask, Orchestrator, openclaw
from parallel_agents import Gateway as GatewayOptions

from .case import Case
from .conftest import NARROW, USUAL
from .openclaw import Gateway, Options

UseGateway = Callable[[Options], Gateway]
SETTLED_SECONDS_MAX = 30


class GatewayWorld(World):
    """A real gateway, reached by one of its paths."""

    timeout = 3.0

    def __init__(self, use_gateway: UseGateway, case: Case) -> None:
        self._use = use_gateway
        self._case = case
        self._gateway = use_gateway(USUAL)
        self._before = self._gateway.live_sessions()

    def make(self, max_concurrent: int, options: dict[str, Any]) -> Orchestrator:
        return Orchestrator(max_concurrent, **options)

    def orchestrator(self, max_concurrent: int = 5, **options: Any) -> Orchestrator:
        return self.make(max_concurrent, options)

    def narrow(self, max_concurrent: int) -> Orchestrator:
        self._gateway = self._use(NARROW)
        return self.make(max_concurrent, {})

    def endless(self, max_concurrent: int) -> Orchestrator:
        return self.make(max_concurrent, {})

    def task(self, task_id: str, how: How = "answers", **fields: Any) -> AgentTask:
        marks = {"answers": "", "works": "[[sleep=1]]", "never": "[[stuck]]"}[how]
        prompt = f"Write about it. {self._case} [[task={task_id}]] {marks}"
        return AgentTask("content_writer_creative", prompt, task_id=task_id, **fields)

    def soon(self, task_id: str) -> AgentTask:
        return self.task(task_id)

    def alive(self) -> set[str]:
        # The registry calls a child that timed out alive until it has compared it with its session, seconds later.
        deadline = time.monotonic() + SETTLED_SECONDS_MAX
        while (alive := self._gateway.live_sessions() - self._before) and time.monotonic() < deadline:
            time.sleep(0.5)
        return alive

    def existing(self, results: dict[str, AgentResult]) -> set[str]:
        return self._gateway.sessions() & session_keys(results)

    def prompts(self, task_id: str) -> list[str] | None:
        return [call.prompt for call in self._case.calls(task=task_id)]


class SpawnWorld(GatewayWorld):
    """By path B."""

    def make(self, max_concurrent: int, options: dict[str, Any]) -> Orchestrator:
        return Orchestrator(max_concurrent, gateway=GatewayOptions(path="spawn"), **options)


class CallablesWorld(GatewayWorld):
    """Through the callables over the gateway, handed over one by one like those of any other runtime."""

    def __init__(self, use_gateway: UseGateway, case: Case) -> None:
        super().__init__(use_gateway, case)
        self._tools: list[openclaw.Tools] = []

    def make(self, max_concurrent: int, options: dict[str, Any]) -> Orchestrator:
        tools = openclaw.tools()
        self._tools.append(tools)
        names = ("sessions_spawn", "sessions_list", "sessions_history", "subagents", "sessions")
        callables: dict[str, Any] = {name: getattr(tools, name) for name in names}
        return Orchestrator(max_concurrent, **callables, **options)

    def existing(self, results: dict[str, AgentResult]) -> set[str]:
        # They delete in a quiet moment, or when they are closed.
        for tools in self._tools:
            tools.close()
        return super().existing(results)


WORLDS = {"agent": GatewayWorld, "spawn": SpawnWorld, "callables": CallablesWorld}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
@pytest.mark.parametrize("world", WORLDS)
def test_conformance(world: str, scenario: Callable[[World], None], use_gateway: UseGateway, case: Case) -> None:
    scenario(WORLDS[world](use_gateway, case))
