"""An exception at every line of potok's own that a waiting operation goes through: none leaves a waiter behind.

That is what a signal handler that raises may do. Each case is repeated with the exception one line later, until the
operation gets through undisturbed.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from greenlet import getcurrent

import potok
from potok.kernel.current import carrier
from potok.kernel.parking import _take_back, abandon, masked, wait
from potok.machines.waiting import WaitQueue

HOME = str(Path(potok.__file__).parent)
MACHINES = str(Path(potok.__file__).parent / "machines")


class Raised(Exception):  # noqa: N818 - it is no error, it is what the handler does
    """By the handler."""


TAKING_BACK = (abandon.__code__, _take_back.__code__, masked.__enter__.__code__, masked.__exit__.__code__)


def taking_back(frame: FrameType | None) -> bool:
    """Whether a waiter, or a mask, is being taken back here: what a handler breaks there, nobody can mend."""
    while frame is not None:
        if frame.f_code in TAKING_BACK:
            return True
        frame = frame.f_back
    return False


class Raiser:
    """A trace function that raises at the `n`-th line of potok in the task's own stack.

    Not while a guard is held, nor where a waiter is being taken back.
    """

    def __init__(self, n: int, where: Callable[[], object] = getcurrent) -> None:
        self.left = n
        self.where = where
        self.here = where()

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        name = frame.f_code.co_filename
        if not name.startswith(HOME) or name.startswith(MACHINES) or self.left < 0:
            return None
        if (
            event == "line"
            and carrier().inside is None
            and self.where() is self.here
            and not taking_back(frame)
        ):
            self.left -= 1
            if self.left < 0:
                raise Raised
        return self


def disturbed(operation: Callable[[], object], n: int) -> bool:
    """Run the operation with an exception at the n-th line; whether it was reached."""
    raiser = Raiser(n)
    sys.settrace(raiser)
    try:
        operation()
    except Raised:
        assert potok.current_task().waiter is None
        return True
    except TimeoutError:
        pass
    finally:
        sys.settrace(None)
    return raiser.left < 0


def undisturbed(operation: Callable[[], object]) -> None:
    """What a handler left for the next park point comes here."""
    try:
        potok.checkpoint()
    except Raised:
        pass
    operation()


def receiving(on: str) -> int:
    tx, rx = potok.channel()
    with potok.scope(on=on) as scope:
        for n in count():
            if not disturbed(lambda: rx.recv(timeout=0), n):
                break
            assert not tx._end.machine.receivers.live()
        scope.start(tx.send, "whole")
        undisturbed(lambda: None)
        assert rx.recv() == "whole"
    tx.close()
    rx.close()
    return n


def sending(on: str) -> int:
    tx, rx = potok.channel()
    with potok.scope(on=on) as scope:
        for n in count():
            if not disturbed(lambda: tx.send(1, timeout=0), n):
                break
            assert not tx._end.machine.senders.live()
        task = scope.start(rx.recv)
        undisturbed(lambda: None)
        tx.send("whole")
        assert task.result() == "whole"
    tx.close()
    rx.close()
    return n


def choosing(on: str) -> int:
    tx, rx = potok.channel()
    lock = potok.Lock()
    with potok.scope(on=on) as scope, lock:
        for n in count():
            if not disturbed(lambda: potok.select(rx, lock, timeout=0), n):
                break
            assert not tx._end.machine.receivers.live()
            assert not lock._machine.waiters.live()
        scope.start(tx.send, "whole")
        undisturbed(lambda: None)
        assert potok.select(rx, lock).value == "whole"
    tx.close()
    rx.close()
    return n


def getting(on: str) -> int:
    queue: potok.Queue[str] = potok.Queue(1)

    def get() -> None:
        try:
            queue.get(timeout=0)
        except potok.Empty:
            raise TimeoutError from None

    with potok.scope(on=on) as scope:
        for n in count():
            if not disturbed(get, n):
                break
            assert not queue._machine.getters.live()
        scope.start(queue.put, "whole")
        undisturbed(lambda: None)
        assert queue.get() == "whole"
    return n


def sleeping(on: str) -> int:
    for n in count():
        if not disturbed(lambda: potok.sleep(0), n):
            break
    undisturbed(lambda: potok.sleep(0))
    return n


def polling(on: str) -> int:
    one, other = potok.pipe()
    with potok.scope(on=on) as scope:
        for n in count():
            if not disturbed(lambda: one.poll(0.0001), n):
                break
        scope.start(other.send, "whole")
        undisturbed(lambda: None)
        assert one.poll(60)
        assert one.recv() == "whole"
    one.close()
    other.close()
    return n


def notified(on: str) -> int:
    condition = potok.Condition()
    with potok.scope(on=on) as scope:
        for n in count():
            condition.acquire()
            reached = disturbed(lambda: condition.wait(0), n)
            potok.current_task().masked = (
                0  # a tracer may raise just as a `with` is left; a signal handler may not
            )
            if (
                condition._lock._machine.holder is not None
            ):  # or the exception came just as it was taken again
                condition.release()
            assert not condition._machine.waiters.live()
            if not reached:
                break
        undisturbed(lambda: None)
        assert scope.start(condition.acquire).result()
    return n


def locking(on: str) -> int:
    lock = potok.Lock()
    with potok.scope(on=on) as scope:
        with lock:
            for n in count():
                if not disturbed(lambda: lock.acquire(timeout=0), n):
                    break
                assert not lock._machine.waiters.live()
            undisturbed(lambda: None)
        assert scope.start(lock.acquire).result()
        lock.release()
    return n


@pytest.fixture(autouse=True)
def _no_finalizers() -> Iterator[None]:
    """What an earlier test left must not be collected, and its finalizer be disturbed, in this one's middle."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("on", ["threads", "coroutines"])
@pytest.mark.parametrize(
    "operate", [receiving, sending, choosing, getting, locking, sleeping, polling, notified]
)
def test_an_exception_at_any_line_leaves_nobody_waiting(on: str, operate: Callable[[str], int]) -> None:
    """The operation raises; the machine is as it was; the next operation of the task works."""
    assert operate(on) > 10
    assert carrier().inside is None


def test_a_task_that_waits_is_not_made_to_wait_twice() -> None:
    """A signal handler that interrupts a parked task may not park it once more: clear error, the first wait goes on."""
    tx, rx = potok.channel()
    other_tx, other = potok.channel()
    task = potok.current_task()
    told = []

    class Interrupting:
        """The lock that the thread parks on; the handler runs while it waits."""

        def __init__(self, lock: Any) -> None:
            self.lock, self.release = lock, lock.release

        def acquire(self, timeout: float = -1) -> bool:
            with pytest.raises(
                potok.BlockingCallError, match=r"waits already \(recv on .*signal handler"
            ) as got:
                other.recv()
            told.append(got)
            other_tx.close()
            scope.start(tx.send, "whole")
            return bool(self.lock.acquire(timeout=60))

    with potok.scope(on="threads") as scope:
        task.parker = Interrupting(task.parker)
        assert rx.recv() == "whole"
        task.parker = task.parker.lock
    assert len(told) == 1
    for end in (tx, rx, other):
        end.close()


def test_waiting_inside_a_comparison_is_refused() -> None:
    """A heap compares items inside the queue: a comparison that waits would stop every task of the thread."""
    queue: potok.PriorityQueue[Any] = potok.PriorityQueue()
    tx, rx = potok.channel()

    class Slow:
        def __lt__(self, other: object) -> bool:
            return bool(rx.recv())

    queue.put(Slow())
    with pytest.raises(potok.WouldBlock, match="comparison"):
        queue.put(Slow())
    assert queue.qsize() == 1
    assert not rx._end.machine.receivers.live()
    tx.close()
    rx.close()


def test_a_time_out_of_a_signal_handler_is_not_taken_for_ours() -> None:
    """`signal.alarm` with a handler that raises TimeoutError is a common way to bound a call: it gets through."""

    class Alarming:
        """The lock that the thread parks on; the handler runs while it waits."""

        def __init__(self, lock: Any) -> None:
            self.release = lock.release

        def acquire(self, timeout: float = -1) -> bool:
            raise TimeoutError("the handler's")

    task, lock = potok.current_task(), potok.Lock()
    with lock:
        for blocking in (
            lambda: lock.acquire(timeout=60),
            lambda: potok.Event().wait(timeout=60),
            lambda: potok.Semaphore(0).acquire(timeout=60),
            lambda: potok.select(potok.Event(), timeout=60),
            lambda: potok.sleep(60),
        ):
            parker = task.parker
            task.parker = Alarming(parker)
            with pytest.raises(TimeoutError, match="the handler's"):
                blocking()
            task.parker = parker
    assert lock.acquire(timeout=0)
    lock.release()


def test_a_time_out_is_a_plain_one_to_users() -> None:
    """By name, and across address spaces."""
    import pickle

    tx, rx = potok.channel()
    with rx, tx, pytest.raises(TimeoutError) as got:
        rx.recv(timeout=0)
    assert type(pickle.loads(pickle.dumps(got.value))) is TimeoutError  # noqa: S301 - ours
    assert repr(got.value).startswith("TimeoutError('recv on channel(0)")


def test_a_handler_that_raises_in_a_coroutine_leaves_nobody_waiting() -> None:
    """The awaitable spelling, in a task of somebody's loop."""
    tx, rx = potok.channel()

    def running() -> object:
        try:
            return asyncio.current_task()
        except RuntimeError:
            return None

    async def main() -> None:
        for n in count():
            raiser = Raiser(n, running)
            sys.settrace(raiser)
            try:
                await rx.arecv(timeout=0)
            except (Raised, TimeoutError):
                pass
            finally:
                sys.settrace(None)
            await asyncio.sleep(0)
            assert not tx._end.machine.receivers.live()
            if raiser.left >= 0:
                break
        assert n > 10
        async with potok.scope() as scope:
            scope.start(tx.asend, "whole")
            assert await rx.arecv() == "whole"
        tx.close()
        rx.close()

    asyncio.run(main())


class Meanwhile:
    """The lock that a thread parks on; something happens in that thread as its wait is over."""

    def __init__(self, lock: Any, before: Callable[[], object], after: Callable[[], object]) -> None:
        self.lock, self.release = lock, lock.release
        self.before, self.after = before, after

    def acquire(self, timeout: float = -1) -> bool:
        self.before()
        got = bool(self.lock.acquire(timeout=60))
        self.after()
        return got


def test_a_handlers_failing_operation_leaves_the_one_it_interrupted_alone() -> None:
    """A wait was just handed an item when the handler asks a closed channel: each has its own outcome."""
    tx, rx = potok.channel()
    closed_tx, closed = potok.channel()
    closed_tx.close()
    told: list[str] = []

    def handler() -> None:
        with pytest.raises(potok.ClosedError):
            closed.recv()
        told.append("closed")

    task = potok.current_task()
    with potok.scope(on="threads") as scope:
        parker = task.parker
        task.parker = Meanwhile(parker, lambda: scope.start(tx.send, "the only item"), handler)
        assert rx.recv() == "the only item"
        task.parker = parker
        potok.checkpoint()
    assert told == ["closed"]
    for end in (tx, rx, closed):
        end.close()


def at_entry_of(function: Any, do: Callable[[], object]) -> None:
    """Have `do` called, once, as this function is entered next."""

    def tracer(frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code is function.__code__:
            sys.settrace(None)
            do()
        return tracer

    sys.settrace(tracer)


def test_a_handlers_refused_wait_that_gets_out_takes_ours_with_it() -> None:
    """It raises out of our operation before that waits: nobody may be handed to it any more."""
    tx, rx = potok.channel()
    other_tx, other = potok.channel()
    at_entry_of(wait, other.recv)
    with pytest.raises(potok.BlockingCallError, match="waits already"):
        rx.recv()
    assert potok.current_task().waiter is None
    with pytest.raises(potok.WouldBlock):
        tx.send_nowait(1)
    for end in (tx, rx, other_tx, other):
        end.close()


def test_a_barrier_counts_who_is_there() -> None:
    """Not an arrival that an exception has cut off before it stood in line."""
    barrier = potok.Barrier(2)

    def handler() -> None:
        raise Raised

    at_entry_of(WaitQueue.push, handler)
    with pytest.raises(Raised):
        barrier.wait()
    barrier.reset()
    with potok.scope(on="threads") as scope:
        other = scope.start(barrier.wait, 60)
        assert {barrier.wait(60), other.result()} == {0, 1}
