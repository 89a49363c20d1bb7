"""References: which objects of this address space others refer to, and what stands here for theirs.

Invariants
    An object that is referred to from elsewhere lives, and so does a counted end whose façades here are collected.
    References in transit count. Whoever has one tells the home when it lets go; for a dead link its ledger does.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from potok.errors import PotokError
from potok.kernel.current import carrier
from potok.kernel.ends import operate
from potok.kernel.weakly import items_of
from potok.links.packing import Ref
from potok.machines.channel import End
from potok.machines.waiting import Machine
from potok.remote.board import board
from potok.remote.link import Link

__all__ = ["References", "kind_among"]


class Entry:
    """An object that others refer to, and how often."""

    __slots__ = ("count", "number", "thing")

    def __init__(self, thing: Any, number: int) -> None:
        self.thing = thing
        self.number = number
        self.count = 0


class References:
    """What a home knows of objects, its own and others'."""

    def __init__(self) -> None:
        self.space = 0  # this one's number; the process that starts the workers has 0
        self.cut_off: dict[int, str] = {}  # why these can't be reached any more
        self.links: dict[int, Link] = {}  # to every space, or (in a worker) to 0 only
        self.exports: dict[type, Callable[[Any], tuple[Any, ...]]] = {}  # what one is to be known by
        self.makes: dict[str, Callable[..., Any]] = {}  # what stands here for a thing of that kind
        self.stand_ins: WeakValueDictionary[Ref, Any] = WeakValueDictionary()
        self.machines: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._entries: dict[int, Entry] = {}
        self._by_id: dict[int, Entry] = {}
        self._numbered: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def export(self, thing: Any) -> tuple[Ref, tuple[Any, ...]]:
        """See `packing.Handles`."""
        ref = getattr(thing, "ref", None)
        if ref is not None:  # it lives elsewhere
            if ref[0] != self.space:
                self.hold(ref)
            return ref, (ref, *thing.known)
        ref = self.refer(thing)
        return ref, (ref, *self.exports[kind_among(thing, self.exports)](thing))

    def hold(self, ref: Ref) -> None:
        """Count one more reference to what is referred to already."""
        if ref[0] != self.space:
            self.link_to(ref[0]).note("hold", ref)
        elif (entry := self._entries.get(ref[1])) is not None:
            self.refer(entry.thing)

    def thing(self, number: int) -> Any:
        """The object of that number, which others refer to."""
        return self._entries[number].thing

    def refer(self, thing: Any) -> Ref:
        """Count a reference of our own, to be let go by who has asked for it.

        In one step with looking for the entry, whose last other reference may just be let go; and an end holds itself
        open first, for it would be closed as that is. (Inside of another machine,
        which ships an item with the end in it, that may come a moment later: the item refers to it until it has gone.)
        """
        if isinstance(thing, End):
            thing.machine.guard.post(carrier(), thing.machine.hold, thing)
        with self._lock:
            entry = self._by_id.get(id(thing))
            if entry is None:
                entry = Entry(thing, next(self._numbers))
                self._entries[entry.number] = self._by_id[id(thing)] = entry
            entry.count += 1
            return self.space, entry.number

    def lend(self, thing: Any, link: Link) -> int:
        """Count a reference that the other side has from now on; the number of the thing."""
        ref = self.refer(thing)
        link.count(ref, 1)
        if isinstance(thing, End):
            thing.orphan = True  # nobody here has it: closed, when it is let go
        return ref[1]

    def number_of(self, machine: Machine) -> int:
        """A number for it, which counts as no reference."""
        with self._lock:
            number = self._numbered.get(machine)
            if number is None:
                number = self._numbered[machine] = next(self._numbers)
                self.machines[number] = machine
            return number

    def counted(self, thing: Any) -> tuple[Ref, int]:
        """How it is known elsewhere, and how many references there are; zero if it is not."""
        entry = self._by_id.get(id(thing))
        return (self.space, 0 if entry is None else entry.number), 0 if entry is None else entry.count

    def ref_of(self, thing: Any) -> Ref | None:
        """How it is known elsewhere; None: it is not."""
        entry = self._by_id.get(id(thing))
        return None if entry is None else (self.space, entry.number)

    def revive(self, spec: tuple[Any, ...]) -> Any:
        """See `packing.Handles`."""
        ref, *rest = spec
        if ref[0] == self.space:
            thing = self._entries[ref[1]].thing
            if not isinstance(thing, End):  # an end's reference is the façade's, see `give_back`
                self._let_go(ref, 1)
            return thing
        with self._lock:
            stand_in = self.stand_ins.get(ref)
            if stand_in is None:
                stand_in = self.stand_ins[ref] = self.makes[rest[0]](ref, *rest)
            stand_in.count += 1
            return stand_in

    def give_back(self, end: End) -> None:
        """A façade over an end of ours, that came home by a reference, was collected. Safe from anywhere."""
        entry = self._by_id.get(id(end))
        if entry is not None:
            board.soon(partial(self._let_go, (self.space, entry.number), 1))

    def release(self, refs: tuple[Ref, ...]) -> None:
        """See `packing.Handles`."""
        for ref in refs:
            board.soon(partial(self.let_go, ref, 1))

    def let_go(self, ref: Ref, n: int) -> None:
        """So many references are no more."""
        if ref[0] == self.space:
            self._let_go(ref, n)
            return
        link = self.links.get(ref[0] if self.space == 0 else 0)
        if link is not None:
            link.note("release", ref, n)

    def _let_go(self, ref: Ref, n: int) -> None:
        with self._lock:
            entry = self._entries.get(ref[1])
            if entry is None:
                return
            entry.count -= n
            if entry.count <= 0:
                del self._entries[ref[1]], self._by_id[id(entry.thing)]
        end = entry.thing
        if isinstance(end, End):
            operate(carrier(), end.machine, end.machine.let_go, end, n)

    def link_to(self, space: int) -> Link:
        """The link by which that space is reached. Raises why there is none any more."""
        by = space if self.space == 0 else 0
        link = self.links.get(by)
        if link is None:
            raise PotokError(self.cut_off.get(by, "its home, a worker, has ended"))
        if link.cause is not None:
            raise link.error()
        return link

    def refers_to(self, space: int) -> bool:
        """Whether anything of that space is referred to, from here or from another."""
        if any(ref[0] == space for ref, _ in items_of(self.stand_ins)):
            return True
        return any(
            n > 0 and ref[0] == space
            for link in list(self.links.values())
            for ref, n in link.held.copy().items()
        )


def kind_among(thing: Any, known: dict[type, Any]) -> type:
    """Which of the known ones its class is, or derives from. Raises PotokError."""
    for kind in type(thing).__mro__:
        if kind in known:
            return kind
    raise PotokError(f"a {type(thing).__qualname__} can't be reached from another address space")
