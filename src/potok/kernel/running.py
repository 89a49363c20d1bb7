"""Running a task in the current thread, in place of whatever ran there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from potok.kernel.current import getcurrent
from potok.kernel.finishing import run_task
from potok.kernel.task import ASYNC, Task
from potok.kernel.threadkernel import seat

__all__ = ["run_here", "run_seated"]


def run_here(task: Task[Any]) -> None:
    """Run the task in this thread to its end; a coroutine in an event loop of its own. Never raises."""
    if task.base_trap & ASYNC:
        from potok.kernel.adopting import drive_natively

        run_seated(task, drive_natively)
    else:
        run_seated(task)


def run_seated(task: Task[Any], drive: Callable[[Task[Any]], Any] | None = None) -> None:
    """Run the task to its end as the one that is current here; `drive` as in `run_task`. Never raises."""
    here = getcurrent()
    outer = getattr(here, "task", None)
    seat(task)
    here.task = task
    try:
        run_task(task, drive)
    finally:
        if outer is None:
            del here.task
        else:
            here.task = outer
