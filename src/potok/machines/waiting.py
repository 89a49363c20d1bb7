"""How machines speak of those who wait: parties, waiters, arms, and the queue they stand in.

A machine never knows who waits (a thread, a greenlet, an asyncio task, a task elsewhere) or for how long.
It is given a *party*; where the operation can't complete now it makes a `Waiter` for that party, queues it and
returns `PARKED`. Whoever completes the operation later claims the waiter, fills in its outcome and wakes it.

Invariants
    A waiter is claimed at most once, under the mutex of the machine it stands in; `wake` follows exactly once.
    A withdrawn waiter counts as claimed: nobody hands it anything any more.
    An `Arm` is one of several entries of a *group* (a select): claiming it must also win the group, which
    one entry does, whichever machines they stand in.
    Entries that were claimed elsewhere stay in their queue until they are met or swept; `dead` counts those
    withdrawn, and a queue is swept when they are the majority, so withdrawing is O(1) amortised.

Every operation that may park has the form `op(party, *args) -> result or PARKED`; with `party=None` it never
queues (the `…_nowait` spelling). As an arm of a select it is split in two: `ready(arm)` tells, without effect,
whether it could complete now, and `attempt(arm)` completes it and sets `arm.value`, or returns False.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol

from potok.errors import BlockingCallError

__all__ = [
    "AGAIN",
    "NOT_YET",
    "PARKED",
    "PLACE",
    "Arm",
    "Machine",
    "Party",
    "WaitQueue",
    "Waiter",
    "new_arm",
    "park",
]


class _Parked:
    """The answer of an operation whose waiter was queued."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "PARKED"


PARKED: Final = _Parked()


class _Again:
    """The error of a waiter that was claimed in vain: nothing has happened, its operation is to be tried again."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "AGAIN"


AGAIN: Final = _Again()


class _Place:
    """What a waiter among a channel's senders brings that wants a free place, and sends nothing yet."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "PLACE"


PLACE: Final = _Place()

NOT_YET: Final = -1.0
"""Since when a waiter waits whose task is about to park."""


class Waiter:
    """One task waiting for one operation; woken once, from any thread.

    Executors derive their own with a `wake` of theirs. Slots are set by hand where a waiter is made (see `park`):
    a constructor call would cost as much as the rest of the operation.
    """

    __slots__ = (
        "claimed",
        "due",
        "end",
        "error",
        "group",
        "item",
        "machine",
        "op",
        "since",
        "task",
        "value",
        "woken",
    )

    task: Any  # the party that waits
    machine: Any  # where it stands
    op: str  # what for: "recv", "acquire", ...
    item: Any  # what it brings (the item of a send, the permits of an acquire)
    end: Any  # the channel end it came through
    claimed: bool
    due: Any  # when its kernel will revoke it; None if never
    group: Any  # the select it is an arm of; None for a plain waiter
    value: Any  # the outcome ...
    error: Any  # ... or the exception to raise
    since: float  # when its kernel parked it; NOT_YET before
    woken: bool  # `wake` was called

    def wake(self) -> None:
        """Make the party runnable. Called once, after the claim, with value or error set; may hold a mutex.

        The last that its caller does with the waiter: the party may use it again at once.
        """
        raise NotImplementedError

    def settle(self) -> None:
        """See that the wake of this waiter, past or never to come, resumes nobody any more.

        Called by the party, which runs again by other means: an exception came.
        """
        raise NotImplementedError


class Party(Protocol):
    """What a machine asks of whoever operates on it."""

    waiter_type: type[Waiter]
    waiter: Waiter | None
    spare: Waiter | None  # one that it has used and that nobody else knows any more


class Arm(Waiter):
    """One arm of a select: an entry that is claimed only together with its group."""

    __slots__ = ("arm", "index")

    arm: Any  # the object that was passed to select
    index: int

    def wake(self) -> None:
        self.group.wake()


def new_arm(
    machine: Any,
    op: str,
    item: Any = None,
    end: Any = None,
    group: Any = None,
    task: Any = None,
    index: int = 0,
) -> Arm:
    """An arm that stands nowhere yet. `select` itself sets the slots by hand: a call for each arm would show."""
    arm = Arm()
    arm.task = task
    arm.group = group
    arm.index = index
    arm.machine = machine
    arm.op = op
    arm.item = item
    arm.end = end
    arm.claimed = False
    arm.arm = arm.value = arm.error = None
    return arm


def park(party: Party | None, machine: Any, op: str, item: Any = None, end: Any = None) -> Waiter | None:
    """Make the party's waiter for this operation (None for a party that does not wait).

    Raises BlockingCallError if the party waits already: a signal handler has interrupted it.
    """
    if party is None:
        return None
    if party.waiter is not None:
        raise BlockingCallError(
            f"{op}: this task waits already ({party.waiter.op} on {party.waiter.machine.describe()}) and was "
            f"interrupted by a signal handler; that may call only what never waits (send_nowait, set, close, cancel)"
        )
    waiter = party.spare
    if waiter is None:
        waiter = party.waiter_type()
        waiter.task = party
        waiter.group = waiter.value = waiter.error = waiter.due = None
        waiter.since = NOT_YET
    else:
        party.spare = None
    waiter.machine = machine  # before it can be claimed: see `revoke`
    waiter.op = op
    waiter.item = item
    waiter.end = end
    waiter.claimed = waiter.woken = False
    party.waiter = waiter
    return waiter


class WaitQueue:
    """Those who wait for one thing, first in, first out."""

    __slots__ = ("dead", "entries")

    def __init__(self) -> None:
        self.entries: deque[Any] = deque()
        self.dead = 0

    def push(self, entry: Waiter) -> None:
        self.entries.append(entry)

    def pop(self) -> Any:
        """Claim the first waiter still waiting, or return None. The caller sets its outcome and wakes it."""
        entries = self.entries
        while entries:
            entry = entries.popleft()
            if entry.claimed:
                self.dead -= 1
            else:
                entry.claimed = True
                if entry.group is None or entry.group.claim(entry):
                    return entry
        return None

    def withdraw(self, entry: Waiter) -> bool:
        """Take the entry out. False: it was claimed before, so its outcome stands and its wake is on the way."""
        if entry.claimed:
            return False
        entry.claimed = True
        self.dead += 1
        if self.dead > 8 and self.dead * 2 > len(self.entries):
            self.sweep()
        return True

    def fail_those_at(self, end: Any, error: Callable[[], BaseException]) -> None:
        """Wake those who wait at this very end, with a fresh error for each."""
        for entry in self.waiting():
            if (
                entry.end is end
                and self.withdraw(entry)
                and (entry.group is None or entry.group.claim(entry))
            ):
                entry.error = error()
                entry.wake()

    def sweep(self) -> None:
        """Forget the entries that were claimed elsewhere."""
        self.entries = deque(entry for entry in self.entries if not entry.claimed)
        self.dead = 0

    def drain(self) -> list[Any]:
        """Claim and return all who wait."""
        found = []
        while (entry := self.pop()) is not None:
            found.append(entry)
        return found

    def live(self, but: object = None) -> bool:
        """Whether somebody waits, not counting the arms of the group `but`."""
        entries = self.entries
        while entries and entries[0].claimed:
            entries.popleft()
            self.dead -= 1
        return any(
            not e.claimed and (e.group is None or (e.group is not but and e.group.open)) for e in entries
        )

    def waiting(self) -> list[Waiter]:
        """Those who wait, first first (for reports and tests)."""
        return [entry for entry in self.entries.copy() if not entry.claimed]

    def count(self) -> int:
        """How many wait, exactly."""
        return sum(not entry.claimed for entry in self.entries)

    def __len__(self) -> int:
        """How many wait. Reports ask without the mutex: nothing is iterated, and the answer may be out of date."""
        return max(0, len(self.entries) - self.dead)


class Machine:
    """What all machines have: a guard (set by whoever made the machine, opaque here) and a way out for waiters."""

    __slots__ = ("__weakref__", "guard")

    guard: Any
    away = False  # it stands for one in another address space
    tells = False  # it must `fetch` from there to know whether an arm is ready

    def take_here(self, task: Any, end: Any) -> Any:
        """What a receiver gets without the long way, where `away`; a mark of the kernel's, if there is nothing."""
        raise NotImplementedError

    def near(self, end: Any) -> Any:
        """The machine of this address space at which those wait who operate through that end."""
        return self

    def withdraw(self, entry: Waiter) -> bool:
        """Take a waiter out of whatever queue it stands in; False if it had been claimed."""
        raise NotImplementedError

    def enqueue(self, arm: Arm) -> None:
        """Let the arm of a select wait here."""
        raise NotImplementedError

    def ready(self, arm: Arm) -> bool:
        """Whether `attempt(arm)` could complete now. No effect."""
        raise NotImplementedError

    def attempt(self, arm: Arm) -> bool:
        """Complete the arm's operation now and set its value (or its error); False if it can't."""
        raise NotImplementedError

    def describe(self) -> str:
        """Name and state in a few words, for reports."""
        return type(self).__name__.lower()
