"""The README's way to a first result, as typed in by somebody whose machine has nothing but Python."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from . import bare
from .bare import Bare
from .conftest import REPOSITORY


def section(title: str) -> str:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, f"README.md has a section `{title}`"
    return found[1]


def blocks(text: str) -> list[tuple[str, str]]:
    """Its blocks, each with its language."""
    return [(match[1], match[2]) for match in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)]


def test_the_first_result_comes_as_the_readme_says(wheel: Path, machine: Callable[[Path], Bare]) -> None:
    here = machine(bare.interpreters()[-1])
    assert [name for name in bare.BUILDERS if here.found(name)] == []
    folder = here.folder / "empty"
    (folder / "dist").mkdir(parents=True)
    shutil.copy(wheel, folder / "dist")
    told = blocks(section("First result"))
    assert {language for language, _ in told} <= {"sh", "python"}, "every other block would go untried"
    (program,) = [block for language, block in told if language == "python"]
    (folder / "first.py").write_text(program, encoding="utf-8")
    commands = [block for language, block in told if language == "sh"]
    assert any("first.py" in block for block in commands), "the reader is told how to run it"
    assert any("parallel-agents demo" in block for block in commands)
    printed = here.run("sh", "-euc", "".join(commands), cwd=folder)
    demo, _, first = printed.partition("5 of 5 tasks completed")
    assert demo.strip()
    assert first.count("completed") >= 1, "what first.py printed"
