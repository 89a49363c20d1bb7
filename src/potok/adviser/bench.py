"""The order of the work of `potok.compare`, and its time. See `comparing` for the stages."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from potok.adviser.agreement import Failure, first_difference
from potok.adviser.amdahl import fit
from potok.adviser.comparison import LOOP, Comparison, Curve, Parcel, Point, Row, Spread
from potok.adviser.measure import (
    Cold,
    Limits,
    Run,
    Subject,
    Watched,
    gather,
    run_cold,
    send,
    watch,
)  # fmt: skip
from potok.adviser.parcels import weigh
from potok.adviser.units import duration, plural
from potok.adviser.watching import cpu_of_program
from potok.dataflow.colour import is_async

__all__ = ["Bench", "Candidate"]

MOST_ITEMS: Final = 100_000
TIMED: Final = 0.0005  # seconds: a sample for which the plain loop takes that long can be timed
WATCHED: Final = 0.25  # seconds that runs are watched for the GIL and memory
OTHER_RUNS: Final = 2  # of each candidate, besides the timed ones
FEW_RUNS: Final = 3
ENDLESS: Final = Limits(MOST_ITEMS, MOST_ITEMS, math.inf, math.inf, 1, math.inf)


@dataclass(eq=False)
class Candidate:
    """An executor that is measured, with so many workers; the plain loop where `on` is None."""

    fn: Callable[..., Any]
    name: str
    on: Any
    workers: int
    take: str = ""
    reason: str | None = None  # why it is not measured (any more)
    difference: str | None = None
    cold: Cold | None = None
    runs: list[Run] = field(default_factory=list)
    watched: Watched | None = None
    sending: float | None = None

    @property
    def subject(self) -> Subject:
        """What is run."""
        return Subject(self.fn, self.on, self.workers)

    @property
    def expected(self) -> float:
        """Seconds that its next run is going to take, by what the last one took."""
        if self.runs:
            return self.runs[-1].seconds
        return self.cold.run.seconds if self.cold else 0.0

    def row(self, items: int) -> Row:
        """What was found."""
        cold = not self.runs and self.cold is not None and len(self.cold.values) == items
        runs = [self.cold.run] if cold and self.cold else self.runs
        row = Row(self.name, self.workers, take=self.take, difference=self.difference, reason=self.reason)
        if row.reason or not runs or not items:
            return replace(row, reason=row.reason or "there was no time left for it")
        return replace(
            row,
            runs=tuple(run.seconds for run in runs),
            cold=cold,
            start_seconds=self._start_seconds(),
            cpu_program=statistics.median(run.cpu_program for run in runs),
            cpu_workers=_median([run.cpu_workers for run in runs if run.cpu_workers is not None]),
            gil=self.watched and self.watched.gil,
            sending_seconds=_least(self.sending, min(run.seconds for run in runs) / items),
            waiting=_waiting(runs),
            pickles=self.name in ("processes", "interpreters"),
            memory_bytes=self.watched and self.watched.memory_bytes,
            failures=tuple(
                (index, str(value))
                for index, value in enumerate(self.cold.values if self.cold else ())
                if isinstance(value, Failure)
            ),
        )

    def _start_seconds(self) -> float | None:
        if self.cold is None or self.on is None or not self.runs:
            return None
        return max(0.0, self.cold.run.first - statistics.median(run.first for run in self.runs))


class Bench:
    """One comparison."""

    def __init__(
        self,
        fn: Callable[..., Any],
        candidates: list[Candidate],
        cores: int,
        reps: int,
        budget: float,
        tell: Callable[[str], object],
        left_out: Sequence[str] = (),
    ) -> None:
        self._fn = fn
        self._loop = Candidate(fn, LOOP, None, 1, take="inline")
        self._candidates = candidates
        self._points = [point for one in candidates for point in _points(one, cores)]
        self._cores = cores
        self._reps = reps
        self._budget = budget
        self._tell = tell
        self._end = time.perf_counter() + budget
        members = 1 + len(candidates) + len(self._points)
        self._share = budget / (members * (reps + OTHER_RUNS))  # seconds for one run of one of them
        self._least = max(2 * cores, *(one.workers for one in candidates), 0)
        self._items: list[Any] = []
        self._values: list[Any] = []  # what the plain loop gave
        self._steady: bool | None = None
        self._parcel: Parcel | None = None
        self._notes = [f"not measured: {', '.join(left_out)}"] if left_out else []

    def measure(self, inputs: Iterator[Any], total: int | None, function: str, python: str) -> Comparison:
        """Do all of it."""
        more = not self._gather(inputs)
        if not self._items:
            for candidate in self._alive():
                candidate.reason = "there were no items"
        else:
            self._look_again()
            self._start()
            more = self._cut() or more
            self._run_rounds()
        if more:
            self._note(f"only the first {plural(len(self._items), 'item')} fit the budget")
        rows = tuple(candidate.row(len(self._items)) for candidate in self._candidates)
        return Comparison(
            function,
            is_async(self._fn),
            len(self._items),
            total,
            more,
            self._cores,
            python,
            self._budget,
            self._budget - self._left(),
            self._loop.row(len(self._items)),
            rows,
            curves=tuple(self._curves()),
            parcel=self._parcel,
            steady=self._steady,
            busy=_busy(self._loop.runs),
            notes=tuple(self._notes),
        )

    def _left(self) -> float:
        return self._end - time.perf_counter()

    def _note(self, text: str) -> None:
        self._notes.append(f"{text} of {duration(self._budget)}; more with a larger budget")

    def _alive(self) -> list[Candidate]:
        return [candidate for candidate in self._candidates if not candidate.reason]

    # ── the stages ──────────────────────────────────────────────────────────────────────────────────────────────

    def _gather(self, inputs: Iterator[Any]) -> bool:
        """Find the sample; whether the input has no more."""
        first = list(itertools.islice(inputs, 1))
        if not first:
            return True
        inputs = itertools.chain(first, inputs)
        self._tell("the plain loop")
        until = time.perf_counter() + self._budget / 4
        limits = Limits(self._least, MOST_ITEMS, self._share, self._budget / 20, self._cores, until)
        cpu = cpu_of_program()
        got = gather(self._fn, inputs, limits)
        run = Run(got.seconds, 0.0, cpu_of_program() - cpu, 0.0)
        self._items, self._values = got.items, got.values
        self._loop.cold = Cold(run, got.values, None)
        return got.complete

    def _look_again(self) -> None:
        """Whether the function gives the same twice, where there is time to find out."""
        if self._loop.expected < self._left() / 8:
            again = gather(self._fn, iter(self._items), ENDLESS)
            self._steady = first_difference(self._items, self._values, again.values) is None

    def _start(self) -> None:
        """Run everybody for the first time."""
        for candidate in self._alive():
            self._tell(f"{candidate.name}: its first run")
            limit = min(max(4 * self._loop.expected, 3 * self._share), max(self._share, self._left() / 2))
            try:
                cold = run_cold(candidate.subject, self._items, limit)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what the reader wants to know
                candidate.reason = _told(error)
                continue
            candidate.cold = cold
            if cold.remote is not None:
                candidate.reason = cold.remote
            elif self._steady is not False:
                candidate.difference = first_difference(self._items, self._values, cold.values)
        gone = {id(candidate.on) for candidate in self._candidates if candidate.reason}
        self._points = [point for point in self._points if id(point.on) not in gone]

    def _cut(self) -> bool:
        """Cut the sample to what everybody can do in its share of the time, and the plain loop can still be timed."""
        before = len(self._items)
        each = self._loop.expected / before
        least = max(self._least, math.ceil(TIMED / each) if each else MOST_ITEMS)
        size = before
        for candidate in self._alive():
            if candidate.cold is not None:
                size = min(size, max(least, int(self._share / _pace(candidate.cold))))
        if before > size >= self._cores:  # none of few items should be left over for one worker alone
            size -= size % self._cores
        del self._items[size:], self._values[size:]
        for candidate in (self._loop, *self._alive()):
            if candidate.cold is not None:
                del candidate.cold.values[size:]
        return size < before

    def _run_rounds(self) -> None:
        for number in range(self._reps):
            everybody = [self._loop, *self._alive(), *self._points]
            if number and sum(one.expected for one in everybody) > self._left():
                break
            self._tell(f"round {number + 1} of {self._reps}")
            for one in everybody if number % 2 == 0 else reversed(everybody):
                if number or one.expected <= self._left():
                    one.runs.append(one.subject.run(self._items))
            if number == 0:
                self._points = [point for point in self._points if point.runs]
                self._look()
        if len(self._loop.runs) < min(FEW_RUNS, self._reps):
            self._note(f"{plural(len(self._loop.runs), 'timed run')} of each, all that fit the budget")

    def _look(self) -> None:
        """What is not timed."""
        self._parcel = weigh(self._items, self._values)
        for one in (self._loop, *self._alive()):
            if not one.runs or one.expected + self._share > self._left() / 2:
                continue
            self._tell(f"{one.name}: GIL and memory")
            one.watched = watch(one.subject, self._items, min(WATCHED, self._share))
            if one.on is not None:
                one.sending = send(one.subject, self._items)

    def _curves(self) -> Iterator[Curve]:
        for candidate in self._alive():
            members = [candidate, *(point for point in self._points if point.on is candidate.on)]
            members = sorted((one for one in members if one.runs), key=lambda one: one.workers)
            if len(members) < 2:
                continue
            points = tuple(_point(one, self._loop) for one in members)
            fitted = fit([(p.workers, p.seconds.median) for p in points if p.workers <= self._cores])
            yield Curve(candidate.name, points, fitted)


def _points(candidate: Candidate, cores: int) -> list[Candidate]:
    """The same with other numbers of workers: 1, 2, 4, … and the usable cores."""
    if candidate.reason:
        return []
    numbers = {2**n for n in range(cores.bit_length())} | {cores}
    return [
        Candidate(candidate.fn, candidate.name, candidate.on, number)
        for number in sorted(numbers - {candidate.workers})
        if number <= cores
    ]


def _pace(cold: Cold) -> float:
    """Seconds an item, once the workers are there."""
    if len(cold.values) < 2:
        return max(cold.run.seconds, 1e-9)
    return max((cold.run.seconds - cold.run.first) / (len(cold.values) - 1), 1e-9)


def _point(one: Candidate, loop: Candidate) -> Point:
    speedups = [theirs.seconds / own.seconds for theirs, own in zip(loop.runs, one.runs, strict=False)]
    return Point(one.workers, Spread.of([run.seconds for run in one.runs]), Spread.of(speedups))


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _busy(runs: list[Run]) -> float:
    """Share of the time in which the calling thread would have run, and had no core."""
    seconds = sum(run.seconds for run in runs)
    return min(1.0, sum(run.queued for run in runs) / seconds) if seconds else 0.0


def _waiting(runs: list[Run]) -> float:
    """Share of the time in which the calling thread neither ran nor was ready to."""
    shares = [1 - (run.cpu_program + run.queued) / run.seconds for run in runs if run.seconds > 0]
    return min(1.0, max(0.0, statistics.median(shares))) if shares else 0.0


def _least(measured: float | None, bound: float) -> float | None:
    """An item was sent and worked on in the time of the bound."""
    return None if measured is None else min(measured, bound)


def _told(error: Exception) -> str:
    """In one line."""
    return str(Failure.of(error))
