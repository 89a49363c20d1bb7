"""What looks stuck and is not, as somebody in it waits with a deadline, in whatever spelling."""

import asyncio
import queue

from catalogue import LOOKS_STUCK, innocent, raising

import potok

BOTH = ("threads", "coroutines")
ALL = (*BOTH, "processes")


@innocent(*ALL)
def rlock_cycle_with_a_timeout(on: str) -> None:
    """Two RLocks in opposite order; one of the two gives up in time, the other waits without a deadline."""

    def patient(first: potok.RLock, second: potok.RLock, met: potok.Barrier) -> None:
        with first:
            met.wait()
            with second:
                pass

    def hasty(first: potok.RLock, second: potok.RLock, met: potok.Barrier) -> None:
        with first:
            met.wait()
            assert not second.acquire(timeout=LOOKS_STUCK)

    here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)
    with potok.scope(on=on) as s:
        s.start(patient, here, there, met)
        s.start(hasty, there, here, met)


@innocent(*BOTH)
def rlock_cycle_that_is_tried_again(on: str) -> None:
    """Two RLocks in opposite order, tried with short time-outs over and over, until one of the two gives way."""
    here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)

    def take(first: potok.RLock, second: potok.RLock, tries: int) -> None:
        with first:
            met.wait()
            for _ in range(tries):
                if second.acquire(timeout=LOOKS_STUCK / 4):
                    second.release()
                    return

    with potok.scope(on=on) as s:
        s.start(take, here, there, 4)
        s.start(take, there, here, 100)


@innocent(*ALL)
def send_cycle_under_potok_timeout(on: str) -> None:
    """Both send first over rendezvous channels; one of them does so inside `potok.timeout`."""

    def firm(tx: "potok.Sender[int]", rx: "potok.Receiver[int]") -> None:
        tx.send(1)
        rx.recv()

    def hasty(tx: "potok.Sender[int]", rx: "potok.Receiver[int]") -> None:
        with raising(TimeoutError), potok.timeout(LOOKS_STUCK):
            tx.send(1)
        rx.recv()
        tx.send(2)

    to_right, from_left = potok.channel()
    to_left, from_right = potok.channel()
    with potok.scope(on=on) as s:
        s.start(firm, to_right, from_right)
        s.start(hasty, to_left, from_left)


@innocent(*BOTH)
def scope_under_potok_timeout(on: str) -> None:
    """The deadline is set around the whole scope: its tasks have it, too."""

    def wait(event: potok.Event) -> None:
        event.wait()

    with raising(TimeoutError), potok.timeout(LOOKS_STUCK), potok.scope(on=on) as s:
        s.start(wait, potok.Event())


@innocent(*BOTH)
def select_with_after(on: str) -> None:
    """The only arm but the timer is a channel whose sender the same task has."""

    def choose() -> None:
        tx, rx = potok.channel()
        late = potok.after(LOOKS_STUCK)
        assert potok.select(rx, late).arm is late
        tx.close()

    with potok.scope(on=on) as s:
        s.start(choose)


@innocent(*BOTH)
def operations_with_timeouts(on: str) -> None:
    """Each in a task of its own: what takes `timeout=`."""
    lock, full = potok.Lock(), potok.Queue[int](1)
    lock.acquire()
    full.put(0)
    seconds = LOOKS_STUCK

    def condition() -> None:
        told = potok.Condition()
        with told:
            assert not told.wait(seconds)

    def receive() -> None:
        tx, rx = potok.channel()
        with tx, rx, raising(TimeoutError):
            rx.recv(seconds)

    def send() -> None:
        tx, rx = potok.channel()
        with tx, rx, raising(TimeoutError):
            tx.send(0, seconds)

    def poll() -> None:
        ours, theirs = potok.pipe()
        with ours, theirs:
            assert not ours.poll(seconds)

    def select() -> None:
        with raising(TimeoutError):
            potok.select(potok.Event(), timeout=seconds)

    def get() -> None:
        with raising(queue.Empty):
            potok.Queue().get(timeout=seconds)

    def put() -> None:
        with raising(queue.Full):
            full.put(1, timeout=seconds)

    def barrier() -> None:
        with raising(potok.BrokenBarrierError):
            potok.Barrier(2).wait(seconds)

    with potok.scope(on=on) as s:
        for operation in (condition, receive, send, poll, select, get, put, barrier):
            s.start(operation)
        s.start(lambda: lock.acquire(timeout=seconds))
        s.start(lambda: potok.Semaphore(0).acquire(timeout=seconds))
        s.start(lambda: potok.Event().wait(seconds))


@innocent(*BOTH)
def join_with_a_timeout(on: str) -> None:
    """Two tasks wait for each other's end; one of them not for ever."""
    others: list[potok.Task[None]] = []
    known = potok.Event()

    def patient() -> None:
        known.wait()
        others[1].join()

    def hasty() -> None:
        known.wait()
        assert not others[0].join(timeout=LOOKS_STUCK / 2)
        with raising(TimeoutError):
            others[0].result(timeout=LOOKS_STUCK / 2)

    with potok.scope(on=on) as s:
        others += [s.start(patient), s.start(hasty)]
        known.set()


@innocent(*ALL)
def sleeping_with_the_lock_held(on: str) -> None:
    """Everybody waits for the RLock of one who sleeps."""

    def hold(lock: potok.RLock, held: potok.Event) -> None:
        with lock:
            held.set()
            potok.sleep(LOOKS_STUCK)

    def want(lock: potok.RLock, held: potok.Event) -> None:
        held.wait()
        with lock:
            pass

    lock, held = potok.RLock(), potok.Event()
    with potok.scope(on=on) as s:
        for function in (hold, want, want):
            s.start(function, lock, held)


@innocent(*BOTH)
def slow_subscriber(on: str) -> None:
    """The senders of a broadcast wait for its slowest subscriber, who sleeps between its items."""

    def read(rx: "potok.Subscriber[int]", seconds: float) -> None:
        for _ in rx:
            potok.sleep(seconds)

    tx, subscribe = potok.broadcast(1)
    with potok.scope(on=on) as s:
        s.start(read, subscribe(), 0)
        s.start(read, subscribe(), LOOKS_STUCK / 3)
        with tx:
            for item in range(4):
                tx.send(item)


@innocent()
def cycle_under_asyncio_timeout() -> None:
    """A task of asyncio's receives what only itself could send, inside `asyncio.timeout`: a deadline of its loop."""

    async def main() -> None:
        tx, rx = potok.channel()
        with raising(TimeoutError):
            async with asyncio.timeout(LOOKS_STUCK):
                await rx.arecv()
        tx.close()

    asyncio.run(main())


@innocent()
def rlock_cycle_under_asyncio_wait_for() -> None:
    """Two RLocks in opposite order between tasks of asyncio's; one waits by `asyncio.wait_for`."""

    async def main() -> None:
        here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)

        async def patient() -> None:
            async with here:
                await met.await_()
                async with there:
                    pass

        async def hasty() -> None:
            async with there:
                await met.await_()
                with raising(TimeoutError):
                    await asyncio.wait_for(here.aacquire(), LOOKS_STUCK)

        async with asyncio.TaskGroup() as group:
            group.create_task(patient())
            group.create_task(hasty())

    asyncio.run(main())


@innocent()
def rlock_cycle_in_a_group_under_asyncio_timeout() -> None:
    """Two RLocks in opposite order between tasks of a TaskGroup; the time-out is around the group, in their parent."""

    async def main() -> None:
        here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)

        async def take_both(first: potok.RLock, second: potok.RLock) -> None:
            async with first:
                await met.await_()
                async with second:
                    pass

        with raising(TimeoutError):
            async with asyncio.timeout(LOOKS_STUCK), asyncio.TaskGroup() as group:
                group.create_task(take_both(here, there))
                group.create_task(take_both(there, here))

    asyncio.run(main())


@innocent()
def send_cycle_in_a_scope_under_asyncio_wait_for() -> None:
    """Both send first in a scope of potok's; the task of asyncio's that the scope is in was given so much time."""

    async def main() -> None:
        async def send_first(tx: "potok.Sender[int]", rx: "potok.Receiver[int]") -> None:
            await tx.asend(1)
            await rx.arecv()

        async def swap() -> None:
            to_right, from_left = potok.channel()
            to_left, from_right = potok.channel()
            async with potok.scope() as s:
                s.start(send_first, to_right, from_right)
                s.start(send_first, to_left, from_left)

        with raising(TimeoutError):
            await asyncio.wait_for(swap(), LOOKS_STUCK)

    asyncio.run(main())


@innocent()
def all_wait_with_deadlines_under_run() -> None:
    """Coroutines under potok.run: one asleep, one with a time-out, one under a deadline; one waits for all of them."""

    async def main() -> None:
        async def forlorn() -> None:
            with raising(TimeoutError), potok.timeout(LOOKS_STUCK):
                await potok.Event()

        async with potok.scope() as s:
            s.start(potok.asleep, LOOKS_STUCK)
            s.start(potok.Event().await_, LOOKS_STUCK)
            await s.start(forlorn)

    potok.run(main)
