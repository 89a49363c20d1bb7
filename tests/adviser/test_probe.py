"""The probe calls the function as the plain loop would, and its figures are those of the clocks."""

import functools
import itertools
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from clockwork import Beating, Time
from hypothesis import example, given
from hypothesis import strategies as st

from potok.adviser.heartbeat import Watch
from potok.adviser.probe import FEW, HIDDEN, WORTH_A_HEARTBEAT, WORTH_TELLING, Probe

MS, US = 0.001, 0.000001


def probing(fn, time, star=False):
    """A probe on that time, with a heart that does not beat."""
    return Probe(fn, star, clocks=time.clocks(), heartbeat=Beating().heart)


def test_the_results_are_those_of_the_plain_loop():
    assert Probe(lambda x: x + 1).run([1, 2, 3]) == [2, 3, 4]
    assert Probe(pow, True).run([(2, 3), (3, 2)]) == [8, 9]
    assert Probe(len).run([]) == []


def test_items_are_called_once_each_in_order_in_the_calling_thread():
    calls = []
    probe = Probe(lambda x: calls.append((x, threading.get_ident())))
    for part in ([0], [1, 2], [3]):
        probe.run(part)
    assert calls == [(x, threading.get_ident()) for x in range(4)]


def test_what_was_done_before_an_error_is_kept():
    values = ["there already"]
    probe = Probe(lambda x: 10 // x)
    with pytest.raises(ZeroDivisionError):
        probe.run([5, 2, 0, 1], into=values)
    assert values == ["there already", 2, 5]
    assert probe.facts().items == 3  # the one that raised took its time as well
    assert probe.run([1], into=values)[-1] == 10


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_a_program_goes_through(error):
    def fn(x):
        raise error

    with pytest.raises(error):
        Probe(fn).run([1])


def test_an_async_function_is_not_run():
    async def fn(x):
        return x

    probe = Probe(fn, is_async=True)
    with pytest.raises(TypeError, match="async def"):
        probe.run([1])
    facts = probe.facts()
    assert facts.is_async
    assert facts.items == 0


def test_before_the_first_item_nothing_is_known():
    facts = Probe(len).facts()
    assert (facts.items, facts.wall, facts.gil_held, facts.waiting) == (0, 0, None, 0)


def test_the_figures_are_those_of_the_clocks():
    time = Time()

    def fn(x):
        time.work(3 * MS)
        time.wait(1 * MS)

    probe = probing(fn, time)
    probe.run(range(10))
    facts = probe.facts()
    assert facts.items == 10
    assert facts.wall == pytest.approx(4 * MS)
    assert facts.cpu == pytest.approx(3 * MS)
    assert facts.waiting == pytest.approx(0.25)
    assert facts.spread == pytest.approx(0, abs=1e-4)
    assert facts.hidden_threads == 0


def test_runs_add_up():
    time = Time()
    probe = probing(time.work, time)
    probe.run([9 * MS, 1 * MS, 2 * MS])
    probe.run([3 * MS])
    facts = probe.facts()
    assert facts.items == 4
    assert facts.wall == pytest.approx(2 * MS)
    assert facts.spread == pytest.approx((2 / 3) ** 0.5 / 2)


@pytest.mark.parametrize("star", [False, True])
def test_short_items_that_are_timed_together_are_counted_each(star):
    """Also where one of them fails, and takes longer: those after it in its group were not called."""
    time, called = Time(), []

    def fn(x):
        called.append(x)
        time.work(4 * US if x < 60 else 400 * US)
        if x == 60:
            raise ValueError
        return x

    probe = probing(fn, time, star)
    values = []
    probe.run([(0,)] if star else [0], into=values)
    with pytest.raises(ValueError):  # noqa: PT011 - made above
        probe.run([(x,) if star else x for x in range(1, 100)], into=values)
    facts = probe.facts()
    assert called == list(range(61))
    assert values == called[:-1]
    assert facts.items == 61
    assert facts.wall == pytest.approx((59 * 4 * US + 400 * US) / 60)
    assert facts.spread > 1


def test_the_first_item_is_left_out_once_there_are_others():
    """It pays for what is imported and opened."""
    time = Time()
    probe = probing(time.work, time)
    probe.run([50 * MS])
    assert probe.facts().wall == pytest.approx(50 * MS)
    assert probe.facts().first == 0
    probe.run([1 * MS, 1 * MS])
    assert probe.facts().wall == pytest.approx(1 * MS)
    assert probe.facts().items == 3
    assert probe.facts().first == pytest.approx(49 * MS)


def test_being_kept_from_work_is_not_waiting():
    """On a machine that is busy with others, half of the time is theirs."""
    time = Time()
    probe = probing(lambda x: time.work(2 * MS, queued=2 * MS), time)
    probe.run(range(5))
    facts = probe.facts()
    assert facts.waiting == pytest.approx(0)
    assert facts.queued == pytest.approx(2 * MS)


@pytest.mark.parametrize(("cores", "hidden"), [(1.0, 0.0), (1 + HIDDEN / 2, 0.0), (2.0, 1.0), (4.0, 3.0)])
def test_threads_that_one_does_not_see(cores, hidden):
    time = Time()
    probe = probing(lambda x: time.work(2 * MS, cores), time)
    probe.run(range(5))
    assert probe.facts().hidden_threads == pytest.approx(hidden)


def test_the_lock_is_watched_where_it_is_worth_it():
    """The first item always, for nobody knows how long it will take; others if they are long enough together."""
    time, fake = Time(), Beating()
    begun = []
    fake.heart.begin = lambda: begun.append(time.wall)
    probe = Probe(time.work, clocks=time.clocks(), heartbeat=fake.heart)
    probe.run([WORTH_A_HEARTBEAT / 10] * 3)
    assert len(begun) == 1
    probe.run([WORTH_A_HEARTBEAT / 10] * 15)
    assert len(begun) == 2


def test_a_share_of_too_short_a_time_is_not_told():
    time, fake = Time(), Beating()
    fake.heart._seen = Watch(1, held=WORTH_TELLING / 2)
    probe = Probe(time.work, clocks=time.clocks(), heartbeat=fake.heart)
    probe.run([1 * MS])
    assert probe.facts().gil_held is None


def test_looks_enough_tell_whatever_each_has_seen():
    """Items that come one by one are short."""
    time, fake = Time(), Beating()
    fake.heart._seen = Watch(FEW, held=WORTH_TELLING / 8, free=WORTH_TELLING / 8)
    probe = Probe(time.work, clocks=time.clocks(), heartbeat=fake.heart)
    probe.run([1 * MS])
    assert probe.facts().gil_held == pytest.approx(0.5)


def test_a_change_is_found_and_stays_found():
    count = 0

    def fn(x):
        nonlocal count
        count += x

    time = Time()
    probe = probing(fn, time)
    probe.run([1, 1])
    assert probe.facts(sure=True).mutates == "the variable count (0 before, 2 now)"
    probe.run([0, 0])
    assert "count" in probe.facts(sure=True).mutates


def test_an_item_that_is_changed_is_found():
    time = Time()

    def fn(item):
        time.work(1.0)
        item.append(1)

    probe = probing(fn, time)
    probe.run([[], []])
    assert "item" in probe.facts().mutates


def test_what_others_change_between_two_runs_is_not_the_functions():
    results = []
    time = Time()

    def fn(x):
        time.work(1.0)
        return len(results)

    probe = probing(fn, time)
    for x in range(3):
        results += probe.run([x])
    assert probe.facts().mutates is None


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_done_with_an_item_afterwards_is_not_the_functions(fails):
    item, time = [], Time()
    probe = probing(lambda x: 1 // (not fails), time)
    with suppress(ZeroDivisionError):
        probe.run([item])
    item.append(1)
    assert probe.facts(sure=True).mutates is None


def test_bytes_and_pickling_are_those_of_one_item():
    time = Time()
    probe = probing(lambda x: time.work(1.0) or x * 10, time)
    probe.run([b"a" * 100 + bytes([x]) for x in range(4)])
    facts = probe.facts()
    assert 100 < facts.args_bytes < 140
    assert 1000 < facts.results_bytes < 1040
    assert facts.weighed == 1


@pytest.mark.parametrize(
    ("fn", "item", "told"),
    [
        pytest.param(lambda x: threading.Lock(), 1, "a result (TypeError", id="result"),
        pytest.param(lambda x: 1, threading.Lock(), "an item (TypeError", id="item"),
    ],
)
def test_what_cannot_go_to_another_address_space_is_told(fn, item, told):
    probe = Probe(fn)
    probe.run([item])
    assert probe.facts(sure=True).unpicklable.startswith(told)


def test_cloudpickle_is_not_imported_for_a_function_that_takes_no_time(monkeypatch):
    """That takes longer than such a map; but it is before somebody moves."""
    monkeypatch.delitem(sys.modules, "cloudpickle", raising=False)
    probe = Probe(lambda x: threading.Lock())
    probe.run([1, 2])
    assert probe.facts().unpicklable is None
    probe.facts(sure=True, leaves=False)
    assert "cloudpickle" not in sys.modules
    assert "lock" in probe.facts(sure=True).unpicklable


def test_a_function_that_cannot_go_is_told_when_it_matters():
    lock = threading.Lock()
    probe = Probe(functools.partial(lambda lock, x: x, lock))
    probe.run([1])
    assert probe.facts(sure=True).unpicklable.startswith("the function (TypeError")


def test_weighing_takes_a_share_of_the_time():
    """A function that takes no time is weighed once, whatever its items are."""
    time = Time()
    ticks = itertools.count()
    clocks = time.clocks()._replace(wall=lambda: next(ticks) * 1e-6)
    probe = Probe(lambda x: x, clocks=clocks, heartbeat=Beating().heart)
    for x in range(20):
        probe.run([x])
    assert probe.facts().weighed < 5


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="the system does not tell")
def test_real_waiting_and_real_work_are_told_apart():
    """Whatever else the machine does: seconds slept are waited, seconds computed are not.

    Without the heartbeat: where cores are few it may lose its own while it has the GIL, and we would wait for that.
    """
    import time

    asleep = Probe(lambda x: time.sleep(0.005), heartbeat=Beating().heart)
    awake = Probe(lambda x: sum(range(500_000)), heartbeat=Beating().heart)
    asleep.run(range(4))
    awake.run(range(4))
    rest, work = asleep.facts(), awake.facts()
    assert rest.waiting * rest.wall > 0.004
    assert rest.cpu + rest.queued < rest.wall
    assert work.waiting < 0.5


@given(
    st.lists(st.lists(st.floats(0, 10), max_size=5), max_size=5),
    st.lists(st.booleans(), min_size=25, max_size=25),
)
@example([[5e-324, 0.0]], [False] * 25)
def test_whatever_is_run_the_figures_make_sense(runs, waits):
    time = Time()
    waits = iter(waits)

    def fn(seconds):
        (time.wait if next(waits) else time.work)(seconds)

    probe = probing(fn, time)
    for part in runs:
        probe.run(part)
    facts = probe.facts()
    assert facts.items == sum(map(len, runs))
    assert facts.wall >= 0 <= facts.spread
    assert 0 <= facts.waiting <= 1
    assert 0 <= facts.cpu <= facts.process_cpu
    assert facts.pickle >= 0
