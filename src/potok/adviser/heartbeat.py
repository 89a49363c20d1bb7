"""How much of the time is the GIL held by somebody else? A thread that keeps waking up sees it.

    heartbeat   ──sleep──▶ wake ──wait for the GIL──▶ run, a few µs ──sleep──▶ …
                           └── was it free here? ──┘

A thread that wakes needs the GIL to go on. If it is free, it runs at once; if it is held, it is put to sleep a second
time, until the holder lets go: for 5 ms under Python code (`sys.getswitchinterval`), for as long as it takes under a C
function. The system counts how often a thread gave up its core by itself, so the count tells the two apart whatever the
time it took: also where the GIL is held for microseconds at a time, and on a machine whose cores are busy with others.
Where the system does not count (not Linux), being more than `LATE` behind is taken for it.

A beat stands for the time since the last one. So the share is weighted with time: a C call of 50 ms is one beat that
comes 50 ms late, and the 50 ms after it are fifty that are not. That the thread comes to life is a beat as well: who
watches a single C call sees no other.

What is watched may come in short pieces, with something else in between: the thread lives through the gaps, and a beat
counts that was due in a piece, as much as it saw of it. One that was due before may have waited for what is no concern.

On a busy machine the watched thread is without a core now and then, with the GIL or without it. So of each beat's time
it is noted how much of it that thread computed; of the rest only what it really waited counts, see `Watch.share`.

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

__all__ = ["Heartbeat", "Watch", "count_switches", "gil_is_on", "queued"]

SHORTEST: Final = 0.001  # seconds from one beat to the next; at first, as what is short needs them most
LONGEST: Final = 0.005
GROWTH: Final = 1.1
LATE: Final = (
    0.0005  # seconds; a thread that finds the GIL free was seen to be 0.1 behind, on a busy machine 0.3
)
OVERDUE: Final = 0.002  # the same for a thread that has not come to life yet
PATIENCE: Final = (
    0.02  # seconds to wait for one that is overdue at the end: it comes at once where it wants the GIL
)
LINGER: Final = 3  # beats that come while nothing is watched, before the thread ends


class Watch(NamedTuple):
    """Seconds that were seen so far. Watches of different times can be subtracted."""

    beats: int = 0
    held: float = 0.0  # the GIL was held, and the watched thread computed
    free: float = 0.0  # the GIL was free, and it computed
    held_idle: float = 0.0  # the GIL was held, and it did not compute
    free_idle: float = 0.0

    @property
    def watched(self) -> float:
        """All of them."""
        return self.held + self.free + self.held_idle + self.free_idle

    def since(self, earlier: Watch) -> Watch:
        """What was seen after that."""
        return Watch(
            self.beats - earlier.beats, *(mine - its for mine, its in zip(self[1:], earlier[1:], strict=True))
        )

    def share(self, waiting: float) -> float | None:
        """The share of the time in which the GIL was held; None if nothing was seen.

        Args:
            waiting: the share of the time in which the watched thread waited for something that was no core. If it was
                idle for longer, it was kept from work, and that time tells nothing.
        """
        idle = self.held_idle + self.free_idle
        counts = min(1.0, waiting * self.watched / idle) if idle > 0 else 0.0
        held, free = self.held + counts * self.held_idle, self.free + counts * self.free_idle
        return held / (held + free) if held + free > 0 else None


def _count_switches() -> int:
    """How often the current thread has waited for something."""
    return getrusage(RUSAGE_THREAD).ru_nvcsw


count_switches: Callable[[], int] | None
"""Where the system counts them."""

try:
    from resource import RUSAGE_THREAD, getrusage
except ImportError:  # not Linux
    count_switches = None
else:
    count_switches = _count_switches


def clock_of_this_thread() -> Callable[[], float]:
    """A clock that tells, in any thread, how long this one has computed; where there is none, as if it always did."""
    try:
        number = time.pthread_getcpuclockid(threading.get_ident())
    except (AttributeError, OSError):  # not Unix
        return time.perf_counter
    return lambda: time.clock_gettime(number)


class Heartbeat:
    """Between `begin` and `end`, look how much of the time the GIL is held while the calling thread does what it does.

    Nothing is running before the first `begin`, and from `LINGER` beats after `end` on. May be begun again at any time;
    by one thread at a time. The arguments are for tests.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], object] = time.sleep,
        switches: Callable[[], int] | None = count_switches,
        start: Callable[[Callable[[], None]], object] = lambda run: _thread.start_new_thread(run, ()),
        clock_of_caller: Callable[[], Callable[[], float]] = clock_of_this_thread,
        wait: Callable[[threading.Event], object] = lambda told: told.wait(PATIENCE),
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._switches = switches
        self._start = start
        self._clock_of_caller = clock_of_caller
        self._wait = wait
        self._lock = threading.Lock()
        self._watching = False
        self._alive = False  # the thread is, and will look at `_watching` once more
        self._unseen = 0  # beats in a row while nothing was watched
        self._asked: tuple[float, threading.Event] | None = None  # what was it doing until then?
        self._cpu: Callable[[], float] = time.perf_counter  # of the watched thread
        self._since = self._cpu_then = 0.0  # nothing after it is in the sums yet
        self._has_beaten = False  # since it was begun
        self._period = SHORTEST
        self._seen = Watch()

    @property
    def seen(self) -> Watch:
        """What was seen until now."""
        with self._lock:
            return self._seen

    def begin(self) -> None:
        """Start to watch this thread. Costs another one's start (25 µs) where none is left from the last time."""
        with self._lock:
            self._cpu = self._clock_of_caller()
            self._since, self._cpu_then = self._clock(), self._cpu()
            self._watching, self._has_beaten = True, False
            if self._alive:
                return
            self._alive, self._unseen = True, 0
        try:
            self._start(self._run)
        except RuntimeError:  # no more threads to be had: then nothing is seen
            self._alive = self._watching = False

    def end(self) -> None:
        """Watch no more. Does not wait until the thread has ended, which it does by itself.

        One that has not beaten once, though it had the time, is asked why: it gets the GIL for that (0.1 ms).
        """
        now = self._clock()
        with self._lock:
            overdue = self._watching and not self._has_beaten and now - self._since > self._period + OVERDUE
            self._watching = False
            if not overdue:
                return
            told = threading.Event()
            self._asked = now, told
        self._wait(told)
        with self._lock:
            self._asked = None

    def _run(self) -> None:
        waits = self._switches() if self._switches is not None else 0
        born = self._clock()
        late = self._switches is None and born - self._since > OVERDUE
        # That it was not kept waiting is no news: until then it may have been without a core itself.
        if self._note(born, waits > 0 or late, due=born, sure=waits > 0 or late):
            while self.beat():
                pass

    def beat(self) -> bool:
        """Sleep, and see how one wakes. Whether to go on."""
        with self._lock:
            period = self._period
        before = 0 if self._switches is None else self._switches()
        due = self._clock() + period
        self._sleep(period)
        woke = self._clock()
        if self._switches is None:
            return self._note(woke, woke - due > LATE, due)
        return self._note(woke, self._switches() - before > 1, due)  # once is the sleep itself

    def _note(self, now: float, held: bool, due: float, sure: bool = True) -> bool:
        """Count the time until now, if anybody still wants to know. Whether to go on."""
        with self._lock:
            if self._asked is not None:
                asked, told = self._asked
                if held:
                    self._count(asked, held)
                self._asked = None
                told.set()
            elif self._watching and sure and now > self._since and due >= self._since:
                self._count(now, held)
            self._unseen = 0 if self._watching else self._unseen + 1
            self._alive = self._unseen < LINGER
            return self._alive

    def _count(self, now: float, held: bool) -> None:
        stretch, cpu = now - self._since, self._computed()
        computing = min(stretch, max(0.0, cpu - self._cpu_then))
        beats, held_, free, held_idle, free_idle = self._seen
        if held:
            held_, held_idle = held_ + computing, held_idle + stretch - computing
        else:
            free, free_idle = free + computing, free_idle + stretch - computing
        self._seen = Watch(beats + 1, held_, free, held_idle, free_idle)
        self._since, self._cpu_then, self._has_beaten = now, cpu, True
        self._period = min(LONGEST, self._period * GROWTH)

    def _computed(self) -> float:
        try:
            return self._cpu()
        except OSError:  # the watched thread is no more
            return self._cpu_then


def gil_is_on() -> bool:
    """Whether there is a GIL to be held; a free-threaded build has one when an extension asked for it."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def queued() -> float:
    """How long this thread has been waiting for a core; 0.0 where the system does not tell (not Linux). 12 µs."""
    try:
        with open("/proc/thread-self/schedstat", "rb", buffering=0) as file:  # noqa: PTH123 - half the time
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
