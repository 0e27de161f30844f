"""Prints what the checks need beside the package: the dependency group `test` of pyproject.toml, one per line.

`tomllib` came with Python 3.11 and pip's own support for groups later still, so the group is read as text here.
"""

from __future__ import annotations

import re
from pathlib import Path

text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
group = re.search(r"^test = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
assert group, "pyproject.toml has a dependency group `test`"
print("\n".join(re.findall(r'"([^"]+)"', group[1])))
