"""What surrounds a task: context variables, garbage, signal handlers and finalizers that interrupt potok itself."""

import gc
import signal
import threading
import weakref
from contextvars import ContextVar, copy_context
from typing import Any

import pytest

import potok
from potok.testing import Sequencer
from potok.testing.conformance.bodies import receive_one, send_each
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs

request_id: ContextVar[str] = ContextVar("request_id", default="unset")

INTERRUPTIONS = 10_000


@needs("one address space")
def test_context_is_copied_to_the_task(play: Play) -> None:
    """A task sees the variables as they were when it was started, and what it sets stays its own."""

    async def look(do: Do) -> list[str]:
        seen = [request_id.get()]
        request_id.set("the task's")
        await do.sleep(0)
        return [*seen, request_id.get()]

    async def body(do: Do) -> None:
        request_id.set("the body's")
        async with do.scope() as s:
            first = s.start(look)
            request_id.set("later")
            second = s.start(look)
            assert await do.result(first) == ["the body's", "the task's"]
            assert await do.result(second) == ["later", "the task's"]
        assert request_id.get() == "later"

    copy_context().run(play, body)


@needs("parking", "one address space")
def test_context_of_siblings_is_kept_apart_while_they_take_turns(play: Play) -> None:
    """Tasks that park and go on in turn, in one thread or several, each keep their own."""

    async def keep(do: Do, rx: potok.Receiver[None], name: str) -> list[str]:
        request_id.set(name)
        seen = []
        for _ in range(5):
            await do.recv(rx)
            seen.append(request_id.get())
        return seen

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        async with do.scope() as s:
            tasks = [s.start(keep, rx.clone(), f"task {n}") for n in range(4)]
            for _ in range(20):
                await do.send(tx, None)
            for number, task in enumerate(tasks):
                assert await do.result(task) == [f"task {number}"] * 5

    copy_context().run(play, body)


@needs("parking", "one address space")
def test_context_of_an_earlier_task_does_not_leak_into_a_later(play: Play) -> None:
    """Threads and greenlets are reused; what one task set is gone for the next."""

    async def set_it(do: Do) -> str:
        before = request_id.get()
        request_id.set("left behind")
        await do.sleep(0)
        return before

    async def body(do: Do) -> list[str]:
        seen = []
        for _ in range(5):
            async with do.scope() as s:
                tasks = [s.start(set_it) for _ in range(3)]
            seen += [await do.result(task) for task in tasks]
        return seen

    assert copy_context().run(play, body) == ["unset"] * 15


@needs("parking", "one address space")
def test_sequencer_orders_steps_of_several_tasks(play: Play) -> None:
    """`potok.testing.Sequencer`: blocks run in the order of their numbers, whoever comes first."""
    order = Record()

    async def walk(do: Do, sequence: Sequencer, *numbers: int) -> None:
        for number in numbers:
            async with do.step(sequence, number):
                order.append(number)

    async def body(do: Do) -> None:
        sequence = Sequencer()
        async with do.scope() as s:
            s.start(walk, sequence, 1, 4)
            s.start(walk, sequence, 2, 5)
            s.start(walk, sequence, 0, 3)

    play(body)
    assert order == [0, 1, 2, 3, 4, 5]


def test_finished_task_holds_no_arguments_and_no_context(play: Play) -> None:
    """What a task worked on is free for the collector once it has ended, though somebody keeps the task."""

    class Load:
        """Something that can be referred to weakly."""

    async def use(do: Do, load: Load) -> None:
        await do.sleep(0)

    async def body(do: Do) -> None:
        load = Load()
        ref = weakref.ref(load)
        async with do.scope() as s:
            task = s.start(use, load)
        del load
        gc.collect()
        assert task.done()
        assert ref() is None

    play(body)


@needs("parking", "one address space")
def test_received_item_is_not_kept_by_the_channel(play: Play) -> None:
    """A channel, and a parked task that was served, hold no reference to items that were handed over."""

    class Load:
        """Something that can be referred to weakly."""

    async def take(do: Do, rx: potok.Receiver[Any]) -> object:
        return weakref.ref(await do.recv(rx))

    async def body(do: Do) -> None:
        for capacity in (0, 1):
            tx, rx = potok.channel(capacity)
            async with do.scope() as s:
                task = s.start(take, rx.clone())
                await do.all_parked()
                await do.send(tx, Load())
                ref = await do.result(task)
            gc.collect()
            assert ref() is None

    play(body)


def test_tasks_do_not_pile_up_as_garbage(play: Play) -> None:
    """After a scope has ended, its tasks are free for the collector, but for a few that an idle carrier remembers."""

    async def body(do: Do) -> int:
        refs: list[Any] = []
        for _ in range(30):
            async with do.scope() as s:
                refs += [weakref.ref(s.start(send_each, potok.channel(1)[0])) for _ in range(10)]
        gc.collect()
        return sum(ref() is not None for ref in refs)

    assert play(body) <= 100


class Finalized:
    """Does something when it is collected, in the middle of whatever runs then."""

    def __init__(self, action: Any) -> None:
        self._action = action
        self._cycle = self  # so that the collector finds it, not the reference count

    def __del__(self) -> None:
        self._action()


@needs("parking", "one address space")
def test_finalizers_may_use_the_channel_they_interrupt(play: Play) -> None:
    """`__del__` and weakref callbacks that send and close, from a collector that runs at every allocation or so."""
    told_tx, told = potok.channel(potok.UNBOUNDED)
    rounds = 300

    def interrupt() -> None:
        told_tx.send_nowait("finalized")

    refs = []

    async def body(do: Do) -> int:
        got = 0
        async with do.scope() as s:
            tx, rx = potok.channel(3)
            s.start(send_each, tx, *range(rounds))
            async for _ in do.each(rx):
                garbage = Finalized(interrupt)
                refs.append(weakref.ref(garbage, lambda _: told_tx.send_nowait("called back")))
                del garbage
                await do.send(told_tx, "sent")
                got += 1
        return got

    thresholds = gc.get_threshold()
    gc.set_threshold(1)
    try:
        assert play(body) == rounds
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    told_tx.close()
    counted = list(told)
    told.close()
    assert [counted.count(kind) for kind in ("sent", "finalized", "called back")] == [rounds] * 3


class Signals:
    """Sends this process a signal at intervals, from a thread of its own, until enough were handled."""

    def __init__(self, handler: Any, seconds: float) -> None:
        self._handler = handler
        self._seconds = seconds
        self.count = 0

    def _handle(self, *_: object) -> None:
        self.count += 1
        self._handler()

    def __enter__(self) -> "Signals":  # noqa: PYI034 - one of a kind
        self._former = signal.signal(signal.SIGALRM, self._handle)
        self._timer = signal.setitimer(signal.ITIMER_REAL, self._seconds, self._seconds)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, *self._timer)
        signal.signal(signal.SIGALRM, self._former)


def interruptible() -> bool:
    return hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()


@pytest.mark.stress
@needs("parking", "one address space")
def test_signal_handlers_may_use_what_they_interrupt(play: Play) -> None:
    """A handler that sends on the very channel that the interrupted code works with: all arrives, nothing hangs."""
    if not interruptible():
        pytest.skip("signals are handled in the main thread of a system that has timers")
    tx, rx = potok.channel(potok.UNBOUNDED)
    lock, event = potok.Lock(), potok.Event()

    def handler() -> None:
        tx.send_nowait("signal")
        event.set()

    signals = Signals(handler, 0.0003)

    async def body(do: Do) -> int:
        sent = 0
        while signals.count < 200:
            await do.send(tx, "task")
            sent += 1
            async with do.block(lock):
                event.clear()
            await do.select(rx, event)
        return sent

    with signals:
        sent = play(body)
    tx.close()
    rest = len(list(rx))
    rx.close()
    assert rest <= sent + signals.count


@needs(hosts={"thread"})  # one thread's own code is enough: the machines are the same everywhere
def test_operations_interrupt_themselves_ten_thousand_times(play: Play) -> None:
    """Operations called from inside others, in the same thread, at every line of the machine in turn: all take effect.

    A trace function stands for the signal handler: it calls in where a signal could, only that it never misses a line.
    """
    import sys

    tx, rx = potok.channel(potok.UNBOUNDED)
    count = 0
    inside = False

    def interrupt(frame: Any, event: str, arg: object) -> Any:
        nonlocal count, inside
        if inside or count >= INTERRUPTIONS or not frame.f_globals.get("__name__", "").startswith("potok."):
            return interrupt
        if "testing" in frame.f_globals["__name__"]:
            return None
        inside = True
        try:
            tx.send_nowait("interruption")
            count += 1
        finally:
            inside = False
        return interrupt

    def work() -> int:
        sent = 0
        former = sys.gettrace()
        while count < INTERRUPTIONS:
            sys.settrace(interrupt)
            try:
                tx.send_nowait("work")
            finally:
                sys.settrace(former)
            sent += 1
        return sent

    play.on  # noqa: B018 - skips where this can't be hosted
    sent = work()
    tx.close()
    got = list(rx)
    rx.close()
    assert got.count("work") == sent
    assert got.count("interruption") == count >= INTERRUPTIONS


@needs("parking", hosts={"thread"})
def test_handler_that_raises_leaves_the_wait_clean(play: Play) -> None:
    """A signal handler's exception leaves a blocking operation; nothing was taken, and the channel goes on working."""
    if not interruptible():
        pytest.skip("signals are handled in the main thread of a system that has timers")

    class AlarmError(Exception):
        """Raised by the handler."""

    def handler() -> None:
        raise AlarmError

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        with pytest.raises(AlarmError), Signals(handler, 0.02):
            await do.recv(rx)
        async with do.scope() as s:
            task = s.start(receive_one, rx.clone())
            await do.all_parked()
            await do.send(tx, "later")
            return await do.result(task)

    assert play(body) == "later"
