"""A map on *auto*: the plain loop, as long as nothing is known to be faster; then where a measurement says.

    here: probe ──▶ consider ──pays──▶ elsewhere: an ordinary map over the same input ──loses──▶ here again
           ▲           │ does not                                                              (drained first)
           └───────────┘

The first items are worked on in the caller's own task, which is work that has to be done anyway, and the adviser's
probe looks on. Whether to move is considered at twice the time each time, so that it costs nothing to speak of. While
workers elsewhere come up, the work goes on where it is. Where a map moves to is the map that `on=` would have made: one
way of working. It is left for the loop where it loses, and for another where that is predicted to do clearly better.

Invariants
    The input is pulled by one way of working at a time: a map that is moved away from is drained first.
    Here, an input that is not at hand is not pulled while a result waits to be given out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import potok
from potok.adviser.choice import Decision, Verdict
from potok.adviser.facts import Facts
from potok.adviser.model import ELSEWHERE
from potok.dataflow.advice import Advice, There, is_warm
from potok.dataflow.arguments import default_workers
from potok.dataflow.intake import Intake
from potok.dataflow.loop import Loop
from potok.dataflow.plan import Piece, Plan, unheard, without_our_frames
from potok.dataflow.pooled import Pooled, ordinary

__all__ = ["Adaptive"]

LONGEST = 1024
"""Items that are taken one by one for one look at the clock."""


class Adaptive:
    """The caller's side."""

    def __init__(self, plan: Plan, intake: Intake) -> None:
        self._plan = plan
        self._intake = intake
        self._queued: deque[Piece] = deque()  # to be given out before anything else
        self._rest: tuple[int, list[Any]] | None = None  # pulled, and not worked on
        self._work: Pooled | None = None  # elsewhere
        self._leaving = False  # it is drained
        self._is_first = True
        self._advice = Advice(plan, intake)
        self._here = Loop(plan)
        self._warming: list[potok.Task[Any]] = []
        self._decision: Decision | None = None  # why it is where it is
        self._next: Decision | None = (
            None  # where to go on: once that has come up, and nothing is left elsewhere
        )
        self._there = There()
        self._judged = not plan.on.in_worker  # by what a worker has found out

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
                return self._give(piece, perf_counter() - began)
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
                return self._give(piece, perf_counter() - began)
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
        return self._advice.told(
            self._here.told() if self._work is None else self._there.told(self._work.plan)
        )

    # ── deciding ────────────────────────────────────────────────────────────────────────────────────────────

    def _begin(self, awaiting: bool = False) -> None:
        self._is_first = False
        advice, wanted = self._advice, self._plan.workers
        advice.begin()
        if self._plan.is_async:
            advice.say("an async def function: coroutines, and nothing to measure")
            self._move("coroutines", wanted or default_workers("coroutines"))
        elif self._plan.timeout is not None:
            executor = "processes" if "processes" in advice.machine().executors else "threads"
            advice.say(
                f"with a time-out nothing runs in the caller's own task: {executor}, where it can be kept"
            )
            self._move(executor, wanted or advice.machine().cores)
        elif self._plan.on.in_worker and "processes" in advice.machine().executors:
            advice.say("processes: whatever an item does, it does it to a worker")
            self._move("processes", wanted or advice.machine().cores)
        elif awaiting:
            advice.say(
                "read by `async for`: threads, not to hold up the event loop; for what computes say processes"
            )
            self._move("threads", wanted or default_workers("threads"))

    def _judge(self, facts: Facts) -> None:
        """A worker has found out what the function is like: does it better suit threads?"""
        self._judged = True
        decision = self._advice.decide(facts)
        if decision.executor == "threads":
            self._advice.say(f"threads: {decision.why}")
            self._next = decision
            self._leave()
        else:
            self._advice.say(f"processes, not to endanger the caller: {decision.why}")

    def _consider(self) -> None:
        """Is there anything faster than the loop?"""
        here, left = self._here, self._intake.left
        if here.is_trifling():
            here.considered()
            self._advice.say(here.why_trifling(), once="the plain loop")
            return
        if here.is_little(left):
            here.considered()
            self._advice.say(here.why_little(left or 0), once="the plain loop: what is left")
            return
        decision = self._advice.decide(here.facts())
        if decision.executor in ELSEWHERE and here.learns_of_gil(decision.expected.facts):
            here.postponed()  # threads would be there at once
            return
        decision = self._make_sure(decision)
        here.considered()
        if decision.executor == "inline":
            self._advice.say(f"the plain loop: {decision.why}", once="the plain loop")
            return
        self._advice.say(f"{decision.executor}: {decision.why}")
        self._next = decision
        if not is_warm(decision.executor) and not here.is_slow(decision):
            self._warm_up(decision)

    def _make_sure(self, decision: Decision, current: str = "inline") -> Decision:
        """Decide again, by what takes its time to find out; where it leaves this address space, by more of that."""
        if decision.executor not in ("inline", *ELSEWHERE):
            decision = self._advice.decide(self._here.facts(sure=True, leaves=False), current)
        if decision.executor in ELSEWHERE:
            decision = self._advice.decide(self._here.facts(sure=True), current)
        return decision

    def _warm_up(self, decision: Decision) -> None:
        """Have its workers come up; the work goes on where it is."""
        self._warming = [
            potok.start(int, on=decision.executor, name=f"map({self._plan.name}): warm up")
            for _ in range(self._advice.workers(decision))
        ]

    def _has_come_up(self) -> bool:
        """Whether there is somewhere to go on, ready to be worked on."""
        if self._warming and all(task.done() for task in self._warming):
            self._warming = []
        return self._next is not None and not self._warming

    def _go_on_there(self) -> None:
        assert self._next is not None  # noqa: S101 - for the type checker
        decision, self._next = self._next, None
        self._decision = None if self._plan.on.in_worker else decision
        self._move(decision.executor, self._advice.workers(decision))

    def _move(self, executor: str, workers: int) -> None:
        stretches = self._plan.stretches
        window = 4 * workers * (self._plan.batch or 1) if self._plan.window == 0 else self._plan.window
        plan = self._plan._replace(
            on=executor, workers=workers, window=window, stretches=stretches, probes=not self._judged
        )
        if executor in ELSEWHERE:
            from potok.dataflow.batched import Batched

            self._work = Batched(plan, self._intake)
        else:
            self._work = Pooled(plan, self._intake)
        if self._rest is not None:
            self._work.take_over(*self._rest)
            self._rest = None
        self._advice.moved(executor)
        self._there = There()

    def _see(self, piece: Piece, seconds: float) -> None:
        """How does it go elsewhere?"""
        work, decision = self._work, self._decision
        if work is None or self._leaving:
            return
        if not self._judged and work.facts() is not None:
            self._judge(work.facts())
        if decision is None:
            return
        self._there.add(_count(piece), seconds)
        if self._next is not None:  # something better is coming up
            if self._has_come_up():
                self._leave()
            return
        verdict = self._advice.review(decision, self._there, work.busy_seconds())
        if verdict is not None and verdict.moves:
            self._obey(verdict, decision)

    def _obey(self, verdict: Verdict, decision: Decision) -> None:
        """Go back to the loop, or on to where it is better, as soon as that has come up."""
        if verdict.next is not None:
            better = self._make_sure(verdict.next, decision.executor)
            if better.executor in (decision.executor, "inline"):
                return
            self._next = better
            if not is_warm(better.executor):
                self._warm_up(better)
        self._advice.say(verdict.why)
        if self._has_come_up() or self._next is None:
            self._leave()

    def _leave(self) -> None:
        """Give out what is held elsewhere, and pull no more there."""
        self._leaving = True
        self._work.stop()  # type: ignore[union-attr]

    def _come_back(self) -> bool:
        """Nothing is left elsewhere. False: nor anywhere else."""
        if not self._leaving or self._work is None:
            return False
        self._work.dismiss()
        self._work, self._leaving, self._decision = None, False, None
        if self._next is not None:
            self._go_on_there()
        else:
            self._here = Loop(self._plan)
        return True

    # ── the loop ────────────────────────────────────────────────────────────────────────────────────────────

    def _go_on_here(self) -> bool:
        """Work on a few items, or have moved. False: there are no more."""
        if self._next is None and self._here.is_due():
            self._consider()
        if self._has_come_up():
            if not self._here.is_little(self._intake.left):
                self._go_on_there()
                return True
            self._next = None  # by now it is not worth it any more
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
        first, seconds, failed = index, None, 0
        try:
            for item in self._intake.each(min(most, LONGEST)):
                began = perf_counter() if seconds is None else 0.0
                try:
                    value = fn(*item) if star else fn(item)
                except BaseException as error:  # noqa: BLE001 - data from here on: the consumer decides
                    self._queued.append((index, item, without_our_frames(error), 1))
                    failed = 1
                    return
                finally:
                    if seconds is None:
                        seconds = perf_counter() - began
                index += 1
                yield value
        finally:
            self._advice.given += index - first
            if seconds is not None:
                self._here.sampled(seconds, index - first + failed)

    def _most(self) -> int:
        most = self._here.next_count()
        return min(most, self._plan.window) if self._plan.window else most

    def _do(self, first: int, items: list[Any]) -> None:
        values: list[Any] = []
        error = self._here.run(items, values)
        if values:
            self._queued.append((first, values, None, 1))
        at = len(values)
        if error is None:
            if at < len(items):
                self._rest = first + at, items[at:]
            return
        piece: Piece = first + at, items[at], error, 1
        if self._plan.retries and isinstance(error, Exception):
            piece = self._plan.attempt(first + at, items[at], 1, unheard)
        self._queued.append(piece)
        if items[at + 1 :]:
            self._rest = first + at + 1, items[at + 1 :]

    def _give(self, piece: Piece, seconds: float | None = None) -> Piece:
        if seconds is not None:
            self._see(piece, seconds)
        self._advice.given += _count(piece)
        index, value, error, attempts = piece
        return piece if error is None else (index, value, ordinary(error), attempts)


def _count(piece: Piece) -> int:
    """For how many items it speaks; a stream counts its own."""
    if piece[2] is not None:
        return 1
    return len(piece[1]) if isinstance(piece[1], list) else 0
