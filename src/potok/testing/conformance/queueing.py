"""Queues in both colours: `queue`'s methods and errors."""

from typing import Any

import pytest

import potok
from potok.testing.conformance.colours import Do
from potok.testing.conformance.record import Record
from potok.testing.conformance.target import Play, needs

QUEUES = {
    "Queue": potok.Queue,
    "LifoQueue": potok.LifoQueue,
    "PriorityQueue": potok.PriorityQueue,
    "SimpleQueue": potok.SimpleQueue,
}
BOUNDED = ["Queue", "LifoQueue", "PriorityQueue"]


async def put_each(do: Do, queue: Any, *items: Any) -> None:
    for item in items:
        await do.call(queue, "put", item)


async def get_one(do: Do, queue: Any) -> Any:
    return await do.call(queue, "get")


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("Queue", [2, 3, 1]),
        ("LifoQueue", [1, 3, 2]),
        ("PriorityQueue", [1, 2, 3]),
        ("SimpleQueue", [2, 3, 1]),
    ],
)
@needs()
def test_queue_gives_items_in_its_order(play: Play, name: str, order: list[int]) -> None:
    """First in first out, last in first out, or the smallest first."""

    async def body(do: Do) -> list[int]:
        queue: Any = QUEUES[name]()
        await put_each(do, queue, 2, 3, 1)
        assert queue.qsize() == 3
        got = [await get_one(do, queue) for _ in range(3)]
        assert queue.empty()
        with pytest.raises(potok.Empty):
            queue.get_nowait()
        return got

    assert play(body) == order


@pytest.mark.parametrize("name", QUEUES)
def test_queue_delivers_every_item_once(play: Play, name: str) -> None:
    """Many who put, many who get: each item exactly once."""

    async def get_many(do: Do, queue: Any) -> list[int]:
        return [await get_one(do, queue) for _ in range(20)]

    async def body(do: Do) -> list[int]:
        queue = QUEUES[name]() if name == "SimpleQueue" else QUEUES[name](3)
        async with do.scope() as s:
            takers = [s.start(get_many, queue) for _ in range(3)]
            for first in range(0, 60, 20):
                s.start(put_each, queue, *range(first, first + 20))
            return sorted([item for task in takers for item in await do.result(task)])

    assert play(body) == list(range(60))


@pytest.mark.parametrize("name", BOUNDED)
def test_queue_full_makes_putters_wait(play: Play, name: str) -> None:
    """`put` waits for a place; `put_nowait` and a time-out raise Full."""

    async def body(do: Do) -> None:
        queue: Any = QUEUES[name](2)
        await put_each(do, queue, 1, 2)
        assert queue.full()
        with pytest.raises(potok.Full):
            queue.put_nowait(3)
        with pytest.raises(potok.Full):
            await do.call(queue, "put", 3, timeout=do.tick)
        async with do.scope() as s:
            task = s.start(put_each, queue, 3)
            await do.all_parked()
            assert not task.done()
            await get_one(do, queue)
            await do.result(task)
        assert queue.qsize() == 2

    play(body)


@pytest.mark.parametrize("name", QUEUES)
def test_queue_empty_makes_getters_wait(play: Play, name: str) -> None:
    """`get` waits for an item; a time-out raises Empty and takes nothing."""

    async def body(do: Do) -> object:
        queue: Any = QUEUES[name]()
        with pytest.raises(potok.Empty):
            await do.call(queue, "get", timeout=do.tick)
        async with do.scope() as s:
            task = s.start(get_one, queue)
            await do.all_parked()
            await do.call(queue, "put", "item")
            return await do.result(task)

    assert play(body) == "item"


@pytest.mark.parametrize("name", BOUNDED)
def test_queue_join_waits_until_all_is_done(play: Play, name: str) -> None:
    """`join` returns when `task_done` was called for every item; once too often is refused."""

    async def work(do: Do, queue: Any, done: Record) -> None:
        while (item := await get_one(do, queue)) < 10:
            done.append(item)
            queue.task_done()
        queue.task_done()

    async def body(do: Do) -> None:
        queue: Any = QUEUES[name]()
        done = Record()
        async with do.scope() as s:
            s.start(work, queue, done)
            await put_each(do, queue, 1, 2, 3)
            await do.call(queue, "join")
            assert sorted(done) == [1, 2, 3]
            await put_each(do, queue, 10)
            await do.call(queue, "join")
        with pytest.raises(ValueError, match="task_done"):
            queue.task_done()

    play(body)


def test_queue_shutdown_wakes_everyone(play: Play) -> None:
    """`shutdown` raises ShutDown in those who wait; what is in the queue can still be taken, unless immediate."""

    async def attempt(do: Do, queue: Any, method: str, *args: Any) -> str:
        with pytest.raises(potok.ShutDown):
            await do.call(queue, method, *args)
        return "shut down"

    async def body(do: Do) -> list[str]:
        empty, full = potok.Queue[int](), potok.Queue[int](1)
        await put_each(do, full, 1)
        async with do.scope() as s:
            tasks = [s.start(attempt, empty, "get") for _ in range(2)] + [s.start(attempt, full, "put", 2)]
            await do.all_parked()
            empty.shutdown()
            full.shutdown()
            got = [await do.result(task) for task in tasks]
        assert await get_one(do, full) == 1
        for queue in (empty, full):
            with pytest.raises(potok.ShutDown):
                await get_one(do, queue)
            with pytest.raises(potok.ShutDown):
                await put_each(do, queue, 3)
        return got

    assert play(body) == ["shut down"] * 3


def test_queue_cancelled_getter_takes_nothing(play: Play) -> None:
    """The item goes to the next in line; a cancelled putter has put nothing."""

    async def body(do: Do) -> object:
        queue: potok.Queue[str] = potok.Queue(1)
        async with do.scope() as s:
            first = s.start(get_one, queue)
            await do.all_parked()
            second = s.start(get_one, queue)
            await do.all_parked()
            first.cancel()
            await do.all_parked()
            await put_each(do, queue, "item")
            got = await do.result(second)
            await put_each(do, queue, "in the queue")
            third = s.start(put_each, queue, "never")
            await do.all_parked()
            third.cancel()
            await do.all_parked()
            assert await get_one(do, queue) == "in the queue"
            assert queue.empty()
        return got

    assert play(body) == "item"


@needs()
def test_broadcast_gives_every_subscriber_every_item(play: Play) -> None:
    """Each subscriber receives what was sent since it subscribed; without subscribers nothing is kept."""

    async def body(do: Do) -> tuple[list[int], list[int]]:
        tx, subscribe = potok.broadcast(10)
        await do.send(tx, 0)
        first = subscribe()
        await do.send(tx, 1)
        second = subscribe()
        await do.send(tx, 2)
        tx.close()
        return [item async for item in do.each(first)], [item async for item in do.each(second)]

    assert play(body) == ([1, 2], [2])


def test_broadcast_is_paced_by_the_slowest(play: Play) -> None:
    """With `lag="block"` a full subscriber makes the sender wait."""

    async def send_all(do: Do, tx: potok.Sender[int]) -> None:
        for item in range(4):
            await do.send(tx, item)

    async def body(do: Do) -> None:
        tx, subscribe = potok.broadcast(2)
        fast, slow = subscribe(), subscribe()
        async with do.scope() as s:
            task = s.start(send_all, tx)
            assert [await do.recv(fast), await do.recv(fast)] == [0, 1]
            await do.all_parked()
            assert not task.done()
            with pytest.raises(potok.WouldBlock):
                fast.recv_nowait()
            assert await do.recv(slow) == 0
            assert await do.recv(fast) == 2
            slow.close()
            assert await do.recv(fast) == 3
        fast.close()

    play(body)


@needs()
def test_broadcast_tells_a_laggard_what_it_missed(play: Play) -> None:
    """With `lag="drop-oldest"` nobody waits; who is too slow gets Lagged with the number, once, then goes on."""

    async def body(do: Do) -> list[int]:
        tx, subscribe = potok.broadcast(2, lag="drop-oldest")
        rx = subscribe()
        for item in range(5):
            await do.send(tx, item)
        with pytest.raises(potok.Lagged) as caught:
            await do.recv(rx)
        assert caught.value.missed == 3
        got = [await do.recv(rx), await do.recv(rx)]
        tx.close()
        rx.close()
        return got

    assert play(body) == [3, 4]


def test_pipe_carries_both_ways(play: Play) -> None:
    """What one end sends the other receives; closing one ends the other's iteration."""

    async def echo(do: Do, end: potok.Pipe[int]) -> None:
        async for item in do.each(end):
            await do.send(end, item + 1)

    async def body(do: Do) -> list[int]:
        mine, theirs = potok.pipe(2)
        got = []
        async with do.scope() as s:
            s.start(echo, theirs)
            for item in range(5):
                await do.send(mine, item)
                got.append(await do.recv(mine))
            mine.close()
        return got

    assert play(body) == [1, 2, 3, 4, 5]


def test_pipe_poll_looks_without_taking(play: Play) -> None:
    """`poll` tells whether `recv` would return at once, waiting up to a time-out; the item stays."""

    async def send_one(do: Do, end: potok.Pipe[str]) -> None:
        await do.send(end, "item")
        await do.forever()

    async def body(do: Do) -> object:
        mine, theirs = potok.pipe(2)
        assert not await do.call(mine, "poll")
        assert not await do.call(mine, "poll", do.tick)
        async with do.scope() as s:
            s.start(send_one, theirs)
            assert await do.call(mine, "poll", 3600)
            assert await do.call(mine, "poll")
            got = await do.recv(mine)
            assert not await do.call(mine, "poll")
            s.cancel()
        mine.close()
        return got

    assert play(body) == "item"
