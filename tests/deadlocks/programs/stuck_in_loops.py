"""Stuck tasks written as `async def`: under potok.run, and under asyncio.run, in whose loop potok is a guest."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from catalogue import CYCLE, ENDS, TOTAL, bystander, stuck

import potok


def as_body(coroutine: Coroutine[Any, Any, None]) -> None:
    """asyncio.run, with a name for the task that does not count up."""

    async def body() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name("main")
        await coroutine

    asyncio.run(body())


async def send_first(tx: potok.Sender[str], rx: potok.Receiver[str]) -> None:
    await tx.asend("mine")
    await rx.arecv()


async def take_both(first: Any, second: Any, met: potok.Barrier) -> None:
    async with first:
        await met.await_()
        async with second:
            pass


async def tick() -> None:
    while True:  # noqa: ASYNC110 - it waits for nothing
        await asyncio.sleep(0.01)


@stuck(ENDS, left="send", right="send")
def both_send_first_under_run() -> None:
    """Two coroutines swap values over rendezvous channels, and both send first; a foreign thread lives."""

    async def main() -> None:
        to_right, from_left = potok.channel()
        to_left, from_right = potok.channel()
        async with potok.scope() as s:
            s.start(send_first, to_right, from_right, name="left")
            s.start(send_first, to_left, from_left, name="right")

    with bystander():
        potok.run(main)


@stuck(TOTAL, left="send", right="send")
def both_send_first_under_asyncio() -> None:
    """The same in asyncio's own loop, which has nothing else; of other tasks nobody knows whom they would cancel."""

    async def main() -> None:
        to_right, from_left = potok.channel()
        to_left, from_right = potok.channel()
        async with potok.scope() as s:
            s.start(send_first, to_right, from_right, name="left")
            s.start(send_first, to_left, from_left, name="right")

    as_body(main())


@stuck(TOTAL, left="r?lock", right="r?lock")
def rlocks_of_tasks_of_asyncio() -> None:
    """Two tasks that asyncio started take two RLocks of potok's in opposite order."""

    async def main() -> None:
        here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)
        async with asyncio.TaskGroup() as group:
            group.create_task(take_both(here, there, met), name="left")
            group.create_task(take_both(there, here, met), name="right")

    as_body(main())


@stuck(CYCLE, left="r?lock", right="r?lock")
def rlocks_under_run_beside_asyncio() -> None:
    """Two tasks of a scope under potok.run take two RLocks in opposite order; a task of asyncio's ticks beside them."""

    async def main() -> None:
        here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)
        ticking = asyncio.create_task(tick())
        try:
            async with potok.scope() as s:
                s.start(take_both, here, there, met, name="left")
                s.start(take_both, there, here, met, name="right")
        finally:
            ticking.cancel()

    potok.run(main)


@stuck(CYCLE, main="scope", member="join|end of")
def member_that_awaits_the_body() -> None:
    """The scope waits for a member, and the member for the task that the scope is in."""

    async def main() -> None:
        me = potok.current_task()

        async def member() -> None:
            await me

        async with potok.scope() as s:
            s.start(member, name="member")

    def named() -> None:
        with potok.scope(on="coroutines") as s:
            s.start(main, name="main")

    with bystander():
        named()


@stuck(TOTAL, main="event")
def event_that_nobody_sets_under_asyncio() -> None:
    """A task of asyncio's waits for an event of potok's; the loop has nothing else: no timer, no reader."""

    async def main() -> None:
        await potok.Event()

    as_body(main())


@stuck(TOTAL, left="lock", right="lock")
def locks_in_opposite_order_under_asyncio() -> None:
    """Plain locks, crosswise, in a scope in asyncio's loop."""

    async def main() -> None:
        here, there, met = potok.Lock(), potok.Lock(), potok.Barrier(2)
        async with potok.scope() as s:
            s.start(take_both, here, there, met, name="left")
            s.start(take_both, there, here, met, name="right")

    as_body(main())


@stuck(TOTAL, getter="queue", putter="queue")
def queues_of_each_other_under_run() -> None:
    """Each gets from the queue that the other fills, before it fills the other's; one `def`, one `async def`."""

    async def main() -> None:
        one: potok.Queue[int] = potok.Queue()
        two: potok.Queue[int] = potok.Queue()

        async def getter() -> None:
            await two.aput(await one.aget())

        def putter() -> None:
            one.put(two.get())

        async with potok.scope() as s:
            s.start(getter, name="getter")
            s.start(putter, name="putter")

    potok.run(main)


@stuck(TOTAL, reader="recv")
def forgotten_sender_of_the_body_under_asyncio() -> None:
    """`async for` runs until the last sender closes, which is in a local of the body that waits for the reader."""

    async def read(rx: potok.Receiver[int]) -> None:
        async for _ in rx:
            pass

    async def main() -> None:
        tx, rx = potok.channel()
        async with potok.scope() as s:
            s.start(read, rx, name="reader")
            await tx.asend(1)

    as_body(main())


@stuck(TOTAL, left="acquire|lock", right="acquire|lock")
def coroutines_on_threads() -> None:
    """`async def` tasks on threads, each with a loop of its own that has nothing else to do."""
    here, there, met = potok.Lock(), potok.Lock(), potok.Barrier(2)
    with potok.scope(on="threads") as s:
        s.start(take_both, here, there, met, name="left")
        s.start(take_both, there, here, met, name="right")
