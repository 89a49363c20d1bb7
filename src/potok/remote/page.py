"""Memory that a worker and the program both have: what the worker's tasks have taken, and sent, even once it is dead.

    | items that each inbox has taken, by slot | room for each outbox | lanes | copies and leases | what one outbox has
    gathered |

A task that takes an item counts it here, with one store. So the home of a channel can see what was taken without being
told, and a worker that is killed leaves no doubt: what is counted was taken by one of its tasks, the rest goes back.
What a task has sent, and what waits for a moment to go with more (see `remote.bundles`), is noted down here meanwhile:
a worker that is killed in that moment has sent it all the same.

Items themselves go by the lanes, see `lanes`. Each outbox sees here what room the program has granted it (see
`mailbox.shown`), and need not be told.

The memory has no name; it is gone with its last holder. Where there is none (no `memfd_create`), each item taken is
told by a message of its own, nothing comes unasked, and what is sent goes at once.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
from collections.abc import Iterator
from typing import Any, Final

from potok.remote.lanes import LANE_SIZE, LANE_WORDS, LANES, Lane
from potok.remote.leases import LEASE_SIZE, LEASE_WORDS, LEASES, Place

__all__ = ["Page", "receive_page", "send_page"]

NUMBERS: Final = 4096  # slots; the last ones are the notebook's
HOME, CHANNEL, EPOCH, FIRST, COUNT = range(NUMBERS - 5, NUMBERS)  # whose they are, from which on, how many
GRANTS: Final = 1024  # slots
HEARD: Final = NUMBERS + GRANTS + 2 * LANES * LANE_WORDS  # see `Link.acts`
RUNS: Final = HEARD + 1  # tasks that the worker has begun
COPIES: Final = RUNS + 1  # which copies of shared objects are good, see `copies`
LEASED: Final = COPIES + 256  # see `leases`
WORDS: Final = LEASED + LEASES * LEASE_WORDS
BUFFERS: Final = WORDS * 8 + 2 * LANES * LANE_SIZE  # where those of leases begin
NOTES: Final = BUFFERS + LEASES * LEASE_SIZE  # where they begin
SIZE: Final = NOTES + (1 << 15)  # bytes
NONE: Final = b"-"
ONE: Final = b"+"


class Page:
    """Numbers by slot. Slot 0 is for inboxes that found no other: it is counted in by many, and tells nothing."""

    def __init__(self, fd: int = -1) -> None:
        self._memory: Any = None if fd < 0 else mmap.mmap(fd, SIZE)
        memory = self._memory
        self.inode = os.fstat(fd).st_ino if fd >= 0 else 0
        self.notes_of: Any = None  # the outbox that has notes here
        self.notes_epoch = 0  # ... and in which of its epochs
        words: Any = [0] if memory is None else memoryview(memory)[: WORDS * 8].cast("Q")
        self.numbers: Any = words[:NUMBERS]
        self.grants: Any = words[NUMBERS : NUMBERS + GRANTS] or [0]
        self.heard: Any = words[HEARD:RUNS] or [0]
        """How much of what the worker has said is done, for it to see."""
        self.runs: Any = words[RUNS:COPIES] or [0]
        """How many tasks the worker has begun, the one that it runs included."""
        self.copies: Any = words[COPIES:LEASED] or [0]
        """Numbers of copies that are good."""
        self.leases: tuple[Place, ...] = () if memory is None else tuple(_places(words, memory))
        """For the program to lease objects to the worker."""
        lanes = () if memory is None else tuple(_lanes(words, memory))
        self.lanes_home: tuple[Lane, ...] = lanes[:LANES]
        """From the worker to the program; the others the other way."""
        self.lanes_there: tuple[Lane, ...] = lanes[LANES:]
        self._free = [] if memory is None else list(range(HOME - 1, 0, -1))
        self._free_grants = [] if memory is None else list(range(GRANTS - 1, 0, -1))
        self._free_leases = list(range(len(self.leases)))
        self._free_lanes = {way: list(range(len(way))) for way in (self.lanes_home, self.lanes_there) if way}

    @property
    def tells(self) -> bool:
        """Whether another process sees it."""
        return self._memory is not None

    def allocate(self) -> int:
        """A slot of its own for an inbox; 0 if there is none left."""
        return _one_of(self._free, 0)

    def free(self, slot: int) -> None:
        if slot and self.tells:
            self.numbers[slot] = 0
            self._free.append(slot)

    def allocate_grant(self) -> int:
        """A slot for an outbox; 0 if there is none left. What an older one was shown there is nothing to it."""
        return _one_of(self._free_grants, 0)

    def free_grant(self, slot: int) -> None:
        if slot and self.tells:
            self._free_grants.append(slot)

    def allocate_lane(self, way: tuple[Lane, ...]) -> int:
        """One of those lanes for a box; -1 if all are taken."""
        return _one_of(self._free_lanes.get(way, []), -1)

    def free_lane(self, way: tuple[Lane, ...], number: int) -> None:
        if number >= 0 and self.tells:
            self._free_lanes[way].append(number)

    def allocate_lease(self) -> int:
        """A place for what the worker changes of an object; -1 if all are taken."""
        return _one_of(self._free_leases, -1)

    def free_lease(self, number: int) -> None:
        self._free_leases.append(number)

    # ── the notebook: for one outbox at a time, whose guard is held ──────────────────────────────────────────

    def begin_notes(self, outbox: Any, home: int, channel: int, epoch: int, first: int) -> None:
        """The next notes are items of that channel, from number `first` on."""
        numbers = self.numbers
        numbers[COUNT] = 0
        self.notes_of, self.notes_epoch = outbox, epoch
        numbers[HOME], numbers[CHANNEL], numbers[EPOCH], numbers[FIRST] = home, channel, epoch, first
        self._memory.seek(NOTES)

    def note(self, pickled: bytes) -> bool:
        """Note one more item down; False: there is no room."""
        try:
            self._memory.write(pickled)
        except ValueError:
            return False
        self.numbers[COUNT] += 1  # last: before this it was not sent
        return True

    def end_notes(self) -> None:
        """They are on their way."""
        self.numbers[COUNT] = 0
        self.notes_of = None

    def read_notes(self) -> tuple[int, int, int, int, list[Any]]:
        """The home, the channel, the outbox's epoch, the number of the first, and the items as they were noted down."""
        numbers = self.numbers
        if not self.tells or not numbers[COUNT]:
            return 0, 0, 0, 0, []
        self._memory.seek(NOTES)
        items = [pickle.load(self._memory) for _ in range(numbers[COUNT])]  # noqa: S301 - of our own worker
        return numbers[HOME], numbers[CHANNEL], numbers[EPOCH], numbers[FIRST], items

    def used(self) -> tuple[int, ...]:
        """The numbers of the inboxes, without the zeros at the end."""
        numbers = self.numbers[:HOME].tolist() if self.tells else []
        while numbers and not numbers[-1]:
            numbers.pop()
        return tuple(numbers)

    def descriptors(self) -> set[int]:
        """The one that its mapping keeps open; found by looking at all, for reports and tests."""
        try:
            listed = [int(name) for name in os.listdir("/proc/self/fd")] if self.tells else []
        except OSError:
            listed = []
        return {fd for fd in listed if _inode(fd) == self.inode}

    def close(self) -> None:
        """Leave it; somebody may be looking at it just now."""
        self._memory = None
        self.numbers, self.grants, self.heard, self.runs, self.copies = [0], [0], [0], [0], [0]
        self.lanes_home = self.lanes_there = ()
        self.leases = ()
        self._free_leases = []
        self._free_lanes.clear()


def _one_of(free: list[int], none: int) -> int:
    try:
        return free.pop()
    except IndexError:  # not asked before: another thread may take the last one
        return none


def _lanes(words: Any, memory: Any) -> Iterator[Lane]:
    bytes_of = memoryview(memory)
    for number in range(2 * LANES):
        first, begin = NUMBERS + GRANTS + number * LANE_WORDS, WORDS * 8 + number * LANE_SIZE
        yield Lane(words[first : first + LANE_WORDS], bytes_of[begin : begin + LANE_SIZE])


def _places(words: Any, memory: Any) -> Iterator[Place]:
    bytes_of = memoryview(memory)
    for number in range(LEASES):
        first, begin = LEASED + number * LEASE_WORDS, BUFFERS + number * LEASE_SIZE
        yield Place(words[first : first + LEASE_WORDS], bytes_of[begin : begin + LEASE_SIZE])


def _inode(fd: int) -> int:
    try:
        return os.fstat(fd).st_ino
    except OSError:  # closed meanwhile
        return -1


def send_page(sock: socket.socket) -> Page:
    """Make one, and have it arrive before everything else at the other end of the socket."""
    try:
        fd = os.memfd_create("potok", os.MFD_CLOEXEC)
    except (AttributeError, OSError):
        sock.send(NONE)
        return Page()
    try:
        os.ftruncate(fd, SIZE)
        socket.send_fds(sock, [ONE], [fd])
        return Page(fd)
    finally:
        os.close(fd)


def receive_page(sock: socket.socket) -> Page:
    """The one that `send_page` sent."""
    told, fds, _, _ = socket.recv_fds(sock, 1, 1)
    if told != ONE or not fds:
        return Page()
    try:
        return Page(fds[0])
    finally:
        os.close(fds[0])
