"""Everything that the fuzzer of tool answers has kept, played again. The others' is played by `tests/replay.rs`."""

from __future__ import annotations

import pytest
from fuzz import tools

from .child import REPOSITORY

pytestmark = pytest.mark.usefixtures("ends")

FOLDER = REPOSITORY / "tests" / "fuzz"
KEPT = sorted([*FOLDER.glob("corpus/tools/*"), *FOLDER.glob("findings/tools/*")])


def test_whatever_the_fuzzer_has_kept_is_read_well() -> None:
    assert len(KEPT) > 5
    for path in KEPT:
        try:
            tools.check(path.read_bytes())
        except Exception as error:
            raise AssertionError(f"{path.relative_to(FOLDER)} is read badly") from error


def test_what_the_fuzzer_makes_up_is_an_input_again() -> None:
    inputs = [b"{}"]
    for seed in range(200):
        inputs.append(tools.mutate(inputs[seed // 2], 2_000, seed))
    assert len(set(inputs)) > 150
    for data in inputs[:50]:
        tools.check(data)
