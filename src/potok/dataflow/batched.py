"""A map on *processes* or *interpreters*: as `pooled`, but its workers are led by a dispatcher, in lots."""

from __future__ import annotations

import functools
from contextlib import suppress
from time import perf_counter
from typing import Any, Final

import potok
from potok.dataflow.board import Board
from potok.dataflow.crew import Crew, Reins, hire
from potok.dataflow.dispatch import lead
from potok.dataflow.intake import Intake
from potok.dataflow.plan import Plan
from potok.dataflow.pooled import Pooled
from potok.dataflow.sizing import LARGEST

__all__ = ["Batched"]

LOOK: Final = 0.0002
"""Seconds between two looks at what has come from the workers, while the input is pulled."""

AT_ONCE: Final = 512
"""Items to pull in one go, at least, of an input that is at hand."""


class Batched(Pooled):
    """The caller's side."""

    __slots__ = ("_board",)

    def __init__(self, plan: Plan, intake: Intake) -> None:
        super().__init__(plan, intake)
        self._board = Board(plan)

    def _hire(self, awaiting: bool) -> Reins:
        return hire(self.plan, awaiting, Crew, lead=functools.partial(lead, self._board), on="threads")

    def _reach(self) -> int:
        return self.plan.window * (self._pull_size() if self.plan.stretches else 1)

    def _pull_size(self) -> int:
        """As many items as make a lot; more where that makes no difference to anybody: they are there in time."""
        return max(self._board.sizing.size, AT_ONCE if self._intake.at_hand else 1)

    def _fill(self, awaiting: bool) -> None:
        """As there; an input that is not at hand is pulled item by item, each on its way at once.

        While its items come quickly, whether a result is at hand is looked at every now and then only.
        """
        if self._reins is None or self._intake.at_hand or self._intake.feed is not None:
            super()._fill(awaiting)
            return
        while self._intake.is_open:
            room = self._reach() - self._held
            if room <= 0:
                return
            first, until = self._intake.pulled, perf_counter() + LOOK
            for index, item in enumerate(self._intake.each(room), first):
                self._admit(index, [item], awaiting)
                if perf_counter() > until:
                    break
            if self._has_due():
                return

    def _lot_size(self) -> int:
        return min(2 * self._pull_size(), LARGEST)

    def _send(self, first: int, items: list[Any]) -> None:
        self._board.add((first, items, 0))
        wanted = self._board.hungry
        if wanted and self._board.waiting() >= wanted:
            self._ring()

    def _tell_if_all(self) -> None:
        if (self._stopped or not self._intake.is_open) and not self._board.input_ended:
            self._board.input_ended = True
            self._ring()

    def _ring(self) -> None:
        """Wake the dispatcher. It may have ended meanwhile: why shows in the outcomes, once these have been read."""
        self._board.hungry = 0
        with suppress(potok.ClosedError):
            self._reins.lots.send_nowait(None)  # type: ignore[union-attr]

    def let_go(self) -> None:
        """Cancel the rest. Idempotent, never waits, safe from finalizers."""
        self._board.let_go = True
        super().let_go()
        self._board.pending.clear()

    def busy_seconds(self) -> float | None:
        """Seconds that a worker is busy with an item, by the last lot."""
        return self._board.sizing.busy or None

    def facts(self) -> Any:
        """What a worker has found out about the function, if it has."""
        return self._board.facts

    def states(self) -> tuple[str, ...]:
        """A line for each worker."""
        return self._board.states()
