"""Lanes: items of one direction in memory that two processes have, without a message while the reader looks by itself.

    writer ── put ──▶ | item | item | item | … a ring of bytes … | ── take ──▶ reader

Each direction of a channel between a worker and the program may have one. Whoever reads says that it *watches*: it
looks until it says otherwise (`leave`). While nobody watches, the writer tells of what it has put there: once, by a
ring of the link, which carries nothing; from then on (`told`) the reader counts as one that watches, and if it wants to
hear of the next item, it says so again as it hears the ring.

Invariants
    What was put is read once, in its order, also when its writer has died.
    Either the reader sees, as it has stopped watching, what was put before, or the writer sees that nobody watches.
    What stands in a lane came before every message of its writer: it is taken before the message is handled.
    An epoch is written only once the reader has asked for what is of the one before for the last time, or for this one.
    What goes by a message goes before what is put into a lane after it: until the reader has heard so, nothing is.
    (To a worker that holds for one channel. What its tasks can see of others, they ask the program for.)

Another processor must see the bytes of an item before the count that says that they are there. On x86 it does; where
stores may be seen in another order there are no lanes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from marshal import dumps, loads
from struct import Struct
from typing import Any, Final

from potok.links.packing import PLAIN, Packed, is_simple
from potok.links.parts import CONTAINERS
from potok.machines.mailbox import granted_by, shown

__all__ = ["LANES", "LANE_SIZE", "LANE_WORDS", "Lane", "barrier"]

# In each direction. (`platform` would tell the same, and takes a millisecond to import.)
LANES: Final = 2 if hasattr(os, "uname") and os.uname().machine in ("x86_64", "amd64", "i686") else 0
LANE_SIZE: Final = 1 << 18  # bytes: two of the largest buffers that go in their pickle
LANE_WORDS: Final = 16
WRITTEN, EPOCH, BEGUN = range(3)
"""The writer's: what is written, see `ONE`; the epoch that is written, and what was written before it."""
READ, WATCHED, HEARD = range(8, 11)
"""In a cache line of their own, the reader's: bytes read, in all; the epoch that is watched; see `tell_heard`."""

# What is written is told by one number, which is stored in one step: items << 40, plus their bytes.
ONE: Final = 1 << 40
BYTES: Final = ONE - 1
WORD: Final = (1 << 64) - 1

# Items stand there without a gap, each as marshal writes it: with the head of a list before them, they are one, and
# all are read in one step. (Version 2 has no references from one value to another.) A packed one is a list of itself,
# and a list, like a packed one, is in a list: the first of two.
VERSION: Final = 2
HEAD: Final = Struct("<cI")

_lock = threading.Lock()


def barrier() -> None:
    """Order this process's stores before its later loads, as other processes see them.

    (`kernel.build.fence` is for threads, which a GIL keeps in order.)
    """
    with _lock:
        pass


class Lane:
    """One end of a lane: the writer's in one process, the reader's in the other. Each is used inside one machine."""

    __slots__ = ("_at", "_epoch", "_free_until", "_memory", "_place", "_size", "_words", "drawn", "known")

    def __init__(self, words: Any, memory: Any) -> None:
        self._words = words
        self._memory = memory
        self._size = len(memory)
        self.known = 0  # what was written, or is read
        self._at = 0  # ... in bytes
        self._place = 0  # ... in the ring
        self._epoch = 0
        self._free_until = self._size
        self.drawn: Callable[[bool], object] | None = None  # takes what is there, to where it belongs

    # ── who writes ──────────────────────────────────────────────────────────────────────────────────────────

    def put(self, epoch: int, item: Any) -> bool | None:
        """Put an item there: an immutable one, a simple container as it is now, or a packed one of nothing but bytes.

        False: it can't be.

        None: it is there, and the reader does not look by itself.
        """
        if type(item) in CONTAINERS and not is_simple(item):
            return False
        if not self.write(epoch, item):
            return False
        with _lock:  # see `barrier`
            pass
        return True if self._words[WATCHED] == epoch else None

    def write(self, epoch: int, item: Any) -> bool:
        """As `put`; whether the reader looks by itself is for the caller to see, by `is_watched`, after a barrier.

        That a container is simple the caller has seen, too: of others, marshal makes something else.
        """
        kind = type(item)
        if kind in PLAIN:
            data = dumps(item, VERSION)
        elif kind is Packed and item.data and not item.parts:  # it needs no care
            data = dumps([item.data], VERSION)
        elif kind in CONTAINERS:
            try:
                data = dumps([item, None] if kind is list else item, VERSION)
            except ValueError:  # another thread has put something else into it
                return False
        else:
            return False
        words = self._words
        size = len(data)
        end = self._at + size
        if end > self._free_until:
            self._free_until = words[READ] + self._size
            if end > self._free_until:
                return False
        if epoch != self._epoch:
            words[BEGUN] = self.known & WORD
            words[EPOCH] = self._epoch = epoch
        start = self._place
        stop = start + size
        # No call from here on: a signal handler could raise after it.
        if stop < self._size:
            self._memory[start:stop] = data
        else:  # around the end of the ring
            stop -= self._size
            self._memory[start:] = data[: size - stop]
            self._memory[:stop] = data[size - stop :]
        self._place = stop
        self._at = end
        self.known = known = self.known + ONE + size
        words[WRITTEN] = known & WORD  # last: before this it was not sent
        return True

    def is_watched(self, epoch: int) -> bool:
        """Whether the reader looks by itself."""
        return bool(self._words[WATCHED] == epoch)

    def told(self, epoch: int) -> None:
        """The reader is about to be told. One who leaves at this very moment hears that, and leaves once more."""
        self._words[WATCHED] = epoch

    def heard(self, epoch: int) -> int:
        """How many items of this epoch the reader has had, as of the last that came by a message."""
        return granted_by(self._words[HEARD], epoch)[1]

    # ── who reads ───────────────────────────────────────────────────────────────────────────────────────────

    def has_come(self) -> bool:
        """Whether something is there."""
        return bool(self._words[WRITTEN] != self.known & WORD)

    def take(self, epoch: int) -> list[Any]:
        """All that is there of this epoch. What is of an older one is dropped; what is of a newer one stays."""
        words = self._words
        written = words[
            WRITTEN
        ]  # before the epoch is looked at: what is written by now is none of a later one
        new = written - self.known & WORD
        if not new:
            return []
        if epoch != self._epoch:
            new = self._turn_to(epoch, new)
        elif words[EPOCH] != epoch:
            new = min(new, words[BEGUN] - self.known & WORD)
        if not new:
            return []
        items: list[Any] = loads(b"".join((HEAD.pack(b"[", new >> 40), self._read(new))))  # noqa: S302 - of our own
        if list in map(type, items):
            items = [_unwrapped(item) if type(item) is list else item for item in items]
        return items

    def _turn_to(self, epoch: int, new: int) -> int:
        """Drop what is of an older epoch; how much of what is new is of this one."""
        begun = self._words[EPOCH]
        if begun == epoch:
            self._epoch = epoch
            old = self._words[BEGUN] - self.known & WORD  # it may have begun since, after all that is new
            self._read(old)
            return max(0, new - int(old))
        if begun < epoch:
            self._read(new)
        return 0

    def _read(self, new: int) -> bytes:
        """So much of what is there."""
        size = new & BYTES
        start = self._place
        stop = start + size
        if stop < self._size:
            data = bytes(self._memory[start:stop])
        else:
            stop -= self._size
            data = bytes(self._memory[start:]) + bytes(self._memory[:stop])
        self._place = stop
        self.known += new
        self._at += size
        self._words[READ] = self._at
        return data

    def watch(self, epoch: int) -> None:
        """From now on the reader looks by itself."""
        self._words[WATCHED] = epoch

    def leave(self) -> None:
        """It does so no more; what is there by now, it can see."""
        if self._words[WATCHED]:
            self._words[WATCHED] = 0
            barrier()

    def tell_heard(self, epoch: int, count: int) -> None:
        """Items have come by a message; in this epoch so many in all."""
        self._words[HEARD] = shown(epoch, count)

    def draw(self, rung: bool = False) -> None:
        """Have what is there taken. `rung`: the writer has told of it, and will not do so again unless asked."""
        if self.drawn is not None and (rung or self.has_come()):
            self.drawn(rung)


def _unwrapped(item: list[Any]) -> Any:
    return item[0] if len(item) > 1 else Packed(item[0])
