"""What looks stuck and only waits for a task that is at work: computing, reading, in another process."""

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from catalogue import LOOKS_STUCK, innocent

import potok

BOTH = ("threads", "coroutines")
ALL = (*BOTH, "processes")


def compute() -> None:
    """Keep this thread, if not the processor, from everything else for a while."""
    time.sleep(LOOKS_STUCK)


def want(lock: "potok.Lock | potok.RLock", held: potok.Event) -> None:
    held.wait()
    with lock:
        pass


def hold(lock: "potok.Lock | potok.RLock", held: potok.Event) -> None:
    with lock:
        held.set()
        until = time.monotonic() + LOOKS_STUCK
        while time.monotonic() < until:
            sum(range(1000))


@innocent(*ALL)
def computing_with_the_lock_held(on: str) -> None:
    """Everybody waits for the RLock of a task that computes."""
    lock, held = potok.RLock(), potok.Event()
    with potok.scope(on=on) as s:
        for function in (want, want, hold):
            s.start(function, lock, held)


@innocent(*BOTH)
def lock_released_by_another_task(on: str) -> None:
    """The lock is held by a task that has ended; another task, at work for now, releases it."""
    lock = potok.Lock()

    def release() -> None:
        compute()
        lock.release()

    with potok.scope(on=on) as s:
        s.start(lock.acquire).join()
        s.start(lock.acquire)
        s.start(release)


@innocent(*ALL)
def computing_before_it_sends(on: str) -> None:
    """A whole pipeline waits for its first stage, which computes."""

    def first(tx: "potok.Sender[int]") -> None:
        compute()
        tx.send(1)

    def stage(rx: "potok.Receiver[int]", tx: "potok.Sender[int]") -> None:
        for item in rx:
            tx.send(item + 1)

    tx, rx = potok.channel()
    with potok.scope(on=on) as s:
        s.start(first, tx)
        for _ in range(2):
            behind, last = potok.channel()
            s.start(stage, rx, behind)
            rx = last
        assert list(rx) == [3]


@innocent(*ALL)
def busy_body(on: str) -> None:
    """All tasks wait for the body of the scope, which is not even in potok."""

    def work(jobs: "potok.Receiver[int]") -> None:
        list(jobs)

    tx, rx = potok.channel()
    with potok.scope(on=on) as s:
        for _ in range(2):
            s.start(work, rx)
        compute()
        with tx:
            tx.send(1)


@innocent(*BOTH)
def last_party_of_a_barrier(on: str) -> None:
    """Two parties are there, and the third computes."""
    met = potok.Barrier(3)

    def late() -> None:
        compute()
        met.wait()

    with potok.scope(on=on) as s:
        for function in (met.wait, met.wait, late):
            s.start(function)


@innocent(*BOTH)
def scope_with_a_busy_member(on: str) -> None:
    """Tasks join each other in a chain, three scopes deep; the last one computes."""

    def outer(depth: int) -> None:
        with potok.scope() as s:
            if depth:
                s.start(outer, depth - 1).join()
            else:
                s.start(compute)

    with potok.scope(on=on) as s:
        s.start(outer, 3).join()


@innocent(*BOTH)
def generator_of_a_busy_task(on: str) -> None:
    """A suspended generator has the sender; the task that drives it is between two steps, and computes."""

    def replies(tx: "potok.Sender[str]") -> Iterator[None]:
        yield
        tx.send("late")

    def drive(tx: "potok.Sender[str]") -> None:
        steps = replies(tx)
        del tx
        for _ in steps:
            compute()

    tx, rx = potok.channel()
    with potok.scope(on=on) as s:
        s.start(drive, tx.clone())
        tx.close()
        assert rx.recv() == "late"


@innocent(*BOTH)
def end_that_a_busy_task_drops(on: str) -> None:
    """A task computes and then drops the last sender, which nobody ever closes by hand: it is closed as it goes."""

    def drop() -> "potok.Receiver[int]":
        tx, rx = potok.channel()
        receivers.append(rx)
        known.set()
        compute()
        del tx
        gc.collect()
        return rx

    def read() -> None:
        known.wait()
        assert list(receivers[0]) == []

    receivers: list[potok.Receiver[int]] = []
    known = potok.Event()
    with potok.scope(on=on) as s:
        s.start(drop)
        s.start(read)


@innocent("threads")
def reading_from_a_pipe(on: str) -> None:
    """A task blocks in os.read, outside of potok; the other tasks wait for what it reads."""
    late = "import sys, time; time.sleep(float(sys.argv[1])); print('late', flush=True)"

    def read(tx: "potok.Sender[bytes]", reads: int) -> None:
        tx.send(os.read(reads, 100))

    tx, rx = potok.channel()
    reads, writes = os.pipe()
    with (
        subprocess.Popen([sys.executable, "-S", "-c", late, str(LOOKS_STUCK)], stdout=writes),
        potok.scope(on=on) as s,
    ):
        os.close(writes)
        s.start(read, tx, reads)
        assert rx.recv().startswith(b"late")
    os.close(reads)


@innocent(*BOTH)
def running_a_command(on: str) -> None:
    """A task runs a command to its end, with the RLock held."""
    lock, held = potok.RLock(), potok.Event()

    def run() -> None:
        with lock:
            held.set()
            subprocess.run(
                [sys.executable, "-S", "-c", f"import time; time.sleep({LOOKS_STUCK})"], check=True
            )

    with potok.scope(on=on) as s:
        s.start(want, lock, held)
        s.start(run)


@innocent("threads")
def blocked_in_a_lock_of_threading(on: str) -> None:
    """The holder of the RLock waits for a lock of `threading`, which a task that computes will release."""
    lock, held, theirs = potok.RLock(), potok.Event(), threading.Lock()
    theirs.acquire()

    def hold_both() -> None:
        with lock:
            held.set()
            with theirs:
                pass

    def release() -> None:
        compute()
        theirs.release()

    with potok.scope(on=on) as s:
        s.start(want, lock, held)
        s.start(hold_both)
        s.start(release)


@innocent()
def busy_worker() -> None:
    """The program waits for the result of a worker process, which computes."""
    with potok.scope(on="processes") as s:
        s.start(compute).result()


@innocent()
def busy_worker_among_waiting_ones() -> None:
    """Two workers and a thread wait for the event that a third worker sets when it has computed."""

    def compute_and_set(event: potok.Event) -> None:
        compute()
        event.set()

    event = potok.Event()
    with potok.scope(on="processes") as s:
        s.start(event.wait)
        s.start(event.wait)
        s.start(event.wait, on="threads")
        s.start(compute_and_set, event)


@innocent()
def thread_inside_a_worker() -> None:
    """A foreign thread in a worker process, asleep for now, has the sender; everybody here waits."""

    def work(tx: "potok.Sender[str]") -> None:
        def send_late() -> None:
            time.sleep(LOOKS_STUCK)
            tx.send("late")

        helper = threading.Thread(target=send_late)
        helper.start()
        done.wait()
        helper.join()

    done = potok.Event()
    tx, rx = potok.channel()
    with potok.scope(on="processes") as s:
        s.start(work, tx)
        assert rx.recv() == "late"
        done.set()


@innocent()
def thread_that_talks_to_a_worker() -> None:
    """A worker waits for what a foreign thread of the program will send; the body waits for the worker."""

    def send_late(tx: "potok.Sender[str]") -> None:
        time.sleep(LOOKS_STUCK)
        tx.send("late")

    tx, rx = potok.channel()
    helper = threading.Thread(target=send_late, args=(tx,))
    helper.start()
    with potok.scope(on="processes") as s:
        assert s.start(rx.recv).result() == "late"
    helper.join()


@innocent()
def worker_that_waits_with_a_deadline() -> None:
    """Two workers both receive first; one of them gives up in time and sends."""

    def hasty(rx: "potok.Receiver[int]", tx: "potok.Sender[int]") -> None:
        try:
            rx.recv(timeout=LOOKS_STUCK)
        except TimeoutError:
            tx.send(1)

    def patient(rx: "potok.Receiver[int]", tx: "potok.Sender[int]") -> None:
        rx.recv()

    to_right, from_left = potok.channel()
    to_left, from_right = potok.channel()
    with potok.scope(on="processes") as s:
        s.start(hasty, from_right, to_right)
        s.start(patient, from_left, to_left)
