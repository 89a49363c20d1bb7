"""What might still wake somebody though no task runs.

Threads that are not potok's, timers and readers of event loops, the signal handlers of users.

Where there is nothing of the kind and every task waits without a deadline, nothing can happen any more, whatever the
tasks wait for. In doubt there is something.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Collection, Iterable
from typing import Any

from potok.kernel import interrupts
from potok.kernel.services import service_idents
from potok.kernel.task import Task

__all__ = ["handles_signals", "may_be_timed", "someone_outside", "threads_outside"]


def threads_outside(parked: Iterable[Task[Any]]) -> list[int]:
    """The threads that may do anything: not potok's, and not those of parked tasks."""
    known = service_idents()
    known.update(task.carrier.ident for task in parked)
    known.add(threading.get_ident())
    return [ident for ident in sys._current_frames() if ident not in known]


def someone_outside(parked: Collection[Task[Any]]) -> bool:
    """Whether anything but a task might still wake somebody in this process."""
    return bool(threads_outside(parked)) or handles_signals() or any(not _is_idle(loop) for loop in _loops())


def handles_signals() -> bool:
    """Whether a user's handler may run: then a signal may come at any time."""
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
    looping = sys.modules.get("potok.kernel.looping")
    return (
        []
        if looping is None
        else [kernel.loop for kernel in looping.kernels() if not kernel.loop.is_closed()]
    )


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
    return scheduled is None or any(_timed_by(handle) is known_as for handle in list(scheduled))


def _timed_by(handle: Any) -> Any:
    """Whose time-out this timer is."""
    return getattr(getattr(handle._callback, "__self__", None), "_task", None)
