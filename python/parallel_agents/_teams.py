"""Ready teams: each function returns tasks for `Orchestrator.run_parallel`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import _core
from ._errors import PlanError
from ._task import AgentTask, new_id

_SHOWN_MAX = 80


def text_of(name: str, value: object, hint: str = "") -> str:
    """A text that says something.

    Raises:
        PlanError: It is none. `hint` says what else there is to do.
    """
    if not isinstance(value, str) or not value.strip():
        raise PlanError(f"`{name}` is {shown(value)}, expected a text that is not empty{hint}")
    return value


def listed(name: str, values: object, expected: str) -> list[Any]:
    """What was given as a list, but for a single text, which is a list of letters.

    Raises:
        PlanError: It is no list.
    """
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise PlanError(f"`{name}` is {shown(values)}, expected {expected}")
    return list(values)


def shown(value: object) -> str:
    """A value for a message: on one line, and never a long one."""
    text = repr(value)
    return f"`{text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + '...'}`"


def _texts(name: str, values: object) -> list[str]:
    return [text_of(f"{name}[{index}]", value) for index, value in enumerate(listed(name, values, "a list of texts"))]


def task_of_type(agent_type: str, description: str, data: dict[str, Any], **fields: Any) -> AgentTask:
    """A task with the timeout of its agent type."""
    timeout = _core.agent_type(agent_type)["timeout_seconds"]
    return AgentTask(agent_type, description, data, timeout_seconds=timeout, **fields)


CONTENT_STYLES = ("creative", "funny", "educational", "trendy", "controversial")


def create_content_team(topic: str, platform: str = "bluesky") -> list[AgentTask]:
    """Five writers for one topic: creative, funny, educational, trendy and controversial.

    Args:
        topic: What the posts are about.
        platform: Where they will appear.

    Returns:
        5 tasks; each answers with `caption`, `hashtags` and fields of its style.

    Raises:
        PlanError: The topic or the platform is no text, or empty. (A `ValueError`.)

    Example:
        >>> len(create_content_team("Monday motivation"))
        5
    """
    data = {"topic": text_of("topic", topic), "platform": text_of("platform", platform)}
    return [
        task_of_type(f"content_writer_{style}", f"Write one {style} post about {topic} for {platform}.", dict(data))
        for style in CONTENT_STYLES
    ]


def create_dev_team(app_name: str, features: Iterable[str]) -> list[AgentTask]:
    """Five developers for one application: frontend, backend, database, API and operations.

    Args:
        app_name: The application's name.
        features: What it is to do, one entry per feature.

    Returns:
        5 tasks.

    Raises:
        PlanError: There is no name or no feature, or one of them is no text. (A `ValueError`.)

    Example:
        >>> [task.agent_type for task in create_dev_team("Ledger", ["import", "export"])][:2]
        ['frontend_developer', 'backend_developer']
    """
    data = {"app_name": text_of("app_name", app_name), "features": _texts("features", features)}
    if not data["features"]:
        raise PlanError("`features` is empty, expected what the application is to do, one entry per feature")
    parts = {
        "frontend_developer": "Build the user interface",
        "backend_developer": "Build the server",
        "database_architect": "Design the database",
        "api_designer": "Design the API",
        "devops_engineer": "Set up build, deployment and monitoring",
    }
    return [task_of_type(kind, f"{part} of {app_name}.", dict(data)) for kind, part in parts.items()]


def create_review_team(code: str) -> list[AgentTask]:
    """Five reviewers for one piece of code: code, security, performance, accessibility and tests.

    Args:
        code: The source text.

    Returns:
        5 tasks.

    Raises:
        PlanError: The source text is none, or empty. (A `ValueError`.)

    Example:
        >>> [task.agent_type for task in create_review_team("x = eval(input())")][:2]
        ['code_reviewer', 'security_reviewer']
    """
    text_of("code", code, "; a file is read by `ReviewTeam.of_file(path)`")
    parts = {
        "code_reviewer": "Review this code for defects and design.",
        "security_reviewer": "Review this code for security.",
        "performance_reviewer": "Review this code for performance.",
        "accessibility_reviewer": "Review this code for accessibility.",
        "test_engineer": "Write tests for this code.",
    }
    return [task_of_type(kind, part, {"code": code}) for kind, part in parts.items()]


def create_meta_agent_workflow(agent_purposes: Iterable[Mapping[str, Any]]) -> list[AgentTask]:
    """A creator and a reviewer for each new agent; the reviewer gets the creator's design.

    What the creators answer is checked against the design schema; `registry.add` makes agent types of it.

    Args:
        agent_purposes: Mappings with `name`, `purpose` and optionally `domain`, `capabilities`, each name once. Other
            fields are left alone.

    Returns:
        Two tasks per entry, all creators first.

    Raises:
        PlanError: An entry cannot be used.

    Example:
        >>> tasks = create_meta_agent_workflow([{"name": "sorter", "purpose": "sorts mail"}])
        >>> [task.agent_type for task in tasks], tasks[1].dependencies == [tasks[0].task_id]
        (['agent_creator', 'agent_design_reviewer'], True)
    """
    pairs: dict[str, tuple[AgentTask, AgentTask]] = {}
    for index, entry in enumerate(listed("agent_purposes", agent_purposes, "a list of dicts with `name`, `purpose`")):
        place = f"agent_purposes[{index}]"
        if not isinstance(entry, Mapping):
            raise PlanError(f"`{place}` is {shown(entry)}, expected a dict with `name` and `purpose`")
        missing = [key for key in ("name", "purpose") if entry.get(key) is None]
        if missing:
            raise PlanError(f"{place}: `{missing[0]}` is missing, expected name and purpose")
        name = text_of(f"{place}.name", entry["name"])
        if name in pairs:
            raise PlanError(f"`{place}.name` is {shown(name)} once more, expected each name once")
        pairs[name] = _creator_and_reviewer(
            name,
            text_of(f"{place}.purpose", entry["purpose"]),
            text_of(f"{place}.domain", entry.get("domain") or "general"),
            _texts(f"{place}.capabilities", entry.get("capabilities") or []),
        )
    return [creator for creator, _ in pairs.values()] + [reviewer for _, reviewer in pairs.values()]


def create_custom_agent(agent_name: str, purpose: str, domain: str, capabilities: Iterable[str]) -> list[AgentTask]:
    """A creator and a reviewer for one new agent; the reviewer gets the creator's design.

    Args:
        agent_name: What the agent will be called.
        purpose: What it is for.
        domain: The field it works in. Empty: `general`.
        capabilities: What it must be able to do, one text each.

    Returns:
        2 tasks: the creator, then the reviewer.

    Raises:
        PlanError: A name, purpose, field or capability is no text, or empty. (A `ValueError`.)

    Example:
        >>> creator, reviewer = create_custom_agent("packer", "plans loads", "logistics", ["weigh a load"])
        >>> reviewer.dependencies == [creator.task_id]
        True
    """
    creator, reviewer = _creator_and_reviewer(
        text_of("agent_name", agent_name),
        text_of("purpose", purpose),
        text_of("domain", domain or "general"),
        _texts("capabilities", [] if capabilities is None else capabilities),
    )
    return [creator, reviewer]


def _creator_and_reviewer(name: str, purpose: str, domain: str, capabilities: list[str]) -> tuple[AgentTask, AgentTask]:
    data = {"name": name, "purpose": purpose, "domain": domain, "capabilities": capabilities}
    creator = task_of_type(
        "agent_creator", f"Design the agent {name}: {purpose}", data, task_id=_id("agent_creator", name)
    )
    reviewer = task_of_type(
        "agent_design_reviewer",
        f"Review the design of the agent {name}, which is among the results of other agents.",
        {**data, "capabilities": list(capabilities)},
        task_id=_id("agent_design_reviewer", name),
        dependencies=[creator.task_id],
    )
    return creator, reviewer


def _id(agent_type: str, name: str) -> str:
    """An id of its own that tells what the task is about."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in name.lower()).split()
    return new_id("_".join([agent_type, *words])[:150])
