"""Wait until nothing can happen any more by itself: the tests' alternative to sleeping and hoping.

Parked is a task whose waiter nobody has claimed, or an asyncio task that potok started and that awaits a future.
Tasks of other threads can't be stopped to look at them, so they are looked at twice. A waiter is one-shot: whoever
stands parked at the same one in both looks was parked in between, all of them at the moment between the two looks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from potok.kernel import parking
from potok.kernel.build import FREE_THREADED
from potok.kernel.imported import imported
from potok.kernel.parking import check_timeout
from potok.kernel.stuck import live_tasks, place
from potok.kernel.task import Task
from potok.primitives.tasks import asleep, current_task, sleep

__all__ = ["await_all_parked", "wait_all_parked"]

PATIENCE = 50  # looks before the first real pause: what shares our thread gets its turns in a sleep of 0 s
SHORTEST, LONGEST = 0.00005, 0.002  # pauses while tasks of other threads run, in seconds


def wait_all_parked(timeout: float = 10.0) -> None:
    """Block until every live task but the caller is parked: none of them will go on unless somebody makes it.

    Tasks that sleep, or wait with a time-out, count as parked. A park point.

    Raises: TimeoutError, naming the tasks that still run, after `timeout` seconds of real time.
    """
    for pause in _pauses(current_task(), timeout):
        sleep(pause)


async def await_all_parked(timeout: float = 10.0) -> None:
    """The awaitable spelling of `wait_all_parked`."""
    for pause in _pauses(current_task(), timeout):
        await asleep(pause)


def _pauses(me: Task[Any], timeout: float) -> Iterator[float]:
    """How many seconds to sleep between two looks, until all are parked."""
    check_timeout(timeout)
    deadline = time.monotonic() + timeout
    pause, looks = SHORTEST, 0
    yield 0.0
    while not _all_parked(me):
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout} s these tasks still run: {', '.join(_running(me))}")
        looks += 1
        if looks < PATIENCE:
            yield 0.0
        else:
            yield pause
            pause = min(2 * pause, LONGEST)


def _all_parked(me: Task[Any]) -> bool:
    """Whether all stand where they stood a moment ago: each time a task parks it has another waiter."""
    looking = imported("potok.remote.looking")
    if looking is not None:
        first = looking.look(me)
        return first is not None and first == looking.look(me)
    parking.reuse = False
    try:
        first = _places(me)
        return None not in first.values() and first == _places(me)
    finally:
        parking.reuse = not FREE_THREADED


def _running(me: Task[Any]) -> list[str]:
    return [str(info) for info in live_tasks() if info.task is not me and place(info.task) is None]


def _places(me: Task[Any]) -> dict[Task[Any], Any]:
    return {info.task: place(info.task) for info in live_tasks() if info.task is not me}
