"""Starting a task: in a scope of the tree, on a kernel, with its ends handed over."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

from potok.kernel.build import fence
from potok.kernel.carrier import Carrier
from potok.kernel.colour import is_async
from potok.kernel.ends import close_end, hand_over, mark_handed
from potok.kernel.task import ASYNC, ATTEND, Task
from potok.machines.channel import End
from potok.machines.scope import ScopeMachine

__all__ = ["Handed", "checked_carry", "prepare", "withdraw_task"]


class Handed:
    """What façades of channel ends derive from, so that `start` knows an end when it sees one."""

    __slots__ = ()

    def _ends(self) -> tuple[End, ...]:
        """The ends it stands for."""
        raise NotImplementedError

    def _with_ends(self, *ends: End) -> Handed:
        """Another façade of the same kind over other ends of the same channels."""
        raise NotImplementedError


def prepare(
    fn: Callable[..., Any], args: tuple[Any, ...], name: str | None, scope: ScopeMachine, starter: Task[Any]
) -> Task[Any]:
    """A task of `scope`, not yet running. Raises TypeError, ClosedError or ScopeError, with nothing changed."""
    if not callable(fn):
        raise TypeError(f"start takes a function and its arguments, not {fn!r} (was it called already?)")
    me = starter.carrier
    task: Task[Any] = Task(fn, args, scope, name)
    if is_async(fn):
        task.base_trap |= ASYNC
    task.trap = task.base_trap
    task.context = copy_context()
    taken: list[End] = []
    try:
        _take_ends(task, me, taken)
        scope.guard.run(me, scope.add, task)
        if _look_up(scope):
            task.trap = ATTEND
    except BaseException:
        for end in task.ends or ():
            close_end(me, end)
        raise
    for end in taken:
        mark_handed(me, end, scope, task, by_body=scope.host is starter)
    return task


def checked_carry(carry: Any) -> tuple[ContextVar[Any], ...]:
    """What `carry=` takes. Raises TypeError for anything but context variables."""
    try:
        variables = tuple(carry)
    except TypeError:
        variables = (None,)
    for variable in variables:
        if not isinstance(variable, ContextVar):
            raise TypeError(f"carry takes context variables in a list, as carry=[request_id], not {carry!r}")
    return variables


def withdraw_task(task: Task[Any], me: Carrier, error: BaseException) -> None:
    """It could not be given to its kernel: it has ended before it began, and its scope does not wait for it."""
    task.error = error
    for end in task.ends or ():
        close_end(me, end, error, f"its task {task.name} could not be started")
    task.args, task.ends = (), None
    task.home.guard.run(me, task.home.remove, task)


def _look_up(scope: ScopeMachine | None) -> bool:
    """Whether there may be a cancellation above. A canceller notes it, then tells members; we add, then look up."""
    fence()
    while scope is not None:
        if scope.reason is not None:
            return True
        if scope.shield:
            return False
        if scope.host is not None and scope.host.reason is not None:
            return True
        scope = scope.parent
    return False


def _take_ends(task: Task[Any], me: Carrier, taken: list[End]) -> None:
    """Give the task ends of its own in place of those among its arguments; the caller's go to `taken`, in order."""
    args = task.args
    for arg in args:
        if isinstance(arg, Handed):
            task.args = tuple(_own(a, task, me, taken) for a in args)
            break
    if isinstance(task.fn, functools.partial):
        task.fn = _bind_own(task.fn, task, me, taken)


def _own(arg: Any, task: Task[Any], me: Carrier, taken: list[End]) -> Any:
    if not isinstance(arg, Handed):
        return arg
    if task.ends is None:
        task.ends = []
    mine = []
    for end in arg._ends():
        own = hand_over(me, end)
        own.owned = True
        mine.append(own)
        task.ends.append(own)
        taken.append(end)
    return arg._with_ends(*mine)


def _bind_own(fn: functools.partial[Any], task: Task[Any], me: Carrier, taken: list[End]) -> Any:
    """The same partial, with ends of the task's own among what it binds."""
    args = tuple(_own(a, task, me, taken) for a in fn.args)
    keywords = {key: _own(value, task, me, taken) for key, value in fn.keywords.items()}
    inner = _bind_own(fn.func, task, me, taken) if isinstance(fn.func, functools.partial) else fn.func
    return functools.partial(inner, *args, **keywords)
