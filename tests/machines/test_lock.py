"""The locks' invariants, under whatever sequence of operations."""

import pytest
from fakes import MachineTest, Party, guarded, make_arm, new_group
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from potok.machines.lock import LockMachine, RLockMachine
from potok.machines.select import try_or_queue
from potok.machines.waiting import PARKED


class Lock(MachineTest):
    """A lock has one holder; it goes to the first in line, and to nobody who left it."""

    def __init__(self):
        super().__init__()
        self.machine = guarded(LockMachine())
        self.holder = None

    @rule()
    def acquire(self):
        owner = object()
        got, waiter = self.operate(self.machine.acquire, owner)
        if self.holder is None:
            assert got is True
            self.holder = owner
        else:
            self.parked(waiter)

    @rule()
    def try_to_acquire(self):
        got = self.machine.acquire(None, "trying")
        if self.holder is None:
            assert got is True
            self.holder = "trying"
        else:
            assert got is PARKED

    @rule()
    def release(self):
        if self.holder is None:
            with pytest.raises(RuntimeError, match="not locked"):
                self.machine.release("anybody")
            return
        self.machine.release("anybody")
        self.hand_over()

    @rule()
    def give_up_and_restore(self):
        if self.holder is None:
            with pytest.raises(RuntimeError, match="not locked"):
                self.machine.give_up("anybody")
            return
        depth = self.machine.depth
        self.machine.give_up("anybody")
        self.hand_over()
        owner = object()
        got, waiter = self.operate(self.machine.restore, owner, depth)
        if got is PARKED:
            self.parked(waiter)
        else:
            self.holder = owner

    @precondition(lambda self: self.queue)
    @rule(index=st.integers(0, 5))
    def withdraw(self, index):
        self.withdraw_one(self.machine, index)

    def hand_over(self):
        if self.queue:
            first = self.queue.pop(0)
            self.served(first, True)
            self.holder = first.item
        else:
            self.holder = None

    @invariant()
    def it_is_as_the_model_says(self):
        assert self.machine.holder is self.holder
        assert self.machine.waiters.waiting() == self.queue

    @invariant()
    def nobody_waits_for_a_free_lock(self):
        assert self.machine.holder is not None or not self.queue


class RLock(MachineTest):
    """An RLock is its holder's as often as it was taken; nobody else releases it."""

    def __init__(self):
        super().__init__()
        self.machine = guarded(RLockMachine())
        self.owners = [Party() for _ in range(3)]
        self.holder = None
        self.depth = 0

    def free_owner(self, index):
        """Somebody who does not stand in line: who does can't operate."""
        waiting = [waiter.item[0] for waiter in self.queue]
        free = [owner for owner in self.owners if owner not in waiting]
        return free[index % len(free)]

    @precondition(lambda self: len(self.queue) < 3)
    @rule(index=st.integers(0, 2), depth=st.integers(1, 3))
    def acquire(self, index, depth):
        owner = self.free_owner(index)
        if depth == 1:
            got, waiter = self.operate(self.machine.acquire, owner)
        else:
            got, waiter = self.operate(self.machine.restore, owner, depth)
        if self.holder in (None, owner):
            assert got is True
            self.holder = owner
            self.depth += depth
        else:
            self.parked(waiter)

    @precondition(lambda self: len(self.queue) < 3)
    @rule(index=st.integers(0, 2), all_of_it=st.booleans())
    def release(self, index, all_of_it):
        owner = self.free_owner(index)
        release = self.machine.give_up if all_of_it else self.machine.release
        if self.holder is not owner:
            with pytest.raises(
                RuntimeError, match="not locked" if self.holder is None else "only its holder"
            ):
                release(owner)
            return
        if all_of_it:
            assert self.machine.depth == self.depth
            release(owner)
            self.depth = 0
        else:
            release(owner)
            self.depth -= 1
        if not self.depth:
            self.holder = None
            if self.queue:
                first = self.queue.pop(0)
                self.served(first, True)
                self.holder, self.depth = first.item

    @precondition(lambda self: self.queue)
    @rule(index=st.integers(0, 2))
    def withdraw(self, index):
        self.withdraw_one(self.machine, index)

    @invariant()
    def it_is_as_the_model_says(self):
        assert self.machine.holder is self.holder
        assert self.machine.depth == self.depth
        assert self.machine.held_by(self.holder)
        assert self.machine.waiters.waiting() == self.queue

    @invariant()
    def nobody_waits_for_a_free_lock(self):
        assert self.machine.holder is not None or not self.queue
        assert (self.machine.holder is None) == (self.machine.depth == 0)


TestLock = Lock.TestCase
TestRLock = RLock.TestCase


def test_the_error_names_holder_and_stranger():
    """Whoever releases another's RLock is told whose it is."""
    machine, holder, stranger = guarded(RLockMachine()), Party(), Party()
    machine.acquire(None, holder)
    with pytest.raises(RuntimeError, match=f"held by task {holder}.*not task {stranger}"):
        machine.release(stranger)


@pytest.mark.parametrize(("lock", "item"), [(LockMachine, "me"), (RLockMachine, ("me", 1))])
def test_an_arm_is_handed_the_lock_as_any_waiter(lock, item):
    """A select that waits for a lock holds it once it is woken, in the name it asked for."""
    machine, party, group = guarded(lock()), Party(), new_group()
    machine.acquire(None, "other")
    arm = make_arm(group, machine, "acquire", item)
    assert try_or_queue(party, group, [arm], None) is PARKED
    machine.release("other")
    assert (group.winner, arm.value, machine.holder) == (arm, True, "me")
    assert party.waiter.wakes == 1


@pytest.mark.parametrize(("lock", "item"), [(LockMachine, "me"), (RLockMachine, ("me", 1))])
def test_a_free_lock_is_a_ready_arm(lock, item):
    """A select over a free lock takes it at once."""
    machine, group = guarded(lock()), new_group()
    arm = make_arm(group, machine, "acquire", item)
    assert try_or_queue(Party(), group, [arm], None) is arm
    assert (arm.value, machine.holder) == (True, "me")


def test_the_holder_of_an_rlock_finds_its_arm_ready():
    """A select over an RLock that the task holds takes it once more."""
    machine, group = guarded(RLockMachine()), new_group()
    machine.acquire(None, "me")
    assert try_or_queue(Party(), group, [make_arm(group, machine, "acquire", ("me", 1))], None) is not PARKED
    assert machine.depth == 2


@pytest.mark.parametrize("lock", [LockMachine, RLockMachine])
def test_machines_can_be_described(lock):
    """Reports call it by its name."""
    assert lock().describe() == lock.__name__.removesuffix("Machine").lower()
