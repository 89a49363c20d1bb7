"""Parking an OS thread: on a lock of its own, released by whoever wakes it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from potok.errors import BlockingCallError
from potok.kernel.build import FREE_THREADED, fence
from potok.kernel.carrier import Carrier
from potok.kernel.choices import choose
from potok.kernel.current import carrier, running_loop
from potok.kernel.parking import ABANDONED, TIMED_OUT, take_own
from potok.kernel.pulse import FIRST, Pulse
from potok.kernel.task import Task
from potok.machines.waiting import Waiter

__all__ = ["ThreadKernel", "ThreadWaiter", "closed_lock", "seat", "wait_by", "wait_for"]


def _block(me: Carrier, parker: threading.Lock, timeout: float) -> bool:
    return parker.acquire(timeout=timeout)


_wait: Callable[[Carrier, threading.Lock, float], bool] = _block


def wait_for(me: Carrier, parker: threading.Lock, timeout: float) -> bool:
    """Wait for the lock as a parked thread does."""
    return _wait(me, parker, timeout)


def wait_by(how: Callable[[Carrier, threading.Lock, float], bool]) -> None:
    """Have threads wait for their lock this way: once there are links, a thread that waits reads them."""
    global _wait
    _wait = how


class ThreadWaiter(Waiter):
    """A thread parked on its lock."""

    __slots__ = ()

    def wake(self) -> None:
        task = self.task
        parker, me = task.parker, task.carrier
        self.woken = True  # before the release: see `settle`
        parker.release()
        if FREE_THREADED:
            fence()
        if me.leads is not None:
            me.rouse()

    def settle(self) -> None:
        """Nobody knows whether the lock was acquired: so take a new one; a late release goes to the old."""
        self.task.parker = closed_lock()


def closed_lock() -> threading.Lock:
    """A lock that somebody else will release."""
    lock = threading.Lock()
    lock.acquire()
    return lock


def seat(task: Task[Any]) -> None:
    """Make the task the one that runs in this thread: parked, it parks the thread."""
    task.carrier = carrier()
    task.parker = closed_lock()
    task.waiter_type = ThreadWaiter


class ThreadKernel:
    """The seam for code that has an OS thread to itself; `start` is left to the pool (`potok.kernel.pool`)."""

    waiter_type: type[Waiter] = ThreadWaiter
    in_real_time = True

    def start(self, task: Task[Any]) -> None:
        raise RuntimeError("the kernel of a foreign thread starts no tasks")

    def park(self, task: Task[Any], waiter: Waiter, deadline: float | None) -> None:
        waiter.since = time.monotonic()
        if running_loop() is not None:
            _refuse_if_needed(task, waiter)
        parker, patience = task.parker, task.carrier.patience
        if deadline is None:
            if not _wait(task.carrier, parker, min(patience, FIRST)):
                _wait_long(task.carrier, parker)
            return
        while (rest := deadline - time.monotonic()) > 0:
            if _wait(task.carrier, parker, min(rest, patience)):
                return
        if not take_own(task, waiter, TIMED_OUT):
            while not _wait(task.carrier, parker, patience):
                pass

    def pause(self, task: Task[Any]) -> None:
        """The operating system has the say."""

    def interrupt(self, task: Task[Any]) -> None:
        """A thread that is not parked here looks at its trap when it comes by."""

    def now(self) -> float:
        return time.monotonic()

    def choose(self, n: int) -> int:
        return choose(n)


def _wait_long(me: Carrier, parker: threading.Lock) -> None:
    """Wait for the lock, and look for deadlocks from time to time."""
    pulse = Pulse()
    pulse.beat(sys._getframe(1))
    while not _wait(me, parker, min(me.patience, pulse.rest())):
        pulse.beat(sys._getframe(1))


def _refuse_if_needed(task: Task[Any], waiter: Waiter) -> None:
    """Code on somebody's event loop blocks it: refuse where the wait is for what only that loop can run."""
    from potok.kernel.looping import needs_running_loop

    if needs_running_loop(waiter) and take_own(task, waiter, ABANDONED):
        raise BlockingCallError(
            f"waiting here ({waiter.op} on {waiter.machine.describe()}) would block the event loop that must go on "
            f"for it; write `await` and the spelling with an `a` (or `async with`)"
        )
