"""The callables over a stand-in, in every form in which runtimes inject them and programs expect them."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from .account import Call

Effect = Callable[[], object]


class Work(Protocol):
    """What the callables are made over."""

    def begin(self, tool: str, arguments: dict[str, Any]) -> tuple[Call, list[Effect], list[Effect]]: ...
    def cost(self, tool: str) -> float: ...
    def carry_out(self, call: Call) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Shape:
    """How the callables look and answer.

    Args:
        asynchronous: `async def` ones.
        signature: `open` takes any keyword; `named` takes those of the real tools and no others; `strict` is the old
            guides' `sessions_spawn(task, model, runTimeoutSeconds, cleanup)`, `sessions_list()` and
            `sessions_history(key)` by position only.
        answers: A `dict`, an `object` with `.get` alone, a `json` string, the gateway's `envelope`, an envelope with
            the `text` alone, or `bare` lists.
        content: Whether a message's content is a list of `blocks` or a `string`.
        key: What rows call a session's key.
        spawned_key: What a spawn calls it.
        subagents: Whether there is a `subagents` as well, which lists agents and stops them.
        sessions: Whether there is a `sessions` as well, which deletes them.
    """

    asynchronous: bool = False
    signature: Literal["open", "named", "strict"] = "open"
    answers: Literal["dict", "object", "json", "envelope", "text", "bare"] = "dict"
    content: Literal["blocks", "string"] = "blocks"
    key: Literal["key", "sessionKey"] = "key"
    spawned_key: Literal["childSessionKey", "sessionKey"] = "childSessionKey"
    subagents: bool = False
    sessions: bool = False


class Tools:
    """The callables as attributes, as a module called `tools` has them."""

    sessions_spawn: Callable[..., Any]
    sessions_list: Callable[..., Any]
    sessions_history: Callable[..., Any]
    subagents: Callable[..., Any]
    sessions: Callable[..., Any]

    def by_name(self) -> dict[str, Any]:
        """The same as keyword arguments for an `Orchestrator`."""
        return dict(vars(self))


class Answer:
    """An answer that has `.get` and nothing else of a dict's."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def get(self, name: str, default: Any = None) -> Any:
        return _as_object(self._fields.get(name, default))


def make_tools(work: Work, shape: Shape) -> Tools:
    """The callables of one shape."""
    run = _asynchronous(work, shape) if shape.asynchronous else _synchronous(work, shape)
    make = {"open": _open, "named": _named, "strict": _strict}[shape.signature]
    tools = Tools()
    for function in make(run, shape.asynchronous):
        name = function.__name__
        if getattr(shape, name, True):
            setattr(tools, name, function)
    return tools


Run = Callable[[str, dict[str, Any]], Any]


def _synchronous(work: Work, shape: Shape) -> Run:
    def run(tool: str, arguments: dict[str, Any]) -> Any:
        call, before, after = work.begin(tool, arguments)
        try:
            for effect in before:
                if (told := effect()) is not None:
                    return told
            if seconds := work.cost(tool):
                time.sleep(seconds)
            answer = shaped(work.carry_out(call), tool, shape)
            for effect in after:
                if (told := effect()) is not None:
                    return told
            return answer
        finally:
            call.over = time.monotonic()

    return run


def _asynchronous(work: Work, shape: Shape) -> Run:
    async def told(effect: Effect) -> object:
        value = effect()
        return await value if inspect.isawaitable(value) else value

    async def run(tool: str, arguments: dict[str, Any]) -> Any:
        call, before, after = work.begin(tool, arguments)
        try:
            for effect in before:
                if (value := await told(effect)) is not None:
                    return value
            await asyncio.sleep(work.cost(tool))
            answer = shaped(work.carry_out(call), tool, shape)
            for effect in after:
                if (value := await told(effect)) is not None:
                    return value
            return answer
        finally:
            call.over = time.monotonic()

    return run


def _open(run: Run, asynchronous: bool) -> list[Callable[..., Any]]:
    def sessions_spawn(**arguments: Any) -> Any:
        return run("sessions_spawn", arguments)

    def sessions_list(**arguments: Any) -> Any:
        return run("sessions_list", arguments)

    def sessions_history(**arguments: Any) -> Any:
        return run("sessions_history", arguments)

    def subagents(**arguments: Any) -> Any:
        return run("subagents", arguments)

    def sessions(**arguments: Any) -> Any:
        return run("sessions", arguments)

    return _as_coroutines([sessions_spawn, sessions_list, sessions_history, subagents, sessions], asynchronous)


def _named(run: Run, asynchronous: bool) -> list[Callable[..., Any]]:
    def sessions_spawn(
        *,
        task: str,
        label: str | None = None,
        model: str | None = None,
        thinking: str | None = None,
        runTimeoutSeconds: float = 0,  # noqa: N803, the tool's own spelling
        cleanup: str = "keep",
        expectsCompletionMessage: bool = True,  # noqa: N803
        agentId: str | None = None,  # noqa: N803
        agent_id: str | None = None,
    ) -> Any:
        given = dict(locals())
        given.pop("run", None)
        return run("sessions_spawn", {name: value for name, value in given.items() if value is not None})

    def sessions_list(*, limit: int | None = None, offset: int | None = None) -> Any:
        return run("sessions_list", {"limit": limit, "offset": offset})

    def sessions_history(sessionKey: str, limit: int | None = None) -> Any:  # noqa: N803
        return run("sessions_history", {"sessionKey": sessionKey, "limit": limit})

    def subagents(*, action: str, taskId: str | None = None) -> Any:  # noqa: N803
        return run("subagents", {"action": action, "taskId": taskId})

    def sessions(*, action: str, sessionKey: str) -> Any:  # noqa: N803
        return run("sessions", {"action": action, "sessionKey": sessionKey})

    return _as_coroutines([sessions_spawn, sessions_list, sessions_history, subagents, sessions], asynchronous)


def _strict(run: Run, asynchronous: bool) -> list[Callable[..., Any]]:
    def sessions_spawn(task: str, model: str, runTimeoutSeconds: float, cleanup: str) -> Any:  # noqa: N803
        arguments = {"task": task, "model": model, "runTimeoutSeconds": runTimeoutSeconds, "cleanup": cleanup}
        return run("sessions_spawn", arguments)

    def sessions_list() -> Any:
        return run("sessions_list", {})

    def sessions_history(key: str, /) -> Any:
        return run("sessions_history", {"key": key})

    def subagents(action: str, taskId: str = "") -> Any:  # noqa: N803
        return run("subagents", {"action": action, "taskId": taskId})

    def sessions(action: str, sessionKey: str) -> Any:  # noqa: N803
        return run("sessions", {"action": action, "sessionKey": sessionKey})

    return _as_coroutines([sessions_spawn, sessions_list, sessions_history, subagents, sessions], asynchronous)


def _as_coroutines(functions: list[Callable[..., Any]], asynchronous: bool) -> list[Callable[..., Any]]:
    return [_as_coroutine(function) for function in functions] if asynchronous else functions


def _as_coroutine(function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    async def coroutine(*args: Any, **arguments: Any) -> Any:
        return await function(*args, **arguments)

    coroutine.__name__ = function.__name__
    coroutine.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return coroutine


def shaped(details: dict[str, Any], tool: str, shape: Shape) -> Any:
    """A tool's details in the shape that was asked for."""
    fields = _renamed(details, tool, shape)
    match shape.answers:
        case "dict":
            return fields
        case "object":
            return Answer(fields)
        case "json":
            return json.dumps(fields)
        case "envelope":
            content = [{"type": "text", "text": json.dumps(fields, indent=2)}]
            return {"ok": True, "result": {"content": content, "details": fields}}
        case "text":
            return {"ok": True, "result": {"content": [{"type": "text", "text": json.dumps(fields, indent=2)}]}}
        case "bare":
            lists = {"sessions_list": "sessions", "sessions_history": "messages"}
            return fields.get(lists[tool], []) if tool in lists else fields


def _renamed(details: dict[str, Any], tool: str, shape: Shape) -> dict[str, Any]:
    fields = dict(details)
    if tool == "sessions_spawn" and "childSessionKey" in fields:
        fields[shape.spawned_key] = fields.pop("childSessionKey")
    if tool == "sessions_list" and shape.key != "key":
        fields["sessions"] = [{shape.key: row["key"], **_without(row, "key")} for row in fields["sessions"]]
    if tool == "sessions_history" and shape.content == "string" and "messages" in fields:
        fields["messages"] = [{**message, "content": _joined(message["content"])} for message in fields["messages"]]
    return fields


def _joined(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {other: value for other, value in row.items() if other != name}


def _as_object(value: Any) -> Any:
    if isinstance(value, dict):
        return Answer(value)
    return [_as_object(each) for each in value] if isinstance(value, list) else value
