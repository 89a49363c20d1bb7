"""What goes beside the pickle, with memory that is a list of bytes."""

from __future__ import annotations

import array
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potok.errors import RemoteError
from potok.links import parts
from potok.links.blocks import Blocks
from potok.links.packing import Packed, pack
from potok.links.parts import BIG, Part, message, read_message


class Arena:
    def __init__(self, name: tuple[int, int], data: bytearray) -> None:
        self.name, self.data = name, data
        self.uses, self.leaving, self.origin = 0, False, None


class Heap:
    """Blocks of ordinary memory; what is in one already is told by its object."""

    looks_at_all = False

    def __init__(self) -> None:
        self.blocks = Blocks(lambda: None)
        self.copied = 0
        self.fixed = 0

    def place(self, pieces: list[Any], size: int) -> Part:
        data = bytearray().join(pieces)
        assert len(data) == size
        self.copied += size
        arena = Arena((0, len(self.blocks.arenas)), data)
        return Part(self.blocks.begin(arena, 0), 0, size)

    def keep(self, buffer: pickle.PickleBuffer) -> Part:
        return self.place([buffer.raw()], buffer.raw().nbytes)

    def fix(self, part: Part) -> None:
        self.fixed += 1

    def view(self, part: Part) -> memoryview:
        return memoryview(part.hold.block.arena.data)[part.start : part.start + part.size].toreadonly()

    def in_use(self) -> int:
        assert not self.blocks.bury()
        return len(self.blocks._live)


@pytest.fixture
def heap() -> Iterator[Heap]:
    real, mine = parts._memory, Heap()
    parts.set_memory(mine)
    yield mine
    parts.set_memory(real)


@pytest.fixture
def no_memory() -> Iterator[None]:
    real = parts._memory
    parts._memory = None
    yield
    parts.set_memory(real)


def travelled(packed: Packed) -> Packed:
    """As a message takes it to another address space."""
    data, holds = message(["a message", (packed,)])
    assert len(data) < BIG
    return read_message(data, holds)[1][0]


class Mine:
    """Of a class that is not a container that pickle knows."""

    def __init__(self, data: object) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mine) and self.data == other.data

    __hash__ = None  # type: ignore[assignment]


LARGE = bytes(range(256)) * 600
VALUES = {
    "bytes": LARGE,
    "bytearray": bytearray(LARGE),
    "text": "ж" * BIG,
    "twice the same": [LARGE, 1, LARGE],
    "in a dict": {"deep": [(1, {"data": bytearray(LARGE)})]},
    "in an object": Mine(LARGE),
    "many small ones": list(range(50_000)),
    "nothing big": (1, "small", b"bytes"),
    "view": memoryview(LARGE),
    "small view": memoryview(b"small"),
    "empty view": memoryview(b""),
    "two kinds": [memoryview(LARGE), bytearray(LARGE)],
    "view in depth": Mine([[[[memoryview(LARGE)]]]]),
    "view of doubles": memoryview(array.array("d", range(20_000))),
    "table": memoryview(LARGE).cast("B", (150, 1024)),
    "every second": memoryview(LARGE)[::2],
}
each_value = pytest.mark.parametrize("value", list(VALUES.values()), ids=list(VALUES))


@each_value
def test_values_arrive_as_they_were(heap: Heap, value: Any) -> None:
    """Whatever is big in them, and wherever: the same type, equal; and no block stays in use."""
    packed = pack(value)
    got = travelled(packed).open()
    assert type(got) is type(value)
    assert got == value
    if isinstance(value, memoryview):
        assert (got.format, got.shape, got.readonly) == (value.format, value.shape, True)
    del packed, got
    assert heap.in_use() == 0


@each_value
def test_without_such_memory_they_arrive_all_the_same(no_memory: None, value: Any) -> None:
    """In the pickle."""
    packed = pack(value)
    assert packed.parts == ()
    assert packed.open() == value


def test_big_bytes_are_copied_once_as_they_are_packed(heap: Heap) -> None:
    """And so is what is in containers: the pickle goes with them, not through a buffer of its own."""
    pack([LARGE, {"more": bytearray(LARGE)}])
    assert 2 * len(LARGE) <= heap.copied < 2 * len(LARGE) + 200


def test_bytes_that_stay_are_not_copied(heap: Heap) -> None:
    """Nobody can change bytes: where they are opened at home they are the object; a copy is made as they leave."""
    packed = pack(LARGE, keep=True)
    assert packed.open() is LARGE
    assert heap.copied == 0
    there = travelled(packed)
    assert heap.copied >= len(LARGE)
    assert there.open() == LARGE
    again = travelled(packed)  # a second receiver
    assert heap.copied < 2 * len(LARGE)
    assert again.open() == LARGE
    del packed, there, again
    assert heap.in_use() == 0


def test_a_value_is_as_it_was_when_it_was_packed(heap: Heap) -> None:
    """Also if it is kept for receivers at home."""
    data = bytearray(LARGE)
    packed = pack([memoryview(data)])
    data[0] = 77
    (got,) = packed.open()
    assert got[0] == LARGE[0]


def test_what_can_not_be_pickled_uses_no_block(heap: Heap) -> None:
    """Nor does what was laid down before the culprit was met."""
    with pytest.raises(RemoteError, match="lock"):
        pack([memoryview(LARGE), __import__("threading").Lock()])
    assert heap.in_use() == 0
    assert heap.fixed == 0


def test_what_is_defined_in_main_is_found_in_large_pickles(heap: Heap) -> None:
    """`__main__` is another module elsewhere: cloudpickle takes such values, however large their pickle."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec("class Point:\n    def __init__(self, x): self.x = x", scope)  # noqa: S102 - ours
    main = __import__("sys").modules["__main__"]
    main.Point = scope["Point"]  # type: ignore[attr-defined]
    try:
        packed = pack([scope["Point"](x) for x in range(20_000)])
    finally:
        del main.Point  # type: ignore[attr-defined]
    assert [point.x for point in packed.open()] == list(range(20_000))


def test_a_memoryview_that_can_not_be_made_anew_is_refused(heap: Heap) -> None:
    """With what to do."""
    import ctypes

    class Pair(ctypes.Structure):
        _fields_ = (("a", ctypes.c_int), ("b", ctypes.c_double))

    with pytest.raises(RemoteError, match="send what it is a view of"):
        pack(memoryview((Pair * 3)()))


def test_what_is_packed_is_for_messages_only(heap: Heap) -> None:
    """A pickle of one's own would not know of the blocks."""
    with pytest.raises(pickle.PicklingError, match="messages"):
        pickle.dumps(pack(LARGE))


containers = st.recursive(
    st.one_of(
        st.integers(), st.text(max_size=5), st.sampled_from([LARGE, bytearray(LARGE), memoryview(LARGE)])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.builds(Mine, inner),
    ),
    max_leaves=6,
)


@given(containers)
def test_any_nesting_arrives(value: Any) -> None:
    """Big buffers in lists, tuples, dictionaries and objects, side by side and many levels deep."""
    real, mine = parts._memory, Heap()
    parts.set_memory(mine)
    try:
        assert travelled(pack(value)).open() == value
        assert mine.in_use() == 0
    finally:
        parts.set_memory(real)
