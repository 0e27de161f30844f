"""Models as capable ones answer, and sometimes not: they read the prompt that arrived, and answer by the role in it.

    answer(prompt)                          what a capable model says
    answer(prompt, {"score": "nine"})       what one says that is steered

Creators write designs, reviewers score the design that they find, refiners cure the objections that they find,
orchestrators plan for the request, replace what failed, and report what they were told. A pure function of the prompt:
no state, no clock. The scripted provider asks it, and so does the stand-in for injected tools; the tokens that steer it
are listed in `gateway/script.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import designs, orchestrators, works
from .designs import LINES, lines_of, mark_of, score_of
from .reading import Frame, Reading, read
from .steering import ROLES, STEERS, Scene, is_known, scene_of

__all__ = [
    "LINES",
    "ROLES",
    "STEERS",
    "Frame",
    "Reading",
    "Scene",
    "answer",
    "is_known",
    "lines_of",
    "mark_of",
    "read",
    "scene_of",
    "score_of",
]

_BY_ROLE = {
    "agent_creator": designs.create,
    "agent_design_reviewer": designs.review,
    "agent_refiner": designs.refine,
    "agent_orchestrator": orchestrators.direct,
}


def answer(prompt: str, steers: Mapping[str, str] | None = None) -> str | None:
    """What the model of this prompt answers, or `None` where it is none of these roles.

    Any agent whose contract shows an `overall_score` reviews, and any that is asked for `work` writes and improves it.

    Args:
        prompt: All that was told on the user's side.
        steers: Name to value of the steering tokens that hold.
    """
    reading, steers = read(prompt), steers or {}
    if (reply := _BY_ROLE.get(reading.role)) is not None:
        return reply(reading, steers)
    # A reviewer is told the task of who wrote what it reviews, tokens included.
    if any(isinstance(shape, dict) and "overall_score" in shape for shape in reading.shapes):
        return designs.review(reading, steers)
    return works.write(reading, steers) if "work" in steers else None
