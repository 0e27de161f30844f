"""Five writers, one topic, all at once.

python examples/content_team.py "Monday motivation"            as a rehearsal, with no AI
python examples/content_team.py "Monday motivation" --gateway  for real; agents cost money
"""

from __future__ import annotations

import argparse
import sys

from parallel_agents import AgentResult, Orchestrator, ParallelAgentsError, create_content_team


def main() -> int:
    arguments = argparse.ArgumentParser(description="Five writers, one topic, all at once.")
    arguments.add_argument("topic", nargs="?", default="Monday motivation")
    arguments.add_argument("--gateway", action="store_true", help="run on the OpenClaw gateway; agents cost money")
    given = arguments.parse_args()

    if not given.gateway:
        print("A rehearsal: no AI is called.\n")
    orchestrator = Orchestrator(max_concurrent=5, rehearsal=not given.gateway)
    results = orchestrator.run_parallel(create_content_team(given.topic), callback=show)

    done = sum(result.success for result in results.values())
    print(f"{done} of {len(results)} posts written, {sum_of_costs(results)}")
    return 0 if done == len(results) else 1


def show(result: AgentResult) -> None:
    """Called as soon as one writer is done, while the others still write."""
    style = result.agent_type.removeprefix("content_writer_")
    if result.success:
        print(f"{style}: {result.output['caption']}\n  {' '.join(result.output['hashtags'])}\n")
    else:
        print(f"{style}: {result.status.value}, {result.error}\n")


def sum_of_costs(results: dict[str, AgentResult]) -> str:
    costs = [result.metadata["cost"] for result in results.values()]
    return "cost unknown" if None in costs else f"${sum(costs):.4f}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParallelAgentsError as error:
        sys.exit(f"error: {error}")
