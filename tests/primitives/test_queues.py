"""Queues in both colours, on every executor and between them; what CPython's own tests of `queue` don't ask."""

import asyncio
import os
import queue
import signal
import threading

import pytest

import potok
from potok.testing import wait_all_parked

KINDS = [potok.Queue, potok.LifoQueue, potok.PriorityQueue]
ORDERS = {
    potok.Queue: [2, 3, 1],
    potok.LifoQueue: [1, 3, 2],
    potok.PriorityQueue: [1, 2, 3],
    potok.SimpleQueue: [2, 3, 1],
}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


async def put(do, q, *items):
    for item in items:
        await do.call(q, "put", item)


async def get(do, q):
    return await do.call(q, "get")


async def get_many(do, q, n):
    return [await do.call(q, "get") for _ in range(n)]


# ── the discipline, waiting ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ORDERS)
def test_items_come_in_the_order_of_the_discipline(play, kind):
    """First in, last in, or smallest first."""

    async def body(do):
        q = kind()
        await put(do, q, 2, 3, 1)
        assert (q.qsize(), q.empty()) == (3, False)
        return await get_many(do, q, 3)

    assert play(body) == ORDERS[kind]


def test_a_parked_putters_item_takes_its_place_in_the_order(play, kind):
    """A get gives what the discipline says of the items that are in; only then the putter's goes in."""

    async def body(do):
        q = kind(2)
        await put(do, q, 2, 3)
        assert q.full()
        async with do.scope() as s:
            s.start(put, q, 1)
            await do.all_parked()
            return await get_many(do, q, 3)

    assert (
        play(body)
        == {potok.Queue: [2, 3, 1], potok.LifoQueue: [3, 1, 2], potok.PriorityQueue: [2, 1, 3]}[kind]
    )


@pytest.mark.parametrize("kind", ORDERS)
def test_parked_getters_are_served_in_the_order_they_came(play, kind):
    """Whatever the discipline: it is about items."""

    async def body(do):
        q = kind()
        async with do.scope() as s:
            tasks = []
            for _ in range(3):
                tasks.append(s.start(get, q))
                await do.all_parked()
            await put(do, q, 3, 1, 2)
            return [await do.result(task) for task in tasks]

    assert play(body) == [3, 1, 2]


def test_a_put_that_timed_out_has_put_nothing(play, kind):
    """It raises Full, and its item does not turn up later."""

    async def body(do):
        q = kind(1)
        await put(do, q, 1)
        with pytest.raises(queue.Full, match="full for"):
            await do.call(q, "put", 2, timeout=do.tick)
        with pytest.raises(queue.Full):
            q.put_nowait(2)
        assert await get(do, q) == 1
        return q.qsize(), q.unfinished_tasks

    assert play(body) == (0, 1)


@pytest.mark.parametrize("kind", ORDERS)
def test_a_get_that_timed_out_has_taken_nothing(play, kind):
    """It raises Empty, and the next item goes to somebody else."""

    async def body(do):
        q = kind()
        with pytest.raises(queue.Empty, match="empty for"):
            await do.call(q, "get", timeout=do.tick)
        with pytest.raises(queue.Empty):
            await do.call(q, "get", timeout=0)
        with pytest.raises(queue.Empty):
            q.get_nowait()
        await put(do, q, 1)
        return await get(do, q)

    assert play(body) == 1


def test_a_cancelled_put_has_put_nothing(play, kind):
    """The item stays with the putter."""

    async def body(do):
        q = kind(1)
        await put(do, q, 1)
        async with do.scope() as s:
            task = s.start(put, q, 2)
            await do.all_parked()
            task.cancel("enough")
        assert await get(do, q) == 1
        return q.qsize(), q.unfinished_tasks

    assert play(body) == (0, 1)


@pytest.mark.parametrize("kind", ORDERS)
def test_a_cancelled_get_has_taken_nothing(play, kind):
    """The next item goes to the next getter."""

    async def body(do):
        q = kind()
        async with do.scope() as s:
            task = s.start(get, q)
            await do.all_parked()
            other = s.start(get, q)
            await do.all_parked()
            task.cancel()
            await put(do, q, 1)
            return await do.result(other)

    assert play(body) == 1


@pytest.mark.parametrize("op", ["put", "get"])
def test_a_cancelled_task_is_stopped_where_it_need_not_wait(play, op):
    """Putting and getting are park points, ready or not; nothing was put or taken."""

    async def body(do):
        q = potok.Queue()
        await put(do, q, 1)
        async with do.scope() as s:
            s.cancel()
            await do.call(q, op, *([2] if op == "put" else []))
        return q.qsize()

    assert play(body) == 1


def test_a_time_out_around_it_is_no_matter_of_the_queue(play):
    """`potok.timeout` raises TimeoutError, not Empty."""

    async def body(do):
        with pytest.raises(TimeoutError, match=r"potok\.timeout"):
            async with do.timeout(do.tick):
                await get(do, potok.Queue())

    play(body)


# ── task_done and join ──────────────────────────────────────────────────────────────────────────────────────


def test_join_waits_for_every_item_to_be_done(play, kind):
    """For those that are being worked on, too."""

    async def join(do, q, told):
        await do.call(q, "join")
        told.append("joined")

    async def body(do):
        q, told = kind(), []
        await put(do, q, 1, 2)
        async with do.scope() as s:
            s.start(join, q, told)
            for _ in range(2):
                await get(do, q)
            q.task_done()
            await do.all_parked()
            told.append("one is done")
            q.task_done()
        await do.call(q, "join")
        with pytest.raises(ValueError, match="too many"):
            q.task_done()
        return told

    assert play(body) == ["one is done", "joined"]


# ── shutdown ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("immediate", [False, True])
def test_a_shutdown_wakes_whoever_waits(play, kind, immediate):
    """Those who put and those who get are told; who joins goes on when everything is done, or dropped."""

    async def told(do, q, op, *args):
        try:
            return await do.call(q, op, *args)
        except potok.ShutDown:
            return "shut down"

    async def body(do):
        empty, full = kind(), kind(1)
        await put(do, full, 1)
        async with do.scope() as s:
            tasks = [s.start(told, empty, "get"), s.start(told, full, "put", 2), s.start(told, full, "join")]
            await do.all_parked()
            assert not full.is_shutdown
            empty.shutdown(immediate)
            full.shutdown(immediate)
            assert full.is_shutdown
            if not immediate:
                assert await get(do, full) == 1
                full.task_done()
            with pytest.raises(potok.ShutDown):
                await get(do, full)
            return [await do.result(task) for task in tasks]

    assert play(body) == ["shut down", "shut down", None]


def test_the_errors_are_those_of_the_queue_module():
    """`except queue.Empty` goes on working."""
    assert potok.Empty is queue.Empty
    assert potok.Full is queue.Full
    assert potok.ShutDown is getattr(queue, "ShutDown", potok.errors.ShutDown)


# ── colours ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ORDERS)
@pytest.mark.parametrize("on", ["threads", "coroutines"])
def test_blocking_spellings_are_refused_in_an_async_task(kind, on):
    """Whether they would wait or not; those that never wait are not."""

    async def body():
        q = kind()
        q.put_nowait(1)
        with pytest.raises(potok.BlockingCallError, match="aget"):
            q.get()
        if kind is not potok.SimpleQueue:
            with pytest.raises(potok.BlockingCallError, match="aput"):
                q.put(2)
            with pytest.raises(potok.BlockingCallError, match="ajoin"):
                q.join()
        return q.get_nowait()

    assert potok.run(body, on=on) == 1


def test_a_plain_thread_and_an_asyncio_task_share_a_queue():
    """Neither was started by potok."""
    there, back = potok.Queue(1), potok.SimpleQueue()

    def double():
        while (item := there.get()) is not None:
            back.put(2 * item)

    async def main():
        got = []
        for item in range(10):
            await there.aput(item)
            got.append(await back.aget())
        await there.aput(None)
        return got

    thread = threading.Thread(target=double)
    thread.start()
    assert asyncio.run(main()) == [2 * item for item in range(10)]
    thread.join()


def test_an_asyncio_task_that_is_cancelled_has_taken_nothing():
    """asyncio's own cancellation and time-outs work at a queue."""

    async def main():
        q = potok.Queue()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await q.aget()
        await q.aput(1)
        return await q.aget()

    assert asyncio.run(main()) == 1


def test_inline_what_need_not_wait_works_and_what_would_says_so():
    """Nobody else runs until the task ends."""

    def body():
        q = potok.Queue(1)
        q.put(1)
        with pytest.raises(potok.DeadlockError, match="put on Queue"):
            q.put(2)
        assert q.get() == 1
        with pytest.raises(potok.DeadlockError, match="get on Queue"):
            q.get()
        return q.qsize()

    assert potok.run(body, on="inline") == 0


def test_isolated_tasks_put_copies():
    """What another task gets is what was put, but not the same object."""
    q, simple, item = potok.Queue(), potok.SimpleQueue(), ["item"]

    def body(q, simple):
        q.put(item)
        q.put_nowait(item)
        simple.put(item)

    with potok.scope(on=potok.threads(isolate=True)) as s:
        s.start(body, q, simple)
    got = [q.get(), q.get(), simple.get()]
    assert got == [item] * 3
    assert all(each is not item for each in got)


# ── priorities ──────────────────────────────────────────────────────────────────────────────────────────────


class Item:
    """Runs something of the test's as it is first compared."""

    def __init__(self, key, compared=None):
        self.key = key
        self.compared = compared

    def __lt__(self, other):
        for item in (self, other):
            compared, item.compared = item.compared, None
            if compared is not None:
                compared()
        return self.key < other.key


def test_what_a_comparison_raises_goes_to_who_brought_the_item(play):
    """Also where that one is parked, and another task's get makes the place: it knows nothing of it."""

    async def body(do):
        q = potok.PriorityQueue(2)
        await put(do, q, 1, 2)
        async with do.scope(on_fail="collect") as s:
            bad = s.start(put, q, "two")
            await do.all_parked()
            good = s.start(put, q, 3)
            await do.all_parked()
            assert await get(do, q) == 1
            error = await do.outcome(bad)
            assert isinstance(error, TypeError)
            await do.result(good)
            assert await get_many(do, q, 2) == [2, 3]
            assert q.unfinished_tasks == 4

    with pytest.raises(ExceptionGroup) as caught:
        play(body)
    assert caught.group_contains(TypeError)


def test_a_comparison_that_uses_the_queue_is_refused_and_changes_nothing():
    """Rather than deadlock with itself, as a queue.PriorityQueue would."""
    q = potok.PriorityQueue()
    q.put(Item(1))
    with pytest.raises(potok.WouldBlock, match="this very object"):
        q.put(Item(2, compared=q.get))
    assert q.qsize() == q.unfinished_tasks == 1
    assert q.get().key == 1


@pytest.fixture
def signalled():
    """Takes a function to call as a handler of SIGUSR1."""
    old = signal.getsignal(signal.SIGUSR1)
    yield lambda handler: signal.signal(signal.SIGUSR1, lambda *_: handler())
    signal.signal(signal.SIGUSR1, old)


def interrupt_now():
    signal.raise_signal(signal.SIGUSR1)


def test_a_signal_that_interrupts_the_queue_may_put_into_it(signalled):
    """What never waits is done as soon as the interrupted operation is."""
    q, simple = potok.PriorityQueue(), potok.SimpleQueue()

    def handler():
        q.put_nowait(Item(3))
        q.put(Item(4))
        simple.put("seen")

    signalled(handler)
    q.put(Item(1))
    q.put(Item(2, compared=interrupt_now))
    assert simple.get() == "seen"
    assert [q.get_nowait().key for _ in range(4)] == [1, 2, 3, 4]


@pytest.mark.parametrize("op", ["task_done", "shutdown"])
def test_a_signal_that_interrupts_the_queue_may_use_what_never_waits(signalled, op):
    """It takes effect, and whoever waits for it is woken."""
    q = potok.PriorityQueue()
    q.put(Item(1))
    signalled(getattr(q, op))
    q.put(Item(2, compared=interrupt_now))
    assert (q.unfinished_tasks, q.is_shutdown) == {"task_done": (1, False), "shutdown": (2, True)}[op]


def test_a_deferred_put_into_a_full_queue_is_told_to_the_log(signalled, caplog):
    """Nobody is there any more to hear of it."""
    q = potok.PriorityQueue(2)
    signalled(lambda: q.put_nowait(Item(3)))
    q.put(Item(1))
    q.put(Item(2, compared=interrupt_now))
    assert q.qsize() == 2
    assert "Full" in caplog.text


def test_a_handlers_own_timeout_error_is_not_taken_for_empty(signalled):
    """An alarm that raises TimeoutError is common; it leaves as it is. And it is not said to wait there any more."""

    def interrupt():
        wait_all_parked()
        os.kill(os.getpid(), signal.SIGUSR1)

    def handler():
        raise TimeoutError("the alarm")

    q = potok.Queue()
    signalled(handler)
    with potok.scope(on="threads") as s:
        s.start(interrupt)
        with pytest.raises(TimeoutError, match="the alarm"):
            q.get(timeout=60)
        assert not potok.current_task().waiter
    q.put(1)
    assert q.get() == 1


# ── wrong use ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("maxsize", [None, "3"])
def test_maxsize_must_be_a_number(kind, maxsize):
    """The error names it."""
    with pytest.raises(TypeError, match="maxsize must be a number"):
        kind(maxsize)
    q = kind(1)
    with pytest.raises(TypeError, match="maxsize must be a number"):
        q.maxsize = maxsize
    assert q.maxsize == 1


@pytest.mark.parametrize(
    ("timeout", "error"), [(-1, ValueError), (float("nan"), ValueError), ("1", TypeError)]
)
def test_timeout_must_be_a_number_that_is_not_negative(kind, timeout, error):
    """Also where an operation need not wait; nothing was put or taken."""
    q = kind(2)
    q.put(1)
    with pytest.raises(error, match="'timeout' must be a non-negative number"):
        q.put(2, timeout=timeout)
    with pytest.raises(error, match="'timeout' must be a non-negative number"):
        q.get(timeout=timeout)
    assert q.qsize() == 1
    q.put(2, block=False, timeout=timeout)  # as in `queue`, ignored
    q.get(block=False, timeout=timeout)


def test_a_wider_bound_lets_parked_putters_in(kind):
    """Which `queue` does not promise, but nobody should wait for a place that is there."""
    q = kind(1)
    with potok.scope(on="threads") as s:
        s.start(q.put, 1)
        s.start(q.put, 2)
        wait_all_parked()
        q.maxsize = 2
    assert sorted([q.get(), q.get()]) == [1, 2]


def test_queues_show_their_state():
    """In one line, for people."""
    q = potok.LifoQueue(3)
    q.put(1)
    assert repr(q) == "<LifoQueue: LifoQueue(3), 1 item(s)>"
    assert repr(potok.SimpleQueue()) == "<SimpleQueue: SimpleQueue(unbounded), 0 item(s)>"
    assert potok.Queue[int] is not None


# ── races ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.stress
@pytest.mark.parametrize("size", [0, 1, 3])
def test_nothing_is_lost_between_many_threads(kind, size):
    """Each item comes out once, and those of one producer in order where the discipline says so."""
    q = kind(size)

    def produce(who):
        for number in range(100):
            q.put((who, number))

    def consume():
        got = []
        while (item := q.get()) != (9, 9):
            got.append(item)
            q.task_done()
        return got

    with potok.scope(on="threads") as s:
        consumers = [s.start(consume) for _ in range(3)]
        with potok.scope(on="threads") as producers:
            for who in range(3):
                producers.start(produce, who)
        q.join()
        for _ in consumers:
            q.put((9, 9))
    got = [task.result() for task in consumers]
    assert sorted(item for each in got for item in each) == [
        (who, number) for who in range(3) for number in range(100)
    ]
    if kind is potok.Queue:
        for each in got:
            for who in range(3):
                numbers = [number for by, number in each if by == who]
                assert numbers == sorted(numbers)


@pytest.mark.stress
@pytest.mark.parametrize("on", ["threads", "coroutines"])
def test_nothing_is_lost_between_colours(on):
    """Plain and `async def` tasks, here and on threads."""
    q = potok.Queue(2)

    def produce():
        for number in range(50):
            q.put(number)

    async def aproduce():
        for number in range(50):
            await q.aput(number)

    def consume():
        return [q.get() for _ in range(50)]

    async def aconsume():
        return [await q.aget() for _ in range(50)]

    with potok.scope(on=on) as s:
        takers = [s.start(consume), s.start(aconsume, on="threads")]
        s.start(produce, on="threads")
        s.start(aproduce)
    assert sorted(item for task in takers for item in task.result()) == sorted(2 * list(range(50)))


@pytest.mark.stress
def test_an_item_is_not_lost_to_a_cancelled_getter():
    """It was taken, and the getter returned it, or it is there for the next one."""
    q, taken = potok.Queue(), []

    def take():
        while True:
            taken.append(q.get())

    with potok.scope(on="threads") as s:
        for number in range(20):
            taker = s.start(take)
            s.start(q.put, number)
            taker.cancel()
    while not q.empty():
        taken.append(q.get_nowait())
    assert sorted(taken) == list(range(20))


@pytest.mark.stress
@pytest.mark.parametrize("immediate", [False, True])
@pytest.mark.parametrize("size", [0, 2])
def test_a_shutdown_loses_nothing_that_was_put(size, immediate):
    """What a put returned from is taken, is there still, or was dropped; the rest has raised. And join comes back."""
    q, put_in, taken = potok.Queue(size), [], []

    def produce(who):
        for number in range(1000):
            try:
                q.put((who, number))
            except potok.ShutDown:
                return
            put_in.append((who, number))

    def consume():
        while True:
            try:
                taken.append(q.get())
            except potok.ShutDown:
                return
            q.task_done()

    with potok.scope(on="threads") as s:
        for who in range(2):
            s.start(produce, who)
            s.start(consume)
        while len(taken) < 10:
            potok.checkpoint()
        q.shutdown(immediate)
    left = []
    while not q.empty():
        left.append(q.get_nowait())
        q.task_done()
    q.join()
    assert not left
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(put_in)
    assert immediate or set(taken) == set(put_in)
