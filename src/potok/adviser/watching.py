"""What the system tells of a run: CPU time of this program and its workers, peak memory, the share of the GIL.

CPU time and memory of other processes come from Linux's clocks and /proc; elsewhere they are None. Worker processes are
the descendants of this one that used CPU time during the run: others lie idle.

The GIL is watched by a heartbeat: a thread that wants it at random moments and records how long it had to wait. Moments
that come independently of what happens see each state as often as it lasts (PASTA), so the share of beats that had to
wait is the share of time in which the GIL was held. What it misses: holding it for less than `LATE` at a stretch, as
threads do that hand over to each other all the time. What it disturbs: each beat that waits makes the holder give the
GIL up, so runs that are watched are not the timed ones; and before the next moment is drawn, it gets the time to come
back.

Not `heartbeat.Heartbeat`, which the probe has: that one watches one thread, and weighs what it sees with what this
thread computes meanwhile; a run on an executor has no thread that stands for it. And it is told here how late one gets
the GIL, so moments must be drawn, and being late timed, where there it is enough to count that somebody waited.

Source: R. W. Wolff, "Poisson Arrivals See Time Averages", Operations Research 30(2), 1982.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from potok.adviser.comparison import Gil
from potok.adviser.heartbeat import gil_is_on, queued

__all__ = ["Heartbeat", "Memory", "cpu_clocks", "cpu_of_program", "cpu_used"]

EVERY: Final = 0.002  # seconds between two beats, on average, and after
SETTLING: Final = 0.001  # seconds: what waking takes whom the last beat made wait
LATE: Final = 0.0003  # seconds: what waking takes without a GIL to wait for, 0.1 ms, and some
FEWEST: Final = 15  # beats that say something
SAMPLE_EVERY: Final = 0.01  # seconds between two looks at the memory

PROC: Final = Path("/proc")


def cpu_of_program() -> float:
    """CPU seconds so far of this process, and of those that it started and that have ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def cpu_clocks() -> dict[int, float] | None:
    """CPU seconds so far of each process that descends from this one; None where that can't be known."""
    pids = _descendants()
    if pids is None:
        return None
    clocks = {}
    for pid in pids:
        try:
            # Linux's own number for the clock of a process, what clock_getcpuclockid(3) gives.
            clocks[pid] = time.clock_gettime((~pid << 3) | 2)
        except OSError:
            continue  # ended meanwhile
    return clocks


def cpu_used(before: dict[int, float] | None, after: dict[int, float] | None) -> dict[int, float] | None:
    """CPU seconds between two looks, of those that used any."""
    if before is None or after is None:
        return None
    used = {pid: seconds - before.get(pid, 0.0) for pid, seconds in after.items()}
    return {pid: seconds for pid, seconds in used.items() if seconds > 0}


def _descendants() -> list[int] | None:
    """Children of this process, and theirs."""
    if sys.platform != "linux" or not PROC.is_dir():
        return None
    children: dict[int, list[int]] = {}
    for entry in os.listdir(PROC):  # noqa: PTH208 - thousands of them
        if entry.isdecimal() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry))
    found, left = [], [os.getpid()]
    while left:
        more = children.get(left.pop(), [])
        found += more
        left += more
    return found


def _parent(pid: str) -> int | None:
    try:
        stat = (PROC / pid / "stat").read_bytes()
    except OSError:
        return None
    return int(stat.rpartition(b")")[2].split()[1])  # the name, in brackets, may hold anything


class _Beside:
    """A context manager around a run, with a thread beside it that watches, if there is anything to be seen."""

    def __init__(self, watch: Callable[[], None], name: str, *, sees: bool) -> None:
        self._over = threading.Event()
        self._sees = sees
        self._thread = threading.Thread(target=watch, name=name, daemon=True)

    def __enter__(self) -> Self:
        if self._sees:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()


class Heartbeat(_Beside):
    """A context manager around a run; `gil` says afterwards what was seen."""

    def __init__(self) -> None:
        super().__init__(self._beat, "potok-heartbeat", sees=gil_is_on())
        self._late: list[float] = []

    @property
    def gil(self) -> Gil | None:
        """None where there is no GIL, or the run was too short to tell."""
        late = self._late
        if len(late) < FEWEST:
            return None
        waited = [seconds for seconds in late if seconds > LATE]
        return Gil(len(waited) / len(late), sum(waited) / len(late), len(late))

    def _beat(self) -> None:
        asked = queued()
        while not self._over.is_set():
            wanted = time.perf_counter() + SETTLING + random.expovariate(1 / EVERY)
            time.sleep(max(0.0, wanted - time.perf_counter()))
            late = time.perf_counter() - wanted
            if late > LATE:  # a wait for a core is not one for the GIL
                now = queued()
                late, asked = late - (now - asked), now
            self._late.append(late)


class Memory(_Beside):
    """A context manager around a run: looks at the memory of this process and its descendants now and then.

    Shared pages count in parts (the proportional set size), so that nothing is counted twice.
    """

    def __init__(self) -> None:
        self._own = _resident("self")
        super().__init__(self._watch, "potok-memory", sees=self._own is not None)
        self._peak_own = self._own
        self._peaks: dict[int, int] = {}

    def peak(self, workers: set[int]) -> int | None:
        """Bytes that this process took beyond what it had, and those of the workers at their own peaks."""
        if self._own is None or self._peak_own is None:
            return None
        return self._peak_own - self._own + sum(self._peaks.get(pid, 0) for pid in workers)

    def _watch(self) -> None:
        while True:
            over = self._over.wait(SAMPLE_EVERY)
            self._peak_own = max(self._peak_own or 0, _resident("self") or 0)
            for pid in _descendants() or ():
                self._peaks[pid] = max(self._peaks.get(pid, 0), _resident(str(pid)) or 0)
            if over:
                return


def _resident(pid: str) -> int | None:
    try:
        for line in (PROC / pid / "smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
