"""Measurements that nobody made: exact, so that what is made of them can be expected exactly."""

from dataclasses import replace
from typing import Any

from potok.adviser.amdahl import fit
from potok.adviser.comparison import Comparison, Curve, Gil, Parcel, Point, Row, Spread

LOOP = Row(
    "plain loop",
    1,
    (3.0, 3.1, 3.2),
    cpu_program=3.05,
    cpu_workers=0.0,
    gil=Gil(0.98, 0.005, 100),
    memory_bytes=8192,
    take="inline",
)
THREADS = Row(
    "threads",
    6,
    (3.2, 3.3, 3.2),
    start_seconds=0.0002,
    cpu_program=3.2,
    cpu_workers=0.0,
    gil=Gil(0.9, 0.005, 90),
    sending_seconds=8e-6,
    memory_bytes=300_000,
    take="threads",
)
PROCESSES = Row(
    "processes",
    2,
    (1.6, 1.7, 1.8),
    start_seconds=0.18,
    cpu_program=0.1,
    cpu_workers=3.1,
    gil=Gil(0.03, 0.0001, 90),
    sending_seconds=40e-6,
    pickles=True,
    memory_bytes=22_000_000,
    take="processes",
)
PARCEL = Parcel(1_000_000, 120, 0.00002, 0.000012)


def spread(value: float, share: float = 0.05) -> Spread:
    return Spread(value, value * (1 - share), value * (1 + share), 5)


def curve(name: str, seconds: dict[int, float], cores: int, alone: float = 1.0) -> Curve:
    """From the seconds with each number of workers; `alone`: those of the plain loop."""
    points = tuple(Point(w, spread(t), spread(alone / t)) for w, t in seconds.items())
    return Curve(name, points, fit([(w, t) for w, t in seconds.items() if w <= cores]))


def comparison(*rows: Row, loop: Row = LOOP, **changes: Any) -> Comparison:
    """1000 items of 3.1 ms."""
    made = Comparison(
        function="mine.work",
        is_async=False,
        items=1000,
        total=1000,
        cut=False,
        cores=2,
        python="3.11.7",
        budget=20.0,
        seconds=18.0,
        loop=loop,
        rows=rows,
        parcel=PARCEL,
    )
    return replace(made, **changes)


def rich() -> Comparison:
    """Something of everything, and names that try to break out of the page."""
    return comparison(
        THREADS,
        Row("interpreters", 4, reason="needs Python 3.14 <script>alert(1)</script>", take="interpreters"),
        replace(PROCESSES, workers=4),
        function='evil.<img src=x onerror="alert(1)">&' + "a_very_long_name_" * 6,
        total=5000,
        cut=True,
        cores=4,
        curves=(
            curve("threads", {1: 1.02, 2: 1.04, 4: 1.1, 6: 1.1}, 4),
            curve("processes", {1: 1.05, 2: 0.56, 3: 0.4, 4: 0.3}, 4),
        ),
        notes=("only the first 1,000 items fit the budget of 20 s; more with a larger budget",),
    )
