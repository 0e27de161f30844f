"""Teams that are built from their subject and run themselves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from parallel_agents import AgentResult, GatewayError, OptionError, PlanError, Rehearsal, ResearchTeam, builders

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
