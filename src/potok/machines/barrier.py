"""The barrier: nobody goes on before `parties` have come.

    filling ──the last one came──▶ all woken, filling again
       │                └─with an action──▶ tripped ──the action is done──▶ all woken, filling again
       └──abort, or the action failed──▶ broken ──reset──▶ filling

The action is user code: it runs outside of the machine, in the task that came last. From the moment of the trip
those who wait are claimed, so neither time nor cancellation takes one of them away while the action runs; they are
woken after it. Others may come meanwhile: they wait for the next round. Should they fill it, its last one is woken
to run the action once more.

Invariants
    Fewer than `parties` wait, unless an action is under way.
    Each round wakes, or lets pass, exactly `parties`, with the numbers 0 to parties - 1 in the order they came;
    or none of them, and each gets BrokenBarrierError.
    While it is broken nobody waits.
"""

from __future__ import annotations

from typing import Any

from potok.errors import BrokenBarrierError
from potok.machines.waiting import PARKED, Machine, Party, Waiter, WaitQueue, park

__all__ = ["BarrierMachine", "Trip"]


class Trip:
    """A round that is complete but for its action: what `arrive` answers whoever has to run that."""

    __slots__ = ("others",)

    def __init__(self, others: list[Waiter]) -> None:
        self.others = others  # claimed, not yet woken


class BarrierMachine(Machine):
    """A barrier for `parties`; `acts`: there is an action to run each time it trips."""

    __slots__ = ("acts", "broken", "parties", "trip", "waiters")

    def __init__(self, parties: int, acts: bool = False) -> None:
        self.parties = parties
        self.acts = acts
        self.broken = False
        self.trip: Trip | None = None  # whose action is under way
        self.waiters = WaitQueue()

    def arrive(self, party: Party | None) -> Any:
        """The caller's number; a Trip, for which it runs the action and then calls `acted`; or park.

        Raises BrokenBarrierError.
        """
        if self.broken:
            raise BrokenBarrierError(
                "this Barrier is broken: a wait timed out or was cancelled, its action failed, or it was aborted; "
                "reset() makes it as new"
            )
        if self.trip is None and self.waiters.count() + 1 >= self.parties:
            others = self._claim(self.parties - 1)
            if self.acts:
                self.trip = Trip(others)
                return self.trip
            return self._let_pass(others)
        waiter = park(party, self, "wait")
        if waiter is not None:
            self.waiters.push(waiter)
        return PARKED

    def acted(self, trip: Trip) -> int:
        """The action is done: wake the others; the caller's number. Raises BrokenBarrierError if aborted meanwhile."""
        if self.trip is not trip:
            raise BrokenBarrierError("this Barrier was aborted while its action ran")
        self.trip = None
        number = self._let_pass(trip.others)
        if self.waiters.count() >= self.parties:
            *others, last = self._claim(self.parties)
            last.value = self.trip = Trip(others)
            last.wake()
        return number

    def abort(self) -> None:
        """Break the barrier: everybody who waits, and who comes, gets BrokenBarrierError."""
        self.broken = True
        trip, self.trip = self.trip, None
        _fail(trip.others if trip is not None else [], "aborted")
        _fail(self.waiters.drain(), "aborted")

    def reset(self) -> None:
        """Start afresh; those who wait get BrokenBarrierError. A round whose action is under way is complete."""
        self.broken = False
        _fail(self.waiters.drain(), "reset")

    def _claim(self, n: int) -> list[Waiter]:
        return [self.waiters.pop() for _ in range(n)]

    def _let_pass(self, others: list[Waiter]) -> int:
        for number, waiter in enumerate(others):
            waiter.value = number
            waiter.wake()
        return len(others)

    def withdraw(self, entry: Waiter) -> bool:
        return self.waiters.withdraw(entry)

    def describe(self) -> str:
        state = "broken" if self.broken else f"{len(self.waiters)} of {self.parties} there"
        return f"barrier, {state}"


def _fail(waiters: list[Waiter], why: str) -> None:
    for waiter in waiters:
        waiter.error = BrokenBarrierError(f"this Barrier was {why} while the task waited for the others")
        waiter.wake()
