"""What session tools answer, in the shapes that agent runtimes give it: the spawn, the rows of a list, the messages.

An answer may be a dict, an object with `get`, a JSON text, the gateway's envelope around any of them, or a bare list;
names are in camel case or not. Knows nothing of when a tool is called.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_WELL = frozenset(("done", "completed", "complete", "ok", "success", "succeeded", "finished"))
_BADLY = frozenset(("failed", "error", "killed", "cancelled", "canceled", "aborted", "lost", "timed_out"))

WRAPPINGS_MAX = 5
"""How many wrappings are taken off at the most."""


def get(answer: object, *names: str) -> Any:
    """The first of these fields that has a value; `None` if there is none."""
    find = getattr(answer, "get", None)
    if not callable(find):
        return None
    return next((value for name in names if (value := find(name)) is not None), None)


def unwrapped(answer: Any) -> Any:
    """The value within a JSON text or an envelope.

    What is an envelope around itself, or says to be one whatever it is asked, is taken as it comes.
    """
    for _ in range(WRAPPINGS_MAX):
        if isinstance(answer, (str, bytes)):
            import json

            try:
                parsed = json.loads(answer)
            except (ValueError, RecursionError):
                return answer
            if not isinstance(parsed, (dict, list)):
                return answer
            answer = parsed
        elif get(answer, "details") is not None:
            answer = get(answer, "details")
        elif get(answer, "ok") is not None and get(answer, "result") is not None:
            answer = get(answer, "result")
        elif isinstance(get(answer, "content"), list) and get(answer, "role") is None:
            # Only the blocks are left of an envelope without details: their text is the value.
            answer = text_of(get(answer, "content"))
        else:
            break
    return answer


def session_key(answer: object) -> str | None:
    """The session that a spawn's answer or a list's row names."""
    key = get(answer, "childSessionKey", "sessionKey", "session_key", "key")
    return key if isinstance(key, str) else None


def spawn_fields(answer: Any) -> dict[str, Any]:
    """A spawn's answer as a dict of its own; empty if it was none."""
    answer = unwrapped(answer)
    if hasattr(answer, "keys"):
        return dict(answer)
    names = ("status", "childSessionKey", "sessionKey", "runId", "mode", "error", "resolvedModel")
    return {name: value for name in names if (value := get(answer, name)) is not None}


def rows(answer: Any) -> Iterator[Any]:
    """The sessions of one page of a list."""
    answer = unwrapped(answer)
    listed = get(answer, "sessions", "rows", "items")
    found = listed if listed is not None else answer
    return iter(found) if isinstance(found, (list, tuple)) else iter(())


def next_offset(answer: Any) -> int | None:
    """Where the next page of a list begins, or `None` after the last one."""
    answer = unwrapped(answer)
    offset = get(answer, "nextOffset", "next_offset")
    return offset if get(answer, "hasMore", "has_more") and isinstance(offset, int) else None


def has_ended(row: object) -> bool:
    """Whether a row's session is over, well or badly. A row that says `timeout` is not: it may be premature."""
    status = get(row, "status")
    if isinstance(status, str):
        return status.lower() in _WELL | _BADLY
    tokens = get(row, "totalTokens", "total_tokens")
    return isinstance(tokens, (int, float)) and tokens > 0


def says_timeout(row: object) -> bool:
    """Whether a row says that its session ran out of time."""
    return bool(get(row, "status") == "timeout")


def final_text(answer: Any) -> str | None:
    """The last thing the agent wrote, or `None`."""
    answer = unwrapped(answer)
    listed = get(answer, "messages", "history", "items")
    messages = listed if listed is not None else answer
    if not isinstance(messages, (list, tuple)):
        return None
    for message in reversed(messages):
        if get(message, "role") in (None, "assistant") and (text := text_of(get(message, "content", "text"))):
            return text
    return None


def text_of(content: object) -> str:
    """The text of a message: a string, or blocks of which those of text count."""
    if isinstance(content, str):
        return content.strip()
    if not isinstance(content, (list, tuple)):
        return ""
    blocks = (block if isinstance(block, str) else get(block, "text") for block in content)
    return "\n".join(block for block in blocks if isinstance(block, str)).strip()
