"""*threads*: each task has an OS thread to itself, taken from a pool of idle ones or new; `start` never queues.

An `async def` task has an event loop of its own in its thread.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from potok.kernel.running import run_here
from potok.kernel.task import Task
from potok.kernel.threadkernel import ThreadKernel

__all__ = ["Threads"]

IDLE_SECONDS = 10.0  # how long a thread without work is kept


class Worker:
    """One thread of the pool. Daemon: an idle one must not keep the interpreter from ending."""

    __slots__ = ("bell", "pool", "task", "thread")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.task: Task[Any] | None = None
        self.bell = threading.Lock()
        self.bell.acquire()
        self.thread = threading.Thread(target=self._work, name="potok-idle", daemon=True)

    def give(self, task: Task[Any]) -> None:
        self.task = task
        self.bell.release()

    def _work(self) -> None:
        while self.bell.acquire(timeout=IDLE_SECONDS) or (not self.pool.forget(self) and self.bell.acquire()):
            task, self.task = self.task, None
            assert task is not None, "the bell rings for a task only"  # noqa: S101 - an invariant, stated
            self.thread.name = f"potok-{task.name}"
            run_here(task)
            self.thread.name = "potok-idle"
            del task
            self.pool.idle.append(self)


class Pool:
    """Idle threads, last used first."""

    def __init__(self) -> None:
        self.idle: list[Worker] = []

    def take(self) -> Worker:
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

    def reset(self) -> None:
        """In a forked child none of the threads exist."""
        self.idle = []


_pool = Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.reset)


class PooledThreads(ThreadKernel):
    """The seam, with threads to start tasks on."""

    def start(self, task: Task[Any]) -> None:
        task.kernel = self
        _pool.take().give(task)


class Threads:
    """`on="threads"`; `isolate=True` copies what is sent, as another address space would."""

    name = "threads"

    def __init__(self, isolate: bool = False) -> None:
        self.isolate = isolate
        self._kernel = PooledThreads()

    def open(self, host: Task[Any], awaiting: bool) -> PooledThreads:
        return self._kernel

    def open_root(self) -> PooledThreads:
        return self._kernel

    def close(self, host: Task[Any], kernel: Any) -> None:
        """Threads go back to the pool by themselves."""

    def __repr__(self) -> str:
        return f"potok.threads({'isolate=True' if self.isolate else ''})"
