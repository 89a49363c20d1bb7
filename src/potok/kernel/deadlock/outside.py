"""What might still wake somebody though no task runs.

Threads that are not potok's, timers and readers of event loops, the signal handlers of users.

Where there is nothing of the kind and every task waits without a deadline, nothing can happen any more, whatever the
tasks wait for. In doubt there is something.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Collection, Iterable
from types import FrameType
from typing import Any, Final

from potok.kernel import interrupts
from potok.kernel.imported import imported
from potok.kernel.services import service_idents
from potok.kernel.task import Task

__all__ = ["handles_signals", "may_be_timed", "someone_outside", "threads_outside"]

_WAITS: Final = {
    ("potok.kernel.threadkernel", "_block"),
    ("potok.kernel.hub", "_sleep"),
    ("potok.kernel.pool", "_wait"),
    ("potok.executors.interpreters.making", "_enter"),
    ("potok.remote.board", "wait"),
    ("potok.remote.board", "_bid_for_lead"),
    ("potok.remote.board", "_stand_by"),
    ("potok.remote.board", "_wait_to_be_stirred"),
    ("potok.remote.desk", "_run"),
    ("potok.remote.polls", "poll"),
    ("potok.remote.spinning", "poll"),
}
"""The functions of potok's in which a thread waits, and has none of anybody's code to go on with."""


def threads_outside(parked: Iterable[Task[Any]]) -> list[int]:
    """The threads that may do anything: not those of potok's and of parked tasks, while these wait."""
    known = service_idents()
    known.update(task.carrier.ident for task in parked)
    here = threading.get_ident()
    return [
        ident
        for ident, frame in sys._current_frames().items()
        if ident != here and not (ident in known and _is_waiting(frame))
    ]


def _is_waiting(frame: FrameType) -> bool:
    """Whether a thread is at a place where it waits, and not in a callback, say, that its loop has called."""
    if _place(frame) == ("selectors", "select"):
        return frame.f_back is not None and _place(frame.f_back) == ("asyncio.base_events", "_run_once")
    return _place(frame) in _WAITS


def _place(frame: FrameType) -> tuple[Any, str]:
    return frame.f_globals.get("__name__"), frame.f_code.co_name


def someone_outside(parked: Collection[Task[Any]]) -> bool:
    """Whether anything but a task might still wake somebody in this process."""
    return (
        bool(threads_outside(parked))
        or _has_native_threads()
        or handles_signals()
        or any(not _is_idle(loop) for loop in _loops())
    )


def _has_native_threads() -> bool:
    """Whether there are threads that Python has not seen yet: of a library in C, that may call back at any time.

    Those of other interpreters can't be told from them.
    """
    interpreters = sys.modules.get("_interpreters")
    if interpreters is not None and len(interpreters.list_all()) > 1:
        return False
    try:
        return len(os.listdir("/proc/self/task")) > len(sys._current_frames())
    except OSError:  # there is no such folder in this system
        return False


def handles_signals() -> bool:
    """Whether a user's handler may run: then a signal may come at any time.

    A sub-interpreter may not even look at them, as the main one's objects are not its own; it runs none, either.
    """
    if not interrupts.signals_come:
        return False
    handlers = ((number, interrupts.getsignal(number)) for number in interrupts.numbers)
    return any(callable(handler) and not _only_ends(number, handler) for number, handler in handlers)


def _only_ends(number: int, handler: Any) -> bool:
    """Whether this handler is one that cancels the program or prints: Python's for Ctrl-C, asyncio's, our own."""
    if handler is signal.default_int_handler or any(handler is known for known in interrupts.harmless):
        return True
    module = str(getattr(getattr(handler, "func", handler), "__module__", ""))
    return module.startswith("potok.") or (number == signal.SIGINT and module == "asyncio.runners")


# ── event loops ─────────────────────────────────────────────────────────────────────────────────────────────


def _loops() -> list[Any]:
    """Those that potok has ever met; any other runs in a thread of somebody's."""
    looping = imported("potok.kernel.looping")
    if looping is None:
        return []
    return [kernel.loop for kernel in looping.kernels() if not kernel.loop.is_closed()]


def _is_idle(loop: Any) -> bool:
    """Whether this loop has nothing to wait for but wakes from other threads. Only asyncio's own can be looked into."""
    ready, scheduled, selector = (getattr(loop, name, None) for name in ("_ready", "_scheduled", "_selector"))
    if ready is None or scheduled is None or selector is None:
        return False
    kernel = getattr(loop, "_potok_kernel", None)
    ours = () if kernel is None else kernel.own_handles()
    timers = [handle for handle in list(scheduled) if not handle.cancelled() and handle not in ours]
    pipe = getattr(loop, "_ssock", None)  # by which other threads wake it
    readers = {key.fd for key in list((selector.get_map() or {}).values())}
    readers -= {pipe.fileno()} if pipe is not None else set()
    coming = [handle for handle in list(ready) if handle not in ours]
    return not timers and not readers and not coming and not getattr(loop, "_signal_handlers", None)


def may_be_timed(task: Task[Any]) -> bool:
    """Whether asyncio may end the task's wait: by a time-out, which is a timer of a loop and no deadline of potok's.

    Who awaits in a task that asyncio started may be cancelled by whoever started that.
    """
    if task.face is not None:
        known_as, loop = task.face, task.face.get_loop()
    elif hasattr(task.kernel, "adopted"):
        if task.home.kind == "root":
            return True
        known_as, loop = task.value, task.kernel.loop
    else:
        return False
    scheduled = getattr(loop, "_scheduled", None)
    return scheduled is None or any(_may_end(handle, known_as) for handle in list(scheduled))


def _may_end(handle: Any, known_as: Any) -> bool:
    """Whether this timer may cancel the task: not a time-out of another one, a sleep, nor what is potok's."""
    callback = handle._callback
    if handle.cancelled() or callback is None:
        return False
    owner = getattr(callback, "__self__", None)
    if owner is not None and getattr(owner, "_task", owner) is known_as:  # `cancel`; asyncio's own time-outs
        return True
    modules = (getattr(callback, "__module__", None) or "", type(owner).__module__)
    return not any(module.startswith(("potok.", "asyncio.", "_asyncio")) for module in modules)
