"""Three agents designed, judged and improved until a reviewer gives each of them the score that is wanted.

python examples/refinement_to_a_target.py            as a rehearsal, with no AI
python examples/refinement_to_a_target.py 9          to another score
python examples/refinement_to_a_target.py --gateway  for real; agents cost money
"""

from __future__ import annotations

import argparse
import sys

from parallel_agents import AgentResult, Orchestrator, ParallelAgentsError

AGENTS = [
    {"name": "mail_sorter", "purpose": "sorts the mail of a small office by urgency"},
    {"name": "invoice_reader", "purpose": "reads amounts and due dates from invoices"},
    {"name": "log_explainer", "purpose": "explains an error in a log to its operator"},
]


def main() -> int:
    arguments = argparse.ArgumentParser(description="Agents designed, judged and improved until they are good enough.")
    arguments.add_argument("target", nargs="?", type=float, default=8.5, help="the wanted score, from 0 to 10")
    arguments.add_argument("--gateway", action="store_true", help="run on the OpenClaw gateway; agents cost money")
    given = arguments.parse_args()

    if not given.gateway:
        print("A rehearsal: no AI is called.\n")
    # Each agent goes on as soon as its own last step is done: none waits for the others.
    refined = Orchestrator(rehearsal=not given.gateway).run_iterative_refinement(AGENTS, given.target, callback=show)

    print()
    for name, each in refined.items():
        scores = " -> ".join("no review" if part.score is None else str(part.score) for part in each.rounds)
        cost = "cost unknown" if each.cost is None else f"${each.cost:.2f}"
        print(f"{name}: {scores}; {each.stopped_because}, kept with {each.score}, {cost}")
        for part in each.rounds:
            for change in part.changes[:1]:
                print(f"  {change}")
        if each.error:
            print(f"  {each.error}")
    reached = sum(each.reached for each in refined.values())
    print(f"\n{reached} of {len(refined)} have reached {given.target}")
    return 0 if not any(each.error for each in refined.values()) else 1


def show(result: AgentResult) -> None:
    print(f"{result.task_id:24} {result.status.value}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParallelAgentsError as error:
        sys.exit(f"error: {error}")
