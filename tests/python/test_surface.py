"""The public names: what can be imported, what tasks and results are, which teams there are."""

from __future__ import annotations

import copy
import dataclasses
import importlib.metadata
import json
import pickle
from pathlib import Path
from typing import Any

import parallel_agents
import pytest
from parallel_agents import (
    DEFAULT_AGENT_TIMEOUT,
    DEFAULT_MAX_CONCURRENT,
    MODEL_HIERARCHY,
    AgentResult,
    AgentStatus,
    AgentTask,
    Orchestrator,
    OutputFormat,
    PlanError,
    create_content_team,
    create_custom_agent,
    create_dev_team,
    create_meta_agent_workflow,
    create_review_team,
)

from . import child

PACKAGE = Path(parallel_agents.__file__).parent


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ["asyncio", "dataclasses", "typing", "json", "inspect", "logging", "pathlib", "enum", "re"]
    # Without `site` nothing is loaded but what the interpreter itself needs.
    program = f"""
import sys
sys.path.insert(0, {str(PACKAGE.parent)!r})
before = set(sys.modules)
import parallel_agents
assert parallel_agents.__file__.startswith({str(PACKAGE)!r})
print(sorted(set({heavy!r}) & (set(sys.modules) - before)))
"""
    assert child.run_python(program, "-S", "-I").strip() == "[]"


def test_every_public_name_can_be_imported_and_is_listed() -> None:
    program = """
import parallel_agents
assert len(set(parallel_agents.__all__)) == len(parallel_agents.__all__)
assert set(parallel_agents.__all__) <= set(dir(parallel_agents)), "before any of them was used"
from parallel_agents import *
missing = [name for name in parallel_agents.__all__ if name not in globals()]
undocumented = [name for name in parallel_agents.__all__
                if callable(globals()[name]) and not (globals()[name].__doc__ or "").strip()]
print(missing, undocumented)
"""
    assert child.run_python(program).strip() == "[] []"


def test_the_documented_names_are_public() -> None:
    documented = """
        AgentStatus OutputFormat DEFAULT_AGENT_TIMEOUT DEFAULT_MAX_CONCURRENT AGENT_PROMPTS MODEL_HIERARCHY
        list_available_agents get_agent_prompt validate_agent_type AgentTask AgentResult Orchestrator Gateway
        RunInterrupted PlanError create_content_team create_dev_team create_review_team create_meta_agent_workflow
        create_custom_agent registry
    """
    assert set(documented.split()) <= set(parallel_agents.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Orchestrater"):
        parallel_agents.Orchestrater  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    assert parallel_agents.__version__ == importlib.metadata.version("openclaw-parallel-agents")


def test_the_examples_in_the_docstrings_run() -> None:
    program = """
import doctest, importlib, pkgutil, sys
import parallel_agents
modules = [parallel_agents]
for each in pkgutil.iter_modules(parallel_agents.__path__):
    if each.name != "__main__":
        modules.append(importlib.import_module(f"parallel_agents.{each.name}"))
results = [doctest.testmod(module) for module in modules]
print(sum(result.attempted for result in results))
sys.exit(any(result.failed for result in results))
"""
    assert int(child.run_python(program)) >= 5


def test_defaults_are_the_documented_ones() -> None:
    assert (DEFAULT_AGENT_TIMEOUT, DEFAULT_MAX_CONCURRENT) == (120, 5)
    assert MODEL_HIERARCHY == ["anthropic/claude-haiku-4-5", "kimi-coding/k2p5", "anthropic/claude-opus-4-5"]


def test_enums_are_texts_with_lower_case_values() -> None:
    statuses = ["PENDING", "RUNNING", "COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "SKIPPED", "NEEDS_INPUT"]
    assert [status.name for status in AgentStatus] == statuses
    formats = ["JSON", "MARKDOWN", "CODE", "TEXT"]
    assert [each.name for each in OutputFormat] == formats
    members: list[AgentStatus | OutputFormat] = [*AgentStatus, *OutputFormat]
    for member in members:
        assert isinstance(member, str)
        assert member == member.value == member.name.lower()


class TestTask:
    def test_takes_its_fields_by_position_in_the_documented_order(self) -> None:
        task = AgentTask("code_reviewer", "Review.", {"a": 1}, "id", 7, OutputFormat.TEXT, 9, ["other"])
        plain = task.to_dict()
        assert list(plain.items())[:8] == [
            ("agent_type", "code_reviewer"),
            ("task_description", "Review."),
            ("input_data", {"a": 1}),
            ("task_id", "id"),
            ("timeout_seconds", 7),
            ("output_format", "text"),
            ("priority", 9),
            ("dependencies", ["other"]),
        ]

    def test_has_the_documented_defaults(self) -> None:
        task = AgentTask("code_reviewer", "Review.")
        assert (task.input_data, task.timeout_seconds, task.priority, task.dependencies) == ({}, 120, 5, [])
        assert task.output_format is OutputFormat.JSON
        assert (task.model, task.models, task.output_schema, task.deadline_seconds) == (None, None, None, None)

    def test_takes_our_additions_by_keyword_only(self) -> None:
        names = [each.name for each in dataclasses.fields(AgentTask) if each.kw_only]
        assert names == ["deadline_seconds", "model", "models", "output_schema"]

    def test_shares_no_default_with_other_tasks(self) -> None:
        one, other = AgentTask("code_reviewer", "Review."), AgentTask("code_reviewer", "Review.")
        one.input_data["a"] = 1
        one.dependencies.append("x")
        assert (other.input_data, other.dependencies) == ({}, [])

    def test_gets_an_id_of_its_own_if_none_is_given(self) -> None:
        ids = {AgentTask("code_reviewer", "Review.").task_id for _ in range(1000)}
        assert len(ids) == 1000
        assert None not in ids

    @pytest.mark.parametrize("name", ["markdown", "MARKDOWN", OutputFormat.MARKDOWN])
    def test_takes_its_format_by_name(self, name: OutputFormat | str) -> None:
        assert AgentTask("code_reviewer", "Review.", output_format=name).output_format is OutputFormat.MARKDOWN

    def test_is_a_dataclass_that_can_be_changed_compared_copied_and_pickled(self) -> None:
        task = AgentTask("code_reviewer", "Review.", {"a": [1]}, task_id="id")
        assert dataclasses.is_dataclass(task)
        assert dataclasses.asdict(task)["input_data"] == {"a": [1]}
        changed = dataclasses.replace(task, priority=8)
        assert (changed.priority, task.priority, changed.task_id) == (8, 5, "id")
        assert changed != task
        changed.priority = 5
        assert changed == task
        assert pickle.loads(pickle.dumps(task)) == copy.deepcopy(task) == task

    def test_can_be_written_as_json(self) -> None:
        task = AgentTask("code_reviewer", "Review.", models=["a/b"], output_schema={"type": "object"})
        plain = json.loads(json.dumps(task.to_dict()))
        assert list(Orchestrator(rehearsal=True).run_parallel([plain])) == [task.task_id]


class TestResult:
    def result(self, status: AgentStatus = AgentStatus.COMPLETED) -> AgentResult:
        return AgentResult("id", "code_reviewer", status, {"a": [1]}, 1.5, "now", None, "key", {"tier": 0}, raw="text")

    def test_is_a_dataclass_that_can_be_compared_copied_and_pickled(self) -> None:
        result = self.result()
        assert pickle.loads(pickle.dumps(result)) == copy.deepcopy(result) == result
        changed = dataclasses.replace(result, error="why")
        assert changed != result
        changed.error = None
        assert changed == result

    def test_of_a_run_survives_pickling_whole(self) -> None:
        results = Orchestrator(rehearsal=True).run_parallel(create_content_team("Mondays"))
        again = pickle.loads(pickle.dumps(results))
        assert again == results
        assert [each.raw for each in again.values()] == [each.raw for each in results.values()]

    @pytest.mark.parametrize("status", AgentStatus)
    def test_tells_success_and_failure(self, status: AgentStatus) -> None:
        result = self.result(status)
        assert result.success == (status is AgentStatus.COMPLETED)
        assert result.failed == (status in (AgentStatus.FAILED, AgentStatus.TIMEOUT))

    def test_leaves_the_raw_text_out_of_its_dict(self) -> None:
        plain: dict[str, Any] = self.result().to_dict()
        assert plain["status"] == "completed"
        assert type(plain["status"]) is str
        assert "raw" not in plain


class TestTeams:
    def types(self, tasks: list[AgentTask]) -> list[str]:
        ids = [task.task_id for task in tasks]
        assert len(set(ids)) == len(ids)
        assert all(result.success for result in Orchestrator(rehearsal=True).run_parallel(tasks).values())
        return [task.agent_type for task in tasks]

    def test_content_team(self) -> None:
        tasks = create_content_team("Monday motivation", platform="a bulletin board")
        styles = ["creative", "funny", "educational", "trendy", "controversial"]
        assert self.types(tasks) == [f"content_writer_{style}" for style in styles]
        for task in tasks:
            told = json.dumps(task.to_dict())
            assert "Monday motivation" in told
            assert "a bulletin board" in told
        assert "bluesky" in json.dumps(create_content_team("x")[0].to_dict())

    def test_dev_team(self) -> None:
        tasks = create_dev_team("Ledger", ["import", "export"])
        assert self.types(tasks) == [
            "frontend_developer",
            "backend_developer",
            "database_architect",
            "api_designer",
            "devops_engineer",
        ]
        assert all("Ledger" in json.dumps(task.to_dict()) and "export" in str(task.input_data) for task in tasks)

    def test_review_team(self) -> None:
        tasks = create_review_team("def f(): pass")
        assert self.types(tasks) == [
            "code_reviewer",
            "security_reviewer",
            "performance_reviewer",
            "accessibility_reviewer",
            "test_engineer",
        ]
        assert all("def f(): pass" in str(task.input_data) for task in tasks)

    def test_meta_agent_workflow(self) -> None:
        tasks = create_meta_agent_workflow(
            [
                {"name": "sorter", "purpose": "sorts mail"},
                {"name": "packer", "purpose": "packs", "domain": "logistics", "capabilities": ["plan a load"]},
            ]
        )
        assert self.types(tasks) == ["agent_creator"] * 2 + ["agent_design_reviewer"] * 2
        creators, reviewers = tasks[:2], tasks[2:]
        assert [task.dependencies for task in reviewers] == [[task.task_id] for task in creators]
        assert "logistics" in str(creators[1].input_data)
        assert "plan a load" in str(creators[1].input_data)

    def test_reviewers_are_told_what_was_asked_for(self) -> None:
        asked = {"name": "packer", "purpose": "packs", "domain": "logistics", "capabilities": ["plan a load"]}
        creator, reviewer = create_meta_agent_workflow([asked])
        assert creator.input_data == reviewer.input_data == asked

    def test_ids_tell_what_the_tasks_are_about_and_are_unique(self) -> None:
        tasks = create_meta_agent_workflow([{"name": "Data Analyzer\n💥", "purpose": "b"}])
        assert [task.task_id.rpartition("_")[0] for task in tasks] == [
            "agent_creator_data_analyzer",
            "agent_design_reviewer_data_analyzer",
        ]
        again = create_custom_agent("data analyzer", "b", "", []) + create_custom_agent("x" * 1000, "b", "", [])
        assert len({task.task_id for task in [*tasks, *again]}) == 6

    def test_custom_agent(self) -> None:
        tasks = create_custom_agent("packer", "packs", "logistics", ["plan a load"])
        assert self.types(tasks) == ["agent_creator", "agent_design_reviewer"]
        generated = create_custom_agent("packer", "packs", "logistics", (each for each in ["plan", "load"]))
        assert all(task.input_data["capabilities"] == ["plan", "load"] for task in generated)

    def test_teams_can_be_run_together(self) -> None:
        tasks = [*create_content_team("a"), *create_content_team("b"), *create_review_team("c")]
        assert len(self.types(tasks)) == 15

    def test_a_workflow_entry_without_a_name_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"agent_purposes\[1\].*name"):
            create_meta_agent_workflow([{"name": "a", "purpose": "b"}, {"purpose": "c"}])

    def test_a_workflow_of_no_agents_has_no_tasks(self) -> None:
        assert create_meta_agent_workflow([]) == create_meta_agent_workflow(iter(())) == []

    @pytest.mark.parametrize(
        ("purposes", "message"),
        [
            ("sorter", "`agent_purposes` is `'sorter'`, expected a list"),
            ({"name": "a", "purpose": "b"}, "`agent_purposes` is `{.*}`, expected a list"),
            (7, "`agent_purposes` is `7`"),
            (["sorter"], r"`agent_purposes\[0\]` is `'sorter'`, expected a dict"),
            ([{"name": "a"}], r"agent_purposes\[0\]: `purpose` is missing"),
            ([{"name": ["a"], "purpose": "b"}], r"agent_purposes\[0\].name` is `\['a'\]`, expected a text"),
            ([{"name": "a", "purpose": 7}], "purpose` is `7`"),
            ([{"name": " ", "purpose": "b"}], "name` is `' '`"),
            ([{"name": "a", "purpose": "b", "domain": {"x": 1}}], "domain` is `{'x': 1}`"),
            ([{"name": "a", "purpose": "b", "capabilities": "sorts, packs"}], "capabilities` is `'sorts, packs'`"),
            ([{"name": "a", "purpose": "b", "capabilities": {"sorts": 1}}], "capabilities` is .* expected a list of"),
            ([{"name": "a", "purpose": "b", "capabilities": [1]}], r"capabilities\[0\]` is `1`"),
            ([{"name": "a", "purpose": "b", "capabilities": 7}], "capabilities` is `7`"),
            (
                [{"name": "a", "purpose": "b"}, {"name": "a", "purpose": "c"}],
                r"`agent_purposes\[1\].name` is `'a'` once more",
            ),
        ],
    )
    def test_a_workflow_that_cannot_be_meant_is_refused(self, purposes: Any, message: str) -> None:
        with pytest.raises(PlanError, match=message):
            create_meta_agent_workflow(purposes)

    def test_an_error_shows_no_more_than_a_line_of_a_value(self) -> None:
        with pytest.raises(PlanError) as caught:
            create_custom_agent("a", "b", "c", "x\n" * 10_000)
        assert len(str(caught.value)) < 200
        assert "\n" not in str(caught.value)
