"""Looking again for a moment before one blocks: waking a process on an idle core takes ten times as long as a message.

Only while that pays. Each look that brings nothing counts against the next ones, and one after which this thread did
not come back at once (the core is somebody else's, or the GIL is) stops it for a while.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from potok.cores import find_cores
from potok.kernel.threadkernel import ThreadWaiter

__all__ = ["Spinner", "spins"]

SPIN: Final = 100e-6  # seconds
AWAY: Final = 30e-6  # seconds after which a look was interrupted
BEST, WORST, AWAY_COSTS = 8, -32, 8
NEVER: Final = -(1 << 30)


def _yield_nothing() -> None:
    """Where a thread can't give its core away."""


_give_way: Callable[[], None] = getattr(os, "sched_yield", _yield_nothing)


class Spinner:
    """Whether, and how long, to look again."""

    __slots__ = ("_score",)

    def __init__(self) -> None:
        self._score: int | None = None  # until somebody asks

    def poll(self, look: Callable[[float], Any], timeout: float | None) -> Any:
        """What `look(0)` brings within a moment, or `look(timeout)` then."""
        if timeout is not None and timeout <= SPIN:
            return look(timeout)
        return self.spin(look, 0) or look(timeout)  # type: ignore[arg-type]

    def spin(self, look: Callable[..., Any], *args: Any) -> Any:
        """What `look(*args)` brings within a moment; None: nothing."""
        score = self._score
        if score is None:
            score = BEST // 2 if _has_cores() else NEVER
        if score <= 0:
            self._score = score + 1  # some time it is tried again
            return None
        now = time.monotonic()
        until = now + SPIN
        while now < until:
            found = look(*args)
            if found:
                self._score = min(score + 1, BEST)
                return found
            _give_way()
            before, now = now, time.monotonic()
            if now - before > AWAY:
                score -= AWAY_COSTS
                break
        self._score = max(score - 1, WORST)
        return None


@cache
def _has_cores() -> bool:
    return find_cores().usable > 1


def spins(party: Any) -> bool:
    """Whether it has its thread to itself: nobody else waits for it while it looks."""
    return party.waiter_type is ThreadWaiter
