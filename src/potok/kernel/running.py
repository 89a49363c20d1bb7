"""Running a task in a thread that it has to itself."""

from __future__ import annotations

from typing import Any

from potok.kernel.current import getcurrent
from potok.kernel.finishing import run_task
from potok.kernel.task import ASYNC, Task
from potok.kernel.threadkernel import seat

__all__ = ["run_here"]


def run_here(task: Task[Any]) -> None:
    """Run the task in this thread to its end; a coroutine in an event loop of its own. Never raises."""
    here = getcurrent()
    outer = getattr(here, "task", None)
    seat(task)
    here.task = task
    try:
        if task.base_trap & ASYNC:
            from potok.kernel.adopting import drive_natively

            run_task(task, drive_natively)
        else:
            run_task(task)
    finally:
        if outer is None:
            del here.task
        else:
            here.task = outer
