"""Broadcasts: every subscriber gets every item, and paces the senders or is told how many it missed."""

import contextlib
import gc
from collections.abc import Callable

import pytest

import potok
from potok.testing.conformance.bodies import drain, receive_all, receive_one, send_each
from potok.testing.conformance.colours import Do
from potok.testing.conformance.target import Play, needs

ROUNDS = 30


async def receive_shared(do: Do, rxs: list[potok.Subscriber[int]]) -> int:
    """In a list: shared, not handed over."""
    return int(await do.recv(rxs[0]))


# ── who gets what ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("capacity", "lag"), [(1, "block"), (7, "block"), (50, "drop-oldest")])
def test_broadcast_gives_every_subscriber_every_item_in_order(play: Play, capacity: int, lag: str) -> None:
    """However large the buffer; where nobody lags, dropping makes no difference."""

    async def body(do: Do) -> list[list[int]]:
        tx, subscribe = potok.broadcast(capacity, lag)
        async with do.scope() as s:
            tasks = [s.start(receive_all, subscribe()) for _ in range(3)]
            with tx:
                await send_each(do, tx, *range(50))
            return [await do.result(task) for task in tasks]

    assert play(body) == [list(range(50))] * 3


def test_broadcast_items_of_several_senders_have_one_order_for_all(play: Play) -> None:
    """Subscribers agree on the order, and what one task sends is in the order in which it was sent."""

    async def body(do: Do) -> list[list[tuple[int, int]]]:
        tx, subscribe = potok.broadcast(3)
        async with do.scope() as s:
            tasks = [s.start(receive_all, subscribe()) for _ in range(3)]
            for who in range(3):
                s.start(send_each, tx, *((who, number) for number in range(20)))
            tx.close()
            return [await do.result(task) for task in tasks]

    first, *others = play(body)
    assert others == [first] * 2
    for who in range(3):
        assert [number for sender, number in first if sender == who] == list(range(20))


@needs()
def test_broadcast_subscriber_gets_what_is_sent_after_it_subscribed(play: Play) -> None:
    """Not what was sent before, even if that is still kept for another one."""

    async def body(do: Do) -> list[list[int]]:
        tx, subscribe = potok.broadcast(4)
        with tx, subscribe() as early:
            await send_each(do, tx, 1, 2)
            with subscribe() as late:
                await send_each(do, tx, 3, 4)
                return [drain(early), drain(late)]

    assert play(body) == [[1, 2, 3, 4], [3, 4]]


@needs()
@pytest.mark.parametrize("lag", ["block", "drop-oldest"])
def test_broadcast_without_subscribers_keeps_nothing(play: Play, lag: str) -> None:
    """Sends beyond the capacity are done at once, before the first subscriber and after the last one has left."""

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(1, lag)
        with tx:
            await send_each(do, tx, 1, 2, 3)
            with subscribe() as rx:
                got = drain(rx)
                await do.send(tx, 4)
            await send_each(do, tx, 5, 6)
            tx.send_nowait(7)
            with subscribe() as rx:
                return [*got, *drain(rx)]

    assert play(body) == []


def test_broadcast_tasks_that_share_a_subscriber_share_its_items(play: Play) -> None:
    """Each item goes to one of them, first come, first served; another subscriber gets them all the same."""

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(4)
        with tx, subscribe() as rx, subscribe() as other:
            async with do.scope() as s:
                tasks = []
                for _ in range(3):
                    tasks.append(s.start(receive_shared, [rx]))
                    await do.all_parked()
                await send_each(do, tx, 1, 2, 3, 4)
                got = [await do.result(task) for task in tasks]
            return [got, drain(rx), drain(other)]

    assert play(body) == [[1, 2, 3], [4], [1, 2, 3, 4]]


@needs()
def test_broadcast_clone_has_the_same_before_it(play: Play) -> None:
    """A clone of a subscriber is one of its own: both get what the one had still to get, and all that follows."""

    async def body(do: Do) -> list[list[int]]:
        tx, subscribe = potok.broadcast(4)
        with tx, subscribe() as rx:
            await send_each(do, tx, 1, 2, 3)
            assert await do.recv(rx) == 1
            with rx.clone() as copy:
                await do.send(tx, 4)
                return [drain(rx), drain(copy)]

    assert play(body) == [[2, 3, 4]] * 2


# ── the slowest paces ───────────────────────────────────────────────────────────────────────────────────────


def test_broadcast_sender_waits_for_the_slowest(play: Play) -> None:
    """It goes on when that one has received, whatever the others have."""

    async def body(do: Do) -> list[list[int]]:
        tx, subscribe = potok.broadcast(2)
        with subscribe() as quick, subscribe() as slow:
            async with do.scope() as s:
                task = s.start(send_each, tx, 0, 1, 2, 3)
                await do.all_parked()
                got = [drain(quick), drain(quick)]
                await do.all_parked()
                assert not task.done()
                for _ in range(2):
                    got.append([await do.recv(slow)])
                    await do.all_parked()
                    got.append(drain(quick))
                await do.result(task)
            return got

    assert play(body) == [[0, 1], [], [0], [2], [1], [3]]


def test_broadcast_parked_senders_are_served_in_order(play: Play) -> None:
    """First come, first served, as places become free."""

    async def body(do: Do) -> list[int]:
        tx, subscribe = potok.broadcast(2)
        with subscribe() as rx:
            async with do.scope() as s:
                for item in range(6):
                    s.start(send_each, tx.clone(), item)
                    await do.all_parked()
                tx.close()
                return [item async for item in do.each(rx)]

    assert play(body) == list(range(6))


@needs()
def test_broadcast_nowait_would_block_where_the_slowest_is_behind(play: Play) -> None:
    """`send_nowait` raises WouldBlock and reaches nobody; `recv_nowait` where this subscriber has had it all."""

    async def body(do: Do) -> list[list[int]]:
        tx, subscribe = potok.broadcast(1)
        with tx, subscribe() as quick, subscribe() as slow:
            tx.send_nowait(1)
            assert quick.recv_nowait() == 1
            for _ in range(2):
                with pytest.raises(potok.WouldBlock):
                    tx.send_nowait(2)
                with pytest.raises(potok.WouldBlock):
                    quick.recv_nowait()
            assert slow.recv_nowait() == 1
            tx.send_nowait(3)
            return [drain(quick), drain(slow)]

    assert play(body) == [[3], [3]]


def test_broadcast_closed_subscriber_holds_no_sender(play: Play) -> None:
    """A sender that waits for it goes on; what the others have still to get stays."""

    async def body(do: Do) -> list[int]:
        tx, subscribe = potok.broadcast(2)
        with subscribe() as quick:
            slow = subscribe()
            async with do.scope() as s:
                task = s.start(send_each, tx, 0, 1, 2)
                await do.all_parked()
                got = [await do.recv(quick)]
                await do.all_parked()
                assert not task.done()
                slow.close()
                await do.result(task)
            return [*got, *drain(quick)]

    assert play(body) == [0, 1, 2]


def test_broadcast_last_subscriber_that_closes_lets_all_senders_go_on(play: Play) -> None:
    """Nobody is left to wait for: what parked senders hold is sent, to nobody."""

    async def body(do: Do) -> list[int]:
        tx, subscribe = potok.broadcast(1)
        rx = subscribe()
        async with do.scope() as s:
            tasks = [s.start(send_each, tx.clone(), *range(5)) for _ in range(3)]
            await do.all_parked()
            rx.close()
            for task in tasks:
                await do.result(task)
        with tx, subscribe() as late:
            return drain(late)

    assert play(body) == []


@pytest.mark.parametrize("end", ["returns", "fails", "is cancelled"])
def test_broadcast_task_that_ends_holds_no_sender(play: Play, end: str) -> None:
    """A subscriber that was handed over closes with its task, however that ends."""

    async def listen(do: Do, rx: potok.Subscriber[int]) -> None:
        await do.recv(rx)
        if end == "fails":
            raise LookupError("enough")
        if end == "is cancelled":
            await do.forever()

    async def body(do: Do) -> list[int]:
        tx, subscribe = potok.broadcast(1)
        with tx, subscribe() as rx:
            expected = pytest.raises(ExceptionGroup) if end == "fails" else contextlib.nullcontext()
            with expected:
                async with do.scope(on_fail="collect") as s:
                    task = s.start(listen, subscribe())
                    got = []
                    for item in range(5):
                        await do.send(tx, item)
                        got.append(await do.recv(rx))
                        if item == 0 and end == "is cancelled":
                            await do.all_parked()
                            task.cancel()
            return got

    assert play(body) == list(range(5))


def test_broadcast_collected_subscriber_holds_no_sender(play: Play) -> None:
    """One that was dropped without being closed, while others are left: quietly."""

    async def body(do: Do) -> list[int]:
        tx, subscribe = potok.broadcast(1)
        with subscribe() as rx:
            forgotten = subscribe()
            async with do.scope() as s:
                task = s.start(send_each, tx, 0, 1)
                await do.all_parked()
                got = [await do.recv(rx)]
                del forgotten
                gc.collect()
                await do.result(task)
            return [*got, *drain(rx)]

    assert play(body) == [0, 1]


# ── laggards miss ───────────────────────────────────────────────────────────────────────────────────────────


@needs()
def test_broadcast_laggard_is_told_how_many_it_missed(play: Play) -> None:
    """The sender never waits; `recv` raises Lagged once, with their number, then goes on with the oldest left."""

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(2, "drop-oldest")
        with tx, subscribe() as slow, subscribe() as quick:
            for item in range(5):
                await do.send(tx, item)
                assert await do.recv(quick) == item
            with pytest.raises(potok.Lagged, match="3") as told:
                await do.recv(slow)
            return [told.value.missed, drain(slow), drain(quick)]

    assert play(body) == [3, [3, 4], []]


@needs()
def test_broadcast_laggard_is_told_of_each_gap_where_it_is(play: Play) -> None:
    """What was missed since the last time is told at its place, also by `recv_nowait` and iteration."""

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(2, "drop-oldest")
        got: list[object] = []
        with subscribe() as rx:
            await send_each(do, tx, 0, 1, 2)
            with pytest.raises(potok.Lagged) as told:
                rx.recv_nowait()
            got += [told.value.missed, rx.recv_nowait()]
            await send_each(do, tx, 3, 4, 5)
            tx.close()
            with pytest.raises(potok.Lagged) as told:
                await receive_all(do, rx)
            return [*got, told.value.missed, *await receive_all(do, rx)]

    assert play(body) == [1, 1, 2, 4, 5]


@needs()
def test_broadcast_laggard_at_the_end_of_it_all_is_told(play: Play) -> None:
    """The last sender has closed: first what was missed, then what is left, then the end."""

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(1, "drop-oldest")
        with subscribe() as rx:
            with tx:
                await send_each(do, tx, *range(10))
            with pytest.raises(potok.Lagged) as told:
                await do.recv(rx)
            got = [told.value.missed, await do.recv(rx)]
            with pytest.raises(potok.ClosedError):
                await do.recv(rx)
            return got

    assert play(body) == [9, 9]


def test_broadcast_waiting_subscriber_misses_nothing(play: Play) -> None:
    """Who waits is served before anything is dropped, whatever another one is behind with."""

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(1, "drop-oldest")
        with tx, subscribe() as slow:
            async with do.scope() as s:
                task = s.start(receive_all, subscribe())
                for item in range(5):
                    await do.all_parked()
                    tx.send_nowait(item)
                tx.close()
                with pytest.raises(potok.Lagged) as told:
                    await do.recv(slow)
                return [await do.result(task), told.value.missed]

    assert play(body) == [[0, 1, 2, 3, 4], 4]


def test_broadcast_laggard_knows_of_every_item(play: Play) -> None:
    """What it received and what it is told to have missed make up what was sent, at any pace."""

    async def listen(do: Do, rx: potok.Subscriber[int], pace: int) -> int:
        expected = 0
        while True:
            try:
                assert await do.recv(rx) == expected
            except potok.Lagged as lagged:
                expected += lagged.missed
            except potok.ClosedError:
                return expected
            else:
                expected += 1
            for _ in range(pace):
                await do.sleep(0)

    async def talk(do: Do, tx: potok.Sender[int]) -> None:
        for item in range(100):
            await do.send(tx, item)
            if item % 3 == 0:
                await do.sleep(0)

    async def body(do: Do) -> list[int]:
        tx, subscribe = potok.broadcast(2, "drop-oldest")
        async with do.scope() as s:
            tasks = [s.start(listen, subscribe(), pace) for pace in range(3)]
            s.start(talk, tx)
        return [await do.result(task) for task in tasks]

    assert play(body) == [100] * 3


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

    async def attempt(do: Do, rxs: list[potok.Subscriber[int]]) -> object:
        try:
            return await do.recv(rxs[0])
        except potok.ClosedError:
            return "closed"

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(1)
        one, two = subscribe(), subscribe()
        with tx, two:
            async with do.scope() as s:
                tasks = [s.start(attempt, [one]), s.start(attempt, [two])]
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

    async def take(do: Do, rxs: list[potok.Subscriber[int]], got: list[int]) -> None:
        while True:
            got.append(await do.recv(rxs[0]))

    async def body(do: Do) -> None:
        for number in range(ROUNDS):
            got: list[int] = []
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
                    got += await receive_all(do, rx)
                    assert got == await do.result(bystander) == list(range(5))

    play(body)


@pytest.mark.stress
def test_race_cancelled_sender_against_subscribers(play: Play) -> None:
    """A sender that is cancelled as it waits for the slowest: all subscribers got the same, which is what was sent."""

    async def give(do: Do, tx: potok.Sender[int], sent: list[int]) -> None:
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
            sent: list[int] = []
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


# ── programs ────────────────────────────────────────────────────────────────────────────────────────────────


def test_broadcast_of_a_stop_to_whoever_listens(play: Play) -> None:
    """Workers that take from a common channel until they hear the news, each of them."""

    async def work(do: Do, jobs: potok.Receiver[int], news: potok.Subscriber[str], done: list[int]) -> str:
        while True:
            got = await do.pri_select(news, jobs)
            if got.arm is news:
                return str(got.value)
            done.append(got.value)

    async def body(do: Do) -> list[object]:
        tx, jobs = potok.channel()
        announce, subscribe = potok.broadcast(1)
        done: list[int] = []
        async with do.scope() as s:
            tasks = [s.start(work, jobs.clone(), subscribe(), done) for _ in range(3)]
            with tx, announce:
                await send_each(do, tx, *range(9))
                await do.send(announce, "stop")
                heard = [await do.result(task) for task in tasks]
        jobs.close()
        return [heard, sorted(done)]

    assert play(body) == [["stop"] * 3, list(range(9))]


def test_broadcast_chained_into_another(play: Play) -> None:
    """A subscriber that repeats what it hears on a broadcast of its own: pace and end go all the way."""

    async def repeat(do: Do, rx: potok.Subscriber[int], tx: potok.Sender[int]) -> None:
        async for item in do.each(rx):
            await do.send(tx, item)

    async def body(do: Do) -> list[list[int]]:
        tx, subscribe = potok.broadcast(1)
        again, subscribe_again = potok.broadcast(1)
        async with do.scope() as s:
            tasks = [s.start(receive_all, subscribe_again()) for _ in range(2)]
            s.start(repeat, subscribe(), again)
            s.start(send_each, tx, *range(20))
        return [await do.result(task) for task in tasks]

    assert play(body) == [list(range(20))] * 2


def test_broadcast_first_to_hear(play: Play) -> None:
    """One task waits for one item only: what it was sent besides does not come to anybody else."""

    async def body(do: Do) -> list[object]:
        tx, subscribe = potok.broadcast(3)
        async with do.scope() as s:
            first = s.start(receive_one, subscribe())
            others = s.start(receive_all, subscribe())
            with tx:
                await send_each(do, tx, 1, 2, 3)
            return [await do.result(first), await do.result(others)]

    assert play(body) == [1, [1, 2, 3]]
