"""A map on *processes* or *interpreters*: as `pooled`, but in batches, for each message costs more than most functions.

    consumer ──[job, job, …]──▶ worker: works on them one after the other ──[outcome, …], seconds──▶ consumer

A batch takes a worker about `TARGET` seconds: it begins with one item and grows, or shrinks, by what the workers tell.
So long items are shared out one by one, and short ones cost little more than they would here. A batch that is not
full goes out as soon as the consumer would wait.

Invariants
    Every item of a batch is answered for; an outcome that can't be pickled is told as an error of its item.
    What a worker that dies had in hand is lost with it: the map ends with WorkerDied.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final

import cloudpickle

import potok
from potok.dataflow.crew import LOST, Crew
from potok.dataflow.plan import Intake, Job, Outcome, Plan, failure_of
from potok.dataflow.pooled import Pooled

__all__ = ["Batched"]

TARGET: Final = 0.005  # seconds
LARGEST: Final = 1024  # items


class BatchCrew(Crew):
    """The workers' side, in their processes."""

    __slots__ = ()

    _outcomes: potok.Sender[Any]  # lists of them, with the seconds they took

    def _work_on(self, batch: list[Job]) -> None:
        outcomes: list[Outcome] = []
        began = perf_counter()
        try:
            for job in batch:
                outcomes.append(self._plan.apply(job))
                self._look_up(batch, outcomes, began)
            self._report(outcomes, perf_counter() - began)
        finally:
            batch, outcomes = [], []  # the tracebacks of items that failed refer to this frame

    async def _awork_on(self, batch: list[Job]) -> None:
        outcomes: list[Outcome] = []
        began = perf_counter()
        try:
            for job in batch:
                outcomes.append(await self._plan.aapply(job))
                self._look_up(batch, outcomes, began)
            self._report(outcomes, perf_counter() - began)
        finally:
            batch, outcomes = [], []

    def _look_up(self, batch: list[Job], outcomes: list[Outcome], began: float) -> None:
        """A park point. A worker that alone was cancelled, by its function for one, leaves the rest to another."""
        try:
            potok.checkpoint()
        except potok.Cancelled:
            if not self._scope.cancelled:
                self._report(outcomes, perf_counter() - began)
                rest = batch[len(outcomes) :]
                self.start(self._plan.workers, *([rest] if rest else ()))
            raise

    def _report(self, outcomes: list[Outcome], seconds: float) -> None:
        """Send them: together, or, where one can't be pickled, one by one. Never waits: the channel is unbounded."""
        told = [_portable(outcome) for outcome in outcomes]
        try:
            self._outcomes.send_nowait((seconds, told))
        except potok.RemoteError:
            for (index, item, _, _), outcome in zip(outcomes, told, strict=True):
                try:
                    self._outcomes.send_nowait((seconds, [outcome]))
                except potok.RemoteError as error:
                    self._outcomes.send_nowait((seconds, [failure_of(index, item, error)]))


def _portable(outcome: Outcome) -> Outcome:
    """Without the item, which only errors need; with an error that arrives as what it is, or else is described."""
    index, item, value, error = outcome
    if error is None:
        return index, None, value, None
    try:
        cloudpickle.loads(cloudpickle.dumps(error))
    except Exception as failure:  # noqa: BLE001 - whatever its class does
        told = potok.RemoteError(
            f"{type(error).__qualname__}: {error} (itself it can't go to another address space: {failure})"
        )
        told.__cause__ = error.__cause__
        return index, item, None, told
    return outcome


class Batched(Pooled):
    """The caller's side."""

    __slots__ = ("_batch", "_size")

    _crew = BatchCrew

    def __init__(self, plan: Plan, intake: Intake) -> None:
        super().__init__(plan, intake)
        self._batch: list[Job] = []  # pulled, but not sent
        self._size = 1  # of a batch

    def _reach(self) -> int:
        return self._plan.window * (self._size if self._plan.stretches else 1)

    def _send(self, job: Job) -> None:
        self._batch.append(job)
        if len(self._batch) >= self._size:
            self._send_rest()

    def _send_rest(self) -> None:
        if self._batch:
            batch, self._batch = self._batch, []
            self._reins.jobs.send_nowait(batch)  # type: ignore[union-attr]

    def let_go(self) -> None:
        """Cancel the rest. Idempotent, never waits, safe from finalizers."""
        self._batch.clear()
        super().let_go()

    def _accept(self, outcome: Any) -> None:
        if outcome[0] == LOST:
            super()._accept(outcome)
            return
        seconds, told = outcome
        for one in told:
            super()._accept(one)
        most = LARGEST if self._plan.stretches else max(1, self._plan.window // (2 * self._plan.workers))
        fitting = int(TARGET * len(told) / seconds) if seconds > 0 else LARGEST
        self._size = max(1, min(fitting, 4 * self._size, most))
