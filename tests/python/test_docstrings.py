"""What the reference is made of: every public name is described, with its parameters and what it raises itself."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import parallel_agents
import pytest

MODULES = ["parallel_agents", *(f"parallel_agents.{name}" for name in parallel_agents._MODULES)]


@functools.cache
def public() -> dict[str, Any]:
    """What the public modules export: classes, functions, constants, each once under its shortest name."""
    found: dict[int, tuple[str, Any]] = {}
    for name in MODULES:
        module = importlib.import_module(name)
        for each in module.__all__:
            value = getattr(module, each)
            found.setdefault(id(value), (f"{name}.{each}".removeprefix("parallel_agents."), value))
    return dict(found.values())


@functools.cache
def classes() -> dict[str, type]:
    found = {name: value for name, value in public().items() if inspect.isclass(value)}
    return {**found, "registry": type(parallel_agents.registry)}


def members(owner: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class, those that it has of another class of ours included."""
    for base in reversed(owner.__mro__):
        if base.__module__.startswith("parallel_agents"):
            for name, value in vars(base).items():
                if not name.startswith("_") and not isinstance(value, type):
                    yield name, getattr(value, "__func__", value)


@functools.cache
def callables() -> dict[str, tuple[FunctionType, dict[str, Any]]]:
    """Each public function or method, and those that stand beside it."""
    exported = {name.rpartition(".")[2]: value for name, value in public().items()}
    every = {f"{name}.{each}": value for name, owner in classes().items() for each, value in members(owner)}
    found = {name: (value, exported | every) for name, value in public().items() if isinstance(value, FunctionType)}
    for name, owner in classes().items():
        methods = dict(members(owner))
        beside = exported | every | methods
        for each, value in methods.items():
            if isinstance(value, FunctionType):
                found[f"{name}.{each}"] = (value, beside)
    return found


def parameters(function: Any) -> list[str]:
    names = inspect.signature(function).parameters
    return [name for name in names if name not in {"self", "cls"} and not name.startswith("_")]


def section(text: str, title: str) -> str:
    found = re.search(rf"^{title}:\n(.*?)(?=^\w+:\n|\Z)", inspect.cleandoc(text), re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def told(text: str, title: str = "Args") -> set[str]:
    """The names that a section of a docstring tells something about, also several in one entry."""
    entries = re.findall(r"^ {4}([*\w][\w, *`]*):", section(text, title), re.MULTILINE)
    return {name.strip("* `") for entry in entries for name in entry.split(",")}


def named(text: str, beside: dict[str, Any]) -> list[FunctionType]:
    """The functions that a docstring names in backticks, and those that theirs name."""
    found: list[FunctionType] = []
    waiting = [text]
    while waiting:
        for name in re.findall(r"`([\w.]+)(?:\(.*?\))?`", waiting.pop()):
            each = beside.get(name)
            if isinstance(each, FunctionType) and each.__doc__ and each not in found:
                found.append(each)
                waiting.append(each.__doc__)
    return found


def raised(function: Callable[..., object]) -> set[str]:
    """The exceptions that a function raises in its own body."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    return {name for name in names if re.fullmatch(r"[A-Z]\w+", name)}


@pytest.mark.parametrize("module", MODULES)
def test_every_public_module_is_described(module: str) -> None:
    assert (importlib.import_module(module).__doc__ or "").strip()


@pytest.mark.parametrize(
    ("name", "owner"), classes().items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_public_class_is_described_with_what_it_takes_and_has(name: str, owner: type) -> None:
    text = inspect.getdoc(owner) or ""
    assert text.strip(), name
    if not owner.__module__.startswith("parallel_agents"):
        return
    expected = set[str]()
    if isinstance(vars(owner).get("__init__"), FunctionType) and not issubclass(owner, Exception):
        expected |= set(parameters(owner))
    if dataclasses.is_dataclass(owner):
        expected |= {field.name for field in dataclasses.fields(owner) if not field.name.startswith("_")}
    assert expected - told(text) - told(text, "Attributes") == set()


@pytest.mark.parametrize(
    ("name", "owner"), classes().items(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_public_member_is_described(name: str, owner: type) -> None:
    documented = (property, functools.cached_property, FunctionType)
    silent = [each for each, value in members(classes()[name]) if isinstance(value, documented) and not value.__doc__]
    assert silent == []


@pytest.mark.parametrize("name", callables())
def test_every_public_function_tells_its_parameters_or_whose_they_are(name: str) -> None:
    function, beside = callables()[name]
    text = function.__doc__ or ""
    assert text.strip()
    taken = set(parameters(function))
    # `arun` takes what `run` takes: the docstring of a variant names the other.
    known = told(text).union(*(told(each.__doc__ or "") for each in named(text, beside)))
    assert taken - known == set(), f"not among the Args of {name} or of those that it names"


@pytest.mark.parametrize("name", callables())
def test_every_public_function_tells_what_it_raises_itself(name: str) -> None:
    function, beside = callables()[name]
    text = section(function.__doc__ or "", "Raises")
    text += "".join(section(each.__doc__ or "", "Raises") for each in named(text, beside))
    assert [each for each in raised(function) if each not in text] == []


def test_the_sections_of_a_docstring_are_told_apart() -> None:
    text = """One line.

    Args:
        one, other: Both: of them,
            and more.
        *rest: The rest.

    Raises:
        PlanError: It: fails.
    """
    assert told(text) == {"one", "other", "rest"}
    assert told(text, "Raises") == {"PlanError"}
    assert told(text, "Returns") == set()


def test_what_a_function_raises_is_seen() -> None:
    def careful(value: int) -> None:
        try:
            if value:
                raise ValueError("value")
        except ValueError as caught:
            raise caught

    assert raised(careful) == {"ValueError"}
