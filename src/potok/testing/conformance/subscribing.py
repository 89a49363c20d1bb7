"""Subscribers and senders of a broadcast: how they end, move to tasks, and wait in vain without losing an item."""

import contextlib
from collections.abc import Callable

import pytest

import potok
from potok.testing.conformance.bodies import drain, receive_all, receive_shared, send_each
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs

ROUNDS = 30


# ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────


@needs()
def test_broadcast_closed_sender_lets_subscribers_have_the_rest(play: Play) -> None:
    """Then iteration ends and `recv` raises ClosedError; for who subscribes later, at once."""

    async def body(do: Do) -> list[list[int]]:
        tx, subscribe = potok.broadcast(4)
        with subscribe() as one, subscribe() as two:
            with tx:
                await send_each(do, tx, 1, 2)
            assert await do.recv(two) == 1
            with subscribe() as late:
                got = [await receive_all(do, rx) for rx in (one, two, late)]
                for rx in (one, two, late):
                    with pytest.raises(potok.ClosedError):
                        await do.recv(rx)
                    with pytest.raises(potok.ClosedError):
                        rx.recv_nowait()
            return got

    assert play(body) == [[1, 2], [2], []]


def test_broadcast_close_wakes_parked_subscribers(play: Play) -> None:
    """Everyone who waits for an item learns that the last of the senders is gone."""

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(1)
        other = tx.clone()
        async with do.scope() as s:
            tasks = [s.start(receive_all, subscribe()) for _ in range(3)]
            await do.all_parked()
            tx.close()
            await do.all_parked()
            assert not any(task.done() for task in tasks)
            await do.send(other, 1)
            other.close()
            return [await do.result(task) for task in tasks]

    assert play(body) == [[1]] * 3


def test_broadcast_close_of_a_subscriber_fails_what_is_parked_on_it(play: Play) -> None:
    """Closing a subscriber that a task waits on wakes that task with ClosedError; the others wait on."""

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(1)
        one, two = subscribe(), subscribe()
        with tx, two:
            async with do.scope() as s:
                tasks = [s.start(receive_shared, [one]), s.start(receive_shared, [two])]
                await do.all_parked()
                one.close()
                got = [await do.result(tasks[0]), tasks[1].done()]
                await do.send(tx, 5)
                return [*got, await do.result(tasks[1])]

    assert play(body) == ["closed", False, 5]


@needs()
def test_broadcast_closed_ends_refuse_every_operation(play: Play) -> None:
    """Using, or cloning, an end that was closed raises ClosedError; the other ends do not notice."""

    async def body(do: Do) -> list[int]:
        tx, subscribe = potok.broadcast(2)
        with tx.clone() as other, subscribe() as rx:
            gone = subscribe()
            for end in (tx, gone):
                end.close()
                end.close()
                assert end.closed
                with pytest.raises(potok.ClosedError):
                    end.clone()
            for attempt in (do.send(tx, 1), do.recv(gone), receive_all(do, gone)):
                with pytest.raises(potok.ClosedError):
                    await attempt
            with pytest.raises(potok.ClosedError):
                tx.send_nowait(1)
            with pytest.raises(potok.ClosedError):
                gone.recv_nowait()
            await send_each(do, other, 1, 2)
            return drain(rx)

    assert play(body) == [1, 2]


def test_broadcast_sender_that_failed_tells_every_subscriber(play: Play) -> None:
    """They get what was sent, then ClosedError with that error as the cause: the items must not look complete."""

    async def talk(do: Do, tx: potok.Sender[int]) -> None:
        await send_each(do, tx, 1, 2)
        raise LookupError("half-way")

    async def listen(do: Do, rx: potok.Subscriber[int]) -> tuple[list[int], object]:
        got: list[int] = []
        try:
            async for item in do.each(rx):
                got.append(item)  # noqa: PERF401 - what came before the error counts
        except potok.ClosedError as error:
            return got, type(error.cause)
        return got, "a clean end"

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(1)
        with pytest.raises(ExceptionGroup):
            async with do.scope(on_fail="collect") as s:
                tasks = [s.start(listen, subscribe()) for _ in range(3)]
                s.start(talk, tx)
        return [await do.result(task) for task in tasks]

    assert play(body) == [([1, 2], LookupError)] * 3


def test_broadcast_cancel_ends_it_for_everyone(play: Play) -> None:
    """What was not received is dropped; whoever waits, or comes later, is told the cause."""

    async def attempt(do: Do, ends: list[potok.Sender[int] | potok.Subscriber[int]]) -> object:
        with pytest.raises(potok.ClosedError, match="poison") as told:
            await (do.send(ends[0], 2) if isinstance(ends[0], potok.Sender) else do.recv(ends[0]))
        return told.value.cause

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(1)
        slow, quick = subscribe(), subscribe()
        await do.send(tx, 1)
        assert await do.recv(quick) == 1
        async with do.scope() as s:
            tasks = [s.start(attempt, [tx]), s.start(attempt, [quick])]
            await do.all_parked()
            tx.cancel("poison")
            causes = [await do.result(task) for task in tasks]
        return [*causes, *[await attempt(do, [end]) for end in (slow, tx, subscribe())]]

    assert play(body) == ["poison"] * 5


# ── handing over ────────────────────────────────────────────────────────────────────────────────────────────


def test_broadcast_subscriber_passed_to_start_moves_to_the_task(play: Play) -> None:
    """With what is before it; the caller's own is closed at once, holds nobody back, and says what to do."""

    async def body(do: Do) -> list[int]:
        tx, subscribe = potok.broadcast(2)
        rx = subscribe()
        await do.send(tx, 0)
        async with do.scope() as s:
            task = s.start(receive_all, rx)
            assert rx.closed
            with pytest.raises(potok.ClosedError, match=r"handed over.*clone"):
                await do.recv(rx)
            with pytest.raises(potok.ClosedError, match="handed over"):
                s.start(receive_all, rx)
            with tx:
                await send_each(do, tx, *range(1, 9))
            return await do.result(task)  # type: ignore[no-any-return]

    assert play(body) == list(range(9))


def test_broadcast_subscriber_that_was_cloned_stays_with_the_caller(play: Play) -> None:
    """`start(fn, rx.clone())` hands over the clone: both get every item."""

    async def body(do: Do) -> list[list[int]]:
        tx, subscribe = potok.broadcast(2)
        with subscribe() as rx:
            async with do.scope() as s:
                task = s.start(receive_all, rx.clone())
                s.start(send_each, tx, *range(5))
                got = await receive_all(do, rx)
                return [got, await do.result(task)]

    assert play(body) == [list(range(5))] * 2


def test_broadcast_handed_sender_closes_as_the_body_receives(play: Play) -> None:
    """Producers that close nothing still end the items, for the body that subscribed and for tasks."""

    async def body(do: Do) -> list[list[int]]:
        tx, subscribe = potok.broadcast(1)
        async with do.scope() as s:
            with subscribe() as rx:
                listener = s.start(receive_all, subscribe())
                for first in (0, 10, 20):
                    s.start(send_each, tx, first, first + 1)
                got = sorted(await receive_all(do, rx))
            assert tx.closed
            return [got, sorted(await do.result(listener))]

    assert play(body) == [[0, 1, 10, 11, 20, 21]] * 2


def test_broadcast_subscriber_made_after_the_sender_was_handed_over(play: Play) -> None:
    """Using it closes the body's own sender all the same: the loop ends with the task's."""

    async def talk(do: Do, tx: potok.Sender[int], go: potok.Receiver[str]) -> None:
        await do.recv(go)
        await send_each(do, tx, 1, 2)

    async def body(do: Do) -> list[int]:
        tx, subscribe = potok.broadcast(8)
        ready, go = potok.channel()
        async with do.scope() as s:
            s.start(talk, tx, go)
            with subscribe() as rx:
                await do.send(ready, "go")
                return await receive_all(do, rx)

    assert play(body) == [1, 2]


def test_broadcast_subscribers_travel_through_channels(play: Play) -> None:
    """What arrives is a clone: with the same before it, and to be closed on its own."""

    async def subscribe_for(do: Do, rx: potok.Receiver[potok.Subscriber[int]]) -> list[int]:
        async with do.block(await do.recv(rx)) as subscriber:
            return await receive_all(do, subscriber)

    async def body(do: Do) -> list[list[int]]:
        tx, subscribe = potok.broadcast(2)
        there, other = potok.channel()
        async with do.scope() as s:
            task = s.start(subscribe_for, other)
            with subscribe() as rx:
                await do.send(tx, 0)
                await do.send(there, rx)
                mine = drain(rx)
            with tx:
                await send_each(do, tx, *range(1, 6))
            return [mine, await do.result(task)]

    assert play(body) == [[0], list(range(6))]


# ── waiting in vain ─────────────────────────────────────────────────────────────────────────────────────────


def test_broadcast_cancelled_subscriber_loses_nothing(play: Play) -> None:
    """A task that is cancelled while it waits has taken no item: the next to receive there gets it."""

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(2)
        with tx, subscribe() as rx:
            async with do.scope() as s:
                victim = s.start(receive_shared, [rx])
                await do.all_parked()
                second = s.start(receive_shared, [rx])
                await do.all_parked()
                victim.cancel()
                assert isinstance(await do.outcome(victim), potok.TaskCancelled)
                await send_each(do, tx, 1, 2)
                return [await do.result(second), drain(rx)]

    assert play(body) == [1, [2]]


def test_broadcast_cancelled_sender_has_reached_nobody(play: Play) -> None:
    """Not even those that had room for the item; senders behind it come in its place."""

    async def body(do: Do) -> list[list[int]]:
        tx, subscribe = potok.broadcast(1)
        with subscribe() as quick, subscribe() as slow:
            await do.send(tx, 1)
            got = drain(quick)
            async with do.scope() as s:
                victim = s.start(send_each, tx.clone(), 2)
                await do.all_parked()
                s.start(send_each, tx.clone(), 3)
                await do.all_parked()
                victim.cancel()
                assert isinstance(await do.outcome(victim), potok.TaskCancelled)
                assert drain(quick) == []
                assert await do.recv(slow) == 1
                return [[*got, await do.recv(quick)], [await do.recv(slow)], drain(quick), drain(slow)]

    assert play(body) == [[1, 3], [3], [], []]


def test_broadcast_time_out_has_sent_and_taken_nothing(play: Play) -> None:
    """TimeoutError from `send`: nobody gets the item; from `recv`: the next receive gets the next item."""

    async def body(do: Do) -> list[list[int]]:
        tx, subscribe = potok.broadcast(1)
        with tx, subscribe() as quick, subscribe() as slow:
            with pytest.raises(TimeoutError):
                await do.recv(quick, timeout=do.tick)
            await do.send(tx, 1)
            got = drain(quick)
            for timeout in (do.tick, 0):
                with pytest.raises(TimeoutError):
                    await do.send(tx, 2, timeout=timeout)
            with pytest.raises(TimeoutError):
                await do.recv(quick, timeout=0)
            assert await do.recv(slow, timeout=0) == 1
            await do.send(tx, 3, timeout=0)
            return [[*got, *drain(quick)], drain(slow)]

    assert play(body) == [[1, 3], [3]]


def test_broadcast_cancel_acts_before_an_operation_that_need_not_wait(play: Play) -> None:
    """A cancelled task gets no item, though one is there, is told of no gap, and sends none."""

    async def body(do: Do) -> list[list[int]]:
        tx, subscribe = potok.broadcast(2, "drop-oldest")
        with tx, subscribe() as rx, subscribe() as laggard:
            await send_each(do, tx, 1, 2)
            drain(rx)
            await do.send(tx, 3)
            async with do.scope() as s:
                s.cancel()
                for _ in range(2):
                    with pytest.raises(potok.Cancelled):
                        await do.recv(rx)
                    with pytest.raises(potok.Cancelled):
                        await do.recv(laggard)
                    with pytest.raises(potok.Cancelled):
                        await do.send(tx, 4)
            with pytest.raises(potok.Lagged):
                laggard.recv_nowait()
            return [drain(rx), drain(laggard)]

    assert play(body) == [[3], [2, 3]]


@pytest.mark.stress
def test_race_cancelled_subscriber_against_sender(play: Play) -> None:
    """A task that is cancelled as items come: it has them, or they are before the next one who receives there."""

    async def take(do: Do, rxs: list[potok.Subscriber[int]], got: Record) -> None:
        while True:
            got.append(await do.recv(rxs[0]))

    async def body(do: Do) -> None:
        for number in range(ROUNDS):
            got = Record()
            tx, subscribe = potok.broadcast(2)
            with subscribe() as rx, subscribe() as other:
                async with do.scope() as s:
                    victim = s.start(take, [rx], got)
                    bystander = s.start(receive_all, other)
                    s.start(send_each, tx, *range(5))
                    for _ in range(number % 7):
                        await do.sleep(0)
                    victim.cancel()
                    await do.outcome(victim)
                    got.extend(await receive_all(do, rx))
                    assert got == await do.result(bystander) == list(range(5))

    play(body)


@pytest.mark.stress
def test_race_cancelled_sender_against_subscribers(play: Play) -> None:
    """A sender that is cancelled as it waits for the slowest: all subscribers got the same, which is what was sent."""

    async def give(do: Do, tx: potok.Sender[int], sent: Record) -> None:
        for item in range(1000):
            await do.send(tx, item)
            sent.append(item)

    async def take(do: Do, rx: potok.Subscriber[int]) -> list[int]:
        got: list[int] = []
        with contextlib.suppress(potok.ClosedError):  # the cause: a cancelled sender
            async for item in do.each(rx):
                got.append(item)  # noqa: PERF401 - what came before the error counts
        return got

    async def body(do: Do) -> None:
        for number in range(ROUNDS // 3):
            sent = Record()
            tx, subscribe = potok.broadcast(1 + number % 2)
            async with do.scope() as s:
                takers = [s.start(take, subscribe()) for _ in range(3)]
                victim = s.start(give, tx, sent)
                for _ in range(number):
                    await do.sleep(0)
                victim.cancel()
                await do.outcome(victim)
                tx.close()
                assert [await do.result(taker) for taker in takers] == [sent] * 3

    play(body)


@pytest.mark.stress
def test_race_subscribers_that_come_and_go(play: Play) -> None:
    """Each gets a run of items without gaps, none holds the sender back for ever."""

    async def visit(do: Do, subscribe: Callable[[], potok.Subscriber[int]]) -> None:
        for stay in range(1, 6):
            with subscribe() as rx:
                got = [await do.recv(rx) for _ in range(stay)]
            assert got == list(range(got[0], got[0] + stay))

    async def body(do: Do) -> None:
        for capacity in (1, 3):
            tx, subscribe = potok.broadcast(capacity)
            async with do.scope() as s:
                visitors = [s.start(visit, subscribe) for _ in range(3)]
                item = 0
                while not all(visitor.done() for visitor in visitors):
                    await do.send(tx, item)
                    item += 1
                    await do.sleep(0)

    play(body)


# ── choice ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_select_of_subscribers_takes_one_items_effect(play: Play) -> None:
    """A subscriber is an arm that receives: only the one that was chosen has had the item."""

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(1)
        with subscribe() as one, subscribe() as two:
            async with do.scope() as s:
                s.start(send_each, tx, "news")
                got = await do.select(one, two)
            other = two if got.arm is one else one
            return [got.value, drain(got.arm), drain(other)]

    assert play(body) == ["news", [], ["news"]]


def test_select_of_a_broadcasts_send(play: Play) -> None:
    """`tx.sending(v)` is ready while the slowest is not too far behind; an arm that was not chosen sent nothing."""

    async def choose(do: Do, tx: potok.Sender[int], rx: potok.Receiver[int]) -> int:
        return int((await do.select(tx.sending(2), rx)).index)

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(1)
        other, silent = potok.channel()
        got: list[object] = []
        with subscribe() as rx:
            assert (await do.select(tx.sending(1), silent)).value is None
            async with do.scope() as s:
                task = s.start(choose, tx.clone(), silent.clone())
                await do.all_parked()
                assert not task.done()
                got += [await do.recv(rx), await do.result(task)]
                task = s.start(choose, tx.clone(), silent.clone())
                await do.all_parked()
                await do.send(other, 0)
                return [*got, await do.result(task), drain(rx)]

    assert play(body) == [1, 0, 1, [2]]


@needs()
def test_select_of_a_laggard_raises_what_it_missed(play: Play) -> None:
    """Once; the next select takes the oldest item that is left. At the end: ClosedError, with `.arm`."""

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(1, "drop-oldest")
        with subscribe() as rx:
            with tx:
                await send_each(do, tx, 1, 2, 3)
            with pytest.raises(potok.Lagged) as lagged:
                await do.select(rx)
            got = await do.select(rx)
            with pytest.raises(potok.ClosedError) as closed:
                await do.select(rx)
            return [lagged.value.missed, got.value, closed.value.arm is rx]

    assert play(body) == [2, 3, True]
