"""Agents that ask a person: their task ends as `needs_input`, and goes on with the answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from parallel_agents import AgentStatus, AgentTask, JournalError, OptionError, Orchestrator, PlanError, RunResults
from standin import Reply, Request, StandIn

from .injected import ask, outcomes, post, statuses
from .tasks import review

pytestmark = pytest.mark.usefixtures("ends")

QUESTION = "which of the two bakeries is meant?"
ANSWERED = "## A question, answered"
FORMS = {
    "json": f'{{"stuck": "{QUESTION}"}}',
    "fenced": f'```json\n{{"stuck": "{QUESTION}"}}\n```',
    "line": f"STUCK: {QUESTION}",
    "last line": f"I have read all of it.\n\nSTUCK: {QUESTION}",
}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


def asking(form: str = FORMS["json"]) -> StandIn:
    """The agent of `asks` asks until it is answered; all others answer at once."""

    def answers(request: Request) -> Reply:
        if "[[task=asks]]" in request.prompt and ANSWERED not in request.prompt:
            return Reply(form)
        return Reply('{"caption": "c", "hashtags": [], "engagement_prediction": "high", "tone_notes": "t"}')

    return StandIn(answers=answers)


def team() -> list[AgentTask]:
    return [post("asks"), post("next", dependencies=["asks"]), post("last", dependencies=["next"]), post("other")]


def first_run(standin: StandIn, journal: Path) -> tuple[str, RunResults]:
    results = Orchestrator(tools=standin.tools(), journal=journal).run_parallel(team())
    assert results.run_id is not None
    return results.run_id, results


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_stuck_agent_ends_with_its_question(form: str) -> None:
    results = Orchestrator(tools=asking(form).tools()).run_parallel(team())
    assert statuses(results) == {"asks": "needs_input", "next": "skipped", "last": "skipped", "other": "completed"}
    result = results["asks"]
    assert result.status is AgentStatus.NEEDS_INPUT
    assert (result.success, result.failed, result.output) == (False, False, None)
    assert result.error == QUESTION
    assert result.raw == form
    assert outcomes(result) == [("anthropic/claude-haiku-4-5", "needs_input")]
    assert results.questions == {"asks": QUESTION}
    assert results.report["tasks"]["needs_input"] == 1
    assert QUESTION in str(results["next"].error)
    assert results["last"].metadata["skipped_because"] == "asks"


def test_agents_are_told_how_to_ask_but_those_with_a_prompt_of_their_own() -> None:
    standin = StandIn()
    text = AgentTask("code_reviewer", "Review. [[task=text]]", task_id="text", output_format="text")
    plain = ask("plain", "[[say=STUCK: is my whole answer]]")
    results = Orchestrator(tools=standin.tools()).run_parallel([post("json"), text, plain])
    json_prompt, text_prompt, plain_prompt = (child.prompt for child in standin.children)
    assert '{"stuck": "your question"}' in json_prompt
    assert "STUCK:" in text_prompt
    assert plain_prompt == plain["task_description"]
    assert results["plain"].output == "STUCK: is my whole answer"


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_an_answer_finishes_the_task_and_what_builds_on_it(journal: Path, asynchronous: bool) -> None:
    standin = asking()
    run_id, before = first_run(standin, journal)
    started = len(standin.children)
    answers = {"asks": "The one at the harbour."}
    tools = standin.tools(asynchronous=asynchronous)
    if asynchronous:
        after = asyncio.run(Orchestrator.aresume(run_id, journal, answers, tools=tools))
    else:
        after = Orchestrator.resume(run_id, journal, answers, tools=tools)
    assert statuses(after) == dict.fromkeys(["asks", "next", "last", "other"], "completed")
    assert after.questions == {}
    assert after["other"].to_dict() == before["other"].to_dict()
    prompt = standin.children[started].prompt
    assert ANSWERED in prompt
    assert QUESTION in prompt
    assert "The one at the harbour." in prompt
    assert len(standin.children) == started + 3
    assert [attempt["no"] for attempt in after["asks"].metadata["attempts"]] == [1, 2]


def test_a_run_is_answered_while_its_orchestrator_lives_on(journal: Path) -> None:
    standin = asking()
    orchestrator = Orchestrator(tools=standin.tools(), journal=journal)
    first = orchestrator.run_parallel(team())
    assert first.run_id is not None
    results = Orchestrator.resume(first.run_id, journal, {"asks": "the one by the river"}, tools=standin.tools())
    assert all(result.success for result in results.values())
    assert orchestrator.run_id == first.run_id


def test_an_agent_may_ask_again(journal: Path) -> None:
    def answers(request: Request) -> Reply:
        asked = request.prompt.count(ANSWERED)
        return Reply("the end" if asked == 2 else f"STUCK: question {asked + 1}?")

    standin = StandIn(answers=answers)
    task = AgentTask("code_reviewer", "Review it.", task_id="asks", output_format="text")
    results = Orchestrator(tools=standin.tools(), journal=journal).run_parallel([task])
    run_id = str(results.run_id)
    for number in (1, 2):
        assert results.questions == {"asks": f"question {number}?"}
        results = Orchestrator.resume(run_id, journal, {"asks": f"answer {number}"}, tools=standin.tools())
    assert results["asks"].output == "the end"
    for text in ("question 1?", "answer 1", "question 2?", "answer 2"):
        assert text in standin.children[-1].prompt


def test_without_an_answer_the_question_stays(journal: Path) -> None:
    standin = asking()
    run_id, before = first_run(standin, journal)
    calls = len(standin.calls)
    after = Orchestrator.resume(run_id, journal, tools=standin.tools())
    assert len(standin.calls) == calls
    assert statuses(after) == statuses(before)
    assert after.questions == {"asks": QUESTION}


def test_only_what_asks_is_answered(journal: Path) -> None:
    standin = asking()
    run_id, _ = first_run(standin, journal)
    calls = len(standin.calls)
    for answers, words in (
        ({"other": "yes"}, f"task `other` of run `{run_id}` asks nothing, it is completed"),
        ({"next": "yes"}, f"task `next` of run `{run_id}` asks nothing, it is skipped"),
        ({"aks": "yes"}, f"run `{run_id}` has no task `aks` .did you mean `asks`?"),
        ({"asks": "  \n"}, "the answer to task `asks` is empty"),
        ({"asks": "fine", "other": "yes"}, "asks nothing"),
        ({"asks": None}, "the answer to task `asks` is `None`, expected a text"),
    ):
        with pytest.raises(PlanError, match=words):
            Orchestrator.resume(run_id, journal, answers, tools=standin.tools())  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="`answers` is of type `list`, expected a dict"):
        Orchestrator.resume(run_id, journal, ["asks"], tools=standin.tools())  # type: ignore[arg-type]
    assert len(standin.calls) == calls
    # None of that was taken in.
    after = Orchestrator.resume(run_id, journal, {"asks": "the one at the harbour"}, tools=standin.tools())
    assert after["asks"].success
    with pytest.raises(PlanError, match="it is completed"):
        Orchestrator.resume(run_id, journal, {"asks": "once more"}, tools=standin.tools())


def test_an_answer_to_a_run_that_is_not_there_is_a_journal_error(journal: Path) -> None:
    Orchestrator(rehearsal=True, journal=journal).run_parallel([review("only")])
    with pytest.raises(JournalError):
        Orchestrator.resume("nonesuch", journal, {"only": "yes"})


def same_answer(**fields: Any) -> list[tuple[str, str]]:
    standin = StandIn()
    results = Orchestrator(tools=standin.tools()).run_parallel([post("same", "[[say=No JSON, ever.]]", **fields)])
    assert results["same"].status is AgentStatus.FAILED
    assert "the very same answer" in str(results["same"].error)
    return outcomes(results["same"])


def test_an_answer_that_another_model_repeats_is_not_paid_for_again() -> None:
    haiku, k2p5 = "anthropic/claude-haiku-4-5", "kimi-coding/k2p5"
    assert same_answer() == [(haiku, "output"), (haiku, "output"), (k2p5, "output")]
    assert same_answer(models=["own/one", "own/two", "own/three"]) == [
        ("own/one", "output"),
        ("own/one", "output"),
        ("own/two", "output"),
    ]
