"""What becomes of an item that fails, a source that raises, a worker that dies, and of all the others."""

import asyncio
import itertools
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import potok


def double(x: int) -> int:
    return 2 * x


def fail_at_6(x: int) -> int:
    if x == 6:
        raise ValueError("six")
    return x


async def afail_at_6(x: int) -> int:
    await asyncio.sleep(0)
    return fail_at_6(x)


def is_small(x: int) -> bool:
    return x < 1000


def notes_of(caught: Any) -> list[str]:
    return [note for note in caught.value.__notes__ if note.startswith("in potok")]


@pytest.mark.stress
def test_error_is_raised_bare_and_names_stage_and_item(on: str) -> None:
    """In its turn, after the results before it; item 3 of the source, which is 6 where it fails."""
    got: list[int] = []
    pipeline = potok.pipeline(itertools.count()).map(double, on="threads").map(fail_at_6, on=on).map(double)
    with pytest.raises(ValueError, match="six") as caught:
        got.extend(pipeline)
    assert got == [0, 4, 8]
    assert notes_of(caught) == [f"in potok.pipeline: stage 2, fail_at_6 on {on}: item 3 (6)"]


def test_error_in_async_def(on: str) -> None:
    async def main() -> None:
        async for _ in potok.pipeline(itertools.count()).map(fail_at_6, on=on).map(double, on="coroutines"):
            pass

    for run in (potok.run, lambda main: asyncio.run(main())):
        with pytest.raises(ValueError, match="six"):
            run(main)


@pytest.mark.stress
def test_error_out_of_order_does_not_wait_for_its_turn(near: str) -> None:
    """Those that still work when another fails are cancelled, not waited for."""

    def work(x: int) -> int:
        if x == 0:
            begun.set()
            potok.Event().wait()
        begun.wait()
        return fail_at_6(x)

    begun = potok.Event()
    pipeline = (
        potok.pipeline(itertools.count(), ordered=False).map(work, on=near, workers=2).map(double, on=near)
    )
    with pytest.raises(ValueError, match="six"):
        list(pipeline)


@pytest.mark.stress
def test_late_stages_are_cancelled_by_an_early_error_out_of_order(near: str) -> None:
    """An error passes the items that are in a later stage's hands."""

    def stay(x: int) -> int:
        begun.set()
        potok.Event().wait()
        return x

    def fail_then(x: int) -> int:
        if x == 1:
            begun.wait()
            raise ValueError(x)
        return x

    begun = potok.Event()
    pipeline = potok.pipeline(range(2), ordered=False).map(fail_then, on=near).map(stay, on=near)
    with pytest.raises(ValueError, match="1"):
        list(pipeline)


@pytest.mark.parametrize("awaited", [False, True])
def test_error_of_a_step_on_the_spot(awaited: bool) -> None:
    fn = afail_at_6 if awaited else fail_at_6
    for pipeline, told in (
        (
            potok.pipeline(range(9)).filter(lambda x: x > 2).filter(fn),
            f"stage 2, filter({fn.__name__}): item 6 (6)",
        ),
        (
            potok.pipeline(range(9)).flat_map(lambda x: [fail_at_6(x)]),
            "stage 1, flat_map(<lambda>): item 6 (6)",
        ),
        (potok.pipeline(range(9)).map(double).flat_map(fn), f"stage 2, flat_map({fn.__name__}): item 0 (0)"),
    ):
        with pytest.raises((ValueError, TypeError)) as caught:
            list(pipeline)
        assert notes_of(caught) == [f"in potok.pipeline: {told}"]


def test_error_half_way_through_a_flat_map() -> None:
    """What came before it stays, whether the iterable is a generator, an async one, or read by a worker."""

    def parts(x: int) -> Iterator[int]:
        yield x
        if x == 1:
            raise ValueError("half-way")
        yield x

    async def aparts(x: int) -> AsyncIterator[int]:
        for part in parts(x):
            yield part

    for fn in (parts, aparts):
        got: list[int] = []
        with pytest.raises(ValueError, match="half-way"):
            got.extend(potok.pipeline(range(3)).flat_map(fn))
        assert got == [0, 0, 1]
        out = list(potok.pipeline(range(3), on_error="return").flat_map(fn))
        assert [bad.index if isinstance(bad, potok.BadItem) else bad for bad in out] == [0, 0, 1, 1, 2, 2]
    out = list(potok.pipeline(range(3), on_error="return").flat_map(parts, on="threads"))
    assert [bad.index if isinstance(bad, potok.BadItem) else bad for bad in out] == [0, 0, 1, 2, 2]


@pytest.mark.parametrize("second", ["inline", "coroutines", "threads", "processes"])
@pytest.mark.stress
def test_failed_items_pass_the_further_stages_by(on: str, second: str) -> None:
    """In their place, as a BadItem that says which item of the source it was; no function of the user's sees one."""
    pipeline = (
        potok.pipeline(range(10), on_error="return")
        .map(double, on="threads", workers=2)
        .map(fail_at_6, on=on, workers=2)
        .filter(is_small)
        .map(double, on=second, workers=3)
        .flat_map(lambda x: [x])
    )
    got = list(pipeline)
    bad = got[3]
    assert [*got[:3], *got[4:]] == [4 * x for x in range(10) if x != 3]
    assert isinstance(bad, potok.BadItem)
    assert (bad.index, bad.item, bad.attempts) == (3, 6, 1)
    assert isinstance(bad.error, ValueError)
    assert f"in potok.pipeline: stage 2, fail_at_6 on {on}: item 3 (6)" in bad.error.__notes__
    counted = pipeline.for_each(double, on=second)
    assert counted == (10, 1)


def test_failed_items_out_of_order(on: str) -> None:
    pipeline = (
        potok.pipeline(range(10), on_error="return", ordered=False).map(fail_at_6, on=on).map(double, on=on)
    )
    got = list(pipeline)
    bad = [item for item in got if isinstance(item, potok.BadItem)]
    assert [(item.index, item.item) for item in bad] == [(6, 6)]
    assert sorted(item for item in got if not isinstance(item, potok.BadItem)) == [
        2 * x for x in range(10) if x != 6
    ]


def test_nothing_but_failed_items(on: str) -> None:
    """They come as they fail, whatever waits behind them."""

    def fail(x: int) -> int:
        raise ValueError(x)

    got = list(
        potok.pipeline(range(200), on_error="return").map(fail, on="threads").map(double, on=on).batch(3)
    )
    assert [bad.index for bad in got] == list(range(200))


def test_failed_items_are_left_out_of_batches() -> None:
    got = list(potok.pipeline(range(10), on_error="return").map(fail_at_6, on="threads").batch(3).map(sum))
    assert [x for x in got if not isinstance(x, potok.BadItem)] == [0 + 1 + 2, 3 + 4 + 5, 7 + 8 + 9]
    assert [x.index for x in got if isinstance(x, potok.BadItem)] == [6]
    failing = potok.pipeline(range(6), on_error="return").batch(2).map(lambda pair: 1 // (pair[0] - 2))
    bad = list(failing)[1]
    assert (bad.index, bad.item) == (2, [2, 3])


def test_bad_items_of_others() -> None:
    """Those that the source brings, or a function returns, are failed items as well."""
    first = potok.map(fail_at_6, range(8), on="threads", on_error="return")
    got = list(potok.pipeline(first, on_error="return").map(double, on="threads"))
    assert isinstance(got[6], potok.BadItem)
    assert got[:6] == [0, 2, 4, 6, 8, 10]
    with pytest.raises(ValueError, match="six"):
        list(potok.pipeline(potok.map(fail_at_6, range(8), on_error="return")).map(double, on="threads"))
    with pytest.raises(ValueError, match="six"):
        list(potok.pipeline([0]).flat_map(lambda _: potok.map(fail_at_6, range(8), on_error="return")))


# ── the source ──────────────────────────────────────────────────────────────────────────────────────────────


def two_and_an_error() -> Iterator[int]:
    yield 0
    yield 1
    raise LookupError("no more")


async def atwo_and_an_error() -> AsyncIterator[int]:
    for x in two_and_an_error():
        yield x


@pytest.mark.parametrize("source", [two_and_an_error, atwo_and_an_error])
@pytest.mark.parametrize("on_error", ["raise", "return"])
def test_source_that_raises_half_way(on: str, on_error: str, source: Callable[[], Any]) -> None:
    """What came before it comes out first, down to the last of a batch that was not full... which is lost with it."""
    got: list[int] = []
    with pytest.raises(LookupError) as caught:
        got.extend(potok.pipeline(source(), on_error=on_error).map(double, on=on).map(double, on="threads"))
    assert got == [0, 4]
    assert notes_of(caught) == ["in potok.pipeline: the source"]


def test_source_whose_iterator_cannot_be_made() -> None:
    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise LookupError("closed")

    with pytest.raises(LookupError, match="closed"):
        list(potok.pipeline(Broken()).map(double, on="threads"))


def test_stop_iteration_ends_nothing(near: str) -> None:
    """An item's StopIteration is an error of that item, not the end of the caller's loop."""

    def stop(x: int) -> int:
        raise StopIteration(x)

    for pipeline in (potok.pipeline(range(3)).map(stop, on=near), potok.pipeline(range(3)).filter(stop)):
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(pipeline)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_is_no_exception_ends_it_whatever_on_error_says(kind: type[BaseException], near: str) -> None:
    def leave(x: int) -> int:
        raise kind

    with pytest.raises(kind):
        list(potok.pipeline(range(3), on_error="return").map(leave, on=near).map(double, on=near))


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────


class PickyError(Exception):
    """One that can't be made again from what pickle keeps of it."""

    def __init__(self, item: int, why: str) -> None:
        super().__init__(f"{item}: {why}")


def picky(x: int) -> Any:
    if x == 3:
        raise PickyError(x, "odd")
    return threading.Lock() if x == 5 else x


def test_what_cannot_travel_is_an_error_of_its_item() -> None:
    """An exception that can't be unpickled is not swallowed, nor does it hang; a result is the same."""
    with pytest.raises(potok.RemoteError, match="3: odd") as caught:
        list(
            potok.pipeline(range(9))
            .map(double, on="threads")
            .map(int, on="threads")
            .map(half_picky, on="processes")
        )
    assert notes_of(caught) == ["in potok.pipeline: stage 3, half_picky on processes: item 3 (6)"]
    got = list(
        potok.pipeline(range(9), on_error="return").map(picky, on="processes").map(double, on="threads")
    )
    assert [x for x in got if isinstance(x, int)] == [2 * x for x in range(9) if x not in (3, 5)]
    assert [x.index for x in got if isinstance(x, potok.BadItem)] == [3, 5]


def half_picky(x: int) -> Any:
    return picky(x // 2)


def test_function_that_cannot_travel() -> None:
    """It ends the pipeline, with the name of what is in the way, and of the stage."""
    lock = threading.Lock()

    def guarded(x: int) -> int:
        with lock:
            return x

    with pytest.raises(potok.RemoteError, match="lock") as caught:
        list(potok.pipeline(range(3)).map(double, on="threads").map(guarded, on="processes"))
    assert "stage 2, guarded on processes" in "".join(notes_of(caught))


def die_at_50(x: int) -> int:
    if x == 50:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@pytest.mark.skipif(os.name == "nt", reason="kills with a signal")
def test_worker_that_is_killed_is_not_waited_for() -> None:
    """Its death is the error of the pipeline, or of an item; who follows gets what came before, and nobody is left."""
    got: list[int] = []
    pipeline = (
        potok.pipeline(itertools.count())
        .map(double, on="coroutines", workers=4)
        .map(die_at_50, on="processes", workers=2)
        .map(double, on="threads", workers=2)
    )
    with pytest.raises((potok.WorkerDied, potok.BadItem)) as caught:
        got.extend(pipeline)
    assert got == [4 * x for x in range(len(got))]
    assert len(got) <= 25
    assert "stage 2, die_at_50 on processes" in "".join(notes_of(caught))


# ── cancellation that is nobody's ───────────────────────────────────────────────────────────────────────────


def cancel_myself(x: int) -> int:
    potok.current_task().cancel("me alone")
    potok.checkpoint()
    return x


def cancelled_source() -> Iterator[int]:
    yield 0
    yield cancel_myself(1)


@pytest.mark.stress
def test_task_of_a_stage_that_is_cancelled_alone_is_not_waited_for(near: str) -> None:
    """By the function that it runs; wherever that is, the reader hears of it."""
    for pipeline in (
        potok.pipeline(range(9)).filter(cancel_myself),
        potok.pipeline(range(9)).filter(cancel_myself).map(double, on=near),
        potok.pipeline(range(9)).map(double, on=near).flat_map(cancel_myself).batch(2),
        potok.pipeline(range(9)).map(cancel_myself, on="inline").map(double, on=near),
        potok.pipeline(range(9)).map(cancel_myself, on=near).map(double, on=near),
        potok.pipeline(cancelled_source()).map(double, on=near),
    ):
        with pytest.raises(potok.PotokError, match="cancelled"):
            list(pipeline)


def test_cancelled_future_is_an_error_of_the_item() -> None:
    """Not a cancellation of the reader."""

    async def look(x: int) -> int:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        return await future  # type: ignore[no-any-return]

    for pipeline in (
        potok.pipeline(range(3), on_error="return").filter(look),
        potok.pipeline(range(3), on_error="return").flat_map(look),
        potok.pipeline(range(3), on_error="return").map(look, on="coroutines"),
    ):
        got = list(pipeline)
        assert [type(bad.error) for bad in got] == [potok.TaskCancelled] * 3
