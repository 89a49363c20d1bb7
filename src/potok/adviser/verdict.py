"""Which executor to take, and why, in plain words.

An executor pays if it was faster than the plain loop by more than `WORTH`, and faster at all in most rounds. Among
those, one that asks for less (threads share objects; processes copy them) is taken unless another is faster by more
than `WORTH`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from potok.adviser.units import count, duration, percent

if TYPE_CHECKING:
    from potok.adviser.comparison import Comparison, Row

__all__ = ["Verdict", "judge"]

WORTH: Final = 0.05
MOST: Final = 0.75  # of the rounds: a machine that does something else meanwhile can spoil one
FEW_ITEMS: Final = 10
BUSY: Final = 0.1  # share of its time that the loop waited for a core, from which on the figures are doubtful
HOLDS: Final = 0.8  # share of the GIL from which on threads must take turns
WAITS: Final = 0.5  # share of an item that is waiting, from which on that is what it does

ASKS_LEAST: Final = ("coroutines", "threads", "interpreters", "processes")


class Verdict(NamedTuple):
    """What to do: `take` is the name for `on=`, "inline" for the plain loop; None where nothing could be measured."""

    take: str | None
    workers: int
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join(self.sentences)


def judge(comparison: Comparison) -> Verdict:
    """Say which executor to take."""
    loop = comparison.loop.seconds
    if loop is None or not comparison.items:
        return Verdict(None, 0, ("There were no items to measure.",))
    wrong = tuple(_wrong(comparison))
    if comparison.steady is False:
        wrong += (
            "The plain loop itself gives other results the second time, so that they can't be compared.",
        )
    if comparison.busy > BUSY:
        waited = f"the plain loop waited {percent(comparison.busy)} of its time for a core"
        wrong += (f"The machine was busy: {waited}; measure again when it is not.",)
    if comparison.failed == comparison.items:
        wrong += ("Every item failed: what was measured is how long that takes.",)
    best = _best(comparison)
    if best is None:
        return Verdict("inline", 1, (_plain_loop(comparison), *wrong))
    sentences = [_faster(comparison, best), *_starting(comparison, best)]
    return Verdict(best.take or best.name, best.workers, (*sentences, *wrong))


def _best(comparison: Comparison) -> Row | None:
    found = [(row, _speedup(comparison, row)) for row in comparison.rows if _pays(comparison, row)]
    if not found:
        return None
    most = max(speedup for _, speedup in found)
    near = [row for row, speedup in found if speedup * (1 + WORTH) >= most]
    return min(near, key=lambda row: _asked(row.name))


def _asked(name: str) -> int:
    return ASKS_LEAST.index(name) if name in ASKS_LEAST else len(ASKS_LEAST)


def _pays(comparison: Comparison, row: Row) -> bool:
    speedups = comparison.speedups(row)
    if row.reason or row.difference or not speedups:
        return False
    if _is_luck(comparison, row):
        return False
    faster = sum(speedup > 1 for speedup in speedups)
    return _speedup(comparison, row) >= 1 + WORTH and faster >= MOST * len(speedups)


def _is_luck(comparison: Comparison, row: Row) -> bool:
    """Whether, on a busy machine, threads have but got more of it than one loop does.

    Without its waits for a core, which the system tells of, the loop would have been as fast.
    """
    loop, own = comparison.loop.seconds, row.seconds
    if comparison.busy <= BUSY or row.name not in ("threads", "coroutines") or loop is None or own is None:
        return False
    return loop.median * (1 - comparison.busy) < own.median * (1 + WORTH)


def _speedup(comparison: Comparison, row: Row) -> float:
    speedup = comparison.speedup(row)
    return speedup.median if speedup else 0.0


def _faster(comparison: Comparison, row: Row) -> str:
    speedup = f"{_speedup(comparison, row):.2g}"
    many = "worker" if row.workers == 1 else "workers"
    return (
        f"{row.name} is {speedup} × the plain loop on {row.workers} {many}: {_each(comparison)}"
        f"{_sending(row)}; take on={row.take or row.name!r}."
    )


def _plain_loop(comparison: Comparison) -> str:
    """The loop is best: because items are small against the sending, or because threads have to take turns."""
    each = _each(comparison)
    near = [row for row in comparison.rows if row.runs]
    near = [row for row in near if not row.difference] or near
    if not near:
        return f"The plain loop is best: {each}, and nothing else could be measured."
    row = max(near, key=lambda row: _speedup(comparison, row))
    speedup = _speedup(comparison, row)
    if speedup >= 1 + WORTH:
        why = "gave other results" if row.difference else "not in most rounds"
        why = "only by getting more of a busy machine" if _is_luck(comparison, row) else why
        return f"The plain loop is best: {each}{_sending(row)}; {row.name} was {speedup:.2g} × as fast but {why}."
    held = comparison.loop.gil
    if row.name == "threads" and held is not None and held.held >= HOLDS and _is_cheap(comparison, row):
        return f"The plain loop is best: {each} and holds the GIL {percent(held.held)} of it, so threads take turns."
    return f"The plain loop is best: {each}{_sending(row)} ({row.name}: {speedup:.2g} × as fast)."


def _is_cheap(comparison: Comparison, row: Row) -> bool:
    """Whether sending an item takes little of its time."""
    return row.sending_seconds is not None and row.sending_seconds < _item(comparison) / 4


def _item(comparison: Comparison) -> float:
    loop = comparison.loop.seconds
    return loop.median / comparison.items if loop else 0.0


def _each(comparison: Comparison) -> str:
    share = comparison.loop.waiting
    waits = f", {percent(share)} of it waiting" if share is not None and share >= WAITS else ""
    return f"each item takes {duration(_item(comparison))}{waits}"


def _sending(row: Row) -> str:
    if row.sending_seconds is None:
        return ""
    to = "handing it over" if row.name in ("threads", "coroutines") else "sending it to a worker"
    return f", {to} costs {duration(row.sending_seconds)}"


def _starting(comparison: Comparison, row: Row) -> list[str]:
    """From how many items on it pays, where workers have to be started first."""
    loop, own = comparison.loop.seconds, row.seconds
    if loop is None or own is None or not row.start_seconds or row.start_seconds < WORTH * own.median:
        return []
    gained = (loop.median - own.median) / comparison.items
    if gained <= 0 or row.start_seconds < FEW_ITEMS * gained:
        return []
    items = count(_rounded(row.start_seconds / gained))
    return [f"Its start takes {duration(row.start_seconds)}: it pays from about {items} items on."]


def _rounded(number: float) -> float:
    """To two digits: it is an estimate."""
    return float(f"{number:.2g}")


def _wrong(comparison: Comparison) -> list[str]:
    if comparison.steady is False:
        return []
    return [
        f"{row.name} gave other results than the plain loop, first at {row.difference}."
        for row in comparison.rows
        if row.difference and not row.reason
    ]
