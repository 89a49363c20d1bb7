"""A map pulls its input as far as it must, starts what it needs, and keeps nothing."""

import gc
import itertools
import threading
import weakref
from collections.abc import Iterator

import pytest

import potok
from potok.testing import wait_all_parked


class Counted:
    """An endless input that knows how far it was pulled."""

    def __init__(self) -> None:
        self.pulled = 0

    def __iter__(self) -> Iterator[int]:
        for x in itertools.count():
            self.pulled = x + 1
            yield x


def same(x: int) -> int:
    return x


def test_nothing_happens_before_the_first_result_is_asked_for(on: str) -> None:
    items = Counted()
    before = threading.active_count()
    results = potok.map(same, items, on=on)
    assert items.pulled == 0
    assert threading.active_count() == before
    results.close()
    assert list(results) == []
    assert items.pulled == 0


@pytest.mark.parametrize("window", [1, 2, 7])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.stress
def test_pulled_as_far_as_the_window(on: str, window: int, ordered: bool) -> None:
    """At any moment at most `window` items have been pulled and not given out; an endless input is no problem."""
    items = Counted()
    results = potok.map(same, items, on=on, window=window, ordered=ordered, workers=2)
    for given, _ in enumerate(itertools.islice(results, 50), 1):
        assert items.pulled - given <= window - 1
    results.close()


def test_window_is_filled_while_nothing_is_ready(pooled: str) -> None:
    """A slow function does not keep the others waiting for input: the window is full before the first result."""
    items = Counted()
    pulled = []

    def work(x: int) -> int:
        if x == 0:
            full.wait()
        return x

    full = potok.Event()

    def watched() -> Iterator[int]:
        for x in items:
            if x == 5:
                full.set()
            yield x

    with potok.map(work, watched(), on=pooled, window=6, workers=2) as results:
        next(results)
        pulled.append(items.pulled)
    assert pulled == [6]


def test_slow_input_does_not_hold_results_back(pooled: str) -> None:
    """With a result at hand no more is pulled than takes its place, although the window has room."""
    seen = []

    def items() -> Iterator[int]:
        yield 0
        wait_all_parked()  # the result of item 0 has been sent
        yield 1
        assert seen == [0]
        yield 2

    for result in potok.map(same, items(), on=pooled, window=100, workers=1):
        seen.append(result)  # noqa: PERF402 - the input looks at it
    assert seen == [0, 1, 2]


def test_auto_window_is_four_times_the_workers(near: str) -> None:
    items = Counted()
    going = potok.Event()

    def work(x: int) -> int:
        going.wait()
        return x

    def watched() -> Iterator[int]:
        for x in items:
            if x == 11:
                going.set()
            yield x

    with potok.map(work, watched(), on=near, workers=3) as results:
        next(results)
        assert items.pulled == 12


def test_as_many_workers_as_there_is_work(pooled: str) -> None:
    """Two items take no hundred tasks."""
    names = set()

    def work(x: int) -> int:
        names.add(potok.current_task().name)
        return x

    assert list(potok.map(work, range(2), on=pooled, workers=100)) == [0, 1]
    assert len(names) <= 2


@pytest.mark.parametrize(("on", "count"), [("inline", 300_000), ("coroutines", 30_000), ("threads", 30_000)])
def test_memory_is_flat(on: str, count: int) -> None:
    """However long the input: no more items are alive than fit the window (and the workers' hands)."""

    class Item:
        alive = most = 0

        def __init__(self) -> None:
            Item.alive += 1
            Item.most = max(Item.most, Item.alive)

        def __del__(self) -> None:
            Item.alive -= 1

    results = potok.map(lambda item: item, (Item() for _ in range(count)), on=on, workers=3, window=10)
    assert sum(1 for _ in results) == count
    looked_at = (
        2 * 3
    )  # a look for deadlocks keeps the frames of parked tasks for a moment, and what they held
    assert Item.most <= 10 + 3 + 2 + looked_at


def test_finished_map_keeps_nothing(on: str) -> None:
    """Input and results are free as soon as the map has ended, although its results object is still there."""

    class Thing:
        pass

    def things() -> Iterator[Thing]:
        yield Thing()
        yield Thing()

    source = things()
    refs = [weakref.ref(source)]
    results = potok.map(lambda thing: thing, source, on=on, workers=2)
    del source
    with results:
        for thing in results:
            refs.append(weakref.ref(thing))
        del thing
    gc.collect()
    assert [ref() for ref in refs] == [None, None, None]


def test_no_cycle_keeps_an_abandoned_map(on: str) -> None:
    """Results that nobody refers to are gone without the garbage collector's help."""
    gc.disable()
    try:
        results = potok.map(same, itertools.count(), on=on)
        next(results)
        ref = weakref.ref(results)
        del results
        assert ref() is None
    finally:
        gc.enable()


class Emptying(Iterator[int]):
    """An iterator that tells how many are left of what it has read, and so may be false."""

    def __init__(self, count: int) -> None:
        self.left = list(range(count))
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.read)

    def __next__(self) -> int:
        if not self.left:
            raise StopIteration
        return self.left.pop(0)


def test_input_may_be_false(on: str) -> None:
    assert list(potok.map(same, Emptying(50), on=on)) == list(range(50))


@pytest.mark.parametrize("error", [ValueError, NotImplementedError, OverflowError])
def test_input_may_have_no_length_in_whatever_way(on: str, error: type[Exception]) -> None:
    """Also one whose length no `len` can tell."""

    class Input(list[int]):
        def __len__(self) -> int:
            raise error

    assert list(potok.map(same, Input([1, 2]), on=on)) == [1, 2]
    assert list(itertools.islice(potok.map(same, range(10**30), on=on), 2)) == [0, 1]
