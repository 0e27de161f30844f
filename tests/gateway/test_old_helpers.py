"""The old modules' functions on a real gateway, without any injected tools."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from parallel_agents import ResearchTeam, helpers, openclaw
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
    assert (refined.stopped_because, refined.error, len(refined.rounds)) == ("target", None, 3)
    assert refined.design["system_prompt"]
    assert len(case.calls()) == 5 + 2 + 6


def test_sessions_of_other_programs_are_polled_and_collected(gateway: Gateway, case: Case) -> None:
    tools = openclaw.tools()
    keys = [
        tools.sessions_spawn(f"{case} [[task=t{number}]] [[sleep=1]] [[say=answer {number}]]", model=HAIKU.name)[
            "childSessionKey"
        ]
        for number in range(3)
    ]
    expected = ["answer 0", "answer 1", "answer 2"]
    assert helpers.poll_until_complete(keys, timeout=60) == expected
    assert helpers.collect_agent_results(keys) == expected
    # Only the tools that spawned it remember a session that is to be deleted.
    key = tools.sessions_spawn(f"{case} [[task=gone]] [[say=gone]]", model=HAIKU.name, cleanup="delete")[
        "childSessionKey"
    ]
    assert helpers.poll_until_complete([key], timeout=60, tools=tools) == ["gone"]


PROGRAM = """
from tools import sessions_spawn
from ai_orchestrator import RealAIParallelOrchestrator, create_content_team
from helpers import spawn_parallel_with_retry, spawn_with_retry, collect_agent_results, poll_until_complete

for told in spawn_parallel_with_retry([f"CASE [[task=t{n}]] [[sleep=1]] [[say=answer {n}]]" for n in range(3)]):
    print(told["success"], told["model_used"], told["result"]["text"])
spawned = [sessions_spawn(task=f"CASE [[task=u{n}]] [[say=raw {n}]]", cleanup="delete") for n in range(2)]
print(poll_until_complete([each["childSessionKey"] for each in spawned], timeout=60))
told = spawn_with_retry("CASE [[task=v]] [[say=three]]", use_hierarchy=False)
print(collect_agent_results([told["childSessionKey"]]))
results = RealAIParallelOrchestrator(max_concurrent=5).run_parallel(create_content_team("tea CASE"))
print([result.status.value for result in results.values()])
"""


def test_an_unchanged_program_runs_through_exec(gateway: Gateway, case: Case, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM.replace("CASE", str(case)), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "parallel-agents"), "exec", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        *(f"True {HAIKU.name} answer {number}" for number in range(3)),
        "['raw 0', 'raw 1']",
        "['three']",
        "['completed', 'completed', 'completed', 'completed', 'completed']",
    ]
