"""A map on *inline*: the plain loop. Nothing is pulled ahead, nothing is started."""

from __future__ import annotations

from typing import Any

import potok
from potok.dataflow.intake import Intake
from potok.dataflow.plan import Piece, Plan, unheard
from potok.dataflow.pooled import ordinary

__all__ = ["Inline"]


class Inline:
    """Each item is worked on as its result is asked for, in the task that asks. Between items is a park point."""

    __slots__ = ("_begun", "_intake", "_plan")

    def __init__(self, plan: Plan, intake: Intake) -> None:
        self._plan = plan
        self._intake = intake
        self._begun = False

    def take(self) -> Piece | None:
        """The next piece; None at the end of the input."""
        if not self._begun:
            potok.sleep(0)  # refuses to block an async def task, as the other executors do
            self._begun = True
        potok.checkpoint()
        index = self._intake.pulled
        items = self._intake.pull(1)
        if not items:
            self._intake.end()
            return None
        known = self._recorded(index, items)
        if known is not None:
            return known
        if self._plan.is_async:
            return self._note(potok.run(self._plan.aattempt, index, items[0], 0, unheard, on="inline"))
        return self._note(next(self._plan.work((index, items, 0), unheard)))

    async def atake(self) -> Piece | None:
        """The awaitable spelling of `take`. The event loop gets its turn before each item."""
        await potok.asleep(0)
        index = self._intake.pulled
        items = self._intake.pull(1)
        if not items:
            self._intake.end()
            return None
        known = self._recorded(index, items)
        if known is not None:
            return known
        if self._plan.is_async or not self._plan.is_plain:
            return self._note(await self._plan.aattempt(index, items[0], 0, unheard))
        return self._note(next(self._plan.work((index, items, 0), unheard)))

    def _recorded(self, index: int, items: list[Any]) -> Piece | None:
        """What the journal has of it."""
        if self._intake.records is None:
            return None
        return next(self._intake.records.sift(index, items))[2]

    def _note(self, piece: Piece) -> Piece:
        if self._intake.records is not None:
            self._intake.records.note([piece])
        index, value, error, attempts = piece
        return piece if error is None else (index, value, ordinary(error), attempts)

    def states(self) -> tuple[str, ...]:
        """There are no workers."""
        return ()

    def let_go(self) -> None:
        """Pull no more."""
        self._intake.close()

    def join(self) -> None:
        """Nothing runs on its own."""

    async def ajoin(self) -> None:
        """Nothing runs on its own."""
