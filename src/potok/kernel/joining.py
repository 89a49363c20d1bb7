"""Waiting for the end of a task."""

from __future__ import annotations

from typing import Any

from potok.errors import DeadlockError
from potok.kernel.current import current, current_awaiting
from potok.kernel.ends import wait_for_task
from potok.kernel.parking import Elapsed, aperform, attend, check_timeout, perform
from potok.kernel.task import Task

__all__ = ["ajoin", "join"]


def join(task: Task[Any], timeout: float | None = None) -> bool:
    """Park until `task` has ended; False after `timeout` seconds."""
    check_timeout(timeout)
    if task.finished:
        me = current()
        if me.trap:
            attend(me)
        return True
    me = current()
    _refuse_own(task, me)
    if timeout is None:
        wait_for_task(me, task)
    try:
        perform(task.home, task.home.join, task, timeout=timeout, call="join")
    except Elapsed:
        return False
    return True


async def ajoin(task: Task[Any]) -> None:
    """The awaitable spelling, without time-out."""
    if not task.finished:
        me = current_awaiting()
        _refuse_own(task, me)
        wait_for_task(me, task)
    await aperform(task.home, task.home.join, task)


def _refuse_own(task: Task[Any], me: Task[Any]) -> None:
    if task is me:
        raise DeadlockError(f"task {task.name} waits for its own end")
