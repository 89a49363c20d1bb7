"""The input of a map. Pulled in the caller's thread, and only when there is room for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

import potok
from potok.dataflow.records import Records

__all__ = ["Feed", "Intake", "is_at_hand"]

AT_HAND: Final[tuple[type, ...]] = (
    list,
    tuple,
    range,
    str,
    bytes,
    bytearray,
    dict,
    set,
    frozenset,
    type({}.keys()),
)
"""Inputs whose next item never takes its time, and which nobody can be waiting for: pulled in one go."""


class Feed(Iterator[Any]):
    """An input that can tell whether its next item would have to be waited for, and be waited for beside other things.

    So a slow one holds no results back, wherever its map waits for both. `next` waits for it alone.
    """

    receiver: potok.Receiver[Any]  # brings what is to come

    def look(self) -> bool:
        """Whether `next` would return, or stop, at once."""
        raise NotImplementedError

    def bring(self, message: Any) -> None:
        """Here is what somebody else has received."""
        raise NotImplementedError


class Intake:
    """The input. An error that it raises is kept until everything pulled before it has been given out.

    So the caller meets it where the plain loop would.
    """

    __slots__ = ("_items", "_length", "_row", "at_hand", "awaited", "error", "feed", "pulled", "records")

    def __init__(
        self,
        items: Iterator[Any],
        at_hand: bool = False,
        records: Records | None = None,
        length: int | None = None,
        row: list[Any] | None = None,
    ) -> None:
        """Cheap.

        Args:
            items: the input.
            at_hand: as `is_at_hand` has it.
            records: what a journal has of them.
            length: how many there are.
            row: the list that they are the items of, where it is one: a slice takes a fifth of iterating.
        """
        self._length = length
        self._row = row
        self.feed = items if isinstance(items, Feed) else None
        self.awaited: potok.Receiver[Any] | None = None  # the feed's, if it had nothing when last asked
        self._items: Iterator[Any] | None = items
        self.records = records
        self.at_hand = at_hand
        self.pulled = 0
        self.error: Exception | None = None

    @property
    def is_open(self) -> bool:
        """Whether there may be more."""
        return self._items is not None

    @property
    def left(self) -> int | None:
        """How many items are to come, if the input can tell."""
        return None if self._length is None else max(0, self._length - self.pulled)

    def is_dry(self) -> bool:
        """Whether the next item of a feed would have to be waited for; `awaited` is then what brings it."""
        self.awaited = None
        if self.feed is not None and not self.feed.look():
            self.awaited = self.feed.receiver
        return self.awaited is not None

    def bring(self, message: Any) -> None:
        """What was awaited has come."""
        self.awaited = None
        if self.feed is not None:
            self.feed.bring(message)

    def pull(self, most: int) -> list[Any]:
        """The next items, at most so many; fewer only where there are no more. One, unless they are at hand."""
        items: list[Any] = []
        if self._items is None:
            return items
        most = most if self.at_hand else 1
        if self._row is not None:
            items = self._row[self.pulled : self.pulled + most]
        else:
            try:
                items.extend(islice(self._items, most))
            except Exception as error:  # noqa: BLE001 - the caller's own, given back to it later
                self.error = error
                self.close()
        if len(items) < most:
            self.close()
        self.pulled += len(items)
        return items

    def each(self, most: int) -> Iterator[Any]:
        """The next items, at most so many, one by one as they are pulled."""
        left = most
        items: Iterable[Any] = () if self._items is None else self._items
        try:
            for item in islice(items, most):
                self.pulled += 1
                left -= 1
                yield item
        except Exception as error:  # noqa: BLE001 - as in `pull`
            self.error = error
        if left:
            self.close()

    def close(self) -> None:
        """Pull no more, and let go of the input."""
        self._items = self._row = self.feed = self.awaited = None

    def end(self) -> None:
        """Everything that was pulled has been given out: raise what the input raised, if it did."""
        if self.error is not None:
            error, self.error = self.error, None
            raise error


def is_at_hand(iterable: Iterable[Any]) -> bool:
    """Whether pulling from it takes no time, waits for nobody and runs no code of the user's."""
    return type(iterable) in AT_HAND
