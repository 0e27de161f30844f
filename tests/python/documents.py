"""What the documents promise: their Python blocks, their console sessions, and a way to run the former.

As a program, runs the Python blocks of the document it is given, in order and in one namespace, as a reader would who
types them in. Every run in them is a rehearsal.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
from pathlib import Path
from typing import Any

NOT_RUN = re.compile(r"<!-- not run: \S.*-->\s*\Z")


def blocks(document: Path, language: str) -> list[tuple[int, str]]:
    """The fenced blocks of a language, each with the number of its first line."""
    text = document.read_text(encoding="utf-8")
    found = []
    for match in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        before = text[: match.start()]
        if not NOT_RUN.search(before):
            found.append((before.count("\n") + 2, match[1]))
    return found


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
