"""The semaphore: a number of permits, handed over in the order in which they were asked for.

Invariants
    Permits are never negative, and somebody waits only while there are none.
    With a bound: never more permits than that, counting neither those taken nor those handed over.
    A permit that is released goes to the first waiter itself (why: see `potok.machines.lock`).
"""

from __future__ import annotations

from typing import Any

from potok.machines.waiting import PARKED, Arm, Machine, Party, Waiter, WaitQueue, park

__all__ = ["SemaphoreMachine"]


class SemaphoreMachine(Machine):
    """`value` permits to take; `bound`, if any, is how many there may ever be."""

    __slots__ = ("bound", "value", "waiters")

    def __init__(self, value: int, bound: int | None = None) -> None:
        self.value = value
        self.bound = bound
        self.waiters = WaitQueue()

    def acquire(self, party: Party | None) -> Any:
        """Take a permit: True, or park."""
        if self.value:
            self.value -= 1
            return True
        waiter = park(party, self, "acquire")
        if waiter is not None:
            self.waiters.push(waiter)
        return PARKED

    def enter(self, party: Party | None) -> Any:
        """`acquire`, for a block. Elsewhere it is known who has entered: see `potok.remote.sync`."""
        return self.acquire(party)

    def leave(self) -> None:
        """`release`, at the end of a block."""
        self.release(1)

    def release(self, n: int) -> None:
        """Give `n` permits to the first waiters and keep the rest. Raises ValueError past the bound."""
        if self.bound is not None and self.value + n > self.bound:
            raise ValueError(
                f"release: {n} more than {self.value} would be more permits than the bound of {self.bound}; "
                f"release once for each acquire, or use a potok.Semaphore, which has no bound"
            )
        while n and (waiter := self.waiters.pop()) is not None:
            n -= 1
            waiter.value = True
            waiter.wake()
        self.value += n

    # ── as an arm of a select ───────────────────────────────────────────────────────────────────────────────

    def ready(self, arm: Arm) -> bool:
        return self.value > 0

    def attempt(self, arm: Arm) -> bool:
        arm.value = self.acquire(None)
        return arm.value is not PARKED

    def enqueue(self, arm: Arm) -> None:
        self.waiters.push(arm)

    def withdraw(self, entry: Waiter) -> bool:
        return self.waiters.withdraw(entry)

    def describe(self) -> str:
        of = "" if self.bound is None else f" of {self.bound}"
        return f"semaphore with {self.value}{of} permits"
