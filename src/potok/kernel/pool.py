"""Threads to run tasks: idle ones, or new; each runs one task at a time, and nothing queues behind another.

Daemons: an idle thread must not keep the interpreter from ending.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from potok.kernel.build import FREE_THREADED, fence
from potok.kernel.carrier import Carrier
from potok.kernel.current import carrier
from potok.kernel.exiting import endings
from potok.kernel.running import run_here
from potok.kernel.services import service_thread
from potok.kernel.task import Task
from potok.kernel.threadkernel import ThreadKernel, wait_for

__all__ = ["PooledThreads", "look_out"]

IDLE_SECONDS = 10.0  # how long a thread without work is kept
LINGER = 0.02  # seconds that one which has run an errand for another address space looks out for the next


class Worker:
    """One thread of the pool."""

    __slots__ = ("bell", "carrier", "free", "pool", "task", "thread")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.task: Task[Any] | None = None
        self.free = False  # the task that it runs is as good as done: it takes the next from it
        self.carrier: Carrier | None = None  # until it runs
        self.bell = threading.Lock()
        self.bell.acquire()
        self.thread = service_thread(self._work, "potok-idle")

    def give(self, task: Task[Any] | None) -> None:
        self.task = task
        self.bell.release()
        if FREE_THREADED:
            fence()
        if self.carrier is not None and self.carrier.leads is not None:
            self.carrier.rouse()

    def _work(self) -> None:
        me = self.carrier = carrier()
        _here.worker = self
        while self._wait(me):
            task, self.task = self.task, None
            if task is None:  # the pool ends
                return
            self.thread.name = f"potok-{task.name}"
            run_here(task)
            self.thread.name = "potok-idle"
            del task
            self.free = False
            if self.task is None:
                self.pool.idle.append(self)
                if self.pool.ended and self.pool.forget(self):
                    return

    def _wait(self, me: Carrier) -> bool:
        """Wait for a task; False if none comes for so long that this thread may end."""
        if me.bids:
            came = wait_for(me, self.bell, LINGER)
            me.bids = False  # a task waits as any other
            if came:
                return True
        return self.bell.acquire(timeout=IDLE_SECONDS) or (not self.pool.forget(self) and self.bell.acquire())


class Pool:
    """Idle threads, last used first."""

    def __init__(self) -> None:
        self.idle: list[Worker] = []
        self.ended = False

    def take(self) -> Worker:
        """One that is idle: this very thread, if it is one that just looks out for work, or is about to."""
        mine: Worker | None = getattr(_here, "worker", None)
        if mine is not None and (mine.free or self.forget(mine)):
            mine.free = False
            return mine
        try:
            return self.idle.pop()
        except IndexError:
            worker = Worker(self)
            worker.thread.start()
            return worker

    def forget(self, worker: Worker) -> bool:
        """The worker wants to end. False: somebody has taken it, and its task is on the way."""
        try:
            self.idle.remove(worker)
        except ValueError:
            return False
        return True

    def end(self) -> None:
        """End the threads without work, and have the others follow."""
        self.ended = True
        while self.idle:
            worker = self.idle.pop()
            worker.give(None)
            worker.thread.join()

    def reset(self) -> None:
        """In a forked child none of the threads exist."""
        self.idle = []


_here = threading.local()
_pool = Pool()
endings.append(_pool.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.reset)


def look_out() -> None:
    """Told by the task that this thread runs: it is as good as done, and more of its kind are likely to come soon."""
    carrier().bids = True
    worker: Worker | None = getattr(_here, "worker", None)
    if worker is not None:
        worker.free = True


class PooledThreads(ThreadKernel):
    """The seam, with threads to start tasks on."""

    def start(self, task: Task[Any]) -> None:
        task.kernel = self
        _pool.take().give(task)
