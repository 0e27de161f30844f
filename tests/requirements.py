"""Prints what is needed beside the package: the dependency groups of pyproject.toml that are named.

`tomllib` came with Python 3.11 and pip's own support for groups later still, so the groups are read as text here.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
for name in sys.argv[1:]:
    group = re.search(rf"^{re.escape(name)} = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    assert group, f"pyproject.toml has a dependency group `{name}`"
    print("\n".join(re.findall(r'"([^"]+)"', group[1])))
