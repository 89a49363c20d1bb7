"""Who operates on a machine in its tests: parties that never run, waiters that count, a guard that guards nothing."""

from itertools import count

from hypothesis.stateful import RuleBasedStateMachine, invariant

from potok.machines.select import Group
from potok.machines.waiting import PARKED, Arm, Waiter

_numbers = count(1)


class FakeWaiter(Waiter):
    """Counts how often it was woken."""

    __slots__ = ("wakes",)

    def __init__(self):
        self.wakes = 0

    def wake(self):
        assert self.claimed, "woken without having been claimed"
        self.wakes += 1


class Party:
    """A task, as far as a machine can tell."""

    waiter_type = FakeWaiter
    spare = None

    def __init__(self):
        self.waiter = None
        self.name = f"party-{next(_numbers)}"

    def __repr__(self):
        return self.name


class NoGuard:
    """Tests run one operation at a time anyway."""

    def run(self, _me, op, *args):
        return op(*args)

    post = run


def guarded(machine):
    machine.guard = NoGuard()
    return machine


def make_arm(group, machine, op, item=None, end=None):
    """An arm as `potok.primitives.choice` makes it."""
    arm = Arm()
    arm.task = Party()
    arm.group = group
    arm.claimed = False
    arm.arm = arm.index = None
    arm.value = arm.error = None
    arm.machine, arm.op, arm.item, arm.end = machine, op, item, end
    return arm


def new_group():
    return Group(NoGuard())


class MachineTest(RuleBasedStateMachine):
    """Keeps every waiter that ever parked, and what the model says has become of it.

    A test calls `parked(party)` for each operation that answered PARKED, `served(waiter, value)` where its model says
    that the machine has handed an outcome to a waiter, and `left(waiter)` where it took one out.
    """

    def __init__(self):
        super().__init__()
        self.queue = []  # who stands in line, in order, by the model
        self.outcomes = {}  # the waiters that were served, with value and type of error
        self.gone = []  # the waiters that were withdrawn

    def operate(self, op, *args):
        """The answer of an operation, and the waiter it queued, if it did."""
        party = Party()
        got = op(party, *args)
        assert (got is PARKED) == (party.waiter is not None)
        return got, party.waiter

    def parked(self, waiter):
        assert not waiter.claimed
        self.queue.append(waiter)

    def served(self, waiter, value=None, error=None):
        self.outcomes[waiter] = (value, error or type(None))

    def left(self, waiter):
        self.queue.remove(waiter)
        self.gone.append(waiter)

    def withdraw_one(self, machine, index):
        """Withdraw whoever stands at this place, as time or a cancellation does."""
        waiter = self.queue[index % len(self.queue)]
        assert machine.withdraw(waiter)
        self.left(waiter)

    @invariant()
    def each_waiter_is_woken_once_and_only_if_served(self):
        for waiter, (value, error) in self.outcomes.items():
            assert waiter.wakes == 1
            assert waiter.claimed
            assert waiter.value == value
            assert type(waiter.error) is error
        for waiter in self.queue:
            assert waiter.wakes == 0
            assert not waiter.claimed
        for waiter in self.gone:
            assert waiter.wakes == 0
            assert waiter.claimed

    @invariant()
    def the_served_and_the_gone_cannot_be_withdrawn(self):
        for waiter in [*self.outcomes, *self.gone]:
            assert not waiter.machine.withdraw(waiter)
