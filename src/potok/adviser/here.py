"""Which executors this machine has, and whether they work."""

from __future__ import annotations

import sys
from functools import cache

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


def this_machine(costs: Costs = DEFAULT_COSTS, warm: tuple[str, ...] = ()) -> Machine:
    """What there is here. The first time it imports the executors (4 ms), but starts nothing."""
    return Machine(find_cores().usable, not gil_is_on(), _executors(), costs, warm)


@cache
def _executors() -> tuple[str, ...]:
    """Those that need nothing but this process are not asked: to import coroutines takes as long as the others."""
    asked = {"threads", "processes"} | ({"interpreters"} if sys.version_info >= (3, 14) else set())
    there = {"inline", "coroutines"} | {name for name in asked if why_not(name) is None}
    return tuple(name for name in EXECUTORS if name in there)
