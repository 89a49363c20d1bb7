"""The broadcast's invariants, under whatever sequence of operations."""

from itertools import count
from types import NoneType

import pytest
from fakes import MachineTest, Party, guarded, make_arm, new_group
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from potok.errors import ClosedError, Lagged
from potok.machines.broadcast import BroadcastMachine
from potok.machines.select import try_or_queue
from potok.machines.waiting import PARKED

PLACES = st.integers(0, 5)


class Broadcast(MachineTest):
    """Against a model in which each subscription has a list of its own."""

    @initialize(capacity=st.integers(1, 3), dropping=st.booleans())
    def create(self, capacity, dropping):
        self.capacity, self.dropping = capacity, dropping
        self.machine = guarded(BroadcastMachine(capacity, dropping))
        self.tx = self.machine.open(sends=True)
        self.numbers = count()
        self.lists = {}  # what each open subscription has before it
        self.missed = {}
        self.senders, self.receivers = [], []
        self.over = False

    # ── the model ───────────────────────────────────────────────────────────────────────────────────────────

    def log(self):
        return max(self.lists.values(), key=len, default=[])

    def deliver(self, item):
        if self.dropping and len(self.log()) == self.capacity:
            oldest = self.log()[0]
            for sub, items in self.lists.items():
                if items and items[0] == oldest:
                    del items[0]
                    self.missed[sub] += 1
        for sub, items in self.lists.items():
            waiter = next((w for w in self.receivers if w.end is sub), None)
            if waiter is None:
                items.append(item)
            else:
                self.serve(self.receivers, waiter, item)

    def let_in(self):
        while self.senders and len(self.log()) < self.capacity:
            waiter = self.senders[0]
            self.serve(self.senders, waiter)
            self.deliver(waiter.item)

    def stand(self, line, waiter):
        self.parked(waiter)
        line.append(waiter)

    def serve(self, line, waiter, value=None, error=NoneType):
        line.remove(waiter)
        self.queue.remove(waiter)
        self.served(waiter, value, error)

    def one(self, index):
        return list(self.lists)[index % len(self.lists)]

    # ── operations ──────────────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: len(self.lists) < 4)
    @rule()
    def subscribe(self):
        sub = self.machine.open(sends=False)
        self.lists[sub], self.missed[sub] = [], 0

    @precondition(lambda self: 0 < len(self.lists) < 4)
    @rule(index=PLACES)
    def clone(self, index):
        old = self.one(index)
        sub = self.machine.open_like(old)
        self.lists[sub], self.missed[sub] = list(self.lists[old]), self.missed[old]

    @precondition(lambda self: not self.over)
    @rule(waits=st.booleans())
    def send(self, waits):
        item = next(self.numbers)
        full = not self.dropping and len(self.log()) >= self.capacity
        if waits:
            got, waiter = self.operate(self.machine.send, self.tx, item)
        else:
            got, waiter = self.machine.send(None, self.tx, item), None
        assert (got is PARKED) == full
        if waiter is not None:
            self.stand(self.senders, waiter)
        elif not full:
            self.deliver(item)

    @precondition(lambda self: self.lists)
    @rule(index=PLACES, waits=st.booleans())
    def receive(self, index, waits):
        sub = self.one(index)
        party = Party() if waits else None
        if self.missed[sub]:
            with pytest.raises(Lagged, match=f"missed {self.missed[sub]} item"):
                self.machine.receive(party, sub)
            self.missed[sub] = 0
        elif self.lists[sub]:
            assert self.machine.receive(party, sub) == self.lists[sub].pop(0)
            self.let_in()
        elif self.over:
            with pytest.raises(ClosedError):
                self.machine.receive(party, sub)
        else:
            assert self.machine.receive(party, sub) is PARKED
            if waits:
                self.stand(self.receivers, party.waiter)

    @precondition(lambda self: self.lists)
    @rule(index=PLACES)
    def unsubscribe(self, index):
        sub = self.one(index)
        self.machine.close(sub)
        del self.lists[sub]
        for waiter in [w for w in self.receivers if w.end is sub]:
            self.serve(self.receivers, waiter, error=ClosedError)
        self.let_in()

    @precondition(lambda self: self.queue)
    @rule(index=PLACES)
    def withdraw(self, index):
        waiter = self.queue[index % len(self.queue)]
        self.withdraw_one(self.machine, index)
        (self.senders if waiter.op == "send" else self.receivers).remove(waiter)

    @rule()
    def close(self):
        self.machine.close(self.tx)
        self.over = True
        for line in (self.senders, self.receivers):
            for waiter in list(line):
                self.serve(line, waiter, error=ClosedError)

    @precondition(lambda self: not self.machine.cancelled)
    @rule()
    def cancel(self):
        self.machine.cancel("enough")
        self.over = True
        self.lists.clear()
        for line in (self.senders, self.receivers):
            for waiter in list(line):
                self.serve(line, waiter, error=ClosedError)

    # ── invariants ──────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def the_log_is_what_the_slowest_has_before_it(self):
        if hasattr(self, "machine"):
            machine = self.machine
            assert [entry.item for entry in machine.log] == self.log()
            assert len(machine.log) <= self.capacity
            for place, entry in enumerate(machine.log):
                assert entry.owed == sum(sub.next <= machine.first + place for sub in self.lists) > 0

    @invariant()
    def the_lines_are_as_the_model_says(self):
        if hasattr(self, "machine"):
            assert self.machine.senders.waiting() == self.senders
            assert self.machine.receivers.waiting() == self.receivers
            assert self.machine.open_receivers == len(self.lists)
            assert not (self.senders and len(self.machine.log) < self.capacity)


TestBroadcast = Broadcast.TestCase


def opened(capacity=2, subscribers=1, dropping=False):
    machine = guarded(BroadcastMachine(capacity, dropping))
    return machine, machine.open(sends=True), [machine.open(sends=False) for _ in range(subscribers)]


def test_a_select_over_two_subscriptions_takes_one_item_of_one():
    """The subscription whose arm lost still has the item before it."""
    machine, tx, (one, two) = opened(subscribers=2)
    party, group = Party(), new_group()
    arms = [make_arm(group, machine, "recv", end=end) for end in (one, two)]
    assert try_or_queue(party, group, arms, None) is PARKED
    machine.send(None, tx, "news")
    assert (group.winner, arms[0].value, party.waiter.wakes) == (arms[0], "news", 1)
    assert machine.receive(None, one) is PARKED
    assert machine.receive(None, two) == "news"


def test_a_sending_arm_waits_for_the_slowest():
    """An arm that sends is served as a parked sender is, once there is room for everybody."""
    machine, tx, (rx,) = opened(capacity=1)
    machine.send(None, tx, 1)
    party, group = Party(), new_group()
    arm = make_arm(group, machine, "send", 2, tx)
    assert try_or_queue(party, group, [arm], None) is PARKED
    assert machine.receive(None, rx) == 1
    assert (group.winner, party.waiter.wakes) == (arm, 1)
    assert machine.receive(None, rx) == 2


def test_a_receiving_arm_of_a_laggard_is_ready_with_the_news_of_it():
    """Lagged is an outcome of that arm."""
    machine, tx, (rx,) = opened(capacity=1, dropping=True)
    for item in range(3):
        machine.send(None, tx, item)
    group = new_group()
    arm = make_arm(group, machine, "recv", end=rx)
    assert try_or_queue(None, group, [arm], None) is arm
    assert (type(arm.error), arm.error.missed) == (Lagged, 2)


@pytest.mark.parametrize("close", ["tx", "rx"])
def test_an_arm_of_a_closed_end_is_ready(close):
    """With the error that the operation would raise."""
    machine, tx, (rx,) = opened()
    machine.close({"tx": tx, "rx": rx}[close])
    group = new_group()
    for op, end in {"recv": rx, "send": tx}.items():
        arm = make_arm(group, machine, op, "item", end)
        assert machine.ready(arm)
        assert machine.attempt(arm)
        assert isinstance(arm.error, ClosedError) or (op, close) == ("send", "rx")


def test_machines_can_be_described():
    """Reports tell the capacity, the subscribers and how much is kept."""
    machine, tx, _ = opened(subscribers=2)
    machine.send(None, tx, 1)
    assert machine.describe() == "broadcast(2), 2 subscriber(s), 1 buffered"
