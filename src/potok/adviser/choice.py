"""Which executor to take, and once it was taken, whether that was right. Pure: compares the predictions of `model`.

When to move is a ski-rental problem: a start-up is paid once, the gain with each item, and nobody knows how many are to
come. Where the input has no length, as many as were done are taken to follow: so never more is lost than twice what was
known to be there. A move must pay at the far end of the error bar; that, and `CLEAR`, keep it from going to and fro.

Some doubts only a trial resolves: is there a convoy, do other threads of the process work for this function, or do they
still spin for an earlier one? Threads are there, and left again, in no time. So they are tried where they do not pay
for sure, but at best (`Prediction.least`) beat what does by more than a trial costs; then what was found decides.

Source: Karlin, Manasse, Rudolph, Sleator, "Competitive snoopy caching", Algorithmica 3 (1988), for the rental rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from potok.adviser.facts import Facts
from potok.adviser.model import ELSEWHERE, WAITS, WORSE, Prediction
from potok.adviser.units import percent, plural

__all__ = ["Decision", "Verdict", "choose", "observed", "seconds_told"]

CLEAR: Final = 0.05  # a gain that is worth a move, relative to what it takes now
TRIED: Final = ("threads",)  # what is started, and left again, in no time
TRIAL: Final = 0.06  # seconds that a trial must be able to gain: twice of what it takes, as it may fail
RELEASES: Final = 0.1  # a share of the time in which the GIL is held, below which it holds nobody up
PROMISE: Final = 0.15  # the same, relative to what is left to do


class Decision(NamedTuple):
    """Where to go on."""

    executor: str
    why: str
    expected: Prediction
    loop: Prediction
    """What the plain loop would have made of it."""


class Verdict(NamedTuple):
    """What came of a decision."""

    executor: str
    """Where to go on: the decision's, back to "inline", or on to what does better."""
    why: str
    moves: bool
    next: Decision | None = None
    """Where that is on to."""


# ── choosing ───────────────────────────────────────────────────────────────────────────────────────────────────


def choose(predictions: Sequence[Prediction], current: str = "inline") -> Decision:
    """Where to go on, and why.

    Args:
        predictions: what `predict` says.
        current: where it runs now. It is left only for what gains more than `CLEAR`, the error bar and the start-up.
    """
    by_name = {each.executor: each for each in predictions}
    loop, now = by_name["inline"], by_name.get(current, by_name["inline"])
    better = (each for each in predictions if each is not now and each.is_possible and _pays(each, now))
    best = next(better, now)
    for each in predictions:
        if now is loop and each is not best and _is_worth_trying(each, best):
            return Decision(each.executor, _why_try(each, now), each, loop)
    if best is not now:
        return Decision(best.executor, _why_move(best, now), best, loop)
    return Decision(now.executor, _why_stay(predictions, now), now, loop)


def _is_worth_trying(there: Prediction, best: Prediction) -> bool:
    """Whether it may be so much better than what pays for sure that it is worth the time to find out."""
    gain = best.total - there.at_best
    return there.executor in TRIED and there.is_possible and gain > max(TRIAL, PROMISE * best.total)


def _pays(there: Prediction, here: Prediction) -> bool:
    if not here.is_possible:
        return True
    gain = here.seconds_per_item - there.seconds_per_item - there.error
    return gain > CLEAR * here.seconds_per_item and gain * there.remaining > there.startup


def _why_move(there: Prediction, here: Prediction) -> str:
    facts = there.facts
    if facts.is_async:
        return f"an async def function: coroutines, {there.workers} at a time"
    if not here.is_possible:
        return f"{here.why}: {there.executor}"
    faster, workers = _times(here.seconds_per_item, there.seconds_per_item), plural(there.workers, "worker")
    return f"{_nature(facts)}: {there.executor}, {faster} expected on {workers}{_beside(facts)}"


def _why_try(there: Prediction, here: Prediction) -> str:
    facts = there.facts
    at_best = _times(here.seconds_per_item, there.least)
    return f"{_nature(facts)}: {there.executor} are tried, {at_best} at best{_beside(facts)}"


def _why_stay(predictions: Sequence[Prediction], here: Prediction) -> str:
    facts = here.facts
    if facts.is_async:
        return "an async def function stays on coroutines"
    if facts.mutates is not None:
        return f"it changes {facts.mutates}: it stays in the plain loop, where its changes are kept"
    others = [each for each in predictions if each.is_possible and each is not here]
    barred = [each.why for each in predictions if not each.is_possible and each.executor in ELSEWHERE]
    stays = "the plain loop is best" if here.executor == "inline" else f"{here.executor} stay"
    if not others:
        return f"{_nature(facts)}; nothing else can take it: {stays}{_excuse(barred)}"
    best = min(others, key=lambda each: (each.seconds_per_item, each.startup))
    return f"{_why_not_better(best, here)}: {stays}{_excuse(barred)}{_beside(facts)}"


def _why_not_better(best: Prediction, here: Prediction) -> str:
    """Why even the best of the others is not worth a move."""
    facts, its = here.facts, seconds_told(best.seconds_per_item)
    gain = here.seconds_per_item - best.seconds_per_item - best.error
    if best.workers == 1:
        return f"{_nature(facts)}; what is known to come is one item, which no worker does faster"
    if best.seconds_per_item >= here.seconds_per_item and here.executor == "inline":
        if best.executor == "threads" and not facts.hidden_threads:
            return f"{_nature(facts)}, so threads would not help"
        return f"each item takes {seconds_told(facts.wall)}; sending it to a worker costs {its}"
    if gain <= CLEAR * here.seconds_per_item:
        return f"{_nature(facts)}; {its} ± {seconds_told(best.error)} on {best.executor} is not clearly less"
    items = "item" if best.remaining == 1 else f"{best.remaining} items"
    return (
        f"{_nature(facts)}; {its} on {best.executor}, but to start them takes {seconds_told(best.startup)}, and the "
        f"next {items} would gain {seconds_told(gain * best.remaining)}"
    )


def _excuse(barred: list[str]) -> str:
    return f" ({barred[-1]})" if barred else ""


def _nature(facts: Facts) -> str:
    """What the function is like."""
    takes = f"each item takes {seconds_told(facts.wall)}"
    if facts.waiting > WAITS:
        return f"{takes} and waits {percent(facts.waiting)} of the time"
    if facts.gil_held is None:
        return takes
    if facts.gil_held < RELEASES:
        return f"{takes} and releases the GIL"
    return f"{takes} and holds the GIL {percent(facts.gil_held)} of the time"


def _beside(facts: Facts) -> str:
    if not facts.hidden_threads:
        return ""
    return f"; other threads of it (BLAS?) keep {facts.hidden_threads:.1f} cores busy already"


# ── looking back ───────────────────────────────────────────────────────────────────────────────────────────────


def observed(
    decision: Decision, measured: float, loop: float | None = None, others: Sequence[Prediction] = ()
) -> Verdict:
    """Was it right? To be asked again and again while the map runs.

    Args:
        decision: what was chosen.
        measured: seconds from one result to the next, since the start-up.
        loop: what the plain loop would take now, if that is known better than then: the time in which the workers are
            busy with an item, on executors that do not hold each other up.
        others: what is predicted of all executors by now.

    Returns: whether to move back: if it takes more than `WORSE` longer than the loop; or on, to one of the others.
    """
    if decision.executor == "inline" or not decision.loop.is_possible:
        return Verdict(decision.executor, f"{seconds_told(measured)} an item", False)
    instead = decision.loop.seconds_per_item if loop is None else loop
    told = f"{decision.executor}: {seconds_told(measured)} an item, where the plain loop takes {seconds_told(instead)}"
    if measured > instead * (1 + WORSE):
        return Verdict("inline", f"{told}: back to the loop", True)
    here = decision.expected._replace(seconds_per_item=measured)
    for each in () if _lacks_cores(decision) else others:
        if each.executor not in (decision.executor, "inline") and each.is_possible and _pays(each, here):
            why = f"{told}: {each.executor}, {seconds_told(each.seconds_per_item)} expected"
            return Verdict(each.executor, why, True, Decision(each.executor, why, each, decision.loop))
    awaited = _times(decision.loop.seconds_per_item, decision.expected.seconds_per_item)
    return Verdict(decision.executor, f"{told}: {_times(instead, measured)}, {awaited} was expected", False)


def _lacks_cores(decision: Decision) -> bool:
    """Whether what disappoints does so for want of cores, as there is no GIL to blame: then it would anywhere."""
    held = decision.expected.facts.gil_held
    return decision.executor == "threads" and (held is None or held < RELEASES)


# ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────


def seconds_told(seconds: float) -> str:
    """As people say it: 0.8 µs, 3.1 ms, 42 s."""
    for size, unit, least in ((1.0, "s", 0.9995), (1e-3, "ms", 0.9995), (1e-6, "µs", 0.0995)):
        if seconds >= least * size:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds * 1e9)} ns"


def _digits(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0") if number < 9.95 else f"{number:.0f}"


def _times(longer: float, shorter: float) -> str:
    return f"{longer / max(shorter, 1e-9):.1f} x"
