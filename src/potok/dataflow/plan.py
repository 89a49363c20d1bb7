"""What a map was asked to do, and its input: the two things that its parts share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import CoroutineType
from typing import Any, NamedTuple, TypeAlias

__all__ = ["Intake", "Job", "Outcome", "Plan", "failure_of"]


Job: TypeAlias = tuple[int, Any]
"""The index of an item, and the item."""

Outcome: TypeAlias = tuple[int, Any, Any, BaseException | None]
"""What became of it: index, item, value, error. (A NamedTuple takes ten times as long to make.)"""


class Plan(NamedTuple):
    """The arguments of one map, checked."""

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

    def apply(self, job: Job) -> Outcome:
        """What becomes of an item under a `def` function."""
        index, item = job
        try:
            value = self.fn(*item) if self.star else self.fn(item)
        except BaseException as error:  # noqa: BLE001 - data from here on: the consumer decides
            return failure_of(index, item, error)
        if type(value) is CoroutineType:
            value.close()
            told = f"{self.name} returned a coroutine; give potok.map the async def function itself"
            return index, item, None, TypeError(told)
        return index, item, value, None

    async def aapply(self, job: Job) -> Outcome:
        """What becomes of an item under an `async def` function."""
        index, item = job
        try:
            value = await (self.fn(*item) if self.star else self.fn(item))
        except BaseException as error:  # noqa: BLE001 - as above
            return failure_of(index, item, error)
        return index, item, value, None


def failure_of(index: int, item: Any, error: BaseException) -> Outcome:
    """The outcome of an item whose function raised, without our own frames in the traceback.

    One of them is a worker's, and would keep alive whatever the worker has in hand next.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__package__") == __package__:
        trace = trace.tb_next
    error.__traceback__ = trace
    return index, item, None, error


class Intake:
    """The input. Pulled in the caller's thread, one item at a time, and only when there is room for it.

    An error that the input raises is kept until everything pulled before it has been given out, so that the caller
    meets it where the plain loop would.
    """

    __slots__ = ("_items", "error", "pulled")

    def __init__(self, items: Iterator[Any]) -> None:
        self._items: Iterator[Any] | None = items
        self.pulled = 0
        self.error: Exception | None = None

    @property
    def is_open(self) -> bool:
        """Whether there may be more."""
        return self._items is not None

    def pull(self) -> Job | None:
        """The next item with its index; None if there is none (any more)."""
        if self._items is None:
            return None
        try:
            item = next(self._items)
        except StopIteration:
            self.close()
            return None
        except Exception as error:  # noqa: BLE001 - the caller's own, given back to it later
            self.error = error
            self.close()
            return None
        index = self.pulled
        self.pulled = index + 1
        return index, item

    def close(self) -> None:
        """Pull no more, and let go of the input."""
        self._items = None

    def end(self) -> None:
        """Everything that was pulled has been given out: raise what the input raised, if it did."""
        if self.error is not None:
            error, self.error = self.error, None
            raise error
