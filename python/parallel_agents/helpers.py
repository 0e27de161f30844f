"""The module `helpers` of the old skill: free text in, an agent's answer out. With what its guide wished for.

A task is text and becomes the agent's whole prompt. All of its functions find the runtime as `Orchestrator` does: an
importable module `tools` first, then a gateway. `wait_time` was a fixed sleep; it is accepted and means nothing.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import _answers, _task
from ._errors import GatewayError, ModelError, PlanError, SpawnError
from ._options import RetryPolicy
from ._orchestrator import Orchestrator
from ._research import research_task
from ._settings import standing
from ._tools import importable, is_async
from ._watch import Watch

if TYPE_CHECKING:
    from ._task import AgentResult

__all__ = [
    "MAX_CONCURRENT",
    "MODEL_HIERARCHY",
    "collect_agent_results",
    "parallel_spawn",
    "poll_until_complete",
    "spawn_parallel_with_retry",
    "spawn_with_model_hierarchy",
    "spawn_with_retry",
]

_SETTINGS = standing()
MODEL_HIERARCHY: list[Any] = _SETTINGS.get("models", _task.MODEL_HIERARCHY)
"""The models that are tried where none are named, cheapest first: those of the settings, or the package's own."""
MAX_CONCURRENT: int = _SETTINGS.get("max_concurrent", _task.DEFAULT_MAX_CONCURRENT)
"""Agents at once in `spawn_parallel_with_retry` and `parallel_spawn`: what the settings say, or 5."""

_TEXTS_MAX = 1_000
# The latest texts of sessions that were run here. The sessions are deleted, and programs ask for them by key.
_texts: dict[str, str] = {}
_texts_lock = threading.Lock()


def spawn_with_model_hierarchy(
    task: str, timeout_seconds: float = 90, wait_time: float = 30, models: Sequence[str] | None = None
) -> dict[str, Any]:
    """Runs one task, on the cheapest model first.

    Args:
        task: What the agent is told: this text and nothing else.
        timeout_seconds: Time for one attempt, in seconds.
        wait_time: Accepted for old programs; nothing waits for it.
        models: Models from cheap to costly. Default `MODEL_HIERARCHY`.

    Returns:
        `success` (true), `result` (the spawn's own answer, and the agent's text under `text`), `model_used`,
        `attempts` (dicts of `model`, `success`, and `tokens` or `error`), `session_key`.

    Raises:
        SpawnError: Every model failed; its `attempts` say why.
        PlanError: The task or the models cannot be used; nothing was started. (A `ValueError`.)
        GatewayError: There is no runtime; nothing was started. (A `ConnectionError`.)
    """
    tiers = MODEL_HIERARCHY if models is None else models
    return _hierarchy_fields(_run_one(task, timeout_seconds, models=tiers, retry=None))


def spawn_with_retry(
    task: str,
    max_retries: int = 2,
    timeout_seconds: float = 90,
    wait_time: float = 30,
    model: str | None = None,
    use_hierarchy: bool = True,
) -> dict[str, Any]:
    """Runs one task, repeating what a repetition may cure.

    Args:
        task: What the agent is told: this text and nothing else.
        max_retries: Repeats for each model. A task is never tried more than `(max_retries + 1)` times as often as it
            has models. On one model they are spent on lost connections, errors of the provider and empty answers. On
            a hierarchy they are spent on lost connections, and one at the most on each of the others, which the next
            model may cure as well. An attempt that ran out of time is never repeated on its model.
        timeout_seconds: Time for one attempt, in seconds.
        wait_time: Accepted for old programs; nothing waits for it.
        model: The one model to use.
        use_hierarchy: `False` uses one model: `model`, or the cheapest of `MODEL_HIERARCHY`.

    Returns:
        On a hierarchy the same as `spawn_with_model_hierarchy`. On one model the spawn's own answer
        (`childSessionKey`, `runId`, `status` and so on), and the agent's text under `text`.

    Raises:
        As `spawn_with_model_hierarchy`.
    """
    pinned = model if model is not None else None if use_hierarchy else MODEL_HIERARCHY[0]
    tiers = MODEL_HIERARCHY if pinned is None else [pinned]
    ran = _run_one(task, timeout_seconds, models=tiers, retry=_retry(max_retries, len(tiers)))
    fields = _hierarchy_fields(ran)
    return fields if pinned is None else dict(fields["result"])


def spawn_parallel_with_retry(
    tasks: Iterable[str],
    max_retries: int = 2,
    timeout_seconds: float = 90,
    wait_time: float = 30,
    use_hierarchy: bool = True,
) -> list[dict[str, Any]]:
    """Runs tasks in parallel, `MAX_CONCURRENT` at once.

    Args:
        tasks: What the agents are told, one text per agent.
        max_retries: As for `spawn_with_retry`.
        timeout_seconds: Time for one attempt, in seconds.
        wait_time: Accepted for old programs; nothing waits for it.
        use_hierarchy: `False` uses the cheapest model of `MODEL_HIERARCHY` alone.

    Returns:
        One dict per task, in the order of the tasks: `success` (true), `result` (the spawn's own answer, and the
        agent's text under `text`), `model_used`, `task`; or `success` (false), `task`, `error`. Without a runtime
        every task has failed.

    Raises:
        PlanError: A task cannot be used; nothing was started. (A `ValueError`.)
    """
    texts = _listed("tasks", tasks)
    tiers = MODEL_HIERARCHY if use_hierarchy else MODEL_HIERARCHY[:1]
    try:
        runs = _run(texts, timeout_seconds, models=tiers, retry=_retry(max_retries, len(tiers)))
    except (GatewayError, ModelError) as error:
        return [{"success": False, "task": text, "error": str(error)} for text in texts]
    return [_parallel_fields(text, ran) for text, ran in zip(texts, runs, strict=True)]


def parallel_spawn(entries: Iterable[Mapping[str, Any]], **options: Any) -> list[AgentResult]:
    """Runs agents of any types in parallel, from one dict each.

    Args:
        entries: Dicts with `type` and what it needs. `"research"` takes a `topic` and answers with `summary`,
            `key_points`, `sources`, `open_questions`. Any agent type takes `task` and the fields of `AgentTask`;
            a `topic` goes into its data. Without a type, `task` is the agent's whole prompt and its answer is text.
        options: Options of `Orchestrator`, by keyword.

    Returns:
        One result per entry, in their order.

    Raises:
        AgentTypeError: There is no such type; nothing was started. (A `ValueError`, as is the next.)
        PlanError: An entry cannot be used; nothing was started.
        GatewayError: There is no runtime; nothing was started. (A `ConnectionError`.)

    Example:
        >>> results = parallel_spawn(
        ...     [{"type": "research", "topic": "tea"}, {"type": "code_reviewer", "task": "Review: x = 1"}],
        ...     rehearsal=True,
        ... )
        >>> [result.success for result in results]
        [True, True]
    """
    tasks = [_entry_task(index, entry) for index, entry in enumerate(_listed("entries", entries))]
    if "models" in _SETTINGS and not options.keys() & {"model", "models"}:
        options["models"] = MODEL_HIERARCHY
    orchestrator = _orchestrator(**{"max_concurrent": MAX_CONCURRENT, **options})
    return list(orchestrator.run_parallel(tasks).values())


def poll_until_complete(
    session_keys: Iterable[str | None], timeout: float = 120, *, tools: object = None
) -> list[str | None]:
    """Waits until sessions have ended, by one shared look for all of them at growing intervals.

    Args:
        session_keys: The sessions, as a spawn's answer names them.
        timeout: Seconds to wait at the most. The last look comes at their end.
        tools: An object with `sessions_list` and `sessions_history` that knows the sessions, such as the
            `openclaw.tools()` that spawned them. Default: the module `tools`, then a gateway.

    Returns:
        What each agent wrote last, in the order of the keys; `None` for one that has not ended or wrote nothing.

    Raises:
        PlanError: A key or the time cannot be used. (A `ValueError`.)
        GatewayError: There is no runtime. (A `ConnectionError`.)
    """
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout != timeout:
        raise PlanError(f"`timeout` is `{timeout!r}`, expected seconds, for example 120")
    keys = _keys(session_keys)
    texts: dict[str, str | None] = {key: _texts[key] for key in keys if key in _texts}
    awaited = [key for key in keys if key is not None and key not in texts]
    if awaited:
        texts |= _watched(tools, lambda watch: watch.until_ended(awaited, timeout))
    return [None if key is None else texts.get(key) for key in keys]


def collect_agent_results(session_keys: Iterable[str | None], *, tools: object = None) -> list[str | None]:
    """What agents wrote last. Looks once and waits for nothing.

    Args:
        session_keys: The sessions, as a spawn's answer names them. `None` among them stays `None`.
        tools: As for `poll_until_complete`.

    Returns:
        Their texts, in the order of the keys; `None` where there is none.

    Raises:
        As `poll_until_complete`.
    """
    keys = _keys(session_keys)
    texts: dict[str, str | None] = {key: _texts[key] for key in keys if key in _texts}
    unknown = dict.fromkeys(key for key in keys if key is not None and key not in texts)
    if unknown:
        texts |= _watched(tools, lambda watch: {key: watch.text(key) for key in unknown})
    return [None if key is None else texts.get(key) for key in keys]


def _orchestrator(**options: Any) -> Orchestrator:
    return Orchestrator(**options)


def _watched(tools: object, read: Callable[[Watch], dict[str, str | None]]) -> dict[str, str | None]:
    """What `read` finds with these tools, with injected ones, or with those of a gateway for as long as it takes."""
    if tools is None:
        tools = importable()
    if tools is not None:
        with Watch(tools) as watch:
            return read(watch)
    from . import openclaw

    with openclaw.tools() as made, Watch(made) as watch:
        return read(watch)


class _Recorder:
    """Injected tools, and what their `sessions_spawn` answered, since programs want that as it came."""

    def __init__(self, tools: Any) -> None:
        self._tools = tools
        self._answers: dict[str, dict[str, Any]] = {}
        self.sessions_spawn = self._recorded(tools.sessions_spawn)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tools, name)

    def answer(self, session_key: str | None) -> dict[str, Any] | None:
        """The answer that named a session, or `None`."""
        return None if session_key is None else self._answers.get(session_key)

    def _recorded(self, spawn: Callable[..., Any]) -> Callable[..., Any]:
        """The same callable, of the same kind and signature."""
        if is_async(spawn):

            @functools.wraps(spawn)
            async def awaited(*arguments: Any, **fields: Any) -> Any:
                return self._keep(await spawn(*arguments, **fields))

            return awaited

        @functools.wraps(spawn)
        def called(*arguments: Any, **fields: Any) -> Any:
            answer = spawn(*arguments, **fields)
            return self._later(answer) if hasattr(answer, "__await__") else self._keep(answer)

        return called

    async def _later(self, answer: Any) -> Any:
        return self._keep(await answer)

    def _keep(self, answer: Any) -> Any:
        fields = _answers.spawn_fields(answer)
        key = _answers.session_key(fields)
        if key is not None:
            self._answers[key] = fields
        return answer


def _run_one(text: str, timeout_seconds: float, **options: Any) -> tuple[AgentResult, dict[str, Any]]:
    (ran,) = _run([text], timeout_seconds, **options)
    return ran


def _run(texts: list[str], timeout_seconds: float, **options: Any) -> list[tuple[AgentResult, dict[str, Any]]]:
    """Runs each text as an agent's whole prompt. Returns its result and the spawn's own answer."""
    tasks = [
        {
            "agent_type": "plain",
            "task_description": text,
            "output_format": "text",
            "timeout_seconds": timeout_seconds,
        }
        for text in texts
    ]
    tools = importable()
    recorder = None if tools is None else _Recorder(tools)
    if recorder is not None:
        options["tools"] = recorder
    results = _orchestrator(max_concurrent=MAX_CONCURRENT, **options).run_parallel(tasks)
    return [(result, _spawn_answer(result, recorder)) for result in results.values()]


def _spawn_answer(result: AgentResult, recorder: _Recorder | None) -> dict[str, Any]:
    """What the last spawn of a task answered, or where it was not seen what it would have; with the agent's text."""
    attempts = result.metadata["attempts"]
    last = attempts[-1] if attempts else {}
    key = last.get("session_key") or result.session_key
    answer = (recorder and recorder.answer(key)) or {
        "status": "accepted" if key else "error",
        "childSessionKey": key,
        "runId": last.get("run_id"),
        "mode": "run",
        "resolvedModel": last.get("model_used") or last.get("model"),
    }
    if result.success and key:
        with _texts_lock:
            while len(_texts) >= _TEXTS_MAX:
                del _texts[next(iter(_texts))]
            _texts[key] = result.output
    return {**answer, "text": result.output}


def _hierarchy_fields(ran: tuple[AgentResult, dict[str, Any]]) -> dict[str, Any]:
    result, answer = ran
    attempts = [_attempt_fields(attempt) for attempt in result.metadata["attempts"]]
    if not result.success:
        raise SpawnError(result.error or result.status.value, attempts, result.metadata["doctor"])
    return {
        "success": True,
        "result": answer,
        "model_used": _model_used(result),
        "attempts": attempts,
        "session_key": result.session_key,
    }


def _attempt_fields(attempt: Mapping[str, Any]) -> dict[str, Any]:
    if attempt["outcome"] == "completed":
        tokens = attempt["tokens"]
        return {"model": attempt["model"], "success": True, "tokens": tokens["total"] if tokens else None}
    return {"model": attempt["model"], "success": False, "error": attempt["reason"] or attempt["outcome"]}


def _parallel_fields(text: str, ran: tuple[AgentResult, dict[str, Any]]) -> dict[str, Any]:
    result, answer = ran
    if not result.success:
        return {"success": False, "task": text, "error": result.error}
    return {"success": True, "result": answer, "model_used": _model_used(result), "task": text}


def _model_used(result: AgentResult) -> Any:
    return result.metadata["model_used"] or result.metadata["model_requested"]


def _retry(max_retries: int, tiers: int) -> RetryPolicy:
    if not isinstance(max_retries, int) or isinstance(max_retries, bool) or max_retries < 0:
        raise PlanError(f"`max_retries` is `{max_retries!r}`, expected a whole number, 0 or more")
    curable = max_retries if tiers == 1 else min(max_retries, 1)
    return RetryPolicy(
        attempts_max=(max_retries + 1) * tiers,
        transient_retries_max=max_retries,
        server_error_retries_max=curable,
        output_retries_max=curable,
    )


def _listed(what: str, values: Any) -> list[Any]:
    if isinstance(values, (str, Mapping)) or not hasattr(values, "__iter__"):
        raise PlanError(f"`{what}` is of type `{type(values).__name__}`, expected a list")
    return list(values)


def _keys(session_keys: Iterable[str | None]) -> list[str | None]:
    keys: list[str | None] = _listed("session_keys", session_keys)
    for index, key in enumerate(keys):
        if key is not None and (not isinstance(key, str) or not key):
            raise PlanError(f"session_keys[{index}] is `{key!r}`, expected a session's key")
    return keys


def _entry_task(index: int, entry: object) -> dict[str, Any]:
    if not isinstance(entry, Mapping):
        raise PlanError(f"entries[{index}] is of type `{type(entry).__name__}`, expected a dict with `type`")
    fields = dict(entry)
    for short, long in (("type", "agent_type"), ("task", "task_description")):
        if short in fields:
            if long in fields:
                raise PlanError(f"entries[{index}] has both `{short}` and `{long}`, expected one of them")
            fields[long] = fields.pop(short)
    topic = fields.pop("topic", None)
    kind = fields.pop("agent_type", None)
    if kind == "research":
        if "task_description" in fields:
            raise PlanError(f"entries[{index}] has a `task`, expected research to have a `topic` alone")
        task = research_task(topic, f"entries[{index}].topic")
        described = ("agent_type", "task_description", "timeout_seconds", "output_schema")
        return {**{name: getattr(task, name) for name in described}, **fields}
    if topic is not None:
        fields.setdefault("task_description", f"Your topic is {topic}.")
        data = fields.get("input_data")
        # Data of another kind stays for the core to judge.
        if data is None or isinstance(data, Mapping):
            fields["input_data"] = {"topic": topic, **(data or {})}
    if kind is None:
        if topic is not None:
            raise PlanError(f"entries[{index}] has a `topic` and no `type`, expected for example `research`")
        return {"agent_type": "plain", "output_format": "text", **fields}
    return {"agent_type": kind, **fields}
