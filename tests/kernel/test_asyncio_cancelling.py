"""Whose cancellation is it? asyncio's goes on to whoever asked for it; a scope's own ends with the scope."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

import potok


async def at_a_foreign_await(scope: Any) -> None:
    await asyncio.Event().wait()


async def at_a_park_point(scope: Any) -> None:
    await potok.Event().await_()


async def at_the_end(scope: Any) -> None:
    scope.start(at_a_park_point, scope)


WHERE = [at_a_foreign_await, at_a_park_point, at_the_end]


def by_asyncio(main: Callable[[], Any]) -> Any:
    return asyncio.run(main())


def by_potok(main: Callable[[], Any]) -> Any:
    return potok.run(main)


@pytest.fixture(params=[by_asyncio, by_potok])
def run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return request.param


@pytest.mark.parametrize("wait", WHERE)
def test_a_time_out_of_asyncio_leaves_a_scope(
    run: Callable[..., Any], wait: Callable[..., Awaitable[None]]
) -> None:
    """`asyncio.timeout` around a scope that waits raises TimeoutError, wherever the scope waits."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), potok.scope() as s:
                await wait(s)
        assert asyncio.current_task().cancelling() == 0

    run(main)


@pytest.mark.parametrize("wait", WHERE)
def test_a_cancelled_asyncio_task_does_not_go_on_after_its_scope(
    wait: Callable[..., Awaitable[None]],
) -> None:
    """`task.cancel()` ends a task that waits in a scope."""

    async def waits() -> None:
        async with potok.scope() as s:
            await wait(s)

    async def main() -> None:
        task = asyncio.create_task(waits())
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_scope_absorbs_its_own_cancellation_at_a_foreign_await(run: Callable[..., Any]) -> None:
    """Also through a region inside, and where the body caught it: asyncio's count of requests is as before."""

    async def main() -> None:
        async with potok.scope() as s:
            s.cancel()
            await asyncio.Event().wait()
        async with potok.scope() as s:
            s.cancel()
            with potok.timeout(60):
                await asyncio.Event().wait()
        async with potok.scope() as s:
            s.cancel()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass
        assert asyncio.current_task().cancelling() == 0

    run(main)


def test_asyncio_asked_too(run: Callable[..., Any]) -> None:
    """A scope that was cancelled as well does not swallow asyncio's time-out."""

    async def main() -> None:
        with pytest.raises(TimeoutError):  # noqa: PT012 - the block is the case
            async with asyncio.timeout(0), potok.scope() as s:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    s.cancel()
                    raise

    run(main)


@pytest.mark.parametrize("capacity", [0, 1, 16])
@pytest.mark.parametrize("blocking", [False, True])
def test_a_cancellation_is_not_put_off_for_ever(capacity: int, blocking: bool) -> None:
    """However often an item is just being handed over when it comes: at the next one it is there."""

    def send(tx: potok.Sender[int]) -> None:
        with suppress(potok.ClosedError):
            for item in itertools.count():
                tx.send(item)

    async def asend(tx: potok.Sender[int]) -> None:
        with suppress(potok.ClosedError):
            for item in itertools.count():
                await tx.asend(item)

    async def receive(rx: potok.Receiver[int]) -> None:
        reader = asyncio.current_task()
        assert reader is not None
        asked = None
        with rx:
            async for item in rx:
                if item == 100:
                    asyncio.get_running_loop().call_soon(reader.cancel)
                if reader.cancelling():
                    asked = item if asked is None else asked
                    assert item <= asked + capacity + 10

    async def main() -> None:
        async with potok.scope(on="coroutines") as scope:
            tx, rx = potok.channel(capacity)
            scope.start(send if blocking else asend, tx)
            with pytest.raises(asyncio.CancelledError):
                await asyncio.create_task(receive(rx))
            scope.cancel()

    asyncio.run(main())
