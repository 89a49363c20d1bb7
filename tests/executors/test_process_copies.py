"""Copies that a worker has of what is in a shared object: read without asking, but never once they are outdated."""

from typing import Any

import pytest

import potok
from potok.machines.cell import MISSING
from potok.testing import wait_all_parked

TESTED = potok.processes(preload=("pytest",))


def add(counts: Any, key: Any = "x") -> int:
    counts[key] += 1
    return int(counts[key])


def is_known(shared: Any, name: str, *args: Any) -> bool:
    """Whether the worker knows it without asking."""
    return shared._machine._shelf.look(name, args) is not MISSING


def reads_twice(shared: Any, key: Any = "x") -> tuple[Any, bool, Any]:
    return shared[key], is_known(shared, "get item", key), shared[key]


def test_what_was_read_is_read_again_without_asking() -> None:
    """Items, attributes, the length and the truth, of what nobody has at home but the object."""
    counts, letters = (
        potok.share({"x": 5}),
        potok.share(["a"]),
    )  # not in an assert, which keeps what it evaluates
    with potok.scope(on=TESTED) as s:
        assert s.start(reads_twice, counts).result() == (5, True, 5)
        assert s.start(reads_twice, letters, 0).result() == ("a", True, "a")
        assert s.start(reads_attributes, potok.Namespace(x=1), potok.Value(2.0)).result() == [
            1,
            True,
            2.0,
            True,
        ]
        assert s.start(reads_size, counts).result() == [1, True, True, True]


def reads_attributes(ns: Any, total: Any) -> list[Any]:
    return [ns.x, is_known(ns, "get", "x"), total.value, is_known(total, "get", "value")]


def reads_size(shared: Any) -> list[Any]:
    return [len(shared), is_known(shared, "len"), bool(shared), is_known(shared, "bool")]


def reads_when_told(shared: Any, rx: Any, tx: Any) -> None:
    with tx:
        for _ in rx:
            tx.send(shared["x"])


def writes_inside_of_locked(shared: Any, n: int) -> None:
    with shared.locked() as it:
        it["x"] = n


WAYS = [
    writes_inside_of_locked,
    lambda shared, n: shared.__setitem__("x", n),
    lambda shared, n: shared.update(x=n),
    lambda shared, n: shared.atomic(dict.__setitem__, "x", n),
]


def writes(shared: Any, way: int, n: int) -> None:
    WAYS[way](shared, n)


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_was_written_is_read(way: int, elsewhere: bool) -> None:
    """However it was written, at home or by another worker: who reads after that reads that."""
    shared = potok.share({"x": 0})
    (ask, asked), (tell, told) = potok.channel(), potok.channel()
    with ask, potok.scope(on=TESTED) as s:
        s.start(reads_when_told, shared, asked, tell)
        for n in range(5):
            if elsewhere:
                s.start(writes, shared, way, n).result()
            else:
                writes(shared, way, n)
            for _ in range(2):
                ask.send(None)
                assert told.recv() == n
        ask.close()


def test_nobody_reads_while_another_has_the_lock() -> None:
    """Neither what was nor what will be, though it was read before."""
    shared = potok.share({"x": 0})
    (ask, asked), (tell, told) = potok.channel(), potok.channel(1)
    with ask, potok.scope(on=TESTED) as s:
        s.start(reads_when_told, shared, asked, tell)
        ask.send(None)
        assert told.recv() == 0
        with shared.locked() as it:
            ask.send(None)
            wait_all_parked()
            with pytest.raises(potok.WouldBlock):
                told.recv_nowait()
            it["x"] = 1
        assert told.recv() == 1
        ask.close()


def test_what_is_changed_past_the_lock_is_seen() -> None:
    """Of an object that somebody at home has besides there are no copies."""
    mine = {"x": 0}
    shared, handed_out = potok.share(mine), potok.share({"x": 0})
    with potok.scope(on=TESTED) as s:
        assert s.start(reads_twice, handed_out).result() == (0, True, 0)
        theirs = handed_out.atomic(lambda it: it)
        for n in range(3):
            mine["x"] = theirs["x"] = n
            for each in (shared, handed_out):
                assert s.start(reads_twice, each).result() == (n, False, n)
        names = potok.Namespace(x=1)
        inner = names.atomic(vars)
        inner["x"] = 2
        assert s.start(reads_attributes, names, potok.Value(0)).result() == [2, False, 0, True]


def changes_what_it_reads(shared: Any) -> tuple[Any, bool, Any]:
    shared["x"].append(1)
    return reads_twice(shared)


def test_what_may_be_changed_is_not_copied_twice() -> None:
    """Each reader has an object of its own."""
    with potok.scope(on=TESTED) as s:
        assert s.start(changes_what_it_reads, potok.share({"x": []})).result() == ([], False, [])


def reads_by_what_equals(shared: Any) -> list[Any]:
    got = [shared[1], shared[True]]
    with pytest.raises(TypeError):
        shared[1.0]
    with pytest.raises(IndexError):
        shared[7]
    return got


def test_keys_that_are_equal_are_not_the_same() -> None:
    """A list takes 1 and True, and refuses 1.0, though one of them is known."""
    with potok.scope(on=TESTED) as s:
        assert s.start(reads_by_what_equals, potok.share(["a", "b"])).result() == ["b", "b"]


def reads_until(shared: Any, last: int) -> list[int]:
    seen = [0]
    while seen[-1] < last:
        seen.append(shared["x"])
    return seen


@pytest.mark.stress
def test_readers_never_go_back() -> None:
    """Two workers read what others count up: no number comes after a greater one."""
    shared = potok.share({"x": 0})
    with potok.scope(on=TESTED) as s:
        readers = [s.start(reads_until, shared, 200) for _ in range(2)]
        counting = s.start(counts, shared, 100)
        for _ in range(100):
            shared.atomic(add)
        counting.join()
        for reader in readers:
            seen = reader.result()
            assert seen == sorted(seen)
    assert shared["x"] == 200


def counts(shared: Any, n: int) -> None:
    for _ in range(n):
        shared.atomic(add)


def test_many_objects_in_few_slots() -> None:
    """Objects that have the same place have no copies of each other."""
    many = [potok.share({"x": n}) for n in range(600)]
    with potok.scope(on=TESTED) as s:
        assert s.start(reads_all, many).result() == [*range(600)] * 2
        for shared in many:
            shared["x"] = -1
        assert s.start(reads_all, many).result() == [-1] * 1200


def reads_all(many: list[Any]) -> list[int]:
    return [shared["x"] for _ in range(2) for shared in many]
