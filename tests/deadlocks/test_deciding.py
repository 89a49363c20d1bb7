"""What is told of the tasks of several address spaces, from what two looks have seen."""

import pytest

from potok.remote.deadlocks import Row, Rows, decide
from potok.remote.holding import Holding

A, B = (0, 101), (0, 102)  # channels


def row(number, *ways, stamp=0, op="recv", owns=()):
    return Row(number, f"task-{number}", "processes", (number, stamp), op, " has waited", ways, owns)


def spaces(*rows, alive=False, traffic=0):
    """One space for each task, and the program's."""
    told = [Rows(each.id, (each,), alive, traffic) for each in rows]
    return [*told, Rows(0, (), False, traffic)]


def told_to(first, second=None, **known):
    return [row.id for row, _, _ in decide(first, second or first, **known)]


def waits_for(*numbers):
    return "tasks", numbers, False


CIRCLE = row(1, waits_for(2)), row(2, waits_for(1))


def test_circle_of_those_who_wait_for_each_other():
    """Both are told, whatever else goes on."""
    assert told_to(spaces(*CIRCLE, alive=True)) == [1, 2]


def test_one_who_moved_in_between_was_awake():
    """Nothing is proven of the circle then."""
    later = row(1, waits_for(2), stamp=1), CIRCLE[1]
    assert told_to(spaces(*CIRCLE, alive=True), spaces(*later, alive=True)) == []


def test_lock_that_anybody_may_release():
    """Only where nobody is left it is a deadlock."""
    stuck = row(1, ("lock here", (2,), False)), row(2, ("lock here", (1,), False))
    assert told_to(spaces(*stuck, alive=True)) == []
    assert told_to(spaces(*stuck)) == [1, 2]


def test_message_between_the_looks():
    """Something has happened: it may have been on its way to one of them."""
    stuck = spaces(row(1, ()))
    assert told_to(stuck, spaces(row(1, ()), traffic=1)) == []
    assert told_to(stuck) == [1]


def test_end_of_a_scope_is_heard_of_from_its_members():
    """Who waits for it is not told himself, unless there is nobody else."""
    host = row(3, ("tasks", (1, 2), True), op="finish")
    assert told_to(spaces(*CIRCLE, host, alive=True)) == [1, 2]


@pytest.mark.parametrize(
    ("holding", "told"),
    [
        (Holding(frozenset({1, 2}), True), [1, 2]),
        (Holding(frozenset({1, 2, 3}), True), []),  # 3 does not wait
        (Holding(None, False), []),
        (Holding(frozenset({1, 2}), False), []),  # whoever has started them is not known
    ],
)
def test_channels_beside_a_live_task(holding, told):
    """It is a deadlock where only those who wait hold the channels, which were handed over to them."""
    stuck = spaces(row(1, ("channel", A, True)), row(2, ("channel", B, True)), alive=True)
    assert told_to(stuck, holders={A: holding, B: holding}) == told


def test_message_names_who_owns_the_other_ends():
    """Where nobody else is left, each is told of whose own end it waits for."""
    stuck = spaces(
        row(1, ("channel", A, True), owns=((B, True),)), row(2, ("channel", B, True), owns=((A, True),))
    )
    (_, _, message), _ = decide(stuck, stuck)
    assert "task-1 on processes has waited, which only task-2 could end" in message
    assert "nothing else is left" in message
