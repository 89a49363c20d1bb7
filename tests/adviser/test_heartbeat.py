"""The share of the time in which the GIL is held: exact for given beats, and right about real functions."""

import hashlib
import os
import random
import threading
import time
import zlib

import pytest
from clockwork import Beating

from potok.adviser.heartbeat import (
    LATE,
    LINGER,
    OVERDUE,
    SHORTEST,
    Heartbeat,
    Watch,
    count_switches,
    gil_is_on,
)
from potok.adviser.probe import Probe

HELD, FREE = (0.005, 2), (0.0, 1)
MANY = os.urandom(4_000_000)
NUMBERS = [random.random() for _ in range(100_000)]

needs_gil = pytest.mark.skipif(not gil_is_on(), reason="there is no GIL to be held")
needs_counts = pytest.mark.skipif(count_switches is None, reason="who is late may just be without a core")


def watch(beats, counts=True):
    """What a heart sees of these."""
    fake = Beating(beats, counts)
    fake.heart.begin()
    for _ in beats:
        assert fake.heart.beat()
    fake.heart.end()
    return fake.heart.seen


def test_a_lock_that_is_always_held_is_held_all_the_time():
    seen = watch([HELD] * 5)
    assert seen.share(0.0) == 1.0
    assert seen.beats == 5


def test_a_lock_that_is_never_held():
    seen = watch([FREE] * 5)
    assert seen.share(0.0) == 0.0


def test_the_share_is_weighted_with_time():
    """One call of 100 ms, then as long without: half of the time, not one beat of many."""
    seen = watch([(0.1 - SHORTEST, 2)] + [(0.0, 1)] * 24)
    assert 0.45 < seen.share(0.0) < 0.65
    assert seen.beats == 25


@pytest.mark.parametrize("waits", [2, 3, 8])
def test_having_waited_twice_tells_more_than_how_late_it_was(waits):
    """A lock that is given back after a microsecond was held all the same."""
    assert watch([(1e-6, waits)] * 3).share(0.0) == 1.0


def test_being_late_alone_is_not_the_lock():
    """A machine that is busy with others makes every thread late."""
    assert watch([(0.02, 1)] * 3).share(0.0) == 0.0


def test_where_the_system_does_not_count_being_late_must_do():
    assert 0 < watch([(2 * LATE, 0), (LATE / 2, 0)], counts=False).share(0.0) < 1


def test_time_without_a_core_is_nobodys():
    """With the lock or without it: what is idle and does not wait tells nothing."""
    seen = watch([(0.1, 2, 0.1), (0.5, 1, 0.0)])
    assert seen.share(waiting=0.0) == 1.0
    seen = watch([(0.1, 1, 0.1), (0.5, 2, 0.0)])
    assert seen.share(waiting=0.0) == 0.0


def test_time_spent_waiting_counts():
    """With the lock held as well: a library may forget to release it."""
    assert watch([(0.1, 1, 0.0)]).share(waiting=1.0) == 0.0
    assert watch([(0.1, 2, 0.0)]).share(waiting=1.0) == 1.0
    assert 0.1 < watch([(0.1, 2, 0.1), (0.5, 1, 0.0)]).share(waiting=0.85) < 0.2


def test_of_nothing_there_is_no_share():
    assert Watch().share(0.0) is None


@pytest.mark.parametrize("counts", [True, False])
def test_a_single_call_of_c_is_seen_by_a_thread_that_could_not_begin(counts):
    """It is over before the thread comes to life, which then says what kept it waiting."""
    fake = Beating([FREE] * LINGER, counts)

    def asked():
        fake.waits += 1
        fake.started[0]()

    fake.asked = asked
    fake.heart.begin()
    fake.work(0.05)
    fake.heart.end()
    assert fake.heart.seen == Watch(1, held=0.05)


def test_a_thread_that_had_no_core_knows_nothing():
    """It comes to life late, but not because of the lock."""
    fake = Beating([FREE] * LINGER)
    fake.heart.begin()
    fake.asked = fake.started[0]
    fake.work(0.05)
    fake.heart.end()
    assert fake.heart.seen == Watch()


def test_a_thread_that_does_not_come_at_all_is_not_waited_for():
    fake = Beating([FREE] * LINGER)
    fake.heart.begin()
    fake.work(0.05)
    fake.heart.end()
    assert fake.heart.seen == Watch()
    fake.waits += 1
    fake.started[0]()  # now it does: too late
    assert fake.heart.seen == Watch()


def test_nobody_is_asked_where_there_was_no_time_or_a_beat_already():
    fake = Beating([FREE])
    fake.asked = lambda: pytest.fail("asked")
    fake.heart.begin()
    fake.work(SHORTEST + OVERDUE / 2)
    fake.heart.end()
    fake.heart.begin()
    fake.heart.beat()
    fake.work(1.0)
    fake.heart.end()
    assert fake.heart.seen.beats == 1


def test_coming_to_life_is_a_beat():
    """A thread that is new waits for the GIL before it is able to do anything."""
    fake = Beating()
    fake.heart.begin()
    fake.waits += 1
    fake.work(1.0)
    with pytest.raises(StopIteration):  # of its first sleep
        fake.started[0]()
    assert fake.heart.seen == Watch(1, held=1.0)


def test_what_is_between_two_watches_is_not_seen():
    fake = Beating([FREE] * 3)
    fake.heart.begin()
    fake.heart.beat()
    fake.heart.end()
    before = fake.heart.seen
    fake.work(10)
    fake.heart.begin()
    fake.heart.beat()
    fake.heart.end()
    assert fake.heart.seen.since(before).watched < 0.1


def test_the_thread_ends_some_beats_after_the_end_and_is_started_again():
    fake = Beating([FREE] * 2 * LINGER)
    fake.heart.begin()
    fake.heart.begin()  # the same thread goes on
    fake.heart.end()
    for _ in range(LINGER - 1):
        assert fake.heart.beat()
    fake.heart.begin()
    assert fake.heart.beat()
    assert len(fake.started) == 1
    fake.heart.end()
    for beats in range(LINGER):
        assert fake.heart.beat() == (beats < LINGER - 1)
    fake.heart.begin()
    assert len(fake.started) == 2


def test_what_comes_in_pieces_is_seen_where_a_beat_was_due_in_one():
    """Not where it was due before: it may have waited for whoever ran then."""
    fake = Beating([HELD, HELD])
    fake.heart.begin()
    fake.heart.end()
    real = fake.heart._sleep

    def sleep(seconds):
        fake.now += seconds / 2
        fake.heart.begin()
        fake.now -= seconds / 2
        real(seconds)

    fake.heart._sleep = sleep
    fake.heart.beat()
    assert fake.heart.seen.beats == 1
    assert fake.heart.seen.held == pytest.approx(SHORTEST / 2 + HELD[0])
    fake.heart.end()

    def oversleep(seconds):
        real(seconds)
        fake.heart.begin()
        fake.now += 0.001

    fake.heart._sleep = oversleep
    fake.heart.beat()
    assert fake.heart.seen.beats == 1


def test_no_thread_to_be_had_is_no_failure():
    def refuse(run):
        raise RuntimeError("can't start new thread")

    heart = Heartbeat(start=refuse)
    heart.begin()
    heart.end()
    assert heart.seen == Watch()


def test_a_real_thread_ends_by_itself():
    threads = []

    def start(run):
        threads.append(threading.Thread(target=run))
        threads[-1].start()

    heart = Heartbeat(start=start)
    heart.begin()
    heart.end()
    threads[0].join(20)
    assert not threads[0].is_alive()


@needs_counts
def test_waiting_is_counted():
    before = count_switches()
    time.sleep(0.0001)
    assert count_switches() > before


def loop(_):
    for _ in range(200_000):
        pass


def share_of(fn, count):
    """How much of the time this function holds the GIL, from enough looks.

    On a busy machine the thread that looks may get no core for a whole run.
    """
    probe = Probe(fn)
    for _ in range(1000):
        probe.run(range(count))
        facts = probe.facts()
        if facts.beats >= 30:
            return facts.gil_held
    pytest.fail("there was no core for a second thread")


@needs_gil
@pytest.mark.parametrize(
    ("fn", "count"),
    [
        pytest.param(loop, 8, id="Python"),
        pytest.param(lambda _: sorted(NUMBERS) and None, 4, id="several calls of C"),
        pytest.param(lambda _: sorted(NUMBERS) and None, 1, id="single calls of C"),
        pytest.param(lambda _: pow(3, 100_000) and None, 8, id="large numbers"),
    ],
)
def test_functions_that_hold_it(fn, count):
    """Whoever wakes finds it held."""
    assert share_of(fn, count) > 0.5


@needs_gil
@needs_counts
@pytest.mark.parametrize(
    ("fn", "count"),
    [
        pytest.param(lambda _: hashlib.sha256(MANY).digest(), 12, id="hashing"),
        pytest.param(lambda _: zlib.compress(MANY[:200_000]) and None, 12, id="compressing"),
        pytest.param(lambda _: time.sleep(0.005), 8, id="waiting"),
    ],
)
def test_functions_that_release_it(fn, count):
    """Whoever wakes finds it free, but for the moments between two calls."""
    assert share_of(fn, count) < 0.5


@pytest.mark.skipif(gil_is_on(), reason="there is a GIL")
def test_without_a_gil_nothing_is_told():
    probe = Probe(loop)
    probe.run(range(6))
    assert probe.facts().gil_held is None
