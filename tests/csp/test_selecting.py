"""Selects: what they choose, what they return, and the actions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from bodies import read_all, write

import potok
from potok.csp import (
    Alternation,
    AltSelect,
    Channel,
    ChannelPoisonException,
    ChannelRetireException,
    FairSelect,
    InfoException,
    InputGuard,
    OutputGuard,
    Parallel,
    PriSelect,
    SkipGuard,
    TimeoutGuard,
    choice,
    poison,
    process,
    retire,
)

SELECTS = [AltSelect, FairSelect, PriSelect]
every_select = pytest.mark.parametrize("select", SELECTS)

noted: list[Any] = []
"""What actions of these tests have done."""


@pytest.fixture(autouse=True)
def nothing_noted() -> None:
    noted.clear()


@choice
def note(what: str, channel_input: Any = None) -> None:
    noted.append((what, channel_input))


@process
def merge(select: Any, *cins: Any) -> list[Any]:
    """Whatever comes by any of the ends, until one is retired."""
    got = []
    try:
        while True:
            end, item = select([InputGuard(cin) for cin in cins])
            got.append((cins.index(end), item))
    except ChannelRetireException:
        return got


@process
def write_to_one(select: Any, couts: list[Any], items: list[Any]) -> list[int]:
    return [couts.index(select(*[OutputGuard(cout, item) for cout in couts])[0]) for item in items]


@every_select
def test_input_guards(on: str, select: Any) -> None:
    """Everything that is written to any of the channels arrives, with the end by which it came."""
    a, b = 2 * Channel(buffer=3)
    [got] = Parallel(merge(select, +a, +b), write(-a, 1, 2, 3), on=on)[:1]
    assert got == [(0, 1), (0, 2), (0, 3)]
    Parallel(write(-b, 4), on=on)
    assert Parallel(merge(select, +b), on=on) == [[(0, 4)]]


@every_select
def test_output_guards(on: str, select: Any) -> None:
    """Each item is written to one of them, and to no other."""
    a, b = 2 * Channel()
    chosen, one, other = Parallel(
        write_to_one(select, [-a, -b], list(range(8))), read_all(+a), read_all(+b), on=on
    )
    assert sorted(one + other) == list(range(8))
    assert (chosen.count(0), chosen.count(1)) == (len(one), len(other))


@every_select
def test_input_and_output_of_two_selects_meet(near: object, select: Any) -> None:
    """Both choose: they agree on the one channel that both offer."""
    a, b, c = 3 * Channel()

    @process
    def offer(couts: list[Any]) -> Any:
        return couts.index(select([OutputGuard(cout, "x") for cout in couts])[0])

    @process
    def accept(cins: list[Any]) -> Any:
        end, item = select([InputGuard(cin) for cin in cins])
        return cins.index(end), item

    assert Parallel(offer([-a, -b]), accept([+c, +b]), on=near) == [1, (1, "x")]


@every_select
def test_guards_as_arguments_and_in_lists(select: Any) -> None:
    channel, other = Channel(buffer=1), Channel()
    cin, cout = +channel, -channel
    cout(1)
    assert select([InputGuard(+other)], InputGuard(cin)) == (cin, 1)
    cout(2)
    assert select([[InputGuard(+other), InputGuard(cin)]]) == (cin, 2)
    retire(cin, cout)


@every_select
def test_a_skip_is_taken_if_nothing_is_ready(select: Any) -> None:
    """And nothing else: what is ready comes first."""
    channel = Channel(buffer=1)
    cin, cout = +channel, -channel
    skip = SkipGuard()
    for number in range(20):
        assert select(InputGuard(cin), skip) == (skip, None)
        assert select(OutputGuard(cout, number), skip) == (cout, None)
        assert select(OutputGuard(cout, "no room"), skip) == (skip, None)
        assert select(InputGuard(cin), skip) == (cin, number)
    assert select(skip) == (skip, None)
    retire(cin, cout)


def test_pri_select_goes_by_the_order() -> None:
    """Also past a skip: what stands after it is not looked at."""
    first, second = 2 * Channel(buffer=9)
    ends = [+first, +second]
    for cout in (-first, -second):
        for number in range(9):
            cout(number)
    skip = SkipGuard()
    for _ in range(5):
        assert PriSelect(InputGuard(ends[1]), InputGuard(ends[0]))[0] is ends[1]
        assert PriSelect(skip, InputGuard(ends[0])) == (skip, None)
    retire(ends)


@pytest.mark.parametrize("select", [AltSelect, FairSelect])
def test_the_choice_is_fair(select: Any) -> None:
    """With items in both, neither is starved."""
    ends, couts = [], []
    for channel in 2 * Channel(buffer=200):
        ends.append(+channel)
        couts.append(-channel)
        for number in range(200):
            couts[-1](number)
    counts = Counter(ends.index(select(InputGuard(ends[0]), InputGuard(ends[1]))[0]) for _ in range(200))
    assert min(counts.values()) > 20
    retire(ends, couts)


@every_select
def test_a_timeout_is_taken_when_time_is_up(select: Any) -> None:
    """And returned itself, with None; one of no time is a skip."""
    channel = Channel(buffer=1)
    cin, cout = +channel, -channel
    for seconds in (0.001, 0, -1):
        timeout = TimeoutGuard(seconds=seconds)
        assert select(InputGuard(cin), timeout) == (timeout, None)
    cout(1)
    assert select(InputGuard(cin), TimeoutGuard(60)) == (cin, 1)
    retire(cin, cout)


def test_a_timeout_in_virtual_time() -> None:
    """The clock is the executor's; each select begins to count anew."""
    channel = Channel()

    @process
    def wait(cin: Any) -> list[str]:
        guard = TimeoutGuard(3600)
        return [type(AltSelect(InputGuard(cin), guard)[0]).__name__ for _ in range(2)]

    assert Parallel(wait(+channel), on="simulated") == [["TimeoutGuard"] * 2]


@every_select
@pytest.mark.parametrize(
    ("end_it", "error"), [(retire, ChannelRetireException), (poison, ChannelPoisonException)]
)
def test_an_ended_channel_makes_its_guard_ready(select: Any, end_it: Any, error: Any) -> None:
    """The select raises, and says by which end."""
    channel, other = 2 * Channel()
    cin, cout, quiet = +channel, -channel, +other
    end_it(cout)
    with pytest.raises(error) as caught:
        select(InputGuard(quiet), InputGuard(cin), TimeoutGuard(60))
    assert caught.value.arm is cin
    end_it(quiet)
    with pytest.raises(error) as caught:
        select(OutputGuard(-other, 1), SkipGuard())


@pytest.mark.parametrize("wrong", [None, 7, "guard", SkipGuard])
@every_select
def test_what_is_no_guard_is_refused(select: Any, wrong: object) -> None:
    with pytest.raises(InfoException, match="takes guards"):
        select(wrong)
    with pytest.raises(InfoException, match=r"InputGuard\(cin\)"):
        select(+Channel())


@every_select
def test_a_select_without_guards_is_refused(select: Any) -> None:
    with pytest.raises(InfoException, match="needs a guard"):
        select([])


def test_guards_refuse_the_other_side() -> None:
    channel = Channel()
    for wrong in (-channel, channel, None):
        with pytest.raises(InfoException, match="InputGuard takes an end that reads"):
            InputGuard(wrong)
    for wrong in (+channel, channel, None):
        with pytest.raises(InfoException, match="OutputGuard takes an end that writes"):
            OutputGuard(wrong, 1)
    for seconds in (None, "1", float("nan"), True):
        with pytest.raises(InfoException, match="number of seconds"):
            TimeoutGuard(seconds)  # type: ignore[arg-type]


# ── actions ─────────────────────────────────────────────────────────────────────────────────────────────────


def plain(channel_input: Any = None) -> None:
    noted.append(("plain", channel_input))


def any_name(item: Any) -> None:
    noted.append(("any name", item))


def nothing() -> None:
    noted.append(("nothing",))


def keywords(**given: Any) -> None:
    noted.append(("keywords", given))


@pytest.mark.parametrize(
    ("action", "done"),
    [
        (note("chosen"), ("chosen", 5)),
        (plain, ("plain", 5)),
        (any_name, ("any name", 5)),
        (keywords, ("keywords", {"channel_input": 5})),
        ("noted.append((local, channel_input))", ("local", 5)),
        (noted.append, 5),
    ],
)
@every_select
def test_actions_of_inputs_get_the_item(select: Any, action: Any, done: Any) -> None:
    """As `channel_input`, or as the only argument; code sees it beside the caller's own names."""
    local = "local"  # noqa: F841 - the code reads it
    channel = Channel(buffer=1)
    cin, cout = +channel, -channel
    cout(5)
    assert select(InputGuard(cin, action=action)) == (cin, 5)
    assert noted == [done]
    retire(cin, cout)


@pytest.mark.parametrize(
    ("action", "done"),
    [
        (note("written"), ("written", None)),
        (nothing, ("nothing",)),
        ("noted.append(number)", 7),
        (plain, ("plain", None)),
    ],
)
@every_select
def test_actions_of_outputs_get_nothing(select: Any, action: Any, done: Any) -> None:
    number = 7  # noqa: F841 - the code reads it
    channel = Channel(buffer=1)
    cin, cout = +channel, -channel
    assert select(OutputGuard(cout, msg=1, action=action)) == (cout, None)
    assert noted == [done]
    retire(cin, cout)


@pytest.mark.parametrize(
    ("action", "done"), [(note("x"), ("x", None)), (plain, ("plain", None)), (nothing, ("nothing",))]
)
@every_select
def test_actions_of_skips_and_timeouts(select: Any, action: Any, done: Any) -> None:
    """They get `channel_input=None` if they take it; and only the action of what was chosen is done."""
    channel = Channel()
    cin = +channel
    select(InputGuard(cin, action=note("wrong")), SkipGuard(action))
    select(InputGuard(cin, action=note("wrong")), TimeoutGuard(0.001, action))
    assert noted == [done, done]


def test_an_action_that_was_not_called_is_refused() -> None:
    """A @choice function makes actions; without its arguments it is none."""
    with pytest.raises(InfoException, match="note is to be called"):
        SkipGuard(action=note)
    with pytest.raises(InfoException, match="an action is"):
        SkipGuard(action=7)


def test_actions_may_use_channels(near: object) -> None:
    """An action that writes on: the way a multiplexer is written."""
    a, b = 2 * Channel()

    @choice
    def pass_on(cout: Any, channel_input: Any) -> None:
        cout(channel_input + 1)

    @process
    def relay(cin: Any, cout: Any) -> None:
        while True:
            AltSelect(InputGuard(cin, action=pass_on(cout)))

    assert Parallel(write(-a, 1, 2), relay(+a, -b), read_all(+b), on=near) == [None, None, [2, 3]]


# ── Alternation ─────────────────────────────────────────────────────────────────────────────────────────────


def test_alternation_takes_dicts_and_tuples() -> None:
    """The same guards in either form, many times over."""
    channel, other = Channel(buffer=1), Channel(buffer=1)
    cin, cout, quiet = +channel, -channel, +other
    skip = SkipGuard()
    for guards in (
        [{cin: note("in"), (cout, 1): note("out")}, {skip: None}],
        [(cin, note("in")), (cout, 1, note("out")), (skip, None)],
    ):
        noted.clear()
        alternation = Alternation(guards, ensurePriority=True)
        assert [alternation.execute()[0] for _ in range(4)] == [cout, cin, cout, cin]
        assert noted == [("out", None), ("in", 1)] * 2
    assert Alternation([{quiet: None, skip: note("skipped")}]).execute() == (skip, None)
    assert noted[-1] == ("skipped", None)
    retire(cin, cout, quiet)


def test_alternation_selects_without_acting() -> None:
    channel = Channel(buffer=1)
    cin, cout = +channel, -channel
    cout(1)
    assert Alternation([{cin: note("in")}]).select() == (cin, 1)
    assert noted == []
    retire(cin, cout)


def test_alternation_runs_code_where_it_is_executed() -> None:
    channel = Channel(buffer=1)
    cin, cout = +channel, -channel
    mine: list[Any] = []
    alternation = Alternation([(cin, "mine.append(channel_input)")])
    cout(1)
    alternation.execute()
    assert mine == [1]
    retire(cin, cout)


def test_alternation_refuses_what_it_can_not_read() -> None:
    cin = +Channel()
    for wrong in (cin, 7):
        with pytest.raises(InfoException, match="dicts and tuples"):
            Alternation([wrong])
    with pytest.raises(InfoException, match="can't tell"):
        Alternation([(cin, 1, None)])


def test_a_select_is_a_park_point() -> None:
    """Also one that only skips: others get their turn."""

    def skip_for_ever() -> None:
        with potok.timeout(0.01):
            while True:
                AltSelect(SkipGuard())

    with pytest.raises(TimeoutError):
        skip_for_ever()
