"""Frames come out as they went in, however the stream was cut."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from potok.links.wire import LARGEST, MARK, Decoder, Frame, WireError, encode

frames = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300), st.integers(0, 3)), max_size=8)


def fed(decoder: Decoder, data: bytes, descriptors: Iterable[int] = ()) -> list[Frame]:
    decoder.feed(data, descriptors)
    return list(decoder.frames())


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """The data in pieces."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in pairwise(edges)]


@given(frames, st.lists(st.integers(0, 10_000), max_size=20))
def test_frames_do_not_depend_on_how_the_bytes_were_cut(
    sent: list[tuple[int, bytes, int]], places: list[int]
) -> None:
    """One by one, glued together, or byte by byte: the same frames, each with its own descriptors."""
    expected, data, number = [], b"", 0
    for kind, payload, count in sent:
        own = tuple(range(number, number + count))
        number += count
        expected.append(Frame(kind, payload, own))
        data += encode(kind, payload, count)
    decoder = Decoder()
    got = []
    for index, piece in enumerate(cut(data, places)):
        got += fed(decoder, piece, range(number) if index == 0 else ())
        assert got == expected[: len(got)]
    assert got == expected
    assert decoder.is_between_frames
    assert decoder.leave() == []


@given(st.binary(max_size=40), frames)
def test_the_short_way_takes_what_the_long_one_would(before: bytes, sent: list[tuple[int, bytes, int]]) -> None:
    """One whole frame without descriptors, and nothing begun before it; else nothing is taken, nor kept."""
    data = before[:1] + b"".join(encode(*each) for each in sent)
    is_one = not before and len(sent) == 1 and not sent[0][2]
    assert Decoder().whole(data) == (Frame(sent[0][0], sent[0][1]) if is_one else None)
    decoder = Decoder()
    decoder.feed(MARK)
    assert decoder.whole(encode(1, b"whole")) is None
    assert fed(decoder, encode(1, b"whole")[len(MARK) :]) == [Frame(1, b"whole")]


def test_a_stream_that_ends_in_a_frame_is_not_between_frames() -> None:
    """In its header or in its payload, all the same."""
    data = encode(1, b"payload")
    for size in range(1, len(data)):
        decoder = Decoder()
        assert fed(decoder, data[:size]) == []
        assert not decoder.is_between_frames


@pytest.mark.parametrize(
    "garbage",
    [b"Traceback (most recent call last):\n", b"\0" * 12, MARK + b"\1\0" + (LARGEST + 1).to_bytes(8, "big")],
)
def test_garbage_is_refused_from_then_on(garbage: bytes) -> None:
    """Nobody can tell where the next frame begins, so none is taken from there."""
    decoder = Decoder()
    with pytest.raises(WireError, match="something else than potok"):
        fed(decoder, garbage)
    with pytest.raises(WireError):
        fed(decoder, encode(1, b"whole"))
    assert not decoder.is_between_frames


def test_a_frame_without_its_descriptors_is_refused() -> None:
    """They come before its last byte, or not at all."""
    with pytest.raises(WireError, match="1 of 2 descriptors"):
        fed(Decoder(), encode(4, b"", 2), [7])


def test_descriptors_that_belong_to_no_frame_are_given_back() -> None:
    """So that they can be closed."""
    decoder = Decoder()
    assert fed(decoder, encode(1, b"cut off", 2)[:-1], [7, 8, 9]) == []
    assert decoder.leave() == [7, 8, 9]
    assert decoder.leave() == []
