"""Five developers build the parts of an application at once; a reviewer then says whether the parts fit.

python examples/full_stack_team.py            as a rehearsal, with no AI
python examples/full_stack_team.py --gateway  for real; agents cost money
"""

from __future__ import annotations

import argparse
import sys

from parallel_agents import AgentTask, DevTeam, ParallelAgentsError

FEATURES = ["import bank statements", "sort payments into categories", "monthly report"]


def main() -> int:
    arguments = argparse.ArgumentParser(description="Five developers build an application, a reviewer joins the parts.")
    arguments.add_argument("app", nargs="?", default="Ledger", help="the application's name")
    arguments.add_argument("features", nargs="*", default=FEATURES, metavar="feature", help="what it is to do")
    arguments.add_argument("--gateway", action="store_true", help="run on the OpenClaw gateway; agents cost money")
    given = arguments.parse_args()

    if not given.gateway:
        print("A rehearsal: no AI is called.\n")
    team = DevTeam(given.app, given.features, rehearsal=not given.gateway)
    # The reviewer starts when all five have completed and finds their work in its prompt, marked as data.
    fit = AgentTask(
        "code_reviewer",
        f"The parts of {given.app} were built apart from each other. Say where they do not fit: names, types, routes.",
        task_id="fit",
        dependencies=[part.task_id for part in team.tasks],
        timeout_seconds=300,
    )
    team.tasks.append(fit)

    results = team.execute()
    for part, result in results.items():
        delivered = ", ".join(list(result.output)[:4]) if result.success else result.error
        print(f"{part:10} {result.status.value:10} {delivered}")
    review = results["fit"]
    if not review.success:
        return 1
    print(f"\nThe reviewer gives {review.output['score']} of 10 and objects to {review.output['issues_found']}:")
    for suggestion in review.output["suggestions"]:
        print(f"- {suggestion}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParallelAgentsError as error:
        sys.exit(f"error: {error}")
