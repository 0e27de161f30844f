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

Before any of them may stand conditions:

    [[claude-haiku-4-5: garbage]]         only when this model is asked (`provider/id` also matches)
    [[first 2: http=503]]                 only for the first 2 calls of this case and task
    [[agent_refiner: http=400]]           only in this role: one of `ROLES` in `models`; `plan` and `report` are the two
                                          modes of an orchestrator
    [[round 2: garbage]]                  only in this round: of a design, 1 is the first version and its review; of
                                          plans, 1 is the first and 2 one after failures
    [[once: garbage]]                     only where the prompt objects to no previous answer
    [[first 1, claude-haiku-4-5: empty]]  both conditions

Without a directive the provider answers like a capable model: what `models` says in the roles that it knows, else the
JSON example in the last json fence of the prompt; bare, fenced, or with a sentence before it, chosen by a hash of the
prompt. These steer the roles:

    [[design=9]]                          a creator's first version has 9 of the 12 lines that a good prompt has
    [[hostile=frame]]                     a creator's or refiner's design attacks, as `models/hostile.py` has it: by
                                          `front matter`, `frame`, `output`, `ignore`, `role`, `all` of these, `orders`
                                          in its fields, `schema`, `endless`, `name path` and other names
    [[score=nine]]                        a reviewer's `overall_score`: 11, -3, null, NaN, or words
    [[gain=1]]                            a refiner adds so many of the lines that the review misses; without it 2
    [[refine=worse]]                      it takes two lines away; `same`: the same design for ever; `praise`: words
    [[work=5]]                            any agent writes a text with 5 of these lines, judged and improved likewise
    [[plan=creators 5]]                   a plan: `chain 3`, `wide 3`, `diamond`, `failing` (one step fails, and has its
                                          substitute in the replan), `failing always`, `million`, `count`, `greedy`,
                                          `self`, `cycle`, `unknown`, `dangling`, `twins`, `recursive`, `empty`
    [[report=invents]]                    tells of tasks that are none; `flatters`: all completed; `forgets`: the last

A directive with a condition goes before one without. Tokens in what other agents wrote are not looked at. A misspelt
one is refused with HTTP 400, which shows in the gateway's log.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import models
from models import ROLES, STEERS, Scene, is_known

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
    role: str = ""
    round: int = 0
    once: bool = False

    @classmethod
    def parse(cls, text: str) -> Directive:
        action, conditions = text.strip(), dict[str, Any]()
        # The text after these two may hold anything, colons included.
        if not action.startswith(("say=", "exec=")) and (found := _CONDITIONS.fullmatch(action)):
            action = found["action"].strip()
            for condition in (part.strip() for part in found["conditions"].split(",")):
                conditions.update(_condition(condition))
        name, _, value = action.partition("=")
        if name not in {"case", "task", "sleep", "hold", "drip", "usage", *ENDINGS, *STEERS} or not is_known(
            name, value
        ):
            raise ScriptError(f"unknown directive `[[{text}]]`")
        return cls(text, name, value, **conditions)

    @property
    def is_conditional(self) -> bool:
        return bool(self.model or self.first or self.role or self.round or self.once)

    def holds(self, model: str, count: int, scene: Scene) -> bool:
        asked = not self.model or model == self.model or model.endswith("/" + self.model)
        in_role = not self.role or self.role in scene.roles
        in_round = not self.round or self.round == scene.round
        in_time = (not self.first or count <= self.first) and not (self.once and scene.is_objected)
        return asked and in_role and in_round and in_time


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
    steers: dict[str, str] = field(default_factory=dict)
    scene: Scene = field(default_factory=Scene)

    @classmethod
    def parse(cls, prompt: str) -> Script:
        reading = models.read(prompt)
        # A prompt may show the same text twice, for example as a heading and as input data.
        texts = dict.fromkeys(_TOKEN.findall(reading.spoken))
        directives = tuple(Directive.parse(text) for text in texts)
        names = {directive.name: directive.value for directive in directives if directive.name in ("case", "task")}
        return cls(directives, names.get("case", ""), names.get("task", ""), scene=models.scene_of(reading))

    def for_call(self, model: str, count: int) -> Script:
        """Keeps what holds for the `count`-th call of this case and task, on this model."""
        script = self
        for directive in sorted(self.directives, key=lambda directive: directive.is_conditional):
            if not directive.holds(model, count, self.scene):
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
            elif directive.name in STEERS:
                script = replace(script, steers={**script.steers, directive.name: directive.value})
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
        wanted = models.answer(prompt, self.steers) or example or PLAIN_ANSWER
        if not wanted.startswith(("{", "[", '"')):
            return wanted
        return _as_models_write(wanted, zlib.crc32(prompt.encode()))


def _condition(text: str) -> dict[str, Any]:
    """The field of a `Directive` that a condition stands for."""
    if text.startswith("first "):
        return {"first": int(text.removeprefix("first "))}
    if text.startswith("round "):
        return {"round": int(text.removeprefix("round "))}
    if text == "once":
        return {"once": True}
    return {"role": text} if text in ROLES else {"model": text}


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
