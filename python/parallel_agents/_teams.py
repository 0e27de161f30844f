"""Ready teams: each function returns tasks for `Orchestrator.run_parallel`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import _core
from ._errors import PlanError
from ._task import AgentTask


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

    Args:
        agent_purposes: Mappings with `name`, `purpose` and optionally `domain`, `capabilities`.

    Returns:
        Two tasks per entry, all creators first.

    Raises:
        PlanError: An entry lacks `name` or `purpose`.
    """
    creators, reviewers = [], []
    for index, entry in enumerate(agent_purposes):
        missing = [key for key in ("name", "purpose") if not entry.get(key)]
        if missing:
            raise PlanError(f"agent_purposes[{index}]: `{missing[0]}` is missing, expected name and purpose")
        creator, reviewer = create_custom_agent(
            entry["name"], entry["purpose"], entry.get("domain") or "general", entry.get("capabilities") or []
        )
        creators.append(creator)
        reviewers.append(reviewer)
    return creators + reviewers


def create_custom_agent(agent_name: str, purpose: str, domain: str, capabilities: Iterable[str]) -> list[AgentTask]:
    """A creator and a reviewer for one new agent; the reviewer gets the creator's design.

    Args:
        agent_name: What the agent will be called.
        purpose: What it is for.
        domain: The field it works in.
        capabilities: What it must be able to do.

    Returns:
        2 tasks: the creator, then the reviewer.
    """
    data = {"name": agent_name, "purpose": purpose, "domain": domain, "capabilities": list(capabilities)}
    creator = task_of_type("agent_creator", f"Design the agent {agent_name}: {purpose}", data)
    reviewer = task_of_type(
        "agent_design_reviewer",
        f"Review the design of the agent {agent_name}, which is among the results of other agents.",
        {"name": agent_name, "purpose": purpose},
        dependencies=[creator.task_id],
    )
    return [creator, reviewer]
