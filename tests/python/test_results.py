"""What a result tells: models, attempts, tokens, cost, output, and what is kept of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import MODEL_HIERARCHY, AgentResult, AgentStatus, AgentTask, Orchestrator, OutputFormat, Tier

from .tasks import review, reviews, too_slow

METADATA = {
    *("model_requested", "model_used", "tier", "attempts", "tokens", "cost", "currency", "queued_seconds"),
    *("runtime", "truncated", "skipped_because", "doctor"),
}
ATTEMPT = {"no", "model", "session_key", "outcome", "reason", "started", "ended", "tokens", "cost"}
TOKENS = ["input", "output", "cache_read", "cache_write", "total"]

NEVER_FITS = {"type": "string", "pattern": "^$."}


def one(task: AgentTask, **options: Any) -> AgentResult:
    (result,) = Orchestrator(rehearsal=True, **options).run_parallel([task]).values()
    return result


def test_metadata_has_the_documented_keys_whatever_became_of_the_task() -> None:
    tasks = [review("done"), too_slow("slow"), review("skipped", dependencies=["slow"])]
    results = Orchestrator(rehearsal=True).run_parallel(tasks)
    for result in results.values():
        assert set(result.metadata) == METADATA
        assert all(set(attempt) >= ATTEMPT for attempt in result.metadata["attempts"])
    assert set(results["done"].metadata["tokens"]) == set(TOKENS)
    assert set(results["done"].metadata["attempts"][0]["tokens"]) == set(TOKENS)


def test_a_first_success_says_what_ran_and_what_it_cost() -> None:
    result = one(review("only"))
    assert result.status is AgentStatus.COMPLETED
    assert (result.agent_type, result.error) == ("code_reviewer", None)
    assert result.execution_time > 0
    assert result.session_key
    metadata = result.metadata
    assert metadata["model_requested"] == metadata["model_used"] == MODEL_HIERARCHY[0]
    assert metadata["tier"] == 0
    assert (metadata["runtime"], metadata["currency"]) == ("rehearsal", "USD")
    assert (metadata["truncated"], metadata["skipped_because"]) == (False, None)
    assert metadata["cost"] > 0
    assert metadata["queued_seconds"] >= 0
    (attempt,) = metadata["attempts"]
    assert (attempt["no"], attempt["outcome"], attempt["reason"]) == (1, "completed", None)
    assert attempt["session_key"] == result.session_key
    assert attempt["started"] < attempt["ended"]
    assert metadata["tokens"]["total"] == sum(metadata["tokens"][kind] for kind in TOKENS[:-1])


def test_a_task_that_waits_for_room_says_how_long() -> None:
    results = Orchestrator(1, rehearsal=True).run_parallel(reviews(3))
    first, second, third = (result.metadata["queued_seconds"] for result in results.values())
    assert first < second < third


def test_an_unusable_output_is_repeated_once_moved_up_and_given_up_when_another_model_writes_the_same() -> None:
    result = one(review("only", output_schema=NEVER_FITS))
    assert result.status is AgentStatus.FAILED
    assert "another model wrote the very same answer" in str(result.error)
    attempts = result.metadata["attempts"]
    assert [each["model"] for each in attempts] == [MODEL_HIERARCHY[0], MODEL_HIERARCHY[0], MODEL_HIERARCHY[1]]
    assert {each["outcome"] for each in attempts} == {"output"}
    assert result.metadata["tokens"]["total"] == sum(each["tokens"]["total"] for each in attempts)
    assert result.metadata["cost"] == pytest.approx(sum(each["cost"] for each in attempts))
    assert attempts[1]["tokens"]["input"] > attempts[0]["tokens"]["input"], "the objection goes into the prompt"


def test_an_unusable_output_is_kept_as_raw_text_beside_what_is_wrong_with_it() -> None:
    result = one(review("only", output_schema=NEVER_FITS))
    assert result.output is None
    assert isinstance(result.raw, str)
    assert result.raw
    assert result.error is not None
    assert "^$." in result.error


def test_a_timeout_climbs_the_tiers() -> None:
    result = one(review("only", timeout_seconds=0.001))
    assert result.status is AgentStatus.TIMEOUT
    assert [each["model"] for each in result.metadata["attempts"]] == MODEL_HIERARCHY
    assert result.metadata["model_requested"] == MODEL_HIERARCHY[-1]
    assert result.metadata["tier"] == 2


def test_one_model_pins_it_and_own_models_are_a_hierarchy() -> None:
    def models(task: AgentTask, **options: Any) -> list[str]:
        return [each["model"] for each in one(task, **options).metadata["attempts"]]

    fails: dict[str, Any] = {"timeout_seconds": 0.001}
    assert models(review("only", **fails), model="own/one") == ["own/one"]
    assert models(review("only", **fails), models=["own/one", Tier("own/two")]) == ["own/one", "own/two"]
    assert models(review("only", model="own/task", **fails), models=["own/one"]) == ["own/task"]
    assert models(review("only", models=["own/task", "own/next"], **fails), model="own/one") == ["own/task", "own/next"]


def test_costs_follow_the_prices_given_and_are_unknown_without_one() -> None:
    def cost(tokens: dict[str, int], price: dict[str, float]) -> float:
        return sum(tokens[kind] * price[kind] for kind in price) / 1_000_000

    dear, cheap = {"input": 10.0, "output": 50.0}, {"input": 0.5, "output": 2.0}
    orchestrator = Orchestrator(rehearsal=True, models=[Tier("own/model", dear)])
    results = orchestrator.run_parallel(
        [review("run"), review("task", models=[Tier("own/other", cheap)]), review("unknown", model="own/third")]
    )
    metadata = {task_id: result.metadata for task_id, result in results.items()}
    assert metadata["run"]["cost"] == pytest.approx(cost(metadata["run"]["tokens"], dear))
    assert metadata["task"]["cost"] == pytest.approx(cost(metadata["task"]["tokens"], cheap))
    assert metadata["unknown"]["cost"] is None
    assert metadata["unknown"]["tokens"]["total"] > 0


@pytest.mark.parametrize("output_format", ["markdown", "code", "text", OutputFormat.TEXT, "TEXT"])
def test_other_formats_give_text(output_format: OutputFormat | str) -> None:
    result = one(review("only", output_format=output_format))
    assert result.success
    assert isinstance(result.output, str)
    assert "rehearsal" in result.output
    assert "```" not in result.output
    assert result.raw is not None
    assert result.output in result.raw


def test_json_is_the_parsed_value_that_the_agent_type_promises() -> None:
    result = one(review("only"))
    assert {"score", "issues_found", "suggestions", "security_notes", "performance_notes"} <= set(result.output)
    assert isinstance(result.raw, str)
    assert json.loads(result.raw) == result.output


def test_a_rehearsed_output_says_that_it_is_one() -> None:
    assert "rehearsal" in json.dumps(one(review("only")).output)


ANSWER = {
    "type": "object",
    "required": ["answer", "sources"],
    "properties": {
        "answer": {"type": "integer", "minimum": 41},
        "sources": {"type": "array", "items": {"type": "string"}, "minItems": 2},
    },
}


class Answer:
    """What pydantic's models look like to this package."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return ANSWER


@pytest.mark.parametrize("schema", [ANSWER, Answer], ids=["dict", "class"])
def test_a_task_may_bring_its_own_schema(schema: object) -> None:
    result = one(review("only", output_schema=schema))
    assert result.success
    assert result.output["answer"] >= 41
    assert len(result.output["sources"]) >= 2


def test_a_task_with_a_schema_class_still_has_plain_values() -> None:
    assert json.loads(json.dumps(review("only", output_schema=Answer).to_dict()))["output_schema"] == ANSWER


def test_results_can_be_written_as_json_and_lack_only_the_raw_text() -> None:
    result = one(review("only"))
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["status"] == "completed"
    assert plain["output"] == result.output
    names = "task_id agent_type status output execution_time timestamp error session_key metadata"
    assert list(plain) == names.split()


def test_statistics_add_up_over_runs() -> None:
    orchestrator = Orchestrator(rehearsal=True)
    orchestrator.run_parallel(reviews(4))
    orchestrator.run_parallel([too_slow("slow"), review("next", dependencies=["slow"]), review("last")])
    assert set(orchestrator.results) == {"task-0", "task-1", "task-2", "task-3", "slow", "next", "last"}
    stats = orchestrator.stats
    assert (stats["agents_spawned"], stats["agents_completed"], stats["agents_failed"]) == (6, 5, 1)
    assert stats["total_time"] == pytest.approx(sum(each.execution_time for each in orchestrator.results.values()))


def test_saved_results_hold_what_the_documentation_says(tmp_path: Path) -> None:
    orchestrator = Orchestrator(rehearsal=True, results_dir=tmp_path / "made" / "here")
    results = orchestrator.run_parallel(reviews(2))
    named, unnamed = orchestrator.save_results("mine.json"), orchestrator.save_results()
    assert named == tmp_path / "made" / "here" / "mine.json"
    assert unnamed.parent == named.parent
    assert sorted(named.parent.iterdir()) == sorted([named, unnamed])
    saved = json.loads(named.read_text(encoding="utf-8"))
    assert list(saved) == ["timestamp", "stats", "results"]
    assert saved["stats"] == orchestrator.stats
    assert saved["results"] == {task_id: result.to_dict() for task_id, result in results.items()}


def test_results_are_saved_beside_those_of_openclaw_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Orchestrator(rehearsal=True).results_dir == tmp_path / ".openclaw" / "agent_results"
