"""Ready teams: each function returns tasks for `Orchestrator.run_parallel`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import _core
from ._errors import PlanError
from ._task import AgentTask, new_id


def task_of_type(agent_type: str, description: str, data: dict[str, Any], **fields: Any) -> AgentTask:
    """A task with the timeout of its agent type."""
    timeout = _core.agent_type(agent_type)["timeout_seconds"]
    return AgentTask(agent_type, description, data, timeout_seconds=timeout, **fields)


_CONTENT = ("creative", "funny", "educational", "trendy", "controversial")


def create_content_team(topic: str, platform: str = "bluesky") -> list[AgentTask]:
    """Five writers for one topic: creative, funny, educational, trendy and controversial.

    Args:
        topic: What the posts are about.
        platform: Where they will appear.

    Returns:
        5 tasks; each answers with `caption`, `hashtags` and fields of its style.

    Example:
        >>> len(create_content_team("Monday motivation"))
        5
    """
    data = {"topic": topic, "platform": platform}
    return [
        task_of_type(f"content_writer_{style}", f"Write one {style} post about {topic} for {platform}.", dict(data))
        for style in _CONTENT
    ]


def create_dev_team(app_name: str, features: Iterable[str]) -> list[AgentTask]:
    """Five developers for one application: frontend, backend, database, API and operations.

    Args:
        app_name: The application's name.
        features: What it is to do, one entry per feature.

    Returns:
        5 tasks.
    """
    if isinstance(features, str):
        raise PlanError(f"`features` is `{features!r}`, expected a list of texts")
    data = {"app_name": app_name, "features": list(features)}
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
    """
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
    if isinstance(agent_purposes, (str, bytes, Mapping)) or not isinstance(agent_purposes, Iterable):
        kind = type(agent_purposes).__name__
        raise PlanError(f"`agent_purposes` is of type `{kind}`, expected a list of dicts with `name` and `purpose`")
    pairs = []
    names = set[str]()
    for index, entry in enumerate(agent_purposes):
        place = f"agent_purposes[{index}]: "
        if not isinstance(entry, Mapping):
            raise PlanError(f"{place}is of type `{type(entry).__name__}`, expected a dict with `name` and `purpose`")
        missing = [key for key in ("name", "purpose") if not entry.get(key)]
        if missing:
            raise PlanError(f"{place}`{missing[0]}` is missing, expected name and purpose")
        pairs.append(_designed(place, entry["name"], entry["purpose"], entry.get("domain"), entry.get("capabilities")))
        if entry["name"] in names:
            raise PlanError(f"{place}`name` is `{_shown(entry['name'])}` once more, expected each name once")
        names.add(entry["name"])
    return [creator for creator, _ in pairs] + [reviewer for _, reviewer in pairs]


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
        PlanError: One of them is no text, or `capabilities` no list of texts.
    """
    return list(_designed("", agent_name, purpose, domain, capabilities))


def _designed(place: str, name: Any, purpose: Any, domain: Any, capabilities: Any) -> tuple[AgentTask, AgentTask]:
    """The creator and the reviewer of one agent. `place` names it in errors."""
    domain = domain or "general"
    for field, value in (("name", name), ("purpose", purpose), ("domain", domain)):
        if not isinstance(value, str) or not value.strip():
            raise PlanError(f"{place}`{field}` is `{_shown(value)}`, expected a text that is not empty")
    capabilities = [] if capabilities is None else capabilities
    is_list = isinstance(capabilities, Iterable) and not isinstance(capabilities, (str, bytes, Mapping))
    wanted = list(capabilities) if is_list else [None]
    if not all(isinstance(each, str) for each in wanted):
        raise PlanError(f"{place}`capabilities` is `{_shown(capabilities)}`, expected a list of texts")
    data = {"name": name, "purpose": purpose, "domain": domain, "capabilities": wanted}
    creator = task_of_type(
        "agent_creator", f"Design the agent {name}: {purpose}", data, task_id=_id("agent_creator", name)
    )
    reviewer = task_of_type(
        "agent_design_reviewer",
        f"Review the design of the agent {name}, which is among the results of other agents.",
        {**data, "capabilities": list(wanted)},
        task_id=_id("agent_design_reviewer", name),
        dependencies=[creator.task_id],
    )
    return creator, reviewer


def _id(agent_type: str, name: str) -> str:
    """An id of its own that tells what the task is about."""
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in name.lower()).split()
    return new_id("_".join([agent_type, *words])[:150])


def _shown(value: object) -> str:
    """A value on one line of bounded length, for an error."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
