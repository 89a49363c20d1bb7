"""However a map ends, what still ran is cancelled, nobody waits for ever, and nothing stays behind.

(That nothing stays behind, no thread and no task, is checked after every test of the project.)
"""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest

import potok
from potok.testing import await_all_parked, wait_all_parked


class Stuck:
    """A function that waits for ever with every item but 0, with which it ends once another one has begun.

    It knows who was cancelled, and why.
    """

    def __init__(self) -> None:
        self.begun = potok.Event()
        self.ended = potok.Event()
        self.reasons: list[str] = []

    def work(self, x: int) -> int:
        if x == 0:
            self.begun.wait()
            return 0
        try:
            self.begun.set()
            potok.Event().wait()
        except potok.Cancelled as cancelled:
            self.reasons.append(str(cancelled.reason))
            self.ended.set()
            raise
        return x

    async def awork(self, x: int) -> int:
        if x == 0:
            await self.begun
            return 0
        try:
            self.begun.set()
            await asyncio.get_running_loop().create_future()
        except BaseException as cancelled:
            self.reasons.append(type(cancelled).__name__)
            self.ended.set()
            raise
        return x


@pytest.fixture(params=["def", "async def"])
def stuck(request: pytest.FixtureRequest) -> tuple[Stuck, Callable[[int], Any]]:
    """The recorder, and its function in each colour."""
    recorder = Stuck()
    return recorder, recorder.work if request.param == "def" else recorder.awork


StuckFn = tuple[Stuck, Callable[[int], Any]]


@pytest.mark.stress
def test_break_cancels_the_rest(stuck: StuckFn, pooled: str) -> None:
    """A loop that is left drops its iterator: the workers are cancelled, the input is closed."""
    recorder, fn = stuck
    closed = []

    def items() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.append(True)

    for _ in potok.map(fn, items(), on=pooled, workers=2):
        break
    assert closed == [True]
    assert recorder.ended.wait(10)


@pytest.mark.stress
def test_with_waits_until_all_have_ended(stuck: StuckFn, near: str) -> None:
    recorder, fn = stuck
    with potok.map(fn, range(5), on=near, workers=2) as results:
        assert next(results) == 0
    assert recorder.reasons
    assert potok.tasks() == []


@pytest.mark.parametrize("run", [potok.run, lambda main: asyncio.run(main())], ids=["potok", "asyncio"])
@pytest.mark.stress
def test_async_with_waits_until_all_have_ended(stuck: StuckFn, near: str, run: Callable[[Any], None]) -> None:
    recorder, fn = stuck

    async def main() -> None:
        async with potok.map(fn, range(5), on=near, workers=2) as results:
            assert await anext(results) == 0
        assert recorder.reasons

    run(main)
    assert potok.tasks() == []


def test_error_in_the_consumer_cancels_the_rest(stuck: StuckFn, near: str) -> None:
    recorder, fn = stuck
    with pytest.raises(ZeroDivisionError), potok.map(fn, range(5), on=near, workers=2) as results:
        sum(1 // result for result in results)
    assert recorder.reasons


def test_close_waits_and_ends_the_iteration(stuck: StuckFn, near: str) -> None:
    recorder, fn = stuck
    results = potok.map(fn, range(5), on=near, workers=2)
    assert next(results) == 0
    results.close()
    assert recorder.reasons
    assert list(results) == []
    results.close()
    assert "ended" in repr(results)


def test_blocking_close_is_refused_in_async_def(pooled: str) -> None:
    """The message names the awaitable spelling, and the workers are cancelled all the same."""

    async def main() -> None:
        results = potok.map(lambda x: x, range(100), on=pooled, workers=2)
        await anext(results)
        with pytest.raises(potok.BlockingCallError, match=r"await results\.aclose\(\)"):
            results.close()
        await results.aclose()
        assert [r async for r in results] == []

    potok.run(main)


def test_plain_for_is_refused_in_async_def(on: str) -> None:
    """It would block the loop; ready results or not, on every executor."""

    async def main() -> None:
        for _ in potok.map(abs, range(3), on=on):
            pass

    with pytest.raises(potok.BlockingCallError):
        potok.run(main)


@pytest.mark.stress
def test_cancelling_the_scope_reaches_the_workers(stuck: StuckFn, near: str) -> None:
    """At once, also while the consumer is busy with a result, and through the scope's own tree."""
    recorder, fn = stuck
    with potok.scope() as scope:
        for _ in potok.map(fn, range(5), on=near, workers=2):
            scope.cancel("enough")
            with potok.shield():
                assert recorder.ended.wait(10)
    assert recorder.reasons


@pytest.mark.stress
def test_cancelling_the_consumer_ends_the_map(stuck: StuckFn, pooled: str) -> None:
    recorder, fn = stuck

    def consume() -> None:
        list(potok.map(fn, range(5), on=pooled, workers=2))

    with potok.scope(on="threads") as scope:
        task = scope.start(consume)
        recorder.begun.wait()
        task.cancel("not needed")
        assert isinstance(task.exception(), potok.TaskCancelled)
        assert recorder.ended.wait(10)


@pytest.mark.stress
def test_cancelling_an_async_consumer_ends_the_map(stuck: StuckFn, pooled: str) -> None:
    """A potok task, an asyncio task."""
    recorder, fn = stuck

    async def consume() -> None:
        async for _ in potok.map(fn, range(5), on=pooled, workers=2):
            pass

    async def main() -> None:
        task = asyncio.create_task(consume())
        await await_all_parked()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert recorder.ended.wait(10)
    recorder.ended.clear()
    with potok.scope(on="coroutines") as scope:
        task = scope.start(consume)
        wait_all_parked()
        task.cancel()
        assert isinstance(task.exception(), potok.TaskCancelled)
        assert recorder.ended.wait(10)


@pytest.mark.stress
def test_timeout_around_it(stuck: StuckFn, pooled: str) -> None:
    """A deadline ends the map like any other cancellation."""
    recorder, fn = stuck
    results = potok.map(fn, range(5), on=pooled, workers=2)
    assert next(results) == 0
    with pytest.raises(TimeoutError), potok.timeout(0.02):
        list(results)
    assert list(results) == []
    assert recorder.ended.wait(10)


def test_timeout_in_async_def(stuck: StuckFn, pooled: str) -> None:
    recorder, fn = stuck

    async def main() -> None:
        results = potok.map(fn, range(5), on=pooled, workers=2)
        assert await anext(results) == 0
        with potok.timeout(0.02):
            async for _ in results:
                pass

    with pytest.raises(TimeoutError):
        potok.run(main)
    assert recorder.ended.wait(10)


@pytest.mark.stress
def test_scope_ends_although_results_are_left(pooled: str) -> None:
    """Results that are kept unread hold up no scope; reading on after its end says what is wrong."""
    with potok.scope():
        results = potok.map(abs, itertools.count(), on=pooled, workers=2)
        assert next(results) == 0
    with pytest.raises(potok.ScopeError, match="read the results inside it"):
        for _ in results:
            pass


@pytest.mark.parametrize("host", ["threads", "coroutines"])
@pytest.mark.stress
def test_scope_ends_although_a_task_left_results(pooled: str, host: str) -> None:
    """The same where a task of the scope began to read and has ended: by returning them, or with an error."""

    def begin() -> Any:
        results = potok.map(abs, itertools.count(), on=pooled, workers=2)
        next(results)
        return results

    def fail() -> None:
        results = begin()
        raise ValueError(next(results))

    with pytest.raises(ExceptionGroup), potok.scope(on=host, on_fail="collect") as scope:
        begun, failed = scope.start(begin), scope.start(fail)
    assert isinstance(failed.exception(), ValueError)
    with pytest.raises(potok.ScopeError):
        for _ in begun.result():
            pass


def test_abandoned_in_a_root_task(pooled: str) -> None:
    """A task of the root that failed keeps its results alive in its traceback; they go with the task."""

    def fail() -> None:
        results = potok.map(abs, itertools.count(), on=pooled, workers=2)
        raise ValueError(next(results))

    task = potok.start(fail)
    with pytest.raises(ValueError, match="0"):
        task.result()


def test_only_one_reader_at_a_time(pooled: str) -> None:
    """A second one, and an input that reads its own results, get an error instead of a wrong order."""

    def items() -> Iterator[int]:
        yield 1
        with pytest.raises(potok.PotokError, match="one task at a time"):
            next(results)
        yield 2

    results = potok.map(abs, items(), on=pooled)
    assert list(results) == [1, 2]


def test_another_task_may_read_on(pooled: str) -> None:
    """Outside of any scope, results can be passed from hand to hand."""
    results = potok.map(abs, range(6), on=pooled, workers=2)
    assert [next(results), next(results)] == [0, 1]
    assert potok.start(lambda: [next(results), next(results)]).result() == [2, 3]

    async def rest() -> list[int]:
        return [r async for r in results]

    assert potok.run(rest) == [4, 5]


def test_collected_while_the_last_one_works(pooled: str) -> None:
    """Dropping the results is enough, from whatever thread the last reference goes."""
    stuck = Stuck()
    held = [potok.map(stuck.work, range(5), on=pooled, workers=2)]
    assert next(held[0]) == 0
    stuck.begun.wait()
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    assert stuck.ended.wait(10)


@pytest.mark.skipif(os.name == "nt", reason="signals are sent to this very process")
@pytest.mark.parametrize("enclosed", [False, True])
def test_ctrl_c(pooled: str, enclosed: bool) -> None:
    """KeyboardInterrupt in the main thread, once, with the workers cancelled; alone and inside a scope."""
    stuck = Stuck()

    def items() -> Iterator[int]:
        yield 0
        yield 1
        stuck.begun.wait()
        threading.Thread(target=interrupt).start()
        yield 2

    def interrupt() -> None:
        wait_all_parked()
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt), potok.scope() if enclosed else nullcontext():
        list(potok.map(stuck.work, items(), on=pooled, workers=2))
    assert stuck.ended.wait(10)


@pytest.mark.parametrize("end", ["pass", "raise ValueError(5)"])
@pytest.mark.parametrize("work", ["x", "x and potok.Event().wait()", "x and time.sleep(60)"])
def test_program_ends_with_results_unread(pooled: str, work: str, end: str) -> None:
    """Without waiting for them, and without a word, whether it ends well or not."""
    program = (
        "import itertools, time, potok\n"
        f"results = potok.map(lambda x: {work}, itertools.count(), on={pooled!r}, workers=2)\n"
        f"print(next(results))\n{end}\n"
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


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize("kind", [list, iter])
def test_no_result_after_closing_in_the_loop(on: str, kind: Callable[[Any], Any], numbered: bool) -> None:
    """Nothing that was at hand is given out any more, and the function is not called any more."""
    results = potok.map(abs, kind(range(100_000)), on=on)
    if numbered:
        results.numbered()
    enough = 60_000 if on == "auto" else 3000  # there it takes a while until the loop is known to be best
    given = 0
    for _ in results:
        given += 1
        if given == enough:
            results.close()
    assert given == enough


def test_function_may_close_its_own_results() -> None:
    """The plain loop of auto then ends with the result that it was about to give."""

    def work(x: int) -> int:
        if x == 3000:
            results.close()
        return x

    results = potok.map(work, itertools.count())
    got = list(results)
    assert got in (list(range(3000)), list(range(3001)))


async def aabs(x: int) -> int:
    return abs(x)


@pytest.mark.parametrize("fn", [abs, aabs])
def test_event_loop_gets_its_turn(on: str, fn: Callable[[int], Any]) -> None:
    """Whoever reads results that are always at hand can be cancelled by asyncio, and starves nobody."""

    async def read() -> None:
        async with asyncio.timeout(0.05):
            async for _ in potok.map(fn, itertools.count(), on=on):
                pass

    with pytest.raises(TimeoutError):
        asyncio.run(read())


def test_event_loop_gets_its_turn_between_results_of_one_lot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("potok.dataflow.results.TURN", 0)
    turns = 0

    def count_turn() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(count_turn)

    async def read() -> None:
        count_turn()
        results = potok.map(abs, range(100), on="processes", batch=100)
        before = [turns async for _ in results]
        assert all(earlier < later for earlier, later in itertools.pairwise(before))

    asyncio.run(read())


def test_tasks_beside_a_reader_get_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A `def` task on coroutines that finds its results at hand lets the others go on between two lots."""
    monkeypatch.setattr("potok.dataflow.results.TURN", 0)
    turns = 0

    def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            potok.sleep(0)

    def read() -> None:
        results = potok.map(abs, range(100), on="threads", workers=1)
        before = [turns for _ in results]
        assert all(earlier < later for earlier, later in itertools.pairwise(before))

    with potok.scope(on="coroutines") as scope:
        scope.start(count_turns)
        scope.start(read).join()
        scope.cancel("all was read")


def test_closed_by_plain_code_after_async_for() -> None:
    """The event loop that read has ended, and with it the workers that ran in it; while it runs, it must not wait."""
    results = potok.map(aabs, itertools.count(), on="coroutines")

    async def read() -> None:
        assert await anext(results) == 0
        with pytest.raises(potok.BlockingCallError, match="aclose"):
            results.close()

    asyncio.run(read())
    results.close()
