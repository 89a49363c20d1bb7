"""`select`: exactly one effect, whatever the arms."""

from collections import Counter
from typing import Any

import pytest

import potok
from potok.testing.conformance.bodies import send_each
from potok.testing.conformance.colours import Do
from potok.testing.conformance.target import Play, needs


@needs()
def test_select_takes_the_arm_that_is_ready(play: Play) -> None:
    """The result names the very object that was passed, its place, and the item."""

    async def body(do: Do) -> None:
        (tx, rx), (_, other) = potok.channel(1), potok.channel(1)
        await do.send(tx, "item")
        got = await do.select(other, rx)
        assert got.arm is rx
        assert (got.index, got.value) == (1, "item")

    play(body)


@needs()
def test_select_sends(play: Play) -> None:
    """A send arm that is taken has sent its item; its value is None, its arm the object that was passed."""

    async def body(do: Do) -> None:
        (tx, rx), (full, _) = potok.channel(1), potok.channel(0)
        arm = tx.sending(5)
        got = await do.select(full.sending(6), arm)
        assert got.arm is arm
        assert (got.index, got.value) == (1, None)
        assert rx.recv_nowait() == 5

    play(body)


def test_select_waits_for_the_first(play: Play) -> None:
    """With nothing ready, select parks, and goes on with the arm that becomes ready."""

    async def choose(do: Do, rxs: list[potok.Receiver[int]]) -> object:
        got = await do.select(*rxs)
        return got.index, got.value

    async def body(do: Do) -> object:
        channels = [potok.channel() for _ in range(3)]
        async with do.scope() as s:
            task = s.start(choose, [rx for _, rx in channels])
            await do.all_parked()
            await do.send(channels[2][0], 7)
            return await do.result(task)

    assert play(body) == (2, 7)


def test_select_parked_to_send_meets_a_receiver(play: Play) -> None:
    """A select that waits with send arms is served by whoever receives first."""

    async def offer(do: Do, txs: list[potok.Sender[str]]) -> int:
        return int((await do.select(*[tx.sending(f"item {n}") for n, tx in enumerate(txs)])).index)

    async def body(do: Do) -> list[object]:
        channels = [potok.channel() for _ in range(3)]
        async with do.scope() as s:
            task = s.start(offer, [tx for tx, _ in channels])
            await do.all_parked()
            got = await do.recv(channels[1][1])
            index = await do.result(task)
            left = []
            for _, rx in channels:
                with pytest.raises(potok.WouldBlock):
                    left.append(rx.recv_nowait())
            return [got, index, left]

    assert play(body) == ["item 1", 1, []]


def test_select_leaves_the_arms_it_did_not_take_untouched(play: Play) -> None:
    """An item that select did not return is still there; one it did not send is nowhere."""

    async def body(do: Do) -> None:
        (a_tx, a), (b_tx, b), (c_tx, c) = (potok.channel(1) for _ in range(3))
        await do.send(a_tx, "a")
        await do.send(b_tx, "b")
        for _ in range(3):
            got = await do.select(a, b, c_tx.sending("c"))
            if got.index < 2:
                assert got.value == "ab"[got.index]
                await do.send((a_tx, b_tx)[got.index], got.value)  # as it was
            else:
                assert c.recv_nowait() == "c"
        assert (a.recv_nowait(), b.recv_nowait()) == ("a", "b")
        with pytest.raises(potok.WouldBlock):
            c.recv_nowait()

    play(body)


def test_select_never_meets_itself(play: Play) -> None:
    """Both ends of one channel in one select: it does not match itself, and waits for somebody else."""

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        with pytest.raises(TimeoutError):
            await do.select(tx.sending(1), rx, timeout=do.tick)
        assert (await do.select(tx.sending(1), rx, default="nobody")).value == "nobody"
        async with do.scope() as s:
            s.start(send_each, tx.clone(), 2)
            await do.all_parked()
            got = await do.select(tx.sending(1), rx)
            return got.index, got.value

    assert play(body) == (1, 2)


def test_select_meets_another_select(play: Play) -> None:
    """Two selects, one that offers on both channels and one that takes from both: they meet once, at one arm."""

    async def offer(do: Do, txs: list[potok.Sender[str]]) -> int:
        return int((await do.select(*[tx.sending(str(n)) for n, tx in enumerate(txs)])).index)

    async def body(do: Do) -> None:
        for _ in range(10):
            (a_tx, a), (b_tx, b) = potok.channel(), potok.channel()
            async with do.scope() as s:
                task = s.start(offer, [a_tx, b_tx])
                got = await do.select(a, b)
                assert got.value == str(got.index)
                assert await do.result(task) == got.index

    play(body)


def test_select_of_both_ends_in_two_tasks_meets_in_one_way(play: Play) -> None:
    """Two tasks that each would send to or receive from the other: one sends, the other receives."""

    async def either(do: Do, ends: list[Any], name: str) -> tuple[int, object]:
        ((tx, rx),) = ends
        got = await do.select(tx.sending(f"from {name}"), rx)
        return got.index, got.value

    async def body(do: Do) -> None:
        for _ in range(10):
            ends = [potok.channel()]
            async with do.scope() as s:
                tasks = [s.start(either, ends, name) for name in "ab"]
                got = [await do.result(task) for task in tasks]
            assert sorted(index for index, _ in got) == [0, 1]
            sender = [index for index, _ in got].index(0)
            assert got[1 - sender] == (1, f"from {'ab'[sender]}")

    play(body)


@needs()
def test_select_is_fair(play: Play) -> None:
    """Of several arms that are always ready, none is starved: 300 picks among 3 give each at least 50."""

    async def body(do: Do) -> Counter[int]:
        channels = [potok.channel(1) for _ in range(3)]
        for tx, _ in channels:
            await do.send(tx, None)
        counted: Counter[int] = Counter()
        for _ in range(300):
            index = (await do.select(*[rx for _, rx in channels])).index
            counted[index] += 1
            await do.send(channels[index][0], None)
        for _, rx in channels:
            rx.close()
        return counted

    counted = play(body)
    assert min(counted[index] for index in range(3)) >= 50


@needs()
def test_select_is_fair_among_arms_of_all_kinds(play: Play) -> None:
    """The same among send arms, events and timers that are all ready."""

    async def body(do: Do) -> Counter[int]:
        (a_tx, a), (b_tx, b) = potok.channel(potok.UNBOUNDED), potok.channel(potok.UNBOUNDED)
        event = potok.Event()
        event.set()
        alarm = potok.after(0)
        counted: Counter[int] = Counter()
        for _ in range(300):
            counted[(await do.select(a_tx.sending(1), b_tx.sending(1), event, alarm)).index] += 1
        a.close()
        b.close()
        return counted

    counted = play(body)
    assert min(counted[index] for index in range(4)) >= 30


@needs()
def test_pri_select_takes_the_first_in_order(play: Play) -> None:
    """Of several ready arms, always the first that was passed."""

    async def body(do: Do) -> list[object]:
        (a_tx, a), (b_tx, b) = potok.channel(5), potok.channel(5)
        for item in range(3):
            await do.send(a_tx, f"a{item}")
            await do.send(b_tx, f"b{item}")
        return [(await do.pri_select(b, a)).value for _ in range(6)]

    assert play(body) == ["b0", "b1", "b2", "a0", "a1", "a2"]


@needs()
def test_same_arm_twice_in_one_select(play: Play) -> None:
    """The same receiver in two places: one item is taken, once."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(3)
        for item in range(2):
            await do.send(tx, item)
        got = await do.select(rx, rx)
        assert got.value == 0
        assert rx.recv_nowait() == 1

    play(body)


def test_select_parked_twice_on_one_channel_takes_one_item(play: Play) -> None:
    """The same while it waits: one sender is served, the other goes on waiting."""

    async def choose(do: Do, rxs: list[potok.Receiver[int]]) -> int:
        return int((await do.select(*rxs)).value)

    async def body(do: Do) -> int:
        tx, rx = potok.channel()
        async with do.scope() as s:
            task = s.start(choose, [rx, rx])
            await do.all_parked()
            await do.send(tx, 1)
            got = await do.result(task)
            with pytest.raises(potok.WouldBlock):
                tx.send_nowait(2)
            return int(got)

    assert play(body) == 1


def test_select_turns_a_handed_over_end(play: Play) -> None:
    """A select counts as an operation on the ends it names: the caller's own sender closes."""

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        got = []
        async with do.scope() as s:
            s.start(send_each, tx, 1, 2)
            with pytest.raises(potok.ClosedError):
                while True:
                    got.append((await do.select(rx)).value)
        return got

    assert play(body) == [1, 2]


def test_select_loop_loses_nothing(play: Play) -> None:
    """A merge by select receives everything that several senders sent, each in its order."""

    async def body(do: Do) -> dict[int, list[int]]:
        channels = {n: potok.channel(n) for n in range(3)}
        got: dict[int, list[int]] = {n: [] for n in channels}
        open_ones = {rx: n for n, (_, rx) in channels.items()}
        async with do.scope() as s:
            for tx, _ in channels.values():
                s.start(send_each, tx, *range(15))
            while open_ones:
                try:
                    taken = await do.select(*open_ones)
                    got[open_ones[taken.arm]].append(taken.value)
                except potok.ClosedError as error:
                    del open_ones[error.arm]
        return got

    assert play(body) == {n: list(range(15)) for n in range(3)}


def test_select_serves_several_receivers_of_one_channel(play: Play) -> None:
    """Tasks that select on the same two channels share the items: each exactly once."""

    async def take(do: Do, rxs: list[potok.Receiver[int]], stop: potok.Receiver[None]) -> list[int]:
        got = []
        while (taken := await do.pri_select(*rxs, stop, default=None)).arm is not stop:
            if taken.arm is None:
                taken = await do.select(*rxs, stop, timeout=None)
                if taken.arm is stop:
                    break
            got.append(taken.value)
        return got

    async def body(do: Do) -> list[int]:
        (a_tx, a), (b_tx, b) = potok.channel(), potok.channel()
        stop_tx, stop = potok.channel(3)
        async with do.scope() as s:
            takers = [s.start(take, [a, b], stop.clone()) for _ in range(3)]
            feeders = [
                s.start(send_each, a_tx.clone(), *range(20)),
                s.start(send_each, b_tx.clone(), *range(20, 40)),
            ]
            for task in feeders:
                await do.result(task)
            for _ in takers:
                await do.send(stop_tx, None)
            return sorted([item for task in takers for item in await do.result(task)])

    assert play(body) == list(range(40))
