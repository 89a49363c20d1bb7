"""The processes to build of, each with what it is to write."""

from __future__ import annotations

from typing import Any

import pytest
from bodies import read_all, write

from potok.csp import (
    Channel,
    Delta2,
    Identity,
    Mux2,
    Pairs,
    Parallel,
    Plus,
    Prefix,
    Successor,
    Tail,
    poison,
    process,
)


@process
def read_some(cin: Any, count: int) -> list[Any]:
    got = [cin() for _ in range(count)]
    poison(cin)
    return got


@pytest.mark.parametrize(
    ("made", "written"),
    [
        (Identity, [1, 2, 3]),
        (Successor, [2, 3, 4]),
        (Tail, [2, 3]),
        (Pairs, [3, 5]),
        (lambda cin, cout: Prefix(cin, cout, prefix=0), [0, 1, 2, 3]),
        (Prefix, [None, 1, 2, 3]),
    ],
)
def test_what_passes_through(on: str, made: Any, written: list[Any]) -> None:
    a, b = 2 * Channel()
    assert Parallel(write(-a, 1, 2, 3), made(+a, -b), read_all(+b), on=on)[-1] == written


def test_delta_copies_to_both(on: str) -> None:
    a, b, c = 3 * Channel()
    assert Parallel(write(-a, 1, 2), Delta2(+a, -b, -c), read_all(+b), read_all(+c), on=on)[2:] == [
        [1, 2],
        [1, 2],
    ]


def test_plus_adds_pairwise(on: str) -> None:
    a, b, c = 3 * Channel()
    assert Parallel(write(-a, 1, 2), write(-b, 10, 20), Plus(+a, +b, -c), read_all(+c), on=on)[-1] == [11, 22]


def test_mux_reads_both_to_their_ends(on: str) -> None:
    """One that is retired first takes nothing of the other with it."""
    a, b, c = 3 * Channel()
    got = Parallel(write(-a, 1), write(-b, 10, 20, 30), Mux2(+a, +b, -c), read_all(+c), on=on)[-1]
    assert sorted(got) == [1, 10, 20, 30]


def test_fibonacci(near: object) -> None:
    """A network of them, with a circle in it."""
    a, b, c, d, out = 5 * Channel()
    results = Parallel(
        Prefix(+b, -a, prefix=0),
        Prefix(+c, -b, prefix=1),
        Pairs(+d, -c),
        Delta2(+a, -d, -out),
        read_some(+out, 8),
        on=near,
    )
    assert results[-1] == [0, 1, 1, 2, 3, 5, 8, 13]
