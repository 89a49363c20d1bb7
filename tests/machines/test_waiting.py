"""The queue that waiters stand in, with plain waiters and the arms of selects among them."""

import pytest
from fakes import Party, make_arm, new_group
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from potok.machines.waiting import NOT_YET, PARKED, Machine, Waiter, WaitQueue, park


class Queue(RuleBasedStateMachine):
    """First in, first out, of those who still wait: nobody is claimed twice, and no group wins twice."""

    def __init__(self):
        super().__init__()
        self.queues = [WaitQueue(), WaitQueue()]
        self.lines = [
            [],
            [],
        ]  # who stands where, by the model; arms of groups that were won elsewhere included
        self.claimed = set()
        self.groups = []
        self.winners = {}

    def waits(self, entry):
        return entry not in self.claimed and (entry.group is None or entry.group not in self.winners)

    @rule(which=st.integers(0, 1))
    def push(self, which):
        waiter = park(Party(), None, "wait")
        self.queues[which].push(waiter)
        self.lines[which].append(waiter)

    @rule(places=st.lists(st.integers(0, 1), min_size=1, max_size=4))
    def push_group(self, places):
        group = new_group()
        group.waiter = park(Party(), group, "select")
        self.groups.append(group)
        for which in places:
            arm = make_arm(group, None, "wait")
            self.queues[which].push(arm)
            self.lines[which].append(arm)

    @rule(which=st.integers(0, 1))
    def pop(self, which):
        got = self.queues[which].pop()
        waiting = [entry for entry in self.lines[which] if self.waits(entry)]
        assert got is (waiting[0] if waiting else None)
        if got is not None:
            self.claim(got)

    @rule(which=st.integers(0, 1))
    def drain(self, which):
        waiting = []
        for entry in self.lines[which]:
            if self.waits(entry):
                waiting.append(entry)
                self.claim(entry)
        assert self.queues[which].drain() == waiting
        assert not self.queues[which].entries

    def claim(self, entry):
        self.claimed.add(entry)
        if entry.group is not None:
            self.winners[entry.group] = entry

    @precondition(lambda self: any(self.lines))
    @rule(which=st.integers(0, 1), index=st.integers(0, 30))
    def withdraw(self, which, index):
        line = self.lines[which]
        if not line:
            return
        entry = line[index % len(line)]
        if entry not in self.claimed and not entry.claimed:
            assert self.queues[which].withdraw(entry)
            self.claimed.add(entry)
        assert not self.queues[which].withdraw(entry)

    @precondition(lambda self: self.groups)
    @rule(index=st.integers(0, 30))
    def withdraw_group(self, index):
        group = self.groups[index % len(self.groups)]
        assert group.withdraw(group.waiter) == (group not in self.winners)
        self.winners.setdefault(group, None)

    @rule(which=st.integers(0, 1))
    def sweep(self, which):
        self.queues[which].sweep()

    @rule(which=st.integers(0, 1))
    def look(self, which):
        assert self.queues[which].live() == any(self.waits(entry) for entry in self.lines[which])

    @precondition(lambda self: self.groups)
    @rule(which=st.integers(0, 1), index=st.integers(0, 30))
    def look_but_not_at_a_group(self, which, index):
        group = self.groups[index % len(self.groups)]
        others = [entry for entry in self.lines[which] if entry.group is not group]
        assert self.queues[which].live(but=group) == any(self.waits(entry) for entry in others)

    @invariant()
    def the_order_is_kept(self):
        for queue, line in zip(self.queues, self.lines, strict=True):
            assert [e for e in queue.waiting() if self.waits(e)] == [e for e in line if self.waits(e)]

    @invariant()
    def the_dead_are_counted(self):
        for queue in self.queues:
            assert queue.dead == sum(entry.claimed for entry in queue.entries)
            assert len(queue) == len(queue.entries) - queue.dead

    @invariant()
    def the_dead_are_no_majority_for_long(self):
        for queue in self.queues:
            assert queue.dead <= 8 or queue.dead * 2 <= len(queue.entries)

    @invariant()
    def a_group_has_the_winner_that_claimed_it(self):
        for group in self.groups:
            assert group.open == (group not in self.winners)
            assert group.winner is self.winners.get(group)


TestQueue = Queue.TestCase


def test_a_party_of_none_has_no_waiter():
    """The `…_nowait` spelling never queues."""
    assert park(None, None, "wait") is None


def test_a_waiter_is_ready_made_for_its_party():
    """`park` sets every slot, and the party knows its waiter."""
    party = Party()
    waiter = park(party, "machine", "send", "item", "end")
    assert party.waiter is waiter
    assert [getattr(waiter, name) for name in ("task", "machine", "op", "item", "end", "claimed")] == [
        party,
        "machine",
        "send",
        "item",
        "end",
        False,
    ]
    assert (waiter.group, waiter.value, waiter.error, waiter.since) == (None, None, None, NOT_YET)


def test_machines_say_what_they_leave_to_their_kinds():
    """A machine without a select arm, or without waiters, fails loudly."""
    machine = Machine()
    for operation in (machine.withdraw, machine.enqueue, machine.ready, machine.attempt):
        with pytest.raises(NotImplementedError):
            operation(None)
    assert machine.describe() == "machine"
    assert repr(PARKED) == "PARKED"
    with pytest.raises(NotImplementedError):
        Waiter().wake()
