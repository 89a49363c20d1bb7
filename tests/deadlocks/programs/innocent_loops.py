"""What looks stuck until asyncio's loop comes to it: a timer of its, a reader, a thread that calls into it."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator

from catalogue import LOOKS_STUCK, innocent, later, thread

import potok

LATER = "import sys, time; time.sleep(float(sys.argv[1])); print('late', flush=True)"


def process_that_prints(**options: int) -> "subprocess.Popen[bytes]":
    """Somebody outside of this process, without a thread in it."""
    return subprocess.Popen([sys.executable, "-S", "-c", LATER, str(LOOKS_STUCK)], **options)


@innocent()
def call_later_that_sets() -> None:
    """A task of asyncio's waits for an event that `loop.call_later` sets."""

    async def main() -> None:
        event = potok.Event()
        asyncio.get_running_loop().call_later(LOOKS_STUCK, event.set)
        async with potok.scope() as s:
            for _ in range(3):
                s.start(event.await_)

    asyncio.run(main())


@innocent()
def call_later_that_sends() -> None:
    """The only sender is among the arguments of a timer of the loop."""

    async def main() -> None:
        tx, rx = potok.channel(1)
        asyncio.get_running_loop().call_later(LOOKS_STUCK, tx.send_nowait, "late")
        del tx
        assert await rx.arecv() == "late"

    asyncio.run(main())


@innocent()
def call_later_that_cancels() -> None:
    """Nobody sets the event: a timer of the loop cancels the asyncio task that waits for it."""

    async def main() -> None:
        task = asyncio.create_task(potok.Event().await_())
        asyncio.get_running_loop().call_later(LOOKS_STUCK, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(main())


@innocent()
def call_later_under_run() -> None:
    """The same under potok.run, where a plain task waits, too."""

    async def main() -> None:
        event = potok.Event()
        async with potok.scope() as s:
            s.start(event.wait)
            s.start(event.await_)
            asyncio.get_running_loop().call_later(LOOKS_STUCK, event.set)

    potok.run(main)


@innocent()
def call_soon_threadsafe_from_a_thread() -> None:
    """A foreign thread, asleep for now, will have the loop set the event."""

    async def main() -> None:
        event, loop = potok.Event(), asyncio.get_running_loop()

        def call() -> None:
            time.sleep(LOOKS_STUCK)
            loop.call_soon_threadsafe(event.set)

        with thread(call):
            await event

    asyncio.run(main())


@innocent("coroutines", "threads")
def future_that_call_later_sets(on: str) -> None:
    """A plain task waits by `potok.await_` for an asyncio future; another waits for what that one sends then."""

    async def answer() -> str:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        loop.call_later(LOOKS_STUCK, future.set_result, "late")
        return await future

    def forward(tx: potok.Sender[str]) -> None:
        tx.send(potok.await_(answer()))

    tx, rx = potok.channel()
    with potok.scope(on=on) as s:
        s.start(forward, tx)
        assert rx.recv() == "late"


@innocent("coroutines", "threads")
def asyncio_sleep_of_the_holder(on: str) -> None:
    """All wait for the RLock of an `async def` task that sleeps with `asyncio.sleep`."""
    lock, held = potok.RLock(), potok.Event()

    async def hold() -> None:
        async with lock:
            held.set()
            await asyncio.sleep(LOOKS_STUCK)

    async def want() -> None:
        await held
        async with lock:
            pass

    with potok.scope(on=on) as s:
        for function in (hold, want, want):
            s.start(function)


@innocent()
def run_in_executor_that_sets() -> None:
    """A thread of the loop's own pool computes, and then sets the event that all wait for."""

    async def main() -> None:
        event = potok.Event()

        def compute() -> None:
            time.sleep(LOOKS_STUCK)
            event.set()

        future = asyncio.get_running_loop().run_in_executor(None, compute)
        async with potok.scope() as s:
            s.start(event.await_)
        await future

    asyncio.run(main())


@innocent()
def to_thread_of_the_holder() -> None:
    """The task that has the sender awaits asyncio.to_thread."""

    async def main() -> None:
        async def produce(tx: potok.Sender[int]) -> None:
            await asyncio.to_thread(time.sleep, LOOKS_STUCK)
            await tx.asend(1)

        tx, rx = potok.channel()
        async with potok.scope() as s:
            s.start(produce, tx)
            assert await rx.arecv() == 1

    asyncio.run(main())


@innocent()
def reader_of_the_loop() -> None:
    """`loop.add_reader` watches a pipe into which another process will write; its callback sets the event."""

    async def main() -> None:
        loop, event = asyncio.get_running_loop(), potok.Event()
        reads, writes = os.pipe()
        with process_that_prints(stdout=writes):
            os.close(writes)
            loop.add_reader(reads, event.set)
            async with potok.scope() as s:
                s.start(event.await_)
            loop.remove_reader(reads)
            os.close(reads)

    asyncio.run(main())


@innocent()
def subprocess_of_asyncio() -> None:
    """A task awaits the end of a subprocess with the RLock held that another task wants."""

    async def main() -> None:
        lock, held = potok.RLock(), potok.Event()

        async def hold() -> None:
            async with lock:
                held.set()
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-S", "-c", LATER, str(LOOKS_STUCK), stdout=subprocess.DEVNULL
                )
                await process.wait()

        async def want() -> None:
            await held
            async with lock:
                pass

        async with potok.scope() as s:
            s.start(hold)
            s.start(want)

    asyncio.run(main())


@innocent("coroutines", "threads")
def slow_server_on_loopback(on: str) -> None:
    """A task awaits the answer of a server over a socket; the others wait for what it will send them."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def serve() -> None:
        connection, _ = server.accept()
        with server, connection:
            time.sleep(LOOKS_STUCK)
            connection.sendall(b"late\n")

    async def ask(tx: "potok.Sender[bytes]") -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        await tx.asend(line)

    tx, rx = potok.channel()
    with thread(serve), potok.scope(on=on) as s:
        s.start(ask, tx)
        assert rx.recv() == b"late\n"


@innocent()
def loop_in_another_thread() -> None:
    """The main thread waits for a channel whose sender a coroutine has, in a loop that a foreign thread runs."""
    tx, rx = potok.channel()

    async def send_late(tx: potok.Sender[str]) -> None:
        await asyncio.sleep(LOOKS_STUCK)
        await tx.asend("late")

    with thread(asyncio.run, send_late(tx)):
        del tx
        assert rx.recv() == "late"


@innocent()
def async_generator_with_the_end() -> None:
    """A suspended async generator has the sender; the task that will resume it sleeps."""

    async def main() -> None:
        async def replies(tx: potok.Sender[str]) -> AsyncIterator[None]:
            yield
            await tx.asend("late")

        async def drive(tx: potok.Sender[str]) -> None:
            steps = replies(tx)
            await anext(steps)
            await asyncio.sleep(LOOKS_STUCK)
            async for _ in steps:
                pass

        tx, rx = potok.channel()
        driving = asyncio.create_task(drive(tx))
        del tx
        assert await rx.arecv() == "late"
        await driving

    asyncio.run(main())


@innocent()
def coroutine_that_was_not_started() -> None:
    """The sender is with a coroutine that nobody runs yet: a task of asyncio's that sleeps will."""

    async def main() -> None:
        async def send(tx: potok.Sender[str]) -> None:
            await tx.asend("late")

        async def drive(coroutine: object) -> None:
            await asyncio.sleep(LOOKS_STUCK)
            await coroutine  # type: ignore[misc]

        tx, rx = potok.channel()
        driving = asyncio.create_task(drive(send(tx)))
        del tx
        assert await rx.arecv() == "late"
        await driving

    asyncio.run(main())


@innocent()
def future_of_another_thread() -> None:
    """A task awaits a future that a Timer completes through the loop, with the lock held that the others want."""

    async def main() -> None:
        loop, lock = asyncio.get_running_loop(), potok.RLock()
        future: asyncio.Future[None] = loop.create_future()

        async def hold() -> None:
            async with lock:
                await future

        async def want() -> None:
            async with lock:
                pass

        with later(loop.call_soon_threadsafe, future.set_result, None):
            async with potok.scope() as s:
                s.start(hold)
                s.start(want)
        assert threading.active_count() >= 1

    asyncio.run(main())
