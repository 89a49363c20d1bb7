"""What looks stuck until a thread that is not potok's uses the other end, wherever it has that one."""

import contextvars
import gc
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from catalogue import LOOKS_STUCK, innocent, thread

import potok

BOTH = ("threads", "coroutines")

Given = Callable[[Any], None]


def answer(hold: Callable[[Given], None], on: str) -> None:
    """A task of potok's receives; `hold`, in a foreign thread, gives it a receiver and keeps the sender somewhere."""
    given: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with thread(hold, given.put), potok.scope(on=on) as s:
        assert s.start(given.get().recv).result() == "late"


@innocent(*BOTH)
def end_in_a_local(on: str) -> None:
    """The sender is a local variable of a foreign thread that is elsewhere for a while."""

    def hold(give: Given) -> None:
        tx, rx = potok.channel()
        give(rx)
        del rx
        time.sleep(LOOKS_STUCK)
        tx.send("late")

    answer(hold, on)


@innocent(*BOTH)
def end_of_a_for_loop(on: str) -> None:
    """No variable names the receiver: only the `for` loop of a foreign thread has it, and is in its body."""

    def make(give: Given) -> potok.Receiver[int]:
        tx, rx = potok.channel()
        give(tx)
        return rx

    def consume(give: Given) -> None:
        for _ in make(give):
            time.sleep(LOOKS_STUCK / 2)

    def produce(tx: potok.Sender[int]) -> None:
        for item in range(3):
            tx.send(item)
        tx.close()

    given: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with thread(consume, given.put), potok.scope(on=on) as s:
        s.start(produce, given.get())


@innocent(*BOTH)
def end_of_an_expression(on: str) -> None:
    """The sender is but a value between two calls of one expression of a foreign thread."""

    def make(give: Given) -> potok.Sender[str]:
        tx, rx = potok.channel()
        give(rx)
        return tx

    def slow_text() -> str:
        time.sleep(LOOKS_STUCK)
        return "late"

    answer(lambda give: make(give).send(slow_text()), on)


@innocent(*BOTH)
def end_in_a_closure(on: str) -> None:
    """The foreign thread has a function, and that has the sender."""

    def make(give: Given) -> Callable[[], None]:
        tx, rx = potok.channel()
        give(rx)
        return lambda: tx.send("late")

    def hold(give: Given) -> None:
        send = make(give)
        time.sleep(LOOKS_STUCK)
        send()

    answer(hold, on)


@innocent(*BOTH)
def end_in_a_container(on: str) -> None:
    """The sender is deep in what the foreign thread has: a dict of lists of objects with slots."""

    class Address:
        __slots__ = ("tx",)

        def __init__(self, tx: potok.Sender[str]) -> None:
            self.tx = tx

    def hold(give: Given) -> None:
        tx, rx = potok.channel()
        book = {"peers": [Address(tx)]}
        give(rx)
        del tx, rx
        time.sleep(LOOKS_STUCK)
        book["peers"][0].tx.send("late")

    answer(hold, on)


_registered: dict[str, potok.Sender[str]] = {}


@innocent(*BOTH)
def end_in_a_global(on: str) -> None:
    """The sender is in a registry of the module; the foreign thread will look it up later."""

    def hold(give: Given) -> None:
        _registered["tx"], rx = potok.channel()
        give(rx)
        del rx
        time.sleep(LOOKS_STUCK)
        _registered.pop("tx").send("late")

    answer(hold, on)


_context: contextvars.ContextVar[potok.Sender[str]] = contextvars.ContextVar("_context")
_local = threading.local()


@innocent(*BOTH)
def end_in_a_context_variable(on: str) -> None:
    """The sender is the value of a ContextVar in the foreign thread's context."""

    def hold(give: Given) -> None:
        tx, rx = potok.channel()
        _context.set(tx)
        give(rx)
        del tx, rx
        time.sleep(LOOKS_STUCK)
        _context.get().send("late")

    answer(hold, on)


@innocent(*BOTH)
def end_in_a_thread_local(on: str) -> None:
    """The sender is an attribute of a threading.local, in the foreign thread."""

    def hold(give: Given) -> None:
        _local.tx, rx = potok.channel()
        give(rx)
        del rx
        time.sleep(LOOKS_STUCK)
        _local.tx.send("late")
        del _local.tx

    answer(hold, on)


@innocent(*BOTH)
def end_in_a_generator(on: str) -> None:
    """A suspended generator has the sender; the foreign thread that will resume it does something else first."""

    def replies(give: Given) -> Iterator[None]:
        tx, rx = potok.channel()
        give(rx)
        del rx
        yield
        tx.send("late")

    def hold(give: Given) -> None:
        steps = replies(give)
        next(steps)
        time.sleep(LOOKS_STUCK)
        list(steps)

    answer(hold, on)


@innocent(*BOTH)
def end_in_a_caught_error(on: str) -> None:
    """The foreign thread has caught an error, whose traceback leads to the frame that has the sender."""

    def fail(give: Given) -> None:
        tx, rx = potok.channel()
        give(rx)
        del rx
        raise LookupError(tx)

    def hold(give: Given) -> None:
        try:
            fail(give)
        except LookupError as error:
            time.sleep(LOOKS_STUCK)
            error.args[0].send("late")

    answer(hold, on)


@innocent(*BOTH)
def end_in_a_queue(on: str) -> None:
    """The sender is an item of a queue.Queue that nobody has taken yet: a foreign thread will."""
    post: queue.Queue[potok.Sender[str]] = queue.Queue()

    def hold(give: Given) -> None:
        tx, rx = potok.channel()
        post.put(tx)
        give(rx)
        del tx, rx
        time.sleep(LOOKS_STUCK)
        post.get().send("late")

    answer(hold, on)


@innocent(*BOTH)
def end_in_a_channel(on: str) -> None:
    """The sender is an item in the buffer of another channel, whose receiver a foreign thread has."""

    def hold(give: Given) -> None:
        tx, rx = potok.channel()
        post, box = potok.channel(1)
        post.send(tx)
        tx.close()
        give(rx)
        del tx, rx
        time.sleep(LOOKS_STUCK)
        box.recv().send("late")

    answer(hold, on)


@innocent(*BOTH)
def end_in_a_pool(on: str) -> None:
    """A ThreadPoolExecutor has the sender, as an argument of what it will do when it has done something else."""
    tx, rx = potok.channel()
    with ThreadPoolExecutor(1) as pool, potok.scope(on=on) as s:
        pool.submit(time.sleep, LOOKS_STUCK)
        pool.submit(tx.send, "late")
        del tx
        assert s.start(rx.recv).result() == "late"


# ── who is finalized ────────────────────────────────────────────────────────────────────────────────────────


class Farewell:
    """Sends as it is collected."""

    def __init__(self, tx: potok.Sender[str]) -> None:
        self._tx = tx

    def __del__(self) -> None:
        self._tx.send_nowait("late")


@innocent(*BOTH)
def finalizer_that_sends(on: str) -> None:
    """The sender is with an object that a foreign thread drops; its `__del__` sends."""

    def hold(give: Given) -> None:
        tx, rx = potok.channel(1)
        farewell = Farewell(tx)
        give(rx)
        del tx, rx
        time.sleep(LOOKS_STUCK)
        del farewell

    answer(hold, on)


@innocent(*BOTH)
def weakref_finalizer_that_sends(on: str) -> None:
    """The same by `weakref.finalize`: the sender is among its arguments."""

    class Owner:
        pass

    def hold(give: Given) -> None:
        tx, rx = potok.channel(1)
        owner = Owner()
        weakref.finalize(owner, tx.send_nowait, "late")
        give(rx)
        del tx, rx
        time.sleep(LOOKS_STUCK)
        del owner

    answer(hold, on)


@innocent(*BOTH)
def end_in_garbage(on: str) -> None:
    """Nobody has the sender any more but a cycle of garbage: it is closed when a foreign thread collects that."""

    class Owner:
        def __init__(self, tx: potok.Sender[str]) -> None:
            self.tx, self.itself = tx, self

    def litter(give: Given) -> None:
        tx, rx = potok.channel()
        Owner(tx)
        give(rx)

    def hold(give: Given) -> None:
        litter(give)
        time.sleep(LOOKS_STUCK)
        gc.collect()

    given: queue.SimpleQueue[Any] = queue.SimpleQueue()
    with thread(hold, given.put), potok.scope(on=on) as s:
        assert s.start(list, given.get()).result() == []
