"""A map on *auto*: the plain loop, as long as nothing is known to be faster; then where a measurement says.

    here: probe ──▶ consider ──pays──▶ elsewhere: an ordinary map over the same input ──loses──▶ here again
           ▲           │ does not                                                              (drained first)
           └───────────┘

The first items are worked on in the caller's own task, which is work that has to be done anyway, and the adviser's
probe looks on. Whether to move is considered at twice the time each time, so that it costs nothing to speak of. While
workers elsewhere come up, the loop goes on. Where a map moves to is the map that `on=` would have made: one way of
working.

Invariants
    The input is pulled by one way of working at a time: a map that is moved away from is drained first.
    Here, an input that is not at hand is not pulled while a result waits to be given out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from time import perf_counter
from typing import Any, Final

import potok
from potok.adviser.costs import Machine
from potok.adviser.facts import Facts
from potok.adviser.here import this_machine
from potok.adviser.model import Decision, choose, observed, predict, seconds_told, workers_for
from potok.dataflow.arguments import default_workers
from potok.dataflow.intake import Intake
from potok.dataflow.loop import Loop
from potok.dataflow.plan import Piece, Plan, unheard, without_our_frames
from potok.dataflow.pooled import Pooled, ordinary

__all__ = ["Adaptive"]

HIDDEN: Final = 0.5
"""What is left of a start-up while which the loop goes on: the gain of so long, about."""

SETTLED: Final = 0.03
"""Seconds, at least, between two looks at how it goes elsewhere."""

LOWEST: Final = 64
"""Results, at least, between two such looks."""

_warm: set[str] = set()
"""Executors that a map here has used."""


class Adaptive:
    """The caller's side."""

    def __init__(self, plan: Plan, intake: Intake) -> None:
        self._plan = plan
        self._intake = intake
        self._queued: deque[Piece] = deque()  # to be given out before anything else
        self._rest: tuple[int, list[Any]] | None = None  # pulled, and not worked on
        self._work: Pooled | None = None  # elsewhere
        self._leaving = False  # it is drained
        self._begun = perf_counter()
        self._log: list[str] = []
        self._given = 0
        self._is_first = True
        self._machine: Machine | None = None
        self._barred: set[str] = set()  # where it was slower than the loop
        self._here = Loop(plan)
        self._warming: list[potok.Task[Any]] = []
        self._decision: Decision | None = None
        self._there = _There()
        self._judged = not plan.on.in_worker  # by what a worker has found out
        self._next: Decision | None = None  # where to go on once nothing is left here

    # ── what Results asks for ───────────────────────────────────────────────────────────────────────────────

    def take(self) -> Piece | None:
        """The next piece; None when everything has been given out."""
        if self._is_first:
            potok.sleep(0)  # refuses to block an async def task, as the other executors do
            self._begin()
        while True:
            if self._queued:
                return self._give(self._queued.popleft())
            if self._work is None:
                potok.checkpoint()
                if not self._go_on_here():
                    return None
                continue
            began = perf_counter()
            piece = self._work.take()
            if piece is not None:
                self._see(piece, perf_counter() - began)
                return self._give(piece)
            if not self._come_back():
                return None

    async def atake(self) -> Piece | None:
        """The awaitable spelling of `take`."""
        if self._is_first:
            self._begin(awaiting=True)
        while True:
            if self._queued:
                return self._give(self._queued.popleft())
            if self._work is None:
                await potok.asleep(0)  # the event loop gets its turn
                if not self._go_on_here():
                    return None
                continue
            began = perf_counter()
            piece = await self._work.atake()
            if piece is not None:
                self._see(piece, perf_counter() - began)
                return self._give(piece)
            if not self._come_back():
                return None

    def let_go(self) -> None:
        """Cancel the rest. Idempotent, never waits, safe from finalizers."""
        self._queued.clear()
        self._rest = None
        self._intake.close()
        self._here.let_go()
        if self._work is not None:
            self._work.let_go()

    def join(self) -> None:
        """Wait until the workers have ended."""
        if self._work is not None:
            self._work.join()

    async def ajoin(self) -> None:
        """The awaitable spelling of `join`."""
        if self._work is not None:
            await self._work.ajoin()

    def states(self) -> tuple[str, ...]:
        """A line for each worker."""
        return () if self._work is None else self._work.states()

    def explain(self) -> str:
        """What was measured and decided, when, and why."""
        if self._is_first:
            return f"map over {self._plan.name}: nothing was measured yet; ask again when there are results"
        return "\n".join([f"map over {self._plan.name}", *self._log, *self._now()])

    # ── deciding ────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, awaiting: bool = False) -> None:
        self._is_first = False
        self._begun = perf_counter()
        if self._plan.is_async:
            self._say("an async def function: coroutines, and nothing to measure")
            self._move("coroutines", self._plan.workers or default_workers("coroutines"))
        elif self._plan.timeout is not None:
            executor = "processes" if "processes" in self._known_machine().executors else "threads"
            self._say(
                f"with a time-out nothing runs in the caller's own task: {executor}, where it can be kept"
            )
            self._move(executor, self._plan.workers or self._known_machine().cores)
        elif self._plan.on.in_worker and "processes" in self._known_machine().executors:
            self._say("processes: whatever an item does, it does it to a worker")
            self._move("processes", self._plan.workers or self._known_machine().cores)
        elif awaiting:
            self._say(
                "read by `async for`: threads, not to hold up the event loop; for what computes say processes"
            )
            self._move("threads", self._plan.workers or default_workers("threads"))

    def _judge(self, facts: Facts) -> None:
        """A worker has found out what the function is like: does it better suit threads?"""
        self._judged = True
        decision = self._decide(facts)
        if decision.executor == "threads":
            self._say(f"threads: {decision.why}")
            self._next, self._leaving = decision, True
            self._work.stop()  # type: ignore[union-attr]
        else:
            self._say(f"processes, not to endanger the caller: {decision.why}")

    def _known_machine(self) -> Machine:
        if self._machine is None:
            machine = this_machine(warm=tuple(_warm))
            if _is_nested():
                self._say("inside of a worker: the cores have work already")
                machine = machine._replace(cores=1, executors=("inline", "threads"))
            self._machine = machine
        costs = self._machine.costs
        for name in ("processes", "interpreters"):  # while they come up the loop goes on
            cold = costs.of(name).cold * HIDDEN
            costs = costs._replace(**{name: costs.of(name)._replace(cold=cold)})
        return self._machine._replace(
            costs=costs,
            executors=tuple(name for name in self._machine.executors if name not in self._barred),
            warm=tuple(_warm),
        )

    def _consider(self) -> None:
        """Is there anything faster than the loop?"""
        if self._here.is_trifling():
            self._here.considered()
            self._say(self._here.why_trifling(), once="the plain loop")
            return
        if self._warming:
            if all(task.done() for task in self._warming):
                self._warming = []
                self._settle_elsewhere()
            return
        decision = self._decide(self._here.facts())
        if decision.executor != "inline":
            decision = self._decide(self._here.facts(sure=True))
        self._here.considered()
        if decision.executor == "inline":
            self._say(f"the plain loop: {decision.why}", once="the plain loop")
            self._decision = decision
            return
        self._say(f"{decision.executor}: {decision.why}")
        self._decision = decision
        if (
            decision.executor in _warm
            or decision.executor in ("threads", "coroutines")
            or self._here.is_slow(decision)
        ):
            self._settle_elsewhere()
        else:  # the loop goes on while they come up
            self._warming = [
                potok.start(int, on=decision.executor, name=f"map({self._plan.name}): warm up")
                for _ in range(self._workers(decision))
            ]

    def _decide(self, facts: Facts) -> Decision:
        left = self._intake.left
        return choose(predict(facts, self._known_machine(), left, self._plan.workers or None))

    def _settle_elsewhere(self) -> None:
        assert self._decision is not None  # noqa: S101 - for the type checker
        self._move(self._decision.executor, self._workers(self._decision))

    def _workers(self, decision: Decision) -> int:
        """As many as it was decided on; where nobody knows how many items are to come, as many as suit the function."""
        if self._intake.left is not None:
            return decision.expected.workers
        suit = workers_for(decision.executor, decision.expected.facts, self._known_machine())
        return self._plan.workers or suit

    def _move(self, executor: str, workers: int) -> None:
        stretches = self._plan.stretches
        window = 4 * workers * (self._plan.batch or 1) if self._plan.window == 0 else self._plan.window
        plan = self._plan._replace(
            on=executor, workers=workers, window=window, stretches=stretches, probes=not self._judged
        )
        if executor in ("processes", "interpreters"):
            from potok.dataflow.batched import Batched

            self._work = Batched(plan, self._intake)
        else:
            self._work = Pooled(plan, self._intake)
        if self._rest is not None:
            self._work.take_over(*self._rest)
            self._rest = None
        _warm.add(executor)
        self._there = _There()

    def _see(self, piece: Piece, seconds: float) -> None:
        """How does it go elsewhere?"""
        if not self._judged and self._work is not None and self._work.facts() is not None:
            self._judge(self._work.facts())
        if self._decision is None or self._leaving or self._work is None:
            return
        self._there.add(_count(piece), seconds)
        if not self._there.is_due():
            return
        measured = self._there.seconds_an_item()
        self._there.look_again()
        verdict = observed(self._decision, measured, self._work.busy_seconds())
        if verdict.moves_back:
            self._say(verdict.why)
            self._barred.add(self._decision.executor)
            self._leaving = True
            self._work.stop()

    def _come_back(self) -> bool:
        """Nothing is left elsewhere. False: nor anywhere else."""
        if not self._leaving or self._work is None:
            return False
        self._work.dismiss()
        self._work, self._leaving, self._decision = None, False, None
        if self._next is not None:
            self._move(self._next.executor, self._workers(self._next))
            return True
        self._here = Loop(self._plan)
        return True

    # ── the loop ────────────────────────────────────────────────────────────────────────────────────────────

    def _go_on_here(self) -> bool:
        """Work on a few items, or have moved. False: there are no more."""
        if self._here.is_due() or self._warming:
            self._consider()
            if self._work is not None:
                return True
        if self._rest is None and self._can_stream():
            self._queued.append((self._intake.pulled, self._stream(self._most()), None, 1))
            return True
        first, items = self._rest or (self._intake.pulled, self._intake.pull(self._most()))
        self._rest = None
        if not items:
            self._intake.end()
            return False
        records = self._intake.records
        if records is None:
            self._do(first, items)
            return True
        for at, run, piece in records.sift(first, items):
            if piece is not None:
                self._queued.append(piece)
            elif not self._do_and_note(at, run):  # one has failed; those after it are still to be done
                self._put_back(items[at + len(run) - first :])
                break
        return True

    def _do_and_note(self, first: int, items: list[Any]) -> bool:
        before = len(self._queued)
        self._do(first, items)
        self._intake.records.note(list(self._queued)[before:])  # type: ignore[union-attr]
        return self._rest is None

    def _put_back(self, items: list[Any]) -> None:
        if self._rest is not None:
            self._rest = self._rest[0], [*self._rest[1], *items]

    def _can_stream(self) -> bool:
        """Whether the loop is known well enough to run on, and its input has to be taken one by one."""
        plain = self._plan.is_plain and self._intake.records is None
        return plain and not self._intake.at_hand and self._intake.is_open and self._here.is_known

    def _stream(self, most: int) -> Iterator[Any]:
        """The values of the next items, each worked on as it is asked for: the plain loop itself.

        The clock is looked at for the first one only: what is between two values is the caller's time.
        """
        fn, star, index = self._plan.fn, self._plan.star, self._intake.pulled
        began = perf_counter()
        seconds = None
        try:
            for item in self._intake.each(most):
                try:
                    value = fn(*item) if star else fn(item)
                except BaseException as error:  # noqa: BLE001 - data from here on: the consumer decides
                    self._queued.append((index, item, without_our_frames(error), 1))
                    return
                if seconds is None:
                    seconds = perf_counter() - began
                index += 1
                self._given += 1
                yield value
        finally:
            self._here.sampled(seconds or 0.0, most)

    def _most(self) -> int:
        most = self._here.next_count()
        return min(most, self._plan.window) if self._plan.window else most

    def _do(self, first: int, items: list[Any]) -> None:
        values: list[Any] = []
        error = self._here.run(items, values)
        if values:
            self._queued.append((first, values, None, 1))
        if error is None:
            return
        at = len(values)
        piece: Piece = first + at, items[at], error, 1
        if self._plan.retries and isinstance(error, Exception):
            piece = self._plan.attempt(first + at, items[at], 1, unheard)
        self._queued.append(piece)
        if items[at + 1 :]:
            self._rest = first + at + 1, items[at + 1 :]

    # ── words ───────────────────────────────────────────────────────────────────────────────────────────────

    def _give(self, piece: Piece) -> Piece:
        self._given += _count(piece)
        index, value, error, attempts = piece
        return piece if error is None else (index, value, ordinary(error), attempts)

    def _say(self, what: str, once: str = "") -> None:
        line = f"  after {self._given} items, {seconds_told(perf_counter() - self._begun)}: {what}"
        if once and self._log and f": {once}" in self._log[-1]:
            self._log[-1] = line
        else:
            self._log.append(line)

    def _now(self) -> Iterator[str]:
        told = self._here.told() if self._work is None else self._there.told(self._work.plan)
        yield f"  now, after {self._given} items, {seconds_told(perf_counter() - self._begun)}: {told}"


class _There:
    """How it goes elsewhere: seconds spent waiting for results, since the first one."""

    def __init__(self) -> None:
        self._items = 0
        self._seconds = 0.0
        self._all_items = 0
        self._all_seconds = 0.0
        self._began = False

    def add(self, items: int, seconds: float) -> None:
        """So many results came after waiting so long."""
        if not self._began:  # with the first one the workers are there
            self._began = True
            return
        self._items += items
        self._seconds += seconds
        self._all_items += items
        self._all_seconds += seconds

    def is_due(self) -> bool:
        """Whether there is enough to judge by."""
        return self._seconds >= SETTLED and self._items >= LOWEST

    def seconds_an_item(self) -> float:
        """Since the last look."""
        return self._seconds / self._items

    def look_again(self) -> None:
        """Later, at what comes from now on."""
        self._items, self._seconds = 0, 0.0

    def told(self, plan: Plan) -> str:
        """In words."""
        each = f", {seconds_told(self._all_seconds / self._all_items)} an item" if self._all_items else ""
        workers = "1 worker" if plan.workers == 1 else f"{plan.workers} workers"
        return f"{plan.on} with {workers}{each}"


def _count(piece: Piece) -> int:
    """For how many items it speaks; a stream counts its own."""
    if piece[2] is not None:
        return 1
    return len(piece[1]) if isinstance(piece[1], list) else 0


def _is_nested() -> bool:
    """Whether this is a worker's task already: of another map, or in another process."""
    task = potok.current_task()
    return task.executor in ("processes", "interpreters") or task.name.startswith("map(")
