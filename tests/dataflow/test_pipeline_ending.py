"""However a pipeline ends, all of it ends, nobody waits for ever, and nothing stays behind.

(That nothing stays behind, no thread and no task, is checked after every test of the project.)
"""

import asyncio
import gc
import itertools
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from typing import Any

import pytest

import potok
from potok.testing import await_all_parked, wait_all_parked


def double(x: int) -> int:
    return 2 * x


class Stuck:
    """A stage that lets item 0 through, once another one has begun, which waits for ever."""

    def __init__(self) -> None:
        self.begun = potok.Event()
        self.ended = potok.Event()

    def work(self, x: int) -> int:
        if x == 0:
            self.begun.wait()
            return 0
        try:
            self.begun.set()
            potok.Event().wait()
        finally:
            self.ended.set()
        return x


def three_stages(stuck: Stuck, source: Any, on: str) -> Any:
    """With work in hand in each: the one in the middle is stuck."""
    return (
        potok.pipeline(source)
        .map(double, on="coroutines", workers=3)
        .map(stuck.work, on=on, workers=2)
        .filter(lambda x: x >= 0)
        .map(double, on="threads", workers=2)
    )


class Closed:
    """An endless source that knows whether it was closed, and in which thread."""

    def __init__(self) -> None:
        self.closed = potok.Event()

    def items(self) -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            self.closed.set()

    async def aitems(self) -> AsyncIterator[int]:
        try:
            for x in itertools.count():
                yield x
        finally:
            self.closed.set()


@pytest.mark.stress
def test_break_cancels_all(pooled: str) -> None:
    """The stages, their workers, the source."""
    stuck, source = Stuck(), Closed()
    for _ in three_stages(stuck, source.items(), pooled):
        break
    assert stuck.ended.wait(10)
    assert source.closed.wait(10)


@pytest.mark.parametrize("reach", [1, 20, 300])
@pytest.mark.stress
def test_break_with_full_channels(on: str, reach: int) -> None:
    """Stages that wait for room are cancelled like others."""
    pipeline = (
        potok.pipeline(itertools.count()).map(double, on=on).flat_map(lambda x: [x] * 20).map(double, on=on)
    )
    assert len(list(itertools.islice(pipeline, reach))) == reach


@pytest.mark.stress
def test_with_waits_until_all_have_ended(near: str) -> None:
    stuck = Stuck()
    with three_stages(stuck, itertools.count(), near) as results:
        assert next(results) == 0
    assert stuck.ended.is_set()
    assert potok.tasks() == []
    assert list(results) == []


@pytest.mark.parametrize("run", [potok.run, lambda main: asyncio.run(main())], ids=["potok", "asyncio"])
@pytest.mark.parametrize("source", ["items", "aitems"])
@pytest.mark.stress
def test_async_with_waits_until_all_have_ended(near: str, run: Any, source: str) -> None:
    stuck, closed = Stuck(), Closed()

    async def main() -> None:
        async with three_stages(stuck, getattr(closed, source)(), near) as results:
            assert await anext(results) == 0
        assert stuck.ended.is_set()

    run(main)
    assert closed.closed.wait(10)


def test_error_in_the_reader_cancels_all(near: str) -> None:
    stuck = Stuck()
    with pytest.raises(ZeroDivisionError), three_stages(stuck, itertools.count(), near) as results:
        sum(1 // result for result in results)
    assert stuck.ended.is_set()


@pytest.mark.stress
def test_error_in_a_stage_cancels_all(near: str) -> None:
    """Also what works in the stages before and after it."""
    before, after = Stuck(), Stuck()

    def fail(x: int) -> int:
        after.begun.wait()
        before.begun.wait()
        raise ValueError(x)

    def pairs(x: int) -> list[int]:
        return [0, 1] if x == 0 else [x]

    pipeline = (
        potok.pipeline(itertools.count(), ordered=False)
        .map(before.work, on=near, workers=2)
        .flat_map(pairs)
        .map(lambda x: x and fail(x), on=near, workers=2)
        .flat_map(pairs)
        .map(after.work, on=near, workers=2)
    )
    with pytest.raises(ValueError, match="1"), pipeline as results:
        list(results)
    assert before.ended.is_set()
    assert after.ended.is_set()


@pytest.mark.stress
def test_cancelling_the_scope_reaches_all(pooled: str) -> None:
    """At once, also while the reader is busy with a result."""
    stuck = Stuck()
    with potok.scope() as scope:
        for _ in three_stages(stuck, itertools.count(), pooled):
            scope.cancel("enough")
            with potok.shield():
                assert stuck.ended.wait(10)
    assert potok.tasks() == []


@pytest.mark.parametrize("host", ["threads", "coroutines", "async"])
@pytest.mark.stress
def test_cancelling_the_reader_ends_all(pooled: str, host: str) -> None:
    stuck = Stuck()

    def read() -> None:
        three_stages(stuck, itertools.count(), pooled).for_each(double)

    async def aread() -> None:
        await three_stages(stuck, itertools.count(), pooled).afor_each(double)

    with potok.scope(on="coroutines" if host == "async" else host) as scope:
        task = scope.start(aread if host == "async" else read)
        stuck.begun.wait()
        task.cancel("not needed")
        assert isinstance(task.exception(), potok.TaskCancelled)
        assert stuck.ended.wait(10)


@pytest.mark.stress
def test_cancelling_an_asyncio_task_ends_all(pooled: str) -> None:
    stuck = Stuck()

    async def read() -> None:
        async for _ in three_stages(stuck, itertools.count(), pooled):
            pass

    async def main() -> None:
        task = asyncio.create_task(read())
        await stuck.begun
        await await_all_parked()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert stuck.ended.wait(10)


@pytest.mark.stress
def test_timeout_around_it(pooled: str) -> None:
    stuck = Stuck()
    results = iter(three_stages(stuck, itertools.count(), pooled))
    assert next(results) == 0
    with pytest.raises(TimeoutError), potok.timeout(0.02):
        list(results)
    assert list(results) == []
    assert stuck.ended.wait(10)


def test_scope_ends_although_results_are_left(pooled: str) -> None:
    """Unread they hold up no scope; reading on after its end says what is wrong."""
    with potok.scope():
        results = iter(
            potok.pipeline(itertools.count()).map(abs, on=pooled, workers=2).map(double, on=pooled)
        )
        assert next(results) == 0
    with pytest.raises(potok.ScopeError, match="read the results inside it"):
        for _ in results:
            pass


def test_only_one_reader_at_a_time() -> None:
    async def main() -> None:
        results = iter(potok.pipeline(itertools.count()).map(stuck.work, on="threads"))
        async with potok.scope() as scope:
            scope.start(read, results)
            await stuck.begun
            with pytest.raises(potok.PotokError, match="one task at a time"):
                await anext(results)
            scope.cancel()

    async def read(results: Any) -> None:
        async for _ in results:
            pass

    stuck = Stuck()
    potok.run(main)


def test_collected_while_it_works(pooled: str) -> None:
    """Dropping the results is enough, from whatever thread the last reference goes."""
    stuck = Stuck()
    held = [iter(three_stages(stuck, itertools.count(), pooled))]
    assert next(held[0]) == 0
    stuck.begun.wait()
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert stuck.ended.wait(10)


def test_no_cycle_keeps_an_abandoned_pipeline(on: str) -> None:
    """What nobody refers to is gone without the garbage collector's help."""
    gc.disable()
    try:
        results = iter(potok.pipeline(itertools.count()).map(abs, on=on).batch(2))
        next(results)
        ref = weakref.ref(results)
        del results
        assert ref() is None
    finally:
        gc.enable()


def test_finished_pipeline_keeps_nothing(on: str) -> None:
    """Source and results are free as soon as it has ended, although the pipeline and its results object live on."""

    class Thing:
        pass

    def things() -> Iterator[Thing]:
        for _ in range(3):
            made.append(weakref.ref(thing := Thing()))
            yield thing
            del thing

    made: list[Any] = []
    near = on if on != "processes" else "threads"
    pipeline = potok.pipeline(range(1)).flat_map(lambda _: things()).filter(bool).map(lambda x: x, on=near)
    with pipeline as results:
        for thing in results:
            made.append(weakref.ref(thing))
        del thing
    gc.collect()
    assert {ref() for ref in made} == {None}


@pytest.mark.skipif(os.name == "nt", reason="signals are sent to this very process")
@pytest.mark.parametrize("enclosed", [False, True])
def test_ctrl_c(pooled: str, enclosed: bool) -> None:
    """KeyboardInterrupt in the main thread, once, with everything cancelled; alone and inside a scope."""
    stuck = Stuck()

    def interrupt() -> None:
        stuck.begun.wait()
        wait_all_parked()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt), potok.scope() if enclosed else nullcontext():
        three_stages(stuck, iter([0, 1, 2]), pooled).for_each(double)
    thread.join()
    assert stuck.ended.wait(10)


@pytest.mark.parametrize("end", ["pass", "raise ValueError(5)"])
@pytest.mark.parametrize("work", ["x", "x and potok.Event().wait()", "x and time.sleep(60)"])
def test_program_ends_with_results_unread(pooled: str, work: str, end: str) -> None:
    """Without waiting for them, and without a word, whether it ends well or not."""
    if pooled == "coroutines":
        work = work.replace("time.sleep", "potok.sleep")
    program = (
        "import itertools, time, potok\n"
        f"pipeline = potok.pipeline(itertools.count()).map(lambda x: {work}, on={pooled!r}, workers=2)\n"
        f"results = iter(pipeline.map(abs, on='threads'))\nprint(next(results))\n{end}\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.stdout == "0\n"
    assert done.stderr.splitlines()[-1:] == ([] if end == "pass" else ["ValueError: 5"])
