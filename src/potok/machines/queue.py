"""The queue: items in the order of a discipline (first in, last in, or smallest first), with a count of work to do.

    putters (parked, each with its item) ──▶ items (≤ maxsize) ──▶ getters (parked)
                                                 └─ unfinished: put, and not yet `task_done` ──▶ joiners (parked)

Invariants
    A getter is parked only while there are no items; a putter only while there are `maxsize` of them or more. So an
    item handed to a parked getter is what any discipline would have given it: the only one there is.
    `unfinished` is the number of items put, less those done or dropped; joiners are parked only while it is not 0.
    Once shut down, nobody puts, and nobody is parked to put or to get.
    An operation that raises has changed nothing: neither the items nor, on heaps, what order they stand in.

The user's code runs in here only where a heap compares items. What a comparison raises belongs to who brought the
item: a putter who was parked, if its item takes the place that another task's `get` has left. Comparing must not use
the queue itself: such a call raises WouldBlock.

Short cuts. An `atomic` queue (its `push` and `pop` are single operations of a deque, with a GIL) may be popped,
and a `loose` one (without bound, too) may be pushed, by whoever does not hold the mutex. After a pop they look for
parked putters and call `refill`; before a push they count it, after it they look for parked getters and a shutdown and
call `settle`. Whoever parks looks at the items *after* it stands in its queue. So one of the two sees the other, and
nobody stays parked beside what it waits for; in between, the first invariant may be broken for a moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import count, pairwise
from typing import Any

from potok.errors import ShutDown
from potok.machines.waiting import PARKED, Machine, Party, Waiter, WaitQueue, park

__all__ = ["Discipline", "QueueMachine", "fifo", "lifo", "smallest"]

Discipline = Callable[[], tuple[Any, Callable[[Any], object], Callable[[], Any]]]  # items, push, pop


class QueueMachine(Machine):
    """A queue of up to `maxsize` items (no bound if that is not positive) that gives them back as `discipline` says."""

    __slots__ = (
        "atomic",
        "compares",
        "done",
        "getters",
        "is_shutdown",
        "items",
        "joiners",
        "loose",
        "maxsize",
        "name",
        "pop",
        "push",
        "puts",
        "putters",
        "room",
        "shared",
    )

    def __init__(
        self, maxsize: float, discipline: Discipline, name: str = "queue", atomic: bool = False
    ) -> None:
        self.name = name
        self.items, self.push, self.pop = discipline()
        self.atomic = atomic
        self.compares = discipline is smallest  # so it needs the items themselves
        self.getters = WaitQueue()
        self.putters = WaitQueue()
        self.joiners = WaitQueue()
        self.puts = count()
        self.done = 0
        self.is_shutdown = False
        self.shared = False  # known in other address spaces: items are packed as they are put
        self.resize(maxsize)

    def resize(self, maxsize: float) -> None:
        """Set another bound. Items beyond it stay; parked putters get in as far as it allows."""
        self.maxsize = maxsize
        self.room = maxsize if maxsize > 0 else float("inf")
        self.loose = self.atomic and maxsize <= 0 and not self.shared
        self.refill()

    def share(self) -> None:
        """From now on items are packed by who puts them, where nobody compares them; no short cut for puts."""
        self.shared = True
        self.loose = False

    # ── items ───────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, party: Party | None, item: Any) -> Any:
        """Hand the item to a parked getter, or keep it, or park. Raises ShutDown: it was NOT put."""
        if self.is_shutdown:
            raise self.shut()
        if self.getters.entries and not self.items:
            waiter = self.getters.pop()
            if waiter is not None:
                next(self.puts)
                waiter.value = item
                waiter.wake()
                return None
        if len(self.items) < self.room:
            self.push(item)
            next(self.puts)
            return None
        waiter = park(party, self, "put", item)
        if waiter is not None:
            self.putters.entries.append(waiter)
            self.refill()
        return PARKED

    def get(self, party: Party | None) -> Any:
        """Take the next item, or park. Raises ShutDown when none is left and none will come."""
        if self.items:
            item = self._take() if self.atomic else self.pop()
            if item is not PARKED:
                if self.putters.entries:
                    self.refill()
                return item
        if self.is_shutdown:
            raise self.shut()
        waiter = park(party, self, "get")
        if waiter is not None:
            self.getters.entries.append(waiter)
            if self.items:
                self._hand_out()
        return PARKED

    def _take(self) -> Any:
        """The next item of an atomic queue; PARKED if there is none."""
        try:
            return self.pop()
        except IndexError:  # taken meanwhile, without the mutex
            return PARKED

    def _hand_out(self) -> None:
        """Items came in without the mutex: the parked getters take them."""
        while self.items and (waiter := self.getters.pop()) is not None:
            item = self._take()
            if item is PARKED:
                waiter.claimed = False
                self.getters.entries.appendleft(waiter)
                return
            waiter.value = item
            waiter.wake()

    def refill(self) -> None:
        """Places came free: the items of parked putters take them."""
        while self.putters.entries and len(self.items) < self.room:
            waiter = self.putters.pop()
            if waiter is None:
                return
            try:
                self.push(waiter.item)
            except BaseException as error:  # its item's, so its own: the task in `get` knows nothing of it
                waiter.error = error
            else:
                next(self.puts)
            waiter.wake()
            if self.getters.entries:  # parked since the items were taken without the mutex
                self._hand_out()

    def settle(self, item: Any) -> None:
        """The item was pushed without the mutex: give it to a getter. Raises ShutDown if it came after one."""
        self._hand_out()
        if self.is_shutdown and self._take_back(item):
            self._finish(1)
            raise self.shut()

    def _take_back(self, item: Any) -> bool:
        """Remove what was pushed last. Item by item, since others pop without the mutex."""
        newer: list[Any] = []
        while (last := self._take_last()) is not PARKED and last is not item:
            newer.append(last)
        self.items.extend(reversed(newer))
        return last is item

    def _take_last(self) -> Any:
        try:
            return self.items.pop()
        except IndexError:
            return PARKED

    # ── work ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def unfinished(self) -> int:
        """How many items were put and are not done."""
        return int(repr(self.puts)[6:-1]) - self.done  # how else to look at a count without counting

    def task_done(self) -> None:
        """One item that was taken is done. Raises ValueError if more are done than were put."""
        if self.unfinished <= 0:
            raise ValueError("task_done() called too many times")
        self._finish(1)

    def join(self, party: Party | None) -> Any:
        """Park until every item that was put is done."""
        if not self.unfinished:
            return None
        waiter = park(party, self, "join")
        if waiter is not None:
            self.joiners.entries.append(waiter)
        return PARKED

    def _finish(self, n: int) -> None:
        unfinished = self.unfinished
        self.done += min(n, unfinished)
        if n >= unfinished:
            for waiter in self.joiners.drain():
                waiter.wake()

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────

    def shutdown(self, immediate: bool) -> list[Any]:
        """Let nobody put any more, nor, if `immediate`, get. The items dropped, for the caller to let go of outside."""
        self.is_shutdown = True
        dropped: list[Any] = []
        while immediate and (item := self._take_last()) is not PARKED:
            dropped.append(item)
        self._hand_out()
        if dropped:
            self._finish(len(dropped))
        for queue in (self.getters, self.putters):
            for waiter in queue.drain():
                waiter.error = self.shut()
                waiter.wake()
        return dropped

    def shut(self) -> ShutDown:
        """The error for an operation that a shutdown has ended."""
        return ShutDown(f"{self.name} was shut down")

    def withdraw(self, entry: Waiter) -> bool:
        queue = {"put": self.putters, "get": self.getters, "join": self.joiners}[entry.op]
        if not queue.withdraw(entry):
            return False
        entry.item = None  # the entry may stand there a while; the item is the putter's again
        return True

    def describe(self) -> str:
        size = "unbounded" if self.maxsize <= 0 else self.maxsize
        return f"{self.name}({size}), {len(self.items)} item(s)"


# ── disciplines ─────────────────────────────────────────────────────────────────────────────────────────────


def fifo() -> tuple[Any, Callable[[Any], object], Callable[[], Any]]:
    """First in, first out."""
    items: deque[Any] = deque()
    return items, items.append, items.popleft


def lifo() -> tuple[Any, Callable[[Any], object], Callable[[], Any]]:
    """Last in, first out."""
    items: deque[Any] = deque()
    return items, items.append, items.pop


def smallest() -> tuple[Any, Callable[[Any], object], Callable[[], Any]]:
    """The smallest first."""
    heap: list[Any] = []
    return heap, partial(push_or_undo, heap), partial(pop_or_undo, heap)


def push_or_undo(heap: list[Any], item: Any) -> None:
    """As `heappush`; but where a comparison raises, the heap is as it was before.

    `heappush` lets the item rise from the end, past others that it moves down: those go up again.
    """
    try:
        heappush(heap, item)
    except BaseException:
        way = [len(heap) - 1]
        while heap[way[-1]] is not item:
            way.append((way[-1] - 1) >> 1)
        for below, above in reversed(list(pairwise(way))):
            heap[above] = heap[below]
        heap.pop()
        raise


def pop_or_undo(heap: list[Any]) -> Any:
    """As `heappop`; but where a comparison raises, the heap is as it was before.

    `heappop` puts the last item in place of the first and lets it sink, past others that it moves up: those go down
    again, from where it is now. If the same object stands in the heap several times, that place can't be told; then
    the order is restored as far as the comparisons allow.
    """
    first, last = heap[0], heap[-1]
    try:
        return heappop(heap)
    except BaseException:
        places = [place for place, item in enumerate(heap) if item is last]
        place = places[0]
        while place:
            above = (place - 1) >> 1
            heap[place] = heap[above]
            place = above
        heap[0] = first
        heap.append(last)
        if len(places) > 1:
            _heapify_if_possible(heap)
        raise


def _heapify_if_possible(heap: list[Any]) -> None:
    try:
        heapify(heap)
    except BaseException:  # a comparison has failed before, and that is what the caller hears of
        return
