"""Ten new agents designed at once, each design judged by a reviewer of its own.

python examples/mass_agent_creation.py            as a rehearsal, with no AI
python examples/mass_agent_creation.py --gateway  for real; agents cost money
"""

from __future__ import annotations

import argparse
import sys

from parallel_agents import Orchestrator, ParallelAgentsError, create_meta_agent_workflow

PURPOSES = {
    "mail_sorter": "sorts the mail of a small office by urgency",
    "invoice_reader": "reads amounts and due dates from invoices",
    "meeting_scribe": "turns a transcript into decisions and tasks",
    "log_explainer": "explains an error in a log to its operator",
    "menu_planner": "plans a week of meals from what is in season",
    "quiz_maker": "makes a quiz from a chapter of a textbook",
    "travel_checker": "checks an itinerary for connections that are too short",
    "plant_doctor": "says from a description what ails a house plant",
    "contract_summarizer": "lists the duties and dates of a contract",
    "release_noter": "writes release notes from a list of changes",
}


def main() -> int:
    arguments = argparse.ArgumentParser(description="Ten new agents designed at once, each with a reviewer.")
    arguments.add_argument("--gateway", action="store_true", help="run on the OpenClaw gateway; agents cost money")
    given = arguments.parse_args()

    if not given.gateway:
        print("A rehearsal: no AI is called.\n")
    # Creators first, then the reviewers in the same order. A reviewer depends on its creator and gets the design.
    tasks = create_meta_agent_workflow({"name": name, "purpose": purpose} for name, purpose in PURPOSES.items())
    reviewers = tasks[len(PURPOSES) :]
    results = Orchestrator(max_concurrent=10, rehearsal=not given.gateway).run_parallel(tasks)

    for name, reviewer in zip(PURPOSES, reviewers, strict=True):
        review = results[reviewer.task_id]
        if review.success:
            advice = next(iter(review.output["recommendations"]), "no advice")
            print(f"{name:20} {review.output['overall_score']:4} of 10  {advice}")
        else:
            print(f"{name:20} {review.status.value}: {review.error}")
    reviewed = sum(results[reviewer.task_id].success for reviewer in reviewers)
    cost = results.report["cost"]
    print(f"\n{reviewed} of {len(PURPOSES)} designs reviewed, {'cost unknown' if cost is None else f'${cost:.2f}'}")
    return 0 if reviewed == len(PURPOSES) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParallelAgentsError as error:
        sys.exit(f"error: {error}")
