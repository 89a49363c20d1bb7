"""The serial fraction that a speed-up curve shows, by Amdahl's law.

With p workers a run takes T(p) = a + b / p: a is what no worker can share with another, b what all share. Both are
fitted by least squares; the serial fraction is s = a / (a + b), and a speed-up stays below 1 / s. The fit is to the
executor's own times, so its overhead with one worker is part of a and b and not taken for a loss of parallelism.

Source: G. M. Amdahl, "Validity of the single processor approach", AFIPS 1967; the uncertainty of s is that of the two
coefficients, propagated to first order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["FEWEST", "Fit", "fit"]

FEWEST: Final = 3
"""Numbers of workers that a fit needs: two points determine the two coefficients and say nothing of the error."""


class Fit(NamedTuple):
    """What was fitted. One standard error; from three points it is itself rough."""

    fixed: float  # a, in seconds
    shared: float  # b, in seconds
    serial: float  # a / (a + b); below 0 where more workers gained more than their number
    error: float  # of the serial fraction

    def seconds(self, workers: float) -> float:
        """What the law gives for so many workers."""
        return self.fixed + self.shared / workers


def fit(points: Sequence[tuple[int, float]]) -> Fit | None:
    """Fit the law to (workers, seconds); None where there are too few numbers of workers, or no time was taken."""
    if len({workers for workers, _ in points}) < FEWEST:
        return None
    n = len(points)
    xs = [1 / workers for workers, _ in points]
    ys = [seconds for _, seconds in points]
    x_mean, y_mean = sum(xs) / n, sum(ys) / n
    x_spread = sum((x - x_mean) ** 2 for x in xs)
    b = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / x_spread
    a = y_mean - b * x_mean
    total = a + b
    if total <= 0:
        return None
    residual = sum((y - a - b * x) ** 2 for x, y in zip(xs, ys, strict=True)) / (n - 2)
    var_b = residual / x_spread
    var_a = residual * (1 / n + x_mean**2 / x_spread)
    covariance = -residual * x_mean / x_spread
    # ds/da = b / (a + b)², ds/db = -a / (a + b)²
    variance = (b * b * var_a + a * a * var_b - 2 * a * b * covariance) / total**4
    return Fit(a, b, a / total, math.sqrt(max(0.0, variance)))
