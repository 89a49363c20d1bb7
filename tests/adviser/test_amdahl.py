"""The serial fraction: exact where the law holds, silent where nothing can be said, honest about its error."""

import pytest

from potok.adviser.amdahl import fit


@pytest.mark.parametrize("serial", [0.0, 0.25, 1.0])
def test_exact_law_is_found_exactly(serial: float) -> None:
    points = [(workers, 2.0 * (serial + (1 - serial) / workers)) for workers in (1, 2, 3, 4, 8)]
    found = fit(points)
    assert found is not None
    assert found.serial == pytest.approx(serial, abs=1e-12)
    assert found.error == pytest.approx(0.0, abs=1e-7)
    assert found.seconds(5) == pytest.approx(2.0 * (serial + (1 - serial) / 5))


@pytest.mark.parametrize("points", [[], [(1, 1.0)], [(1, 1.0), (2, 0.6)], [(1, 1.0), (2, 0.6), (2, 0.5)]])
def test_two_numbers_of_workers_are_too_few(points: list[tuple[int, float]]) -> None:
    """They determine the two coefficients: any error would be invented."""
    assert fit(points) is None


def test_no_time_has_no_fraction() -> None:
    assert fit([(1, 0.0), (2, 0.0), (4, 0.0)]) is None


def test_error_is_that_of_least_squares() -> None:
    """By hand for x = 1, 1/2, 1/4 and y = 8, 5, 3: b = 46/7, a = 3/2, one degree of freedom."""
    found = fit([(1, 8.0), (2, 5.0), (4, 3.0)])
    assert found is not None
    assert (found.fixed, found.shared) == (pytest.approx(1.5), pytest.approx(46 / 7))
    assert found.serial == pytest.approx(1.5 / (1.5 + 46 / 7))
    residual = sum((y - 1.5 - 46 / 7 * x) ** 2 for x, y in ((1, 8), (0.5, 5), (0.25, 3)))
    x_spread = (5 / 12) ** 2 + (1 / 12) ** 2 + (1 / 3) ** 2
    a, b, mean = 1.5, 46 / 7, 7 / 12
    gradient_a, gradient_b = b / (a + b) ** 2, -a / (a + b) ** 2
    variance = residual * (
        gradient_a**2 * (1 / 3 + mean**2 / x_spread)
        + gradient_b**2 / x_spread
        + 2 * gradient_a * gradient_b * (-mean / x_spread)
    )
    assert found.error == pytest.approx(variance**0.5)


def test_more_than_linear_is_below_nothing() -> None:
    """Said as it is: clamped, it would look like a perfect fit."""
    found = fit([(1, 1.0), (2, 0.45), (4, 0.18)])
    assert found is not None
    assert found.serial < 0
