"""How one test body runs in both colours, on whatever executor, hosted by whatever code.

A body is written once, as a coroutine function that is given `do`, the operations in its colour:

    async def body(do: Do) -> None:
        tx, rx = potok.channel()
        async with do.scope() as s:
            task = s.start(receive, rx)         # `async def receive(do, rx)`: its `do` comes by itself
            await do.send(tx, 1)

In the *awaiting* colour `do.send(tx, 1)` awaits `tx.asend(1)`. In the *plain* colour it calls `tx.send(1)`, which
blocks, so that the coroutine never suspends: one step runs it from beginning to end, inside a plain `def` task.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, Self

import potok
from potok.testing import Sequencer, await_all_parked, wait_all_parked

__all__ = ["Awaiting", "Body", "Do", "Opened", "Plain", "Receives", "Sends", "step"]

Sends = potok.Sender[Any] | potok.Pipe[Any]
Receives = potok.Receiver[Any] | potok.Pipe[Any]

AWAITABLE = {"wait": "await_"}
"""The awaitable spelling of a method where it is not the name with an `a`, which would be a word of the language."""

Body = Callable[..., Coroutine[Any, Any, Any]]
"""`async def body(do, *args)`."""


def step(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never suspends, and return its result."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    raise AssertionError("the body awaited something else than what `do` offers")


class Do(ABC):
    """The operations of potok in one colour. `tick` is a short time on the executor's clock, in seconds."""

    def __init__(self, places: list[tuple[Any, bool]], tick: float) -> None:
        self._places = places
        self._turn = -1  # no iterator: they can't be pickled any more from 3.14 on
        self.tick = tick
        self.on = places[0][0]

    def next_place(self) -> tuple[Any, Do]:
        """On which executor and in which colour the next task is started."""
        self._turn += 1
        on, awaits = self._places[self._turn % len(self._places)]
        return on, (Awaiting if awaits else Plain)(self._places, self.tick)

    def scope(self, *, on_fail: str = "cancel") -> Opened:
        """A scope on the executor under test."""
        return Opened(self, potok.scope(on=self.on, on_fail=on_fail))

    @abstractmethod
    def task(self, fn: Body) -> Callable[..., Any]:
        """The body as a function of this colour, for `start`."""

    @abstractmethod
    async def enter(self, block: Any) -> Any:
        """Enter a context manager that may wait."""

    @abstractmethod
    async def leave(self, block: Any, *error: Any) -> bool:
        """Leave it."""

    @abstractmethod
    async def send(self, tx: Sends, item: Any, timeout: float | None = None) -> None: ...

    @abstractmethod
    async def recv(self, rx: Receives, timeout: float | None = None) -> Any: ...

    @abstractmethod
    def each(self, rx: Any) -> AsyncIterator[Any]: ...

    @abstractmethod
    async def select(self, *arms: Any, **options: Any) -> Any: ...

    @abstractmethod
    async def pri_select(self, *arms: Any, **options: Any) -> Any: ...

    @abstractmethod
    async def sleep(self, seconds: float) -> None: ...

    @abstractmethod
    async def result(self, task: potok.Task[Any]) -> Any: ...

    @abstractmethod
    async def all_parked(self) -> None: ...

    @abstractmethod
    async def call(self, obj: Any, name: str, *args: Any, **options: Any) -> Any:
        """A method with two spellings, like `lock.acquire` and `lock.aacquire`."""

    def step(self, sequence: Sequencer, number: int) -> Block:
        """A block that waits for its turn."""
        return Block(self, sequence(number))

    def block(self, block: Any) -> Block:
        """`with block` or `async with block`."""
        return Block(self, block)

    def timeout(self, seconds: float) -> Region:
        """`with potok.timeout(...)`."""
        return Region(self, potok.timeout(seconds))

    def shield(self) -> Region:
        """`with potok.shield()`."""
        return Region(self, potok.shield())

    async def forever(self) -> None:
        """Park until cancelled."""
        tx, rx = potok.channel(name="forever")
        with tx:
            await self.recv(rx)

    async def outcome(self, task: potok.Task[Any]) -> BaseException | None:
        """The exception that a task ended with, or None."""
        try:
            await self.result(task)
        except Exception as error:  # noqa: BLE001 - the outcome is what was asked for
            return error
        return None


class Block:
    """Something with `__enter__` and `__aenter__`, in one colour."""

    def __init__(self, do: Do, block: Any) -> None:
        self._do = do
        self._block = block

    async def __aenter__(self) -> Any:
        return await self._do.enter(self._block)

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._do.leave(self._block, *error)


class Opened(Block):
    """A scope whose `start` takes bodies and gives each the `do` of its own colour."""

    async def __aenter__(self) -> Self:
        await self._do.enter(self._block)
        return self

    def start(self, fn: Body, *args: Any, name: str | None = None, carry: Any = ()) -> potok.Task[Any]:
        on, do = self._do.next_place()
        task: potok.Task[Any] = self._block.start(do.task(fn), *args, on=on, name=name, carry=carry)
        return task

    def cancel(self, reason: object = "") -> None:
        self._block.cancel(reason)


class Region(Block):
    """A time-out or shield: plain `with` in both colours, but it looks at the colour of the code that enters it."""

    async def __aenter__(self) -> Any:
        if isinstance(self._do, Plain):
            return _enter_plainly(self._block)
        return self._block.__enter__()

    async def __aexit__(self, *error: Any) -> bool | None:
        return bool(self._block.__exit__(*error))


def _enter_plainly(block: Any) -> Any:
    return block.__enter__()


class Each:
    """A plain iterator, to be walked through with `async for`."""

    def __init__(self, iterable: Iterable[Any]) -> None:
        self._iterator = iter(iterable)

    def __aiter__(self) -> Each:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._iterator)
        except StopIteration:
            raise StopAsyncIteration from None


class Plain(Do):
    """The blocking spellings."""

    def task(self, fn: Body) -> Callable[..., Any]:
        @functools.wraps(fn)
        def plain(*args: Any) -> Any:
            return step(fn(self, *args))

        return plain

    async def enter(self, block: Any) -> Any:
        return block.__enter__()

    async def leave(self, block: Any, *error: Any) -> bool:
        return bool(block.__exit__(*error))

    async def send(self, tx: Sends, item: Any, timeout: float | None = None) -> None:
        tx.send(item, timeout)

    async def recv(self, rx: Receives, timeout: float | None = None) -> Any:
        return rx.recv(timeout)

    def each(self, rx: Any) -> AsyncIterator[Any]:
        return Each(rx)

    async def select(self, *arms: Any, **options: Any) -> Any:
        return potok.select(*arms, **options)

    async def pri_select(self, *arms: Any, **options: Any) -> Any:
        return potok.pri_select(*arms, **options)

    async def sleep(self, seconds: float) -> None:
        potok.sleep(seconds)

    async def result(self, task: potok.Task[Any]) -> Any:
        return task.result()

    async def all_parked(self) -> None:
        wait_all_parked()

    async def call(self, obj: Any, name: str, *args: Any, **options: Any) -> Any:
        return getattr(obj, name)(*args, **options)


class Awaiting(Do):
    """The awaitable spellings."""

    def task(self, fn: Body) -> Callable[..., Any]:
        @functools.wraps(fn)
        async def awaiting(*args: Any) -> Any:
            return await fn(self, *args)

        return awaiting

    async def enter(self, block: Any) -> Any:
        return await block.__aenter__()

    async def leave(self, block: Any, *error: Any) -> bool:
        return bool(await block.__aexit__(*error))

    async def send(self, tx: Sends, item: Any, timeout: float | None = None) -> None:
        await tx.asend(item, timeout)

    async def recv(self, rx: Receives, timeout: float | None = None) -> Any:
        return await rx.arecv(timeout)

    def each(self, rx: Any) -> AsyncIterator[Any]:
        return rx.__aiter__()  # type: ignore[no-any-return]

    async def select(self, *arms: Any, **options: Any) -> Any:
        return await potok.aselect(*arms, **options)

    async def pri_select(self, *arms: Any, **options: Any) -> Any:
        return await potok.apri_select(*arms, **options)

    async def sleep(self, seconds: float) -> None:
        await potok.asleep(seconds)

    async def result(self, task: potok.Task[Any]) -> Any:
        return await task

    async def all_parked(self) -> None:
        await await_all_parked()

    async def call(self, obj: Any, name: str, *args: Any, **options: Any) -> Any:
        return await getattr(obj, AWAITABLE.get(name, f"a{name}"))(*args, **options)
