"""Copies of what is in a shared object, in the worker that has read it: read again without asking.

    worker                                         home (the program)
      │ ── CALL "step": get item "x" ──────▶         │   reads it, and notes down that there is a copy
      │ ◀── ANSWER (value, number) ──────────        │   the number stands in the worker's page from before that on
      │ shared["x"]: is the number still there?      │
      │                                              │   somebody takes the object's lock: another number stands there
      │ shared["x"]: no; ask

Invariants
    A copy is good while its number stands in the page. It is put there while the lock is free, and gone before the lock
    is anybody's who may change the object: who reads a copy reads as one who had the lock at that moment.
    A number is given once, so what once was wiped out never comes back, whatever else has used the same place.
    Only what never changes is copied, and only of an object to which nobody at home refers but its cell: whoever does
    may change it past the lock (which is said to be his business; but he would go on to be seen).
    A slot is not of one object alone: another one there only has copies taken for bad.
"""

from __future__ import annotations

import itertools
import sys
from functools import partial
from typing import Any, Final

from potok.links.packing import ATOMS
from potok.machines.cell import MISSING, READING, Box, CellMachine, Names
from potok.remote.home import home
from potok.remote.lanes import barrier

__all__ = ["Shelf", "is_small", "show"]

KEYS: Final = frozenset({str, int})  # of exactly these: True is 1, and 1.0 is, too
MANY: Final = 64  # copies of one object
LONG: Final = 1024  # characters or bytes
NAMES: Final = READING - {"in"}


def is_small(value: Any) -> bool:
    """Whether it never changes, and takes little memory."""
    kind = type(value)
    return kind in ATOMS or ((kind is str or kind is bytes) and len(value) <= LONG)


# ── in the worker ───────────────────────────────────────────────────────────────────────────────────────────


class Shelf:
    """The copies that this process has of one object of the program's."""

    __slots__ = ("_kept", "_slot", "_words")

    def __init__(self, number: int) -> None:
        self._words = home.page.copies
        self._slot = number % len(self._words)
        self._kept: tuple[int, dict[Any, Any]] = -1, {}  # the number, and what is good while it stands there

    def look(self, name: str, args: tuple[Any, ...]) -> Any:
        """What this step would give, if that is known; or MISSING."""
        number, known = self._kept
        if self._words[self._slot] != number or (args and type(args[0]) not in KEYS):
            return MISSING
        return known.get((name, args), MISSING)

    def keeps(self, name: str, args: tuple[Any, ...]) -> Any:
        """What is done with the answer to this step, where that may be kept; or None."""
        if name not in NAMES or (args and type(args[0]) not in KEYS):
            return None
        return partial(self._keep, name, args)

    def _keep(self, name: str, args: tuple[Any, ...], answer: Any) -> Any:
        if type(answer) is not tuple:
            return answer
        value, number = answer
        known_by, known = self._kept
        if known_by != number or len(known) >= MANY:
            known = {}
        known[name, args] = value
        self._kept = number, known
        return value

    @property
    def slot(self) -> int:
        """Where the number of its copies stands."""
        return self._slot


# ── at home ─────────────────────────────────────────────────────────────────────────────────────────────────

_numbers = itertools.count(1)


class Copies:
    """Who has copies of what is in one object: a number, and where it stands."""

    __slots__ = ("number", "places")

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.places: set[tuple[int, int]] = set()  # spaces, each with the slot in its page

    def end(self) -> None:
        """They are good no more: nobody sees what is done next, and one of them after it."""
        for space, slot in self.places:
            link = home.links.get(space)
            if link is not None:
                words = link.page.copies
                words[slot % len(words)] = 0
        barrier()


def show(cell: CellMachine, owner: Any, space: int, slot: int) -> int:
    """Release the lock, under which that space has read something; the number of its copy, or 0: it shall have none."""
    cell.release(owner)
    link = home.links.get(space)
    if cell.holder is not None or home.space or link is None or not link.page.tells or not _is_alone(cell):
        return 0
    copies = cell.copies
    if copies is None:
        copies = cell.copies = Copies()
    copies.places.add((space, slot))
    words = link.page.copies
    words[slot % len(words)] = copies.number
    return copies.number  # type: ignore[no-any-return]


def _references(cell: CellMachine) -> tuple[int, int]:
    inner = sys.getrefcount(cell.content.__dict__) if type(cell.content) is Names else 0
    return sys.getrefcount(cell.content), inner


_ALONE: Final = {kind: _references(CellMachine(kind())) for kind in (dict, list, Names)}
_ALONE_BOX: Final = _references(CellMachine(Box(None)))


def _is_alone(cell: CellMachine) -> bool:
    """Whether nobody refers to the object but its cell."""
    return _references(cell) == _ALONE.get(type(cell.content), _ALONE_BOX)
