"""The cell's invariants: an RLock's, whoever acts for the holder, and whatever becomes of that one."""

import operator
from collections import deque

import pytest
from fakes import MachineTest, Party, guarded
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from potok.errors import AbandonedLock
from potok.machines.cell import STEPS, Box, CellMachine, Names, is_plain, methods_of
from potok.machines.lock import Abandoned


class Cell(MachineTest):
    """The lock is its holder's, or lent by the holder; what was lent comes back, less one, or is abandoned."""

    def __init__(self):
        super().__init__()
        self.machine = guarded(CellMachine({}))
        self.owners = [Party() for _ in range(3)]
        self.holder = None  # an owner, "abandoned", or None
        self.depth = 0
        self.agent = None  # to whom the holder has lent it
        self.nested = 0  # how often that one has taken it again

    def outside(self, index):
        """Somebody who neither stands in line nor waits for the agent."""
        busy = [waiter.item[0] for waiter in self.queue] + ([self.holder] if self.agent else [])
        free = [owner for owner in self.owners if owner not in busy]
        return free[index % len(free)] if free else None

    @rule(index=st.integers(0, 2))
    def acquire(self, index):
        owner = self.outside(index)
        if owner is None:
            return
        if self.holder == "abandoned":
            with pytest.raises(AbandonedLock):
                self.machine.acquire(Party(), owner)
            return
        got, waiter = self.operate(self.machine.acquire, owner)
        if self.holder in (None, owner):
            assert got is True
            self.holder = owner
            self.depth += 1
        else:
            self.parked(waiter)

    @precondition(lambda self: self.holder in self.owners and not self.agent)
    @rule()
    def release(self):
        self.machine.release(self.holder)
        self.released()

    def released(self):
        self.depth -= 1
        if not self.depth:
            self.holder = None
            if self.queue:
                first = self.queue.pop(0)
                self.served(first, True)
                self.holder, self.depth = first.item

    @precondition(lambda self: self.holder in self.owners and not self.agent)
    @rule()
    def lend(self):
        self.agent = Party()
        assert self.machine.lend(self.holder, self.agent) == self.depth

    @rule(index=st.integers(0, 2))
    def only_the_holder_lends(self, index):
        owner = self.owners[index]
        if owner is not self.holder or self.agent:
            with pytest.raises((RuntimeError, AbandonedLock)):
                self.machine.lend(owner, Party())

    @precondition(lambda self: self.agent)
    @rule()
    def the_agent_takes_it_again(self):
        assert self.machine.acquire(None, self.agent) is True
        self.nested += 1

    @precondition(lambda self: self.nested)
    @rule()
    def the_agent_releases(self):
        self.machine.release(self.agent)
        self.nested -= 1

    @precondition(lambda self: self.agent)
    @rule(lost=st.booleans())
    def take_back(self, lost):
        owner = self.holder
        owner.gone = "killed" if lost else ""
        self.machine.take_back(owner, self.depth)
        self.agent, self.nested = None, 0
        self.released()
        if lost and self.holder is owner:
            self.abandoned()

    @precondition(lambda self: self.holder in self.owners and not self.agent)
    @rule()
    def the_holder_is_lost(self):
        self.machine.abandon("killed")
        self.abandoned()

    def abandoned(self):
        self.holder = "abandoned"
        for waiter in self.queue:
            self.served(waiter, error=AbandonedLock)
        self.queue = []

    @rule()
    def recover(self):
        assert self.machine.recover() == (self.holder == "abandoned")
        if self.holder == "abandoned":
            self.holder, self.depth = None, 0

    @precondition(lambda self: self.queue)
    @rule(index=st.integers(0, 2))
    def withdraw(self, index):
        self.withdraw_one(self.machine, index)

    @invariant()
    def it_is_as_the_model_says(self):
        if self.holder == "abandoned":
            assert isinstance(self.machine.holder, Abandoned)
        else:
            assert self.machine.holder is (self.agent or self.holder)
            assert self.machine.depth == self.depth + self.nested
        assert self.machine.waiters.waiting() == self.queue

    @invariant()
    def nobody_waits_for_what_is_free_or_abandoned(self):
        assert self.holder in self.owners or not self.queue


TestCell = Cell.TestCase


def test_reports_call_it_by_what_it_holds():
    told = [CellMachine(content).describe() for content in ({}, Names(), Box(0))]
    assert told == ["shared dict", "shared namespace", "shared value"]


@pytest.mark.parametrize(
    ("content", "step", "args", "gives"),
    [
        ([1, 2], "get item", (0,), 1),
        ({"a": 1}, "in", ("a",), True),
        ({"a": 1}, "iter", (), ["a"]),
        ([], "bool", (), False),
        ([1], "str", (), "[1]"),
        ([3, 1], "call", ("index", 1), 1),
        ({"a": 1}, "call", ("items",), [("a", 1)]),
        ([3, 1], "call with", ("copy", {}), [3, 1]),
        (Box(7), "get", ("value",), 7),
        ([2], "apply", (operator.contains, 2), True),
        ({"a": 1}, "apply", (dict.keys,), ["a"]),
    ],
)
def test_steps(content, step, args, gives):
    """Each step does what its operator does; a dict's views are lists by then."""
    got = STEPS[step](content, *args)
    assert (got, type(got)) == (gives, type(gives))


def test_steps_that_change_it():
    content = {"a": 1}
    STEPS["set item"](content, "b", 2)
    STEPS["del item"](content, "a")
    assert content == {"b": 2}
    names = Names(x=1)
    STEPS["set"](names, "y", 2)
    STEPS["del"](names, "x")
    assert str(names) == "Namespace(y=2)"


def test_an_iterator_is_not_iterated_over():
    """All of it would be gone, and it may have no end."""
    with pytest.raises(TypeError, match="atomic\\(next\\)"):
        STEPS["iter"](iter([1]))


class Mine(dict):
    """A dict that may do anything."""


@pytest.mark.parametrize(
    ("content", "step", "args", "plain"),
    [
        ({}, "get item", ("k",), True),
        ({}, "call", ("get", "k"), True),
        ([], "call", ("append", 1), True),
        (deque(), "call", ("popleft",), True),
        (Names(), "set", ("x", 1), True),
        (Mine(), "get item", ("k",), False),  # __missing__, for one
        ([], "in", (1,), False),  # compares with each
        ([], "call", ("sort",), False),
        ({}, "str", (), False),
        ({}, "apply", (len,), False),
    ],
)
def test_plain_is_only_what_runs_no_code_of_the_users(content, step, args, plain):
    assert is_plain(content, step, args) is plain


def test_methods_are_the_public_callables_of_the_class():
    """Not its properties, and nothing private."""

    class Thing:
        size = 3

        def grow(self):
            pass

        def _secret(self):
            pass

        @property
        def weight(self):
            raise AssertionError("looked at")

    assert methods_of(Thing) == {"grow"}


class Told:
    """Who has copies, as far as the cell knows: what it was told."""

    def __init__(self):
        self.told = []

    def end(self, content):
        self.told.append(("end", content))

    def look(self, content, space):
        self.told.append(("look", space))


class Elsewhere(Party):
    """A party of another address space."""

    space = 7


def test_who_takes_the_lock_ends_copies_first():
    """Also who has to wait for it, and who only reads no longer, as another is to act for him."""
    cell = guarded(CellMachine(["it"]))
    cell.copies = copies = Told()
    mine, theirs = Party(), Elsewhere()
    assert cell.acquire(None, mine) is True
    assert copies.told == [("end", ["it"])]
    cell.acquire(Party(), theirs)
    cell.restore(Party(), theirs, 2)
    assert copies.told == [("end", ["it"])] * 3
    cell.release(mine)
    cell.lend(theirs, Party())
    assert copies.told == [("end", ["it"])] * 4


def test_who_only_reads_leaves_copies_good():
    """What was changed elsewhere is done to the object before."""
    cell = guarded(CellMachine(["it"]))
    cell.copies = copies = Told()
    theirs = Elsewhere()
    assert cell.acquire_to_read(None, theirs) is True
    cell.acquire_to_read(Party(), Party())
    cell.release(theirs)
    assert copies.told == [("look", 7), ("look", 0)]
