"""A greenlet that waits for ever is never freed, nor what its frames refer to: potok leaves none behind."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import potok
from potok.kernel.current import carrier
from potok.kernel.looping import kernel_of


def wait() -> None:
    potok.sleep(0)


async def await_() -> None:
    await potok.asleep(0)


TASKS = pytest.mark.parametrize("task", [wait, await_], ids=["def", "async"])


@TASKS
def test_a_thread_that_ran_coroutines_ends_their_greenlets(task: Callable[[], Any]) -> None:
    """Plain code's greenlets wait for the next scope's tasks, as long as its thread is there."""
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


@TASKS
def test_a_loop_is_freed_after_potok_was_its_guest(task: Callable[[], Any]) -> None:
    """Nobody is told of the end of a loop that is not potok's: so the greenlets end with the last scope."""
    hubs: list[weakref.ref[object]] = []

    async def run() -> None:
        for _ in range(2):
            async with potok.scope(on="coroutines") as scope:
                scope.start(task)
                scope.start(task)
        hubs.append(weakref.ref(kernel_of(asyncio.get_running_loop()).hub))

    asyncio.run(run())
    gc.collect()
    assert hubs[0]() is None
