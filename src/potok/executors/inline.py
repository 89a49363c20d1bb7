"""*inline*: a task runs at once, in its caller's stack. The plain loop, with the same program around it."""

from __future__ import annotations

import time
from typing import Any

from potok.errors import DeadlockError
from potok.kernel.parking import ABANDONED, RECALLED, TIMED_OUT, take_own
from potok.kernel.running import run_seated
from potok.kernel.task import Task
from potok.kernel.threadkernel import ThreadKernel, wait_for
from potok.machines.waiting import Waiter

__all__ = ["Inline"]


class InlineKernel(ThreadKernel):
    """The seam where nothing can wait: a task that would park can never be woken, and says so."""

    binding = None

    def start(self, task: Task[Any]) -> None:
        task.kernel = self
        run_seated(task)

    def park(self, task: Task[Any], waiter: Waiter, deadline: float | None) -> None:
        if waiter.op == "sleep":
            time.sleep(max(0.0, (deadline or 0.0) - self.now()))
        if not take_own(task, waiter, TIMED_OUT if waiter.op == "sleep" else ABANDONED):
            while not wait_for(task.carrier, task.parker, task.carrier.patience):
                pass  # it was served just now; or it is called back from another address space, which tells
        if waiter.op == "sleep" or waiter.error not in (ABANDONED, RECALLED):
            return
        raise DeadlockError(
            f"task {task.name} would wait for ever: {waiter.op} on {waiter.machine.describe()}, but on the inline "
            f'executor nothing else runs until it ends. Choose on="coroutines" or on="threads" to let tasks wait'
        )


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
