"""Two agent types of one's own, one written in Python and one in Markdown, used at once.

python examples/own_agent_types.py            as a rehearsal, with no AI
python examples/own_agent_types.py --gateway  for real; agents cost money
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from parallel_agents import (
    AgentTask,
    AgentType,
    Orchestrator,
    ParallelAgentsError,
    load_agent_types,
    register_agent_type,
)

NOTICE = "Owing to circumstances beyond our control, the commencement of the 10 a.m. session will be subject to delay."

QUESTION_FINDER = AgentType(
    name="question_finder",
    description="Finds what a reader of a text will ask",
    prompt="Read the text as somebody whom it concerns. List what that reader still has to ask, the most urgent first.",
    output_schema={
        "type": "object",
        "required": ["questions"],
        "properties": {"questions": {"type": "array", "items": {"type": "string"}}},
    },
)


def main() -> int:
    arguments = argparse.ArgumentParser(description="Two agent types of one's own, used at once.")
    arguments.add_argument("text", nargs="?", default=NOTICE)
    arguments.add_argument("--gateway", action="store_true", help="run on the OpenClaw gateway; agents cost money")
    given = arguments.parse_args()

    if not given.gateway:
        print("A rehearsal: no AI is called.\n")
    register_agent_type(QUESTION_FINDER)
    (editor,) = load_agent_types(Path(__file__).parent / "agents" / "plain_words_editor.md")
    tasks = [
        AgentTask("question_finder", "What will readers ask?", {"text": given.text}, task_id="questions"),
        AgentTask(editor, "Say it in plain words.", {"text": given.text}, task_id="plain words"),
    ]
    results = Orchestrator(rehearsal=not given.gateway).run_parallel(tasks)
    for name, result in results.items():
        print(f"{name} ({result.agent_type}): {result.status.value}")
        for field, value in (result.output or {"error": result.error}).items():
            print(f"  {field}: {'; '.join(value) if isinstance(value, list) else value}")
    return 0 if all(result.success for result in results.values()) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ParallelAgentsError as error:
        sys.exit(f"error: {error}")
