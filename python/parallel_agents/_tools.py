"""Injected callables: found, taken apart by signature, and handed to the core."""

from __future__ import annotations

from . import _core
from ._errors import EventLoopError, OptionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    Parameters = dict[str, str | None]

NEEDED = ("sessions_spawn", "sessions_list", "sessions_history")
"""The callables that a run needs."""
OPTIONAL = ("subagents", "sessions")
"""Callables that stop children and delete sessions, used where they are injected."""

# What each callable may call a parameter of ours, in the order they are tried. A first parameter of any other name gets
# its value by position.
_SPAWN = {
    "task": ("task", "prompt", "message"),
    "model": ("model",),
    "runTimeoutSeconds": ("runTimeoutSeconds", "run_timeout_seconds", "timeout_seconds", "timeout"),
    "cleanup": ("cleanup",),
    "label": ("label",),
    "expectsCompletionMessage": ("expectsCompletionMessage",),
}
_LIST = {"limit": ("limit",), "offset": ("offset",)}
_HISTORY = {"sessionKey": ("sessionKey", "session_key", "key"), "limit": ("limit",)}
_PARAMETERS: dict[str, tuple[Mapping[str, tuple[str, ...]], bool]] = {
    "sessions_spawn": (_SPAWN, True),
    "sessions_list": (_LIST, False),
    "sessions_history": (_HISTORY, True),
    "subagents": ({"action": ("action",), "taskId": ("taskId",)}, False),
    "sessions": ({"action": ("action",), "sessionKey": ("sessionKey",)}, False),
}

# The calls that the core makes: of which callable, with which parameters, and with which that are always the same.
# Without `expectsCompletionMessage=False` every end would start a turn of the parent, which is paid for.
_CALLS: dict[str, tuple[str, tuple[str, ...], dict[str, object]]] = {
    "spawn": (
        "sessions_spawn",
        ("task", "model", "runTimeoutSeconds", "label"),
        {"cleanup": "keep", "expectsCompletionMessage": False},
    ),
    "first_page": ("sessions_list", ("limit",), {}),
    "next_page": ("sessions_list", ("limit", "offset"), {}),
    "history": ("sessions_history", ("sessionKey",), {"limit": 20}),
    "children": ("subagents", (), {"action": "list"}),
    "cancel": ("subagents", ("taskId",), {"action": "cancel"}),
    "delete": ("sessions", ("sessionKey",), {"action": "delete"}),
}


def injected(tools: object, by_name: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """The callables of `tools` and those given by name, which come first.

    Raises:
        OptionError: One that is needed is missing, or one is not callable.
    """
    found = {}
    for name in NEEDED + OPTIONAL:
        given = by_name.get(name)
        if given is None:
            given = tools.get(name) if isinstance(tools, dict) else getattr(tools, name, None)
        # What a module holds under the name of an optional one may be anything.
        if name in OPTIONAL and by_name.get(name) is None and not callable(given):
            continue
        if given is None:
            raise OptionError(
                f"`tools` has no `{name}`; a run needs {', '.join(NEEDED)}: pass an object that has them, or each by "
                "name"
            )
        if not callable(given):
            raise OptionError(f"`{name}` is `{given!r}`, expected a callable")
        found[name] = given
    return found


def importable() -> object | None:
    """The module `tools` that an agent runtime injects; `None` if there is none with a callable `sessions_spawn`."""
    import importlib
    import sys

    module = sys.modules.get("tools")
    if module is None:
        try:
            module = importlib.import_module("tools")
        except KeyboardInterrupt:
            raise
        except BaseException:
            # Some other package of that name, or none at all; a script may even want to end the program.
            return None
    return module if callable(getattr(module, "sessions_spawn", None)) else None


class Tools:
    """Callables that are ready to be used by runs.

    Args:
        callables: By name: those of `NEEDED`, and any of `OPTIONAL`.
        threads: How many threads may call them at once; `None`: only the thread that waits for the run.
    """

    def __init__(self, callables: Mapping[str, Callable[..., Any]], threads: int | None) -> None:
        names = {name: parameter_names(name, function) for name, function in callables.items()}
        self.toolbox = _core.Toolbox(
            {
                call: _by_position(callables[name], names[name], passed, fixed)
                for call, (name, passed, fixed) in _CALLS.items()
                if name in callables
            }
        )
        self.threads = threads
        self.needs_loop = threads is not None or any(is_async(function) for function in callables.values())


def parameter_names(name: str, function: Callable[..., Any]) -> Parameters:
    """What `function` calls each parameter of ours; `None` for one that goes by position."""
    import inspect

    wanted, first_is_needed = _PARAMETERS[name]
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        # Not to be found out for some callables written in C.
        return {parameter: names[0] for parameter, names in wanted.items()}
    takes_anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    by_keyword = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    result: Parameters = {}
    for index, (parameter, names) in enumerate(wanted.items()):
        known = next((name for name in names if name in by_keyword), None)
        if known is not None:
            result[parameter] = known
        elif index == 0 and first_is_needed and by_position:
            result[parameter] = None
        elif takes_anything:
            result[parameter] = names[0]
    return result


def _by_position(
    function: Callable[..., Any], names: Parameters, passed: tuple[str, ...], fixed: Mapping[str, object]
) -> tuple[Callable[..., Any], list[str]]:
    """`function` as one that takes the parameters `passed` by position, and which of them it takes.

    A call with keywords costs the core a dict to make and to take apart again; one by position, a third of that.
    """
    taken = [parameter for parameter in passed if parameter in names]
    arguments = [each if names[each] is None else f"{names[each]}={each}" for each in taken]
    arguments += [f"{names[each]}={value!r}" for each, value in fixed.items() if each in names]
    source = f"lambda {', '.join(taken)}: function({', '.join(arguments)})"
    call = eval(compile(source, __file__, "eval"), {"function": function})
    call.is_async = is_async(function)
    return call, taken


def is_async(function: Any) -> bool:
    import functools
    import inspect

    while isinstance(function, functools.partial):
        function = function.func
    # Of an object, it is its class that says what calling it does.
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def refuse_running_loop(instead: str = "the variant of this call for event loops, such as `arun`") -> None:
    """Raises where an event loop runs in this thread already: a second one cannot.

    Args:
        instead: What to use there.

    Raises:
        EventLoopError: One does.
    """
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise EventLoopError(f"the injected callables need an event loop, and one is running in this thread; use {instead}")


def awaited(awaitable: Awaitable[Any]) -> Any:
    """The result of what a plain function returned to be awaited, on a loop of this thread.

    Raises:
        EventLoopError: A loop is running in this thread already.
    """
    import asyncio

    try:
        refuse_running_loop()
    except EventLoopError:
        if hasattr(awaitable, "close"):
            awaitable.close()
        raise

    async def wait() -> Any:
        return await awaitable

    return asyncio.run(wait())
