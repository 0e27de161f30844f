"""Refinement: what is reviewed, improved by the objections and reviewed again, the best version kept."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import models
import pytest
from models import LINES, mark_of, score_of
from parallel_agents import (
    AgentResult,
    AgentStatus,
    AgentTask,
    AgentType,
    AgentTypeError,
    Budget,
    GatewayError,
    Orchestrator,
    PlanError,
    RealAIParallelOrchestrator,
    Refinement,
    Rehearsal,
    RunResults,
    create_custom_agent,
    refine,
    register_agent_type,
)
from standin import Habits, StandIn
from standin.habits import Reply

from . import kept
from .injected import prompts_of

pytestmark = pytest.mark.usefixtures("ends")

DESIGN = {"agent_name": "sorter", "system_prompt": "\n".join(LINES.values()), "version": "1.0.0"}
"""What a reviewer gives 10."""


def scripted(**options: Any) -> tuple[Orchestrator, StandIn]:
    """An orchestrator whose agents answer like capable models; tokens in an entry's purpose steer them."""
    standin = StandIn(Habits(speed=20, text_chars_max=10_000_000))
    return Orchestrator(tools=tools_of(standin), **options), standin


def tools_of(standin: StandIn) -> Any:
    return standin.tools(subagents=True, sessions=True)


def entry(name: str, tokens: str = "", **fields: Any) -> dict[str, Any]:
    return {"name": name, "purpose": f"sorts {name} [[task={name}]] {tokens}", **fields}


def refined(tokens: str = "", **bounds: Any) -> Refinement:
    """What becomes of one agent's design."""
    return scripted()[0].run_iterative_refinement([entry("sorter", tokens)], **bounds)["sorter"]


def scores(refinement: Refinement) -> list[float | None]:
    return [each.score for each in refinement.rounds]


def rehearsed() -> Orchestrator:
    return Orchestrator(rehearsal=True)


def labels(standin: StandIn) -> list[str]:
    """Name and role of each agent, in the order in which they were started."""
    return [f"{reading.data['name']} {reading.role}" for reading in map(models.read, prompts(standin))]


def prompts(standin: StandIn) -> list[str]:
    return [child.prompt for child in standin.children]


class TestScores:
    def test_three_agents_get_to_their_target_in_one_run(self) -> None:
        orchestrator, standin = scripted()
        agents = [entry("near", "[[design=9]]"), entry("far", "[[design=5]] [[gain=3]]"), entry("own", "", target=5)]
        told = orchestrator.run_iterative_refinement(agents)
        assert {name: scores(each) for name, each in told.items()} == {
            "near": [7.5, 9.2],
            "far": [4.2, 6.7, 9.2],
            "own": [pytest.approx(7, abs=1.5)],
        }
        for name, each in told.items():
            assert (each.reached, each.stopped_because, each.error) == (True, "target", None)
            assert score_of(each.design) == each.score
            assert "changes" not in each.design
            assert each.design["agent_name"] == name
        assert [bool(each.changes) for each in told["far"].rounds] == [False, True, True]
        assert told["near"].rounds[1].task_ids == ["near/refine-2", "near/review-2"]
        assert len(standin.children) == 4 + 6 + 2
        assert len(orchestrator.results) == 12

    def test_the_best_version_is_kept_where_a_later_one_is_worse(self) -> None:
        told = refined("[[design=7]] [[round 3: refine=worse]]", target=9)
        assert (scores(told), told.stopped_because) == ([5.8, 7.5, 5.8], "regression")
        assert (told.reached, told.score, told.design["version"]) == (False, 7.5, "1.1.0")

    @pytest.mark.parametrize(("iterations_max", "expected"), [(0, [0.8]), (2, [0.8, 1.7, 2.5])])
    def test_it_improves_so_often_at_the_most(self, iterations_max: int, expected: list[float]) -> None:
        told = refined("[[design=1]] [[gain=1]]", iterations_max=iterations_max)
        assert (scores(told), told.stopped_because) == (expected, "iterations_max")

    def test_a_refiner_that_gives_the_same_design_for_ever_is_asked_once_and_not_reviewed(self) -> None:
        orchestrator, standin = scripted()
        told = orchestrator.run_iterative_refinement([entry("sorter", "[[design=7]] [[refine=same]]")])["sorter"]
        assert (scores(told), told.stopped_because, told.design["version"]) == ([5.8, 5.8], "plateau", "1.0.0")
        assert [label.split("_")[-1] for label in labels(standin)] == ["creator", "reviewer", "refiner"]

    def test_a_refiner_that_only_praises_gains_nothing(self) -> None:
        told = refined("[[design=7]] [[refine=praise]]")
        assert (scores(told), told.stopped_because, told.design["version"]) == ([5.8, 5.8], "plateau", "1.0.0")

    @pytest.mark.parametrize("score", ["11", "-3", "nine", "null", "NaN"])
    def test_a_score_that_is_none_is_asked_for_again(self, score: str) -> None:
        orchestrator, standin = scripted()
        told = orchestrator.run_iterative_refinement([entry("sorter", f"[[design=9]] [[once: score={score}]]")])
        assert (scores(told["sorter"]), told["sorter"].stopped_because) == ([7.5, 9.2], "target")
        reviews = [models.read(prompt) for prompt in prompts_of(standin, "agent_design_reviewer")]
        assert [reading.is_objected for reading in reviews] == [False, True, False, True]

    @pytest.mark.parametrize("score", ["11", "nine"])
    def test_a_reviewer_that_never_gives_a_score_ends_one_refinement_and_no_other(self, score: str) -> None:
        agents = [entry("a", f"[[design=9]] [[score={score}]]"), entry("b", "[[design=9]]")]
        told = scripted()[0].run_iterative_refinement(agents)
        assert (told["a"].stopped_because, told["a"].score, told["a"].reached) == ("failed", None, False)
        assert "overall_score" in str(told["a"].error)
        assert mark_of("a", "1.0.0") in told["a"].design["system_prompt"], "the design is not lost with its review"
        assert told["b"].reached

    def test_a_failed_refiner_leaves_the_best_version(self) -> None:
        told = refined("[[design=8]] [[agent_refiner: http=400]]")
        assert (told.stopped_because, told.score, told.design["version"]) == ("failed", 6.7, "1.0.0")
        assert told.error
        assert scores(told) == [6.7, None]


class TestWhatAgentsAreTold:
    def test_nobody_is_told_a_score_and_no_reviewer_what_was_changed(self) -> None:
        orchestrator, standin = scripted()
        agents = [entry("sorter", "[[design=6]]", target=8.875, current_score=4.125)]
        told = orchestrator.run_iterative_refinement(agents)["sorter"]
        assert scores(told) == [5.0, 6.7, 8.3, 10.0]
        for prompt in prompts(standin):
            assert not [number for number in ("8.875", "4.125") if number in prompt]
        reviews = [models.read(prompt) for prompt in prompts_of(standin, "agent_design_reviewer")]
        refiners = [models.read(prompt) for prompt in prompts_of(standin, "agent_refiner")]
        assert (len(reviews), len(refiners)) == (4, 3)
        for reading in reviews:
            assert set(reading.data) == {"name", "purpose", "design"}
            assert not {"changes", "overall_score"} & set(reading.data["design"])
            assert reading.results == []
        marks = [mark_of("sorter", f"1.{number}.0") for number in range(4)]
        for reading, mark, score in zip(refiners, marks, ("5.0", "6.7", "8.3"), strict=False):
            told_data = json.dumps(reading.data)
            assert mark in told_data, "it improves the version that was reviewed"
            assert "no `" in told_data, "it is told the objections"
            assert not [word for word in (score, "overall_", "dimension_scores", "grade") if word in told_data]

    @pytest.mark.parametrize("kind", ["front matter", "frame", "output", "ignore", "all", "orders"])
    def test_a_design_that_gives_orders_gets_the_score_of_its_lines(self, kind: str) -> None:
        orchestrator, standin = scripted()
        tokens = f"[[design=9]] [[gain=1]] [[agent_refiner: hostile={kind}]]"
        told = orchestrator.run_iterative_refinement([entry("sorter", tokens)], iterations_max=2)["sorter"]
        assert scores(told) == [7.5, 8.3, 9.2]
        for prompt in prompts_of(standin, "agent_design_reviewer"):
            reading = models.read(prompt)
            assert reading.role == "agent_design_reviewer"
            assert reading.results == [], "nothing in a design is taken for a result"


class TestPace:
    def test_a_slow_agent_holds_no_fast_one_back(self) -> None:
        orchestrator, standin = scripted()
        agents = [entry("slow", "[[design=9]] [[agent_creator: sleep=30]]"), entry("fast", "[[design=1]] [[gain=1]]")]
        told = orchestrator.run_iterative_refinement(agents)
        assert [len(each.rounds) for each in told.values()] == [2, 4]
        started = labels(standin)
        assert started.index("slow agent_design_reviewer") > len(started) - 4
        assert started.count("fast agent_design_reviewer") == 4

    def test_tools_that_want_an_event_loop_get_one(self) -> None:
        tools = StandIn(Habits(speed=20, text_chars_max=10_000_000)).tools(asynchronous=True)
        told = Orchestrator(tools=tools).run_iterative_refinement([entry("sorter", "[[design=9]]")])
        assert scores(told["sorter"]) == [7.5, 9.2]

    def test_results_are_told_as_they_come_and_on_an_event_loop_too(self) -> None:
        told: list[str] = []
        orchestrator, _ = scripted()
        agents = [entry("sorter", "[[design=9]]")]
        refinement = asyncio.run(
            orchestrator.arun_iterative_refinement(agents, callback=lambda result: told.append(result.task_id))
        )["sorter"]
        assert told == [task_id for each in refinement.rounds for task_id in each.task_ids]
        assert told == ["sorter/create", "sorter/review-1", "sorter/refine-2", "sorter/review-2"]


class TestEntries:
    def test_of_the_old_shape_are_enough(self) -> None:
        entries = [{"name": "a", "current_score": 7.9, "target": 8.5}, {"name": "b", "current_score": 9, "target": 8.5}]
        orchestrator, standin = scripted()
        told = orchestrator.run_iterative_refinement(entries)
        assert told["a"].rounds
        b = told["b"]
        assert (b.reached, b.stopped_because, b.score, b.rounds, b.cost) == (True, "target", 9, [], 0)
        assert {label.split()[0] for label in labels(standin)} == {"a"}

    def test_with_nothing_to_do_need_no_runtime(self) -> None:
        told = Orchestrator().run_iterative_refinement([{"name": "a", "current_score": 9}])
        assert told["a"].reached
        assert Orchestrator().run_iterative_refinement([]) == {}
        with pytest.raises(GatewayError):
            Orchestrator().run_iterative_refinement([{"name": "a"}])

    def test_a_given_design_costs_nothing_and_is_reviewed_first(self) -> None:
        told = rehearsed().run_iterative_refinement([{"name": "a", "design": DESIGN}], iterations_max=0)["a"]
        assert (told.design, told.rounds[0].task_ids) == (DESIGN, ["a/review-1"])
        assert told.cost
        assert told.cost == told.rounds[0].cost

    def test_a_design_is_looked_up_among_agent_types(self) -> None:
        prompt = "\n".join(LINES.values())
        register_agent_type(
            AgentType("own_sorter", "Sorts mail", prompt, output_schema={"type": "object"}), replace=True
        )
        orchestrator, standin = scripted()
        told = orchestrator.run_iterative_refinement([{"name": "own_sorter", "current_score": 7}])["own_sorter"]
        assert (told.score, told.rounds[0].task_ids) == (10.0, ["own_sorter/review-1"])
        design = models.read(standin.children[0].prompt).data["design"]
        assert (design["system_prompt"], design["output_schema"]) == (prompt, {"type": "object"})

    def test_a_design_is_looked_up_among_earlier_results(self) -> None:
        orchestrator, standin = scripted()
        orchestrator.run_parallel(create_custom_agent("sorter", "sorts mail [[design=9]]", "mail", []))
        orchestrator.run_parallel(create_custom_agent("other", "sorts mail", "mail", []))
        before = len(standin.children)
        told = orchestrator.run_iterative_refinement([{"name": "sorter", "current_score": 7.5}])["sorter"]
        assert scores(told) == [7.5, 9.2]
        assert mark_of("sorter", "1.0.0") in standin.children[before].prompt
        again = orchestrator.run_iterative_refinement([{"name": "sorter"}])["sorter"]
        assert (scores(again), again.design) == ([9.2], told.design), "the latest one"

    def test_one_that_is_refined_again_starts_from_its_best_version(self) -> None:
        orchestrator = rehearsed()
        agents = [{"name": name} for name in ("near", "far", "Mail Sorter")]
        first = orchestrator.run_iterative_refinement(agents)["Mail Sorter"]
        assert (scores(first), first.design["version"]) == ([7.4, 8.3, 8.1], "1.1.0")
        left_alone = orchestrator.run_iterative_refinement([{"name": "mail_sorter", "current_score": 9}])["mail_sorter"]
        assert (left_alone.design, left_alone.rounds) == (first.design, [])
        again = orchestrator.run_iterative_refinement([{"name": "mail_sorter"}], iterations_max=0)["mail_sorter"]
        assert (again.design, again.rounds[0].task_ids) == (first.design, ["mail_sorter/review-1"])

    def test_a_later_design_comes_before_the_best_version(self) -> None:
        orchestrator = rehearsed()
        orchestrator.run_iterative_refinement([{"name": "sorter"}])
        later = AgentResult("own", "agent_creator", AgentStatus.COMPLETED, DESIGN, timestamp="9999-01-01T00:00:00Z")
        orchestrator.results["own"] = later
        assert orchestrator.run_iterative_refinement([{"name": "sorter"}], iterations_max=0)["sorter"].design == DESIGN

    def test_a_design_is_found_by_any_spelling_of_its_name_and_by_what_was_asked_for(self) -> None:
        orchestrator = rehearsed()
        made = orchestrator.run_parallel(create_custom_agent("Invoice Reader", "reads invoices", "finance", []))
        design = next(iter(made.values())).output
        assert design["agent_name"] != "Invoice Reader"
        for name in ("Invoice Reader", "invoice_reader", design["agent_name"]):
            told = orchestrator.run_iterative_refinement([{"name": name}], iterations_max=0)[name]
            assert (told.design, told.rounds[0].task_ids) == (design, [f"{name}/review-1"])

    def test_a_refined_output_that_is_a_design_is_found_too(self) -> None:
        orchestrator, standin = scripted()
        creator = create_custom_agent("sorter", "sorts [[design=9]] [[refine=worse]]", "mail", [])[0]
        told = orchestrator.refine(creator, "agent_design_reviewer")
        assert told.stopped_because == "regression"
        orchestrator.run_iterative_refinement([{"name": "sorter"}], iterations_max=0)
        assert models.read(standin.children[-1].prompt).data["design"] == told.output

    @pytest.mark.parametrize(
        ("agents", "bounds", "said"),
        [
            ([{"purpose": "b"}], {}, r"agents\[0\].*`name` is `null`, expected the agent's name"),
            ([{"name": "a"}, {"name": "a"}], {}, r"agents\[1\].*`\"a\"`, expected each name once"),
            ([{"name": "a"}, {"name": " a"}], {}, "expected each name once"),
            ([{"name": "a\nb"}], {}, "without control characters"),
            ([{"name": "a", "target": 85}], {}, "`target` is `85`, expected a score from 0 to 10"),
            ([{"name": "a", "target": True}], {}, "`target` is `true`, expected a score"),
            ([{"name": "a", "current_score": "good"}], {}, "current_score.*good"),
            ([{"name": "a", "current_score": float("nan")}], {}, "`current_score` is `nan`, expected a score"),
            ([{"name": "a", "targte": 9}], {}, "unknown field `targte`.*did you mean `target`"),
            ([{"name": "a", "design": "x"}], {}, "`design`.*expected an object"),
            (["a"], {}, r"agents\[0\].*str.*expected a dict"),
            ("ab", {}, "str.*expected a list"),
            ({"name": "a"}, {}, "dict.*expected a list"),
            (7, {}, "int.*expected a list"),
            (
                [{"name": "a"}],
                {"iterations_max": -1},
                "`iterations_max` is `-1`, expected a whole number from 0 to 100",
            ),
            ([{"name": "a"}], {"iterations_max": 10**6}, "iterations_max"),
            ([{"name": "a"}], {"iterations_max": True}, "iterations_max"),
            ([{"name": "a"}], {"target": True}, "target"),
            ([{"name": "a"}], {"target": float("inf")}, "target.*inf"),
        ],
    )
    def test_that_cannot_be_used_are_refused_before_anything_is_spent(
        self, agents: Any, bounds: Any, said: str
    ) -> None:
        orchestrator, standin = scripted()
        with pytest.raises(PlanError, match=said):
            orchestrator.run_iterative_refinement(agents, **bounds)
        with pytest.raises(PlanError, match=said):
            RealAIParallelOrchestrator().run_iterative_refinement(agents, **bounds)
        assert standin.children == []


class TestTasks:
    def test_any_task_is_refined_to_its_target(self) -> None:
        orchestrator, standin = scripted()
        task = AgentTask("documentation_writer", "Write a page. [[work=7]]", {"about": "sort"}, task_id="page")
        told = orchestrator.refine(task, reviewer="security_reviewer")
        assert (scores(told), told.stopped_because, told.design) == ([5.8, 7.5, 9.2], "target", None)
        assert "Mark: " in json.dumps(told.output)
        assert [each.task_ids[0] for each in told.rounds] == ["page/create", "page/refine-2", "page/refine-3"]
        review, improvement = (models.read(standin.children[number].prompt) for number in (1, 2))
        assert set(review.data) == {"task", "task_input", "output"}
        assert (set(improvement.data), improvement.data["about"]) == ({"about", "output", "review"}, "sort")
        assert "5.8" not in json.dumps(improvement.data)
        assert improvement.data["review"]["objections"]

    def test_a_reviewer_may_be_a_task(self) -> None:
        orchestrator, standin = scripted()
        reviewer = {"agent_type": "agent_design_reviewer", "task_description": "Be strict.", "model": "own/model"}
        told = asyncio.run(
            orchestrator.arefine(create_custom_agent("sorter", "sorts [[design=9]]", "mail", [])[0], reviewer)
        )
        assert scores(told) == [7.5, 9.2]
        roles = [models.read(prompt).role for prompt in prompts(standin)]
        assert roles == ["agent_creator", "agent_design_reviewer", "agent_refiner", "agent_design_reviewer"]
        assert "Be strict." in standin.children[1].prompt
        assert [child.model == "own/model" for child in standin.children] == [False, True, False, True]

    def test_a_text_is_refined_too(self) -> None:
        task = {"agent_type": "plain", "task_description": "Write it. [[work=8]]", "output_format": "text"}
        told = scripted()[0].refine(task, {"agent_type": "plain"})
        assert scores(told) == [6.7, 8.3, 10.0]
        assert isinstance(told.output, str)

    def test_the_score_is_the_one_that_the_type_of_the_reviewer_promises(self) -> None:
        orchestrator = rehearsed()
        told = orchestrator.refine(AgentTask("backend_developer", "Build it", task_id="api"), "code_reviewer")
        assert scores(told) == [7.1, 8.2, 8.8]
        review = orchestrator.results["api/review-1"].output
        assert (review["score"], "issues_found" in review, "overall_score" in review) == (7.1, True, False)

    def test_an_output_too_long_to_be_shown_whole_ends_it_before_more_is_paid_for(self) -> None:
        def answers(request: Any) -> Reply:
            if "Review" in request.prompt:
                return Reply(json.dumps({"overall_score": 6, "objections": ["y" * 1_000_000]}))
            return Reply("x" * (300_000 if "`review`" in request.prompt else 100_000))

        standin = StandIn(Habits(speed=20, text_chars_max=10_000_000), answers)
        task = AgentTask("plain", "Write it.", output_format="text")
        told = Orchestrator(tools=tools_of(standin)).refine(task, "plain")
        assert (told.stopped_because, told.score, told.output) == ("failed", 6, "x" * 100_000)
        assert "300002 bytes in a prompt, and one of at most 262144" in (told.error or "")
        assert max(len(prompt) for prompt in prompts(standin)) < 400_000
        assert len(standin.children) == 3, "nobody reviews it"

    def test_a_module_function_makes_its_orchestrator(self) -> None:
        told = refine(AgentTask("backend_developer", "Build it"), "code_reviewer", score="score", rehearsal=True)
        assert (scores(told), told.reached) == ([7.1, 8.2, 8.8], True)
        assert "[rehearsal, no AI] (version 3)" in json.dumps(told.output)

    @pytest.mark.parametrize(
        ("arguments", "error", "said"),
        [
            (({"agent_type": "plain"}, "plain"), PlanError, "`task_description` is missing"),
            (("x", "plain"), PlanError, "type `str`, expected an AgentTask"),
            ((AgentTask("plain", "x"), "code_reviwer"), AgentTypeError, "did you mean `code_reviewer`"),
            ((AgentTask("plain", "x"), 5), PlanError, "type `int`, expected an AgentTask"),
            ((AgentTask("plain", "x"), "plain", 11), PlanError, "`target` is `11`, expected a score from 0 to 10"),
            ((AgentTask("plain", "x", dependencies=["a"]), "plain"), PlanError, "`task.dependencies`.*expected none"),
            ((AgentTask("plain", "x"), "plain", 8, 3, 7), PlanError, "`score` is `7`, expected a text"),
            ((AgentTask("plain", "x", output_schema={"type": 5}), "plain"), PlanError, "not a valid JSON Schema"),
        ],
    )
    def test_what_cannot_be_used_is_refused_before_anything_is_spent(
        self, arguments: Any, error: type[Exception], said: str
    ) -> None:
        orchestrator, standin = scripted()
        with pytest.raises(error, match=said):
            orchestrator.refine(*arguments)
        assert standin.children == []


class TestRehearsal:
    def test_scores_rise_and_one_of_three_gets_worse_in_its_last_round(self) -> None:
        agents = [{"name": name} for name in ("one", "two", "three")]
        told = rehearsed().run_iterative_refinement(agents)
        assert {name: scores(each) for name, each in told.items()} == {
            "one": [7.1, 8.2, 8.8],
            "two": [7.6, 8.6],
            "three": [7.4, 8.3, 8.1],
        }
        assert [each.stopped_because for each in told.values()] == ["target", "target", "regression"]
        assert told["three"].design["version"] == "1.1.0"
        assert {each.design["agent_name"] for each in told.values()} == {"one", "two", "three"}
        assert all(part.cost and part.cost > 0 for each in told.values() for part in each.rounds)
        again = rehearsed().run_iterative_refinement(agents)
        assert {name: each.design for name, each in again.items()} == {name: each.design for name, each in told.items()}

    def test_under_failures_every_refinement_ends_in_a_clear_state(self) -> None:
        for seed in range(4):
            orchestrator = Orchestrator(rehearsal=Rehearsal(seed=seed, failure_rate=0.4))
            told = orchestrator.run_iterative_refinement([{"name": name} for name in "abc"])
            assert {each.stopped_because for each in told.values()} <= {"target", "regression", "failed"}
            assert all(bool(each.error) == (each.stopped_because == "failed") for each in told.values())


class TestJournal:
    @pytest.fixture
    def journal(self, tmp_path: Path) -> Path:
        return tmp_path / "runs.sqlite"

    def test_what_an_agent_asks_is_answered_and_its_refinement_goes_on(self, journal: Path) -> None:
        orchestrator, standin = scripted(journal=journal)
        asks = "[[agent_refiner, first 3: say=STUCK: Which language?]]"
        agents = [entry("a", f"[[design=9]] {asks}"), entry("b", "[[design=9]]")]
        told = orchestrator.run_iterative_refinement(agents)
        assert (told["a"].stopped_because, told["a"].error, told["a"].score) == ("needs_input", "Which language?", 7.5)
        assert told["a"].rounds[-1].task_ids == ["a/refine-2"]
        results = Orchestrator.resume(
            str(orchestrator.run_id), journal, {"a/refine-2": "German."}, tools=tools_of(standin)
        )
        assert {name: scores(each) for name, each in results.refinements.items()} == {"a": [7.5, 9.2], "b": [7.5, 9.2]}
        assert all(each.reached for each in results.refinements.values())
        assert any("German." in prompt for prompt in prompts_of(standin, "agent_refiner"))

    def test_a_larger_budget_goes_on_where_a_smaller_one_ended(self, journal: Path) -> None:
        orchestrator, standin = scripted(journal=journal, budget=Budget(attempts=3))
        agents = [entry("a", "[[design=9]]"), entry("b", "[[design=9]]")]
        told = orchestrator.run_iterative_refinement(agents)
        assert {each.stopped_because for each in told.values()} == {"budget"}
        assert all("budget" in str(each.error) for each in told.values())
        assert len(standin.children) == 3
        results = Orchestrator.resume(
            str(orchestrator.run_id), journal, budget=Budget(attempts=50), tools=tools_of(standin)
        )
        assert {name: scores(each) for name, each in results.refinements.items()} == {"a": [7.5, 9.2], "b": [7.5, 9.2]}
        assert len(standin.children) == 8, "nothing is paid for twice"

    def test_a_cancelled_refinement_says_so_and_keeps_its_best(self) -> None:
        orchestrator, _ = scripted()

        def enough(result: AgentResult) -> None:
            if result.task_id == "a/review-1":
                orchestrator.cancel("enough")

        told = orchestrator.run_iterative_refinement([entry("a", "[[design=9]]")], callback=enough)["a"]
        assert (told.stopped_because, told.score, told.design["version"]) == ("cancelled", 7.5, "1.0.0")

    @pytest.mark.parametrize("moment", [("sessions_spawn", 2), ("sessions_spawn", 4), ("sessions_history", 4)])
    def test_killed_in_the_middle_it_comes_to_the_same(self, journal: Path, moment: tuple[str, int]) -> None:
        agents = [entry("a", "[[design=9]]"), entry("b", "[[design=7]] [[round 3: refine=worse]]")]
        undisturbed = scripted()[0].run_iterative_refinement(agents)
        standin, killer = StandIn(Habits(speed=20, text_chars_max=10_000_000)), kept.Killer()
        tool, call_no = moment
        standin.on(tool, killer, call_no=call_no)
        run_id = kept.killed_run(standin, journal, {"agents": agents}, killer)
        results = Orchestrator.resume(run_id, journal, tools=tools_of(standin))
        assert shown(results.refinements) == shown(undisturbed)
        assert shown(Orchestrator.resume(run_id, journal, tools=tools_of(standin)).refinements) == shown(undisturbed)
        assert len(standin.children) == len(results) == 10, "an agent for each task"

    def test_a_looked_up_design_is_part_of_what_is_kept(self, journal: Path) -> None:
        orchestrator, standin = scripted(journal=journal, budget=Budget(attempts=1))
        orchestrator.results["old"] = AgentResult("old", "agent_creator", "completed", DESIGN)  # type: ignore[arg-type]
        told = orchestrator.run_iterative_refinement([{"name": "sorter", "current_score": 3}])["sorter"]
        assert (told.design, told.score) == (DESIGN, 10.0)
        results = Orchestrator.resume(str(orchestrator.run_id), journal, tools=tools_of(standin))
        assert results.refinements["sorter"].design == DESIGN

    def test_other_runs_refine_nothing(self) -> None:
        assert rehearsed().run_parallel([AgentTask("plain", "x")]).refinements == {}
        assert RunResults().refinements == {}


class TestTheOldClass:
    def test_takes_the_same_and_gives_the_same(self) -> None:
        told = RealAIParallelOrchestrator(rehearsal=True).run_iterative_refinement([{"name": "a"}], 8, 2)
        assert scores(told["a"]) == [7.1, 8.2]

    def test_without_a_runtime_it_fails_without_an_exception(self) -> None:
        entries = iter([{"name": "a", "target": 9}, {"name": "b", "current_score": 9}])
        a, b = RealAIParallelOrchestrator().run_iterative_refinement(entries).values()
        assert (b.reached, b.score, b.stopped_because, b.error) == (True, 9, "target", None)
        assert (a.design, a.score, a.target, a.stopped_because, a.cost) == (None, None, 9, "failed", 0)
        assert "openclaw gateway" in str(a.error)


def shown(refinements: dict[str, Refinement]) -> dict[str, Any]:
    """All but costs, which an agent of an earlier process may not tell."""
    return {
        name: (each.design, each.score, each.reached, each.stopped_because, scores(each), each.error)
        for name, each in refinements.items()
    }
