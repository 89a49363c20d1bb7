"""What an operation raises keeps nothing alive: once it was dealt with, what its task knew goes as the task ends.

An error knows its traceback, that the frames, and these all that their functions knew. If one of potok's own frames
knew the error, channel ends would stay open until the garbage collector comes by, and who waits for their end waits.
"""

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import potok
from potok.testing import wait_all_parked


class Item:
    """Something whose end can be seen."""


def iterate(rx: potok.Receiver[Item]) -> Any:
    item = None
    for item in rx:  # noqa: B007 - the last one
        pass
    return weakref.ref(item)


def receive(rx: potok.Receiver[Item]) -> Any:
    item = rx.recv()
    with pytest.raises(potok.ClosedError):
        rx.recv()
    return weakref.ref(item)


def choose(rx: potok.Receiver[Item]) -> Any:
    item = rx.recv()
    with pytest.raises(potok.ClosedError):
        potok.select(rx)
    return weakref.ref(item)


async def iterate_awaiting(rx: potok.Receiver[Item]) -> Any:
    item = None
    async for item in rx:  # noqa: B007 - the last one
        pass
    return weakref.ref(item)


async def receive_awaiting(rx: potok.Receiver[Item]) -> Any:
    item = await rx.arecv()
    try:
        await rx.arecv()
    except potok.ClosedError:
        return weakref.ref(item)


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("on", ["threads", "coroutines"])
@pytest.mark.parametrize("take", [iterate, receive, choose, iterate_awaiting, receive_awaiting])
@pytest.mark.parametrize("waits", [True, False], ids=["waits for the end", "finds the end"])
def test_an_error_that_was_dealt_with_keeps_nothing(on: str, take: Callable[..., Any], waits: bool) -> None:
    """The last item of a task that met the end of a channel is gone with that task."""
    tx, rx = potok.channel(1)
    with potok.scope(on=on) as s:
        if waits:
            task = s.start(take, rx)
            tx.send(Item())
            wait_all_parked()
            tx.close()
        else:
            tx.send(Item())
            tx.close()
            task = s.start(take, rx)
        assert task.result()() is None


def drop(rx: potok.Receiver[Any]) -> None:
    for _end in rx:
        pass


def drop_in_a_circle(rx: potok.Receiver[Any]) -> None:
    circle = list(rx)
    circle.append(circle)


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("drop", [drop, drop_in_a_circle])
def test_an_end_that_a_worker_let_go_is_closed(drop: Callable[..., None]) -> None:
    """At once; or, where it is garbage in a circle, once the worker idles: it does not wait for more of it."""
    tx, rx = potok.channel()
    reply, replies = potok.channel()
    with potok.scope(on=potok.processes(preload=("pytest",))) as s:
        s.start(drop, rx)
        tx.send(reply)
        reply.close()
        tx.close()
        with pytest.raises(potok.ClosedError):
            replies.recv(timeout=5)
    replies.close()
