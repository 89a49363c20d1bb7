"""A signal handler may raise wherever Python calls or returns: potok stays sound, and a hand-over that won stands."""

import asyncio
import threading
from typing import Any

import pytest

import potok
from potok.kernel.carrier import Carrier
from potok.kernel.current import carrier
from potok.kernel.guard import Guard
from potok.kernel.parking import aperform
from potok.machines.nap import NapMachine
from potok.machines.waiting import PARKED


class Raised(Exception):  # noqa: N818 - it is no error, it is what the handler does
    """By the handler."""


class Breaking:
    """A lock that is interrupted before it is acquired."""

    def __enter__(self) -> None:
        raise Raised

    def __exit__(self, *_: object) -> None:
        raise AssertionError("it was not acquired")

    def acquire(self) -> None:
        raise Raised


def test_a_guard_that_was_not_entered_is_not_left_marked() -> None:
    """Where the wait for a guard's mutex is interrupted, the thread is inside no machine afterwards."""
    guard = Guard(Carrier())
    guard.mutex = Breaking()  # type: ignore[assignment]
    with pytest.raises(Raised):
        guard.run(carrier(), list)
    assert carrier().inside is None


class JustAcquired:
    """A thread's lock; once it is parked on, `waker` runs, and the handler raises as `acquire` returns."""

    def __init__(self, lock: Any, waker: threading.Thread) -> None:
        self.lock = lock
        self.waker = waker
        self.release = lock.release

    def acquire(self, timeout: float = -1) -> bool:
        self.waker.start()
        assert self.lock.acquire(timeout=60)
        raise Raised


def test_a_thread_interrupted_as_it_is_woken_takes_what_it_was_given() -> None:
    """The item is returned, the handler's exception comes at the next park point, and the thread parks as before."""
    tx, rx = potok.channel()
    me = potok.current_task()
    waker = threading.Thread(target=tx.send, args=(1,))
    me.parker = JustAcquired(me.parker, waker)
    assert rx.recv() == 1
    with pytest.raises(Raised):
        potok.checkpoint()
    waker.join()
    with potok.scope(on="threads") as scope:
        scope.start(tx.send, 2)
        assert rx.recv() == 2
    tx.close()
    rx.close()


def test_an_interrupt_does_not_hide_a_cancellation() -> None:
    """Both came while the task ran: the handler's exception is raised first, Cancelled at the park point after."""
    with potok.scope(on="threads") as scope:
        me = potok.current_task()
        me.pending = Raised()
        scope.cancel()
        with pytest.raises(Raised):
            potok.checkpoint()
        potok.checkpoint()
        raise AssertionError("the cancellation was lost")


class Slow(NapMachine):
    """A hand-over in another thread that has claimed its waiter and not yet filled in the outcome."""

    __slots__ = ("waiter",)

    def take(self, party: Any) -> Any:
        self.waiter = self.begin(party, "take")
        return PARKED


def test_asyncio_cancels_in_the_middle_of_a_hand_over() -> None:
    """The asyncio task waits until the item is there, returns it, and is cancelled at its next await."""
    machine = Slow("a slow hand-over")
    machine.guard = Guard(None)
    got = []

    async def take() -> None:
        got.append(await aperform(machine, machine.take))
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(take())
        await asyncio.sleep(0)
        machine.withdraw(machine.waiter)
        task.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
        machine.waiter.value = 1
        machine.waiter.wake()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert got == [1]
