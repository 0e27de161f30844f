"""The standing options of this user, for the old modules: there they were constants that people changed."""

from __future__ import annotations

import warnings
from typing import Any

from . import _core


def standing() -> dict[str, Any]:
    """The settings, as the command reads them. Those that cannot be used are a warning, and the defaults are used."""
    try:
        return _core.settings()
    except ValueError as error:
        warnings.warn(f"the settings are left out, and the defaults used: {error}", stacklevel=3)
        return {}
