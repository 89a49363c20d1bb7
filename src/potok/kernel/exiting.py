"""What the root does as the interpreter exits: it cancels what still runs in it and gives it a moment to clean up.

A sub-interpreter ends before its process does: there the threads that potok keeps are to end, too (`endings`).

Threads of the pool are daemons (others would be joined before `atexit` runs), so what does not stop is cut off.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable

from potok.kernel.cancelling import cancel_task
from potok.kernel.joining import join
from potok.kernel.root import root

__all__ = ["end_root", "end_space", "endings", "watch_exit"]

GRACE = 1.0  # seconds, for all tasks together

endings: list[Callable[[], None]] = []
"""Each ends threads that wait for work, and waits until they have ended."""

_watching = False


def watch_exit() -> None:
    """Called when the first task of the root is started."""
    global _watching
    if not _watching:
        _watching = True
        atexit.register(end_root)


def end_root() -> None:
    """Cancel the tasks of the root and wait for them, for a moment."""
    from time import monotonic

    members = list(root.members)
    for task in members:
        cancel_task(task, "the interpreter exits")
    until = monotonic() + GRACE
    for task in members:
        if not join(task, max(0.0, until - monotonic())):
            return


def end_space() -> None:
    """End what potok has running in this sub-interpreter, as far as it ends."""
    end_root()
    for end in reversed(endings):
        end()
