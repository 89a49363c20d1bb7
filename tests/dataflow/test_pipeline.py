"""What a pipeline does with its items: the same on every mixture of executors, in order, from any source."""

import asyncio
import itertools
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import potok
from potok.kernel import events

MIXTURES = list(itertools.product(["inline", "coroutines", "threads", "processes"], repeat=2))
"""Two stages: every executor before every other, and before itself."""

mixed = pytest.mark.parametrize(("first", "second"), MIXTURES)


def double(x: int) -> int:
    return 2 * x


def minus(x: int) -> int:
    return -x


async def adouble(x: int) -> int:
    await asyncio.sleep(0)
    return 2 * x


def is_odd(x: int) -> bool:
    return x % 2 == 1


async def ais_odd(x: int) -> bool:
    await asyncio.sleep(0)
    return x % 2 == 1


def twice(x: int) -> list[int]:
    return [x, x]


async def atwice(x: int) -> list[int]:
    await asyncio.sleep(0)
    return [x, x]


async def atwice_one_by_one(x: int) -> AsyncIterator[int]:
    yield x
    await asyncio.sleep(0)
    yield x


def collect(pipeline: Any) -> list[Any]:
    """In a plain `for`."""
    return list(pipeline)


def collect_in_async_def(pipeline: Any) -> list[Any]:
    async def main() -> list[Any]:
        return [result async for result in pipeline]

    return potok.run(main)  # type: ignore[no-any-return]


def collect_in_asyncio(pipeline: Any) -> list[Any]:
    async def main() -> list[Any]:
        return [result async for result in pipeline]

    return asyncio.run(main())


def collect_on_coroutines(pipeline: Any) -> list[Any]:
    """In a `def` task."""
    return potok.run(list, pipeline)  # type: ignore[no-any-return]


def collect_in_a_scope(pipeline: Any) -> list[Any]:
    with potok.scope(), pipeline as results:
        return list(results)


COLLECTORS = [
    collect,
    collect_in_async_def,
    collect_in_asyncio,
    collect_on_coroutines,
    collect_in_a_scope,
]


@pytest.fixture(params=COLLECTORS)
def collected(request: pytest.FixtureRequest) -> Callable[[Any], list[Any]]:
    """Each way to read a pipeline to its end."""
    return request.param  # type: ignore[no-any-return]


@mixed
@pytest.mark.stress
def test_every_mixture_of_executors(first: str, second: str) -> None:
    """Every item once, in order, with what is done on the spot before, between and after the maps."""
    pipeline = (
        potok.pipeline(range(60))
        .filter(is_odd)
        .map(double, on=first, workers=3)
        .flat_map(twice)
        .map(minus, on=second, workers=2)
        .batch(4)
    )
    flat = [-2 * x for x in range(1, 60, 2) for _ in range(2)]
    assert list(pipeline) == [flat[at : at + 4] for at in range(0, 60, 4)]


@mixed
def test_unordered(first: str, second: str) -> None:
    """Every item once, in whatever order."""
    pipeline = (
        potok.pipeline(range(60), ordered=False).map(double, on=first).map(minus, on=second).flat_map(twice)
    )
    assert sorted(pipeline) == sorted(-2 * x for x in range(60) for _ in range(2))


@pytest.mark.stress
def test_every_colour_of_reader(collected: Callable[[Any], list[Any]], on: str) -> None:
    """`for` and `async for`, in plain code, in potok's tasks, in asyncio's, in scopes."""
    pipeline = potok.pipeline(range(20)).map(adouble, on="coroutines").filter(ais_odd).flat_map(atwice)
    assert collected(pipeline) == []
    pipeline = potok.pipeline(range(20)).map(minus, on=on).map(adouble, on="coroutines", workers=4)
    assert collected(pipeline) == [-2 * x for x in range(20)]


def test_reader_in_a_worker() -> None:
    """A task on processes runs a pipeline, on processes too; an `async def` task on threads does."""

    async def read() -> list[int]:
        return [x async for x in potok.pipeline(iter(range(5))).map(adouble, on="coroutines").map(minus)]

    with potok.scope(on="processes") as scope:
        assert scope.start(run_there).result() == [0, -2, -4]
        assert scope.start(read).result() == [0, -2, -4, -6, -8]
        assert scope.start(read, on="threads").result() == [0, -2, -4, -6, -8]


def run_there() -> list[int]:
    source = iter(range(3))
    return list(potok.pipeline(source).map(double, on="processes", workers=1).map(minus, on="coroutines"))


def test_plain_for_in_an_asyncio_task() -> None:
    """As in a cell of a notebook: the stages need nothing of the loop that it blocks."""

    async def main() -> list[int]:
        pipeline = potok.pipeline(range(5)).map(adouble, on="coroutines").map(minus, on="threads")
        assert pipeline.for_each(adouble) == (5, 0)
        return list(pipeline)

    assert asyncio.run(main()) == [0, -2, -4, -6, -8]


@pytest.mark.parametrize("awaiting", [False, True])
@pytest.mark.parametrize("on", [None, "coroutines", "threads", "processes"])
def test_steps_of_every_colour(on: str | None, awaiting: bool) -> None:
    """`filter` and `flat_map` on the spot and on workers, `def`, `async def`, and an async generator."""
    options: Any = {} if on is None else {"on": on, "workers": 2}
    for keep in (is_odd, ais_odd) if on in (None, "coroutines") else (is_odd,):
        for spread in (twice, atwice, atwice_one_by_one) if on in (None, "coroutines") else (twice,):
            pipeline = (
                potok.pipeline(range(8))
                .filter(keep, **options)
                .flat_map(spread, **options)
                .map(minus, on="inline")
            )
            got = collect_in_asyncio(pipeline) if awaiting else list(pipeline)
            assert got == [-1, -1, -3, -3, -5, -5, -7, -7]


def test_functions_that_await_have_one_loop() -> None:
    """What one stage has opened on its event loop another may use: they share it; and it is the reader's, if any."""
    loops = set()

    async def look(x: int) -> int:
        loops.add(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return x

    async def read() -> int:
        async for _ in pipeline:
            pass
        assert loops == {asyncio.get_running_loop()}
        return len(loops)

    pipeline = (
        potok.pipeline(range(4))
        .filter(look)
        .map(look, on="coroutines")
        .map(minus, on="threads")
        .flat_map(look, on="coroutines", workers=1)
    )
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        list(pipeline)
    assert len(loops) == 1
    loops.clear()
    pipeline = potok.pipeline(range(4)).filter(look).map(look, on="coroutines").map(look, on="coroutines")
    assert asyncio.run(read()) == 1


# ── sources ─────────────────────────────────────────────────────────────────────────────────────────────────


async def count_to(n: int) -> AsyncIterator[int]:
    for x in range(n):
        await asyncio.sleep(0)
        yield x


def test_async_iterable(collected: Callable[[Any], list[Any]]) -> None:
    assert collected(potok.pipeline(count_to(5)).map(double, on="threads")) == [0, 2, 4, 6, 8]


def test_receiver(collected: Callable[[Any], list[Any]]) -> None:
    """Until its last sender is closed; it is left open, for it is the caller's."""
    tx, rx = potok.channel(10)
    for x in range(5):
        tx.send(x)
    tx.close()
    assert collected(potok.pipeline(rx).map(double, on="threads")) == [0, 2, 4, 6, 8]
    assert not rx.closed
    rx.close()


def test_receiver_whose_sender_failed() -> None:
    """The cause arrives, after what was sent before it."""

    def send(tx: potok.Sender[int]) -> None:
        tx.send(1)
        raise ValueError("enough")

    tx, rx = potok.channel(10)
    got: list[int] = []

    def read() -> None:
        with rx, potok.scope(on="threads", on_fail="collect") as scope:
            scope.start(send, tx)
            got.extend(potok.pipeline(rx).map(double, on="threads"))

    with pytest.raises(ExceptionGroup) as caught:
        read()
    closed, failed = sorted(caught.value.exceptions, key=lambda error: type(error).__name__)
    assert isinstance(closed, potok.ClosedError)
    assert closed.cause is failed
    assert got == [2]


def test_senders_handed_over_close_as_in_a_loop() -> None:
    """Reading a receiver through a pipeline closes the reader's own sender, as `for item in rx` does."""

    def send(numbers: range, tx: potok.Sender[int]) -> None:
        for x in numbers:
            tx.send(x)

    tx, rx = potok.channel()
    with potok.scope(on="threads") as scope:
        for part in (range(5), range(5, 10)):
            scope.start(send, part, tx)
        assert sorted(potok.pipeline(rx).map(minus, on="threads")) == sorted(-x for x in range(10))
    rx.close()


def test_results_of_a_map_and_of_a_pipeline(collected: Callable[[Any], list[Any]]) -> None:
    first = potok.pipeline(potok.map(double, range(5), on="threads")).map(minus, on="threads")
    assert collected(potok.pipeline(first).map(double, on="threads")) == [0, -4, -8, -12, -16]


def test_no_steps_and_no_items(collected: Callable[[Any], list[Any]], on: str) -> None:
    assert collected(potok.pipeline(range(3))) == [0, 1, 2]
    assert collected(potok.pipeline([])) == []
    empty = potok.pipeline(()).filter(is_odd).map(double, on=on).batch(3).flat_map(twice).map(minus, on=on)
    assert collected(empty) == []


def test_source_has_a_task_of_its_own_from_beginning_to_end() -> None:
    """What belongs to the thread that opened it, a cursor for one, can be read by a generator that opens it."""

    def rows() -> Iterator[int]:
        database = sqlite3.connect(":memory:")
        try:
            yield from (row[0] for row in database.execute("values (1), (2), (3)"))
        finally:
            database.close()

    assert list(potok.pipeline(rows()).map(double, on="threads")) == [2, 4, 6]


def test_source_in_the_thread_of_an_async_caller() -> None:
    threads = set()

    def numbers() -> Iterator[int]:
        for x in range(50):
            threads.add(threading.current_thread())
            yield x

    async def main() -> int:
        return len([x async for x in potok.pipeline(numbers()).map(double, on="threads")])

    assert asyncio.run(main()) == 50
    assert threads == {threading.current_thread()}


# ── batches ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [1, 3, 4, 100])
def test_batches(size: int) -> None:
    """Lists of that size, the last one of what is left; also of batches."""
    batches = list(potok.pipeline(range(12)).batch(size))
    assert batches == [list(range(12))[at : at + size] for at in range(0, 12, size)]
    assert list(potok.pipeline(range(7)).batch(2).batch(3)) == [[[0, 1], [2, 3], [4, 5]], [[6]]]


def test_batches_go_to_workers() -> None:
    pipeline = potok.pipeline(range(100)).batch(10).map(sum, on="processes", workers=2).batch(5)
    assert list(pipeline) == [[45, 145, 245, 345, 445], [545, 645, 745, 845, 945]]


# ── running it ──────────────────────────────────────────────────────────────────────────────────────────────


def test_for_each(on_near: str) -> None:
    """Runs it to its end, and says how many there were."""
    stored = []
    summary = potok.pipeline(range(10)).filter(is_odd).for_each(stored.append, on=on_near, workers=1)
    assert summary == (5, 0)
    assert (summary.count, summary.failed) == (5, 0)
    assert stored == [1, 3, 5, 7, 9]


def test_for_each_drops_what_is_returned() -> None:
    """Also where it could not have come back."""
    summary = potok.pipeline(range(3)).for_each(lock_for, on="processes", workers=1)
    assert summary == (3, 0)


def lock_for(_: int) -> Any:
    return threading.Lock()


@pytest.mark.parametrize("run", [potok.run, lambda main: asyncio.run(main())], ids=["potok", "asyncio"])
def test_afor_each(run: Callable[[Any], None]) -> None:
    stored = []

    async def store(x: int) -> None:
        await asyncio.sleep(0)
        stored.append(x)

    async def main() -> None:
        assert await potok.pipeline(range(5)).map(double, on="threads").afor_each(store, workers=1) == (5, 0)

    run(main)
    assert stored == [0, 2, 4, 6, 8]


def test_for_each_is_told_of_all_results_at_once() -> None:
    """Who waits for the end is not woken for each result on the way there; failures are still counted."""
    me, woken = potok.current_task(), []

    def note(event: events.Event) -> None:
        if event.kind == "Woken" and event.task is me:
            woken.append(event)

    steps = potok.pipeline(range(100), on_error="return")
    with events.subscribed(note):
        assert steps.for_each(refuse_tens, on="threads", workers=1) == (100, 10)
    assert len(woken) <= 10 + 4  # the failures, the count, the last message, the supervisor's end


def refuse_tens(x: int) -> None:
    if x % 10 == 0:
        raise ValueError(x)


def test_for_each_is_refused_in_async_def() -> None:
    """The message names the awaitable spelling; nothing has been run, not even a source that can be read once."""

    async def main() -> None:
        pipeline = potok.pipeline(iter(range(3)))
        with pytest.raises(potok.BlockingCallError, match=r"await pipeline\.afor_each"):
            pipeline.for_each(print)
        assert await pipeline.afor_each(minus) == (3, 0)

    potok.run(main)


def test_plain_for_is_refused_in_async_def(on: str) -> None:
    async def main() -> None:
        for _ in potok.pipeline(range(3)).map(abs, on=on):
            pass

    with pytest.raises(potok.BlockingCallError):
        potok.run(main)


def test_runs_again_and_again() -> None:
    """A pipeline keeps nothing of a run: with a list it can be iterated twice, at the same time, and extended."""
    pipeline = potok.pipeline([1, 2, 3]).map(double, on="threads").batch(2)
    assert list(pipeline) == list(pipeline) == [[2, 4], [6]]
    assert list(zip(pipeline, pipeline, strict=True)) == [([2, 4], [2, 4]), ([6], [6])]
    assert list(pipeline.flat_map(lambda batch: batch)) == [2, 4, 6]
    assert list(pipeline) == [[2, 4], [6]]


@pytest.mark.parametrize(
    "source", [iter([1, 2]), count_to(2), potok.map(double, [1, 2])], ids=["iterator", "async", "map"]
)
def test_source_that_can_be_read_once_allows_one_run(source: Any) -> None:
    """Rather than that the second run finds nothing, without a word; shared with pipelines that begin with it."""
    pipeline = potok.pipeline(source).map(double, on="threads")
    assert len(list(pipeline)) == 2
    with pytest.raises(potok.PotokError, match="can be read only once"):
        list(pipeline)
    with pytest.raises(potok.PotokError, match="can be read only once"):
        list(pipeline.map(minus))


def test_with_in_with() -> None:
    """Each block has a run of its own, and closes that."""
    pipeline = potok.pipeline(range(5)).map(double, on="threads")
    with pipeline as outer:
        assert next(outer) == 0
        with pipeline as inner:
            assert next(inner) == 0
        assert list(inner) == []
        assert next(outer) == 2
    assert list(outer) == []


def test_pipelines_inside_of_stages() -> None:
    """A function of a stage may map, or run a pipeline, on whatever executor."""

    def inner(x: int) -> int:
        return sum(potok.map(double, range(x), on="threads", workers=2))

    def innermost(x: int) -> list[int]:
        return list(potok.pipeline(range(x)).map(minus, on="coroutines").map(double, on="threads"))

    pipeline = (
        potok.pipeline(range(6))
        .map(inner, on="threads", workers=2)
        .flat_map(innermost)
        .filter(lambda x: bool(list(potok.map(abs, [x], on="threads"))))
        .flat_map(lambda x: potok.map(abs, [x], on="threads"))
    )
    assert list(pipeline) == [2 * x for n in range(6) for x in range(n * (n - 1))]
    there = potok.pipeline(range(4)).map(map_there, on="processes", workers=2).map(inner, on="coroutines")
    assert list(there) == [0, 0, 2, 30]


def map_there(x: int) -> int:
    return sum(potok.map(double, range(x), on="threads", workers=2))


# ── what it says ────────────────────────────────────────────────────────────────────────────────────────────


def test_progress_counts_what_comes_out() -> None:
    """With a total as long as nothing is dropped or added on the way."""
    told: list[Any] = []
    list(potok.pipeline(range(4), progress=told.append).map(double, on="threads"))
    assert [(p.done, p.total, p.over) for p in told][-2:] == [(4, 4, False), (4, 4, True)]
    told.clear()
    list(potok.pipeline(range(4), progress=told.append).filter(is_odd))
    assert [(p.done, p.total) for p in told] == [(1, None), (2, None), (2, None)]


def test_progress_in_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    list(potok.pipeline(range(4), progress=True).map(double, on="threads"))
    assert capsys.readouterr().err.startswith("potok.pipeline: 4/4 items")


def test_repr_is_what_was_written() -> None:
    pipeline = potok.pipeline([1]).map(double, on="threads").filter(is_odd, on="threads").batch(3)
    assert repr(pipeline) == "<potok.pipeline(list).map(double).filter(is_odd).batch(3)>"
    results = iter(pipeline.flat_map(twice))
    assert "flat_map(twice)" in repr(results)
    assert "open" in repr(results)


@pytest.mark.parametrize(
    ("build", "error", "told"),
    [
        (lambda p: p.map(3), TypeError, "map takes a function, not 3"),
        (lambda p: p.filter([]), TypeError, "filter takes a function"),
        (lambda p: p.for_each(None), TypeError, "for_each takes a function"),
        (lambda p: p.map(double, workers=0), ValueError, "workers must be >= 1"),
        (lambda p: p.map(double, on="clouds"), ValueError, "clouds"),
        (lambda p: p.filter(is_odd, worker=1), TypeError, "filter takes on, workers.* not worker"),
        (lambda p: p.map(double, on_error="return"), TypeError, "once, for the whole pipeline"),
        (lambda p: p.for_each(double, colour=1), TypeError, "not colour"),
        (lambda p: p.batch(0), ValueError, "must be >= 1"),
        (lambda p: p.batch("4"), TypeError, "whole number >= 1, not '4'"),
        (lambda p: p.batch(True), TypeError, "not True"),
        (lambda _: potok.pipeline(5), TypeError, "source of potok.pipeline must be an iterable"),
        (lambda _: potok.pipeline([], on_error="ignore"), ValueError, '"raise" or "return"'),
        (lambda _: potok.pipeline([], progress=1), TypeError, "potok.pipeline: progress must be"),
    ],
)
def test_wrong_arguments_are_refused_where_they_are_written(
    build: Callable[[Any], Any], error: type[Exception], told: str
) -> None:
    """Before anything runs, and with what to do."""
    with pytest.raises(error, match=told):
        build(potok.pipeline(range(3)))


@pytest.mark.skipif(sys.version_info < (3, 14), reason="sub-interpreters came with 3.14")
def test_interpreters() -> None:
    """As stages, and where the reader runs: there are no light tasks there."""
    pipeline = (
        potok.pipeline(range(30)).map(double, on="interpreters", workers=2).filter(lambda x: x % 3 == 0)
    )
    assert list(pipeline.flat_map(twice, on="interpreters", workers=1)) == [6 * (x // 2) for x in range(20)]
    with potok.scope(on="interpreters") as scope:
        assert scope.start(run_on_threads_there).result() == [0, -2, -4, -6]


def run_on_threads_there() -> list[int]:
    return list(potok.pipeline(iter(range(4))).map(double, on="threads").map(minus, on="inline"))
