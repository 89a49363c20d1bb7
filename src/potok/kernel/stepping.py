"""Coroutines that potok steps itself, inside a greenlet of a hub: `async def` tasks on *coroutines*, and `await_`.

asyncio sees them through a `Face`, so that `asyncio.timeout`, `TaskGroup`, aiohttp and the like work. An awaitable
operation of potok parks the greenlet in place; only what the coroutine awaits from asyncio is yielded up to `drive`.
A cancellation of potok is thrown in at a foreign await once, as asyncio's CancelledError, and then left alone.
"""

from __future__ import annotations

import asyncio
from asyncio import tasks as aio_tasks
from typing import Any

from potok.errors import Cancelled
from potok.kernel.guard import Guard
from potok.kernel.parking import RETRY, abandon, attend, raise_once, revoke, take_pending, wait
from potok.kernel.task import ATTEND, Task
from potok.machines.nap import NapMachine

__all__ = ["Face", "await_in_greenlet", "drive"]

FOREIGN = NapMachine("an asyncio future")
FOREIGN.guard = Guard(None)


class Face:
    """How asyncio sees an `async def` task of potok: the current task, with what libraries ask of one."""

    def __init__(self, task: Task[Any], loop: Any) -> None:
        self.potok_task = task
        self._loop = loop
        self._cancelling = 0

    def enter(self) -> None:
        aio_tasks._enter_task(self._loop, self)  # type: ignore[arg-type]

    def leave(self) -> None:
        aio_tasks._leave_task(self._loop, self)  # type: ignore[arg-type]

    def get_loop(self) -> Any:
        return self._loop

    def get_name(self) -> str:
        return self.potok_task.name

    def get_coro(self) -> Any:
        return self.potok_task.value

    def done(self) -> bool:
        return self.potok_task.finished

    def cancelled(self) -> bool:
        return self.potok_task.finished and isinstance(self.potok_task.error, Cancelled)

    def cancelling(self) -> int:
        return self._cancelling

    def uncancel(self) -> int:
        self._cancelling = max(0, self._cancelling - 1)
        return self._cancelling

    def cancel(self, msg: object = None) -> bool:
        """asyncio's cancellation: a CancelledError at the next await, once."""
        task = self.potok_task
        if task.finished:
            return False
        self._cancelling += 1
        error = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
        waiter = task.waiter
        if waiter is not None:
            revoke(task.carrier, waiter, error)
        if waiter is None or waiter.error is not error:
            task.pending = error
            task.trap = ATTEND
        return True

    def __repr__(self) -> str:
        return f"<asyncio's view of {self.potok_task!r}>"


def drive(task: Task[Any]) -> Any:
    """Step the task's coroutine to its end, in the current greenlet; park the greenlet where it awaits asyncio."""
    coro = task.fn(*task.args)
    kernel = getattr(task.kernel, "binding", None)
    task.driven = True
    task.face = Face(task, kernel.loop) if kernel is not None else None
    if task.face is not None:
        task.face.enter()
    error: BaseException | None = None
    try:
        while True:
            try:
                awaited = coro.send(None) if error is None else coro.throw(error)
            except StopIteration as stop:
                return stop.value
            error = _await_foreign(task, awaited)
    finally:
        if task.face is not None:
            task.face.leave()
        task.driven = False


def _await_foreign(task: Task[Any], awaited: Any) -> BaseException | None:
    """Wait for what a coroutine awaits outside potok. What to throw into it, or None to go on."""
    if awaited is None:  # asyncio.sleep(0)
        return _give_way(task)
    if task.face is None:
        return RuntimeError(f"{awaited!r} needs an event loop, and the {task.executor} executor has none")
    if getattr(awaited, "_asyncio_future_blocking", None) is None:
        return RuntimeError(
            f"a task of potok can't await {awaited!r}: no asyncio future (another async library?)"
        )
    awaited._asyncio_future_blocking = False
    while not awaited.done():
        try:
            _park_on_future(task, awaited)
        except (Cancelled, asyncio.CancelledError) as cancelled:
            told = asyncio.CancelledError(*cancelled.args)
            if not awaited.cancel():
                return told
    return None


def _give_way(task: Task[Any]) -> BaseException | None:
    try:
        face = task.face
        if face is not None:
            face.leave()
        try:
            task.kernel.pause(task)
        finally:
            if face is not None:
                face.enter()
        if task.trap and not task.foreign_told:
            attend(task)
    except (Cancelled, asyncio.CancelledError) as cancelled:
        task.foreign_told = True
        return asyncio.CancelledError(*cancelled.args)
    return None


def _park_on_future(task: Task[Any], future: Any) -> None:
    """Park until the future is done. Raises what cancels the wait; a scope's cancellation only once."""
    if task.pending is not None:
        raise_once(take_pending(task))
    told = task.foreign_told
    task.masked += told
    face = task.face
    me, before = task.carrier, task.waiter
    waiter: Any = None

    def done(_: Any) -> None:
        if waiter is not None:
            FOREIGN.guard.run(me, FOREIGN.end, waiter)

    face.leave()
    try:
        future.add_done_callback(done)
        while not future.done():
            waiter = FOREIGN.begin(task, "await", future)
            if wait(task, None) is not RETRY:
                break
    except Cancelled:
        task.foreign_told = True
        raise
    except BaseException as error:
        abandon(task, before, None, error)
    finally:
        face.enter()
        task.masked -= told
        future.remove_done_callback(done)


def await_in_greenlet(task: Task[Any], awaitable: Any) -> Any:
    """`potok.await_`: run an awaitable for a plain `def` task on a hub."""

    async def run() -> Any:
        return await awaitable

    task.kernel.need_loop()
    fn, args, driven, face = task.fn, task.args, task.driven, task.face
    task.fn, task.args = run, ()
    try:
        return drive(task)
    finally:
        task.fn, task.args, task.driven, task.face = fn, args, driven, face
