"""Locks and their like, used by a signal handler or finalizer that interrupts potok in the same thread."""

import itertools
import signal
import sys
import threading

import pytest

import potok

POTOK = potok.__path__[0]


def at_every_step(operation, interruption):
    """Run `operation()` again and again, interrupted at its first, second, third ... bytecode inside potok.

    Signal handlers run between two bytecodes, finalizers at some of them; a trace function can at each of them.
    Yields after each run what the two have returned.
    """
    for nth in itertools.count():
        steps, told = itertools.count(), []

        def trace(frame, event, _arg, nth=nth, steps=steps, told=told):
            if not frame.f_code.co_filename.startswith(POTOK):
                return None
            frame.f_trace_opcodes = True
            if event == "opcode" and next(steps) == nth:
                told.append(interruption())
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            got = operation()
        finally:
            sys.settrace(before)
        if not told:
            assert nth > 50, "nothing was traced"
            return
        yield got, told[0]


def test_a_semaphore_keeps_count():
    """A permit released in the midst of an acquire is taken by it or is there after it."""
    semaphore = potok.Semaphore(0)
    for got, _ in at_every_step(lambda: semaphore.acquire(timeout=0), semaphore.release):
        assert got + semaphore._machine.value == 1
        while semaphore.acquire(False):
            pass


def test_a_release_in_a_release():
    """Both permits are given, whatever the one interrupts in the other."""
    semaphore = potok.Semaphore(0)
    for _ in at_every_step(semaphore.release, semaphore.release):
        assert semaphore._machine.value == 2
        semaphore.acquire()
        semaphore.acquire()


@pytest.mark.parametrize("kind", [potok.Lock, potok.RLock])
def test_a_lock_has_one_holder(kind):
    """An attempt in the midst of acquire and release gets the lock or does not, and nothing stays locked."""
    lock = kind()

    def use():
        with lock:
            pass

    def attempt():
        if lock.acquire(False):
            lock.release()

    for _ in at_every_step(use, attempt):
        assert not lock.locked()
        assert not lock._machine.waiters.entries


def test_another_lock_than_the_interrupted_one():
    """Inside one machine, another is used as ever."""
    lock, other = potok.Lock(), potok.Lock()

    def use():
        with lock:
            pass

    def use_other():
        assert other.acquire(False)
        other.release()

    for _ in at_every_step(use, use_other):
        assert not lock.locked()
        assert not other.locked()


def test_an_event_is_set():
    """`set` in the midst of a wait is seen by it or by the next one."""
    event = potok.Event()
    for got, _ in at_every_step(lambda: event.wait(0), event.set):
        assert got in (True, False)
        assert event.wait(0)
        event.clear()


def test_an_aborted_barrier_is_broken():
    """`abort` in the midst of a wait breaks the barrier, for that wait or the next."""
    barrier = potok.Barrier(1)

    def wait():
        try:
            return barrier.wait()
        except potok.BrokenBarrierError:
            return "broken"

    for got, _ in at_every_step(wait, barrier.abort):
        assert got in (0, "broken")
        assert barrier.broken
        barrier.reset()


def test_a_notification_reaches_who_waits():
    """A notification in the midst of a wait is had by it while the task stands in the queue."""
    condition = potok.Condition(potok.Lock())

    def wait():
        with condition:
            return condition.wait(0)

    def notify():
        if condition.acquire(False):  # the wait has given it up, or not begun
            condition.notify()
            condition.release()

    notified = []
    for got, _ in at_every_step(wait, notify):
        notified.append(got)
        assert not condition.locked()
        assert not len(condition._machine.waiters)
    assert [got for got, _ in itertools.groupby(notified)] == [False, True, False]


@pytest.mark.stress
def test_ten_thousand_signals():
    """A handler may release what the interrupted thread waits for, or is about to wait for, any number of times."""
    semaphore, lock, event = potok.Semaphore(0), potok.Lock(), potok.Event()
    handled, done = itertools.count(1), []

    def handler(_number, _frame):
        event.set()
        if lock.acquire(False):
            lock.release()
        if next(handled) <= 10_000:
            semaphore.release()

    def send(main):
        while not done:
            signal.pthread_kill(main, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handler)
    sender = threading.Thread(target=send, args=(threading.get_ident(),))
    sender.start()
    try:
        for _ in range(10_000):
            assert semaphore.acquire()
            with lock:
                event.clear()
    finally:
        done.append(True)
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    assert not semaphore.acquire(False)
    assert not lock.locked()
