"""Threads that `threading` did not start: C code's, those of `_thread`, and any thread at its very end."""

import _thread
import sys
import threading
import types

import pytest

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


@pytest.mark.stress
def test_threads_come_to_use_potok_while_tasks_are_listed() -> None:
    """A look at who lives (reports and dumps, too) takes no notice of threads that are just becoming known."""
    running = [threading.Thread(target=adopt_threads) for _ in range(2)]
    for thread in running:
        thread.start()
    while any(thread.is_alive() for thread in running):
        potok.tasks()
    for thread in running:
        thread.join()


def adopt_threads() -> None:
    for _ in range(30):
        thread = threading.Thread(target=potok.Lock().acquire)
        thread.start()
        thread.join()


def test_thread_parks_while_another_imports_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its module is there then, without anything in it."""
    monkeypatch.setitem(sys.modules, "asyncio.events", types.ModuleType("asyncio.events"))
    assert not potok.Event().wait(0)
