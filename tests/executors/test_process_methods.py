"""Queues and pipes between processes: every method does there what it does here, wherever their home is."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

import potok

TESTED = potok.processes(preload=("pytest",))

KINDS = ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"]


def make(kind: str) -> Any:
    return getattr(potok, kind)(*(() if kind == "SimpleQueue" else (2,)))


class Outcomes(list[Any]):
    """What came of one call after the other: a value, or the type of an error."""

    def of(self, call: Callable[..., Any], *args: Any, **options: Any) -> None:
        try:
            self.append(call(*args, **options))
        except Exception as error:  # noqa: BLE001 - it is compared
            self.append(type(error).__name__)

    async def aof(self, call: Any) -> None:
        try:
            self.append(await call)
        except Exception as error:  # noqa: BLE001
            self.append(type(error).__name__)


def in_pairs(number: int) -> tuple[int, str]:
    return number, "x"


def use_queue(queue: Any) -> list[Any]:
    got = Outcomes()
    item = in_pairs if "Priority" in repr(queue) else int
    bounded = "Simple" not in repr(queue)
    for call in (lambda: queue.put(item(3)), lambda: queue.put_nowait(item(1)), queue.qsize, queue.empty):
        got.of(call)
    if bounded:
        got.of(queue.full)
        for options in ({"block": False}, {"timeout": 0.01}, {"timeout": 0}, {"timeout": -1}):
            got.of(queue.put, item(9), **options)
        got.of(setattr, queue, "maxsize", 3)
        got.of(queue.put, item(2))
        got += [queue.maxsize, queue.full(), queue.unfinished_tasks]
    else:
        got.of(queue.put, item(2), True, 0.1)
    for _ in range(3):
        got.of(queue.get)
    for options in ({"block": False}, {"timeout": 0.01}, {"timeout": 0}, {"timeout": -1}):
        got.of(queue.get, **options)
    got.of(queue.get_nowait)
    if bounded:
        for call in (
            *[queue.task_done] * 4,
            queue.join,
            lambda: queue.put(item(4)),
            queue.shutdown,
            queue.shutdown,
        ):
            got.of(call)
        got += [queue.is_shutdown, queue.unfinished_tasks]
        got.of(queue.put, item(5))
        for call in (queue.get, queue.get, queue.get_nowait, lambda: queue.shutdown(immediate=True)):
            got.of(call)
    return got


async def ause_queue(queue: Any) -> list[Any]:
    got = Outcomes()
    item = in_pairs if "Priority" in repr(queue) else int
    await got.aof(queue.aput(item(3)))
    await got.aof(queue.aput(item(1)))
    if "Simple" not in repr(queue):
        await got.aof(queue.aput(item(9), timeout=0.01))
    for timeout in (None, 0.1, 0.01):
        await got.aof(queue.aget(timeout=timeout))
    if "Simple" not in repr(queue):
        got.of(queue.task_done)
        got.of(queue.task_done)
        await got.aof(queue.ajoin())
        got.of(queue.put, item(1))
        got.of(queue.join)
    got.of(queue.get)
    return got


def use_pipe(ends: tuple[Any, Any]) -> list[Any]:
    here, there = ends
    got = Outcomes()
    for call in (
        lambda: here.send(1),
        lambda: here.send_nowait(2),
        lambda: here.send(9, timeout=0.01),
        lambda: here.send_nowait(9),
        *(lambda timeout=timeout: there.poll(timeout) for timeout in (0, 0.01, None)),
        here.poll,
        lambda: here.poll(0.01),
        lambda: here.poll(-1),
        there.recv,
        there.recv_nowait,
        there.recv_nowait,
        lambda: there.recv(timeout=0.01),
        lambda: there.send({"a": [1]}),
        here.recv,
        lambda: potok.select(here.sending(5)).index,
        lambda: potok.select(there).value,
        lambda: potok.select(there, default=3).value,
        lambda: potok.select(there, timeout=0.01).value,
        lambda: here.send(7),
    ):
        got.of(call)
    clone = here.clone()
    here.close()
    got += [here.closed, clone.closed]
    for call in (lambda: here.send(1), here.recv, here.poll, lambda: clone.send(8), clone.close):
        got.of(call)
    for call in (
        lambda: list(there),
        there.poll,
        there.recv,
        lambda: there.send(1),
        there.close,
        there.close,
    ):
        got.of(call)
    return got


def cancel_pipe(ends: tuple[Any, Any]) -> list[Any]:
    here, there = ends
    got = Outcomes()
    with here:
        here.send(1)
        here.cancel(LookupError("why"))
        for call in (there.recv, lambda: there.send(2), here.recv):
            got.of(call)
    got.append(here.closed)
    there.close()
    return got


async def ause_pipe(ends: tuple[Any, Any]) -> list[Any]:
    here, there = ends
    got = Outcomes()
    for call in (
        here.asend(1),
        there.apoll(),
        there.apoll(None),
        there.arecv(),
        there.apoll(0.01),
        there.arecv(timeout=0.01),
        here.asend(2),
        here.asend(3),
    ):
        await got.aof(call)
    here.close()
    got.append([item async for item in there])
    await got.aof(there.arecv())
    there.close()
    return got


def lend(tx: potok.Sender[Any], made: Callable[[], Any], go_on: potok.Event) -> None:
    tx.send(made())
    go_on.wait()


def here(use: Any, thing: Any) -> Any:
    """In a task of this process."""
    with potok.scope(on="threads") as s:
        return s.start(use, thing).result()


def there(use: Any, thing: Any) -> Any:
    """In a task of another process."""
    with potok.scope(on=TESTED) as s:
        return s.start(use, thing).result()


def from_there(make_it: Callable[[], Any], use: Any, run: Any) -> Any:
    """With the home in another process."""
    tx, rx = potok.channel()
    go_on = potok.Event()
    with potok.scope(on=TESTED) as s:
        s.start(lend, tx, make_it, go_on)
        got = run(use, rx.recv())
        go_on.set()
        return got


class Made:
    """A function that can be sent."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self) -> Any:
        return potok.pipe(2) if self.kind == "pipe" else make(self.kind)


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        *((kind, use) for kind in KINDS for use in (use_queue, ause_queue)),
        *(("pipe", use) for use in (use_pipe, ause_pipe, cancel_pipe)),
    ],
    ids=lambda it: it if isinstance(it, str) else it.__name__,
)
def test_every_method_does_there_what_it_does_here(kind: str, use: Any) -> None:
    """Used by a worker with the home here, with the home in a worker, and between two workers."""
    made = Made(kind)
    expected = here(use, made())
    assert there(use, made()) == expected
    assert from_there(made, use, here) == expected
    assert from_there(made, use, there) == expected


def get_until_shutdown(queue: Any) -> list[Any]:
    got = []
    try:
        while True:
            got.append(queue.get())
            queue.task_done()
    except potok.ShutDown:
        return got


def test_consumers_in_processes_empty_a_queue_and_end_with_it() -> None:
    """`join` waits for them; `shutdown` ends those who wait."""
    queue: potok.Queue[int] = potok.Queue(3)
    with potok.scope(on=TESTED) as s:
        tasks = [s.start(get_until_shutdown, queue) for _ in range(2)]
        for item in range(50):
            queue.put(item)
        queue.join()
        queue.shutdown()
        got = [task.result() for task in tasks]
    assert sorted(got[0] + got[1]) == list(range(50))


def run_inline(ends: list[Any], event: potok.Event, total: potok.Value[int]) -> list[Any]:
    got = Outcomes()
    for call in (ends[0].recv, event.wait, lambda: total.atomic(lambda box: box.value)):
        got.of(potok.run, call, on="inline")
    return got


def test_inline_task_in_a_worker_waits_for_nobody() -> None:
    """What would wait elsewhere is called back and refused; what is done at once is done."""
    tx, rx = potok.channel()
    with tx, potok.scope(on=TESTED) as s:
        got = s.start(run_inline, [rx], potok.Event(), potok.Value(3)).result()
    assert got == ["DeadlockError", "DeadlockError", 3]


def receive_three(rx: potok.Receiver[Any]) -> list[Any]:
    got = Outcomes()
    for _ in range(3):
        got.of(rx.recv)
    return [item.is_set() if isinstance(item, potok.Event) else item for item in got]


@pytest.mark.parametrize("capacity", [3, potok.UNBOUNDED])
def test_what_was_sent_before_a_channel_was_shared_arrives(capacity: Any) -> None:
    """Handles and lists; what can't be pickled is an error of its receiver, and the others come all the same."""
    tx, rx = potok.channel(capacity)
    for item in (potok.Event(), threading.Lock(), [1]):
        tx.send(item)
    with potok.scope(on=TESTED) as s:
        assert s.start(receive_three, rx).result() == [False, "RemoteError", [1]]
