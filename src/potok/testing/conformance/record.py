"""What tasks note down, wherever they run, for a test to look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import potok

__all__ = ["Record"]


class Record:
    """A list that is appended to from anywhere, other processes included, and read where it was made.

    A list of Python's is a copy in another address space. What happened before is noted before. Elsewhere it may be
    read, too, while nobody appends.
    """

    def __init__(self, ends: tuple[Any, Any] | None = None) -> None:
        self._mine = ends is None
        self._tx: potok.Sender[Any]
        self._rx: potok.Receiver[Any]
        self._tx, self._rx = ends or potok.channel(potok.UNBOUNDED, name="record")
        self._seen: list[Any] = []

    def __del__(self) -> None:
        if self._mine:
            self._rx.close()

    def __reduce__(self) -> Any:
        return _elsewhere, (self._tx, self._rx)

    def append(self, item: Any) -> None:
        """Note it down. Never waits."""
        self._tx.send_nowait(item)

    def extend(self, items: Iterable[Any]) -> None:
        """Note them down, one by one."""
        for item in items:
            self.append(item)

    def _all(self) -> list[Any]:
        while True:
            try:
                self._seen.append(self._rx.recv_nowait())
            except potok.WouldBlock:
                break
        if self._mine:
            return self._seen
        seen, self._seen = self._seen, []
        self.extend(seen)  # a copy that came with a task leaves them to who has made it
        return seen

    def __iter__(self) -> Iterator[Any]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def index(self, item: Any) -> int:
        """Where it was first noted."""
        return self._all().index(item)

    def __getitem__(self, place: Any) -> Any:
        return self._all()[place]

    def __eq__(self, other: object) -> bool:
        return self._all() == (list(other) if isinstance(other, Record) else other)

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Any) -> list[Any]:
        return [*self, *other]

    def __radd__(self, other: Any) -> list[Any]:
        return [*other, *self]

    def __repr__(self) -> str:
        return repr(self._all())


def _elsewhere(tx: potok.Sender[Any], rx: potok.Receiver[Any]) -> Record:
    """The Record that a task was given."""
    return Record((tx, rx))
