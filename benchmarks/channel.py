"""Buffered channels: how many items a second get from one producer to one consumer.

Where CommsTime measures the switch between tasks, this measures the channel: with a buffer of 100 most
operations find room, or an item, and go on. Tasks, threads, and a thread that feeds an asyncio task; each
peer runs the same two loops, only the operations that they are given differ.

What was found: an operation that finds room, or an item, is one Python call with two atomic operations of a deque,
0.17 µs; gevent's queue is compiled and needs 0.2 µs for both. Between threads the figures vary from run to run with
who happens to hold the GIL, `queue.Queue`'s most of all (0.27 to 0.8 M/s unbounded).

The items are numbers in order, and the consumer checks the last one: no peer may lose any on the way.
"""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import alternate
from alternate import Goal, Row, Table, size

BUFFER = 100
COUNT = size(200_000)  # items
SLOW_COUNT = size(50_000)  # for the slower peers


# ---------------------------------------------------------------- the two loops, in both colours


def produce(put: Callable[[int], object], count: int) -> None:
    """Put the numbers below `count`."""
    for number in range(count):
        put(number)


def consume(get: Callable[[], int], count: int) -> None:
    """Get `count` numbers."""
    for _ in range(count):
        number = get()
    assert number == count - 1


async def aproduce(put: Callable[[int], Awaitable[object]], count: int) -> None:
    """`produce`, awaiting."""
    for number in range(count):
        await put(number)


async def aconsume(get: Callable[[], Awaitable[int]], count: int) -> None:
    """`consume`, awaiting."""
    for _ in range(count):
        number = await get()
    assert number == count - 1


def rate(count: int, began: float) -> float:
    """Return items per second since `began`."""
    return count / (perf_counter() - began)


# ---------------------------------------------------------------- tasks


def potok_def(count: int = COUNT) -> float:
    """Plain functions on potok's coroutines."""
    import potok

    def main() -> float:
        tx, rx = potok.channel(BUFFER)
        began = perf_counter()
        with potok.scope() as scope:
            scope.start(produce, tx.send, count)
            scope.start(consume, rx.recv, count)
        return rate(count, began)

    return potok.run(main, on="coroutines")


def potok_async(count: int = COUNT) -> float:
    """Coroutine functions on potok's coroutines."""
    import potok

    async def main() -> float:
        tx, rx = potok.channel(BUFFER)
        began = perf_counter()
        async with potok.scope() as scope:
            scope.start(aproduce, tx.asend, count)
            scope.start(aconsume, rx.arecv, count)
        return rate(count, began)

    return potok.run(main, on="coroutines")


def by_asyncio(count: int = COUNT) -> float:
    """asyncio.Queue between two asyncio tasks."""

    async def main() -> float:
        items = asyncio.Queue[int](BUFFER)
        began = perf_counter()
        await asyncio.gather(aproduce(items.put, count), aconsume(items.get, count))
        return rate(count, began)

    return asyncio.run(main())


def by_trio(count: int = SLOW_COUNT) -> float:
    """A memory channel between two tasks of a nursery."""
    import trio

    async def main() -> float:
        tx, rx = trio.open_memory_channel[int](BUFFER)
        began = perf_counter()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(aproduce, tx.send, count)
            nursery.start_soon(aconsume, rx.receive, count)
        return rate(count, began)

    return trio.run(main)


def by_gevent(count: int = COUNT) -> float:
    """A queue of gevent between two of its greenlets."""
    import gevent
    import gevent.queue

    items = gevent.queue.Queue(BUFFER)
    began = perf_counter()
    gevent.joinall([gevent.spawn(produce, items.put, count), gevent.spawn(consume, items.get, count)])
    return rate(count, began)


# ---------------------------------------------------------------- threads


def potok_threads(capacity: int | None, count: int = COUNT) -> float:
    """A task of potok on a thread of its own, and the body of the scope; None is unbounded."""
    import potok

    tx, rx = potok.channel(potok.UNBOUNDED if capacity is None else capacity)
    began = perf_counter()
    with potok.scope(on="threads") as scope:
        scope.start(produce, tx.send, count)
        consume(rx.recv, count)
    return rate(count, began)


def by_threads(items: Any, count: int = COUNT) -> float:
    """A queue of the standard library between a thread and the main thread."""
    producer = threading.Thread(target=produce, args=(items.put, count))
    began = perf_counter()
    producer.start()
    consume(items.get, count)
    producer.join()
    return rate(count, began)


# ---------------------------------------------------------------- a thread and an asyncio task


async def _from_thread(put: Callable[[int], object], get: Callable[[], Awaitable[int]], count: int) -> float:
    """Consume in the running asyncio task what a plain thread produces."""
    producer = threading.Thread(target=produce, args=(put, count))
    began = perf_counter()
    producer.start()
    await aconsume(get, count)
    found = rate(count, began)
    await asyncio.to_thread(producer.join)
    return found


def potok_mixed(capacity: int | None, count: int = COUNT) -> float:
    """A channel of potok, a thread and a loop that potok did not start."""
    import potok

    async def main() -> float:
        tx, rx = potok.channel(potok.UNBOUNDED if capacity is None else capacity)
        return await _from_thread(tx.send, rx.arecv, count)

    return asyncio.run(main())


def by_mixed_queue(module: str, capacity: int, count: int = SLOW_COUNT) -> float:
    """`janus` or `culsans`: queues with one side for threads and one for asyncio; 0 is unbounded."""

    async def main() -> float:
        items = __import__(module).Queue(capacity)
        found = await _from_thread(items.sync_q.put, items.async_q.get, count)
        await items.aclose()
        return found

    return asyncio.run(main())


# ---------------------------------------------------------------- what is compared

TASKS, THREADS, FREE = "tasks, buffer of 100", "threads, buffer of 100", "threads, unbounded"
MIXED, MIXED_FREE = "thread to asyncio task, buffer of 100", "thread to asyncio task, unbounded"
UNIT = "items/s (more is better)"
POTOK = ["potok"]


def _mixed_rows(capacity: int | None) -> list[Row]:
    bound = capacity or 0
    return [
        Row("potok", lambda: potok_mixed(capacity), modules=POTOK),
        Row("janus", lambda: by_mixed_queue("janus", bound), modules=["janus"]),
        Row("culsans", lambda: by_mixed_queue("culsans", bound), modules=["culsans"]),
    ]


TABLES = [
    Table(
        TASKS,
        UNIT,
        [
            Row("potok coroutines, async def", potok_async, modules=POTOK),
            Row("asyncio.Queue(100)", by_asyncio),
            Row("trio memory channel (100)", by_trio, modules=["trio"]),
            Row("potok coroutines, def", potok_def, modules=POTOK),
            Row("gevent Queue(100)", by_gevent, modules=["gevent"]),
        ],
    ),
    Table(
        THREADS,
        UNIT,
        [
            Row("potok", lambda: potok_threads(BUFFER), modules=POTOK),
            Row("queue.Queue(100)", lambda: by_threads(queue.Queue(BUFFER))),
        ],
    ),
    Table(
        FREE,
        UNIT,
        [
            Row("potok", lambda: potok_threads(None), modules=POTOK),
            Row("queue.Queue", lambda: by_threads(queue.Queue())),
            Row("queue.SimpleQueue", lambda: by_threads(queue.SimpleQueue())),
        ],
    ),
    Table(MIXED, UNIT, _mixed_rows(BUFFER)),
    Table(MIXED_FREE, UNIT, _mixed_rows(None)),
]
GOALS = [
    Goal(f"{TASKS}: potok coroutines, async def", f"{TASKS}: asyncio.Queue(100)", at_least=1.3),
    Goal(f"{TASKS}: potok coroutines, def", f"{TASKS}: gevent Queue(100)", at_least=1.0),
    Goal(f"{THREADS}: potok", f"{THREADS}: queue.Queue(100)", at_least=2.0),
    Goal(f"{FREE}: potok", f"{FREE}: queue.Queue", at_least=8.0),
] + [
    Goal(f"{table}: potok", f"{table}: {peer}", at_least=2.0)
    for table in (MIXED, MIXED_FREE)
    for peer in ("janus", "culsans")
]

if __name__ == "__main__":
    alternate.main("Channels: one producer, one consumer", TABLES, GOALS)
