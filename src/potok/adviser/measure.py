"""One run of the function over the sample: the plain loop, or a map on an executor."""

from __future__ import annotations

import asyncio
import collections
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import potok
from potok.adviser.agreement import Failure
from potok.adviser.comparison import Gil
from potok.adviser.heartbeat import queued
from potok.adviser.watching import Heartbeat, Memory, cpu_clocks, cpu_of_program, cpu_used
from potok.dataflow.colour import is_async

__all__ = [
    "Cold", "Gathered", "Limits", "Run", "Subject", "Watched", "gather", "run_cold", "send", "watch",
]  # fmt: skip

SHORTEST: Final = 0.01  # seconds: a loop that takes less is timed several times over


class Run(NamedTuple):
    """A timed run. CPU seconds are for one pass over the items."""

    seconds: float
    first: float  # seconds until the first result
    cpu_program: float
    cpu_workers: float | None
    queued: float = 0.0  # seconds that the calling thread was ready to run and had no core


class Cold(NamedTuple):
    """A very first run, with new workers, and what it gave: for fewer items if it was stopped."""

    run: Run
    values: list[Any]  # a Failure where the function raised
    remote: str | None  # an item that can't travel, or whose worker died: the error


class Watched(NamedTuple):
    """What was seen of runs that were not timed."""

    gil: Gil | None
    memory_bytes: int | None


class Gathered(NamedTuple):
    """The sample, and what a first plain loop made of it."""

    items: list[Any]
    values: list[Any]
    seconds: float
    complete: bool  # the input has no more


class Subject:
    """What is measured: an executor with so many workers, or (`on` is None) the plain loop."""

    def __init__(self, fn: Callable[..., Any], on: Any, workers: int) -> None:
        self.fn = fn
        self.on = on
        self.workers = workers

    @property
    def has_processes(self) -> bool:
        """Whether the function runs in other processes than this one."""
        return bool(getattr(self.on, "name", self.on) == "processes")

    def run(self, items: Sequence[Any]) -> Run:
        """One timed pass; the results are thrown away."""
        meter = _Meter(self)
        seconds, first, passes = self.time(items)
        return meter.run(seconds, first, passes)

    def time(self, items: Sequence[Any]) -> tuple[float, float, int]:
        """Seconds of one pass and to its first result, and how many passes it took to find that out."""
        return self._loop(items) if self.on is None else self._map(items)

    def _map(self, items: Sequence[Any]) -> tuple[float, float, int]:
        began = time.perf_counter()
        with self.results(items) as results:
            stream = iter(results)
            next(stream, None)
            first = time.perf_counter() - began
            collections.deque(stream, maxlen=0)
            return time.perf_counter() - began, first, 1

    def _loop(self, items: Sequence[Any]) -> tuple[float, float, int]:
        """The plain loop, again and again until it took long enough to be timed."""
        seconds = _loop(self.fn, items, 1)
        more = math.ceil(SHORTEST / seconds) if 0 < seconds < SHORTEST else 0
        if more:
            seconds = _loop(self.fn, items, more) / more
        return seconds, seconds / len(items), 1 + more

    def results(self, items: Iterable[Any]) -> Any:
        """The results of a map, to be entered and iterated."""
        return potok.map(self.fn, items, on=self.on, workers=self.workers, on_error="return")


def _loop(fn: Callable[..., Any], items: Sequence[Any], passes: int) -> float:
    """Seconds of the best plain loop there is: no call, no list, no look at a clock in it."""
    if is_async(fn):
        return asyncio.run(_aloop(fn, items, passes))
    seconds = 0.0
    for _ in range(passes):
        began = time.perf_counter()
        for item in items:
            try:
                fn(item)
            except Exception:  # noqa: BLE001, S110 - counted elsewhere; costs nothing where none is raised
                pass
        seconds += time.perf_counter() - began
    return seconds


async def _aloop(fn: Callable[..., Any], items: Sequence[Any], passes: int) -> float:
    seconds = 0.0
    for _ in range(passes):
        began = time.perf_counter()
        for item in items:
            try:
                await fn(item)
            except Exception:  # noqa: BLE001, S110 - as above
                pass
        seconds += time.perf_counter() - began
    return seconds


class Limits(NamedTuple):
    """How big the sample may be."""

    least: int  # items, so that every worker gets some
    most: int
    wanted: float  # seconds of the plain loop: then it is enough
    bearable: float  # seconds: then it is enough, too, if it can be shared out evenly
    evenly: int  # workers
    until: float  # when pulling the input ends, whatever it has given


def gather(fn: Callable[..., Any], inputs: Iterator[Any], limits: Limits) -> Gathered:
    """Pull items and run the plain loop over them until the input ends or they are enough; keep the results."""
    sample = _Sample(limits)
    if is_async(fn):
        asyncio.run(_agather(fn, inputs, sample))
        return sample.gathered(inputs)
    for item in inputs:
        began = time.perf_counter()
        try:
            value = fn(item)
        except Exception as error:  # noqa: BLE001 - data: other executors must give the same
            value = Failure.of(error)
        if sample.take(item, value, time.perf_counter() - began):
            break
    return sample.gathered(inputs)


async def _agather(fn: Callable[..., Any], inputs: Iterator[Any], sample: _Sample) -> None:
    for item in inputs:
        began = time.perf_counter()
        try:
            value = await fn(item)
        except Exception as error:  # noqa: BLE001 - as above
            value = Failure.of(error)
        if sample.take(item, value, time.perf_counter() - began):
            return


class _Sample:
    """What was gathered so far."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._items: list[Any] = []
        self._values: list[Any] = []
        self._seconds = 0.0

    def take(self, item: Any, value: Any, seconds: float) -> bool:
        """Add an item with its result; whether that is enough."""
        self._items.append(item)
        self._values.append(value)
        self._seconds += seconds
        limits, items = self._limits, len(self._items)
        if items >= limits.most or time.perf_counter() > limits.until:
            return True
        return self._seconds > limits.wanted and (
            items >= limits.least or (items % limits.evenly == 0 and self._seconds > limits.bearable)
        )

    def gathered(self, inputs: Iterator[Any]) -> Gathered:
        return Gathered(self._items, self._values, self._seconds, _is_empty(inputs))


def _is_empty(inputs: Iterator[Any]) -> bool:
    return next(inputs, inputs) is inputs


def run_cold(subject: Subject, items: Sequence[Any], limit: float) -> Cold:
    """The first run: its results are kept, and it is stopped so many seconds after the first of them."""
    values: list[Any] = []
    remote = None
    meter = _Meter(subject)
    began = time.perf_counter()
    first = 0.0
    with subject.results(items) as results:
        for value in results:
            if not values:
                first = time.perf_counter() - began
            if isinstance(value, potok.BadItem):
                if isinstance(value.error, potok.RemoteError | potok.WorkerDied) and remote is None:
                    remote = f"{type(value.error).__name__}: {value.error}"
                value = Failure.of(value.error)  # noqa: PLW2901 - what is kept of it
            values.append(value)
            if time.perf_counter() - began - first > limit:
                break
        seconds = time.perf_counter() - began
    return Cold(meter.run(seconds, first, 1), values, remote)


def watch(subject: Subject, items: Sequence[Any], seconds: float) -> Watched:
    """Run it for about so long, with a heartbeat on the GIL and an eye on the memory."""
    clocks = cpu_clocks()
    until = time.perf_counter() + seconds
    with Memory() as memory, Heartbeat() as heartbeat:
        while True:
            subject.time(items)
            if time.perf_counter() > until:
                break
    workers = cpu_used(clocks, cpu_clocks()) or {}
    return Watched(heartbeat.gil, memory.peak(set(workers) if subject.has_processes else set()))


def send(subject: Subject, items: Sequence[Any]) -> float:
    """Seconds that an item costs on this executor if the function does nothing: what sending it takes."""
    idle = Subject(_anothing if is_async(subject.fn) else _nothing, subject.on, subject.workers)
    idle.time(items[:1])  # the function itself is sent once
    seconds, _, _ = idle.time(items)
    return seconds / len(items)


def _nothing(item: Any) -> None:
    """What `send` measures with."""


async def _anothing(item: Any) -> None:
    """The same for those that take coroutines."""


class _Meter:
    """The CPU time that a run takes from here on."""

    def __init__(self, subject: Subject) -> None:
        self._has_processes = subject.has_processes
        self._clocks = cpu_clocks() if self._has_processes else {}
        self._queued = queued()
        self._cpu = cpu_of_program()

    def run(self, seconds: float, first: float, passes: int) -> Run:
        """It has ended, and took so long."""
        program = cpu_of_program() - self._cpu
        waited = queued() - self._queued
        used = cpu_used(self._clocks, cpu_clocks()) if self._has_processes else {}
        workers = None if used is None else sum(used.values()) / passes
        return Run(seconds, first, program / passes, workers, waited / passes)
