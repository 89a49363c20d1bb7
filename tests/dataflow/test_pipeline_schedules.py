"""A pipeline under schedules that no operating system would choose: whoever goes on next, the results are right."""

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import potok
from potok.testing import simulated

SEEDS = range(60)


def picky(x: int) -> int:
    potok.checkpoint()
    if x == 4:
        raise ValueError(x)
    return x


async def apicky(x: int) -> int:
    await potok.asleep(1)
    return picky(x)


def same(x: int) -> int:
    potok.checkpoint()
    return x


def halves(x: int) -> Iterator[int]:
    yield x
    potok.checkpoint()
    yield -x


class Endless:
    """Can be iterated again."""

    def __iter__(self) -> Iterator[int]:
        return itertools.count()


async def count_to(n: int) -> AsyncIterator[int]:
    for x in range(n):
        await potok.asleep(x % 2)
        yield x


FUNCTIONS = pytest.mark.parametrize("fn", [picky, apicky], ids=["def", "async def"])
SOURCES = pytest.mark.parametrize("source", [range, count_to], ids=["iterable", "async iterable"])
STAGE: Any = {"on": "simulated", "workers": 2, "window": 3}


def under_schedules(test: Any) -> None:
    """Run the test once for each seed; a failure names the seed."""
    for seed in SEEDS:
        try:
            potok.run(test, on=simulated(seed=seed))
        except BaseException as error:
            error.add_note(f"with seed {seed}")
            raise


@FUNCTIONS
@SOURCES
@pytest.mark.parametrize("ordered", [True, False])
def test_every_item_once(fn: Any, source: Any, ordered: bool) -> None:
    """All results, the failed item among them, in order where that was asked for."""

    def test() -> None:
        pipeline = (
            potok.pipeline(source(7), on_error="return", ordered=ordered)
            .map(same, **STAGE)
            .map(fn, **STAGE)
            .flat_map(halves)
            .filter(lambda x: x >= 0)
            .map(same, **STAGE)
        )
        got = [x.index if isinstance(x, potok.BadItem) else x for x in pipeline]
        expected = [0, 0, 1, 2, 3, 4, 5, 6]
        assert (got if ordered else sorted(got)) == expected

    under_schedules(test)


@FUNCTIONS
@pytest.mark.parametrize("ordered", [True, False])
def test_every_end_is_an_end(fn: Any, ordered: bool) -> None:
    """An error, a `break`, a deadline, a scope that is left or cancelled with results unread: nobody waits for ever."""

    def test() -> None:
        endless = potok.pipeline(Endless(), ordered=ordered).map(same, **STAGE)
        with pytest.raises(ValueError, match="4"):
            list(endless.map(fn, **STAGE).map(same, **STAGE))
        for _ in endless.flat_map(halves).map(same, **STAGE):
            break
        with potok.scope():
            left = iter(endless.map(same, **STAGE))
            next(left)
        with potok.scope() as scope:
            for _ in endless.batch(2).map(same, **STAGE):
                scope.cancel()
        with endless as results:
            next(results)

    under_schedules(test)


def test_every_end_is_an_end_in_async_def() -> None:
    async def test() -> None:
        endless = potok.pipeline(Endless()).map(apicky, **STAGE)
        async for _ in endless.map(same, **STAGE):
            break
        async with potok.scope() as scope:
            async for _ in endless.filter(lambda x: x < 4):
                scope.cancel()
        async with endless.map(same, **STAGE) as results:
            await anext(results)
        with pytest.raises(ValueError, match="4"):
            await endless.afor_each(same, **STAGE)
        with pytest.raises(TimeoutError), potok.timeout(1.5):
            async for _ in potok.pipeline(range(4)).map(apicky, on="simulated", workers=1):
                pass

    under_schedules(test)


def test_source_that_waits_for_results() -> None:
    """Each item of the source comes only after the result of the one before it was seen."""

    def test() -> None:
        def items() -> Iterator[int]:
            for x in range(4):
                yield x
                seen.acquire()

        seen = potok.Semaphore(0)
        got = []
        for result in potok.pipeline(items()).map(same, **STAGE).map(same, **STAGE):
            got.append(result)
            seen.release()
        assert got == [0, 1, 2, 3]

    under_schedules(test)
