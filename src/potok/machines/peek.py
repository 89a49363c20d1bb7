"""Waiting until an operation would not have to wait, without doing it: what `poll` asks.

A peek is a select with one arm that never lets itself be chosen. Its entry stands in the machine's queue as any arm;
whoever comes to serve it tells it so by claiming it, is declined, and goes on to the next in the queue.

Invariants
    A machine is as it would be without the peek; only its entry leaves the queue.
    The peeker is woken at most once; what it was told may be over by then, so it looks again.
"""

from __future__ import annotations

from typing import Any

from potok.machines.select import Group
from potok.machines.waiting import PARKED, Arm, Party, park

__all__ = ["Peek", "look"]


class Peek(Group):
    """The group of one arm, which nobody can win for it."""

    __slots__ = ("arm",)

    arm: Any

    def claim(self, arm: Arm) -> bool:
        if super().claim(arm):
            self.wake()
        return False

    def describe(self) -> str:
        return str(self.arm.machine.describe())


def look(party: Party | None, peek: Peek, arm: Arm) -> Any:
    """True if the arm's operation would not wait; or park until that may be so. Inside the arm's machine."""
    if arm.machine.ready(arm):
        return True
    if party is not None:
        peek.arm = arm
        peek.arms = [arm]
        peek.waiter = park(party, peek, "poll", arm)
        arm.machine.enqueue(arm)
    return PARKED
