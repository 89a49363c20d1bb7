"""The condition's invariants, under whatever sequence of operations."""

from fakes import MachineTest, guarded
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from potok.machines.condition import ConditionMachine
from potok.machines.waiting import PARKED


class Condition(MachineTest):
    """A notification wakes those who wait when it is given, the first ones, and nobody later."""

    def __init__(self):
        super().__init__()
        self.machine = guarded(ConditionMachine())

    @rule()
    def wait(self):
        got, waiter = self.operate(self.machine.wait)
        assert got is PARKED
        self.parked(waiter)

    @rule()
    def wait_without_waiting(self):
        assert self.machine.wait(None) is PARKED

    @rule(n=st.none() | st.integers(0, 3))
    def notify(self, n):
        self.machine.notify(n)
        for waiter in self.queue[:n]:
            self.served(waiter, True)
        del self.queue[:n]

    @precondition(lambda self: self.queue)
    @rule(index=st.integers(0, 5))
    def withdraw(self, index):
        self.withdraw_one(self.machine, index)

    @invariant()
    def it_is_as_the_model_says(self):
        assert self.machine.waiters.waiting() == self.queue


TestCondition = Condition.TestCase


def test_it_can_be_described():
    """Reports call it by its name."""
    assert ConditionMachine().describe() == "condition"
