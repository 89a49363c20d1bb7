"""Who can never go on: the answer of the graph is the one that trying all sets gives."""

from itertools import chain, combinations

from hypothesis import given
from hypothesis import strategies as st

from potok.kernel.deadlock.graph import Way, dead, knots

TASKS = range(5)
TASK_SETS = st.frozensets(st.sampled_from(TASKS))
WAYS = st.builds(Way, st.none() | TASK_SETS, st.booleans())
WAITS = st.dictionaries(st.sampled_from(TASKS), st.lists(WAYS, min_size=1, max_size=3))


def all_sets(tasks):
    return map(set, chain.from_iterable(combinations(tasks, size) for size in range(len(tasks) + 1)))


def is_closed(waits, those):
    """Whether each of those waits for what only those could give."""
    return all(way.is_blocked(those) for task in those for way in waits[task])


@given(WAITS)
def test_dead_is_the_greatest_closed_set(waits):
    """No task outside of it is dead, and none inside can be helped."""
    found = dead(waits)
    assert is_closed(waits, found)
    assert all(those <= found for those in all_sets(list(waits)) if is_closed(waits, those))


@given(WAITS)
def test_knots_wait_for_nobody_outside(waits):
    """Each knot is a part of the dead, all of whose members wait for members only; there is one if anybody is dead."""
    stuck = dead(waits)
    found = knots(waits, stuck)
    assert bool(found) == bool(stuck)
    members = [task for knot in found for task in knot]
    assert len(members) == len(set(members))
    for knot in found:
        for task in knot:
            waits_for = {r for way in waits[task] for r in way.rescuers or () if r in stuck}
            assert waits_for <= set(knot)


def test_cycle_is_told_in_the_order_in_which_its_members_wait():
    """1 waits for 3, that for 2, that for 1."""
    waits = {1: [Way(frozenset({3}))], 2: [Way(frozenset({1}))], 3: [Way(frozenset({2}))]}
    assert knots(waits, dead(waits)) == [[1, 3, 2]]


def test_one_who_may_be_woken_by_anybody_saves_all_who_wait_for_him():
    """Nobody is dead who is reached from the living."""
    waits = {1: [Way(frozenset({2}))], 2: [Way(frozenset({1})), Way(None)], 3: [Way(frozenset({3}))]}
    assert dead(waits) == {3}


def test_scope_ends_only_with_all_its_members():
    """One dead member is enough for its host; one of several rescuers that lives is enough for others."""
    waits = {
        "host": [Way(frozenset({"stuck", "fine"}), all=True)],
        "taker": [Way(frozenset({"stuck", "fine"}))],
        "stuck": [Way(frozenset())],
    }
    assert dead(waits) == {"host", "stuck"}


def test_a_long_chain_needs_no_recursion():
    """Twenty thousand tasks in a row."""
    n = 20_000
    waits = {number: [Way(frozenset({(number + 1) % n}))] for number in range(n)}
    assert len(dead(waits)) == n
    assert len(knots(waits, dead(waits))) == 1
