"""Asyncio tasks that potok did not start: each gets an implicit task when it first uses potok, and awaits a future.

A cancellation of potok reaches them at potok's park points every time, at foreign awaits once, as asyncio's own does.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from potok.kernel.cancelling import effective
from potok.kernel.current import current
from potok.kernel.looping import FutureWaiter, LoopKernel, kernel_of
from potok.kernel.parking import INTERRUPTED, RECALLED, TIMED_OUT, raise_once, revoke, unlucky
from potok.kernel.root import implicit, own_code, root
from potok.kernel.task import ATTEND, Task

__all__ = ["adopt_as", "adopted_task", "await_future", "current_in_loop", "drive_natively", "live_adopted"]


def adopted_task() -> Task[Any]:
    """The implicit task of the asyncio task that runs here."""
    loop = asyncio.get_running_loop()
    aio_task = asyncio.current_task(loop)
    kernel = kernel_of(loop)
    task = kernel.adopted.get(aio_task)
    if task is not None:
        return task
    if aio_task is None:
        raise RuntimeError(
            "an awaitable operation of potok needs a running asyncio task, or a task that potok started"
        )
    if hasattr(aio_task, "potok_task"):  # a face: see `stepping`
        return aio_task.potok_task  # type: ignore[no-any-return]
    return adopt_as(Task(own_code, (), root, name=aio_task.get_name()), aio_task, kernel)


def adopt_as(task: Task[Any], aio_task: Any, kernel: LoopKernel) -> Task[Any]:
    """Let `task` be the one that this asyncio task is in potok's eyes."""
    task.kernel = kernel
    task.carrier = kernel.carrier
    task.waiter_type = FutureWaiter
    task.executor = "coroutines"
    task.started = True
    task.value = aio_task
    kernel.adopted[aio_task] = task
    aio_task.add_done_callback(kernel.adopted.pop)
    if task.home is root:
        implicit[task.id] = task
    elif task.trap == ATTEND:
        kernel.interrupt(task)  # told before it had a loop to be told by
    return task


async def await_future(task: Task[Any], deadline: float | None) -> Any:
    """As `parking.wait`, for an asyncio task."""
    waiter = task.waiter
    kernel = task.kernel
    if task.trap == ATTEND and not task.masked and effective(task) is not None:
        revoke(task.carrier, waiter, INTERRUPTED)
    due = deadline
    if task.deadline is not None and not task.masked:
        due = task.deadline if due is None else min(due, task.deadline)
    timer = (
        None
        if due is None
        else kernel.loop.call_later(max(0.0, due - time.monotonic()), revoke, task.carrier, waiter, TIMED_OUT)
    )
    waiter.due = due
    waiter.since = time.monotonic()
    kernel.keep_watch()
    try:
        _raise_again(kernel, task.value)
        await _until_woken(kernel, waiter)
    except asyncio.CancelledError as error:
        revoke(task.carrier, waiter, error)
        if waiter.error is error:
            raise
        await _until_handed_over(kernel, waiter)
        if waiter.error is RECALLED:  # from another address space: nothing has happened there
            raise
        _cancel_again_soon(kernel, error)
    except BaseException:  # the coroutine is closed: nobody is left who could be handed anything
        revoke(task.carrier, waiter, INTERRUPTED)
        raise
    finally:
        task.waiter = None
        if timer is not None:
            timer.cancel()
    if task.trap == ATTEND:
        kernel.interrupt(task)  # told while a hand-over had won: the next await may be a foreign one
    if waiter.error is None:
        return waiter.value
    return unlucky(task, waiter, deadline)


async def _until_woken(kernel: LoopKernel, waiter: FutureWaiter) -> None:
    if not waiter.passed:
        waiter.future = kernel.loop.create_future()
        await waiter.future


async def _until_handed_over(kernel: LoopKernel, waiter: FutureWaiter) -> None:
    """Another thread has claimed the waiter and is about to fill in the outcome and to wake it."""
    while not waiter.passed:
        try:
            await _until_woken(kernel, waiter)
        except asyncio.CancelledError:
            pass  # one more of those that come again soon


def _cancel_again_soon(kernel: LoopKernel, error: asyncio.CancelledError) -> None:
    """The hand-over had won: the value is returned, and asyncio's cancellation comes at the next await instead.

    If that is ours, then before anything can be handed over again: else it might be put off for ever.
    """
    aio_task = asyncio.current_task()
    if aio_task is not None:
        kernel.again[aio_task] = error
        kernel.loop.call_soon(_cancel_again, kernel, aio_task, error)


def _raise_again(kernel: LoopKernel, aio_task: asyncio.Task[Any]) -> None:
    error = kernel.again.pop(aio_task, None)
    if error is not None and aio_task.cancelling():
        raise_once(error)


def _cancel_again(kernel: LoopKernel, aio_task: asyncio.Task[Any], error: asyncio.CancelledError) -> None:
    if kernel.again.pop(aio_task, None) is None:  # it has come
        return
    if aio_task.cancelling():  # unless whoever asked has taken it back meanwhile, as asyncio.timeout does
        aio_task.uncancel()
        aio_task.cancel(*error.args)


def drive_natively(task: Task[Any]) -> Any:
    """Run the task's coroutine in a loop of its own, as this thread's only work."""
    with asyncio.Runner() as runner:
        return runner.run(live_adopted(task))


async def live_adopted(task: Task[Any]) -> Any:
    """The life of a task of potok's as a task of asyncio's."""
    running, executor = asyncio.current_task(), task.executor
    kernel = kernel_of(asyncio.get_running_loop())
    adopt_as(task, running, kernel)
    task.executor = executor
    if task.deadline is not None:  # from outside: it acts at foreign awaits, too
        kernel.watch_deadline(task, max(0.0, task.deadline - kernel.now()))
    return await task.fn(*task.args)


def current_in_loop() -> Task[Any]:
    """The current task, also in an asyncio task."""
    try:
        running = asyncio.current_task()
    except RuntimeError:
        running = None
    return current() if running is None else adopted_task()
