"""Folders of the skill, made for tests: by the command, or as older releases laid them out."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import parallel_agents

from . import child

VERSION = parallel_agents.__version__
NAME = "parallel-agents"

OLD_ORCHESTRATOR = '''
"""An orchestrator as somebody has changed it."""
from textwrap import dedent

DEFAULT_AGENT_TIMEOUT = 300
DEFAULT_MAX_CONCURRENT = 3
DEFAULT_MODEL = "kimi-coding/k2p5"
raise SystemExit("nothing of the old skill is executed")

AGENT_PROMPTS = {
    "code_reviewer": "You review code.",
    "haiku_writer": "You write haiku.\\n" "Answer with JSON: {\\"haiku\\": \\"...\\"}",
    "Recipe-Finder": """You find recipes.""",
    "computed_type": dedent("text"),
    "numbered": 5,
    "ünseen": "You see.",
    **{},
}
AGENT_PROMPTS["late_comer"] = "You come late."
AGENT_PROMPTS.update({"updated": "You were updated."}, named="You were named.")
AGENT_PROMPTS |= {"merged": "You were merged."}
'''
OLD_HELPERS = 'MODEL_HIERARCHY = ["anthropic/claude-haiku-4-5", "own/model"]\n'


def told(*arguments: str, code: int = 0) -> Any:
    """The JSON that `parallel-agents skill` prints."""
    done = child.run(child.COMMAND, "skill", *arguments, "--json")
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def refused(*arguments: str) -> str:
    """Why `parallel-agents skill` does nothing."""
    done = child.run(child.COMMAND, "skill", *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("parallel-agents: ")
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def files(folder: Path) -> dict[str, str]:
    """What stands in a folder: every file by its name in it, with its text."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def stamps(folder: Path) -> dict[str, tuple[int, int, str]]:
    """The same with times and modes: what shows that somebody touched it."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (status.st_mtime_ns, status.st_mode, digest)
    return found


def record(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "parallel-agents.json").read_text(encoding="utf-8"))
    return loaded


def make_older(folder: Path, version: str = "0.0.9") -> None:
    """Makes an installed folder one of an older version, with a file that ours no longer has."""
    texts = {"SKILL.md": "an older SKILL.md\n", "helpers.py": "older = True\n", "examples/gone.py": "gone = True\n"}
    changed = record(folder)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        changed["files"][name] = hashlib.sha256(text.encode()).hexdigest()
    changed["version"] = version
    (folder / "examples/content_team.py").unlink()
    del changed["files"]["examples/content_team.py"]
    (folder / "parallel-agents.json").write_text(json.dumps(changed), encoding="utf-8")


def make_old_layout(folder: Path) -> None:
    """A folder of release 3.2.0, in words of our own, as somebody has changed it."""
    (folder / "examples").mkdir(parents=True)
    front = "---\nname: parallel-agents\nversion: 3.2.0\ndescription: Run agents.\n---\n"
    texts = {
        "SKILL.md": f"{front}\n# Agents\n",
        "README.md": "Read me, as I was.\n",
        "USAGE-GUIDE.md": "Use me.\n",
        "ai_orchestrator.py": OLD_ORCHESTRATOR,
        "helpers.py": OLD_HELPERS,
        "examples/mine.py": "print('mine')\n",
        "notes.txt": "my notes\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def state() -> Path:
    return Path(os.environ["OPENCLAW_STATE_DIR"])


def fake_wheel(folder: Path, version: str = VERSION, tag: str = "py3-none-any") -> Path:
    """A wheel of our name whose package says which arguments it was given."""
    path = folder / f"openclaw_parallel_agents-{version}-{tag}.whl"
    main = "import sys\ndef main():\n    print('fake', sys.argv[1:])\n    return 7\n"
    info = f"openclaw_parallel_agents-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("parallel_agents/__init__.py", "")
        wheel.writestr("parallel_agents/__main__.py", main)
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: openclaw-parallel-agents\nVersion: {version}\n"
        )
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path
