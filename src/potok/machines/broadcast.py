"""The broadcast: every item goes to every subscription that was open when it was sent.

    senders (parked, each with its item) ──▶ log (≤ capacity) ──▶ each subscription, at a place of its own
                                              ▲            ▲
                                        the slowest    the others, up to the end, where they may park

A broadcast is a channel but for what an item's delivery is, so ends are counted, closed and cancelled as a channel's.
An entry of the log knows how many subscriptions it is still *owed* to, so that whoever takes it last removes it.

Invariants
    A subscription gets the items sent while it is open, each once, in order; with `dropping`, but for those that it
    was more than `capacity` behind with, whose number it is told at the place where they are missing.
    The log holds what at least one subscription has before it, at most `capacity` items; without one, nothing.
    An entry's `owed` is the number of subscriptions whose place is at it or before it; no smaller for later entries.
    A receiver is parked only at the end of the log; a sender only while the log is full.
    No subscriber at all is no error for a sender, and an unread subscription paces it (or lags) until it is closed.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from potok.errors import Lagged, PotokError
from potok.machines.channel import ChannelMachine, End
from potok.machines.waiting import PARKED, Arm, Party, park

__all__ = ["BroadcastMachine", "Subscription"]


class Entry:
    """An item of the log."""

    __slots__ = ("item", "owed")

    def __init__(self, item: Any, owed: int) -> None:
        self.item = item
        self.owed = owed


class Subscription(End):
    """The end that receives: the number of the next item it has to get, counted from the first item ever sent."""

    __slots__ = ("next",)

    moves = True  # two with the same place, one of them unread, would hold the sender back for nothing

    def __init__(self, machine: BroadcastMachine, place: int) -> None:
        super().__init__(machine, sends=False)
        self.next = place


class BroadcastMachine(ChannelMachine):
    """A broadcast that lets a subscriber be `capacity` items behind; then senders wait, or the oldest is dropped."""

    __slots__ = ("first", "limit", "log")

    def __init__(self, capacity: int, dropping: bool = False, name: str = "broadcast") -> None:
        super().__init__(capacity, dropping, None, name)
        self.limit = capacity
        self.direct = False
        self.log: deque[Entry] = deque()  # and the channel's own buffer stays empty
        self.first = 0  # the number of the log's first item, or of the next one to come

    # ── ends ────────────────────────────────────────────────────────────────────────────────────────────────

    def open(self, sends: bool) -> End:
        """A new end: a sender's, or a subscription to what is sent from now on."""
        return super().open(sends=True) if sends else self._subscribe(self.first + len(self.log))

    def open_like(self, end: End) -> End:
        """A new end of the same side; a subscription has the same before it."""
        if end.closed or not isinstance(end, Subscription):
            return super().open_like(end)
        return self._subscribe(end.next)

    def _subscribe(self, place: int) -> Subscription:
        made = Subscription(self, place)
        made.alert = bool(self.handed)  # used by a body that has handed its sender over, it settles that
        self._count_in(made)
        for entry in self._before(made):
            entry.owed += 1
        return made

    def close(self, end: End, cause: Any = None, why: str = "") -> None:
        """Close one end (idempotent). A subscription no longer holds anybody back."""
        if end.closed or not isinstance(end, Subscription):
            super().close(end, cause, why)
            return
        end.closed = end.alert = True
        end.why = why
        self.ends.discard(end)
        self.open_receivers -= 1
        self.receivers.fail_those_at(end, lambda: self.end_closed(end))
        for entry in self._before(end):
            entry.owed -= 1
        self._forget_paid()

    def pause(self, end: End) -> None:
        """Let an open sender not count."""
        if isinstance(end, Subscription):
            raise PotokError(
                "a subscription can't be paused: unread, it would hold back the senders; close it"
            )
        super().pause(end)

    def _before(self, subscription: Subscription) -> list[Entry]:
        """What the subscription has still to get."""
        return list(self.log)[max(0, subscription.next - self.first) :]

    def _drop_buffer(self) -> None:
        self.log.clear()

    # ── the operations ──────────────────────────────────────────────────────────────────────────────────────

    def send(self, party: Party | None, end: End, item: Any) -> Any:
        """Give the item to all subscriptions, or park. Raises ClosedError: the item was NOT sent."""
        if end.closed:
            raise self.end_closed(end)
        if len(self.log) < self.limit:
            self._deliver(item)
            return None
        if self.dropping:
            self.log.popleft()
            self.first += 1
            self._deliver(item)
            return None
        waiter = park(party, self, "send", item, end)
        if waiter is not None:
            self.senders.entries.append(waiter)
        return PARKED

    def receive(self, party: Party | None, end: Any) -> Any:
        """Take the subscription's next item, or park. Raises ClosedError at the end of it all, and Lagged."""
        if end.closed:
            raise self.end_closed(end)
        behind = end.next - self.first
        if behind < 0:
            end.next = self.first
            raise Lagged(-behind)
        if behind < len(self.log):
            entry = self.log[behind]
            end.next += 1
            entry.owed -= 1
            if not entry.owed:
                self._forget_paid()
            return entry.item
        if not self.open_senders:
            raise self.closed(sends=False)
        waiter = park(party, self, "recv", None, end)
        if waiter is not None:
            self.receivers.entries.append(waiter)
        return PARKED

    def _deliver(self, item: Any) -> None:
        """The item is sent: those who wait for it have it, for the others it goes into the log."""
        owed = self.open_receivers - self._hand_to_waiting(item)
        if owed:
            self.log.append(Entry(item, owed))
        else:
            self.first += 1

    def _hand_to_waiting(self, item: Any) -> int:
        """Give the item to one waiter of each subscription that has any; to how many."""
        queue = self.receivers
        if not queue.entries:
            return 0
        served = set()
        entries, queue.entries, queue.dead = queue.entries, deque(), 0
        for waiter in entries:
            if waiter.claimed:
                continue
            if waiter.end in served:  # the next item is this one's
                queue.entries.append(waiter)
                continue
            waiter.claimed = True
            if waiter.group is None or waiter.group.claim(waiter):
                served.add(waiter.end)
                waiter.end.next += 1
                waiter.value = item
                waiter.wake()
        return len(served)

    def _forget_paid(self) -> None:
        """Take entries that everybody has had out of the log, and let parked senders in."""
        log = self.log
        while log and not log[0].owed:
            log.popleft()
            self.first += 1
        while len(log) < self.limit and (waiter := self.senders.pop()) is not None:
            self._deliver(waiter.item)
            waiter.wake()

    # ── as an arm of a select ───────────────────────────────────────────────────────────────────────────────

    def ready(self, arm: Arm) -> bool:
        end = arm.end
        if end.closed:
            return True
        if end.sends:
            return self.dropping or len(self.log) < self.limit
        return end.next < self.first + len(self.log) or not self.open_senders

    def attempt(self, arm: Arm) -> bool:
        try:
            return super().attempt(arm)
        except Lagged as told:
            arm.error = told
            return True

    def describe(self) -> str:
        return f"{self.name}({self.capacity}), {self.open_receivers} subscriber(s), {len(self.log)} buffered"
