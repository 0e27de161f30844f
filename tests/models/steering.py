"""What a test can ask of a model, and by which conditions: what the scripted provider's grammar needs to know."""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import hostile
from .designs import made_round, seen_round
from .orchestrators import mode_of, plan_round
from .reading import OPENINGS, Reading

_KINDS = [*hostile.PROMPTS, *hostile.FIELDS, "all", *(f"name {name}" for name in hostile.NAMES)]
_PLANS = r"(?:creators|chain|wide)(?: \d+)?|diamond|failing(?: always)?|"
STEERS = {
    "design": r"\d+",
    "hostile": "|".join(_KINDS),
    "score": r".+",
    "gain": r"\d+",
    "work": r"\d+",
    "refine": "same|worse|praise",
    "plan": _PLANS + "million|count|greedy|self|cycle|unknown|dangling|twins|recursive|empty",
    "report": "invents|flatters|forgets",
}
"""Names of the tokens that steer a model, and what each can ask for."""
ROLES = (*OPENINGS, "plan", "report")
"""What can be a condition; the last two tell an orchestrator's two modes apart."""


@dataclass(frozen=True)
class Scene:
    """Who is asked, and when.

    Attributes:
        roles: The role, and an orchestrator's mode.
        round: Of designs: 1 for the first version and its review. Of plans: 1 for the first, 2 for one after failures.
        is_objected: Whether a previous answer was not usable.
    """

    roles: tuple[str, ...] = ()
    round: int = 0
    is_objected: bool = False


def is_known(name: str, value: str) -> bool:
    """Whether a token that steers a model asks for something that there is; other tokens are not judged."""
    return name not in STEERS or re.fullmatch(STEERS[name], value) is not None


def scene_of(reading: Reading) -> Scene:
    """The scene that a prompt sets."""
    match reading.role:
        case "agent_creator":
            return Scene((reading.role,), 1, reading.is_objected)
        case "agent_design_reviewer":
            return Scene((reading.role,), seen_round(reading), reading.is_objected)
        case "agent_refiner":
            return Scene((reading.role,), made_round(reading), reading.is_objected)
        case "agent_orchestrator":
            return Scene((reading.role, mode_of(reading)), plan_round(reading), reading.is_objected)
        case _:
            return Scene((), made_round(reading), reading.is_objected)
