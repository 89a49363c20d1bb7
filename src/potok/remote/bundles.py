"""Items on their way to another address space, many in one message, and when that goes.

The first of a burst goes at once; those that follow within `BURST` seconds (`RINGS`, where they stand in a lane and
only a ring goes) go together, as soon as there are `BATCH` of them, the thread waits for anything, it says anything
else over a link, or `board.LINGER` is over.
"""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from potok.errors import PotokError, RemoteError
from potok.kernel.current import carrier
from potok.kernel.guard import run_outside
from potok.links.packing import PLAIN, Carrying, Packed, pack
from potok.remote.board import board
from potok.remote.home import home
from potok.remote.link import Link

__all__ = ["BATCH", "BURST", "RINGS", "Burst", "bundled", "fix", "is_raw", "kept", "leave_to", "unbundled"]

BURST: Final = 250e-6  # seconds after a batch in which items are gathered for the next
RINGS: Final = 50e-6  # ... where they are in a lane, and only a ring is to go
BATCH: Final = 64  # items that are sent together


class Burst:
    """When the items of one machine go: the first at once, what follows soon after it together with more.

    Args:
        machine: whose guard is held while something goes.
        go: has what is gathered go.
    """

    __slots__ = ("_gathering", "_go", "_last", "_machine", "_urgent")

    def __init__(self, machine: Any, go: Callable[[], object]) -> None:
        self._machine = machine
        self._go = go
        self._last = 0.0  # when items went
        self._gathering = False  # somebody sees to it that what is gathered goes
        self._urgent = False  # ... and that is this thread, as it has left the machine

    def offered(self, got: bool | None) -> bool:
        """Outside of the machine: see to what is gathered, now or soon. `got` as `go` and `gather` told."""
        if got is None:
            board.gather(self._flow_on)
        if self._urgent:
            self._urgent = False
            board.let_flow()
        return got is not False

    def is_over(self, waiting: int, burst: float = BURST) -> bool:
        """Whether so many items are to go at once."""
        return time.monotonic() - self._last > burst or waiting >= BATCH

    def go(self) -> bool | None:
        """Have them go, after what others have gathered before; None as `gather`."""
        if board.gathered:
            self._urgent = True
            return self.gather()
        self._go_now()
        return True

    def _go_now(self) -> None:
        self._last = time.monotonic()
        self._go()

    def gather(self) -> bool | None:
        """Leave them for more to come; None: somebody has to see to them."""
        if self._gathering:
            return True
        self._gathering = True
        return None

    def _flow_on(self) -> None:
        self._gathering = False
        self._machine.guard.post(carrier(), self._go_now)


def bundled(items: list[Any]) -> tuple[Any, ...]:
    """The items as one message: values, at which places they are pickles, and one by one those that need care."""
    pickles: list[int] = []
    others: list[tuple[int, Packed]] = []
    values = items
    for place, item in enumerate(items):
        if isinstance(item, Packed):
            if values is items:
                values = list(items)
            if type(item) is Packed and not item.needs_care:
                values[place] = item.data
                pickles.append(place)
            else:
                values[place] = None
                others.append((place, item))
    return values, pickles, *others


def unbundled(values: list[Any], pickles: list[int], *others: tuple[int, Packed]) -> list[Any]:
    """The reverse: what is packed stays so."""
    for place in pickles:
        values[place] = Packed(values[place])
    for place, item in others:
        values[place] = item
    return values


def is_raw(item: Any) -> bool:
    """Whether it may still change, and has to be packed before it goes."""
    return type(item) not in PLAIN and not isinstance(item, Packed)


def fix(items: list[Any]) -> None:
    """Pack what is neither immutable nor packed. Runs the user's code."""
    for place, item in enumerate(items):
        if is_raw(item):
            try:
                items[place] = pack(item)
            except Exception as error:  # its receiver is told
                items[place] = Packed(pickle.dumps(_Unsent(str(error)), 5))


class _Unsent:
    """In place of an item that can't be pickled."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __reduce__(self) -> Any:
        return _refuse, (self.why,)


def _refuse(why: str) -> Any:
    raise RemoteError(why)


def kept(item: Any) -> Any:
    """What the home keeps of an item that it ships: one that refers to something is sent for good."""
    return item.again() if type(item) is Carrying else item


def leave_to(
    space: int,
    said: deque[Any],
    form: Callable[..., tuple[Any, ...]],
    then: Callable[[Link], object] | None = None,
) -> None:
    """Have this sent to that space, at the latest as this thread has left the machine that it is in."""
    try:
        link = home.link_to(space)
    except PotokError:
        said.clear()  # it is no more, as will be told
        return
    link.unsaid.append((said, form))
    run_outside(carrier(), link.speak if then is None else partial(then, link))
