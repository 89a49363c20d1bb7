"""Small whole programs of the field, which have found bugs elsewhere: sieve, power series, trees, philosophers, rings.

Source: Go's test/chan (sieve1, powser1, doubleselect); Welch's CommsTime; Dijkstra's philosophers; skynet.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import potok
from potok.testing.conformance.bodies import receive_all, send_each
from potok.testing.conformance.colours import Do, Opened
from potok.testing.conformance.target import Play


def test_program_sieve(play: Play) -> None:
    """A chain of filters, grown as primes are found, and cancelled when there are enough."""

    async def count(do: Do, tx: potok.Sender[int]) -> None:
        for number in range(2, 10_000):
            await do.send(tx, number)

    async def drop_multiples(do: Do, rx: potok.Receiver[int], tx: potok.Sender[int], prime: int) -> None:
        async for number in do.each(rx):
            if number % prime:
                await do.send(tx, number)

    async def body(do: Do) -> list[int]:
        primes: list[int] = []
        async with do.scope() as s:
            tx, rx = potok.channel()
            s.start(count, tx)
            while len(primes) < 15:
                primes.append(await do.recv(rx))
                tx, rest = potok.channel()
                s.start(drop_multiples, rx, tx, primes[-1])
                rx = rest
            s.cancel()
        return primes

    assert play(body) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47]


def test_program_power_series(play: Play) -> None:
    """Series as streams of coefficients, split and added by tasks: exp' = exp."""

    async def exponential(do: Do, tx: potok.Sender[Fraction]) -> None:
        term = Fraction(1)
        for number in range(1, 20):
            await do.send(tx, term)
            term /= number

    async def split(do: Do, rx: Any, one: potok.Sender[Fraction], other: potok.Sender[Fraction]) -> None:
        async for term in do.each(rx):
            await do.send(one, term)
            await do.send(other, term)

    async def differentiate(do: Do, rx: potok.Receiver[Fraction], tx: potok.Sender[Fraction]) -> None:
        await do.recv(rx)
        number = 1
        async for term in do.each(rx):
            await do.send(tx, term * number)
            number += 1

    async def subtract(do: Do, one: Any, other: Any, tx: potok.Sender[Fraction]) -> None:
        async for term in do.each(one):
            await do.send(tx, term - await do.recv(other))
        await receive_all(do, other)

    async def body(do: Do) -> list[Fraction]:
        (e_tx, e), (a_tx, a), (b_tx, b) = potok.channel(), potok.channel(), potok.channel(1)
        (d_tx, d), (r_tx, r) = potok.channel(), potok.channel()
        async with do.scope() as s:
            s.start(exponential, e_tx)
            s.start(split, e, a_tx, b_tx)
            s.start(differentiate, a, d_tx)
            s.start(subtract, d, b, r_tx)
            for own in (e_tx, a_tx, b_tx, d_tx):
                own.close()  # the body uses neither end of these: nothing else tells that it is done with them
            return [item async for item in do.each(r)]

    assert play(body) == [0] * 18


def test_program_comms_time(play: Play) -> None:
    """Four processes in a ring, one of them fanning out: the count arrives in order."""

    async def prefix(do: Do, first: int, rx: potok.Receiver[int], tx: potok.Sender[int]) -> None:
        await do.send(tx, first)
        async for number in do.each(rx):
            await do.send(tx, number)

    async def delta(do: Do, rx: Any, one: potok.Sender[int], other: potok.Sender[int]) -> None:
        async for number in do.each(rx):
            await do.send(one, number)
            await do.send(other, number)

    async def successor(do: Do, rx: potok.Receiver[int], tx: potok.Sender[int]) -> None:
        async for number in do.each(rx):
            await do.send(tx, number + 1)

    async def body(do: Do) -> list[int]:
        (a_tx, a), (b_tx, b), (c_tx, c), (d_tx, d) = (potok.channel() for _ in range(4))
        async with do.scope() as s:
            s.start(prefix, 0, c, a_tx)
            s.start(delta, a, b_tx, d_tx)
            s.start(successor, b, c_tx)
            got = [await do.recv(d) for _ in range(30)]
            s.cancel()
        return got

    assert play(body) == list(range(30))


def test_program_double_select(play: Play) -> None:
    """One select that sends on four channels, four forwarders, one that merges: each number once, in order of each."""

    async def scatter(do: Do, txs: list[potok.Sender[int]]) -> None:
        for number in range(40):
            await do.select(*[tx.sending(number) for tx in txs])
        for tx in txs:
            tx.close()

    async def forward(do: Do, rx: potok.Receiver[int], tx: potok.Sender[int]) -> None:
        async for number in do.each(rx):
            await do.send(tx, number)

    async def body(do: Do) -> list[int]:
        merged_tx, merged = potok.channel()
        channels = [potok.channel() for _ in range(4)]
        async with do.scope() as s:
            for _, rx in channels:
                s.start(forward, rx, merged_tx)
            s.start(scatter, [tx for tx, _ in channels])
            return [item async for item in do.each(merged)]

    assert sorted(play(body)) == list(range(40))


def test_program_skynet(play: Play) -> None:
    """A tree of tasks that each sum up their children's sums."""

    async def node(do: Do, tx: potok.Sender[int], number: int, size: int) -> None:
        if size == 1:
            await do.send(tx, number)
            return
        below, sums = potok.channel(4)
        async with do.scope() as s:
            for child in range(4):
                s.start(node, below, number + child * size // 4, size // 4)
            total = sum([item async for item in do.each(sums)])
        await do.send(tx, total)

    async def body(do: Do) -> int:
        tx, rx = potok.channel()
        async with do.scope() as s:
            s.start(node, tx, 0, 16)
            return int(await do.recv(rx))

    assert play(body) == sum(range(16))


def test_program_philosophers(play: Play) -> None:
    """Five at a table, a footman who seats four: all eat their fill."""

    async def philosopher(do: Do, table: potok.Semaphore, forks: list[potok.Lock], seat: int) -> int:
        meals = 0
        for _ in range(5):
            async with do.block(table), do.block(forks[seat]):
                await do.sleep(0)
                async with do.block(forks[(seat + 1) % 5]):
                    meals += 1
        return meals

    async def body(do: Do) -> list[int]:
        table, forks = potok.Semaphore(4), [potok.Lock() for _ in range(5)]
        async with do.scope() as s:
            tasks = [s.start(philosopher, table, forks, seat) for seat in range(5)]
            return [await do.result(task) for task in tasks]

    assert play(body) == [5] * 5


def test_program_token_ring(play: Play) -> None:
    """Twenty tasks in a ring pass a token round: as many hops as there should be."""

    async def node(do: Do, rx: potok.Receiver[int], tx: potok.Sender[int], done: potok.Sender[int]) -> None:
        async for token in do.each(rx):
            if token == 0:
                await do.send(done, potok.current_task().id)
                return
            await do.send(tx, token - 1)

    async def body(do: Do) -> bool:
        done_tx, done = potok.channel()
        links = [potok.channel(1) for _ in range(20)]
        async with do.scope() as s:
            tasks = [
                s.start(node, links[n - 1][1].clone(), links[n][0].clone(), done_tx.clone())
                for n in range(20)
            ]
            await do.send(links[-1][0], 105)
            last = await do.recv(done)
            s.cancel()
        return bool(last == tasks[105 % 20].id)

    assert play(body)


def test_program_pipeline_of_workers(play: Play) -> None:
    """Three stages, several workers each: all items come out, then the end."""

    async def stage(do: Do, rx: Any, tx: Any, function: Callable[[int], int]) -> None:
        async for item in do.each(rx):
            await do.send(tx, function(item))

    async def body(do: Do) -> list[int]:
        (a_tx, a), (b_tx, b), (c_tx, c) = potok.channel(2), potok.channel(), potok.channel(5)
        async with do.scope() as s:
            s.start(send_each, a_tx, *range(40))
            for _ in range(3):
                s.start(stage, a, b_tx, lambda item: item + 1)
                s.start(stage, b, c_tx, lambda item: item * 10)
            return sorted([item async for item in do.each(c)])

    assert play(body) == [10 * item for item in range(1, 41)]


def test_program_request_and_reply(play: Play) -> None:
    """A server that many clients ask, each with a channel for its answer, until the last client has gone."""

    async def serve(do: Do, rx: Any) -> int:
        served = 0
        async for number, reply in do.each(rx):
            await do.send(reply, number * number)
            reply.close()
            served += 1
        return served

    async def client(do: Do, tx: Any, first: int) -> list[int]:
        got = []
        for number in range(first, first + 3):
            reply, answer = potok.channel()
            await do.send(tx, (number, reply))
            got.append(await do.recv(answer))
            reply.close()
            answer.close()
        return got

    async def body(do: Do) -> tuple[int, list[int]]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            server = s.start(serve, rx)
            clients = [s.start(client, tx, first) for first in (0, 3, 6)]
            tx.close()
            got = [item for task in clients for item in await do.result(task)]
            return await do.result(server), got

    assert play(body) == (9, [number * number for number in range(9)])


def test_program_first_answer_wins(play: Play) -> None:
    """Ask several, take the first answer, cancel the rest: happy eyeballs."""

    async def ask(do: Do, tx: potok.Sender[int], ticks: int) -> None:
        await do.sleep(ticks * do.tick)
        await do.send(tx, ticks)

    async def body(do: Do) -> int:
        tx, rx = potok.channel()
        async with do.scope() as s:
            for ticks in (3600, 1, 1800):
                s.start(ask, tx, ticks)
            first = await do.recv(rx)
            s.cancel("answered")
        return int(first)

    assert play(body) == 1


def test_program_supervisor_restarts(play: Play) -> None:
    """A failing worker is started anew until it succeeds; the failures do not leave."""
    tickets, attempts = potok.channel(3)
    for number in range(1, 4):
        tickets.send_nowait(number)

    async def work(do: Do, rx: potok.Receiver[int]) -> list[int]:
        if await do.recv(attempts) < 3:
            raise ValueError(await do.recv(rx))
        return await receive_all(do, rx)

    async def attempt(do: Do, rx: potok.Receiver[int]) -> list[int] | None:
        try:
            async with do.scope() as s:
                task = s.start(work, rx.clone())
        except ExceptionGroup:
            return None
        return await do.result(task)  # type: ignore[no-any-return]

    async def supervise(do: Do, s: Opened, rx: potok.Receiver[int]) -> list[int]:
        while (got := await do.result(s.start(attempt, rx.clone()))) is None:
            pass
        return got  # type: ignore[no-any-return]

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        async with do.scope() as s:
            task = s.start(supervise, s, rx)
            s.start(send_each, tx, *range(5))
            tx.close()
            return await do.result(task)

    assert play(body) == [2, 3, 4]
