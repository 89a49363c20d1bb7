"""What each executor would make of a function. Pure: no clock, no I/O; facts in, figures and words out.

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
(see `costs`), and pickling. What was measured of an executor takes the place of what is predicted of it (`Found`).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, inf, isfinite, sqrt
from typing import Final, NamedTuple

from potok.adviser.costs import EXECUTORS, Machine
from potok.adviser.facts import Facts
from potok.adviser.units import percent, plural
from potok.dataflow.sizing import LARGEST, TYPICAL

__all__ = ["Found", "Prediction", "predict", "workers_for"]

WAITERS: Final = 32  # threads, for what mostly waits
COROUTINES: Final = 100
CONVOY: Final = 3
SLACK: Final = 0.25  # of a worker: who waits a tenth of the time may not have waited at all
WAITS: Final = 0.5  # a share of waiting from which on a function "mostly waits"
WORSE: Final = 0.05  # a loss that is worth moving back
CHANGED: Final = 2.0  # by what factor items are longer, or shorter, for it to be another matter
FEWEST_BEATS: Final = 8  # looks at the GIL before anything is hoped of threads
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
    least: float
    """Seconds an item if all that only a trial can tell turns out well; infinite where there is nothing to hope for."""
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

    @property
    def at_best(self) -> float:
        """The same if all that is in doubt turns out well."""
        return self.startup + self.remaining * self.least


class Found(NamedTuple):
    """What was measured of an executor."""

    seconds: float
    """From one result to the next."""
    loop: float
    """What the plain loop would have taken then. Where that is very different now, this says nothing any more."""


# ── predicting ─────────────────────────────────────────────────────────────────────────────────────────────────


def predict(
    facts: Facts,
    machine: Machine,
    remaining: int | None = None,
    workers: int | None = None,
    found: Mapping[str, Found] | None = None,
) -> list[Prediction]:
    """What each executor of this machine would make of what remains, best first.

    Args:
        facts: what the probe has found.
        machine: where it runs.
        remaining: how many items are to come; None if nobody knows: as many as there were.
        workers: how many are to be used; None: as many as suit the executor.
        found: what was measured of some of the executors, by their names.

    Returns: one for each executor, the plain loop always among them; those that are out of the question come last.
    """
    expected = max(1, facts.items if remaining is None else remaining)
    names = [name for name in EXECUTORS if name == "inline" or name in machine.executors]
    made = [_prediction(name, facts, machine, expected, workers) for name in names]
    made = [_corrected(each, (found or {}).get(each.executor)) for each in made]
    return sorted(made, key=lambda each: (not each.is_possible, each.total))


def _prediction(
    executor: str, facts: Facts, machine: Machine, remaining: int, workers: int | None
) -> Prediction:
    wanted = workers or workers_for(executor, facts, machine)
    count = 1 if executor == "inline" else max(1, min(wanted, remaining))
    startup = machine.startup(executor) + (facts.first if executor in ELSEWHERE else 0.0)
    reason = _out_of_the_question(executor, facts)
    if reason is not None:
        return Prediction(executor, inf, 0.0, inf, startup, reason, count, remaining, facts)
    seconds, bound = _seconds(executor, facts, machine, count, _queueing(facts))
    error, least = DOUBT[executor] * seconds, inf
    if executor == "threads":
        doubt = 0.0 if machine.free_threaded else _doubt_of_gil(facts)
        error = max(error, doubt * facts.wall)
        if machine.free_threaded or (facts.gil_held is not None and facts.beats >= FEWEST_BEATS):
            alone = facts._replace(hidden_threads=0.0)
            least, _ = _seconds(executor, alone, machine, count, max(0.0, _gil_held(facts) - doubt))
    return Prediction(executor, seconds, error, least, startup, bound, count, remaining, facts)


def _corrected(predicted: Prediction, found: Found | None) -> Prediction:
    """As it was measured, if items are still of that kind."""
    if found is None or not predicted.is_possible or not found.loop:
        return predicted
    longer = predicted.facts.wall / found.loop
    if not 1 / CHANGED < longer < CHANGED:
        return predicted
    seconds = found.seconds * longer
    return predicted._replace(
        seconds_per_item=seconds, least=inf, error=WORSE * seconds, why="as it was measured"
    )


def workers_for(executor: str, facts: Facts, machine: Machine) -> int:
    """How many workers suit a function of this nature, if there are items enough."""
    match executor:
        case "inline":
            return 1
        case "coroutines":
            return COROUTINES
        case "threads":
            busy = 1.0 - facts.waiting
            return WAITERS if facts.waiting > WAITS else min(WAITERS, ceil(machine.cores / busy - SLACK))
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


def _seconds(
    executor: str, facts: Facts, machine: Machine, workers: int, queueing: float
) -> tuple[float, str]:
    """Seconds an item, and what bounds it. `queueing`: the share of its time in which others wait for the GIL."""
    cost = machine.costs.of(executor)
    busy, cores = _busy(facts), plural(machine.cores, "core")
    match executor:
        case "inline":
            return facts.wall + cost.item, "one after the other"
        case "coroutines":
            return facts.wall / workers + cost.item, f"{workers} at a time wait together"
        case "threads":
            held = 0.0 if machine.free_threaded else queueing * facts.wall
            bounds = [
                (facts.wall / workers, f"{workers} at a time"),
                (busy / machine.cores, f"{cores} to compute on"),
                (held, f"the GIL is held {percent(_gil_held(facts))} of the time"),
            ]
            overhead = cost.item + cost.batch / workers
        case _:
            load = facts.pickle / 2 + cost.byte * (facts.args_bytes + facts.results_bytes)
            batch = cost.batch / _batch(facts.wall)
            bounds = [
                ((facts.wall + load + batch) / workers, f"{workers} at a time"),
                ((busy + 2 * load) / machine.cores, f"{cores} to compute on"),
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
    return max(1.0, min(float(LARGEST), TYPICAL / wall if wall > 0 else inf))
