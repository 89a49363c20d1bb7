"""What `potok.map` returns: an iterator in both colours that owns the work it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import potok
from potok.dataflow.inline import Inline
from potok.dataflow.intake import Intake
from potok.dataflow.plan import Piece, Plan, shown
from potok.dataflow.pooled import Pooled
from potok.dataflow.progress import Meter

if TYPE_CHECKING:
    from potok.dataflow.auto import Adaptive

__all__ = ["Results", "raisable"]

TURN: Final = 0.005
"""Seconds that results may be at hand one after the other before others on the reader's event loop have their turn."""


class Results:
    """The results of a map, to be iterated once: `for`, `async for`, or `with` around either.

    Nothing runs before the first result is asked for. Once iteration has ended, by exhaustion, by an error, by
    `close`, or because nobody refers to this object any more, what still ran has been cancelled; `close` and the end
    of a `with` block also wait until it has ended.
    """

    __slots__ = (
        "__weakref__",
        "_busy",
        "_meter",
        "_numbered",
        "_over",
        "_piece",
        "_plan",
        "_records",
        "_turn",
        "_values",
        "_work",
    )

    def __init__(self, plan: Plan, intake: Intake, meter: Meter | None) -> None:
        self._plan = plan
        self._records = getattr(intake, "records", None)  # a pipeline has none
        self._numbered = False
        self._work: Any = self._kind(plan)(plan, intake)
        self._meter = meter
        if meter is not None:
            meter.look_at(self._work.states)
        self._piece: Any = []  # the values of the piece that was taken last
        self._values: Iterator[Any] = iter(self._piece)  # those that were not given out yet
        self._turn = perf_counter() + TURN  # when others are to have theirs
        self._busy = False
        self._over = False

    @staticmethod
    def _kind(plan: Any) -> Any:
        """The class of what does the work."""
        return _kind(plan)

    def numbered(self) -> Self:
        """Have each result given out with the index of its item: `(index, result)`, a BadItem included."""
        self._numbered = True
        return self

    def __iter__(self) -> Iterator[Any]:
        """The results: an iterator over what is left of them, which another `for` may continue."""
        if self._meter is not None:
            return self._counted()
        return chain.from_iterable(self._stream())  # in C: nothing is looked at between the values of a piece

    def _stream(self) -> Iterator[Iterator[Any]]:
        yield self._values
        while self._refill():
            yield self._values

    def _counted(self) -> Iterator[Any]:
        try:
            while True:
                yield next(self)
        except StopIteration:
            return

    def __aiter__(self) -> Results:
        return self

    def __next__(self) -> Any:
        """The next result. A park point.

        Raises: the error of an item (with `on_error="raise"`), or of the input once all before it was given out;
            ScopeError if the scope it was iterated in first has ended; BlockingCallError in an `async def` task.
            Nothing is left running then.
        """
        for value in self._values:
            self._count(value)
            return value
        if not self._refill():
            raise StopIteration
        return next(self)

    async def __anext__(self) -> Any:
        """The awaitable spelling of `next(results)`."""
        if perf_counter() > self._turn:
            await self._let_others()
        for value in self._values:
            self._count(value)
            return value
        if not await self._arefill():
            raise StopAsyncIteration
        return await anext(self)

    async def _let_others(self) -> None:
        """Others on the event loop have their turn, and whoever wants to cancel us."""
        try:
            await potok.asleep(0)
        except BaseException:
            self._end()
            raise
        self._turn = perf_counter() + TURN

    def _refill(self) -> bool:
        """Take the next piece. False: there is none, and nothing is left running."""
        if self._over:
            return False
        self._enter()
        try:
            if perf_counter() > self._turn:
                potok.sleep(0)
                self._turn = perf_counter() + TURN
            piece = self._work.take()
            if piece is not None:
                self._open(piece)
                return True
        except BaseException:
            self._end()
            raise
        finally:
            self._busy = False
        self._end()
        return False

    async def _arefill(self) -> bool:
        if self._over:
            return False
        self._enter()
        try:
            piece = await self._work.atake()
            if piece is not None:
                self._open(piece)
                return True
        except BaseException:
            self._end()
            raise
        finally:
            self._busy = False
        self._end()
        return False

    def close(self) -> None:
        """Cancel the rest and wait until it has ended. Idempotent. A park point, which no cancellation cuts short.

        Raises: BlockingCallError in an `async def` task: write `await results.aclose()`. The rest is cancelled then.
        """
        self._end()
        try:
            self._work.join()
        except potok.BlockingCallError:
            raise potok.BlockingCallError(
                "closing the results of a map waits until its workers have ended, which would block the event loop; "
                "write `async with` or `await results.aclose()` in an async def task"
            ) from None

    async def aclose(self) -> None:
        """The awaitable spelling of `close`."""
        self._end()
        await self._work.ajoin()

    def explain(self) -> str:
        """What was measured and decided until now, when, and why: in plain words, a line for each decision."""
        if self._on() == "auto":
            return str(self._work.explain())
        return f"map over {self._plan.name}: on {self._on()}, as was asked for; nothing was measured"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if not getattr(self, "_over", True):
            self._over = True
            self._work.let_go()
            if self._records is not None:
                self._records.close()

    def __repr__(self) -> str:
        state = "ended" if self._over else "open"
        return f"<results of map over {self._plan.name} on {self._on()}, {state}>"

    def _on(self) -> str:
        return str(getattr(self._plan.on, "name", self._plan.on))

    def _enter(self) -> None:
        if self._busy:
            raise potok.PotokError(
                "the results of a map are read by one task at a time, and one is waiting for the next already; "
                "to share them, send them through a channel"
            )
        self._busy = True

    def _end(self) -> None:
        if not self._over:
            self._over = True
            if isinstance(self._piece, list):
                self._piece.clear()
            else:  # a stream; where it is the function that closes the results, it is running, and ends with this item
                with suppress(ValueError):
                    self._piece.close()
            self._work.let_go()
            if self._records is not None:
                self._records.close()
            if self._meter is not None:
                self._meter.finish()

    def _open(self, piece: Piece) -> None:
        """Have the values of a piece at hand. Raises the error of an item, or makes it a BadItem."""
        index, value, error, attempts = piece
        if error is None:
            self._have(index, value)
            return
        if self._plan.on_error == "return" and isinstance(error, Exception):
            self._have(index, [potok.BadItem(index, value, error, attempts)])
            return
        self._count(error, failed=True)
        try:
            tries = f", tried {attempts} times" if attempts > 1 else ""
            raise raisable(error, f"in potok.map: item {index} ({shown(value)}){tries}")
        finally:
            del error, piece  # the traceback refers to this frame

    def _have(self, index: int, values: Any) -> None:
        self._piece, self._values = values, enumerate(values, index) if self._numbered else iter(values)

    def _count(self, value: Any, failed: bool = False) -> None:
        if self._meter is not None:
            self._meter.count(failed=failed or isinstance(value, potok.BadItem))


def _kind(plan: Plan) -> type[Inline | Pooled | Adaptive]:
    match getattr(plan.on, "name", plan.on):
        case "auto":
            from potok.dataflow.auto import Adaptive

            return Adaptive
        case "inline":
            return Inline
        case "processes" | "interpreters":
            from potok.dataflow.batched import Batched

            return Batched
        case _:
            return Pooled


def raisable(error: BaseException, note: str) -> BaseException:
    """An item's error with a note of where; not one that would end the caller's loop as if all were well."""
    if isinstance(error, StopIteration | StopAsyncIteration):
        stopped = RuntimeError(f"the function raised {type(error).__name__}")
        stopped.__cause__ = error
        error = stopped
    if isinstance(error, Exception):
        error.add_note(note)
    return error
