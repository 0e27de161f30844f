"""What injected tools answer, in every shape and out of shape: read by the core in a run, and by the older helpers.

An input is JSON: by call, what is answered to it. A call that the input does not name is answered as a runtime would.
Values that JSON does not have are written `{"$": kind, "of": value}`; see `KINDS`. `"$key"` and `"$label"` stand for
those of the latest agent that was started.

Run with atheris by `run.py`; replayed by `tests/python/test_fuzz.py`.
"""

from __future__ import annotations

import contextlib
import json
import math
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

from parallel_agents import _answers, _core
from parallel_agents._task import AgentResult, results_from_core

CALLS = {
    "spawn": ["task", "model", "runTimeoutSeconds", "label"],
    "first_page": ["limit"],
    "next_page": ["limit", "offset"],
    "history": ["sessionKey"],
    "children": [],
    "cancel": ["taskId"],
    "delete": ["sessionKey"],
}
"""The calls that the core makes, and what they pass."""
CALLS_MAX = 5_000
"""Calls of one run. None needs as many; a list without an end takes a thousand."""
TEXT_MAX = 20_000
"""The longest text for people, in characters."""


class Answer:
    """An answer that has `get` and nothing else of a dict's."""

    def __init__(self, fields: Any) -> None:
        self._fields = fields if isinstance(fields, dict) else {"value": fields}

    def get(self, name: str, default: Any = None) -> Any:
        return self._fields.get(name, default)


class Raising:
    """An answer that raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise ValueError(f"no {name}\nat all")

    def __repr__(self) -> str:
        raise RuntimeError("not to be shown")


class Text(str):
    """A text with ideas of its own."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


def _within_itself(_: Any) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    answer |= dict.fromkeys(("details", "result", "output", "sessions", "messages"), answer)
    return answer


def _deep(of: Any) -> Any:
    for _ in range(1_200):
        of = {"details": of}
    return of


KINDS: dict[str, Callable[[Any], Any]] = {
    "object": Answer,
    "attributes": lambda of: SimpleNamespace(**of) if isinstance(of, dict) else SimpleNamespace(value=of),
    "tuple": lambda of: tuple(of) if isinstance(of, list) else (of,),
    "json": lambda of: json.dumps(of, default=lambda each: "something else", skipkeys=True),
    "bytes": lambda of: str(of).encode("utf-8", "replace") if isinstance(of, (str, int)) else b"\xff{",
    "deep text": lambda of: "[" * 100_000,
    "half": lambda of: "\ud800",
    "nan": lambda of: math.nan,
    "endless": lambda of: -math.inf if of else math.inf,
    "huge": lambda of: 10**400,
    "text": lambda of: Text(of if isinstance(of, str) else "x"),
    "iterator": lambda of: iter(of if isinstance(of, list) else []),
    "mock": lambda of: MagicMock(),
    "raising": lambda of: Raising(),
    "itself": _within_itself,
    "deep": _deep,
    "class": lambda of: dict,
}
"""Values that JSON does not have."""
HOSTILE = ("mock", "raising", "text", "itself", "deep", "deep text", "half", "class", "iterator")
"""Kinds that the helpers need not read without an exception."""


def check(data: bytes) -> None:
    """Raises if something in the input is read badly."""
    try:
        scene = json.loads(data)
    except (ValueError, RecursionError):
        return
    if isinstance(scene, dict):
        _check_run(scene)
        for tree in scene.values():
            _check_helpers(tree)


class Scene:
    """The callables of one run."""

    def __init__(self, trees: dict[str, Any]) -> None:
        self._trees = trees
        self._names = {"$key": "key-0", "$label": ""}
        self._labels: dict[str, str] = {}

    def call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """The answer to a call. `{"$": "exception"}` raises."""
        if name == "spawn":
            self._names["$key"] = f"key-{len(self._labels) + 1}"
            self._names["$label"] = arguments[-1]
            self._labels[self._names["$key"]] = arguments[-1]
        tree = self._trees.get(name, self._usual(name, arguments))
        if isinstance(tree, dict) and tree.get("$") == "exception":
            raise ValueError(made(tree.get("of"), self._names))
        return made(tree, self._names)

    def _usual(self, name: str, arguments: tuple[Any, ...]) -> Any:
        match name:
            case "spawn":
                return {"status": "accepted", "childSessionKey": "$key", "runId": "r"}
            case "first_page" | "next_page":
                # What is to be stopped must be at work.
                status = "running" if {"children", "cancel"} & self._trees.keys() else "done"
                return {"sessions": [{"key": key, "status": status} for key in self._labels], "hasMore": False}
            case "history":
                return {"messages": [{"role": "assistant", "content": "well"}]}
            case "children":
                return {"tasks": [{"label": label, "taskId": f"task-{label}"} for label in self._labels.values()]}
            case _:
                return {"status": "ok"}


def made(tree: Any, names: dict[str, str]) -> Any:
    """The value that an input describes."""
    if isinstance(tree, dict):
        if isinstance(kind := tree.get("$"), str) and kind in KINDS:
            try:
                return KINDS[kind](made(tree.get("of"), names))
            except (ValueError, RecursionError):
                # Not every kind can be made of every other.
                return None
        return {name: made(field, names) for name, field in tree.items()}
    if isinstance(tree, list):
        return [made(item, names) for item in tree]
    return names.get(tree, tree) if isinstance(tree, str) else tree


def _check_run(trees: dict[str, Any]) -> None:
    """Plays a run of two agents whose tools answer so. It ends, whatever they answer, and says what became of each."""
    toolbox = _core.Toolbox({name: ((lambda *_, name=name: name), passed) for name, passed in CALLS.items()})
    started: list[Any] = []
    tasks = [
        {"agent_type": "plain", "task_description": "Do it.", "output_format": "text", "task_id": each} for each in "ab"
    ]
    options = {"max_concurrent": 2, "models": ["a/b"], "retry": {"attempts_max": 2}}
    _core.Engine(options, toolbox).start(tasks, started)
    run: _core.ToolRun = started[0]
    scene = Scene(trees)
    is_cancelled = False
    for _ in range(CALLS_MAX):
        while (event := run.poll()) is not None:
            kind, content = event
            if kind == "notice":
                assert_shows_well(content["text"])
            if kind == "ended":
                return _check_results(run)
        if (call := run.next_call()) is not None:
            number, function, arguments = call
            try:
                answer = scene.call(function(), arguments)
            except ValueError as error:
                run.raised(number, error)
            else:
                run.answered(number, answer)
        elif run.pause() != 0:
            # Nobody waits here: a run that wants to is ended, first by asking, then at once.
            run.cancel("it has been enough", is_cancelled)
            is_cancelled = True
    raise AssertionError(f"the run has not ended after {CALLS_MAX} calls")


def _check_results(run: _core.ToolRun) -> None:
    results: dict[str, AgentResult] = {}
    results_from_core(run.reports(), run.task_ids, results)
    assert list(results) == ["a", "b"]
    for result in results.values():
        if result.error is not None:
            assert_shows_well(result.error)
        # Whatever was read can be written: no half characters, and no numbers that are none.
        json.dumps(result.to_dict(), allow_nan=False).encode()
        cost = result.metadata["cost"]
        assert cost is None or 0 <= cost < math.inf, cost
        assert result.success == isinstance(result.output, str), result
    for left in run.sessions_left():
        assert_shows_well(left["reason"])


def _check_helpers(tree: Any) -> None:
    """The older helpers read the same answers. They may raise what the answer itself raises, but not hang."""
    answer = made(tree, {})
    with _hostile(tree):
        fields = _answers.spawn_fields(answer)
        assert isinstance(fields, dict)
        for each in (fields, answer):
            key = _answers.session_key(each)
            assert key is None or isinstance(key, str)
        for row in _answers.rows(answer):
            assert isinstance(_answers.has_ended(row), bool)
            assert isinstance(_answers.says_timeout(row), bool)
        offset = _answers.next_offset(answer)
        assert offset is None or isinstance(offset, int)
        text = _answers.final_text(answer)
        assert text is None or isinstance(text, str)


@contextlib.contextmanager
def _hostile(tree: Any) -> Iterator[None]:
    try:
        yield
    except AssertionError:
        raise
    except Exception:
        shown = json.dumps(tree)
        if not any(f'"{kind}"' in shown for kind in HOSTILE):
            raise


def assert_shows_well(text: str) -> None:
    """That a text may be shown to people: one line, and not a long one."""
    assert text.isprintable() or not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in text), text
    assert len(text) <= TEXT_MAX, text


WORDS = re.findall(r'^"(\w+|\$\w*)"$', (Path(__file__).parent / "words.dict").read_text(), re.MULTILINE)
"""Names and texts that the readers know."""


def mutate(data: bytes, size_max: int, seed: int) -> bytes:
    """Another input: this one with some of its values changed."""
    rng = random.Random(seed)
    try:
        scene = json.loads(data)
    except (ValueError, RecursionError):
        scene = {}
    if not isinstance(scene, dict):
        scene = {}
    for _ in range(rng.randint(1, 4)):
        if not scene or rng.random() < 0.1:
            scene[rng.choice(list(CALLS))] = _tree(rng, 3)
        holders = list(_holders(scene))
        holder = rng.choice(holders)
        place = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        match rng.randrange(7):
            case 0 if holder is not scene or len(holder) > 1:
                del holder[place]
            case 1:
                donor = rng.choice(holders)
                holder[place] = json.loads(json.dumps(donor))
            case 2:
                holder[place] = {"$": rng.choice([*KINDS, "exception"]), "of": holder[place]}
            case 3 if isinstance(holder, list):
                holder.insert(place, _tree(rng, 2))
            case 3 if holder is not scene:
                holder[rng.choice(WORDS)] = _tree(rng, 2)
            case 4 if isinstance(holder, dict) and holder is not scene:
                holder[rng.choice(WORDS)] = holder.pop(place)
            case _:
                holder[place] = _tree(rng, 2)
    changed = json.dumps(scene).encode()
    return changed if len(changed) <= size_max else data[:size_max]


def _holders(tree: Any) -> Iterator[Any]:
    """The dicts and lists that hold something."""
    if isinstance(tree, (dict, list)) and tree:
        yield tree
        for child in tree.values() if isinstance(tree, dict) else tree:
            yield from _holders(child)


def _tree(rng: random.Random, depth: int) -> Any:
    match rng.randrange(12 if depth else 8):
        case 0:
            return rng.choice([None, True, False])
        case 1:
            return rng.choice([0, -1, 1, 2**63, 2**64, 10**30, 0.5, 1e308, -1e308])
        case 2:
            return rng.choice(["", "\n", "\x1b[2J", "x" * 5_000, "{}", "[", "a (truncated)..."])
        case 3:
            return {"$": rng.choice([*KINDS, "exception"]), "of": _tree(rng, depth - 1) if depth else None}
        case 4 | 5 | 6 | 7:
            return rng.choice(WORDS)
        case 8 | 9:
            return [_tree(rng, depth - 1) for _ in range(rng.randrange(4))]
        case _:
            return {rng.choice(WORDS): _tree(rng, depth - 1) for _ in range(rng.randrange(5))}
