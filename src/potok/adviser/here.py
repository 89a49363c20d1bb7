"""Which executors this machine has, and whether they work."""

from __future__ import annotations

import sys
from functools import cache
from typing import Final

import potok
from potok.adviser.costs import DEFAULT_COSTS, EXECUTORS, Costs, Machine
from potok.adviser.heartbeat import gil_is_on
from potok.cores import find_cores

__all__ = ["this_machine", "why_not"]


def why_not(executor: str, *, trying: bool = False) -> str | None:
    """Why this executor can't be used here, in one line; None if it can.

    Args:
        executor: its name.
        trying: run a task on it, which may start a process; else only ask whether it is known and supported.
    """
    try:
        if trying:
            potok.run(int, on=executor)
        else:
            potok.scope(on=executor)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is the answer
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def this_machine(costs: Costs = DEFAULT_COSTS, warm: tuple[str, ...] = (), *, asking: bool = True) -> Machine:
    """What there is here.

    Args:
        costs: what they cost here.
        warm: those that have idle workers.
        asking: see which executors work here; the first time it imports them (4 ms), but starts nothing. Else all are
            taken to work, as they do nearly everywhere: enough to find out that none of them is wanted.
    """
    return Machine(find_cores().usable, not gil_is_on(), _executors() if asking else KNOWN, costs, warm)


KNOWN: Final = tuple(name for name in EXECUTORS if name != "interpreters" or sys.version_info >= (3, 14))
"""The executors that there are in this version of Python."""


@cache
def _executors() -> tuple[str, ...]:
    """Those that need nothing but this process are not asked: to import coroutines takes as long as the others."""
    there = {"inline", "coroutines"}
    return tuple(name for name in KNOWN if name in there or why_not(name) is None)
