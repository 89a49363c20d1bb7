"""*inline*: a task runs at once, in its caller's stack. The plain loop, with the same program around it."""

from __future__ import annotations

import time
from typing import Any

from potok.errors import DeadlockError
from potok.kernel.choices import choose
from potok.kernel.current import getcurrent
from potok.kernel.finishing import run_task
from potok.kernel.parking import ABANDONED, TIMED_OUT, take_own
from potok.kernel.task import Task
from potok.kernel.threadkernel import ThreadWaiter, seat
from potok.machines.waiting import Waiter

__all__ = ["Inline"]


class InlineKernel:
    """The seam where nothing can wait: a task that would park can never be woken, and says so."""

    waiter_type: type[Waiter] = ThreadWaiter
    binding = None

    def start(self, task: Task[Any]) -> None:
        here = getcurrent()
        outer = getattr(here, "task", None)
        seat(task)
        task.kernel = self
        here.task = task
        try:
            run_task(task)
        finally:
            if outer is None:
                del here.task
            else:
                here.task = outer

    def park(self, task: Task[Any], waiter: Waiter, deadline: float | None) -> None:
        if waiter.op == "sleep":
            time.sleep(max(0.0, (deadline or 0.0) - self.now()))
        if not take_own(task, waiter, TIMED_OUT if waiter.op == "sleep" else ABANDONED):
            task.parker.acquire()
        if waiter.op == "sleep" or waiter.error is not ABANDONED:
            return
        raise DeadlockError(
            f"task {task.name} would wait for ever: {waiter.op} on {waiter.machine.describe()}, but on the inline "
            f'executor nothing else runs until it ends. Choose on="coroutines" or on="threads" to let tasks wait'
        )

    def pause(self, task: Task[Any]) -> None:
        """There is nobody else."""

    def interrupt(self, task: Task[Any]) -> None:
        """It runs, or it has ended."""

    def now(self) -> float:
        return time.monotonic()

    def choose(self, n: int) -> int:
        return choose(n)


class Inline:
    """`on="inline"`."""

    name = "inline"
    isolate = False

    def __init__(self) -> None:
        self._kernel = InlineKernel()

    def open(self, host: Task[Any], awaiting: bool) -> InlineKernel:
        return self._kernel

    def open_root(self) -> InlineKernel:
        return self._kernel

    def close(self, host: Task[Any], kernel: Any) -> None:
        """Nothing was taken."""
