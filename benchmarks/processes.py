"""Between processes: items through a channel, round trips, the first result, and starting tasks.

Four questions:

- *items*: ints from one process to another through a channel of 100 places.
- *round trip*: a ball to another process and back.
- *first result*: from nothing to the result of a first task, with the workers' start in it.
- *start*: a task on a worker that is warm and idle, and its result.

What was found: every item is a call that its home answers, so a channel is bound by two wakes of a process for each
item (60 to 150 µs on two noisy cores), where `multiprocessing.Queue` writes on without an answer. Batches under a
credit that the home grants are what is missing; the goals stand here for them. A reader thread between the link and
the task that waits would cost another wake: the task reads its link itself.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter
from typing import Any

import alternate
from alternate import Goal, Row, Table, size

ITEMS = size(20_000)
TRIPS = size(5_000)
TASKS = size(500)
CAPACITY = 100

forkserver = multiprocessing.get_context("forkserver")


# ---------------------------------------------------------------- items


def produce(tx: Any, count: int) -> None:
    """Send so many ints."""
    for item in range(count):
        tx.send(item)


def potok_items() -> float:
    """A channel whose home is the receiver's process."""
    import potok

    tx, rx = potok.channel(CAPACITY)
    with potok.scope(on="processes") as scope:
        scope.start(int).result()  # a warm worker
        scope.start(produce, tx, ITEMS)
        rx.recv()
        began = perf_counter()
        count = sum(1 for _ in rx)
        return count / (perf_counter() - began)


def put(queue: Any, count: int) -> None:
    """Put so many ints, then None."""
    for item in range(count):
        queue.put(item)
    queue.put(None)


def queue_items() -> float:
    """multiprocessing.Queue."""
    queue = forkserver.Queue(CAPACITY)
    process = forkserver.Process(target=put, args=(queue, ITEMS))
    process.start()
    queue.get()
    began = perf_counter()
    count = sum(1 for _ in iter(queue.get, None))
    took = perf_counter() - began
    process.join()
    return count / took


# ---------------------------------------------------------------- round trips


def potok_echo(rx: Any, tx: Any) -> None:
    """Send back what comes."""
    for item in rx:
        tx.send(item)


def potok_trips() -> float:
    """Two rendezvous channels."""
    import potok

    (there, rx), (tx, back) = potok.channel(), potok.channel()
    with potok.scope(on="processes") as scope:
        scope.start(potok_echo, rx, tx)
        there.send(0)
        back.recv()
        began = perf_counter()
        with there:
            for ball in range(TRIPS):
                there.send(ball)
                back.recv()
        return (perf_counter() - began) / TRIPS * 1e6


def pipe_echo(end: Any) -> None:
    """Send back what comes, until None."""
    while (item := end.recv()) is not None:
        end.send(item)


def pipe_trips() -> float:
    """multiprocessing.Pipe."""
    mine, other = forkserver.Pipe()
    process = forkserver.Process(target=pipe_echo, args=(other,))
    process.start()
    mine.send(0)
    mine.recv()
    began = perf_counter()
    for ball in range(TRIPS):
        mine.send(ball)
        mine.recv()
    took = perf_counter() - began
    mine.send(None)
    process.join()
    return took / TRIPS * 1e6


# ---------------------------------------------------------------- starting


def potok_first() -> float:
    """Import, forkserver, worker, task."""
    began = perf_counter()
    import potok

    with potok.scope(on="processes") as scope:
        scope.start(int).result()
        return (perf_counter() - began) * 1e3


def pool_first() -> float:
    """The same with ProcessPoolExecutor."""
    began = perf_counter()
    with ProcessPoolExecutor(2, mp_context=forkserver) as pool:
        pool.submit(int).result()
        return (perf_counter() - began) * 1e3


def potok_warm() -> float:
    """One task after the other on the same worker."""
    import potok

    with potok.scope(on="processes") as scope:
        scope.start(int).result()
        began = perf_counter()
        for _ in range(TASKS):
            scope.start(int).result()
        return (perf_counter() - began) / TASKS * 1e6


def pool_warm() -> float:
    """`submit().result()` of a pool that is warm."""
    with ProcessPoolExecutor(1, mp_context=forkserver) as pool:
        pool.submit(int).result()
        began = perf_counter()
        for _ in range(TASKS):
            pool.submit(int).result()
        return (perf_counter() - began) / TASKS * 1e6


TABLES = [
    Table("items", "items/s", [Row("potok", potok_items), Row("multiprocessing.Queue", queue_items)]),
    Table("round trip", "µs", [Row("potok", potok_trips), Row("multiprocessing.Pipe", pipe_trips)]),
    Table("first result", "ms", [Row("potok", potok_first), Row("ProcessPoolExecutor", pool_first)]),
    Table("start", "µs", [Row("potok", potok_warm), Row("ProcessPoolExecutor", pool_warm)]),
]

GOALS = [
    Goal("items: potok", "items: multiprocessing.Queue", at_least=10),
    Goal("round trip: potok", "round trip: multiprocessing.Pipe", at_most=1.5),
    Goal("first result: potok", "first result: ProcessPoolExecutor", at_most=1),
    Goal("start: potok", "start: ProcessPoolExecutor", at_most=0.5),
]

if __name__ == "__main__":
    alternate.main("Between processes", TABLES, GOALS)
