"""The command `parallel-agents`: JSON alone on standard output, the rest on standard error, documented exit codes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import parallel_agents
import pytest

from . import child
from .tasks import FIRST_MODEL
from .test_agent_types import BUILT_IN
from .test_results import METADATA

TASKS: list[dict[str, Any]] = [
    {"agent_type": "code_reviewer", "task_description": "Review it.", "task_id": "review"},
    {"agent_type": "documentation_writer", "task_description": "Write.", "task_id": "docs", "dependencies": ["review"]},
]
FAILS = {**TASKS[0], "task_id": "slow", "timeout_seconds": 0.001, "model": FIRST_MODEL}


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return write(tmp_path, TASKS)


def write(folder: Path, document: object) -> Path:
    path = folder / "plan.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def told(*arguments: str, code: int = 0, stdin: str = "") -> tuple[Any, str]:
    """The JSON on standard output, and standard error, of a command that ends with `code`."""
    done = child.run(child.COMMAND, *arguments, stdin=stdin)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout), done.stderr


def refused(*arguments: str, code: int = 2, stdin: str = "") -> str:
    """Standard error of a command that starts nothing."""
    done = child.run(child.COMMAND, *arguments, stdin=stdin)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert "Traceback" not in done.stderr
    assert "panicked" not in done.stderr
    return done.stderr


def assert_completed(document: Any) -> None:
    assert [(each["task_id"], each["status"]) for each in document["results"]] == [
        ("review", "completed"),
        ("docs", "completed"),
    ]


def test_run_prints_one_json_document_and_tells_the_rest_elsewhere(plan: Path) -> None:
    document, errors = told("run", str(plan), "--rehearsal")
    assert_completed(document)
    for result in document["results"]:
        assert set(result["metadata"]) == METADATA
        assert result["metadata"]["runtime"] == "rehearsal"
    assert document["summary"]["attempts"] == 2
    assert "no AI" in errors
    assert "review" in errors
    assert "2 of 2 tasks completed" in errors


def test_run_reads_standard_input() -> None:
    document, _ = told("run", "-", "--rehearsal", stdin=json.dumps(TASKS))
    assert_completed(document)


def test_the_module_is_the_command(plan: Path) -> None:
    done = child.run(sys.executable, "-m", "parallel_agents", "run", str(plan), "--rehearsal")
    assert done.returncode == 0, done.stderr
    assert_completed(json.loads(done.stdout))


def test_results_stand_in_the_order_of_the_plan(tmp_path: Path) -> None:
    tasks = [{**TASKS[0], "task_id": f"task-{index}", "priority": index} for index in range(12)]
    document, _ = told("run", str(write(tmp_path, tasks)), "--rehearsal", "--max-concurrent", "2")
    assert [each["task_id"] for each in document["results"]] == [f"task-{index}" for index in range(12)]


def test_a_plan_may_bring_the_options_of_its_run(tmp_path: Path) -> None:
    plan = write(tmp_path, {"tasks": TASKS, "rehearsal": {"seed": 3}, "models": ["own/model"], "max_concurrent": 1})
    document, errors = told("run", str(plan))
    assert_completed(document)
    assert {each["metadata"]["model_used"] for each in document["results"]} == {"own/model"}
    assert "no AI" in errors


def test_flags_come_before_the_options_of_the_plan(tmp_path: Path) -> None:
    options = {"rehearsal": {"seed": 3}, "models": ["own/model"], "max_concurrent": 0, "cleanup": "keep"}
    plan = str(write(tmp_path, {"tasks": TASKS, **options}))
    document, _ = told("run", plan, "--max-concurrent", "2", "--models", "own/one,own/two", "--cleanup", "delete")
    assert {each["metadata"]["model_used"] for each in document["results"]} == {"own/one"}
    document, _ = told("run", plan, "--max-concurrent", "2", "--model", "own/only")
    assert {each["metadata"]["model_used"] for each in document["results"]} == {"own/only"}


def test_the_flag_for_a_rehearsal_keeps_the_plans_own_rehearsal(tmp_path: Path) -> None:
    fails = {"tasks": [TASKS[0]], "rehearsal": {"failure_rate": 1.0}}
    document, _ = told("run", str(write(tmp_path, fails)), "--rehearsal", code=1)
    assert document["results"][0]["status"] in ("failed", "timeout")


def test_a_plan_for_a_gateway_can_be_rehearsed(tmp_path: Path) -> None:
    plan = write(tmp_path, {"tasks": TASKS, "gateway": {"url": "wss://gateway.example"}})
    document, _ = told("run", str(plan), "--rehearsal")
    assert_completed(document)


def test_a_task_that_did_not_complete_gives_exit_code_1(tmp_path: Path) -> None:
    tasks = [FAILS, {**TASKS[0], "dependencies": ["slow"]}]
    document, errors = told("run", str(write(tmp_path, tasks)), "--rehearsal", code=1)
    assert [each["status"] for each in document["results"]] == ["timeout", "skipped"]
    assert document["results"][1]["metadata"]["skipped_because"] == "slow"
    assert all(each["error"] for each in document["results"])
    assert "0 of 2 tasks completed" in errors


def test_an_empty_plan_is_done_at_once() -> None:
    document, _ = told("run", "-", "--rehearsal", stdin="[]")
    assert document["results"] == []


@pytest.mark.parametrize(
    ("plan", "parts"),
    [
        ("{", ["not valid JSON", "line 1"]),
        ("", ["not valid JSON"]),
        ("5", ["`5`", "tasks"]),
        ({"task": []}, ["tasks"]),
        ({"tasks": {}}, ["tasks", "{}"]),
        ([5], ["number 1", "5"]),
        ([{"agent_type": "code_reviewer"}], ["task_description"]),
        ([{**TASKS[0], "agent_type": "code_reviwer"}], ["`code_reviwer`", "`code_reviewer`"]),
        ([TASKS[0], TASKS[0]], ["task_id", "`review`"]),
        ([TASKS[1]], ["dependencies", "`review`"]),
        ([{**TASKS[0], "dependencies": ["docs"]}, TASKS[1]], ["->", "`docs`"]),
        ([{**TASKS[0], "timeout_seconds": 0}], ["timeout_seconds", "`0`"]),
        ([{**TASKS[0], "colour": "red"}], ["`colour`"]),
        ({"tasks": TASKS, "max_concurrent": 0}, ["max_concurrent", "`0`"]),
        ({"tasks": TASKS, "max_conccurrent": 3}, ["`max_conccurrent`", "`max_concurrent`"]),
        ({"tasks": TASKS, "strategy": {"kind": "refine"}}, ["unknown option `strategy`"]),
    ],
    ids=str,
)
def test_a_bad_plan_gives_exit_code_2_and_one_line(plan: object, parts: list[str], tmp_path: Path) -> None:
    errors = refused("run", str(write(tmp_path, plan)))
    assert all(part in errors for part in parts), errors
    assert errors.startswith("parallel-agents: ")
    assert len(errors.splitlines()) == 1


def test_a_plan_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none.json") in refused("run", str(tmp_path / "none.json"), "--rehearsal")


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["run"], ["run", "-", "--rehearsl"], ["run", "-", "--max-concurrent", "x"], ["agents"]],
    ids=" ".join,
)
def test_a_wrong_command_line_gives_exit_code_2(arguments: list[str]) -> None:
    assert "Usage: parallel-agents" in (errors := refused(*arguments)) or "try '--help'" in errors


def test_two_kinds_of_models_exclude_each_other(plan: Path) -> None:
    assert "--models" in refused("run", str(plan), "--rehearsal", "--model", "a/b", "--models", "c/d")


def test_without_a_gateway_the_exit_code_is_3(plan: Path, closed_port: int) -> None:
    errors = refused("run", str(plan), code=3)
    assert f"127.0.0.1:{closed_port}" in errors
    assert "openclaw gateway" in errors


def test_ctrl_c_gives_exit_code_130_and_what_had_finished(tmp_path: Path) -> None:
    options = {"rehearsal": {"latency_seconds": 36_000, "speed": 1}, "max_concurrent": 2}
    plan = write(tmp_path, {"tasks": [FAILS, *TASKS], **options})
    with child.started(child.COMMAND, "run", str(plan)) as process:
        document = json.loads(child.interrupt_after(process, "[1/3]"))
        assert process.returncode == 130
    assert [each["status"] for each in document["results"]] == ["timeout", "cancelled", "cancelled"]


def test_help_shows_the_exit_codes() -> None:
    for arguments in (["--help"], ["run", "--help"]):
        done = child.run(child.COMMAND, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        codes = [line.split()[0] for line in done.stdout.split("Exit codes:")[1].splitlines() if line.strip()]
        assert codes == ["0", "1", "2", "3", "4", "130", "141"]


def test_the_version_is_that_of_the_package() -> None:
    assert child.run(child.COMMAND, "--version").stdout.strip() == f"parallel-agents {parallel_agents.__version__}"


def test_agents_list_shows_every_type() -> None:
    done = child.run(child.COMMAND, "agents", "list")
    assert [line.split()[1] for line in done.stdout.splitlines()] == BUILT_IN
    rows, errors = told("agents", "list", "--json")
    assert [row["name"] for row in rows] == BUILT_IN
    assert all(set(row) == {"name", "category", "description"} for row in rows)
    assert errors == ""


def test_agents_list_can_be_narrowed_to_a_category() -> None:
    rows, _ = told("agents", "list", "--category", "meta", "--json")
    names = ["agent_creator", "agent_design_reviewer", "agent_refiner", "agent_orchestrator"]
    assert [row["name"] for row in rows] == names


def test_agents_show_gives_the_prompt_and_the_schema() -> None:
    shown, _ = told("agents", "show", "code_reviewer", "--json")
    assert shown["prompt"] == parallel_agents.AGENT_PROMPTS["code_reviewer"]
    assert "score" in shown["output_schema"]["required"]
    done = child.run(child.COMMAND, "agents", "show", "code_reviewer")
    assert done.returncode == 0
    assert parallel_agents.AGENT_PROMPTS["code_reviewer"] in done.stdout


def test_agents_show_names_what_is_near_to_an_unknown_name() -> None:
    assert "`code_reviewer`" in refused("agents", "show", "code_reviwer")


def test_own_agent_types_can_be_added(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "poet.md").write_text("---\nname: poet_of_the_command\ndescription: Writes\n---\nWrite.\n", "utf-8")
    rows, _ = told("agents", "list", "--agents", str(folder), "--json")
    assert rows[-1] == {"name": "poet_of_the_command", "category": "custom", "description": "Writes"}
    plan = write(tmp_path, [{**TASKS[0], "agent_type": "poet_of_the_command"}])
    document, _ = told("run", str(plan), "--rehearsal", "--agents", str(folder))
    assert document["results"][0]["status"] == "completed"
    assert "nowhere" in refused("run", str(plan), "--rehearsal", "--agents", str(tmp_path / "nowhere"))


def test_demo_says_that_no_ai_was_called() -> None:
    done = child.run(child.COMMAND, "demo", "--topic", "rain")
    assert done.returncode == 0, done.stderr
    assert "no AI is called" in done.stdout.splitlines()[0]
    assert "5 of 5 tasks completed" in done.stdout
    for style in ("creative", "funny", "educational", "trendy", "controversial"):
        assert style in done.stdout
