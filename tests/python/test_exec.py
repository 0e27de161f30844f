"""`parallel-agents exec`: a script is run as Python itself would run it, with our modules to import."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from . import child

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "program"
    made.mkdir()
    return made


@pytest.fixture
def run(folder: Path) -> Run:
    """Writes a script into the folder and runs it."""

    def run_script(text: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        path = folder / "script.py"
        path.write_text(text, encoding="utf-8")
        return child.run(child.COMMAND, "exec", str(path), *arguments, stdin=stdin)

    return run_script


LOOKS_AROUND = """
import pickle, sys
from dataclasses import dataclass

@dataclass
class Mine:
    value: int

assert pickle.loads(pickle.dumps(Mine(5))) == Mine(5)
print(sys.argv, __name__, __file__, sys.path[0], __doc__, sys.modules["__main__"].__dict__ is globals())
print(input())
"""


def test_a_script_finds_what_it_would_find_under_python(run: Run, folder: Path) -> None:
    arguments = ["--gateway-url", "x", "-h", "--", "a b"]
    ours = run(LOOKS_AROUND, *arguments, stdin="typed\n")
    own = child.run(sys.executable, str(folder / "script.py"), *arguments, stdin="typed\n")
    assert (ours.returncode, ours.stdout, ours.stderr) == (0, own.stdout, "")
    assert "typed" in ours.stdout


@pytest.mark.parametrize(
    "text",
    [
        "import sys; sys.exit(7)",
        "raise SystemExit('said')",
        "def f():\n    raise ValueError('seen')\nf()",
        "try:\n    1 / 0\nexcept Exception as error:\n    raise KeyError('k') from error",
        "print('a'\n",
        "import nowhere_to_be_found",
        "raise SystemExit",
        "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()",
        "import atexit\natexit.register(print, 'at the end')",
        "import sys\nsys.excepthook = lambda *about: print('hooked', about[0])\nraise ValueError",
        "raise KeyboardInterrupt",
    ],
)
def test_a_script_ends_as_under_python(run: Run, folder: Path, text: str) -> None:
    ours = run(text)
    own = child.run(sys.executable, str(folder / "script.py"))
    code = 130 if "KeyboardInterrupt" in text else own.returncode
    assert (ours.returncode, ours.stdout, ours.stderr) == (code, own.stdout, own.stderr)


def test_the_module_is_the_command_here_too(folder: Path) -> None:
    (folder / "script.py").write_text("import sys; print(sys.path[0], sys.argv)", encoding="utf-8")
    done = child.run(sys.executable, "-m", "parallel_agents", "exec", str(folder / "script.py"), "x", cwd=folder)
    assert done.stdout.startswith(str(folder)), done.stderr


def test_a_script_that_is_not_there_is_named(folder: Path) -> None:
    for path in (folder / "none.py", folder):
        done = child.run(child.COMMAND, "exec", str(path))
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"parallel-agents: cannot read the script `{path}`")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("arguments", [[], ["--rehearsal", "x.py"], ["--gateway-url", "ws://h:1"]], ids=" ".join)
def test_a_wrong_command_line_gives_exit_code_2(arguments: list[str]) -> None:
    done = child.run(child.COMMAND, "exec", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: parallel-agents exec [OPTIONS] SCRIPT [ARGS]..." in done.stderr


def test_a_bad_address_is_refused_before_the_script_runs(folder: Path) -> None:
    (folder / "script.py").write_text("print('ran')", encoding="utf-8")
    done = child.run(child.COMMAND, "exec", "--gateway-url", "ws://example.com", str(folder / "script.py"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "unencrypted" in done.stderr


def test_help_shows_the_command() -> None:
    assert "\n  exec " in child.run(child.COMMAND, "--help").stdout
    done = child.run(child.COMMAND, "exec", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "from `tools`" in " ".join(done.stdout.split())
    assert "130" in done.stdout


IMPORTS_TOOLS = """
import tools
from tools import sessions_spawn, sessions_list, sessions_history

print(tools.__parallel_agents_gateway__.url, tools.__name__)
try:
    sessions_list()
except ConnectionError as error:
    print("openclaw gateway run" in str(error))
"""


def test_tools_can_be_imported_and_ask_for_the_gateway_only_when_called(run: Run, folder: Path) -> None:
    assert run(IMPORTS_TOOLS).stdout == "None tools\nTrue\n"
    script = str(folder / "script.py")
    done = child.run(child.COMMAND, "exec", "--gateway-url", "ws://127.0.0.1:1", script)
    assert done.stdout == "ws://127.0.0.1:1 tools\nTrue\n", done.stderr


NAMES_ITS_HELPERS = """
import sys, types

# Whatever the package has under this name is what the script gets.
ours = sys.modules["parallel_agents.helpers"] = types.ModuleType("parallel_agents.helpers")
spec = ours.__spec__
import helpers
print("ours" if helpers is ours else helpers.__file__)
if helpers is ours:
    assert sys.modules["helpers"] is ours and ours.__spec__ is spec and ours.__name__ == "parallel_agents.helpers"
"""


def test_an_old_module_beside_the_script_gives_way_to_ours(run: Run, folder: Path) -> None:
    assert run(NAMES_ITS_HELPERS).stdout == "ours\n"
    (folder / "helpers.py").write_text("def spawn_parallel_with_retry(tasks): ...\n", encoding="utf-8")
    assert run(NAMES_ITS_HELPERS).stdout == "ours\n"


def test_a_module_of_the_scripts_own_that_only_has_the_name_is_left_alone(run: Run, folder: Path) -> None:
    (folder / "helpers.py").write_text("def greet(): return 'hello'\n", encoding="utf-8")
    (folder / "tools").mkdir()
    (folder / "tools" / "__init__.py").write_text("HAMMER = 1\n", encoding="utf-8")
    assert run(NAMES_ITS_HELPERS).stdout == f"{folder / 'helpers.py'}\n"
    assert run("import helpers, tools\nprint(helpers.greet(), tools.HAMMER)").stdout == "hello 1\n"


def test_a_tools_module_beside_the_script_that_only_stood_in_gives_way(run: Run, folder: Path) -> None:
    (folder / "tools.py").write_text("sessions_spawn = sessions_list = sessions_history = None\n", encoding="utf-8")
    assert run(IMPORTS_TOOLS).stdout == "None tools\nTrue\n"


def test_own_agent_types_can_be_named(run: Run, folder: Path) -> None:
    (folder / "poet.md").write_text("---\nname: exec_poet\ndescription: Writes\n---\nWrite.\n", "utf-8")
    (folder / "script.py").write_text(
        "import parallel_agents; print(parallel_agents.validate_agent_type('exec_poet'))", encoding="utf-8"
    )
    done = child.run(child.COMMAND, "exec", "--agents", str(folder / "poet.md"), str(folder / "script.py"))
    assert done.stdout == "True\n", done.stderr
