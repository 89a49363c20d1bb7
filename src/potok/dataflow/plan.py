"""What a map was asked to do, and what becomes of an item under its function.

    lot      (first, items, attempts)             neighbours in the input, on their way to a worker
    piece    (first, values, None, attempts)      what became of neighbours that all came out well
             (index, item, error, attempts)       what became of one that did not

A piece says for how many items it speaks: the length of its values, or one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import starmap
from time import monotonic
from types import CoroutineType, FunctionType
from typing import Any, NamedTuple, TypeAlias

import potok

__all__ = [
    "BACK_OFF",
    "ENOUGH",
    "Auto",
    "Lot",
    "Pace",
    "Piece",
    "Plan",
    "pause_before",
    "shown",
    "unheard",
    "without_our_frames",
]


Lot: TypeAlias = tuple[int, list[Any], int]
"""Index of the first item, the items, how often they were tried before."""

Piece: TypeAlias = tuple[int, Any, BaseException | None, int]
"""Index of the first item, its values or the item that failed, the error, how often it was tried."""

BACK_OFF = 0.1
"""Seconds before a first retry; each further one waits twice as long, at most `LONGEST_PAUSE`."""

LONGEST_PAUSE = 10.0

ENOUGH = 0.04
"""Seconds of items in which a probe finds out what a function is like."""

OURS = (__package__, "potok.adviser")

SHORTEST_STRETCH = 16
"""Items that are worked on in one go, where they are many, once the first of a lot were quick."""


def pause_before(attempt: int) -> float:
    """Seconds to wait before try number `attempt` (2 is the first retry)."""
    return min(BACK_OFF * 2.0 ** (attempt - 2), LONGEST_PAUSE)


class Auto(NamedTuple):
    """`on="auto"`: the executor that a measurement shows to be the best."""

    name: str = "auto"
    in_worker: bool = False
    """Whether nothing of the function may run in the caller's process, for what it might do to it."""


class Pace:
    """At most so many starts a second, whoever asks: a `potok.share` of it is asked by all workers."""

    def __init__(self, rate: float) -> None:
        self._step = 1.0 / rate
        self._next = float("-inf")

    def delay(self) -> float:
        """Take the next place in time; seconds until it."""
        now = monotonic()
        place = max(now, self._next)
        self._next = place + self._step
        return place - now


class Plan(NamedTuple):
    """The arguments of one map, checked; and what the workers do with an item."""

    fn: Callable[..., Any]
    name: str  # of the function, for messages and the names of tasks
    is_async: bool
    star: bool  # call fn(*item), not fn(item)
    on: Any
    workers: int
    window: int
    ordered: bool
    on_error: str
    stretches: bool  # the window was left to us: on processes it is as many batches
    batch: int | None = None  # items in a batch; None: as many as pay
    retries: int = 0
    timeout: float | None = None
    pace: Any = None  # a potok.Shared[Pace]
    careful: bool = False  # a worker elsewhere is to tell of each item at once: the next may be its last
    probes: bool = False  # a worker elsewhere is to find out what the function is like

    @property
    def title(self) -> str:
        """What the map is called by, in the names of its tasks."""
        return f"map({self.name})"

    @property
    def is_plain(self) -> bool:
        """Whether an item is one call of the function and no more."""
        return not self.retries and self.timeout is None and self.pace is None

    def apply(self, items: list[Any], into: list[Any]) -> BaseException | None:
        """Call a `def` function on the items in order, as fast as Python can, until one fails: its error.

        The values of those before it are in `into`, whose length thus says which one it was.
        """
        before, fn = len(into), self.fn
        try:
            if self.star:
                into.extend(starmap(fn, items))
            elif type(fn) is FunctionType:  # which the interpreter calls without leaving its own loop
                for item in items:
                    into.append(fn(item))  # noqa: PERF401 - keeps the values of those before one that fails
            else:
                into.extend(map(fn, items))
        except BaseException as error:  # noqa: BLE001 - data from here on: the consumer decides
            return without_our_frames(error)
        if len(into) - before < len(items):  # `extend` takes it for the end of the items
            return StopIteration()
        return self.refuse_coroutines(into, before)

    def refuse_coroutines(self, into: list[Any], before: int = 0) -> BaseException | None:
        """The error of a `def` function that returns coroutines: those are taken out, from the first one on."""
        if not into or type(into[-1]) is not CoroutineType:
            return None
        made = into[before:]
        del into[before:]
        for at, value in enumerate(made):
            if type(value) is CoroutineType:
                for rest in made[at:]:
                    if type(rest) is CoroutineType:
                        rest.close()
                told = f"{self.name} returned a coroutine; give potok.map the async def function itself"
                return TypeError(told)
            into.append(value)
        return None

    def work(self, lot: Lot, begin: Callable[[int | None], None]) -> Iterator[Piece]:
        """What becomes of the items of a lot under a `def` function: piece by piece, to look up in between.

        The first piece is one item: who takes longer than those before should be noticed before the next.
        """
        first, items, tried = lot
        if not self.is_plain:
            for at, item in enumerate(items):
                yield self.attempt(first + at, item, tried, begin)
            return
        done, stretch, longest = 0, 1, max(SHORTEST_STRETCH, len(items) // 16)
        error = None
        try:
            while done < len(items):
                values: list[Any] = []
                error = self.apply(items[done : done + stretch], values)
                at, done, stretch = done, done + len(values), min(2 * stretch, longest)
                if values:
                    yield first + at, values, None, tried + 1
                if error is not None:
                    yield first + done, items[done], error, tried + 1
                    done += 1
        finally:
            error = None  # its traceback leads to this frame

    def attempt(self, index: int, item: Any, tried: int, begin: Callable[[int | None], None]) -> Piece:
        """What becomes of an item under a `def` function, with its place in time, its time-out and its retries.

        `begin` is told as a try of the item begins, and (None) that it has ended.
        """
        attempts = tried
        error: BaseException | None
        while True:
            attempts += 1
            values: list[Any] = []
            try:
                if attempts > 1:
                    potok.sleep(pause_before(attempts))
                if self.pace is not None:
                    potok.sleep(self.pace.atomic(Pace.delay))
                begin(index)
                if self.timeout is None:
                    error = self.apply([item], values)
                else:
                    with potok.timeout(self.timeout):
                        error = _unless_cancelled(self.apply([item], values))
            except TimeoutError:  # of the block: what the function raises is returned by `apply`
                error = self.timed_out()
            except potok.Cancelled as reason:
                error = reason
            begin(None)
            if error is None:
                return index, values, None, attempts
            if attempts > self.retries or not isinstance(error, Exception):
                return index, item, error, attempts

    async def aattempt(self, index: int, item: Any, tried: int, begin: Callable[[int | None], None]) -> Piece:
        """The same in an `async def` task; it awaits an `async def` function, and calls any other."""
        attempts = tried
        values: list[Any]
        failure: BaseException | None
        while True:
            attempts += 1
            try:
                if attempts > 1:
                    await potok.asleep(pause_before(attempts))
                if self.pace is not None:
                    await potok.asleep(await self.pace.aatomic(Pace.delay))
                begin(index)
                if self.timeout is None:
                    values, failure = await self._acall(item)
                else:
                    with potok.timeout(self.timeout):
                        values, failure = await self._acall(item)
            except TimeoutError:  # of the block, as above
                values, failure = [], self.timed_out()
            except BaseException as error:  # noqa: BLE001 - as above
                values, failure = [], without_our_frames(error)
            begin(None)
            if failure is None:
                return index, values, None, attempts
            if attempts > self.retries or not isinstance(failure, Exception):
                return index, item, failure, attempts

    async def _acall(self, item: Any) -> tuple[list[Any], BaseException | None]:
        """The value, or the error. Raises a cancellation: a time-out comes as one, which its block must see."""
        if not self.is_async:
            values: list[Any] = []
            return values, _unless_cancelled(self.apply([item], values))
        try:
            return [await (self.fn(*item) if self.star else self.fn(item))], None
        except BaseException as error:
            if isinstance(error, potok.Cancelled) or type(error).__name__ == "CancelledError":
                raise
            return [], without_our_frames(error)

    def timed_out(self) -> TimeoutError:
        """The error of an item that took too long."""
        return TimeoutError(f"it took longer than {self.timeout} s (timeout= of potok.map)")


def _unless_cancelled(error: BaseException | None) -> BaseException | None:
    """A time-out comes as a cancellation, which its block must see."""
    if isinstance(error, potok.Cancelled):
        raise error
    return error


def without_our_frames(error: BaseException) -> BaseException:
    """The error without our own frames in its traceback.

    One of them is a worker's, and would keep alive whatever the worker has in hand next.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__package__") in OURS:
        trace = trace.tb_next
    error.__traceback__ = trace
    return error


def unheard(_: int | None) -> None:
    """What `begin` is where nobody has to know when an item begins."""


def shown(item: Any) -> str:
    """The item in a note."""
    try:
        text = repr(item)
    except Exception:  # noqa: BLE001 - a note must not hide the error it is about
        text = f"a {type(item).__name__} whose repr fails"
    return text if len(text) <= 200 else text[:197] + "..."
