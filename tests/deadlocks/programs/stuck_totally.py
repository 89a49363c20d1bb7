"""Nobody can go on: every task waits, and neither a foreign thread nor a timer, reader or signal handler is there.

What these tasks wait for might come from anybody, so only that nobody is left proves the deadlock.
"""

import signal

from catalogue import TOTAL, stuck

import potok

THREADS, COROUTINES, PROCESSES = "threads", "coroutines", "processes"
BOTH = (THREADS, COROUTINES)


@stuck(TOTAL, body="lock")
def lock_taken_twice() -> None:
    """A method that locks calls another that locks, too; the lock is no RLock."""
    lock = potok.Lock()
    with lock, lock:
        pass


@stuck(TOTAL, *BOTH, task="lock")
def lock_taken_twice_in_a_task(on: str) -> None:
    """The same in a task, by a helper function."""
    lock = potok.Lock()

    def helper() -> None:
        with lock:
            pass

    def task() -> None:
        with lock:
            helper()

    with potok.scope(on=on) as s:
        s.start(task, name="task")


@stuck(TOTAL, *BOTH, PROCESSES, **{f"philosopher-{n}": "lock" for n in range(5)})
def dining_philosophers(on: str) -> None:
    """Five of them, each with the left fork in hand, wait for the right one."""
    forks, seated = [potok.Lock() for _ in range(5)], potok.Barrier(5)

    def philosopher(left: potok.Lock, right: potok.Lock, seated: potok.Barrier) -> None:
        with left:
            seated.wait()
            with right:
                pass

    with potok.scope(on=on) as s:
        for n in range(5):
            s.start(philosopher, forks[n], forks[(n + 1) % 5], seated, name=f"philosopher-{n}")


@stuck(TOTAL, *BOTH, transfer="semaphore", audit="semaphore")
def semaphores_as_locks(on: str) -> None:
    """Two semaphores of one permit, taken in opposite order."""

    def take_both(first: potok.Semaphore, second: potok.Semaphore, met: potok.Barrier) -> None:
        with first:
            met.wait()
            with second:
                pass

    here, there, met = potok.Semaphore(1), potok.Semaphore(1), potok.Barrier(2)
    with potok.scope(on=on) as s:
        s.start(take_both, here, there, met, name="transfer")
        s.start(take_both, there, here, met, name="audit")


@stuck(TOTAL, *BOTH, late="semaphore")
def permit_lost_on_an_error(on: str) -> None:
    """The error path of a connection pool forgets to give its permit back; the next one waits for it."""
    permits = potok.Semaphore(1)

    def query(*, broken: bool) -> None:
        permits.acquire()
        if broken:
            return
        permits.release()

    with potok.scope(on=on) as s:
        s.start(lambda: query(broken=True), name="early").join()
        s.start(lambda: query(broken=False), name="late")


@stuck(TOTAL, *BOTH, first="semaphore", second="semaphore")
def readers_that_both_become_writers(on: str) -> None:
    """Readers have a permit each, a writer needs all of them: two readers upgrade at the same time."""
    permits, met = potok.Semaphore(2), potok.Barrier(2)

    def upgrade() -> None:
        with permits:
            met.wait()
            with permits:
                pass

    with potok.scope(on=on) as s:
        s.start(upgrade, name="first")
        s.start(upgrade, name="second")


@stuck(TOTAL, *BOTH, PROCESSES, waiter="event")
def event_that_the_error_path_does_not_set(on: str) -> None:
    """The starter returns early, before `ready.set()`."""

    def prepare(ready: potok.Event, config: dict[str, str]) -> None:
        if "path" not in config:
            return
        ready.set()

    ready = potok.Event()
    with potok.scope(on=on) as s:
        s.start(prepare, ready, {}, name="starter")
        s.start(ready.wait, name="waiter")


@stuck(TOTAL, *BOTH, consumer="condition")
def notified_before_it_waits(on: str) -> None:
    """A lost wake-up: the condition is waited for without looking whether what it tells of is there already."""
    condition, told = potok.Condition(), potok.Event()

    def produce() -> None:
        with condition:
            condition.notify()
        told.set()

    def consume() -> None:
        told.wait()
        with condition:
            condition.wait()

    with potok.scope(on=on) as s:
        s.start(produce, name="producer")
        s.start(consume, name="consumer")


@stuck(TOTAL, *BOTH, **{"consumer-[ab]": "condition"})
def one_notification_for_two(on: str) -> None:
    """The last item is told of by `notify`, to one of two consumers; the other waits for "closed", which is not."""
    condition, met = potok.Condition(), potok.Barrier(3)
    state = {"closed": False, "waiting": 0}

    def consume() -> None:
        met.wait()
        with condition:
            state["waiting"] += 1
            condition.wait_for(lambda: state["closed"])

    def close() -> None:
        met.wait()
        while True:
            with condition:
                if state["waiting"] == 2:
                    state["closed"] = True
                    condition.notify()
                    return
            potok.checkpoint()

    with potok.scope(on=on) as s:
        s.start(consume, name="consumer-a")
        s.start(consume, name="consumer-b")
        s.start(close, name="closer")


@stuck(TOTAL, *BOTH, waiter="condition")
def nested_monitors(on: str) -> None:
    """Inside the outer lock one waits for a condition, which gives up only the inner one; who notifies needs both."""
    outer, inner, held = potok.RLock(), potok.Condition(), potok.Event()

    def wait() -> None:
        with outer, inner:
            held.set()
            inner.wait()

    def notify() -> None:
        held.wait()
        with outer, inner:
            inner.notify()

    with potok.scope(on=on) as s:
        s.start(wait, name="waiter")
        s.start(notify, name="notifier")


@stuck(TOTAL, *BOTH, PROCESSES, first="barrier", second="barrier")
def barrier_with_a_party_that_has_returned(on: str) -> None:
    """Three parties are expected, and one of them had nothing to do."""

    def party(part: list[int], met: potok.Barrier) -> None:
        if not part:
            return
        met.wait()

    met = potok.Barrier(3)
    with potok.scope(on=on) as s:
        for name, part in {"first": [1], "second": [2], "third": []}.items():
            s.start(party, part, met, name=name)


@stuck(TOTAL, *BOTH, PROCESSES, second="queue", third="queue")
def one_sentinel_for_three_consumers(on: str) -> None:
    """Each consumer stops at the sentinel and takes it away from the others."""

    def consume(queue: "potok.Queue[int | None]") -> None:
        while queue.get() is not None:
            pass

    queue: potok.Queue[int | None] = potok.Queue()
    with potok.scope(on=on) as s:
        first = s.start(consume, queue, name="first")
        for item in (1, 2, None):
            queue.put(item)
        first.join()
        s.start(consume, queue, name="second")
        s.start(consume, queue, name="third")


@stuck(TOTAL, *BOTH, body="queue")
def queue_join_without_task_done(on: str) -> None:
    """The consumer skips bad items with `continue`, past the `task_done`."""
    queue: potok.Queue[str] = potok.Queue()

    def consume() -> None:
        for _ in range(2):
            item = queue.get()
            if not item:
                continue
            queue.task_done()

    with potok.scope(on=on) as s:
        s.start(consume, name="consumer")
        queue.put("good")
        queue.put("")
        queue.join()


@stuck(TOTAL, *BOTH, crawler="queue")
def consumer_that_fills_its_own_queue(on: str) -> None:
    """A crawler puts the links of each page back into the bounded queue that it alone empties."""
    queue: potok.Queue[int] = potok.Queue(2)

    def crawl() -> None:
        while True:
            page = queue.get()
            for link in range(3):
                queue.put(page + link)

    queue.put(0)
    with potok.scope(on=on) as s:
        s.start(crawl, name="crawler")


@stuck(TOTAL, *BOTH, sender="send", receiver="lock")
def channel_and_lock(on: str) -> None:
    """One sends inside the lock that the other takes before it receives."""
    lock, held = potok.Lock(), potok.Event()

    def send_inside(tx: potok.Sender[int]) -> None:
        with lock:
            held.set()
            tx.send(1)

    def receive_inside(rx: potok.Receiver[int]) -> None:
        held.wait()
        with lock:
            rx.recv()

    tx, rx = potok.channel()
    with potok.scope(on=on) as s:
        s.start(send_inside, tx, name="sender")
        s.start(receive_inside, rx, name="receiver")


_requests, _served = potok.channel()


@stuck(TOTAL, *BOTH, server="recv")
def channel_of_the_module(on: str) -> None:
    """The ends are globals, for anybody to use; but nobody is left who could."""

    def serve() -> None:
        _served.recv()

    with potok.scope(on=on) as s:
        s.start(serve, name="server")


@stuck(TOTAL, *BOTH, holder="event")
def select_over_locks_and_events(on: str) -> None:
    """One waits for a lock or for the word to stop; who holds the lock waits for that word, too."""
    lock, stop, held = potok.Lock(), potok.Event(), potok.Event()

    def hold() -> None:
        with lock:
            held.set()
            stop.wait()

    def choose() -> None:
        held.wait()
        potok.select(lock, stop)

    with potok.scope(on=on) as s:
        s.start(hold, name="holder")
        s.start(choose, name="chooser")


@stuck(TOTAL, *BOTH, left="shared", right="shared")
def shared_objects_in_opposite_order(on: str) -> None:
    """Two shared objects, held for several steps each, by two tasks crosswise."""

    def move(
        source: "potok.Shared[list[int]]", target: "potok.Shared[list[int]]", met: potok.Barrier
    ) -> None:
        with source.locked() as held:
            met.wait()
            with target.locked() as other:
                other.append(held.pop())

    here, there, met = potok.share([1]), potok.share([2]), potok.Barrier(2)
    with potok.scope(on=on) as s:
        s.start(move, here, there, met, name="left")
        s.start(move, there, here, met, name="right")


@stuck(TOTAL, PROCESSES, worker="queue")
def parent_joins_before_it_puts(on: str) -> None:
    """The program waits for its worker's end before it puts the word that ends the worker."""

    def work(queue: "potok.Queue[str]") -> None:
        assert queue.get() == "stop"

    queue: potok.Queue[str] = potok.Queue()
    with potok.scope(on=on) as s:
        worker = s.start(work, queue, name="worker")
        worker.join()
        queue.put("stop")


@stuck(TOTAL, worker="event", coroutine="barrier")
def a_worker_a_thread_and_a_coroutine() -> None:
    """Three executors, each task waits for something else, and each for somebody who is not there any more."""
    event, lock, met = potok.Event(), potok.Lock(), potok.Barrier(2)
    lock.acquire()
    with potok.scope(on=THREADS) as s:
        s.start(event.wait, on=PROCESSES, name="worker")
        s.start(lock.acquire, name="thread")
        s.start(met.wait, on=COROUTINES, name="coroutine")


@stuck(TOTAL, *BOTH, waiter="event")
def event_with_a_dump_on_a_signal(on: str) -> None:
    """Nobody sets the event. There is a signal handler, but it is potok's own, and wakes nobody."""
    before = signal.getsignal(signal.SIGUSR1)
    potok.dump_on(signal.SIGUSR1)
    try:
        with potok.scope(on=on) as s:
            s.start(potok.Event().wait, name="waiter")
    finally:
        signal.signal(signal.SIGUSR1, before)
