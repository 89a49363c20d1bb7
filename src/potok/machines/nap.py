"""A wait that no other party ends: for time to pass, or for something outside potok (an asyncio future)."""

from __future__ import annotations

from typing import Any

from potok.machines.waiting import PARKED, Machine, Party, Waiter, park

__all__ = ["NapMachine"]


class NapMachine(Machine):
    """Nobody queues here. Invariant: of all who would end a wait (clock, canceller, callback) one claims it."""

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what

    def sleep(self, party: Party | None) -> Any:
        """Park until the time is over."""
        park(party, self, "sleep")
        return PARKED

    def begin(self, party: Party, op: str, subject: Any = None) -> Waiter | None:
        """The party's waiter. Always parks."""
        return park(party, self, op, subject)

    def withdraw(self, entry: Waiter) -> bool:
        if entry.claimed:
            return False
        entry.claimed = True
        return True

    def end(self, entry: Waiter) -> None:
        """What was waited for has happened."""
        if self.withdraw(entry):
            entry.wake()

    def describe(self) -> str:
        return self.what
