"""CommsTime: what one communication costs, in a ring of four processes that do nothing but communicate.

    prefix --a--> delta --d--> consumer
      ^             |
      b             c
      |             v
      +-------- successor

The numbers 0, 1, 2, ... go round. Each round is four communications (a, c, d, b), with nothing to do
in parallel: the time of a round over four is the cost of a communication with its task switches. Every peer
runs the same four functions: only the operations that they are given differ.

The bound, two raw greenlet switches (there and back), is what a rendezvous between greenlets pays when each
side parks once: one switch away from it, one back.

What the profile shows (CPython 3.11, two cores, `def` on coroutines, 1.5 µs): a quarter is the two raw switches. The
waiter is 0.12 µs (0.2 before it was used again), entering and leaving the guard 0.07 on each side, finding the current
task 0.04 on each side; the rest are five Python calls and some thirty attribute look-ups. PyCSP's greenlets, which
neither lock, nor cancel, nor time out, nor talk to other threads, need 1.8. Awaiting costs 0.75 more; what it adds is
the coroutine of the operation, the one that parks, and telling asyncio which task runs (0.1, tried without).

Source: P. H. Welch's CommsTime for occam; the process names are those of the CSP libraries after it.
"""

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import alternate
import go_peer
import pycsp_peer
from alternate import Goal, Row, Table, size

WARM_UP = 100
HOPS = 4  # communications in a round


class Ends(NamedTuple):
    """How a peer writes to one of its channels, and how it reads from it."""

    put: Callable[[int], Any]
    get: Callable[[], Any]


# ---------------------------------------------------------------- the four processes, in both colours


def prefix(put: Callable[[int], object], get: Callable[[], int]) -> None:
    """Send the first number on its way, then pass on whatever comes back."""
    number = 0
    while True:
        put(number)
        number = get()


def delta(get: Callable[[], int], put: Callable[[int], object], put_too: Callable[[int], object]) -> None:
    """Copy each number to two channels."""
    while True:
        number = get()
        put(number)
        put_too(number)


def successor(get: Callable[[], int], put: Callable[[int], object]) -> None:
    """Add one to each number."""
    while True:
        put(get() + 1)


def consume(get: Callable[[], int], rounds: int) -> float:
    """Time `rounds` rounds; return µs per communication."""
    for _ in range(WARM_UP):
        get()
    began = perf_counter()
    for _ in range(rounds):
        get()
    return (perf_counter() - began) / rounds / HOPS * 1e6


async def aprefix(put: Callable[[int], Awaitable[object]], get: Callable[[], Awaitable[int]]) -> None:
    """`prefix`, awaiting."""
    number = 0
    while True:
        await put(number)
        number = await get()


async def adelta(
    get: Callable[[], Awaitable[int]],
    put: Callable[[int], Awaitable[object]],
    put_too: Callable[[int], Awaitable[object]],
) -> None:
    """`delta`, awaiting."""
    while True:
        number = await get()
        await put(number)
        await put_too(number)


async def asuccessor(get: Callable[[], Awaitable[int]], put: Callable[[int], Awaitable[object]]) -> None:
    """`successor`, awaiting."""
    while True:
        await put(await get() + 1)


async def aconsume(get: Callable[[], Awaitable[int]], rounds: int) -> float:
    """`consume`, awaiting."""
    for _ in range(WARM_UP):
        await get()
    began = perf_counter()
    for _ in range(rounds):
        await get()
    return (perf_counter() - began) / rounds / HOPS * 1e6


def ring(channels: Sequence[Ends]) -> list[tuple[Callable[..., Any], ...]]:
    """Return the three endless processes, each as a function with its arguments."""
    a, b, c, d = channels
    return [(prefix, a.put, b.get), (delta, a.get, c.put, d.put), (successor, c.get, b.put)]


def aring(channels: Sequence[Ends]) -> list[tuple[Callable[..., Any], ...]]:
    """`ring` with the processes that await."""
    a, b, c, d = channels
    return [(aprefix, a.put, b.get), (adelta, a.get, c.put, d.put), (asuccessor, c.get, b.put)]


# ---------------------------------------------------------------- potok


def potok_ends(*, awaiting: bool = False) -> Ends:
    """Make a rendezvous channel of potok."""
    import potok

    tx, rx = potok.channel()
    return Ends(tx.asend, rx.arecv) if awaiting else Ends(tx.send, rx.recv)


def potok_def(executor: str, rounds: int, finish: Callable[[float], object] = alternate.answer) -> None:
    """CommsTime in plain functions, on an executor of potok; `finish` gets the cost, and does not return."""
    import potok

    def main() -> None:
        channels = [potok_ends() for _ in range(4)]
        with potok.scope() as scope:
            for process in ring(channels):
                scope.start(*process)
            finish(consume(channels[3].get, rounds))

    potok.run(main, on=executor)


def potok_async(rounds: int, finish: Callable[[float], object] = alternate.answer) -> None:
    """CommsTime in coroutine functions, on potok's coroutines; `finish` as above."""
    import potok

    async def main() -> None:
        channels = [potok_ends(awaiting=True) for _ in range(4)]
        async with potok.scope() as scope:
            for process in aring(channels):
                scope.start(*process)
            finish(await aconsume(channels[3].get, rounds))

    potok.run(main, on="coroutines")


# ---------------------------------------------------------------- the peers


def by_pycsp(flavour: str, rounds: int) -> float:
    """CommsTime in PyCSP; it answers from within, for pycsp.parallel may hang when it is asked to stop."""
    csp = pycsp_peer.load(flavour)
    channels = [csp.Channel() for _ in range(4)]
    ends = [Ends(channel.writer(), channel.reader()) for channel in channels]
    last = csp.process(lambda get: alternate.answer(consume(get, rounds)))
    csp.Parallel(*[csp.process(run)(*args) for run, *args in ring(ends)], last(ends[3].get))
    raise RuntimeError("PyCSP returned without a number")


def by_asyncio(rounds: int = size(10_000)) -> float:
    """CommsTime over asyncio.Queue(1): asyncio has no rendezvous, one item is the nearest."""

    async def main() -> float:
        queues = [asyncio.Queue[int](1) for _ in range(4)]
        channels = [Ends(q.put, q.get) for q in queues]
        tasks = [asyncio.create_task(run(*args)) for run, *args in aring(channels)]
        cost = await aconsume(channels[3].get, rounds)
        for task in tasks:
            task.cancel()
        return cost

    return asyncio.run(main())


def by_trio(rounds: int = size(5_000)) -> float:
    """CommsTime over Trio's memory channels of capacity 0."""
    import trio

    async def main() -> float:
        pairs = [trio.open_memory_channel[int](0) for _ in range(4)]
        channels = [Ends(tx.send, rx.receive) for tx, rx in pairs]
        async with trio.open_nursery() as nursery:
            for process in aring(channels):
                nursery.start_soon(*process)
            cost = await aconsume(channels[3].get, rounds)
            nursery.cancel_scope.cancel()
        return cost

    return trio.run(main)


def by_gevent(rounds: int = size(20_000)) -> float:
    """CommsTime over gevent's rendezvous channel."""
    import gevent
    import gevent.queue

    channels = [Ends(c.put, c.get) for c in (gevent.queue.Channel() for _ in range(4))]
    for process in ring(channels):
        gevent.spawn(*process)
    return gevent.spawn(consume, channels[3].get, rounds).get()


def by_threads(rounds: int = size(2_500)) -> float:
    """CommsTime over queue.Queue(1) between threads."""
    channels = [Ends(q.put, q.get) for q in (queue.Queue[int](1) for _ in range(4))]
    for run, *args in ring(channels):
        threading.Thread(target=run, args=args, daemon=True).start()
    return consume(channels[3].get, rounds)


def raw_switches(count: int = size(500_000)) -> float:
    """The bound: into another greenlet and back, with nothing carried."""
    import greenlet

    here = greenlet.getcurrent()

    def there() -> None:
        back = here.switch
        while True:
            back()

    switch = greenlet.greenlet(there).switch
    switch()
    began = perf_counter()
    for _ in range(count):
        switch()
    return (perf_counter() - began) / count * 1e6


DEF, ASYNC, THREADS = "potok coroutines, def", "potok coroutines, async def", "potok threads"
TITLE = "CommsTime"
TABLES = [
    Table(
        TITLE,
        "µs per communication (less is better)",
        [
            Row(DEF, lambda: potok_def("coroutines", size(30_000)), modules=["potok"]),
            Row(ASYNC, lambda: potok_async(size(30_000)), modules=["potok"]),
            Row(
                "pycsp.greenlets", lambda: by_pycsp("greenlets", size(10_000)), modules=["pycsp", "greenlet"]
            ),
            Row("asyncio.Queue(1)", by_asyncio),
            Row("trio memory channel (0)", by_trio, modules=["trio"]),
            Row("gevent Channel", by_gevent, modules=["gevent"]),
            Row("two raw greenlet switches", raw_switches, modules=["greenlet"]),
            Row(THREADS, lambda: potok_def("threads", size(2_500)), modules=["potok"]),
            Row("queue.Queue(1), threads", by_threads),
            Row("pycsp.parallel", lambda: by_pycsp("parallel", size(500)), modules=["pycsp"]),
            Row("Go", go_peer.printed_by("commstime.go"), tool="go"),
        ],
    )
]
GOALS = [
    goal
    for ours in (DEF, ASYNC)
    for goal in (
        Goal(f"{TITLE}: {ours}", f"{TITLE}: pycsp.greenlets", at_most=0.7),
        Goal(f"{TITLE}: {ours}", f"{TITLE}: asyncio.Queue(1)", at_most=0.35),
        Goal(f"{TITLE}: {ours}", f"{TITLE}: trio memory channel (0)", at_most=0.2),
        Goal(f"{TITLE}: {ours}", f"{TITLE}: two raw greenlet switches", at_most=5),
    )
] + [
    Goal(f"{TITLE}: {THREADS}", f"{TITLE}: pycsp.parallel", at_most=0.2),
    Goal(f"{TITLE}: {THREADS}", f"{TITLE}: queue.Queue(1), threads", at_most=1.0),
]

if __name__ == "__main__":
    alternate.main("CommsTime: four processes in a ring, over rendezvous channels", TABLES, GOALS)
