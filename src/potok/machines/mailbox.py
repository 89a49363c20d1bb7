"""The ends of a buffered channel as another address space has them: a box for each direction, with its own waiters.

    home: channel ── items ──▶ Inbox ──▶ receivers here          senders here ──▶ Outbox ── push ──▶ channel: home
                  ◀── pull ──                                                        ◀── room ──

An `Inbox` (see `machines.inbox`) tells its home how many items its receivers wait for (`need`) and how many may come
unasked (`limit`); an `Outbox` (see `machines.outbox`) sends what it has room for, which its home has set aside. Both
count from the first item on, so that a number means the same at either side, whatever crosses on the way. What is to be
said is put into `said`, in order.

Invariants
    Inbox: items that came = taken by tasks + in the buffer; the home keeps each until it hears that it was taken.
    A receiver is parked only while the buffer is empty, and then its home knows of it, or may send without knowing.
    Outbox: items sent + in the buffer + places left + given back = places that the home has granted.
    Asked to, a box gives back at once what nobody has used: its answer is definite.
    A box has a lane, or gets one, only before its home has heard of its epoch, and lets go of it after its last word.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, Final, Protocol

from potok.errors import ClosedError
from potok.machines.waiting import Arm, Machine, Waiter, WaitQueue

__all__ = ["NEVER", "WINDOW", "Box", "Error", "Lane", "epochs", "granted_by", "put_by_lane", "shown"]

WINDOW = 128  # items at most that may come, or go, unasked

NEVER: Final = 1 << 62
COUNT_BITS: Final = 40
COUNTED: Final = (1 << COUNT_BITS) - 1
EPOCHS: Final = (1 << 64 - COUNT_BITS) - 1

Error = Callable[[], ClosedError]

epochs = count(1)


def shown(epoch: int, granted: int) -> int:
    """The number that shows to an outbox what was granted in this epoch, and in an older one nothing."""
    return (epoch & EPOCHS) << COUNT_BITS | granted


def granted_by(number: int, epoch: int) -> tuple[int, int]:
    """The reverse, in this epoch: what was granted in another one is nothing here."""
    return epoch, number & COUNTED if number >> COUNT_BITS == epoch & EPOCHS else 0


class Lane(Protocol):
    """Memory that both sides see, in which items go one way without a message: see `potok.remote.lanes`.

    What came by it came before every message of its writer, which are heard after it was taken.
    """

    known: int  # another number for each item that was written

    def put(self, epoch: int, item: Any) -> bool | None:
        """Put an item there; False: it has to go by a message.

        None: it is there, and the reader, who does not look by itself, is to be told.
        """

    def write(self, epoch: int, item: Any) -> bool:
        """Put an item there, and do not look whether the reader is to be told."""

    def is_watched(self, epoch: int) -> bool:
        """Whether the reader looks by itself. After a barrier: who takes and leaves a mutex has passed one."""

    def heard(self, epoch: int) -> int:
        """How many items the reader has had, as of the last that came by a message."""

    def take(self, epoch: int) -> list[Any]:
        """All that is there of this epoch. What is of an older one is dropped; what is of a newer one stays."""

    def told(self, epoch: int) -> None:
        """The reader is about to be told: until it says `leave` again it need not be told once more."""

    def watch(self, epoch: int) -> None:
        """The reader looks by itself from now on."""

    def leave(self) -> None:
        """It does so no more; what is there by now, it can see."""

    def tell_heard(self, epoch: int, count: int) -> None:
        """Items have come by a message; so many in all."""


def put_by_lane(side: Any, item: Any) -> bool | None:
    """Put an item into the lane of a side that writes: an outbox, or a shipping at home. As `Lane.put`.

    Not past what went by a message and is not known to be heard (`behind`); what is to be told is counted (`untold`).
    """
    lane = side.lane
    if lane is None:
        return False
    if side.behind:
        if lane.heard(side.epoch) < side.behind:
            return False
        side.behind = 0
    got: bool | None = lane.put(side.epoch, item)
    if got is None:
        side.untold += 1
    return got


class Box(Machine):
    """What both directions share: who waits, what is here, what is to be said, and how it ended."""

    __slots__ = ("buffer", "channel", "ended", "lane", "lane_number", "said", "stir", "waiters", "window")

    tells = True
    first = 2  # how wide the window is at first
    known: bool  # the home has heard of us

    def __init__(self, channel: Any, stir: Callable[[], object]) -> None:
        self.channel = channel
        self.buffer: deque[Any] = deque()
        self.waiters = WaitQueue()
        self.said: deque[tuple[str, tuple[Any, ...]]] = deque()
        self.stir = stir  # told when there is something to be said
        self.window = 0
        self.ended: Error | None = None
        self.lane: Lane | None = None
        self.lane_number = -1  # as the home knows it

    def say(self, op: str, *args: Any) -> None:
        self.said.append((op, args))
        if len(self.said) == 1:
            self.stir()

    def widen(self) -> None:
        """They come fast: the next ones may come unasked."""
        self.window = min(4 * self.window or self.first, WINDOW, self.channel.size or WINDOW)

    def forsake(self) -> None:
        """This is a copy: what other spaces see is the original's."""
        self.lane, self.lane_number = None, -1

    def begin(self) -> None:
        """Nothing has been, and nobody knows of us."""
        raise NotImplementedError

    def leave(self) -> None:
        """Have the home forget of us."""
        raise NotImplementedError

    def may_begin(self) -> bool:
        """Whether the home has heard nothing of this epoch, and nothing is here that would be said in it."""
        return not (self.known or self.buffer or self.waiters.entries)

    def begin_with(self, lane: Lane, number: int) -> None:
        """Have this lane. In a lane each epoch is newer than all that were there before, so this one begins now."""
        self.lane, self.lane_number = lane, number
        self.begin()

    def let_go(self) -> int:
        """Leave, and then have no lane any more. Its number, the only time that it is told; -1: there was none."""
        self.leave()
        number, self.lane, self.lane_number = self.lane_number, None, -1
        return number

    def check(self, end: Any) -> None:
        """Raise why nothing can be done through this end."""
        if end.closed:
            raise self.channel.end_closed(end)

    def fail(self, error: Error) -> None:
        """Nothing more will come of waiting here."""
        if self.ended is None:
            self.ended = error
            while (waiter := self.waiters.pop()) is not None:
                waiter.error = error()
                waiter.wake()

    def end_closed(self, end: Any) -> None:
        """This end was closed: who waits at it fails."""
        self.waiters.fail_those_at(end, lambda: self.channel.end_closed(end))

    def ask(self) -> None:
        """Have the home know of who waits here."""
        raise NotImplementedError

    def enqueue(self, arm: Arm) -> None:
        self.waiters.push(arm)
        self.ask()

    def withdraw(self, entry: Waiter) -> bool:
        return self.waiters.withdraw(entry)

    def describe(self) -> str:
        return str(self.channel.describe())
