"""Event loops: the seam for asyncio tasks, and a hub bound to a loop.

Imported when the first `async def` task, `await_` or awaitable operation needs it: it imports asyncio. One
`LoopKernel` for each running loop: the way in for wakes from outside, whether they are for greenlets of the hub in
that thread or for asyncio tasks that wait in potok (`potok.kernel.adopting`).
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from asyncio import events as aio_events
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from potok.kernel.build import FREE_THREADED
from potok.kernel.cancelling import effective, expire
from potok.kernel.carrier import in_main_thread
from potok.kernel.choices import choose
from potok.kernel.current import carrier, getcurrent
from potok.kernel.parking import INTERRUPTED, revoke
from potok.kernel.pulse import Pulse
from potok.kernel.task import Task
from potok.machines.waiting import Waiter

__all__ = ["FutureWaiter", "LoopKernel", "give_loop", "kernel_of", "kernels", "needs_running_loop"]


class FutureWaiter(Waiter):
    """An asyncio task that waits in potok."""

    __slots__ = ("future", "passed")

    def __init__(self) -> None:
        self.future: Any = None
        self.passed = False  # the loop has passed the wake on

    def wake(self) -> None:
        kernel = self.task.kernel
        self.woken = True
        kernel.woken.append(self)
        if kernel.sleeping or FREE_THREADED:
            kernel.rouse()

    def settle(self) -> None:
        """A future that nobody awaits may be settled late."""


class LoopKernel:
    """The seam for the asyncio tasks of one loop, and the way in for wakes from outside."""

    waiter_type: type[Waiter] = FutureWaiter
    in_real_time = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.carrier = carrier()
        self.hub: Any = None  # the greenlets of this thread, once there are any
        self.natives: Any = None  # what starts tasks in this loop where there are no greenlets
        self.woken: deque[FutureWaiter] = deque()
        self.sleeping = True  # the next wake has to call into the loop
        self.adopted: dict[Any, Task[Any]] = {}  # asyncio tasks that use potok, until they are done
        self.again: dict[
            Any, BaseException
        ] = {}  # those of them whose cancellation is still to come, as it was
        self.runner: Any = None  # when the loop is ours
        self.pulse = Pulse()
        self._alarm: Any = None
        self._alarm_at = 0.0
        self._in_main = in_main_thread()

    # ── the seam, for adopted asyncio tasks ─────────────────────────────────────────────────────────────────

    def start(self, task: Task[Any]) -> None:
        raise RuntimeError("asyncio tasks are started by asyncio")

    def park(self, task: Task[Any], waiter: Waiter, deadline: float | None) -> None:
        raise RuntimeError("an asyncio task awaits; it does not park")

    def pause(self, task: Task[Any]) -> None:
        """Only an await gives way."""

    def interrupt(self, task: Task[Any]) -> None:
        if not task.foreign_told:
            try:
                self.loop.call_soon_threadsafe(self._interrupt_foreign, task)
            except RuntimeError:
                pass  # the loop is closed: so is the task

    def _interrupt_foreign(self, task: Task[Any]) -> None:
        """The task is suspended now. In potok? Then it is woken there. At a foreign await? Told once."""
        aio_task = task.value
        if aio_task is None or aio_task.done() or effective(task) is None:
            return
        if task.waiter is not None:
            revoke(self.carrier, task.waiter, INTERRUPTED)
        elif not task.foreign_told:
            task.foreign_told = True
            task.told += 1
            aio_task.cancel()

    def now(self) -> float:
        return time.monotonic()

    def choose(self, n: int) -> int:
        return choose(n)

    def watch_deadline(self, task: Task[Any], seconds: float) -> Any:
        """A deadline that acts at foreign awaits too; returns something with `cancel()`."""
        return self.loop.call_later(seconds, self._deadline_passed, task)

    def _deadline_passed(self, task: Task[Any]) -> None:
        if task.deadline is not None and time.monotonic() >= task.deadline:
            expire(task)

    # ── wakes and timers ────────────────────────────────────────────────────────────────────────────────────

    def rouse(self) -> None:
        """Something is ready: have the loop look, from whatever thread."""
        self.sleeping = False
        try:
            if self._in_main or threading.get_ident() != self.carrier.ident:
                self.loop.call_soon_threadsafe(
                    self.drain
                )  # in the main thread, a signal handler may be calling
            else:
                self.loop.call_soon(self.drain)
        except RuntimeError:
            pass  # the loop is closed, nobody waits there any more

    def drain(self) -> None:
        """A callback of the loop: run greenlets for one turn, settle futures."""
        self.sleeping = False
        hub = self.hub
        if hub is not None:
            hub.sleeping = False
            hub.greenlet = getcurrent()
            hub.turn()
        woken = self.woken
        while woken:
            waiter = woken.popleft()
            waiter.passed = True
            if waiter.future is not None and not waiter.future.done():
                waiter.future.set_result(None)
        self._rest(hub)

    def _rest(self, hub: Any) -> None:
        self.sleeping = True
        if hub is not None:
            hub.sleeping = True
            if hub.timers:
                self.alarm(hub.timers[0][0])
            elif self.runner is not None and self._in_main and self._alarm is None:
                self.alarm(time.monotonic() + self.carrier.patience)  # a signal may have come unseen
        self.keep_watch()
        if self.woken or (hub is not None and (hub.ready or hub.fresh)):
            self.sleeping = False
            if hub is not None:
                hub.sleeping = False
            self.loop.call_soon(self.drain)

    def alarm(self, when: float) -> None:
        """See that `drain` runs at that time."""
        if self._alarm is not None:
            if self._alarm_at <= when:
                return
            self._alarm.cancel()
        self._alarm_at = when
        self._alarm = self.loop.call_later(max(0.0, when - time.monotonic()), self._ring)

    def keep_watch(self) -> None:
        """See that this loop looks for deadlocks from time to time, while tasks are parked in it."""
        if self._alarm is None and ((self.hub is not None and self.hub.users) or self.adopted):
            self.alarm(time.monotonic() + self.pulse.rest())

    def own_handles(self) -> list[Any]:
        """What of the loop's timers wakes nobody by itself."""
        return [] if self._alarm is None else [self._alarm]

    def _ring(self) -> None:
        self._alarm = None
        self.pulse.beat(sys._getframe())
        self.drain()

    # ── a hub on this loop ──────────────────────────────────────────────────────────────────────────────────

    def need_hub(self) -> Any:
        """The run queue of this loop's thread, made when first asked for (from that thread)."""
        if self.hub is None:
            from potok.kernel.hub import Hub

            self.hub = Hub(self.carrier)
            self.hub.greenlet = getcurrent()
            self.hub.sleeping = True
            self.hub.bind(self)
        return self.hub

    def show(self, running: bool) -> None:
        """Let asyncio see, or not, that the loop runs: the code that opened the hub is not inside it."""
        if self.runner is not None:
            aio_events._set_running_loop(self.loop if running else None)

    def run(self) -> None:
        """The hub's greenlet runs the loop that potok made, until `stop`."""
        aio_events._set_running_loop(None)
        self.loop.call_soon(self.drain)
        self.loop.run_forever()
        hub = self.hub
        hub.unbind()
        hub.main.switch()

    def stop(self) -> None:
        """From the code that opened the hub: end the loop that potok made, with what asyncio has left in it."""
        hub = self.hub
        if hub.greenlet is not None:
            self.loop.call_soon(self.loop.stop)
            aio_events._set_running_loop(self.loop)
            hub.greenlet.switch()
        hub.unbind()
        self.hub = (
            None  # closing runs the loop once more, in this greenlet: no callback may take it for the hub's
        )
        if self._alarm is not None:
            self._alarm.cancel()
        aio_events._set_running_loop(None)
        self.runner.close()


_kernels: WeakSet[LoopKernel] = WeakSet()
_meeting = threading.Lock()


def kernels() -> list[LoopKernel]:
    """Those of all loops that are there."""
    with _meeting:
        return list(_kernels)


def _after_fork() -> None:
    global _meeting
    _meeting = threading.Lock()  # another thread may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def kernel_of(loop: Any) -> LoopKernel:
    """The kernel of this loop, which keeps it: so it lives as long as the loop."""
    kernel = getattr(loop, "_potok_kernel", None)
    if kernel is None:
        kernel = loop._potok_kernel = LoopKernel(loop)
        with _meeting:
            _kernels.add(kernel)
    return kernel


def give_loop(hub: Any, loop_factory: Callable[[], Any] | None) -> None:
    """Put a loop of potok's own behind a bare hub. Called in the hub's thread."""
    runner = asyncio.Runner(loop_factory=loop_factory)
    kernel = kernel_of(runner.get_loop())
    kernel.runner = runner
    kernel.hub = hub
    kernel.sleeping = False
    hub.bind(kernel)


def needs_running_loop(waiter: Waiter) -> bool:
    """Whether this wait, which would block the running loop, is for something that the loop must run."""
    kernel = getattr(aio_events._get_running_loop(), "_potok_kernel", None)
    carried = None if kernel is None else kernel.hub or kernel.natives
    if carried is None:
        return False
    its = {kernel, carried}  # what tasks of this loop have as their kernel
    if waiter.op == "join":
        return waiter.item.kernel in its
    if waiter.op == "finish":
        return any(member.kernel in its for member in waiter.machine.members)
    return bool(carried.users)
