"""What the documents promise: their blocks, links and messages, and ways to run what can be run.

As a program, runs the Python blocks of the document it is given, in order and in one namespace, as a reader would who
types them in. Every run in them is a rehearsal, and so is every run of the shell's blocks.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOT_RUN = re.compile(r"<!-- not run: \S.*-->\s*\Z")
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:(?:\S*/)?parallel-agents|python3 \S*launch\.py) (?=[a-z])")
"""What comes before the command's arguments, in whichever way it is called."""


@dataclass(frozen=True)
class Block:
    """A fenced block, with the number of its first line."""

    line: int
    language: str
    source: str
    is_run: bool


def all_blocks(document: Path) -> list[Block]:
    """The fenced blocks, in order."""
    text = document.read_text(encoding="utf-8")
    found = []
    for match in FENCED.finditer(text):
        before = text[: match.start()]
        found.append(Block(before.count("\n") + 2, match[1], match[2], not NOT_RUN.search(before)))
    return found


def blocks(document: Path, language: str) -> list[tuple[int, str]]:
    """Those of a language that are run."""
    return [(each.line, each.source) for each in all_blocks(document) if each.language == language and each.is_run]


def prose(document: Path) -> str:
    """The text between the blocks."""
    return FENCED.sub("", document.read_text(encoding="utf-8"))


def sessions(source: str) -> list[tuple[str, str]]:
    """The commands of a `console` block, each with the output that it is shown to have."""
    assert source.startswith("$ "), source
    return [(part.split("\n", 1)[0], part.split("\n", 1)[1]) for part in source.removeprefix("$ ").split("\n$ ")]


def rehearsed(shell: str) -> str:
    """The same commands, none of which calls an AI or needs a gateway."""
    assert "demo --gateway" not in shell
    start = re.compile(rf"({COMMAND.pattern}(?:run|orchestrate)\b)(?!.*--rehearsal)")
    return start.sub(r"\1 --rehearsal", shell)


def links(document: Path) -> list[str]:
    """Where its links lead that lead to no other site."""
    found = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(document))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(document: Path) -> set[str]:
    """What the headings of a document are called in links."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def literals(source: str) -> list[str]:
    """The texts in a Rust or Python file, with a `{}` in each for whatever is filled in."""
    code = re.sub(r"^\s*(?://|#(?!\[)).*$", "", source, flags=re.MULTILINE).replace("'\"'", "")
    # Python joins texts that stand below each other; Rust goes on after a backslash.
    code = re.sub(r'"\n\s*f?"', "", code)
    found = re.findall(r'"((?:[^"\\]|\\.)*)"', code, re.DOTALL)
    joined = [re.sub(r"\\\n\s*", "", text).replace('\\"', '"').replace("\\`", "`") for text in found]
    return [re.sub(r"\{[^{}]*\}", "{}", text) for text in joined]


def matches(message: str, literal: str) -> bool:
    """Whether a message may be what a text of the source becomes; `...` in it stands for what differs."""
    parts = literal.split("{}")
    return sum(map(len, parts)) >= 12 and bool(re.fullmatch(".+?".join(map(re.escape, parts)), message))


def main(document: Path) -> None:
    _rehearse_everything()
    names: dict[str, Any] = {"__name__": "__main__"}
    for line, source in blocks(document, "python"):
        # The empty lines in front make a traceback show the line of the document.
        code = compile("\n" * (line - 1) + source, str(document), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if code.co_flags & inspect.CO_COROUTINE:
            asyncio.run(eval(code, names))
        else:
            exec(code, names)


def _rehearse_everything() -> None:
    from parallel_agents import Orchestrator

    real = Orchestrator.__init__

    def rehearsed(self: Orchestrator, *arguments: Any, **options: Any) -> None:
        if not options.get("rehearsal"):
            options.update(rehearsal=True, gateway=None)
        real(self, *arguments, **options)

    setattr(Orchestrator, "__init__", rehearsed)  # noqa: B010


if __name__ == "__main__":
    main(Path(sys.argv[1]))
