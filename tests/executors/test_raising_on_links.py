"""*processes*: a signal handler that raises, at every line of what waits for other address spaces or speaks to them.

Python runs handlers in the main thread, between any two lines of whatever that does. No message is lost or cut short
then: neither those of other threads, which the main thread may have been reading for them, nor its own.
"""

import gc
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import potok
from potok.kernel.parking import _take_back, abandon
from potok.testing import wait_all_parked

TESTED = potok.processes(preload=("pytest",))
HOME = Path(potok.__file__).parent
# Not `channels`: what it opens and gives back is the task's by then, which loses it as from any function of its own.
PARTS = (*(f"remote/{part}.py" for part in ("board", "calling", "choosing", "home", "link", "meeting")),)
ROOMS = tuple(str(HOME / part) for part in (*PARTS, "links/session.py", "kernel/threadkernel.py"))
TAKING_BACK = (abandon.__code__, _take_back.__code__)
LINES = 300  # more than a thread that handles messages goes through in a moment


class Raised(Exception):  # noqa: N818 - it is no error, it is what the handler does
    """By the handler."""


def taking_back(frame: FrameType | None) -> bool:
    """Whether an exception is being dealt with already; one in a finalizer goes nowhere."""
    while frame is not None:
        if frame.f_code in TAKING_BACK or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


class Raiser:
    """A trace function that raises at the `n`-th line, in this thread, of what has to do with links."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if self.left < 0 or taking_back(frame):
            return None
        if event == "line" and frame.f_code.co_filename.startswith(ROOMS):
            self.left -= 1
            if self.left < 0:
                raise Raised
        return self


def disturbed(operation: Callable[[], object], n: int) -> tuple[object, bool]:
    """Run the operation with an exception at the n-th line: what it gave, if it did; and whether there is such a line.

    What came with a result is raised at the next park point.
    """
    raiser, got = Raiser(n), None
    sys.settrace(raiser)
    try:
        got = operation()
    except (Raised, TimeoutError):
        pass
    finally:
        sys.settrace(None)
    assert potok.current_task().waiter is None
    try:
        potok.checkpoint()
    except Raised:
        pass
    return got, raiser.left < 0


@pytest.fixture(autouse=True)
def _handler() -> Iterator[None]:
    """Some handler that may raise is there; it is the trace function that does."""

    def handler(number: int, frame: FrameType | None) -> None:
        raise Raised

    former = signal.signal(signal.SIGUSR2, handler)
    gc.collect()
    gc.disable()  # an earlier test's finalizers
    yield
    gc.enable()
    signal.signal(signal.SIGUSR2, former)


def echo(rx: potok.Receiver[int], tx: potok.Sender[int]) -> int:
    n = 0
    for n, item in enumerate(rx, 1):  # noqa: B007 - how many there were
        tx.send(item)
    return n


def test_what_others_are_told_is_not_lost_in_a_thread_that_is_interrupted() -> None:
    """A thread speaks with a worker; the main thread, which waits for something else, is interrupted everywhere."""
    over = threading.Event()
    (out_tx, out), (back_tx, back), (quiet_tx, quiet) = potok.channel(), potok.channel(), potok.channel()

    def speak() -> int:
        for n in count():
            if over.is_set():
                out_tx.close()
                return n
            out_tx.send(n)
            assert back.recv(timeout=20) == n
        raise AssertionError

    with potok.scope(on=TESTED) as s:
        echoing = s.start(echo, out, back_tx)
        speaking = s.start(speak, on="threads")
        for n in range(LINES):
            disturbed(lambda: quiet.recv(timeout=0.003), n)
        over.set()
        assert speaking.result() == echoing.result() > 0
    for end in (quiet_tx, quiet, back):
        end.close()


def home_of(made: potok.Sender[Any], heard: potok.Sender[int], over: potok.Event) -> None:
    """Be the home of two channels; tell what comes through one, and send numbers through the other."""
    (tx, rx), (numbers, out) = potok.channel(), potok.channel()
    lock = potok.Lock()
    made.send((tx, out, lock))
    del tx, out
    with potok.scope(on="threads") as s:
        s.start(tell, rx, heard)
        counting = s.start(count_up, numbers)
        over.wait()
        counting.cancel()


def tell(rx: potok.Receiver[int], heard: potok.Sender[int]) -> None:
    for item in rx:
        heard.send(item)


def count_up(tx: potok.Sender[int]) -> None:
    for n in count():
        tx.send(n)


def test_own_messages_are_sent_wholly_or_not_at_all() -> None:
    """What `send` returned for has arrived, once and in order; what was received, too; the link lives."""
    (made, got), (heard_tx, heard) = potok.channel(), potok.channel(potok.UNBOUNDED)
    over = potok.Event()
    sent: list[int] = []
    received: list[int] = []
    with potok.scope(on=TESTED) as s:
        s.start(home_of, made, heard_tx, over)
        tx, numbers, lock = got.recv()
        serial = count()
        for operation in (
            lambda: tx.send(next(serial)) or sent.append(1),
            lambda: received.append(numbers.recv()),
            lambda: received.append(potok.select(numbers).value),
            lambda: lock.acquire() and lock.release(),
            lambda: received.append(numbers.recv_nowait()),
        ):
            for n in count():
                try:
                    reached = disturbed(operation, n)[1]
                except potok.WouldBlock:
                    continue
                if lock._machine.holder is not None:
                    lock.release()
                if not reached:
                    break
            assert n > 10
        wait_all_parked()
        assert received == list(range(len(received)))
        tx.close()
        over.set()
        arrived = list(heard)
        assert arrived == sorted(set(arrived))
        assert len(sent) <= len(arrived) <= next(serial)
        numbers.close()
    got.close()
