"""What several of the names here are given, checked in one place; and what is taken where it was not said."""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["Checked", "default_workers", "name_of", "usable_cores"]

CONCURRENT_COROUTINES = 100


def default_workers(on: Any) -> int:
    """How many items, or calls, are worked on at a time, where nobody has said so."""
    match getattr(on, "name", on):
        case "auto":
            return 0  # as many as suit the executor that is chosen
        case "inline":
            return 1
        case "coroutines":
            return CONCURRENT_COROUTINES
        case "processes" | "interpreters":
            return _workers_of(on) or usable_cores()
        case _:
            return min(32, usable_cores() + 4)


def _workers_of(on: Any) -> int | None:
    """What `potok.processes(workers=...)`, or `potok.interpreters`, says."""
    return getattr(getattr(on, "options", None), "workers", None)


def usable_cores() -> int:
    """Those that this process may use: affinity and container quota count."""
    from potok.cores import find_cores

    return find_cores().usable


class Checked:
    """Checks of numbers that name the function that was called."""

    def __init__(self, called: str) -> None:
        self.called = called

    def count(self, name: str, value: Any, instead: str = "", least: int = 1) -> int:
        """A whole number."""
        choices = f"{instead} or " if instead else ""
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(
                f"potok.{self.called}: {name} must be {choices}a whole number >= {least}, not {value!r}"
            )
        if value < least:
            raise ValueError(f"potok.{self.called}: {name} must be >= {least}, not {value}")
        return value

    def seconds(self, name: str, value: Any) -> float | None:
        """None, or a number above 0: of seconds, or for each second."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"potok.{self.called}: {name} must be None or a number > 0, not {value!r}")
        if not 0 < value < float("inf"):
            raise ValueError(f"potok.{self.called}: {name} must be > 0 and finite, not {value}")
        return value


def name_of(fn: Any) -> str:
    """What a function is called by, in messages and names of tasks."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return getattr(fn, "__name__", None) or type(fn).__name__
