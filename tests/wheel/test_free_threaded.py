"""The sources do not build for a Python without the global lock, which has no wheel either: its pip takes no abi3.

Everything is compiled anew for that interpreter, so this is tried with FULL=1 alone.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import REPOSITORY

SECONDS_MAX = 600
# What PyO3 finds out about such an interpreter, told to it instead.
INTERPRETER = """\
implementation=CPython
version=3.14
target_abi=CPython-free_threaded-3.14
shared=true
build_flags=Py_GIL_DISABLED
suppress_build_script_link_lines=false
"""


@pytest.mark.skipif(os.environ.get("FULL") != "1", reason="compiles everything anew: FULL=1")
def test_a_build_for_it_ends_with_what_to_use_instead(tmp_path: Path) -> None:
    config = tmp_path / "interpreter.txt"
    config.write_text(INTERPRETER, encoding="utf-8")
    # A folder of its own: what is compiled for this interpreter is of no use to other builds.
    target = Path(os.environ.get("CARGO_TARGET_DIR", tmp_path)) / "free-threaded"
    environment = {**os.environ, "PYO3_CONFIG_FILE": str(config), "CARGO_TARGET_DIR": str(target)}
    check = ["cargo", "check", "--locked", "--lib", "--features", "python"]
    done = subprocess.run(check, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX)
    assert done.returncode != 0
    assert "parallel_agents does not run on a free-threaded Python: use a Python 3.10 or newer" in done.stderr
