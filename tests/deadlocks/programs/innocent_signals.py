"""What looks stuck until a signal comes: a handler may do whatever wakes somebody."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from catalogue import LOOKS_STUCK, innocent, later, raising

import potok

BOTH = ("threads", "coroutines")
KILL_LATER = (
    "import os, sys, time; time.sleep(float(sys.argv[1])); os.kill(int(sys.argv[2]), int(sys.argv[3]))"
)


@contextmanager
def handling(number: int, handler: Callable[..., object]) -> Iterator[None]:
    """A signal handler of the user's, for the block; no alarm goes off after it."""
    before = signal.signal(number, lambda *_: handler())
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(number, before)


@contextmanager
def signal_from_outside(number: int) -> Iterator[None]:
    """Another process sends the signal: nothing in this one tells that it will come."""
    command = [sys.executable, "-S", "-c", KILL_LATER, str(LOOKS_STUCK), str(os.getpid()), str(int(number))]
    with subprocess.Popen(command):
        yield


@innocent(*BOTH)
def alarm_that_sets(on: str) -> None:
    """setitimer: the handler of SIGALRM sets the event that all wait for."""
    event = potok.Event()
    with handling(signal.SIGALRM, event.set), potok.scope(on=on) as s:
        signal.setitimer(signal.ITIMER_REAL, LOOKS_STUCK)
        s.start(event.wait)


@innocent(*BOTH)
def alarm_that_sends(on: str) -> None:
    """The body receives what the handler sends; the task waits for the body."""
    tx, rx = potok.channel(1)
    done = potok.Event()
    with handling(signal.SIGALRM, lambda: tx.send_nowait("late")), potok.scope(on=on) as s:
        signal.setitimer(signal.ITIMER_REAL, LOOKS_STUCK)
        s.start(done.wait)
        assert rx.recv() == "late"
        done.set()


@innocent(*BOTH)
def signal_from_another_process(on: str) -> None:
    """No timer, no foreign thread: only that there is a handler tells that somebody may come."""
    lock = potok.Lock()

    def twice() -> None:
        lock.acquire()
        with lock:
            pass

    with handling(signal.SIGUSR1, lock.release), signal_from_outside(signal.SIGUSR1), potok.scope(on=on) as s:
        s.start(twice)


@innocent()
def signal_in_the_main_thread_alone() -> None:
    """The main thread waits for an event, without any task; the handler sets it."""
    event = potok.Event()
    with handling(signal.SIGUSR1, event.set), signal_from_outside(signal.SIGUSR1):
        event.wait()


@innocent()
def signal_from_a_timer() -> None:
    """The same with `os.kill` from a threading.Timer."""
    event = potok.Event()
    with handling(signal.SIGUSR1, event.set), later(os.kill, os.getpid(), signal.SIGUSR1):
        event.wait()


@innocent()
def signal_handler_of_the_loop() -> None:
    """`loop.add_signal_handler`: asyncio's own way, by a callback of its loop."""

    async def main() -> None:
        loop, event = asyncio.get_running_loop(), potok.Event()
        loop.add_signal_handler(signal.SIGUSR1, event.set)
        with signal_from_outside(signal.SIGUSR1):
            await event
        loop.remove_signal_handler(signal.SIGUSR1)

    asyncio.run(main())


@innocent(*BOTH)
def handler_that_raises(on: str) -> None:
    """The handler ends the wait of the main thread by an exception of its own: so do many with SIGALRM."""

    def expire() -> None:
        raise LookupError("expired")

    with handling(signal.SIGALRM, expire), raising(LookupError, ExceptionGroup), potok.scope(on=on) as s:
        signal.setitimer(signal.ITIMER_REAL, LOOKS_STUCK)
        s.start(potok.Event().wait)


@innocent(*BOTH)
def alarm_that_ends_an_rlock_cycle(on: str) -> None:
    """The main thread has a deadline in the old spelling, an alarm whose handler raises: it will give up its RLock."""
    here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)

    def expire() -> None:
        raise LookupError("expired")

    def take_both() -> None:
        with there:
            met.wait()
            with here:
                pass

    with handling(signal.SIGALRM, expire), potok.scope(on=on) as s:
        s.start(take_both)
        with raising(LookupError), here:
            met.wait()
            signal.setitimer(signal.ITIMER_REAL, LOOKS_STUCK)
            with there:
                pass


@innocent(*BOTH)
def interrupted_by_ctrl_c(on: str) -> None:
    """A Timer sends SIGINT, as Ctrl-C does: KeyboardInterrupt, as ever, and nothing of a deadlock."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with raising(KeyboardInterrupt), later(os.kill, os.getpid(), signal.SIGINT), potok.scope(on=on) as s:
            s.start(potok.Event().wait)
            s.start(potok.Event().wait).join()
    finally:
        signal.signal(signal.SIGINT, before)
