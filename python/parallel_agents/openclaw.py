"""The tools of an agent runtime over a gateway, for programs that no runtime injects them into.

    from parallel_agents import openclaw

    tools = openclaw.tools()
    spawned = tools.sessions_spawn(task="Name a bakery", cleanup="delete")
    ...
    print(tools.sessions_history(spawned["childSessionKey"])[-1]["content"])

`Orchestrator(tools=tools)` uses the gateway itself, which is quicker. `parallel-agents exec SCRIPT` gives them to an
unchanged script as the module `tools`.
"""

from __future__ import annotations

from . import _core

__all__ = ["Tools", "tools"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any

    from ._options import Gateway
    from ._orchestrator import Orchestrator
    from ._spawned import Orchestrations, Spawned

    Rows = dict[str, Any]
else:
    Rows = dict

_ORCHESTRATOR = "agent_orchestrator"

# Those that have started agents in this process, until its exit.
_used: list[Tools] = []


def tools(gateway: Gateway | None = None) -> Tools:
    """`sessions_spawn`, `sessions_list` and `sessions_history` over a gateway.

    Args:
        gateway: The gateway. Absent: the one that is found, see `Gateway`. Its `path` is of no matter here: agents
            are children of `sessions_spawn`, or are started by `agent` where the gateway keeps that tool from
            clients, which is logged once.

    Returns:
        An object with the three callables. It connects at the first call of one.

    Raises:
        OptionError: The gateway has an option that it does not take. (A `ValueError`.)

    Example:
        >>> from parallel_agents import Gateway, openclaw
        >>> openclaw.tools(Gateway(url="ws://127.0.0.1:18789"))
        <parallel_agents.openclaw.Tools at ws://127.0.0.1:18789>
    """
    return Tools(gateway)


class Tools:
    """The tools of an agent runtime over a gateway. Made by `tools`; any number of threads may use one.

    An agent's answer is collected as soon as it is there and remembered, whole, until the program exits; only then, or
    in quiet moments, its session is deleted if that was asked for. So an agent that was spawned with
    `cleanup="delete"` can be looked at whenever the program likes.

    At the exit, or at `close`, agents of `cleanup="delete"` that still run are stopped, and what could not be deleted
    is logged as a warning.

    Args:
        gateway: The OpenClaw gateway. Default: the one that is found, see `Gateway`.
    """

    def __init__(self, gateway: Gateway | None = None) -> None:
        from ._options import Gateway, option_fields

        self.__parallel_agents_gateway__ = Gateway() if gateway is None else gateway
        self._children = _core.Children({"gateway": option_fields(self.__parallel_agents_gateway__)})
        # Made with the first: what they need is not loaded for others.
        self._orchestrations: Orchestrations | None = None
        self._told: set[str] = set()

    def sessions_spawn(
        self,
        task: str,
        *,
        model: str | None = None,
        runTimeoutSeconds: float | None = None,  # noqa: N803
        cleanup: str | None = None,
        agent_id: str | None = None,
        label: str | None = None,
        agent_type: str | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> dict[str, Any]:
        """Starts an agent and returns as soon as the gateway has taken it.

        Args:
            task: What the agent is to do.
            model: The model, as the gateway names it. Absent: the gateway's default.
            runTimeoutSeconds: Time for the agent, from when it starts to work, at most 604800. One that goes on 3 s
                past it is stopped. Absent or 0: the gateway's default.
            cleanup: `"delete"` deletes the session once its answer is in hand, `"keep"` leaves it, and is the default.
            agent_id: A name of the caller's own; the gateway is not told, since it forbids names it does not know.
            label: Shown in `sessions_list`, and may be asked for there.
            agent_type: Puts the prompt of that agent type around the task. `"agent_orchestrator"` has the task planned,
                run and reported, as `Orchestrator.orchestrate` does: all of it is one session here, whose time is that
                of the whole, whose last message is the report, and which ends with the program.
            timeout: The same as `runTimeoutSeconds`.
            **more: Other arguments of the gateway's own tool are accepted and not passed on; a warning says so once.

        Returns:
            A dict with `status`: `"accepted"`, with `childSessionKey`, `sessionKey` (the same) and `runId`; or
            `"forbidden"` or `"error"`, with the gateway's words as `error`.

        Raises:
            OptionError: An argument has a value it does not take. (A `ValueError`.)
            AgentTypeError: There is no such agent type. (A `ValueError`.)
            GatewayError: No gateway can be used.
            KeyboardInterrupt: Ctrl-C; what this call may have started is stopped.
        """
        seconds = _one("runTimeoutSeconds", runTimeoutSeconds, timeout, more, "timeoutSeconds", "timeout_seconds")
        agent_id = _one("agent_id", agent_id, None, more, "agentId")
        agent_type = _one("agent_type", agent_type, None, more, "agentType")
        as_it_is = {"expectsCompletionMessage": False, "mode": "run", "context": "isolated"}
        for name in (name for name, value in more.items() if name not in as_it_is or value != as_it_is[name]):
            self._say(f"`sessions_spawn` does not pass `{name}` on to the gateway")
        fields = {
            "task": task,
            "model": model,
            "timeout": seconds,
            "cleanup": cleanup,
            "agent_id": agent_id,
            "label": label,
            "agent_type": agent_type,
        }
        self._remember()
        if agent_type == _ORCHESTRATOR:
            return self._orchestrate(task, seconds, model, cleanup, label, agent_id)
        try:
            return self._children.spawn({name: value for name, value in fields.items() if value is not None})
        finally:
            self._tell()

    def _orchestrate(self, task: str, seconds: float | None, model: str | None, *named: str | None) -> dict[str, Any]:
        # A gateway that cannot be used is told at once, and so is an argument, as for any other agent.
        self._children.list({"own": "true", "limit": 1})
        cleanup, label, agent_id = named
        if self._orchestrations is None:
            from ._spawned import Orchestrations

            self._orchestrations = Orchestrations(self._orchestrator)
        return self._orchestrations.spawn(
            task, model=model, timeout=seconds, cleanup=cleanup, label=label, agent_id=agent_id
        )

    def _spawned(self, key: str) -> Spawned | None:
        return self._orchestrations.find(key) if self._orchestrations is not None else None

    def _orchestrator(self, **options: Any) -> Orchestrator:
        from ._orchestrator import Orchestrator

        return Orchestrator(gateway=self.__parallel_agents_gateway__, **options)

    def sessions_list(
        self,
        *,
        limit: int | None = None,
        offset: int | None = None,
        label: str | None = None,
        agent_id_pattern: str | None = None,
        **more: Any,
    ) -> SessionRows:
        """The sessions: those of this object first, the latest before the others, then the gateway's others.

        Args:
            limit: Rows at the most. Default 100; the gateway gives at most 200 of its own at once.
            offset: Rows to pass over.
            label: Only sessions of this label.
            agent_id_pattern: Only the sessions of this object, whatever the pattern.
            **more: Other arguments of the gateway's own tool, such as `activeMinutes`; they concern its others.

        Returns:
            A dict with `sessions`, `count`, `hasMore` and, if there are more, `nextOffset`. It is also the list of its
            rows: it iterates over them, has their number as its length and takes their indexes. Each row has its key
            as `key` and as `sessionKey`; a `status` of `done` is equal to `completed` too.

        Raises:
            OptionError: An argument has a value it does not take. (A `ValueError`.)
            GatewayError: No gateway can be used.
        """
        own = _one("agent_id_pattern", agent_id_pattern, None, more, "agentIdPattern") is not None
        query = {"limit": limit, "offset": offset, "label": label, "own": "true" if own else None, "more": more}
        try:
            answer = self._listed({name: value for name, value in query.items() if value is not None})
        finally:
            self._tell()
        for row in answer["sessions"]:
            row["sessionKey"] = row.get("key")
            if row.get("status") == "done":
                row["status"] = DONE
        return SessionRows(answer)

    def _listed(self, query: dict[str, Any]) -> dict[str, Any]:
        """A page of one list: the orchestrations, then the others."""
        limit, offset, more = query.get("limit", 100), query.get("offset", 0), query.get("more")
        if self._orchestrations is None or not isinstance(limit, int) or not isinstance(offset, int):
            return self._children.list(query)
        own = self._orchestrations.rows(query.get("label"))
        mine = own[offset : offset + limit]
        room, passed = limit - len(mine), max(0, offset - len(own))
        answer = self._children.list({**query, "limit": max(1, room), "offset": passed, "more": dict(more or {})})
        if room == 0:
            # Its one row is only to tell whether there are more.
            answer["hasMore"] = bool(answer["sessions"] or own[offset + limit :])
            answer["nextOffset"] = offset + limit
            answer["sessions"] = []
        elif "nextOffset" in answer:
            answer["nextOffset"] += len(own)
        answer["sessions"] = [*mine, *answer["sessions"]]
        answer["count"] = len(answer["sessions"])
        return answer

    def sessions_history(
        self,
        key: str | None = None,
        *,
        limit: int | None = None,
        **more: Any,
    ) -> SessionMessages:
        """The messages of a session, whole. Of an agent of this object it answers after the session is deleted, too.

        Args:
            key: The session's key; also by the names `sessionKey` and `session_key`.
            limit: Only the last so many messages.
            **more: Other arguments of the gateway's own tool change nothing.

        Returns:
            A dict with `messages`, which is also their list: it iterates over them, has their number as its length and
            takes their indexes. Each message has `role` and `content`, which is a text. The last one of an agent that
            has ended well is its answer, of role `assistant`; of one that has not, the reason, of role `custom`.

        Raises:
            OptionError: No key is given. (A `ValueError`.)
            GatewayError: No gateway can be used.
        """
        key = _text("key", _one("key", key, None, more, "sessionKey", "session_key"))
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            from ._errors import OptionError

            raise OptionError(f"`limit` is `{limit!r}`, expected a whole number from 1")
        spawned = self._spawned(key)
        if spawned is not None:
            messages = spawned.messages()
            shown = messages[-limit:] if limit else messages
            told = {"sessionKey": key, "messages": shown, "truncated": len(shown) < len(messages)}
            return SessionMessages({**told, "contentTruncated": False})
        try:
            return SessionMessages(self._children.history(key, limit))
        finally:
            self._tell()

    def subagents(self, action: str = "list", *, taskId: str | None = None, **more: Any) -> dict[str, Any]:  # noqa: N803
        """The agents of this object that still run, or an end to one of them.

        Args:
            action: `"list"` or `"cancel"`.
            taskId: The agent to stop: its session's key.
            **more: Other arguments of the gateway's own tool change nothing.

        Returns:
            A dict with `status`, which is `"ok"` or `"not_found"`, and for `"list"` with `tasks`: dicts of `taskId`,
            `label`, `sessionKey`, `status`.

        Raises:
            OptionError: There is no such action, or no agent is named. (A `ValueError`.)
            GatewayError: No gateway can be used.
        """
        if action == "cancel":
            spawned = self._spawned(_text("taskId", taskId))
            if spawned is not None:
                spawned.cancel("stopped by `subagents`")
                return {"status": "ok"}
            return self._children.cancel(_text("taskId", taskId))
        if action != "list":
            from ._errors import OptionError

            raise OptionError(f"`action` is `{action!r}`, expected one of list, cancel")
        own = self._orchestrations.rows() if self._orchestrations is not None else []
        rows = [*own, *self._children.list({"own": "true", "limit": 100_000})["sessions"]]
        tasks = [
            {"taskId": row["key"], "label": row.get("label"), "sessionKey": row["key"], "status": "running"}
            for row in rows
            if row["status"] == "running"
        ]
        return {"status": "ok", "tasks": tasks}

    def sessions(self, action: str, *, sessionKey: str | None = None, **more: Any) -> dict[str, Any]:  # noqa: N803
        """Deletes a session of this object, in a quiet moment or at the exit; its agent is stopped first.

        Args:
            action: `"delete"`.
            sessionKey: The session. What was said in it stays remembered.
            **more: Other arguments of the gateway's own tool change nothing.

        Returns:
            A dict with `status`, which is `"ok"` or `"not_found"`.

        Raises:
            OptionError: There is no such action, or no session is named. (A `ValueError`.)
            GatewayError: No gateway can be used.
        """
        if action != "delete":
            from ._errors import OptionError

            raise OptionError(f"`action` is `{action!r}`, expected delete")
        spawned = self._spawned(_text("sessionKey", sessionKey))
        if spawned is not None:
            spawned.cancel("its session was deleted")
            return {"status": "ok"}
        return self._children.delete(_text("sessionKey", sessionKey))

    def close(self, *, stop_all: bool = False) -> None:
        """Stops the agents of `cleanup="delete"` and the orchestrations that still run, and deletes their sessions.

        Takes at most 20 s for each of the two.

        What was said stays remembered. The exit of the program calls it.

        Args:
            stop_all: Stop the other agents, too; their sessions stay.
        """
        if self._orchestrations is not None and (count := self._orchestrations.close()):
            _warn(f"{count} {'orchestration was' if count == 1 else 'orchestrations were'} still running and stopped")
        done = self._children.close(stop_all)
        if done is None:
            return
        if count := done["stopped"]:
            which = "" if stop_all else ', being of cleanup="delete"'
            _warn(f"{count} {'agent was' if count == 1 else 'agents were'} still running and stopped{which}")
        if left := done["left"]:
            first, were = left[0], "session was" if len(left) == 1 else "sessions were"
            _warn(f"{len(left)} {were} not deleted, `{first['session_key']}` among them ({first['reason']})")

    def __enter__(self) -> Tools:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(stop_all=isinstance(error, KeyboardInterrupt))

    def __repr__(self) -> str:
        url = getattr(self.__parallel_agents_gateway__, "url", None)
        return f"<parallel_agents.openclaw.Tools at {url or 'the gateway that is found'}>"

    def _remember(self) -> None:
        # Threads that do this at once do it twice, which changes nothing.
        if self not in _used:
            if not _used:
                import atexit

                atexit.register(close_all)
            _used.append(self)

    def _tell(self) -> None:
        for notice in self._children.notices():
            _warn(notice)

    def _say(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            _warn(text)


class _Done(str):
    """The status `done`, which programs of the other generation know as `completed`."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True or other == "completed"

    def __ne__(self, other: object) -> bool:
        return not self == other

    # A set can know it by one of its names only.
    __hash__ = str.__hash__

    def __reduce__(self) -> tuple[type[_Done], tuple[str]]:
        return type(self), (str(self),)


DONE = _Done("done")


class _Listed(Rows):
    """A dict that is also the list under one of its keys."""

    __slots__ = ()
    _under = ""

    def _list(self) -> list[Any]:
        items: list[Any] = dict.__getitem__(self, self._under)
        return items

    def __iter__(self) -> Iterator[Any]:
        return iter(self._list())

    def __reversed__(self) -> Iterator[Any]:
        return iter(self._list()[::-1])

    def __len__(self) -> int:
        return len(self._list())

    def __getitem__(self, index: Any) -> Any:
        return dict.__getitem__(self, index) if isinstance(index, str) else self._list()[index]

    def __contains__(self, item: object) -> bool:
        return dict.__contains__(self, item) if isinstance(item, str) else item in self._list()

    def __eq__(self, other: object) -> bool:
        return self._list() == other if isinstance(other, list) else dict.__eq__(self, other) is True

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __reduce__(self) -> tuple[type[_Listed], tuple[dict[str, Any]]]:
        return type(self), (dict(self.items()),)


class SessionRows(_Listed):
    """What `sessions_list` answers: a dict that is also the list of its `sessions`."""

    __slots__ = ()
    _under = "sessions"


class SessionMessages(_Listed):
    """What `sessions_history` answers: a dict that is also the list of its `messages`."""

    __slots__ = ()
    _under = "messages"


def close_all(*, stop_all: bool = False) -> None:
    """Closes the tools that were used in this process."""
    for each in list(_used):
        try:
            each.close(stop_all=stop_all)
        except KeyboardInterrupt:
            _used.clear()
            _warn("Ctrl-C: agents may go on, and their sessions stay")
            return


def _one(name: str, value: Any, other: Any, more: dict[str, Any], *names: str) -> Any:
    """The one value among an argument's names."""
    values = [value, other, *(more.pop(alias, None) for alias in names)]
    given = [each for each in values if each is not None]
    if any(each != given[0] for each in given):
        from ._errors import OptionError

        raise OptionError(f"`{name}` is given twice, as `{given[0]}` and as `{given[-1]}`")
    return given[0] if given else None


def _text(name: str, key: object) -> str:
    if not isinstance(key, str) or not key:
        from ._errors import OptionError

        raise OptionError(f"`{name}` is `{key!r}`, expected a session's key, as `sessions_spawn` returns it")
    return key


def _warn(text: str) -> None:
    import logging

    logging.getLogger("parallel_agents").warning(text)
