"""What the caller of a map in other address spaces and its dispatcher share: the items that wait, and who has which."""

from __future__ import annotations

from collections import deque
from typing import Any

import potok
from potok.dataflow.plan import Lot, Plan
from potok.dataflow.sizing import Sizing

__all__ = ["Board", "Hand", "leaving", "open_boards"]

open_boards: set[Board] = set()
"""Those of maps whose workers have not all ended; their dispatchers add and discard them."""


class Board:
    """What the consumer and the dispatcher share, in one address space.

    The consumer appends to `pending`, the dispatcher alone takes away, and each counts the items. Before it waits it
    says in `hungry` how many items would make it go on (0: none would), and looks once again; who appends the last of
    them rings the bell.
    """

    __slots__ = (
        "_added",
        "_taken",
        "crew",
        "facts",
        "hands",
        "hungry",
        "input_ended",
        "let_go",
        "pending",
        "sizing",
    )

    def __init__(self, plan: Plan) -> None:
        self.crew = _crew(plan.on)
        self.let_go = False  # the consumer wants no more: what the workers have to do is to end
        self.pending: deque[Lot] = deque()
        self._added = 0  # items, by the consumer
        self._taken = 0  # items, by the dispatcher
        self.hungry = 0
        self.input_ended = False
        self.sizing = Sizing(plan)
        self.facts: Any = None  # what a worker has found out about the function, where that was asked for
        self.hands: dict[int, Hand] = {}

    def add(self, lot: Lot) -> None:
        """Have it given out. Called by the consumer."""
        self.pending.append(lot)
        self._added += len(lot[1])

    def put_back(self, lot: Lot) -> None:
        """It is to be given out before all others."""
        self.pending.appendleft(lot)
        self._taken -= len(lot[1])

    def waiting(self) -> int:
        """How many items wait."""
        return max(0, self._added - self._taken) if self.pending else 0

    def can_spare_lot(self, kept: int = 0) -> bool:
        """Whether a lot may be sent ahead, to a worker that is busy."""
        return self.waiting() >= self.to_spare(self._cut_size(), kept)

    def to_spare(self, size: int, kept: int) -> int:
        """How many items wait where a lot of this size may be sent ahead: enough for all workers, and more than `kept`.

        Where few are left, or come slowly, they are for whoever has nothing to do first; but a short lot is sooner done
        than asked for.
        """
        return max(size if self.sizing.is_short(size) else size * len(self.hands), kept + 1)

    def _cut_size(self) -> int:
        if not self.input_ended:
            return self.sizing.size
        return self.sizing.of_the_last(self.waiting())

    def cut(self) -> Lot:
        """Take the next lot, or what there is of it: from a longer one, or from neighbours that are shorter."""
        pending, size = self.pending, self._cut_size()
        first, items, tried = pending.popleft()
        if len(items) < size and pending:
            items = items.copy()
            while (
                len(items) < size
                and pending
                and pending[0][0] == first + len(items)
                and pending[0][2] == tried
            ):
                items += pending.popleft()[1]
        if len(items) > size:
            pending.appendleft((first + size, items[size:], tried))
            items = items[:size]
        self._taken += len(items)
        return first, items, tried

    def states(self) -> tuple[str, ...]:
        """A line for each worker."""
        return tuple(hand.describe() for hand in list(self.hands.values()))


def leaving(on: Any) -> list[potok.Task[None]]:
    """Workers of maps on this executor that are over: they are about to be free for others."""
    over = [board for board in open_boards.copy() if board.let_go and board.crew == _crew(on)]
    tasks = [hand.task for board in over for hand in list(board.hands.values())]
    return [task for task in tasks if not task.done()]


def _crew(on: Any) -> Any:
    """What executors that share their workers have in common."""
    return getattr(on, "options", on)


class Hand:
    """A worker, as the dispatcher sees it."""

    __slots__ = (
        "done",
        "greeted",
        "index",
        "is_careful",
        "late",
        "lots",
        "number",
        "part",
        "since",
        "task",
        "tx",
    )

    def __init__(
        self, number: int, task: potok.Task[None], tx: potok.Sender[Lot], is_careful: bool = False
    ) -> None:
        self.is_careful = is_careful  # it tells of each item at once
        self.number = number
        self.task = task
        self.tx = tx
        self.lots: deque[Lot] = deque()  # given to it and not answered, in order
        self.part = 0  # how many items of the first of them were answered: it is careful
        self.greeted = False
        self.index: int | None = None  # the item that it has begun with, where there is a time-out
        self.since = 0.0
        self.late: int | None = None  # the item for whose sake it is being killed
        self.done = 0

    def describe(self) -> str:
        """It and what it does, in a line. Called by the consumer, while the dispatcher gives out."""
        count = sum(len(lot[1]) for lot in self.lots.copy())
        busy = f"{count} items in hand" if count else "idle"
        return f"{self.task.name} (pid {self.task.pid}): {self.done} done, {busy}"
