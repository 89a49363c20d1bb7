"""The semaphore's invariants, under whatever sequence of operations."""

import pytest
from fakes import MachineTest, Party, guarded, make_arm, new_group
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from potok.machines.select import try_or_queue
from potok.machines.semaphore import SemaphoreMachine
from potok.machines.waiting import PARKED


class Semaphore(MachineTest):
    """Permits are taken, handed over in order, and never more than there are."""

    @initialize(value=st.integers(0, 3), bounded=st.booleans())
    def create(self, value, bounded):
        self.machine = guarded(SemaphoreMachine(value, value if bounded else None))
        self.permits = value
        self.taken = 0
        self.given = value

    @rule()
    def acquire(self):
        got, waiter = self.operate(self.machine.acquire)
        self.judge(got)
        if waiter is not None:
            self.parked(waiter)

    @rule()
    def try_to_acquire(self):
        self.judge(self.machine.acquire(None))

    def judge(self, got):
        if self.permits:
            assert got is True
            self.permits -= 1
            self.taken += 1
        else:
            assert got is PARKED

    @rule(n=st.integers(1, 3))
    def release(self, n):
        if self.machine.bound is not None and self.permits + n > self.machine.bound:
            with pytest.raises(ValueError, match="bound"):
                self.machine.release(n)
            return
        self.machine.release(n)
        self.given += n
        while n and self.queue:
            self.served(self.queue.pop(0), True)
            self.taken += 1
            n -= 1
        self.permits += n

    @precondition(lambda self: self.queue)
    @rule(index=st.integers(0, 5))
    def withdraw(self, index):
        self.withdraw_one(self.machine, index)

    @invariant()
    def it_is_as_the_model_says(self):
        if hasattr(self, "machine"):
            assert self.machine.value == self.permits
            assert self.machine.waiters.waiting() == self.queue

    @invariant()
    def permits_are_neither_lost_nor_invented(self):
        if hasattr(self, "machine"):
            assert self.machine.value + self.taken == self.given
            assert self.machine.value >= 0
            assert not (self.machine.value and self.queue)
            assert self.machine.bound is None or self.machine.value <= self.machine.bound


TestSemaphore = Semaphore.TestCase


def test_an_arm_is_handed_a_permit_as_any_waiter():
    """A select that waits for a permit has one when it is woken."""
    machine, party, group = guarded(SemaphoreMachine(0)), Party(), new_group()
    arm = make_arm(group, machine, "acquire")
    assert try_or_queue(party, group, [arm], None) is PARKED
    machine.release(2)
    assert (group.winner, arm.value, machine.value, party.waiter.wakes) == (arm, True, 1, 1)


def test_an_arm_that_lost_takes_no_permit():
    """A select with two arms on one semaphore takes one permit."""
    machine, party, group = guarded(SemaphoreMachine(0)), Party(), new_group()
    assert try_or_queue(party, group, [make_arm(group, machine, "acquire") for _ in range(2)], None) is PARKED
    machine.release(2)
    assert (machine.value, party.waiter.wakes) == (1, 1)


@pytest.mark.parametrize(
    ("machine", "told"),
    [
        (SemaphoreMachine(2), "semaphore with 2 permits"),
        (SemaphoreMachine(2, 2), "semaphore with 2 of 2 permits"),
    ],
)
def test_machines_can_be_described(machine, told):
    """Reports tell how many permits there are."""
    assert machine.describe() == told
