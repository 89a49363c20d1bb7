"""TO BE REMOVED once `potok.map` takes on="auto", retries, timeout, rate and journal: what it does not take yet.

Then `default_executor()` is "auto", and `checked(options)` is `options`.
"""

import inspect
from typing import Any

import potok
from potok.cli import UsageError

__all__ = ["checked", "default_executor"]


def default_executor() -> str | None:
    """Return "auto" where the library has it, else None: what it takes by default."""
    try:
        potok.map(str, (), on="auto")
    except ValueError:
        return None
    return "auto"


def checked(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse an option that the library does not have."""
    for name in options:
        if name not in inspect.signature(potok.starmap).parameters:
            raise UsageError(f"--{name} is not in this version of potok")
    return options
