"""Starting tasks: what one costs, in time and in memory, and Skynet, where tasks start tasks.

Four questions:

- *start and join*: 100,000 tasks that do nothing, all started and then all joined; 3,000 where a task is a
  thread.
- *one after the other*: 3,000 threads, each joined before the next is started, in time and in how many different
  threads that took: potok keeps the thread of a task that has ended for the next one.
- *Skynet*: a tree of tasks, ten to a node, with 100,000 leaves. Each leaf sends its number, each node the sum
  of what its ten children sent: 111,111 tasks and as many items.
- *memory*: how much the process grows by a task that is parked at a channel or queue, one for all of them.

Source: Skynet is https://github.com/atemerev/skynet.
"""

import asyncio
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import alternate
import go_peer
from alternate import Goal, Row, Table, size

TASKS = size(100_000)
THREADS = size(3_000)
LEAVES = size(100_000)  # a power of CHILDREN
CHILDREN = 10
PARKED = size(10_000)
PARKED_THREADS = size(500)


def nothing() -> None:
    """Do nothing: the task whose start is measured."""


async def anothing() -> None:
    """`nothing`, as a coroutine function."""


def each(count: int, began: float) -> float:
    """Return µs per task since `began`."""
    return (perf_counter() - began) / count * 1e6


# ---------------------------------------------------------------- start and join


def potok_start(task: Callable[[], Any], executor: str, count: int) -> float:
    """Start tasks in a scope of plain code, which joins them as it ends."""
    import potok

    def main() -> float:
        began = perf_counter()
        with potok.scope() as scope:
            for _ in range(count):
                scope.start(task)
        return each(count, began)

    return potok.run(main, on=executor)


def potok_astart(count: int = TASKS) -> float:
    """Start coroutine functions in a scope of a coroutine function."""
    import potok

    async def main() -> float:
        began = perf_counter()
        async with potok.scope() as scope:
            for _ in range(count):
                scope.start(anothing)
        return each(count, began)

    return potok.run(main, on="coroutines")


def by_gather(count: int = TASKS) -> float:
    """asyncio.create_task, then gather."""

    async def main() -> float:
        began = perf_counter()
        await asyncio.gather(*[asyncio.create_task(anothing()) for _ in range(count)])
        return each(count, began)

    return asyncio.run(main())


def by_task_group(count: int = TASKS) -> float:
    """asyncio.TaskGroup, the structured way."""

    async def main() -> float:
        began = perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(anothing())
        return each(count, began)

    return asyncio.run(main())


def by_nursery(count: int = TASKS) -> float:
    """A nursery of Trio."""
    import trio

    async def main() -> float:
        began = perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(count):
                nursery.start_soon(anothing)
        return each(count, began)

    return trio.run(main)


def by_gevent(count: int = TASKS) -> float:
    """gevent.spawn, then joinall."""
    import gevent

    began = perf_counter()
    gevent.joinall([gevent.spawn(nothing) for _ in range(count)])
    return each(count, began)


def by_thread(count: int = THREADS) -> float:
    """A new thread for each task, all started, then all joined."""
    began = perf_counter()
    threads = [threading.Thread(target=nothing) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return each(count, began)


def by_pool(count: int = THREADS) -> float:
    """A pool of threads of its default size, which queues tasks where potok starts them all."""
    with ThreadPoolExecutor() as pool:
        began = perf_counter()
        for future in [pool.submit(nothing) for _ in range(count)]:
            future.result()
        return each(count, began)


# ---------------------------------------------------------------- threads, one after the other


def potok_in_turn(task: Callable[[], object] = nothing, count: int = THREADS) -> float:
    """Start a task on threads, join it, start the next."""
    import potok

    began = perf_counter()
    with potok.scope(on="threads") as scope:
        for _ in range(count):
            scope.start(task).join()
    return each(count, began)


def threads_in_turn(task: Callable[[], object] = nothing, count: int = THREADS) -> float:
    """Start a thread, join it, start the next."""
    began = perf_counter()
    for _ in range(count):
        thread = threading.Thread(target=task)
        thread.start()
        thread.join()
    return each(count, began)


def pool_in_turn(task: Callable[[], object] = nothing, count: int = THREADS) -> float:
    """Submit a call to a pool of threads, await its result, submit the next."""
    with ThreadPoolExecutor() as pool:
        began = perf_counter()
        for _ in range(count):
            pool.submit(task).result()
        return each(count, began)


def threads_taken(in_turn: Callable[[Callable[[], object], int], float]) -> float:
    """Return how many different threads a task took, on average."""
    seen = set[threading.Thread]()  # it keeps them: the identity of one that is gone could come again
    in_turn(lambda: seen.add(threading.current_thread()), THREADS)
    return len(seen) / THREADS


# ---------------------------------------------------------------- Skynet


def _milliseconds(began: float, total: int) -> float:
    assert total == LEAVES * (LEAVES - 1) // 2
    return (perf_counter() - began) * 1e3


def potok_skynet() -> float:
    """Skynet in plain functions: one scope, a rendezvous channel for each node."""
    import potok

    def node(scope: Any, parent: Any, first: int, size: int) -> None:
        if size == 1:
            parent.send(first)
            return
        tx, rx = potok.channel()
        share = size // CHILDREN
        for index in range(CHILDREN):
            scope.start(node, scope, tx, first + index * share, share)
        parent.send(sum(rx.recv() for _ in range(CHILDREN)))

    def main() -> float:
        began = perf_counter()
        tx, rx = potok.channel()
        with potok.scope() as scope:
            scope.start(node, scope, tx, 0, LEAVES)
            total = rx.recv()
        return _milliseconds(began, total)

    return potok.run(main, on="coroutines")


def potok_askynet() -> float:
    """Skynet in coroutine functions."""
    import potok

    async def node(scope: Any, parent: Any, first: int, size: int) -> None:
        if size == 1:
            await parent.asend(first)
            return
        tx, rx = potok.channel()
        share = size // CHILDREN
        for index in range(CHILDREN):
            scope.start(node, scope, tx, first + index * share, share)
        await parent.asend(sum([await rx.arecv() for _ in range(CHILDREN)]))

    async def main() -> float:
        began = perf_counter()
        tx, rx = potok.channel()
        async with potok.scope() as scope:
            scope.start(node, scope, tx, 0, LEAVES)
            total = await rx.arecv()
        return _milliseconds(began, total)

    return potok.run(main, on="coroutines")


async def _asyncio_node(create_task: Callable[..., Any], parent: Any, first: int, size: int) -> None:
    if size == 1:
        await parent.put(first)
        return
    results = asyncio.Queue[int](1)
    share = size // CHILDREN
    for index in range(CHILDREN):
        create_task(_asyncio_node(create_task, results, first + index * share, share))
    await parent.put(sum([await results.get() for _ in range(CHILDREN)]))


def skynet_by_asyncio() -> float:
    """Skynet over asyncio.Queue(1), in loose tasks that nobody joins."""

    async def main() -> float:
        began = perf_counter()
        root = asyncio.Queue[int](1)
        task = asyncio.create_task(_asyncio_node(asyncio.create_task, root, 0, LEAVES))
        total = await root.get()
        del task
        return _milliseconds(began, total)

    return asyncio.run(main())


def skynet_by_task_group() -> float:
    """Skynet over asyncio.Queue(1), in a TaskGroup, as potok's are in a scope."""

    async def main() -> float:
        began = perf_counter()
        root = asyncio.Queue[int](1)
        async with asyncio.TaskGroup() as group:
            group.create_task(_asyncio_node(group.create_task, root, 0, LEAVES))
            total = await root.get()
        return _milliseconds(began, total)

    return asyncio.run(main())


def skynet_by_gevent() -> float:
    """Skynet over gevent's rendezvous channels."""
    import gevent
    import gevent.queue

    def node(parent: Any, first: int, size: int) -> None:
        if size == 1:
            parent.put(first)
            return
        results = gevent.queue.Channel()
        share = size // CHILDREN
        for index in range(CHILDREN):
            gevent.spawn(node, results, first + index * share, share)
        parent.put(sum(results.get() for _ in range(CHILDREN)))

    began = perf_counter()
    root = gevent.queue.Channel()
    gevent.spawn(node, root, 0, LEAVES)
    return _milliseconds(began, root.get())


# ---------------------------------------------------------------- memory of a parked task


def resident_kib() -> float:
    """Return the memory of this process that is in RAM, in KiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def potok_parked(executor: str, count: int) -> float:
    """Plain functions parked at a receive."""
    import potok

    def main() -> None:
        tx, rx = potok.channel()
        with tx, potok.scope() as scope:
            before = resident_kib()
            for _ in range(count):
                scope.start(rx.recv)
            potok.sleep(1)  # until each has reached its receive
            alternate.answer((resident_kib() - before) / count)

    return potok.run(main, on=executor)


def potok_aparked(count: int = PARKED) -> float:
    """Coroutine functions parked at a receive."""
    import potok

    async def main() -> None:
        tx, rx = potok.channel()
        async with tx, potok.scope() as scope:
            before = resident_kib()
            for _ in range(count):
                scope.start(rx.arecv)
            await potok.asleep(1)
            alternate.answer((resident_kib() - before) / count)

    return potok.run(main, on="coroutines")


def parked_by_asyncio(count: int = PARKED) -> float:
    """Tasks parked at the get of an asyncio.Queue."""

    async def main() -> None:
        items = asyncio.Queue[int]()
        before = resident_kib()
        tasks = [asyncio.create_task(items.get()) for _ in range(count)]
        await asyncio.sleep(1)
        alternate.answer((resident_kib() - before) / len(tasks))

    return asyncio.run(main())


def parked_by_gevent(count: int = PARKED) -> float:
    """Greenlets parked at the get of a queue of gevent."""
    import gevent
    import gevent.queue

    items = gevent.queue.Queue()
    before = resident_kib()
    tasks = [gevent.spawn(items.get) for _ in range(count)]
    gevent.sleep(1)
    return (resident_kib() - before) / len(tasks)


def parked_by_thread(count: int = PARKED_THREADS) -> float:
    """Threads parked at the get of a queue.SimpleQueue."""
    items = queue.SimpleQueue[int]()
    before = resident_kib()
    for _ in range(count):
        threading.Thread(target=items.get, daemon=True).start()
    sleep(1)
    return (resident_kib() - before) / count


# ---------------------------------------------------------------- what is compared

START, START_THREADS = "start and join 100,000 tasks", "start and join 3,000 threads"
IN_TURN, TAKEN = "3,000 threads, one after the other", "reuse of threads, one after the other"
SKYNET, MEMORY = "Skynet, 100,000 leaves", "memory of a parked task"
MICROSECONDS = "µs a task (less is better)"
DEF, ASYNC = "potok coroutines, def", "potok coroutines, async def"
POTOK = ["potok"]
TURNS: list[tuple[str, Callable[..., float], list[str]]] = [
    ("potok threads", potok_in_turn, POTOK),
    ("threading.Thread", threads_in_turn, []),
    ("ThreadPoolExecutor", pool_in_turn, []),
]

TABLES = [
    Table(
        START,
        MICROSECONDS,
        [
            Row(DEF, lambda: potok_start(nothing, "coroutines", TASKS), modules=POTOK),
            Row(ASYNC, potok_astart, modules=POTOK),
            Row("asyncio gather", by_gather),
            Row("asyncio TaskGroup", by_task_group),
            Row("trio nursery", by_nursery, modules=["trio"]),
            Row("gevent spawn", by_gevent, modules=["gevent"]),
        ],
    ),
    Table(
        START_THREADS,
        MICROSECONDS,
        [
            Row("potok threads", lambda: potok_start(nothing, "threads", THREADS), modules=POTOK),
            Row("threading.Thread", by_thread),
            Row("ThreadPoolExecutor", by_pool),
        ],
    ),
    Table(IN_TURN, MICROSECONDS, [Row(name, run, modules=needs) for name, run, needs in TURNS]),
    Table(
        TAKEN,
        "different threads per task (less is better)",
        [Row(name, partial(threads_taken, run), modules=needs) for name, run, needs in TURNS],
    ),
    Table(
        SKYNET,
        "ms (less is better)",
        [
            Row(DEF, potok_skynet, modules=POTOK),
            Row(ASYNC, potok_askynet, modules=POTOK),
            Row("asyncio.Queue(1)", skynet_by_asyncio),
            Row("asyncio.Queue(1), TaskGroup", skynet_by_task_group),
            Row("gevent Channel", skynet_by_gevent, modules=["gevent"]),
            Row("Go", go_peer.printed_by("skynet.go"), tool="go"),
        ],
    ),
    Table(
        MEMORY,
        "KiB of RAM (less is better)",
        [
            Row(DEF, lambda: potok_parked("coroutines", PARKED), modules=POTOK),
            Row(ASYNC, potok_aparked, modules=POTOK),
            Row("asyncio task", parked_by_asyncio),
            Row("gevent greenlet", parked_by_gevent, modules=["gevent"]),
            Row("potok threads", lambda: potok_parked("threads", PARKED_THREADS), modules=POTOK),
            Row("threading.Thread", parked_by_thread),
        ],
    ),
]
GOALS = [
    Goal(f"{START}: {DEF}", f"{START}: asyncio gather", at_most=0.5),
    Goal(f"{START}: {ASYNC}", f"{START}: asyncio gather", at_most=1.0),
    Goal(f"{START}: {ASYNC}", f"{START}: asyncio TaskGroup", at_most=1.0),
    Goal(f"{START_THREADS}: potok threads", f"{START_THREADS}: threading.Thread", at_most=1.0),
    Goal(f"{IN_TURN}: potok threads", f"{IN_TURN}: threading.Thread", at_most=1.0),
    Goal(f"{TAKEN}: potok threads", f"{TAKEN}: threading.Thread", at_most=0.01),  # in words: they are reused
    Goal(f"{SKYNET}: {DEF}", f"{SKYNET}: asyncio.Queue(1)", at_most=0.7),
    Goal(f"{SKYNET}: {ASYNC}", f"{SKYNET}: asyncio.Queue(1)", at_most=0.7),
]

if __name__ == "__main__":
    alternate.main("Starting tasks", TABLES, GOALS)
