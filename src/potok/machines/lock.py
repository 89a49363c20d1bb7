"""Locks: one holder at a time, handed over in the order in which they were asked for.

    free ──acquire──▶ held ──release, somebody waits──▶ held by the first of them
      ▲                 │
      └──── release, nobody waits

Invariants
    Somebody waits only while the lock is held. (An arm of a select that lost counts as nobody.)
    The lock is never free in between: `release` gives it to the first waiter itself, before that one runs.
    `holder` is who holds it, and None exactly when it is free. An RLock's `depth` is 0 exactly then.
    A lock whose holder is gone for good (`abandon`) is held by an `Abandoned`: nobody gets it, nobody waits, and
    whoever asks is told so, until `recover`.

Why it is handed over, and whoever comes by may not barge in: nobody starves, the order doesn't hang on the
scheduler (so a recorded schedule can be replayed), and an acquire that was cancelled or timed out is certain not to
hold the lock: either its waiter was claimed, with the lock, or it is out of the queue. The price is paid by threads
that fight over one lock: each hand-over switches threads, where a barging lock lets the one that runs go on.
"""

from __future__ import annotations

from typing import Any

from potok.errors import AbandonedLock
from potok.machines.waiting import PARKED, Arm, Machine, Party, Waiter, WaitQueue, park

__all__ = ["Abandoned", "LockMachine", "RLockMachine"]


class Abandoned:
    """Who holds a lock whose holder is gone for good: nobody, but it is not free. `name` tells who it was."""

    __slots__ = ("name", "why")

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self.why = why

    def error(self) -> AbandonedLock:
        """For whoever asks for the lock."""
        return AbandonedLock(
            f"task {self.name} held this lock when its worker ended ({self.why}); what it guards may be half done: "
            f"look after that, then call recover()"
        )


class _Abandonable(Machine):
    """What both locks share: the end of their holder's whole address space."""

    __slots__ = ("holder", "waiters")

    holder: Any
    waiters: WaitQueue

    def abandon(self, why: str) -> None:
        """The holder is gone for good. Whoever waits is told."""
        self.holder = Abandoned(_name(self.holder), why)
        for waiter in self.waiters.drain():
            waiter.error = self.holder.error()
            waiter.wake()

    def recover(self) -> bool:
        """Make an abandoned lock free; False if it was none."""
        if not isinstance(self.holder, Abandoned):
            return False
        self.holder = None
        return True

    def _wait(self, party: Party | None, item: Any) -> Any:
        """Somebody has it."""
        if isinstance(self.holder, Abandoned):
            raise self.holder.error()
        waiter = park(party, self, "acquire", item)
        if waiter is not None:
            self.waiters.push(waiter)
        return PARKED

    def _attempt(self, arm: Arm, acquire: Any, *args: Any) -> bool:
        try:
            arm.value = acquire(None, *args)
        except AbandonedLock as error:
            arm.error = error
            return True
        return arm.value is not PARKED


class LockMachine(_Abandonable):
    """A lock that anybody may release. `holder` is for reports."""

    __slots__ = ()

    depth = 1  # as an RLock's, for who waits on a condition

    def __init__(self) -> None:
        self.holder = None
        self.waiters = WaitQueue()

    def acquire(self, party: Party | None, owner: Any = None) -> Any:
        """Take the lock for `owner`, or else for the party itself: True, or park."""
        if owner is None:
            owner = party
        if self.holder is None:
            self.holder = owner
            return True
        return self._wait(party, owner)

    def release(self, owner: Any = None) -> None:
        """Hand the lock to the first waiter, or free it. Raises RuntimeError if nobody holds it."""
        if self.holder is None:
            raise RuntimeError(
                "release: this Lock is not locked; release it once for each acquire, best by a `with` block"
            )
        if isinstance(self.holder, Abandoned):
            raise self.holder.error()
        self._hand_over()

    def _hand_over(self) -> None:
        waiter = self.waiters.pop()
        self.holder = None if waiter is None else waiter.item
        if waiter is not None:
            waiter.value = True
            waiter.wake()

    # ── for a condition ─────────────────────────────────────────────────────────────────────────────────────

    def held_by(self, owner: Any) -> bool:
        """Whether `owner` may wait and notify. Anybody may, while the lock is held: by whom is not its business."""
        return self.holder is not None

    def give_up(self, owner: Any) -> None:
        """Release it, however often it is held."""
        self.release(owner)

    def restore(self, party: Party | None, owner: Any, depth: int) -> Any:
        """Undo `give_up`: True, or park."""
        return self.acquire(party, owner)

    # ── as an arm of a select, whose item is the owner ──────────────────────────────────────────────────────

    def ready(self, arm: Arm) -> bool:
        return self.holder is None or isinstance(self.holder, Abandoned)

    def attempt(self, arm: Arm) -> bool:
        return self._attempt(arm, self.acquire, arm.item)

    def enqueue(self, arm: Arm) -> None:
        self.waiters.push(arm)

    def withdraw(self, entry: Waiter) -> bool:
        return self.waiters.withdraw(entry)

    def describe(self) -> str:
        return "lock"


class RLockMachine(_Abandonable):
    """A lock that its holder may take again, and that only its holder releases: once for each time it was taken."""

    __slots__ = ("depth",)

    def __init__(self) -> None:
        self.holder = None
        self.depth = 0
        self.waiters = WaitQueue()

    def recover(self) -> bool:
        """Make an abandoned lock free; False if it was none."""
        if not super().recover():
            return False
        self.depth = 0
        return True

    def acquire(self, party: Party | None, owner: Any) -> Any:
        """Take the lock for `owner`, once more if it has it: True, or park."""
        return self.restore(party, owner, 1)

    def restore(self, party: Party | None, owner: Any, depth: int) -> Any:
        """Take the lock `depth` times at once: True, or park."""
        if self.holder is None or self.holder is owner:
            self.holder = owner
            self.depth += depth
            return True
        return self._wait(party, (owner, depth))

    def release(self, owner: Any) -> None:
        """Undo one acquire; after the last one the first waiter has the lock. Raises RuntimeError if not the holder."""
        self._refuse_stranger(owner)
        self.depth -= 1
        if not self.depth:
            self._hand_over()

    def held_by(self, owner: Any) -> bool:
        """Whether `owner` may wait and notify."""
        return self.holder is owner

    def give_up(self, owner: Any) -> None:
        """Release it, however often it is held. Raises as `release`."""
        self._refuse_stranger(owner)
        self._hand_over()

    def _hand_over(self) -> None:
        waiter = self.waiters.pop()
        self.holder, self.depth = (None, 0) if waiter is None else waiter.item
        if waiter is not None:
            waiter.value = True
            waiter.wake()

    def _refuse_stranger(self, owner: Any) -> None:
        if self.holder is None:
            raise RuntimeError(
                "release: this RLock is not locked; release it once for each acquire, best by a `with` block"
            )
        if isinstance(self.holder, Abandoned):
            raise self.holder.error()
        if self.holder is not owner:
            raise RuntimeError(
                f"release: this RLock is held by task {_name(self.holder)}, and only its holder may release it, "
                f"not task {_name(owner)}; a potok.Lock may be released by anybody"
            )

    # ── as an arm of a select, whose item is (owner, 1) ─────────────────────────────────────────────────────

    def ready(self, arm: Arm) -> bool:
        return self.holder is None or self.holder is arm.item[0] or isinstance(self.holder, Abandoned)

    def attempt(self, arm: Arm) -> bool:
        return self._attempt(arm, self.restore, *arm.item)

    def enqueue(self, arm: Arm) -> None:
        self.waiters.push(arm)

    def withdraw(self, entry: Waiter) -> bool:
        return self.waiters.withdraw(entry)

    def describe(self) -> str:
        return "rlock"


def _name(owner: Any) -> Any:
    return getattr(owner, "name", owner)
