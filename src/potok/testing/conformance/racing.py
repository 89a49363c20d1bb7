"""Cancellation, time-outs and closing against hand-overs: an item is never lost between two tasks, nor doubled.

Each test sends numbered items and accounts for every one: received, or still with its sender, or reported undelivered.
On executors that choose their own schedule each run tries another; `stress` repeats those that need real threads.
"""

import contextlib

import pytest

import potok
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play

ROUNDS = 30


async def give_way(do: Do, times: int) -> None:
    for _ in range(times):
        await do.sleep(0)


@pytest.mark.stress
def test_race_cancelled_receiver_against_sender(play: Play) -> None:
    """A receiver that is cancelled as the item comes: it has the item, or the next receiver gets it."""

    async def take(do: Do, rx: potok.Receiver[int], got: Record) -> None:
        got.append(await do.recv(rx))

    async def give(do: Do, tx: potok.Sender[int], item: int, wait: int) -> None:
        await give_way(do, wait)
        await do.send(tx, item)

    async def body(do: Do) -> None:
        for number in range(ROUNDS):
            got = Record()
            rest: list[int] = []
            tx, rx = potok.channel()
            async with do.scope() as s:
                victim = s.start(take, rx.clone(), got)
                s.start(give, tx, number, number % 3)
                await give_way(do, number % 4)
                victim.cancel()
                await do.outcome(victim)
                rest = [item async for item in do.each(rx)]
            assert got + rest == [number]

    play(body)


@pytest.mark.stress
def test_race_cancelled_sender_against_receiver(play: Play) -> None:
    """A sender that is cancelled as a receiver comes: the item was sent and received, or neither."""

    async def give(do: Do, tx: potok.Sender[int], item: int, sent: Record) -> None:
        await do.send(tx, item)
        sent.append(item)

    async def take(do: Do, rx: potok.Receiver[int]) -> list[int]:
        got = []
        with contextlib.suppress(potok.ClosedError):  # the cause: a cancelled sender
            async for item in do.each(rx):
                got.append(item)  # noqa: PERF401 - what came before the error counts
        return got

    async def body(do: Do) -> None:
        for number in range(ROUNDS):
            sent = Record()
            tx, rx = potok.channel()
            async with do.scope() as s:
                taker = s.start(take, rx)
                await give_way(do, number % 3)
                victim = s.start(give, tx.clone(), number, sent)
                await give_way(do, number % 4)
                victim.cancel()
                await do.outcome(victim)
                tx.close()
                received = await do.result(taker)
            assert received == sent

    play(body)


@pytest.mark.stress
def test_race_both_cancelled(play: Play) -> None:
    """A sender and a receiver, both cancelled: received if and only if sent."""

    async def give(do: Do, txs: list[potok.Sender[int]], sent: Record) -> None:
        for item in range(1000):
            await do.send(txs[0], item)
            sent.append(item)

    async def take(do: Do, rxs: list[potok.Receiver[int]], got: Record) -> None:
        while True:
            got.append(await do.recv(rxs[0]))

    async def body(do: Do) -> None:
        for number in range(ROUNDS // 3):
            sent = Record()
            got = Record()
            tx, rx = potok.channel()
            async with do.scope() as s:
                giver, taker = s.start(give, [tx], sent), s.start(take, [rx], got)
                await give_way(do, number)
                (giver if number % 2 else taker).cancel()
                await give_way(do, number % 3)
                (taker if number % 2 else giver).cancel()
            assert got == sent

    play(body)


@pytest.mark.stress
def test_race_select_against_senders(play: Play) -> None:
    """A select of two receivers that is cancelled while both are served: at most one item is taken, none is lost."""

    async def give(do: Do, tx: potok.Sender[int], item: int) -> None:
        await do.send(tx, item)

    async def choose(do: Do, rxs: list[potok.Receiver[int]], got: Record) -> None:
        got.append((await do.select(*rxs)).value)

    async def body(do: Do) -> None:
        for number in range(ROUNDS):
            got = Record()
            channels = [potok.channel(), potok.channel()]
            rxs = [rx for _, rx in channels]
            async with do.scope() as s:
                chooser = s.start(choose, rxs, got)
                for item, (tx, _) in enumerate(channels):
                    s.start(give, tx, item)
                await give_way(do, number % 4)
                chooser.cancel()
                await do.outcome(chooser)
                rest = [item for rx in rxs async for item in do.each(rx)]
            assert sorted(got + rest) == [0, 1]

    play(body)


@pytest.mark.stress
def test_race_selects_against_each_other(play: Play) -> None:
    """Four tasks that each would send on either of two channels, and four that would receive: all pair up, once."""

    async def offer(do: Do, txs: list[potok.Sender[int]], item: int) -> int:
        return int((await do.select(*[tx.sending(item) for tx in txs])).index)

    async def choose(do: Do, rxs: list[potok.Receiver[int]]) -> tuple[int, int]:
        got = await do.select(*rxs)
        return got.index, got.value

    async def body(do: Do) -> None:
        for _ in range(ROUNDS // 3):
            (a_tx, a), (b_tx, b) = potok.channel(), potok.channel()
            async with do.scope() as s:
                offers = [s.start(offer, [a_tx, b_tx], item) for item in range(4)]
                takers = [s.start(choose, [a, b]) for _ in range(4)]
                sent = [(await do.result(task), item) for item, task in enumerate(offers)]
                taken = [await do.result(task) for task in takers]
            assert sorted(sent) == sorted(taken)

    play(body)


@pytest.mark.stress
def test_race_of_nested_selects_in_opposite_orders(play: Play) -> None:
    """Selects that name the same channels in opposite orders never lock each other out."""

    async def both_ways(do: Do, ends: list[tuple[potok.Sender[int], potok.Receiver[int]]], flip: bool) -> int:
        done = 0
        for item in range(20):
            (a_tx, a), (b_tx, b) = reversed(ends) if flip else ends
            arms = [a_tx.sending(item), b, a, b_tx.sending(item)]
            got = await do.select(*(reversed(arms) if flip else arms), potok.after(do.tick / 5))
            done += got.index < 4
        return done

    async def body(do: Do) -> list[int]:
        ends = [potok.channel(), potok.channel()]
        async with do.scope() as s:
            tasks = [s.start(both_ways, ends, flip) for flip in (False, True)]
            return [await do.result(task) for task in tasks]

    one, other = play(body)
    assert one == other  # every meeting has two sides


@pytest.mark.stress
def test_race_close_against_senders(play: Play) -> None:
    """The last receiver closes while senders send: each item was received, or failed, or is reported."""

    async def give(do: Do, tx: potok.Sender[int], first: int, kept: Record) -> None:
        for item in range(first, first + 10):
            try:
                await do.send(tx, item)
            except potok.ClosedError:
                kept.append(item)

    async def body(do: Do) -> None:
        for number in range(ROUNDS // 3):
            kept = Record()
            lost = Record()
            got = Record()
            tx, rx = potok.channel(number % 3, undelivered=lost.append)
            async with do.scope() as s:
                for first in (0, 10, 20):
                    s.start(give, tx, first, kept)
                for _ in range(number):
                    got.append(await do.recv(rx))
                rx.close()
            assert sorted(kept + lost + got) == list(range(30))

    play(body)


@pytest.mark.stress
def test_race_cancel_of_the_channel(play: Play) -> None:
    """Poison while many send and receive: everyone ends, and every item is accounted for."""

    async def give(do: Do, tx: potok.Sender[int], first: int, kept: Record) -> None:
        for item in range(first, first + 10):
            try:
                await do.send(tx, item)
            except potok.ClosedError:
                kept.append(item)

    async def take(do: Do, rx: potok.Receiver[int], got: Record) -> None:
        with pytest.raises(potok.ClosedError, match="poison"):
            while True:
                got.append(await do.recv(rx))

    async def body(do: Do) -> None:
        for number in range(ROUNDS // 3):
            kept = Record()
            lost = Record()
            got = Record()
            tx, rx = potok.channel(number % 3, undelivered=lost.append)
            async with do.scope() as s:
                for first in (0, 10, 20):
                    s.start(give, tx.clone(), first, kept)
                for _ in range(2):
                    s.start(take, rx.clone(), got)
                await give_way(do, number)
                tx.cancel("poison")
            assert sorted(kept + lost + got) == list(range(30))

    play(body)


@pytest.mark.stress
def test_race_cancelled_while_waiting_for_a_lock(play: Play) -> None:
    """Tasks that are cancelled as the lock is released to them never take it along."""

    async def enter(do: Do, lock: potok.Lock) -> None:
        async with do.block(lock):
            await do.sleep(0)

    async def body(do: Do) -> None:
        lock = potok.Lock()
        for number in range(ROUNDS // 3):
            async with do.scope() as s:
                tasks = [s.start(enter, lock) for _ in range(4)]
                await give_way(do, number % 5)
                for task in tasks[::2]:
                    task.cancel()
            assert await do.call(lock, "acquire", False)
            lock.release()

    play(body)


@pytest.mark.stress
def test_race_cancelled_while_getting_from_a_queue(play: Play) -> None:
    """Getters that are cancelled lose no item."""

    async def get(do: Do, queue: potok.Queue[int], got: Record) -> None:
        while True:
            got.append(await do.call(queue, "get"))

    async def put(do: Do, queue: potok.Queue[int]) -> None:
        for item in range(10):
            await do.call(queue, "put", item)

    async def body(do: Do) -> None:
        for number in range(ROUNDS // 3):
            queue: potok.Queue[int] = potok.Queue(number % 3)
            got = Record()
            async with do.scope() as s:
                getters = [s.start(get, queue, got) for _ in range(3)]
                putter = s.start(put, queue)
                await give_way(do, number)
                getters[0].cancel()
                getters[1].cancel()
                await do.result(putter)
                await do.all_parked()
                s.cancel()
            assert sorted(got) == list(range(10))

    play(body)


@pytest.mark.stress
def test_race_start_against_the_end_of_a_scope(play: Play) -> None:
    """Tasks that start siblings while the scope fails: each start happens whole or not at all; the scope ends."""

    async def spread(do: Do, s: object, depth: int) -> None:
        for _ in range(2 if depth else 0):
            s.start(spread, s, depth - 1)  # type: ignore[attr-defined]
        await do.sleep(0)

    async def fail(do: Do, wait: int) -> None:
        await give_way(do, wait)
        raise ValueError(wait)

    async def body(do: Do) -> None:
        for number in range(ROUNDS // 3):
            with pytest.raises(ExceptionGroup) as caught:
                async with do.scope() as s:
                    s.start(spread, s, 3)
                    s.start(fail, number)
            assert caught.group_contains(ValueError)

    play(body)


@pytest.mark.stress
def test_race_of_everything(play: Play) -> None:
    """Many senders and receivers, some cancelled, some timed out, on small channels: nothing lost, nothing doubled."""

    async def give(do: Do, txs: list[potok.Sender[int]], first: int, sent: Record) -> None:
        for item in range(first, first + 25):
            while True:
                try:
                    await do.select(*[tx.sending(item) for tx in txs], timeout=do.tick / 10)
                except TimeoutError:
                    continue
                sent.append(item)
                break

    async def take(do: Do, rxs: list[potok.Receiver[int]], got: Record) -> None:
        while True:
            try:
                got.append((await do.select(*rxs, timeout=do.tick / 10)).value)
            except TimeoutError:
                continue
            except potok.ClosedError as error:
                rxs = [rx for rx in rxs if rx is not error.arm]
                if not rxs:
                    return

    async def body(do: Do) -> None:
        sent = Record()
        got = Record()
        channels = [potok.channel(capacity) for capacity in (0, 1)]
        async with do.scope() as s:
            victims = [s.start(take, [rx for _, rx in channels], got) for _ in range(3)]
            for _ in range(2):
                s.start(take, [rx for _, rx in channels], got)
            givers = [s.start(give, [tx for tx, _ in channels], 25 * n, sent) for n in range(4)]
            for victim in victims:
                await give_way(do, 3)
                victim.cancel()
            givers[0].cancel()
            for giver in givers:
                await do.outcome(giver)
            for tx, _ in channels:
                tx.close()
        assert sorted(got) == sorted(sent)

    play(body)
