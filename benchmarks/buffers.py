"""Big arrays between two processes: GB/s of 64 KiB, 1 MiB and 64 MiB through a channel of 2.

One process fills nothing and sends the same array again and again; the other receives, reads a word of every page, and
lets go. What is timed begins when a few have come: memory is there, connections are made. The bounds are memcpy, from
one warm array into one other, and into four in turn, as a stream has several under way.

- *potok* sends the array: one copy, into memory that both processes have mapped.
- *potok, loan* asks for a `potok.block` each time, writes one word of every page, and sends it: no copy.
- *multiprocessing.Queue* and *Pipe* pickle, write to a pipe and read from it.
- *joblib* hands arrays to two workers as arguments; beyond 1 MB it maps them from /dev/shm.
- *iceoryx2* lends memory of its own, which is filled by memmove; the receiver polls.

What was found (two noisy cores, CPython 3.11, so by processor time and counts, not by the clock):

- Fresh pages are what is dear: 64 MiB fault in at 1.7 GB/s, are written through the descriptor at 2.3, and copied into
  warm, mapped memory at 21. In the steady state no page is fresh and no descriptor travels: a stream settles on four
  or five places.
- 64 MiB take the sender 1.2 x the processor time of the bare memcpy, and the receiver a fifth of it.
- Beside its copy an array costs some 20 to 40 µs at each side, of which a fifth is numpy's own pickling. So at 1 MiB
  the channel decides: with a capacity of 2 every other item wakes a process, which here takes longer than a copy.
- 64 KiB went beside the pickle, too, and cost 80 µs at either side for a copy of 3: a message with the block's name,
  the accounting, the answer. Now up to 128 KiB are pickled and go by the lane, as ints do, which has room for two of
  the largest: 13 µs at either side, of which 8 are pickling. (Looking for `__main__` in the pickle took 20; a pickler
  that is given a file hands over long bytes by themselves, and they are passed over.)
- A note for each block that goes back doubled the messages; now it goes along with the next one that is sent anyway.
- A loan saves the copy: of 16 MiB the sender's time goes down to a third. Taking from its pages the right to write,
  as it is sent, would cost as much as the copy does.
"""

import ctypes
import itertools
import multiprocessing
import os
import time
from collections.abc import Callable
from time import perf_counter
from typing import Any

import alternate
from alternate import Goal, Row, Table, size

SIZES = {"64 KiB": 1 << 16, "1 MiB": 1 << 20, "64 MiB": 64 << 20}
COUNTS = {1 << 16: size(4_000), 1 << 20: size(1_000), 64 << 20: size(40)}
WARM = 8
CAPACITY = 2
PAGE = 512  # words

forkserver = multiprocessing.get_context("forkserver")


def made(nbytes: int) -> Any:
    """An array of so many bytes."""
    import numpy as np

    return np.arange(nbytes // 8, dtype=np.int64)


def touch(array: Any) -> int:
    """Read a word of every page."""
    return int(array[::PAGE].sum())


def rate(get: Callable[[], Any], nbytes: int) -> float:
    """GB/s of what `get` gives."""
    wanted = touch(made(nbytes))
    for _ in range(WARM):
        assert touch(get()) == wanted
    count = COUNTS[nbytes]
    began = perf_counter()
    for _ in range(count):
        if touch(get()) != wanted:
            raise AssertionError("another array came than was sent")
    return count * nbytes / (perf_counter() - began) / 1e9


# ---------------------------------------------------------------- potok


def send_arrays(tx: Any, nbytes: int) -> None:
    """The same array again and again."""
    array = made(nbytes)
    for _ in range(COUNTS[nbytes] + WARM):
        tx.send(array)


def send_loans(tx: Any, nbytes: int) -> None:
    """Memory of the stream's own, filled in place."""
    import potok

    array = made(nbytes)
    for _ in range(COUNTS[nbytes] + WARM):
        loan = potok.block(nbytes // 8, "int64")
        loan[::PAGE] = array[::PAGE]
        tx.send(loan)


def potok_rate(send: Callable[[Any, int], None], nbytes: int) -> float:
    """A channel whose home is the receiver's process."""
    import potok

    tx, rx = potok.channel(CAPACITY)
    with potok.scope(on="processes") as scope:
        scope.start(send, tx, nbytes)
        return rate(rx.recv, nbytes)


# ---------------------------------------------------------------- peers


def put_arrays(put: Callable[[Any], object], nbytes: int) -> None:
    """The same array again and again, then wait to be ended."""
    array = made(nbytes)
    for _ in range(COUNTS[nbytes] + WARM):
        put(array)
    time.sleep(60)


def queue_rate(nbytes: int) -> float:
    """multiprocessing.Queue."""
    queue = forkserver.Queue(CAPACITY)
    return with_process(queue.put, queue.get, nbytes)


def pipe_rate(nbytes: int) -> float:
    """multiprocessing.Pipe."""
    mine, other = forkserver.Pipe(duplex=False)
    return with_process(other.send, mine.recv, nbytes)


def with_process(put: Callable[[Any], object], get: Callable[[], Any], nbytes: int) -> float:
    """Have another process put what this one gets."""
    process = forkserver.Process(target=put_arrays, args=(put, nbytes))
    process.start()
    try:
        return rate(get, nbytes)
    finally:
        process.kill()
        process.join()


def joblib_rate(nbytes: int) -> float:
    """Arrays as arguments of calls, mapped where they are large."""
    from joblib import Parallel, delayed

    arrays = [made(nbytes) + number for number in range(4)]
    with Parallel(2, mmap_mode="r") as parallel:
        parallel(delayed(touch)(array) for array in arrays)
        rounds = max(1, COUNTS[nbytes] // 40)
        began = perf_counter()
        for _ in range(rounds):
            parallel(delayed(touch)(array) for array in arrays)
        return rounds * len(arrays) * nbytes / (perf_counter() - began) / 1e9


def iceoryx_service(name: str) -> tuple[Any, Any, Any]:
    """A service with two places for the subscriber."""
    import iceoryx2

    iceoryx2.set_log_level(iceoryx2.LogLevel.Fatal)
    node = iceoryx2.NodeBuilder.new().create(iceoryx2.ServiceType.Ipc)
    service = (
        node.service_builder(iceoryx2.ServiceName.new(name))
        .publish_subscribe(iceoryx2.Slice[ctypes.c_uint8])
        .enable_safe_overflow(False)
        .subscriber_max_buffer_size(CAPACITY)
        .max_subscribers(1)
        .max_publishers(1)
        .subscriber_max_borrowed_samples(2)
        .open_or_create()
    )
    return iceoryx2, node, service


def publish(name: str, nbytes: int) -> None:
    """The same array again and again."""
    _, node, service = iceoryx_service(name)
    publisher = service.publisher_builder().initial_max_slice_len(nbytes).create()
    array = made(nbytes)
    while service.dynamic_config.number_of_subscribers == 0:
        time.sleep(0.001)
    publisher.update_connections()
    for _ in range(COUNTS[nbytes] + WARM):
        sample = publisher.loan_slice_uninit(nbytes)
        ctypes.memmove(sample.payload().as_ptr(), array.ctypes.data, nbytes)
        sample.assume_init().send()
    time.sleep(60)
    del node


def iceoryx_rate(nbytes: int) -> float:
    """A subscriber that polls."""
    import numpy as np

    name = f"benchmark/{os.getpid()}/{time.time_ns()}"
    _, node, service = iceoryx_service(name)
    subscriber = service.subscriber_builder().buffer_size(CAPACITY).create()
    last: list[Any] = []

    def get() -> Any:
        while last:
            last.pop().delete()
        while (sample := subscriber.receive()) is None:
            time.sleep(0)
        last.append(sample)
        words = ctypes.cast(sample.payload().as_ptr(), ctypes.POINTER(ctypes.c_int64))
        return np.ctypeslib.as_array(words, (nbytes // 8,))

    process = forkserver.Process(target=publish, args=(name, nbytes))
    process.start()
    try:
        return rate(get, nbytes)
    finally:
        process.kill()
        process.join()
        del node


def memcpy_rate(nbytes: int, places: int) -> float:
    """Copies within one process."""
    array = made(nbytes)
    others = itertools.cycle([array + 1 for _ in range(places)])
    count = max(COUNTS[nbytes], 10)
    began = perf_counter()
    for _ in range(count):
        next(others)[:] = array
    return count * nbytes / (perf_counter() - began) / 1e9


def table(title: str, nbytes: int) -> Table:
    """All who carry arrays of that size."""
    rows = [
        Row("potok", lambda: potok_rate(send_arrays, nbytes), ["numpy"]),
        Row("potok, loan", lambda: potok_rate(send_loans, nbytes), ["numpy"]),
        Row("multiprocessing.Queue", lambda: queue_rate(nbytes), ["numpy"]),
        Row("multiprocessing.Pipe", lambda: pipe_rate(nbytes), ["numpy"]),
        Row("joblib", lambda: joblib_rate(nbytes), ["numpy", "joblib"]),
        Row("iceoryx2", lambda: iceoryx_rate(nbytes), ["numpy", "iceoryx2"]),
        Row("memcpy", lambda: memcpy_rate(nbytes, 1), ["numpy"]),
        Row("memcpy, four places", lambda: memcpy_rate(nbytes, 4), ["numpy"]),
    ]
    return Table(title, "GB/s", rows)


TABLES = [table(title, nbytes) for title, nbytes in SIZES.items()]

GOALS = [
    Goal("64 KiB: potok", "64 KiB: multiprocessing.Queue", at_least=3),
    Goal("1 MiB: potok", "1 MiB: multiprocessing.Queue", at_least=20),
    Goal("64 MiB: potok", "64 MiB: multiprocessing.Queue", at_least=20),
    Goal("1 MiB: potok", "1 MiB: memcpy", at_least=0.7),
    Goal("64 MiB: potok", "64 MiB: memcpy", at_least=0.7),
    *(
        Goal(f"{title}: potok{kind}", f"{title}: {peer}")
        for title in SIZES
        for kind, peer in (("", "iceoryx2"), ("", "memcpy, four places"), (", loan", "memcpy"))
    ),
]

if __name__ == "__main__":
    alternate.main("Big arrays between processes", TABLES, GOALS)
