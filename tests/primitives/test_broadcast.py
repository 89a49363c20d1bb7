"""Broadcasts in both colours, on every executor and between them."""

import asyncio
import gc
import threading

import pytest

import potok
from potok.testing import wait_all_parked


async def send_each(do, tx, *items):
    for item in items:
        await do.send(tx, item)


async def receive_all(do, rx):
    return [item async for item in do.each(rx)]


async def receive(do, rx):
    return await do.recv(rx)


def drain(rx):
    """What is there now."""
    found = []
    while True:
        try:
            found.append(rx.recv_nowait())
        except (potok.WouldBlock, potok.ClosedError):
            return found


# ── who gets what ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("lag", ["block", "drop-oldest"])
def test_every_subscriber_gets_every_item(play, lag):
    """In order, and then the end."""

    async def body(do):
        tx, subscribe = potok.broadcast(100, lag)
        async with do.scope() as s:
            tasks = [s.start(receive_all, subscribe()) for _ in range(3)]
            await send_each(do, tx, *range(50))
            tx.close()
            return [await do.result(task) for task in tasks]

    assert play(body) == [list(range(50))] * 3


def test_a_subscriber_gets_what_is_sent_after_it_subscribed(play):
    """Not what was sent before; and without subscribers nothing is kept, and nobody waits."""

    async def body(do):
        tx, subscribe = potok.broadcast(1)
        await send_each(do, tx, 1, 2, 3)
        with subscribe() as rx:
            await do.send(tx, 4)
            first = await do.recv(rx)
        await send_each(do, tx, 5, 6)
        with subscribe() as rx:
            return first, drain(rx)

    assert play(body) == (4, [])


def test_the_slowest_subscriber_paces_the_sender(play):
    """It sends on when that one has received, whatever the others have."""

    async def body(do):
        tx, subscribe = potok.broadcast(2)
        with subscribe() as quick, subscribe() as slow:
            async with do.scope() as s:
                task = s.start(send_each, tx, *range(5))
                await do.all_parked()
                assert drain(quick) == [0, 1]
                await do.all_parked()
                assert not task.done()
                assert await do.recv(slow) == 0
                await do.all_parked()
                assert drain(quick) == [2]
                slow.close()
                await do.all_parked()
                assert drain(quick) == [3, 4]

    play(body)


def test_a_laggard_is_told_once_how_many_it_missed(play):
    """Then it goes on with what is left; the sender has not waited."""

    async def body(do):
        tx, subscribe = potok.broadcast(2, "drop-oldest")
        with subscribe() as rx, subscribe() as quick:
            for number in range(5):
                await do.send(tx, number)
                assert await do.recv(quick) == number
            with pytest.raises(potok.Lagged, match="missed 3 item") as told:
                await do.recv(rx)
            assert told.value.missed == 3
            assert drain(rx) == [3, 4]
            await send_each(do, tx, 5, 6)
            return [await do.recv(rx) for _ in range(2)]

    assert play(body) == [5, 6]


def test_tasks_that_share_a_subscriber_share_its_items(play):
    """One of them gets each; a clone is a subscriber of its own, with the same before it."""

    async def body(do):
        tx, subscribe = potok.broadcast(4)
        with subscribe() as rx:
            async with do.scope() as s:
                share = [rx]  # in a container: shared, not handed over

                async def take(do, share):
                    return await do.recv(share[0])

                tasks = [s.start(take, share), s.start(take, share)]
                await do.all_parked()
                await send_each(do, tx, 1, 2, 3)
                got = sorted([await do.result(task) for task in tasks])
            with rx.clone() as copy:
                return got, drain(rx), drain(copy)

    assert play(body) == ([1, 2], [3], [3])


# ── waiting in vain ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_send_that_timed_out_or_was_cancelled_has_reached_nobody(play):
    """Not even those who had room for it."""

    async def body(do):
        tx, subscribe = potok.broadcast(1)
        with subscribe() as slow, subscribe() as quick:
            await do.send(tx, 1)
            assert await do.recv(quick) == 1
            with pytest.raises(TimeoutError):
                await do.send(tx, 2, do.tick)
            with pytest.raises(potok.WouldBlock):
                tx.send_nowait(3)
            async with do.scope() as s:
                task = s.start(send_each, tx, 4)
                await do.all_parked()
                task.cancel()
            return drain(quick), drain(slow)

    assert play(body) == ([], [1])


def test_a_receive_that_timed_out_has_taken_nothing(play):
    """The next one gets the next item."""

    async def body(do):
        tx, subscribe = potok.broadcast(1)
        with subscribe() as rx:
            with pytest.raises(TimeoutError):
                await do.recv(rx, do.tick)
            await do.send(tx, 1)
            return await do.recv(rx)

    assert play(body) == 1


# ── ends ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_closed_sender_lets_subscribers_have_the_rest(play):
    """Then they end; so does who subscribes later, at once."""

    async def body(do):
        tx, subscribe = potok.broadcast(4)
        with subscribe() as rx:
            with tx:
                await send_each(do, tx, 1, 2)
            with subscribe() as late:
                return await receive_all(do, rx), await receive_all(do, late)

    assert play(body) == ([1, 2], [])


def test_a_sender_closed_by_an_error_tells_subscribers(play):
    """A loop over the items must not look complete."""

    async def body(do):
        tx, subscribe = potok.broadcast(4)
        with subscribe() as rx:
            with pytest.raises(KeyError), tx:
                raise KeyError("half-way")
            with pytest.raises(potok.ClosedError) as told:
                await receive_all(do, rx)
            assert isinstance(told.value.cause, KeyError)

    play(body)


def test_cancel_ends_it_for_everyone(play):
    """What was not received is dropped; whoever waits is told the cause."""

    async def told(do, op, *args):
        try:
            await op(do, *args)
        except potok.ClosedError as error:
            return error.cause
        return None

    async def body(do):
        tx, subscribe = potok.broadcast(1)
        with subscribe() as slow, subscribe() as quick:
            await do.send(tx, 1)
            assert await do.recv(quick) == 1
            async with do.scope() as s:
                tasks = [s.start(told, send_each, tx, 2), s.start(told, receive, quick)]
                await do.all_parked()
                tx.cancel("enough")
                causes = [await do.result(task) for task in tasks]
            causes.append(await told(do, receive, slow))
            return causes

    assert play(body) == ["enough"] * 3


def test_a_subscriber_passed_to_start_moves_to_the_task(play):
    """With what is before it; the caller's own is closed at once, so that it holds nobody back, and says why."""

    async def body(do):
        tx, subscribe = potok.broadcast(2)
        rx = subscribe()
        await do.send(tx, 1)
        async with do.scope() as s:
            task = s.start(receive_all, rx, name="reader")
            assert rx.closed
            with pytest.raises(potok.ClosedError, match=r"handed over to task reader.*clone"):
                rx.recv_nowait()
            with pytest.raises(potok.ClosedError, match="handed over"):
                s.start(receive_all, rx)
            await send_each(do, tx, *range(2, 9))
            tx.close()
            return await do.result(task)

    assert play(body) == list(range(1, 9))


def test_a_subscriber_of_a_task_closes_as_it_ends(play):
    """Also one that failed: it paces nobody any more."""

    async def fail(do, rx):
        raise KeyError(await do.recv(rx))

    async def body(do):
        tx, subscribe = potok.broadcast(1)
        async with do.scope(on_fail="collect") as s:
            s.start(fail, subscribe())
            await send_each(do, tx, *range(5))

    with pytest.raises(ExceptionGroup):
        play(body)


def test_a_sender_that_was_handed_over_closes_as_the_body_receives(play):
    """Also where the body subscribed after that."""

    async def body(do):
        tx, subscribe = potok.broadcast(8)
        async with do.scope() as s:
            early = subscribe()
            tasks = [s.start(send_each, tx, number) for number in range(3)]
            late = subscribe()
            got = await receive_all(do, late)
            assert set(got) <= {0, 1, 2}
            got = await receive_all(do, early)
            assert all(task.done() for task in tasks)
            return sorted(got)

    assert play(body) == [0, 1, 2]


def test_the_body_may_use_a_subscriber_made_after_it_has_handed_its_sender_over(play):
    """Using it closes the body's own sender: the loop ends with the task's."""

    async def wait_then_send(do, tx, go):
        await do.recv(go)
        await send_each(do, tx, 1, 2)

    async def body(do):
        tx, subscribe = potok.broadcast(8)
        ready, go = potok.channel()
        async with do.scope() as s:
            s.start(wait_then_send, tx, go)
            rx = subscribe()
            await do.send(ready, "go")
            return await receive_all(do, rx)

    assert play(body) == [1, 2]


def test_a_collected_subscriber_holds_nobody_back():
    """Quietly, as long as others are left."""
    tx, subscribe = potok.broadcast(1)
    with subscribe() as rx:
        forgotten = subscribe()
        tx.send(1)
        assert rx.recv() == 1
        del forgotten
        gc.collect()
        tx.send(2, timeout=5)
        assert rx.recv() == 2


# ── choice ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_subscribers_and_sends_are_arms_of_a_select(play):
    """What happens is one arm's effect only."""

    async def body(do):
        tx, subscribe = potok.broadcast(1)
        with subscribe() as one, subscribe() as two:
            async with do.scope() as s:
                s.start(send_each, tx, "news")
                got = await do.pri_select(one, two)
                assert (got.arm, got.value) == (one, "news")
            sender, subscribe_more = potok.broadcast(1)
            with subscribe_more() as rx:
                got = await do.select(sender.sending(1), rx)
                assert got.value is None
                got = await do.select(sender.sending(2), rx)
                assert (got.arm, got.value) == (rx, 1)
            return drain(one), drain(two)

    assert play(body) == ([], ["news"])


def test_an_arm_that_lagged_raises_what_it_missed(play):
    """And is served at the next try."""

    async def body(do):
        tx, subscribe = potok.broadcast(1, "drop-oldest")
        with subscribe() as rx:
            await send_each(do, tx, 1, 2, 3)
            with pytest.raises(potok.Lagged, match="missed 2"):
                await do.select(rx)
            return (await do.select(rx)).value

    assert play(body) == 3


# ── colours, threads ────────────────────────────────────────────────────────────────────────────────────────


def test_a_plain_thread_and_asyncio_tasks_share_a_broadcast():
    """None of them was started by potok."""
    tx, subscribe = potok.broadcast(2)

    async def listen(rx):
        return [item async for item in rx]

    async def main():
        tasks = [asyncio.create_task(listen(subscribe())) for _ in range(2)]
        thread = threading.Thread(target=send)
        thread.start()
        got = await asyncio.gather(*tasks)
        thread.join()
        return got

    def send():
        with tx:
            for number in range(20):
                tx.send(number)

    assert asyncio.run(main()) == [list(range(20))] * 2


@pytest.mark.stress
def test_all_get_all_in_each_senders_order():
    """Several senders, subscribers of both colours on threads and coroutines, one that leaves early."""
    tx, subscribe = potok.broadcast(3)

    def send(tx, who):
        for number in range(50):
            tx.send((who, number))

    def listen(rx):
        return list(rx)

    async def alisten(rx):
        return [item async for item in rx]

    def listen_a_little(rx):
        return [rx.recv() for _ in range(10)]

    with potok.scope(on="threads") as s:
        tasks = [s.start(listen, subscribe()), s.start(alisten, subscribe())]
        tasks.append(s.start(alisten, subscribe(), on="coroutines"))
        s.start(listen_a_little, subscribe())
        for who in range(2):
            s.start(send, tx, who)
    first, *others = [task.result() for task in tasks]
    assert others == [first] * 2
    for who in range(2):
        assert [number for by, number in first if by == who] == list(range(50))


@pytest.mark.stress
def test_a_laggard_knows_of_every_item():
    """What it received and what it is told to have missed make up what was sent."""
    tx, subscribe = potok.broadcast(2, "drop-oldest")

    def send(tx):
        for number in range(200):
            tx.send(number)

    def listen(rx):
        expected = missed = 0
        while True:
            try:
                number = rx.recv()
            except potok.Lagged as lagged:
                expected += lagged.missed
                missed += lagged.missed
            except potok.ClosedError:
                return expected
            else:
                assert number == expected
                expected += 1

    with potok.scope(on="threads") as s:
        tasks = [s.start(listen, subscribe()) for _ in range(2)]
        s.start(send, tx)
    assert [task.result() for task in tasks] == [200, 200]


@pytest.mark.stress
def test_an_item_is_not_lost_to_a_cancelled_receiver():
    """It was received, or it is before the next one who receives."""
    tx, subscribe = potok.broadcast(100)
    taken = []
    with subscribe() as rx:

        def take():
            while True:
                taken.append(rx.recv())

        with potok.scope(on="threads") as s:
            for number in range(20):
                taker = s.start(take)
                tx.send(number)
                taker.cancel()
        taken += drain(rx)
    assert sorted(taken) == list(range(20))


# ── wrong use ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("capacity", "error"),
    [(0, ValueError), (-1, ValueError), (None, TypeError), (potok.UNBOUNDED, TypeError), (True, TypeError)],
)
def test_capacity_must_be_a_positive_int(capacity, error):
    """The error names it."""
    with pytest.raises(error, match="capacity must be"):
        potok.broadcast(capacity)


def test_lag_must_be_one_of_two():
    """The error names them."""
    with pytest.raises(ValueError, match='"block" or "drop-oldest", not "drop"'.replace('"drop"', "'drop'")):
        potok.broadcast(1, "drop")


def test_ends_show_their_state():
    """In one line, for people; and what a task waits for is told."""
    tx, subscribe = potok.broadcast(2, name="news")
    with subscribe() as rx:
        tx.send(1)
        assert repr(rx) == "<Subscriber of news(2), 1 subscriber(s), 1 buffered, open>"
        tx.send(2)
        with potok.scope(on="threads") as s:
            s.start(lambda tx: tx.send(3), tx)
            wait_all_parked()
            assert any(
                info.waits_for == "send on news(2), 1 subscriber(s), 2 buffered" for info in potok.tasks()
            )
            assert rx.recv() == 1
