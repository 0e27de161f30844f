"""Teams that are built from their subject and run themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import (
    AgentResult,
    AgentTask,
    ContentTeam,
    DevTeam,
    GatewayError,
    OptionError,
    Orchestrator,
    PlanError,
    Rehearsal,
    ResearchTeam,
    ReviewTeam,
    builders,
    create_content_team,
    create_custom_agent,
    create_dev_team,
    create_meta_agent_workflow,
    create_review_team,
)
from standin import Reply, StandIn

TOPICS = ["green tea", "black tea", "herbal tea"]
FIELDS = {"summary", "key_points", "sources", "open_questions"}


def test_each_topic_has_a_researcher_and_a_summary() -> None:
    results = ResearchTeam(TOPICS, rehearsal=True).execute()
    assert list(results) == TOPICS
    for result in results.values():
        assert result.success
        assert set(result.output) == FIELDS
        assert isinstance(result.output["key_points"], list)


def test_a_researcher_is_told_its_topic_alone() -> None:
    team = ResearchTeam(TOPICS, rehearsal=True)
    for topic, task in zip(TOPICS, team.tasks, strict=True):
        assert task.agent_type == "plain"
        assert task.task_description.endswith(topic)
        assert not [other for other in TOPICS if other != topic and other in task.task_description]


def test_an_event_loop_gets_the_same() -> None:
    called: list[AgentResult] = []
    results = asyncio.run(ResearchTeam(TOPICS, rehearsal=Rehearsal(seed=2)).aexecute(called.append))
    again = ResearchTeam(TOPICS, rehearsal=Rehearsal(seed=2)).execute(called.append)
    assert [each.output for each in results.values()] == [each.output for each in again.values()]
    assert len(called) == 6


def test_options_are_passed_on() -> None:
    team = ResearchTeam(TOPICS, timeout_seconds=60, rehearsal=True, model="own/model", max_concurrent=2)
    assert team.orchestrator.max_concurrent == 2
    assert {task.timeout_seconds for task in team.tasks} == {60}
    assert {result.metadata["model_used"] for result in team.execute().values()} == {"own/model"}


def test_a_failure_is_data() -> None:
    results = ResearchTeam(TOPICS, timeout_seconds=0.001, rehearsal=True).execute()
    assert [result.status.value for result in results.values()] == ["timeout"] * 3


@pytest.mark.parametrize("bad", ["tea", ["tea", ""], ["tea", None], [["tea"]], ["tea", "tea"]], ids=repr)
def test_topics_that_cannot_be_used_are_refused(bad: Any) -> None:
    with pytest.raises(PlanError, match="topic"):
        ResearchTeam(bad, rehearsal=True)


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match="max_conccurrent"):
        ResearchTeam(TOPICS, max_conccurrent=3)


def test_no_topics_are_no_results() -> None:
    assert ResearchTeam([], rehearsal=True).execute() == {}


def test_without_a_runtime_it_says_what_is_missing() -> None:
    with pytest.raises(GatewayError, match="openclaw gateway"):
        builders.ResearchTeam(TOPICS).execute()


CODE = "def first(rows): return rows[0]"
TEAMS: list[tuple[Callable[..., Any], list[str], str]] = [
    (
        lambda **options: ContentTeam("Mondays", "a bulletin board", **options),
        ["creative", "funny", "educational", "trendy", "controversial"],
        "a bulletin board",
    ),
    (
        lambda **options: DevTeam("Ledger", ["import", "export"], **options),
        ["frontend", "backend", "database", "api", "devops"],
        "export",
    ),
    (
        lambda **options: ReviewTeam(CODE, **options),
        ["code", "security", "performance", "accessibility", "tests"],
        CODE,
    ),
]


@pytest.mark.parametrize(("build", "roles", "told"), TEAMS, ids=["content", "dev", "review"])
class TestTeamsOfFive:
    def test_results_stand_under_their_roles(self, build: Callable[..., Any], roles: list[str], told: str) -> None:
        team = build(rehearsal=True)
        results = team.execute()
        assert list(results) == [task.task_id for task in team.tasks] == roles
        assert all(result.success for result in results.values())
        assert len({result.agent_type for result in results.values()}) == 5
        assert all(told in str(task.input_data) for task in team.tasks)

    def test_an_event_loop_gets_the_same(self, build: Callable[..., Any], roles: list[str], told: str) -> None:
        called: list[AgentResult] = []
        results = asyncio.run(build(rehearsal=True).aexecute(called.append))
        assert list(results) == roles
        assert sorted(result.task_id for result in called) == sorted(roles)

    def test_the_time_of_an_attempt_is_that_of_the_type_or_the_one_given(
        self, build: Callable[..., Any], roles: list[str], told: str
    ) -> None:
        assert {task.timeout_seconds for task in build(timeout_seconds=7, rehearsal=True).tasks} == {7}
        assert all(task.timeout_seconds >= 120 for task in build(rehearsal=True).tasks)
        with pytest.raises(PlanError, match="timeout_seconds"):
            build(timeout_seconds=0, rehearsal=True)

    def test_one_failure_takes_nobody_along(self, build: Callable[..., Any], roles: list[str], told: str) -> None:
        team = build(rehearsal=True)
        team.tasks[1].timeout_seconds = 0.001
        results = team.execute()
        assert [name for name, result in results.items() if not result.success] == [roles[1]]

    def test_a_task_that_builds_on_the_team_stands_under_its_id(
        self, build: Callable[..., Any], roles: list[str], told: str
    ) -> None:
        team = build(rehearsal=True)
        team.tasks.append(AgentTask("code_reviewer", "Sum up.", task_id="sum", dependencies=roles))
        results = team.execute()
        assert list(results) == [*roles, "sum"]
        assert results["sum"].success

    def test_tasks_may_be_removed_and_replaced(self, build: Callable[..., Any], roles: list[str], told: str) -> None:
        team = build(rehearsal=True)
        team.tasks = [replace(task, model="own/model") for task in team.tasks[:2]]
        results = team.execute()
        assert list(results) == roles[:2]
        assert {result.metadata["model_used"] for result in results.values()} == {"own/model"}


def test_a_task_with_the_name_of_a_topic_loses_no_result() -> None:
    team = ResearchTeam(TOPICS, rehearsal=True)
    team.tasks.append(AgentTask("code_reviewer", "Review it.", task_id="green tea"))
    with pytest.raises(PlanError, match=r"tasks\[3\].*`'green tea'`"):
        team.execute()
    assert team.orchestrator.stats["agents_spawned"] == 0


def test_a_team_can_run_again() -> None:
    team = ContentTeam("Mondays", rehearsal=True)
    first, second = team.execute(), team.execute()
    assert list(first) == list(second)
    assert team.orchestrator.stats["agents_completed"] == 10


def test_the_results_know_their_run_and_its_questions(tmp_path: Path) -> None:
    standin = StandIn(answers=lambda request: Reply("STUCK: Which Monday?" if "funny" in request.prompt else "a post"))
    team = ContentTeam("Mondays", tools=standin.tools(), journal=tmp_path / "runs.sqlite")
    for task in team.tasks:
        task.output_format = "text"
    results = team.execute()
    assert results.report["attempts"] == 5
    assert results.questions == {"funny": "Which Monday?"}
    answered = StandIn(answers=lambda request: Reply("a post"))
    answers = dict.fromkeys(results.questions, "The first.")
    again = Orchestrator.resume(str(results.run_id), tmp_path / "runs.sqlite", answers, tools=answered.tools())
    assert again["funny"].success


def test_a_question_of_a_researcher_is_told_under_the_id_that_takes_its_answer() -> None:
    standin = StandIn(answers=lambda request: Reply("STUCK: Which one?"))
    team = ResearchTeam(["tea"], tools=standin.tools())
    team.tasks = [
        replace(task, agent_type="documentation_writer", output_format="text", output_schema=None)
        for task in team.tasks
    ]
    results = team.execute()
    assert (list(results), results.questions) == (["tea"], {"topic-0": "Which one?"})


class TestReviewOfAFile:
    def test_the_reviewers_are_told_its_text_and_its_name(self, tmp_path: Path) -> None:
        file = tmp_path / "rows.py"
        file.write_text(CODE, encoding="utf-8")
        for path in (file, str(file)):
            team = ReviewTeam.of_file(path, rehearsal=True)
            assert all(task.input_data == {"code": CODE, "file": "rows.py"} for task in team.tasks)
            assert all(result.success for result in team.execute().values())

    def test_a_file_that_cannot_be_reviewed_is_refused_by_its_path(self, tmp_path: Path) -> None:
        (tmp_path / "empty.py").write_text("\n", encoding="utf-8")
        (tmp_path / "image.png").write_bytes(b"\x89PNG\xff")
        for name, said in (
            ("absent.py", "No such file"),
            ("empty.py", "empty"),
            ("image.png", "no text in UTF-8"),
            (".", "directory"),
        ):
            with pytest.raises(PlanError, match=rf"`path`.*{name}.*{said}"):
                ReviewTeam.of_file(tmp_path / name if name != "." else ".", rehearsal=True)
        with pytest.raises(PlanError, match="`path` is `None`"):
            ReviewTeam.of_file(None, rehearsal=True)  # type: ignore[arg-type]

    def test_a_file_that_is_too_long_is_refused_before_anything_runs(self, tmp_path: Path) -> None:
        (tmp_path / "long.py").write_text("x = 1\n" * 1_000_000, encoding="utf-8")
        team = ReviewTeam.of_file(tmp_path / "long.py", rehearsal=True)
        with pytest.raises(PlanError, match=r"bytes, expected at most"):
            team.execute()
        assert team.orchestrator.stats["agents_spawned"] == 0


BAD: list[tuple[Callable[[Any], Any], str, list[Any]]] = [
    (create_content_team, "topic", [None, "", " ", 5, ["Mondays"]]),
    (lambda value: create_content_team("Mondays", value), "platform", [None, "", 5]),
    (ContentTeam, "topic", [None, "", 5]),
    (lambda value: create_dev_team(value, ["import"]), "app_name", [None, "", 5]),
    (
        lambda value: create_dev_team("Ledger", value),
        "features",
        [None, "", "import", [], {"a": 1}, [None], ["a", ""], 5],
    ),
    (lambda value: DevTeam("Ledger", value), "features", [None, "import", []]),
    (create_review_team, "code", [None, "", "\n", b"x = 1", Path("x.py")]),
    (ReviewTeam, "code", [None, "", Path("x.py")]),
    (
        create_meta_agent_workflow,
        "agent_purposes",
        [None, "sorter", {"name": "a", "purpose": "b"}, [None], ["a"], [{}], 5],
    ),
    (lambda value: create_meta_agent_workflow([{"name": value, "purpose": "b"}]), "name", [None, "", 5]),
    (lambda value: create_meta_agent_workflow([{"name": "a", "purpose": value}]), "purpose", [None, "", []]),
    (lambda value: create_meta_agent_workflow([{"name": "a", "purpose": "b", "domain": value}]), "domain", [5, " "]),
    (
        lambda value: create_meta_agent_workflow([{"name": "a", "purpose": "b", "capabilities": value}]),
        "capabilities",
        ["sort", 5, [None], [""]],
    ),
    (lambda value: create_custom_agent(value, "b", "c", []), "agent_name", [None, "", 5]),
    (lambda value: create_custom_agent("a", value, "c", []), "purpose", [None, "", 5]),
    (lambda value: create_custom_agent("a", "b", value, []), "domain", [" ", 5]),
    (lambda value: create_custom_agent("a", "b", "c", value), "capabilities", ["sort", 5, [5]]),
]


@pytest.mark.parametrize(
    ("call", "name", "bad"), [(call, name, each) for call, name, values in BAD for each in values], ids=repr
)
def test_what_a_team_cannot_work_on_is_refused_by_name(call: Callable[[Any], Any], name: str, bad: Any) -> None:
    with pytest.raises(PlanError, match=rf"{name}.*expected"):
        call(bad)


def test_a_long_value_makes_no_long_message() -> None:
    with pytest.raises(PlanError) as raised:
        create_review_team(b"x" * 1_000_000)  # type: ignore[arg-type]
    assert len(str(raised.value)) < 250
    assert "ReviewTeam.of_file" in str(raised.value)


def test_features_and_capabilities_may_come_one_by_one() -> None:
    assert create_dev_team("Ledger", (name for name in ["a", "b"]))[4].input_data["features"] == ["a", "b"]
    assert create_custom_agent("a", "b", "c", [])[0].input_data["capabilities"] == []
    assert create_meta_agent_workflow([]) == []
    (creator, _) = create_meta_agent_workflow([{"name": "a", "purpose": "b", "domain": None, "capabilities": None}])
    assert (creator.input_data["domain"], creator.input_data["capabilities"]) == ("general", [])
