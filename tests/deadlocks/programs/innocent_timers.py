"""What looks stuck until a threading.Timer comes to it: a thread of which nobody knows what it will do."""

from catalogue import innocent, later

import potok

BOTH = ("threads", "coroutines")
ALL = (*BOTH, "processes")


@innocent(*ALL)
def timer_that_sends(on: str) -> None:
    """A task receives from a channel whose only sender is among the arguments of a threading.Timer."""
    tx, rx = potok.channel()
    with later(tx.send, "late"), potok.scope(on=on) as s:
        assert s.start(rx.recv).result() == "late"


@innocent(*ALL)
def timer_that_sets_an_event(on: str) -> None:
    """All tasks wait for an event; the Timer lives, so nothing is total."""
    event = potok.Event()
    with later(event.set), potok.scope(on=on) as s:
        for _ in range(3):
            s.start(event.wait)


@innocent(*BOTH)
def timer_that_releases_a_lock(on: str) -> None:
    """The lock is taken twice by one task; a plain lock may be released by anybody, and the Timer does it."""
    lock = potok.Lock()

    def twice() -> None:
        lock.acquire()
        with lock:
            pass

    with later(lock.release), potok.scope(on=on) as s:
        s.start(twice)


@innocent(*BOTH)
def timer_that_cancels(on: str) -> None:
    """Nobody ever sets the event; the Timer cancels the scope."""
    with potok.scope(on=on) as s, later(s.cancel, "enough"):
        s.start(potok.Event().wait).join()
    assert s.cancelled


@innocent(*BOTH)
def timer_that_closes(on: str) -> None:
    """The consumer iterates until the last sender closes, which the Timer does."""
    tx, rx = potok.channel()
    with later(tx.close), potok.scope(on=on) as s:
        assert s.start(list, rx).result() == []


@innocent(*BOTH)
def timer_that_notifies(on: str) -> None:
    """Two tasks wait for a condition; the Timer takes its lock and notifies."""
    condition, told = potok.Condition(), []

    def wait() -> None:
        with condition:
            condition.wait_for(lambda: told)

    def notify() -> None:
        with condition:
            told.append(True)
            condition.notify_all()

    with later(notify), potok.scope(on=on) as s:
        s.start(wait)
        s.start(wait)


@innocent(*BOTH)
def timer_that_completes_a_barrier(on: str) -> None:
    """The party that is missing is the Timer's thread."""
    met = potok.Barrier(2)
    with later(met.wait), potok.scope(on=on) as s:
        s.start(met.wait)


@innocent(*BOTH)
def timer_that_gives_a_permit(on: str) -> None:
    """The semaphore has no permits until the Timer releases one; the queue no item until it puts one."""
    permits: potok.Semaphore = potok.Semaphore(0)
    items: potok.Queue[int] = potok.Queue()

    def give() -> None:
        permits.release()
        items.put(1)

    with later(give), potok.scope(on=on) as s:
        s.start(permits.acquire)
        s.start(items.get)


@innocent(*BOTH)
def rlock_cycle_with_a_way_out(on: str) -> None:
    """Two RLocks in opposite order, but one of the two tasks would also do with an event, which the Timer sets."""
    here, there, met, event = potok.RLock(), potok.RLock(), potok.Barrier(2), potok.Event()

    def firm() -> None:
        with here:
            met.wait()
            with there:
                pass

    def yielding() -> None:
        with there:
            met.wait()
            assert potok.select(here, event).arm is event

    with later(event.set), potok.scope(on=on) as s:
        s.start(firm)
        s.start(yielding)


@innocent(*BOTH)
def rlock_cycle_that_a_timer_breaks(on: str) -> None:
    """Two RLocks in opposite order; a Timer has the `cancel` of one of the two tasks."""
    here, there, met = potok.RLock(), potok.RLock(), potok.Barrier(2)

    def take_both(first: potok.RLock, second: potok.RLock) -> None:
        with first:
            met.wait()
            with second:
                pass

    with potok.scope(on=on) as s:
        left = s.start(take_both, here, there)
        with later(left.cancel, "enough"):
            s.start(take_both, there, here).join()
