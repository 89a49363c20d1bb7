"""Threads and asyncio tasks that potok did not start take part as equals; plain code inside a running loop, too."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, Self

import pytest

import potok
from potok.testing import wait_all_parked
from potok.testing.conformance.bodies import park, receive_all, receive_one, send_each
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs

JOIN_SECONDS = 10.0


class Threads:
    """Threads of a test's own; leaving the block joins them and raises what they raised."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []

    def start(self, function: Callable[..., Any], *args: Any) -> None:
        def run() -> None:
            try:
                function(*args)
            except BaseException as error:  # noqa: BLE001 - raised in the test
                self._errors.append(error)

        thread = threading.Thread(target=run)
        self._threads.append(thread)
        thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
            assert not thread.is_alive()
        if self._errors:
            raise self._errors[0]


@needs("parking", "other threads")
def test_foreign_thread_sends_to_a_task(play: Play) -> None:
    """A plain thread sends, a task of the executor receives."""
    tx, rx = potok.channel()

    def produce() -> None:
        with tx:
            for item in range(20):
                tx.send(item)

    async def body(do: Do) -> list[int]:
        with Threads() as threads:
            threads.start(produce)
            return [item async for item in do.each(rx)]

    assert play(body) == list(range(20))


@needs("parking", "other threads")
def test_foreign_thread_receives_from_a_task(play: Play) -> None:
    """The other way round, through a buffer that makes the task wait."""
    got = Record()
    tx, rx = potok.channel(2)

    def consume() -> None:
        got.extend(rx)

    async def body(do: Do) -> None:
        with Threads() as threads:
            threads.start(consume)
            with tx:
                for item in range(20):
                    await do.send(tx, item)

    play(body)
    assert got == list(range(20))


@needs("parking", "other threads")
def test_foreign_thread_selects_and_locks(play: Play) -> None:
    """`select`, locks, events and queues of a plain thread, against tasks."""
    lock, event, queue = potok.Lock(), potok.Event(), potok.Queue[str]()
    tx, rx = potok.channel()
    told = Record()

    def thread() -> None:
        told.append(potok.select(rx, event).value)
        with lock:
            told.append("locked")
        told.append(queue.get())
        event.wait()

    async def body(do: Do) -> None:
        with Threads() as threads:
            async with do.block(lock):
                threads.start(thread)
                await do.send(tx, "an item")
            await do.call(queue, "put", "queued")
            event.set()

    play(body)
    assert told == ["an item", "locked", "queued"]


@needs("parking", "other threads")
def test_foreign_thread_wakes_a_parked_executor(play: Play) -> None:
    """Everybody sleeps, and a thread from outside wakes one of them: no wake is lost."""

    async def body(do: Do) -> list[object]:
        got = []
        for item in range(20):
            tx, rx = potok.channel()

            def send(tx: potok.Sender[int] = tx, item: int = item) -> None:
                wait_all_parked()
                tx.send_nowait(item)

            async with do.scope() as s:
                task = s.start(receive_one, rx)
                with Threads() as threads:
                    threads.start(send)
                    got.append(await do.result(task))
        return got

    assert play(body) == list(range(20))


@needs("parking", "other threads")
def test_foreign_thread_cancels_a_scope(play: Play) -> None:
    """`cancel` works from anywhere."""

    async def body(do: Do) -> str:
        with Threads() as threads:
            async with do.scope() as s:
                s.start(park)
                await do.all_parked()
                threads.start(s.cancel, "from outside")
                await do.forever()
        return "ended"

    assert play(body) == "ended"


@needs("parking", "other threads")
def test_foreign_thread_opens_a_scope(play: Play) -> None:
    """A plain thread runs tasks on the executor, and waits for them."""
    told = Record()

    def thread() -> None:
        tx, rx = potok.channel()
        with potok.scope(on=play.on) as s:
            s.start(play.do.task(send_each), tx, 1, 2, 3)
            told.extend(rx)

    play.on  # noqa: B018 - skips where this can't be hosted
    with Threads() as threads:
        threads.start(thread)
    assert told == [1, 2, 3]


@needs("parking", "event loop", "other threads")
def test_foreign_loop_talks_to_tasks(play: Play) -> None:
    """Plain asyncio tasks, in a loop that potok knows nothing of, send to and receive from tasks of the executor."""
    there, here = potok.channel(), potok.channel()

    async def client() -> list[int]:
        (tx, _), (_, rx) = there, here

        async def feed() -> None:
            async with tx:
                for item in range(10):
                    await tx.asend(item)

        feeding = asyncio.create_task(feed())
        got = [item async for item in rx]
        await feeding
        return got

    async def serve(do: Do, rx: potok.Receiver[int], tx: potok.Sender[int]) -> None:
        async for item in do.each(rx):
            await do.send(tx, item * item)

    told = Record()

    async def body(do: Do) -> None:
        with Threads() as threads:
            threads.start(lambda: told.extend(asyncio.run(client())))
            async with do.scope() as s:
                s.start(serve, there[1], here[0])

    play(body)
    assert told == [item * item for item in range(10)]


@needs("parking", "event loop")
def test_plain_code_inside_a_running_loop(play: Play) -> None:
    """A notebook cell: plain `with potok.scope()` and `rx.recv()` in the thread whose loop runs."""

    def cell() -> list[int]:
        tx, rx = potok.channel()
        got = []
        with potok.scope(on=play.on) as s:
            s.start(play.do.task(send_each), tx, 1, 2, 3)
            got += [rx.recv(), rx.recv(), rx.recv()]
        return got

    async def notebook() -> list[list[int]]:
        first = cell()
        await asyncio.sleep(0)
        return [first, cell()]

    play.on  # noqa: B018 - skips where this can't be hosted
    assert asyncio.run(notebook()) == [[1, 2, 3], [1, 2, 3]]


@needs("parking", "event loop")
def test_blocking_for_what_the_running_loop_must_do_is_refused(play: Play) -> None:
    """Plain code on a loop that waits for a task of that very loop would hang: BlockingCallError instead."""

    async def on_the_loop() -> None:
        async with potok.scope(on="coroutines") as s:
            task = s.start(play.do.task(park))
            with pytest.raises(potok.BlockingCallError):
                task.result()
            task.cancel()

    play.on  # noqa: B018 - skips where this can't be hosted
    asyncio.run(on_the_loop())


@needs("parking", "event loop")
def test_foreign_asyncio_task_that_is_cancelled_loses_no_item(play: Play) -> None:
    """asyncio's own cancellation of a task that receives: the item it was handed is returned, or nobody took it."""

    async def take(rx: potok.Receiver[int], got: list[int]) -> None:
        while True:
            got.append(await rx.arecv())

    async def main() -> None:
        for rounds in range(30):
            got: list[int] = []
            tx, rx = potok.channel()
            async with potok.scope(on=play.on) as s:
                s.start(play.do.task(send_each), tx, *range(3))
                taking = asyncio.create_task(take(rx.clone(), got))
                for _ in range(rounds % 7):
                    await asyncio.sleep(0)
                taking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await taking
                got += [item async for item in rx]
            assert got == [0, 1, 2]

    play.on  # noqa: B018 - skips where this can't be hosted
    asyncio.run(main())


@needs("parking", "event loop")
def test_foreign_asyncio_task_that_waits_is_listed(play: Play) -> None:
    """`potok.tasks()` shows who waits in potok, adopted or not."""

    async def main() -> None:
        tx, rx = potok.channel(name="adopted")
        waiting = asyncio.create_task(receive_all_of(rx))
        await asyncio.sleep(0)
        assert any("adopted" in info.waits_for for info in potok.tasks())
        tx.close()
        await waiting
        assert not any("adopted" in info.waits_for for info in potok.tasks())

    play.on  # noqa: B018 - skips where this can't be hosted
    asyncio.run(main())


async def receive_all_of(rx: potok.Receiver[Any]) -> list[Any]:
    return [item async for item in rx]


@needs("parking", "event loop")
def test_asyncio_timeout_ends_a_wait_in_potok(play: Play) -> None:
    """`asyncio.timeout` and `wait_for` around potok's operations, in an asyncio task that potok did not start."""

    async def main() -> None:
        _, rx = potok.channel()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(play.do.tick):
                await rx.arecv()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rx.arecv(), play.do.tick)
        with pytest.raises(TimeoutError), potok.timeout(play.do.tick):
            await asyncio.sleep(3600)
        await asyncio.sleep(0)

    play.on  # noqa: B018 - skips where this can't be hosted
    asyncio.run(main())


@needs("parking", "event loop")
def test_asyncio_cancellation_of_a_scopes_host(play: Play) -> None:
    """An asyncio task that is cancelled inside a scope of potok: the tasks end first, then it is cancelled."""
    ended = Record()

    async def wait(do: Do) -> None:
        try:
            await do.forever()
        finally:
            ended.append(1)

    async def hosting(inside: asyncio.Event, waits_in_body: bool) -> None:
        async with potok.scope(on=play.on) as s:
            s.start(play.do.task(wait))
            inside.set()
            if waits_in_body:
                await asyncio.sleep(3600)

    async def main() -> None:
        for waits_in_body in (True, False):
            inside = asyncio.Event()
            host = asyncio.create_task(hosting(inside, waits_in_body))
            await inside.wait()
            await asyncio.sleep(0)
            host.cancel()
            with pytest.raises(asyncio.CancelledError):
                await host

    play.on  # noqa: B018 - skips where this can't be hosted
    asyncio.run(main())
    assert len(ended) <= 2


@needs("parking", "other threads")
def test_all_executors_in_one_scope(play: Play) -> None:
    """Tasks of both colours on threads and coroutines and on the executor under test, in a ring."""
    inside = play.host in {"def", "async"}  # the body is a task of the executor under test itself

    async def hop(do: Do, rx: potok.Receiver[int], tx: potok.Sender[int]) -> None:
        async for item in do.each(rx):
            await do.send(tx, item + 1)

    def plain(rx: potok.Receiver[int], tx: potok.Sender[int]) -> None:
        for item in rx:
            tx.send(item + 1)

    async def awaiting(rx: potok.Receiver[int], tx: potok.Sender[int]) -> None:
        async for item in rx:
            await tx.asend(item + 1)

    async def body(do: Do) -> list[int]:
        async with do.block(potok.scope(on=do.on)) as s:
            first, rx = potok.channel()
            for on in ("threads", "coroutines", do.on):
                asyncs_only = on == "coroutines" and inside and "greenlets" in play.target.lacks
                for function in (awaiting,) * 3 if asyncs_only else (plain, awaiting, do.task(hop)):
                    tx, next_rx = potok.channel()
                    s.start(function, rx.clone(), tx.clone(), on=on)
                    rx.close()
                    tx.close()
                    rx = next_rx
            got = []
            for item in range(5):
                await do.send(first, item)
                got.append(await do.recv(rx))
            first.close()
            assert await receive_all(do, rx) == []
        return got

    assert play(body) == [9, 10, 11, 12, 13]
