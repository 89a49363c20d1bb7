"""Looking again for a moment before one blocks: waking a process on an idle core takes ten times as long as a message.

Only while that pays. Each look that brings nothing counts against the next ones, and one after which this thread did
not come back at once (the core is somebody else's, or the GIL is) stops it for a while.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Final

from potok.cores import find_cores

__all__ = ["Spinner"]

SPIN: Final = 100e-6  # seconds
AWAY: Final = 30e-6  # seconds after which a look was interrupted
BEST, WORST, AWAY_COSTS = 8, -32, 8


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
        if self._score is None:
            self._score = BEST // 2 if find_cores().usable > 1 else WORST - (1 << 30)
        if self._score <= 0 or (timeout is not None and timeout <= SPIN):
            self._score += 1  # some time it is tried again
            return look(timeout)  # type: ignore[arg-type]
        now = time.monotonic()
        until = now + SPIN
        while now < until:
            found = look(0)
            if found:
                self._score = min(self._score + 1, BEST)
                return found
            _give_way()
            before, now = now, time.monotonic()
            if now - before > AWAY:
                self._score -= AWAY_COSTS
                break
        self._score = max(self._score - 1, WORST)
        return look(timeout)  # type: ignore[arg-type]
