"""The old modules' functions on a real gateway, without any injected tools."""

from __future__ import annotations

import time

from parallel_agents import ResearchTeam, helpers
from parallel_agents.ai_orchestrator import RealAIParallelOrchestrator, create_content_team

from .case import Case
from .openclaw import HAIKU, K2P5, Gateway


def test_three_tasks_of_a_second_are_three_answers_of_the_cheapest_model_in_seconds(
    gateway: Gateway, case: Case
) -> None:
    tasks = [f"{case} [[task=t{number}]] [[sleep=1]] [[say=answer {number}]]" for number in range(3)]
    begun = time.monotonic()
    told = helpers.spawn_parallel_with_retry(tasks)
    seconds = time.monotonic() - begun

    assert [each["success"] for each in told] == [True] * 3, told
    assert [each["result"]["text"] for each in told] == ["answer 0", "answer 1", "answer 2"]
    assert [each["model_used"] for each in told] == [HAIKU.name] * 3
    assert [call.model for call in case.calls()] == [HAIKU.name] * 3
    assert seconds < 30
    keys = [each["result"]["childSessionKey"] for each in told]
    assert helpers.collect_agent_results(keys) == ["answer 0", "answer 1", "answer 2"]


def test_one_model_alone_tells_its_spawn_and_the_next_model_follows_a_failure(gateway: Gateway, case: Case) -> None:
    told = helpers.spawn_with_retry(f"{case} [[task=pinned]] [[say=hello]]", model=K2P5.name)
    assert (told["status"], told["text"], told["resolvedModel"]) == ("accepted", "hello", K2P5.name)
    assert told["childSessionKey"].startswith("agent:")
    assert told["runId"]

    told = helpers.spawn_with_model_hierarchy(f"{case} [[task=climbs]] [[claude-haiku-4-5: empty]] [[say=hello]]")
    assert (told["success"], told["model_used"]) == (True, K2P5.name)
    assert [attempt["success"] for attempt in told["attempts"]][-1] is True
    assert told["attempts"][0]["error"]


def test_the_old_orchestrator_the_researchers_and_a_refinement_get_answers(gateway: Gateway, case: Case) -> None:
    orchestrator = RealAIParallelOrchestrator(max_concurrent=5)
    seen: list[dict[str, str]] = []
    results = orchestrator.run_parallel(
        create_content_team(f"tea {case}"), lambda _: seen.append(orchestrator.get_active_sessions())
    )
    assert all(result.success for result in results.values()), results
    assert all(key.startswith("agent:") for sessions in seen for key in sessions.values())

    researched = ResearchTeam([f"tea {case}", f"coffee {case}"]).execute()
    assert all(result.output["summary"] for result in researched.values()), researched

    entry = {"name": "sorter", "purpose": f"sorts mail {case}", "target": 9}
    refined = orchestrator.run_iterative_refinement([entry])["sorter"]
    assert (refined.stopped_because, refined.error, len(refined.rounds)) == ("plateau", None, 2)
    assert refined.design["system_prompt"]
    assert len(case.calls()) == 5 + 2 + 4
