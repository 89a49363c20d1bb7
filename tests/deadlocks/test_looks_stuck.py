"""What only looks stuck is listed, by `potok.stuck()` and in the dump; nobody is told that it is a deadlock."""

import subprocess
import sys

import pytest

import potok
from potok.kernel.stuck import dump
from potok.testing import wait_all_parked


@pytest.fixture(params=["threads", "coroutines"])
def on(request):
    return request.param


def hold(lock, over):
    with lock:
        over.wait()


def want(lock):
    with lock:
        pass


def cross(mine, other, meet, over):
    """Two locks in opposite order; anybody may still release one of them."""
    with mine:
        meet.wait()
        with other:
            over.wait()


@pytest.fixture
def crossed(on):
    """Two tasks wait for each other's lock; a third waits for an event, and is waited for."""
    a, b, busy = potok.Lock(), potok.Lock(), potok.Lock()
    over, meet = potok.Event(), potok.Barrier(2)
    with potok.scope(on=on) as s:
        s.start(cross, a, b, meet, over, name="left")
        s.start(cross, b, a, meet, over, name="right")
        s.start(hold, busy, over, name="holder")
        s.start(want, busy, name="wanter")
        wait_all_parked()
        yield
        s.cancel()


def names():
    return {info.name for info in potok.stuck()}


def test_crossed_locks_look_stuck(crossed):
    """Who waits for the other's lock is listed, with its holder; who waits for an event's owner is not."""
    assert names() == {"left", "right"}
    assert {info.name: info.held_by for info in potok.stuck()} == {"left": "right", "right": "left"}


def test_dump_marks_them(crossed, capsys):
    """As the signal of `dump_on` prints it."""
    dump()
    marked = [line for line in capsys.readouterr().err.splitlines() if "(looks stuck)" in line]
    assert [line.split()[1] for line in marked] == ["left", "right"]


def test_nothing_looks_stuck_that_waits_with_a_deadline(on):
    """It will go on by itself."""
    lock = potok.Lock()

    def try_for(seconds):
        return lock.acquire(timeout=seconds)

    lock.acquire()
    with potok.scope(on=on) as s:
        s.start(try_for, 1000)
        wait_all_parked()
        assert potok.stuck() == []
        s.cancel()


ALONE = """
import sys, threading, potok

event, seen = potok.Event(), []

def look():
    while len(seen) < 2:
        seen[:] = [info.name for info in potok.stuck()]
    event.set()

watcher = threading.Thread(target=look)
watcher.start()
with potok.scope(on=sys.argv[1]) as s:
    s.start(event.wait, name="waiter")
watcher.join()
print(*sorted(seen))
"""


def test_where_no_task_runs_all_that_wait_look_stuck(on):
    """Seen from a thread that is none of potok's; in a program of its own, where no other test has left a task."""
    done = subprocess.run([sys.executable, "-c", ALONE, on], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["MainThread", "waiter"]
