"""Channels with a buffer: bounded, unbounded, and dropping the oldest."""

import pytest

import potok
from potok.testing.conformance.bodies import receive_all, send_each
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs


@needs()
def test_buffer_takes_its_capacity_without_a_receiver(play: Play) -> None:
    """As many sends as the capacity complete though nobody receives; the next one would wait."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel(3)
        with tx, rx:
            for item in range(3):
                await do.send(tx, item)
            with pytest.raises(potok.WouldBlock):
                tx.send_nowait(3)
            return [await do.recv(rx) for _ in range(3)]

    assert play(body) == [0, 1, 2]


def test_buffer_full_makes_a_sender_wait_until_a_place_is_free(play: Play) -> None:
    """Back-pressure: the sender beyond the capacity goes on when one item was received."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel(2)
        async with do.scope() as s:
            task = s.start(send_each, tx, 0, 1, 2)
            await do.all_parked()
            assert not task.done()
            got = [await do.recv(rx)]
            await do.result(task)
            return [*got, rx.recv_nowait(), rx.recv_nowait()]

    assert play(body) == [0, 1, 2]


def test_buffer_is_refilled_by_parked_senders_in_order(play: Play) -> None:
    """Items of parked senders come after those in the buffer, in the order in which their senders came."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel(2)
        async with do.scope() as s:
            for item in range(6):
                s.start(send_each, tx.clone(), item)
                await do.all_parked()
            return [await do.recv(rx) for _ in range(6)]

    assert play(body) == [0, 1, 2, 3, 4, 5]


def test_buffer_keeps_the_order_of_each_sender(play: Play) -> None:
    """With several senders, what one of them sends is received in its order."""

    async def body(do: Do) -> list[tuple[int, int]]:
        tx, rx = potok.channel(4)
        async with do.scope() as s:
            for name in range(3):
                s.start(send_each, tx, *((name, number) for number in range(30)))
            return [item async for item in do.each(rx)]

    got = play(body)
    for name in range(3):
        assert [number for sender, number in got if sender == name] == list(range(30))


@pytest.mark.parametrize("capacity", [1, 2, 7, potok.UNBOUNDED])
def test_buffer_of_any_size_delivers_every_item_once(play: Play, capacity: int) -> None:
    """Whatever the capacity: many senders, many receivers, each item exactly once."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel(capacity)
        async with do.scope() as s:
            takers = [s.start(receive_all, rx) for _ in range(3)]
            for first in range(0, 60, 20):
                s.start(send_each, tx, *range(first, first + 20))
            tx.close()
            return [item for task in takers for item in await do.result(task)]

    assert sorted(play(body)) == list(range(60))


@needs()
def test_buffer_unbounded_never_makes_a_sender_wait(play: Play) -> None:
    """`potok.UNBOUNDED` takes any number of items without a receiver, and gives them back in order."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel(potok.UNBOUNDED)
        with tx, rx:
            for item in range(1000):
                await do.send(tx, item)
            return [rx.recv_nowait() for _ in range(1000)]

    assert play(body) == list(range(1000))


@needs()
def test_buffer_that_drops_the_oldest_never_makes_a_sender_wait(play: Play) -> None:
    """With `overflow="drop-oldest"` the newest items stay."""

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel(3, overflow="drop-oldest")
        with rx:
            for item in range(5):
                await do.send(tx, item)
            tx.send_nowait(5)
            tx.close()
            return [item async for item in do.each(rx)]

    assert play(body) == [3, 4, 5]


@needs()
def test_buffer_that_drops_reports_what_it_dropped(play: Play) -> None:
    """`undelivered` is called with each dropped item, oldest first, by the time `send` has returned."""
    lost = Record()

    async def body(do: Do) -> None:
        tx, rx = potok.channel(2, overflow="drop-oldest", undelivered=lost.append)
        with tx, rx:
            for item in range(5):
                await do.send(tx, item)
            assert lost == [0, 1, 2]
            assert [rx.recv_nowait(), rx.recv_nowait()] == [3, 4]

    play(body)
    assert lost == [0, 1, 2]


@needs()
def test_undelivered_tells_what_the_last_receiver_left(play: Play) -> None:
    """Items in the buffer when the last receiver closes are reported, once each, in order."""
    lost = Record()

    async def body(do: Do) -> None:
        tx, rx = potok.channel(5, undelivered=lost.append)
        with tx:
            for item in range(4):
                await do.send(tx, item)
            assert await do.recv(rx) == 0
            other = rx.clone()
            rx.close()
            assert lost == []
            other.close()
            assert lost == [1, 2, 3]

    play(body)
    assert lost == [1, 2, 3]


@needs()
def test_undelivered_tells_what_a_cancel_dropped(play: Play) -> None:
    """`cancel` reports the buffer that it drops."""
    lost = Record()

    async def body(do: Do) -> None:
        tx, rx = potok.channel(potok.UNBOUNDED, undelivered=lost.append)
        for item in range(3):
            await do.send(tx, item)
        rx.cancel("enough")

    play(body)
    assert lost == [0, 1, 2]


@needs()
def test_undelivered_may_use_the_channel_that_calls_it(play: Play) -> None:
    """The callback runs outside of any lock: it may send elsewhere, or ask the same channel."""

    async def body(do: Do) -> list[int]:
        kept_tx, kept_rx = potok.channel(potok.UNBOUNDED)

        def keep(item: int) -> None:
            with pytest.raises(potok.ClosedError):
                tx.send_nowait(item)
            kept_tx.send_nowait(item)

        tx, rx = potok.channel(2, undelivered=keep)
        with kept_rx, kept_tx:
            await do.send(tx, 1)
            await do.send(tx, 2)
            rx.close()
            return [kept_rx.recv_nowait(), kept_rx.recv_nowait()]

    assert play(body) == [1, 2]


@needs()
def test_undelivered_is_not_told_of_what_was_never_sent(play: Play) -> None:
    """A send that timed out keeps its item: nothing to report."""
    lost = Record()

    async def body(do: Do) -> None:
        tx, rx = potok.channel(1, undelivered=lost.append)
        await do.send(tx, "in the buffer")
        with pytest.raises(potok.WouldBlock):
            tx.send_nowait("kept")
        assert await do.recv(rx) == "in the buffer"
        tx.close()
        rx.close()

    play(body)
    assert lost == []
