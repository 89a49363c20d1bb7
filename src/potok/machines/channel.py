"""The channel: items from senders to receivers, by rendezvous, through a bounded buffer or an unbounded one.

    senders (parked, each with its item) ──▶ buffer (≤ capacity) ──▶ receivers (parked)

Invariants
    An item whose send completed is received exactly once, or reported undelivered exactly once.
    Items of one sender are received in the order in which they were sent.
    Items in the buffer + permits + unused places + short cuts in between = capacity, so it is never exceeded.
    A receiver is parked only while the buffer is empty and no sender is parked; a sender only while the buffer
    is full and no receiver is parked. (A select may stand on both sides at once: it never matches itself.)
    Ends are counted. Last sender closed: receivers drain the buffer, then `ClosedError`. Last receiver closed:
    senders fail at once and the buffer is reported undelivered.
    A cause given by any closing sender is kept: iteration ends cleanly only if none was given. One given by a
    receiver is kept for senders, whichever receiver closes last.

Linearisation: every operation takes effect at one point under the machine's mutex, also for a parked one: the
moment its counterpart claims it. Two short cuts go without the mutex where memory is sequentially consistent (with
a GIL): taking from the buffer, then giving back the permit; and taking a permit, then adding to the buffer (without
bound: just adding). Each step is one atomic deque operation; whoever does it looks *after* for parked counterparts
(`senders.entries`, `receivers.entries`) and then calls `refill` or `hand_out` under the mutex; whoever parks looks at
the buffer *after* it has queued. So one of the two sees the other, and no one stays parked beside what it waits for.
Between the two, a receiver may be parked beside a filled buffer for a moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import repeat
from operator import length_hint
from typing import Any

from potok.errors import ClosedError
from potok.machines.waiting import AGAIN, PARKED, PLACE, Arm, Machine, Party, Waiter, WaitQueue, park

__all__ = ["ChannelMachine", "End"]


class End:
    """One counted end of a channel. `alert` is set when its next operation must look closer (closed, handed over)."""

    __slots__ = ("alert", "closed", "held", "machine", "orphan", "owned", "paused", "quick", "sends", "why")

    moves = False  # handed over to a task, the caller's own closes at once

    def __init__(self, machine: ChannelMachine, sends: bool) -> None:
        self.machine = machine
        self.sends = sends
        self.closed = False
        self.alert = False
        self.paused = False  # open, and not counted
        self.owned = False  # a task's own, by hand-over: closed when that ends
        self.held = 0  # references from other address spaces
        self.orphan = False  # collected here, and held there
        self.why = ""
        self.quick: Any = None  # what takes the short way of an operation, where there are ends elsewhere


class ChannelMachine(Machine):
    """A channel of `capacity` items (0: rendezvous; None: unbounded)."""

    __slots__ = (
        "alerted",
        "buffer",
        "cancelled",
        "capacity",
        "cause",
        "direct",
        "dropping",
        "ends",
        "flows",
        "fragile",
        "fresh",
        "gone",
        "handed",
        "loose",
        "lost",
        "name",
        "open_receivers",
        "open_senders",
        "paused_receivers",
        "paused_senders",
        "permits",
        "receivers",
        "senders",
        "shared",
        "undelivered",
    )

    def __init__(
        self,
        capacity: int | None = 0,
        dropping: bool = False,
        undelivered: Callable[[Any], object] | None = None,
        name: str = "channel",
        fragile: bool = False,
    ) -> None:
        self.name = name
        self.fragile = fragile  # an end that closes with a cause cancels the channel
        self.capacity = capacity
        self.permits: deque[bool] = (
            deque()
        )  # one for each place in the buffer that was used and is free again
        self.fresh = repeat(True) if capacity is None else repeat(True, capacity)  # places never used yet
        self.dropping = dropping
        self.direct = capacity == 0  # a rendezvous and nothing else (broadcasts are not)
        # Short cuts through the buffer allowed? A dropping sender can't wait for one in between to end.
        self.loose = not dropping and not self.direct
        self.shared = False  # ends of it are in other address spaces: items are packed as they are sent
        self.flows: Any = None  # what of it is under way to and from there, see `machines.flows`
        self.undelivered = undelivered
        self.buffer: deque[Any] = deque()
        self.senders = WaitQueue()
        self.receivers = WaitQueue()
        self.ends: set[End] = set()
        self.open_senders = 0
        self.open_receivers = 0
        self.paused_senders = self.paused_receivers = 0
        self.cause: Any = None
        self.gone: Any = None  # why a receiver has closed
        self.cancelled = False
        self.lost: list[
            Any
        ] = []  # items to report once the mutex is free; only with an `undelivered` callback
        self.handed: dict[End, Any] = {}  # ends that scopes' bodies have handed over, see `potok.kernel.ends`
        self.alerted: set[bool] = (
            set()
        )  # of which side (`sends`) some are open, so that the other side looks closer

    # ── ends ────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, sends: bool) -> End:
        """A new end; the first of each side when the channel is made, further ones from an open end of that side."""
        end = End(self, sends)
        end.quick = self.flows
        self._count_in(end)
        return end

    def open_like(self, end: End) -> End:
        """A new end of the same side as this one. Raises ClosedError if that is closed."""
        if end.closed:
            raise self.end_closed(end)
        return self.open(end.sends)

    def open_again(self, end: End) -> End:
        """A new end of the same side as this one, which may be closed. Raises ClosedError if no end of it is open."""
        if not (
            self.open_senders + self.paused_senders
            if end.sends
            else self.open_receivers + self.paused_receivers
        ):
            raise self.end_closed(end) if self.cancelled else self.side_closed(end.sends)
        return self.open(end.sends)

    def is_handed_over(self) -> bool:
        """Whether all its open ends are tasks' own. Asked without the mutex, for reports."""
        return all(end.owned for end in list(self.ends))

    def _count_in(self, end: End) -> None:
        self.ends.add(end)
        if end.sends:
            self.open_senders += 1
        else:
            self.open_receivers += 1

    def close(self, end: End, cause: Any = None, why: str = "") -> None:
        """Close one end (idempotent). Operations parked on that very end fail; the value of a send is not sent."""
        if end.closed:
            return
        if end.paused:
            self.resume(end)
        if cause is not None and self.fragile:
            self.cancel(cause)
            return
        end.closed = end.alert = True
        end.why = why
        self.ends.discard(end)
        if end.held and self.flows is not None:
            self.flows.end_closed(end)
        if end.sends:
            self.open_senders -= 1
            if cause is not None and self.cause is None:
                self.cause = cause
        else:
            self.open_receivers -= 1
            if cause is not None and self.gone is None:
                self.gone = cause
        (self.senders if end.sends else self.receivers).fail_those_at(end, lambda: self.end_closed(end))
        self._look_who_is_left(end.sends)

    def _look_who_is_left(self, sends: bool) -> None:
        """An end of this side counts no more: was it the last?"""
        if sends and not self.open_senders:
            if self.flows is not None:
                self.flows.settle()
            if not self._may_come():
                self.end_receivers()
        elif not sends and not self.open_receivers:
            if self.cause is None:
                self.cause = self.gone
            self._fail(self.senders, sends=True)
            if not self.paused_receivers:
                if self.flows is not None:
                    self.flows.nobody_receives()
                self._drop_buffer()

    def pause(self, end: End) -> None:
        """Let an open end not count. Without another of its side who waits on the other fails; the buffer stays.

        Where items flow to and from elsewhere nothing is paused: what is told there of the end can't be taken back.
        """
        if end.closed or end.paused or self.flows is not None:
            return
        end.paused = True
        if end.sends:
            self.open_senders -= 1
            self.paused_senders += 1
        else:
            self.open_receivers -= 1
            self.paused_receivers += 1
        self._look_who_is_left(end.sends)

    def resume(self, end: End) -> None:
        """Let it count again."""
        if not end.paused:
            return
        end.paused = False
        if end.sends:
            self.open_senders += 1
            self.paused_senders -= 1
        else:
            self.open_receivers += 1
            self.paused_receivers -= 1

    def reap(self, end: End) -> bool:
        """Close an end that was collected; whether somebody depended on it (the other side waited, or items are lost).

        One that is held elsewhere is closed when it is let go there.
        """
        if end.held:
            end.orphan = True
            return False
        last = (self.open_senders if end.sends else self.open_receivers) == 1
        unsaid = bool(self.buffer) and self.undelivered is None  # else they are reported there
        missed = self.receivers.live() if end.sends else self.senders.live() or unsaid
        self.close(end, None, "it was collected without having been closed")
        return last and missed

    def cancel(self, cause: Any = None) -> None:
        """CSP's poison: drop the buffer, close every end and wake everyone with the cause."""
        if self.cancelled:
            return
        self.cancelled = True
        if cause is not None:
            self.cause = cause
        for end in list(self.ends):
            end.closed = end.alert = True
            end.paused = False
            if end.held and self.flows is not None:
                self.flows.end_closed(end)
        self.ends.clear()
        self.open_senders = self.open_receivers = self.paused_senders = self.paused_receivers = 0
        self._drop_buffer()
        self._fail(self.receivers, sends=False)
        self._fail(self.senders, sends=True)
        if self.flows is not None:
            self.flows.cancelled()

    def hold(self, end: End) -> None:
        """Another address space refers to this end."""
        end.held += 1

    def let_go(self, end: End, n: int) -> None:
        """So many references from elsewhere are no more."""
        end.held -= n
        if end.orphan and not end.held and not end.closed:
            self.close(end, None, "it was collected without having been closed")

    def share(self) -> None:
        """From now on items are packed by who sends them: no more short cuts."""
        self.shared = True
        self.loose = self.direct = False

    def is_clean_end(self, end: End) -> bool:
        """Whether a receiver that met the end met no error: the last sender closed, without a cause."""
        return not end.closed and not self.cancelled and self.cause is None and not self.open_senders

    def _drop_buffer(self) -> None:
        while self.buffer:
            self._drop_oldest()

    def _fail(self, queue: WaitQueue, sends: bool) -> None:
        while (waiter := queue.pop()) is not None:
            waiter.error = self.closed(sends)
            waiter.wake()

    # ── the errors ──────────────────────────────────────────────────────────────────────────────────────────

    def end_closed(self, end: End) -> ClosedError:
        """The error for an operation on a closed end."""
        if self.cancelled:
            return self.closed(end.sends)
        side = "sender" if end.sends else "receiver"
        return ClosedError(
            f"this {side} of {self.name} was closed{': ' + end.why if end.why else ''}", cause=None
        )

    def side_closed(self, sends: bool) -> ClosedError:
        """The error for who wants an end of a side on which none is left."""
        return ClosedError(f"the last {'sender' if sends else 'receiver'} of {self.name} was closed")

    def closed(self, sends: bool) -> ClosedError:
        """The error for an operation on an open end whose channel can no longer serve it."""
        if self.cancelled:
            told = f": {self.cause!r}" if self.cause is not None else ""
            return ClosedError(f"{self.name} was cancelled{told}", cause=self.cause)
        if sends:
            return ClosedError(
                f"nobody can receive from {self.name}: its last receiver was closed", cause=self.cause
            )
        return ClosedError(f"{self.name} is empty and its last sender was closed", cause=self.cause)

    # ── the operations ──────────────────────────────────────────────────────────────────────────────────────

    def send(self, party: Party | None, end: End, item: Any) -> Any:  # noqa: C901 - a call costs a tenth
        """Hand the item to a parked receiver, or to the buffer, or park. Raises ClosedError: the item was NOT sent."""
        if end.closed:
            raise self.end_closed(end)
        if self.receivers.entries and not self.buffer and (self.flows is None or not self.flows.held_back):
            waiter = self.receivers.pop()
            if waiter is not None:
                waiter.value = item
                waiter.wake()
                return None
        if not self.open_receivers:
            raise self.closed(sends=True)
        if self.take_place():
            self.buffer.append(item)
            if self.receivers.entries:
                self.hand_out()
            if self.flows is not None:
                self.flows.feed()
            return None
        if self.dropping:
            self._drop_oldest()
            self.buffer.append(item)
            return None
        waiter = park(party, self, "send", item, end)
        if waiter is not None:
            self.senders.entries.append(waiter)
            if self.permits:
                self.refill()
            if self.flows is not None:
                self.flows.crowd()
        return PARKED

    def receive(self, party: Party | None, end: End) -> Any:  # noqa: C901, PLR0912 - as send
        """Take the oldest item, or park. Raises ClosedError when none is left and no sender is open."""
        if end.closed:
            raise self.end_closed(end)
        if self.flows is not None and not self.buffer:
            self.flows.draw()
        if self.buffer and (self.flows is None or not self.flows.comes_back(party)):
            item = self._pop()
            if item is not PARKED:
                if self.senders.entries:
                    self.refill()
                elif self.flows is not None and len(self.permits) >= self.flows.mark:
                    self.flows.top_up()
                return item
        if self.senders.entries and self.flows is None:
            waiter = self.senders.pop()
            if waiter is not None:
                item = waiter.item
                waiter.wake()
                return item
        if not self.open_senders and not self._may_come():
            raise self.closed(sends=False)
        waiter = park(party, self, "recv", None, end)
        if waiter is not None:
            self.receivers.entries.append(waiter)
            if self.buffer:
                self.hand_out()
            if self.flows is not None:
                self.flows.settle()
        elif self.flows is not None and not self.buffer:
            self.flows.call_back()  # the next time it is here
        return PARKED

    def _may_come(self) -> bool:
        """Whether there are items for receivers, also where no sender is left."""
        return bool(self.buffer) or (self.flows is not None and bool(self.flows.outstanding))

    # ── after a change that was made without the mutex ──────────────────────────────────────────────────────

    def refill(self) -> None:
        """Places in the buffer came free: the parked senders' items take them."""
        while self.senders.entries and self.take_place():
            waiter = self.senders.pop()
            if waiter is None:
                self.permits.append(True)
                break
            if waiter.item is not PLACE:
                self.buffer.append(waiter.item)
            waiter.wake()
        if self.flows is not None:
            self.flows.top_up()
        if self.buffer and self.receivers.entries:  # one may have parked beside an item that is gone by now
            self.hand_out()
        if self.flows is not None:
            self.flows.feed()

    def hand_out(self) -> None:
        """Items came into the buffer: the parked receivers take them; nobody does once the last one is closed."""
        if not self.open_receivers and not self.paused_receivers:
            self._drop_buffer()
        if self.flows is not None and self.flows.held_back:
            return
        while self.buffer and (waiter := self.receivers.pop()) is not None:
            item = self._pop()
            if item is PARKED:
                waiter.error = AGAIN
            else:
                waiter.value = item
            waiter.wake()
        if self.permits and self.senders.entries:
            self.refill()

    # ── for what is under way from and to other spaces ──────────────────────────────────────────────────────

    def deliver(self, items: list[Any]) -> None:
        """Items came whose places had been granted."""
        self.buffer += items
        self.hand_out()
        self.flows.feed()

    def put_back(self, items: deque[Any]) -> None:
        """These were first, were shipped and not taken, and have kept their places."""
        self.buffer.extendleft(reversed(items))
        if not self.open_receivers and not self.paused_receivers:
            self._drop_buffer()

    def give_places(self, count: int) -> None:
        """So many places are free again."""
        if self.capacity is not None and count > 0:
            self.permits.extend([True] * count)
            if self.senders.entries:
                self.refill()
            else:
                self.flows.top_up()

    def places(self) -> int:
        """How many are free."""
        return len(self.permits) + length_hint(self.fresh)

    def ending(self) -> tuple[ClosedError, bool]:
        """Why nothing more comes for receivers, and whether that is a clean end."""
        return self.closed(sends=False), self.cause is None and not self.cancelled

    def end_receivers(self) -> None:
        """No sender is left, and nothing can come any more."""
        self._fail(self.receivers, sends=False)

    # ── places and items ────────────────────────────────────────────────────────────────────────────────────

    def take_place(self) -> bool:
        """Reserve a place in the buffer."""
        if self.permits:
            try:
                return self.permits.pop()
            except IndexError:  # taken meanwhile, without the mutex
                pass
        return next(self.fresh, False)

    def _pop(self) -> Any:
        """The oldest item of the buffer, whose place is free then; PARKED if there is none."""
        try:
            item = self.buffer.popleft()
        except IndexError:  # taken meanwhile, without the mutex
            return PARKED
        if self.capacity is not None:
            self.permits.append(True)
        return item

    def _drop_oldest(self) -> None:
        """Make room for an item, without giving the place back."""
        try:
            dropped = self.buffer.popleft()
        except IndexError:
            return
        if self.undelivered is not None:
            self.lost.append(dropped)

    def take_lost(self) -> list[Any]:
        """The undelivered items since the last call."""
        lost, self.lost = self.lost, []
        return lost

    # ── as an arm of a select ───────────────────────────────────────────────────────────────────────────────

    def ready(self, arm: Arm) -> bool:
        end = arm.end
        if end.closed:
            return True
        if end.sends:
            room = self.capacity is None or len(self.buffer) < self.capacity or self.dropping
            return room or not self.open_receivers or (bool(self.receivers.entries) and self.receivers.live())
        if self.flows is not None:
            if not self.buffer:
                self.flows.draw()
            return (bool(self.buffer) and not self.flows.held_back) or (
                not self.open_senders and not self._may_come()
            )
        return (
            bool(self.buffer) or not self.open_senders or (bool(self.senders.entries) and self.senders.live())
        )

    def attempt(self, arm: Arm) -> bool:
        try:
            if arm.end.sends:
                return self.send(None, arm.end, arm.item) is not PARKED
            arm.value = self.receive(None, arm.end)
            return arm.value is not PARKED
        except ClosedError as error:
            arm.error = error
            return True

    def enqueue(self, arm: Arm) -> None:
        if arm.end.sends:
            self.senders.push(arm)
            if self.permits:
                self.refill()
            if self.flows is not None:
                self.flows.crowd()
        else:
            self.receivers.push(arm)
            if self.buffer:
                self.hand_out()
            if self.flows is not None:
                self.flows.settle()

    def withdraw(self, entry: Waiter) -> bool:
        return (self.senders if entry.end.sends else self.receivers).withdraw(entry)

    def describe(self) -> str:
        size = "unbounded" if self.capacity is None else self.capacity
        return f"{self.name}({size}), {len(self.buffer)} buffered"
