"""The life of a task's function, on whatever carries it, and its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from potok.errors import Cancelled
from potok.kernel import events
from potok.kernel.cancelling import cancel_scope, echoes
from potok.kernel.ends import close_end
from potok.kernel.isolation import copied
from potok.kernel.root import report_failure, root
from potok.kernel.task import ASYNC, Task
from potok.machines.channel import End

__all__ = ["fail_late", "finish", "run_task"]


def run_task(task: Task[Any], drive: Callable[[Task[Any]], Any] | None = None) -> None:
    """Run the task's function here to its end; never raises. `drive` runs a coroutine some other way than stepping."""
    task.started = True
    if events.sinks:
        events.emit("Started", task)
    try:
        if task.base_trap & ASYNC:
            task.value = task.context.run(drive or _stepping(), task)
        else:
            task.value = task.context.run(task.fn, *task.args)
        if task.isolate:
            task.value = copied(task.value)
    except BaseException as error:
        task.error = error
    finish(task)


def _stepping() -> Callable[[Task[Any]], Any]:
    from potok.kernel.stepping import drive

    return drive


def finish(task: Task[Any]) -> None:
    """Record the end: close what was handed over, tell the siblings of a failure, wake who waits for it."""
    error = task.error
    if error is not None:
        error = task.error = _own_cancellation(task, error)
    if task.ends is not None:
        _close_ends(task, task.ends)
        task.ends, error = None, task.error
    home = task.home
    if error is not None and not isinstance(error, Cancelled):
        if home is root:
            _report_unless_asked(task)
        else:
            _tell_scope(task, error)
    task.context = task.greenlet = None
    task.args = ()
    if events.sinks:
        events.emit("Ended", task, None, error)
    home.guard.run(task.carrier, home.remove, task)


def _tell_scope(task: Task[Any], error: BaseException) -> None:
    home = task.home
    home.errors.append(error)
    if not home.collects:
        cancel_scope(home, f"task {task.name} failed: {type(error).__name__}: {error}")


def fail_late(task: Task[Any], value: Any, error: BaseException) -> None:
    """Let a task have failed whose result can't be opened. Its scope learns of it, unless that is over.

    Nothing happens where another thread was quicker, and has opened the result or told of the failure.
    """
    with _late:
        if task.error is not None or task.value is not value:
            return
        task.error, task.value = error, None
    if task.home is not root and not task.home.ended:
        _tell_scope(task, error)


_late = threading.RLock()  # a signal handler may ask for the same result


def _close_ends(task: Task[Any], ends: list[End]) -> None:
    """Close what was handed over to the task. If `undelivered`, the user's, raises, that is how the task failed."""
    error = task.error
    for end in ends:
        try:
            close_end(task.carrier, end, error, f"its task {task.name} has ended")
        except BaseException as failure:
            if task.error is None:
                task.error = failure


def _own_cancellation(task: Task[Any], error: BaseException) -> BaseException:
    """What a cancellation may look like: asyncio's, thrown at a foreign await, or the end of a channel it closed."""
    if echoes(task, error):
        return error.cause  # type: ignore[attr-defined,no-any-return]
    if type(error).__name__ == "CancelledError" and type(error).__module__ == "asyncio.exceptions":
        told = Cancelled(error.args[0] if error.args else "")
        told.__cause__ = error
        return told
    return error


def _report_unless_asked(task: Task[Any]) -> None:
    error = task.error
    if error is not None and not task.asked:
        try:
            report_failure(task, error)
        except Exception:  # a hook of the user's, or no stderr to print to: the task ends all the same
            import logging

            logging.getLogger("potok").exception("the failure of task %s could not be reported", task.name)
