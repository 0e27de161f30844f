"""Programs of the old skill inside an agent runtime: on the callables of an injected module `tools`."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import MODEL_HIERARCHY, AgentResult, ResearchTeam, SpawnError, create_content_team, helpers
from parallel_agents.ai_orchestrator import DEFAULT_MODEL, RealAIParallelOrchestrator
from standin import Habits, StandIn

from . import child

TESTS = Path(__file__).resolve().parents[1]
HAIKU, K2P5, OPUS = MODEL_HIERARCHY


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A runtime in which nothing takes long."""
    return injected(monkeypatch, StandIn(Habits(speed=10)))


def injected(monkeypatch: pytest.MonkeyPatch, standin: StandIn, **shape: Any) -> StandIn:
    module = types.ModuleType("tools")
    vars(module).update(standin.tools(**shape).by_name())
    monkeypatch.setitem(sys.modules, "tools", module)
    return standin


SHAPES: list[dict[str, Any]] = [
    {},
    {"asynchronous": True},
    {"signature": "named"},
    {"signature": "strict", "spawned_key": "sessionKey"},
    {"answers": "object", "key": "sessionKey"},
    {"answers": "json", "content": "string"},
    {"answers": "envelope", "asynchronous": True, "signature": "strict"},
    {"answers": "text"},
    {"answers": "bare"},
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_three_texts_are_three_answers_of_the_cheapest_model(
    monkeypatch: pytest.MonkeyPatch, shape: dict[str, Any]
) -> None:
    standin = injected(monkeypatch, StandIn(Habits(speed=10)), **shape)
    tasks = [f"[[sleep=1]][[say=answer {number}]]" for number in range(3)]
    told = helpers.spawn_parallel_with_retry(tasks)
    assert [each["success"] for each in told] == [True] * 3, told
    assert [each["result"]["text"] for each in told] == ["answer 0", "answer 1", "answer 2"]
    assert [each["model_used"].split("/")[-1] for each in told] == [HAIKU.split("/")[-1]] * 3
    assert len(standin.spawns) == 3
    assert sorted(spawn["task"] for spawn in standin.spawns) == tasks, "nothing is added to a text"
    for spawn in standin.spawns:
        assert (spawn["model"], spawn["runTimeoutSeconds"]) == (HAIKU, 90)
        assert not {"agent_id", "agentId"} & set(spawn)
    runs = {agent.key: agent.run_id for agent in standin.children}
    for each in told:
        answer = each["result"]
        assert answer["status"] == "accepted"
        assert answer["runId"] == runs[answer[shape.get("spawned_key", "childSessionKey")]]
    assert standin.alive == []


@pytest.mark.parametrize("choice", [{"model": "own/model"}, {"use_hierarchy": False}], ids=str)
def test_a_spawn_on_one_model_is_told_as_the_runtime_told_it(standin: StandIn, choice: dict[str, Any]) -> None:
    told = helpers.spawn_with_retry("[[say=hello]]", **choice)
    (agent,) = standin.children
    assert (told["childSessionKey"], told["runId"], told["text"]) == (agent.key, agent.run_id, "hello")
    assert agent.model == choice.get("model", HAIKU)
    # What the runtime told beyond the documented fields is there, too.
    assert set(told) > {"childSessionKey", "runId", "text", "status"}
    assert helpers.collect_agent_results([told["childSessionKey"]]) == ["hello"]


def test_a_failed_model_is_followed_by_the_next(standin: StandIn) -> None:
    told = helpers.spawn_with_model_hierarchy("[[claude-haiku-4-5: http=404]] [[say=hello]]")
    assert [(attempt["model"], attempt["success"]) for attempt in told["attempts"]] == [(HAIKU, False), (K2P5, True)]
    assert told["attempts"][0]["error"]
    assert told["result"]["childSessionKey"] == standin.children[-1].key == told["session_key"]


def test_when_every_model_fails_all_attempts_are_in_the_error(standin: StandIn) -> None:
    with pytest.raises(SpawnError) as caught:
        helpers.spawn_with_model_hierarchy("[[http=404]]")
    assert [attempt["model"] for attempt in caught.value.attempts] == MODEL_HIERARCHY
    assert len(standin.spawns) == 3


def test_a_tool_that_raises_fails_its_task_and_no_other(standin: StandIn) -> None:
    def broken() -> None:
        raise RuntimeError("no room in the inn")

    standin.on("sessions_spawn", broken, call_no=1, when="before")
    told = helpers.spawn_parallel_with_retry(["[[say=one]]", "[[say=two]]"], max_retries=0, use_hierarchy=False)
    assert sorted(each["success"] for each in told) == [False, True]
    (failed,) = (each for each in told if not each["success"])
    assert "no room in the inn" in failed["error"]


def test_raw_spawns_of_the_program_are_polled_and_collected(standin: StandIn) -> None:
    tools = sys.modules["tools"]
    answers = [
        tools.sessions_spawn(task=f"[[sleep={number}]][[say=answer {number}]]", model=HAIKU, cleanup="keep")
        for number in range(3)
    ]
    keys = [answer["childSessionKey"] for answer in answers]
    assert helpers.poll_until_complete(keys, timeout=30) == ["answer 0", "answer 1", "answer 2"]
    assert helpers.collect_agent_results(keys) == ["answer 0", "answer 1", "answer 2"]
    assert len(standin.calls_of("sessions_history")) == 6


def test_the_old_orchestrator_runs_a_team_and_more_tasks_than_it_may_at_once(standin: StandIn) -> None:
    orchestrator = RealAIParallelOrchestrator(max_concurrent=3)
    live: list[dict[str, str]] = []

    def callback(result: AgentResult) -> None:
        live.append(orchestrator.get_active_sessions())
        assert result.task_id not in live[-1]

    tasks = [*create_content_team("Mondays"), *create_content_team("tea")]
    for task in tasks:
        task.task_description += " [[sleep=1]]"
    results = orchestrator.run_parallel(tasks, callback)
    assert [result.status.value for result in results.values()] == ["completed"] * 10
    assert {result.metadata["runtime"] for result in results.values()} == {"tools"}
    assert standin.alive_max == 3
    keys = {task_id: result.session_key for task_id, result in results.items()}
    assert any(live)
    assert all(keys[task_id] == key for sessions in live for task_id, key in sessions.items())
    assert all(not {"agent_id", "agentId"} & set(spawn) for spawn in standin.spawns)
    assert len(standin.spawns) == orchestrator.stats["agents_spawned"] == 10


def test_an_assigned_model_pins_injected_agents(standin: StandIn) -> None:
    orchestrator = RealAIParallelOrchestrator()
    orchestrator.model = DEFAULT_MODEL
    orchestrator.max_concurrent = 1
    assert all(result.success for result in orchestrator.run_parallel(create_content_team("tea")).values())
    assert {spawn["model"] for spawn in standin.spawns} == {DEFAULT_MODEL}
    assert standin.alive_max == 1


def test_researchers_and_a_refinement_run_on_injected_tools(standin: StandIn) -> None:
    results = ResearchTeam(["tea", "coffee"]).execute()
    assert all(result.success for result in results.values()), results
    (refined,) = RealAIParallelOrchestrator().run_iterative_refinement([{"name": "sorter"}]).values()
    assert (refined.stopped_because, refined.error) == ("target", None)
    assert len(standin.spawns) == 2 + 2 * len(refined.rounds)
    assert (refined.score, len(refined.rounds)) == (10, 3)


PROGRAM = """
from tools import sessions_spawn, sessions_list, sessions_history
from parallel_agents.ai_orchestrator import RealAIParallelOrchestrator, create_content_team
from parallel_agents.helpers import spawn_parallel_with_retry, spawn_with_retry, collect_agent_results

orch = RealAIParallelOrchestrator(max_concurrent=5)
results = orch.run_parallel(create_content_team("Monday motivation"))
print(sum(1 for r in results.values() if r.success), "posts")

for r in spawn_parallel_with_retry(["[[say=one]]", "[[say=two]]"], max_retries=2, timeout_seconds=90, wait_time=30):
    print(r["success"], r["result"]["text"])

r = spawn_with_retry("[[say=three]]", model="kimi-coding/k2p5")
print(collect_agent_results([r["childSessionKey"]]))
"""


def test_an_old_program_with_a_module_of_tools_on_its_path_runs_unchanged(tmp_path: Path) -> None:
    module = f"import sys\nsys.path.insert(0, {str(TESTS)!r})\nfrom standin import StandIn\n"
    (tmp_path / "tools.py").write_text(module + "vars().update(StandIn().tools().by_name())\n", encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    done = child.run(sys.executable, str(tmp_path / "program.py"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["5 posts", "True one", "True two", "['three']"]
