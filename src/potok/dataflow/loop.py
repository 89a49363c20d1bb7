"""The plain loop of a map on *auto*: items worked on in the caller's own task, and what that tells of the function.

At first the adviser's probe looks on, some milliseconds at a stretch; then only the time is taken, and the probe comes
back when items take much longer, or shorter, than they did.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final

import potok
from potok.adviser.choice import Decision, seconds_told
from potok.adviser.costs import DEFAULT_COSTS
from potok.adviser.facts import Facts
from potok.adviser.heartbeat import gil_is_on
from potok.adviser.model import CHANGED, FEWEST_BEATS
from potok.adviser.probe import Probe
from potok.dataflow.plan import ENOUGH, Pace, Plan, without_our_frames

__all__ = ["Loop"]

STRETCH: Final = 0.001
"""Seconds that the loop goes on without looking up: a look takes some microseconds."""

MANY: Final = 2048
"""Items in a stretch, at most: their results are to stay in a cache, in memory that was used before."""

CACHE: Final = 1 << 20
"""Bytes of results that may be there at a time: where they are large, each one more is in memory that nobody used yet,
and to get that from the system takes ten times as long as to fill it."""

LOOKED_ON: Final = 0.006
"""The same while the probe looks on: it has to see the GIL for some milliseconds at a stretch."""

PART: Final = 256
"""Items between two looks at the clock."""

PATIENCE: Final = 0.003
"""Seconds after which a stretch is given up, as its items take longer than they did."""

TRIFLE: Final = 1e-6
"""Seconds below which nothing has to be found out: an item that takes no longer is at home in the loop."""

FIRST_LOOK: Final = 0.002
"""Seconds of items after which it is first considered to move."""

FEW: Final = 4
"""Items that are no sample yet: the first ones pay for imports, caches and fresh memory."""

LONG, VERY_LONG = 0.05, 1.0
"""Seconds of an item from which on two are a sample, and one is."""

LITTLE: Final = 0.01
"""Seconds of items that are not worth a thought about where to work on them: to look at what is there takes as long."""

ODD: Final = 3
"""Stretches in a row in which items have to be different, as any may have been held up by what is none of ours."""

SURPRISE: Final = 64
"""Times as long as before, and a millisecond at least: then one sample is enough."""

FEWEST: Final = 64
"""Items after which it is believed that they are tiny."""


class Loop:
    """The loop in the caller's task, and what it knows of the function."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._probe = Probe(plan.fn, plan.star)
        self._facts: Facts | None = None
        self._seconds = 0.0  # in the function, since it is looked at
        self._items = 0
        self._due = FIRST_LOOK
        self._recent = 0.0  # seconds an item, of the last stretch
        self._looks_on = True
        self._odd = 0  # samples in a row that were not as before

    def run(self, items: list[Any], values: list[Any]) -> BaseException | None:
        """Work on items in order until one fails: its error. The values of those before it are in `values`.

        If there is no error and are fewer values than items, so be it: the others are to be done later.
        """
        if self._plan.pace is not None:
            potok.sleep(self._plan.pace.atomic(Pace.delay))
        began = perf_counter()
        error: BaseException | None = None
        if self._looks_on:
            try:
                self._probe.run(items, into=values)
            except BaseException as raised:  # noqa: BLE001 - data from here on: the consumer decides
                error = without_our_frames(raised)
            else:
                error = self._plan.refuse_coroutines(values)
        else:
            error = self._apply(items, values, began)
        count = len(values) + (error is not None)
        seconds = perf_counter() - began
        self._recent = seconds / count
        self._seconds += seconds
        self._items += count
        if self._looks_on:
            trifling = self._recent < TRIFLE and self._items >= FEWEST
            self._looks_on = self._probe.seen < ENOUGH and not trifling
        else:
            self._compare()
        return error

    def _apply(self, items: list[Any], values: list[Any], began: float) -> BaseException | None:
        if len(items) <= PART:
            return self._plan.apply(items, values)
        for first in range(0, len(items), PART):
            error = self._plan.apply(items[first : first + PART], values)
            if error is not None or perf_counter() - began > PATIENCE:
                return error
        return None

    def _compare(self) -> None:
        """Look at the function anew if items are not as they were, and it is not the machine that was busy once."""
        self._odd = 0 if self._is_as_before() else self._odd + 1
        if self._odd >= ODD:
            self._begin_anew()

    def _is_as_before(self) -> bool:
        before = self._facts.wall if self._facts is not None else min(self._recent, TRIFLE)
        return not before or 1 / CHANGED < self._recent / before < CHANGED or self._recent < 1e-6 > before

    def _begin_anew(self) -> None:
        self._seconds, self._items, self._due, self._odd = 0.0, 0, FIRST_LOOK, 0
        self._look_on()

    def _look_on(self) -> None:
        self._probe = Probe(self._plan.fn, self._plan.star)
        self._facts, self._looks_on = None, True

    @property
    def is_known(self) -> bool:
        """Whether the probe has seen enough."""
        return not self._looks_on

    def sampled(self, seconds: float, count: int) -> None:
        """So many items were worked on; one of them took so many seconds."""
        surprising = seconds > max(0.001, SURPRISE * self._recent)
        self._recent = min(seconds, 2 * self._recent) if self._odd < ODD - 1 and not surprising else seconds
        self._items += count
        self._seconds += count * self._recent
        self._compare()
        if surprising:
            self._begin_anew()

    def next_count(self) -> int:
        """How many items take about a stretch; at first few, for nothing is known of them."""
        if self._plan.pace is not None or not self._items:
            return 1
        stretch = LOOKED_ON if self._looks_on else STRETCH
        fitting = int(stretch / self._recent) if self._recent > 0 else 1024
        size = self._probe.result_bytes
        fitting = min(fitting, int(CACHE / size)) if size else fitting
        return max(1, min(fitting, 8 * self._items, MANY))

    def is_trifling(self) -> bool:
        """Whether items are too short for anything but the loop; then the probe need not look on."""
        if self._recent >= TRIFLE or self._items < FEWEST:
            return False
        self._looks_on = False
        return True

    def why_trifling(self) -> str:
        """In words."""
        there = seconds_told(DEFAULT_COSTS.processes.item)
        return f"the plain loop: each item takes {seconds_told(self._recent)}; sending it to a worker costs {there}"

    def is_little(self, left: int | None) -> bool:
        """Whether so many items are not worth a thought."""
        return left is not None and left * self._recent < LITTLE

    def why_little(self, left: int) -> str:
        """In words."""
        return f"the plain loop: what is left takes {seconds_told(left * self._recent)}"

    def is_due(self) -> bool:
        """Whether it is time to consider a move: there is enough to go by, and it does not become less each time."""
        few = FEW if self._recent < LONG else 2 if self._recent < VERY_LONG else 1
        if few == FEW and self._probe.result_bytes > CACHE:
            few = 2 * FEW  # all of the first four may be in memory that is new
        if self._seconds < self._due or self._items < few:
            return False
        return self._items > 2 * FEW or self._recent * CHANGED > self._seconds / self._items

    def considered(self) -> None:
        """It was: next time after twice the time. Threads that were busy beside may have ended by then."""
        self._due = 2 * self._seconds
        if not self._looks_on and self._facts is not None and self._facts.hidden_threads:
            self._look_on()

    def postponed(self) -> None:
        """Soon more is known: then."""
        self._due = self._seconds + LOOKED_ON

    def facts(self, sure: bool = False, leaves: bool = True) -> Facts:
        """What is known of the function: by the probe, and since then by the clock."""
        facts = self._probe.facts(sure=sure, leaves=leaves)
        self._facts = facts._replace(items=max(self._items, facts.items))
        return self._facts

    def learns_of_gil(self, facts: Facts) -> bool:
        """Whether the probe will soon know how much of the time the GIL is held, and does not yet."""
        return self._looks_on and facts.beats < FEWEST_BEATS and gil_is_on()

    def let_go(self) -> None:
        """Keep no item: an error that is kept leads to this."""
        self._probe.let_go()

    def is_slow(self, decision: Decision) -> bool:
        """Whether an item takes so long that workers are up before the next one is done."""
        return self._recent > decision.expected.startup / 4

    def told(self) -> str:
        """In words."""
        if not self._items:
            return "nothing had to be worked on"
        return f"the plain loop, {seconds_told(self._recent)} an item"
