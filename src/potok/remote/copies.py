"""Copies of what is in a shared object, in the worker that has read it, and leases: what a worker may change by itself.

    worker                                         home (the program)
      │ ── CALL "step": get item "x" ──────▶         │   reads it, and notes down that there is a copy
      │ ◀── ANSWER value, number ────────────        │   the number stands in the worker's page from before that on
      │ shared["x"]: is the number still there?      │
      │                                              │   somebody takes the object's lock: the number is wiped out
      │ shared["x"]: no; ask                         │
      │                                              │
      │ ── CALL "step": set item "x" ──────▶         │   sets it, and leases the object to the worker
      │ ◀── ANSWER number, place, items ─────        │
      │ shared["x"] = 2: writes it in the place, and │
      │     looks whether the number is still there  │
      │                                              │   somebody takes the lock: the number is wiped out, then what
      │                                              │   is in the place is done to the object
      │ shared["x"] = 3: no; ask

Invariants
    A copy is good while its number stands in the page. It is put there while the lock is free, and gone before the lock
    is anybody's who may change the object: who reads a copy reads as one who had the lock at that moment.
    A number is given once, so what once was wiped out never comes back, whatever else has used the same slot.
    Only what never changes is copied, and only of an object to which nobody at home refers but its cell: whoever does
    may change it past the lock, and would go on to be seen.
    While an object is leased, nobody else has copies. What the lessee has changed is done to the object before anybody
    reads it at home, and before it is leased again; also once the worker is dead.
    A worker that has written, and then finds the number gone, does not know whether the home had seen that. So it asks,
    saying what it has written: the home does it, or has done it. It knows by its last lease of that object to that
    worker, for no other is given meanwhile: in a worker one thread at a time (`turn`) writes, or asks for a lease.
"""

from __future__ import annotations

import itertools
import os
import sys
from marshal import loads
from typing import Any, Final
from weakref import WeakSet, getweakrefcount

from potok.kernel.current import carrier
from potok.kernel.weakly import members_of
from potok.machines.cell import Box, CellMachine, Names
from potok.remote.arithmetic import KEYS, is_small
from potok.remote.home import home
from potok.remote.lanes import barrier
from potok.remote.leases import Place
from potok.remote.link import Link
from potok.remote.page import Page

__all__ = ["TAKEN", "is_leased", "lease", "show", "was_taken"]

FEW: Final = 16  # items of one that is leased
TAKEN: Final = ()
"""The answer to who asks whether what it has written was seen: it was."""

_numbers = itertools.count(1)


class Lease:
    """To which worker an object is leased, and what of its changes was seen. The place is free as this is collected."""

    __slots__ = ("_index", "_page", "_place", "number", "space", "times")

    def __init__(self, number: int, space: int, page: Page, index: int) -> None:
        self.number = number
        self.space = space
        self._page = page
        self._index = index
        self._place: Place = page.leases[index]  # to be read also when the page has gone with the worker
        self.times = self._place.times()

    def __del__(self) -> None:
        self._page.free_lease(self._index)

    def collect(self, content: Any) -> bool:
        """Do to the object what the worker has done; whether that was anything."""
        times, data = self._place.read()
        if times == self.times:
            return False
        number, changed = loads(data)  # noqa: S302 - of our own worker
        if number == self.number:
            if type(content) is Names or type(content) is Box:
                for name, value in changed.items():
                    setattr(content, name, value)
            else:
                for key, value in changed.items():
                    content[key] = value
        self.times = times  # last: an exception of a signal handler's may come before
        return True


class Copies:
    """Who has copies of what is in one object, or a lease of it. All this is done in the machine."""

    __slots__ = ("lease", "number", "places", "taken")

    def __init__(self) -> None:
        self.number = 0  # that stands in all these places, or 0: there are none
        self.places: set[tuple[int, int]] = set()  # spaces, each with the slot in its page
        self.lease: Lease | None = None
        # By space, of the last lease that was ended there: its number, and what was seen.
        self.taken: dict[int, tuple[int, int]] = {}

    def end(self, content: Any) -> None:
        """They are good no more: nobody sees what is done next, and one of them after it."""
        if not (self.number or self.lease):
            return
        for space, slot in self.places:
            _put(space, slot, 0)
        barrier()
        lease = self.lease
        if lease is not None:
            lease.collect(content)
            self.taken[lease.space] = lease.number, lease.times
            self.lease = None
        self.places = set()
        self.number = 0  # last, see `collect`

    def look(self, content: Any, space: int) -> None:
        """A task of that space is about to read. A lease is over as soon as others look and nothing has changed."""
        lease = self.lease
        if lease is not None and not lease.collect(content) and lease.space != space:
            self.end(content)

    def show(self, space: int, slot: int, number: int) -> None:
        """Put the number of its copies there."""
        self.number = number
        self.places.add((space, slot))
        _put(space, slot, number)


def _put(space: int, slot: int, number: int) -> None:
    link = home.links.get(space)
    if link is not None:
        words = link.page.copies
        words[slot % len(words)] = number


def show(cell: CellMachine, owner: Any, link: Link, slot: int) -> int:
    """Release the lock, under which a worker has read something; the number of its copy, or 0: it shall have none.

    Not where it was leased as that was read: what the lessee has changed may have been done since.
    """
    cell.release(owner)
    copies = _copies(cell, link)
    if copies is None or copies.lease is not None:
        return 0
    copies.show(link.space, slot, copies.number or next(_numbers))
    return int(copies.number)


def is_leased(cell: CellMachine) -> bool:
    """Whether it may change while its lock is held by one who reads. That ends at any moment, and does not begin."""
    copies = cell.copies
    return copies is not None and copies.lease is not None


def lease(cell: CellMachine, link: Link, slot: int) -> tuple[Any, ...]:
    """A worker has changed something, and released the lock. Lease it the object, if that can be: what it is told."""
    _leased.add(cell)  # first: as the worker goes, either it is found there, or we find the worker gone
    copies = _copies(cell, link)
    items = None if copies is None or copies.number else _items(cell.content)
    index = link.page.allocate_lease() if items else -1
    if copies is None or items is None or index < 0:
        return ()
    number = next(_numbers)
    copies.lease = Lease(number, link.space, link.page, index)
    copies.show(link.space, slot, number)
    return number, index, type(cell.content) in (Names, Box), items


def was_taken(cell: CellMachine, link: Link, written: tuple[int, int]) -> bool:
    """Whether what that worker has written, in that lease, was seen. From now on it will not be."""
    copies = cell.copies
    if copies is None:
        return False
    if copies.lease is not None and copies.lease.space == link.space:
        copies.end(cell.content)
    number, times = copies.taken.get(link.space, (0, 0))
    return bool(number == written[0] and times >= written[1])


def _copies(cell: CellMachine, link: Link) -> Any:
    """The copies of an object of which there may be some, now that its lock is free; or None."""
    if cell.holder is not None or home.space or not link.page.tells or home.links.get(link.space) is not link:
        return None
    if not _is_alone(cell):
        return None
    if cell.copies is None:
        cell.copies = Copies()
    return cell.copies


def _items(content: Any) -> dict[Any, Any] | None:
    """What of it may be changed elsewhere."""
    kind = type(content)
    if kind is Box:
        value = getattr(content, "value", content)  # it may be deleted
        return {"value": value} if is_small(value) else None
    if kind is not dict and kind is not list and kind is not Names:
        return None
    inner = vars(content) if kind is Names else content
    if len(inner) > FEW:
        return None
    pairs = enumerate(inner) if kind is list else inner.items()
    return {key: value for key, value in pairs if type(key) in KEYS and is_small(value)}


def _references(cell: CellMachine) -> tuple[int, int]:
    inner = sys.getrefcount(cell.content.__dict__) if type(cell.content) is Names else 0
    return sys.getrefcount(cell.content), inner


_ALONE: Final = {kind: _references(CellMachine(kind())) for kind in (dict, list, Names)}
_ALONE_BOX: Final = _references(CellMachine(Box(None)))


def _is_alone(cell: CellMachine) -> bool:
    """Whether nobody refers to the object but its cell."""
    known = _ALONE.get(type(cell.content), _ALONE_BOX)
    return _references(cell) == known and not getweakrefcount(cell.content)


# ── when a worker ends ──────────────────────────────────────────────────────────────────────────────────────

_leased: WeakSet[CellMachine] = WeakSet()  # or that were, or may be soon


def _leave(link: Link) -> None:
    """That worker is no more. What it had changed is done."""
    me = carrier()
    for cell in members_of(_leased):
        cell.guard.run(me, _end_with, cell, link.space)


def _end_with(cell: CellMachine, space: int) -> None:
    copies = cell.copies
    if copies is not None:
        if copies.lease is not None and copies.lease.space == space:
            copies.end(cell.content)
        copies.taken.pop(space, None)
    if copies is None or not (copies.lease or copies.taken):
        _leased.discard(cell)


def _forsake() -> None:
    """In a forked child: the workers are the parent's. What they have changed until now is done."""
    for cell in members_of(_leased):
        copies, cell.copies = cell.copies, None
        if copies is not None and copies.lease is not None:
            copies.lease.collect(cell.content)
    _leased.clear()


home.leaving.append(_leave)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forsake)
