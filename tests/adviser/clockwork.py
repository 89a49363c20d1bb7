"""Time that passes only when a test says so."""

from collections.abc import Callable
from typing import Any

from potok.adviser.heartbeat import Heartbeat
from potok.adviser.probe import Clocks


class Time:
    """The clocks of one thread: `work` and `wait` let time pass."""

    def __init__(self) -> None:
        self.wall = self.cpu = self.process_cpu = self.queued = 0.0

    def work(self, seconds: float, cores: float = 1.0, queued: float = 0.0) -> None:
        """Compute for that long, with other threads on `cores - 1` more cores; wait for a core for `queued` before."""
        self.wall += seconds + queued
        self.cpu += seconds
        self.process_cpu += seconds * cores
        self.queued += queued

    def wait(self, seconds: float) -> None:
        self.wall += seconds

    def clocks(self) -> Clocks:
        return Clocks(lambda: self.wall, lambda: self.cpu, lambda: self.process_cpu, lambda: self.queued)


class Beating:
    """A heartbeat without a thread: `beats` are (seconds late, times waited), one for each sleep.

    A third number is for how long the watched thread computes meanwhile; without one, all the time.
    """

    def __init__(self, beats: Any = (), counts: bool = True) -> None:
        self.now = self.computed = 0.0
        self.waits = 0
        self._beats = iter(beats)
        self.started: list[Callable[[], None]] = []
        self.heart = Heartbeat(
            lambda: self.now,
            self._sleep,
            (lambda: self.waits) if counts else None,
            self.started.append,
            lambda: lambda: self.computed,
            lambda told: self.asked(),
        )

    def _sleep(self, seconds: float) -> None:
        late, waits, *computed = next(self._beats)
        self.now += seconds + late
        self.computed += computed[0] if computed else seconds + late
        self.waits += waits

    def work(self, seconds: float) -> None:
        """The watched thread computes, and the other one gets no chance."""
        self.now += seconds
        self.computed += seconds

    def asked(self) -> None:
        """Called where the heart waits for a thread that is overdue."""
