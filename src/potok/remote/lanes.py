"""Lanes: items of one direction in memory that two processes have, without a message while the reader looks by itself.

    writer ── put ──▶ | size, epoch, item | size, epoch, item | … a ring of bytes … | ── take ──▶ reader

Each direction of a channel between a worker and the program may have one. Whoever reads says that it *watches*: it
looks until it says otherwise. While nobody watches, the writer tells of what it has put there, by a message.

Invariants
    What was put is read once, in its order, also when its writer has died.
    Either the reader sees, as it has stopped watching, what was put before, or the writer sees that nobody watches.
    What stands in a lane came before every message of its writer: it is taken before the message is handled.
    What goes by a message goes before what is put into a lane after it: until the reader has heard so, nothing is.
    (To a worker that holds for one channel. What its tasks can see of others, they ask the program for.)

Another processor must see the bytes of an item before the count that says that they are there. On x86 it does; where
stores may be seen in another order there are no lanes.
"""

from __future__ import annotations

import marshal
import platform
import threading
from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from potok.links.packing import PLAIN, Packed
from potok.machines.mailbox import granted_by, shown

__all__ = ["LANES", "LANE_SIZE", "LANE_WORDS", "Lane"]

LANES: Final = 2 if platform.machine() in ("x86_64", "AMD64", "i686") else 0  # in each direction
LANE_SIZE: Final = 1 << 15  # bytes
LANE_WORDS: Final = 4
WRITTEN, READ, WATCHED, HEARD = range(
    LANE_WORDS
)  # bytes in all, twice; the epoch that is watched; see `tell_heard`

HEADER: Final = Struct("=II")  # the size, with `SIMPLE` where it is no pickle; the epoch
HEAD_SIZE: Final = HEADER.size
put_head, read_head = HEADER.pack_into, HEADER.unpack_from
SIMPLE: Final = 1 << 31
SKIP: Final = (1 << 32) - 1  # in place of a size: it goes on at the beginning
EPOCHS: Final = (1 << 32) - 1

_lock = threading.Lock()


def _barrier() -> None:
    """Order this process's stores before its later loads, as other processes see them.

    (`kernel.build.fence` is for threads, which a GIL keeps in order.)
    """
    with _lock:
        pass


class Lane:
    """One end of a lane: the writer's in one process, the reader's in the other. Each is used inside one machine."""

    __slots__ = ("_at", "_free_until", "_memory", "_size", "_words", "drawn")

    def __init__(self, words: Any, memory: Any) -> None:
        self._words = words
        self._memory = memory
        self._size = len(memory)
        self._at = 0  # bytes written, or read
        self._free_until = self._size
        self.drawn: Callable[[], object] | None = None  # takes what is there, to where it belongs

    # ── who writes ──────────────────────────────────────────────────────────────────────────────────────────

    def put(self, epoch: int, item: Any) -> bool | None:
        """Put an item there: an immutable one, or a packed one that is nothing but its bytes. False: it can't be.

        None: it is there, and the reader does not look by itself.
        """
        if type(item) in PLAIN:
            data, kind = marshal.dumps(item), SIMPLE
        elif type(item) is Packed and not item.needs_care:
            data, kind = item.data, 0
        else:
            return False
        size, memory, words = self._size, self._memory, self._words
        start = self._at
        at = start % size
        length = HEAD_SIZE + len(data)
        if at + length > size:  # not in two pieces
            start += size - at
        end = start + length
        if end > self._free_until:
            self._free_until = words[READ] + size
            if end > self._free_until:
                return False
        if start != self._at:
            if size - at >= HEAD_SIZE:
                put_head(memory, at, SKIP, 0)
            at = 0
        put_head(memory, at, len(data) | kind, epoch & EPOCHS)
        memory[at + HEAD_SIZE : at + length] = data
        words[WRITTEN] = self._at = end  # last: before this it was not sent
        with _lock:  # see `_barrier`
            pass
        return True if words[WATCHED] == epoch else None

    def heard(self, epoch: int) -> int:
        """How many items of this epoch the reader has had, as of the last that came by a message."""
        return granted_by(self._words[HEARD], epoch)[1]

    # ── who reads ───────────────────────────────────────────────────────────────────────────────────────────

    def has_come(self) -> bool:
        """Whether something is there."""
        return bool(self._words[WRITTEN] != self._at)

    def take(self, epoch: int) -> list[Any]:
        """All that is there of this epoch. What is of an older one is dropped; what is of a newer one stays."""
        items: list[Any] = []
        written = self._words[WRITTEN]
        if written == self._at:
            return items
        memory, at, size = self._memory, self._at, self._size
        while at != written:
            start = at % size
            if size - start < HEAD_SIZE:
                at += size - start
                continue
            length, of = read_head(memory, start)
            if length == SKIP:
                at += size - start
                continue
            simple, length = length & SIMPLE, length & ~SIMPLE
            begin = start + HEAD_SIZE
            if of == epoch & EPOCHS:
                data = memory[begin : begin + length]
                items.append(marshal.loads(data) if simple else Packed(bytes(data)))  # noqa: S302 - of our own
            elif (of - epoch) & EPOCHS <= EPOCHS // 2:
                break
            at += HEAD_SIZE + length
        self._words[READ] = self._at = at
        return items

    def watch(self, epoch: int) -> None:
        """From now on the reader looks by itself."""
        self._words[WATCHED] = epoch

    def leave(self) -> None:
        """It does so no more; what is there by now, it can see."""
        if self._words[WATCHED]:
            self._words[WATCHED] = 0
            _barrier()

    def tell_heard(self, epoch: int, count: int) -> None:
        """Items have come by a message; in this epoch so many in all."""
        self._words[HEARD] = shown(epoch, count)

    def draw(self) -> None:
        """Have what is there taken."""
        if self.drawn is not None and self.has_come():
            self.drawn()
