"""The scope's invariants, under whatever sequence of operations."""

import pytest
from fakes import MachineTest, Party, guarded, make_arm, new_group
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from potok.errors import ScopeError
from potok.machines.scope import Member, ScopeMachine
from potok.machines.select import try_or_queue
from potok.machines.waiting import PARKED


class Someone(Member):
    def __init__(self):
        self.finished = False
        self.joiners = None


class Scope(MachineTest):
    """It ends when its body is done and no member lives; joiners and host are told once."""

    def __init__(self):
        super().__init__()
        self.machine = guarded(ScopeMachine(None, "host"))
        self.living = []
        self.ended_members = []
        self.children = []
        self.body_done = False
        self.host = None  # the waiter of whoever waits for the end
        self.reason = None

    @property
    def ended(self):
        return self.body_done and not self.living

    @rule()
    def add(self):
        member = Someone()
        if self.ended:
            with pytest.raises(ScopeError, match="has ended"):
                self.machine.add(member)
            return
        self.machine.add(member)
        self.living.append(member)

    @precondition(lambda self: self.living)
    @rule(index=st.integers(0, 5))
    def end_member(self, index):
        member = self.living.pop(index % len(self.living))
        self.machine.remove(member)
        self.ended_members.append(member)
        for waiter in [waiter for waiter in self.queue if waiter.item is member]:
            self.queue.remove(waiter)
            self.served(waiter)
        if self.ended and self.host is not None:
            self.queue.remove(self.host)
            self.served(self.host)
            self.host = None

    @rule(index=st.integers(0, 10), waits=st.booleans())
    def join(self, index, waits):
        members = [*self.living, *self.ended_members]
        assume(members)
        member = members[index % len(members)]
        if waits:
            got, waiter = self.operate(self.machine.join, member)
            if waiter is not None:
                self.parked(waiter)
        else:
            got = self.machine.join(None, member)
        assert (got is PARKED) == (member in self.living)

    @precondition(lambda self: self.host is None)
    @rule(waits=st.booleans())
    def finish_body(self, waits):
        if waits:
            got, waiter = self.operate(self.machine.finish)
            if waiter is not None:
                self.host = waiter
                self.parked(waiter)
        else:
            got = self.machine.finish(None)
        self.body_done = True
        assert (got is PARKED) == bool(self.living)

    @rule(reason=st.sampled_from(["first", "second", None]))
    def cancel(self, reason):
        told = self.machine.cancel(reason)
        if self.reason is None and not self.ended:
            self.reason = (reason,)
            host, members, children = told
            assert host == "host"
            assert set(members) == set(self.living)
            assert set(children) == set(self.children)
        else:
            assert told is None

    @rule()
    def attach(self):
        child = ScopeMachine(self.machine, None)
        self.machine.attach(child)
        self.children.append(child)

    @precondition(lambda self: self.children)
    @rule()
    def detach(self):
        self.machine.detach(self.children.pop())

    @precondition(lambda self: self.queue)
    @rule(index=st.integers(0, 5))
    def withdraw(self, index):
        waiter = self.queue[index % len(self.queue)]
        assert self.machine.withdraw(waiter)
        self.left(waiter)
        if waiter is self.host:
            self.host = None

    @invariant()
    def it_is_as_the_model_says(self):
        assert self.machine.members == set(self.living)
        assert self.machine.ended == self.ended
        assert self.machine.cancelled() == self.reason
        assert self.machine.describe() == f"scope with {len(self.living)} live task(s)"

    @invariant()
    def the_ended_stay_ended(self):
        assert all(member.finished for member in self.ended_members)
        assert not any(member.finished for member in self.living)

    @invariant()
    def nobody_waits_for_what_has_ended(self):
        for waiter in self.queue:
            assert not self.ended if waiter.op == "finish" else waiter.item in self.living


TestScope = Scope.TestCase


def test_the_end_of_a_member_is_an_arm():
    """A select over a task is woken as it ends, and finds it ready after."""
    machine, member, party, group = guarded(ScopeMachine(None, None)), Someone(), Party(), new_group()
    machine.add(member)
    arm = make_arm(group, machine, "join", member)
    assert try_or_queue(party, group, [arm], None) is PARKED
    machine.remove(member)
    assert (group.winner, party.waiter.wakes) == (arm, 1)
    again = make_arm(new_group(), machine, "join", member)
    assert try_or_queue(Party(), again.group, [again], None) is again
