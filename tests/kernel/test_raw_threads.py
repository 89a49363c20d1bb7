"""Threads that `threading` did not start: C code's, those of `_thread`, and any thread at its very end."""

import _thread
import threading

import potok
from potok.testing import wait_all_parked


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
