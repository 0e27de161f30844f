"""Teams that are built from what they are to work on, and run themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from ._errors import PlanError
from ._map_reduce import MapReduce, MapReduceResult
from ._orchestrator import Orchestrator
from ._research import TIMEOUT_SECONDS, research_task
from ._session import RunResults
from ._task import AgentTask
from ._teams import CONTENT_STYLES, create_content_team, create_dev_team, create_review_team, listed, shown

if TYPE_CHECKING:
    from ._orchestrator import Callback

__all__ = ["ContentTeam", "DevTeam", "MapReduce", "MapReduceResult", "ResearchTeam", "ReviewTeam"]


class _Team:
    """Tasks with a name each, and what runs them."""

    def __init__(self, tasks: Mapping[str, AgentTask], timeout_seconds: float | None, options: dict[str, Any]) -> None:
        more: dict[str, Any] = {} if timeout_seconds is None else {"timeout_seconds": timeout_seconds}
        self.tasks: list[AgentTask] = [replace(task, **more) for task in tasks.values()]
        self._names = {task.task_id: name for task, name in zip(self.tasks, tasks, strict=True)}
        self.orchestrator = Orchestrator(**options)

    def execute(self, callback: Callback | None = None) -> RunResults:
        """Runs the team and waits for all of it.

        Args:
            callback: Called with each result as it comes.

        Returns:
            Name to result, in the order of `tasks`. A task that you have added stands under its id. Knows its run like
            any `RunResults`; to a journal the results are known by their `task_id`.

        Raises:
            PlanError: The tasks cannot be run, or one that was added has the name of another; nothing was started.
            As `Orchestrator.run_parallel` otherwise.
        """
        return self._named(self.orchestrator.run_parallel(self._checked(), callback))

    async def aexecute(self, callback: Callback | None = None) -> RunResults:
        """The same as `execute` for an event loop. The callback may be `async def`."""
        return self._named(await self.orchestrator.arun(self._checked(), callback))

    def _checked(self) -> list[AgentTask]:
        names = set(self._names.values())
        for index, task in enumerate(self.tasks):
            task_id = getattr(task, "task_id", None)
            if task_id in names and task_id not in self._names:
                raise PlanError(f"tasks[{index}]: `task_id` {shown(task_id)} is a name of the team's own, give another")
        return self.tasks

    def _named(self, results: RunResults) -> RunResults:
        named = RunResults((self._names.get(task_id, task_id), result) for task_id, result in results.items())
        vars(named).update(vars(results))
        return named


def _by_role(roles: Iterable[str], tasks: list[AgentTask]) -> dict[str, AgentTask]:
    """Tasks whose ids are their roles, which a journal and other tasks' `dependencies` know them by."""
    named = dict(zip(roles, tasks, strict=True))
    for role, task in named.items():
        task.task_id = role
    return named


class ResearchTeam(_Team):
    """One researcher per topic, all at once.

    Results stand under their topics. The output of a completed one holds `summary`, `key_points`, `sources` and
    `open_questions`.

    Args:
        topics: What to research; each topic once.
        timeout_seconds: Time for one attempt of a researcher, in seconds.
        options: Options of `Orchestrator`, by keyword.

    Raises:
        PlanError: A topic cannot be used. (A `ValueError`, as is the next.)
        OptionError: An option has a value it does not take.

    Attributes:
        topics: The topics, in order.
        tasks: Their tasks, in the same order; they may be changed, removed and added to before the team is run.
        orchestrator: What runs them.

    Example:
        >>> results = ResearchTeam(["tea", "coffee"], rehearsal=True).execute()
        >>> sorted(results["tea"].output)
        ['key_points', 'open_questions', 'sources', 'summary']
    """

    def __init__(self, topics: Iterable[str], *, timeout_seconds: float = TIMEOUT_SECONDS, **options: Any) -> None:
        self.topics: list[str] = listed("topics", topics, "a list of texts")
        tasks: dict[str, AgentTask] = {}
        for index, topic in enumerate(self.topics):
            task = research_task(topic, f"topics[{index}]", task_id=f"topic-{index}")
            if topic in tasks:
                raise PlanError(f"`topics` names {shown(topic)} twice, expected each topic once")
            tasks[topic] = task
        super().__init__(tasks, timeout_seconds, options)


class ContentTeam(_Team):
    """Five writers for one topic, each in a style of their own.

    Results stand under the styles: `creative`, `funny`, `educational`, `trendy`, `controversial`. The output of a
    completed one holds `caption`, `hashtags` and fields of its style.

    Args:
        topic: What the posts are about.
        platform: Where they will appear.
        timeout_seconds: Time for one attempt of a writer, in seconds. Default: that of its agent type.
        options: Options of `Orchestrator`, by keyword.

    Raises:
        PlanError: The topic or the platform cannot be used. (A `ValueError`, as is the next.)
        OptionError: An option has a value it does not take.

    Attributes:
        tasks: One per style, its id is the style; they may be changed, removed and added to before the team is run.
        orchestrator: What runs them.

    Example:
        >>> results = ContentTeam("Monday motivation", rehearsal=True).execute()
        >>> "caption" in results["funny"].output and "hashtags" in results["funny"].output
        True
    """

    def __init__(
        self, topic: str, platform: str = "bluesky", *, timeout_seconds: float | None = None, **options: Any
    ) -> None:
        super().__init__(_by_role(CONTENT_STYLES, create_content_team(topic, platform)), timeout_seconds, options)


class DevTeam(_Team):
    """Five developers for one application, each for a part of it.

    Results stand under the parts: `frontend`, `backend`, `database`, `api`, `devops`.

    Args:
        app_name: The application's name.
        features: What it is to do, one entry per feature.
        timeout_seconds: Time for one attempt of a developer, in seconds. Default: that of its agent type.
        options: Options of `Orchestrator`, by keyword.

    Raises:
        PlanError: The name or a feature cannot be used. (A `ValueError`, as is the next.)
        OptionError: An option has a value it does not take.

    Attributes:
        tasks: One per part, its id is the part; they may be changed, removed and added to before the team is run.
        orchestrator: What runs them.

    Example:
        >>> team = DevTeam("Ledger", ["import bank statements", "monthly report"], rehearsal=True)
        >>> built = [task.task_id for task in team.tasks]
        >>> team.tasks.append(AgentTask("code_reviewer", "Do the parts fit?", task_id="fit", dependencies=built))
        >>> list(team.execute())
        ['frontend', 'backend', 'database', 'api', 'devops', 'fit']
    """

    ROLES = ("frontend", "backend", "database", "api", "devops")

    def __init__(
        self, app_name: str, features: Iterable[str], *, timeout_seconds: float | None = None, **options: Any
    ) -> None:
        super().__init__(_by_role(self.ROLES, create_dev_team(app_name, features)), timeout_seconds, options)


class ReviewTeam(_Team):
    """Four reviewers for one piece of code, and one who writes tests for it.

    Results stand under what they look at: `code`, `security`, `performance`, `accessibility`, `tests`.

    Args:
        code: The source text; `ReviewTeam.of_file(path)` reads it.
        timeout_seconds: Time for one attempt of a reviewer, in seconds. Default: that of its agent type.
        options: Options of `Orchestrator`, by keyword.

    Raises:
        PlanError: There is no source text. (A `ValueError`, as is the next.)
        OptionError: An option has a value it does not take.

    Attributes:
        tasks: One per role, its id is the role; they may be changed, removed and added to before the team is run.
        orchestrator: What runs them.

    Example:
        >>> results = ReviewTeam("def first(rows): return rows[0]", rehearsal=True).execute()
        >>> results["code"].output["issues_found"] > 0
        True
    """

    ROLES = ("code", "security", "performance", "accessibility", "tests")

    def __init__(self, code: str, *, timeout_seconds: float | None = None, **options: Any) -> None:
        super().__init__(_by_role(self.ROLES, create_review_team(code)), timeout_seconds, options)

    @classmethod
    def of_file(cls, path: str | PathLike[str], *, timeout_seconds: float | None = None, **options: Any) -> ReviewTeam:
        """A team for the code of a file, whose name the reviewers are told.

        Args:
            path: The file, in UTF-8.
            timeout_seconds: As for `ReviewTeam`.
            options: Options of `Orchestrator`, by keyword.

        Raises:
            PlanError: The file cannot be read, is no text, or empty. (A `ValueError`.)
            OptionError: An option has a value it does not take.
        """
        from pathlib import Path

        try:
            file = Path(fspath(path))
            code = file.read_text(encoding="utf-8")
        except TypeError:
            raise PlanError(f"`path` is {shown(path)}, expected a file's path") from None
        except OSError as error:
            raise PlanError(f"`path` is `{str(path)!r}`, which cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            reason = "which holds no text in UTF-8; read it yourself: ReviewTeam(code)"
            raise PlanError(f"`path` is `{str(path)!r}`, {reason}") from error
        if not code.strip():
            raise PlanError(f"`path` is `{str(path)!r}`, which is empty, expected a file with source text")
        team = cls(code, timeout_seconds=timeout_seconds, **options)
        for task in team.tasks:
            task.input_data["file"] = file.name
        return team
