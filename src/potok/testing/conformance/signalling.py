"""Events, conditions and barriers: tasks that wait for what others announce."""

from typing import Any

import pytest

import potok
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play


def test_event_wakes_everyone_and_stays_set(play: Play) -> None:
    """`set` wakes all who wait; later waits return at once, until `clear`."""

    async def wait(do: Do, event: potok.Event) -> bool:
        return bool(await do.call(event, "wait"))

    async def body(do: Do) -> None:
        event = potok.Event()
        async with do.scope() as s:
            tasks = [s.start(wait, event) for _ in range(5)]
            await do.all_parked()
            assert not event.is_set()
            event.set()
            assert [await do.result(task) for task in tasks] == [True] * 5
        assert await do.call(event, "wait", 0)
        event.clear()
        assert not await do.call(event, "wait", 0)
        assert not await do.call(event, "wait", do.tick)

    play(body)


def test_event_as_an_arm_of_select(play: Play) -> None:
    """Ready while it is set; the value is True, and it stays set."""

    async def choose(do: Do, event: potok.Event, rxs: list[Any]) -> object:
        got = await do.select(event, *rxs)
        return got.index, got.value

    async def body(do: Do) -> object:
        event = potok.Event()
        _, rx = potok.channel()
        assert (await do.select(event, rx, default=0)).arm is None
        async with do.scope() as s:
            task = s.start(choose, event, [rx])
            await do.all_parked()
            event.set()
            assert (await do.select(rx, event)).value is True
            return await do.result(task)

    assert play(body) == (0, True)


def test_condition_wakes_as_many_as_it_notifies(play: Play) -> None:
    """`notify(n)` wakes n of those who wait, first come first; `notify_all` the rest."""
    woken = Record()

    async def wait(do: Do, condition: potok.Condition, name: int) -> None:
        async with do.block(condition):
            await do.call(condition, "wait")
            woken.append(name)

    async def body(do: Do) -> None:
        condition = potok.Condition()
        async with do.scope() as s:
            for name in range(5):
                s.start(wait, condition, name)
                await do.all_parked()
            for expected in ([0, 1], [0, 1, 2], [0, 1, 2, 3, 4]):
                async with do.block(condition):
                    if len(expected) == 5:
                        condition.notify_all()
                    else:
                        condition.notify(len(expected) - len(woken))
                    assert len(woken) < len(expected)
                await do.all_parked()
                assert sorted(woken) == expected

    play(body)


def test_condition_wait_times_out_holding_the_lock(play: Play) -> None:
    """False after the time-out, and the lock is held again."""

    async def body(do: Do) -> None:
        condition = potok.Condition(potok.Lock())
        async with do.block(condition):
            assert await do.call(condition, "wait", do.tick) is False
            assert condition.locked()

    play(body)


def test_condition_wait_that_is_cancelled_holds_the_lock_again(play: Play) -> None:
    """The re-acquire is shielded: code after `wait` may rely on the lock, also in a `finally`."""
    held = Record()

    async def wait(do: Do, condition: potok.Condition) -> None:
        async with do.block(condition):
            try:
                await do.call(condition, "wait")
            finally:
                held.append(condition.locked())

    async def body(do: Do) -> None:
        condition = potok.Condition(potok.Lock())
        async with do.scope() as s:
            task = s.start(wait, condition)
            await do.all_parked()
            async with do.block(condition):
                task.cancel()
                await do.all_parked()
                assert not task.done()
            assert isinstance(await do.outcome(task), potok.TaskCancelled)
        assert not condition.locked()

    play(body)
    assert held == [True]


def test_condition_needs_its_lock(play: Play) -> None:
    """`wait` and `notify` without holding the lock are refused."""

    async def body(do: Do) -> None:
        condition = potok.Condition()
        with pytest.raises(RuntimeError):
            await do.call(condition, "wait")
        with pytest.raises(RuntimeError):
            condition.notify()

    play(body)


def test_barrier_lets_all_go_at_once(play: Play) -> None:
    """Nobody passes before the last has come; each gets another index; the barrier can be used again."""
    steps = Record()

    async def meet(do: Do, barrier: potok.Barrier) -> list[int]:
        got = []
        for round_ in range(3):
            steps.append(("comes", round_))
            got.append(await do.call(barrier, "wait"))
            steps.append(("goes", round_))
        return got

    async def body(do: Do) -> None:
        barrier = potok.Barrier(4)
        async with do.scope() as s:
            tasks = [s.start(meet, barrier) for _ in range(4)]
            rounds = [await do.result(task) for task in tasks]
        assert [sorted(indices) for indices in zip(*rounds, strict=True)] == [[0, 1, 2, 3]] * 3

    play(body)
    for round_ in range(3):
        before = steps[: steps.index(("goes", round_))]
        assert before.count(("comes", round_)) == 4


def test_barrier_breaks_for_all_when_one_gives_up(play: Play) -> None:
    """A time-out or a cancellation of one breaks it for the others: BrokenBarrierError; `reset` mends it."""

    async def meet(do: Do, barrier: potok.Barrier) -> str:
        try:
            await do.call(barrier, "wait")
        except potok.BrokenBarrierError:
            return "broken"
        return "passed"

    async def body(do: Do) -> list[str]:
        barrier = potok.Barrier(3)
        async with do.scope() as s:
            first, second = s.start(meet, barrier), s.start(meet, barrier)
            await do.all_parked()
            first.cancel()
            got = [await do.result(second)]
            assert barrier.broken
            barrier.reset()
            tasks = [s.start(meet, barrier) for _ in range(3)]
            return got + [await do.result(task) for task in tasks]

    assert play(body) == ["broken", "passed", "passed", "passed"]
