"""Locks, semaphores, conditions, events and barriers, in both colours."""

from itertools import accumulate
from typing import Any

import pytest

import potok
from potok.testing.conformance.bodies import park
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs

LOCK_LIKE = {
    "Lock": potok.Lock,
    "RLock": potok.RLock,
    "Condition": potok.Condition,
    "Semaphore": potok.Semaphore,
    "BoundedSemaphore": potok.BoundedSemaphore,
}


every_lock = pytest.mark.parametrize("make_lock", LOCK_LIKE.values(), ids=LOCK_LIKE)


@every_lock
def test_lock_keeps_others_out(play: Play, make_lock: Any) -> None:
    """Among many tasks, never two in the block at once, though each waits inside."""
    steps = Record()

    async def enter(do: Do, lock: Any) -> None:
        for _ in range(5):
            async with do.block(lock):
                steps.append(1)
                await do.sleep(0)
                steps.append(-1)

    async def body(do: Do) -> None:
        lock = make_lock()
        async with do.scope() as s:
            for _ in range(5):
                s.start(enter, lock)

    play(body)
    inside = list(accumulate(steps))
    assert (inside[-1], max(inside)) == (0, 1)


@every_lock
def test_lock_serves_waiters_in_order(play: Play, make_lock: Any) -> None:
    """First come, first served."""
    order = Record()

    async def enter(do: Do, lock: Any, name: int) -> None:
        async with do.block(lock):
            order.append(name)

    async def body(do: Do) -> None:
        lock = make_lock()
        async with do.scope() as s, do.block(lock):
            for name in range(5):
                s.start(enter, lock, name)
                await do.all_parked()
            assert order == []

    play(body)
    assert order == [0, 1, 2, 3, 4]


@every_lock
def test_lock_times_out(play: Play, make_lock: Any) -> None:
    """`acquire` with a time-out, or without blocking, is False while somebody else holds it."""

    async def attempt(do: Do, lock: Any) -> list[bool]:
        return [
            await do.call(lock, "acquire", timeout=do.tick),
            await do.call(lock, "acquire", timeout=0),
            await do.call(lock, "acquire", False),
        ]

    async def body(do: Do) -> None:
        lock = make_lock()
        async with do.scope() as s:
            async with do.block(lock):
                assert await do.result(s.start(attempt, lock)) == [False, False, False]
            assert await do.call(lock, "acquire", timeout=do.tick)
            lock.release()

    play(body)


@every_lock
def test_lock_is_released_by_a_block_that_fails_or_is_cancelled(play: Play, make_lock: Any) -> None:
    """However the block is left."""

    async def hold(do: Do, lock: Any) -> None:
        async with do.block(lock):
            await do.forever()

    async def body(do: Do) -> None:
        lock = make_lock()
        async with do.scope() as s:
            task = s.start(hold, lock)
            await do.all_parked()
            task.cancel()
            async with do.block(lock):
                pass
        with pytest.raises(LookupError):
            async with do.block(lock):
                raise LookupError
        assert await do.call(lock, "acquire", False)
        lock.release()

    play(body)


@every_lock
def test_lock_is_not_lost_to_a_cancelled_waiter(play: Play, make_lock: Any) -> None:
    """A waiter that was cancelled, or timed out, does not get it; the next in line does."""
    got = Record()

    async def enter(do: Do, lock: Any, name: str) -> None:
        async with do.block(lock):
            got.append(name)

    async def body(do: Do) -> None:
        lock = make_lock()
        async with do.scope() as s, do.block(lock):
            first = s.start(enter, lock, "cancelled")
            await do.all_parked()
            s.start(enter, lock, "next")
            await do.all_parked()
            first.cancel()
            await do.all_parked()

    play(body)
    assert got == ["next"]


@every_lock
def test_lock_handed_over_at_once_with_a_cancellation_is_released(play: Play, make_lock: Any) -> None:
    """Released and cancelled in one breath: whoever wins, the lock is free in the end, and works."""

    async def enter(do: Do, lock: Any) -> None:
        async with do.block(lock):
            await do.sleep(0)

    async def body(do: Do) -> None:
        lock = make_lock()
        for cancel_first in (False, True):
            async with do.scope() as s:
                async with do.block(lock):
                    task = s.start(enter, lock)
                    await do.all_parked()
                    if cancel_first:
                        task.cancel()
                task.cancel()
            assert await do.call(lock, "acquire", False)
            lock.release()

    play(body)


@pytest.mark.parametrize("name", ["Lock", "Semaphore"])
def test_lock_as_an_arm_of_select(play: Play, name: str) -> None:
    """The lock is acquired if, and only if, select returns that arm."""

    async def choose(do: Do, lock: Any, rxs: list[Any]) -> object:
        got = await do.select(lock, *rxs)
        if got.arm is lock:
            lock.release()
        return got.index

    async def body(do: Do) -> list[object]:
        lock = LOCK_LIKE[name]()
        tx, rx = potok.channel()
        async with do.scope() as s:
            async with do.block(lock):
                by_item = s.start(choose, lock, [rx])
                await do.all_parked()
                await do.send(tx, 1)
                got = [await do.result(by_item)]
                by_lock = s.start(choose, lock, [rx])
                await do.all_parked()
            got.append(await do.result(by_lock))
        assert await do.call(lock, "acquire", False)
        lock.release()
        return got

    assert play(body) == [1, 0]


@needs()
def test_releasing_an_unlocked_lock_is_refused(play: Play) -> None:
    """RuntimeError, as `threading` has it; ValueError for a bounded semaphore."""
    del play
    for lock in (potok.Lock(), potok.RLock()):
        with pytest.raises(RuntimeError):
            lock.release()
        assert lock.acquire(blocking=False)
        lock.release()
    bounded = potok.BoundedSemaphore(2)
    with pytest.raises(ValueError, match=r"."):
        bounded.release()
    assert [bounded.acquire(blocking=False) for _ in range(3)] == [True, True, False]


def test_lock_may_be_released_by_another_task(play: Play) -> None:
    """A Lock has no owner."""

    async def release(do: Do, lock: potok.Lock) -> None:
        lock.release()

    async def body(do: Do) -> None:
        lock = potok.Lock()
        await do.call(lock, "acquire")
        async with do.scope() as s:
            s.start(release, lock)
            await do.call(lock, "acquire")
        lock.release()

    play(body)


def test_rlock_is_its_owners(play: Play) -> None:
    """Its owner may take it again, and gives it back as often; nobody else may release it."""

    async def attempt(do: Do, lock: potok.RLock) -> bool:
        with pytest.raises(RuntimeError):
            lock.release()
        return bool(await do.call(lock, "acquire", False))

    async def body(do: Do) -> None:
        lock = potok.RLock()
        async with do.scope() as s, do.block(lock):
            async with do.block(lock):
                assert not await do.result(s.start(attempt, lock))
            assert not await do.result(s.start(attempt, lock))

    play(body)


def test_semaphore_admits_as_many_as_it_has_permits(play: Play) -> None:
    """Never more than its permits inside; `release(n)` lets n in."""
    steps = Record()

    async def enter(do: Do, semaphore: potok.Semaphore) -> None:
        async with do.block(semaphore):
            steps.append(1)
            await do.sleep(0)
            steps.append(-1)

    async def body(do: Do) -> None:
        semaphore = potok.Semaphore(0)
        async with do.scope() as s:
            for _ in range(10):
                s.start(enter, semaphore)
            await do.all_parked()
            steps.append(0)
            semaphore.release(3)

    play(body)
    inside = list(accumulate(steps))
    assert (inside[0], len(inside), inside[-1], max(inside) <= 3) == (0, 21, 0, True)


def test_who_waits_for_a_lock_is_told_its_holder(play: Play) -> None:
    """`potok.tasks()` names the task that holds what another waits for."""

    async def hold(do: Do, lock: potok.RLock) -> None:
        async with do.block(lock):
            await park(do)

    async def body(do: Do) -> None:
        lock = potok.RLock()
        async with do.scope() as s:
            holder = s.start(hold, lock)
            await do.all_parked()
            waiting = s.start(hold, lock)
            await do.all_parked()
            (info,) = [info for info in potok.tasks() if info.task is waiting]
            assert info.held_by == holder.name
            assert holder.name in str(info)
            s.cancel()

    play(body)
