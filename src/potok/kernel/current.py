"""Which task is this? A look-up that costs one C call, in every thread, greenlet and asyncio task.

The task hangs on the current greenlet (every thread has one, whether it knows or not); where greenlet can't be
loaded, as in sub-interpreters, on a thread-local object instead. Code that potok did not start (a plain thread, an
asyncio task of somebody's loop) is adopted when it first asks: it gets an implicit task of the root.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from potok.kernel.carrier import Carrier, in_main_thread
from potok.kernel.task import Task

__all__ = [
    "HAVE_GREENLET",
    "at_thread_end",
    "carrier",
    "current",
    "current_awaiting",
    "getcurrent",
    "running_loop",
]

try:
    import greenlet as _greenlet

    HAVE_GREENLET = True
    getcurrent: Callable[[], Any] = _greenlet.getcurrent
    # When a thread ends, greenlet looks for who still refers to its main greenlet; if it finds nobody, it takes the one
    # reference for a lost one and drops it. It can't see frames that run, nor garbage that is just being collected: so
    # a local variable (of a frame in a traceback, too) was seen to be left with a freed object. What is given up is the
    # release of references that are lost indeed, and a look at every object of the process for each thread that ends.
    _greenlet.enable_optional_cleanup(False)
except ImportError:  # in a sub-interpreter
    HAVE_GREENLET = False
    _local = threading.local()

    def getcurrent() -> Any:
        """What the current task hangs on."""
        return _local


_threads = threading.local()


def carrier() -> Carrier:
    """This OS thread's."""
    try:
        return _threads.carrier  # type: ignore[no-any-return]
    except AttributeError:
        made = _threads.carrier = Carrier()
        return made


class _Farewell:
    """Among a thread's locals, which are dropped as it ends: in that thread, and before greenlet knows of it.

    Those of threads that are still there as the process ends are dropped by another.
    """

    __slots__ = ("ident", "last_words")

    def __init__(self, last_words: Callable[[], object]) -> None:
        self.ident = threading.get_ident()
        self.last_words = last_words

    def __del__(self) -> None:
        if threading.get_ident() == self.ident:
            self.last_words()


def at_thread_end(last_words: Callable[[], object]) -> None:
    """Have the current thread call this as it ends (or when something else is to be called instead).

    Not the main thread, whose end is the process's: what could be called then may be gone already.
    """
    if not in_main_thread():
        _threads.farewell = _Farewell(last_words)


def current() -> Task[Any]:
    """The task that runs here; adopts the thread if it is not one of potok's."""
    try:
        return getcurrent().task  # type: ignore[no-any-return]
    except AttributeError:
        return adopt()


def adopt() -> Task[Any]:
    """An implicit task for this thread's own code, or for the loop that a hub runs in it."""
    from potok.kernel.root import implicit_task

    here = getcurrent()
    here.task = implicit_task(carrier())
    return here.task  # type: ignore[no-any-return]


def running_loop() -> Any:
    """The asyncio loop that runs in this thread, or None; without importing asyncio."""
    import sys

    # While another thread imports asyncio its module is there, but has nothing yet; and nobody has a loop then.
    look = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    return None if look is None else look()


def current_awaiting() -> Task[Any]:
    """The task of the running coroutine: one of potok's, or an asyncio task that is adopted now.

    Raises RuntimeError where there is neither: somebody steps a coroutine by hand.
    """
    task: Task[Any] | None = getattr(getcurrent(), "task", None)
    if task is not None and task.driven:
        return task
    from potok.kernel.adopting import adopted_task

    return adopted_task()
