"""Channels of capacity 0: a send and a receive complete together."""

import pytest

import potok
from potok.testing.conformance.bodies import receive_all, receive_one, send_each
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs


def test_rendezvous_send_returns_when_a_receiver_has_the_item(play: Play) -> None:
    """A sender goes on only once its item was taken."""
    steps = Record()

    async def sender(do: Do, tx: potok.Sender[str]) -> None:
        await do.send(tx, "item")
        steps.append("sent")

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        async with do.scope() as s:
            s.start(sender, tx)
            await do.all_parked()
            steps.append("nobody received")
            assert await do.recv(rx) == "item"

    play(body)
    assert steps == ["nobody received", "sent"]


def test_rendezvous_recv_waits_for_a_sender(play: Play) -> None:
    """A receiver that came first gets the item that is sent later."""

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        async with do.scope() as s:
            task = s.start(receive_one, rx)
            await do.all_parked()
            assert not task.done()
            await do.send(tx, 7)
            return await do.result(task)

    assert play(body) == 7


def test_rendezvous_parked_senders_are_served_in_order(play: Play) -> None:
    """Senders that wait are served first come, first served."""

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            for item in range(5):
                s.start(send_each, tx.clone(), item)
                await do.all_parked()
            return [await do.recv(rx) for _ in range(5)]

    assert play(body) == [0, 1, 2, 3, 4]


def test_rendezvous_parked_receivers_are_served_in_order(play: Play) -> None:
    """Receivers that wait are served first come, first served."""

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            tasks = []
            for _ in range(5):
                tasks.append(s.start(receive_one, rx))
                await do.all_parked()
            for item in range(5):
                await do.send(tx, item)
            return [await do.result(task) for task in tasks]

    assert play(body) == [0, 1, 2, 3, 4]


def test_rendezvous_items_of_one_sender_keep_their_order(play: Play) -> None:
    """What one task sends arrives in the order in which it was sent."""

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            s.start(send_each, tx, *range(100))
            return [item async for item in do.each(rx)]

    assert play(body) == list(range(100))


@needs()
def test_rendezvous_nowait_without_a_peer_would_block(play: Play) -> None:
    """`send_nowait` and `recv_nowait` raise WouldBlock without a peer, and leave nothing behind."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        with tx, rx:
            for _ in range(2):
                with pytest.raises(potok.WouldBlock):
                    tx.send_nowait(1)
                with pytest.raises(potok.WouldBlock):
                    rx.recv_nowait()

    play(body)


def test_rendezvous_nowait_meets_a_parked_peer(play: Play) -> None:
    """`send_nowait` serves a receiver that waits, `recv_nowait` a sender that waits."""

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            task = s.start(receive_one, rx.clone())
            await do.all_parked()
            tx.send_nowait("for the receiver")
            s.start(send_each, tx.clone(), "from the sender")
            await do.all_parked()
            return [await do.result(task), rx.recv_nowait()]

    assert play(body) == ["for the receiver", "from the sender"]


def test_rendezvous_send_that_timed_out_sent_nothing(play: Play) -> None:
    """TimeoutError from `send` means that nobody will ever receive the item."""

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        with pytest.raises(TimeoutError):
            await do.send(tx, "late", timeout=do.tick)
        async with do.scope() as s:
            s.start(send_each, tx, "in time")
            return await do.recv(rx)

    assert play(body) == "in time"


def test_rendezvous_recv_that_timed_out_took_nothing(play: Play) -> None:
    """TimeoutError from `recv` means that the next item goes to the next receiver."""

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        with pytest.raises(TimeoutError):
            await do.recv(rx, timeout=do.tick)
        async with do.scope() as s:
            s.start(send_each, tx, "item")
            return await do.recv(rx)

    assert play(body) == "item"


def test_rendezvous_timeout_of_zero_takes_what_is_there(play: Play) -> None:
    """With `timeout=0` an operation that can complete at once does, and any other times out."""

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        with pytest.raises(TimeoutError):
            await do.recv(rx, timeout=0)
        async with do.scope() as s:
            s.start(send_each, tx, "there")
            await do.all_parked()
            return await do.recv(rx, timeout=0)

    assert play(body) == "there"


def test_rendezvous_ping_pong(play: Play) -> None:
    """Two tasks that answer each other meet at every item."""

    async def answer(do: Do, rx: potok.Receiver[int], tx: potok.Sender[int]) -> None:
        async for item in do.each(rx):
            await do.send(tx, item + 1)

    async def body(do: Do) -> int:
        there, other_rx = potok.channel()
        other_tx, back = potok.channel()
        async with do.scope() as s:
            s.start(answer, other_rx, other_tx)
            ball = 0
            with there:
                while ball < 50:
                    await do.send(there, ball)
                    ball = await do.recv(back)
        return ball

    assert play(body) == 50


def test_rendezvous_every_item_once_among_many(play: Play) -> None:
    """Many senders and many receivers: every item is received exactly once."""

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            takers = [s.start(receive_all, rx) for _ in range(4)]
            for first in range(0, 80, 20):
                s.start(send_each, tx, *range(first, first + 20))
            tx.close()
            return [item for task in takers for item in await do.result(task)]

    assert sorted(play(body)) == list(range(80))


@needs("parking", "one address space")
def test_rendezvous_any_value_is_an_item(play: Play) -> None:
    """None, exceptions, falsy values and containers travel like any other, by reference in one address space."""
    items = [None, 0, "", False, ValueError("a value"), StopIteration(3), [1], object()]

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            s.start(send_each, tx, *items)
            return [item async for item in do.each(rx)]

    got = play(body)
    assert len(got) == len(items)
    assert all(one is other for one, other in zip(got, items, strict=True))
