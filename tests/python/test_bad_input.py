"""Bad input gets a typed error that is a `ValueError` too, names the field and the value, and starts nothing."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import (
    AgentResult,
    AgentTask,
    AgentTypeError,
    Gateway,
    GatewayError,
    ModelError,
    OptionError,
    Orchestrator,
    ParallelAgentsError,
    PlanError,
    Rehearsal,
    RetryPolicy,
    Tier,
)

from .tasks import review

TOKEN = "tok-7f3a-not-to-be-shown"


def raised_by(tasks: Any) -> ParallelAgentsError:
    """The error of a run that does not start, by every way to start one."""
    called: list[AgentResult] = []
    orchestrator = Orchestrator(rehearsal=True)
    with pytest.raises(ParallelAgentsError) as caught:
        orchestrator.run_parallel(tasks, callback=called.append)
    with pytest.raises(type(caught.value)):
        next(iter(orchestrator.run_iter(tasks)))
    assert called == []
    assert orchestrator.results == {}
    assert orchestrator.stats["agents_spawned"] == 0
    return caught.value


def assert_names(error: BaseException, *parts: str) -> None:
    assert isinstance(error, ValueError)
    message = str(error)
    assert all(part in message for part in parts), message


def endless_list() -> list[Any]:
    within: list[Any] = []
    within.append(within)
    return within


FIELDS: dict[str, tuple[dict[str, Any], type[Exception], list[str]]] = {
    "an unknown agent type": ({"agent_type": "code_reviwer"}, AgentTypeError, ["`code_reviwer`", "`code_reviewer`"]),
    "an agent type that is no text": ({"agent_type": 5}, PlanError, ["agent_type", "`5`"]),
    "no agent type": ({"agent_type": None}, PlanError, ["agent_type"]),
    "an empty description": ({"task_description": ""}, PlanError, ["task_description", '`""`']),
    "a blank description": ({"task_description": " \n"}, PlanError, ["task_description"]),
    "no description": ({"task_description": None}, PlanError, ["task_description"]),
    "a timeout of zero": ({"timeout_seconds": 0}, PlanError, ["timeout_seconds", "`0`", "above 0"]),
    "a negative timeout": ({"timeout_seconds": -3}, PlanError, ["timeout_seconds", "`-3`"]),
    "a timeout that is no number": ({"timeout_seconds": "soon"}, PlanError, ["timeout_seconds", "soon"]),
    "a timeout without end": ({"timeout_seconds": float("inf")}, PlanError, ["timeout_seconds", "inf"]),
    "a timeout of eight days": ({"timeout_seconds": 8 * 86400}, PlanError, ["timeout_seconds", "691200", "604800"]),
    "an unknown format": ({"output_format": "yaml"}, PlanError, ["output_format", "yaml", "markdown"]),
    "a priority that is no number": ({"priority": "high"}, PlanError, ["priority", "high"]),
    "a priority with a fraction": ({"priority": 1.5}, PlanError, ["priority", "1.5"]),
    "a set in the data": ({"input_data": {"a": {"b": {1, 2}}}}, PlanError, ["input_data.a.b", "set"]),
    "an object in the data": ({"input_data": {"a": [object()]}}, PlanError, ["input_data.a[0]", "object"]),
    "bytes in the data": ({"input_data": {"a": b"raw"}}, PlanError, ["input_data.a", "bytes"]),
    "NaN in the data": ({"input_data": {"a": float("nan")}}, PlanError, ["input_data.a", "NaN"]),
    "a key that is no text": ({"input_data": {7: "x"}}, PlanError, ["input_data", "7"]),
    "half a character": ({"input_data": {"a": "\ud800"}}, PlanError, ["input_data.a"]),
    "data within itself": ({"input_data": {"a": endless_list()}}, PlanError, ["input_data", "deep"]),
    "data that is no dict": ({"input_data": [1]}, PlanError, ["input_data", "[1]"]),
    "a dependency that does not exist": ({"dependencies": ["nobody"]}, PlanError, ["dependencies", "`nobody`"]),
    "dependencies that are no list": ({"dependencies": "other"}, PlanError, ["dependencies", "other"]),
    "an empty id": ({"task_id": ""}, PlanError, ["task_id", '`""`']),
    "an id with a line break": ({"task_id": "a\nb"}, PlanError, ["task_id"]),
    "a schema that is none": ({"output_schema": {"type": "strnig"}}, PlanError, ["output_schema", "strnig"]),
    "a schema that is a list": ({"output_schema": []}, PlanError, ["output_schema", "[]"]),
    "no models": ({"models": []}, ModelError, ["models", "empty"]),
    "a model twice": ({"models": ["a/b", "a/b"]}, ModelError, ["models", "`a/b`"]),
    "a negative price": ({"models": [Tier("a/b", {"input": -1, "output": 1})]}, ModelError, ["price", "a/b"]),
    "half a price": ({"models": [Tier("a/b", {"input": 1})]}, PlanError, ["models", "a/b", "output"]),
    "a model and models": ({"model": "a/b", "models": ["c/d"]}, PlanError, ["`model`", "a/b", "`models`"]),
    "an unknown field": ({"outptu_format": "json"}, PlanError, ["`outptu_format`", "`output_format`"]),
}


@pytest.mark.parametrize("case", FIELDS)
def test_a_task_that_cannot_be_used_is_refused(case: str) -> None:
    fields, error, parts = FIELDS[case]
    task = {"agent_type": "code_reviewer", "task_description": "Review it.", **fields}
    raised = raised_by([review("other"), task])
    assert isinstance(raised, error)
    assert_names(raised, *parts)


@pytest.mark.parametrize("case", [case for case, (fields, *_) in FIELDS.items() if "outptu_format" not in fields])
def test_an_agent_task_is_refused_like_a_dict_at_the_latest_when_its_run_starts(case: str) -> None:
    fields, error, parts = FIELDS[case]
    with pytest.raises(error) as caught:
        task = AgentTask(**{"agent_type": "code_reviewer", "task_description": "Review it.", **fields})
        Orchestrator(rehearsal=True).run_parallel([review("other"), task])
    assert_names(caught.value, *parts)


def test_an_error_names_its_task() -> None:
    fields: dict[str, Any]
    for fields in ({"timeout_seconds": 0}, {"agent_type": "nobody"}, {"input_data": {"a": {1}}}, {"colour": "red"}):
        task = {"agent_type": "code_reviewer", "task_description": "Review it.", "task_id": "mine", **fields}
        assert_names(raised_by([review("other"), task]), "mine")
        del task["task_id"]
        assert_names(raised_by([review("other"), task]), "number 2")


def test_two_tasks_with_one_id_are_refused() -> None:
    assert_names(raised_by([review("one"), review("twin"), review("twin")]), "task_id", "`twin`")


def test_a_cycle_is_shown() -> None:
    cycle = [review("a", dependencies=["b"]), review("b", dependencies=["c"]), review("c", dependencies=["a"])]
    assert_names(raised_by([review("other"), *cycle]), "dependencies", "`a` -> `b` -> `c` -> `a`")
    assert_names(raised_by([review("self", dependencies=["self"])]), "`self` -> `self`")


@pytest.mark.parametrize("tasks", [[5], ["code_reviewer"], [None], [review("a"), object()]], ids=repr)
def test_what_is_no_task_is_refused(tasks: list[object]) -> None:
    assert_names(raised_by(tasks), f"{len(tasks)}", type(tasks[-1]).__name__)


@pytest.mark.parametrize(
    "tasks", [review("one"), review("one").to_dict(), "code_reviewer", 5], ids=lambda each: type(each).__name__
)
def test_tasks_that_are_no_list_are_refused(tasks: object) -> None:
    raised = raised_by(tasks)
    assert isinstance(raised, PlanError)
    assert_names(raised, "list", type(tasks).__name__)


OPTIONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no agents at once": ({"max_concurrent": 0}, ["max_concurrent", "`0`"]),
    "less than none": ({"max_concurrent": -1}, ["max_concurrent", "`-1`"]),
    "half an agent": ({"max_concurrent": 2.5}, ["max_concurrent", "`2.5`"]),
    "a text for a number": ({"max_concurrent": "5"}, ["max_concurrent", "5"]),
    "a truth for a number": ({"max_concurrent": True}, ["max_concurrent", "true"]),
    "no number at all": ({"max_concurrent": float("nan")}, ["max_concurrent", "NaN"]),
    "a deadline of zero": ({"deadline_seconds": 0}, ["deadline_seconds", "`0`"]),
    "an unknown cleanup": ({"cleanup": "burn"}, ["cleanup", "burn", "keep"]),
    "a model that is no text": ({"model": 5}, ["model", "`5`"]),
    "an empty model": ({"model": ""}, ["model"]),
    "models that are one text": ({"models": "a/b"}, ["models", "a/b"]),
    "no models": ({"models": []}, ["models", "empty"]),
    "a model and models": ({"model": "a/b", "models": ["c/d"]}, ["`model`", "a/b", "`models`"]),
    "tools": ({"tools": object()}, ["tools"]),
    "a gateway that is a text": ({"gateway": "ws://127.0.0.1"}, ["`gateway`", "an object"]),
    "an unknown path": ({"gateway": Gateway(path="x")}, ["gateway.path", "x", "spawn"]),  # type: ignore[arg-type]
    "a gateway and a rehearsal": ({"gateway": Gateway(), "rehearsal": True}, ["rehearsal", "gateway"]),
    "a rehearsal that is a text": ({"rehearsal": "yes"}, ["rehearsal", "yes"]),
    "a rehearsal that is an object": ({"rehearsal": object()}, ["rehearsal", "object"]),
    "failures above all": ({"rehearsal": Rehearsal(failure_rate=1.5)}, ["failure_rate", "1.5"]),
    "a rehearsal that stands still": ({"rehearsal": Rehearsal(speed=0)}, ["speed", "`0`"]),
    "room for nobody": ({"rehearsal": Rehearsal(agents_max=0)}, ["agents_max", "`0`"]),
    "a latency without end": ({"rehearsal": Rehearsal(latency_seconds=float("inf"))}, ["latency_seconds", "inf"]),
    "a negative seed": ({"rehearsal": Rehearsal(seed=-1)}, ["seed", "`-1`"]),
    "no attempts": ({"retry": RetryPolicy(attempts_max=0)}, ["attempts_max", "`0`"]),
    "a negative delay": ({"retry": RetryPolicy(delay_first_seconds=-1)}, ["delay_first_seconds", "`-1`"]),
    "a retry that is a number": ({"retry": 3}, ["retry", "`3`"]),
    "an unknown option": ({"max_conccurrent": 3}, ["max_conccurrent", "max_concurrent"]),
    "a strategy": ({"strategy": {"kind": "join", "until": "any"}}, ["unknown option `strategy`"]),
    "an unknown option of the gateway": ({"gateway": {"tokn": "x"}}, ["`gateway.tokn`", "`token`"]),
    "an unknown option of the rehearsal": ({"rehearsal": {"sede": 1}}, ["`rehearsal.sede`", "`seed`"]),
    "an unknown option of retries": ({"retry": {"atempts_max": 1}}, ["`retry.atempts_max`", "`attempts_max`"]),
    "a folder that is a number": ({"results_dir": 5}, ["results_dir", "5"]),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_an_option_is_refused_by_the_constructor(case: str) -> None:
    options, parts = OPTIONS[case]
    with pytest.raises((OptionError, ModelError)) as caught:
        Orchestrator(**options)
    assert_names(caught.value, *parts)


def test_each_error_is_of_our_class_and_of_a_built_in_one() -> None:
    for error in (OptionError, PlanError, AgentTypeError, ModelError):
        assert issubclass(error, ParallelAgentsError)
        assert issubclass(error, ValueError)
    assert issubclass(GatewayError, ParallelAgentsError)
    assert issubclass(GatewayError, ConnectionError)


@pytest.mark.parametrize("url", ["ws://gateway.example:18789", "ws://192.0.2.7:18789", "http://gateway.example"])
def test_a_token_is_not_sent_in_the_clear_to_another_machine(url: str) -> None:
    with pytest.raises(OptionError) as caught:
        Orchestrator(gateway=Gateway(url=url, token=TOKEN)).run_parallel([review("only")])
    assert_names(caught.value, url, "wss://")


def test_an_address_that_is_none_is_refused() -> None:
    for url in ("not an address", "ftp://127.0.0.1", "ws://"):
        with pytest.raises(OptionError) as caught:
            Orchestrator(gateway=Gateway(url=url, token=TOKEN)).run_parallel([review("only")])
        assert_names(caught.value, url)


def test_a_gateway_that_is_not_there_is_named_with_what_to_do(closed_port: int) -> None:
    called: list[AgentResult] = []
    orchestrator = Orchestrator(gateway=Gateway(url=f"ws://127.0.0.1:{closed_port}", token=TOKEN))
    with pytest.raises(GatewayError) as caught:
        orchestrator.run_parallel([review("only")], callback=called.append)
    assert f"127.0.0.1:{closed_port}" in str(caught.value)
    assert "openclaw gateway" in str(caught.value)
    assert "OPENCLAW_GATEWAY_URL" in str(caught.value)
    assert called == []
    assert orchestrator.results == {}


def test_a_gateway_is_looked_for_where_the_environment_says(closed_port: int) -> None:
    with pytest.raises(GatewayError, match=f"127.0.0.1:{closed_port}"):
        Orchestrator().run_parallel([review("only")])


def test_the_token_is_shown_nowhere(closed_port: int, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    gateway = Gateway(url=f"ws://127.0.0.1:{closed_port}", token=TOKEN)
    orchestrator = Orchestrator(gateway=gateway, results_dir=tmp_path)
    shown = [repr(gateway), str(gateway), f"{gateway!r}", repr(orchestrator), repr(vars(orchestrator))]
    refused: list[dict[str, Any]] = [
        {"gateway": Gateway(token=TOKEN, path="x")},  # type: ignore[arg-type]
        {"gateway": Gateway(token=TOKEN, agent_id=5)},  # type: ignore[arg-type]
        {"gateway": gateway, "rehearsal": True},
        {"gateway": {"token": [TOKEN]}},
        {"gateway": {"tokn": TOKEN}},
    ]
    for options in refused:
        with pytest.raises(OptionError) as caught:
            Orchestrator(**options)
        shown.append("".join(traceback.format_exception_only(caught.value)))
    with pytest.raises(GatewayError) as failed:
        orchestrator.run_parallel([review("only")])
    shown += [str(failed.value), repr(failed.value), orchestrator.save_results().read_text(encoding="utf-8")]
    shown += [json.dumps(orchestrator.stats), caplog.text]
    assert [text for text in shown if TOKEN in text] == []


def test_the_token_of_a_gateway_in_the_wrong_shape_is_not_shown_either() -> None:
    for gateway in ([{"token": TOKEN}], f"ws://user:{TOKEN}@127.0.0.1:18789"):
        with pytest.raises(OptionError) as caught:
            Orchestrator(gateway=gateway)  # type: ignore[arg-type]
        assert TOKEN not in str(caught.value)
