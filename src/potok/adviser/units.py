"""Numbers for people: a few digits, a unit, and "–" for what is not known."""

from __future__ import annotations

from typing import Final

__all__ = ["UNKNOWN", "bytes_", "count", "duration", "percent", "plural", "ratio"]

UNKNOWN: Final = "–"


def duration(seconds: float | None, digits: int = 2) -> str:
    """0.0031 is "3.1 ms"; `digits` are the significant ones, at least."""
    if seconds is None:
        return UNKNOWN
    if seconds <= 0:
        return "0 s"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        number = _significant(seconds / size, digits)
        if float(number) >= 1:
            return f"{number} {unit}"
    return f"{_significant(seconds / 1e-9, digits)} ns"


def bytes_(size: float | None) -> str:
    """25_400_000 is "25 MB" (of a million bytes)."""
    if size is None:
        return UNKNOWN
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(size) >= factor * 0.995:
            return f"{_significant(size / factor, 2)} {unit}"
    return f"{size:.0f} B"


def percent(share: float | None) -> str:
    """0.034 is "3 %"; what is there but tiny is "< 1 %"."""
    if share is None:
        return UNKNOWN
    if 0 < share < 0.005:
        return "< 1 %"
    return f"{share * 100:.0f} %"


def ratio(number: float | None) -> str:
    """1.812 is "1.81 ×"."""
    if number is None:
        return UNKNOWN
    if 0 < number < 0.001:
        return "< 0.001 ×"
    return f"{_significant(number, 2 if number < 1 else 3)} ×"


def count(number: float) -> str:
    """12000 is "12,000"."""
    return f"{number:,.0f}"


def plural(number: int, noun: str) -> str:
    """1 is "1 item", 2 are "2 items"."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def _significant(number: float, digits: int) -> str:
    """So many digits, without an exponent; those before the point are never cut off."""
    if number == 0:
        return "0"
    rounded = float(f"{number:.{digits}g}")
    places = 0
    while places < 6 and digits > 1 and abs(rounded) * 10**places < 10 ** (digits - 1):
        places += 1
    return f"{number:.{places}f}"
