"""The agent types: listing, lookup, and adding one's own for this process. `_registry` keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

from . import _core


@dataclass(frozen=True)
class AgentType:
    """A kind of agent.

    Args:
        name: Lower-case letters, digits and underscores.
        description: One line.
        prompt: What the agent is told before its task. A section `## Output` at its end, with a JSON example in a
            fence, states the contract of its answer.
        category: What it is listed under.
        output_schema: JSON Schema its JSON answers are checked against; `None` accepts any JSON.
        timeout_seconds: Time for one attempt of a task that is given as a dict without its own.
    """

    name: str
    description: str
    prompt: str
    category: str = "custom"
    output_schema: dict[str, Any] | None = None
    timeout_seconds: float = 120.0


def list_available_agents(category: str | None = None) -> dict[str, str]:
    """Agent types and what each delivers.

    Args:
        category: `content`, `development`, `qa`, `documentation`, `meta`, `personal`, or one of your own. Absent: all.

    Returns:
        Name to one-line description; empty for a category that no type has.

    Example:
        >>> sorted(list_available_agents("documentation"))
        ['documentation_writer']
    """
    types = _core.agent_types()
    return {each["name"]: each["description"] for each in types if category in (None, each["category"])}


def get_agent_type(agent_type: str) -> AgentType:
    """One agent type.

    Args:
        agent_type: Its name.

    Raises:
        AgentTypeError: There is no such type; the message names the nearest ones.
    """
    fields = _core.agent_type(agent_type)
    del fields["origin"]
    return AgentType(**fields)


def get_agent_prompt(agent_type: str) -> str | None:
    """The prompt of an agent type.

    Args:
        agent_type: Its name.

    Returns:
        The prompt, or `None` if there is no such type.
    """
    return _core.agent_type(agent_type)["prompt"] if validate_agent_type(agent_type) else None


def validate_agent_type(agent_type: str) -> bool:
    """Whether there is an agent type of that name.

    Args:
        agent_type: The name.
    """
    return _core.has_agent_type(agent_type)


def register_agent_type(agent_type: AgentType, *, replace: bool = False) -> None:
    """Adds an agent type, for this process.

    Args:
        agent_type: The type. Its schema and the example in its prompt are checked.
        replace: Take the place of a type of the same name.

    Raises:
        AgentTypeError: It cannot be used, or its name is taken.

    Example:
        >>> register_agent_type(AgentType("poet", "Writes a poem", "Write a poem."), replace=True)
        >>> validate_agent_type("poet")
        True
    """
    fields = dict(vars(agent_type))
    prompt = fields.pop("prompt")
    _core.add_agent_type({name: value for name, value in fields.items() if value is not None}, prompt, replace)
    prompts_changed()


def load_agent_types(path: str | PathLike[str], *, replace: bool = False) -> list[str]:
    """Adds the agent types of a Markdown file, or of all `*.md` files of a folder, for this process.

    Args:
        path: The file or folder. Each file begins with front matter: `name`, `description`, and optionally
            `category`, `timeout_seconds`, `output_schema`, and `replaces: built-in`, which takes the place of the
            built-in type of that name.
        replace: Take the place of types of the same names.

    Returns:
        The names that were added.

    Raises:
        AgentTypeError: A file cannot be used; then none is added.
    """
    loaded = _core.load_agent_types(fspath(path), replace)
    prompts_changed()
    return loaded


AGENT_PROMPTS: dict[str, str]
"""Agent type to prompt. Made when it is first asked for; types that are added, loaded or removed later change it."""

# As the core had them when it was last asked: what a program has put in beside them stays.
_known: dict[str, str] = {}


def prompts_changed() -> None:
    """Brings `AGENT_PROMPTS` up to date, if anybody has asked for it."""
    shown: dict[str, str] | None = globals().get("AGENT_PROMPTS")
    if shown is None:
        return
    now = {each["name"]: each["prompt"] for each in _core.agent_types()}
    for name in _known.keys() - now.keys():
        shown.pop(name, None)
    shown.update({name: prompt for name, prompt in now.items() if _known.get(name) != prompt})
    _known.clear()
    _known.update(now)


def __getattr__(name: str) -> dict[str, str]:
    if name != "AGENT_PROMPTS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    prompts: dict[str, str] = {}
    globals()["AGENT_PROMPTS"] = prompts
    prompts_changed()
    return prompts
