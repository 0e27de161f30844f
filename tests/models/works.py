"""Work that is no design, and is judged and improved all the same: a text with the lines of a good design in it."""

from __future__ import annotations

from collections.abc import Mapping

from .contract import told
from .designs import LINES, design_in, improved, made_round, mark_of, some_lines
from .reading import Reading


def write(reading: Reading, steers: Mapping[str, str]) -> str:
    """What any agent answers that was asked for `work`: a first version, or the next one of what its prompt holds."""
    before = design_in(reading)
    version = f"1.{made_round(reading) - 1}.0"
    mark = mark_of(reading.task, version)
    if before is None:
        lines = [LINES[line] for line in some_lines(reading.task, int(steers["work"]))]
        text = "\n".join([f"Version: {version}", f"Mark: {mark}", *lines])
    elif steers.get("refine") == "same":
        text = str(before["system_prompt"])
    else:
        text, _ = improved(str(before["system_prompt"]), mark, reading, steers)
        text = text.replace(f"Version: {before['version']}\n", f"Version: {version}\n")
    examples = [shape for shape in reading.shapes if isinstance(shape, dict)]
    if not examples:
        return text
    place = next((name for name, value in examples[-1].items() if isinstance(value, str)), "text")
    return told(reading, {**examples[-1], place: text})
