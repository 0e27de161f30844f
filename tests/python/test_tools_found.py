"""Which callables are used when none are named: those of an importable module `tools`, if it is an agent runtime's."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from parallel_agents import GatewayError, Orchestrator
from standin import StandIn

from .injected import asks, assert_all_completed

pytestmark = pytest.mark.usefixtures("ends")


@pytest.fixture(autouse=True)
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test here brings its own module."""
    monkeypatch.delitem(sys.modules, "tools", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])


def injected(standin: StandIn, *, asynchronous: bool = False) -> types.ModuleType:
    module = types.ModuleType("tools")
    module.__dict__.update(standin.tools(asynchronous=asynchronous).by_name())
    return module


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_an_injected_module_is_used(monkeypatch: pytest.MonkeyPatch, asynchronous: bool) -> None:
    standin = StandIn()
    monkeypatch.setitem(sys.modules, "tools", injected(standin, asynchronous=asynchronous))
    results = Orchestrator().run_parallel(asks(3))
    assert_all_completed(results, 3)
    assert {result.metadata["runtime"] for result in results.values()} == {"tools"}
    assert len(standin.children) == 3


def test_the_module_itself_may_be_handed_over() -> None:
    standin = StandIn()
    assert_all_completed(Orchestrator(tools=injected(standin)).run_parallel(asks(3)), 3)


MODULE = """
from standin import StandIn

STANDIN = StandIn()
vars().update(STANDIN.tools().by_name())
"""


def test_a_module_on_the_path_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tools.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    assert_all_completed(Orchestrator().run_parallel(asks(3)), 3)
    assert len(sys.modules["tools"].STANDIN.children) == 3
    monkeypatch.delitem(sys.modules, "tools")


@pytest.mark.parametrize(
    "code",
    [
        "def hammer(): pass",
        "raise RuntimeError('needs a display')",
        "raise SystemExit('run me as a script')",
        "import nonesuch_package",
        "sessions_spawn = 'not a callable'",
        "def (",
    ],
)
def test_another_package_of_that_name_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    (tmp_path / "tools.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(GatewayError):
        Orchestrator().run_parallel(asks(1))
    sys.modules.pop("tools", None)


def test_without_any_the_gateway_is_looked_for() -> None:
    with pytest.raises(GatewayError):
        Orchestrator().run_parallel(asks(1))


def test_an_explicit_choice_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    found, named = StandIn(), StandIn()
    monkeypatch.setitem(sys.modules, "tools", injected(found))
    results = Orchestrator(rehearsal=True).run_parallel(asks(2))
    assert {result.metadata["runtime"] for result in results.values()} == {"rehearsal"}
    assert_all_completed(Orchestrator(tools=named.tools()).run_parallel(asks(2)), 2)
    assert found.calls == []
    assert len(named.children) == 2


def test_an_explicit_gateway_goes_before_a_module(monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    from parallel_agents import Gateway

    found = StandIn()
    monkeypatch.setitem(sys.modules, "tools", injected(found))
    with pytest.raises(GatewayError):
        Orchestrator(gateway=Gateway(url=f"ws://127.0.0.1:{closed_port}", token="t")).run_parallel(asks(1))
    assert found.calls == []
