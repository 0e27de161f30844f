"""The 25 agent types and what they promise, and types of one's own. Own types have names no other test uses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import (
    AGENT_PROMPTS,
    AgentTask,
    AgentType,
    AgentTypeError,
    Orchestrator,
    get_agent_prompt,
    get_agent_type,
    list_available_agents,
    load_agent_types,
    register_agent_type,
    validate_agent_type,
)

from .promises import CATEGORIES, FIELDS, field_type

BUILT_IN = [name for category in CATEGORIES for name in list_available_agents(category)]


def example_of(agent_type: str) -> dict[str, Any]:
    """The JSON example under the heading `## Output` of a prompt."""
    _, output = AGENT_PROMPTS[agent_type].split("\n## Output", 1)
    (fence,) = re.findall(r"```json\n(.*?)\n```", output, re.DOTALL)
    example: dict[str, Any] = json.loads(fence)
    return example


def schema_keywords(schema: object) -> Iterator[str]:
    """All keywords in a schema, without the names of properties."""
    if isinstance(schema, dict):
        for keyword, value in schema.items():
            yield keyword
            if keyword == "properties":
                for inner in value.values():
                    yield from schema_keywords(inner)
            elif keyword in ("items", "anyOf", "oneOf", "allOf"):
                for inner in value if isinstance(value, list) else [value]:
                    yield from schema_keywords(inner)


def test_there_are_25_types_in_6_categories() -> None:
    assert {category: len(list_available_agents(category)) for category in CATEGORIES} == CATEGORIES
    assert len(set(BUILT_IN)) == 25
    assert set(BUILT_IN) <= set(list_available_agents())
    assert set(FIELDS) < set(BUILT_IN)


def test_a_category_that_does_not_exist_has_no_types() -> None:
    assert list_available_agents("gardening") == {}


@pytest.mark.parametrize("name", BUILT_IN)
class TestBuiltInType:
    def test_can_be_looked_up(self, name: str) -> None:
        assert validate_agent_type(name)
        agent_type = get_agent_type(name)
        assert agent_type.name == name
        assert agent_type.prompt == get_agent_prompt(name) == AGENT_PROMPTS[name]
        assert agent_type.description == list_available_agents(agent_type.category)[name]
        assert "\n" not in agent_type.description
        assert agent_type.timeout_seconds > 0

    def test_shows_its_contract_as_an_example(self, name: str) -> None:
        schema = get_agent_type(name).output_schema
        assert schema is not None
        assert set(schema["required"]) <= set(example_of(name))

    def test_has_an_open_schema(self, name: str) -> None:
        keywords = set(schema_keywords(get_agent_type(name).output_schema))
        assert keywords.isdisjoint({"additionalProperties", "enum", "const", "maxLength", "maxItems"})

    def test_completes_a_rehearsal(self, name: str) -> None:
        (result,) = Orchestrator(rehearsal=True).run_parallel([AgentTask(name, "Do it.")]).values()
        assert result.success, result.error
        assert set(example_of(name)) == set(result.output)


@pytest.mark.parametrize("name", FIELDS)
def test_the_fields_that_callers_rely_on_are_promised(name: str) -> None:
    schema = get_agent_type(name).output_schema
    assert schema is not None
    example = example_of(name)
    for field in FIELDS[name].split():
        assert field in schema["required"]
        expected = field_type(name, field)
        assert isinstance(example[field], expected), f"{field} is {example[field]!r}"
        assert isinstance(example[field], bool) == (expected is bool)


def test_a_design_review_looks_at_six_dimensions() -> None:
    assert len(example_of("agent_design_reviewer")["dimension_scores"]) == 6


def test_unknown_names_are_told_apart() -> None:
    assert not validate_agent_type("code_reviwer")
    assert get_agent_prompt("code_reviwer") is None
    with pytest.raises(AgentTypeError, match=r"`code_reviwer`.*`code_reviewer`"):
        get_agent_type("code_reviwer")


OWN_PROMPT = """You weigh parcels.

## Output
```json
{"grams": 250}
```
"""
OWN_SCHEMA = {"type": "object", "required": ["grams"], "properties": {"grams": {"type": "number"}}}


def test_a_type_from_python_can_be_used_at_once() -> None:
    own = AgentType("parcel_weigher", "Weighs parcels", OWN_PROMPT, "post", OWN_SCHEMA, 30)
    register_agent_type(own)
    assert list_available_agents("post") == {"parcel_weigher": "Weighs parcels"}
    found = get_agent_type("parcel_weigher")
    assert (found.category, found.output_schema, found.timeout_seconds) == ("post", OWN_SCHEMA, 30)
    assert found.prompt.split() == OWN_PROMPT.split()
    (result,) = Orchestrator(rehearsal=True).run_parallel([AgentTask("parcel_weigher", "Weigh it.")]).values()
    assert result.output == {"grams": 250}


def test_a_name_is_taken_once_unless_it_is_replaced() -> None:
    register_agent_type(AgentType("parcel_counter", "Counts parcels", "Count them."))
    with pytest.raises(AgentTypeError, match="`parcel_counter` exists already"):
        register_agent_type(AgentType("parcel_counter", "Counts again", "Count again."))
    assert get_agent_prompt("parcel_counter") == "Count them."
    register_agent_type(AgentType("parcel_counter", "Counts again", "Count again."), replace=True)
    assert get_agent_prompt("parcel_counter") == "Count again."


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": "Parcel Weigher"}, ["name", "Parcel Weigher"]),
        ({"description": ""}, ["description"]),
        ({"prompt": "  "}, ["prompt"]),
        ({"category": "Post Office"}, ["category", "Post Office"]),
        ({"timeout_seconds": 0}, ["timeout_seconds", "0"]),
        ({"output_schema": {"type": "numbre"}}, ["output_schema", "numbre"]),
        ({"output_schema": {"required": ["kilos"]}, "prompt": OWN_PROMPT}, ["output_schema", "kilos"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_a_type_that_cannot_be_used_is_refused(fields: dict[str, Any], named: list[str]) -> None:
    wanted = {"name": "parcel_refused", "description": "Is refused", "prompt": "Do it.", **fields}
    with pytest.raises(AgentTypeError) as caught:
        register_agent_type(AgentType(**wanted))
    assert all(each in str(caught.value) for each in named), str(caught.value)
    assert not validate_agent_type("parcel_refused")


FILE = """---
name: {name}
description: Sorts parcels
category: post_room
timeout_seconds: 45
output_schema:
  type: object
  required: [shelf]
  properties:
    shelf: {{type: string}}
---
You sort parcels.

## Output
```json
{{"shelf": "A3"}}
```
"""


def test_types_come_from_a_folder_of_markdown_files(tmp_path: Path) -> None:
    for name in ("parcel_sorter", "parcel_stacker"):
        (tmp_path / f"{name}.md").write_text(FILE.format(name=name), encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no agent type", encoding="utf-8")
    assert sorted(load_agent_types(tmp_path)) == ["parcel_sorter", "parcel_stacker"]
    assert set(list_available_agents("post_room")) == {"parcel_sorter", "parcel_stacker"}
    assert get_agent_type("parcel_sorter").timeout_seconds == 45
    (result,) = Orchestrator(rehearsal=True).run_parallel([AgentTask("parcel_sorter", "Sort it.")]).values()
    assert list(result.output) == ["shelf"]


def test_a_folder_with_one_bad_file_adds_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(FILE.format(name="parcel_halfway"), encoding="utf-8")
    (tmp_path / "b.md").write_text("You have no front matter.", encoding="utf-8")
    with pytest.raises(AgentTypeError, match=re.escape(str(tmp_path / "b.md"))):
        load_agent_types(tmp_path)
    assert not validate_agent_type("parcel_halfway")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AgentTypeError, match="nowhere"):
        load_agent_types(tmp_path / "nowhere")
