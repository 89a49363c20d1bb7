"""The memory that this process shares with others: which of it is free to be written again, and what goes over links.

    pack ── place / keep ──▶ a block ── dumps ──▶ message: a manifest, then the pickle; descriptors of new arenas beside
    message ── loads ──▶ holds ── view ──▶ memoryviews for pickle; the last one dead: note "returned"

Fresh pages cost ten times a copy. So places come in sizes of powers of two, the one that was free last is written
next, and the peers keep what they have mapped: in a steady stream only names travel. Arenas of one size double, so
that few descriptors are enough for however many blocks. Free places give their pages back after `IDLE_SECONDS`, or
when they are more than a sixteenth of the machine's memory; arenas without a used place are closed. Where there is
no more memory, or no address, all that lies idle is given back before anybody is told. Where addresses are limited, a
mapping that nobody looks at is given back at once: what the user's code can't have, it can't ask us for.

Invariants
    The accounting (`links.blocks`) is touched with the lock held; what comes of it is done after that.
    Nothing in here waits for another process, and no user code runs while the lock is held.
    Where there is no memory to be had, values travel in the pickle: slower, the same for whoever sends and receives.
"""

from __future__ import annotations

import math
import os
import pickle
import threading
import time
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from struct import Struct
from typing import Any, Final

from potok.errors import PotokError
from potok.links import parts
from potok.links.blocks import Block, Blocks, Hold, Place
from potok.links.parts import Part
from potok.remote.board import board
from potok.remote.memory import Arena, address_of, is_limited, make_descriptor

__all__ = ["Store", "store"]

SMALLEST: Final = 16  # places of 64 KiB and more: as powers of two
LEAST: Final = 1 << 20  # an arena is not smaller
IDLE_SECONDS: Final = 5.0
TICK: Final = 0.002  # seconds until what has died is counted, if no message is sent before
MOST_DESCRIPTORS: Final = 250  # the kernel takes 253 in one message
MARK: Final = b"B"  # a pickle never begins so
LENGTH: Final = Struct("!I")


Free = tuple[Arena, int, float]
"""A place that nobody uses, and since when."""


def _most_idle() -> int:
    """Bytes that may lie idle."""
    try:
        return max(64 << 20, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 16)
    except (ValueError, OSError):
        return 256 << 20


class Store:
    """One for each process."""

    def __init__(self) -> None:
        self.looks_at_all = False
        self.in_band = False  # as where there is no such memory
        self.most_idle = _most_idle()
        # Reentrant: a signal handler may pack while this very thread is in here, between two calls.
        self._lock = threading.RLock()
        self._blocks = Blocks(self._stir)
        self._token = int.from_bytes(os.urandom(8))  # a name that no other process has
        self._numbers = count(1)
        self._free: dict[int, deque[Free]] = {}  # by the size of the place; longest free first
        self._idle = 0  # bytes with pages among them
        self._mapped: list[tuple[int, Arena]] = []  # by address
        self._due: dict[Any, list[Place]] = {}  # what goes back with the next message, or soon by itself
        self._stirred = self._ticking = self._watching = False

    # ── packing: see `parts.Memory` ─────────────────────────────────────────────────────────────────────────

    def place(self, pieces: list[Any], size: int) -> Part | None:
        try:
            return self._relieved(self._placed, pieces, size)  # type: ignore[no-any-return]
        except OSError:  # no memory, no descriptors, no such thing: the value goes in the pickle
            return None

    def _relieved(self, do: Callable[..., Any], *args: Any) -> Any:
        """Do it; where there is no room, once more after all that lies idle was given back."""
        try:
            return do(*args)
        except OSError:
            pass
        self.relieve()
        return do(*args)

    def _placed(self, pieces: list[Any], size: int) -> Part | None:
        hold = self.take(size)
        if hold is None:
            return None
        arena, offset = hold.block.arena, hold.block.offset
        if offset in arena.warm and not is_limited():
            with suppress(OSError):
                self._reach(arena)
        arena.write(offset, pieces)
        return Part(hold, 0, size)

    def keep(self, buffer: pickle.PickleBuffer) -> Part | None:
        raw = buffer.raw()
        is_big = raw.nbytes >= parts.BIG
        if self.looks_at_all or raw.readonly:  # else it is in no block that is not to be copied
            found = self._found(*address_of(raw))
            if found is not None:
                block = found.hold.block
                if block.arena.shared or (is_big if block.loan is None else block.loan.may_go(buffer)):
                    return found
        return self.place([raw], raw.nbytes) if is_big else None

    def shares(self, buffer: pickle.PickleBuffer) -> bool:
        found = self._found(*address_of(buffer))
        return found is not None and found.hold.block.arena.shared

    def fix(self, part: Part) -> None:
        block = part.hold.block
        loan, block.loan = block.loan, None
        if loan is not None:
            loan.end()

    def view(self, part: Part) -> memoryview:
        self.reach(part)
        hold, start, size = part
        block = hold.block
        if block.arena.address:
            return block.arena.view(block.offset + start, size, hold, block.arena.shared)  # type: ignore[no-any-return]
        return block.arena.read(block.offset + start, size)  # type: ignore[no-any-return]

    def reach(self, part: Part) -> None:
        arena: Arena = part.hold.block.arena
        try:
            self._relieved(self._reach, arena)
        except OSError:
            if arena.shared or not _is_room_for(part.size):  # what all may write can't be copied
                raise

    def _found(self, address: int, size: int) -> Part | None:
        """What is in a block already."""
        with self._lock:
            index = bisect_right(self._mapped, address, key=_address) - 1
            if index < 0:
                return None
            first, arena = self._mapped[index]
            offset, start = divmod(address - first, arena.place)
            block = self._blocks.find(arena, offset * arena.place) if address < first + arena.size else None
            if block is None or start + size > arena.place:
                return None
            return Part(self._blocks.hold(block), start, size)

    def _reach(self, arena: Arena) -> None:
        """Have it mapped. Raises OSError."""
        if not arena.address:
            with self._lock:
                if not arena.address:  # another thread may have been quicker
                    arena.map()
                    insort(self._mapped, (arena.address, arena), key=_address)

    # ── places ──────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, size: int) -> Hold | None:
        """A place for so many bytes, that nobody uses; None where there is no such memory. Raises OSError."""
        if self.in_band:
            return None
        place = 1 << max(SMALLEST, (size - 1).bit_length())
        self.tidy()
        with self._lock:
            arena, offset, _ = self._free_place(place)
            if offset in arena.warm:
                self._idle -= place
            return self._blocks.begin(arena, offset)

    def _free_place(self, place: int) -> Free:
        free = self._free.setdefault(place, deque())
        while True:
            try:
                return free.pop()
            except IndexError:
                self._extend(free, place)

    def _extend(self, free: deque[Free], place: int) -> None:
        """One arena more: as large as all of that size so far."""
        size = sum(arena.size for arena in self._blocks.arenas.values() if self._pools(arena, place))
        try:
            arena = self._make(max(place, LEAST, size), place, shared=False)
        except OSError:
            if size <= place:
                raise
            arena = self._make(place, place, shared=False)
        now = time.monotonic()
        free.extend((arena, offset, now) for offset in reversed(range(0, arena.size, place)))

    def _pools(self, arena: Arena, place: int) -> bool:
        return arena.origin is None and not arena.shared and arena.place == place

    def _make(self, size: int, place: int, shared: bool) -> Arena:
        fd = make_descriptor(size)
        return Arena((self._token, next(self._numbers)), size, place, shared, fd)

    # ── memory to write in place ────────────────────────────────────────────────────────────────────────────

    def borrow(self, size: int) -> tuple[memoryview, Block | None]:
        """A place to be written, and the block that it is; ordinary memory where there is none."""
        try:
            hold = self.take(size) if size else None
            if hold is not None:
                hold.block.arena.warm.add(hold.block.offset)
                return self._whole(hold, size), hold.block
        except OSError:
            pass
        return memoryview(bytearray(size)), None

    def shared(self, size: int) -> memoryview:
        """Fresh memory, all zero, that all may write who get hold of it. Raises OSError."""
        if self.in_band:
            raise OSError("it is not to be used")
        with self._lock:
            arena = self._make(max(size, 1), max(size, 1), shared=True)
            hold = self._blocks.begin(arena, 0)
        return self._whole(hold, size)

    def _whole(self, hold: Hold, size: int) -> memoryview:
        self.looks_at_all = True
        board.begin()  # somebody has to see that it goes
        block = hold.block
        self._reach(block.arena)
        return block.arena.view(block.offset, size, hold, writable=True)  # type: ignore[no-any-return]

    # ── links ───────────────────────────────────────────────────────────────────────────────────────────────

    def dumps(self, link: Any, message: Any) -> tuple[bytes, tuple[int, ...]]:
        """The message pickled, and the descriptors that go with it."""
        data, holds = parts.message(message)
        self.tidy()
        if not holds and link not in self._due:
            return data, ()
        manifest, descriptors = self._lend(link, [hold.block for hold in holds])
        return b"".join((MARK, LENGTH.pack(len(manifest)), manifest, data)), descriptors

    def _lend(self, link: Any, blocks: list[Block]) -> tuple[bytes, tuple[int, ...]]:
        with self._lock:
            new = {
                block.arena.name: block.arena for block in blocks if not self._blocks.knows(link, block.arena)
            }
            if len(new) > MOST_DESCRIPTORS:
                raise PotokError(
                    f"a message can't carry more than {MOST_DESCRIPTORS} pieces of memory that are new to the other "
                    f"side; this one has {len(new)}: send it in several"
                )
            if link.cause is None:  # else it has ended, and nobody will hear of it
                for block in blocks:
                    self._blocks.lend(block, link)
            back = self._due.pop(link, ())
        told = [(arena.name, arena.size, arena.place, arena.shared) for arena in new.values()]
        manifest = pickle.dumps((told, [block.place for block in blocks], back), 5)
        return manifest, tuple(arena.fd for arena in new.values())

    def loads(self, link: Any, data: bytes, descriptors: tuple[int, ...]) -> Any:
        """The message. The descriptors are ours from now on, whatever goes wrong."""
        if data[:1] != MARK:
            if descriptors:
                _close(descriptors)
            return pickle.loads(data)  # noqa: S301 - from a socket that this run made itself
        (length,) = LENGTH.unpack_from(data, 1)
        begin = 1 + LENGTH.size
        try:
            told, places, back = pickle.loads(data[begin : begin + length])  # noqa: S301 - the same
        except BaseException:
            _close(descriptors)
            raise
        with self._lock:
            self._blocks.returned(link, back)
            for (name, size, place, shared), fd in zip(told, descriptors, strict=False):
                self.looks_at_all |= shared
                if not self._blocks.introduced(Arena(name, size, place, shared, fd), link):
                    os.close(fd)
            holds = [self._blocks.arrived(place, link) for place in places]
        if self._blocks.out:
            self._act()
        if len(descriptors) > len(told):
            _close(descriptors[len(told) :])
        return parts.read_message(memoryview(data)[begin + length :], holds)

    def noted(self, link: Any, kind: str, told: Any) -> None:
        """What the store at the other side says: `returned` places, or `forget` an arena."""
        with self._lock:
            if kind == "returned":
                self._blocks.returned(link, told)
            else:
                self._blocks.forget(link, told)
        self._act()

    def lost(self, link: Any) -> None:
        """It has ended."""
        with self._lock:
            self._blocks.lost(link)
            self._due.pop(link, None)
        self._act()

    # ── what comes of it ────────────────────────────────────────────────────────────────────────────────────

    def _stir(self) -> None:
        """A hold has died, or a block is to be returned: anywhere, perhaps in a finalizer while the lock is held.

        Holds are counted as the next message is sent, which takes what is to be returned along: a note for each would
        cost more than the rest. Where there is no message, a tick does it.
        """
        self._stirred = True
        if not self._ticking:
            self._ticking = True
            board.soon(self._tick_soon)

    def _tick_soon(self) -> None:
        board.later(TICK, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        if self._stirred:
            self._stirred = False
            self._ticking = True
            if (
                self._settle()
            ):  # finalizers have brought views back to life, which may take long to die once more
                self._stirred = True
                board.later(50 * TICK, self._tick)
            else:
                self._tick_soon()

    def _settle(self) -> bool:
        """Count what has died, and return all that is due. True if it is to be done again."""
        again = self._bury()
        while self._due:
            with self._lock:
                link, places = self._due.popitem() if self._due else (None, ())
            if link is not None:
                link.note("returned", places)
        return again

    def tidy(self) -> None:
        """Count what has died until now: whoever is next may want the room."""
        if self._blocks.has_dead:
            self._bury()

    def _bury(self) -> bool:
        with self._lock:
            again = self._blocks.bury()
        self._act()
        return again

    def _act(self) -> None:
        """Do what the accounting asks for. The lock is not held: links have locks of their own."""
        out = self._blocks.out
        while out:
            try:
                kind, *what = out.popleft()
            except IndexError:  # another thread was quicker
                break
            if kind == "return":
                with self._lock:
                    self._due.setdefault(what[0], []).append(what[1])
                    self._spare(self._blocks.arenas.get(what[1][:2]))
                self._stir()
            elif kind == "free":
                self._freed(what[0])
            elif kind == "forget":
                what[0].note("forget", what[1])
            else:
                self._close(what[0])

    def _freed(self, block: Block) -> None:
        arena = block.arena
        with self._lock:
            if arena.shared:
                self._blocks.close(arena)
                return
            if block.offset in arena.warm:
                self._idle += arena.place
            self._free[arena.place].append((arena, block.offset, time.monotonic()))
            self._spare(arena)
        if self._idle > self.most_idle:
            self._trim()
        if not self._watching:
            self._watching = True
            board.soon(self._watch)

    def _spare(self, arena: Arena | None) -> None:
        """A place in it is not used any more: keep no addresses that are wanted elsewhere."""
        if arena is not None and arena.address and not arena.uses and is_limited():
            self._unmap(arena)

    def _unmap(self, arena: Arena) -> None:
        self._mapped = [entry for entry in self._mapped if entry[1] is not arena]
        arena.unmap()

    def _close(self, arena: Arena) -> None:
        with self._lock:
            self._unmap(arena)
        arena.close()

    # ── idle memory ─────────────────────────────────────────────────────────────────────────────────────────

    def _watch(self) -> None:
        board.begin()
        board.later(IDLE_SECONDS, self._look_at_idle)

    def _look_at_idle(self) -> None:
        self._trim()
        self._watching = any(self._free.values())
        if self._watching:
            self._watch()

    def _trim(self, now: float | None = None) -> None:
        """Give back what has been idle for long, or is too much; what was free longest first."""
        since = (time.monotonic() if now is None else now) - IDLE_SECONDS
        with self._lock:
            for place, free in self._free.items():
                for _ in range(len(free)):
                    arena, offset, when = free.popleft()
                    if when > since and self._idle <= self.most_idle:
                        free.appendleft((arena, offset, when))
                        break
                    if offset in arena.warm:
                        arena.cool(offset)
                        self._idle -= place
                    free.append((arena, offset, when))
                self._free[place] = self._without_idle_arenas(free)
        self._act()

    def relieve(self) -> None:
        """Give back all that lies idle, at once: somebody has no memory, or no addresses."""
        self._bury()
        self._trim(math.inf)
        with self._lock:
            for arena in self._blocks.arenas.values():
                if arena.address and not arena.uses:
                    self._unmap(arena)

    def _without_idle_arenas(self, free: deque[Free]) -> deque[Free]:
        """Close the arenas of which all places are free and cold."""
        idle = {arena for arena, _, _ in free if not arena.uses and not arena.warm}
        for arena in idle:
            self._blocks.close(arena)
        rest = [entry for entry in free if entry[0] not in idle]
        return deque(sorted(rest, key=lambda entry: (entry[1] in entry[0].warm, entry[2])))

    def descriptors(self) -> set[int]:
        """Of the arenas that nobody uses: they are kept for a while."""
        with self._lock:
            return {arena.fd for arena in self._blocks.arenas.values() if not arena.uses}

    def forsake(self) -> None:
        """In a forked child: what was shared is the parent's; what is mapped stays as long as it is looked at."""
        for arena in self._blocks.arenas.values():
            arena.leave()
        self.__init__()  # type: ignore[misc]


def _address(entry: tuple[int, Arena]) -> int:
    return entry[0]


def _is_room_for(size: int) -> bool:
    try:
        bytes(size)  # whose pages nobody touches
    except MemoryError:
        return False
    return True


def _close(descriptors: tuple[int, ...]) -> None:
    for fd in descriptors:
        os.close(fd)


store = Store()
parts.set_memory(store)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=store.forsake)
