"""Tasks and results, as mutable dataclasses. A run works on a snapshot taken when it starts."""

from __future__ import annotations

from dataclasses import KW_ONLY, asdict, dataclass, field
from enum import Enum
from typing import Any

from . import _core

MODEL_HIERARCHY: list[str] = list(_core.DEFAULT_MODELS)
"""The models that are tried where none are named, cheapest first."""
DEFAULT_AGENT_TIMEOUT = 120
"""Seconds for one attempt."""
DEFAULT_MAX_CONCURRENT = 5
"""Agents at once."""


class AgentStatus(str, Enum):
    """Where a task stands. The values are the names in lower case."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    NEEDS_INPUT = "needs_input"


class OutputFormat(str, Enum):
    """The form an agent is to answer in. The values are the names in lower case."""

    JSON = "json"
    MARKDOWN = "markdown"
    CODE = "code"
    TEXT = "text"


def new_id(agent_type: str) -> str:
    """An id that no other task has."""
    import uuid

    return f"{agent_type}_{uuid.uuid4().hex[:8]}"


@dataclass
class AgentTask:
    """What one agent is to do.

    Args:
        agent_type: Name of an agent type; `list_available_agents()` shows them. `plain` is none of them: its agents are
            told the task's own text and nothing else, but what a JSON answer must look like.
        task_description: What to do. Not empty.
        input_data: Data for the agent; anything JSON can hold.
        task_id: Unique in its run; generated if absent.
        timeout_seconds: Time for one attempt, in seconds, from when the agent starts to work. Above 0, at most 604800.
        output_format: The form of the answer, as `OutputFormat` or its name.
        priority: Higher numbers start first; ties in the order given.
        dependencies: Ids of tasks that must complete first; their outputs go into this agent's prompt.
        deadline_seconds: Time for all attempts together, in seconds, from the first one's order. Default: none.
        model: The one model to use.
        models: Models from cheap to costly, instead of the orchestrator's: names or `Tier`s.
        output_schema: JSON Schema for a JSON answer, instead of the agent type's: a dict, or a class with
            `model_json_schema()` such as a pydantic model.

    Raises:
        AgentTypeError: There is no such agent type. (A `ValueError`, as is the next.)
        PlanError: A value that cannot be used. Description, data, dependencies, models and schema may still be filled
            in and are checked when a run starts.

    Example:
        >>> AgentTask("code_reviewer", "Review this function", {"code": "def f(): pass"}).priority
        5
    """

    agent_type: str
    task_description: str
    input_data: dict[str, Any] = field(default_factory=dict)
    # Always a text once made, which is what readers of a task want to know; `None` asks for a generated one.
    task_id: str = None  # type: ignore[assignment]
    timeout_seconds: float = DEFAULT_AGENT_TIMEOUT
    output_format: OutputFormat | str = OutputFormat.JSON
    priority: int = 5
    dependencies: list[str] = field(default_factory=list)
    _: KW_ONLY
    deadline_seconds: float | None = None
    model: str | None = None
    models: list[Any] | None = None
    output_schema: Any = None

    def __post_init__(self) -> None:
        if self.task_id is None:
            self.task_id = new_id(str(self.agent_type))
        # What a program may still fill in is checked when a run starts.
        _core.check_task(
            {
                "agent_type": self.agent_type,
                "task_description": self.task_description or "not yet said",
                "task_id": self.task_id,
                "timeout_seconds": self.timeout_seconds,
                "output_format": self.output_format,
                "priority": self.priority,
            }
        )
        self.output_format = OutputFormat(self.output_format.lower())

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values, the format by its name."""
        fields = asdict(self)
        if isinstance(self.output_format, OutputFormat):
            fields["output_format"] = self.output_format.value
        fields["output_schema"] = _schema_fields(self.output_schema)
        return fields


@dataclass
class AgentResult:
    """What became of one task.

    A run's results are read from the core field by field, when they are first asked for: `vars()` shows those that were
    read so far, `to_dict()` all.

    Attributes:
        task_id: The task.
        agent_type: Its agent type.
        status: How it ended.
        output: The parsed JSON, or the text in the other formats; `None` unless completed.
        execution_time: Seconds from the first attempt's start to the end.
        timestamp: When it ended, ISO 8601 in UTC.
        error: Why there is no output, and what to do about it, or what the agent asks (`NEEDS_INPUT`); `None` if
            completed.
        session_key: The gateway's key of the last attempt's session.
        metadata: `model_requested model_used tier attempts tokens cost currency queued_seconds runtime truncated
            skipped_because doctor`; costs in US dollars, `None` where no price is known; `doctor` is the line of
            `parallel-agents doctor` that explains a failure which the gateway's settings caused, or `None`.
        raw: What the agent wrote, also where it was not usable or cut short. Not in `to_dict()`.
    """

    task_id: str
    agent_type: str
    status: AgentStatus
    output: Any = None
    execution_time: float = 0.0
    timestamp: str = ""
    error: str | None = None
    session_key: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    raw: str | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        more = {name: value for name, value in self.__dict__.items() if name != "_report"}
        return {**{name: getattr(self, name) for name in _RESULT_FIELDS}, **more}

    @property
    def success(self) -> bool:
        """Whether the task completed."""
        return self.status == AgentStatus.COMPLETED

    @property
    def failed(self) -> bool:
        """Whether it failed or timed out."""
        return self.status in (AgentStatus.FAILED, AgentStatus.TIMEOUT)

    def to_dict(self) -> dict[str, Any]:
        """All fields but `raw` as plain values, the status by its name."""
        fields = asdict(self)
        fields["status"] = self.status.value
        del fields["raw"]
        return fields


_RESULT_FIELDS = tuple(AgentResult.__dataclass_fields__)
for _name in _RESULT_FIELDS:
    # In place of the defaults, of which `__init__` has its own: a run's results are made into Python objects when they
    # are read.
    setattr(AgentResult, _name, _core.LazyField(_name))


def results_from_core(reports: list[_core.Report | None], ids: list[str], known: dict[str, AgentResult]) -> None:
    """Adds the results that the core holds to `known`; their fields are read from there when first asked for."""
    new, kind = object.__new__, AgentResult
    for task_id, report in zip(ids, reports, strict=True):
        if report is not None and task_id not in known:
            known[task_id] = result = new(kind)
            result._report = report  # type: ignore[attr-defined]


def task_list(tasks: Any) -> list[Any]:
    """The tasks as a list, which the core takes a snapshot of."""
    if isinstance(tasks, (AgentTask, dict, str)) or not hasattr(tasks, "__iter__"):
        from ._errors import PlanError

        raise PlanError(f"`tasks` is of type `{type(tasks).__name__}`, expected a list of AgentTasks or dicts")
    return list(tasks)


def _schema_fields(schema: Any) -> Any:
    """The JSON Schema of a class that has one, such as a pydantic model; anything else stays for the core to judge."""
    if schema is not None and hasattr(schema, "model_json_schema"):
        return schema.model_json_schema()
    return schema


def task_fields(task: object, index: int) -> dict[str, Any]:
    """A task's fields, as the core reads them one by one."""
    if isinstance(task, AgentTask):
        names = AgentTask.__dataclass_fields__
        fields: dict[str, Any] = {name: getattr(task, name) for name in names}
    elif isinstance(task, dict):
        fields = dict(task)
    else:
        from ._errors import PlanError

        kind = type(task).__name__
        raise PlanError(f"task number {index + 1} is of type `{kind}`, expected an AgentTask or a dict of its fields")
    fields["output_schema"] = _schema_fields(fields.get("output_schema"))
    models = fields.get("models")
    if models is not None:
        from ._options import models_fields

        fields["models"] = models_fields(models)
    return fields
