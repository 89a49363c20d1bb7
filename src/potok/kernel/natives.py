"""Coroutines where greenlet does not load, as in sub-interpreters: `async def` tasks, as tasks of asyncio's own.

Elsewhere a hub runs both colours in greenlets, and steps the coroutines itself (`hub`, `stepping`). Without them a
`def` task has no stack to put aside, so there can be none; an `async def` task is adopted by the loop that it runs in,
as those that asyncio started. It is slower, and otherwise the same.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any

from potok.errors import PotokError
from potok.kernel import events
from potok.kernel.adopting import live_adopted
from potok.kernel.current import getcurrent
from potok.kernel.finishing import finish
from potok.kernel.looping import FutureWaiter, kernel_of
from potok.kernel.task import ASYNC, Task

__all__ = ["Natives", "natives_of"]


class Natives:
    """The part of the seam that asyncio's tasks do not have: starting them, in the loop of one thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.kernel = kernel_of(loop)
        self.users = 0  # scopes that are open on it
        self.thread: Any = None  # to be ended with the scope that it was made for

    def start(self, task: Task[Any]) -> None:
        if not task.base_trap & ASYNC:
            raise PotokError(
                f"task {task.name} is a def task, which needs greenlet on coroutines, and that does not load in a "
                f'sub-interpreter: in there, start it on="threads", or make it async def'
            )
        task.kernel = self.kernel
        task.carrier = self.kernel.carrier
        task.waiter_type = FutureWaiter
        self.loop.call_soon_threadsafe(self._begin, task)

    def _begin(self, task: Task[Any]) -> None:
        self.loop.create_task(_live(task), name=task.name, context=task.context)


async def _live(task: Task[Any]) -> None:
    """As `finishing.run_task`, awaited."""
    task.started = True
    if events.sinks:
        events.emit("Started", task)
    try:
        task.value = await _seated(task, live_adopted(task))
    except BaseException as error:
        task.error = error
    finish(task)


@types.coroutine
def _seated(task: Task[Any], coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Let the task be its thread's current one in each step of its coroutine: what would block there is refused."""
    here = getcurrent()
    value: Any = None
    error: BaseException | None = None
    while True:
        outer = getattr(here, "task", None)
        here.task = task
        try:
            awaited = coroutine.send(value) if error is None else coroutine.throw(error)
        except StopIteration as stop:
            return stop.value
        finally:
            if outer is None:
                del here.task
            else:
                here.task = outer
        try:
            value, error = (yield awaited), None
        except BaseException as thrown:
            value, error = None, thrown


def natives_of(loop: Any) -> Natives:
    """The starter of this loop's tasks."""
    kernel = kernel_of(loop)
    if kernel.natives is None:
        kernel.natives = Natives(loop)
    return kernel.natives  # type: ignore[no-any-return]
