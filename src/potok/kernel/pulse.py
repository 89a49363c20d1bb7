"""When to look for deadlocks: from time to time, by whoever has been parked for a while; more and more seldom.

A look that somebody else has begun since one's own last one has seen all that one's own would have; and looking may
take no more than a hundredth of the time.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

__all__ = ["FIRST", "Pulse", "beyond", "neighbours"]

FIRST = 0.1  # seconds parked before the first look
LONGEST = 10.0  # seconds between looks where nothing changes
SHARE = 100  # times as long as a look took, until the next

beyond: list[Callable[[], object]] = []
"""Called when a look has found nothing here: who may know of tasks in other address spaces."""

neighbours: list[Callable[[], bool]] = []
"""Tell whether there are other address spaces, whose tasks may wake ours."""

_OURS = {"potok", *sys.stdlib_module_names}

_looking = threading.Lock()
_begun = 0.0  # when the last look began
_not_before = 0.0
_failed = False


class Pulse:
    """How one thread or loop paces its looks."""

    __slots__ = ("_pause", "due")

    def __init__(self) -> None:
        self._pause = FIRST
        self.due = time.monotonic() + FIRST

    def rest(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self.due - time.monotonic())

    def quicken(self) -> None:
        """Something has happened: look soon again."""
        if self._pause > FIRST:
            self._pause = FIRST
            self.due = min(self.due, time.monotonic() + FIRST)

    def beat(self, here: FrameType) -> None:
        """Look, if it is time to. The caller is about to wait, or just did; `here` is its frame."""
        now = time.monotonic()
        if now < self.due:
            return
        if _begun > self.due - self._pause or _look(here):
            self._pause = min(2 * self._pause, LONGEST)
        self.due = max(now + self._pause, _not_before)


def _look(here: FrameType) -> bool:
    """False if it is too early for a look, or another looks just now."""
    global _begun, _failed, _not_before
    now, looking = time.monotonic(), _looking
    if _failed or now < _not_before or not looking.acquire(blocking=False):
        return False
    try:
        from potok.kernel.deadlock.proof import resolve

        _begun = now = time.monotonic()
        resolve(here)
    except Exception as error:
        if _is_of_a_handler(error):
            raise
        import logging

        logging.getLogger("potok").exception("the look for deadlocks failed; they are not found any more")
        _failed = True
    finally:
        _not_before = time.monotonic() + SHARE * (time.monotonic() - now)
        looking.release()
    return True


def _is_of_a_handler(error: BaseException) -> bool:
    """Whether a user's signal handler has raised it, which happened to come while this thread looked."""
    from potok.kernel.interrupts import may_raise

    if threading.current_thread() is not threading.main_thread() or not may_raise():
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = "" if trace is None else trace.tb_frame.f_globals.get("__name__", "")
    return module.partition(".")[0] not in _OURS


def _after_fork() -> None:
    """In a child of a thread beside which another has just looked."""
    global _looking
    _looking = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
