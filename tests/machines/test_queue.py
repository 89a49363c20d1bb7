"""The queue's invariants, under whatever sequence of operations, and what a comparison that raises may not do."""

import heapq
from itertools import count
from types import NoneType

import pytest
from fakes import FakeWaiter, MachineTest, Party, guarded
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from potok.errors import ShutDown
from potok.machines.queue import QueueMachine, fifo, lifo, smallest
from potok.machines.waiting import PARKED

DISCIPLINES = [fifo, lifo, smallest]
SIZES = st.sampled_from([-1, 0, 1, 2, 3])


class Queue(MachineTest):
    """Against a model that is a sorted, a reversed or a plain list."""

    @initialize(discipline=st.sampled_from(DISCIPLINES), size=SIZES, atomic=st.booleans())
    def create(self, discipline, size, atomic):
        self.discipline = discipline
        self.machine = guarded(QueueMachine(size, discipline, atomic=atomic and discipline is not smallest))
        self.size = size
        self.items = []
        self.lines = {"put": [], "get": [], "join": []}
        self.unfinished = 0
        self.shut = False

    # ── the model ───────────────────────────────────────────────────────────────────────────────────────────

    def full(self):
        return 0 < self.size <= len(self.items)

    def add(self, item):
        self.unfinished += 1
        if self.lines["get"]:
            self.serve("get", item)
        else:
            self.items.append(item)

    def take(self):
        place = {fifo: 0, lifo: -1}.get(self.discipline)
        item = self.items.pop(self.items.index(min(self.items)) if place is None else place)
        self.let_in()
        return item

    def let_in(self):
        while self.lines["put"] and not self.full():
            item = self.lines["put"][0].item
            self.serve("put")
            self.add(item)

    def finish(self, n):
        self.unfinished = max(0, self.unfinished - n)
        while not self.unfinished and self.lines["join"]:
            self.serve("join")

    def stand(self, waiter):
        self.parked(waiter)
        self.lines[waiter.op].append(waiter)

    def serve(self, op, value=None, error=NoneType):
        waiter = self.lines[op].pop(0)
        self.queue.remove(waiter)
        self.served(waiter, value, error)

    # ── operations ──────────────────────────────────────────────────────────────────────────────────────────

    @rule(item=st.integers(0, 9), waits=st.booleans())
    def put(self, item, waits):
        if self.shut:
            with pytest.raises(ShutDown):
                self.machine.put(Party(), item)
            return
        got, waiter = self.operate(self.machine.put, item) if waits else (self.machine.put(None, item), None)
        if self.full():
            assert got is PARKED
            if waits:
                self.stand(waiter)
        else:
            assert got is None
            self.add(item)

    @rule(waits=st.booleans())
    def get(self, waits):
        if self.shut and not self.items:
            with pytest.raises(ShutDown):
                self.machine.get(Party())
            return
        got, waiter = self.operate(self.machine.get) if waits else (self.machine.get(None), None)
        if self.items:
            assert got == self.take()
        else:
            assert got is PARKED
            if waits:
                self.stand(waiter)

    @rule()
    def task_done(self):
        if not self.unfinished:
            with pytest.raises(ValueError, match="too many times"):
                self.machine.task_done()
            return
        self.machine.task_done()
        self.finish(1)

    @rule()
    def join(self):
        got, waiter = self.operate(self.machine.join)
        if self.unfinished:
            assert got is PARKED
            self.stand(waiter)
        else:
            assert got is None

    @rule(size=SIZES)
    def resize(self, size):
        self.machine.resize(size)
        self.size = size
        self.let_in()

    @rule(immediate=st.booleans())
    def shutdown(self, immediate):
        dropped = self.machine.shutdown(immediate)
        self.shut = True
        if immediate:
            assert sorted(dropped) == sorted(self.items)
            self.items.clear()
            self.finish(len(dropped))
        else:
            assert not dropped
        for op in ("get", "put"):
            while self.lines[op]:
                self.serve(op, error=ShutDown)

    @precondition(lambda self: self.queue)
    @rule(index=st.integers(0, 5))
    def withdraw(self, index):
        waiter = self.queue[index % len(self.queue)]
        self.withdraw_one(self.machine, index)
        self.lines[waiter.op].remove(waiter)
        assert waiter.item is None

    # ── invariants ──────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def it_is_as_the_model_says(self):
        if hasattr(self, "machine"):
            machine = self.machine
            assert sorted(machine.items) == sorted(self.items)
            assert machine.unfinished == self.unfinished
            assert machine.putters.waiting() == self.lines["put"]
            assert machine.getters.waiting() == self.lines["get"]
            assert machine.joiners.waiting() == self.lines["join"]

    @invariant()
    def nobody_is_parked_beside_what_it_waits_for(self):
        if hasattr(self, "machine"):
            machine = self.machine
            assert not (machine.getters.waiting() and machine.items)
            assert not (machine.putters.waiting() and len(machine.items) < machine.room)
            assert not (machine.joiners.waiting() and not machine.unfinished)
            assert not (machine.is_shutdown and (machine.getters.waiting() or machine.putters.waiting()))

    @invariant()
    def a_heap_is_one(self):
        if hasattr(self, "machine") and self.discipline is smallest:
            heap = self.machine.items
            assert all(heap[(place - 1) >> 1] <= heap[place] for place in range(1, len(heap)))


TestQueue = Queue.TestCase


class ShortCuts(RuleBasedStateMachine):
    """Pushing and popping without the mutex, with anything between the two halves: nothing and nobody is forgotten.

    Operations under the mutex are whole steps here, as they are for each other; `pushed` and `popped` hold the threads
    that are between the halves of a short cut.
    """

    @initialize(discipline=st.sampled_from([fifo, lifo]), size=st.sampled_from([0, 1, 2]))
    def create(self, discipline, size):
        self.discipline = discipline
        self.machine = guarded(QueueMachine(size, discipline, atomic=True))
        self.numbers = count()
        self.put_in, self.taken, self.dropped, self.refused = [], [], [], []
        self.waiters = []
        self.pushed, self.popped = [], 0
        self.late = set()

    @precondition(lambda self: self.machine.loose and not self.machine.is_shutdown)
    @rule()
    def push(self):
        item = next(self.numbers)
        next(self.machine.puts)
        self.machine.push(item)
        self.put_in.append(item)
        if self.machine.getters.entries or self.machine.is_shutdown:
            self.pushed.append(item)

    @precondition(lambda self: self.machine.loose and not self.machine.is_shutdown)
    @rule()
    def push_as_it_is_shut_down(self):
        """The pusher looked before the shutdown, and looks again after it."""
        item = next(self.numbers)
        next(self.machine.puts)
        self.dropped += self.machine.shutdown(immediate=False)
        self.machine.push(item)
        self.put_in.append(item)
        self.pushed.append(item)
        self.late.add(item)

    @precondition(lambda self: self.pushed)
    @rule(index=st.integers(0, 5))
    def settle(self, index):
        item = self.pushed.pop(index % len(self.pushed))
        try:
            self.machine.settle(item)
        except ShutDown:
            self.refused.append(item)
        assert item not in self.late or item not in self.machine.items

    @precondition(lambda self: self.machine.items)
    @rule()
    def pop(self):
        self.taken.append(self.machine.pop())
        if self.machine.putters.entries:
            self.popped += 1

    @precondition(lambda self: self.popped)
    @rule()
    def refill(self):
        self.popped -= 1
        self.machine.refill()

    @rule()
    def put(self):
        party, item = Party(), next(self.numbers)
        try:
            got = self.machine.put(party, item)
        except ShutDown:
            return
        self.put_in.append(item)
        if got is PARKED:
            self.waiters.append(party.waiter)

    @rule()
    def get(self):
        party = Party()
        try:
            got = self.machine.get(party)
        except ShutDown:
            return
        if got is PARKED:
            self.waiters.append(party.waiter)
        else:
            self.taken.append(got)

    @rule(immediate=st.booleans())
    def shutdown(self, immediate):
        self.dropped += self.machine.shutdown(immediate)

    @invariant()
    def nothing_is_lost_or_invented(self):
        if hasattr(self, "machine"):
            given = [w.value for w in self.waiters if w.op == "get" and w.wakes and w.error is None]
            waiting = [w.item for w in self.waiters if w.op == "put" and not w.wakes]
            shut_out = [w.item for w in self.waiters if w.op == "put" and w.error is not None]
            places = [given, waiting, shut_out, self.taken, self.dropped, self.refused, self.machine.items]
            assert sorted(item for place in places for item in place) == sorted(self.put_in)

    @invariant()
    def when_all_are_through_nobody_is_parked_beside_what_it_waits_for(self):
        if hasattr(self, "machine") and not self.pushed and not self.popped:
            machine = self.machine
            assert not (machine.getters.waiting() and machine.items)
            assert not (machine.putters.waiting() and len(machine.items) < machine.room)
            assert not (machine.is_shutdown and machine.getters.waiting())
            done = len(self.dropped) + len(self.refused)
            assert machine.unfinished == len(self.put_in) - done - sum(
                w.op == "put" and (not w.wakes or w.error is not None) for w in self.waiters
            )

    @invariant()
    def each_waiter_is_woken_at_most_once(self):
        for waiter in getattr(self, "waiters", ()):
            assert waiter.wakes == waiter.claimed


TestShortCuts = ShortCuts.TestCase


class Meddling(Party):
    """Somebody else uses a short cut at the moment between this party's look at the items and its parking."""

    def __init__(self, meddle):
        super().__init__()
        self.meddle = meddle

    def waiter_type(self):
        self.meddle()
        return FakeWaiter()


def test_what_is_pushed_as_a_getter_parks_is_handed_to_it():
    """The getter looks again once it stands in the queue: the pusher may have looked before that."""
    machine = guarded(QueueMachine(0, fifo, atomic=True))
    party = Meddling(lambda: machine.push("item"))
    assert machine.get(party) is PARKED
    assert (party.waiter.value, party.waiter.wakes, list(machine.items)) == ("item", 1, [])


def test_a_place_that_comes_free_as_a_putter_parks_is_its():
    """The putter looks again once it stands in the queue: the popper may have looked before that."""
    machine = guarded(QueueMachine(1, fifo, atomic=True))
    machine.put(None, 1)
    party = Meddling(machine.pop)
    assert machine.put(party, 2) is PARKED
    assert (party.waiter.wakes, list(machine.items)) == (1, [2])


def test_a_getter_that_parked_between_a_pop_and_its_refill_is_handed_the_putters_item():
    """The popper lets the parked putter in, and its item goes on to the parked getter."""
    machine = guarded(QueueMachine(1, fifo, atomic=True))
    putter, getter = Party(), Party()
    machine.put(None, 1)
    assert machine.put(putter, 2) is PARKED
    assert machine.pop() == 1
    assert machine.get(getter) is PARKED
    machine.refill()
    assert (putter.waiter.wakes, getter.waiter.wakes, getter.waiter.value) == (1, 1, 2)


def test_an_item_that_is_popped_as_it_is_handed_out_leaves_the_getter_waiting():
    """The getter that was to have it is the first in line still."""
    machine = guarded(QueueMachine(0, fifo, atomic=True))
    first, second = Party(), Party()
    assert machine.get(first) is machine.get(second) is PARKED
    machine.push("popped")
    take = machine.pop

    def robbed():
        machine.pop = take
        machine.items.clear()
        return take()

    machine.pop = robbed
    machine.settle("popped")
    assert machine.getters.waiting() == [first.waiter, second.waiter]
    machine.put(None, "item")
    assert (first.waiter.value, first.waiter.wakes, second.waiter.wakes) == ("item", 1, 0)


def test_an_item_that_is_popped_as_a_getter_comes_leaves_it_waiting():
    """It saw an item, found none, and parked."""
    machine = guarded(QueueMachine(0, fifo, atomic=True))
    machine.push("popped")
    take = machine.pop

    def robbed():
        machine.items.clear()
        return take()

    machine.pop = robbed
    assert machine.get(Party()) is PARKED


# ── comparisons that raise ──────────────────────────────────────────────────────────────────────────────────


class Fussy:
    """Compares until it has had enough."""

    patience = -1

    def __init__(self, key):
        self.key = key

    def __lt__(self, other):
        if Fussy.patience == 0:
            raise ValueError("enough")
        Fussy.patience -= 1
        return self.key < other.key

    def __repr__(self):
        return f"Fussy({self.key})"


@pytest.fixture(autouse=True)
def patient():
    Fussy.patience = -1
    yield
    Fussy.patience = -1


def keys_in_order(machine):
    Fussy.patience = -1
    return [machine.get(None).key for _ in range(len(machine.items))]


@given(keys=st.lists(st.integers(0, 20), max_size=20), key=st.integers(0, 20), patience=st.integers(0, 4))
def test_a_put_that_raises_puts_nothing_and_keeps_the_order(keys, key, patience):
    """Whichever comparison raises, the heap is the very list it was."""
    Fussy.patience = -1
    machine = guarded(QueueMachine(0, smallest))
    for each in keys:
        machine.put(None, Fussy(each))
    before = list(machine.items)
    Fussy.patience = patience
    try:
        machine.put(None, Fussy(key))
    except ValueError:
        assert machine.items == before
        assert machine.unfinished == len(keys)
        assert keys_in_order(machine) == sorted(keys)
    else:
        assert keys_in_order(machine) == sorted([*keys, key])


@given(keys=st.lists(st.integers(0, 20), min_size=1, max_size=20), patience=st.integers(0, 8))
def test_a_get_that_raises_takes_nothing_and_keeps_the_order(keys, patience):
    """Whichever comparison raises, the heap is the very list it was."""
    Fussy.patience = -1
    machine = guarded(QueueMachine(0, smallest))
    for each in keys:
        machine.put(None, Fussy(each))
    before = list(machine.items)
    Fussy.patience = patience
    try:
        taken = machine.get(None)
    except ValueError:
        assert machine.items == before
        assert keys_in_order(machine) == sorted(keys)
    else:
        assert [taken.key, *keys_in_order(machine)] == sorted(keys)


@given(keys=st.lists(st.integers(0, 3), min_size=1, max_size=12), patience=st.integers(0, 6))
def test_a_get_that_raises_loses_no_item_that_stands_there_several_times(keys, patience):
    """The same object put twice: nothing is lost, and the order is right when comparisons work again."""
    Fussy.patience = -1
    one_each = [Fussy(key) for key in range(4)]
    machine = guarded(QueueMachine(0, smallest))
    for each in keys:
        machine.put(None, one_each[each])
    Fussy.patience = patience
    try:
        taken = [machine.get(None).key]
    except ValueError:
        taken = []
    Fussy.patience = -1
    heapq.heapify(machine.items)
    assert taken + keys_in_order(machine) == sorted(keys)


def test_what_comparing_raises_goes_to_who_brought_the_item():
    """A get that lets a parked putter in has its item; the putter has the error, and the next one gets the place."""
    machine, bad, good = guarded(QueueMachine(2, smallest)), Party(), Party()
    machine.put(None, 1)
    machine.put(None, 2)
    assert machine.put(bad, "no number") is PARKED
    assert machine.put(good, 3) is PARKED
    assert machine.get(Party()) == 1
    assert isinstance(bad.waiter.error, TypeError)
    assert (good.waiter.error, good.waiter.wakes, bad.waiter.wakes) == (None, 1, 1)
    assert list(machine.items) == [2, 3]
    assert machine.unfinished == 3


def test_machines_can_be_described():
    """Reports tell the bound and how many items there are."""
    assert QueueMachine(3, fifo).describe() == "queue(3), 0 item(s)"
    assert QueueMachine(0, lifo).describe() == "queue(unbounded), 0 item(s)"
