"""A lane: bytes in a ring, against a queue."""

from collections import deque
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potok.links.packing import Packed, pack
from potok.remote.lanes import LANE_WORDS, Lane

PLAIN = st.one_of(
    st.integers(), st.floats(allow_nan=False), st.text(max_size=40), st.binary(max_size=40), st.none()
)

FEW = st.integers(0, 99)
SIMPLE = st.one_of(
    st.lists(FEW, max_size=5),
    st.tuples(FEW, st.lists(FEW, max_size=2)),
    st.dictionaries(st.text(max_size=3), FEW),
)


def both_ends(size: int) -> tuple[Lane, Lane]:
    words, memory = memoryview(bytearray(8 * LANE_WORDS)).cast("Q"), memoryview(bytearray(size))
    return Lane(words, memory), Lane(words, memory)


def known(item: object) -> object:
    return item.open() if isinstance(item, Packed) else item


@given(
    size=st.integers(64, 200),
    steps=st.lists(st.one_of(PLAIN, SIMPLE, st.just(all)), max_size=200),
    packs=st.booleans(),
)
def test_what_was_put_is_taken_once_and_in_order(size: int, steps: list[object], packs: bool) -> None:
    writer, reader = both_ends(size)
    there: deque[object] = deque()
    for step in steps:
        if step is all:
            assert [known(item) for item in reader.take(1)] == list(there)
            there.clear()
        elif writer.put(1, pack(step) if packs and type(step) is list else step) is not False:
            there.append(step)
        else:
            assert there or len(repr(step)) > size / 4, "an empty lane takes what is short"
        assert reader.has_come() == bool(there)
    assert [known(item) for item in reader.take(1)] == list(there)


class Point(NamedTuple):
    x: int


SHARED: list[object] = []


@pytest.mark.parametrize(
    "item",
    [
        {"a": bytearray(b"b")},
        (memoryview(b"m"),),
        {"a": {1}},
        {(1, 2): 3},
        Point(1),
        [Point(1)],
        (SHARED, SHARED),
        ([SHARED], [SHARED]),
        [[[[]]]],
        [0] * 65,
    ],
    ids=repr,
)
def test_container_of_which_marshal_would_make_another_is_not_put_as_it_is(item: object) -> None:
    writer, _ = both_ends(2048)
    assert writer.put(1, item) is False


def test_what_is_of_a_newer_epoch_stays_and_what_is_of_an_older_one_is_dropped() -> None:
    writer, reader = both_ends(256)
    assert writer.put(1, "a") is None
    assert reader.take(1) == ["a"]
    for epoch, item in ((1, "b"), (2, "c"), (2, "d")):
        assert writer.put(epoch, item) is None
    assert reader.take(1) == ["b"]
    assert reader.take(1) == []
    assert reader.has_come()
    assert reader.take(3) == []
    assert not reader.has_come()
    assert writer.put(3, "e") is None
    assert reader.take(3) == ["e"]


def test_what_is_more_than_its_bytes_goes_another_way() -> None:
    writer, reader = both_ends(256)
    assert writer.put(1, object()) is False
    assert writer.put(1, pack(b"1" * (1 << 17))) is False
    assert writer.put(1, "1" * 300) is False
    assert not reader.has_come()


def test_writer_sees_whether_this_very_epoch_is_watched() -> None:
    writer, reader = both_ends(256)
    assert writer.put(1, "a") is None
    reader.watch(1)
    assert writer.put(1, "b") is True
    assert writer.put(2, "c") is None
    reader.leave()
    assert writer.put(1, "d") is None


def test_reader_is_told_once_until_it_leaves_again() -> None:
    writer, reader = both_ends(256)
    assert writer.put(1, "a") is None
    writer.told(1)
    assert writer.put(1, "b") is True
    reader.leave()
    assert reader.take(1) == ["a", "b"]
    assert writer.put(1, "c") is None


def test_reader_that_comes_late_to_an_epoch_takes_what_is_of_it() -> None:
    """Of a lane that another channel has left with something in it, over the end of the ring."""
    writer, reader = both_ends(64)
    for n in range(20):
        assert writer.put(1, n) is not False
        assert reader.take(1) == [n]
    assert writer.put(1, "left") is None
    assert writer.put(2, "a") is None
    assert writer.put(2, [{1}]) is False
    assert writer.put(2, Packed(b"b")) is None
    first, second = reader.take(2)
    assert (first, second.data) == ("a", b"b")
    assert not reader.has_come()


def test_what_is_written_is_counted_past_the_width_of_a_word() -> None:
    """As if 2**24 items, and 2**40 bytes, had gone by it but for one."""
    writer, reader = both_ends(64)
    for lane in (writer, reader):
        lane.known = (1 << 64) - (1 << 40) - 8
    writer._words[0] = writer.known
    for item in ("abc", 7, None, 2.5):
        assert writer.put(1, item) is None
        assert reader.has_come()
        assert reader.take(1) == [item]
        assert not reader.has_come()


@pytest.mark.parametrize("count", [1, 10])
def test_writer_sees_how_many_have_come_of_this_epoch(count: int) -> None:
    writer, reader = both_ends(256)
    reader.tell_heard(7, count)
    assert (writer.heard(7), writer.heard(8)) == (count, 0)
