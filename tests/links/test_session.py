"""Two sessions with a wire between them that is a list of bytes."""

import pickle
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from potok.links.session import (
    PROTOCOL,
    RING,
    RUNG,
    Answered,
    Called,
    Ended,
    Event,
    Failed,
    Greeted,
    Kind,
    Noted,
    Recalled,
    Session,
)
from potok.links.wire import Decoder, WireError, encode


class Sealed:
    """Can't be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("sealed")


def explode() -> None:
    raise LookupError("no such class over here")


class Trap:
    """Can be pickled, but not unpickled."""

    def __reduce__(self) -> Any:
        return explode, ()


def dumps(value: Any) -> tuple[bytes, tuple[int, ...]]:
    return pickle.dumps(value), ()


def loads(data: bytes, _: tuple[int, ...]) -> Any:
    return pickle.loads(data)  # noqa: S301 - ours


class Side:
    """A session, and what it has heard."""

    def __init__(self, name: str) -> None:
        self.session = Session(dumps, loads, name)
        self.heard: list[Event] = []

    def hear(self, data: bytes, descriptors: Iterable[int] = ()) -> list[Event]:
        events = self.session.receive(data, descriptors)
        self.heard += events
        return events

    def says(self) -> bytes:
        return b"".join(out.data for out in self.session.take_outgoing())


def pump(a: Side, b: Side) -> None:
    """Carry everything over until both are silent."""
    while (there := a.says()) + (back := b.says()):
        b.hear(there)
        a.hear(back)


@pytest.fixture
def sides() -> tuple[Side, Side]:
    """Both have greeted."""
    a, b = Side("a"), Side("b")
    pump(a, b)
    assert (a.heard, b.heard) == ([Greeted("b")], [Greeted("a")])
    a.heard.clear()
    b.heard.clear()
    return a, b


def test_a_call_is_answered(sides: tuple[Side, Side]) -> None:
    """Both sides call; the numbers of the two do not mix."""
    a, b = sides
    assert (a.session.call("left"), b.session.call("right")) == (1, 1)
    pump(a, b)
    assert (a.heard, b.heard) == ([Called(1, "right")], [Called(1, "left")])
    a.session.answer(1, "right!")
    b.session.fail(1, ValueError("left?"))
    pump(a, b)
    assert b.heard[1:] == [Answered(1, "right!")]
    assert isinstance(a.heard[1], Failed)
    assert repr(a.heard[1].error) == "ValueError('left?')"


def test_a_recall_reaches_an_open_call_only(sides: tuple[Side, Side]) -> None:
    """Crossing with the answer it is passed over: the answer stands."""
    a, b = sides
    early, late = a.session.call("early"), a.session.call("late")
    pump(a, b)
    b.session.answer(late, "done")  # on its way
    a.session.recall(early, "timed out")
    a.session.recall(late, "timed out")
    pump(a, b)
    assert b.heard[2:] == [Recalled(early, "timed out")]
    assert a.heard == [Answered(late, "done")]
    b.session.fail(early, TimeoutError())
    pump(a, b)
    a.session.recall(early, "again")  # answered by now: nothing is sent
    assert a.says() == b""


def test_what_can_not_be_pickled_fails_where_it_is(sides: tuple[Side, Side]) -> None:
    """The request at the caller, with nothing sent; the answer as a failure of that call. The link goes on."""
    a, b = sides
    with pytest.raises(TypeError, match="sealed"):
        a.session.call(Sealed())
    with pytest.raises(TypeError, match="sealed"):
        a.session.note(Sealed())
    assert a.says() == b""
    number = a.session.call("give")
    pump(a, b)
    b.session.answer(number, Sealed())
    pump(a, b)
    assert [(type(event), str(event.error)) for event in a.heard] == [(Failed, "sealed")]  # type: ignore[union-attr]
    a.session.note("goes on")
    pump(a, b)
    assert b.heard[-1] == Noted("goes on")


def test_what_can_not_be_unpickled_fails_one_call(sides: tuple[Side, Side]) -> None:
    """A request over there, an answer here."""
    a, b = sides
    a.session.call(Trap())
    number = a.session.call("give")
    pump(a, b)
    assert b.heard == [Called(number, "give")]
    b.session.answer(number, Trap())
    pump(a, b)
    assert [type(event.error) for event in a.heard] == [LookupError, LookupError]  # type: ignore[union-attr]


def test_a_ring_is_heard_in_its_place(sides: tuple[Side, Side]) -> None:
    """Also one that was put on the wire past the session, between two frames."""
    a, b = sides
    a.session.note("before")
    a.session.ring()
    a.session.note("after")
    data = a.says()
    for byte in data:
        b.hear(bytes([byte]))
    assert b.heard == [Noted("before"), RUNG, Noted("after")]
    assert b.session.is_between_frames
    assert b.hear(RING) == [RUNG]
    b.hear(RING[:5])
    assert not b.session.is_between_frames


def test_nobody_rings_after_a_goodbye(sides: tuple[Side, Side]) -> None:
    a, _ = sides
    a.session.say_goodbye()
    a.says()
    a.session.ring()
    assert a.says() == b""


def test_a_clean_end(sides: tuple[Side, Side]) -> None:
    """After both goodbyes what is open is answered still; then the stream may end."""
    a, b = sides
    number = a.session.call("last")
    a.session.say_goodbye()
    a.session.say_goodbye()
    b.session.say_goodbye()
    pump(a, b)
    assert not a.session.is_idle
    with pytest.raises(WireError, match="closed"):
        a.session.call("too late")
    b.session.answer(number, "yes")
    pump(a, b)
    assert a.heard == [Answered(number, "yes")]
    assert a.session.is_idle
    assert b.session.is_idle
    assert a.session.end_of_stream() == [Ended(None, (), ())]
    assert b.session.end_of_stream() == [Ended(None, (), ())]
    assert a.session.end_of_stream() == []


@pytest.mark.parametrize("goodbye", [False, True])
def test_an_end_that_leaves_calls_open_tells_which(sides: tuple[Side, Side], goodbye: bool) -> None:
    """A worker died: each side learns what it will not get, and what it need not do any more."""
    a, b = sides
    mine, theirs = a.session.call("mine"), b.session.call("theirs")
    pump(a, b)
    if goodbye:
        b.session.say_goodbye()
        pump(a, b)
    (ended,) = a.session.end_of_stream()
    assert isinstance(ended, Ended)
    assert (ended.unanswered, ended.unserved) == ((mine,), (theirs,))
    assert ("unanswered" if goodbye else "without a goodbye") in str(ended.cause)
    a.session.answer(theirs, "nobody hears it")
    a.session.note("nor this")
    assert a.says() == b""
    assert a.hear(b"nor is anything heard") == []


def test_a_frame_cut_short(sides: tuple[Side, Side]) -> None:
    """The end comes in the middle of an answer: that call is unanswered."""
    a, b = sides
    number = a.session.call("give")
    pump(a, b)
    b.session.answer(number, "a" * 1000)
    assert a.hear(b.says()[:-1]) == []
    (ended,) = a.session.end_of_stream()
    assert isinstance(ended, Ended)
    assert "in the middle of a frame" in str(ended.cause)
    assert ended.unanswered == (number,)


def frame(kind: int, number: int, payload: bytes = pickle.dumps(None)) -> bytes:
    return encode(kind, number.to_bytes(8, "big") + payload)


@pytest.mark.parametrize(
    ("bytes_", "message"),
    [
        (b"print() of a worker, on the wrong file\n", "can't begin with"),
        (frame(99, 1), "none of potok's"),
        (encode(Kind.CALL, b"short"), "too short"),
        (frame(Kind.ANSWER, 5), "call 5, which is not open"),
        (frame(Kind.CALL, 5) * 2, "call 5 came twice"),
        (frame(Kind.NOTE, 0, b"no pickle"), "can't be read"),
        (frame(Kind.GOODBYE, 0) + frame(Kind.CALL, 5), "after its goodbye"),
    ],
)
def test_what_potok_does_not_say_ends_the_session(
    sides: tuple[Side, Side], bytes_: bytes, message: str
) -> None:
    """One clear error, then nothing more; what came before is heard."""
    a, b = sides
    number = a.session.call("open")
    b.session.note("before")
    events = a.hear(b.says() + bytes_ + frame(Kind.NOTE, 0))
    assert events[0] == Noted("before")
    ended = events[-1]
    assert isinstance(ended, Ended)
    assert message in str(ended.cause)
    assert ended.unanswered == (number,)
    assert a.session.end_of_stream() == []


@pytest.mark.parametrize(
    ("first", "message"),
    [(frame(Kind.NOTE, 0), "did not begin with a greeting"), (frame(Kind.HELLO, 99), "version 99")],
)
def test_who_does_not_greet_is_not_listened_to(first: bytes, message: str) -> None:
    """Another program, or another potok."""
    (ended,) = Side("a").hear(first)
    assert isinstance(ended, Ended)
    assert message in str(ended.cause)


def test_an_answer_is_given_once(sides: tuple[Side, Side]) -> None:
    """A second one is a mistake of ours."""
    a, b = sides
    number = a.session.call("x")
    pump(a, b)
    b.session.answer(number, 1)
    with pytest.raises(ValueError, match="not open here"):
        b.session.answer(number, 2)


class Conversation(RuleBasedStateMachine):
    """Calls, answers, recalls and notes both ways, over wires that deliver when and in what pieces they like."""

    def __init__(self) -> None:
        super().__init__()
        self.sides = [Side("a"), Side("b")]
        self.wires = [b"", b""]  # from a, from b
        self.asked: list[dict[int, object]] = [{}, {}]
        self.ended: list[dict[int, object]] = [{}, {}]
        self.open: list[dict[int, object]] = [{}, {}]
        self.notes: tuple[list[int], list[int]] = ([], [])
        self.noted: tuple[list[int], list[int]] = ([], [])
        self.count = 0

    who = st.integers(0, 1)

    def _flush(self, who: int) -> None:
        self.wires[who] += self.sides[who].says()

    @rule(who=who)
    def call(self, who: int) -> None:
        self.count += 1
        number = self.sides[who].session.call(self.count)
        assert number not in self.asked[who]
        self.asked[who][number] = self.count
        self._flush(who)

    @rule(who=who, data=st.data())
    def recall(self, who: int, data: st.DataObject) -> None:
        if self.asked[who]:
            self.sides[who].session.recall(data.draw(st.sampled_from(sorted(self.asked[who]))), "why")
            self._flush(who)

    @rule(who=who)
    def note(self, who: int) -> None:
        self.count += 1
        self.sides[who].session.note(self.count)
        self.notes[who].append(self.count)
        self._flush(who)

    @precondition(lambda self: any(self.open))
    @rule(who=who, how=st.sampled_from(["answer", "fail"]), data=st.data())
    def reply(self, who: int, how: str, data: st.DataObject) -> None:
        if not self.open[who]:
            who = 1 - who
        number = data.draw(st.sampled_from(sorted(self.open[who])))
        request = self.open[who].pop(number)
        reply: Callable[[int, Any], None] = getattr(self.sides[who].session, how)
        reply(number, request if how == "answer" else ValueError(request))
        self._flush(who)

    @rule(who=who, size=st.integers(1, 200))
    def deliver(self, who: int, size: int) -> None:
        """Some bytes of what `who` has said arrive."""
        data, self.wires[who] = self.wires[who][:size], self.wires[who][size:]
        there = 1 - who
        for event in self.sides[there].hear(data):
            self._hear(there, event)
        self._flush(there)

    def _hear(self, there: int, event: Event) -> None:
        match event:
            case Called(number, request):
                assert number not in self.open[there]
                self.open[there][number] = request
            case Recalled(number, _):
                assert number in self.open[there], "a recall of what is open here"
            case Answered(number, value):
                self._settle(there, number, value)
            case Failed(number, error):
                self._settle(there, number, error.args[0])
            case Noted(note):
                self.noted[there].append(note)
            case Ended():
                raise AssertionError(event)

    def _settle(self, there: int, number: int, value: object) -> None:
        assert number not in self.ended[there], "each call is ended once"
        assert self.asked[there][number] == value, "by the answer to it"
        self.ended[there][number] = value

    @invariant()
    def notes_arrive_in_order(self) -> None:
        for who in (0, 1):
            assert self.noted[1 - who] == self.notes[who][: len(self.noted[1 - who])]

    def teardown(self) -> None:
        while any(self.wires):
            self.deliver(0, 10_000)
            self.deliver(1, 10_000)
        for who in (0, 1):
            assert self.noted[1 - who] == self.notes[who]
            assert {**self.ended[who], **self.open[1 - who]} == self.asked[who], "no call is lost"
            ended = self.sides[who].session.end_of_stream()[0]
            assert isinstance(ended, Ended)
            assert set(ended.unanswered) == self.asked[who].keys() - self.ended[who].keys()


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_descriptors_stay_with_their_frame() -> None:
    """Memory that goes beside a pickle arrives with it, in order."""
    given: list[tuple[int, ...]] = []

    def keep(data: bytes, descriptors: tuple[int, ...]) -> Any:
        given.append(descriptors)
        return pickle.loads(data)  # noqa: S301 - ours

    speaker = Session(lambda value: (pickle.dumps(value), tuple(value or ())), loads)
    listener = Session(dumps, keep)
    speaker.note((3, 4))
    speaker.note((5,))
    out = speaker.take_outgoing()
    data = b"".join(o.data for o in out)
    descriptors = [d for o in out for d in o.descriptors]
    half = len(data) // 2
    listener.receive(data[:half], descriptors)
    listener.receive(data[half:])
    assert given == [(), (3, 4), (5,)]
    assert [a < b for a, b in pairwise(descriptors)] == [True, True]


def test_answer_that_has_no_room_is_a_failure(sides: tuple[Side, Side]) -> None:
    """The caller is told, and the link goes on."""
    a, b = sides

    class Huge:
        """Takes more memory than there is."""

        def __reduce__(self) -> Any:
            raise MemoryError

    a.session.call("give")
    pump(a, b)
    b.session.answer(1, Huge())
    pump(a, b)
    assert isinstance(a.heard[-1], Failed)
    assert "too large" in str(a.heard[-1].error)
    b.session.note("fine")
    pump(a, b)
    assert a.heard[-1] == Noted("fine")


def test_message_that_has_no_room_ends_the_session(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the cause: what came of it is lost. Open calls end with it."""
    a, _ = sides
    a.session.call("give", "owner")

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Decoder, "feed", full)
    (ended,) = a.session.receive(b"anything")
    assert isinstance(ended, Ended)
    assert "too large" in str(ended.cause)
    assert ended.owners == ("owner",)
    assert a.session.receive(b"more") == []


def test_descriptors_that_no_message_takes_are_left() -> None:
    """A frame that is refused, one that is cut, and whatever comes after the end: whoever asks closes them."""
    taken: list[int] = []

    def takes(data: bytes, descriptors: tuple[int, ...]) -> Any:
        taken.extend(descriptors)
        return loads(data, descriptors)

    session = Session(dumps, takes, "here")
    hello = encode(Kind.HELLO, PROTOCOL.to_bytes(8) + pickle.dumps("there"), 1)
    late = encode(Kind.RECALL, (9).to_bytes(8) + pickle.dumps("too late"), 1)  # of a call that is not open
    assert session.receive(hello + late, [1, 2]) == [Greeted("there")]
    assert taken == [1, 2]
    unasked = encode(Kind.ANSWER, (7).to_bytes(8) + pickle.dumps("?"), 2)
    (ended,) = session.receive(unasked + unasked[:5], [3, 4, 5])
    assert isinstance(ended, Ended)
    assert session.receive(b"more", [6]) == []
    assert sorted(session.leave()) == [3, 4, 5, 6]
    assert session.leave() == []
    assert taken == [1, 2]


def test_a_conversation_can_be_given_up_for_what_the_bytes_do_not_show(sides: tuple[Side, Side]) -> None:
    """As any end: what is open fails with it, once."""
    a, _ = sides
    a.session.call("open", "owner")
    (ended,) = a.session.give_up(WireError("no more open files"))
    assert isinstance(ended, Ended)
    assert ended.owners == ("owner",)
    assert a.session.give_up(WireError("again")) == []
    assert a.session.end_of_stream() == []
