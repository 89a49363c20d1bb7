"""asyncio's own tools inside potok's tasks: futures, time-outs, task groups, queues, streams; `await_`."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

import potok
from potok.testing.conformance.bodies import park, receive_one, send_each
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs

asyncs = needs("parking", "event loop")


@asyncs
def test_asyncio_sleep_and_gather_in_a_task(play: Play) -> None:
    """An `async def` task awaits what asyncio offers, as in any asyncio program."""

    async def double(number: int) -> int:
        await asyncio.sleep(0.001)
        return 2 * number

    async def task() -> list[int]:
        await asyncio.sleep(0)
        return list(await asyncio.gather(*[double(number) for number in range(5)]))

    assert potok.run(task, on=play.on) == [0, 2, 4, 6, 8]


@asyncs
def test_asyncio_timeout_in_a_task(play: Play) -> None:
    """`asyncio.timeout` ends waits of asyncio's and potok's, and leaves the task as it was."""

    async def task() -> str:
        _, rx = potok.channel()
        for waiting in (rx.arecv, asyncio.Event().wait, lambda: potok.asleep(3600)):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(play.do.tick):
                    await waiting()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), play.do.tick)
        async with asyncio.timeout(3600):
            await asyncio.sleep(0)
        current = asyncio.current_task()
        assert current is not None
        assert current.cancelling() == 0
        return "went on"

    assert potok.run(task, on=play.on) == "went on"


@asyncs
def test_asyncio_task_group_in_a_task(play: Play) -> None:
    """Children of an asyncio.TaskGroup use potok's channels; its failures leave as asyncio has it."""

    async def task() -> list[int]:
        tx, rx = potok.channel()
        got = []

        async def produce(first: int) -> None:
            for item in range(first, first + 3):
                await tx.asend(item)

        async with asyncio.TaskGroup() as group:
            group.create_task(produce(0))
            group.create_task(produce(10))
            got += [await rx.arecv() for _ in range(6)]
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(receive_for_ever(rx))
                group.create_task(fail())
        assert caught.group_contains(ValueError)
        return sorted(got)

    async def receive_for_ever(rx: potok.Receiver[int]) -> None:
        await rx.arecv()

    async def fail() -> None:
        raise ValueError

    assert potok.run(task, on=play.on) == [0, 1, 2, 10, 11, 12]


@asyncs
def test_asyncio_queue_between_tasks_of_one_loop(play: Play) -> None:
    """asyncio.Queue and asyncio.Event work inside one task and its children."""

    async def task() -> list[int]:
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        done = asyncio.Event()

        async def produce() -> None:
            for item in range(5):
                await queue.put(item)
            done.set()

        producing = asyncio.create_task(produce())
        got = [await queue.get() for _ in range(5)]
        await done.wait()
        await producing
        return got

    assert potok.run(task, on=play.on) == [0, 1, 2, 3, 4]


@asyncs
def test_asyncio_streams_beside_channels(play: Play) -> None:
    """A TCP echo server on the loop-back interface, fed from a channel by a sibling."""

    async def talk(rx: potok.Receiver[bytes]) -> list[bytes]:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError):
                while True:
                    writer.write(b"echo " + await reader.readuntil(b"\n"))
                    await writer.drain()
            writer.close()
            await writer.wait_closed()
            closed.set()

        closed = asyncio.Event()
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
            got = []
            async for line in rx:
                writer.write(line + b"\n")
                got.append(await reader.readuntil(b"\n"))
            writer.close()
            await writer.wait_closed()
            await closed.wait()
        return got

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        async with do.block(potok.scope(on=do.on)) as s:
            task = s.start(talk, rx)
            s.start(do.task(send_each), tx, b"one", b"two")
            tx.close()
            return await do.result(task)

    assert play(body) == [b"echo one\n", b"echo two\n"]


@asyncs
def test_asyncio_current_task_and_loop_in_a_task(play: Play) -> None:
    """Libraries that ask for the current task and the running loop find both, before and after a wait in potok."""

    async def task(rx: potok.Receiver[None]) -> None:
        loop, current = asyncio.get_running_loop(), asyncio.current_task()
        assert current is not None
        await rx.arecv()
        assert asyncio.get_running_loop() is loop
        assert asyncio.current_task() is current
        await asyncio.sleep(0)
        assert asyncio.current_task() is current

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        async with do.block(potok.scope(on=do.on)) as s:
            tasks = [s.start(task, rx.clone()) for _ in range(3)]
            for _ in tasks:
                await do.send(tx, None)

    play(body)


@asyncs
def test_await_from_a_def_task(play: Play) -> None:
    """`potok.await_` gives a plain `def` task what it awaits: result or exception."""

    async def answer(number: int) -> int:
        await asyncio.sleep(0.001)
        return number + 1

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("from the coroutine")

    def task() -> list[int]:
        got = [potok.await_(answer(number)) for number in range(3)]
        with pytest.raises(LookupError, match="from the coroutine"):
            potok.await_(fail())
        return got

    assert potok.run(task, on=play.on) == [1, 2, 3]


@asyncs
def test_await_lets_siblings_go_on(play: Play) -> None:
    """While a `def` task awaits, others on the same executor run."""

    async def wait_for(rx: potok.Receiver[str]) -> str:
        await asyncio.sleep(0)
        return await rx.arecv()

    def awaiting(rx: potok.Receiver[str]) -> str:
        return potok.await_(wait_for(rx))

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        async with do.block(potok.scope(on=do.on)) as s:
            task = s.start(awaiting, rx)
            s.start(do.task(send_each), tx, "from a sibling")
            return await do.result(task)

    assert play(body) == "from a sibling"


@asyncs
def test_await_in_an_async_task_is_refused(play: Play) -> None:
    """There, `await` is the word."""

    async def nothing() -> None:
        pass

    async def task() -> None:
        coroutine = nothing()
        with pytest.raises(potok.BlockingCallError, match="await"):
            potok.await_(coroutine)
        await coroutine

    potok.run(task, on=play.on)


@asyncs
def test_cancel_at_a_foreign_await_is_delivered_once(play: Play) -> None:
    """At asyncio's futures a cancellation comes as asyncio's own, once; at potok's park points every time."""
    told = Record()

    async def stubborn(ready: potok.Sender[None]) -> None:
        await ready.asend(None)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("foreign await")
        await asyncio.sleep(0.001)
        told.append("not told again")
        for _ in range(2):
            try:
                await potok.asleep(0)
            except potok.Cancelled:
                told.append("park point")

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        async with do.block(potok.scope(on=do.on)) as s:
            s.start(stubborn, tx)
            await do.recv(rx)
            await do.all_parked()
            s.cancel()

    play(body)
    assert told == ["foreign await", "not told again", "park point", "park point"]


@asyncs
def test_cancel_of_a_task_at_a_foreign_await(play: Play) -> None:
    """A task that is cancelled while it awaits asyncio ends as cancelled, and its `finally` runs."""
    ended = Record()

    async def wait(ready: potok.Sender[None]) -> None:
        try:
            await ready.asend(None)
            await asyncio.sleep(3600)
        finally:
            ended.append(1)

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        async with do.block(potok.scope(on=do.on)) as s:
            task = s.start(wait, tx)
            await do.recv(rx)
            task.cancel("enough")
            assert isinstance(await do.outcome(task), potok.TaskCancelled)

    play(body)
    assert ended == [1]


@asyncs
def test_timeout_at_a_foreign_await(play: Play) -> None:
    """`potok.timeout` around asyncio's waits, in an `async def` task."""

    async def task() -> str:
        with pytest.raises(TimeoutError), potok.timeout(play.do.tick):
            await asyncio.sleep(3600)
        await asyncio.sleep(0)
        await potok.asleep(0)
        return "went on"

    assert potok.run(task, on=play.on) == "went on"


@asyncs
def test_failure_reaches_a_sibling_at_a_foreign_await(play: Play) -> None:
    """A failing task cancels a sibling that awaits asyncio."""

    async def wait() -> None:
        await asyncio.sleep(3600)

    async def fail() -> None:
        await asyncio.sleep(0.001)
        raise ValueError("fails")

    async def body(do: Do) -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with do.block(potok.scope(on=do.on)) as s:
                s.start(wait)
                s.start(fail)
        assert [repr(error) for error in caught.value.exceptions] == ["ValueError('fails')"]

    play(body)


@asyncs
def test_def_and_async_tasks_share_channels_and_loop(play: Play) -> None:
    """A CSP process in plain `def`, a client in `async def`, a channel between them."""

    def plain(rx: potok.Receiver[int], tx: potok.Sender[int]) -> None:
        for item in rx:
            tx.send(item * 10)

    async def client(tx: potok.Sender[int], rx: potok.Receiver[int]) -> list[int]:
        got = []
        async with tx:
            for item in range(5):
                await asyncio.sleep(0)
                await tx.asend(item)
                got.append(await rx.arecv())
        return got

    async def body(do: Do) -> object:
        (a_tx, a), (b_tx, b) = potok.channel(), potok.channel()
        async with do.block(potok.scope(on=do.on)) as s:
            s.start(plain, a, b_tx)
            return await do.result(s.start(client, a_tx, b))

    assert play(body) == [0, 10, 20, 30, 40]


@asyncs
def test_async_generators_of_the_user_work(play: Play) -> None:
    """An async generator that awaits both asyncio and potok, closed early."""
    closed = Record()

    async def numbers(rx: potok.Receiver[int]) -> AsyncGenerator[int, None]:
        try:
            async for item in rx:
                await asyncio.sleep(0)
                yield item
        finally:
            await asyncio.sleep(0)
            closed.append(1)

    async def task(rx: potok.Receiver[int]) -> list[int]:
        got = []
        async with contextlib.aclosing(numbers(rx)) as items:
            async for item in items:
                got.append(item)
                if item == 2:
                    break
        return got

    async def body(do: Do) -> object:
        tx, rx = potok.channel(10)
        async with do.block(potok.scope(on=do.on)) as s:
            for item in range(3):
                await do.send(tx, item)
            return await do.result(s.start(task, rx))

    assert play(body) == [0, 1, 2]
    assert closed == [1]


@asyncs
def test_task_is_awaited_like_any_awaitable(play: Play) -> None:
    """`await t`, `asyncio.gather` of several, from an async task."""

    async def body() -> list[int]:
        tx, rx = potok.channel(3)
        async with potok.scope(on=play.on) as s:
            tasks = [s.start(play.do.task(receive_one), rx.clone()) for _ in range(3)]
            for item in range(3):
                await tx.asend(item)
            got = sorted(await asyncio.gather(*[wrapped(task) for task in tasks]))
            parked = s.start(play.do.task(park))
            parked.cancel()
            with pytest.raises(potok.TaskCancelled):
                await parked
        return got

    async def wrapped(task: potok.Task[int]) -> int:
        return await task

    assert potok.run(body, on=play.on) == [0, 1, 2]
