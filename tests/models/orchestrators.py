"""Orchestrators: they plan for a request, replace what failed, and report what they were told of the results.

Plans name only agent types that the prompt lists. What a step is told carries the request's own tokens, so that its
calls are counted and steered like others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .contract import told
from .reading import Reading

MILLION_SHOWN = 20_000
"""How many tasks a plan of a million really has: an answer of two megabytes."""
TARGET = 8.5

_TOKEN = re.compile(r"\[\[[a-zA-Z].*?\]\]", re.DOTALL)
# What names or steers the orchestrator itself is not for its steps.
_OWN = re.compile(r"\[\[(?:[\w ,./-]*:\s+)?(?:task|plan|report)=")
_AGENTS = re.compile(r"\b(\d+|two|three|four|five|ten) (?:new )?agents\b")
_SCORE = re.compile(r"\bscore (\d+(?:\.\d+)?)")
_NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "ten": 10}
_REFUSED = "[[http=400]]"

Row = dict[str, Any]


def direct(reading: Reading, steers: Mapping[str, str]) -> str:
    """An orchestrator's answer: a plan or a report, by what the prompt asks for."""
    if mode_of(reading) == "report":
        return told(reading, _report(reading, steers.get("report", "")))
    return told(reading, _plan(reading, steers.get("plan", "")))


def mode_of(reading: Reading) -> str:
    """`plan` or `report`: what the data says, else a report if there are results and nothing to replace."""
    mode = str(reading.data.get("mode", ""))
    if mode:
        return "report" if mode == "report" else "plan"
    return "report" if _statuses(reading) and not _failures(reading) else "plan"


def plan_round(reading: Reading) -> int:
    """1 for the first plan, 2 for one after failures."""
    return 2 if mode_of(reading) == "plan" and _failures(reading) else 1


def _plan(reading: Reading, how: str) -> Row:
    types = _types(reading)
    if not types:
        return _planned([], "No agent types are listed, so no task can be given to one.")
    planner = _Planner(reading, types)
    failures = _failures(reading)
    # The plans that a replan takes up again are those that are no plan at all.
    if failures and how in ("", "failing", "failing always"):
        return _planned(planner.substitutes(failures, how), "One substitute for each task that failed.")
    steps = planner.canned(how) if how else planner.for_request()
    plan = _planned(steps, "What builds on nothing runs at once.")
    if how == "count":
        return {**plan, "count": 1_000_000, "tasks_total": 1_000_000}
    if how == "greedy":
        limits = {"tasks_max": 1_000_000, "budget_usd": 1_000_000, "replans_max": 1_000_000, "max_concurrent": 1_000}
        return {**plan, **limits, "limits": limits, "permissions": ["exec", "write"]}
    return plan


def _planned(steps: list[Row], rationale: str) -> Row:
    return {"mode": "plan", "tasks": steps, "rationale": rationale}


class _Planner:
    """Makes steps for one request out of the agent types that are listed."""

    def __init__(self, reading: Reading, types: list[str]) -> None:
        self.said = str(reading.data.get("request") or reading.task)
        self.types = types

    def for_request(self) -> list[Row]:
        """What the request's words ask for: so many new agents with such a score, or a text that is then judged."""
        agents, score = _AGENTS.search(self.said), _SCORE.search(self.said)
        if agents is None:
            return self.chain(2)
        count = _NUMBERS.get(agents[1]) or int(agents[1])
        return self.creators(count, float(score[1]) if score else None)

    def canned(self, how: str) -> list[Row]:
        """The plans that a test can ask for.

        Raises:
            ValueError: there is no such plan.
        """
        name, _, count = how.partition(" ")
        match name:
            case "creators":
                return self.creators(int(count or 5), TARGET)
            case "chain":
                return self.chain(int(count or 3))
            case "wide":
                return [self.step(f"part-{number}") for number in range(1, int(count or 3) + 1)]
            case "diamond":
                sides = [self.step("left", ["top"]), self.step("right", ["top"], kind="reviewer")]
                return [self.step("top"), *sides, self.step("bottom", ["left", "right"])]
            case "failing":
                return [self.step("sound"), self.step("broken", tokens=_REFUSED), self.step("after", ["broken"])]
            case _:
                return self.impossible(how)

    def impossible(self, how: str) -> list[Row]:
        """The plans that no runtime should carry out as they stand.

        Raises:
            ValueError: there is no such plan.
        """
        match how:
            case "million":
                kind = self.pick("writer")
                return [
                    {"task_id": f"t{number}", "agent_type": kind, "task_description": "Do a part."}
                    for number in range(MILLION_SHOWN)
                ]
            case "count":
                return [{**self.step("one"), "count": 1_000_000}]
            case "greedy":
                grasping = {"timeout_seconds": 1e9, "model": "own/costly", "budget_usd": 1e9, "tools": ["exec"]}
                return [{**self.step("one"), **grasping}]
            case "self":
                return [self.step("one", ["one"])]
            case "cycle":
                return [self.step("one", ["three"]), self.step("two", ["one"]), self.step("three", ["two"])]
            case "unknown":
                return [{**self.step("one"), "agent_type": "agent_of_no_such_type"}]
            case "dangling":
                return [self.step("one", ["nowhere"])]
            case "twins":
                return [self.step("one"), self.step("one")]
            case "recursive":
                return [{**self.step("one"), "agent_type": "agent_orchestrator"}]
            case "empty":
                return []
            case _:
                raise ValueError(f"no plan is called `{how}`")

    def creators(self, count: int, target: float | None) -> list[Row]:
        steps = []
        for number in range(1, count + 1):
            name, purpose = f"agent_{number}", f"sorts list {number}"
            step = self.step(name, kind="creator", about=f"Design the agent {name}: {purpose}.")
            step["input_data"] = {"name": name, "purpose": purpose}
            steps.append(step if target is None else {**step, "target": target})
        return steps

    def chain(self, count: int) -> list[Row]:
        kinds = ["writer", *["reviewer"] * (count - 1)]
        before: list[list[str]] = [[], *([f"link-{number}"] for number in range(1, count))]
        return [
            self.step(f"link-{number}", before[number - 1], kind=kinds[number - 1]) for number in range(1, count + 1)
        ]

    def substitutes(self, failures: list[Row], how: str) -> list[Row]:
        """One task for each that failed, by another agent type where there is one."""
        names = {str(row["task_id"]): f"{row['task_id']}-again" for row in failures}
        steps = []
        for row in failures:
            failed = str(row["task_id"])
            before = [names.get(str(one), str(one)) for one in row.get("dependencies", [])]
            tokens = _REFUSED if how == "failing always" else ""
            about = f"Do the work of {failed}, which failed, in another way."
            step = self.step(names[failed], before, about=about, tokens=tokens)
            kind = self.pick("writer", but=str(row.get("agent_type", "")))
            steps.append({**step, "agent_type": kind, "replaces": [failed]})
        return steps

    def step(
        self,
        task_id: str,
        dependencies: Iterable[str] = (),
        *,
        kind: str = "writer",
        about: str = "",
        tokens: str = "",
    ) -> Row:
        handed_down = [token for token in dict.fromkeys(_TOKEN.findall(self.said)) if not _OWN.match(token)]
        description = [about or f"Write the part {task_id}.", *handed_down, f"[[task={task_id}]]", tokens]
        return {
            "task_id": task_id,
            "agent_type": self.pick(kind),
            "task_description": " ".join(description).strip(),
            "input_data": {},
            "dependencies": list(dependencies),
            "priority": 5,
        }

    def pick(self, kind: str, but: str = "") -> str:
        """The first listed type for this kind of work; the first of all if there is none."""
        fitting = [name for name in self.types if (kind in name and "agent" not in name) or name == f"agent_{kind}"]
        return next((name for name in [*fitting, *self.types] if name != but), self.types[0])


def _report(reading: Reading, how: str) -> Row:
    """What became of each task, as the prompt tells it; or as `how` lies about it.

    Raises:
        ValueError: there is no such lie.
    """
    statuses = _statuses(reading)
    match how:
        case "":
            pass
        case "invents":
            statuses = {**dict.fromkeys(statuses, "completed"), "invented-1": "completed", "invented-2": "completed"}
        case "flatters":
            statuses = dict.fromkeys(statuses, "completed")
        case "forgets":
            statuses = dict(list(statuses.items())[:-1])
        case _:
            raise ValueError(f"no report is called `{how}`")
    lines = [f"{task_id}: {status}" for task_id, status in statuses.items()]
    fields: Row = {
        "mode": "report",
        "report": "What became of each task. " + "; ".join(lines),
        "findings": lines,
        "unresolved": [line for line in lines if not line.endswith(": completed")],
    }
    example = next((shape for shape in reversed(reading.shapes) if isinstance(shape, dict)), {})
    for name, rows in example.items():
        # Where the contract asks for the tasks one by one, they are told in its own fields.
        if name != "tasks" and isinstance(rows, list) and rows and isinstance(rows[0], dict) and "task_id" in rows[0]:
            fields[name] = [{**rows[0], "task_id": task_id, "status": status} for task_id, status in statuses.items()]
    if isinstance(example.get("steps"), dict):
        fields["steps"] = statuses
    return fields


def _types(reading: Reading) -> list[str]:
    """The agent types that the prompt lists: names, rows with a `name`, or names with what they do."""
    listed = reading.data.get("agent_types") or []
    return [str(row.get("name", "")) if isinstance(row, dict) else str(row) for row in listed]


def _rows(listed: Any) -> list[Row]:
    """Rows with a `task_id`, from a list of them or from a mapping by it."""
    if isinstance(listed, dict):
        return [{**(row if isinstance(row, dict) else {"error": row}), "task_id": name} for name, row in listed.items()]
    return [row for row in listed or [] if isinstance(row, dict) and "task_id" in row]


def _failures(reading: Reading) -> list[Row]:
    short = reading.data.get("open") or []
    return [
        *_rows(reading.data.get("failures")),
        *(row for row in _rows(reading.data.get("results")) if row["task_id"] in short),
    ]


def _statuses(reading: Reading) -> dict[str, str]:
    """Task id to status, as the prompt tells it. What is framed as a result has completed."""
    statuses = {frame.task_id: "completed" for frame in reading.results}
    for row in _rows(reading.data.get("results")):
        statuses[str(row["task_id"])] = str(row.get("status", "completed"))
    for row in _failures(reading):
        statuses[str(row["task_id"])] = str(row.get("status", "failed"))
    return statuses
