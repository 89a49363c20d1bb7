"""What looks stuck, though somebody is at work where one would not look: finalizers, callbacks, potok's own threads."""

import asyncio
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Self

from catalogue import LOOKS_STUCK, innocent, thread

import potok

BOTH = ("threads", "coroutines")


class Client:
    """A peer with both ends of its mailbox, known to others by weak references only."""

    def __init__(self) -> None:
        self.address, self.mail = potok.channel(1)


@innocent(*BOTH)
def end_behind_a_weak_reference(on: str) -> None:
    """Only the task that receives has the sender; a foreign thread will find it in a WeakSet of all clients."""
    clients: weakref.WeakSet[Client] = weakref.WeakSet()
    ready = threading.Event()

    def receive() -> None:
        me = Client()
        clients.add(me)
        ready.set()
        assert me.mail.recv() == "late"

    def announce() -> None:
        ready.wait()
        time.sleep(LOOKS_STUCK)
        for client in list(clients):
            client.address.send("late")

    with thread(announce), potok.scope(on=on) as s:
        s.start(receive)


@innocent(*BOTH)
def variable_that_was_bound_anew(on: str) -> None:
    """A `with` block of one client in which the variable gets another one, which a foreign thread knows, too."""

    class Session(Client):
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self.address.close()

    given: list[Session] = []
    ready = threading.Event()

    def receive() -> None:
        session = Session()
        with session:
            session = Session()
            given.append(session)
            ready.set()
            assert session.mail.recv() == "late"

    def answer() -> None:
        ready.wait()
        session = given.pop()
        time.sleep(LOOKS_STUCK)
        session.address.send("late")

    with thread(answer), potok.scope(on=on) as s:
        s.start(receive)


@innocent(*BOTH)
def call_that_was_kept(on: str) -> None:
    """A foreign thread has the function and the arguments that a task was started with, in a tuple of its own."""

    def receive(client: Client) -> None:
        assert client.mail.recv() == "late"

    def run(on: str) -> None:
        call = (receive, Client())
        task = potok.start(*call, on=on)
        time.sleep(LOOKS_STUCK)
        call[1].address.send("late")
        task.join()

    with thread(run, on):
        pass


@innocent(*BOTH)
def variable_of_two_closures(on: str) -> None:
    """A foreign thread has the client in a variable for a function that it has not made yet; so has the task."""
    given: queue.SimpleQueue[Client] = queue.SimpleQueue()

    def receive() -> None:
        client = Client()

        def take() -> None:
            assert client.mail.recv() == "late"

        given.put(client)
        take()

    def answer() -> None:
        client = given.get()
        time.sleep(LOOKS_STUCK)
        send = lambda: client.address.send("late")  # noqa: E731 - made this late
        send()

    with thread(answer), potok.scope(on=on) as s:
        s.start(receive)


@innocent()
def busy_body_beside_a_parked_thread() -> None:
    """The body carries a coroutine that waits, and is busy itself, outside of potok; a thread waits, too."""
    event = potok.Event()
    with potok.scope(on="coroutines") as s:
        s.start(event.wait)
        s.start(event.wait, on="threads")
        potok.sleep(0.01)  # both get to wait
        time.sleep(LOOKS_STUCK)
        event.set()


@innocent()
def timer_in_the_loop_of_the_root() -> None:
    """A task has left a timer in its loop, and has ended: no task is left but the one that waits."""
    event = potok.Event()

    async def leave_a_timer() -> None:
        asyncio.get_running_loop().call_later(LOOKS_STUCK, event.set)

    potok.start(leave_a_timer, on="coroutines").join()
    event.wait()


@innocent()
def task_of_asyncio_in_the_loop_of_the_root() -> None:
    """A task has left a task of asyncio's in its loop, which potok knows nothing of: it sleeps, then it sets."""
    event = potok.Event()
    kept: list[Any] = []

    async def set_late() -> None:
        await asyncio.sleep(LOOKS_STUCK)
        event.set()

    async def leave_a_task() -> None:
        kept.append(asyncio.create_task(set_late()))

    potok.start(leave_a_task, on="coroutines").join()
    event.wait()


class Connection:
    """Gives back its permit as it is collected, slowly: it says good-bye over the network."""

    def __init__(self, permits: potok.Semaphore) -> None:
        self._permits = permits

    def __del__(self) -> None:
        time.sleep(LOOKS_STUCK)
        self._permits.release()


@innocent(*BOTH)
def finalizer_of_an_argument(on: str) -> None:
    """The task has ended; its argument is being finalized in its thread, and somebody waits for what that releases."""
    permits = potok.Semaphore(0)

    def use(connection: Connection) -> None:
        pass

    with potok.scope(on=on) as s:
        s.start(use, Connection(permits))
        permits.acquire()


@innocent(*BOTH)
def finalizer_of_a_local(on: str) -> None:
    """The same with an object that the task itself has made."""
    permits = potok.Semaphore(0)

    def use() -> None:
        Connection(permits)

    with potok.scope(on=on) as s:
        s.start(use)
        permits.acquire()


@innocent("threads", "coroutines", "processes")
def callback_of_a_future(on: str) -> None:
    """The call is done, and the callback of its future is at work, in a thread of the executor's."""
    event = potok.Event()

    def called_back(_: object) -> None:
        time.sleep(LOOKS_STUCK)
        event.set()

    with potok.FuturesExecutor(on=on, workers=1) as pool:
        pool.submit(int, "1").add_done_callback(called_back)
        event.wait()


def idle_for(seconds: float) -> None:
    time.sleep(seconds)


def slowly(numbers: list[int], seconds: float) -> None:
    time.sleep(seconds)
    numbers.append(1)


@innocent()
def function_that_runs_at_home() -> None:
    """A worker waits for a function that it sent to a shared object here: a thread of potok's is at work on it."""

    def work(shared: "potok.Shared[list[int]]", event: potok.Event) -> None:
        shared.atomic(slowly, LOOKS_STUCK)
        event.set()

    shared, event = potok.share([]), potok.Event()
    with potok.scope(on="processes") as s:
        s.start(work, shared, event)
        event.wait()


@innocent()
def worker_with_a_slow_initializer() -> None:
    """The worker that will set the event is not ready yet: its initializer is at work."""
    slow = potok.processes(initializer=_initializer)
    event = potok.Event()
    with potok.scope(on="threads") as s:
        s.start(event.wait)
        s.start(event.set, on=slow)


def _initializer() -> None:
    time.sleep(LOOKS_STUCK)


@innocent("threads", "coroutines", "processes")
def slow_consumer_of_a_map(on: str) -> None:
    """The tasks of a map wait for whoever reads its results, and who is busy with one of them."""
    for _ in potok.map(abs, range(8), on=on, workers=2, window=2, batch=1):
        time.sleep(LOOKS_STUCK / 4)


@innocent("threads", "coroutines", "processes")
def slow_source_of_a_map(on: str) -> None:
    """The tasks of a map wait for its input, which comes slowly."""

    def numbers() -> Iterator[int]:
        for number in range(3):
            time.sleep(LOOKS_STUCK / 2)
            yield number

    assert list(potok.map(abs, numbers(), on=on, workers=2, batch=1)) == [0, 1, 2]


@innocent(*BOTH)
def slow_stage_of_a_pipeline(on: str) -> None:
    """All stages of a pipeline wait for the one in the middle."""

    def slow(number: int) -> int:
        time.sleep(LOOKS_STUCK / 2)
        return number

    stages = potok.pipeline(range(3)).map(abs, on=on).map(slow, on="threads", workers=1).map(abs, on=on)
    assert sorted(stages) == [0, 1, 2]


@innocent("threads", "coroutines", "processes")
def idle_executor(on: str) -> None:
    """Nobody has anything to do for the workers of a FuturesExecutor; then somebody has."""
    with potok.FuturesExecutor(on=on, workers=2) as pool:
        pool.submit(abs, 1).result()
        time.sleep(LOOKS_STUCK)
        assert pool.submit(abs, 2).result() == 2


@innocent(*BOTH)
def watched_by_a_task(on: str) -> None:
    """Nobody sets the event; a task that computes for now will cancel who waits for it."""

    def watch(task: "potok.Task[Any]", stop: Callable[[], None]) -> None:
        until = time.monotonic() + LOOKS_STUCK
        while time.monotonic() < until:
            sum(range(1000))
        task.cancel("enough")
        stop()

    event, stopped = potok.Event(), potok.Event()
    with potok.scope(on=on) as s:
        waiting = s.start(event.wait)
        s.start(watch, waiting, stopped.set)
        stopped.wait()
