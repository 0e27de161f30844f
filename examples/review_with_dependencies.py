"""Three reviewers read a file at once; a writer then turns what they found into one page.

python examples/review_with_dependencies.py path/to/file.py            as a rehearsal, with no AI
python examples/review_with_dependencies.py path/to/file.py --gateway  for real; agents cost money
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from parallel_agents import AgentTask, Orchestrator, ParallelAgentsError

REVIEWERS = {
    "code": "code_reviewer",
    "security": "security_reviewer",
    "performance": "performance_reviewer",
}


def main() -> int:
    arguments = argparse.ArgumentParser(description="Review a file and write the findings up.")
    arguments.add_argument("file", nargs="?", type=Path, default=Path(__file__), help="default: this example itself")
    arguments.add_argument("--gateway", action="store_true", help="run on the OpenClaw gateway; agents cost money")
    given = arguments.parse_args()

    if not given.gateway:
        print("A rehearsal: no AI is called.\n")
    orchestrator = Orchestrator(rehearsal=not given.gateway)
    page = None
    for result in orchestrator.run_iter(tasks(given.file)):
        print(f"{result.task_id:12} {result.status.value:10} {result.error or ''}".rstrip())
        if result.task_id == "page":
            page = result.output
    if page is None:
        return 1
    print(f"\n{page}")
    return 0


def tasks(file: Path) -> list[AgentTask]:
    data = {"file": file.name, "code": file.read_text(encoding="utf-8")}
    reviews = [
        AgentTask(agent_type, f"Review {file.name}.", data, task_id=name) for name, agent_type in REVIEWERS.items()
    ]
    # The writer starts when all three have completed and finds their outputs in its prompt. Should one of them fail,
    # the writer is skipped and its result says why.
    page = AgentTask(
        "documentation_writer",
        f"Write one page for the maintainer of {file.name}: what the reviewers found, gravest first, and what to do.",
        task_id="page",
        output_format="markdown",
        dependencies=list(REVIEWERS),
        timeout_seconds=300,
    )
    return [*reviews, page]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParallelAgentsError as error:
        sys.exit(f"error: {error}")
