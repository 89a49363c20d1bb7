"""Time-outs of blocks and operations, deadlines that nest."""

import pytest

import potok
from potok.testing.conformance.bodies import receive_one, send_each
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs

LONG = 3600.0


def test_timeout_ends_a_wait(play: Play) -> None:
    """The block raises TimeoutError when its time is up, and the task goes on uncancelled."""

    async def body(do: Do) -> str:
        with pytest.raises(TimeoutError):
            async with do.timeout(do.tick):
                await do.forever()
        await do.sleep(0)
        return "after"

    assert play(body) == "after"


@needs()
def test_timeout_that_is_kept_does_nothing(play: Play) -> None:
    """A block that is done in time is as if there were no time-out."""

    async def body(do: Do) -> str:
        async with do.timeout(LONG):
            await do.sleep(0)
        await do.sleep(0)
        return "after"

    assert play(body) == "after"


def test_timeout_raises_cancelled_inside_and_timeout_error_outside(play: Play) -> None:
    """Inside of the block the time-out is a cancellation, at every park point; TimeoutError is raised as it is left."""

    async def body(do: Do) -> int:
        caught = 0
        with pytest.raises(TimeoutError):
            async with do.timeout(do.tick):
                for _ in range(3):
                    try:
                        await do.forever()
                    except potok.Cancelled:
                        caught += 1
                await do.forever()
        return caught

    assert play(body) == 3


def test_timeout_that_passed_unnoticed_is_no_error(play: Play) -> None:
    """Time-outs act at park points only: a block that meets none after its deadline ends as usual."""

    async def body(do: Do) -> list[str]:
        done = []
        async with do.timeout(0):
            done.append("without a park point")
        return done

    assert play(body) == ["without a park point"]


@needs()
def test_timeout_of_zero_acts_at_the_first_park_point(play: Play) -> None:
    """Also at one that would not have to wait."""

    async def body(do: Do) -> None:
        tx, rx = potok.channel(1)
        tx.send_nowait(1)
        with pytest.raises(TimeoutError):
            async with do.timeout(0):
                await do.recv(rx)
        assert rx.recv_nowait() == 1

    play(body)


def test_timeout_inner_fires_first(play: Play) -> None:
    """The inner deadline ends the inner block; the outer block goes on."""

    async def body(do: Do) -> str:
        async with do.timeout(LONG):
            with pytest.raises(TimeoutError):
                async with do.timeout(do.tick):
                    await do.forever()
            await do.sleep(0)
        return "outer went on"

    assert play(body) == "outer went on"


def test_timeout_outer_fires_through_the_inner(play: Play) -> None:
    """An outer deadline that is earlier leaves the inner block as Cancelled, and the outer one as TimeoutError."""

    async def body(do: Do) -> str:
        left = ""
        with pytest.raises(TimeoutError):
            async with do.timeout(do.tick):
                try:
                    async with do.timeout(LONG):
                        await do.forever()
                except potok.Cancelled:
                    left = "inner left by Cancelled"
                    raise
        return left

    assert play(body) == "inner left by Cancelled"


def test_timeout_reaches_the_tasks_of_scopes_inside(play: Play) -> None:
    """A deadline around a scope cancels its tasks, too."""
    ended = Record()

    async def wait(do: Do) -> None:
        try:
            await do.forever()
        finally:
            ended.append(1)

    async def body(do: Do) -> None:
        with pytest.raises(TimeoutError):
            async with do.timeout(do.tick), do.scope() as s:
                s.start(wait)
                s.start(wait)

    play(body)
    assert ended == [1, 1]


def test_timeout_inside_a_task_is_its_own(play: Play) -> None:
    """A task that times out and handles it does not disturb its siblings."""

    async def hasty(do: Do) -> str:
        try:
            async with do.timeout(do.tick):
                await do.forever()
        except TimeoutError:
            return "timed out"
        return "never"

    async def body(do: Do) -> list[object]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            task, sibling = s.start(hasty), s.start(receive_one, rx.clone())
            got = [await do.result(task)]
            await do.send(tx, "alive")
            return [*got, await do.result(sibling)]

    assert play(body) == ["timed out", "alive"]


def test_timeout_unhandled_fails_the_task(play: Play) -> None:
    """TimeoutError that nobody catches is a failure like any other."""

    async def hasty(do: Do) -> None:
        async with do.timeout(do.tick):
            await do.forever()

    async def body(do: Do) -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with do.scope() as s:
                s.start(hasty)
        assert caught.group_contains(TimeoutError, depth=1)

    play(body)


def test_shield_keeps_an_outer_deadline_out(play: Play) -> None:
    """Inside a shield an expired deadline of outside does not count; it does as soon as the shield is left."""

    async def body(do: Do) -> list[str]:
        steps = []
        with pytest.raises(TimeoutError):
            async with do.timeout(do.tick):
                async with do.shield():
                    await do.sleep(2 * do.tick)
                    steps.append("slept")
                await do.sleep(0)
                steps.append("went on")
        return steps

    assert play(body) == ["slept"]


def test_timeout_inside_a_shield_counts(play: Play) -> None:
    """A shield keeps out what is outside, not what is inside."""

    async def body(do: Do) -> None:
        async with do.shield():
            with pytest.raises(TimeoutError):
                async with do.timeout(do.tick):
                    await do.forever()

    play(body)


def test_operation_that_times_out_is_an_ordinary_error(play: Play) -> None:
    """`timeout=` of an operation raises TimeoutError right there, and cancels nothing."""

    async def body(do: Do) -> int:
        tx, rx = potok.channel()
        with pytest.raises(TimeoutError):
            await do.recv(rx, timeout=do.tick)
        async with do.scope() as s:
            s.start(send_each, tx, 5)
            return int(await do.recv(rx, timeout=LONG))

    assert play(body) == 5


def test_timeout_of_the_block_is_not_taken_for_that_of_the_operation(play: Play) -> None:
    """The block's deadline comes first: Cancelled inside, though the operation has a time-out of its own."""

    async def body(do: Do) -> str:
        inside = ""
        _, rx = potok.channel()
        with pytest.raises(TimeoutError):
            async with do.timeout(do.tick):
                try:
                    await do.recv(rx, timeout=LONG)
                except potok.Cancelled:
                    inside = "cancelled"
                    raise
        return inside

    assert play(body) == "cancelled"


def test_sleep_ends_in_the_order_of_time(play: Play) -> None:
    """Who sleeps for a shorter time wakes first; all lie down together, as some may have to wait for a worker."""
    woken = Record()
    together = potok.Barrier(3)

    async def nap(do: Do, ticks: int) -> None:
        await do.call(together, "wait")
        await do.sleep(ticks * do.tick)
        woken.append(ticks)

    async def body(do: Do) -> None:
        async with do.scope() as s:
            for ticks in (40, 1, 20):
                s.start(nap, ticks)

    play(body)
    assert woken == [1, 20, 40]


def test_timeout_and_a_hand_over_at_once_lose_nothing(play: Play) -> None:
    """An item is received, or its sender still has it: never neither, never both."""

    async def take(do: Do, rx: potok.Receiver[int]) -> list[int]:
        got: list[int] = []
        try:
            while True:
                try:
                    got.append(await do.recv(rx, timeout=do.tick / 50))
                except TimeoutError:
                    pass
        except potok.ClosedError:
            return got

    async def give(do: Do, tx: potok.Sender[int]) -> list[int]:
        sent = []
        for item in range(100):
            try:
                await do.send(tx, item, timeout=do.tick / 50)
            except TimeoutError:
                continue
            sent.append(item)
        return sent

    async def body(do: Do) -> tuple[object, object]:
        tx, rx = potok.channel()
        async with do.scope() as s:
            taker, giver = s.start(take, rx), s.start(give, tx)
        return await do.result(taker), await do.result(giver)

    received, sent = play(body)
    assert received == sent
