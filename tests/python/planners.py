"""Scripted orchestrators over the stand-in: they plan what a test says, and report what they are told."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from typing import Any

from gateway.script import Script
from parallel_agents import Orchestrator
from standin import Habits, StandIn
from standin.habits import Reply, Request
from standin.runtime import SCRIPTED_ERROR

ORCHESTRATOR = "You lead a team of agents that you do not run yourself."
_DATA = re.compile(r"\n## Input\n[^\n]*\n```json\n(.*?)\n```\n", re.DOTALL)

Plan = dict[str, Any]


def step(task_id: str, *dependencies: str, marks: str = "", **more: Any) -> dict[str, Any]:
    """A task of a plan. What its agent does is written into its description."""
    return {
        "task_id": task_id,
        "agent_type": "content_writer_creative",
        "task_description": f"Write {task_id}. [[task={task_id}]] {marks}",
        "dependencies": list(dependencies),
        **more,
    }


def plan(*steps: dict[str, Any], **more: Any) -> Plan:
    return {"mode": "plan", "tasks": list(steps), "rationale": "because", **more}


def data_of(prompt: str) -> dict[str, Any]:
    """What stands in a prompt as data."""
    found = _DATA.search(prompt)
    data: dict[str, Any] = json.loads(found[1]) if found else {}
    return data


def honest(data: dict[str, Any]) -> dict[str, Any]:
    """A report that says what was told."""
    steps = {row["task_id"]: row["status"] for row in (*data["results"], *data["failures"])}
    return {"mode": "report", "report": "It is done.", "findings": [], "unresolved": [], "steps": steps}


class Planners:
    """Answers for a stand-in: the n-th plan for the n-th call for one, the last for all that follow.

    Attributes:
        plans_asked: The data of each call for a plan.
        reports_asked: The data of each call for a report.
        prompts: The prompt of each other agent, by the name in its marks.
    """

    def __init__(self, *plans: Plan | str, report: Callable[[dict[str, Any]], Any] = honest) -> None:
        self.plans = plans
        self.report = report
        self.plans_asked: list[dict[str, Any]] = []
        self.reports_asked: list[dict[str, Any]] = []
        self.prompts: dict[str, str] = {}
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Reply:
        with self._lock:
            if ORCHESTRATOR not in request.prompt:
                return self._work(request)
            data = data_of(request.prompt)
            if data["mode"] == "report":
                self.reports_asked.append(data)
                answer = self.report(data)
            else:
                self.plans_asked.append(data)
                answer = self.plans[min(len(self.plans_asked), len(self.plans)) - 1]
            return Reply(answer if isinstance(answer, str) else json.dumps(answer))

    def _work(self, request: Request) -> Reply:
        script = Script.parse(request.prompt).for_call(request.model, 1)
        self.prompts[script.task] = request.prompt
        if script.http:
            return Reply(error=SCRIPTED_ERROR.format(status=script.http), seconds=script.sleep)
        return Reply(script.answer(request.prompt), script.sleep)


def team(planners: Planners, **options: Any) -> tuple[Orchestrator, StandIn]:
    """An orchestrator over a stand-in whose agents answer so."""
    standin = StandIn(Habits(text_chars_max=10_000_000), planners)
    return Orchestrator(tools=standin.tools(subagents=True, sessions=True), **options), standin
