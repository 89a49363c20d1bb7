"""What is used only where it has been imported already, by whoever needed it."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["imported"]


def imported(name: str) -> Any:
    """The module; None where nobody has imported it, or another thread is just about it, and half of it is missing."""
    module = sys.modules.get(name)
    return None if getattr(getattr(module, "__spec__", None), "_initializing", False) else module
