"""Brings an answer into the shape that the prompt's contract asks for."""

from __future__ import annotations

import json
from typing import Any

from .reading import Reading


def told(reading: Reading, fields: dict[str, Any]) -> str:
    """The answer as JSON text, with what the contract requires beyond it, and without what it forbids."""
    shapes = [shape for shape in reading.shapes if isinstance(shape, dict)]
    schema = next((shape for shape in shapes if "properties" in shape), {})
    example = shapes[-1] if shapes else {}
    for name in schema.get("required", []):
        if name not in fields and name in example:
            fields = {**fields, name: example[name]}
    if schema.get("additionalProperties") is False:
        fields = {name: value for name, value in fields.items() if name in schema["properties"]}
    return json.dumps(fields, ensure_ascii=False)
