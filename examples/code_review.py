"""A team reviews a file; a writer then turns what it found into one page.

python examples/code_review.py path/to/file.py            as a rehearsal, with no AI
python examples/code_review.py path/to/file.py --gateway  for real; agents cost money
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from parallel_agents import AgentResult, AgentTask, ParallelAgentsError, ReviewTeam


def main() -> int:
    arguments = argparse.ArgumentParser(description="Review a file and write the findings up.")
    arguments.add_argument("file", nargs="?", type=Path, default=Path(__file__), help="default: this example itself")
    arguments.add_argument("--gateway", action="store_true", help="run on the OpenClaw gateway; agents cost money")
    given = arguments.parse_args()

    if not given.gateway:
        print("A rehearsal: no AI is called.\n")
    team = ReviewTeam.of_file(given.file, rehearsal=not given.gateway)
    # The writer starts when all five have completed and finds their outputs in its prompt. Should one of them fail,
    # the writer is skipped and its result says why.
    page = AgentTask(
        "documentation_writer",
        f"Write one page for the maintainer of {given.file.name}: what was found, gravest first, and what to do.",
        task_id="page",
        output_format="markdown",
        dependencies=[task.task_id for task in team.tasks],
        timeout_seconds=300,
    )
    team.tasks.append(page)

    results = team.execute(callback=show)
    if not results["page"].success:
        return 1
    print(f"\n{results['page'].output}")
    return 0


def show(result: AgentResult) -> None:
    print(f"{result.task_id:14} {result.status.value:10} {result.error or ''}".rstrip())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParallelAgentsError as error:
        sys.exit(f"error: {error}")
