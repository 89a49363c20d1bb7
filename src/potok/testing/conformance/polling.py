"""`poll`: whether a pipe's `recv` would not wait, now or within a time, without taking what is there."""

import contextlib
from typing import Any

import pytest

import potok
from potok.testing.conformance.bodies import drain, poll, poll_shared, receive_shared, send_each, send_shared
from potok.testing.conformance.colours import Do
from potok.testing.conformance.target import Play, needs

ROUNDS = 30

capacities = pytest.mark.parametrize("capacity", [0, 1, 16, potok.UNBOUNDED])


@needs()
def test_pipe_poll_tells_what_is_there_without_taking_it(play: Play) -> None:
    """With whatever time-out: as often as it is asked; what an end sent itself does not count."""

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe()
        with a, b:
            before = [await poll(do, end) for end in (a, b)]
            await do.send(a, "item")
            there = [await poll(do, b, *args) for args in [(), (0,), (do.tick,), (None,), ()]]
            own = await poll(do, a)
            return [before, there, own, await do.recv(b), await poll(do, b)]

    assert play(body) == [[False, False], [True] * 5, False, "item", False]


def test_pipe_poll_times_out(play: Play) -> None:
    """False, not an exception, when there was nothing for so long; and then it stands in nobody's way."""

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe(0)
        with a, b:
            got = await poll(do, b, do.tick)
            with pytest.raises(potok.WouldBlock):
                a.send_nowait("nobody waits")
            async with do.scope() as s:
                s.start(send_shared, [a], "item")
                return [got, await do.recv(b)]

    assert play(body) == [False, "item"]


@capacities
@pytest.mark.parametrize("timeout", [None, 3600.0])
def test_pipe_poll_waits_for_an_item(play: Play, capacity: int, timeout: float | None) -> None:
    """Also for one whose sender waits until it is received; `recv_nowait` has it then."""

    async def poll_and_receive(do: Do, end: potok.Pipe[str]) -> list[object]:
        got: list[object] = []
        for _ in range(2):
            got += [await poll(do, end, timeout), end.recv_nowait()]
        return got

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe(capacity)
        async with do.scope() as s:
            task = s.start(poll_and_receive, b)
            for item in ("one", "two"):
                await do.all_parked()
                assert not task.done()
                await do.send(a, item)
            return await do.result(task)  # type: ignore[no-any-return]

    assert play(body) == [True, "one", True, "two"]


def test_pipe_poll_sees_a_sender_that_waits(play: Play) -> None:
    """A rendezvous pipe has no buffer: what a parked sender holds is there all the same."""

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe(0)
        async with do.scope() as s:
            task = s.start(send_shared, [a], "item")
            await do.all_parked()
            got = [await poll(do, b), await poll(do, b, None), task.done()]
            return [*got, b.recv_nowait(), await do.result(task), await poll(do, b)]

    assert play(body) == [True, True, False, "item", "sent", False]


@needs()
def test_pipe_poll_is_true_at_the_end(play: Play) -> None:
    """`recv` would not wait: there is what the peer sent before it closed, then the news that there is no more."""

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe()
        with b:
            with a:
                await do.send(a, "last")
            got: list[object] = []
            while await poll(do, b, None):
                try:
                    got.append(await do.recv(b))
                except potok.ClosedError:
                    break
            return [*got, await poll(do, b), await poll(do, b, do.tick)]

    assert play(body) == ["last", True, True]


@pytest.mark.parametrize("how", ["close", "cancel"])
def test_pipe_poll_is_woken_by_the_end(play: Play, how: str) -> None:
    """Whoever polls learns that the peer is gone; a poisoned pipe, whose ends are closed, raises ClosedError."""

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe()
        async with do.scope() as s:
            tasks = [s.start(poll_shared, [b]) for _ in range(2)]
            await do.all_parked()
            getattr(a, how)()
            return [await do.result(task) for task in tasks]

    assert play(body) == [True if how == "close" else "closed"] * 2


def test_pipe_item_goes_past_those_who_poll(play: Play) -> None:
    """One who receives gets it, though he came later; the poller waits on, until there is one that stays."""

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe()
        async with do.scope() as s:
            poller = s.start(poll_shared, [b])
            await do.all_parked()
            receiver = s.start(receive_shared, [b])
            await do.all_parked()
            await do.send(a, 1)
            got = [await do.result(receiver)]
            await do.all_parked()
            got.append(poller.done())
            await do.send(a, 2)
            return [*got, await do.result(poller), b.recv_nowait()]

    assert play(body) == [1, False, True, 2]


def test_pipe_item_is_news_to_all_who_poll(play: Play) -> None:
    """It is there for each of them, as nobody takes it."""

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe()
        async with do.scope() as s:
            tasks = [s.start(poll_shared, [b]) for _ in range(3)]
            await do.all_parked()
            await do.send(a, "item")
            return [*[await do.result(task) for task in tasks], drain(b)]

    assert play(body) == [True, True, True, ["item"]]


def test_pipe_loop_around_poll_lets_others_run(play: Play) -> None:
    """`while not end.poll()` gives way each time, though it does not wait."""

    async def body(do: Do) -> str:
        a, b = potok.pipe()
        async with do.scope() as s:
            s.start(send_each, a, "item")
            while not await poll(do, b):
                pass
            return b.recv_nowait()  # type: ignore[no-any-return]

    assert play(body) == "item"


def test_pipe_poll_ends_with_the_time_of_its_block(play: Play) -> None:
    """A block's time-out raises TimeoutError where its own returns False; then the pipe is as it was."""

    async def body(do: Do) -> list[object]:
        a, b = potok.pipe(0)
        with a, b:
            for timeout in (None, 3600.0):
                with pytest.raises(TimeoutError):
                    async with do.timeout(do.tick):
                        await poll(do, b, timeout)
            with pytest.raises(potok.WouldBlock):
                a.send_nowait("nobody waits")
            async with do.scope() as s:
                s.start(send_shared, [a], "item")
                return [await poll(do, b, None), await do.recv(b)]

    assert play(body) == [True, "item"]


@pytest.mark.stress
def test_race_cancelled_poller_against_sender(play: Play) -> None:
    """A poller that is cancelled, or times out, as the item comes has not touched it; the others are not forgotten."""

    async def poll_for(do: Do, ends: list[potok.Pipe[int]], *args: Any) -> object:
        return await poll(do, ends[0], *args)

    async def body(do: Do) -> None:
        for number in range(ROUNDS):
            a, b = potok.pipe(number % 3)
            async with do.scope() as s:
                victim, hasty, patient = (
                    s.start(poll_for, [b], wait) for wait in (None, do.tick / 100, None)
                )
                giver = s.start(send_each, a.clone(), number)
                for _ in range(number % 5):
                    await do.sleep(0)
                victim.cancel()
                await do.outcome(victim)
                assert await do.result(patient) is True
                await do.result(hasty)
                assert b.recv_nowait() == number
                await do.result(giver)

    play(body)


@pytest.mark.stress
@capacities
def test_race_poller_against_sender_and_close(play: Play, capacity: int) -> None:
    """Whenever the item or the end comes, before it looks, after, or in between: it is woken, and finds it there."""

    async def poll_and_receive(do: Do, end: potok.Pipe[int]) -> list[int]:
        got: list[int] = []
        with contextlib.suppress(potok.ClosedError):
            while await poll(do, end, None):
                got.append(end.recv_nowait())
        return got

    async def body(do: Do) -> list[int]:
        a, b = potok.pipe(capacity)
        async with do.scope() as s:
            task = s.start(poll_and_receive, b)
            with a:
                for item in range(50):
                    await do.send(a, item)
                    for _ in range(item % 3):
                        await do.sleep(0)
            return await do.result(task)  # type: ignore[no-any-return]

    assert play(body) == list(range(50))
