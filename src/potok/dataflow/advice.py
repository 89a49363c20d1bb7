"""What a map on *auto* asks the adviser, how it goes elsewhere, and what was decided, in words."""

from __future__ import annotations

from time import perf_counter
from typing import Final

import potok
from potok.adviser.choice import Decision, Verdict, choose, observed, seconds_told
from potok.adviser.costs import Machine
from potok.adviser.facts import Facts
from potok.adviser.here import this_machine
from potok.adviser.model import Found, Prediction, predict, workers_for
from potok.dataflow.intake import Intake
from potok.dataflow.plan import Plan

__all__ = ["Advice", "There", "is_warm"]

HIDDEN: Final = 0.5
"""What is left of a start-up during which the loop goes on: as on two cores the workers slow it down, half of it."""

SETTLED: Final = 0.03
"""Seconds, at least, between two looks at how it goes elsewhere."""

LOWEST: Final = 8
"""Results for each worker, at least, between two such looks."""

SHORTER: Final = 4
"""How many times as fast results have to come as they did: then items must have become short, for nothing else has
changed, and the loop may be the place for them."""

_warm: set[str] = set()
"""Executors that a map here has used."""


def is_warm(executor: str) -> bool:
    """Whether its workers are there, or as good as there."""
    return executor in ("threads", "coroutines") or executor in _warm


class Advice:
    """What is known, and what was decided."""

    def __init__(self, plan: Plan, intake: Intake) -> None:
        self._plan = plan
        self._intake = intake
        self._begun = perf_counter()
        self._log: list[str] = []
        self._machine: Machine | None = None
        self._asked = False  # whether that is known to be there, and not only taken to be
        self._found: dict[str, Found] = {}
        self.given = 0  # results

    def begin(self) -> None:
        """The first result was asked for."""
        self._begun = perf_counter()

    # ── deciding ────────────────────────────────────────────────────────────────────────────────────────────

    def machine(self, asking: bool = True) -> Machine:
        """What there is here; see `this_machine`."""
        if self._machine is None or (asking and not self._asked):
            machine = this_machine(warm=tuple(_warm), asking=asking)
            if _is_nested():
                self.say("inside of a worker: the cores have work already", once="inside of a worker")
                machine = machine._replace(cores=1, executors=("inline", "threads"))
            self._machine, self._asked = machine, asking
        costs = self._machine.costs
        for name in ("processes", "interpreters"):  # while they come up the loop goes on
            cold = costs.of(name).cold * HIDDEN
            costs = costs._replace(**{name: costs.of(name)._replace(cold=cold)})
        return self._machine._replace(costs=costs, warm=tuple(_warm))

    def decide(self, facts: Facts, current: str = "inline") -> Decision:
        """Where to go on. The executors are asked for (4 ms) only once it seems to pay to leave for one of them."""
        if current != "inline":
            facts = facts._replace(items=self.given)
        decision = choose(self._predict(facts, asking=self._asked), current)
        if decision.executor not in ("inline", current) and not self._asked:
            decision = choose(self._predict(facts), current)
        return decision

    def _predict(self, facts: Facts, asking: bool = True) -> list[Prediction]:
        machine = self.machine(asking)
        return predict(facts, machine, self._intake.left, self._plan.workers or None, self._found)

    def workers(self, decision: Decision) -> int:
        """As many as it was decided on; where nobody knows how many items are to come, as many as suit the function."""
        if self._intake.left is not None:
            return decision.expected.workers
        suit = workers_for(decision.executor, decision.expected.facts, self.machine())
        return self._plan.workers or suit

    def moved(self, executor: str) -> None:
        """It works there now."""
        _warm.add(executor)

    def review(self, decision: Decision, there: There, busy: float | None) -> Verdict | None:
        """Was it right? None before there is enough to tell."""
        if not there.is_due(decision.expected.workers):
            return None
        measured, elapsed, before = there.look()
        if busy is None and elapsed * SHORTER < before:
            told = f"{seconds_told(elapsed)} an item, where it took {seconds_told(before)}"
            return Verdict("inline", f"{decision.executor}: {told}: to be looked at in the loop", True)
        loop = decision.loop.seconds_per_item if busy is None else busy
        self._found[decision.executor] = Found(measured, loop)
        facts = decision.expected.facts._replace(items=self.given)
        return observed(decision, measured, busy, self._predict(facts))

    # ── words ───────────────────────────────────────────────────────────────────────────────────────────────

    def say(self, what: str, once: str = "") -> None:
        """Put it down, with the time. In place of the last line, if that began with the same words."""
        line = f"  {self._when()}: {what}"
        if once and self._log and f": {once}" in self._log[-1]:
            self._log[-1] = line
        else:
            self._log.append(line)

    def told(self, now: str) -> str:
        """All that was said, and how it is now."""
        return "\n".join([f"map over {self._plan.name}", *self._log, f"  now, {self._when()}: {now}"])

    def _when(self) -> str:
        return f"after {self.given} items, {seconds_told(perf_counter() - self._begun)}"


class There:
    """How it goes elsewhere, since the first result: seconds spent waiting for results, and all in all."""

    def __init__(self) -> None:
        self._items = 0
        self._seconds = 0.0
        self._since = 0.0  # the last look
        self._before = 0.0  # seconds an item, all in all, when it was first looked at
        self._all_items = 0
        self._all_seconds = 0.0
        self._began = False

    def add(self, items: int, seconds: float) -> None:
        """So many results came after waiting so long."""
        if not self._began:  # with the first one the workers are there
            self._began, self._since = True, perf_counter()
            return
        self._items += items
        self._seconds += seconds
        self._all_items += items
        self._all_seconds += seconds

    def is_due(self, workers: int) -> bool:
        """Whether there is enough to judge by."""
        return self._seconds >= SETTLED and self._items >= LOWEST * workers

    def look(self) -> tuple[float, float, float]:
        """Seconds an item since the last look, waiting for it and all in all; and what the latter was at first."""
        now = perf_counter()
        measured, elapsed = self._seconds / self._items, (now - self._since) / self._items
        self._before = self._before or elapsed
        self._items, self._seconds, self._since = 0, 0.0, now
        return measured, elapsed, self._before

    def told(self, plan: Plan) -> str:
        """In words."""
        each = f", {seconds_told(self._all_seconds / self._all_items)} an item" if self._all_items else ""
        workers = "1 worker" if plan.workers == 1 else f"{plan.workers} workers"
        return f"{plan.on} with {workers}{each}"


def _is_nested() -> bool:
    """Whether this is a worker's task already: of another map, or in another process."""
    task = potok.current_task()
    return task.executor in ("processes", "interpreters") or task.name.startswith("map(")
