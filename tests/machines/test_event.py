"""The event's invariants, under whatever sequence of operations."""

from fakes import MachineTest, Party, guarded, make_arm, new_group
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from potok.machines.event import EventMachine
from potok.machines.select import try_or_queue
from potok.machines.waiting import PARKED


class Event(MachineTest):
    """Who waits is woken by the next `set`, whatever comes after it."""

    def __init__(self):
        super().__init__()
        self.machine = guarded(EventMachine())
        self.up = False

    @rule()
    def wait(self):
        got, waiter = self.operate(self.machine.wait)
        assert (got is True) == self.up
        if waiter is not None:
            self.parked(waiter)

    @rule()
    def look(self):
        assert self.machine.wait(None) is (True if self.up else PARKED)

    @rule()
    def set(self):
        self.machine.set()
        self.up = True
        for waiter in self.queue:
            self.served(waiter, True)
        self.queue.clear()

    @rule()
    def clear(self):
        self.machine.clear()
        self.up = False

    @precondition(lambda self: self.queue)
    @rule(index=st.integers(0, 5))
    def withdraw(self, index):
        self.withdraw_one(self.machine, index)

    @invariant()
    def it_is_as_the_model_says(self):
        assert self.machine.up == self.up
        assert self.machine.waiters.waiting() == self.queue

    @invariant()
    def nobody_waits_for_what_has_happened(self):
        assert not (self.machine.up and self.queue)


TestEvent = Event.TestCase


def test_as_an_arm():
    """A select over an event is woken by `set`, and finds it ready after."""
    machine, party, group = guarded(EventMachine()), Party(), new_group()
    arm = make_arm(group, machine, "wait")
    assert try_or_queue(party, group, [arm], None) is PARKED
    machine.set()
    assert (group.winner, arm.value, party.waiter.wakes) == (arm, True, 1)
    group = new_group()
    again = make_arm(group, machine, "wait")
    assert try_or_queue(Party(), group, [again], None) is again
    assert again.value is True


def test_it_can_be_described():
    """Reports call it by its name."""
    assert EventMachine().describe() == "event"
