"""Fixtures of the real-gateway tests: the gateways and the scripted provider of a test session.

A test names its case in its prompts (`case.token`) and counts only its own calls, so the tests share their gateway
without seeing each other. Two more with other limits and settings start when a test first asks for them, and a test
that kills a gateway makes its own.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from .case import Case
from .install import Install, install
from .openclaw import K2P5, Gateway, Options
from .provider import Provider
from .proxy import MakeProxy, Proxy, Rewrite

# What the scenarios assert is told as in a test module.
pytest.register_assert_rewrite("conformance.scenarios")


@pytest.fixture(scope="session")
def openclaw() -> Install:
    """Node and OpenClaw, from the per-user cache or installed now. A registry out of reach fails the tests."""
    return install()


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    server = Provider()
    yield server
    server.close()


USUAL = Options()
NARROW = Options(children_max=5, subagents_concurrent=3)
BARE = Options(
    allow_tools=(),
    extra={
        "gateway": {"auth": {"mode": "none", "token": None}},
        "agents": {"defaults": {"model": {"fallbacks": [K2P5.name]}}},
    },
)


@pytest.fixture(scope="session")
def shared_gateways(openclaw: Install, provider: Provider) -> Iterator[Callable[[Options], Gateway]]:
    """Starts a gateway for given options when first asked for it, and keeps it for the session."""
    started: dict[int, Gateway] = {}

    def get(options: Options) -> Gateway:
        if id(options) not in started:
            started[id(options)] = Gateway(openclaw, provider, options)
            started[id(options)].start()
        return started[id(options)]

    yield get
    for gateway in started.values():
        gateway.close()


@pytest.fixture
def use_gateway(
    shared_gateways: Callable[[Options], Gateway], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[[Options], Gateway]:
    """A gateway of the session that default discovery finds in this test."""

    def use(options: Options) -> Gateway:
        gateway = shared_gateways(options)
        _watch(request, gateway)
        _beside(gateway, monkeypatch)
        return gateway

    return use


@pytest.fixture
def gateway(use_gateway: Callable[[Options], Gateway]) -> Gateway:
    """The usual gateway."""
    return use_gateway(USUAL)


@pytest.fixture
def narrow_gateway(use_gateway: Callable[[Options], Gateway]) -> Gateway:
    """One with few children and few at once, so that a small team already waits."""
    return use_gateway(NARROW)


@pytest.fixture
def bare_gateway(use_gateway: Callable[[Options], Gateway]) -> Gateway:
    """One without authentication, that allows clients no tools and has a fallback model of its own."""
    return use_gateway(BARE)


@pytest.fixture
def own_gateway(
    openclaw: Install, provider: Provider, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Gateway]]:
    """Makes a started gateway for this test alone, which default discovery then finds."""
    made: list[Gateway] = []

    def make(options: Options | None = None, *, start: bool = True) -> Gateway:
        gateway = Gateway(openclaw, provider, options)
        made.append(gateway)
        _watch(request, gateway)
        _beside(gateway, monkeypatch)
        return gateway.start() if start else gateway

    yield make
    for gateway in made:
        gateway.close()


@pytest.fixture
def make_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeProxy]:
    """Puts a relay before a gateway; default discovery then finds the relay."""
    made: list[Proxy] = []

    def make(gateway: Gateway, *, rewrite: Rewrite | None = None) -> Proxy:
        proxy = Proxy(gateway.port, rewrite=rewrite)
        made.append(proxy)
        monkeypatch.setenv("OPENCLAW_GATEWAY_PORT", str(proxy.port))
        return proxy

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture
def case(provider: Provider, request: pytest.FixtureRequest) -> Case:
    name = re.sub(r"\W+", "-", request.node.name)[:40].strip("-")
    return Case(provider, f"{name}-{uuid.uuid4().hex[:8]}")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where a test's runs are kept."""
    return tmp_path / "journal.sqlite"


def _beside(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENCLAW_GATEWAY_URL", "OPENCLAW_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_PASSWORD", "OPENCLAW_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in gateway.env.items():
        monkeypatch.setenv(name, value)


_WATCHED: pytest.StashKey[list[Gateway]] = pytest.StashKey()


def _watch(request: pytest.FixtureRequest, gateway: Gateway) -> None:
    request.node.stash.setdefault(_WATCHED, []).append(gateway)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Puts the end of the gateway's log under a failure."""
    report = yield
    if report.failed:
        for gateway in item.stash.get(_WATCHED, []):
            report.sections.append((f"gateway log, port {gateway.port}", gateway.tail(80)))
    return report
