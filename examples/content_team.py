"""Five writers, one topic, all at once.

python examples/content_team.py "Monday motivation"            as a rehearsal, with no AI
python examples/content_team.py "Monday motivation" --gateway  for real; agents cost money
"""

from __future__ import annotations

import argparse
import sys

from parallel_agents import AgentResult, ContentTeam, ParallelAgentsError


def main() -> int:
    arguments = argparse.ArgumentParser(description="Five writers, one topic, all at once.")
    arguments.add_argument("topic", nargs="?", default="Monday motivation")
    arguments.add_argument("--gateway", action="store_true", help="run on the OpenClaw gateway; agents cost money")
    given = arguments.parse_args()

    if not given.gateway:
        print("A rehearsal: no AI is called.\n")
    results = ContentTeam(given.topic, rehearsal=not given.gateway).execute(callback=show)

    done = sum(result.success for result in results.values())
    cost = results.report["cost"]
    print(f"{done} of {len(results)} posts written, {'cost unknown' if cost is None else f'${cost:.2f}'}")
    return 0 if done == len(results) else 1


def show(result: AgentResult) -> None:
    """Called as soon as one writer is done, while the others still write."""
    if result.success:
        print(f"{result.task_id}: {result.output['caption']}\n  {' '.join(result.output['hashtags'])}\n")
    else:
        print(f"{result.task_id}: {result.status.value}, {result.error}\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParallelAgentsError as error:
        sys.exit(f"error: {error}")
