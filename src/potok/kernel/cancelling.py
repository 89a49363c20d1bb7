"""Cancellation: a reason is written at one place of the tree, and everybody below looks up.

Walking down only *tells* tasks to look; whether a task is cancelled is decided by the task itself, which walks up
from where it stands until a shield or the root. So nothing has to be undone when a task leaves a cancelled scope.
"""

from __future__ import annotations

from typing import Any

from potok.errors import Cancelled, ClosedError
from potok.kernel.build import fence
from potok.kernel.carrier import Carrier
from potok.kernel.current import carrier
from potok.kernel.parking import INTERRUPTED, revoke
from potok.kernel.task import ATTEND, Task
from potok.machines.scope import ScopeMachine

__all__ = ["cancel_scope", "cancel_task", "echoes", "effective", "effective_above", "expire"]


def effective(task: Task[Any]) -> Any:
    """The reason, in a 1-tuple, for which the task has to stop now; None if it may go on."""
    if task.masked:
        return None
    if task.scope is task.home and task.reason is not None:
        return task.reason
    return _from(task.scope)


def _from(scope: ScopeMachine | None) -> Any:
    me = carrier()
    while scope is not None:
        reason = scope.reason if me.inside is not None else scope.guard.run(me, scope.cancelled)
        if reason is not None:
            return reason
        if scope.shield:
            return None
        host = scope.host
        if host is not None and scope.parent is host.home and host.reason is not None:
            return host.reason
        scope = scope.parent
    return None


def echoes(task: Task[Any], error: BaseException | None) -> bool:
    """Whether this error only tells that a neighbour was cancelled first, by what is cancelling the task, too."""
    return (
        isinstance(error, ClosedError) and isinstance(error.cause, Cancelled) and effective(task) is not None
    )


def effective_above(scope: ScopeMachine) -> Any:
    """As `effective`, from just outside this scope: does a cancellation of its own end with it?"""
    if scope.shield:
        return None
    host = scope.host
    if host is not None and scope.parent is host.home and host.reason is not None:
        return host.reason
    return _from(scope.parent)


def cancel_scope(scope: ScopeMachine, reason: object = "") -> bool:
    """Cancel everything in the scope; False if it was cancelled or had ended. Safe from anywhere."""
    me = carrier()
    if scope.reason is not None or scope.ended:
        return False
    if me.inside is not None:  # a signal handler or finalizer that interrupted potok
        scope.guard.post(me, _cancel_and_tell, scope, reason)
        return True
    below = scope.guard.run(me, scope.cancel, reason)
    if below is not None:
        tell(me, *below)
    return below is not None


def _cancel_and_tell(scope: ScopeMachine, reason: object) -> None:
    below = scope.cancel(reason)
    if below is not None:
        tell(carrier(), *below)  # another thread may be the one that runs what was deferred


def tell(me: Carrier, host: Any, members: list[Any], children: list[ScopeMachine]) -> None:
    """Have everybody look, down to the shields."""
    if host is not None:
        interrupt(me, host)
    for member in members:
        interrupt(me, member)
    for child in children:
        if not child.shield:
            tell(me, child.host, list(child.members), list(child.children))


def cancel_task(task: Task[Any], reason: object = "") -> None:
    """Cancel one task and the scopes it has opened; nothing if it has ended."""
    if task.finished or task.reason is not None:
        return
    task.reason = (reason,)
    me = carrier()
    interrupt(me, task)
    for child in list(task.home.children):
        if child.host is task and not child.shield:
            tell(me, None, list(child.members), list(child.children))


def interrupt(me: Carrier, task: Task[Any]) -> None:
    """Make the task look: at its next park point, or at the one it is parked at."""
    if task.finished:
        return
    task.trap = ATTEND
    fence()
    waiter = task.waiter
    if waiter is None:
        if task.kernel is not None:
            task.kernel.interrupt(task)
    elif effective(task) is not None:
        revoke(me, waiter, INTERRUPTED)


def expire(task: Task[Any]) -> None:
    """A deadline around this task has passed: cancel the outermost scope whose deadline it was."""
    now = task.kernel.now()
    scope, late = task.scope, None
    while scope is not None and not scope.shield:
        if scope.deadline is not None and now >= scope.deadline:
            late = scope
        scope = scope.parent
    if late is not None:
        late.expired = True
        cancel_scope(late, "deadline")
