"""Counted ends, closing, causes, and CSP's poison."""

import gc
import warnings
from typing import Any

import pytest

import potok
from potok.testing.conformance.bodies import receive_all, receive_one, send_each
from potok.testing.conformance.colours import Do
from potok.testing.conformance.target import Play, needs


@needs()
def test_close_lets_receivers_drain_the_buffer(play: Play) -> None:
    """After the last sender closed, what was sent is still received; then comes ClosedError."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(3)
        await do.send(tx, 1)
        await do.send(tx, 2)
        tx.close()
        assert [await do.recv(rx), await do.recv(rx)] == [1, 2]
        for _ in range(2):
            with pytest.raises(potok.ClosedError):
                await do.recv(rx)
        with pytest.raises(potok.ClosedError):
            rx.recv_nowait()

    play(body)


@needs()
def test_close_is_idempotent_and_counts_each_end_once(play: Play) -> None:
    """Closing one end twice does not close its clone."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(1)
        other = tx.clone()
        tx.close()
        tx.close()
        await do.send(other, "still open")
        assert await do.recv(rx) == "still open"
        other.close()
        with pytest.raises(potok.ClosedError):
            await do.recv(rx)

    play(body)


@needs()
def test_close_of_the_last_receiver_fails_senders_at_once(play: Play) -> None:
    """Nobody can receive any more: a send fails though there is room in the buffer."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(5)
        other = rx.clone()
        rx.close()
        await do.send(tx, 1)
        other.close()
        with pytest.raises(potok.ClosedError):
            await do.send(tx, 2)
        with pytest.raises(potok.ClosedError):
            tx.send_nowait(3)

    play(body)


@needs()
@pytest.mark.parametrize("side", [0, 1])
def test_closed_end_refuses_every_operation(play: Play, side: int) -> None:
    """Using, or cloning, an end that was closed raises ClosedError, and the other ends do not notice."""

    async def body(do: Do) -> None:
        tx, rx = ends = potok.channel(1)
        spare = [end.clone() for end in ends]
        ends[side].close()
        assert ends[side].closed
        with pytest.raises(potok.ClosedError):
            ends[side].clone()
        with pytest.raises(potok.ClosedError):
            await (do.send(tx, 1) if side == 0 else do.recv(rx))
        with pytest.raises(potok.ClosedError):
            tx.send_nowait(1) if side == 0 else rx.recv_nowait()
        await do.send(spare[0], 5)
        assert await do.recv(spare[1]) == 5
        for end in [*spare, tx, rx]:
            end.close()

    play(body)


@needs()
@pytest.mark.parametrize("side", [0, 1])
def test_rejoin_by_a_closed_end(play: Play, side: int) -> None:
    """By a closed end others join as long as any end of its side is open: it does not count, they do."""

    async def body(do: Do) -> None:
        ends = potok.channel(1)
        closed, last = ends[side], ends[side].clone()
        closed.close()
        joined: list[Any] = list(ends)
        joined[side] = closed.rejoin()
        await do.send(joined[0], 5)
        assert await do.recv(joined[1]) == 5
        last.close()
        assert not joined[side].closed
        joined[side].close()
        with pytest.raises(potok.ClosedError):
            closed.rejoin()
        ends[1 - side].close()

    play(body)


@needs()
def test_rejoin_of_a_cancelled_channel_tells_the_cause(play: Play) -> None:
    """Nobody joins a channel that was cancelled."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        rx.cancel(cause := ValueError("no more"))
        with pytest.raises(potok.ClosedError, match="no more") as caught:
            tx.rejoin()
        assert caught.value.cause is cause

    play(body)


async def _join_by_closed(do: Do, tx: potok.Sender[int], told: potok.Sender[str]) -> None:
    tx.close()
    await do.send(told, "closed")
    with tx.rejoin() as joined:
        await do.send(joined, 1)


def test_rejoin_from_a_task(play: Play) -> None:
    """A task whose own end is closed joins those that are open elsewhere, and counts until it closes that one."""

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        told, news = potok.channel()
        keep = tx.clone()
        async with do.scope() as s:
            s.start(_join_by_closed, tx, told)
            assert await do.recv(news) == "closed"
            got = [await do.recv(rx)]
            keep.close()
            return got + [item async for item in do.each(rx)]

    assert play(body) == [1]


def test_paused_end_does_not_count(play: Play) -> None:
    """Who waits learns of it as if it were closed; the same end works again when it is resumed."""

    async def body(do: Do) -> object:
        tx, rx = potok.channel()
        async with do.scope() as s:
            task = s.start(receive_all, rx.clone())
            await do.all_parked()
            tx.pause()
            tx.pause()
            assert await do.result(task) == []
            assert not tx.closed
            tx.resume()
            tx.resume()
            again = s.start(receive_one, rx)
            await do.send(tx, 5)
            return await do.result(again)

    assert play(body) == 5


@needs()
def test_paused_receiver_keeps_what_is_buffered(play: Play) -> None:
    """Nobody can send while the last receiver is paused; what was sent before is there when it is resumed."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(2)
        await do.send(tx, 1)
        rx.pause()
        with pytest.raises(potok.ClosedError):
            await do.send(tx, 2)
        other = rx.rejoin()
        rx.resume()
        other.close()
        await do.send(tx, 3)
        assert [await do.recv(rx), await do.recv(rx)] == [1, 3]
        tx.pause()
        tx.close()
        tx.resume()
        with pytest.raises(potok.ClosedError):
            await do.recv(rx)

    play(body)


async def _fail_with(do: Do, tx: potok.Sender[int]) -> None:
    await do.send(tx, 1)
    raise ValueError("half done")


def test_on_fail_cancel_ends_the_channel_for_all(play: Play) -> None:
    """A task that fails with an end of it cancels the channel with its error, though others have ends, too."""

    async def body(do: Do) -> object:
        tx, rx = potok.channel(on_fail="cancel")
        keep = tx.clone()
        with pytest.raises(ExceptionGroup):
            async with do.scope(on_fail="collect") as s:
                s.start(_fail_with, tx)
                assert await do.recv(rx) == 1
                with pytest.raises(potok.ClosedError) as caught:
                    await do.recv(rx)
                assert isinstance(caught.value.cause, ValueError)
        assert keep.closed
        return str(caught.value.cause)

    assert "half done" in str(play(body))


@needs()
def test_on_fail_is_checked(play: Play) -> None:
    """What it may be is said."""

    async def body(do: Do) -> None:
        with pytest.raises(ValueError, match="on_fail must be"):
            potok.channel(on_fail="explode")

    play(body)


def test_close_wakes_parked_receivers(play: Play) -> None:
    """Everyone who waits for an item learns that the last sender is gone."""

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            tasks = [s.start(receive_all, rx) for _ in range(3)]
            await do.all_parked()
            tx.close()
            return [await do.result(task) for task in tasks]

    assert play(body) == [[], [], []]


def test_close_wakes_parked_senders(play: Play) -> None:
    """Everyone who waits for a receiver learns that the last one is gone; their items were not sent."""

    async def attempt(do: Do, tx: potok.Sender[int]) -> str:
        try:
            await do.send(tx, 1)
        except potok.ClosedError:
            return "closed"
        return "sent"

    async def body(do: Do) -> list[object]:
        lost: list[object] = []
        tx, rx = potok.channel(undelivered=lost.append)
        async with do.scope() as s:
            tasks = [s.start(attempt, tx.clone()) for _ in range(3)]
            await do.all_parked()
            rx.close()
            return [*[await do.result(task) for task in tasks], lost]

    assert play(body) == ["closed", "closed", "closed", []]


def test_close_of_an_end_fails_what_is_parked_on_that_end(play: Play) -> None:
    """Closing an end that a task waits on wakes that task with ClosedError; waiters on other ends stay."""

    async def attempt(do: Do, ends: list[potok.Receiver[int]]) -> object:
        try:
            return await do.recv(ends[0])
        except potok.ClosedError:
            return "closed"

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        other = rx.clone()
        async with do.scope() as s:
            first = s.start(attempt, [rx])  # in a list: shared, not handed over
            await do.all_parked()
            second = s.start(attempt, [other])
            await do.all_parked()
            rx.close()
            got = [await do.result(first), second.done()]
            await do.send(tx, 5)
            return [*got, await do.result(second)]

    assert play(body) == ["closed", False, 5]


@needs()
def test_with_block_closes_the_end(play: Play) -> None:
    """An end is a context manager, in both colours."""

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel(2)
        async with do.block(tx) as entered:
            assert entered is tx
            await do.send(tx, 1)
        with rx:
            return [item async for item in do.each(rx)]

    assert play(body) == [1]


@needs()
def test_with_block_that_fails_gives_its_error_as_the_cause(play: Play) -> None:
    """A sender whose block raised: receivers drain, then get ClosedError with that error as the cause."""
    oops = ValueError("oops")

    async def body(do: Do) -> None:
        tx, rx = potok.channel(2)
        with pytest.raises(ValueError, match="oops"):
            async with do.block(tx):
                await do.send(tx, 1)
                raise oops
        got = []
        with pytest.raises(potok.ClosedError) as caught:
            async for item in do.each(rx):
                got.append(item)  # noqa: PERF401 - what came before the error counts
        assert got == [1]
        assert caught.value.cause is oops
        assert caught.value.__cause__ is oops

    play(body)


@needs()
def test_iteration_ends_cleanly_only_without_a_cause(play: Play) -> None:
    """One sender of several that failed is enough: the end of the items is an error then."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(2)
        other = tx.clone()
        with pytest.raises(LookupError):
            async with do.block(other):
                raise LookupError
        await do.send(tx, "after the failure")
        tx.close()
        assert await do.recv(rx) == "after the failure"
        with pytest.raises(potok.ClosedError) as caught:
            [item async for item in do.each(rx)]
        assert isinstance(caught.value.cause, LookupError)

    play(body)


@needs()
def test_iteration_over_a_closed_receiver_raises(play: Play) -> None:
    """Closing one's own receiver is no clean end of the items."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        rx.close()
        with pytest.raises(potok.ClosedError):
            [item async for item in do.each(rx)]
        tx.close()

    play(body)


def test_cancel_wakes_everyone_with_the_cause(play: Play) -> None:
    """CSP's poison: parked receivers and every later operation get ClosedError with the cause, on both sides."""

    async def attempt(do: Do, rx: potok.Receiver[int]) -> object:
        with pytest.raises(potok.ClosedError) as caught:
            await do.recv(rx)
        return caught.value.cause

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            tasks = [s.start(attempt, rx.clone()) for _ in range(2)]
            await do.all_parked()
            tx.cancel("poison")
            tx.cancel("again")
            got = [await do.result(task) for task in tasks]
        for operation in (do.send(tx, 1), do.recv(rx)):
            with pytest.raises(potok.ClosedError, match="poison") as caught:
                await operation
            got.append(caught.value.cause)
        return got

    assert play(body) == ["poison"] * 4


@needs()
def test_cancel_drops_the_buffer(play: Play) -> None:
    """After a cancel nothing is received any more, not even what was sent before."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(5)
        await do.send(tx, 1)
        rx.cancel(ValueError("broken"))
        with pytest.raises(potok.ClosedError) as caught:
            await do.recv(rx)
        assert isinstance(caught.value.cause, ValueError)
        with pytest.raises(potok.ClosedError):
            [item async for item in do.each(rx)]

    play(body)


def test_one_receiver_may_close_while_others_go_on(play: Play) -> None:
    """The channel lives until the last receiver closes."""

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            first = s.start(receive_one, rx.clone())
            await do.all_parked()
            await do.send(tx, 1)
            await do.result(first)  # the end it was given is closed now
            second = s.start(receive_one, rx.clone())
            await do.all_parked()
            await do.send(tx, 2)
            return [await do.result(first), await do.result(second)]

    assert play(body) == [1, 2]


def test_ends_travel_through_channels(play: Play) -> None:
    """A reply channel, sent along with the question."""

    async def serve(do: Do, rx: potok.Receiver[tuple[int, potok.Sender[int]]]) -> None:
        async for number, reply in do.each(rx):
            async with do.block(reply):
                await do.send(reply, number * number)

    async def body(do: Do) -> list[int]:
        tx, rx = potok.channel()
        got = []
        async with do.scope() as s:
            s.start(serve, rx)
            with tx:
                for number in range(4):
                    reply, answer = potok.channel()
                    with answer:
                        await do.send(tx, (number, reply))
                        got.append(await do.recv(answer))
        return got

    assert play(body) == [0, 1, 4, 9]


@needs()
def test_end_sent_through_a_channel_is_a_counted_clone(play: Play) -> None:
    """The one who sends an end and the one who receives it each have one to close."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(1)
        carrier_tx, carrier_rx = potok.channel(1)
        with rx, carrier_rx, carrier_tx:
            await do.send(carrier_tx, tx)
            travelled = await do.recv(carrier_rx)
            tx.close()
            await do.send(travelled, "still open")
            assert await do.recv(rx) == "still open"
            travelled.close()
            with pytest.raises(potok.ClosedError):
                await do.recv(rx)

    play(body)


def test_collected_end_closes_and_warns_where_a_peer_waited(play: Play) -> None:
    """A sender that was dropped without being closed ends the wait of its receivers, with a ResourceWarning."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        async with do.scope() as s:
            task = s.start(receive_all, rx)
            await do.all_parked()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                del tx
                gc.collect()
            assert await do.result(task) == []
        assert [w.category for w in caught] == [ResourceWarning]
        assert "sender" in str(caught[0].message)

    play(body)


@needs()
def test_collected_ends_nobody_waited_for_are_quiet(play: Play) -> None:
    """A channel that falls out of use as a whole needs no closing."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await do.send(tx, 1)
            assert await do.recv(rx) == 1
            del tx, rx
            gc.collect()

    play(body)


def test_sender_that_closes_after_its_items_loses_none(play: Play) -> None:
    """Closing right after the last send: everything arrives, then the end."""

    async def produce(do: Do, tx: potok.Sender[int]) -> None:
        async with do.block(tx):
            await send_each(do, tx, *range(10))

    async def body(do: Do) -> list[list[int]]:
        got = []
        for capacity in (0, 1, 100):
            tx, rx = potok.channel(capacity)
            async with do.scope() as s:
                s.start(produce, tx)
                got.append([item async for item in do.each(rx)])
        return got

    assert play(body) == [list(range(10))] * 3
