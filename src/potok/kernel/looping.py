"""Event loops: the hub bound to one, coroutines stepped in greenlets, and asyncio tasks that potok adopts.

Imported when the first `async def` task, `await_` or awaitable operation needs it: it imports asyncio.

Two kinds of coroutine use potok. Those it started on *coroutines* are stepped by `drive` inside a greenlet of the
hub; asyncio sees them through a `Face`, so that `asyncio.timeout`, `TaskGroup`, aiohttp and the like work. All
others belong to asyncio (tasks of a foreign loop, and of the loop an `async def` task on threads has to itself):
they get an implicit task and await a future. A cancellation of potok reaches them at potok's park points every
time, at foreign awaits once, as asyncio's own does.
"""

from __future__ import annotations

import asyncio
import threading
import time
from asyncio import events as aio_events
from asyncio import tasks as aio_tasks
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from potok.errors import Cancelled
from potok.kernel.build import FREE_THREADED
from potok.kernel.cancelling import effective, expire
from potok.kernel.choices import choose
from potok.kernel.current import carrier, current, getcurrent
from potok.kernel.guard import Guard
from potok.kernel.parking import INTERRUPTED, RETRY, TIMED_OUT, _unlucky, attend, revoke, wait
from potok.kernel.task import ATTEND, Task
from potok.machines.nap import NapMachine
from potok.machines.waiting import Waiter

__all__ = [
    "LoopKernel",
    "adopted_task",
    "await_future",
    "await_in_greenlet",
    "current_in_loop",
    "drive",
    "drive_natively",
    "give_loop",
    "kernel_of_running_loop",
    "needs_running_loop",
]

FOREIGN = NapMachine("an asyncio future")
FOREIGN.guard = Guard(None)

_kernels: WeakKeyDictionary[Any, LoopKernel] = WeakKeyDictionary()
_kernels_lock = threading.Lock()


class FutureWaiter(Waiter):
    """An asyncio task that waits in potok."""

    __slots__ = ("future", "woken")

    def __init__(self) -> None:
        self.future: Any = None
        self.woken = False

    def wake(self) -> None:
        kernel = self.task.kernel
        kernel.woken.append(self)
        if kernel.sleeping or FREE_THREADED:
            kernel.rouse()


class LoopKernel:
    """The seam for the asyncio tasks of one loop, and the way in for wakes from outside."""

    waiter_type: type[Waiter] = FutureWaiter

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.carrier = carrier()
        self.hub: Any = None  # the greenlets of this thread, once there are any
        self.woken: deque[FutureWaiter] = deque()
        self.sleeping = True  # the next wake has to call into the loop
        self.adopted: WeakKeyDictionary[Any, Task[Any]] = WeakKeyDictionary()
        self.runner: Any = None  # when the loop is ours
        self._alarm: Any = None
        self._alarm_at = 0.0
        self._in_main = threading.current_thread() is threading.main_thread()

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
                self.loop.call_soon_threadsafe(self.drain)  # in the main thread, a signal handler may be calling
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
            waiter.woken = True
            if waiter.future is not None and not waiter.future.done():
                waiter.future.set_result(None)
        self._rest(hub)

    def _rest(self, hub: Any) -> None:
        self.sleeping = True
        if hub is not None:
            hub.sleeping = True
            if hub.timers:
                self.alarm(hub.timers[0][0])
        if self.woken or (hub is not None and hub.ready):
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

    def _ring(self) -> None:
        self._alarm = None
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
        aio_events._set_running_loop(None)
        self.runner.close()


def kernel_of_running_loop() -> LoopKernel:
    """The kernel of the loop that runs in this thread. Raises RuntimeError if there is none."""
    return kernel_of(asyncio.get_running_loop())


def kernel_of(loop: Any) -> LoopKernel:
    with _kernels_lock:
        kernel = _kernels.get(loop)
        if kernel is None:
            kernel = _kernels[loop] = LoopKernel(loop)
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
    kernel = _kernels.get(aio_events._get_running_loop())
    if kernel is None or kernel.hub is None:
        return False
    if waiter.op == "join":
        return waiter.item.kernel is kernel.hub  # type: ignore[no-any-return]
    if waiter.op == "finish":
        return any(member.kernel is kernel.hub for member in waiter.machine.members)
    return bool(kernel.hub.users)


# ── asyncio tasks that potok did not start ──────────────────────────────────────────────────────────────────


def adopted_task() -> Task[Any]:
    """The implicit task of the asyncio task that runs here."""
    aio_task = asyncio.current_task()
    if aio_task is None:
        raise RuntimeError("an awaitable operation of potok needs a running asyncio task, or a task that potok started")
    if isinstance(aio_task, Face):
        return aio_task.task
    kernel = kernel_of_running_loop()
    task = kernel.adopted.get(aio_task)
    if task is None:
        from potok.kernel.root import root

        task = adopt_as(Task(_own_code, (), root, name=aio_task.get_name()), aio_task, kernel)
        task.value = aio_task
    return task


def adopt_as(task: Task[Any], aio_task: Any, kernel: LoopKernel) -> Task[Any]:
    """Let `task` be the one that this asyncio task is in potok's eyes."""
    task.kernel = kernel
    task.carrier = kernel.carrier
    task.waiter_type = FutureWaiter
    task.executor = "coroutines"
    task.started = True
    kernel.adopted[aio_task] = task
    return task


def _own_code() -> None:
    """What the implicit task of an asyncio task is said to run."""


async def await_future(task: Task[Any], deadline: float | None) -> Any:
    """As `parking.wait`, for an asyncio task."""
    waiter = task.waiter
    kernel = task.kernel
    if task.trap == ATTEND and not task.masked:
        revoke(task.carrier, waiter, INTERRUPTED)
    due = deadline
    if task.deadline is not None and not task.masked:
        due = task.deadline if due is None else min(due, task.deadline)
    timer = None if due is None else kernel.loop.call_later(
        max(0.0, due - time.monotonic()), revoke, task.carrier, waiter, TIMED_OUT
    )
    waiter.since = time.monotonic()
    try:
        await _until_woken(kernel, waiter)
    except asyncio.CancelledError as error:
        revoke(task.carrier, waiter, error)
        if waiter.error is error:
            raise
        _cancel_again_soon(kernel, error)
    finally:
        task.waiter = None
        if timer is not None:
            timer.cancel()
    if waiter.error is None:
        return waiter.value
    return _unlucky(task, waiter, deadline)


async def _until_woken(kernel: LoopKernel, waiter: FutureWaiter) -> None:
    if not waiter.woken:
        waiter.future = kernel.loop.create_future()
        await waiter.future


def _cancel_again_soon(kernel: LoopKernel, error: asyncio.CancelledError) -> None:
    """The hand-over had won: the value is returned, and asyncio's cancellation comes at the next await instead."""
    aio_task = asyncio.current_task()
    if aio_task is not None:
        aio_task.uncancel()
        kernel.loop.call_soon(aio_task.cancel, *error.args)


# ── coroutines that potok steps ─────────────────────────────────────────────────────────────────────────────


class Face:
    """How asyncio sees an `async def` task of potok: the current task, with what libraries ask of one."""

    def __init__(self, task: Task[Any], loop: Any) -> None:
        self.task = task
        self._loop = loop
        self._cancelling = 0

    def enter(self) -> None:
        aio_tasks._enter_task(self._loop, self)  # type: ignore[arg-type]

    def leave(self) -> None:
        aio_tasks._leave_task(self._loop, self)  # type: ignore[arg-type]

    def get_loop(self) -> Any:
        return self._loop

    def get_name(self) -> str:
        return self.task.name

    def get_coro(self) -> Any:
        return self.task.value

    def done(self) -> bool:
        return self.task.finished

    def cancelled(self) -> bool:
        return self.task.finished and isinstance(self.task.error, Cancelled)

    def cancelling(self) -> int:
        return self._cancelling

    def uncancel(self) -> int:
        self._cancelling = max(0, self._cancelling - 1)
        return self._cancelling

    def cancel(self, msg: object = None) -> bool:
        """asyncio's cancellation: a CancelledError at the next await, once."""
        task = self.task
        if task.finished:
            return False
        self._cancelling += 1
        error = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
        waiter = task.waiter
        if waiter is not None:
            revoke(task.carrier, waiter, error)
        if waiter is None or waiter.error is not error:
            task.pending = error
            task.trap = ATTEND
        return True

    def __repr__(self) -> str:
        return f"<asyncio's view of {self.task!r}>"


def drive(task: Task[Any]) -> Any:
    """Step the task's coroutine to its end, in the current greenlet; park the greenlet where it awaits asyncio."""
    coro = task.fn(*task.args)
    kernel = getattr(task.kernel, "binding", None)
    task.driven = True
    task.face = Face(task, kernel.loop) if kernel is not None else None
    if task.face is not None:
        task.face.enter()
    error: BaseException | None = None
    try:
        while True:
            try:
                awaited = coro.send(None) if error is None else coro.throw(error)
            except StopIteration as stop:
                return stop.value
            error = _await_foreign(task, awaited)
    finally:
        if task.face is not None:
            task.face.leave()
        task.driven = False


def _await_foreign(task: Task[Any], awaited: Any) -> BaseException | None:
    """Wait for what a coroutine awaits outside potok. What to throw into it, or None to go on."""
    if awaited is None:  # asyncio.sleep(0)
        return _give_way(task)
    if task.face is None:
        return RuntimeError(f"{awaited!r} needs an event loop, and the {task.executor} executor has none")
    if getattr(awaited, "_asyncio_future_blocking", None) is None:
        return RuntimeError(f"a task of potok can't await {awaited!r}: it is no asyncio future (another async library?)")
    awaited._asyncio_future_blocking = False
    while not awaited.done():
        try:
            _park_on_future(task, awaited)
        except (Cancelled, asyncio.CancelledError) as cancelled:
            told = asyncio.CancelledError(*cancelled.args)
            if not awaited.cancel():
                return told
    return None


def _give_way(task: Task[Any]) -> BaseException | None:
    try:
        face = task.face
        if face is not None:
            face.leave()
        try:
            task.kernel.pause(task)
        finally:
            if face is not None:
                face.enter()
        if task.trap and not task.foreign_told:
            attend(task)
    except (Cancelled, asyncio.CancelledError) as cancelled:
        task.foreign_told = True
        return asyncio.CancelledError(*cancelled.args)
    return None


def _park_on_future(task: Task[Any], future: Any) -> None:
    """Park until the future is done. Raises what cancels the wait; a scope's cancellation only once."""
    if task.pending is not None:
        error, task.pending = task.pending, None
        raise error
    told = task.foreign_told
    task.masked += told
    face = task.face
    waiter = FOREIGN.begin(task, "await", future)
    me = task.carrier

    def done(_: Any) -> None:
        FOREIGN.guard.run(me, FOREIGN.end, waiter)

    future.add_done_callback(done)
    face.leave()
    try:
        while wait(task, None) is RETRY and not future.done():
            waiter = FOREIGN.begin(task, "await", future)
    except Cancelled:
        task.foreign_told = True
        raise
    finally:
        face.enter()
        task.masked -= told
        future.remove_done_callback(done)


def drive_natively(task: Task[Any]) -> Any:
    """Run the task's coroutine in a loop of its own, as this thread's only work."""

    async def main() -> Any:
        running, executor = asyncio.current_task(), task.executor
        adopt_as(task, running, kernel_of_running_loop()).value = running
        task.executor = executor
        return await task.fn(*task.args)

    with asyncio.Runner() as runner:
        return runner.run(main())


def await_in_greenlet(task: Task[Any], awaitable: Any) -> Any:
    """`potok.await_`: run an awaitable for a plain `def` task on a hub."""

    async def run() -> Any:
        return await awaitable

    task.kernel.need_loop()
    fn, args, driven, face = task.fn, task.args, task.driven, task.face
    task.fn, task.args = run, ()
    try:
        return drive(task)
    finally:
        task.fn, task.args, task.driven, task.face = fn, args, driven, face


def current_in_loop() -> Task[Any]:
    """The current task, also in an asyncio task."""
    try:
        running = asyncio.current_task()
    except RuntimeError:
        running = None
    return current() if running is None else adopted_task()
