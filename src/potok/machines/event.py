"""The event: a flag that tasks wait for.

Invariants
    Somebody waits only while the flag is down.
    Whoever waits when the flag goes up is woken with True, also if it goes down again before that one runs.
"""

from __future__ import annotations

from typing import Any

from potok.machines.waiting import PARKED, Arm, Machine, Party, Waiter, WaitQueue, park

__all__ = ["EventMachine"]


class EventMachine(Machine):
    """The flag `up`."""

    __slots__ = ("up", "waiters")

    def __init__(self) -> None:
        self.up = False
        self.waiters = WaitQueue()

    def wait(self, party: Party | None) -> Any:
        """True once the flag is up, or park until then."""
        if self.up:
            return True
        waiter = park(party, self, "wait")
        if waiter is not None:
            self.waiters.push(waiter)
        return PARKED

    def set(self) -> None:
        """Raise the flag and wake all who wait."""
        self.up = True
        for waiter in self.waiters.drain():
            waiter.value = True
            waiter.wake()

    def clear(self) -> None:
        """Lower the flag."""
        self.up = False

    # ── as an arm of a select ───────────────────────────────────────────────────────────────────────────────

    def ready(self, arm: Arm) -> bool:
        return self.up

    def attempt(self, arm: Arm) -> bool:
        arm.value = self.up
        return self.up

    def enqueue(self, arm: Arm) -> None:
        self.waiters.push(arm)

    def withdraw(self, entry: Waiter) -> bool:
        return self.waiters.withdraw(entry)

    def describe(self) -> str:
        return "event"
