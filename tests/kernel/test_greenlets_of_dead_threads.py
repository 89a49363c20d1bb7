"""The main greenlet of a thread outlives the thread where somebody still refers to it."""

import subprocess
import sys

HELD_BY_RUNNING_FRAMES = """
import threading, weakref
import greenlet
import potok

def hold(depth):
    begun, go_on = potok.channel(), potok.channel()

    def work():
        begun[0].send(greenlet.getcurrent())
        go_on[1].recv()

    thread = threading.Thread(target=work)
    thread.start()
    held = begun[1].recv()
    watch = weakref.ref(held)
    go_on[0].send(None)
    thread.join()
    while "thread exited" not in repr(held):
        pass
    if depth:
        hold(depth - 1)
    assert watch() is held, "freed while in use"

hold(20)
"""


def test_a_thread_that_ends_takes_no_reference_from_a_frame_that_runs() -> None:
    """Else it is freed while in use, and the next garbage collection that comes by crashes."""
    done = subprocess.run(
        [sys.executable, "-c", HELD_BY_RUNNING_FRAMES], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
