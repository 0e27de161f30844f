"""The registry of agent types: those of one's own are made of designs and kept as files."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from . import _core
from ._agents import AgentType, get_agent_type, list_available_agents, prompts_changed, validate_agent_type
from ._errors import AgentTypeError
from ._task import AgentResult


class Registry:
    """All agent types: the built-in ones, and one's own.

    Those that `add` makes are kept as Markdown files in a folder, by default `parallel-agents/agents` in OpenClaw's
    state folder (`OPENCLAW_STATE_DIR`, else `~/.openclaw`). A process reads that folder when it first asks for agent
    types; a file that cannot be used is named in a warning of the logger `parallel_agents` and passed over.

    Iterating gives the names; `in`, `len` and `registry[name]` work as they do for a dict, save that a name that does
    not exist is an `AgentTypeError`.

    Example:
        >>> "code_reviewer" in registry, registry["code_reviewer"].category
        (True, 'qa')
    """

    def __repr__(self) -> str:
        return f"<parallel_agents.registry: {len(self)} agent types, {len(self.kept())} of your own>"

    def __len__(self) -> int:
        return len(_core.agent_names())

    def __iter__(self) -> Iterator[str]:
        return iter(_core.agent_names())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and validate_agent_type(name)

    def __getitem__(self, name: str) -> AgentType:
        return get_agent_type(name)

    @property
    def folder(self) -> Path:
        """Where `add` keeps agent types unless it is told another folder.

        Raises:
            AgentTypeError: Neither `OPENCLAW_STATE_DIR` nor a home is set.
        """
        return Path(_core.agent_folder())

    def add(
        self,
        design: object,
        *,
        name: str | None = None,
        replace: bool = False,
        folder: str | PathLike[str] | None = None,
        description: str | None = None,
        category: str | None = None,
        timeout_seconds: float | None = None,
    ) -> AgentType:
        """Makes an agent type of a design. It can be used at once, and is kept for later processes.

        The prompt is the design's `system_prompt`, at most 64 KiB; headings in it that frame prompts, such as
        `## Output`, are written with a backslash before them. It holds no characters that cannot be seen, save joiners
        between letters or emoji. What its answers must look like is written from `output_schema`.

        Args:
            design: What `agent_creator` or `agent_refiner` answers, as a mapping; or the `AgentResult` of one that
                completed; or anything whose `design` is such a mapping, as a `Refinement`'s is, or whose `output`, as
                that of the `Refinement` of a creator's task.
            name: Lower-case letters, digits and underscores. Default: the design's `agent_name`, made so: `Email
                Sorter` becomes `email_sorter`.
            replace: Take the place of a type of that name, built-in ones included.
            folder: Where to keep its file. Default: `registry.folder`. Later processes read another one by
                `registry.load(folder)`.
            description: One line, at most 200 characters. Default: the first capability.
            category: What it is listed under. Default: `custom`.
            timeout_seconds: Time for one attempt. Default: 120.

        Returns:
            The type.

        Raises:
            AgentTypeError: The design does not fit what `agent_creator` promises, its name is taken or is none, its
                schema is none, a part of it is too large, or the file cannot be written. Nothing was added.

        Example:
            >>> import tempfile
            >>> design = {
            ...     "agent_name": "Parcel Sorter", "version": "1.0.0", "domain": "post",
            ...     "system_prompt": "Sort the parcel.", "input_schema": {},
            ...     "output_schema": {"type": "object", "properties": {"shelf": {"type": "string"}}},
            ...     "capabilities": ["finds the shelf of a parcel"], "example_interactions": "", "use_cases": [],
            ...     "estimated_complexity": "low", "limitations": [], "confidence": 0.5,
            ... }
            >>> registry.add(design, folder=tempfile.mkdtemp()).name
            'parcel_sorter'
        """
        fields = _design_fields(design)
        if timeout_seconds is not None and not isinstance(timeout_seconds, (int, float)):
            raise AgentTypeError(f"`timeout_seconds` is `{timeout_seconds!r}`, expected a number of seconds")
        for field, value in (("name", name), ("description", description), ("category", category)):
            if value is not None and not isinstance(value, str):
                raise AgentTypeError(f"`{field}` is `{value!r}`, expected a text")
        where = None if folder is None else fspath(folder)
        added = _core.keep_agent_type(fields, name, description, category, timeout_seconds, bool(replace), where)
        prompts_changed()
        return get_agent_type(added)

    def load(self, folder: str | PathLike[str] | None = None) -> builtins.list[str]:
        """Reads the agent types that a folder keeps now, also what other processes have added or removed since.

        A file that cannot be used, or whose name another type has, is named in a warning of the logger
        `parallel_agents` and passed over.

        Args:
            folder: Default: `registry.folder`.

        Returns:
            The names of its types.

        Raises:
            AgentTypeError: The folder cannot be read. (The default one may be missing.)
        """
        loaded = _core.load_kept_agent_types(None if folder is None else fspath(folder))
        prompts_changed()
        return loaded

    def remove(self, name: str) -> None:
        """Takes an agent type out, and deletes its file if it is a kept one. What it had replaced is back.

        Args:
            name: Its name.

        Raises:
            AgentTypeError: It does not exist, is built-in, or its file cannot be deleted.
        """
        _core.remove_agent_type(name)
        prompts_changed()

    def kept(self) -> dict[str, Path]:
        """The agent types that are kept as files: name to file."""
        return {name: Path(path) for name, path in _core.kept_agent_types().items()}

    def design(self, name: str) -> dict[str, Any]:
        """What an agent type was designed as, in the shape that `agent_creator` answers in.

        Returns:
            All that `add` was given, under the type's own name; of other types `agent_name`, `system_prompt` and, if
            they have one, `output_schema`.

        Raises:
            AgentTypeError: There is no such type.
        """
        return _core.agent_design(name)

    def list(self, category: str | None = None) -> dict[str, str]:
        """Agent types and what each delivers, as `list_available_agents` gives them."""
        return list_available_agents(category)


def _design_fields(design: object) -> dict[str, Any]:
    """The design that a caller means."""
    if isinstance(design, AgentResult):
        if not design.success:
            raise AgentTypeError(
                f"the result of task `{design.task_id}` holds no design, it is {design.status.value}: {design.error}"
            )
        design = design.output
    elif not isinstance(design, Mapping) and hasattr(design, "design"):
        because = getattr(design, "stopped_because", None)
        design = _design_of(design)
        if design is None:
            raise AgentTypeError(f"the refinement holds no design, it stopped because of `{because}`")
    if not isinstance(design, Mapping):
        raise AgentTypeError(
            f"the design is of type `{type(design).__name__}`, expected a mapping as `agent_creator` answers, "
            "an AgentResult or a Refinement"
        )
    return dict(design)


def _design_of(holder: Any) -> object:
    """Its `design`; without one its `output`, where a creator's task was refined."""
    output = getattr(holder, "output", None)
    if holder.design is None and isinstance(output, Mapping) and "system_prompt" in output:
        return output
    return holder.design


registry = Registry()
"""The agent types of this process."""
