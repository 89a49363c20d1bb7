"""Memory that is shared, by two stores in one process with a wire between them; the memory is real."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from errno import EMFILE, ENOMEM
from pathlib import Path
from typing import Any

import pytest

from potok.errors import RemoteError
from potok.links import parts
from potok.links.packing import Packed, pack
from potok.links.parts import BIG
from potok.remote import buffers, memory
from potok.remote.buffers import Store

LARGE = bytes(range(256)) * 600


class Peer:
    """A link, in the eyes of one store: the other side of it."""

    def __init__(self, here: Store) -> None:
        self.here = here
        self.said: list[tuple[Any, ...]] = []
        self.other: Any = None
        self.cause: Exception | None = None

    def note(self, *note: Any) -> None:
        self.said.append(note)

    def hear(self) -> None:
        """What the other side has said until now."""
        said, self.other.said = self.other.said, []
        for note in said:
            self.here.noted(self, *note)


def pair(one: Store, other: Store) -> tuple[Peer, Peer]:
    a, b = Peer(one), Peer(other)
    a.other, b.other = b, a
    return a, b


def packed_by(one: Store, value: Any) -> Packed:
    real = parts._memory
    parts.set_memory(one)
    try:
        return pack(value)
    finally:
        parts.set_memory(real)


def opened_by(one: Store, packed: Packed) -> Any:
    real = parts._memory
    parts.set_memory(one)
    try:
        return packed.open()
    finally:
        parts.set_memory(real)


def carried(there: Peer, packed: Packed) -> tuple[Packed, int]:
    """Over the link; and how many descriptors went with it."""
    data, descriptors = there.here.dumps(there, [packed])
    assert len(data) < 2000
    back = there.other
    return back.here.loads(back, data, tuple(map(os.dup, descriptors)))[0], len(descriptors)


def opened(there: Peer, value: Any) -> Any:
    return opened_by(there.other.here, carried(there, packed_by(there.here, value))[0])


def settled(*stores: Store) -> None:
    for one in stores:
        one._settle()


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Store]]:
    """Three of them, whose finalizers do not stir the process's own board."""
    made = [Store() for _ in range(3)]
    for one in made:
        monkeypatch.setattr(one, "_ticking", True)
        monkeypatch.setattr(one, "_watching", True)
    yield made
    gc.collect()
    for one in made:
        one._settle()
        for arena in list(one._blocks.arenas.values()):
            arena.close()


def in_use(one: Store) -> int:
    one._settle()
    return len(one._blocks._live)


def test_a_view_holds_its_block_and_nothing_else_does(stores: list[Store]) -> None:
    """A slice of a slice is enough; as it goes, the owner is told, and writes there again."""
    one, other, _ = stores
    there, back = pair(one, other)
    view = opened(there, memoryview(LARGE))
    part = view[5:9][1:]
    del view
    settled(one, other)
    there.hear()
    assert (in_use(one), in_use(other), part.tolist()) == (1, 1, [6, 7, 8])
    del part
    settled(other)
    assert [kind for kind, _ in back.said] == ["returned"]
    there.hear()
    assert (in_use(one), in_use(other)) == (0, 0)


def test_memory_is_used_again_without_being_passed_again(stores: list[Store]) -> None:
    """In a steady stream the descriptor travels once, and one place is written again and again."""
    one, other, _ = stores
    there, _ = pair(one, other)
    passed, places = [], set()
    for number in range(20):
        packed, descriptors = carried(there, packed_by(one, memoryview(bytes([number]) * BIG)))
        passed.append(descriptors)
        places.add(packed.parts[0].hold.block.place)
        assert set(opened_by(other, packed)) == {number}
        del packed
        settled(other)
        there.hear()
    assert passed == [1] + 19 * [0]
    assert len(places) == 1


def test_what_nobody_can_write_is_passed_on_without_a_copy(stores: list[Store]) -> None:
    """A view that was received goes to the third, and back to the first, as the block that it is."""
    one, middle, last = stores
    (a, _), (b, _) = pair(one, middle), pair(middle, last)
    view = opened(a, memoryview(LARGE))
    one._stirred = False
    again = packed_by(middle, [view[10:]])
    assert again.parts[0].hold.block.place[:2] in one._blocks.arenas
    assert opened_by(last, carried(b, again)[0]) == [view[10:]]
    home = carried(a.other, again)[0]
    assert (
        one._stirred
    )  # its own block came back: that is returned soon, though nobody here lets go of anything
    assert opened_by(one, home) == [view[10:]]
    assert len(one._blocks._live) == 1


def test_a_small_part_of_a_block_is_copied(stores: list[Store]) -> None:
    """It would keep the whole of it."""
    one, other, _ = stores
    there, _ = pair(one, other)
    view = opened(there, memoryview(LARGE))
    assert packed_by(other, view[:100]).parts == ()


def test_a_block_for_several_is_not_written_before_the_last_has_done_with_it(stores: list[Store]) -> None:
    """The same packed value over two links."""
    one, second, third = stores
    (a, _), (b, _) = pair(one, second), pair(one, third)
    packed = packed_by(one, memoryview(LARGE))
    views = [opened_by(second, carried(a, packed)[0]), opened_by(third, carried(b, packed)[0])]
    del packed
    place = one._blocks._live.copy().popitem()[0]
    for there in (a, b):
        assert in_use(one) == 1
        fresh = packed_by(one, memoryview(b"x" * BIG * 2))
        assert fresh.parts[0].hold.block.place != place
        assert views[0] == LARGE
        del fresh, views[0]
        settled(second, third)
        there.hear()
    assert in_use(one) == 0


def test_a_middle_that_only_passes_on_maps_nothing(stores: list[Store]) -> None:
    """And owes nothing once the last has given it back."""
    one, middle, last = stores
    (a, _), (b, _) = pair(one, middle), pair(middle, last)
    packed, passed = carried(a, packed_by(one, memoryview(LARGE)))
    onward, passed_on = carried(b, packed)
    assert (passed, passed_on) == (1, 1)
    del packed
    settled(middle)
    view = opened_by(last, onward)
    assert (middle._mapped, view == LARGE) == ([], True)
    del onward, view
    settled(last)
    b.hear()
    settled(middle)
    a.hear()
    assert [in_use(each) for each in stores] == [0, 0, 0]


def test_values_that_are_never_opened_give_their_block_back(stores: list[Store]) -> None:
    one, other, _ = stores
    there, _ = pair(one, other)
    packed, _ = carried(there, packed_by(one, LARGE))
    del packed
    settled(other)
    there.hear()
    assert in_use(one) == 0


def test_a_link_that_ends_gives_back_what_was_lent_over_it(stores: list[Store]) -> None:
    """To the owner; who received it reads on, also when the owner is no more."""
    one, other, _ = stores
    there, back = pair(one, other)
    view = opened(there, memoryview(LARGE))
    one.lost(there)
    assert in_use(one) == 0
    other.lost(back)
    assert view == LARGE
    (arena,) = other._blocks.arenas.values()
    del view
    assert in_use(other) == 0
    assert (arena.fd, arena.address, back.said) == (-1, 0, [])


def test_what_is_said_to_a_link_that_has_ended_lends_nothing(stores: list[Store]) -> None:
    one, other, _ = stores
    there, _ = pair(one, other)
    there.cause = LookupError("it has ended")
    one.lost(there)
    one.dumps(there, [packed_by(one, LARGE)])
    gc.collect()
    assert in_use(one) == 0


def test_idle_memory_is_returned_at_both_sides(stores: list[Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """First the pages, then the arena, here and where it was introduced."""
    one, other, _ = stores
    there, back = pair(one, other)
    opened(there, memoryview(LARGE))
    settled(other)
    there.hear()
    assert in_use(one) == 0
    (arena,), (copy,) = one._blocks.arenas.values(), other._blocks.arenas.values()
    assert one.descriptors() == {arena.fd}
    one._trim()
    assert arena.warm  # not for long yet
    monkeypatch.setattr(buffers, "IDLE_SECONDS", 0)
    one._trim()
    assert (arena.fd, arena.address, one._mapped, one._idle) == (-1, 0, [], 0)
    back.hear()
    assert (copy.fd, copy.address, other._mapped) == (-1, 0, [])


def test_a_place_beside_one_in_use_gives_its_pages_back(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel counts them; and what is in use stays as it is."""
    one, _, _ = stores
    monkeypatch.setattr(buffers, "IDLE_SECONDS", 0)
    kept, packed = packed_by(one, memoryview(LARGE)), packed_by(one, memoryview(LARGE))
    arena = kept.parts[0].hold.block.arena
    assert arena is packed.parts[0].hold.block.arena
    before = os.fstat(arena.fd).st_blocks
    del packed
    assert in_use(one) == 1
    one._trim()
    assert os.fstat(arena.fd).st_blocks < before
    assert opened_by(one, kept) == LARGE
    again = packed_by(one, memoryview(LARGE))  # a cold place
    assert opened_by(one, again) == LARGE


def test_idle_memory_is_bounded(stores: list[Store]) -> None:
    """What is too much goes at once, what was free longest first."""
    one, _, _ = stores
    one.most_idle = 4 << 17
    many = [packed_by(one, memoryview(LARGE)) for _ in range(20)]
    assert one._idle == 0
    del many
    assert in_use(one) == 0
    assert 0 < one._idle <= one.most_idle


def without_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(ENOMEM, os.strerror(ENOMEM))

    monkeypatch.setattr(memory, "_map", refuse)
    monkeypatch.setattr(memory, "is_limited", lambda: True)
    monkeypatch.setattr(buffers, "is_limited", lambda: True)


def test_nothing_has_to_be_mapped(stores: list[Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an address bytes are written and read through the descriptor, in cold places and warm ones."""
    one, other, _ = stores
    there, _ = pair(one, other)
    without_addresses(monkeypatch)
    for number in range(3):
        value = bytes([number]) + LARGE
        view = opened(there, memoryview(value))
        assert (view, view.readonly) == (value, True)
        assert opened(there, [value, "x" * BIG]) == [value, "x" * BIG]
        settled(other)
        there.hear()
        assert in_use(one) == 0
    assert one._idle > 0
    one.relieve()
    assert (one._blocks.arenas, one._idle, one._mapped) == ({}, 0, [])


def test_what_all_may_write_is_never_a_copy(stores: list[Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it can't be mapped, it can't be opened."""
    one, other, _ = stores
    there, _ = pair(one, other)
    packed, _ = carried(there, packed_by(one, one.shared(BIG)))
    without_addresses(monkeypatch)
    with pytest.raises(RemoteError, match="too large for the memory of this process"):
        opened_by(other, packed)
    del packed
    gc.collect()
    settled(other)
    there.hear()
    assert in_use(one) == 0


def test_idle_memory_is_given_back_before_there_is_none(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A descriptor is to be had again once an idle arena is closed."""
    one, _, _ = stores
    earlier = packed_by(one, memoryview(LARGE))
    del earlier
    assert in_use(one) == 0
    (idle,) = one._blocks.arenas.values()
    real = memory.make_descriptor

    def scarce(size: int) -> int:
        if idle.fd >= 0:
            raise OSError(EMFILE, os.strerror(EMFILE))
        return real(size)

    monkeypatch.setattr(buffers, "make_descriptor", scarce)
    packed = packed_by(one, memoryview(LARGE * 100))
    assert packed.parts
    assert idle.fd == -1
    assert opened_by(one, packed) == LARGE * 100


def test_addresses_are_kept_unless_they_are_limited(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then a mapping goes with the last who looks at it, at both sides."""
    one, other, _ = stores
    there, _ = pair(one, other)
    for limited in (False, True):
        monkeypatch.setattr(buffers, "is_limited", lambda limited=limited: limited)
        for _ in range(2):  # the second time the place is warm
            view = opened(there, memoryview(LARGE))
            assert view == LARGE
            del view
            settled(other)
            there.hear()
            assert in_use(one) == 0
        assert [bool(store._mapped) for store in (one, other)] == [not limited] * 2


def test_few_descriptors_for_many_blocks(stores: list[Store]) -> None:
    """Arenas double: a thousand values under way take a dozen."""
    one, other, _ = stores
    there, _ = pair(one, other)
    sent = [carried(there, packed_by(one, memoryview(b"x" * BIG))) for _ in range(1000)]
    assert sum(descriptors for _, descriptors in sent) <= 8
    assert all(packed.parts for packed, _ in sent)
    del sent
    settled(other)
    there.hear()
    assert in_use(one) == 0


def without_memfd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")


def test_posix_shared_memory_takes_the_same_road(
    stores: list[Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no memfd; its name is gone at once."""
    without_memfd(monkeypatch)
    before = set(Path("/dev/shm").iterdir())  # noqa: S108 - to see that nothing is left there
    one, other, _ = stores
    there, _ = pair(one, other)
    packed, descriptors = carried(there, packed_by(one, memoryview(LARGE)))
    assert descriptors == 1
    assert opened_by(other, packed) == LARGE
    assert set(Path("/dev/shm").iterdir()) <= before  # noqa: S108


def test_without_memory_values_go_in_the_pickle(stores: list[Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """No descriptors left, no such call: it is slower, and the same."""

    def none(size: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(buffers, "make_descriptor", none)
    one, other, _ = stores
    there, back = pair(one, other)
    packed = packed_by(one, memoryview(LARGE))
    assert packed.parts == ()
    data, descriptors = one.dumps(there, [packed])
    (got,) = other.loads(back, data, descriptors)
    assert opened_by(other, got) == LARGE
    loan, block = one.borrow(BIG)
    assert block is None
    loan[5] = 6
    assert opened_by(one, packed_by(one, loan))[5] == 6
    with pytest.raises(OSError, match="open files"):
        one.shared(BIG)


def test_descriptors_of_a_message_that_can_not_be_read_are_closed(stores: list[Store]) -> None:
    """Whatever is wrong with it."""
    one, other, _ = stores
    there, back = pair(one, other)
    data, descriptors = one.dumps(there, [packed_by(one, LARGE)])
    before = len(list(Path("/proc/self/fd").iterdir()))
    for damaged in (data[:6] + b"garbage" + data[13:], b"\x80\x05N.", b"\x80\x05garbage"):
        spare = tuple(map(os.dup, [*descriptors, *descriptors]))
        with suppress(Exception):
            other.loads(back, damaged, spare)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_memory_can_not_be_cut_short_under_a_reader() -> None:
    """It is sealed: nobody's mapping turns into a deadly signal."""
    fd = memory.make_descriptor(BIG)
    try:
        with pytest.raises(OSError, match="not permitted"):
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)
