"""The plain loop of a map on *auto*: items worked on in the caller's own task, and what that tells of the function.

At first the adviser's probe looks on, some milliseconds at a stretch; then only the time is taken, and the probe comes
back when items take much longer, or shorter, than they did.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final

import potok
from potok.adviser.costs import DEFAULT_COSTS
from potok.adviser.facts import Facts
from potok.adviser.model import Decision, seconds_told
from potok.adviser.probe import Probe
from potok.dataflow.plan import ENOUGH, Pace, Plan, without_our_frames

__all__ = ["Loop"]

STRETCH: Final = 0.0004
"""Seconds that the loop goes on without looking up: the results of tiny items still fit into a cache."""

LOOKED_ON: Final = 0.006
"""The same while the probe looks on: it has to see the GIL for some milliseconds at a stretch."""

TRIFLE: Final = 1e-6
"""Seconds below which nothing has to be found out: an item that takes no longer is at home in the loop."""

FIRST_LOOK: Final = 0.002
"""Seconds of items after which it is first considered to move."""

CHANGED: Final = 2.0
"""By what factor items have to take longer, or shorter, for the function to be looked at anew."""

ODD: Final = 3
"""Samples in a row that have to be so, where one item stands for many."""

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
        """Work on items in order until one fails: its error. The values of those before it are in `values`."""
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
            error = self._plan.apply(items, values)
        count = len(values) + (error is not None)
        seconds = perf_counter() - began
        self._recent = seconds / count
        self._seconds += seconds
        self._items += count
        if self._looks_on:
            trifling = self._recent < TRIFLE and self._items >= FEWEST
            self._looks_on = self._seconds < ENOUGH and not trifling
        elif not self._is_as_before():
            self._begin_anew()
        return error

    def _is_as_before(self) -> bool:
        before = self._facts.wall if self._facts is not None else min(self._recent, TRIFLE)
        return not before or 1 / CHANGED < self._recent / before < CHANGED or self._recent < 1e-6 > before

    def _begin_anew(self) -> None:
        self._probe = Probe(self._plan.fn, self._plan.star)
        self._facts = None
        self._seconds, self._items, self._due, self._looks_on, self._odd = 0.0, 0, FIRST_LOOK, True, 0

    @property
    def is_known(self) -> bool:
        """Whether the probe has seen enough."""
        return not self._looks_on

    def sampled(self, seconds: float, count: int) -> None:
        """So many items were worked on; one of them took so many seconds."""
        self._recent = min(seconds, 2 * self._recent) if self._odd < ODD else seconds
        self._items += count
        self._seconds += count * self._recent
        self._odd = 0 if self._is_as_before() else self._odd + 1
        if self._odd > ODD:
            self._begin_anew()

    def next_count(self) -> int:
        """How many items take about a stretch; at first few, for nothing is known of them."""
        if self._plan.pace is not None or not self._items:
            return 1
        stretch = LOOKED_ON if self._looks_on else STRETCH
        fitting = int(stretch / self._recent) if self._recent > 0 else 1024
        return max(1, min(fitting, 8 * self._items, 65536))

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

    def is_due(self) -> bool:
        """Whether it is time to consider a move."""
        return self._items > 0 and self._seconds >= self._due

    def considered(self) -> None:
        """It was: next time after twice the time."""
        self._due = 2 * self._seconds

    def facts(self, sure: bool = False) -> Facts:
        """What is known of the function: by the probe, and since then by the clock."""
        facts = self._probe.facts(sure=sure)
        if not self._looks_on and self._items > facts.items:
            facts = facts._replace(items=self._items)
        self._facts = facts
        return facts

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
