"""Between processes: items through a channel, round trips, the first result, and starting tasks.

Four questions:

- *ints*, *dicts*: items from one process to another through a channel of 100 places.
- *round trip*: a ball to another process and back.
- *first result*: from nothing to the result of a first task, with the workers' start in it.
- *start*: a task on a worker that is warm and idle, and its result.

What was found (by counting calls and processor time): what a message costs is Python, not system calls. Those of a
round trip take 5 µs at either side; the steps around them took 65, of packing, framing, waking and being woken. So
items go without any: by a lane in shared memory, which who waits looks at for a moment, as long as that pays (see
`remote.spinning`). Who waits otherwise is told once, by a ring that carries nothing, and not again before it waits
again: on one core, where each wait is one, a round trip takes 58 µs in both processes and took 88. A send by a lane is
two calls in Python and takes 0.9 µs, and was seven that took 1.7; a receive takes 0.4, since what has come is read in
one step, and took 0.7. With 100 places a sender used to run out of them every 60 items; it sees new ones in shared
memory, too, and looks for them before it parks. What is left where no core is free: on 100 items one wait of the sender
and two or three of the receiver, 30 to 80 µs of processor time each.

Dicts: packing one takes 1.1 µs, putting it into the lane another 0.4 and opening it 0.6. A small container of plain
values goes to its home as marshal writes it, at once, and is read with the others: a send takes 2.0 µs and took 2.6, a
receive takes 0.5 and took 1.25; 0.5 of the send finds out that it is one, of which marshal makes the same.

What bounds the ints is the sender: of the 0.8 µs of its short way (alone in a process) 0.4 write the item, and 0.25 are
the mutex, whose end is the barrier after which it shows whether the reader looks; what is left are some ten looks at
whether anything forbids the short way, at 8 ns each. Prototypes that are faster by far gather items in the sender: here
each is in shared memory as `send` returns, so that it has been sent even if the worker is killed then.

Starting a task takes two messages (the task, its result; that it has begun stands in shared memory). Where both
processes look for them by themselves, what it takes is Python: of 90 µs 27 passed before the task was sent, 9 in
reading it, 29 until its result was sent, 8 in reading that, 8 until the caller had it; system calls are 8. So it was
cut in many places (80 now, 100 before them): over 250 calls in either process, of which none is much, and each takes
twice what it takes in a loop of its own.

A first result: the forkserver comes up while the program still imports; where bytecode is cached (the children of a
benchmark see to that) 23 ms pass in `import potok`, and the forkserver takes some 50 from then on to come up and to
import. Only who imports less hastens that: named tuples are dear, each of their fields is compiled.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from functools import partial
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


RECORD = {
    "id": 123456,
    "name": "sensor-7",
    "value": 3.14159,
    "tags": ["a", "b", "c"],
    "ok": True,
}  # ~100 bytes


def produce(tx: Any, count: int, item: Any) -> None:
    """Send the item so many times."""
    for _ in range(count):
        tx.send(item)


def consume(rx: Any) -> float:
    """Items a second."""
    rx.recv()
    began = perf_counter()
    count = sum(1 for _ in rx)
    return count / (perf_counter() - began)


def potok_to_home(item: Any) -> float:
    """A channel whose home is the receiver's process."""
    import potok

    tx, rx = potok.channel(CAPACITY)
    with potok.scope(on="processes") as scope:
        scope.start(int).result()  # a warm worker
        scope.start(produce, tx, ITEMS, item)
        return consume(rx)


def potok_from_home(item: Any) -> float:
    """A channel whose home is the sender's process."""
    import potok

    tx, rx = potok.channel(CAPACITY)
    with potok.scope(on="processes") as scope:
        scope.start(int).result()
        task = scope.start(consume, rx)
        with tx:
            produce(tx, ITEMS, item)
        return task.result()


def put(queue: Any, count: int, item: Any) -> None:
    """Put the item so many times, then None."""
    for _ in range(count):
        queue.put(item)
    queue.put(None)


def queue_items(item: Any) -> float:
    """multiprocessing.Queue."""
    queue = forkserver.Queue(CAPACITY)
    process = forkserver.Process(target=put, args=(queue, ITEMS, item))
    process.start()
    queue.get()
    began = perf_counter()
    count = sum(1 for _ in iter(queue.get, None))
    took = perf_counter() - began
    process.join()
    return count / took


def put_many(queue: Any, count: int, item: Any) -> None:
    """Put the item so many times, 100 at once, then None."""
    for _ in range(count // CAPACITY):
        queue.put_many([item] * CAPACITY, timeout=30)
    queue.put(None, timeout=30)


def fifo_items(item: Any) -> float:
    """faster-fifo, in batches of 100 that the program makes."""
    import faster_fifo

    queue = faster_fifo.Queue(max_size_bytes=2_000_000)
    process = forkserver.Process(target=put_many, args=(queue, ITEMS, item))
    process.start()
    count, got = 0, queue.get_many(timeout=30)
    began = perf_counter()
    while got[-1] is not None:
        got = queue.get_many(timeout=30)
        count += len(got)
    took = perf_counter() - began
    process.join()
    return count / took


# ---------------------------------------------------------------- round trips


def potok_echo(rx: Any, tx: Any) -> None:
    """Send back what comes."""
    for item in rx:
        tx.send(item)


def potok_trips() -> float:
    """Two channels, as `potok.pipe` makes them."""
    import potok

    (there, rx), (tx, back) = potok.channel(16), potok.channel(16)
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
    *[
        Table(
            title,
            "items/s",
            [
                Row("potok", partial(potok_to_home, item)),
                Row("potok, from home", partial(potok_from_home, item)),
                Row("multiprocessing.Queue", partial(queue_items, item)),
                Row("faster-fifo, batched", partial(fifo_items, item), modules=["faster_fifo"]),
            ],
        )
        for title, item in (("ints", 7), ("dicts", RECORD))
    ],
    Table("round trip", "µs", [Row("potok", potok_trips), Row("multiprocessing.Pipe", pipe_trips)]),
    Table("first result", "ms", [Row("potok", potok_first), Row("ProcessPoolExecutor", pool_first)]),
    Table("start", "µs", [Row("potok", potok_warm), Row("ProcessPoolExecutor", pool_warm)]),
]

GOALS = [
    Goal("ints: potok", "ints: multiprocessing.Queue", at_least=10),
    Goal("dicts: potok", "dicts: multiprocessing.Queue", at_least=5),
    Goal("ints: potok", "ints: faster-fifo, batched", at_least=5),
    Goal("round trip: potok", "round trip: multiprocessing.Pipe", at_most=1.5),
    Goal("first result: potok", "first result: ProcessPoolExecutor", at_most=1),
    Goal("start: potok", "start: ProcessPoolExecutor", at_most=0.5),
]

if __name__ == "__main__":
    alternate.main("Between processes", TABLES, GOALS)
