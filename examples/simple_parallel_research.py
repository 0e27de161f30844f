"""Several topics researched at once, by one agent each.

python examples/simple_parallel_research.py "green tea" "black tea"            as a rehearsal, with no AI
python examples/simple_parallel_research.py "green tea" "black tea" --gateway  for real; agents cost money
"""

from __future__ import annotations

import argparse
import sys

from parallel_agents import AgentResult, ParallelAgentsError, ResearchTeam

TOPICS = ["how green tea is made", "how black tea is made", "how white tea is made"]


def main() -> int:
    arguments = argparse.ArgumentParser(description="Several topics researched at once, by one agent each.")
    arguments.add_argument("topics", nargs="*", default=TOPICS, metavar="topic")
    arguments.add_argument("--gateway", action="store_true", help="run on the OpenClaw gateway; agents cost money")
    given = arguments.parse_args()

    if not given.gateway:
        print("A rehearsal: no AI is called.\n")
    results = ResearchTeam(given.topics, rehearsal=not given.gateway).execute()
    for topic, result in results.items():
        show(topic, result)
    done = sum(result.success for result in results.values())
    print(f"{done} of {len(results)} topics researched")
    return 0 if done == len(results) else 1


def show(topic: str, result: AgentResult) -> None:
    print(f"# {topic}")
    if not result.success:
        print(f"{result.status.value}: {result.error}\n")
        return
    print(result.output["summary"])
    for point in result.output["key_points"]:
        print(f"- {point}")
    print(f"Open: {'; '.join(result.output['open_questions']) or 'nothing'}\n")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParallelAgentsError as error:
        sys.exit(f"error: {error}")
