"""What of a value goes beside its pickle: buffers of 128 KiB and more, in blocks. No I/O.

    value ──▶ pickle (small: in the Packed) + parts: the buffers in it, each a stretch of a block
              pickle (large: the first part itself)

Big buffers that pickle hands out (numpy arrays, memoryviews) become views of their block where they arrive. bytes,
bytearrays and strings it writes into the pickle: those are made anew there, so their pickle goes as a block.

Invariants
    A part's memory is as it was when the value was packed: copied then, or nobody can write in it.
    A Packed holds its blocks, and so does a message that it is in, from the moment that both address spaces know it.
"""

from __future__ import annotations

import copyreg
import pickle
import threading
from collections import ChainMap
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from potok.links.blocks import Hold

__all__ = [
    "BIG",
    "CONTAINERS",
    "Memory",
    "Part",
    "clouded",
    "dumped",
    "embarked",
    "is_shared",
    "landed",
    "message",
    "of_views",
    "opened_parts",
    "reach_parts",
    "read_message",
    "set_memory",
]

BIG: Final = 1 << 17
"""From so many bytes on a buffer goes beside the pickle. What the accounting of a block costs would copy less twice."""

FEW: Final = 16  # so many elements of a container are looked at, to see whether there are big buffers
DEEP: Final = 3  # and so deep
MAIN: Final = b"__main__"
LONG: Final = 1 << 16  # bytes that pickle writes by themselves, if it is given a file
A_FRAME: Final = 3 * LONG  # what it writes at once is less, unless it is the bytes of one big value
BYTES: Final = frozenset({bytes, bytearray, memoryview, str})
CONTAINERS: Final = frozenset({tuple, list, dict})

_local = threading.local()


class Part(NamedTuple):
    """A stretch of a block."""

    hold: Hold
    start: int  # from the beginning of the block
    size: int


class Memory(Protocol):
    """Who has the blocks: see `potok.remote.buffers`."""

    looks_at_all: bool
    """Whether small buffers matter, too: they may lie in a loan, or in memory that all may write."""

    def place(self, pieces: list[Any], size: int) -> Part | None:
        """Copy these buffers into a block, one after the other; None where there is no such memory."""

    def keep(self, buffer: pickle.PickleBuffer) -> Part | None:
        """As it is, where it lies in a block that nobody writes, or all may; else a copy. None: pickle it."""

    def shares(self, buffer: pickle.PickleBuffer) -> bool:
        """Whether it lies in memory that all may write."""

    def fix(self, part: Part) -> None:
        """What it is in was packed: nobody may write there any more."""

    def view(self, part: Part) -> memoryview:
        """Its bytes. Raises OSError or MemoryError."""

    def reach(self, part: Part) -> None:
        """Have it where it can be looked at. Raises OSError where there is no room for it."""


_memory: Any = None


def set_memory(memory: Memory) -> None:
    """Told once, by whoever has it."""
    global _memory
    _memory = memory


# ── packing ─────────────────────────────────────────────────────────────────────────────────────────────────


class Sink:
    """A file for pickle: it hands over big bytes as they are, without a copy."""

    __slots__ = ("write",)

    def __init__(self, write: Callable[[Any], object]) -> None:
        self.write = write


def dumped(
    value: Any, pickler: Callable[..., Any] | None = None, beside: bool = True
) -> tuple[bytes, tuple[Part, ...]] | None:
    """Pickle it: the pickle, and what goes beside it. `pickler` makes the pickler, if not the plain one.

    Returns None where the plain one refers to `__main__`, which is another module elsewhere.
    Raises what pickling raises; then no block is used.
    """
    outer = getattr(_local, "taken", None)
    taken: list[Part] | None = [] if beside and _memory is not None else None
    _local.taken = taken
    try:
        if pickler is None and not _has_long(value, DEEP):
            pieces: list[Any] = [pickle.dumps(value, 5, buffer_callback=_take)]
        else:
            written: list[Any] = []
            (pickler or _plain)(Sink(written.append), _take).dump(value)
            pieces = [piece.raw() if type(piece) is pickle.PickleBuffer else piece for piece in written]
            del written
        if pickler is None and _names_main(pieces):
            return None
        return _stowed(pieces, taken)
    finally:
        _local.taken = outer


def _names_main(pieces: list[Any]) -> bool:
    for piece in pieces:
        if type(piece) is bytes and (len(piece) < A_FRAME or len(pieces) == 1) and MAIN in piece:
            return True
    return False


def _stowed(pieces: list[Any], taken: list[Part] | None) -> tuple[bytes, tuple[Part, ...]]:
    if taken is None:
        return b"".join(pieces), ()
    size = sum(map(len, pieces))
    whole = _memory.place(pieces, size) if size >= BIG else None
    for part in taken:
        _memory.fix(part)
    if whole is not None:
        return b"", (whole, *taken)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces), tuple(taken)


def _take(buffer: pickle.PickleBuffer) -> bool:
    """Called by pickle for each buffer that it comes by; True: it shall be in the pickle."""
    taken = _local.taken
    if taken is None or (not _memory.looks_at_all and buffer.raw().nbytes < BIG):
        return True
    part = _memory.keep(buffer)
    if part is None:
        return True
    taken.append(part)
    return False


def is_shared(buffer: pickle.PickleBuffer) -> bool:
    """Whether it lies in memory that all may write: then it is no copy of anything, wherever it goes."""
    return _memory is not None and bool(_memory.looks_at_all and _memory.shares(buffer))


def _has_long(value: Any, depth: int) -> bool:
    """Whether there are long bytes in it, or a memoryview, as far as can be told at a glance."""
    kind = type(value)
    if kind in BYTES:
        return kind is memoryview or len(value) >= LONG
    if kind not in CONTAINERS:
        # An array. Its class is asked: what stands for something elsewhere would ask its home.
        size = value.nbytes if hasattr(kind, "nbytes") else 0
        return type(size) is int and size >= LONG
    if not depth or len(value) > FEW:
        return False
    for part in value.values() if kind is dict else value:  # noqa: SIM110 - half the time of any()
        if _has_long(part, depth - 1):
            return True
    return False


def _plain(sink: Sink, take: Any) -> pickle.Pickler:
    pickler = pickle.Pickler(sink, 5, buffer_callback=take)
    pickler.dispatch_table = _table
    return pickler


class _Table(dict[type, Any]):
    """What `copyreg` knows, and memoryviews. It is asked for each object: a ChainMap takes a tenth of the whole."""

    def __missing__(self, kind: type) -> Any:
        return copyreg.dispatch_table[kind]


_table = _Table()


@cache
def clouded() -> Callable[..., Any]:
    """The pickler that manages lambdas, closures and `__main__`."""
    import cloudpickle

    return of_views(cloudpickle.Pickler)


def of_views(base: Any) -> Callable[..., Any]:
    """Make picklers of this class, derived from cloudpickle's, that know memoryviews and big buffers."""

    class Pickler(base):  # type: ignore[misc]
        dispatch_table: ClassVar[Any] = ChainMap({memoryview: _reduce_view}, base.dispatch_table)

    return lambda sink, take: Pickler(sink, 5, buffer_callback=take)


def _reduce_view(view: memoryview) -> Any:
    if view.format.lstrip("@") not in "cbBhHiIlLqQnNfd?" or not view.format:
        raise TypeError(
            f"a memoryview of format {view.format!r} can't be made anew elsewhere: send what it is a view of"
        )
    flat = pickle.PickleBuffer(view) if view.c_contiguous else view.tobytes()
    return _make_view, (flat, view.format, view.shape)


_table[memoryview] = _reduce_view


def _make_view(flat: Any, kind: str, shape: tuple[int, ...]) -> memoryview:
    """A small one comes as bytes, a big one as a view of its block. Read-only, but for memory that all may write."""
    view = memoryview(flat)
    if isinstance(flat, bytes | bytearray):
        view = view.toreadonly()
    return view.cast("B").cast(kind, shape) if view.nbytes else view  # type: ignore[call-overload]


# ── opening ─────────────────────────────────────────────────────────────────────────────────────────────────


def opened_parts(data: bytes, parts: tuple[Part, ...]) -> tuple[Any, Any]:
    """The pickle, and the buffers for it."""
    views = [_memory.view(part) for part in parts]
    return (data, views) if data else (views[0], views[1:])


def reach_parts(parts: tuple[Part, ...]) -> None:
    """Find out whether there is room for them. Raises OSError where there is none."""
    for part in parts:
        _memory.reach(part)


# ── messages ────────────────────────────────────────────────────────────────────────────────────────────────


def message(value: Any) -> tuple[bytes, list[Hold]]:
    """Pickle a message, and tell what holds the blocks that go with it."""
    outer = getattr(_local, "aboard", None)
    aboard: list[Hold] = []
    _local.aboard = aboard
    try:
        return pickle.dumps(value, 5), aboard
    finally:
        _local.aboard = outer


def embarked(parts: tuple[Part, ...]) -> tuple[tuple[int, int, int], ...]:
    """How the message that is being pickled refers to them. Raises PicklingError where that is no message of ours."""
    aboard = getattr(_local, "aboard", None)
    if aboard is None:
        raise pickle.PicklingError("what is packed travels in potok's own messages only")
    first = len(aboard)
    aboard.extend([part.hold for part in parts])
    return tuple([(first + index, part.start, part.size) for index, part in enumerate(parts)])


def read_message(data: Any, holds: list[Hold]) -> Any:
    """The reverse of `message`."""
    outer = getattr(_local, "holds", None)
    _local.holds = holds
    try:
        return pickle.loads(data)  # noqa: S301 - from a socket that this run made itself
    finally:
        _local.holds = outer


def landed(parts: tuple[tuple[int, int, int], ...]) -> tuple[Part, ...]:
    """The reverse of `embarked`."""
    holds = _local.holds
    return tuple([Part(holds[index], start, size) for index, start, size in parts])
