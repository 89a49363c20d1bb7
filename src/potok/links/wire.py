"""Frames on a byte stream: where each begins and ends, and which file descriptors came with it. No I/O.

    | "pk" | kind: u8 | descriptors: u8 | size: u64, big-endian | payload: `size` bytes |

A stream cuts the bytes anywhere and glues frames together. File descriptors travel beside the bytes, attached to the
first ones of their frame, and arrive in order: so whoever has a whole frame has its descriptors.

Invariants
    What `frames` gives does not depend on how the bytes were cut.
    A descriptor that was fed is either in a frame that was returned, or in `leave` once the stream is over.
    After a WireError nothing more is decoded: where the next frame would begin is not known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Final, NamedTuple

from potok.errors import PotokError

__all__ = ["LARGEST", "Decoder", "Frame", "WireError", "encode"]

HEADER: Final = Struct("!2sBBQ")
MARK: Final = b"pk"
LARGEST: Final = 1 << 40  # bytes; what claims to be longer is no frame


class WireError(PotokError):
    """What came over a link is not what potok sends: another program wrote to it, or bytes are missing."""


class Frame(NamedTuple):
    """One message as it travels."""

    kind: int
    payload: bytes
    descriptors: tuple[int, ...] = ()


def encode(kind: int, payload: bytes, descriptors: int = 0) -> bytes:
    """The bytes of a frame, to be sent with so many descriptors attached to the first of them."""
    return HEADER.pack(MARK, kind, descriptors, len(payload)) + payload


class Decoder:
    """Cuts a stream back into frames."""

    __slots__ = ("_bytes", "_descriptors", "_failed")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._descriptors: deque[int] = deque()
        self._failed: WireError | None = None

    def feed(self, data: bytes, descriptors: Iterable[int] = ()) -> None:
        """Take what has come over the stream."""
        self._descriptors.extend(descriptors)  # first: for the bytes there may be no memory
        self._bytes += data

    def whole(self, data: bytes) -> Frame | None:
        """The frame that these bytes are, if nothing is missing, left over or beside it: the short way past `feed`."""
        if self._bytes or self._failed is not None or len(data) < HEADER.size:
            return None
        mark, kind, count, size = HEADER.unpack_from(data)
        if mark != MARK or count or len(data) != HEADER.size + size:
            return None
        return Frame(kind, data[HEADER.size :])

    def frames(self) -> Iterator[Frame]:
        """What has become whole, in order. Raises WireError after the last good one, and from then on."""
        data, start = self._bytes, 0
        try:
            while self._failed is None and len(data) - start >= HEADER.size:
                begin = start + HEADER.size
                mark, kind, count, size = HEADER.unpack_from(data, start)
                if mark != MARK or size > LARGEST:
                    raise self._fail(f"a frame can't begin with {bytes(data[start:begin])!r}")
                if len(data) - begin < size:
                    break
                own = self._take_descriptors(kind, count) if count else ()
                start = begin + size
                yield Frame(kind, bytes(memoryview(data)[begin:start]), own)
            if self._failed is not None:
                raise self._failed
        finally:
            del data[:start]

    def _take_descriptors(self, kind: int, count: int) -> tuple[int, ...]:
        if count > len(self._descriptors):
            raise self._fail(
                f"a frame of kind {kind} came with {len(self._descriptors)} of {count} descriptors"
            )
        return tuple(self._descriptors.popleft() for _ in range(count))

    def _fail(self, message: str) -> WireError:
        self._failed = WireError(f"{message}: something else than potok wrote to this link")
        return self._failed

    @property
    def is_between_frames(self) -> bool:
        """Whether the stream may end here."""
        return not self._bytes and self._failed is None

    def leave(self) -> list[int]:
        """The descriptors that belong to no frame, now that no more will come; whoever gets them closes them."""
        rest = list(self._descriptors)
        self._descriptors.clear()
        return rest
