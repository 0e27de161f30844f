"""The tokens by which a test steers the scripted provider, written anywhere in a task's text.

    [[case=abc]]                          names the test case: a test counts only its own calls
    [[task=t1]]                           names the task within the case: `first N` counts per case and task
    [[sleep=2]]                           answers after 2 s
    [[hold]]                              answers once the test lets its task go: `Case.release`
    [[drip=0.5]]                          streams the answer word by word, one each half second
    [[say=any text]]                      answers exactly this
    [[garbage]]                           answers prose without JSON
    [[empty]]                             answers nothing
    [[length=200000]]                     answers the JSON example, filled up to exactly that many characters
    [[usage=9000,500]]                    says that it took so many tokens in and out
    [[http=503]]                          refuses with this status
    [[stuck]]                             never answers, until the client goes
    [[exec=ls -l]]                        runs the command with the `exec` tool, then answers what the tool gave back
    [[claude-haiku-4-5: garbage]]         only when this model is asked (`provider/id` also matches)
    [[first 2: http=503]]                 only for the first 2 calls of this case and task
    [[first 1, claude-haiku-4-5: empty]]  both conditions

Without a directive the provider answers like a capable model: the JSON example in the last json fence of the prompt,
sometimes bare, sometimes fenced, sometimes with a sentence before it, chosen by a hash of the prompt. A directive with
a condition goes before one without. A misspelt one is refused with HTTP 400, which shows in the gateway's log.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field, replace

ENDINGS = ("say", "garbage", "empty", "length", "http", "stuck", "exec")
GARBAGE = "I had a good look at this, and on the whole it seems fine to me. Let me know what you would like next!"
PLAIN_ANSWER = "Done. The work is complete and every point of the request was covered."

_TOKEN = re.compile(r"\[\[([a-zA-Z].*?)\]\]", re.DOTALL)
_CONDITIONS = re.compile(r"(?P<conditions>[a-zA-Z][\w ,./-]*?)\s*:\s+(?P<action>.*)", re.DOTALL)
_EXAMPLE = re.compile(r"```json\s*\n(.*?)```", re.DOTALL)


class ScriptError(ValueError):
    """A token that is none of the grammar."""


@dataclass(frozen=True)
class Directive:
    """One token: what to do, and when."""

    text: str
    name: str
    value: str
    model: str = ""
    first: int = 0

    @classmethod
    def parse(cls, text: str) -> Directive:
        model, first, action = "", 0, text.strip()
        # The text after these two may hold anything, colons included.
        if not action.startswith(("say=", "exec=")) and (found := _CONDITIONS.fullmatch(action)):
            action = found["action"].strip()
            for condition in (part.strip() for part in found["conditions"].split(",")):
                if condition.startswith("first "):
                    first = int(condition.removeprefix("first "))
                else:
                    model = condition
        name, _, value = action.partition("=")
        if name not in {"case", "task", "sleep", "hold", "drip", "usage", *ENDINGS}:
            raise ScriptError(f"unknown directive `[[{text}]]`")
        return cls(text, name, value, model, first)

    def holds(self, model: str, count: int) -> bool:
        asked = not self.model or model == self.model or model.endswith("/" + self.model)
        return asked and (not self.first or count <= self.first)


@dataclass(frozen=True)
class Script:
    """What one request is to be answered with."""

    directives: tuple[Directive, ...] = ()
    case: str = ""
    task: str = ""
    sleep: float = 0.0
    hold: bool = False
    drip: float = 0.0
    usage: tuple[int, int] | None = None
    ending: str = ""
    value: str = ""
    fences: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, prompt: str) -> Script:
        # A prompt may show the same text twice, for example as a heading and as input data.
        texts = dict.fromkeys(_TOKEN.findall(prompt))
        directives = tuple(Directive.parse(text) for text in texts)
        names = {directive.name: directive.value for directive in directives if directive.name in ("case", "task")}
        return cls(directives, names.get("case", ""), names.get("task", ""))

    def for_call(self, model: str, count: int) -> Script:
        """Keeps what holds for the `count`-th call of this case and task, on this model."""
        script = self
        ordered = sorted(self.directives, key=lambda directive: bool(directive.model or directive.first))
        for directive in ordered:
            if not directive.holds(model, count):
                continue
            if directive.name == "sleep":
                script = replace(script, sleep=float(directive.value))
            elif directive.name == "hold":
                script = replace(script, hold=True)
            elif directive.name == "usage":
                taken, given = directive.value.split(",")
                script = replace(script, usage=(int(taken), int(given)))
            elif directive.name == "drip":
                script = replace(script, drip=float(directive.value))
            elif directive.name in ENDINGS:
                script = replace(script, ending=directive.name, value=directive.value)
        return script

    @property
    def http(self) -> int:
        return int(self.value) if self.ending == "http" else 0

    @property
    def stuck(self) -> bool:
        return self.ending == "stuck"

    @property
    def command(self) -> str:
        return self.value if self.ending == "exec" else ""

    def answer(self, prompt: str) -> str:
        """The text of the answer, for every ending that has one."""
        if self.ending == "say":
            return self.value
        if self.ending == "garbage":
            return GARBAGE
        if self.ending == "empty":
            return ""
        example = json_example(prompt)
        if self.ending == "length":
            return _filled(example, int(self.value))
        if example is None:
            return PLAIN_ANSWER
        return _as_models_write(example, zlib.crc32(prompt.encode()))


def json_example(prompt: str) -> str | None:
    """The content of the last json fence that parses, as it stands."""
    for found in reversed(_EXAMPLE.findall(prompt)):
        try:
            json.loads(found)
        except ValueError:
            continue
        return str(found).strip()
    return None


def _as_models_write(example: str, draw: int) -> str:
    match draw % 3:
        case 0:
            return example
        case 1:
            return f"```json\n{example}\n```"
        case _:
            return f"Here is the result you asked for:\n\n```json\n{example}\n```"


def _filled(example: str | None, length: int) -> str:
    value = json.loads(example) if example else {}
    bare = json.dumps({**value, "filler": ""})
    return json.dumps({**value, "filler": "x" * (length - len(bare))})
