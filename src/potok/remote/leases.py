"""Places: where a worker writes what it has changed of a shared object that was leased to it, and its home reads that.

    worker ── write ──▶ | newest, or the one before | the other of the two | ── read ──▶ home

What is written is the whole of what was changed since the lease began, each time: the newest is all that counts. So two
buffers in turn are enough, and one number that says which is the newest, how long it is, and how often was written.

Invariants
    What `read` gives was written by one `write`, whole: also if the writer is killed in the middle of the next.
    Either the home, having wiped out the number of the lease, reads what was written before the worker looked whether
    that still stands; or the worker sees that it does not.

As for `lanes`: another processor must see the bytes before the number, so there are none where it may not.
"""

from __future__ import annotations

from typing import Any, Final

from potok.remote.lanes import LANES

__all__ = ["LEASES", "LEASE_SIZE", "LEASE_WORDS", "ROOM", "Place"]

LEASES: Final = 4 if LANES else 0  # for each worker
ROOM: Final = 1024  # bytes
LEASE_SIZE: Final = 2 * ROOM
LEASE_WORDS: Final = (
    8  # a cache line; the first is the number: times written << BITS, plus bytes of the newest
)
BITS: Final = 16
LENGTH: Final = (1 << BITS) - 1


class Place:
    """One end of it, in either process."""

    __slots__ = ("_memory", "_words")

    def __init__(self, words: Any, memory: Any) -> None:
        self._words = words
        self._memory = memory

    def write(self, data: bytes) -> int:
        """Put this in the place of what was there; how often that was done. Not more than `ROOM`."""
        times: int = (self._words[0] >> BITS) + 1
        start = (times & 1) * ROOM
        self._memory[start : start + len(data)] = data
        self._words[0] = times << BITS | len(data)  # last: before this it was not written
        return times

    def times(self) -> int:
        """How often it was written."""
        return int(self._words[0] >> BITS)

    def read(self) -> tuple[int, bytes]:
        """How often it was written, and what is there since."""
        while True:
            newest = self._words[0]
            start = (newest >> BITS & 1) * ROOM
            data = bytes(self._memory[start : start + (newest & LENGTH)])
            if self._words[0] == newest:
                return newest >> BITS, data
