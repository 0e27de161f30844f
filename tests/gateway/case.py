"""The name under which a test counts its own model calls."""

from __future__ import annotations

from typing import Any

from .provider import Call, Provider


class Case:
    """A name that is unique to one test, and the model calls made under it."""

    def __init__(self, provider: Provider, name: str) -> None:
        self.provider = provider
        self.name = name

    def __str__(self) -> str:
        return self.token

    @property
    def token(self) -> str:
        return f"[[case={self.name}]]"

    def calls(self, **which: Any) -> list[Call]:
        return self.provider.calls(self.name, **which)

    def wait_for(self, count: int, **which: Any) -> list[Call]:
        return self.provider.wait_for(self.name, count, **which)

    def release(self, *tasks: str) -> None:
        """Lets these tasks' held calls be answered."""
        self.provider.release(self.name, tasks)
