"""Run teams of AI agents in parallel on OpenClaw and collect their results.

    from parallel_agents import Orchestrator, create_content_team

    results = Orchestrator(max_concurrent=5).run_parallel(create_content_team("Monday motivation"))

Without a gateway, ``Orchestrator(rehearsal=True)`` plays the same run with no AI.
"""

from __future__ import annotations

import sys

if "t" in sys.abiflags:
    # Its own build of the extension module would load here, and take the lock for granted that this Python lacks.
    raise ImportError(
        f"parallel_agents does not run on the free-threaded Python at `{sys.executable}`: "
        "use a Python 3.10 or newer whose name does not end in `t`"
    )

__all__ = [
    "AGENT_PROMPTS",
    "DEFAULT_AGENT_TIMEOUT",
    "DEFAULT_MAX_CONCURRENT",
    "DEFAULT_MODEL",
    "MODEL_HIERARCHY",
    "AgentResult",
    "AgentStatus",
    "AgentTask",
    "AgentType",
    "AgentTypeError",
    "Budget",
    "CircuitBreaker",
    "ContentTeam",
    "DevTeam",
    "EventLoopError",
    "Gateway",
    "GatewayError",
    "InternalError",
    "Join",
    "JournalError",
    "MapReduce",
    "MapReduceResult",
    "ModelError",
    "OptionError",
    "Orchestration",
    "Orchestrator",
    "OutputFormat",
    "ParallelAgentsError",
    "PlanError",
    "RealAIParallelOrchestrator",
    "Refinement",
    "RefinementRound",
    "Rehearsal",
    "ResearchTeam",
    "RetryPolicy",
    "ReviewTeam",
    "RunInterrupted",
    "RunResults",
    "SpawnError",
    "Tier",
    "__version__",
    "best",
    "collect_agent_results",
    "create_content_team",
    "create_custom_agent",
    "create_dev_team",
    "create_meta_agent_workflow",
    "create_review_team",
    "demo_real_ai_agents",
    "first",
    "get_agent_prompt",
    "get_agent_type",
    "journal_runs",
    "list_available_agents",
    "load_agent_types",
    "orchestrate",
    "parallel_spawn",
    "poll_until_complete",
    "quorum",
    "refine",
    "register_agent_type",
    "registry",
    "spawn_parallel_with_retry",
    "spawn_with_model_hierarchy",
    "spawn_with_retry",
    "validate_agent_type",
    "vote",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import openclaw as openclaw
    from ._agents import (
        AGENT_PROMPTS,
        AgentType,
        get_agent_prompt,
        get_agent_type,
        list_available_agents,
        load_agent_types,
        register_agent_type,
        validate_agent_type,
    )
    from ._core import __version__
    from ._errors import (
        AgentTypeError,
        EventLoopError,
        GatewayError,
        InternalError,
        JournalError,
        ModelError,
        OptionError,
        ParallelAgentsError,
        PlanError,
        RunInterrupted,
        SpawnError,
    )
    from ._joins import Join, best, first, quorum, vote
    from ._options import (
        Budget,
        CircuitBreaker,
        Gateway,
        Rehearsal,
        RetryPolicy,
        Tier,
    )
    from ._orchestration import Orchestration, orchestrate
    from ._orchestrator import Orchestrator, journal_runs
    from ._refinement import Refinement, RefinementRound, refine
    from ._registry import registry
    from ._session import RunResults
    from ._task import (
        DEFAULT_AGENT_TIMEOUT,
        DEFAULT_MAX_CONCURRENT,
        MODEL_HIERARCHY,
        AgentResult,
        AgentStatus,
        AgentTask,
        OutputFormat,
    )
    from ._teams import (
        create_content_team,
        create_custom_agent,
        create_dev_team,
        create_meta_agent_workflow,
        create_review_team,
    )
    from .ai_orchestrator import (
        DEFAULT_MODEL,
        RealAIParallelOrchestrator,
        demo_real_ai_agents,
    )
    from .builders import (
        ContentTeam,
        DevTeam,
        MapReduce,
        MapReduceResult,
        ResearchTeam,
        ReviewTeam,
    )
    from .helpers import (
        collect_agent_results,
        parallel_spawn,
        poll_until_complete,
        spawn_parallel_with_retry,
        spawn_with_model_hierarchy,
        spawn_with_retry,
    )

# Where each public name lives. Modules are imported when a name of theirs is first used: `dataclasses` alone costs
# more than all of our own code.
_HOME = {
    "_agents": (
        "AGENT_PROMPTS",
        "AgentType",
        "get_agent_prompt",
        "get_agent_type",
        "list_available_agents",
        "load_agent_types",
        "register_agent_type",
        "validate_agent_type",
    ),
    "_core": ("__version__",),
    "_errors": (
        "AgentTypeError",
        "EventLoopError",
        "GatewayError",
        "InternalError",
        "JournalError",
        "ModelError",
        "OptionError",
        "ParallelAgentsError",
        "PlanError",
        "RunInterrupted",
        "SpawnError",
    ),
    "_joins": ("Join", "best", "first", "quorum", "vote"),
    "_options": ("Budget", "CircuitBreaker", "Gateway", "Rehearsal", "RetryPolicy", "Tier"),
    "_orchestration": ("Orchestration", "orchestrate"),
    "_orchestrator": ("Orchestrator", "journal_runs"),
    "_session": ("RunResults",),
    "_refinement": ("Refinement", "RefinementRound", "refine"),
    "_registry": ("registry",),
    "_task": (
        "DEFAULT_AGENT_TIMEOUT",
        "DEFAULT_MAX_CONCURRENT",
        "MODEL_HIERARCHY",
        "AgentResult",
        "AgentStatus",
        "AgentTask",
        "OutputFormat",
    ),
    "_teams": (
        "create_content_team",
        "create_custom_agent",
        "create_dev_team",
        "create_meta_agent_workflow",
        "create_review_team",
    ),
    "ai_orchestrator": (
        "DEFAULT_MODEL",
        "RealAIParallelOrchestrator",
        "demo_real_ai_agents",
    ),
    "builders": ("ContentTeam", "DevTeam", "MapReduce", "MapReduceResult", "ResearchTeam", "ReviewTeam"),
    "helpers": (
        "collect_agent_results",
        "parallel_spawn",
        "poll_until_complete",
        "spawn_parallel_with_retry",
        "spawn_with_model_hierarchy",
        "spawn_with_retry",
    ),
}
_MODULES = ("ai_orchestrator", "builders", "helpers", "openclaw")
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> object:
    module = name if name in _MODULES else _MODULE_OF.get(name)
    if module is None:
        # Our own modules ask for each other here, before any of them is loaded: nothing is imported for that.
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    if module == name:
        # The import itself makes it an attribute.
        return importlib.import_module(f".{name}", __name__)
    value = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
