"""Cycles of RLocks and joins: only their holders release RLocks, only its own end ends a task."""

import threading

from catalogue import CYCLE, bystander, stuck, work_on

import potok

THREADS, COROUTINES, PROCESSES = "threads", "coroutines", "processes"
RLOCK = "r?lock"  # how it is called elsewhere
JOIN = "join|end of"


def take_both(first: potok.RLock, second: potok.RLock, met: potok.Barrier) -> None:
    with first:
        met.wait()
        with second:
            pass


async def atake_both(first: potok.RLock, second: potok.RLock, met: potok.Barrier) -> None:
    async with first:
        await met.await_()
        async with second:
            pass


@stuck(CYCLE, THREADS, COROUTINES, PROCESSES, left=RLOCK, right=RLOCK)
def two_rlocks_in_opposite_order(on: str) -> None:
    """A transfer locks its two accounts in the order of its arguments; one each way: each has what the other wants."""
    here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)
    with potok.scope(on=on) as s:
        s.start(take_both, here, there, met, name="left")
        s.start(take_both, there, here, met, name="right")


@stuck(CYCLE, THREADS, COROUTINES, PROCESSES, first=RLOCK, second=RLOCK, third=RLOCK)
def three_rlocks_in_a_ring(on: str) -> None:
    """No two of the three tasks want each other's lock; the ring of all three is closed."""
    locks, met = [potok.RLock() for _ in range(3)], potok.Barrier(3)
    with potok.scope(on=on) as s:
        for index, name in enumerate(("first", "second", "third")):
            s.start(take_both, locks[index], locks[(index + 1) % 3], met, name=name)


@stuck(CYCLE, left=RLOCK, right=RLOCK)
def rlocks_between_a_thread_and_a_coroutine() -> None:
    """The same with the two tasks on different executors: neither sees the other in its own run queue."""
    here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)
    with potok.scope(on=THREADS) as s:
        s.start(take_both, here, there, met, name="left")
        s.start(take_both, there, here, met, on=COROUTINES, name="right")


@stuck(CYCLE, left=RLOCK, right=RLOCK)
def rlocks_between_a_worker_and_a_thread() -> None:
    """The same between a worker process and a thread of the program."""
    here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)
    with potok.scope(on=THREADS) as s:
        s.start(take_both, here, there, met, name="left")
        s.start(take_both, there, here, met, on=PROCESSES, name="right")


@stuck(CYCLE, THREADS, COROUTINES, left=RLOCK, right=RLOCK)
def rlocks_in_opposite_order_in_coroutine_functions(on: str) -> None:
    """The same in `async def` tasks."""
    here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)
    with potok.scope(on=on) as s:
        s.start(atake_both, here, there, met, name="left")
        s.start(atake_both, there, here, met, name="right")


@stuck(CYCLE, THREADS, COROUTINES, PROCESSES, left=RLOCK, right=RLOCK, spared=("busy",))
def rlocks_beside_a_busy_task(on: str) -> None:
    """A third task goes on all the time, but it can't release what the two hold."""
    here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)
    with potok.scope(on=on) as s:
        s.start(work_on, name="busy")
        s.start(take_both, here, there, met, name="left")
        s.start(take_both, there, here, met, name="right")


@stuck(CYCLE, THREADS, COROUTINES, left=RLOCK, right=RLOCK)
def rlocks_beside_a_foreign_thread(on: str) -> None:
    """A thread lives that is not potok's; it does not hold the locks, so it can't release them."""
    here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)
    with bystander(), potok.scope(on=on) as s:
        s.start(take_both, here, there, met, name="left")
        s.start(take_both, there, here, met, name="right")


@stuck(CYCLE, left=RLOCK, right=RLOCK)
def rlocks_of_foreign_threads() -> None:
    """Two threads that potok did not start: they are tasks where they use potok, and hold RLocks as such."""
    here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)
    failed: list[potok.DeadlockError] = []

    def run(first: potok.RLock, second: potok.RLock) -> None:
        try:
            take_both(first, second, met)
        except potok.DeadlockError as error:
            failed.append(error)

    threads = [
        threading.Thread(target=run, args=args, name=name, daemon=True)
        for name, args in {"left": (here, there), "right": (there, here)}.items()
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    raise ExceptionGroup("of the threads", failed)


@stuck(CYCLE, THREADS, COROUTINES, left=RLOCK, right=RLOCK)
def rlocks_of_root_tasks(on: str) -> None:
    """Tasks of the root, which no block waits for; the main thread asks for the result of one."""
    here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)
    left = potok.start(take_both, here, there, met, on=on, name="left")
    right = potok.start(take_both, there, here, met, on=on, name="right")
    try:
        left.result()
    finally:
        right.join()


@stuck(CYCLE, THREADS, COROUTINES, left=RLOCK, right=RLOCK)
def deadlock_that_is_caught(on: str) -> None:
    """The tasks catch the error, release what they hold and do it again in the right order: nothing else is lost."""
    here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)
    caught: list[potok.DeadlockError] = []
    done: list[bool] = []

    def careful(first: potok.RLock, second: potok.RLock) -> None:
        try:
            take_both(first, second, met)
        except potok.DeadlockError as error:
            caught.append(error)
            with here, there:
                done.append(True)

    with potok.scope(on=on) as s:
        s.start(careful, here, there, name="left")
        s.start(careful, there, here, name="right")
    assert len(done) == len(caught) > 0
    raise caught[0]


@stuck(CYCLE, THREADS, COROUTINES, PROCESSES, body=JOIN, child=RLOCK)
def joining_with_the_lock_held(on: str) -> None:
    """The body waits for its task inside the lock that the task needs to come to its end."""
    lock = potok.RLock()

    def child() -> None:
        with lock:
            pass

    with potok.scope(on=on) as s, lock:
        s.start(child, name="child").join()


@stuck(CYCLE, THREADS, COROUTINES, body="scope", child=RLOCK)
def scope_left_with_the_lock_held(on: str) -> None:
    """The lock is taken around the scope instead of in it: the block waits for a task that waits for the lock."""
    lock = potok.RLock()

    def child() -> None:
        with lock:
            pass

    with lock, potok.scope(on=on) as s:
        s.start(child, name="child")


@stuck(CYCLE, THREADS, COROUTINES, left=JOIN, right=JOIN)
def joining_each_other(on: str) -> None:
    """Two stages each wait for the end of the other before they say that they are done."""
    others: dict[str, potok.Task[None]] = {}
    known = potok.Event()

    def stage(other: str) -> None:
        known.wait()
        others[other].join()

    with bystander(), potok.scope(on=on) as s:
        others["left"] = s.start(stage, "right", name="left")
        others["right"] = s.start(stage, "left", name="right")
        known.set()


@stuck(CYCLE, THREADS, COROUTINES, left=JOIN, right=JOIN)
def results_of_each_other_in_coroutine_functions(on: str) -> None:
    """Two `async def` tasks await each other's result; each needs the other's to have its own."""
    others: dict[str, potok.Task[int]] = {}
    known = potok.Event()

    async def part(other: str) -> int:
        await known
        return 1 + await others[other]

    with potok.scope(on=on) as s:
        others["left"] = s.start(part, "right", name="left")
        others["right"] = s.start(part, "left", name="right")
        known.set()


@stuck(CYCLE, THREADS, COROUTINES, owner="scope", member=JOIN, spared=("busy",))
def scope_that_waits_for_who_waits_for_its_owner(on: str) -> None:
    """A task's scope waits for a member; the member wants the task's result. Somebody else is busy."""

    def owner() -> None:
        me = potok.current_task()
        with potok.scope() as inner:
            inner.start(me.result, name="member")

    with potok.scope(on=on) as s:
        s.start(work_on, name="busy")
        s.start(owner, name="owner")


@stuck(CYCLE, THREADS, COROUTINES, outer="scope", inner=RLOCK, holder=JOIN)
def lock_scope_and_join_in_one_cycle(on: str) -> None:
    """Three tasks and three ways to wait: a scope's end, a lock, a join. Each is held up by the next."""
    lock, held = potok.RLock(), potok.Event()

    def need_the_lock() -> None:
        held.wait()
        with lock:
            pass

    def outer() -> None:
        with potok.scope() as s:
            s.start(need_the_lock, name="inner")

    def hold(task: potok.Task[None]) -> None:
        with lock:
            held.set()
            task.join()

    with bystander(), potok.scope(on=on) as s:
        s.start(hold, s.start(outer, name="outer"), name="holder")


@stuck(CYCLE, THREADS, COROUTINES, **{f"reader-{n}": RLOCK for n in range(4)})
def four_rlocks_and_a_crowd_behind(on: str) -> None:
    """A ring of four, and tasks behind that wait for its locks: they go on as the ring is broken."""
    locks, met = [potok.RLock() for _ in range(4)], potok.Barrier(4)

    def late(lock: potok.RLock) -> None:
        with lock:
            pass

    with potok.scope(on=on, on_fail="collect") as s:
        for n in range(4):
            s.start(take_both, locks[n], locks[(n + 1) % 4], met, name=f"reader-{n}")
        for n in range(4):
            s.start(late, locks[n], name=f"late-{n}")
