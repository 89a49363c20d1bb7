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
    """A heartbeat without a thread: `beats` are (seconds late, times waited), one for each sleep."""

    def __init__(self, beats: Any = (), counts: bool = True) -> None:
        self.now = 0.0
        self._waits = 0
        self._beats = iter(beats)
        self._counts = counts
        self.started: list[Callable[[], None]] = []
        self.heart = Heartbeat(lambda: self.now, self._sleep, lambda: self._waits, self.started.append)

    def _sleep(self, seconds: float) -> None:
        late, waits = next(self._beats)
        self.now += seconds + late
        if self._counts:
            self._waits += waits
