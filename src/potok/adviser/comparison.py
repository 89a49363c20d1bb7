"""What `potok.compare` returns: the figures, and the table that people read.

time       median of the timed runs, which alternate with those of the others; ± half the way from least to most
speed-up   of the plain loop's time, round by round, and the median of that
effic.     speed-up / workers
CPU        seconds that this program and its worker processes took for one run
GIL        share of the moments at which a thread of this process that wanted the GIL would have had to wait for it:
           about the share of time in which it was held; an estimate, see `watching`
pickling   share of those CPU seconds that pickling arguments and results takes; on threads there is none
start      what the first run, with new workers, took longer until its first result
memory     what a run needed at its peak, beyond what was there before; worker processes are counted whole
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from potok.adviser.amdahl import FEWEST, Fit
from potok.adviser.units import UNKNOWN, bytes_, count, duration, percent, plural, ratio
from potok.adviser.verdict import Verdict, judge

__all__ = ["COLUMNS", "LOOP", "SCHEMA", "Comparison", "Curve", "Gil", "Parcel", "Point", "Row", "Spread"]

SCHEMA: Final = 1
"""Version of `to_dict()`, and so of `--json`. It grows when a reader of the old one would misread the new one."""

LOOP: Final = "plain loop"

COLUMNS: Final = (
    "executor", "time", "speed-up", "effic.", "CPU", "GIL", "pickling", "start", "memory",
)  # fmt: skip


class Spread(NamedTuple):
    """Several measurements of one thing."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """At least one."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    @property
    def relative(self) -> float:
        """Half the way from least to most, as a share of the median."""
        return (self.high - self.low) / 2 / self.median if self.median else 0.0


class Gil(NamedTuple):
    """The GIL of this process during a run; see `watching.Heartbeat` for how it is estimated."""

    held: float  # share of the moments at which a thread that wanted it found it held
    wait: float  # seconds that such a thread waited, on average
    beats: int  # how often that was looked at


class Parcel(NamedTuple):
    """Arguments and results as they travel between address spaces: means over the items that were pickled."""

    argument_bytes: float
    result_bytes: float
    argument_seconds: float  # to pickle one and to unpickle it
    result_seconds: float

    @property
    def seconds(self) -> float:
        """For one item, there and back."""
        return self.argument_seconds + self.result_seconds


@dataclass(frozen=True, slots=True)
class Row:
    """What was found about one executor, or about the plain loop."""

    name: str
    workers: int
    runs: tuple[float, ...] = ()  # seconds of each timed run, by round; empty where it could not be measured
    cold: bool = False  # there was time for the very first run only
    start_seconds: float | None = None
    cpu_program: float | None = None
    cpu_workers: float | None = None
    gil: Gil | None = None
    sending_seconds: float | None = None  # for one item
    waiting: float | None = None  # share of a run in which the calling thread neither ran nor could have
    pickles: bool = False  # whether items travel to another address space
    memory_bytes: int | None = None
    failures: tuple[tuple[int, str], ...] = ()  # items for which the function raised, and what
    difference: str | None = None  # from the plain loop's results
    reason: str | None = None  # why it could not be measured
    take: str = ""  # how a program says that it wants this executor

    @property
    def failed(self) -> int:
        """Items for which the function raised."""
        return len(self.failures)

    @property
    def seconds(self) -> Spread | None:
        """The timed runs."""
        return Spread.of(self.runs) if self.runs else None

    @property
    def cpu_seconds(self) -> float | None:
        """Program and workers together."""
        if self.cpu_program is None or self.cpu_workers is None:
            return None
        return self.cpu_program + self.cpu_workers

    @property
    def label(self) -> str:
        """Name and workers, as the table has it."""
        return self.name if self.name == LOOP else f"{self.name} {self.workers}"


class Point(NamedTuple):
    """A speed-up curve's: so many workers."""

    workers: int
    seconds: Spread
    speedup: Spread


class Curve(NamedTuple):
    """The speed-up of one executor over its number of workers, within the usable cores and with its own number."""

    name: str
    points: tuple[Point, ...]
    fit: Fit | None

    def told(self) -> str:
        """The fit in words."""
        if self.fit is None:
            return f"{self.name}: no Amdahl fit"
        serial, error = self.fit.serial, self.fit.error
        shown = f"{serial * 100:.1f} ± {error * 100:.1f} %"
        if serial <= 2 * error:
            means = "none that the measurement shows"
        elif serial >= 1:
            means = "more workers gain nothing"
        else:
            means = f"no number of workers gives more than {1 / serial:.2g} × one worker"
        return f"{self.name}: serial fraction {shown} (Amdahl): {means}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The measurements of one function on several executors: print it, `save` it as a page, or take `to_dict`."""

    function: str
    is_async: bool
    items: int  # that were measured
    total: int | None  # that there are, where the inputs tell
    cut: bool  # whether there are more than were measured
    cores: int
    python: str
    budget: float
    seconds: float  # that all of this took
    loop: Row
    rows: tuple[Row, ...]  # one for each executor
    curves: tuple[Curve, ...] = ()
    parcel: Parcel | None = None
    steady: bool | None = (
        True  # whether the plain loop gives the same results twice; None: that was not tried
    )
    busy: float = 0.0  # share of its time that the plain loop waited for a core, which others had
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Which executor to take, and why."""
        return judge(self)

    @property
    def failed(self) -> int:
        """Items for which the function raised, in the plain loop."""
        return self.loop.failed

    def speedup(self, row: Row) -> Spread | None:
        """Of the plain loop's time in the same round."""
        speedups = self.speedups(row)
        return Spread.of(speedups) if speedups else None

    def speedups(self, row: Row) -> list[float]:
        """Round by round."""
        return [loop / own for loop, own in zip(self.loop.runs, row.runs, strict=False) if own > 0]

    def efficiency(self, row: Row) -> float | None:
        """Speed-up for each worker."""
        speedup = self.speedup(row)
        return None if speedup is None or row.name == LOOP else speedup.median / row.workers

    def pickling(self, row: Row) -> float | None:
        """Share of the CPU seconds of a run."""
        if not row.pickles or self.parcel is None or not row.cpu_seconds:
            return None
        return min(1.0, self.parcel.seconds * self.items / row.cpu_seconds)

    @property
    def measured(self) -> list[Row]:
        """The rows of the table, the plain loop's first."""
        return [row for row in (self.loop, *self.rows) if not row.reason]

    @property
    def taken(self) -> Row | None:
        """The row that the verdict says to take."""
        verdict = self.verdict
        mine = [row for row in self.measured if (row.take or row.name, row.workers) == verdict[:2]]
        return mine[0] if mine else None

    def table(self) -> list[str]:
        """The table in lines: its head, and one for each that was measured."""
        return _aligned([COLUMNS, *(self.cells(row) for row in self.measured)])

    def cells(self, row: Row) -> tuple[str, ...]:
        """The row of a table, under `COLUMNS`."""
        seconds, speedup = row.seconds, self.speedup(row)
        spread = "" if seconds is None or seconds.runs < 2 else f" ±{seconds.relative * 100:.0f} %"
        return (
            row.label,
            duration(seconds and seconds.median, 3) + spread,
            ratio(speedup and speedup.median),
            percent(self.efficiency(row)),
            duration(row.cpu_seconds, 2),
            percent(row.gil and row.gil.held),
            percent(self.pickling(row)),
            duration(row.start_seconds, 2),
            bytes_(row.memory_bytes),
        )

    def heading(self) -> str:
        """What was measured, in one line."""
        of = f" of {count(self.total)}" if self.cut and self.total is not None else ""
        more = ", and there are more" if self.cut and self.total is None else ""
        return (
            f"{self.function} over {count(self.items)}{of} {'item' if self.items == 1 else 'items'}{more}; "
            f"{plural(self.cores, 'usable core')}, Python {self.python}"
        )

    def remarks(self, reasons: bool = True) -> list[str]:
        """What must be known to read the table; with `reasons` also why executors are not in it."""
        told = [f"{row.name}: not measured: {row.reason}" for row in self.rows if row.reason and reasons]
        told += [f"{row.name}: other results: {row.difference}" for row in self.rows if row.difference]
        told += [f"{row.name}: {_failing(row)}" for row in self._with_failures()]
        idle = [f"{row.name} ({row.workers})" for row in self.measured if row.workers > self.items > 0]
        if idle:
            told.append(f"{plural(self.items, 'item')} can't keep all workers busy: {', '.join(idle)}")
        return told + self._fits() + list(self.notes)

    def _fits(self) -> list[str]:
        fitted = [curve.told() for curve in self.curves if curve.fit is not None]
        if fitted or not self.curves:
            return fitted
        few = f"it takes {FEWEST} numbers of workers within the usable cores ({self.cores} here)"
        return [f"no Amdahl fit to the speed-up curves: {few}"]

    def _with_failures(self) -> list[Row]:
        if self.loop.failed:
            return [self.loop]
        return [row for row in self.rows if row.failed and not row.reason]

    def __str__(self) -> str:
        """The table and the verdict, as plain text of at most 80 columns (the remarks may be longer)."""
        lines = [self.heading(), "", *self.table(), ""] if self.items else [self.heading()]
        lines += [f"note: {remark}" for remark in self.remarks()]
        lines.append(str(self.verdict))
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as plain data (JSON has it all): seconds, bytes, shares between 0 and 1. See `SCHEMA`."""
        verdict = self.verdict
        return {
            "version": SCHEMA,
            "function": self.function,
            "async": self.is_async,
            "items": self.items,
            "total": self.total,
            "cut": self.cut,
            "cores": self.cores,
            "python": self.python,
            "budget": self.budget,
            "seconds": self.seconds,
            "steady": self.steady,
            "busy": self.busy,
            "loop": self._row(self.loop),
            "executors": [self._row(row) for row in self.rows],
            "parcel": self.parcel and self.parcel._asdict(),
            "curves": [_curve(curve) for curve in self.curves],
            "notes": list(self.notes),
            "verdict": {"take": verdict.take, "workers": verdict.workers, "text": str(verdict)},
        }

    def _row(self, row: Row) -> dict[str, Any]:
        speedup = self.speedup(row)
        return {
            "name": row.name,
            "workers": row.workers,
            "seconds": row.seconds and row.seconds._asdict(),
            "runs": list(row.runs),
            "cold": row.cold,
            "speedup": speedup and speedup._asdict(),
            "efficiency": self.efficiency(row),
            "cpu_program": row.cpu_program,
            "cpu_workers": row.cpu_workers,
            "gil": row.gil and row.gil._asdict(),
            "waiting": row.waiting,
            "sending_seconds": row.sending_seconds,
            "pickling": self.pickling(row),
            "start_seconds": row.start_seconds,
            "memory_bytes": row.memory_bytes,
            "failed": row.failed,
            "first_failure": row.failures[0][1] if row.failures else None,
            "difference": row.difference,
            "reason": row.reason,
        }

    def html(self) -> str:
        """The report as one page that needs nothing else: no network, no script."""
        from potok.adviser.report import page

        return page(self)

    def save(self, path: str | Path) -> None:
        """Write the page there."""
        Path(path).write_text(self.html(), encoding="utf-8")

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from potok.adviser.report import fragment

        return fragment(self)


def _failing(row: Row) -> str:
    (index, error), *_ = row.failures
    return f"{plural(row.failed, 'item')} failed, first item {index}: {error}"


def _curve(curve: Curve) -> dict[str, Any]:
    points = [
        {"workers": p.workers, "seconds": p.seconds._asdict(), "speedup": p.speedup._asdict()}
        for p in curve.points
    ]
    fit = curve.fit and {"serial": curve.fit.serial, "error": curve.fit.error}
    return {"name": curve.name, "points": points, "amdahl": fit}


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column to the left, figures to the right. A column of which nothing is known is left out."""
    columns = [
        column
        for column in zip(*rows, strict=True)
        if any(cell != UNKNOWN for cell in column[1:]) or column[0] == COLUMNS[0]
    ]
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for cells in zip(*columns, strict=True):
        first, *rest = zip(cells, widths, strict=True)
        lines.append("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]))
    return [line.rstrip() for line in lines]
