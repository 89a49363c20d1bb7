"""The hub: one OS thread's run queue of greenlets, with or without an event loop behind it.

    ready:  greenlets to go on                ◀── wake (any thread)
    fresh:  tasks to begin, after those       ◀── start (any thread)
    a task that parks switches to the next of `ready` itself; only when there is none, or for fairness, to the hub
    the hub: fires timers, settles asyncio futures, sleeps (on a lock, or in the event loop)

Who drives it
    bare     plain code opened the scope: the hub is a greenlet beside the thread's own, and runs while that parks
    own loop the same, once an `async def` task or `await_` needs a loop: the hub's greenlet runs `run_forever`
    guest    `async with` in somebody's loop: the hub is a callback of that loop

Both colours are greenlets here. An `async def` task's coroutine is stepped inside one (`potok.kernel.looping`), so
an awaitable potok operation parks in place, by a switch, and does not unwind the coroutine.

Invariants
    `ready` holds each parked greenlet at most once: its waiter is woken once.
    Whoever appends looks at `sleeping` after; the hub sets `sleeping`, then looks at both. One sees the other.
    Who is woken goes before who begins, so few are in the middle of things at a time; each turn begins one at least.
    A finished task's greenlet takes the next new task itself, or waits in `idle` for one: until its thread ends, or,
    in somebody's loop, until the last scope does.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any

from greenlet import greenlet

from potok.kernel.build import FREE_THREADED
from potok.kernel.carrier import Carrier
from potok.kernel.choices import choose
from potok.kernel.current import getcurrent
from potok.kernel.finishing import run_task
from potok.kernel.parking import TIMED_OUT, revoke
from potok.kernel.pulse import Pulse
from potok.kernel.task import Task
from potok.machines.waiting import Waiter

__all__ = ["GreenletWaiter", "Hub"]

TURN = 64  # hand-overs between two looks at timers and the event loop
IDLE = 1000  # greenlets kept for later tasks: making one costs five times as much as reusing it


class GreenletWaiter(Waiter):
    """A task parked on a hub."""

    __slots__ = ()

    def wake(self) -> None:
        task = self.task
        hub = task.kernel
        if FREE_THREADED:
            hub.ready.append(task.greenlet)
            self.woken = True  # in this order: see `settle`. With a GIL both are one step.
            hub.rouse()
        else:
            self.woken = True  # the other way around: once appended, it may be in use again
            hub.ready.append(task.greenlet)
            if hub.sleeping:
                hub.rouse()

    def settle(self) -> None:
        self.task.kernel.forget(self.task.greenlet)


class Strand(greenlet):  # type: ignore[misc]
    """A pooled greenlet that runs one task after another."""

    __slots__ = ("task",)


class Hub:
    """The kernel of *coroutines* in one thread."""

    waiter_type: type[Waiter] = GreenletWaiter
    in_real_time = True

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self.ready: deque[Any] = deque()  # greenlets to go on
        self.fresh: deque[Task[Any]] = deque()  # tasks to begin
        self.sleeping = False
        self.idle: list[Strand] = []
        self.main = getcurrent()  # the thread's own greenlet, or whichever made the hub
        self.greenlet: Any = None  # where to go when nothing is ready
        self.binding: Any = None  # to an event loop, see `looping`
        self.timers: list[tuple[float, int, Waiter]] = []
        self.sweep_at = 256  # so many timers are looked through for those no longer needed
        self.watch = False  # timers or a loop want a look from time to time
        self.budget = TURN
        self.tick = time.monotonic()
        self.users = 0  # scopes that are open on this hub
        self.lent: Any = None  # to whom, while plain code's scope is open on it
        self.loop_factory: Any = None
        self.pulse = Pulse()
        self._serial = count()
        self._bell = threading.Lock()
        self._bell.acquire()

    # ── the seam ────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, task: Task[Any]) -> None:
        task.kernel = self
        task.carrier = self.carrier
        task.waiter_type = self.waiter_type
        self.fresh.append(task)
        if self.sleeping or FREE_THREADED:
            self.rouse()

    def park(self, task: Task[Any], waiter: Waiter, deadline: float | None) -> None:
        waiter.since = self.tick
        if deadline is not None:
            self.at(deadline, waiter)
        if task.greenlet is self.main:
            self._leave_main()
        elif self.ready and (
            not (self.watch or self.fresh) or self._go_on()
        ):  # as `_pass_on`, without the call
            self.ready.popleft().switch()
        else:
            self._pass_on()

    def _pass_on(self) -> None:
        """Switch to who is next.

        A new greenlet starts as deep in the stack as whoever starts it: begun from task to task they would pile up,
        so that is left to the hub.
        """
        if self.ready:
            if not (self.watch or self.fresh) or self._go_on():
                self.ready.popleft().switch()
                return
        elif self.fresh and self.idle and self._go_on():
            self.launch(self.fresh.popleft())
            return
        self.greenlet.switch()

    def pause(self, task: Task[Any]) -> None:
        alone = not (self.ready or self.fresh or self.watch)
        if alone and self._go_on():
            return
        self.ready.append(task.greenlet)
        if task.greenlet is self.main:
            self._leave_main()
        elif alone:
            self.greenlet.switch()
        else:
            self._pass_on()

    def interrupt(self, task: Task[Any]) -> None:
        """A task that is not parked here is running or ready: it will look at its trap by itself."""

    def now(self) -> float:
        return time.monotonic()

    def choose(self, n: int) -> int:
        return choose(n)

    # ── parking the thread's own code ───────────────────────────────────────────────────────────────────────

    def _leave_main(self) -> None:
        """The code that opened the scope waits: now its tasks run. Woken, or thrown at (Ctrl-C), it goes on."""
        if self.greenlet is None:
            self.greenlet = greenlet(self.serve, parent=self.main)
        if self.binding is not None:
            self.binding.show(True)
        try:
            self.greenlet.switch()
        finally:
            if self.binding is not None:
                self.binding.show(False)

    def forget(self, strand: Any) -> None:
        """Take a greenlet that goes on by other means out of the run queue, if it is there."""
        try:
            self.ready.remove(strand)
        except ValueError:
            pass

    def rest(self) -> None:
        """End the greenlets that wait for tasks, in the greenlet that the hub was made in.

        No garbage collector sees what a suspended greenlet's frames refer to: this hub, and with it a loop.
        """
        here = getcurrent()
        if self.main is here:  # or else it is one that potok does not know, and that has ended, maybe
            while self.idle:
                _end(self.idle.pop(), here)

    def dissolve(self) -> None:
        """The hub's thread ends, and no other can switch to its greenlets."""
        try:
            self.rest()
        except RuntimeError:
            return  # greenlet knows that the process ends
        own, here = self.greenlet, self.main
        self.main = self.greenlet = self.carrier.hub = None
        if own is not None and here is getcurrent():
            _end(own, here)

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────────

    def launch(self, task: Task[Any]) -> None:
        """Begin a task in a greenlet of the pool; returns when the caller is switched to again."""
        strand = self.idle.pop() if self.idle else Strand(self._work, parent=self.greenlet or self.main)
        strand.task = task
        strand.switch()

    def _work(self) -> None:
        """The life of a pooled greenlet: tasks, without a switch in between where the next one is new."""
        me = getcurrent()
        while True:
            task = me.task
            task.greenlet = me
            run_task(task, self._drive_in_loop if self.binding is None else None)
            del (
                me.task,
                task,
            )  # a signal handler that comes now has a task of its own, not this one, and not None
            if not self.ready and self.fresh and self._go_on():
                me.task = self.fresh.popleft()
                continue
            if len(self.idle) >= IDLE:
                me.parent = self.greenlet
                return
            self.idle.append(me)
            if self.ready and (not (self.watch or self.fresh) or self._go_on()):
                self.ready.popleft().switch()
            else:
                self.greenlet.switch()

    def _drive_in_loop(self, task: Task[Any]) -> Any:
        """The first coroutine here calls for a loop; if none can be made, that is how its task fails."""
        from potok.kernel.stepping import drive

        self.need_loop()
        return drive(task)

    def _go_on(self) -> bool:
        """Whether it is not yet time for a look at timers and loop."""
        self.budget -= 1
        return self.budget > 0

    def turn(self) -> bool:
        """Run what is ready, for one turn at most, then fire what is due. False when nothing is left to run."""
        self.budget = TURN
        self.tick = time.monotonic()
        ready, fresh = self.ready, self.fresh
        if fresh:
            self.launch(fresh.popleft())  # however many others are woken all the time
        while self.budget > 0:
            self.budget -= 1
            if ready:
                ready.popleft().switch()
            elif fresh:
                self.launch(fresh.popleft())
            else:
                break
        if self.timers:
            self._fire()
        if self.tick >= self.pulse.due and (ready or fresh):  # without end, it may be
            self.pulse.beat(sys._getframe())
        return bool(ready or fresh)

    def serve(self) -> None:
        """The body of the hub's greenlet: bare until somebody binds a loop, then in the loop, then bare again."""
        while True:
            try:
                if self.binding is not None:
                    self.binding.run()
                elif not self.turn():
                    self._sleep()
            except BaseException as error:
                if self.main is None:
                    raise
                self.sleeping = False
                self.forget(self.main)
                self.main.throw(error)  # a signal handler raised while nobody else was running

    def _sleep(self) -> None:
        self.sleeping = True
        if not (self.ready or self.fresh):
            rest = self.pulse.rest()
            wait = max(0.0, self.timers[0][0] - time.monotonic()) if self.timers else rest
            if self._bell.acquire(timeout=min(wait, rest, self.carrier.patience)):
                self.pulse.quicken()
            else:
                self.pulse.beat(sys._getframe())
        self.sleeping = False

    def rouse(self) -> None:
        """Called after something was appended to `ready`, from any thread, when the hub may be asleep."""
        if self.binding is not None:
            self.binding.rouse()
            return
        self.sleeping = False
        try:
            self._bell.release()
        except RuntimeError:
            pass  # rung already

    # ── timers ──────────────────────────────────────────────────────────────────────────────────────────────

    def at(self, deadline: float, waiter: Waiter) -> None:
        """Revoke the waiter at that time."""
        timers = self.timers
        if len(timers) > self.sweep_at:
            timers[:] = [entry for entry in timers if not entry[2].claimed]
            heapify(timers)
            self.sweep_at = max(256, 2 * len(timers))  # so looking at all of them is O(1) amortised
        heappush(timers, (deadline, next(self._serial), waiter))
        self.watch = True
        if self.binding is not None:
            self.binding.alarm(timers[0][0])

    def _fire(self) -> None:
        timers, now = self.timers, self.now()
        while timers and (timers[0][2].claimed or timers[0][0] <= now):
            waiter = heappop(timers)[2]
            if not waiter.claimed:
                revoke(self.carrier, waiter, TIMED_OUT)
                self.pulse.quicken()
        self._look_after()

    # ── an event loop behind it ─────────────────────────────────────────────────────────────────────────────

    def need_loop(self) -> None:
        """From a greenlet of this hub: go on inside an event loop."""
        if self.binding is None:
            from potok.kernel.looping import give_loop

            give_loop(self, self.loop_factory)
            self.ready.append(getcurrent())
            self.budget = 0
            self.greenlet.switch()

    def bind(self, binding: Any) -> None:
        """Use an event loop for sleeping from now on."""
        self.binding = binding
        self.watch = True
        self._ring()

    def unbind(self) -> None:
        """Sleep without a loop again."""
        self.binding = None
        self._look_after()

    def _look_after(self) -> None:
        """Whether timers or a loop still want a look from time to time."""
        self.watch = bool(self.timers) or self.binding is not None

    def _ring(self) -> None:
        try:
            self._bell.release()
        except RuntimeError:
            pass


def _end(waiting: Any, here: Any) -> None:
    """Have a suspended greenlet leave its frames, and come back."""
    if not waiting.dead:
        waiting.parent = here
        waiting.throw()
