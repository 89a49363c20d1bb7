"""`on="auto"` against every executor: is it ever much worse than the best of them?

Workloads of every kind: tiny, medium and large Python; hashing and compression, which release the GIL; numpy, small and
large; sleeping; async waiting; big arrays in and out; results that can't be pickled; uneven items; a function that
changes its nature half-way. Each row is the seconds of one map over all items, workers started within it, as a program
would that does it once; modules were imported before.

The goals: at most 1.15 times the best of the executors, and where that is the plain loop, at most 1.05 times the loop.
The best is not known before, so a goal stands against each of them: against those that are not the best it is easy.

What was found: to import and to find out takes some milliseconds, which shows where all items together take only some.

tiny           An item of 25 ns takes 43 on auto, as its result has to be given out (49 before a list was sliced, and a
               Python function called by the interpreter itself, not by `map`). What else there is, where the plain loop
               takes 24.5 an item: `map` alone, which can tell nobody whose error it was, 29; a generator 43; `yield
               from` a `map` 51; lists of 2048 that are filled and given out, with a look at the clock at each 256th
               item, 37 to 38. So 1.05 is out of reach for whoever gives out results. It is lists: between them the
               clock can be looked at, and an error be told of; longer ones are in memory that is new each time.
numpy small    An item of 1.2 µs takes 20 ns more, as above; in the first 40 ms (twice that, as a BLAS spins then, see
               below) 90 more, for the probe looks on: 170 before it timed such items by groups.
big arrays     10 ms in all, of which 2 to find out. Each 8 MB that are alive at a time come from the system once, for
               1 ms where the machine has the memory, for 12 where its own host has yet to give it: whichever row came
               first paid for that, three times what all the others took. A loop that drops each result at once has one
               array, any consumer two, who works ahead more: so auto makes large results one by one.
numpy large    After `import numpy` a thread of its BLAS spins for a tenth of a second, as if the function had threads
               of its own. So threads are tried, and do more than twice as well: by memory of their own, it seems.
sha256, zlib   Short items that release the GIL: threads, once the GIL was looked at eight times (10 ms). Where the
               machine has one core free, neither threads nor processes pay, and it goes back to the loop.
changing       Noticed after 10 ms, and moved then: processes are expected in 0.12 s. When that was 0.21 it stayed in
               the loop. What changes back when worker processes were started already, as it was expected to go on, is a
               start for nothing: that can't be foreseen.

While worker processes come up the loop goes on, but with two cores in turns with them: they pay off from about twice
their start-up on.
"""

import asyncio
import hashlib
import time
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import alternate
from alternate import Goal, Row, Table, size

PIECE = bytes(range(256)) * 2000  # 512 KB


def tiny(x: int) -> int:
    """Next to nothing."""
    return x * 2


def medium(x: int) -> int:
    """Some 50 µs of Python."""
    total = x
    for number in range(1_000):
        total += number * x
    return total


def large(x: int) -> int:
    """Some 20 ms of Python."""
    total = x
    for number in range(400_000):
        total += number
    return total


def digest(x: int) -> str:
    """Half a megabyte of SHA-256: the GIL is released."""
    return hashlib.sha256(PIECE + bytes([x % 256])).hexdigest()


def squeeze(x: int) -> int:
    """The same, of zlib."""
    return len(zlib.compress(PIECE + bytes([x % 256]), 1))


def small_array(x: int) -> float:
    """Numpy on 100 numbers."""
    import numpy as np

    return float(np.arange(100).sum()) + x


def large_array(x: int) -> float:
    """Numpy on a million numbers."""
    import numpy as np

    return float(np.sqrt(np.arange(1_000_000, dtype=float)).sum()) + x


def big_in_and_out(array: Any) -> Any:
    """Eight megabytes, there and back."""
    return array * 2


def doze(x: int) -> int:
    """Wait in a system call."""
    time.sleep(0.005)
    return x


async def adoze(x: int) -> int:
    """Wait in an event loop."""
    await asyncio.sleep(0.005)
    return x


def unpicklable(x: int) -> Any:
    """The result can't go to another process."""
    medium(x)
    return lambda: x


def uneven(x: int) -> int:
    """Every sixteenth takes sixty times as long."""
    return sum(medium(x) for _ in range(60)) if x % 16 == 0 else medium(x)


def changing(x: int) -> int:
    """Tiny in its first half, medium in its second."""
    return tiny(x) if x < CHANGING // 2 else medium(x)


def changing_back(x: int) -> int:
    """The other way round."""
    return medium(x) if x < CHANGING // 2 else tiny(x)


CHANGING = size(20_000)


def arrays() -> Iterable[Any]:
    """Two dozen of 8 MB. As many are made and dropped before: what comes next finds memory that the machine has."""
    import numpy as np

    count = size(24)
    return [np.full(1_000_000, x, dtype=float) for x in range(2 * count)][:count]


WORKLOADS: list[tuple[str, Callable[[Any], Any], Callable[[], Iterable[Any]]]] = [
    ("tiny", tiny, lambda: list(range(size(2_000_000)))),
    ("medium", medium, lambda: list(range(size(20_000)))),
    ("large", large, lambda: list(range(size(150)))),
    ("sha256", digest, lambda: list(range(size(1500)))),
    ("zlib", squeeze, lambda: list(range(size(600)))),
    ("numpy small", small_array, lambda: list(range(size(300_000)))),
    ("numpy large", large_array, lambda: list(range(size(300)))),
    ("big arrays", big_in_and_out, arrays),
    ("sleeping", doze, lambda: list(range(size(1000)))),
    ("async waiting", adoze, lambda: list(range(size(3000)))),
    ("unpicklable", unpicklable, lambda: list(range(size(20_000)))),
    ("uneven", uneven, lambda: list(range(size(4_000)))),
    ("changing", changing, lambda: list(range(CHANGING))),
    ("changing back", changing_back, lambda: list(range(CHANGING))),
]


def on(executor: str, fn: Callable[[Any], Any], items: Callable[[], Iterable[Any]]) -> float:
    """Seconds of a map."""
    import potok

    list(
        potok.map(abs, range(3), on=executor if executor == "auto" else "inline")
    )  # imports are not what is asked
    inputs = prepared(fn, items)
    began = time.perf_counter()
    for _ in potok.map(fn, inputs, on=executor):
        pass
    return time.perf_counter() - began


def prepared(fn: Callable[[Any], Any], items: Callable[[], Iterable[Any]]) -> Iterable[Any]:
    """The items, when what the function imports is there."""
    if fn in (small_array, large_array):
        import numpy as np  # noqa: F401
    return items()


def loop(fn: Callable[[Any], Any], items: Callable[[], Iterable[Any]]) -> float:
    """Seconds of the best plain loop. It has each result until the next one is there, as who does something with it."""
    inputs = prepared(fn, items)
    if fn is adoze:

        async def run() -> None:
            for item in inputs:
                await fn(item)

        began = time.perf_counter()
        asyncio.run(run())
        return time.perf_counter() - began
    began = time.perf_counter()
    for item in inputs:
        result = fn(item)
    del result
    return time.perf_counter() - began


def executors_for(name: str) -> tuple[str, ...]:
    """Those that can do it at all."""
    if name == "async waiting":
        return ("coroutines", "threads")
    return ("threads",) if name == "unpicklable" else ("threads", "processes")


TABLES = [
    Table(
        name,
        "s",
        [
            Row("auto", partial(on, "auto", fn, items), modules=modules),
            Row("loop", partial(loop, fn, items), modules=modules),
            *(Row(other, partial(on, other, fn, items), modules=modules) for other in executors_for(name)),
        ],
    )
    for name, fn, items in WORKLOADS
    for modules in [["numpy"] if "numpy" in name or "arrays" in name else []]
]

GOALS = [
    goal
    for name, _, _ in WORKLOADS
    for goal in [
        Goal(f"{name}: auto", f"{name}: loop", at_most=1.05),
        *(Goal(f"{name}: auto", f"{name}: {other}", at_most=1.15) for other in executors_for(name)),
    ]
]

if __name__ == "__main__":
    alternate.main("auto against every executor", TABLES, GOALS)
