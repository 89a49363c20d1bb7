"""A map with a journal: what is recorded is given out and not worked on; what becomes of the rest is recorded.

    input ──pull──▶ look up ──not there──▶ workers ──pieces──▶ note ──▶ the caller
                       └───────recorded, as it was────────────────────────▲

Invariant: an outcome is recorded before it is given out, so that nothing the caller has seen is worked on twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from potok.dataflow.plan import Piece

if TYPE_CHECKING:
    from potok.dataflow.journal import Journal

__all__ = ["Records"]


class Records:
    """The journal of one map, opened with its first item; a path's is closed with the map, a Journal is its owner's."""

    __slots__ = ("_fn", "_journal", "_keys", "_mine", "_path")

    def __init__(self, journal: Journal | str | os.PathLike[str], fn: Any) -> None:
        self._mine = isinstance(journal, str | os.PathLike)
        self._path = journal
        self._fn = fn
        self._journal: Any = None if self._mine else journal
        self._keys: dict[int, bytes] = {}  # of the items that are worked on

    def sift(self, first: int, items: list[Any]) -> Iterator[tuple[int, list[Any], Piece | None]]:
        """Neighbours that have to be worked on, and pieces of those that have not.

        Raises: PotokError for an item that has no key, or a journal that can't be opened.
        """
        journal = self._journal or self._open()
        run: list[Any] = []
        for index, item in enumerate(items, first):
            key, recorded = journal.look_up(item)
            if recorded is None:
                self._keys[index] = key
                run.append(item)
                continue
            if run:
                yield index - len(run), run, None
                run = []
            value = [recorded.value] if recorded.ok else item
            yield index, [], (index, value, recorded.error, recorded.attempts)
        if run:
            yield first + len(items) - len(run), run, None

    def note(self, pieces: list[Piece]) -> None:
        """Record them. What was cancelled, or killed the workers of the map, is nobody's outcome."""
        outcomes = []
        for first, value, error, attempts in pieces:
            if error is None:
                outcomes += [(self._keys.pop(at), True, v, attempts) for at, v in enumerate(value, first)]
            elif first in self._keys and isinstance(error, Exception):
                outcomes.append((self._keys.pop(first), False, error, attempts))
        if outcomes:
            self._journal.record(outcomes)

    def close(self) -> None:
        """The map has ended. Idempotent."""
        if self._mine and self._journal is not None:
            self._journal.close()

    def _open(self) -> Journal:
        from potok.dataflow.journal import Journal, function_name

        self._journal = Journal.open(self._path, function_name(self._fn))  # type: ignore[arg-type]
        return self._journal  # type: ignore[no-any-return]
