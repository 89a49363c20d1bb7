"""What the workers of a stage do, where that is not the user's function alone.

It is called as the function that it wraps (`__name__`), and shows that (`__wrapped__`) to whoever wants to look at it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CoroutineType
from typing import Any

__all__ = ["work_of"]


class _Work:
    """A function, and what is made of its result."""

    def __init__(self, fn: Callable[[Any], Any], name: str, kind: str) -> None:
        self.__wrapped__ = fn
        self.__name__ = name
        self._kind = kind

    def __call__(self, item: Any) -> Any:
        result = self.__wrapped__(item)
        if type(result) is CoroutineType:
            return result  # the map says what is wrong with that
        return self._of(item, result)

    def _of(self, item: Any, result: Any) -> Any:
        match self._kind:
            case "filter":
                return [item] if result else []
            case "flat_map":
                return list(result)
            case _:  # for_each
                return None


class _AsyncWork(_Work):
    """The same for `async def`, with `yield` in it or not."""

    async def __call__(self, item: Any) -> Any:
        result = self.__wrapped__(item)
        if not hasattr(result, "__aiter__"):
            result = await result
        if hasattr(result, "__aiter__") and not hasattr(result, "__iter__"):
            result = [part async for part in result]
        return self._of(item, result)


def work_of(kind: str, fn: Callable[[Any], Any], name: str, is_async: bool) -> Callable[[Any], Any]:
    """What the workers do for a step of this kind."""
    if kind == "map":
        return fn
    if is_async or inspect.isasyncgenfunction(fn):
        return _AsyncWork(fn, name, kind)
    return _Work(fn, name, kind)
