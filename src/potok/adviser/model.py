"""What each executor would make of a function, and which one to take. Pure: no clock, no I/O; facts in, words out.

The time that an item takes with w workers on c cores is bounded from below, three times, and close to the largest:

    latency   wall / w             w items at a time, each takes as long as it takes
    cores     busy / c             of all threads: what a BLAS does beside counts; not what only waits
    the lock  held                 on threads, the time an item holds the GIL: one at a time does
              or at home           elsewhere, what the one task that feeds the workers does for each item

`held` is measured (see `heartbeat`), and counted `CONVOY` times, up to all that the item computes: who lets go of the
GIL for some microseconds has to queue for it behind the others. Measured with two threads on two cores, to one:

    numpy on small arrays              held 0.3 to 0.5 of the time, 1 µs each      0.8 to 1.0 x
    hashing 1 MB, a little Python      held 0.4 of the time, 0.2 ms each           1.6 x
    hashing 20 kB                      held 0.0 of the time                        1.5 x

With six threads the last two fell to 1.2: hence no more threads than can compute. To that comes what the executor costs
(see `costs`), and pickling.

When to move is a ski-rental problem: a start-up is paid once, the gain with each item, and nobody knows how many are to
come. Where the input has no length, as many as were done are taken to follow: so never more is lost than twice what was
known to be there. A move must pay at the far end of the error bar; that, and `CLEAR`, keep it from going to and fro.

Source: Karlin, Manasse, Rudolph, Sleator, "Competitive snoopy caching", Algorithmica 3 (1988), for the rental rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf, isfinite, sqrt
from typing import Final, NamedTuple

from potok.adviser.costs import EXECUTORS, Machine
from potok.adviser.facts import Facts

__all__ = [
    "Decision",
    "Prediction",
    "Verdict",
    "choose",
    "observed",
    "predict",
    "relearned",
    "seconds_told",
    "workers_for",
]

BATCH: Final = 0.005  # seconds of items that go together to another address space
LARGEST_BATCH: Final = 16384  # items
WAITERS: Final = 32  # threads, for what mostly waits
COROUTINES: Final = 100
CONVOY: Final = 3
WAITS: Final = 0.5  # a share of waiting from which on a function "mostly waits"
CLEAR: Final = 0.05  # a gain that is worth a move, relative to what it takes now
WORSE: Final = 0.05  # a loss that is worth moving back
AT_HOME: Final = ("inline", "coroutines")  # in the thread that reads the results
ELSEWHERE: Final = ("interpreters", "processes")  # in another address space
DOUBT: Final = {"inline": 0.02, "coroutines": 0.1, "threads": 0.15, "interpreters": 0.2, "processes": 0.15}
"""How far a prediction may be wrong, relative to it, whatever the facts are."""


class Prediction(NamedTuple):
    """What one executor would make of the rest."""

    executor: str
    seconds_per_item: float
    """Until the next result; infinite where it is out of the question."""
    error: float
    """Seconds that this may be wrong by, beside what the figures of the function are: those are the same for all."""
    startup: float
    """Seconds, once."""
    why: str
    """In words; where it is out of the question, the reason."""
    workers: int
    remaining: int
    """How many items this is about."""
    facts: Facts
    """What it was made from."""

    @property
    def is_possible(self) -> bool:
        """Whether it could be chosen at all."""
        return isfinite(self.seconds_per_item)

    @property
    def total(self) -> float:
        """Seconds for all that remains."""
        return self.startup + self.remaining * self.seconds_per_item


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
    """Where to go on: the decision's, or back to "inline"."""
    why: str
    moves_back: bool


# ── predicting ─────────────────────────────────────────────────────────────────────────────────────────────────


def predict(
    facts: Facts, machine: Machine, remaining: int | None = None, workers: int | None = None
) -> list[Prediction]:
    """What each executor of this machine would make of what remains, best first.

    Args:
        facts: what the probe has found.
        machine: where it runs.
        remaining: how many items are to come; None if nobody knows: as many as there were.
        workers: how many are to be used; None: as many as suit the executor.

    Returns: one for each executor, the plain loop always among them; those that are out of the question come last.
    """
    expected = max(1, facts.items if remaining is None else remaining)
    names = [name for name in EXECUTORS if name == "inline" or name in machine.executors]
    found = [_prediction(name, facts, machine, expected, workers) for name in names]
    return sorted(found, key=lambda each: (not each.is_possible, each.total))


def _prediction(
    executor: str, facts: Facts, machine: Machine, remaining: int, workers: int | None
) -> Prediction:
    wanted = workers or workers_for(executor, facts, machine)
    count = 1 if executor == "inline" else max(1, min(wanted, remaining))
    startup = machine.startup(executor)
    reason = _out_of_the_question(executor, facts)
    if reason is not None:
        return Prediction(executor, inf, 0.0, startup, reason, count, remaining, facts)
    seconds, bound = _seconds(executor, facts, machine, count)
    error = DOUBT[executor] * seconds
    if executor == "threads" and not machine.free_threaded:
        error = max(error, _doubt_of_gil(facts) * facts.wall)
    return Prediction(executor, seconds, error, startup, bound, count, remaining, facts)


def workers_for(executor: str, facts: Facts, machine: Machine) -> int:
    """How many workers suit a function of this nature, if there are items enough."""
    match executor:
        case "inline":
            return 1
        case "coroutines":
            return COROUTINES
        case "threads":
            busy = 1.0 - facts.waiting
            return WAITERS if facts.waiting > WAITS else min(WAITERS, ceil(machine.cores / busy))
        case _:
            return machine.cores


def _out_of_the_question(executor: str, facts: Facts) -> str | None:
    """Why it can't be taken whatever it gains; None if it can."""
    moves, leaves = executor not in AT_HOME, executor in ELSEWHERE
    reasons = [
        (facts.is_async and executor != "coroutines", "an async def function is at home on coroutines"),
        (executor == "coroutines" and not facts.is_async, "a def function would keep all coroutines waiting"),
        (moves and facts.mutates is not None, f"it changes {facts.mutates}"),
        (leaves and facts.unpicklable is not None, f"{facts.unpicklable} can't go to another address space"),
        (executor == "interpreters" and facts.unloadable is not None, f"{facts.unloadable}"),
    ]
    return next((reason for holds, reason in reasons if holds), None)


def _seconds(executor: str, facts: Facts, machine: Machine, workers: int) -> tuple[float, str]:
    """Seconds an item, and what bounds it."""
    cost = machine.costs.of(executor)
    busy = _busy(facts)
    match executor:
        case "inline":
            return facts.wall + cost.item, "one after the other"
        case "coroutines":
            return facts.wall / workers + cost.item, f"{workers} at a time wait together"
        case "threads":
            held = 0.0 if machine.free_threaded else _queueing(facts) * facts.wall
            bounds = [
                (facts.wall / workers, f"{workers} at a time"),
                (busy / machine.cores, f"{_cores(machine.cores)} to compute on"),
                (held, f"the GIL is held {_percent(_gil_held(facts))} of the time"),
            ]
            overhead = cost.item + cost.batch / workers
        case _:
            load = facts.pickle / 2 + cost.byte * (facts.args_bytes + facts.results_bytes)
            batch = cost.batch / _batch(facts.wall)
            bounds = [
                ((facts.wall + load + batch) / workers, f"{workers} at a time"),
                ((busy + 2 * load) / machine.cores, f"{_cores(machine.cores)} to compute on"),
                (load, "pickling here takes longer than the work"),
            ]
            overhead = cost.item
    longest, bound = max(bounds)
    return longest + overhead, bound


def _busy(facts: Facts) -> float:
    """Seconds of cores that an item takes, of all threads; what it was kept from by other programs counts."""
    own = facts.wall * (1 - facts.waiting)
    return own + facts.hidden_threads * facts.wall


def _gil_held(facts: Facts) -> float:
    """The share of time; where it was too short to be measured, all that it computes."""
    return 1 - facts.waiting if facts.gil_held is None else facts.gil_held


def _queueing(facts: Facts) -> float:
    """The share of the time in which others of its kind would have to wait for the GIL."""
    held = _gil_held(facts)
    return max(held, min(CONVOY * held, 1 - facts.waiting))


def _doubt_of_gil(facts: Facts) -> float:
    """How far the share may be off: of n looks, each at another moment."""
    share, beats = _gil_held(facts), max(1, facts.beats)
    return sqrt(share * (1 - share) / beats) + 0.5 / (beats + 1)


def _batch(wall: float) -> float:
    return max(1.0, min(float(LARGEST_BATCH), BATCH / wall if wall > 0 else inf))


# ── choosing ───────────────────────────────────────────────────────────────────────────────────────────────────


def choose(predictions: Sequence[Prediction], current: str = "inline") -> Decision:
    """Where to go on, and why.

    Args:
        predictions: what `predict` says.
        current: where it runs now. It is left only for what gains more than `CLEAR`, the error bar and the start-up.
    """
    by_name = {each.executor: each for each in predictions}
    loop, now = by_name["inline"], by_name.get(current, by_name["inline"])
    for each in predictions:
        if each.executor != now.executor and each.is_possible and _pays(each, now):
            return Decision(each.executor, _why_move(each, now), each, loop)
    return Decision(now.executor, _why_stay(predictions, now), now, loop)


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
    faster = _times(here.seconds_per_item, there.seconds_per_item)
    return f"{_nature(facts)}: {there.executor}, {faster} expected on {_workers_told(there.workers)}{_beside(facts)}"


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
        return f"{takes} and waits {_percent(facts.waiting)} of the time"
    if facts.gil_held is None:
        return takes
    if facts.gil_held < 0.1:
        return f"{takes} and releases the GIL"
    return f"{takes} and holds the GIL {_percent(facts.gil_held)} of the time"


def _beside(facts: Facts) -> str:
    if not facts.hidden_threads:
        return ""
    return f"; other threads of it (BLAS?) keep {facts.hidden_threads:.1f} cores busy already"


# ── looking back ───────────────────────────────────────────────────────────────────────────────────────────────


def observed(decision: Decision, measured: float, loop: float | None = None) -> Verdict:
    """Was it right? To be asked again and again while the map runs.

    Args:
        decision: what was chosen.
        measured: seconds from one result to the next, since the start-up.
        loop: what the plain loop would take now, if that is known better than then: the time in which the workers are
            busy with an item, on executors that do not hold each other up.

    Returns: whether to move back: if it takes more than `WORSE` longer than the loop.
    """
    if decision.executor == "inline" or not decision.loop.is_possible:
        return Verdict(decision.executor, f"{seconds_told(measured)} an item", False)
    instead = decision.loop.seconds_per_item if loop is None else loop
    told = f"{decision.executor}: {seconds_told(measured)} an item, where the plain loop takes {seconds_told(instead)}"
    if measured > instead * (1 + WORSE):
        return Verdict("inline", f"{told}: back to the loop", True)
    awaited = _times(decision.loop.seconds_per_item, decision.expected.seconds_per_item)
    return Verdict(decision.executor, f"{told}: {_times(instead, measured)}, {awaited} was expected", False)


def relearned(facts: Facts, decision: Decision, measured: float) -> Facts:
    """The facts, with what a disappointment on threads tells: the GIL must be held for as long as an item took there.

    What holds the GIL for microseconds at a time looks freer than it is, see `heartbeat`. Predict from these again, to
    find out whether processes do better.
    """
    expected = decision.expected
    if (
        decision.executor != "threads"
        or measured <= expected.seconds_per_item + expected.error
        or not facts.wall
    ):
        return facts
    share = min(1.0, measured / facts.wall)
    return facts._replace(gil_held=max(share, facts.gil_held or 0.0), beats=max(facts.beats, 100))


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


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _cores(count: int) -> str:
    return "1 core" if count == 1 else f"{count} cores"


def _workers_told(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"
