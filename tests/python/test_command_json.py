"""The command for an agent's shell tool: one document of bounded size, whole outputs by name, runs that go on alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import Orchestrator, journal_runs
from standin import Habits, Reply, Request, StandIn

from . import child
from .injected import ask
from .test_command import FAILS, TASKS, refused, told, write
from .test_command_journal import LONG, default, killed, long_plan, running
from .test_stuck import QUESTION, asking, first_run

__all__ = ["default", "long_plan"]

ENTRY = [
    "task_id",
    "agent_type",
    "status",
    "output",
    "error",
    "cost",
    "model_used",
    "session_key",
    "attempts",
    "execution_time",
]
MARKS = ["output_bytes", "output_cut", "error_bytes", "error_cut", "rest"]
TOTALS = [
    "tasks",
    "attempts",
    "retries",
    "cost",
    "currency",
    "tokens",
    "budget",
    "sessions_left",
    "execution_time",
    "agent_seconds",
]
SLOW: dict[str, Any] = {"rehearsal": {"latency_seconds": 3, "speed": 2}}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal whose name a shell must be told."""
    return tmp_path / "the runs.sqlite"


def kept_run(journal: Path, outputs: dict[str, str]) -> str:
    """The id of a run whose tasks, in this order, have these outputs."""

    def answers(request: Request) -> Reply:
        name = request.prompt.split("[[task=")[1].split("]]")[0]
        return Reply(names[name])

    names = {f"n{index}": text for index, text in enumerate(outputs.values())}
    tasks = [{**ask(f"n{index}"), "task_id": task_id} for index, task_id in enumerate(outputs)]
    standin = StandIn(Habits(text_chars_max=50_000_000), answers=answers)
    orchestrator = Orchestrator(50, tools=standin.tools(), journal=journal, output_bytes_max=20_000_000)
    results = orchestrator.run_parallel(tasks)
    assert results.run_id is not None
    assert all(result.success for result in results.values())
    return results.run_id


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as it is printed."""
    path = f"{Path(child.COMMAND).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    return subprocess.run(
        ["/bin/sh", "-c", command], env=environment, capture_output=True, text=True, timeout=child.SECONDS_MAX
    )


def children_of(process: int) -> list[int]:
    """Its child processes."""
    listed = child.run("ps", "-A", "-o", "pid=,ppid=").stdout.splitlines()
    return [int(pid) for pid, parent in map(str.split, listed) if int(parent) == process]


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def waited(run: str, journal: Path, limit: int, code: int = 0) -> Any:
    """The document that `wait` prints, which is no longer than it may be."""
    arguments = ("wait", run, "--journal", str(journal), "--output-bytes", str(limit))
    done = subprocess.run([child.COMMAND, *arguments], capture_output=True, timeout=child.SECONDS_MAX)
    assert done.returncode == code, done.stderr
    assert len(done.stdout) <= limit
    return json.loads(done.stdout)


def test_the_document_tells_of_each_task_and_of_all(tmp_path: Path) -> None:
    document, errors = told("run", "--json", str(write(tmp_path, TASKS)), "--rehearsal", "--budget-usd", "5")
    assert list(document) == ["run_id", "status", "totals", "results"]
    assert document["status"] == "completed"
    assert [each["task_id"] for each in document["results"]] == ["review", "docs"]
    assert all(list(each) == ENTRY for each in document["results"])
    assert all(isinstance(each["output"], dict) for each in document["results"])
    assert list(document["totals"]) == TOTALS
    assert document["totals"]["tasks"]["completed"] == 2
    assert document["totals"]["budget"]["usd"]["cap"] == 5
    assert document["totals"]["sessions_left"] == {"count": 0, "session_keys": []}
    assert document["totals"]["tokens"] > 0
    assert document["run_id"] in errors
    assert "2 of 2 tasks completed" in errors


def test_the_time_of_a_run_is_not_the_sum_of_its_agents(tmp_path: Path) -> None:
    apart = [{"agent_type": "code_reviewer", "task_description": "Review.", "task_id": name} for name in "ab"]
    document, _ = told("run", "--json", str(write(tmp_path, apart)), "--rehearsal")
    times = [each["execution_time"] for each in document["results"]]
    assert document["totals"]["execution_time"] == pytest.approx(max(times), abs=0.01)
    assert document["totals"]["agent_seconds"] == pytest.approx(sum(times), abs=0.01)
    empty, _ = told("run", "--json", str(write(tmp_path, [])), "--rehearsal")
    assert (empty["totals"]["execution_time"], empty["totals"]["agent_seconds"]) == (0, 0)


def test_what_was_never_started_cost_nothing_and_not_less(tmp_path: Path) -> None:
    tasks = [FAILS, {**TASKS[0], "task_id": "after", "dependencies": [FAILS["task_id"]]}]
    document, _ = told("run", "--json", str(write(tmp_path, tasks)), "--rehearsal", code=1)
    assert document["results"][1]["status"] == "skipped"
    assert str(document["results"][1]["cost"]) == "0.0"


def test_without_it_the_whole_document_is_printed(tmp_path: Path) -> None:
    document, _ = told("run", str(write(tmp_path, TASKS)), "--rehearsal")
    assert set(document) == {"results", "summary"}
    assert "raw" in document["results"][0]


@pytest.mark.parametrize(
    ("plan", "status", "code"),
    [
        ([FAILS], "failed", 1),
        ([FAILS, TASKS[0]], "partial", 1),
        ({"tasks": [FAILS, TASKS[0]], "until": "any"}, "completed", 0),
        ({"tasks": TASKS, **LONG, "deadline_seconds": 0.3}, "stopped", 1),
        ([], "completed", 0),
    ],
    ids=["failed", "partial", "met", "stopped", "empty"],
)
def test_one_word_says_what_became_of_the_run(plan: object, status: str, code: int, tmp_path: Path) -> None:
    flags = [] if isinstance(plan, dict) and "rehearsal" in plan else ["--rehearsal"]
    document, _ = told("run", "--json", str(write(tmp_path, plan)), *flags, code=code)
    assert document["status"] == status
    again, _ = told("wait", document["run_id"], code=code)
    assert again == document
    assert ("outcome" in document) is (status == "completed" and document["results"] != [])


def test_ctrl_c_still_prints_the_document(long_plan: str) -> None:
    with child.started(child.COMMAND, "run", "--json", long_plan) as process:
        document = json.loads(child.interrupt_after(process, "[1/3]"))
        assert process.returncode == 130
    assert document["status"] == "stopped"
    assert [each["status"] for each in document["results"]] == ["timeout", "cancelled", "cancelled"]


def test_without_a_journal_the_document_says_that_there_are_no_handles(tmp_path: Path) -> None:
    plan = str(write(tmp_path, [{**TASKS[0], "task_id": f"t{index}"} for index in range(40)]))
    document, _ = told("run", "--json", plan, "--rehearsal", "--no-journal", "--output-bytes", "4000")
    assert document["run_id"] is None
    assert "no journal" in document["note"]
    assert document["omitted"]["list"] is None
    assert {each.get("rest") for each in document["results"]} == {None}


def test_progress_stays_short_beside_the_document(tmp_path: Path) -> None:
    plan = write(tmp_path, [{**TASKS[0], "task_id": f"t{index}" + "x" * 180} for index in range(300)])
    document, errors = told("run", "--json", str(plan), "--rehearsal")
    assert len(document["results"]) + document["omitted"]["count"] == 300
    assert len(errors.encode()) < 5_000
    assert "300 of 300 tasks completed" in errors


@pytest.mark.parametrize(
    "outputs",
    [
        {"one": "x" * 10_000_000},
        {"one": "ä€😀\u2028" * 30_000, "two": "short"},
        {"one": '"\\\n\t\u0001' * 20_000, "two": '"' * 9_000, "three": "fine"},
        {f"task {index} of 'all' $HOME": "word " * (index * 7) for index in range(1, 500)},
        {f"t{index}": "y" * (10 if index % 10 else 30_000) for index in range(40)},
    ],
    ids=["10 MB", "multi-byte", "escapes", "500 tasks", "few long ones"],
)
def test_the_document_is_never_longer_than_it_may_be(outputs: dict[str, str], journal: Path) -> None:
    run = kept_run(journal, outputs)
    for limit in (4_000, 12_000, 24_000, 60_000):
        assert_fair(outputs, waited(run, journal, limit))


def assert_fair(outputs: dict[str, str], document: Any) -> None:
    """Each task is shown or named, short outputs whole, long ones with their beginnings."""
    shown = document["results"]
    omitted = document.get("omitted", {"count": 0, "task_ids": []})
    assert [each["task_id"] for each in shown] == list(outputs)[: len(shown)]
    assert len(shown) + omitted["count"] == len(outputs)
    assert omitted["task_ids"] == list(outputs)[len(shown) :][: len(omitted["task_ids"])]
    assert shown
    for each in shown:
        whole = outputs[each["task_id"]].strip()
        if each.get("output_cut"):
            assert whole.startswith(each["output"])
            assert each["output_bytes"] == len(whole.encode())
            assert each["output"]
        else:
            assert each["output"] == whole
            assert list(each) == ENTRY
    lengths = {len(json.dumps(each["output"], ensure_ascii=False).encode()): each for each in shown}
    cut = [length for length, each in lengths.items() if "output_cut" in each]
    whole_ones = [length for length, each in lengths.items() if "output_cut" not in each]
    assert not cut or max(whole_ones, default=0) <= max(cut) + 12, "no short one is cut for a long one"


def test_what_is_cut_or_left_out_is_printed_by_the_command_that_stands_there(journal: Path) -> None:
    outputs = {f"it's task {index}": f"{index} " * 400 for index in range(30)}
    outputs = {"-x": "begins like an option " * 100, **outputs}
    run = kept_run(journal, outputs)
    document = waited(run, journal, 4_000)
    for each in document["results"]:
        done = shell(each["rest"])
        assert (done.returncode, done.stdout) == (0, outputs[each["task_id"]].strip() + "\n"), done.stderr
    listed = shell(document["omitted"]["list"]).stdout.splitlines()
    assert [line.split(maxsplit=2)[2] for line in listed] == list(outputs)


def test_json_that_is_cut_is_the_beginning_of_its_text(tmp_path: Path) -> None:
    plan = str(write(tmp_path, [{**TASKS[0], "task_id": f"t{index}"} for index in range(6)]))
    document, _ = told("run", "--json", plan, "--rehearsal", "--output-bytes", "4000")
    whole, _ = told("output", document["run_id"], "t0")
    (first, *_) = document["results"]
    assert json.dumps(whole, separators=(",", ":"), ensure_ascii=False).startswith(first["output"])
    assert first["output_cut"] is True


def test_a_limit_that_is_no_limit_is_refused(tmp_path: Path) -> None:
    plan = str(write(tmp_path, TASKS))
    for limit in ("0", "3999", "-1", "many"):
        assert "--output-bytes" in refused("run", "--json", plan, "--rehearsal", f"--output-bytes={limit}")


def test_questions_stand_beside_the_results_with_what_answers_them(journal: Path) -> None:
    run, _ = first_run(asking(), journal)
    document = waited(run, journal, 24_000, code=1)
    assert document["status"] == "needs_input"
    (question,) = document["questions"]
    assert (question["task_id"], question["question"]) == ("asks", QUESTION)
    answer = question["answer"].replace("YOUR ANSWER", "the one by the river")
    assert "--answer 'asks=YOUR ANSWER' --json" in question["answer"]
    # Its tools are in Python, so the command says who can go on; it found the run and the journal.
    assert f'Orchestrator.resume("{run}"' in shell(answer).stderr


def test_resume_and_orchestrate_mean_the_same_by_it(tmp_path: Path) -> None:
    document, _ = told("run", str(write(tmp_path, TASKS)), "--rehearsal")
    run = document["summary"]["run_id"]
    short, _ = told("resume", run, "--json")
    assert list(short) == ["run_id", "status", "totals", "results"]
    orchestrated, _ = told("orchestrate", "Do it.", "--rehearsal", "--json", "--output-bytes", "5000")
    assert orchestrated["outcome"]["kind"] == "orchestration"
    assert "report" in orchestrated["outcome"]
    assert len(json.dumps(orchestrated)) < 6_000
    whole, _ = told("orchestrate", "Do it.", "--rehearsal", "--full")
    assert set(whole) == {"results", "summary", "outcome"}
    assert "--full" in refused("orchestrate", "Do it.", "--rehearsal", "--full", "--json")


class TestOutput:
    def test_prints_one_task_whole(self, journal: Path) -> None:
        text = "line\n" * 100_000 + "end"
        run = kept_run(journal, {"long": text, "json": '{"a": [1, 2]}'})
        done = child.run(child.COMMAND, "output", run[:-1], "long", "--journal", str(journal))
        assert (done.returncode, done.stdout, done.stderr) == (0, text + "\n", "")
        done = child.run(child.COMMAND, "output", run, "json", "--raw", "--journal", str(journal))
        assert done.stdout == '{"a": [1, 2]}\n'

    def test_without_output_tells_why_and_what_its_agent_wrote(self, journal: Path) -> None:
        run, _ = first_run(asking(), journal)
        done = child.run(child.COMMAND, "output", run, "asks", "--journal", str(journal))
        assert (done.returncode, done.stdout) == (1, "")
        assert f"task `asks` has no output, it is needs_input: {QUESTION}; --raw" in done.stderr
        assert QUESTION in child.run(child.COMMAND, "output", run, "asks", "--raw", "--journal", str(journal)).stdout
        done = child.run(child.COMMAND, "output", run, "next", "--raw", "--journal", str(journal))
        assert done.returncode == 1
        assert "it is skipped" in done.stderr

    def test_of_what_is_not_there_names_what_is_near(self, tmp_path: Path, default: Path) -> None:
        assert "there is no journal" in refused("output", "none", "task")
        document, _ = told("run", "--json", str(write(tmp_path, TASKS)), "--rehearsal")
        run = document["run_id"]
        assert f"run `{run}` has no task `revew` (did you mean `review`?)" in refused("output", run[:-2], "revew")
        assert f"`{run}`" in refused("output", run[:-1] + "?", "review")

    def test_works_while_the_run_goes_on(self, default: Path, long_plan: str) -> None:
        with running(long_plan):
            run = journal_runs(default)[0]["run_id"]
            done = child.run(child.COMMAND, "output", run, "review")
            assert (done.returncode, "has not ended" in done.stderr) == (1, True)
            done = child.run(child.COMMAND, "output", run, "slow")
            assert (done.returncode, "it is timeout" in done.stderr) == (1, True)
            lines = child.run(child.COMMAND, "output", run).stdout.splitlines()
            assert [line.split()[0] for line in lines] == ["timeout", "open", "open"]


class TestDetached:
    @pytest.fixture
    def slow_plan(self, tmp_path: Path) -> str:
        """Two agents one after the other, of some seconds each."""
        return str(write(tmp_path, {"tasks": TASKS, **SLOW}))

    @pytest.fixture
    def endless(self, tmp_path: Path, default: Path) -> Iterator[Callable[..., Any]]:
        """Detaches runs that work for hours, and stops them at the end."""
        runs: list[str] = []

        def detach(*flags: str) -> Any:
            plan = str(write(tmp_path, {"tasks": [FAILS, *TASKS], **LONG}))
            answer, _ = told("run", "--detach", plan, *flags)
            runs.append(answer["run_id"])
            return answer

        yield detach
        for run in runs:
            child.run(child.COMMAND, "stop", run)

    def test_answers_at_once_and_wait_collects(self, slow_plan: str) -> None:
        since = time.monotonic()
        answer, errors = told("run", "--detach", slow_plan)
        assert errors == ""
        assert list(answer) == ["run_id", "status", "tasks", "wait", "output", "stop", "log"]
        still, _ = told("wait", answer["run_id"], "--timeout", "0", code=5)
        assert time.monotonic() - since < 4
        assert still["status"] == "running"
        assert still["progress"]["total"] == 2
        assert still["wait"] == answer["wait"] == f"parallel-agents wait {answer['run_id']}"
        done = shell(answer["wait"])
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["status"] == "completed"
        assert [each["task_id"] for each in document["results"]] == ["review", "docs"]
        log = Path(answer["log"])
        assert log.parent == Path(os.environ["OPENCLAW_STATE_DIR"]) / "parallel-agents"
        deadline = time.monotonic() + 10
        while log.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not log.exists()

    def test_that_has_not_ended_well_keeps_its_log_for_its_user_alone(self, tmp_path: Path) -> None:
        plan = str(write(tmp_path, {"tasks": [FAILS, *TASKS]}))
        answer, _ = told("run", "--detach", plan, "--rehearsal")
        told("wait", answer["run_id"], "--timeout", "30", code=1)
        log = Path(answer["log"])
        time.sleep(0.5)
        assert "[3/3]" in log.read_text(encoding="utf-8")
        assert log.stat().st_mode & 0o077 == 0

    @pytest.mark.parametrize(("end", "code"), [("closed pipe", 141), ("full disk", 4)])
    def test_an_answer_that_nobody_takes_stands_on_standard_error(
        self, end: str, code: int, tmp_path: Path, default: Path
    ) -> None:
        if end == "closed pipe":
            reader, writer = os.pipe()
            os.close(reader)
        elif Path("/dev/full").exists():
            writer = os.open("/dev/full", os.O_WRONLY)
        else:
            pytest.skip("this system has no /dev/full")
        command = [child.COMMAND, "run", "--detach", str(write(tmp_path, TASKS)), "--rehearsal"]
        try:
            done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=child.SECONDS_MAX)
        finally:
            os.close(writer)
        run = journal_runs(default)[0]["run_id"]
        assert done.returncode == code, done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert done.stderr.endswith(f"run {run} goes on: parallel-agents wait {run}\n"), done.stderr
        document, _ = told("wait", run, "--timeout", "30")
        assert document["status"] == "completed"

    def test_outlives_whoever_started_it(self, slow_plan: str) -> None:
        command = f"{child.COMMAND} run --detach {slow_plan}; sleep 600"
        with subprocess.Popen(
            ["/bin/sh", "-c", command], stdout=subprocess.PIPE, text=True, start_new_session=True
        ) as started:
            assert started.stdout is not None
            answer = json.loads(started.stdout.readline())
            os.killpg(started.pid, signal.SIGKILL)
        document, _ = told("wait", answer["run_id"])
        assert document["status"] == "completed"

    def test_holds_nothing_that_it_was_given(self, endless: Callable[..., Any], tmp_path: Path) -> None:
        # Each of the three, and a pipe beside them, ends with the first process.
        read, written = os.pipe()
        plan = str(write(tmp_path, {"tasks": TASKS, **LONG}))
        done = subprocess.run(
            [child.COMMAND, "run", "--detach", plan], capture_output=True, text=True, timeout=20, pass_fds=[written]
        )
        os.close(written)
        answer = json.loads(done.stdout)
        os.set_blocking(read, False)
        assert os.read(read, 1) == b"", "the other end is closed"
        os.close(read)
        assert child.run(child.COMMAND, "stop", answer["run_id"]).returncode == 0

    def test_takes_its_plan_from_standard_input_and_knows_its_options(self, default: Path) -> None:
        plan = {"tasks": TASKS, "rehearsal": {"speed": 100}, "until": "any", "models": ["own/model"]}
        answer, _ = told("run", "--detach", "-", stdin=json.dumps(plan))
        document, _ = told("wait", answer["run_id"])
        assert document["outcome"]["met"] is True
        assert document["results"][0]["model_used"] == "own/model"

    def test_is_stopped_by_name(self, endless: Callable[..., Any]) -> None:
        answer = endless()
        assert shell(answer["stop"]).returncode == 0
        document, _ = told("wait", answer["run_id"], code=1)
        assert document["status"] == "stopped"
        assert "stopped by `parallel-agents stop`" in document["results"][1]["error"]

    def test_a_wait_that_is_interrupted_leaves_it_alone(self, endless: Callable[..., Any], default: Path) -> None:
        answer = endless()
        with child.started(child.COMMAND, "wait", answer["run_id"]) as process:
            time.sleep(1)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=child.SECONDS_MAX)
        assert (process.returncode, output) == (130, "")
        assert "goes on" in errors
        assert journal_runs(default)[0]["state"] == "running"

    @pytest.mark.parametrize(
        ("stdin", "flags", "code", "words"),
        [
            ("{", [], 2, "not valid JSON"),
            ('[{"agent_type": "code_reviwer", "task_description": "x"}]', [], 2, "`code_reviewer`"),
            (json.dumps(TASKS), ["--max-concurrent", "0"], 2, "max_concurrent"),
            (json.dumps(TASKS), ["--until", "first(9)"], 2, "first"),
            (json.dumps(TASKS), ["--no-journal"], 2, "--no-journal"),
            (json.dumps(TASKS), [], 3, "openclaw gateway run"),
        ],
        ids=["no JSON", "no agent type", "bad option", "bad join", "no journal", "no gateway"],
    )
    def test_what_cannot_run_is_told_by_the_first_command(
        self, stdin: str, flags: list[str], code: int, words: str, default: Path
    ) -> None:
        assert words in refused("run", "--detach", "-", *flags, code=code, stdin=stdin)
        assert list(default.parent.glob("*.log")) == []
        assert not default.exists() or journal_runs(default) == []

    @pytest.mark.parametrize(("whom", "code"), [("first", 130), ("second", 4)])
    def test_that_is_ended_before_it_has_begun_leaves_no_process(self, whom: str, code: int, tmp_path: Path) -> None:
        plan = str(write(tmp_path, TASKS))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"ws://127.0.0.1:{silent.getsockname()[1]}/"
            with child.started(child.COMMAND, "run", "--detach", plan, "--gateway-url", url) as process:
                # The second process greets a gateway that says nothing.
                silent.settimeout(child.SECONDS_MAX)
                greeting, _ = silent.accept()
                (second,) = children_of(process.pid)
                os.kill(
                    process.pid if whom == "first" else second, signal.SIGINT if whom == "first" else signal.SIGKILL
                )
                output, errors = process.communicate(timeout=child.SECONDS_MAX)
                greeting.close()
        assert (process.returncode, output) == (code, "")
        assert "does not go on" in errors or "without a word" in errors
        assert not is_alive(second)

    def test_a_journal_elsewhere_is_named_in_every_command(self, journal: Path, slow_plan: str) -> None:
        answer, _ = told("run", "--detach", slow_plan, "--journal", str(journal), "--output-bytes", "4000")
        assert f"--journal '{journal}'" in answer["wait"]
        assert answer["wait"].endswith("--output-bytes 4000")
        done = shell(answer["wait"])
        assert (done.returncode, len(done.stdout) <= 4_000) == (0, True), done.stderr
        assert Path(answer["log"]).parent == journal.parent

    def test_it_needs_neither_the_environment_nor_the_folder_to_find_the_package(
        self, slow_plan: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "parallel_agents.py").write_text("raise SystemExit('another one')", encoding="utf-8")
        (tmp_path / "json.py").write_text("raise SystemExit('another one')", encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        done = child.run(sys.executable, "-I", "-m", "parallel_agents", "run", "--detach", slow_plan, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["tasks"] == 2

    def test_without_an_interpreter_it_is_refused(self, slow_plan: str, default: Path) -> None:
        program = (
            "import sys; from parallel_agents.__main__ import main; sys.executable = ''; "
            f"sys.argv = ['parallel-agents', 'run', '--detach', {slow_plan!r}]; sys.exit(main())"
        )
        done = child.run(sys.executable, "-c", program)
        assert (done.returncode, done.stdout) == (2, "")
        assert "run without --detach" in done.stderr


class TestWait:
    def test_of_a_run_whose_process_has_died_names_what_goes_on_with_it(self, default: Path, long_plan: str) -> None:
        run = killed(long_plan, default)
        document, _ = told("wait", run, code=1)
        assert document["status"] == "open"
        assert document["resume"] == f"parallel-agents resume {run} --json"
        assert [each["task_id"] for each in document["results"]] == ["slow"]
        assert document["totals"]["tasks"]["total"] == 3

    def test_of_a_run_that_is_not_there_or_for_no_time_is_refused(self, tmp_path: Path, default: Path) -> None:
        assert "there is no journal" in refused("wait", "none")
        document, _ = told("run", "--json", str(write(tmp_path, TASKS)), "--rehearsal")
        assert "no run `x`" in refused("wait", "x")
        for timeout in ("-1", "nan", "x"):
            assert "--timeout" in refused("wait", document["run_id"], f"--timeout={timeout}")
        told("wait", document["run_id"], "--timeout", "1e300")

    def test_sees_the_end_of_a_run_in_the_foreground(self, tmp_path: Path, default: Path) -> None:
        plan = str(write(tmp_path, {"tasks": TASKS, **SLOW}))
        with child.started(child.COMMAND, "run", plan) as process:
            assert process.stderr is not None
            while "is kept" not in (line := process.stderr.readline()):
                assert line, "the process ended by itself"
            document, _ = told("wait", journal_runs(default)[0]["run_id"], "--timeout", "30")
            assert document["status"] == "completed"


def test_the_commands_name_the_program_that_was_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARALLEL_AGENTS_COMMAND", "python3 skill/launch.py")
    answer, _ = told("run", "--detach", str(write(tmp_path, TASKS)), "--rehearsal")
    assert answer["wait"].startswith("python3 skill/launch.py wait ")


@pytest.mark.parametrize(("command", "codes"), [("wait", "0 1 2 4 5 130 141"), ("output", "0 1 2 4 141")])
def test_help_shows_their_exit_codes(command: str, codes: str) -> None:
    shown = child.run(child.COMMAND, command, "--help").stdout.split("Exit codes:")[1]
    assert [line.split()[0] for line in shown.splitlines() if line.strip()] == codes.split()
