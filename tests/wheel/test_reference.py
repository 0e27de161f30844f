"""The reference that `make docs` has written holds every public name, and none that is private."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import parallel_agents
import pytest

from .conftest import REPOSITORY

PAGES = REPOSITORY / "docs" / "api"
MODULES = ["parallel_agents", *(f"parallel_agents.{name}" for name in parallel_agents._MODULES)]


def anchors(module: str) -> set[str]:
    """What the page of a module has an entry for."""
    page = PAGES / f"{module.replace('.', '/')}.html"
    assert page.exists(), "run `make docs`"
    return set(re.findall(r'<(?:section|div) id="([^"]+)"', page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_its_entry(module: str) -> None:
    assert set(importlib.import_module(module).__all__) - anchors(module) == set()


def test_methods_have_theirs() -> None:
    wanted = {"Orchestrator.run_parallel", "Orchestrator.aresume", "RunResults.questions", "AgentTask.to_dict"}
    assert wanted - anchors("parallel_agents") == set()


def test_nothing_private_is_shown() -> None:
    pages = {path.relative_to(PAGES).as_posix() for path in PAGES.rglob("*.html")}
    assert pages == {"index.html", *(f"{module.replace('.', '/')}.html" for module in MODULES)}
    shown = {name for module in MODULES for name in anchors(module)}
    assert [name for name in shown if re.search(r"(^|\.)_(?!_)", name)] == []


def test_it_tells_nobody_where_it_was_made() -> None:
    pages = [*PAGES.rglob("*.html"), *PAGES.rglob("*.js")]
    home = f"{Path.home()}/"
    assert [path.name for path in pages if home in path.read_text(encoding="utf-8")] == []
    assert [path.name for path in pages if f"{REPOSITORY}/" in path.read_text(encoding="utf-8")] == []
