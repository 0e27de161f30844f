"""A request that an agent plans for: its plan is shown, run and reported.

python examples/orchestrated_job.py            as a rehearsal, with no AI
python examples/orchestrated_job.py "X or Y?"  for another request
python examples/orchestrated_job.py --gateway  for real; agents cost money
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from parallel_agents import Budget, Orchestrator, ParallelAgentsError

REQUEST = "Create 3 new agents and ensure all score 8.5+"


def main() -> int:
    arguments = argparse.ArgumentParser(description="A request that agents plan for, carry out and report.")
    arguments.add_argument("request", nargs="?", default=REQUEST, help="what is to be achieved")
    arguments.add_argument("--gateway", action="store_true", help="run on the OpenClaw gateway; agents cost money")
    given = arguments.parse_args()

    if not given.gateway:
        print("A rehearsal: no AI is called.\n")
    orchestrator = Orchestrator(rehearsal=not given.gateway, budget=Budget(usd=5))
    done = orchestrator.orchestrate(given.request, approve=approve)

    print(done.report)
    cost = "cost unknown" if done.cost is None else f"${done.cost:.2f}"
    print(f"\n{done.status}: {len(done.results)} agents, {cost}")
    if done.error:
        print(done.error)
    return 0 if done.status in ("completed", "partial") else 1


def approve(plan: dict[str, Any]) -> bool:
    """Shows a plan, and lets it run. A program of your own may ask somebody here."""
    print(f"Plan {plan['plan']}:")
    for step in plan["steps"]:
        after = f", after {' and '.join(step['dependencies'])}" if step["dependencies"] else ""
        target = f", until it scores {step['target']}" if step["target"] else ""
        print(f"  {step['task_id']} ({step['agent_type']}{after}{target})")
    print()
    return True


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParallelAgentsError as error:
        sys.exit(f"error: {error}")
