"""A job that is only asked for: an agent plans it, others do it, and one reports.

python examples/orchestrated_job.py "What to do"            as a rehearsal, with no AI
python examples/orchestrated_job.py "What to do" --gateway  for real; agents cost money
python examples/orchestrated_job.py --gateway --approve     asks before the plan is run
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from parallel_agents import AgentResult, Budget, ParallelAgentsError, orchestrate

REQUEST = "Create 3 agents for a bakery's mail, orders and stock, and ensure that all score 8.5+."


def main() -> int:
    arguments = argparse.ArgumentParser(description="A job that is planned, run and reported by agents.")
    arguments.add_argument("request", nargs="?", default=REQUEST)
    arguments.add_argument("--approve", action="store_true", help="ask before the plan is run")
    arguments.add_argument("--usd", type=float, default=2.0, help="what it may cost, in US dollars; default 2")
    arguments.add_argument("--gateway", action="store_true", help="run on the OpenClaw gateway; agents cost money")
    given = arguments.parse_args()

    if not given.gateway:
        print("A rehearsal: no AI is called.\n")
    job = orchestrate(
        given.request,
        budget=Budget(usd=given.usd),
        approve=ask if given.approve else look,
        callback=show,
        rehearsal=not given.gateway,
    )
    cost = "cost unknown" if job.cost is None else f"${job.cost:.2f}"
    print(f"\n{job.report}\n\n{job.status}, plans made anew: {len(job.replans)}, {cost}")
    # Where only a part was done, the report says which.
    return 0 if job.status in ("completed", "partial") else 1


def look(plan: dict[str, Any]) -> bool:
    """Shows what an agent has planned, and lets it run."""
    print()
    for step in plan["steps"]:
        after = f", after {' and '.join(step['dependencies'])}" if step["dependencies"] else ""
        target = f", until it scores {step['target']}" if step["target"] else ""
        print(f"  {step['task_id']}: {step['agent_type']}{after}{target}")
    print()
    return True


def ask(plan: dict[str, Any]) -> bool | str:
    """The same, but somebody says. Anything but a yes runs nothing of it, and is told in the report."""
    look(plan)
    said = input("Run it? [yes, or why not] ").strip()
    return said.lower() in ("y", "yes") or said


def show(result: AgentResult) -> None:
    """Called as soon as an agent is done, while others still work."""
    print(f"{result.task_id:24} {result.agent_type:24} {result.status.value}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParallelAgentsError as error:
        sys.exit(f"error: {error}")
