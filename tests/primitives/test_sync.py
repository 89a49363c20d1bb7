"""Lock, RLock, Condition, Semaphore, Event and Barrier, in both colours, on one executor and between several."""

import asyncio
import itertools
import signal
import threading

import pytest

import potok
from potok.testing import simulated, wait_all_parked

PLACES = {
    "threads-def": [("threads", False)],
    "threads-async": [("threads", True)],
    "coroutines-def": [("coroutines", False)],
    "coroutines-async": [("coroutines", True)],
    "mixed": [("threads", False), ("coroutines", True), ("threads", True), ("coroutines", False)],
}


class Do:
    """One colour's spellings of the operations. Bodies are coroutine functions; blocking ones never suspend."""

    def __init__(self, awaits):
        self.awaits = awaits

    async def __call__(self, obj, name, *args, **options):
        if not self.awaits:
            return getattr(obj, name)(*args, **options)
        spelling = {"wait": "await_", "wait_for": "await_for"}.get(name, f"a{name}")
        return await getattr(obj, spelling)(*args, **options)

    async def enter(self, block):
        return await block.__aenter__() if self.awaits else block.__enter__()

    async def leave(self, block):
        return await block.__aexit__(None, None, None) if self.awaits else block.__exit__(None, None, None)

    async def select(self, *arms, **options):
        return await potok.aselect(*arms, **options) if self.awaits else potok.select(*arms, **options)

    def task(self, body):
        if self.awaits:
            return body_of(body, self)

        def plain(*args):
            try:
                body(self, *args).send(None)
            except StopIteration as stop:
                return stop.value
            raise AssertionError("a blocking body suspended")

        return plain


def body_of(body, do):
    async def awaiting(*args):
        return await body(do, *args)

    return awaiting


class Start:
    """Starts bodies in a scope, each at the next place."""

    def __init__(self, places):
        self.places = itertools.cycle(places)

    def __call__(self, scope, body, *args):
        on, awaits = next(self.places)
        return scope.start(Do(awaits).task(body), *args, on=on)


@pytest.fixture(params=PLACES)
def start(request):
    return Start(PLACES[request.param])


async def take_and_tell(do, lock, told, what):
    await do.enter(lock)
    told.append(what)
    await do.leave(lock)


async def acquire(do, lock, *args):
    return await do(lock, "acquire", *args)


async def wait(do, thing, *args):
    return await do(thing, "wait", *args)


LOCKS = [potok.Lock, potok.RLock, potok.Semaphore, potok.BoundedSemaphore, potok.Condition]


# ── whatever is acquired and released ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", LOCKS)
def test_it_goes_to_whoever_waited_longest(start, kind):
    """Those who wait get it in the order they came, whatever carries them."""
    lock, told = kind(), []
    with potok.scope() as s, lock:
        for what in range(8):
            start(s, take_and_tell, lock, told, what)
            wait_all_parked()
    assert told == list(range(8))


@pytest.mark.parametrize("kind", LOCKS)
def test_nobody_barges_in(start, kind):
    """Once released with somebody waiting it is that one's, though it has not run yet."""
    lock = kind()
    gate = potok.Event()

    async def hold(do, lock):
        await do.enter(lock)
        await do(gate, "wait")
        await do.leave(lock)

    with potok.scope() as s:
        lock.acquire()
        start(s, hold, lock)
        wait_all_parked()
        lock.release()
        assert s.start(lambda: lock.acquire(blocking=False), on="threads").result() is False
        gate.set()
    assert lock.acquire(blocking=False)
    lock.release()


@pytest.mark.parametrize("kind", LOCKS)
def test_an_acquire_that_timed_out_does_not_hold_it(start, kind):
    """False means that it was not taken, then or later."""
    lock = kind()
    lock.acquire()
    with potok.scope() as s:
        assert start(s, acquire, lock, True, 0.01).result() is False
    lock.release()
    assert lock.acquire(timeout=0)
    lock.release()


@pytest.mark.parametrize("kind", LOCKS)
def test_an_acquire_that_was_cancelled_does_not_hold_it(start, kind):
    """A task cancelled while it waits leaves the queue: the next one is served."""
    lock, told = kind(), []
    with potok.scope() as s:
        with lock:
            victim = start(s, acquire, lock)
            wait_all_parked()
            start(s, take_and_tell, lock, told, "next")
            wait_all_parked()
            victim.cancel("enough")
            wait_all_parked()
        assert isinstance(victim.exception(), potok.TaskCancelled)
    assert told == ["next"]


@pytest.mark.stress
@pytest.mark.parametrize("kind", LOCKS)
def test_a_race_of_release_and_cancellation_has_one_winner(start, kind):
    """A task that is handed the lock while it is cancelled either holds it and goes on, or never does."""
    for _ in range(20):
        lock, held = kind(), []

        async def victim(do, lock, held=held):
            await do.enter(lock)
            held.append(True)
            await do.leave(lock)

        with potok.scope() as s:
            lock.acquire()
            task = start(s, victim, lock)
            wait_all_parked()
            canceller = s.start(task.cancel, on="threads")
            lock.release()
            canceller.result()
            assert (task.exception() is None) == bool(held)
        assert lock.acquire(blocking=False), "lost between two tasks"


@pytest.mark.stress
@pytest.mark.parametrize("kind", [potok.Lock, potok.RLock, potok.Semaphore, potok.Condition])
def test_one_task_at_a_time(start, kind):
    """What several tasks do under the lock, each does alone."""
    lock, box = kind(), [0]

    async def count(do, lock):
        for _ in range(100):
            await do.enter(lock)
            seen = box[0]
            if seen % 10 == 0 and not do.awaits:
                potok.checkpoint()
            box[0] = seen + 1
            await do.leave(lock)

    with potok.scope() as s:
        for _ in range(4):
            start(s, count, lock)
    assert box == [400]


@pytest.mark.parametrize("kind", LOCKS)
def test_without_blocking_no_wait_and_no_timeout(kind):
    """`acquire(False)` answers at once, in an `async def` task too, and takes no time-out."""
    lock = kind()

    async def body():
        assert lock.acquire(False) is True
        assert await potok.current_scope().start(acquire_nowait, lock) is False
        lock.release()
        assert await lock.aacquire(False) is True
        lock.release()
        with pytest.raises(ValueError, match="timeout"):
            lock.acquire(False, 1)
        with pytest.raises(ValueError, match="timeout"):
            await lock.aacquire(False, 1)

    potok.run(body)


async def acquire_nowait(lock):
    return lock.acquire(blocking=False)


@pytest.mark.parametrize("kind", LOCKS)
@pytest.mark.parametrize("timeout", [-2, -0.5, float("nan")])
def test_a_wrong_timeout_is_refused(kind, timeout):
    """What is no number of seconds is a ValueError, and nothing was acquired."""
    lock = kind()
    with pytest.raises(ValueError, match="timeout"):
        lock.acquire(timeout=timeout)
    with pytest.raises(ValueError, match="timeout"):
        potok.run(lock.aacquire, True, timeout)
    assert lock.acquire(False)


def test_a_timeout_of_minus_one_or_none_waits_for_ever():
    """`threading`'s spelling and potok's mean the same."""
    for kind in (potok.Lock, potok.RLock, potok.Condition):
        for timeout in (-1, None):
            lock = kind()
            with potok.scope() as s:
                with lock:
                    task = s.start(lock.acquire, True, timeout)
                    wait_all_parked()
                    assert not task.done()
                assert task.result() is True


def test_a_signal_handlers_timeout_error_is_not_taken_for_ours():
    """A TimeoutError that somebody else raises in the wait is no answer of `acquire`."""
    lock = potok.Lock()
    lock.acquire()

    async def raises_in_the_wait():
        me = potok.current_task()
        me.pending = TimeoutError("from a handler")
        me.trap = 31
        await lock.aacquire()

    with pytest.raises(TimeoutError, match="from a handler"):
        potok.run(raises_in_the_wait)


BLOCKING = {
    "Lock.acquire": lambda: potok.Lock().acquire(),
    "with Lock": lambda: potok.Lock().__enter__(),
    "RLock.acquire": lambda: potok.RLock().acquire(),
    "Condition.acquire": lambda: potok.Condition().acquire(),
    "Semaphore.acquire": lambda: potok.Semaphore().acquire(),
    "Event.wait": lambda: set_event().wait(),
    "Barrier.wait": lambda: potok.Barrier(1).wait(),
    "Condition.wait": lambda: held_condition().wait(),
    "Condition.wait_for": lambda: held_condition().wait_for(lambda: False),
}


def set_event():
    event = potok.Event()
    event.set()
    return event


def held_condition():
    condition = potok.Condition()
    condition.acquire(False)
    return condition


@pytest.mark.parametrize("call", BLOCKING)
@pytest.mark.parametrize("on", ["coroutines", "threads"])
def test_blocking_spellings_are_refused_in_async_tasks(call, on):
    """Ready or not: the error names the awaitable spelling."""

    async def body():
        awaitable = "await_()" if "wait" in call else "aacquire()"
        with pytest.raises(potok.BlockingCallError, match=rf"await {awaitable[:-2]}\(\)"):
            BLOCKING[call]()

    potok.run(body, on=on)


def test_a_coroutine_that_is_closed_while_it_waits_leaves_the_queue():
    """As happens to what is left when somebody's loop ends: a lock is not handed to nobody."""

    async def main():
        lock = potok.Lock()
        lock.acquire(False)
        waiting = lock.aacquire()
        task = asyncio.create_task(waiting)
        await asyncio.sleep(0)
        waiting.close()
        lock.release()
        assert not lock.locked()
        with pytest.raises(RuntimeError):
            await task

    asyncio.run(main())


# ── Lock and RLock ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_lock_may_be_released_by_another_task(start):
    """A Lock belongs to nobody: who acquired it and who releases it are two matters."""
    lock = potok.Lock()
    with potok.scope() as s:
        assert start(s, acquire, lock).result() is True
        assert lock.locked()
        task = start(s, acquire, lock)
        wait_all_parked()
        lock.release()
        assert task.result() is True
    assert lock.locked(), "a task that ends with a lock held leaves it held"
    lock.release()
    assert not lock.locked()


@pytest.mark.parametrize("kind", [potok.Lock, potok.RLock, potok.Condition])
def test_releasing_what_is_not_locked(kind):
    """RuntimeError, and it is as it was."""
    lock = kind()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="not locked"):
            lock.release()
    assert lock.acquire(False)


def test_reports_tell_by_whom_a_lock_is_held():
    """`potok.tasks()` says of a task that waits for a lock who holds it."""
    for lock in (potok.Lock(), potok.RLock()):
        with potok.scope() as s, lock:
            waiting = s.start(take_plainly, lock, name="patient")
            wait_all_parked()
            (info,) = [info for info in potok.tasks() if info.task is waiting]
            assert info.held_by == potok.current_task().name
            assert info.waits_for.startswith("acquire on ")


def take_plainly(lock):
    with lock:
        return True


def test_an_rlock_is_its_tasks_not_its_threads():
    """Two tasks of one thread exclude each other; the holder comes in again."""
    lock, told = potok.RLock(), []

    async def hold(do, name):
        await do.enter(lock)
        assert await do(lock, "acquire") is True
        told.append(name)
        potok.checkpoint()
        told.append(name)
        lock.release()
        await do.leave(lock)

    with potok.scope(on="coroutines") as s:
        for name, awaits in enumerate((True, False, True, False)):
            s.start(Do(awaits).task(hold), name)
    assert told[::2] == told[1::2]
    assert sorted(told[::2]) == [0, 1, 2, 3]


def test_an_rlock_is_released_by_its_holder_only(start):
    """Another task's release is refused, by name, and changes nothing."""
    lock = potok.RLock()

    async def release(_do, lock):
        lock.release()

    with lock, potok.scope(on_fail="collect") as s:
        task = start(s, release, lock)
        wait_all_parked()
        assert "held by task" in str(task.exception())
        s._machine.errors.clear()
        assert lock.locked()
    assert not lock.locked()


def test_asyncio_tasks_own_rlocks_one_by_one():
    """In a foreign loop each asyncio task is an owner, with either spelling."""
    lock, inside = potok.RLock(), []

    async def hold(blocking):
        if blocking:
            while not lock.acquire(False):  # noqa: ASYNC110 - the blocking spelling is under test
                await asyncio.sleep(0)
        else:
            await lock.aacquire()
        inside.append(blocking)
        assert lock.acquire(False)
        await asyncio.sleep(0)
        assert len(inside) == 1
        inside.remove(blocking)
        lock.release()
        lock.release()

    async def main():
        await asyncio.gather(*(hold(bool(n % 2)) for n in range(6)))

    asyncio.run(main())
    assert not lock.locked()


def test_an_rlock_is_plain_tasks_in_a_hub_with_a_loop():
    """A `def` task on coroutines owns what it acquires, also while an event loop runs in its thread."""
    lock = potok.RLock()

    async def have_a_loop():
        await asyncio.sleep(0)

    def hold():
        with lock:
            potok.await_(asyncio.sleep(0))
            with lock:
                potok.checkpoint()

    with potok.scope(on="coroutines") as s:
        s.start(have_a_loop)
        s.start(hold)
        s.start(hold)
    assert not lock.locked()


# ── Condition ───────────────────────────────────────────────────────────────────────────────────────────────


async def wait_under(do, condition, *args):
    await do.enter(condition)
    try:
        return await do(condition, "wait", *args)
    finally:
        await do.leave(condition)  # raises if the lock is not held


@pytest.mark.parametrize("lock", [None, potok.Lock, potok.RLock])
def test_notify_wakes_those_who_came_first(start, lock):
    """`notify(n)` wakes the first n, `notify_all` the rest, none before the lock is free."""
    condition = potok.Condition(lock and lock())
    with potok.scope() as s:
        tasks = []
        for _ in range(5):
            tasks.append(start(s, wait_under, condition))
            wait_all_parked()
        with condition:
            condition.notify(2)
            wait_all_parked()
            assert not any(task.done() for task in tasks)
        assert [task.result() for task in tasks[:2]] == [True, True]
        wait_all_parked()
        assert not any(task.done() for task in tasks[2:])
        with condition:
            condition.notify_all()


def test_a_wait_that_timed_out_holds_the_lock_again(start):
    """False, with the lock: also where another held it as the time was up."""
    condition = potok.Condition()
    with potok.scope() as s:
        assert start(s, wait_under, condition, 0.01).result() is False


def test_a_wait_that_was_cancelled_holds_the_lock_again(start):
    """Cancelled leaves `wait` with the lock held, and not before it can be: the re-acquire is shielded."""
    condition = potok.Condition()
    with potok.scope() as s:
        task = start(s, wait_under, condition)
        wait_all_parked()
        with condition:
            task.cancel()
            wait_all_parked()
            assert not task.done()
        assert isinstance(task.exception(), potok.TaskCancelled)
    assert not condition.locked()


def test_a_cancellation_after_the_notification_comes_at_the_next_park_point(start):
    """A task that was notified returns True from `wait`, with the lock, though it was cancelled meanwhile."""
    condition, told = potok.Condition(), []

    async def body(do):
        await do.enter(condition)
        told.append(await do(condition, "wait"))
        try:
            await do(condition, "wait")
        finally:
            await do.leave(condition)

    with potok.scope() as s:
        task = start(s, body)
        wait_all_parked()
        with condition:
            condition.notify()
            wait_all_parked()
            task.cancel()
            wait_all_parked()
        assert isinstance(task.exception(), potok.TaskCancelled)
    assert told == [True]
    assert not condition.locked()


def test_asyncios_cancellation_waits_for_the_lock_and_passes_the_notification_on():
    """An asyncio task cancelled while it takes the lock again leaves with the lock; another is notified instead."""

    async def main():
        condition, told = potok.Condition(), []

        async def waits(name):
            async with condition:
                await condition.await_()
                told.append(name)

        first = asyncio.create_task(waits("first"))
        await asyncio.sleep(0)
        second = asyncio.create_task(waits("second"))
        await asyncio.sleep(0)
        async with condition:
            condition.notify()
            for _ in range(3):  # let the first one run into the lock
                await asyncio.sleep(0)
            first.cancel()
            for _ in range(3):
                await asyncio.sleep(0)
            first.cancel()
            for _ in range(3):
                await asyncio.sleep(0)
            assert not first.done()
        await second
        with pytest.raises(asyncio.CancelledError):
            await first
        assert told == ["second"]
        assert not condition.locked()

    asyncio.run(main())


def test_wait_gives_up_an_rlock_however_often_it_is_held(start):
    """And takes it as often again."""
    condition = potok.Condition()

    async def body(do):
        for _ in range(3):
            await do.enter(condition)
        await do(condition, "wait")
        for _ in range(3):
            await do.leave(condition)

    with potok.scope() as s:
        start(s, body)
        wait_all_parked()
        with condition:
            condition.notify()
    assert not condition.locked()


def test_wait_for_waits_until_the_predicate_is_true(start):
    """It returns what the predicate returned, also when the time is up."""
    condition, state = potok.Condition(), []

    async def body(do, *args):
        await do.enter(condition)
        try:
            return await do(condition, "wait_for", lambda: state and state[-1], *args)
        finally:
            await do.leave(condition)

    with potok.scope() as s:
        task = start(s, body)
        wait_all_parked()
        for value in (0, None, "done"):
            with condition:
                state.append(value)
                condition.notify_all()
            wait_all_parked()
        assert task.result() == "done"
        assert start(s, body, 0).result() == "done"
        state.append(0)
        assert start(s, body, 0.01).result() == 0
        assert start(s, body, 0).result() == 0


@pytest.mark.parametrize("lock", [None, potok.Lock, potok.RLock])
def test_a_condition_is_used_with_its_lock_held(lock):
    """Otherwise RuntimeError, and nothing has changed."""
    condition = potok.Condition(lock and lock())

    async def awaits():
        await condition.await_()

    def blocks():
        condition.wait()

    for wrong in (awaits, blocks, condition.notify, condition.notify_all):
        with pytest.raises(RuntimeError, match="does not hold the lock"):
            potok.run(wrong)
    assert not condition.locked()


def test_what_is_no_lock_of_potoks_is_refused():
    """The error names the argument and what it takes."""
    with pytest.raises(TypeError, match=r"lock must be a potok.Lock or a potok.RLock"):
        potok.Condition(threading.Lock())
    with pytest.raises(ValueError, match="n must be >= 0"):
        held_condition().notify(-1)
    with pytest.raises(ValueError, match="timeout"):
        held_condition().wait(-1)


def test_an_exception_of_a_signal_handler_leaves_wait_with_the_lock():
    """KeyboardInterrupt is held back until the lock is taken again."""
    condition, main = potok.Condition(), threading.get_ident()

    def interrupt():
        with condition:
            wait_all_parked()
            signal.pthread_kill(main, signal.SIGUSR1)
            wait_all_parked()  # the main thread waits for the lock by now

    def handler(_number, _frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, handler)
    helper = threading.Thread(target=interrupt)
    try:
        condition.acquire()
        helper.start()
        with pytest.raises(KeyboardInterrupt):
            condition.wait()
        condition.release()
    finally:
        helper.join()
        signal.signal(signal.SIGUSR1, before)
    assert not condition.locked()


def test_conditions_under_a_hundred_schedules():
    """Whatever the order of the steps: nobody is left waiting, and each item arrives once."""
    for seed in range(100):
        bounded_buffer(
            lambda s, body, name: s.start(Do(False).task(body), name), simulated(seed=seed), items=5
        )


@pytest.mark.stress
def test_a_bounded_buffer_of_conditions(start):
    """Two conditions over one lock: each item arrives once, in order of each producer."""
    bounded_buffer(start, "threads", items=50)


def bounded_buffer(start, on, items):
    lock = potok.Lock()
    not_full, not_empty = potok.Condition(lock), potok.Condition(lock)
    buffer, got = [], []

    async def produce(do, name):
        for number in range(items):
            await do.enter(lock)
            await do(not_full, "wait_for", lambda: len(buffer) < 2)
            buffer.append((name, number))
            not_empty.notify()
            await do.leave(lock)

    async def consume(do, _):
        for _ in range(items):
            await do.enter(lock)
            await do(not_empty, "wait_for", lambda: buffer)
            got.append(buffer.pop(0))
            not_full.notify()
            await do.leave(lock)

    with potok.scope(on=on) as s:
        for name in range(4):
            start(s, produce, name)
            start(s, consume, name)
    for name in range(4):
        assert [number for who, number in got if who == name] == list(range(items))


# ── Semaphore ───────────────────────────────────────────────────────────────────────────────────────────────


def test_release_gives_several_permits(start):
    """`release(n)` lets n of those who wait go on, and keeps what nobody waits for."""
    semaphore = potok.Semaphore(0)
    with potok.scope() as s:
        tasks = [start(s, acquire, semaphore) for _ in range(3)]
        wait_all_parked()
        semaphore.release(2)
        wait_all_parked()
        assert sum(task.done() for task in tasks) == 2
        semaphore.release(3)
    assert [semaphore.acquire(False) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("kind", [potok.Semaphore, potok.BoundedSemaphore])
def test_wrong_numbers_of_permits_are_refused(kind):
    """ValueError names the argument, and no permit was given."""
    for value in (-1, "2", 1.5):
        with pytest.raises(ValueError, match="value must be"):
            kind(value)
    semaphore = kind(0)
    for n in (0, -1, 1.5):
        with pytest.raises(ValueError, match="n must be"):
            semaphore.release(n)
    assert not semaphore.acquire(False)


def test_a_bounded_semaphore_takes_no_permit_too_many():
    """ValueError, and none was given, not even some of several."""
    semaphore = potok.BoundedSemaphore(3)
    semaphore.acquire()
    with pytest.raises(ValueError, match="bound of 3"):
        semaphore.release(2)
    assert [semaphore.acquire(False) for _ in range(3)] == [True, True, False]


# ── Event ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_event_wakes_all_who_wait(start):
    """Also when it is cleared before they run."""
    event = potok.Event()
    with potok.scope() as s:
        tasks = [start(s, wait, event) for _ in range(5)]
        wait_all_parked()
        event.set()
        event.clear()
        assert [task.result() for task in tasks] == [True] * 5
        assert start(s, wait, event, 0.01).result() is False
    assert not event.is_set()


def test_an_event_is_awaitable():
    """`await event` waits until it is set."""
    event = potok.Event()

    async def wait_for_it():
        return await event

    with potok.scope(on="coroutines") as s:
        task = s.start(wait_for_it)
        wait_all_parked()
        assert not task.done()
        event.set()
        assert task.result() is True


# ── Barrier ─────────────────────────────────────────────────────────────────────────────────────────────────


async def pass_often(do, barrier, told, times):
    for number in range(times):
        told.append(number)
        await do(barrier, "wait")


def test_a_barrier_keeps_tasks_in_step(start):
    """Nobody begins a round before all have ended the last one."""
    barrier, told = potok.Barrier(4), []
    with potok.scope() as s:
        for _ in range(4):
            start(s, pass_often, barrier, told, 10)
    assert told == [number for number in range(10) for _ in range(4)]
    assert barrier.n_waiting == 0


def test_each_party_gets_a_number_of_its_own(start):
    """In the order in which they came."""
    barrier = potok.Barrier(3)
    with potok.scope() as s:
        tasks = []
        for waiting in range(3):
            assert barrier.n_waiting == waiting
            tasks.append(start(s, wait, barrier))
            wait_all_parked()
        assert [task.result() for task in tasks] == [0, 1, 2]


def test_the_action_runs_once_a_round_before_anybody_goes_on(start):
    """In the task that came last, outside of any lock: it may look at the barrier itself."""
    told = []
    barrier = potok.Barrier(3, lambda: told.append(("action", barrier.n_waiting, barrier.broken)))

    async def body(do):
        for _ in range(5):
            told.append("came")
            await do(barrier, "wait")

    with potok.scope() as s:
        for _ in range(3):
            start(s, body)
    assert told == ["came", "came", "came", ("action", 0, False)] * 5


def test_an_action_that_raises_breaks_the_barrier(start):
    """Its error leaves the wait of the task that ran it; the others get BrokenBarrierError."""

    def action():
        raise ZeroDivisionError

    barrier = potok.Barrier(3, action)
    with potok.scope(on_fail="collect") as s:
        tasks = [start(s, wait, barrier) for _ in range(3)]
        errors = sorted(type(task.exception()).__name__ for task in tasks)
        s._machine.errors.clear()
    assert errors == ["BrokenBarrierError", "BrokenBarrierError", "ZeroDivisionError"]
    assert barrier.broken


def breaks_by_timeout(barrier, _task):
    with pytest.raises(potok.BrokenBarrierError, match="did not come within"):
        barrier.wait(0.01)


def breaks_by_cancellation(barrier, task):
    task.cancel()
    with pytest.raises(potok.BrokenBarrierError):
        barrier.wait()


def breaks_by_abort(barrier, _task):
    barrier.abort()


@pytest.mark.parametrize("breaks", [breaks_by_timeout, breaks_by_cancellation, breaks_by_abort])
def test_a_barrier_breaks_for_all_parties(start, breaks):
    """By a time-out, a cancellation or `abort`: who waits and who comes gets BrokenBarrierError until it is reset."""
    barrier = potok.Barrier(4)
    with potok.scope(on_fail="collect") as s:
        victim = start(s, wait, barrier)
        other = start(s, wait, barrier)
        wait_all_parked()
        breaks(barrier, victim)
        assert isinstance(other.exception(), potok.BrokenBarrierError)
        assert isinstance(victim.exception(), potok.BrokenBarrierError | potok.TaskCancelled)
        assert barrier.broken
        assert isinstance(start(s, wait, barrier).exception(), potok.BrokenBarrierError)
        s._machine.errors.clear()
        barrier.reset()
        assert not barrier.broken
        assert sorted(task.result() for task in [start(s, wait, barrier) for _ in range(4)]) == [0, 1, 2, 3]


def test_wrong_use_of_a_barrier_changes_nothing():
    """A negative time-out and a blocking call in the wrong place don't break it."""
    barrier = potok.Barrier(2)

    async def blocks():
        barrier.wait()

    with pytest.raises(ValueError, match="timeout"):
        barrier.wait(-1)
    with pytest.raises(potok.BlockingCallError):
        potok.run(blocks)
    assert (barrier.broken, barrier.n_waiting, barrier.parties) == (False, 0, 2)


def test_a_wrong_barrier_is_refused():
    """The errors name the argument."""

    async def awaits():
        pass

    for parties in (0, -1, "2"):
        with pytest.raises(ValueError, match="parties must be"):
            potok.Barrier(parties)
    for action in (7, awaits):
        with pytest.raises(TypeError, match="action must be"):
            potok.Barrier(2, action)
    with pytest.raises(ValueError, match="timeout must be"):
        potok.Barrier(2, timeout=-1)


def test_a_barrier_has_a_timeout_of_its_own(start):
    """Used where a wait is given none."""
    barrier = potok.Barrier(2, timeout=0.01)
    with potok.scope(on_fail="collect") as s:
        assert isinstance(start(s, wait, barrier).exception(), potok.BrokenBarrierError)
        s._machine.errors.clear()


@pytest.mark.stress
def test_reports_are_made_while_others_come_and_go():
    """`n_waiting`, repr and `potok.tasks()` may be asked from any thread at any time."""
    barrier, condition = potok.Barrier(3), potok.Condition()

    def come_and_go():
        for _ in range(200):
            barrier.wait()

    with potok.scope() as s:
        tasks = [s.start(come_and_go) for _ in range(3)]
        while not all(task.done() for task in tasks):
            assert 0 <= barrier.n_waiting <= 3
            assert "Barrier" in repr(barrier)
            assert "waiting" in repr(condition)
            assert potok.tasks() is not None


# ── as arms of a select ─────────────────────────────────────────────────────────────────────────────────────


async def select(do, *arms):
    return await do.select(*arms)


@pytest.mark.parametrize("kind", [potok.Lock, potok.RLock, potok.Semaphore, potok.BoundedSemaphore])
def test_select_holds_what_it_acquired(start, kind):
    """The lock whose arm select returns is held; the others are not."""
    busy, free = kind(), kind()
    busy.acquire()

    async def body(do):
        got = await do.select(busy, free)
        assert got.arm is free
        assert got.value is True
        taken = free.acquire(False) if kind is not potok.RLock else not free.locked()
        free.release()
        return taken

    with potok.scope() as s:
        assert start(s, body).result() is False
    assert free.acquire(False)


@pytest.mark.parametrize("kind", [potok.Lock, potok.RLock, potok.Semaphore, potok.BoundedSemaphore])
def test_select_waits_for_a_lock_in_line(start, kind):
    """It stands in the queue like any other, and holds the lock when it returns."""
    locks = [kind(), kind()]
    for lock in locks:
        lock.acquire()

    async def body(do):
        got = await do.select(*locks)
        got.arm.release()
        return got.index

    with potok.scope() as s:
        first = start(s, body)
        wait_all_parked()
        second = start(s, body)
        wait_all_parked()
        locks[1].release()
        assert first.result() == 1
        assert second.result() == 1
    assert locks[1].acquire(False)
    locks[0].release()


def test_select_over_events_takes_nothing(start):
    """A set event is ready, stays set, and lets all selects through."""
    events = [potok.Event(), potok.Event()]
    with potok.scope() as s:
        tasks = [start(s, select, *events) for _ in range(3)]
        wait_all_parked()
        events[1].set()
        assert [(task.result().arm, task.result().value) for task in tasks] == [(events[1], True)] * 3
        assert start(s, select, *events).result().index == 1


@pytest.mark.stress
def test_select_over_locks_and_channels_has_one_effect(start):
    """Many selects over a semaphore and a channel: each takes a permit or an item, and none is lost."""
    semaphore = potok.Semaphore(0)
    tx, rx = potok.channel(2)
    taken = []

    async def choose(do, rx):
        for _ in range(20):
            got = await do.select(semaphore, rx)
            taken.append("permit" if got.arm is semaphore else got.value)

    with tx, potok.scope() as s:
        for _ in range(4):
            start(s, choose, rx)
        for number in range(40):
            tx.send(number)
            semaphore.release()
    assert sorted(item for item in taken if item != "permit") == list(range(40))
    assert taken.count("permit") == 40
    assert not semaphore.acquire(False)
