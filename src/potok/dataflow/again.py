"""Items of a map that are worked on again, as the worker that had them has died, was late, or can't be understood.

A careful worker tries them, which tells of each at once. The one that it does not tell of, as it dies, is the one that
kills: it is tried once more, before any other, in a fresh worker, then reported with WorkerDied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import potok
from potok.dataflow.plan import Lot, Piece, Plan

__all__ = ["Again"]


class Again:
    """Part of the dispatcher's state: what goes to a careful worker, and why."""

    __slots__ = ("_plan", "_put_back", "_tell", "alone", "unreadable")

    def __init__(
        self, plan: Plan, put_back: Callable[[Lot], None], tell: Callable[[list[Piece]], None]
    ) -> None:
        self._plan = plan
        self._put_back = put_back
        self._tell = tell
        self.alone: deque[Lot] = deque()
        self.unreadable: potok.RemoteError | None = None  # how the last answer that could not be read failed

    def unread(self, lot: Lot) -> None:
        """Some value in the answer can't be unpickled here. So each item is worked on once more, carefully."""
        first, items, tried = lot
        if len(items) == 1:
            self._tell([(first, items[0], self.unreadable, tried + 1)])
        elif items:
            self.alone.append(lot)

    def suspect(self, lot: Lot, error: BaseException, careful: bool) -> None:
        """One of these items has killed the worker, or can't be unpickled there: if it was careful, the first."""
        first, items, tried = lot
        if len(items) > 1 and not careful:
            self.alone.append(lot)
            return
        if items[1:]:
            self.alone.appendleft((first + 1, items[1:], tried))
        self._try_again(first, items[0], tried + 1, max(2, self._plan.retries + 1), error)

    def late(self, lot: Lot, index: int) -> None:
        """This item of them took too long; the others may go to any worker."""
        first, items, tried = lot
        at = index - first
        for rest in ((first + at + 1, items[at + 1 :], tried), (first, items[:at], tried)):
            if rest[1]:
                self._put_back(rest)
        self._try_again(index, items[at], tried + 1, self._plan.retries + 1, self._plan.timed_out())

    def _try_again(self, index: int, item: Any, attempts: int, most: int, error: BaseException) -> None:
        if attempts < most:
            self.alone.appendleft((index, [item], attempts))
        else:
            self._tell([(index, item, error, attempts)])
