"""The root of everything that runs in this process: a supervisor that never ends.

A task of the root (`potok.start`) that fails is reported to an except hook and its siblings live on. Code that potok
did not start is a task of the root too, its implicit one.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from typing import Any
from weakref import WeakValueDictionary

from potok.errors import Cancelled
from potok.kernel.carrier import Carrier
from potok.kernel.guard import Guard
from potok.kernel.task import Task
from potok.kernel.threadkernel import ThreadKernel, seat
from potok.machines.scope import ScopeMachine

__all__ = ["implicit", "implicit_task", "own_code", "report_failure", "root"]

root = ScopeMachine(None, None, kind="root")
root.guard = Guard(None)

# By number; not a set of weak references, which can't be walked through while a thread is added.
implicit: WeakValueDictionary[int, Task[Any]] = WeakValueDictionary()

_thread_kernel = ThreadKernel()


def implicit_task(carrier: Carrier) -> Task[Any]:
    """A task that stands for a thread's own code, or for a greenlet of its that potok does not know."""
    task: Task[Any] = Task(own_code, (), root, name=carrier.name)
    task.kernel = _thread_kernel
    task.executor = "threads"
    task.started = True
    seat(task)
    implicit[task.id] = task
    return task


def own_code() -> None:
    """What the implicit task of a thread is said to run."""


def report_failure(task: Task[Any], error: BaseException) -> None:
    """A task that nobody waits for failed: tell the log and stderr, once."""
    hook = except_hook
    hook(task, error)


def print_failure(task: Task[Any], error: BaseException) -> None:
    """The default hook: the traceback on stderr, as for a thread."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    print(f"Exception in potok task {task.name} (started with potok.start):", file=sys.stderr)
    print("".join(lines), end="", file=sys.stderr)


except_hook: Any = print_failure


def _after_fork() -> None:
    """In a forked child only the forking thread is left: forget the tasks that ran elsewhere, as if cancelled.

    Scopes that this thread is inside of can then come to their end in the child, too.
    """
    here = threading.get_ident()
    root.guard = Guard(None)
    implicit.clear()
    _forget_lost(root, here)


def _forget_lost(scope: ScopeMachine, here: int) -> None:
    for task in list(scope.members):
        if task.started and getattr(getattr(task, "carrier", None), "ident", None) != here:
            scope.members.discard(task)
            task.error, task.finished = Cancelled("it ran in a thread of the process that was forked"), True
    for child in list(scope.children):
        if child.host is not None and child.host.started and child.host.carrier.ident == here:
            child.guard = Guard(None)
            _forget_lost(child, here)
        else:
            scope.children.discard(child)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
