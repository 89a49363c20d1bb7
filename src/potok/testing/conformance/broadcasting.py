"""Broadcasts: every subscriber gets every item, and paces the senders or is told how many it missed."""

import contextlib
import gc

import pytest

import potok
from potok.testing.conformance.bodies import drain, receive_all, receive_one, receive_shared, send_each
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs

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


# ── programs ────────────────────────────────────────────────────────────────────────────────────────────────


def test_broadcast_of_a_stop_to_whoever_listens(play: Play) -> None:
    """Workers that take from a common channel until they hear the news, each of them."""

    async def work(do: Do, jobs: potok.Receiver[int], news: potok.Subscriber[str], done: Record) -> str:
        while True:
            got = await do.pri_select(news, jobs)
            if got.arm is news:
                return str(got.value)
            done.append(got.value)

    async def body(do: Do) -> list[object]:
        tx, jobs = potok.channel()
        announce, subscribe = potok.broadcast(1)
        done = Record()
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
