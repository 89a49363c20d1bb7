"""Functions that only compute: which are, and that trying one out changes nothing."""

from functools import partial
from typing import Any

import pytest

from potok.remote.arithmetic import attempt, only_computes


def adds(counts: Any, n: int = 1) -> int:
    """Add so many."""
    counts["x"] += n
    return int.__add__(counts["x"], 0) if False else counts["x"]


def adds_simply(counts: Any, n: int = 1) -> int:
    """Add so many."""
    counts["x"] += n
    return counts["x"]


def takes(ns: Any, n: int) -> bool:
    if ns.left < n or n is None:
        return False
    ns.left -= n
    ns.taken = -n if ns.left == 7 else n
    return not (ns.left and ns.taken)


def swaps(counts: Any) -> None:
    counts["x"], counts["y"] = counts["y"], counts["x"]


def calls(counts: Any) -> None:
    counts.update(x=1)


def looks_up(counts: Any) -> None:
    counts["x"] = partial


def goes_round(counts: Any) -> None:
    while counts["x"] < 10:
        counts["x"] += 1


def catches(counts: Any) -> int:
    try:
        return counts["q"]
    except KeyError:
        return 0


def matches(counts: Any) -> int:
    match counts:
        case {"x": value}:
            return value
    return 0


def imports(counts: Any) -> None:
    import os

    counts["x"] = os


def yields(counts: Any) -> Any:
    yield counts["x"]


def makes(counts: Any) -> Any:
    return lambda: counts


def knows(counts: Any) -> Any:
    return counts.__class__


async def waits(counts: Any) -> Any:
    return counts["x"]


def named(counts: Any, *, n: int = 1) -> None:
    counts["x"] += n


def many(counts: Any, *n: int) -> None:
    counts["x"] = n


def changeable(counts: Any, n: Any = []) -> Any:  # noqa: B006
    return n


@pytest.mark.parametrize("fn", [adds_simply, takes, swaps, lambda it: it["x"]])
def test_functions_that_only_compute(fn: Any) -> None:
    assert only_computes(fn)


@pytest.mark.parametrize(
    "fn",
    [
        *(
            adds,
            calls,
            looks_up,
            goes_round,
            catches,
            matches,
            imports,
            yields,
            makes,
            knows,
            waits,
            named,
            many,
        ),
        *(changeable, partial(adds_simply, n=2), dict.clear, [].append),
    ],
)
def test_functions_that_may_do_more(fn: Any) -> None:
    assert not only_computes(fn)


def test_what_they_change_and_return() -> None:
    """As they would with the object; what they have changed they see."""
    items = {"x": 1, "y": 2}
    assert attempt(adds_simply, (), items, by_name=False) == ({"x": 2}, 2)
    assert attempt(adds_simply, (5,), items, by_name=False) == ({"x": 6}, 6)
    assert attempt(swaps, (), items, by_name=False) == ({"x": 2, "y": 1}, None)
    assert attempt(takes, (3,), {"left": 2, "taken": 0}, by_name=True) == ({}, False)
    assert attempt(takes, (3,), {"left": 10, "taken": 0}, by_name=True) == ({"left": 7, "taken": -3}, False)
    assert items == {"x": 1, "y": 2}


NOT_HERE = [
    lambda it: it["q"],
    lambda it: it[True],
    lambda it: it.x,
    lambda it: it,
    lambda it: not it,
    lambda it: it == 1,
    lambda it: it != 1,
    lambda it: it > 1,
    lambda it: "%s" % it,  # noqa: UP031
    lambda it: it and 1,
    lambda it: it + it,
    lambda it: it["x"] / 0,
    lambda it: it.update,
]


@pytest.mark.parametrize("which", range(len(NOT_HERE)))
def test_what_is_for_the_object_itself(which: int) -> None:
    """More than the items that are known, or an error of its own: nothing is told."""
    assert attempt(NOT_HERE[which], (), {"x": 1}, by_name=False) is None


def sets(counts: Any, key: Any, value: Any) -> None:
    counts[key] = value


@pytest.mark.parametrize(
    ("key", "value"), [("q", 1), (1.0, 1), (True, 1), ("x", []), ("x", "long" * 1000), ([], 1)]
)
def test_what_may_not_be_set_here(key: Any, value: Any) -> None:
    """New items, keys that only equal one, values that may change or are long."""
    assert attempt(sets, (key, value), {"x": 1, 1: 2}, by_name=False) is None
    assert attempt(sets, ("x", 5), {"x": 1, 1: 2}, by_name=False) == ({"x": 5}, None)


class Clever(int):
    """A number that is more than one."""


def test_only_what_is_exactly_plain() -> None:
    assert attempt(sets, ("x", Clever(1)), {"x": 1}, by_name=False) is None
    assert attempt(lambda it: it.x, (), {"x": 1}, by_name=True) == ({}, 1)
