"""What a `select` may wait for besides channels, and what becomes of it when they close."""

import pytest

import potok
from potok.testing.conformance.bodies import park, receive_one
from potok.testing.conformance.colours import Do
from potok.testing.conformance.target import Play, needs


@needs()
def test_select_with_a_default_never_waits(play: Play) -> None:
    """With `default=` and nothing ready: arm None, index -1, the default; with something ready: that."""

    async def body(do: Do) -> None:
        (tx, rx), (full, _) = potok.channel(1), potok.channel(0)
        got = await do.select(rx, full.sending(1), default="nothing")
        assert got == (None, -1, "nothing")
        assert (await do.select(rx, default=None)).value is None
        await do.send(tx, 3)
        assert (await do.select(rx, default="nothing")).value == 3

    play(body)


def test_select_times_out(play: Play) -> None:
    """`timeout=` raises TimeoutError, and then no arm took effect, nor will it."""

    async def body(do: Do) -> None:
        (tx, rx), (other_tx, other) = potok.channel(), potok.channel()
        with pytest.raises(TimeoutError):
            await do.select(rx, other_tx.sending("withdrawn"), timeout=do.tick)
        with pytest.raises(potok.WouldBlock):
            other.recv_nowait()
        with pytest.raises(potok.WouldBlock):
            tx.send_nowait(1)

    play(body)


def test_select_takes_a_timer(play: Play) -> None:
    """`potok.after` is an arm that time makes ready; its value is None. A ready arm comes before it."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(1)
        alarm = potok.after(do.tick)
        got = await do.select(rx, alarm)
        assert got.arm is alarm
        assert (got.index, got.value) == (1, None)
        assert (await do.select(alarm, rx)).arm is alarm  # once ready, always ready
        await do.send(tx, 1)
        assert (await do.select(rx, potok.after(3600))).value == 1

    play(body)


def test_select_takes_the_earliest_timer(play: Play) -> None:
    """Of several timers, the one whose time comes first."""

    async def body(do: Do) -> int:
        return int((await do.select(potok.after(3600), potok.after(do.tick), potok.after(1800))).index)

    assert play(body) == 1


def test_select_takes_the_end_of_a_task(play: Play) -> None:
    """A task as an arm: its result, when it has ended."""

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            slow = s.start(park)
            task = s.start(receive_one, rx)
            await do.all_parked()
            assert (await do.select(slow, task, default=0)).arm is None
            await do.send(tx, "result")
            got = await do.select(slow, task)
            again = await do.select(slow, task)
            slow.cancel()
            return [got.arm is task, got.index, got.value, again.value]

    assert play(body) == [True, 1, "result", "result"]


def test_select_of_a_failed_task_raises_its_exception(play: Play) -> None:
    """As `result()` would; a cancelled task raises TaskCancelled."""

    async def fail(do: Do) -> None:
        raise LookupError("failed")

    async def body(do: Do) -> None:
        with pytest.raises(ExceptionGroup):
            async with do.scope(on_fail="collect") as s:
                task, parked = s.start(fail), s.start(park)
                with pytest.raises(LookupError, match="failed"):
                    await do.select(task, parked)
                parked.cancel("enough")
                with pytest.raises(potok.TaskCancelled):
                    await do.select(parked)

    play(body)


@needs()
def test_select_meets_a_closed_channel(play: Play) -> None:
    """A closed channel makes its arm ready: ClosedError with `.arm`, the object that was passed."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        _, silent = potok.channel()
        tx.close()
        with pytest.raises(potok.ClosedError) as caught:
            await do.select(silent, rx)
        assert caught.value.arm is rx
        tx, rx = potok.channel()
        rx.close()
        arm = tx.sending(1)
        with pytest.raises(potok.ClosedError) as caught:
            await do.select(silent, arm)
        assert caught.value.arm is arm

    play(body)


def test_select_parked_learns_of_a_close(play: Play) -> None:
    """A channel that closes while select waits on it ends the wait, with the cause."""

    async def choose(do: Do, rxs: list[potok.Receiver[int]]) -> object:
        with pytest.raises(potok.ClosedError) as caught:
            await do.select(*rxs)
        return rxs.index(caught.value.arm), caught.value.cause

    async def body(do: Do) -> list[object]:
        got = []
        for cancel in (False, True):
            channels = [potok.channel() for _ in range(3)]
            async with do.scope() as s:
                task = s.start(choose, [rx for _, rx in channels])
                await do.all_parked()
                if cancel:
                    channels[1][0].cancel("poison")
                else:
                    channels[1][0].close()
                got.append(await do.result(task))
        return got

    assert play(body) == [(1, None), (1, "poison")]
