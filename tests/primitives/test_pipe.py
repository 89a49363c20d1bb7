"""Pipes in both colours, on every executor and between them; and what handing an end over does with both its halves."""

import gc

import pytest

import potok
from potok.testing import wait_all_parked


async def double(do, end):
    async for item in do.each(end):
        await do.send(end, 2 * item)


async def poll(do, end, *args):
    return await do.call(end, "poll", *args)


# ── both ways ───────────────────────────────────────────────────────────────────────────────────────────────


def test_what_one_end_sends_the_other_receives(play):
    """Both ways, without getting one's own."""

    async def body(do):
        a, b = potok.pipe()
        async with do.scope() as s:
            s.start(double, b)
            got = []
            for number in range(5):
                await do.send(a, number)
                got.append(await do.recv(a))
            a.close()
            return got

    assert play(body) == [0, 2, 4, 6, 8]


def test_capacity_is_that_of_each_direction(play):
    """A full one lets nobody wait in the other."""

    async def body(do):
        a, b = potok.pipe(2)
        for number in range(2):
            a.send_nowait(number)
        with pytest.raises(potok.WouldBlock):
            a.send_nowait(2)
        with pytest.raises(TimeoutError):
            await do.send(a, 2, do.tick)
        await do.send(b, "back")
        assert a.recv_nowait() == "back"
        with pytest.raises(potok.WouldBlock):
            a.recv_nowait()
        with pytest.raises(TimeoutError):
            await do.recv(a, do.tick)
        return [await do.recv(b) for _ in range(2)]

    assert play(body) == [0, 1]


def test_a_closed_end_lets_the_other_have_the_rest(play):
    """Then its loop ends, and its sends fail; an end that is closed says so itself."""

    async def body(do):
        a, b = potok.pipe()
        with a:
            await do.send(a, 1)
        assert a.closed
        got = [item async for item in do.each(b)]
        with pytest.raises(potok.ClosedError, match="nobody can receive"):
            await do.send(b, 2)
        with pytest.raises(potok.ClosedError, match="was closed"):
            await do.recv(a)
        a.close()
        b.close()
        return got

    assert play(body) == [1]


def test_an_end_left_by_an_error_tells_the_other(play):
    """A loop over the items must not look complete."""

    async def body(do):
        a, b = potok.pipe()
        with pytest.raises(KeyError):
            async with do.block(a):
                raise KeyError("half-way")
        with pytest.raises(potok.ClosedError) as told:
            await double(do, b)
        assert isinstance(told.value.cause, KeyError)

    play(body)


def test_cancel_ends_both_directions(play):
    """With the cause, for everyone."""

    async def body(do):
        a, b = potok.pipe()
        await do.send(a, 1)
        await do.send(b, 2)
        a.cancel("enough")
        for end in (a, b):
            with pytest.raises(potok.ClosedError, match="enough") as told:
                await do.recv(end)
            assert told.value.cause == "enough"

    play(body)


# ── poll ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_poll_tells_what_is_there_without_taking_it(play):
    """Now, and with or without a time-out."""

    async def body(do):
        a, b = potok.pipe()
        assert not await poll(do, b)
        assert not await poll(do, b, do.tick)
        await do.send(a, 1)
        assert [await poll(do, b, *args) for args in [(), (do.tick,), (None,), ()]] == [True] * 4
        assert await do.recv(b) == 1
        return await poll(do, b)

    assert play(body) is False


@pytest.mark.parametrize("capacity", [0, 1, 16, potok.UNBOUNDED])
def test_poll_waits_for_an_item(play, capacity):
    """Also for one whose sender is parked until it is received; it leaves the item there."""

    async def poll_and_receive(do, end):
        return await poll(do, end, None), await do.recv(end)

    async def body(do):
        a, b = potok.pipe(capacity)
        async with do.scope() as s:
            task = s.start(poll_and_receive, b)
            await do.all_parked()
            await do.send(a, "item")
            return await do.result(task)

    assert play(body) == (True, "item")


def test_what_was_polled_for_is_received(play):
    """By the one who polled, while its time-out runs."""

    async def wait_and_receive(do, end):
        assert await poll(do, end, None)
        first = end.recv_nowait()
        assert await poll(do, end, 60.0)
        return first, await do.recv(end)

    async def body(do):
        a, b = potok.pipe()
        async with do.scope() as s:
            task = s.start(wait_and_receive, b)
            for number in range(2):
                await do.all_parked()
                await do.send(a, number)
            return await do.result(task)

    assert play(body) == (0, 1)


def test_poll_tells_of_the_end(play):
    """`recv` would not wait then, but raise."""

    async def body(do):
        a, b = potok.pipe()
        async with do.scope() as s:
            task = s.start(poll, b, None)
            await do.all_parked()
            a.close()
            return await do.result(task)

    assert play(body) is True


def test_an_item_goes_past_those_who_poll(play):
    """A receiver that came later gets it; the poller looks again and waits on, until there is one for it."""

    async def recv(do, share):
        return await do.recv(share[0])

    async def poll_shared(do, share):
        return await poll(do, share[0], None)

    async def body(do):
        a, b = potok.pipe()
        async with do.scope() as s:
            poller = s.start(poll_shared, [b])
            await do.all_parked()
            receiver = s.start(recv, [b])
            await do.all_parked()
            await do.send(a, 1)
            assert await do.result(receiver) == 1
            await do.all_parked()
            assert not poller.done()
            await do.send(a, 2)
            assert await do.result(poller) is True
            return b.recv_nowait()

    assert play(body) == 2


def test_a_cancelled_poll_leaves_nothing_behind(play):
    """Neither in the pipe nor among those who wait."""

    async def body(do):
        a, b = potok.pipe()
        async with do.scope() as s:
            task = s.start(poll, b.clone(), None)
            await do.all_parked()
            task.cancel()
        with pytest.raises(TimeoutError):
            async with do.timeout(do.tick):
                await poll(do, b, None)
        assert not b._rx._end.machine.receivers.waiting()
        await do.send(a, 1)
        return await do.recv(b)

    assert play(body) == 1


def test_a_loop_around_poll_lets_others_run(play):
    """It gives way each time, also where nothing else in it does."""

    async def send(do, end):
        await do.send(end, "item")

    async def body(do):
        a, b = potok.pipe()
        async with do.scope() as s:
            s.start(send, a)
            while not await poll(do, b):
                pass
            return await do.recv(b)

    assert play(body) == "item"


def test_poll_inline_looks_and_does_not_wait():
    """What can't wait says so."""

    def body():
        a, b = potok.pipe()
        assert not b.poll()
        a.send(1)
        assert b.poll(None)
        with a, b, pytest.raises(potok.DeadlockError, match="poll on pipe"):
            a.poll(None)

    potok.run(body, on="inline")


def test_polling_a_closed_end_is_an_error():
    """As any use of it."""
    a, b = potok.pipe()
    a.close()
    b.close()
    with pytest.raises(potok.ClosedError, match="was closed"):
        a.poll()
    with pytest.raises(ValueError, match="timeout must be"):
        a.poll(-1)


@pytest.mark.parametrize("on", ["threads", "coroutines"])
def test_polling_is_refused_in_an_async_task(on):
    """Like all that may wait."""

    async def body():
        a, _ = potok.pipe()
        with pytest.raises(potok.BlockingCallError, match="apoll"):
            a.poll()

    potok.run(body, on=on)


# ── handing over ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_end_of_a_task_closes_with_it(play):
    """Both ways: the other end stops receiving, and can't send."""

    async def one(do, end):
        await do.send(end, await do.recv(end) + 1)

    async def body(do):
        a, b = potok.pipe()
        async with do.scope() as s:
            task = s.start(one, b)
            await do.send(a, 1)
            got = [item async for item in do.each(a)]
            await do.result(task)  # its ends close one by one
            with pytest.raises(potok.ClosedError):
                await do.send(a, 2)
            return got

    assert play(body) == [2]


def test_an_end_may_be_handed_to_several_tasks(play):
    """Each has its own; the other end goes on until the last of them has ended."""

    async def body(do):
        a, b = potok.pipe()
        async with do.scope() as s:
            for _ in range(3):
                s.start(double, b)
            for number in range(6):
                await do.send(a, number)
            got = [await do.recv(a) for _ in range(6)]
            a.close()
            return sorted(got)

    assert play(body) == [0, 2, 4, 6, 8, 10]


def test_the_bodys_own_end_says_that_it_was_handed_over(play):
    """Once the body has used the other one."""

    async def body(do):
        a, b = potok.pipe()
        async with do.scope() as s:
            s.start(double, b, name="doubler")
            await do.send(a, 1)
            assert await do.recv(a) == 2
            assert b.closed
            with pytest.raises(potok.ClosedError, match=r"handed over to task doubler.*clone"):
                await do.recv(b)
            with pytest.raises(potok.ClosedError, match="handed over"):
                s.start(double, b)
            a.close()

    play(body)


def test_both_ends_may_go_to_tasks(play):
    """The body keeps nobody waiting."""

    async def ask(do, end):
        await do.send(end, 21)
        return await do.recv(end)

    async def body(do):
        a, b = potok.pipe()
        async with do.scope() as s:
            s.start(double, b)
            task = s.start(ask, a)
        return await do.result(task)

    assert play(body) == 42


def test_a_start_that_fails_hands_nothing_over():
    """Whichever of the arguments it fails at: the ends before it count no more tasks."""
    a, b = potok.pipe()
    tx, rx = potok.channel(1)
    other, closed = potok.channel()
    closed.close()
    with potok.scope(on="threads") as s:
        for args in [(b, tx, closed), (tx, b, closed)]:
            with pytest.raises(potok.ClosedError):
                s.start(print, *args)
        assert not b.closed
        assert not tx.closed
        tx.send(1)
        tx.close()
        assert list(rx) == [1]
        b.close()
        assert list(a) == []
    other.close()


def test_a_clone_settles_a_hand_over_as_the_end_it_was_made_of():
    """Used instead of it, it lets the body's own sender close, so that the loop ends."""
    tx, rx = potok.channel()
    with potok.scope(on="threads") as s:
        s.start(lambda tx: tx.send(1), tx)
        with rx.clone() as copy:
            assert list(copy) == [1]


def test_a_pipe_that_is_collected_closes():
    """Quietly, as long as nobody waits for it."""
    a, b = potok.pipe()
    del b
    gc.collect()
    assert list(a) == []


# ── choice ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_pipes_and_their_sends_are_arms_of_a_select(play):
    """The pipe itself receives; one arm takes effect."""

    async def body(do):
        a, b = potok.pipe(1)
        got = await do.select(a, a.sending(1))
        assert (got.index, got.value) == (1, None)
        got = await do.select(b, a.sending(2))
        assert (got.arm, got.value) == (b, 1)
        async with do.scope() as s:
            s.start(double, b)
            await do.send(a, 3)
            got = await do.select(a)
            a.close()
        return got.arm is a, got.value

    assert play(body) == (True, 6)


# ── colours, threads ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.stress
@pytest.mark.parametrize("capacity", [0, 1, 16])
def test_nothing_is_lost_both_ways(capacity):
    """Thread and coroutine, who send and receive at once."""
    a, b = potok.pipe(capacity)

    def shout(end):
        for number in range(100):
            end.send(number)

    async def ashout(end):
        for number in range(100):
            await end.asend(number)

    def listen(end):
        return [end.recv() for _ in range(100)]

    async def alisten(end):
        return [await end.arecv() for _ in range(100)]

    with potok.scope(on="threads") as s:
        tasks = [s.start(listen, a), s.start(alisten, b, on="coroutines")]
        s.start(shout, a)
        s.start(ashout, b, on="coroutines")
    assert [task.result() for task in tasks] == [list(range(100))] * 2


@pytest.mark.stress
@pytest.mark.parametrize("capacity", [0, 1, 16, potok.UNBOUNDED])
def test_no_poller_is_forgotten(capacity):
    """Whenever the item comes: before it looks, after, or in between."""
    a, b = potok.pipe(capacity)

    def poll_and_receive(end):
        got = []
        while end.poll(None):
            try:
                got.append(end.recv_nowait())
            except potok.ClosedError:
                break
        return got

    with potok.scope(on="threads") as s:
        task = s.start(poll_and_receive, b)
        for number in range(100):
            a.send(number)
        a.close()
    assert task.result() == list(range(100))


def test_ends_show_their_state():
    """In one line, for people; and what a task waits for is told."""
    a, b = potok.pipe(3)
    assert repr(a) == "<Pipe: <Sender of pipe(3), 0 buffered, open>, <Receiver of pipe(3), 0 buffered, open>>"
    with potok.scope(on="threads") as s:
        s.start(lambda end: end.poll(None), b)
        wait_all_parked()
        assert any(info.waits_for == "poll on pipe(3), 0 buffered" for info in potok.tasks())
        a.close()


def test_capacity_is_checked_as_a_channels():
    """The error names it."""
    with pytest.raises(ValueError, match="capacity must be"):
        potok.pipe(-1)
