"""A pipeline pulls its source as far as there is room, holds nothing back that is ready, and can't wait for itself."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest

import potok
from potok.testing import wait_all_parked


class Counted:
    """An endless source that knows how far it was pulled."""

    def __init__(self) -> None:
        self.pulled = 0

    def __iter__(self) -> Iterator[int]:
        for x in itertools.count():
            self.pulled = x + 1
            yield x


def same(x: int) -> int:
    return x


async def asame(x: int) -> int:
    await asyncio.sleep(0)
    return x


def test_nothing_happens_before_the_first_result_is_asked_for(on: str) -> None:
    """Building one, iterating over it and closing it starts nothing and pulls nothing."""
    items = Counted()
    before = threading.active_count()
    pipeline = potok.pipeline(items).map(same, on=on).filter(same).map(same, on=on)
    with pipeline as results:
        assert items.pulled == 0
        assert threading.active_count() == before
    assert list(results) == []
    assert items.pulled == 0


@pytest.mark.parametrize("async_source", [False, True])
@pytest.mark.stress
def test_pulled_as_far_as_there_is_room(on: str, async_source: bool) -> None:
    """However long one waits, an endless source runs ahead of the reader by the windows and channels on the way."""
    items = Counted()

    async def aitems() -> AsyncIterator[int]:
        for x in items:
            yield x

    source: Any = aitems() if async_source else items
    stage: Any = {"on": on, "workers": 2, "window": 4}
    with potok.pipeline(source).map(same, **stage).filter(bool).map(same, **stage) as results:
        for given, _ in enumerate(itertools.islice(results, 30), 1):
            assert items.pulled - given <= 3 * 16 + 2 * 4 + 10
        wait_all_parked()
        assert items.pulled <= 30 + 3 * 16 + 2 * 4 + 10


@pytest.mark.parametrize("on", ["inline", "coroutines", "threads"])
def test_memory_is_flat(on: str) -> None:
    """However long the source: no more items are alive than fit on the way; also those of an endless flat_map."""

    class Item:
        made = most = 0
        gone: ClassVar[list[bool]] = []  # in several threads, where appending is atomic and counting is not

        def __init__(self) -> None:
            Item.made += 1
            Item.most = max(Item.most, Item.made - len(Item.gone))

        def __del__(self) -> None:
            Item.gone.append(True)

    def many(_: int) -> Iterator[Item]:
        while True:
            yield Item()

    results = potok.pipeline(range(1)).flat_map(many).map(lambda item: item, on=on, workers=3, window=10)
    assert sum(1 for _ in itertools.islice(results, 10_000)) == 10_000
    assert Item.most <= 2 * 16 + 10 + 3 + 8


@pytest.mark.stress
def test_slow_reader_is_waited_for(on: str) -> None:
    """While it does something else all stages fill up and park; nothing is lost when it goes on."""
    results = iter(
        potok.pipeline(range(200)).map(same, on="coroutines").map(same, on=on).map(same, on="threads")
    )
    got = [next(results)]
    wait_all_parked()
    got += results
    assert got == list(range(200))


@pytest.mark.parametrize("steps", ["map", "map.map", "filter.map", "map.filter"])
@pytest.mark.stress
def test_slow_source_holds_nothing_back(on: str, steps: str) -> None:
    """A result comes out as soon as it is there, whether or not there is a next item: one may wait for the other."""
    tx, rx = potok.channel(1)
    pipeline = potok.pipeline(rx)
    for step in steps.split("."):
        pipeline = pipeline.map(same, on=on, workers=2) if step == "map" else pipeline.filter(lambda _: True)
    with potok.scope(), tx:
        results = iter(pipeline)
        for x in range(60):
            tx.send(x)
            assert next(results) == x
        results.close()
    rx.close()


@pytest.mark.parametrize("source", ["def", "async def"])
def test_source_that_waits_for_results(on: str, source: str) -> None:
    """The same with a generator that does not yield its next item before the result of this one has been seen."""

    def items() -> Iterator[int]:
        for x in range(60):
            yield x
            seen.acquire()

    async def aitems() -> AsyncIterator[int]:
        for x in range(60):
            yield x
            await seen.aacquire()

    seen = potok.Semaphore(0)
    got = []
    pipeline = potok.pipeline(items() if source == "def" else aitems()).map(same, on=on).map(same, on=on)
    for result in pipeline:
        got.append(result)
        seen.release()
    assert got == list(range(60))


def test_source_that_waits_for_results_in_async_def(on: str) -> None:
    async def aitems() -> AsyncIterator[int]:
        for x in range(60):
            yield x
            await seen.acquire()

    async def main() -> list[int]:
        got = []
        async for result in potok.pipeline(aitems()).map(same, on=on).map(asame, on="coroutines"):
            got.append(result)
            seen.release()
        return got

    seen = asyncio.Semaphore(0)
    assert asyncio.run(main()) == list(range(60))


# ── mixing executors ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.stress
def test_coroutines_into_threads_and_back() -> None:
    """A wide stage of coroutines before one of threads, hundreds of items: what pypeln's queues did not survive."""
    pipeline = (
        potok.pipeline(range(300))
        .map(asame, on="coroutines", workers=50)
        .map(same, on="threads", workers=5)
        .map(asame, on="coroutines", workers=50)
        .map(same, on="processes", workers=2)
        .map(same, on="threads", workers=5)
    )
    assert pipeline.for_each(same, on="threads", workers=1) == (300, 0)
    assert list(pipeline) == list(range(300))


def fail_at_10(x: int) -> int:
    if x == 10:
        raise ValueError(x)
    return x


@pytest.mark.parametrize("window", [1, 4])
@pytest.mark.stress
def test_error_while_the_source_waits_for_room(on: str, window: int) -> None:
    """With windows so small that everybody waits for everybody, an error still ends them all."""
    pipeline = potok.pipeline(list(range(1000))).map(same, on="threads", window=window)
    with pytest.raises(ValueError, match="10"):
        list(
            pipeline.map(fail_at_10, on=on, window=window, workers=4).map(
                same, on="threads", window=1, workers=1
            )
        )


@pytest.mark.parametrize("narrow", ["inline", "coroutines", "threads", "processes"])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.stress
def test_one_worker_between_many(on: str, narrow: str, ordered: bool) -> None:
    pipeline = (
        potok.pipeline(range(150), ordered=ordered)
        .map(same, on=on, workers=8)
        .map(same, on=narrow, workers=1)
        .map(same, on=on, workers=8)
    )
    got = list(pipeline)
    assert (got if ordered else sorted(got)) == list(range(150))


def test_many_pipelines_at_a_time(pooled: str) -> None:
    """They share executors, and none waits for a worker of another."""

    def run() -> list[int]:
        return list(
            potok.pipeline(range(20)).map(same, on=pooled, workers=2).map(same, on="threads", workers=2)
        )

    with potok.scope(on="threads") as scope:
        tasks = [scope.start(run) for _ in range(6)]
    assert [task.result() for task in tasks] == [list(range(20))] * 6


def test_pipelines_in_pipelines_do_not_run_out_of_workers(near: str) -> None:
    """Every worker of a stage waits for a pipeline of its own, on the same executor, three deep."""

    def deeper(depth: int) -> int:
        if depth == 0:
            return 1
        inner = potok.pipeline([depth - 1] * 2).map(deeper, on=near, workers=2).map(same, on=near, workers=1)
        return sum(inner)

    assert deeper(3) == 8
