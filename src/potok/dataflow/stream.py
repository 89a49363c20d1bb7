"""What comes to a stage of a pipeline, as the input of its map.

    the stage before ──(index, item), …, (LAST, error or None)──▶ Stream ──item──▶ map ──(n, result)──▶ the stage
                                                                     └────────── failed items ──────────────▲

The index is that of the item of the source from which this one comes; it takes no part in the map, which numbers what
it pulls. A failed item, a `BadItem`, goes around the map, and where order is kept it waits for those before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import potok
from potok.dataflow.crew import LOST
from potok.dataflow.intake import Feed

__all__ = ["CANCELLED", "LAST", "Halt", "Stream"]

LAST: Final = LOST
"""The index of the last message of every channel of a pipeline: the error that ends it, or None."""

CANCELLED: Final = "a task of the pipeline was cancelled"
"""Why a channel of a pipeline is cancelled: nobody waits for a last message that won't come."""


class Halt(BaseException):
    """This error ends the pipeline. Control flow inside of one stage, which no map may take for an item's error."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


class Stream(Feed):
    """Yields the items; knows which item of the source each of them was, and how it all ended."""

    __slots__ = (
        "_behind",
        "_bypass",
        "_given",
        "_halts",
        "_ordered",
        "_over",
        "_ready",
        "_sources",
        "last",
        "receiver",
    )

    def __init__(
        self,
        receiver: potok.Receiver[Any],
        bypass: Callable[[int, potok.BadItem], None],
        halts: bool,
        ordered: bool,
    ) -> None:
        self.receiver = receiver
        self.last: BaseException | None = None
        self._bypass = bypass
        self._halts = halts  # a failed item is the end
        self._ordered = ordered
        self._over = False
        self._ready: tuple[int, Any] | None = None
        self._sources: dict[int, int] = {}  # by the map's numbers, of what it has in hand
        self._given = 0
        self._behind: deque[tuple[int, int, potok.BadItem]] = (
            deque()
        )  # failed, each with how many come before it

    def look(self) -> bool:
        """Whether the next item, or the end, is there."""
        while self._ready is None and not self._over:
            try:
                message = self.receiver.recv_nowait()
            except potok.WouldBlock:
                return False
            self.bring(message)
        return True

    def bring(self, message: Any) -> None:
        """Take a message of the stage before. Raises Halt for an error that does not have to wait for its turn."""
        index, value = message
        if index == LAST:
            self._end(value)
        elif not isinstance(value, potok.BadItem):
            self._ready = message
        elif self._halts:
            self._end(value.error)
        elif self._ordered and self._sources:
            self._behind.append((self._given + len(self._sources), index, value))
        else:
            self._bypass(index, value)

    def _end(self, error: BaseException | None) -> None:
        self._over, self.last = True, error
        if error is not None and not self._ordered:
            raise Halt(error)

    def __next__(self) -> Any:
        while not self.look():
            self.bring(self.receiver.recv())
        if self._ready is None:
            raise StopIteration
        (index, item), self._ready = self._ready, None
        self._sources[self._given + len(self._sources)] = index
        return item

    def source_of(self, number: int) -> int:
        """Which item of the source the one was that the map has numbered so, and has now given out."""
        self._given += 1
        return self._sources.pop(number)

    def let_pass(self) -> None:
        """What was given out has gone on: so may the failed items that waited for it."""
        while self._behind and self._behind[0][0] <= self._given:
            _, index, bad = self._behind.popleft()
            self._bypass(index, bad)
