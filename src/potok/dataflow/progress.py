"""How far a map is: a snapshot for whoever draws, and plain lines on stderr for `progress=True`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["Meter", "PlainLines", "Progress"]

INTERVAL = 1.0  # seconds between two plain lines


class Progress(NamedTuple):
    """A map's state after a result was given out."""

    done: int  # results given out, failures included
    failed: int
    total: int | None  # None where the input can't tell its length
    seconds: float  # since the first result was asked for
    over: bool  # nothing will follow

    @property
    def rate(self) -> float:
        """Items a second, over all."""
        return self.done / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        of = "" if self.total is None else f"/{self.total}"
        failures = f", {self.failed} failed" if self.failed else ""
        return f"{self.done}{of} items{failures}, {self.seconds:.1f} s, {self.rate:.0f} items/s"


class Meter:
    """Counts, and tells."""

    __slots__ = ("_begin", "_done", "_failed", "_tell", "_total")

    def __init__(self, tell: Callable[[Progress], object], total: int | None) -> None:
        self._tell = tell
        self._total = total
        self._done = self._failed = 0
        self._begin = time.monotonic()

    def count(self, failed: bool) -> None:
        """One more result was given out."""
        self._done += 1
        self._failed += failed
        self._tell(self._now(over=False))

    def finish(self) -> None:
        """That was all."""
        self._tell(self._now(over=True))

    def _now(self, over: bool) -> Progress:
        return Progress(self._done, self._failed, self._total, time.monotonic() - self._begin, over)


class PlainLines:
    """A line on stderr every second, and one at the end."""

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due = INTERVAL

    def __call__(self, progress: Progress) -> None:
        """Print the progress if it is time to."""
        if progress.over or progress.seconds >= self._due:
            self._due = progress.seconds + INTERVAL
            sys.stderr.write(f"potok.map: {progress}\n")
            sys.stderr.flush()
