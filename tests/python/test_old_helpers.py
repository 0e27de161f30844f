"""The old module `helpers`: free text in, an answer out, and what its guide promised for later."""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import parallel_agents
import pytest
from parallel_agents import (
    MODEL_HIERARCHY,
    AgentTypeError,
    EventLoopError,
    GatewayError,
    ModelError,
    Orchestrator,
    ParallelAgentsError,
    PlanError,
    Rehearsal,
    SpawnError,
    _answers,
    _watch,
    helpers,
)

from .tasks import FIRST_MODEL

DOCUMENTED = """
    spawn_with_model_hierarchy spawn_with_retry spawn_parallel_with_retry collect_agent_results
    parallel_spawn poll_until_complete
"""
NEVER_WAITED = 100_000
SLOW = 0.001  # no rehearsed agent answers so soon


class Rehearsed:
    """Plays what the helpers run, and keeps it."""

    def __init__(self, **behaviour: Any) -> None:
        self.behaviour = behaviour
        self.orchestrators: list[Orchestrator] = []
        self.options: list[dict[str, Any]] = []
        self.tasks: list[Any] = []

    def __call__(self, **options: Any) -> Orchestrator:
        orchestrator = Orchestrator(**{"rehearsal": Rehearsal(**self.behaviour), **options})
        run = orchestrator.run_parallel

        def run_parallel(tasks: Any, callback: Any = None) -> Any:
            self.tasks += tasks
            return run(tasks, callback)

        setattr(orchestrator, "run_parallel", run_parallel)  # noqa: B010
        self.orchestrators.append(orchestrator)
        self.options.append(options)
        return orchestrator

    @property
    def attempts(self) -> float:
        return sum(each.stats["agents_spawned"] for each in self.orchestrators)


@pytest.fixture
def rehearse(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rehearsed]:
    def begin(**behaviour: Any) -> Rehearsed:
        rehearsed = Rehearsed(**behaviour)
        monkeypatch.setattr(helpers, "_orchestrator", rehearsed)
        return rehearsed

    return begin


@pytest.fixture(autouse=True)
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here sleeps, least of all for `wait_time`."""

    def sleep(seconds: float) -> None:
        raise AssertionError(f"slept for {seconds} s")

    monkeypatch.setattr(time, "sleep", sleep)


def test_every_documented_name_is_in_the_module_and_in_the_package() -> None:
    names = set(DOCUMENTED.split())
    assert names <= set(helpers.__all__)
    assert names <= set(parallel_agents.__all__)
    assert helpers.MODEL_HIERARCHY == MODEL_HIERARCHY


def test_the_module_is_an_attribute_of_the_package_without_an_import_of_its_own() -> None:
    assert parallel_agents.helpers is helpers


@pytest.mark.parametrize(
    ("name", "defaults"),
    [
        ("spawn_with_model_hierarchy", {"timeout_seconds": 90, "wait_time": 30, "models": None}),
        (
            "spawn_with_retry",
            {"max_retries": 2, "timeout_seconds": 90, "wait_time": 30, "model": None, "use_hierarchy": True},
        ),
        (
            "spawn_parallel_with_retry",
            {"max_retries": 2, "timeout_seconds": 90, "wait_time": 30, "use_hierarchy": True},
        ),
        ("poll_until_complete", {"timeout": 120}),
        ("collect_agent_results", {}),
    ],
)
def test_parameters_and_defaults_are_the_documented_ones(name: str, defaults: dict[str, Any]) -> None:
    first, *others = inspect.signature(getattr(helpers, name)).parameters.values()
    assert first.default is first.empty
    assert {each.name: each.default for each in others if each.kind is not each.KEYWORD_ONLY} == defaults


class TestHierarchy:
    def test_a_success_is_told_in_the_documented_fields(self, rehearse: Callable[..., Rehearsed]) -> None:
        rehearsed = rehearse()
        told = helpers.spawn_with_model_hierarchy("Name three teas.", 60, NEVER_WAITED)
        assert set(told) == {"success", "result", "model_used", "attempts", "session_key"}
        assert told["success"] is True
        assert told["model_used"] == FIRST_MODEL
        assert "rehearsal" in told["result"]["text"]
        assert told["result"]["childSessionKey"] == told["session_key"]
        assert told["result"]["status"] == "accepted"
        (attempt,) = told["attempts"]
        assert (attempt["model"], attempt["success"]) == (FIRST_MODEL, True)
        assert attempt["tokens"] > 0
        assert rehearsed.attempts == 1
        assert json.loads(json.dumps(told)) == told

    def test_goes_on_to_the_next_model_and_raises_when_all_have_failed(
        self, rehearse: Callable[..., Rehearsed]
    ) -> None:
        rehearsed = rehearse()
        with pytest.raises(SpawnError) as caught:
            helpers.spawn_with_model_hierarchy("Name three teas.", SLOW)
        assert isinstance(caught.value, ParallelAgentsError)
        assert [attempt["model"] for attempt in caught.value.attempts] == MODEL_HIERARCHY
        assert all(attempt["success"] is False and "in time" in attempt["error"] for attempt in caught.value.attempts)
        assert all(model in str(caught.value) for model in MODEL_HIERARCHY)
        assert rehearsed.attempts == 3
        again = pickle.loads(pickle.dumps(caught.value))
        assert (str(again), again.attempts) == (str(caught.value), caught.value.attempts)

    def test_takes_models_of_its_caller(self, rehearse: Callable[..., Rehearsed]) -> None:
        rehearse()
        with pytest.raises(SpawnError) as caught:
            helpers.spawn_with_model_hierarchy("Name three teas.", SLOW, models=["own/one", "own/two"])
        assert [attempt["model"] for attempt in caught.value.attempts] == ["own/one", "own/two"]

    def test_a_changed_hierarchy_of_the_module_counts(
        self, rehearse: Callable[..., Rehearsed], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rehearse()
        monkeypatch.setattr(helpers, "MODEL_HIERARCHY", ["own/cheap", "own/dear"])
        assert helpers.spawn_with_model_hierarchy("Name three teas.")["model_used"] == "own/cheap"
        assert helpers.spawn_parallel_with_retry(["Name one."], use_hierarchy=False)[0]["model_used"] == "own/cheap"

    @pytest.mark.parametrize("bad", ["", " \n", None, 5, ["Name three teas."]])
    def test_a_task_that_is_no_text_is_refused_before_anything_is_spent(
        self, rehearse: Callable[..., Rehearsed], bad: Any
    ) -> None:
        rehearsed = rehearse()
        calls: list[Callable[[], object]] = [
            lambda: helpers.spawn_with_model_hierarchy(bad),
            lambda: helpers.spawn_with_retry(bad),
            lambda: helpers.spawn_with_retry(bad, model="own/model"),
            lambda: helpers.spawn_parallel_with_retry(["Name three teas.", bad]),
        ]
        for call in calls:
            with pytest.raises(PlanError):
                call()
        assert rehearsed.attempts == 0

    def test_models_that_are_none_are_refused(self, rehearse: Callable[..., Rehearsed]) -> None:
        rehearse()
        with pytest.raises(ModelError):
            helpers.spawn_with_model_hierarchy("Name three teas.", models=[])


class TestRetry:
    def test_on_the_hierarchy_tells_the_same(self, rehearse: Callable[..., Rehearsed]) -> None:
        rehearse()
        told = helpers.spawn_with_retry("Name three teas.", 2, 60, NEVER_WAITED)
        assert set(told) == {"success", "result", "model_used", "attempts", "session_key"}
        assert told["success"] is True

    @pytest.mark.parametrize(
        ("choice", "model"), [({"model": "own/model"}, "own/model"), ({"use_hierarchy": False}, FIRST_MODEL)]
    )
    def test_on_one_model_tells_what_the_spawn_told(
        self, rehearse: Callable[..., Rehearsed], choice: dict[str, Any], model: str
    ) -> None:
        rehearsed = rehearse()
        told = helpers.spawn_with_retry("Name three teas.", wait_time=NEVER_WAITED, **choice)
        assert {"childSessionKey", "runId", "status", "text"} <= set(told)
        assert "success" not in told
        assert told["resolvedModel"] == model
        assert rehearsed.attempts == 1
        with pytest.raises(SpawnError) as caught:
            helpers.spawn_with_retry("Name three teas.", timeout_seconds=SLOW, **choice)
        assert [attempt["model"] for attempt in caught.value.attempts] == [model]

    @pytest.mark.parametrize("max_retries", [0, 1, 4])
    def test_the_retries_bound_the_attempts(self, rehearse: Callable[..., Rehearsed], max_retries: int) -> None:
        def attempts(seed: int, **choice: Any) -> list[str]:
            rehearse(seed=seed, failure_rate=1.0)
            try:
                told = helpers.spawn_with_retry("Name three teas.", max_retries, **choice)
            except SpawnError as error:
                return [attempt["model"] for attempt in error.attempts]
            # A rehearsed agent that fails by writing nonsense has succeeded where any text will do.
            return [attempt["model"] for attempt in told.get("attempts", [])]

        pinned = [attempts(seed, model="own/model") for seed in range(400)]
        assert max(map(len, pinned)) == max_retries + 1
        for models in (attempts(seed) for seed in range(40)):
            assert len(models) <= (max_retries + 1) * len(MODEL_HIERARCHY)
            assert models == sorted(models, key=MODEL_HIERARCHY.index)

    def test_the_retries_are_handed_on_as_bounds(self, rehearse: Callable[..., Rehearsed]) -> None:
        rehearsed = rehearse()
        helpers.spawn_with_retry("Name three teas.", 4, model="own/model")
        helpers.spawn_with_retry("Name three teas.", 4)
        pinned, climbing = (options["retry"] for options in rehearsed.options)
        assert (pinned.attempts_max, climbing.attempts_max) == (5, 15)
        assert (pinned.transient_retries_max, climbing.transient_retries_max) == (4, 4)
        assert (pinned.server_error_retries_max, climbing.server_error_retries_max) == (4, 1)
        assert (pinned.output_retries_max, climbing.output_retries_max) == (4, 1)

    @pytest.mark.parametrize("bad", [-1, 1.5, "2", True])
    def test_a_number_of_retries_that_is_none_is_refused(self, rehearse: Callable[..., Rehearsed], bad: Any) -> None:
        rehearsed = rehearse()
        with pytest.raises(PlanError, match="max_retries"):
            helpers.spawn_with_retry("Name three teas.", bad)
        with pytest.raises(PlanError, match="max_retries"):
            helpers.spawn_parallel_with_retry(["Name three teas."], bad)
        assert rehearsed.orchestrators == []


class TestParallel:
    def test_all_tasks_run_at_once_on_the_cheapest_model_and_keep_their_order(
        self, rehearse: Callable[..., Rehearsed]
    ) -> None:
        rehearsed = rehearse()
        tasks = [f"Name tea number {number}." for number in range(12)]
        told = helpers.spawn_parallel_with_retry(tasks, 2, 60, NEVER_WAITED)
        assert [each["task"] for each in told] == tasks
        for each in told:
            assert set(each) == {"success", "result", "model_used", "task"}
            assert (each["success"], each["model_used"]) == (True, FIRST_MODEL)
            assert "rehearsal" in each["result"]["text"]
        assert len({each["result"]["childSessionKey"] for each in told}) == 12
        assert (len(rehearsed.orchestrators), rehearsed.attempts) == (1, 12)
        assert rehearsed.options[0]["max_concurrent"] == helpers.MAX_CONCURRENT == 5

    def test_one_text_may_stand_there_twice(self, rehearse: Callable[..., Rehearsed]) -> None:
        rehearse()
        assert [each["success"] for each in helpers.spawn_parallel_with_retry(["Name a tea."] * 3)] == [True] * 3

    def test_a_failure_is_data(self, rehearse: Callable[..., Rehearsed]) -> None:
        rehearse(seed=3, failure_rate=0.6)
        tasks = [f"Name tea number {number}." for number in range(30)]
        told = helpers.spawn_parallel_with_retry(tasks, max_retries=0, use_hierarchy=False)
        assert [each["task"] for each in told] == tasks
        failed = [each for each in told if not each["success"]]
        assert 0 < len(failed) < 30
        for each in failed:
            assert set(each) == {"success", "task", "error"}
            assert each["error"]

    def test_without_the_hierarchy_only_the_cheapest_model_is_asked(self, rehearse: Callable[..., Rehearsed]) -> None:
        rehearsed = rehearse()
        told = helpers.spawn_parallel_with_retry(["one", "two"], timeout_seconds=SLOW, use_hierarchy=False)
        assert [each["success"] for each in told] == [False, False]
        assert rehearsed.attempts == 2

    def test_no_tasks_are_no_results(self, rehearse: Callable[..., Rehearsed]) -> None:
        rehearse()
        assert helpers.spawn_parallel_with_retry([]) == []

    def test_one_text_is_not_a_list_of_letters(self) -> None:
        with pytest.raises(PlanError, match=r"tasks.*str"):
            helpers.spawn_parallel_with_retry("Name three teas.")


def test_without_a_runtime_one_spawn_raises_and_several_say_so() -> None:
    for call in (
        lambda: helpers.spawn_with_model_hierarchy("Name three teas."),
        lambda: helpers.spawn_with_retry("Name three teas.", model="own/model"),
        lambda: helpers.parallel_spawn([{"type": "research", "topic": "tea"}]),
        lambda: helpers.poll_until_complete(["agent:main:subagent:1"]),
    ):
        with pytest.raises(GatewayError):
            call()
    told = helpers.spawn_parallel_with_retry(["one", "two"])
    assert [(each["success"], each["task"]) for each in told] == [(False, "one"), (False, "two")]
    assert all("openclaw gateway" in each["error"] for each in told)


class TestParallelSpawn:
    def test_takes_research_and_any_agent_type_and_plain_text(self) -> None:
        results = helpers.parallel_spawn(
            [
                {"type": "research", "topic": "tea"},
                {"type": "code_reviewer", "task": "Review it.", "input_data": {"code": "x = 1"}},
                {"agent_type": "content_writer_funny", "topic": "Mondays", "priority": 9},
                {"task": "Name three teas.", "model": "own/model"},
                {"agent_type": "test_engineer", "task_description": "Test it.", "output_format": "text"},
            ],
            rehearsal=True,
        )
        kinds = ["plain", "code_reviewer", "content_writer_funny", "plain", "test_engineer"]
        assert [result.agent_type for result in results] == kinds
        assert all(result.success for result in results)
        assert set(results[0].output) == {"summary", "key_points", "sources", "open_questions"}
        assert isinstance(results[3].output, str)
        assert results[3].metadata["model_used"] == "own/model"

    def test_passes_options_on(self) -> None:
        (result,) = helpers.parallel_spawn([{"task": "Name a tea."}], rehearsal=True, model="own/other")
        assert result.metadata["model_used"] == "own/other"

    def test_a_topic_goes_to_the_data_and_entries_stay_as_they_are(self, rehearse: Callable[..., Rehearsed]) -> None:
        rehearsed = rehearse()
        entries: list[dict[str, Any]] = [{"type": "content_writer_funny", "topic": "tea", "input_data": {"a": 1}}]
        helpers.parallel_spawn(entries)
        assert rehearsed.tasks[0]["input_data"] == {"topic": "tea", "a": 1}
        assert entries == [{"type": "content_writer_funny", "topic": "tea", "input_data": {"a": 1}}]

    @pytest.mark.parametrize(
        ("entry", "error", "said"),
        [
            ({"type": "resaerch", "topic": "tea"}, AgentTypeError, "resaerch"),
            ({"type": "research"}, PlanError, "topic"),
            ({"type": "research", "topic": " "}, PlanError, r"entries\[1\].topic"),
            ({"type": "research", "topic": "tea", "tsak_id": "a"}, PlanError, "tsak_id"),
            ({"type": "content_writer_funny", "topic": "tea", "input_data": 5}, PlanError, "input_data"),
            ({"type": "research", "topic": "tea", "task": "Look."}, PlanError, "task"),
            ({"topic": "tea"}, PlanError, "type"),
            ({"type": "code_reviewer"}, PlanError, "task_description"),
            ({"type": "code_reviewer", "agent_type": "code_reviewer", "task": "x"}, PlanError, "agent_type"),
            ({"type": "code_reviewer", "task": "x", "tsak_id": "a"}, PlanError, "tsak_id"),
            ("research", PlanError, "str"),
            ({}, PlanError, "task_description"),
        ],
    )
    def test_an_entry_that_cannot_be_used_starts_nothing(
        self, rehearse: Callable[..., Rehearsed], entry: Any, error: type[Exception], said: str
    ) -> None:
        rehearsed = rehearse()
        with pytest.raises(error, match=said):
            helpers.parallel_spawn([{"type": "research", "topic": "tea"}, entry])
        assert rehearsed.attempts == 0

    def test_no_data_beside_a_topic_are_the_topic(self, rehearse: Callable[..., Rehearsed]) -> None:
        rehearsed = rehearse()
        helpers.parallel_spawn([{"type": "content_writer_funny", "topic": "tea", "input_data": None}])
        assert rehearsed.tasks[0]["input_data"] == {"topic": "tea"}

    def test_equal_entries_have_a_result_each_and_a_failed_one_costs_no_other(self) -> None:
        entry = {"type": "research", "topic": "tea"}
        results = helpers.parallel_spawn([entry, {**entry, "timeout_seconds": 0.001}, entry], rehearsal=True)
        assert [result.status.value for result in results] == ["completed", "timeout", "completed"]
        assert helpers.parallel_spawn([], rehearsal=True) == []

    def test_one_entry_is_no_list(self) -> None:
        with pytest.raises(PlanError, match=r"entries.*dict"):
            helpers.parallel_spawn({"type": "research", "topic": "tea"})  # type: ignore[dict-item]


class Clock:
    """The time of a test: only sleeping and looking take any."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.slept = 0.0
        monkeypatch.setattr(_watch, "monotonic", lambda: self.now)
        monkeypatch.setattr(_watch, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


class Sessions:
    """Injected tools over sessions that end at known times of a clock."""

    def __init__(self, clock: Clock, **ends: float) -> None:
        self.clock = clock
        self.ends = ends
        self.started = dict.fromkeys(ends, 0.0)
        self.gone: dict[str, float] = {}
        self.looks: list[float] = []
        self.pages = 0
        self.read: list[str] = []
        self.look_seconds = 0.0
        self.others = 0
        self.words = {True: "done", False: "running"}

    def row(self, key: str) -> dict[str, Any]:
        return {"key": key, "status": self.words[self.clock.now >= self.ends[key]], "totalTokens": 9}

    def sessions_list(self, limit: int = 100, offset: int = 0) -> Any:
        self.pages += 1
        if offset == 0:
            self.looks.append(self.clock.now)
            self.clock.now += self.look_seconds
        now = self.clock.now
        keys = [key for key in self.ends if self.started[key] <= now < self.gone.get(key, float("inf"))]
        rows = [{"key": f"other-{number}", "status": "running"} for number in range(self.others)]
        rows += [self.row(key) for key in keys]
        page = rows[offset : offset + limit]
        more = offset + limit < len(rows)
        return {"sessions": page, "hasMore": more, **({"nextOffset": offset + limit} if more else {})}

    def sessions_history(self, sessionKey: str) -> Any:  # noqa: N803, the tool's own spelling
        self.read.append(sessionKey)
        messages = [{"role": "user", "content": f"do {sessionKey}"}]
        if self.clock.now >= self.ends.get(sessionKey, float("inf")):
            messages.append({"role": "assistant", "content": f"did {sessionKey}"})
        return {"messages": messages}

    def inject(self, monkeypatch: pytest.MonkeyPatch, **others: Any) -> None:
        inject(
            monkeypatch, **{"sessions_list": self.sessions_list, "sessions_history": self.sessions_history, **others}
        )


def inject(monkeypatch: pytest.MonkeyPatch, **callables: Any) -> None:
    """Makes `import tools` find these, beside a spawn."""
    module = types.ModuleType("tools")
    vars(module).update({"sessions_spawn": lambda **_: None, **callables})
    monkeypatch.setitem(sys.modules, "tools", module)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class TestPolling:
    def test_gives_the_texts_as_soon_as_all_have_ended(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        sessions = Sessions(clock, a=1.0, b=0.0, c=3.0)
        sessions.inject(monkeypatch)
        assert helpers.poll_until_complete(["a", "b", "c", "a"]) == ["did a", "did b", "did c", "did a"]
        assert 3.0 <= clock.now <= 3.0 * 1.1 + 0.1
        assert sorted(sessions.read) == ["a", "b", "c"]

    def test_shares_its_looks_among_all_keys(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        keys = [f"s{number}" for number in range(150)]
        sessions = Sessions(clock, **dict.fromkeys(keys, 20.0))
        sessions.inject(monkeypatch)
        assert helpers.poll_until_complete(keys) == [f"did {key}" for key in keys]
        assert len(sessions.looks) == sessions.pages < 60
        assert len(sessions.read) == 150

    def test_reads_pages_only_until_each_awaited_key_was_seen(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock
    ) -> None:
        sessions = Sessions(clock, a=0.0, **{f"z{number}": 0.0 for number in range(500)})
        sessions.others = 450
        sessions.inject(monkeypatch)
        assert helpers.poll_until_complete(["a"]) == ["did a"]
        assert (sessions.pages, len(sessions.looks)) == (3, 1)

    def test_looks_more_rarely_the_longer_it_takes_and_the_dearer_a_look_is(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock
    ) -> None:
        sessions = Sessions(clock, a=100.0)
        sessions.look_seconds = 0.4
        sessions.inject(monkeypatch)
        assert helpers.poll_until_complete(["a"]) == ["did a"]
        assert sessions.looks[0] == 0
        assert len(sessions.looks) * 0.4 <= 0.11 * clock.now
        assert clock.now < 105

    def test_ends_at_its_timeout_and_tells_what_there_is(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        sessions = Sessions(clock, a=1.0, b=99.0)
        sessions.inject(monkeypatch)
        assert helpers.poll_until_complete(["b", "a"], timeout=7) == [None, "did a"]
        assert clock.now == pytest.approx(7)
        assert sessions.looks[-1] == pytest.approx(7)

    def test_without_time_it_still_looks_once(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        Sessions(clock, a=0.0, b=1.0).inject(monkeypatch)
        assert helpers.poll_until_complete(["a", "b"], 0) == ["did a", None]
        assert clock.slept == 0

    def test_a_session_that_vanished_is_not_waited_for(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        sessions = Sessions(clock, a=99.0)
        sessions.gone["a"] = 0.3
        sessions.inject(monkeypatch)
        assert helpers.poll_until_complete(["a"]) == [None]
        assert clock.now < 6, "a busy gateway may list it late, and no later than that"

    def test_a_session_may_be_listed_a_little_late(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        sessions = Sessions(clock, a=2.0)
        sessions.started["a"] = 0.06
        sessions.inject(monkeypatch)
        assert helpers.poll_until_complete(["a"]) == ["did a"]

    def test_a_timeout_may_be_premature(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        sessions = Sessions(clock, late=1.5, never=99.0)
        sessions.words = {True: "timeout", False: "timeout"}
        sessions.inject(monkeypatch)
        assert helpers.poll_until_complete(["late", "never"]) == ["did late", None]
        assert 2 <= clock.now < 2.5

    def test_after_a_premature_timeout_the_answer_is_not_waited_for_longer_than_it_takes(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock
    ) -> None:
        sessions = Sessions(clock, late=1.0)
        sessions.words = {True: "timeout", False: "timeout"}
        sessions.inject(monkeypatch)
        assert helpers.poll_until_complete(["late"]) == ["did late"]
        assert 1 <= clock.now < 1.4

    def test_a_timeout_is_doubted_while_another_agent_works(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock
    ) -> None:
        sessions = Sessions(clock, queued=20.0, other=20.5)
        row = sessions.row
        monkeypatch.setattr(
            sessions, "row", lambda key: {"key": key, "status": "timeout"} if key[0] == "q" else row(key)
        )
        sessions.inject(monkeypatch)
        assert helpers.poll_until_complete(["queued", "other"]) == ["did queued", "did other"]
        assert sessions.read.count("queued") < 25

    def test_a_session_that_is_missing_now_and_then_is_not_gone(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock
    ) -> None:
        sessions = Sessions(clock, a=20.0)

        def flickering(limit: int = 100, offset: int = 0) -> Any:
            page = sessions.sessions_list(limit, offset)
            return page if len(sessions.looks) % 3 == 0 else {"sessions": []}

        sessions.inject(monkeypatch, sessions_list=flickering)
        assert helpers.poll_until_complete(["a"]) == ["did a"]

    def test_rows_without_a_status_have_ended_once_they_count_tokens(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock
    ) -> None:
        sessions = Sessions(clock, a=2.0)

        def bare() -> Any:
            page = sessions.sessions_list()
            sessions.words = {True: "", False: ""}
            return [{"sessionKey": "a", "totalTokens": 7 if clock.now >= 2 else 0} for _ in page["sessions"]]

        sessions.inject(monkeypatch, sessions_list=bare)
        assert helpers.poll_until_complete(["a"]) == ["did a"]
        assert 2 <= clock.now < 2.3

    def test_looks_that_always_fail_hide_no_answer_and_are_told_where_there_is_none(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock
    ) -> None:
        def broken() -> Any:
            raise ConnectionResetError("gone")

        Sessions(clock, a=0.0).inject(monkeypatch, sessions_list=broken)
        assert helpers.poll_until_complete(["a"]) == ["did a"]
        Sessions(clock, a=10_000.0).inject(monkeypatch, sessions_list=broken)
        with pytest.raises(ConnectionResetError):
            helpers.poll_until_complete(["a"])

    @pytest.mark.parametrize("garbage", [None, 5, "no JSON", [], {}, [1, None], {"sessions": "none"}, {"ok": False}])
    def test_a_list_that_is_none_ends_nothing_early(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock, garbage: Any
    ) -> None:
        Sessions(clock, a=0.0).inject(monkeypatch, sessions_list=lambda: garbage)
        assert helpers.poll_until_complete(["a"]) == ["did a"]

    def test_no_keys_need_no_runtime(self) -> None:
        assert helpers.poll_until_complete([]) == helpers.collect_agent_results([]) == []
        assert helpers.poll_until_complete([None]) == helpers.collect_agent_results([None]) == [None]

    @pytest.mark.parametrize("bad", [None, "soon", True, float("nan")])
    def test_a_time_that_is_none_is_refused(self, bad: Any) -> None:
        with pytest.raises(PlanError, match="timeout"):
            helpers.poll_until_complete(["a"], bad)

    @pytest.mark.parametrize("bad", ["key", [5], [""], {"a": 1}, 5])
    def test_keys_that_are_none_are_refused(self, bad: Any) -> None:
        for call in (helpers.poll_until_complete, helpers.collect_agent_results):
            with pytest.raises(PlanError, match="session_keys"):
                call(bad)


class Answer:
    """Has `.get` and nothing else of a dict."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._fields = fields

    def get(self, name: str, default: Any = None) -> Any:
        value = self._fields.get(name, default)
        return [Answer(each) for each in value] if isinstance(value, list) else value


SHAPES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "dict": lambda fields: fields,
    "object": Answer,
    "json": json.dumps,
    "bytes": lambda fields: json.dumps(fields).encode(),
    "envelope": lambda fields: {"ok": True, "result": {"content": [], "details": fields}},
    "json envelope": lambda fields: json.dumps({"ok": True, "result": {"details": fields}}),
    "text envelope": lambda fields: {"ok": True, "result": {"content": [{"type": "text", "text": json.dumps(fields)}]}},
    "result": lambda fields: {"content": [{"type": "text", "text": json.dumps(fields)}], "details": fields},
    "bare": lambda fields: next(each for each in fields.values() if isinstance(each, list)),
}
CONTENTS: dict[str, Any] = {
    "text": "the answer",
    "blocks": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "the answer"}],
    "several blocks": [{"type": "text", "text": "the"}, {"type": "text", "text": "answer"}],
}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_answers_are_read_in_every_shape(
    monkeypatch: pytest.MonkeyPatch, shape: str, content: str, asynchronous: bool
) -> None:
    messages = [
        {"role": "user", "content": "the task"},
        {"role": "assistant", "content": CONTENTS[content]},
        {"role": "custom", "content": "a note"},
    ]
    answers = {
        "sessions_list": SHAPES[shape]({"sessions": [{"key": "k", "status": "completed"}], "count": 1}),
        "sessions_history": SHAPES[shape]({"messages": messages}),
    }

    def tool(name: str) -> Callable[..., Any]:
        def answer(*_: Any, **__: Any) -> Any:
            return answers[name]

        async def later(*_: Any, **__: Any) -> Any:
            await asyncio.sleep(0)
            return answers[name]

        return later if asynchronous else answer

    inject(monkeypatch, **{name: tool(name) for name in answers})
    expected = "the\nanswer" if content == "several blocks" else "the answer"
    assert helpers.collect_agent_results(["k"]) == [expected]
    assert helpers.poll_until_complete(["k"]) == [expected]


class TestCollecting:
    def test_looks_once_and_waits_for_nothing(self, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
        sessions = Sessions(clock, a=0.0, b=9.0)
        sessions.inject(monkeypatch)
        assert helpers.collect_agent_results(["b", "a", "unknown", "a"]) == [None, "did a", None, "did a"]
        assert (clock.now, sessions.looks) == (0, [])
        assert sorted(sessions.read) == ["a", "b", "unknown"]

    @pytest.mark.parametrize(
        "history",
        [
            lambda key, /: {"messages": [{"content": f"did {key}"}]},
            lambda key: [{"content": "first"}, {"content": f"did {key}"}],
            lambda session_key: [{"content": f"did {session_key}"}],
            lambda **fields: [{"content": f"did {fields['sessionKey']}"}],
        ],
    )
    def test_a_history_is_asked_for_as_its_signature_wants(self, monkeypatch: pytest.MonkeyPatch, history: Any) -> None:
        inject(monkeypatch, sessions_list=list, sessions_history=history)
        assert helpers.collect_agent_results(["k"]) == ["did k"]

    def test_tools_that_are_handed_over_go_before_those_that_are_injected(
        self, monkeypatch: pytest.MonkeyPatch, clock: Clock
    ) -> None:
        injected, handed = Sessions(clock), Sessions(clock, a=0.0)
        injected.inject(monkeypatch)
        assert helpers.poll_until_complete(["a"], tools=handed) == ["did a"]
        assert helpers.collect_agent_results(["a"], tools=handed) == ["did a"]
        assert (injected.read, injected.looks) == ([], [])

    def test_a_history_that_cannot_be_had_is_logged(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, clock: Clock
    ) -> None:
        def history(sessionKey: str) -> Any:  # noqa: N803
            if sessionKey == "bad":
                raise RuntimeError("no such session")
            return [{"content": "fine"}]

        Sessions(clock).inject(monkeypatch, sessions_history=history)
        assert helpers.collect_agent_results(["bad", "good"]) == [None, "fine"]
        assert "`bad`" in caplog.text
        assert "no such session" in caplog.text

    @pytest.mark.parametrize("garbage", [None, 5, "no JSON", [], {}, [1, None], {"messages": 5}, {"ok": False}])
    def test_a_history_that_is_none_has_no_text(self, monkeypatch: pytest.MonkeyPatch, garbage: Any) -> None:
        inject(monkeypatch, sessions_list=list, sessions_history=lambda key: garbage)
        assert helpers.collect_agent_results(["k"]) == [None]

    def test_sessions_that_were_run_here_are_remembered_though_they_are_deleted(
        self, rehearse: Callable[..., Rehearsed]
    ) -> None:
        rehearse()
        told = helpers.spawn_with_retry("Name three teas.", model="own/model")
        assert helpers.collect_agent_results([told["childSessionKey"]]) == [told["text"]]
        assert helpers.poll_until_complete([told["childSessionKey"]]) == [told["text"]]

    def test_asynchronous_tools_under_a_running_loop_are_a_clear_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def tool(**_: Any) -> Any:
            return []

        async def main() -> None:
            for call in (helpers.poll_until_complete, helpers.collect_agent_results):
                with pytest.raises(EventLoopError, match="to_thread"):
                    call(["k"])
            assert await asyncio.to_thread(helpers.collect_agent_results, ["k"]) == [None]

        inject(monkeypatch, sessions_list=tool, sessions_history=tool)
        asyncio.run(main())

    def test_tools_without_a_history_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        inject(monkeypatch)
        with pytest.raises(ParallelAgentsError, match="sessions_list"):
            helpers.collect_agent_results(["k"])


def test_an_answer_that_is_an_envelope_around_itself_is_taken_as_it_comes() -> None:
    itself: dict[str, Any] = {}
    itself["details"] = itself
    assert _answers.unwrapped(itself) is itself
    assert _answers.unwrapped("[" * 100_000) == "[" * 100_000
