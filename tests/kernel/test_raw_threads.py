"""Threads that potok did not start, or `threading` neither: what potok leaves of itself there."""

import _thread
import gc
import threading
import weakref

import pytest

import potok
from potok.kernel.current import carrier
from potok.testing import wait_all_parked


async def wait_a_moment() -> None:
    await potok.asleep(0)


@pytest.mark.parametrize("task", [lambda: potok.sleep(0), wait_a_moment], ids=["def", "async"])
def test_a_thread_that_ran_coroutines_leaves_no_greenlet_behind(task: object) -> None:
    """Those that wait for the next scope's tasks end with their thread: nobody else could let go of them."""
    hubs: list[weakref.ref[object]] = []

    def run() -> None:
        for _ in range(2):
            with potok.scope(on="coroutines") as scope:
                scope.start(task)
                scope.start(task)
        hubs.append(weakref.ref(carrier().hub))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    gc.collect()
    assert hubs[0]() is None


def test_a_thread_that_threading_does_not_know_stays_unknown_to_it() -> None:
    """It may use potok, and is not listed by `threading` for that: not as long as it lives, nor after."""
    listed: list[threading.Thread] = []
    tx, rx = potok.channel(1)

    def raw() -> None:
        with tx, potok.scope(on="coroutines") as scope:
            scope.start(tx.send, "sent")
        listed.extend(thread for thread in threading.enumerate() if thread.ident == threading.get_ident())
        ended.set()

    ended = potok.Event()
    _thread.start_new_thread(raw, ())
    assert rx.recv() == "sent"
    ended.wait()
    assert listed == []


def test_a_thread_that_threading_does_not_know_is_named_by_its_number() -> None:
    """`potok.tasks()` has a name for it all the same."""
    idents: list[int] = []
    tx, rx = potok.channel()
    begun, ended = potok.Event(), potok.Event()

    def raw() -> None:
        idents.append(threading.get_ident())
        begun.set()
        rx.recv()
        ended.set()

    _thread.start_new_thread(raw, ())
    begun.wait()
    wait_all_parked()
    names = [info.name for info in potok.tasks()]
    tx.send("go on")
    ended.wait()
    assert names == [f"thread {idents[0]}"]
