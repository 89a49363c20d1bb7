"""The condition: who waits to be notified. The lock that goes with it is a machine of its own.

    wait here ──▶ give up the lock ──▶ woken by notify, time, or a cancellation ──▶ take the lock again

A waiter stands here before it gives up the lock, so no notification that comes under the lock can miss it. Each of
the three steps takes one guard; nobody ever holds both.

Invariants
    A notification wakes one who waited when it was given, the first; one that finds nobody is forgotten.
"""

from __future__ import annotations

from typing import Any

from potok.machines.waiting import PARKED, Machine, Party, Waiter, WaitQueue, park

__all__ = ["ConditionMachine"]


class ConditionMachine(Machine):
    """Those who wait to be notified, first in, first out."""

    __slots__ = ("waiters",)

    def __init__(self) -> None:
        self.waiters = WaitQueue()

    def wait(self, party: Party | None) -> Any:
        """Always parks."""
        waiter = park(party, self, "wait")
        if waiter is not None:
            self.waiters.push(waiter)
        return PARKED

    def notify(self, n: int | None) -> None:
        """Wake the first `n`, or all (None)."""
        while n != 0 and (waiter := self.waiters.pop()) is not None:
            waiter.value = True
            waiter.wake()
            if n is not None:
                n -= 1

    def withdraw(self, entry: Waiter) -> bool:
        return self.waiters.withdraw(entry)

    def describe(self) -> str:
        return "condition"
