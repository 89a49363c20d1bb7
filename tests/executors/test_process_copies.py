"""Copies that a worker has of what is in a shared object: read without asking, but never once they are outdated."""

import os
import signal
import warnings
from typing import Any

import pytest

import potok
from potok.machines.cell import MISSING
from potok.testing import wait_all_parked

TESTED = potok.processes(preload=("pytest",))


def add(counts: Any, key: Any = "x") -> Any:
    """One that only computes: without even an `int()` around it."""
    counts[key] += 1
    return counts[key]


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


def writes_what_it_has_read(shared: Any) -> Any:
    before = shared["x"]
    shared["x"] = [before]
    shared.update({"y": [shared["x"]]})
    shared.setdefault("z", {})
    return shared["y"], shared.get("z"), len(shared)


def test_what_is_written_may_be_anything() -> None:
    """Whatever is known of the object."""
    shared = potok.share({"x": 1})
    with potok.scope(on=TESTED) as s:
        assert s.start(writes_what_it_has_read, shared).result() == ([[1]], {}, 3)


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


# ── leases ──────────────────────────────────────────────────────────────────────────────────────────────────


def adds_by_itself(shared: Any) -> tuple[int, bool, Any]:
    first = shared.atomic(add)
    before = shared._machine._shelf._leased
    shared["x"] = shared["x"] + 1
    last = shared.atomic(add)
    return first, before is not None and before is shared._machine._shelf._leased, last


def test_what_a_worker_writes_is_there_at_home() -> None:
    """Also where it did that by itself, as nobody else was at it."""
    shared = potok.share({"x": 0})
    with potok.scope(on=TESTED) as s:
        for n in range(3):
            assert s.start(adds_by_itself, shared).result() == (3 * n + 1, True, 3 * n + 3)
            assert shared["x"] == 3 * n + 3


def adds_in_all_ways(shared: Any, n: int) -> int:
    """The sum of what was added."""
    for number in range(n):
        shared.atomic(add)
        shared.atomic(add_slowly)
        shared.atomic(add, "y" if number % 3 else "x")
        if not number % 5:
            with shared.locked() as it:
                it["x"] += 1
        shared["mine"] = number
    return 3 * n + (n + 4) // 5


def add_slowly(counts: Any) -> None:
    """Not one that only computes."""
    counts.update(x=counts["x"] + 1)


def adds_in_threads(shared: Any, n: int) -> int:
    with potok.scope(on="threads") as s:
        return sum(task.result() for task in [s.start(adds_in_all_ways, shared, n) for _ in range(2)])


@pytest.mark.stress
def test_nothing_is_lost() -> None:
    """Whoever adds in whatever way: tasks of two workers, threads of another one, and the program itself."""
    shared = potok.share({"x": 0, "y": 0, "mine": 0})
    with potok.scope(on=TESTED) as s:
        tasks = [s.start(adds_in_all_ways, shared, 40), s.start(adds_in_all_ways, shared, 40)]
        tasks.append(s.start(adds_in_threads, shared, 20))
        mine = adds_in_all_ways(shared, 20)
        total = mine + sum(task.result() for task in tasks)
        with shared.locked() as it:
            assert it["x"] + it["y"] == total


def adds_and_tells(shared: Any, tx: Any) -> None:
    with tx:
        while True:
            tx.send(shared.atomic(add))


@pytest.mark.stress
def test_worker_that_is_killed_has_done_what_it_has_told() -> None:
    """Whenever it dies: what it had added is there, and at most one more that it could not tell of."""
    shared = potok.share({"x": 0})
    told = 0
    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED, on_fail="collect") as s:
        tx, rx = potok.channel(16)
        victim = s.start(adds_and_tells, shared, tx)
        for _ in range(50):
            told = rx.recv()
        os.kill(victim.pid, signal.SIGKILL)
        with pytest.raises(potok.WorkerDied):
            for number in rx:
                told = number
        assert shared._machine.copies.lease is None  # nobody keeps the memory of the dead
        assert told <= shared["x"] <= told + 1
        assert s.start(add_through, shared).result() == shared["x"]


def add_through(shared: Any) -> Any:
    return shared.atomic(add)


def writes_until_told(shared: Any, stop: Any, tx: Any) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        shared["x"] = number
    tx.send(number)


def test_what_is_written_without_pause_is_read() -> None:
    """At home, and by another worker: no number comes after a greater one, and the last is the last."""
    shared = potok.share({"x": 0})
    stop = potok.Event()
    tx, rx = potok.channel(1)
    with potok.scope(on=TESTED) as s:
        s.start(writes_until_told, shared, stop, tx)
        reader = s.start(reads_until, shared, 100)
        seen = reads_until(shared, 100)
        stop.set()
        last = rx.recv()
        assert shared["x"] == last
        shared["x"] = max(last, 100)
        assert seen == sorted(seen)
        assert reader.result() == sorted(reader.result())


def returns_one(total: Any) -> int:
    return 1


def uses_what_has_no_value(total: Any) -> Any:
    total.value = 2
    del total.value
    got = total.atomic(returns_one), hasattr(total, "value")
    total.value = 3
    return *got, total.atomic(returns_one), total.value


def test_a_value_that_was_deleted() -> None:
    """There is nothing to lease, and no step goes unanswered."""
    with potok.scope(on=TESTED) as s:
        assert s.start(uses_what_has_no_value, potok.Value(1)).result() == (1, False, 1, 3)


def test_a_long_text_is_read() -> None:
    """It has no copy."""
    shared = potok.share({"x": "long" * 1000})
    with potok.scope(on=TESTED) as s:
        assert s.start(reads_twice, shared).result() == ("long" * 1000, False, "long" * 1000)


def times_out_then_adds(shared: Any, go_on: Any) -> int:
    shared.atomic(add)
    go_on.wait()
    try:
        with potok.timeout(0.05):
            shared.atomic(add)
    except TimeoutError:
        return shared._machine._shelf.look("get item", ("x",)) is MISSING
    return False


def test_whoever_gives_up_waiting_has_written_nothing() -> None:
    """The lock is somebody's: the lease is over, and a step that is not begun in time is not done."""
    shared, go_on = potok.share({"x": 0}), potok.Event()
    with potok.scope(on=TESTED) as s:
        task = s.start(times_out_then_adds, shared, go_on)
        wait_all_parked()
        with shared.locked() as it:
            go_on.set()
            assert task.result()
            assert it["x"] == 1


def test_a_forked_child_has_what_was_written() -> None:
    """And what it does with it is its own."""
    shared = potok.share({"x": 0})
    stay = potok.Event()
    with potok.scope(on=TESTED) as s:
        task = s.start(adds_by_itself_and_stays, shared, stay)
        wait_all_parked()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            try:
                os._exit(shared["x"] * 10 + shared.atomic(add))
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 34
        stay.set()
        assert task.result() == 4
    assert shared["x"] == 4


def adds_by_itself_and_stays(shared: Any, stay: Any) -> int:
    for _ in range(3):
        shared.atomic(add)
    stay.wait()
    return int(shared.atomic(add))
