"""A Python without the global lock is refused by name. Played: only its mark, `t` among its flags, is set here."""

from __future__ import annotations

import sys

import pytest

from . import child

PROGRAM = """
import sys
sys.abiflags = {flags!r}
sys.executable = "/usr/bin/python3.14t"
try:
    import parallel_agents
except ImportError as error:
    print(error)
else:
    print("imported")
print([name for name in sys.modules if name.startswith("parallel_agents")])
"""


@pytest.mark.parametrize("flags", ["t", "td"])
def test_a_free_threaded_python_is_refused_before_anything_is_loaded(flags: str) -> None:
    message, loaded = child.run_python(PROGRAM.format(flags=flags)).splitlines()
    assert message == (
        "parallel_agents does not run on the free-threaded Python at `/usr/bin/python3.14t`: "
        "use a Python 3.10 or newer whose name does not end in `t`"
    )
    assert loaded == "[]"


@pytest.mark.parametrize("flags", ["", "d"])
def test_any_other_is_not(flags: str) -> None:
    assert child.run_python(PROGRAM.format(flags=flags)).splitlines()[0] == "imported"


def test_the_mark_is_the_one_of_this_python() -> None:
    import sysconfig

    assert ("t" in sys.abiflags) == bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
