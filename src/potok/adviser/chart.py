"""The pictures of the report, as SVG: bars of time, and the speed-up curves.

Drawn for a width of `WIDTH` and hardly ever shown narrower than that, so that a text of 14 units is one of 13 pixels on
a telephone, too. Colours are the page's (`report`): a shape only says whose it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from potok.adviser.units import duration, ratio

if TYPE_CHECKING:
    from potok.adviser.comparison import Comparison, Curve, Point

__all__ = ["bars", "colour", "curves"]

WIDTH: Final = 320
ROW: Final = 46
COLOURS: Final = ("plain loop", "threads", "coroutines", "interpreters", "processes")

LEFT, RIGHT, TOP, BOTTOM = 60, 312, 14, 226  # of the plot of the curves
APART: Final = 6  # between the points of two curves at the same number of workers


def colour(name: str) -> str:
    """The class that gives a shape its executor's colour."""
    return f"c{COLOURS.index(name) if name in COLOURS else len(COLOURS)}"


def bars(comparison: Comparison) -> str:
    """The time of each, with a whisker from its least to its most."""
    rows = [row for row in (comparison.loop, *comparison.rows) if row.runs]
    spreads = [row.seconds for row in rows if row.seconds]
    most = max((spread.high for spread in spreads), default=0.0) or 1.0

    def at(seconds: float) -> float:
        return seconds / most * (WIDTH - 4) + 2

    shapes = []
    for number, (row, spread) in enumerate(zip(rows, spreads, strict=True)):
        y = number * ROW
        shapes.append(_text(2, y + 15, row.label))
        shapes.append(_text(WIDTH - 2, y + 15, duration(spread.median, 3), "end"))
        width = max(1.5, at(spread.median) - 2)
        shapes.append(
            f'<rect class="fill {colour(row.name)}" x="2" y="{y + 23}" width="{width:.1f}" height="14" rx="2"/>'
        )
        low, high = at(spread.low), at(spread.high)
        shapes.append(
            f'<path class="whisker" d="M{low:.1f} {y + 30}H{high:.1f}M{low:.1f} {y + 26}v8M{high:.1f} {y + 26}v8"/>'
        )
    told = ", ".join(f"{row.label} {duration(s.median, 3)}" for row, s in zip(rows, spreads, strict=True))
    return _svg(f"Time of one run: {told}", len(rows) * ROW, shapes)


def curves(comparison: Comparison) -> str:
    """Speed-up over workers, both in powers of two: the ideal is a straight line there. Empty without a curve."""
    if not comparison.curves:
        return ""
    points = [point for curve in comparison.curves for point in curve.points]
    plane = Plane.around(points, comparison.cores)
    shapes = [*_grid(plane), *_ideal(plane)]
    for number, curve in enumerate(comparison.curves):
        shapes += _curve(curve, plane, (number - (len(comparison.curves) - 1) / 2) * APART)
    told = "; ".join(
        f"{curve.name} " + ", ".join(f"{ratio(p.speedup.median)} with {p.workers}" for p in curve.points)
        for curve in comparison.curves
    )
    return _svg(f"Speed-up over workers: {told}", BOTTOM + 40, shapes)


class Plane(NamedTuple):
    """Where the curves lie: powers of two from and to, for workers and speed-ups."""

    right: int
    low: int
    high: int

    @classmethod
    def around(cls, points: Sequence[Point], cores: int) -> Plane:
        """The smallest that holds all points with their error bars, and the ideal line up to the cores."""
        right = max(1, math.ceil(math.log2(max(cores, *(point.workers for point in points)))))
        lows = [math.log2(point.speedup.low) for point in points if point.speedup.low > 0]
        highs = [math.log2(point.speedup.high) for point in points if point.speedup.high > 0]
        high = max(1, math.ceil(math.log2(cores)), math.ceil(max(highs, default=0)))
        return cls(right, min(-1, math.floor(min(lows, default=0))), high)

    def x(self, workers: float) -> float:
        return LEFT + 16 + math.log2(workers) / self.right * (RIGHT - LEFT - 32)

    def y(self, speedup: float) -> float:
        power = max(self.low, math.log2(speedup) if speedup > 0 else self.low)
        return BOTTOM - (power - self.low) / (self.high - self.low) * (BOTTOM - TOP)


def _grid(plane: Plane) -> Iterator[str]:
    for power in _ticks(plane.low, plane.high, 8):
        y = plane.y(2.0**power)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{RIGHT}"/>'
        yield _text(LEFT - 6, y + 4.5, _power(power), "end")
    for power in _ticks(0, plane.right, 6):
        x = plane.x(2.0**power)
        yield f'<path class="grid" d="M{x:.1f} {TOP}V{BOTTOM}"/>'
        yield _text(x, BOTTOM + 18, _power(power), "middle")
    yield _text((LEFT + RIGHT) / 2, BOTTOM + 36, "workers", "middle")
    yield f'<path class="axis" d="M{LEFT} {plane.y(1):.1f}H{RIGHT}"/>'


def _ideal(plane: Plane) -> Iterator[str]:
    most = 2.0 ** min(plane.right, plane.high)
    yield (
        f'<path class="ideal" d="M{plane.x(1):.1f} {plane.y(1):.1f}L{plane.x(most):.1f} {plane.y(most):.1f}"/>'
    )


def _curve(curve: Curve, plane: Plane, shift: float) -> Iterator[str]:
    own = colour(curve.name)
    at = [(plane.x(point.workers) + shift, plane.y(point.speedup.median)) for point in curve.points]
    if curve.fit is not None:
        yield f'<path class="fit {own}" d="{_path(_law(curve, curve.fit.seconds, plane))}"/>'
    yield f'<path class="line {own}" d="{_path(at)}"/>'
    for (x, y), point in zip(at, curve.points, strict=True):
        low, high = plane.y(point.speedup.low), plane.y(point.speedup.high)
        ends = f"M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} {high:.1f}h8"
        yield f'<path class="bar {own}" d="M{x:.1f} {low:.1f}V{high:.1f}{ends}"/>'
        yield f'<circle class="fill {own}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'


def _law(curve: Curve, seconds: Callable[[float], float], plane: Plane) -> list[tuple[float, float]]:
    """Amdahl's law through the measured height: the speed-up of the plain loop's time, over the curve's width."""
    first = curve.points[0]
    scale = first.speedup.median * first.seconds.median  # the plain loop's seconds
    last = curve.points[-1].workers
    places = [first.workers * (last / first.workers) ** (n / 24) for n in range(25)]
    return [(plane.x(w), plane.y(scale / seconds(w))) for w in places if seconds(w) > 0]


def _ticks(low: int, high: int, most: int) -> range:
    """So many at most, and 2⁰ among them."""
    step = max(1, math.ceil((high - low) / most))
    return range(-(-low // step) * step, high + 1, step)


def _power(power: int) -> str:
    return f"{2**power}" if power >= 0 else f"1/{2**-power}"


def _path(at: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in at)


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(told: str, height: int, shapes: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(told)}">{"".join(shapes)}</svg>'
    )
