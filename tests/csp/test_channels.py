"""Channels and their ends: counting, retiring, poisoning, and ends that travel."""

from __future__ import annotations

import gc
import pickle
from typing import Any

import pytest
from bodies import write as write_and_retire

import potok
from potok.csp import (
    AltSelect,
    Channel,
    ChannelPoisonException,
    ChannelRetireException,
    InfoException,
    InputGuard,
    Parallel,
    SkipGuard,
    Spawn,
    poison,
    process,
    retire,
)
from potok.testing import wait_all_parked


@process
def write(cout: Any, *items: Any) -> None:
    """Write the items, and forget to retire."""
    for item in items:
        cout(item)


@process
def write_and_poison(cout: Any, *items: Any) -> None:
    for item in items:
        cout(item)
    poison(cout)


@process
def read_all(cin: Any) -> list[Any]:
    got = []
    try:
        while True:
            got.append(cin())
    except ChannelRetireException:
        return [*got, "retired"]
    except ChannelPoisonException:
        return [*got, "poisoned"]


@process
def read(cin: Any, count: int) -> list[Any]:
    return [cin() for _ in range(count)]


@process
def read_and_retire(cin: Any) -> None:
    cin()
    retire(cin)


@process
def copy(cin: Any, cout: Any) -> None:
    """Pass on, until a channel ends: then that is passed on, too."""
    while True:
        cout(cin())


@process
def attempt(end: Any, *items: Any) -> str:
    """How an operation on an end comes out."""
    try:
        end(*items)
    except ChannelRetireException:
        return "retired"
    except ChannelPoisonException:
        return "poisoned"
    return "done"


# ── channels ────────────────────────────────────────────────────────────────────────────────────────────────


def test_names() -> None:
    """A channel has the name it was given, or one of its own; it stands in messages."""
    named, first, second = Channel("jobs"), Channel(), Channel()
    assert named.name == "jobs"
    assert first.name != second.name
    assert repr(named) == "<Channel jobs>"
    assert repr(+named) == "<reader of jobs>"
    cout = -named
    assert repr(cout) == "<writer of jobs>"
    retire(cout)
    assert repr(cout) == "<writer of jobs, retired>"
    with pytest.raises(ChannelRetireException, match="jobs"):
        cout(1)


def test_two_channels_of_one_name_are_two() -> None:
    one, other = Channel("twin", buffer=1), Channel("twin", buffer=1)
    cin, cout = +one, -other
    cout(1)
    Parallel(write(-one, 2))
    assert cin() == 2
    retire(cin, cout, +other)


def test_ends_know_their_sides() -> None:
    channel = Channel()
    assert [(+channel).isReader(), (+channel).isWriter()] == [True, False]
    assert [channel.writer().isReader(), channel.writer().isWriter()] == [False, True]
    assert (+channel).channel is channel


def test_multiplied_channels() -> None:
    """`channel * 3` is a list of three, this one the first, all with its buffer."""
    first = Channel("first", buffer=2)
    channels = first * 3
    assert channels[0] is first
    assert [channel.buffer for channel in channels] == [2, 2, 2]
    assert len({channel.name for channel in channels}) == 3
    assert len(2 * Channel()) == 2
    assert 0 * first == []
    with pytest.raises(TypeError, match="multiplied"):
        first * "2"  # type: ignore[operator]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"buffer": -1}, "buffer"),
        ({"buffer": 1.5}, "buffer"),
        ({"buffer": True}, "buffer"),
        ({"name": 7}, "name"),
    ],
)
def test_bad_arguments_are_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InfoException, match=f"{named} must be"):
        Channel(**wrong)


def test_connect_is_not_supported() -> None:
    with pytest.raises(InfoException, match="connect"):
        Channel("A", connect=("localhost", 8080))


def test_disconnect_does_nothing() -> None:
    """It is there for programs that call it."""
    channel = Channel(buffer=1)
    cin, cout = +channel, -channel
    channel.disconnect()
    cin.disconnect()
    cout.disconnect()
    cout(1)
    assert cin() == 1
    retire(cin, cout)


def test_a_buffer_is_filled_without_a_reader(on: str) -> None:
    """As many items as it holds; they are read later, by whom was not there, and then the channel has ended."""
    channel = Channel(buffer=3)
    assert Parallel(write_and_retire(-channel, 1, 2, 3), on=on) == [None]
    assert Parallel(read_all(+channel), on=on) == [[1, 2, 3, "retired"]]


def test_without_a_buffer_a_write_waits(near: object) -> None:
    """It is done when the item is read."""
    channel, order = Channel(), []

    @process
    def write_noting(cout: Any) -> None:
        cout(1)
        order.append("written")

    @process
    def read_noting(cin: Any) -> None:
        potok.checkpoint()
        order.append("about to read")
        cin()

    Parallel(write_noting(-channel), read_noting(+channel), on=near)
    assert order == ["about to read", "written"]


def test_a_channel_may_be_given_to_processes(on: str) -> None:
    """They ask it for ends of their own: the object stands for the channel wherever it is."""
    channel = Channel("given", buffer=2)

    @process
    def write_one(channel: Any, number: int) -> str:
        cout = channel.writer()
        cout(number)
        retire(cout)
        return channel.name

    cin = +channel
    assert Parallel(write_one(channel, 1), on=on) == ["given"]
    assert cin() == 1
    with pytest.raises(ChannelRetireException):
        cin()


# ── retiring ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_last_writer_retires_the_channel(on: str) -> None:
    """Readers get what was written, and then the exception."""
    channel = Channel()
    results = Parallel(3 * write_and_retire(-channel, 1), read_all(+channel), on=on)
    assert results[-1] == [1, 1, 1, "retired"]


def test_the_last_reader_retires_the_channel(on: str) -> None:
    """A write that nobody is left to read is not done."""
    channel = Channel()
    cout = -channel
    assert Parallel(2 * read_and_retire(+channel), write(cout, 1, 2), on=on) == [None] * 3
    assert Parallel(attempt(cout, 3), on=on) == ["retired"]


def test_retiring_goes_along_the_line(on: str) -> None:
    """Who does not catch the exception passes it on by its ends, and returns None."""
    a, b, c = 3 * Channel()
    results = Parallel(write_and_retire(-a, 1, 2), copy(+a, -b), copy(+b, -c), read_all(+c), on=on)
    assert results == [None, None, None, [1, 2, "retired"]]


def test_retiring_goes_up_the_line(on: str) -> None:
    """Also against the stream: who writes to nobody retires what it reads."""
    a, b = 2 * Channel()

    @process
    def write_for_ever(cout: Any) -> None:
        while True:
            cout(1)

    assert Parallel(write_for_ever(-a), copy(+a, -b), read(+b, 2), on=on) == [None, None, [1, 1]]


def test_ends_in_containers_are_retired_too(near: object) -> None:
    """In lists, tuples and dicts among the arguments, one in another."""
    channels = 3 * Channel()

    @process
    def gather(ends: dict[str, Any]) -> None:
        ends["first"]()

    first, second, third = channels
    ends = {"first": +first, "others": [+second, (+third,)]}
    results = Parallel(
        gather(ends), write_and_retire(-first), attempt(-second, 1), attempt(-third, 1), on=near
    )
    # The test keeps these very ends: they are retired by the process, not collected with it.
    assert results == [None, None, "retired", "retired"]


def test_retire_is_idempotent_and_takes_lists() -> None:
    """One end retired twice counts once; lists are taken apart."""
    channel = Channel(buffer=4)
    couts, other, cin = [-channel, -channel], -channel, +channel
    retire(couts, [couts])
    other(1)
    assert cin() == 1
    with pytest.raises(ChannelRetireException):
        couts[0](2)
    retire(other)
    with pytest.raises(ChannelRetireException):
        cin()


@pytest.mark.parametrize("end_it", [retire, poison])
def test_only_ends_are_retired_and_poisoned(end_it: Any) -> None:
    """A channel, or anything else, is refused before the first end is touched."""
    channel = Channel(buffer=1)
    cout, cin = -channel, +channel
    with pytest.raises(InfoException, match="ask it for an end"):
        end_it(cout, channel)
    with pytest.raises(InfoException, match="takes ends of channels"):
        end_it(cin, None)
    cout(1)
    assert cin() == 1
    retire(cin, cout)


@pytest.mark.parametrize("end_it", [retire, poison])
def test_ends_of_an_ended_channel_are_ended(end_it: Any) -> None:
    """Whoever asks an ended channel for an end gets one that says so when it is used."""
    channel = Channel()
    cout = -channel
    end_it(cout)
    error = ChannelRetireException if end_it is retire else ChannelPoisonException
    with pytest.raises(error):
        (-channel)(1)
    with pytest.raises(error):
        (+channel)()


@pytest.mark.parametrize("end_it", [retire, poison])
def test_processes_of_an_ended_channel_start_and_learn_so(on: str, end_it: Any) -> None:
    """A network whose channel has ended before it was started ends at once; so do multiplied processes of it."""
    channel, other = Channel(), Channel()
    cin = +channel
    end_it(cin)
    results = Parallel(copy(cin, -other), 2 * copy(cin, -other), read_all(+other), on=on)
    assert results == [None, None, None, ["retired" if end_it is retire else "poisoned"]]


def test_before_a_first_end_was_asked_for_nothing_is_retired(near: object) -> None:
    """A reader waits for writers that are still to come."""
    channel = Channel()
    cin = +channel
    Spawn(write(-channel, 1), on="threads")
    assert cin() == 1


# ── who has an end ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_process_that_forgets_to_retire_leaves_nobody_waiting(on: str) -> None:
    """Its end is closed as it ends."""
    channel = Channel()
    assert Parallel(write(-channel, 1), read_all(+channel), on=on) == [None, [1, "retired"]]


def test_an_end_that_the_caller_keeps_serves_several_processes(on: str) -> None:
    """One after the other: that a process has ended does not retire what its starter still refers to."""
    channel = Channel()
    cout, cin = -channel, +channel
    for number in range(3):
        assert Parallel(write(cout, number), read(cin, 1), on=on) == [None, [number]]
    Parallel(write_and_retire(cout), on=on)
    with pytest.raises(ChannelRetireException):
        cin()


def test_an_end_that_a_process_retires_is_retired_for_who_keeps_it(on: str) -> None:
    """It is one end, though two refer to it: nobody waits for the other's to be retired, too."""
    channel = Channel()
    cout, cin = -channel, +channel
    assert Parallel(write_and_retire(cout, 1), read_all(cin), on=on) == [None, [1, "retired"]]
    with pytest.raises(ChannelRetireException):
        cout(2)


def test_an_end_that_is_passed_on_and_on_is_one(on: str) -> None:
    """A process that lets another run with its own end, which that retires: it is retired for all of them."""
    channel = Channel()

    @process
    def pass_on(cout: Any, depth: int) -> Any:
        return Parallel(pass_on(cout, depth - 1) if depth else write_and_retire(cout, 1))

    cout = -channel
    assert Parallel(pass_on(cout, 2), read_all(+channel), on=on)[1] == [1, "retired"]


def test_an_end_given_to_several_processes_is_each_ones_own(on: str) -> None:
    """The first of them that retires it does not take it from the others."""
    channel = Channel()
    cout = -channel
    results = Parallel([write_and_retire(cout, number) for number in range(4)], read_all(+channel), on=on)
    assert sorted(results[-1][:-1]) == [0, 1, 2, 3]
    assert results[-1][-1] == "retired"


def test_an_end_given_twice_to_one_process_is_one(near: object) -> None:
    channel = Channel()

    @process
    def both(one: Any, other: Any, ends: list[Any]) -> bool:
        return one is other is ends[0]

    cout = -channel
    assert Parallel(both(cout, cout, [cout]), on=near) == [True]


def test_containers_without_ends_are_the_callers_own(near: object) -> None:
    """Also those that contain themselves."""
    loop: list[Any] = []
    loop.append(loop)
    table: dict[str, Any] = {"numbers": [1, 2]}

    @process
    def given(*things: Any) -> list[int]:
        return [id(thing) for thing in things]

    assert Parallel(given(loop, table), on=near) == [[id(loop), id(table)]]


def test_a_forgotten_end_is_not_retired() -> None:
    """While the channel is referred to, an end that nobody refers to counts: others may come and write."""
    channel = Channel(buffer=1)
    cin = +channel
    (-channel)(1)
    gc.collect()
    assert cin() == 1
    assert AltSelect(InputGuard(cin), SkipGuard())[1] is None
    cout = -channel
    cout(2)
    assert cin() == 2
    retire(cin)


def test_rounds_on_one_channel(on: str) -> None:
    """Processes that retire nothing leave the channel for those that come after them."""
    channel, buffered = Channel(), Channel(buffer=3)
    for number in range(3):
        assert Parallel(write(-channel, number), read(+channel, 1), on=on) == [None, [number]]
        assert Parallel(write(-buffered, number), read(+buffered, 1), on=on) == [None, [number]]


def test_what_is_left_in_a_buffer_is_for_the_next_round(on: str) -> None:
    """Though both sides have ended."""
    channel = Channel(buffer=3)
    assert Parallel(write(-channel, 1, 2, 3), read(+channel, 1), on=on) == [None, [1]]
    assert Parallel(read(+channel, 1), on=on) == [[2]]
    assert Parallel(write(-channel, 4), read(+channel, 2), on=on) == [None, [3, 4]]


def test_a_spawned_writer_waits_for_readers_that_come_one_by_one(on: str) -> None:
    """Between them nobody reads; it does not learn of that."""
    channel = Channel()
    Spawn(write_and_retire(-channel, 1, 2, 3), on=on)
    assert [Parallel(read(+channel, 1), on=on) for _ in range(3)] == [[[1]], [[2]], [[3]]]
    with pytest.raises(ChannelRetireException):
        (+channel)()


def test_spawned_readers_that_come_one_by_one(on: str) -> None:
    """The main program writes to each."""
    channel, back = Channel(), Channel()
    cout, cin = -channel, +back

    @process
    def pass_one(cin: Any, cout: Any) -> None:
        cout(cin())

    for number in range(3):
        Spawn(pass_one(+channel, -back), on=on)
        cout(number)
        assert cin() == number


# ── poisoning ───────────────────────────────────────────────────────────────────────────────────────────────


def test_poison_ends_the_channel_for_everybody(on: str) -> None:
    """Whoever else still works: all of them get the exception, at once, and pass it on."""
    a, b = 2 * Channel()
    results = Parallel(write_and_poison(-a, 1), 3 * copy(+a, -b), read_all(+b), on=on)
    assert results[:-1] == [None] * 4
    assert results[-1][-1] == "poisoned"


def test_poison_by_a_reader(on: str) -> None:
    channel = Channel()

    @process
    def read_and_poison(cin: Any) -> Any:
        item = cin()
        poison(cin)
        return item

    @process
    def write_until_poisoned(cout: Any) -> str:
        try:
            while True:
                cout(1)
        except ChannelPoisonException:
            return "poisoned"

    assert Parallel(write_until_poisoned(-channel), read_and_poison(+channel), on=on) == ["poisoned", 1]


def test_poison_drops_what_is_buffered() -> None:
    channel = Channel(buffer=2)
    cout, cin = -channel, +channel
    cout(1)
    poison(cout)
    poison(cin, [cout])
    with pytest.raises(ChannelPoisonException):
        cin()


def test_poison_tells_by_whom(near: object) -> None:
    """The message names the channel and the process."""
    channel = Channel("jobs")

    @process
    def told(cin: Any) -> tuple[str, Any]:
        try:
            cin()
        except ChannelPoisonException as poisoned:
            return str(poisoned), poisoned.cause
        return "", None

    _, (message, cause) = Parallel(write_and_poison(-channel), told(+channel), on=near)
    assert "jobs" in message
    assert "write_and_poison-" in cause


def test_poisoned_and_retired_by_closing_it_in_potoks_words() -> None:
    """The ends carry potok's: a channel that is cancelled there is poisoned here, with its cause."""
    channel = Channel()
    cin, cout = +channel, -channel
    cout.port().cancel(cause := ValueError("enough"))
    with pytest.raises(ChannelPoisonException) as caught:
        cin()
    assert caught.value.cause is caught.value.__cause__ is cause
    assert caught.value.arm is cin


# ── ends that travel ────────────────────────────────────────────────────────────────────────────────────────


@process
def serve(requests: Any) -> None:
    """Answer by the end that came with the number."""
    while True:
        number, reply = requests()
        reply(number * 2)


@process
def ask(requests: Any, number: int) -> Any:
    channel = Channel()
    cin = +channel
    requests((number, -channel))
    return cin()


def test_mobile_ends(on: str) -> None:
    """Ends go through channels, in whatever holds them; each client is answered by its own."""
    requests = Channel("requests")
    results = Parallel(serve(+requests), [ask(-requests, number) for number in range(4)], on=on)
    assert results == [None, 0, 2, 4, 6]


def test_a_mobile_end_outlives_the_process_that_has_sent_it(on: str) -> None:
    """Even one that was the sender's own by its arguments."""
    ends, items = Channel(), Channel()

    @process
    def give_away(cout: Any, mine: Any) -> None:
        cout(mine)

    @process
    def write_by(cin: Any, go: Any) -> None:
        cout = cin()
        go()  # by now the giver has ended
        cout(5)
        retire(cout)

    go = Channel()
    cgo = -go
    Spawn(write_by(+ends, +go), on=on)
    cin = +items
    Parallel(give_away(-ends, -items), on=on)
    cgo(1)
    assert cin() == 5
    with pytest.raises(ChannelRetireException):
        cin()


def test_a_mobile_end_that_is_retired_is_retired_for_its_sender(near: object) -> None:
    """It is one end, as among arguments."""
    ends, items = Channel(), Channel()
    cout, cin = -items, +items

    @process
    def retire_what_comes(cin: Any) -> None:
        retire(cin()["end"])

    @process
    def send(cout: Any, message: Any) -> None:
        cout(message)

    Parallel(retire_what_comes(+ends), send(-ends, {"end": cout}), on=near)
    with pytest.raises(ChannelRetireException):
        cin()


def test_an_end_as_a_result(on: str) -> None:
    """A process may return an end; it works though the process has ended."""
    channel = Channel(buffer=1)

    @process
    def made(cout: Any) -> Any:
        return [cout]

    [[cout]] = Parallel(made(-channel), on=on)
    cin = +channel
    cout(1)
    assert cin() == 1
    retire(cout, cin)


def test_ends_compare_by_identity_and_are_keys() -> None:
    channel = Channel()
    one, other = +channel, +channel
    assert one != other
    assert {one: 1, other: 2}[one] == 1


def test_plain_pickle_is_refused() -> None:
    """Ends go to where their channel is known: through channels, and as arguments."""
    channel = Channel()
    for thing in (+channel, channel, read(+channel, 1)):
        with pytest.raises((potok.PotokError, pickle.PicklingError, TypeError)):
            pickle.dumps(thing)


def test_two_readers_park_on_ends_of_their_own() -> None:
    """Retiring one end fails who waits at it, and nobody else."""
    channel = Channel()
    one, other, cout = +channel, +channel, -channel
    with potok.scope(on="coroutines") as scope:
        ends = [scope.start(attempt(end).source.runs, end) for end in (one, other)]  # type: ignore[attr-defined]
        wait_all_parked()
        retire(one)
        assert ends[0].result() == "retired"
        cout(1)
        assert ends[1].result() == "done"
    retire(other, cout)


@process
def ask_for_a_reader(channel: Channel) -> None:
    """And forget it."""
    channel.reader()


def test_item_stays_though_who_asked_for_a_reader_is_gone(on: str) -> None:
    """What is buffered in a channel that somebody still has is not lost with the ends of a process, wherever it ran."""
    channel = Channel(buffer=1)
    channel.writer()("kept")
    Parallel(ask_for_a_reader(channel), on=on)
    gc.collect()
    assert channel.reader()() == "kept"
