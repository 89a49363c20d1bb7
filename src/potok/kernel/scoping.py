"""Entering and leaving scopes, time-outs and shields: the tree and the task's place in it, kept together.

A scope is entered and left by one task, in order. A `yield` between the two would let other code run inside it, so
it is found out: scopes opened in a generator remember its frame, and an operation while that frame is not running
raises ScopeError. (Generators run by `contextlib` are fine: they are left in order.)
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from potok.errors import Cancelled, ScopeError
from potok.kernel.cancelling import effective_above
from potok.kernel.current import running_loop
from potok.kernel.guard import Guard
from potok.kernel.task import ASYNC, ATTEND, DUE, YIELDS, Task
from potok.machines.scope import ScopeMachine

__all__ = ["absorbs", "asked_by_asyncio", "check_generators", "enter", "leave", "take_back"]

_GENERATOR = 0x20 | 0x200  # CO_GENERATOR and CO_ASYNC_GENERATOR of `inspect`, which takes long to import


def enter(
    task: Task[Any], kind: str, depth: int, *, timeout: float | None = None, shield: bool = False
) -> ScopeMachine:
    """Open a scope in the current task; `depth` says how many frames up the `with` statement stands."""
    parent = task.scope
    deadline = None if shield else parent.deadline
    if timeout is not None:
        own = task.kernel.now() + timeout
        deadline = own if deadline is None else min(own, deadline)
    scope = ScopeMachine(parent, task, kind, deadline, shield)
    scope.guard = Guard(task.carrier)
    frame = sys._getframe(depth + 1)
    if frame.f_code.co_flags & _GENERATOR and not _run_by_contextlib(frame):
        scope.frame = frame
    parent.guard.run(task.carrier, parent.attach, scope)
    _stand_in(task, scope)
    return scope


def leave(task: Task[Any], scope: ScopeMachine) -> None:
    """Close the scope in the task that opened it. Raises ScopeError if this is another task, or out of order."""
    if scope.host is not task or task.scope is not scope:
        raise _out_of_order(task, scope)
    scope.frame = None
    scope.ended = True
    parent: Any = scope.parent  # every scope but the root has one
    parent.guard.run(task.carrier, parent.detach, scope)
    _stand_in(task, parent)


def _stand_in(task: Task[Any], scope: ScopeMachine) -> None:
    """The task's innermost scope is this one now; its next operation looks around."""
    task.scope = scope
    task.deadline = scope.deadline
    task.foreign_told = False
    keep = task.base_trap & ~(DUE | YIELDS)
    task.base_trap = (
        keep | (DUE if scope.deadline is not None else 0) | (YIELDS if _in_generator(task) else 0)
    )
    task.trap = ATTEND


def _in_generator(task: Task[Any]) -> bool:
    scope: ScopeMachine | None = task.scope
    while scope is not None and scope.host is task:
        if scope.frame is not None:
            return True
        scope = scope.parent
    return False


def absorbs(scope: ScopeMachine, error: BaseException | None, asked: int = 0) -> bool:
    """Whether this exception is the scope's own cancellation, which ends with it.

    `asked` is what `asked_by_asyncio` said on entering. If asyncio (a time-out of its, `task.cancel()`) has asked
    since, its CancelledError goes on to whoever asked.
    """
    if scope.reason is None or error is None:
        return False
    mine = isinstance(error, Cancelled) or (
        _is_asyncio_cancelled(error) and asked_by_asyncio(scope.host) <= asked
    )
    return mine and effective_above(scope) is None


def asked_by_asyncio(task: Task[Any]) -> int:
    """How often asyncio was asked to cancel the task that runs here, not counting what potok itself asked."""
    aio_task = _as_asyncio_sees_it()
    return 0 if aio_task is None else aio_task.cancelling() - task.told


def take_back(task: Task[Any], told: int) -> None:
    """A cancellation of potok's ends here: so do those that potok had asked of asyncio for it."""
    while task.told > told:
        task.told -= 1
        aio_task = _as_asyncio_sees_it()
        if aio_task is not None:
            aio_task.uncancel()


def _as_asyncio_sees_it() -> Any:
    loop = running_loop()
    return None if loop is None else sys.modules["asyncio.tasks"].current_task(loop)


def _is_asyncio_cancelled(error: BaseException) -> bool:
    return type(error).__name__ == "CancelledError" and type(error).__module__ == "asyncio.exceptions"


def _run_by_contextlib(frame: FrameType) -> bool:
    caller = frame.f_back
    return caller is not None and caller.f_globals.get("__name__") == "contextlib"


def check_generators(task: Task[Any]) -> None:
    """Raise ScopeError if a scope of this task was opened in a generator that is suspended now."""
    scope: ScopeMachine | None = task.scope
    while scope is not None and scope.host is task:
        if scope.frame is not None and not _is_running(scope.frame):
            raise _yielded(scope, scope.frame)
        scope = scope.parent


def _is_running(frame: FrameType) -> bool:
    here: FrameType | None = sys._getframe(1)
    while here is not None:
        if here is frame:
            return True
        here = here.f_back
    return False


def _yielded(scope: ScopeMachine, frame: FrameType) -> ScopeError:
    return ScopeError(
        f"a `yield` left the `with` block of a {scope.kind} open in {frame.f_code.co_qualname}: code outside of the "
        f"generator would run inside the {scope.kind}. Collect the values first, or send them through a channel"
    )


def _out_of_order(task: Task[Any], scope: ScopeMachine) -> ScopeError:
    if scope.host is not task:
        return ScopeError(
            f"this {scope.kind} was entered by task {scope.host.name} and left by task {task.name}: "
            f"probably a `yield` inside its `with` block"
        )
    return ScopeError(
        f"a {scope.kind} was left while the {task.scope.kind} opened inside it is still open: "
        f"probably a `yield` inside the inner `with` block"
    )


def refuse_async(task: Task[Any], spelling: str, instead: str) -> None:
    """Raise BlockingCallError where plain `with` would block an `async def` task at its end."""
    if task.base_trap & ASYNC:
        from potok.errors import BlockingCallError

        raise BlockingCallError(
            f"`{spelling}` waits at its end; write `{instead}` in the async def task {task.name}"
        )
