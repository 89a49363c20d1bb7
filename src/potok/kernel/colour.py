"""`def` or `async def`?"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["in_coroutine", "is_async"]

CO_COROUTINE = 0x80
CO_ASYNC_GENERATOR = 0x200


def is_async(fn: Callable[..., Any]) -> bool:
    """Whether calling `fn` makes a coroutine: async functions, methods, partials and objects with `async __call__`."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    code = getattr(fn, "__code__", None)
    if code is None:
        call = getattr(type(fn), "__call__", None)  # noqa: B004 - its code is wanted, not whether it is callable
        code = getattr(call, "__code__", None)
    return code is not None and bool(code.co_flags & CO_COROUTINE)


def in_coroutine(frame: FrameType) -> bool:
    """Whether this frame is the body of an `async def`."""
    return bool(frame.f_code.co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR))
