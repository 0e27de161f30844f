"""The stand-in itself: what a gateway's state would be, worked out from the clock whenever it is asked.

It has no threads and no timers. What happens by itself (an agent ends, a queued one starts, a session vanishes) stands
in a heap of times, and is carried out in that order before a call is answered.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Literal

from gateway.script import Script

from .account import Call, Child, Fate, Look, looks_of
from .habits import Answers, Habits, Reply, Request
from .shapes import Effect, Shape, Tools, make_tools

CUT_MARK = "\n…(truncated)…"
SCRIPTED_ERROR = "scripted, HTTP {status}"
# The row that every look at a real gateway shows first: the session that the callables belong to.
_OTHER = {"kind": "other", "channel": "unknown", "archived": False, "status": "running", "totalTokens": 4000}

When = Literal["before", "after"]


class StandIn:
    """A gateway's side of the injected callables.

    Args:
        habits: How it behaves.
        answers: What an agent does, instead of what the marks in its prompt say.

    Attributes:
        children: Every agent that was really started, in that order.
        spawns: The arguments of every call of `sessions_spawn`, those that were refused included.
        calls: Every call of every callable.
        alive_max: The most agents that were alive at once.
    """

    def __init__(self, habits: Habits | None = None, answers: Answers | None = None) -> None:
        self.habits = habits or Habits()
        self.children: list[Child] = []
        self.calls: list[Call] = []
        self.alive_max = 0
        self._answers = answers or self._scripted
        self._born = time.monotonic()
        self._lock = threading.RLock()
        self._by_key: dict[str, Child] = {}
        # In order of their last activity, the newest last.
        self._rows: dict[str, dict[str, Any]] = {}
        self._events: list[tuple[float, int, str, Child]] = []
        self._event_no = itertools.count()
        self._queue: list[Child] = []
        self._working = 0
        self._alive = 0
        self._ends = 0
        self._script_counts: dict[tuple[str, str], int] = {}
        self._effects: list[tuple[str, int | None, When, Effect]] = []
        self._counts: dict[str, int] = {}
        for number in range(self.habits.other_rows):
            key = f"agent:main:other-{number}" if number else "agent:main:main"
            self._rows[key] = {"key": key, "updatedAt": 0, **_OTHER}

    # What a test arranges.

    def tools(self, **shape: Any) -> Tools:
        """The callables, as attributes of one object. See `Shape` for the choices."""
        return make_tools(self, Shape(**shape))

    def on(self, tool: str, effect: Effect, *, call_no: int | None = None, when: When = "after") -> None:
        """Lets something happen in a call: the `call_no`-th of this callable (from 1), or in each.

        Args:
            effect: Called within the call, or awaited there if it is a coroutine function. What it raises is raised by
                the call; what it returns, unless `None`, is answered as it stands.
            when: `before` anything was done, or `after`, when a child has really been started.
        """
        self._effects.append((tool, call_no, when, effect))

    # What a test asks.

    @property
    def now(self) -> float:
        """Seconds of the stand-in's own clock."""
        return (time.monotonic() - self._born) * self.habits.speed

    @property
    def alive(self) -> list[Child]:
        """The agents that wait or work at this moment."""
        with self._lock:
            self._advance()
            return [child for child in self.children if child.alive]

    @property
    def left(self) -> list[Child]:
        """The agents that have ended and whose sessions are still there."""
        with self._lock:
            self._advance()
            return [child for child in self.children if not child.alive and not child.deleted]

    @property
    def spawns(self) -> list[dict[str, Any]]:
        return [call.arguments for call in self.calls if call.tool == "sessions_spawn"]

    @property
    def looks(self) -> list[Look]:
        return looks_of(self.calls)

    @property
    def threads(self) -> set[int]:
        """The threads that have called anything."""
        return {call.thread for call in self.calls}

    def calls_of(self, tool: str) -> list[Call]:
        return [call for call in self.calls if call.tool == tool]

    # What the callables do. `shapes.py` wraps these.

    def begin(self, tool: str, arguments: dict[str, Any]) -> tuple[Call, list[Effect], list[Effect]]:
        """Enters a call into the account. Returns it with what goes wrong before and after it."""
        with self._lock:
            call = Call(tool, arguments, threading.get_ident(), time.monotonic())
            self.calls.append(call)
            count = self._counts[tool] = self._counts.get(tool, 0) + 1
        hits = [each for each in self._effects if each[0] == tool and each[1] in (None, count)]
        return call, [each[3] for each in hits if each[2] == "before"], [each[3] for each in hits if each[2] == "after"]

    def cost(self, tool: str) -> float:
        """Real seconds that a call of this callable takes."""
        habits = self.habits
        costs = {
            "sessions_spawn": habits.spawn_seconds,
            "sessions_list": habits.list_seconds,
            "sessions_history": habits.history_seconds,
        }
        return costs.get(tool, 0.0)

    def carry_out(self, call: Call) -> dict[str, Any]:
        """Does what was asked and returns the tool's details."""
        work: Callable[..., dict[str, Any]] = getattr(self, f"_{call.tool}")
        with self._lock:
            self._advance()
            details = work(**call.arguments)
            call.ends_seen = self._ends
        return details

    def _sessions_spawn(self, **arguments: Any) -> dict[str, Any]:
        habits = self.habits
        if not arguments.get("task"):
            return {"status": "error", "error": "task required"}
        agent = arguments.get("agent_id") or arguments.get("agentId")
        if agent and agent not in habits.agents:
            allowed = ", ".join(habits.agents)
            message = f"agentId is not allowed for sessions_spawn (allowed: {allowed})"
            return {"status": "forbidden", "error": message, "role": agent}
        model = arguments.get("model") or MODEL_DEFAULT
        if habits.models is not None and model not in habits.models:
            return {"status": "error", "error": UNKNOWN_MODEL.format(model=model, provider=model.split("/")[0])}
        if habits.children_max is not None and self._alive >= habits.children_max:
            return {"status": "forbidden", "error": MAX_CHILDREN.format(count=self._alive, limit=habits.children_max)}
        child = self._accept(arguments, model)
        quiet = arguments.get("expectsCompletionMessage") is False
        return {
            "status": "accepted",
            "childSessionKey": child.key,
            "runId": child.run_id,
            "mode": "run",
            "expectsCompletionMessage": not quiet,
            "context": "isolated",
            "note": "Quiet run: no completion notification is sent. Do not wait for an announcement.",
            "resolvedModel": model,
            "resolvedProvider": model.split("/")[0],
            "modelApplied": True,
        }

    def _sessions_list(self, limit: int | None = None, offset: int | None = None, **_: Any) -> dict[str, Any]:
        habits = self.habits
        now = self.now
        for child in self.children:
            if child.alive and child.started is not None and now < child.started + child.reply.busy_seconds:
                self._touch(child, now)
        size = min(limit or habits.rows_default, habits.rows_max)
        start = offset or 0
        rows = [dict(row) for row in itertools.islice(reversed(self._rows.values()), start, start + size)]
        for row in rows:
            self._give_status(row)
        page: dict[str, Any] = {"count": len(rows), "sessions": rows, "limitApplied": size}
        more = start + len(rows) < len(self._rows)
        return {**page, "hasMore": more, **({"nextOffset": start + len(rows)} if more else {})}

    def _sessions_history(self, key: str | None = None, **arguments: Any) -> dict[str, Any]:
        key = str(key or arguments.get("sessionKey") or arguments.get("session_key"))
        child = self._by_key.get(key)
        if child is None or child.deleted:
            return {"status": "error", "error": f"No session found: {key}"}
        messages = list(self._transcript(child))
        for message in messages:
            content = message["content"]
            if isinstance(content, str):
                message["content"] = self._shown(content)
            elif content:
                message["content"] = [{"type": "text", "text": self._shown(content[0]["text"])}]
        # The real one says so of every history with an answer in it, whether or not a text was cut.
        is_marked = len(messages) > 1 or len(child.prompt) > self.habits.text_chars_max
        cut = {
            "truncated": is_marked,
            "droppedMessages": False,
            "contentTruncated": is_marked,
            "contentRedacted": False,
        }
        return {"sessionKey": key, "messages": messages, **cut, "pendingInputs": {"items": [], "total": 0}}

    def _subagents(self, action: str = "list", **arguments: Any) -> dict[str, Any]:
        if action == "list":
            tasks = [self._task_row(child) for child in reversed(self.children)]
            return {"status": "ok", "action": "list", "total": len(tasks), "taskTotal": len(tasks), "tasks": tasks}
        if action == "cancel":
            task_id = str(arguments.get("taskId") or "")
            for child in self.children:
                if _task_id(child) == task_id:
                    was_alive = child.alive
                    self._end(child, self.now, "killed")
                    if was_alive:
                        return {"status": "cancelled", "taskId": task_id, "found": True, "cancelled": True}
                    reason = "Task is already terminal."
                    return {"status": "error", "taskId": task_id, "found": True, "cancelled": False, "reason": reason}
            return {"status": "forbidden", "error": "Task outside session tree."}
        return {"status": "error", "error": "Unsupported action."}

    def _sessions(self, action: str = "", **arguments: Any) -> dict[str, Any]:
        child = self._by_key.get(str(arguments.get("sessionKey")))
        if action != "delete":
            return {"status": "error", "error": "Unsupported action."}
        if child is None or child.deleted:
            return {"status": "not_found", "deleted": False}
        # The gateway aborts a run whose session is deleted.
        self._end(child, self.now, "killed")
        self._delete(child)
        return {"status": "ok", "key": child.key, "deleted": True}

    # The gateway's own life.

    def _accept(self, arguments: dict[str, Any], model: str) -> Child:
        now, number = self.now, len(self.children)
        request = Request(number, str(arguments["task"]), model, arguments.get("label"))
        key = f"agent:main:subagent:{uuid.uuid4()}"
        row = {
            "key": key,
            "sessionId": str(uuid.uuid4()),
            "agentId": "main",
            "kind": "other",
            "channel": "unknown",
            "archived": False,
            "parentSessionKey": "agent:main:main",
            "model": model.split("/")[-1],
            "contextTokens": 128_000,
        }
        if arguments.get("label"):
            row["label"] = arguments["label"]
        child = Child(number, key, str(uuid.uuid4()), dict(arguments), self._answers(request), row, now)
        self.children.append(child)
        self._by_key[key] = child
        self._alive += 1
        self.alive_max = max(self.alive_max, self._alive)
        self._touch(child, now)
        if self.habits.lane is None or self._working < self.habits.lane:
            self._start(child, now)
        else:
            self._queue.append(child)
        return child

    def _start(self, child: Child, now: float) -> None:
        child.started = now
        self._working += 1
        seconds, fate = child.reply.seconds, "done" if child.reply.error is None else "failed"
        if self.habits.keeps_run_timeouts and 0 < child.run_timeout <= seconds:
            seconds, fate = child.run_timeout, "timeout"
        child.ends = now + seconds
        self._touch(child, now)
        heapq.heappush(self._events, (child.ends, next(self._event_no), fate, child))

    def _end(self, child: Child, now: float, fate: Fate) -> None:
        if not child.alive:
            return
        child.ended, child.fate = now, fate
        self._alive -= 1
        self._ends += 1
        if fate == "done":
            child.row["totalTokens"] = 100 + (len(child.prompt) + len(child.reply.text)) // 4
        self._touch(child, now)
        if child.arguments.get("cleanup") == "delete":
            gone = now + self.habits.vanish_seconds
            heapq.heappush(self._events, (gone, next(self._event_no), "vanish", child))
        if child.started is None:
            self._queue.remove(child)
            return
        self._working -= 1
        if self._queue:
            self._start(self._queue.pop(0), now)

    def _advance(self) -> None:
        now = self.now
        while self._events and self._events[0][0] <= now:
            at, _, what, child = heapq.heappop(self._events)
            if what == "vanish":
                self._delete(child)
            else:
                self._end(child, at, what)  # type: ignore[arg-type]

    def _delete(self, child: Child) -> None:
        child.deleted = True
        self._rows.pop(child.key, None)

    def _touch(self, child: Child, now: float) -> None:
        child.row["updatedAt"] = int(now * 1000)
        self._rows.pop(child.key, None)
        self._rows[child.key] = child.row

    # What is shown of it.

    def _give_status(self, row: dict[str, Any]) -> None:
        child = self._by_key.get(row["key"])
        if child is None:
            return
        status = self._status(child)
        if status is not None and self.habits.done is not None:
            row["status"] = status

    def _status(self, child: Child) -> str | None:
        """The registry's word. It counts a run's time from its acceptance, and calls one that had to wait timed out."""
        limit, early = child.run_timeout, self.habits.premature_timeout_seconds
        if child.fate in ("killed", "timeout"):
            return child.fate
        if child.started is None:
            return "queued" if self.now - child.accepted >= self.habits.settling_seconds else "running"
        if early is not None and self.now >= child.ends - early:
            return "timeout"
        if child.fate == "failed":
            return "failed"
        if child.ended is None:
            is_told = self.habits.tells_run_timeouts and 0 < limit < self.now - child.started
            return "timeout" if is_told else "running"
        return "timeout" if 0 < limit < child.ended - child.accepted else self.habits.done

    def _transcript(self, child: Child) -> Iterator[dict[str, Any]]:
        yield {"role": "user", "content": child.prompt}
        provider, model = child.model.split("/", 1) if "/" in child.model else ("", child.model)
        by = {"role": "assistant", "provider": provider, "model": model}
        if child.reply.wrote and child.started is not None:
            yield {**by, "content": [{"type": "text", "text": child.reply.wrote}], "stopReason": "toolUse"}
        if child.fate in (None, "killed"):
            return
        text, more = child.reply.text, {"stopReason": "stop"}
        if child.fate == "failed":
            text, more = f"⚠️ LLM request failed ({child.reply.error}).", {"stopReason": "error"}
        elif child.fate == "timeout":
            text, more = "", {"stopReason": "aborted", "errorMessage": "request timed out"}
        is_empty = child.fate == "done" and not text
        yield {**by, "content": [] if is_empty else [{"type": "text", "text": text}], **more}

    def _shown(self, text: str) -> str:
        limit = self.habits.text_chars_max
        return text if len(text) <= limit else text[:limit] + CUT_MARK

    def _task_row(self, child: Child) -> dict[str, Any]:
        words = {
            None: "running",
            "done": "completed",
            "failed": "failed",
            "timeout": "timed_out",
            "killed": "cancelled",
        }
        state = "finished" if not child.alive else "queued" if child.started is None else "running"
        row: dict[str, Any] = {
            "taskId": _task_id(child),
            "runtime": "subagent",
            "deliveryStatus": "not_applicable",
            "execution": {"state": state},
            "status": "queued" if state == "queued" else words[child.fate],
        }
        return {**row, "label": child.label} if child.label else row

    def _scripted(self, request: Request) -> Reply:
        script = Script.parse(request.prompt)
        name = (script.case, script.task)
        count = self._script_counts[name] = self._script_counts.get(name, 0) + 1
        script = script.for_call(request.model, count)
        if script.stuck:
            return Reply(seconds=float("inf"))
        if script.http:
            return Reply(seconds=script.sleep, error=SCRIPTED_ERROR.format(status=script.http))
        return Reply(script.answer(request.prompt), script.sleep)


MODEL_DEFAULT = "anthropic/claude-opus-4-5"
MAX_CHILDREN = (
    "sessions_spawn has reached max active children for this session "
    "({count}/{limit}; agents.defaults.subagents.maxChildrenPerAgent)."
)
UNKNOWN_MODEL = (
    'sessions_spawn model "{model}" is not usable: Unknown model: {model}. Run `openclaw models list --refresh '
    "--provider {provider}` to inspect this provider's model choices, then retry with a model supported by your "
    "account."
)


def _task_id(child: Child) -> str:
    return f"task-{child.run_id}"
