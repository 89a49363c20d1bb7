"""Shared objects between processes: what becomes of them when workers die, functions hang, values can't be pickled."""

import os
import signal
import threading
import time
from typing import Any

import pytest

import potok
from potok.testing import wait_all_parked

TESTED = potok.processes(preload=("pytest",))

HELD = threading.Event()
"""What a function waits for at home, without parking: the tests' own process has set it only when it should go on."""


@pytest.fixture(autouse=True)
def go_on() -> Any:
    HELD.clear()
    yield
    HELD.set()


def kill(task: potok.Task[Any]) -> None:
    os.kill(task.pid, signal.SIGKILL)
    task.join()


def add(box: Any) -> int:
    box.value += 1
    return int(box.value)


def holds_at_home(content: Any, entered: potok.Event) -> str:
    content.append("begun")
    entered.set()
    HELD.wait()
    content.append("done")
    return "done"


def parks_at_home(content: Any, entered: potok.Event) -> None:
    content.append("begun")
    entered.set()
    potok.Event().wait()


def asks_for(shared: Any, fn: Any, *args: Any) -> Any:
    return shared.atomic(fn, *args)


# ── killed ──────────────────────────────────────────────────────────────────────────────────────────────────


def changes_half(ns: potok.Namespace) -> None:
    with ns.locked() as it:
        it.x = 0
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)


def moves(ns: Any) -> None:
    ns.x, ns.y = ns.y, ns.x


def test_worker_that_dies_inside_of_locked_leaves_it_abandoned() -> None:
    """Everybody is told, whatever they want to do, from wherever, until somebody has looked after it."""
    ns = potok.Namespace(x=1, y=2)
    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED, on_fail="collect") as s:
        s.start(changes_half, ns, name="mover").join()
        for use in (lambda: ns.x, lambda: ns.atomic(moves), lambda: ns.locked().__enter__()):
            with pytest.raises(potok.AbandonedLock, match="mover"):
                use()
        with pytest.raises(potok.AbandonedLock):
            s.start(asks_for, ns, moves).result()
        assert s.start(ns.recover).result()
        assert (ns.x, ns.y) == (0, 2)
        s.start(asks_for, ns, moves).result()
    assert (ns.x, ns.y) == (2, 0)


def test_worker_that_dies_while_its_function_runs_at_home() -> None:
    """The function runs to its end: nothing is half done, and the object is free then."""
    items: potok.Shared[list[str]] = potok.share([])
    entered = potok.Event()
    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED, on_fail="collect") as s:
        victim = s.start(asks_for, items, holds_at_home, entered)
        entered.wait()
        next_one = s.start(asks_for, items, list.append, "next")
        wait_for_waiter(items)
        kill(victim)
        HELD.set()
        next_one.result()
    assert list(items) == ["begun", "done", "next"]


def wait_for_waiter(shared: Any) -> None:
    """Until somebody waits for the lock: the function that holds it does not park, so not all are parked."""
    while not shared._machine.waiters.count():
        time.sleep(0)


def test_function_of_a_dead_worker_does_not_wait_on() -> None:
    """At its park point it is cancelled; the object is as it left it, and free."""
    items: potok.Shared[list[str]] = potok.share([])
    entered = potok.Event()
    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED, on_fail="collect") as s:
        victim = s.start(asks_for, items, parks_at_home, entered)
        entered.wait()
        kill(victim)
        items.append("next")
    assert list(items) == ["begun", "next"]


def asks_inside_of_locked(items: Any, entered: potok.Event) -> None:
    with items.locked():
        items.atomic(holds_at_home, entered)


def test_worker_that_dies_while_its_function_runs_inside_of_locked() -> None:
    """The function ends, then the object is abandoned: its block was not left."""
    items: potok.Shared[list[str]] = potok.share([])
    entered = potok.Event()
    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED, on_fail="collect") as s:
        victim = s.start(asks_inside_of_locked, items, entered, name="victim")
        entered.wait()
        kill(victim)
        HELD.set()
        with pytest.raises(potok.AbandonedLock, match="victim"):
            items.append("next")
        assert items.recover()
    assert list(items) == ["begun", "done"]


def test_worker_that_dies_waiting_for_the_lock_does_nothing() -> None:
    """The next in line gets it."""
    items: potok.Shared[list[str]] = potok.share([])
    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED, on_fail="collect") as s:
        with items.locked() as it:
            victim = s.start(asks_for, items, list.append, "the victim's")
            wait_all_parked()
            last = s.start(asks_for, items, list.append, "next")
            wait_all_parked()
            kill(victim)
            it.append("inside")
        last.result()
    assert list(items) == ["inside", "next"]


def makes_and_stays(tx: potok.Sender[Any], go_on: potok.Event) -> None:
    tx.send(potok.share([]))
    go_on.wait()


def test_death_of_the_home_is_told_to_who_uses_it() -> None:
    """Who waits for an answer gets WorkerDied, who comes later is told that the home has ended: from anywhere."""
    tx, rx = potok.channel()
    entered, go_on = potok.Event(), potok.Event()
    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED, on_fail="collect") as s:
        home = s.start(makes_and_stays, tx, go_on)
        items = rx.recv()
        waiting = s.start(asks_for, items, parks_at_home, entered)
        entered.wait()
        kill(home)
        assert isinstance(waiting.exception(), potok.WorkerDied)
        with pytest.raises(potok.PotokError, match="ended"):
            items.append(1)
        with pytest.raises(potok.PotokError, match="ended"):
            s.start(asks_for, items, len).result()


# ── functions that take long, and cancellation ──────────────────────────────────────────────────────────────


def counts(total: potok.Value[int], n: int) -> None:
    for _ in range(n):
        total.atomic(add)


def test_function_that_does_not_end_keeps_nobody_else_waiting() -> None:
    """Other objects, channels and tasks go on: whoever reads the links does not run it."""
    items: potok.Shared[list[str]] = potok.share([])
    total, entered = potok.Value(0), potok.Event()
    tx, rx = potok.channel()
    with potok.scope(on=TESTED) as s:
        slow = s.start(asks_for, items, holds_at_home, entered)
        entered.wait()
        s.start(counts, total, 100).result()
        sender = s.start(tx.send, "passed")
        assert rx.recv() == "passed"
        sender.result()
        assert (total.value, slow.done()) == (100, False)
        HELD.set()
        assert slow.result() == "done"


def all_hang(shared: list[Any], entered: list[potok.Event]) -> None:
    """Each in a task of its own, for the task that asks waits."""
    with potok.scope(on="threads") as s:
        for items, event in zip(shared, entered, strict=True):
            s.start(asks_for, items, holds_at_home, event)


def test_many_functions_that_do_not_end() -> None:
    """Each has a thread to itself: none queues behind another object's."""
    shared: list[Any] = [potok.share([]) for _ in range(20)]
    entered = [potok.Event() for _ in shared]
    with potok.scope(on=TESTED) as s:
        s.start(all_hang, shared, entered)
        for event in entered:
            event.wait()
        HELD.set()
    assert all(list(items) == ["begun", "done"] for items in shared)


def test_cancelled_scope_takes_the_functions_along() -> None:
    """One that waits at home is cancelled there, and the object is free."""
    items: potok.Shared[list[str]] = potok.share([])
    entered = potok.Event()
    with potok.scope(on=TESTED) as s:
        s.start(asks_for, items, parks_at_home, entered)
        entered.wait()
        s.cancel()
    items.append("after")
    assert list(items) == ["begun", "after"]


def times_out(items: Any, entered: potok.Event) -> str:
    try:
        with potok.timeout(0.05):
            items.atomic(parks_at_home, entered)
    except TimeoutError:
        return "in time"
    return "too late"


def test_timeout_ends_a_function_that_waits() -> None:
    """The deadline of the caller reaches its park point, once: it is not run again."""
    items: potok.Shared[list[str]] = potok.share([])
    with potok.scope(on=TESTED) as s:
        assert s.start(times_out, items, potok.Event()).result() == "in time"
    assert list(items) == ["begun"]


async def asyncio_times_out(items: Any, entered: potok.Event) -> str:
    import asyncio

    try:
        await asyncio.wait_for(items.aatomic(parks_at_home, entered), 0.05)
    except TimeoutError:
        return "in time"
    return "too late"


def test_asyncios_timeout_ends_a_function_that_waits() -> None:
    """asyncio's way to cancel takes it back, too."""
    items: potok.Shared[list[str]] = potok.share([])
    with potok.scope(on=TESTED) as s:
        assert s.start(asyncio_times_out, items, potok.Event()).result() == "in time"
    assert list(items) == ["begun"]


async def asyncio_gives_up_receiving(ends: list[Any]) -> str:
    import asyncio

    try:
        await asyncio.wait_for(ends[0].arecv(), 0.05)
    except TimeoutError:
        return "in time"
    return "too late"


def test_asyncios_timeout_takes_back_what_waits_elsewhere() -> None:
    """An operation at a home in another process: its recall ends it."""
    tx, rx = potok.channel()
    with tx, potok.scope(on=TESTED) as s:
        assert s.start(asyncio_gives_up_receiving, [rx]).result() == "in time"


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────


def makes_a_lock(content: Any) -> Any:
    content.append("changed")
    return {"lock": threading.Lock()}


def told_of(items: Any, fn: Any, *args: Any) -> str:
    try:
        items.atomic(fn, *args)
    except potok.RemoteError as error:
        return str(error)
    return "it went"


def gives_a_lock(items: Any) -> str:
    return told_of(items, list.append, {"lock": threading.Lock()})


def test_what_cannot_be_pickled_is_named() -> None:
    """A result: the object is as the function left it. An argument: the function did not run."""
    items: potok.Shared[list[str]] = potok.share([])
    with potok.scope(on=TESTED) as s:
        assert "['lock']" in s.start(told_of, items, makes_a_lock).result()
        assert "['lock']" in s.start(gives_a_lock, items).result()
    assert list(items) == ["changed"]


class Refuses:
    """Can't be made again at the other side."""

    def __reduce__(self) -> Any:
        return _refuse, ()


def _refuse() -> None:
    raise LookupError("on purpose")


def sends_what_refuses(items: Any) -> str:
    try:
        items.append(Refuses())
    except potok.RemoteError as error:
        return str(error)
    return "it went"


def test_what_cannot_be_unpickled_at_home_is_told() -> None:
    """The object is as it was, and free."""
    items: potok.Shared[list[str]] = potok.share([])
    with potok.scope(on=TESTED) as s:
        assert "on purpose" in s.start(sends_what_refuses, items).result()
    assert (list(items), items._machine.holder) == ([], None)


def uses_a_global() -> list[int]:
    seen = []
    made: dict[str, Any] = {"__name__": "__main__"}
    exec("def bump(box):\n    box.value += step\n    return box.value\n", made)  # noqa: S102
    total = potok.Value(0)
    for made["step"] in (1, 10):
        seen.append(asks_elsewhere(total, made["bump"]))
    return seen


def asks_elsewhere(total: potok.Value[int], fn: Any) -> int:
    with potok.scope(on="processes") as s:
        return int(s.start(asks_for, total, fn).result())


def test_functions_go_with_their_globals_as_they_are_then() -> None:
    """One of `__main__` that refers to a global is packed anew each time."""
    assert uses_a_global() == [1, 11]


def test_spawned_workers_share_as_well() -> None:
    """The same where there is no forkserver."""
    total = potok.Value(0)
    with potok.scope(on=potok.processes(start_method="spawn")) as s:
        s.start(counts, total, 10)
    assert total.value == 10


def test_two_writers_in_two_processes_lose_nothing() -> None:
    """Nor do writers in this one meanwhile."""
    total = potok.Value(0)
    with potok.scope(on=TESTED) as s:
        for on in ("threads", "coroutines", TESTED, TESTED):
            s.start(counts, total, 300, on=on)
    assert total.value == 1200
