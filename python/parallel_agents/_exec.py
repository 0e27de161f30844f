"""`parallel-agents exec`: a script of an agent runtime, unchanged, with that runtime's tools over a gateway."""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# What programs import from each module. One of the same name that has none of it is the script's own.
_NAMES = {
    "tools": ("sessions_spawn",),
    "ai_orchestrator": ("RealAIParallelOrchestrator", "AGENT_PROMPTS"),
    "helpers": (
        "spawn_with_model_hierarchy",
        "spawn_with_retry",
        "spawn_parallel_with_retry",
        "collect_agent_results",
        "parallel_spawn",
        "poll_until_complete",
    ),
}


def run_script(script: str, arguments: list[str], gateway: dict[str, Any]) -> int:
    """Runs a script as `python SCRIPT ARGUMENTS` does, with `tools`, `ai_orchestrator` and `helpers` importable.

    Args:
        script: Its file.
        arguments: What `sys.argv` has behind it.
        gateway: Fields of the `Gateway` that its tools use.

    Returns:
        The exit code: 0 at its end, 1 after an exception, 2 if it cannot be read, 130 after Ctrl-C.

    Raises:
        SystemExit: The script's own.
    """
    import io

    # Python names a script by its whole path, in `__file__` and in tracebacks.
    file_name = str(Path(script).absolute())
    try:
        with io.open_code(file_name) as file:
            source = file.read()
    except OSError as error:
        print(f"parallel-agents: cannot read the script `{script}`: {error.strerror}", file=sys.stderr)
        return 2
    sys.argv = [script, *arguments]
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = str(Path(script).resolve().parent)
    sys.meta_path.insert(0, _Finder(gateway))
    try:
        code = compile(source, file_name, "exec", dont_inherit=True)
    except SyntaxError as error:
        sys.excepthook(type(error), error.with_traceback(None), None)
        return 1
    return _run(code, file_name)


def _run(code: Any, file_name: str) -> int:
    import builtins

    main = ModuleType("__main__")
    main.__dict__.update(__file__=file_name, __builtins__=builtins, __cached__=None)
    sys.modules["__main__"] = main
    try:
        exec(code, main.__dict__)
    except SystemExit:
        raise
    except BaseException as error:
        # Without our own frame, which is the first.
        trace = error.__traceback__ and error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        if not isinstance(error, KeyboardInterrupt):
            return 1
        if openclaw := sys.modules.get("parallel_agents.openclaw"):
            openclaw.close_all(stop_all=True)
        return 130
    return 0


class _Finder(MetaPathFinder):
    """Finds the three modules before anything in the script's folder does."""

    def __init__(self, gateway: dict[str, Any]) -> None:
        self._gateway = gateway

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _NAMES or _is_the_scripts_own(fullname):
            return None
        return spec_from_loader(fullname, _Loader(self._gateway), origin="parallel-agents exec")


class _Loader(Loader):
    """Makes `tools`, and hands out the others as they are."""

    def __init__(self, gateway: dict[str, Any]) -> None:
        self._gateway = gateway
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        if spec.name == "tools":
            return _tools_module(self._gateway)
        import importlib

        module = importlib.import_module(f"parallel_agents.{spec.name}")
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        if self._spec is not None:
            # It has been executed under its own name, which it keeps.
            module.__spec__ = self._spec


def _tools_module(gateway: dict[str, Any]) -> ModuleType:
    from . import openclaw
    from ._options import Gateway

    tools = openclaw.tools(Gateway(**gateway))
    module = ModuleType("tools", "The tools of an agent runtime, over a gateway.")
    names = ["sessions_spawn", "sessions_list", "sessions_history", "subagents", "sessions"]
    for name in (*names, "__parallel_agents_gateway__"):
        setattr(module, name, getattr(tools, name))
    module.__dict__["__all__"] = names
    return module


def _is_the_scripts_own(name: str) -> bool:
    """Whether a module of that name on the script's path is another one than that which ours stands for."""
    found = PathFinder.find_spec(name)
    if found is None or not found.origin or not found.has_location:
        return False
    try:
        text = Path(found.origin).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return not any(wanted in text for wanted in _NAMES[name])
