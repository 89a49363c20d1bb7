"""Queues: what a program gains or loses that moves from the standard library's queues to potok's.

Items a second from one producer to one consumer, through queues that hold at most 100, and through first-in-first-out
queues without a bound:

- *threads*: `potok.Queue`, `LifoQueue`, `PriorityQueue` and `SimpleQueue` beside those of `queue`; potok's producer is
  a task on a thread, the others' is a `threading.Thread`, the consumer is the main thread.
- *async def*: the same classes, awaited on potok's coroutines, beside those of `asyncio`.

There are no goals here: a new program would use a channel (see `channel.py`), and a queue has to be no reason against
moving. The items are numbers in ascending order, so the smallest of a PriorityQueue is the oldest: what differs from
a Queue is the heap. The consumer checks their sum: no queue may lose any on the way.
"""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from types import ModuleType
from typing import Any

import alternate
from alternate import Goal, Row, Table, size
from channel import BUFFER, aproduce, produce, rate

COUNT = size(100_000)  # items
BOUNDED = ("Queue", "LifoQueue", "PriorityQueue")


def consume(get: Callable[[], int], count: int) -> None:
    """Get the numbers below `count`, in any order."""
    assert sum(get() for _ in range(count)) == count * (count - 1) // 2


async def aconsume(get: Callable[[], Awaitable[int]], count: int) -> None:
    """`consume`, awaiting."""
    total = 0
    for _ in range(count):
        total += await get()
    assert total == count * (count - 1) // 2


def make(module: ModuleType, kind: str, maxsize: int) -> Any:
    """Make a queue of that kind; a SimpleQueue has no bound to be told of."""
    return getattr(module, kind)(*[maxsize] if maxsize else [])


# ---------------------------------------------------------------- threads


def potok_threads(kind: str, maxsize: int, count: int = COUNT) -> float:
    """A task of potok on a thread of its own, and the body of the scope."""
    import potok

    items = make(potok, kind, maxsize)
    began = perf_counter()
    with potok.scope(on="threads") as scope:
        scope.start(produce, items.put, count)
        consume(items.get, count)
    return rate(count, began)


def by_threads(kind: str, maxsize: int, count: int = COUNT) -> float:
    """A thread and the main thread."""
    items = make(queue, kind, maxsize)
    producer = threading.Thread(target=produce, args=(items.put, count))
    began = perf_counter()
    producer.start()
    consume(items.get, count)
    producer.join()
    return rate(count, began)


# ---------------------------------------------------------------- async def


def potok_async(kind: str, maxsize: int, count: int = COUNT) -> float:
    """Coroutine functions on potok's coroutines."""
    import potok

    async def main() -> float:
        items = make(potok, kind, maxsize)
        began = perf_counter()
        async with potok.scope() as scope:
            scope.start(aproduce, items.aput, count)
            scope.start(aconsume, items.aget, count)
        return rate(count, began)

    return potok.run(main, on="coroutines")


def by_asyncio(kind: str, maxsize: int, count: int = COUNT) -> float:
    """Two asyncio tasks."""

    async def main() -> float:
        items = make(asyncio, kind, maxsize)
        began = perf_counter()
        await asyncio.gather(aproduce(items.put, count), aconsume(items.get, count))
        return rate(count, began)

    return asyncio.run(main())


# ---------------------------------------------------------------- what is compared


def _pair(kind: str, maxsize: int, peer: str) -> list[Row]:
    """potok's queue of a kind, then the one of `queue` or `asyncio`."""
    ours, theirs = (potok_threads, by_threads) if peer == "queue" else (potok_async, by_asyncio)
    return [
        Row(f"potok.{kind}", partial(ours, kind, maxsize), modules=["potok"]),
        Row(f"{peer}.{kind}", partial(theirs, kind, maxsize)),
    ]


def _tables(situation: str, peer: str, unbounded: tuple[str, ...]) -> list[Table]:
    """One table of the queues with a bound, one of those without."""

    def table(bound: str, maxsize: int, kinds: tuple[str, ...]) -> Table:
        rows = [row for kind in kinds for row in _pair(kind, maxsize, peer)]
        return Table(f"{situation}, {bound}", "items/s (more is better)", rows)

    return [table(f"at most {BUFFER} items", BUFFER, BOUNDED), table("unbounded", 0, unbounded)]


TABLES = _tables("threads", "queue", ("Queue", "SimpleQueue")) + _tables("async def", "asyncio", ("Queue",))
RATIOS = [
    Goal(table.key(ours), table.key(theirs))
    for table in TABLES
    for ours, theirs in zip(table.rows[::2], table.rows[1::2], strict=True)
]

if __name__ == "__main__":
    alternate.main("Queues: one producer, one consumer", TABLES, RATIOS)
