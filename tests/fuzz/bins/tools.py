"""Fuzzes what injected tools answer: atheris over Python and, since the extension is built for it, over Rust."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

# The extension reports its coverage to libFuzzer, so that of atheris has to be there for all before it is loaded, and
# the mutator before that. What atheris then loads by itself must not see the other's state.
sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
atheris = import_module("atheris")
import_module("atheris.custom_mutator")


def check(data: bytes) -> None:
    tools.check(data)


def mutate(data: bytes, size_max: int, seed: int) -> bytes:
    return tools.mutate(data, size_max, seed)


atheris.Setup(sys.argv, check, custom_mutator=mutate)
import_module("atheris.core_with_libfuzzer")
with atheris.instrument_imports(include=["parallel_agents"]):
    from fuzz import tools
sys.setdlopenflags(os.RTLD_NOW | os.RTLD_DEEPBIND)
atheris.Fuzz()
