"""The choice among several operations: exactly one takes effect.

A select is a *group* of arms. With all machines held, those arms that are ready are tried in the order of the choice;
the first that completes is the effect. If none does, every arm is queued and the party parks once. Whichever machine
serves an arm first wins the group; the others find its arms lost and pass over them.

Invariants
    An arm's side effect happens if and only if that arm is the group's winner.
    The group is won at most once, from whatever thread: `list.pop` of the one token is atomic on every build.
    Arms of a group never match each other: nothing is queued while they are tried, and only others match them later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from potok.machines.waiting import PARKED, Arm, Machine, Party, Waiter, park

__all__ = ["OPEN", "Group", "TimerMachine", "try_or_queue"]


class _OpenGuard:
    """A group decides by its token: nothing to hold."""

    def run(self, me: Any, op: Callable[..., Any], *args: Any) -> Any:
        return op(*args)

    post = run


OPEN = _OpenGuard()


class Group:
    """The arms of one select call; stands for a machine in the eyes of the waiter that parks for all of them."""

    __slots__ = ("arms", "guard", "token", "waiter", "winner")

    away = tells = False  # as a machine's

    def __init__(self, guard: Any) -> None:
        self.guard = guard
        self.token = [True]
        self.waiter: Any = None
        self.arms: list[Arm] = []  # while the party is parked, for reports
        self.winner: Any = None

    @property
    def open(self) -> bool:
        """Whether nobody has won yet."""
        return bool(self.token)

    def claim(self, arm: Arm) -> bool:
        """Win the group for this arm; False if it was won before."""
        try:
            self.token.pop()
        except IndexError:
            return False
        self.winner = arm
        return True

    def wake(self) -> None:
        """The winner's outcome is set: wake the party."""
        self.waiter.claimed = True
        self.waiter.wake()

    def withdraw(self, waiter: Waiter) -> bool:
        """Give up all arms, unless one has won."""
        waiter.claimed = True  # if not by us, then by the winner
        try:
            self.token.pop()
        except IndexError:
            return False
        return True

    def describe(self) -> str:
        return "several arms"


def try_or_queue(
    party: Party | None, group: Group, arms: Sequence[Arm], choose: Callable[[int], int] | None
) -> Any:
    """Complete one arm and return it, or queue all and return PARKED. With every machine's mutex held.

    `choose` picks among the ready (fair); None takes the first (prioritised). A party of None never queues.
    """
    ready = [arm for arm in arms if arm.machine.ready(arm)]
    while ready:
        arm = ready.pop(choose(len(ready)) if choose is not None and len(ready) > 1 else 0)
        if arm.machine.attempt(arm):
            return arm
    if party is None:
        return PARKED
    group.waiter = park(party, group, "select")
    group.arms = list(arms)
    for arm in arms:
        arm.machine.enqueue(arm)
    return PARKED


class TimerMachine(Machine):
    """Arms that time makes ready: `arm.item` says whether it has. Nothing queues; the select's deadline wakes it."""

    __slots__ = ()

    def ready(self, arm: Arm) -> bool:
        return bool(arm.item)

    def attempt(self, arm: Arm) -> bool:
        return bool(arm.item)

    def enqueue(self, arm: Arm) -> None:
        """Time needs no queue."""

    def withdraw(self, entry: Waiter) -> bool:
        return True
