"""Maps over processes with two workers: what an item costs, what uneven items cost, the first result, memory.

- *trivial*: 100,000 x `x * 2`: the overhead of an item.
- *primes*, *even*: 10,000 primes near 10**9; 2,000 items of 1 ms: the speed-up over the plain loop.
- *uneven*: 2,000 items of which the last eighth take 1 ms and the others 10 µs.
- *first result*: from the call to the first result, with workers that are there, over a million items.
- *memory*: how much a map over a generator of a million items takes beyond the interpreter.

What was found: most of what an item costs is pickling it and its result, and giving it out; so lots are worked on by
`map` in C, and a lot's results are given out without looking up between them, as one piece. Lots of up to 4,096
items: a program's first map of 100,000 takes 15 ms with them and up to 23 with 16,384 (fresh memory, most likely),
which are faster by a twentieth or a tenth over millions of items. A message costs 250 µs of processor time on all
sides with 500 lots in a second, 700 with 120: the dispatcher looks at the links three times for each, 60 µs a look.
With two cores and two workers all of that is taken from the workers; so lots take 40 ms: tried in turn against 20 and
30, six times, *even* is 0.99 x Pool.map so (0.94 with 20 ms) and *primes* 0.97 (0.94). Several workers that receive
from one channel have to ask for each lot; a channel to each worker, and a lot sent ahead, took that away.

What a function takes is not guessed: each worker gets one item first, and what comes after that is as long as the first
answers say. So 4 to 5 ms pass until both have a long lot, most of them for waking two idle processes: a thirtieth of
*primes*, a quarter of *trivial*. Guessing from what it takes to send an item was sooner there; but it put everything
that was left behind a first item of half a second.

A worker is a new process where the workers of the map before have not ended yet, and comes up in some 30 ms, twice
what *trivial* takes in all: so each worker is told of the end with its last lot and ends by itself, some
milliseconds sooner than if it were cancelled, and nothing is sent to one that is yet to come up.
Still one map in twenty that follows at once starts a process. A map over a generator of ten million items takes 23
MiB, as one over a million does.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from typing import Any

import alternate
from alternate import Goal, Row, Table, size

TRIVIAL = size(100_000)
PRIMES = size(10_000)
EVEN = size(2_000)
MILLION = size(1_000_000)

forkserver = multiprocessing.get_context("forkserver")

Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


def double(x: int) -> int:
    """Do next to nothing."""
    return x * 2


def is_prime(number: int) -> bool:
    """Try every odd divisor up to the square root."""
    divisor = 3
    while divisor * divisor <= number:
        if number % divisor == 0:
            return False
        divisor += 2
    return number % 2 == 1


def compute(seconds: float) -> float:
    """Keep the processor for so long."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    return seconds


# ---------------------------------------------------------------- peers


def with_potok(use: Callable[[Mapper], float]) -> float:
    """Warm workers."""
    import potok

    def mapped(fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        return potok.map(fn, items, on="processes", workers=2)

    list(mapped(double, range(1000)))
    return use(mapped)


def with_auto(use: Callable[[Mapper], float]) -> float:
    """Whatever potok chooses."""
    import potok

    list(potok.map(double, range(1000)))
    return use(potok.map)


def with_loop(use: Callable[[Mapper], float]) -> float:
    """The plain loop."""

    def mapped(fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
        for item in items:
            yield fn(item)

    return use(mapped)


def with_pool(use: Callable[[Mapper], float], method: str = "map") -> float:
    """`multiprocessing.Pool` with its default chunks."""
    with forkserver.Pool(2) as pool:
        pool.map(double, range(1000))
        return use(getattr(pool, method))


def with_executor(use: Callable[[Mapper], float], chunk: int = 1) -> float:
    """`ProcessPoolExecutor`."""
    with ProcessPoolExecutor(2, mp_context=forkserver) as pool:
        list(pool.map(double, range(1000)))
        return use(partial(pool.map, chunksize=chunk))


def with_joblib(use: Callable[[Mapper], float]) -> float:
    """joblib's default backend, batches by itself."""
    from joblib import Parallel, delayed

    with Parallel(2) as parallel:

        def mapped(fn: Callable[[Any], Any], items: Iterable[Any]) -> Iterable[Any]:
            return parallel(delayed(fn)(item) for item in items)  # type: ignore[no-any-return]

        mapped(double, range(1000))
        return use(mapped)


def with_mpire(use: Callable[[Mapper], float]) -> float:
    """mpire's default chunks."""
    from mpire import WorkerPool

    with WorkerPool(2, start_method="forkserver") as pool:
        pool.map(double, range(1000))
        return use(pool.map)


# ---------------------------------------------------------------- questions


def trivial(mapped: Mapper) -> float:
    """Microseconds an item."""
    items = list(range(TRIVIAL))
    began = time.perf_counter()
    result = None
    for result in mapped(double, items):  # noqa: B007 - the last one is looked at
        pass
    seconds = time.perf_counter() - began
    assert result == double(TRIVIAL - 1)
    return seconds / TRIVIAL * 1e6


def plain_trivial(_: Any = None) -> float:
    """The same without any call of a map."""
    items = list(range(TRIVIAL))
    began = time.perf_counter()
    for item in items:
        double(item)
    return (time.perf_counter() - began) / TRIVIAL * 1e6


def speed_up(fn: Callable[[Any], Any], items: list[Any], mapped: Mapper) -> float:
    """Over the plain loop, which is measured just before."""
    began = time.perf_counter()
    expected = [fn(item) for item in items]
    alone = time.perf_counter() - began
    began = time.perf_counter()
    got = list(mapped(fn, items))
    together = time.perf_counter() - began
    assert got == expected
    return alone / together


def primes(mapped: Mapper) -> float:
    """Items that take 0.4 ms at most, and some next to nothing."""
    return speed_up(is_prime, list(range(10**9, 10**9 + PRIMES)), mapped)


def even(mapped: Mapper) -> float:
    """Items of 1 ms."""
    return speed_up(compute, [0.001] * EVEN, mapped)


def uneven(mapped: Mapper) -> float:
    """The last eighth are a hundred times longer."""
    return speed_up(compute, [0.00001] * (EVEN - EVEN // 8) + [0.001] * (EVEN // 8), mapped)


def first(mapped: Mapper) -> float:
    """Milliseconds until the first of a million."""
    began = time.perf_counter()
    results = mapped(double, iter(range(MILLION)))
    assert list(islice(results, 1)) == [0]
    return (time.perf_counter() - began) * 1e3


def memory(mapped: Mapper) -> float:
    """MiB beyond what was there before."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = sum(1 for _ in mapped(double, (x for x in range(MILLION))))
    assert count == MILLION
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


POTOK = Row("potok", partial(with_potok, trivial))


def rows(question: Callable[[Mapper], float], *, with_chunks: bool = True) -> list[Row]:
    """The peers that are asked."""
    return [
        Row("potok", partial(with_potok, question)),
        Row("Pool.map", partial(with_pool, question)),
        Row("Executor, 1", partial(with_executor, question)),
        *([Row("Executor, 100", partial(with_executor, question, 100))] if with_chunks else []),
        Row("joblib", partial(with_joblib, question), modules=["joblib"]),
        Row("mpire", partial(with_mpire, question), modules=["mpire"]),
    ]


TABLES = [
    Table(
        "trivial",
        "µs an item",
        [
            *rows(trivial),
            Row("potok, auto", partial(with_auto, trivial)),
            Row("plain loop", plain_trivial),
        ],
    ),
    Table("primes", "x the plain loop", rows(primes)),
    Table("even", "x the plain loop", rows(even)),
    Table("uneven", "x the plain loop", rows(uneven)),
    Table(
        "first result",
        "ms",
        [
            Row("potok", partial(with_potok, first)),
            Row("potok, auto", partial(with_auto, first)),
            Row("Pool.map", partial(with_pool, first)),
            Row("Pool.imap", partial(with_pool, first, "imap")),
        ],
    ),
    Table(
        "memory",
        "MiB",
        [
            Row("potok", partial(with_potok, memory)),
            Row("potok, auto", partial(with_auto, memory)),
            Row("Pool.map", partial(with_pool, memory)),
            Row("Executor, 100", partial(with_executor, memory, 100)),
        ],
    ),
]

GOALS = [
    Goal("trivial: potok", "trivial: Pool.map", at_most=1.2),
    Goal("trivial: potok", "trivial: Executor, 1", at_most=0.01),
    Goal("trivial: potok", "trivial: joblib", at_most=0.1),
    Goal("trivial: potok", "trivial: mpire", at_most=0.1),
    Goal("trivial: potok, auto", "trivial: plain loop", at_most=1.05),
    *(
        Goal(f"{question}: potok", f"{question}: {peer}", at_least=0.97)
        for question in ("primes", "even", "uneven")
        for peer in ("Pool.map", "Executor, 1", "Executor, 100", "joblib", "mpire")
    ),
    Goal("first result: potok", "first result: Pool.map"),
    Goal("memory: potok", "memory: Pool.map"),
]

if __name__ == "__main__":
    alternate.main("Maps over processes, two workers", TABLES, GOALS)
