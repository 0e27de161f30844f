"""The old module `ai_orchestrator`: programs written against it run unchanged, on this package's engine."""

from __future__ import annotations

import inspect
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import parallel_agents
import pytest
from parallel_agents import (
    MODEL_HIERARCHY,
    AgentResult,
    AgentStatus,
    AgentTask,
    ModelError,
    OptionError,
    Orchestrator,
    PlanError,
    ai_orchestrator,
)
from parallel_agents.ai_orchestrator import (
    DEFAULT_MODEL,
    RealAIParallelOrchestrator,
    create_content_team,
    create_meta_agent_workflow,
    demo_real_ai_agents,
)

from . import child
from .tasks import endless, review, reviews, too_slow

DOCUMENTED = """
    AgentStatus OutputFormat DEFAULT_AGENT_TIMEOUT DEFAULT_MAX_CONCURRENT DEFAULT_MODEL AGENT_PROMPTS
    list_available_agents get_agent_prompt validate_agent_type AgentTask AgentResult RealAIParallelOrchestrator
    create_content_team create_dev_team create_review_team create_meta_agent_workflow create_custom_agent
    demo_real_ai_agents
"""

# As the old guide writes programs: names from the old module, everything by position, old attributes.
OLD_PROGRAM = """
from parallel_agents.ai_orchestrator import (
    RealAIParallelOrchestrator, AgentTask, AgentStatus, OutputFormat,
    create_content_team, create_review_team, create_meta_agent_workflow,
    list_available_agents, DEFAULT_MODEL,
)

def on_done(result):
    done.append(result.task_id)
    sessions = orch.get_active_sessions()
    assert result.task_id not in sessions

done = []
orch = RealAIParallelOrchestrator(5, RESULTS)
orch.results_dir = RESULTS
tasks = [AgentTask("content_writer_funny", "Write a joke", {"topic": "cats"}, "joke", 60, OutputFormat.JSON, 7, [])]
tasks += create_content_team("Monday motivation", platform="bluesky")
tasks += create_review_team("def f(): return 1")
tasks += create_meta_agent_workflow([{"name": "DataAnalyzer", "purpose": "Analyze CSV data"}])
assert len(tasks) > orch.max_concurrent
results = orch.run_parallel(tasks, callback=on_done)
for task_id, result in results.items():
    if result.success:
        assert result.output
    elif result.failed:
        assert result.error
path = orch.save_results("mine.json")
print(len(results), len(done), sorted({r.status for r in results.values()}), path.name, orch.stats["agents_spawned"])
print(orch.model == DEFAULT_MODEL, orch.active_sessions, orch.results == results, len(list_available_agents()))
"""


def rehearsing(*arguments: Any, **options: Any) -> RealAIParallelOrchestrator:
    return RealAIParallelOrchestrator(*arguments, **{"rehearsal": True, **options})


def models_of(result: AgentResult) -> list[str]:
    return [attempt["model"] for attempt in result.metadata["attempts"]]


def test_every_documented_name_is_in_the_module_and_in_the_package() -> None:
    names = set(DOCUMENTED.split())
    assert names <= set(ai_orchestrator.__all__)
    assert names <= set(parallel_agents.__all__)
    assert all(getattr(ai_orchestrator, name) is getattr(parallel_agents, name) for name in names)
    assert DEFAULT_MODEL == "kimi-coding/k2p5"


def test_a_program_in_the_old_style_runs_unchanged(tmp_path: Path) -> None:
    program = OLD_PROGRAM.replace("(5, RESULTS)", "(max_concurrent=5, rehearsal=True)").replace(
        "RESULTS", repr(str(tmp_path))
    )
    lines = child.run_python(program).splitlines()
    assert lines == ["13 13 [<AgentStatus.COMPLETED: 'completed'>] mine.json 13", "True {} True 25"]
    assert json.loads((tmp_path / "mine.json").read_text(encoding="utf-8")).keys() == {"timestamp", "stats", "results"}


def test_without_a_runtime_the_old_program_gets_failures_and_no_exception(tmp_path: Path) -> None:
    program = OLD_PROGRAM.replace("(5, RESULTS)", "(5)").replace("RESULTS", repr(str(tmp_path)))
    lines = child.run_python(program).splitlines()
    assert lines == ["13 13 [<AgentStatus.FAILED: 'failed'>] mine.json 0", "True {} True 25"]


def test_it_takes_the_documented_parameters() -> None:
    parameters = inspect.signature(RealAIParallelOrchestrator).parameters
    assert [(name, each.default) for name, each in list(parameters.items())[:3]] == [
        ("max_concurrent", 5),
        ("model", "kimi-coding/k2p5"),
        ("results_dir", None),
    ]
    orchestrator = RealAIParallelOrchestrator(3, "own/model", "results")
    assert (orchestrator.max_concurrent, orchestrator.model) == (3, "own/model")
    assert orchestrator.results_dir == Path("results")
    assert isinstance(orchestrator, Orchestrator)


def test_a_model_that_is_not_named_pins_nothing_and_one_that_is_does() -> None:
    fails = review("slow", timeout_seconds=0.001)
    unsaid, said = rehearsing(), rehearsing(model=DEFAULT_MODEL)
    assert unsaid.model == said.model == DEFAULT_MODEL
    assert models_of(unsaid.run_parallel([fails])["slow"]) == MODEL_HIERARCHY
    assert models_of(said.run_parallel([fails])["slow"]) == [DEFAULT_MODEL]
    assert models_of(rehearsing(model=None).run_parallel([fails])["slow"]) == MODEL_HIERARCHY
    own = ["own/one", "own/two"]
    assert models_of(rehearsing(models=own).run_parallel([fails])["slow"]) == own


def test_attributes_may_be_assigned_later(tmp_path: Path) -> None:
    fails = review("slow", timeout_seconds=0.001)
    orchestrator = rehearsing()
    before = orchestrator.model
    orchestrator.model = "own/model"
    assert models_of(orchestrator.run_parallel([fails])["slow"]) == ["own/model"]
    orchestrator.model = before
    assert models_of(orchestrator.run_parallel([fails])["slow"]) == MODEL_HIERARCHY
    orchestrator.results_dir = str(tmp_path)
    assert orchestrator.save_results("named.json") == tmp_path / "named.json"
    assert orchestrator.stats["agents_spawned"] == 4


def test_an_assigned_limit_is_kept_by_the_next_run() -> None:
    def most_at_once(orchestrator: RealAIParallelOrchestrator) -> int:
        spans: list[tuple[float, float]] = [
            (attempt["started"], attempt["ended"])
            for result in orchestrator.run_parallel(reviews(12)).values()
            for attempt in result.metadata["attempts"]
        ]
        return max(sum(other[0] <= start < other[1] for other in spans) for start, _ in spans)

    orchestrator = rehearsing(4)
    assert most_at_once(orchestrator) == 4
    orchestrator.max_concurrent = 1
    assert orchestrator.max_concurrent == 1
    assert most_at_once(orchestrator) == 1


@pytest.mark.parametrize(
    ("name", "value"), [("max_concurrent", 0), ("max_concurrent", "many"), ("model", ""), ("results_dir", 5)]
)
def test_an_assignment_that_cannot_be_used_is_refused_and_changes_nothing(name: str, value: object) -> None:
    orchestrator = rehearsing(2, "own/model")
    with pytest.raises((OptionError, ModelError), match=name):
        setattr(orchestrator, name, value)
    assert (orchestrator.max_concurrent, orchestrator.model) == (2, "own/model")
    assert models_of(orchestrator.run_parallel([review("only")])["only"]) == ["own/model"]


def test_an_unknown_option_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match="max_conccurrent"):
        RealAIParallelOrchestrator(max_conccurrent=3)


def test_tasks_beyond_the_limit_all_run() -> None:
    results = rehearsing(max_concurrent=2).run_parallel(reviews(20))
    assert [result.status for result in results.values()] == [AgentStatus.COMPLETED] * 20


def test_no_tasks_give_no_results_without_a_runtime_too() -> None:
    assert RealAIParallelOrchestrator().run_parallel([]) == {}


def test_without_a_runtime_every_task_fails_and_says_what_to_do() -> None:
    called: list[AgentResult] = []
    orchestrator = RealAIParallelOrchestrator()
    plain = {"agent_type": "code_reviewer", "task_description": "Review it."}
    results = orchestrator.run_parallel([review("one"), plain, review("after", dependencies=["one"])], called.append)
    assert list(results) == ["one", "code_reviewer-2", "after"]
    assert called == list(results.values())
    assert orchestrator.results == results
    for result in results.values():
        assert result.status is AgentStatus.FAILED
        assert result.error is not None
        assert "openclaw gateway" in result.error
        assert (result.output, result.session_key, result.metadata["attempts"]) == (None, None, [])
        assert result.timestamp
    assert (orchestrator.stats["agents_failed"], orchestrator.stats["agents_spawned"]) == (3, 0)
    assert json.loads(json.dumps([result.to_dict() for result in results.values()]))
    rehearsed = rehearsing().run_parallel([review("one")])["one"]
    assert set(results["one"].metadata) == set(rehearsed.metadata)


def test_a_callback_that_raises_ends_nothing_without_a_runtime_either(caplog: pytest.LogCaptureFixture) -> None:
    def callback(_: AgentResult) -> None:
        raise RuntimeError("the listener broke")

    assert len(RealAIParallelOrchestrator().run_parallel(reviews(2), callback)) == 2
    assert caplog.text.count("RuntimeError: the listener broke") == 2


def test_tasks_that_cannot_be_run_are_an_error_all_the_same() -> None:
    with pytest.raises(PlanError, match="twin"):
        rehearsing().run_parallel([review("twin"), review("twin")])
    with pytest.raises(ValueError, match="code_reviwer"):
        AgentTask("code_reviwer", "Review it.")


def test_entries_of_the_meta_workflow_need_no_domain() -> None:
    tasks = create_meta_agent_workflow([{"name": "a", "purpose": "b"}])
    assert [task.agent_type for task in tasks] == ["agent_creator", "agent_design_reviewer"]
    assert all(result.success for result in rehearsing().run_parallel(tasks).values())


def test_live_sessions_can_be_asked_for_from_a_callback_and_from_a_thread() -> None:
    orchestrator = rehearsing(3, rehearsal=endless())
    assert orchestrator.get_active_sessions() == orchestrator.active_sessions == {}
    seen: list[dict[str, str]] = []

    def watch() -> None:
        # By themselves the agents end after half a minute.
        while len(sessions := orchestrator.get_active_sessions()) < 2:
            pass
        seen.append(sessions)
        sessions.pop("task-0")
        seen.append(orchestrator.active_sessions)
        orchestrator.cancel()

    def callback(result: AgentResult) -> None:
        if result.task_id == "first":
            assert "first" not in orchestrator.active_sessions
            threading.Thread(target=watch, daemon=True).start()

    tasks = [too_slow("first"), *reviews(2, timeout_seconds=30, model="own/model")]
    results = orchestrator.run_parallel(tasks, callback)
    keys = {task_id: results[task_id].session_key for task_id in ("task-0", "task-1")}
    assert seen == [{"task-1": keys["task-1"]}, keys]
    assert orchestrator.active_sessions == {}


def test_an_orchestrator_is_no_worse_for_what_the_base_class_offers() -> None:
    orchestrator = rehearsing()
    assert sum(result.success for result in orchestrator.run_iter(reviews(3))) == 3
    assert orchestrator.stats["agents_completed"] == 3


def test_the_demonstration_is_a_rehearsal_without_a_runtime_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    results = demo_real_ai_agents()
    printed = capsys.readouterr().out
    assert [result.success for result in results.values()] == [True] * 5
    assert "REHEARSAL" in printed
    assert "[rehearsal, no AI]" in printed
    assert "5 of 5 completed" in printed
    assert create_content_team("x")[0].agent_type.removeprefix("content_writer_") in printed


def settings(value: object) -> None:
    path = Path(os.environ["OPENCLAW_STATE_DIR"]) / "parallel-agents" / "settings.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")


SETTINGS_PROGRAM = """
from parallel_agents import ai_orchestrator, helpers
made = ai_orchestrator.RealAIParallelOrchestrator
task = {"agent_type": "code_reviewer", "task_description": "x", "task_id": "t", "timeout_seconds": 0.001}
def models(orchestrator):
    return [attempt["model"] for attempt in orchestrator.run_parallel([task])["t"].metadata["attempts"]]
unsaid, said = made(rehearsal=True), made(7, "said/model", rehearsal=True)
print(unsaid.max_concurrent, said.max_concurrent, unsaid.model, models(unsaid), models(said))
print(models(made(rehearsal=True, models=["said/one"])), helpers.MAX_CONCURRENT, helpers.MODEL_HIERARCHY)
unsaid.model = "later/model"
print(models(unsaid))
"""


def test_the_constants_are_those_of_the_settings_and_what_a_program_says_goes_before() -> None:
    settings({"max_concurrent": 2, "model": "own/model"})
    assert child.run_python(SETTINGS_PROGRAM).splitlines() == [
        "2 7 own/model ['own/model'] ['said/model']",
        f"['said/one'] 2 {MODEL_HIERARCHY}",
        "['later/model']",
    ]
    settings({"models": ["own/one", {"model": "own/two"}]})
    assert child.run_python(SETTINGS_PROGRAM).splitlines() == [
        "5 7 kimi-coding/k2p5 ['own/one', 'own/two'] ['said/model']",
        "['said/one'] 5 ['own/one', {'model': 'own/two'}]",
        "['later/model']",
    ]


@pytest.mark.parametrize("value", ["{", {"max_concurrent": 0}])
def test_settings_that_cannot_be_used_are_a_warning(value: object) -> None:
    settings(value)
    program = "from parallel_agents import ai_orchestrator as old; print(old.DEFAULT_MAX_CONCURRENT)"
    done = child.run(sys.executable, "-c", program)
    assert (done.returncode, done.stdout) == (0, "5\n")
    assert "settings.json" in done.stderr
    assert "UserWarning" in done.stderr


def test_who_does_not_import_the_old_modules_reads_no_settings() -> None:
    settings("{")
    program = "import sys, parallel_agents as ours; ours.Orchestrator(rehearsal=True); "
    program += "print('parallel_agents._settings' in sys.modules)"
    assert child.run_python(program) == "False\n"
