"""The conversation over a link: calls that are answered once, calls taken back, notes, and how it ends. No I/O.

    caller                                  callee
      │ ── CALL 7: "recv", channel 3 ──▶      │   the operation parks at its home
      │ ── RECALL 7: timed out ─────────▶     │   (a time-out, a cancellation) ... or the item is there first
      │ ◀── ANSWER 7: the item ──────────     │   either way one answer comes, and it is the truth
      │ ── NOTE: task 12 was cancelled ─▶     │   nobody answers a note
      │ ── RING ────────────────────────▶     │   there is something in memory that both see
      │ ── GOODBYE ─────────────────────▶     │   no more calls from here; what is open is still answered

Both ends call and serve. Bytes go in by `receive`, events come out; what is to be sent is in `take_outgoing`.

Invariants
    Each call that was sent is ended once: by its answer, by its failure, or by the end of the link.
    Each call that was received is answered once; a recall that crosses with the answer is passed over.
    What can't be pickled fails one call, on the side where it is; the link goes on.
    The end is clean only if both have said goodbye, nothing is unanswered and no frame is cut.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable
from enum import IntEnum
from struct import Struct
from typing import Any, Final, NamedTuple

from potok.links.wire import Decoder, Frame, WireError, encode

__all__ = [
    "PROTOCOL",
    "RING",
    "RUNG",
    "Answered",
    "Called",
    "Ended",
    "Event",
    "Failed",
    "Greeted",
    "Noted",
    "Outgoing",
    "Recalled",
    "Rung",
    "Session",
]

PROTOCOL: Final = 1
NUMBER: Final = Struct("!Q")

Packed = tuple[bytes, tuple[int, ...]]  # a pickle, and the descriptors of the memory that goes beside it


class Kind(IntEnum):
    """What a frame is."""

    HELLO = 1
    CALL = 2
    ANSWER = 3
    FAILURE = 4
    RECALL = 5
    NOTE = 6
    GOODBYE = 7
    RING = 8


RING: Final = encode(Kind.RING, NUMBER.pack(0))
"""The whole of such a frame: it may also be sent, and taken, past the session, where that is between two frames."""


class Greeted(NamedTuple):
    """The other side is there: what it told of itself."""

    about: Any


class Called(NamedTuple):
    """Serve this, and `answer` or `fail` it."""

    number: int
    request: Any


class Recalled(NamedTuple):
    """The caller wants this call back: end it now, for this reason, unless it has just been done."""

    number: int
    why: Any


class Answered(NamedTuple):
    """A call of ours is done."""

    number: int
    value: Any
    owner: Any = None  # what was given with the call


class Failed(NamedTuple):
    """A call of ours has failed: over there, or because its request or its answer can't be unpickled."""

    number: int
    error: Any
    owner: Any = None


class Noted(NamedTuple):
    """A message without an answer."""

    note: Any


class Rung(NamedTuple):
    """Look into the memory that both sides see."""


class Ended(NamedTuple):
    """Nothing more will come. `cause` is None where both sides had said goodbye and nothing was left open."""

    cause: WireError | None
    unanswered: tuple[int, ...]  # calls of ours
    unserved: tuple[int, ...]  # calls of the other side
    owners: tuple[Any, ...] = ()  # of the calls of ours


RUNG: Final = Rung()

Event = Greeted | Called | Recalled | Answered | Failed | Noted | Rung | Ended


class Call:
    """A call of ours that is to be sent."""

    __slots__ = ("number", "owner", "packed", "sent")

    def __init__(self, number: int, owner: Any, packed: Packed) -> None:
        self.number = number
        self.owner = owner
        self.packed = packed
        self.sent: list[bool] = []  # for whoever sends it: not empty from then on


class Outgoing(NamedTuple):
    """Bytes to send, with these descriptors attached to the first of them."""

    data: bytes
    descriptors: tuple[int, ...]


class Session:
    """One side of a conversation.

    Args:
        dumps: pickles a value; returns the bytes and the descriptors of memory that goes beside them.
        loads: the reverse. The descriptors are its own from then on, also where it raises.
        about: what the other side is told first; pickled, too.
    """

    __slots__ = (
        "_calls",
        "_claimed",
        "_decoder",
        "_dumps",
        "_ended",
        "_greeted",
        "_left",
        "_loads",
        "_lost_descriptors",
        "_numbers",
        "_out",
        "_serving",
        "_they_left",
    )

    def __init__(
        self,
        dumps: Callable[[Any], Packed],
        loads: Callable[[bytes, tuple[int, ...]], Any],
        about: Any = None,
    ) -> None:
        self._dumps = dumps
        self._loads = loads
        self._decoder = Decoder()
        self._out: deque[Outgoing] = deque()
        self._numbers = itertools.count(1)
        self._calls: dict[int, Any] = {}  # ours, unanswered, each with its owner
        self._serving: set[int] = set()  # theirs, unanswered
        self._greeted = False  # they said hello
        self._left = self._they_left = False  # goodbye was said
        self._ended = False
        self._claimed = False  # the descriptors of the frame that is being read are somebody's
        self._lost_descriptors: list[int] = []
        self._queue(Kind.HELLO, PROTOCOL, self._dumps(about))

    # ── speaking ────────────────────────────────────────────────────────────────────────────────────────────

    def call(self, request: Any, owner: Any = None) -> int:
        """Ask for something; the number of the call. `owner` comes back with the answer.

        Raises what pickling raises, with nothing sent.
        """
        call = self.prepare(request, owner)
        self.commit(call)
        return call.number

    def prepare(self, request: Any, owner: Any = None) -> Call:
        """A call that is still to be sent, by `commit`. Changes nothing; raises as `call`."""
        self._refuse_if_closed()
        return Call(next(self._numbers), owner, self._dumps(request))

    def commit(self, call: Call) -> None:
        """Send it."""
        self._refuse_if_closed()
        self._calls[call.number] = call.owner  # first: the answer may be here at once
        try:
            self._queue(Kind.CALL, call.number, call.packed)
        except MemoryError:
            del self._calls[call.number]
            raise

    def _refuse_if_closed(self) -> None:
        if self._left or self._ended:
            raise WireError("call: this link is closed")

    def recall(self, number: int, why: Any) -> None:
        """Take a call back, if it is still open there; whatever comes of it, its one answer tells."""
        if number in self._calls and not self._ended:
            self._queue(Kind.RECALL, number, self._dumps(why))

    def answer(self, number: int, value: Any) -> None:
        """Answer a call of the other side; with a failure, where the value can't be pickled, or is too large."""
        try:
            packed = self._dumps(value)
            self._reply(Kind.ANSWER, number, packed)
        except MemoryError:
            self.fail(
                number, MemoryError("the answer is too large for the memory of the process that has it")
            )
        except Exception as error:
            if number not in self._serving:
                raise
            self.fail(number, error)

    def fail(self, number: int, error: Any) -> None:
        """Tell the caller that its call has failed. `dumps` must manage any exception, if need be by description."""
        self._reply(Kind.FAILURE, number, self._dumps(error))

    def note(self, note: Any) -> None:
        """Send a message that nobody answers. Raises what pickling raises, with nothing sent."""
        if not (self._left or self._ended):
            self._queue(Kind.NOTE, 0, self._dumps(note))

    def ring(self) -> None:
        """Have the other side look into the memory that both see."""
        if not (self._left or self._ended):
            self._out.append(Outgoing(RING, ()))

    @property
    def is_between_frames(self) -> bool:
        """Whether what comes next is a frame's beginning."""
        return self._greeted and not self._ended and self._decoder.is_between_frames

    def say_goodbye(self) -> None:
        """No more calls and notes from here. Idempotent. What either side has open is still answered."""
        if not (self._left or self._ended):
            self._left = True
            self._queue(Kind.GOODBYE, 0, (b"", ()))

    def take_outgoing(self) -> list[Outgoing]:
        """What is to be sent now, in this order."""
        out = []
        while self._out:
            out.append(self._out.popleft())
        return out

    @property
    def has_outgoing(self) -> bool:
        """Whether there is something to be sent."""
        return bool(self._out)

    @property
    def is_idle(self) -> bool:
        """Whether both have said goodbye and nothing is left open: the stream may be closed."""
        return self._left and self._they_left and not self._calls and not self._serving

    def _reply(self, kind: Kind, number: int, packed: Packed) -> None:
        if self._ended:
            return  # nobody is left to be told
        if number not in self._serving:
            raise ValueError(f"call {number} is not open here: it was answered, or never received")
        self._queue(kind, number, packed)
        self._serving.discard(number)

    def _queue(self, kind: Kind, number: int, packed: Packed) -> None:
        payload, descriptors = packed
        data = encode(kind, NUMBER.pack(number) + payload, len(descriptors))
        self._out.append(Outgoing(data, descriptors))

    # ── listening ───────────────────────────────────────────────────────────────────────────────────────────

    def receive(self, data: bytes, descriptors: Iterable[int] = ()) -> list[Event]:
        """What these bytes have brought. Bytes that potok did not send end the session: `Ended`, with the cause."""
        if self._ended:
            self._lost_descriptors += descriptors
            return []
        events: list[Event] = []
        try:
            whole = None if descriptors else self._decoder.whole(data)
            if whole is None:
                self._decoder.feed(data, descriptors)
            for frame in self._decoder.frames() if whole is None else (whole,):
                event = self._understood(frame)
                if event is not None:
                    events.append(event)
        except WireError as error:
            events.append(self._end(error))
        except MemoryError:  # what has come of it is lost, and where the next one begins
            events.append(self._end(WireError("a message is too large for the memory of this process")))
        return events

    def end_of_stream(self) -> list[Event]:
        """The other side will send nothing more: it has closed the stream, or died."""
        if self._ended:
            return []
        if not self._decoder.is_between_frames:
            return [self._end(WireError("the other side of the link has gone in the middle of a frame"))]
        if not self._they_left:
            return [self._end(WireError("the other side of the link has gone without a goodbye"))]
        if self._calls or self._serving:
            return [self._end(WireError("the other side of the link has gone with calls unanswered"))]
        return [self._end(None)]

    def give_up(self, cause: WireError) -> list[Event]:
        """What came can't be read, for a reason that the bytes do not show."""
        return [] if self._ended else [self._end(cause)]

    def leave(self) -> list[int]:
        """Descriptors that came and belong to no message; whoever gets them closes them."""
        rest, self._lost_descriptors = self._lost_descriptors, []
        return rest + self._decoder.leave()

    def _end(self, cause: WireError | None) -> Ended:
        self._ended = True
        owners = tuple(self._calls[number] for number in sorted(self._calls))
        ended = Ended(cause, tuple(sorted(self._calls)), tuple(sorted(self._serving)), owners)
        self._calls.clear()
        self._serving.clear()
        return ended

    def _understood(self, frame: Frame) -> Event | None:
        if not frame.descriptors:
            return self._understand(frame)
        self._claimed = False
        try:
            return self._understand(frame)
        finally:
            if not self._claimed:
                self._lost_descriptors += frame.descriptors

    def _load(self, packed: Packed) -> Any:
        self._claimed = True
        return self._loads(*packed)

    def _understand(self, frame: Frame) -> Event | None:  # noqa: PLR0911 - one for each kind
        if len(frame.payload) < NUMBER.size:
            raise WireError(f"a frame of kind {frame.kind} is too short to be one of potok's")
        kind, payload, descriptors = frame
        (number,) = NUMBER.unpack_from(payload)
        packed = payload[NUMBER.size :], descriptors
        if not self._greeted:
            return self._greet(kind, number, packed)
        if self._they_left and kind in (Kind.CALL, Kind.NOTE, Kind.GOODBYE):
            raise WireError("the other side goes on after its goodbye")
        match kind:
            case Kind.NOTE:  # first: most are
                return Noted(self._read(packed))
            case Kind.CALL:
                return self._called(number, packed)
            case Kind.ANSWER | Kind.FAILURE:
                return self._answered(kind == Kind.FAILURE, number, packed)
            case Kind.RECALL:
                why = self._read(packed)  # also if it came too late: there may be memory in it
                return Recalled(number, why) if number in self._serving else None
            case Kind.GOODBYE:
                self._they_left = True
                return None
            case Kind.RING:
                return RUNG
        raise WireError(f"a frame of kind {kind} is none of potok's")

    def _greet(self, kind: int, version: int, packed: Packed) -> Greeted:
        if kind != Kind.HELLO:
            raise WireError("the other side of the link did not begin with a greeting")
        if version != PROTOCOL:
            raise WireError(f"the other side speaks version {version} of the protocol, this one {PROTOCOL}")
        self._greeted = True
        return Greeted(self._read(packed))

    def _read(self, packed: Packed) -> Any:
        """What potok itself has written: where that can't be read, nothing can."""
        self._claimed = True
        try:
            return self._loads(*packed)
        except Exception as error:
            raise WireError(f"a message of potok's own can't be read: {error!r}") from error

    def _called(self, number: int, packed: Packed) -> Event | None:
        if number in self._serving:
            raise WireError(f"call {number} came twice")
        self._serving.add(number)
        try:
            return Called(number, self._load(packed))
        except Exception as error:
            self.fail(number, error)
            return None

    def _answered(self, has_failed: bool, number: int, packed: Packed) -> Event:
        if number not in self._calls:
            raise WireError(f"an answer came to call {number}, which is not open")
        owner = self._calls.pop(number)
        try:
            value = self._load(packed)
        except Exception as error:
            return Failed(number, error, owner)
        return Failed(number, value, owner) if has_failed else Answered(number, value, owner)
