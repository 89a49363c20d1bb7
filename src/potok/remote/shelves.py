"""What a worker knows of shared objects of the program's, and changes by itself: the other half of `copies`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from marshal import dumps
from typing import Any, Final
from weakref import WeakSet, ref

from potok.kernel.weakly import members_of
from potok.machines.cell import MISSING, READING
from potok.machines.waiting import Waiter
from potok.remote.arithmetic import KEYS, attempt, is_small, only_computes
from potok.remote.calling import Asked
from potok.remote.copies import TAKEN
from potok.remote.home import home
from potok.remote.lanes import barrier
from potok.remote.leases import ROOM, Place

__all__ = ["Shelf", "Turn", "Wish"]

MANY: Final = 64  # copies of one object
VERSION: Final = 2  # of marshal: without references
NAMES: Final = READING - {"in"}  # of what it gives there may be copies; they have one argument at most
WRITES: Final = frozenset({"set item", "set"})
GONE: Final = -1  # no number


_turn: dict[str, Any] = {}  # whose it is, by a weak reference


class Turn:
    """Of the one who writes, or asks for a lease; given back once. True if it is one's own; nobody waits for it.

    A signal handler may raise before anybody has it in hand: then it is given back as this is collected.
    """

    __slots__ = ("__weakref__", "_marks")

    def __init__(self) -> None:
        mark = ref(self, _left)
        self._marks = [mark] if _turn.setdefault("of", mark) is mark else []

    def __bool__(self) -> bool:
        return bool(self._marks)

    def end(self) -> None:
        try:
            self._marks.pop()  # one only gets it: who has asked and who hears the answer may come at the same time
        except IndexError:
            return
        _turn.clear()


def _left(mark: Any) -> None:
    """It was not given back. Not a `__del__`: that is called always, and swallows what a signal handler raises."""
    if _turn.get("of") is mark:
        _turn.clear()


class Wish(Asked):
    """A call that has the turn until it is answered."""

    __slots__ = ("turn",)

    def __init__(self, turn: Turn, adopt: Callable[[Any], Any]) -> None:
        super().__init__(None, partial(_adopted, turn, adopt))  # type: ignore[arg-type]
        self.turn = turn

    def of(self, waiter: Waiter, well: Any) -> Wish:
        """It is this waiter's."""
        self.waiter = waiter
        return self

    def failed(self, error: Any) -> None:
        self.turn.end()
        super().failed(error)


def _adopted(turn: Turn, adopt: Callable[[Any], Any], answer: Any) -> Any:
    try:
        return adopt(answer)
    finally:
        turn.end()  # before the waiter is woken, which may want it again


class Leased:
    """An object that is leased to this worker."""

    __slots__ = ("_changed", "_items", "_place", "by_name", "number")

    def __init__(self, number: int, place: Place, by_name: bool, items: dict[Any, Any]) -> None:
        self.number = number
        self.by_name = by_name
        self._place = place
        self._items = items
        self._changed: dict[Any, Any] = {}  # since it was leased

    def get(self, name: str, args: tuple[Any, ...]) -> Any:
        if name != ("get" if self.by_name else "get item") or type(args[0]) not in KEYS:
            return MISSING
        return self._items.get(args[0], MISSING)

    def try_out(self, name: str, args: tuple[Any, ...]) -> tuple[dict[Any, Any], Any] | None:
        """What this step would change, and give; None: that can't be told here."""
        if name == "apply":
            return attempt(args[0], args[1:], self._items, self.by_name)
        key, value = args
        if (name == "set") is not self.by_name or type(key) not in KEYS or key not in self._items:
            return None
        return ({key: value}, None) if is_small(value) else None

    def write(self, changes: dict[Any, Any], words: Any, slot: int) -> int | None:
        """Change that; 0 if it is done, None if there is no room. Else the lease is over, and home knows what was done.

        Where an exception comes in between, the lease is over for this worker.
        """
        changed = {**self._changed, **changes}
        number = self.number
        data = dumps((number, changed), VERSION)
        if len(data) > ROOM:
            return None
        self.number = GONE
        times = self._place.write(data)
        barrier()
        if words[slot] != number:
            return times
        self._items.update(changes)
        self._changed = changed
        self.number = number
        return 0


class Shelf:
    """What this process has of one object of the program's."""

    __slots__ = ("__weakref__", "_kept", "_leased", "_slot", "_words")

    def __init__(self, number: int) -> None:
        self._words = home.page.copies
        self._slot = number % len(self._words)
        self._kept: tuple[int, dict[Any, Any]] = GONE, {}  # a number, and what is good while it stands there
        self._leased: Leased | None = None
        _shelves.add(self)

    def clear(self) -> None:
        """For good: there is no home any more."""
        self._words, self._slot, self._kept, self._leased = [0], 0, (GONE, {}), None

    @property
    def slot(self) -> int:
        """Where the number of its copies stands."""
        return self._slot

    def look(self, name: str, args: tuple[Any, ...]) -> Any:
        """What this step would give, if that is known; or MISSING."""
        if name not in NAMES:
            return MISSING
        standing = self._words[self._slot]
        number, known = self._kept
        if standing == number:
            return MISSING if args and type(args[0]) not in KEYS else known.get((name, args), MISSING)
        leased = self._leased
        if leased is None or standing != leased.number or not args:
            return MISSING
        turn = Turn()  # in between, another thread may have written what home has seen, and this has not
        if not turn:
            return MISSING
        try:
            return leased.get(name, args) if self._words[self._slot] == leased.number else MISSING
        finally:
            turn.end()

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

    def may_write(self, name: str, args: tuple[Any, ...]) -> bool:
        """Whether this step is one that might be done here, if the object were leased."""
        return name in WRITES or (name == "apply" and only_computes(args[0]))

    def write(self, name: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
        """Do a step here, for one who has the turn: `0, what it gives`. Else it is to be done at home.

        None: it was not done. A pair: it may have been done, as home knows; then it would give what is beside.
        """
        leased, words, slot = self._leased, self._words, self._slot
        if leased is None or words[slot] != leased.number:
            return None, None
        tried = leased.try_out(name, args)
        if tried is None:
            return None, None
        number = leased.number
        changes, value = tried
        if not changes:
            return (0, value) if words[slot] == number else (None, None)
        times = leased.write(changes, words, slot)
        return ((number, times) if times else times), value

    def adopt(self, value: Any, answer: Any) -> Any:
        """What home answers to such a step, which would have given `value` here."""
        if type(answer) is not tuple:
            return answer
        if answer == TAKEN:
            return value
        given, number, index, by_name, items = answer
        self._leased = Leased(number, home.page.leases[index], by_name, items)
        return given


_shelves: WeakSet[Shelf] = WeakSet()


def _forsake() -> None:
    """In a forked child of a worker: nothing of this is its own."""
    _turn.clear()
    for shelf in members_of(_shelves):
        shelf.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forsake)
