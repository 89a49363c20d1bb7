"""How much of the time is the GIL held by somebody else? A thread that keeps waking up sees it.

    heartbeat   ──sleep──▶ wake ──wait for the GIL──▶ run, a few µs ──sleep──▶ …
                           └── was it free here? ──┘

A thread that wakes needs the GIL to go on. If it is free, it runs at once; if it is held, it is put to sleep a second
time, until the holder lets go: for 5 ms under Python code (`sys.getswitchinterval`), for as long as it takes under a C
function. The system counts how often a thread gave up its core by itself, so the count tells the two apart whatever the
time it took: also where the GIL is held for microseconds at a time, and on a machine whose cores are busy with others.
Where the system does not count (not Linux), being more than `LATE` behind is taken for it.

A beat stands for the time since the last one. So the share is weighted with time: a C call of 50 ms is one beat that
comes 50 ms late, and the 50 ms after it are fifty that are not. What is overdue when the watch ends counts as well.

Measured on 2 cores (alternating, 90 ms each, medians): a Python loop is slowed by 1.2 % with a beat each millisecond,
by 0.5 % with one in 5 ms; what releases the GIL by less than 0.6 %. Hence `SHORTEST` and `LONGEST`.

Whoever else in the program holds the GIL is counted, too. A hold of a microsecond may be over before the thread has
lain down again: then the share is told too low (0.25 for numpy on 2,000 numbers, where half the time would be right).

Source: the idea of timing how long the GIL takes to get is that of gilknocker (and of dask/distributed#7290); counting
the switches instead is ours. CPython, Python/ceval_gil.c.
"""

from __future__ import annotations

import _thread
import sys
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

__all__ = ["Heartbeat", "Watch", "count_switches"]

SHORTEST: Final = 0.001  # seconds from one beat to the next; at first, as what is short needs them most
LONGEST: Final = 0.005
GROWTH: Final = 1.1
LATE: Final = (
    0.0005  # seconds; a thread that finds the GIL free was seen to be 0.1 behind, on a busy machine 0.3
)
OVERDUE: Final = 0.001  # the same for a beat that has not come at all; its thread may still have to start


class Watch(NamedTuple):
    """What was seen so far. Watches of different times can be subtracted."""

    watched: float = 0.0  # seconds
    held: float = 0.0  # seconds of them in which the GIL was held
    beats: int = 0

    def since(self, earlier: Watch) -> Watch:
        """What was seen after that."""
        return Watch(self.watched - earlier.watched, self.held - earlier.held, self.beats - earlier.beats)


def count_switches() -> int:
    """How often the current thread has waited for something; 0 where the system does not count."""
    return 0


try:
    from resource import RUSAGE_THREAD, getrusage
except ImportError:  # not Linux
    pass
else:

    def count_switches() -> int:
        """How often the current thread has waited for something."""
        return getrusage(RUSAGE_THREAD).ru_nvcsw


class Heartbeat:
    """Between `begin` and `end`, look how much of the time the GIL is held.

    Nothing is running before the first `begin`, and from one beat after `end` on. May be begun again at any time; by
    one thread at a time.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], object] = time.sleep,
        switches: Callable[[], int] = count_switches,
        start: Callable[[Callable[[], None]], object] = lambda run: _thread.start_new_thread(run, ()),
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._switches = switches
        self._start = start
        self._lock = threading.Lock()
        self._watching = False
        self._alive = False  # the thread is, and will look at `_watching` once more
        self._since = 0.0  # nothing after it is in the sums yet
        self._due = 0.0  # when the next beat should come
        self._period = SHORTEST
        self._seen = Watch()

    @property
    def seen(self) -> Watch:
        """What was seen until now."""
        with self._lock:
            return self._seen

    def begin(self) -> None:
        """Start to watch. Costs a thread's start (25 µs) where none is left from the last time."""
        with self._lock:
            self._since = self._clock()
            self._due = self._since + self._period
            self._watching = True
            if self._alive:
                return
            self._alive = True
        try:
            self._start(self._run)
        except RuntimeError:  # no more threads to be had: then nothing is seen
            self._alive = self._watching = False

    def end(self) -> None:
        """Watch no more. Does not wait for the thread, which ends by itself."""
        now = self._clock()
        with self._lock:
            if self._watching and now - self._due > OVERDUE:
                # It should have come, and would have, had the GIL been free at any moment since.
                self._count(now, held=True)
            self._watching = False

    def _run(self) -> None:
        while self.beat():
            pass

    def beat(self) -> bool:
        """Sleep, and see how one wakes. Whether to go on."""
        with self._lock:
            period = self._period
        asleep, before = self._clock(), self._switches()
        self._sleep(period)
        woke, waits = self._clock(), self._switches() - before
        # One wait is the sleep itself.
        held = waits > 1 if waits else woke - asleep - period > LATE
        with self._lock:
            if not self._watching:
                self._alive = False
                return False
            if woke > self._since:  # it may have been begun again meanwhile
                self._count(woke, held)
                self._due = woke + self._period
            return True

    def _count(self, now: float, held: bool) -> None:
        stretch = now - self._since
        watched, so_far, beats = self._seen
        self._seen = Watch(watched + stretch, so_far + (stretch if held else 0.0), beats + 1)
        self._since = now
        self._period = min(LONGEST, self._period * GROWTH)


def gil_is_on() -> bool:
    """Whether there is a GIL to be held; a free-threaded build has one when an extension asked for it."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())
