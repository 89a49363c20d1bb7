"""The barrier's invariants, under whatever sequence of operations."""

import pytest
from fakes import MachineTest, guarded
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from potok.errors import BrokenBarrierError
from potok.machines.barrier import BarrierMachine, Trip
from potok.machines.waiting import PARKED


class Barrier(MachineTest):
    """All parties of a round go on, each with its number and after the action, or none does."""

    @initialize(parties=st.integers(1, 4), acts=st.booleans())
    def create(self, parties, acts):
        self.machine = guarded(BarrierMachine(parties, acts))
        self.parties = parties
        self.broken = False
        self.trip = None  # what the one who runs the action was given
        self.tripped = []  # who waits for the action

    @rule()
    def arrive(self):
        if self.broken:
            with pytest.raises(BrokenBarrierError):
                self.operate(self.machine.arrive)
            return
        got, waiter = self.operate(self.machine.arrive)
        if self.trip is not None or len(self.queue) + 1 < self.parties:
            assert got is PARKED
            self.parked(waiter)
        elif self.machine.acts:
            self.begin_action(got)
        else:
            assert got == self.parties - 1
            self.let_pass(self.queue)

    @precondition(lambda self: self.trip is not None)
    @rule()
    def end_action(self):
        assert self.machine.acted(self.trip) == self.parties - 1
        self.let_pass(self.tripped)
        self.trip = None
        if len(self.queue) >= self.parties:
            last = self.queue[self.parties - 1]
            self.begin_action(last.value)
            self.queue.remove(last)
            self.served(last, last.value)

    def begin_action(self, trip):
        assert isinstance(trip, Trip)
        self.trip = trip
        self.tripped = self.queue[: self.parties - 1]
        del self.queue[: self.parties - 1]

    def let_pass(self, waiters):
        for number, waiter in enumerate(waiters):
            self.served(waiter, number)
        waiters.clear()

    def fail(self, waiters):
        for waiter in waiters:
            self.served(waiter, None, BrokenBarrierError)
        waiters.clear()

    @rule()
    def abort(self):
        self.machine.abort()
        self.broken = True
        self.fail(self.queue)
        self.fail(self.tripped)
        if self.trip is not None:
            with pytest.raises(BrokenBarrierError):
                self.machine.acted(self.trip)
        self.trip = None

    @rule()
    def reset(self):
        self.machine.reset()
        self.broken = False
        self.fail(self.queue)

    @precondition(lambda self: self.queue)
    @rule(index=st.integers(0, 5))
    def withdraw(self, index):
        self.withdraw_one(self.machine, index)

    @invariant()
    def it_is_as_the_model_says(self):
        if hasattr(self, "machine"):
            assert self.machine.broken == self.broken
            assert self.machine.trip is self.trip
            assert self.machine.waiters.waiting() == self.queue

    @invariant()
    def who_waits_for_the_action_is_claimed_and_not_woken(self):
        for waiter in getattr(self, "tripped", ()):
            assert waiter.claimed
            assert waiter.wakes == 0
            assert not self.machine.withdraw(waiter)

    @invariant()
    def a_full_round_does_not_wait(self):
        if hasattr(self, "machine"):
            assert self.trip is not None or len(self.queue) < self.parties
            assert not (self.broken and self.queue)


TestBarrier = Barrier.TestCase


def test_an_action_that_ends_after_a_reset_lets_its_round_pass():
    """`reset` is for those who wait; the round whose action runs is complete."""
    machine = guarded(BarrierMachine(1, acts=True))
    trip = machine.arrive(None)
    machine.reset()
    assert machine.acted(trip) == 0


def test_it_can_be_described():
    """Reports tell how many are there."""
    machine = BarrierMachine(2)
    assert machine.describe() == "barrier, 0 of 2 there"
    machine.abort()
    assert machine.describe() == "barrier, broken"
