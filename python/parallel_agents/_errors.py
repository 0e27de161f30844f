"""The exceptions of the package. Each is a `ParallelAgentsError` and a built-in class that fits."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._task import AgentResult


class ParallelAgentsError(Exception):
    """Anything this package raises of its own. Its message says what to do next.

    Attributes:
        doctor: The line of `parallel-agents doctor` that explains it, such as `"token"`; its message ends with which.
            `None` where no line does: what is wrong with an input (`PlanError`, `OptionError`) names value and way out
            itself.
    """

    doctor: str | None = None


class OptionError(ParallelAgentsError, ValueError):
    """An option of `Orchestrator`, `Gateway`, `Rehearsal` or `RetryPolicy` has a value it does not take."""


class PlanError(ParallelAgentsError, ValueError):
    """The tasks cannot be run as they are. Nothing was started or spent."""


class AgentTypeError(PlanError):
    """An agent type does not exist, or cannot be used as it is written."""


class ModelError(PlanError):
    """None of the models can be used. Nothing was started or spent."""


class GatewayError(ParallelAgentsError, ConnectionError):
    """No gateway can be used: none listens, or it refuses us. Nothing was started or spent."""


class JournalError(ParallelAgentsError, OSError):
    """A journal cannot be used, does not hold the run, or another process runs it. Nothing was started or spent."""


class EventLoopError(ParallelAgentsError, RuntimeError):
    """The injected callables need an event loop of their own, and one is running in this thread: use the variant of the
    call for event loops, such as `arun`."""


class SpawnError(ParallelAgentsError, RuntimeError):
    """A function of `helpers` got no answer from any model.

    Attributes:
        attempts: What was tried, in order: dicts of `model`, `success`, `error`.
    """

    def __init__(self, reason: str, attempts: list[dict[str, Any]], doctor: str | None = None) -> None:
        tried = "; ".join(f"`{each['model']}`: {each['error']}" for each in attempts)
        pointer = f" (see line `{doctor}` of `parallel-agents doctor`)" if doctor else ""
        super().__init__(f"no model completed the task: {tried or reason}{pointer}")
        self.reason = reason
        self.attempts = attempts
        self.doctor = doctor

    def __reduce__(self) -> tuple[type[SpawnError], tuple[str, list[dict[str, Any]], str | None]]:
        return type(self), (self.reason, self.attempts, self.doctor)


class InternalError(ParallelAgentsError, RuntimeError):
    """A defect of this package."""


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a run. Every agent was stopped; what had finished is kept.

    Attributes:
        results: Task id to result, for every task of the run.
    """

    def __init__(self, results: dict[str, AgentResult]) -> None:
        done = sum(result.success for result in results.values())
        super().__init__(f"interrupted: {done} of {len(results)} tasks completed; see .results")
        self.results = results

    def __reduce__(self) -> tuple[type[RunInterrupted], tuple[dict[str, AgentResult]]]:
        return type(self), (self.results,)
