"""A map under schedules that no operating system would choose: whichever task goes on next, the results are right."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

import potok
from potok.testing import simulated

SEEDS = range(150)


def picky(x: int) -> int:
    potok.checkpoint()
    if x == 4:
        raise ValueError(x)
    return x


async def apicky(x: int) -> int:
    await potok.asleep(1)
    return picky(x)


FUNCTIONS = pytest.mark.parametrize("fn", [picky, apicky], ids=["def", "async def"])


def under_schedules(test: Callable[..., Any]) -> None:
    """Run the test once for each seed; a failure names the seed."""
    for seed in SEEDS:
        try:
            potok.run(test, on=simulated(seed=seed))
        except BaseException as error:
            error.add_note(f"with seed {seed}")
            raise


@FUNCTIONS
@pytest.mark.parametrize("ordered", [True, False])
def test_every_item_once(fn: Callable[[int], Any], ordered: bool) -> None:
    """All results, failures in place, in order where that was asked for."""

    def test() -> None:
        results = potok.map(
            fn, range(8), on="simulated", workers=3, window=4, ordered=ordered, on_error="return"
        )
        got = [r.item if isinstance(r, potok.BadItem) else r for r in results]
        assert (got if ordered else sorted(got)) == list(range(8))

    under_schedules(test)


@FUNCTIONS
def test_every_end_is_an_end(fn: Callable[[int], Any]) -> None:
    """An error, a `break`, a deadline, a scope that is left or cancelled with results unread: nobody waits for ever."""

    def test() -> None:
        with pytest.raises(ValueError, match="4"):
            list(potok.map(fn, itertools.count(), on="simulated", workers=3))
        for _ in potok.map(fn, itertools.count(), on="simulated", workers=3, ordered=False):
            break
        with potok.scope():
            left = potok.map(fn, itertools.count(), on="simulated", workers=2)
            next(left)
        with potok.scope() as scope:
            for _ in potok.map(fn, itertools.count(), on="simulated", workers=2):
                scope.cancel()
        with potok.map(fn, itertools.count(), on="simulated", workers=2) as results:
            next(results)

    under_schedules(test)


def test_every_end_is_an_end_in_async_def() -> None:
    async def test() -> None:
        async for _ in potok.map(apicky, itertools.count(), on="simulated", workers=3):
            break
        async with potok.scope() as scope:
            async for _ in potok.map(apicky, itertools.count(), on="simulated", workers=2):
                scope.cancel()
        async with potok.map(apicky, itertools.count(), on="simulated", workers=2) as results:
            await anext(results)
        with pytest.raises(TimeoutError), potok.timeout(1.5):
            async for _ in potok.map(apicky, range(4), on="simulated", workers=1):
                pass

    under_schedules(test)
