"""What colour is a function of?"""

from __future__ import annotations

import functools
from typing import Any

__all__ = ["is_async"]

COROUTINE = 0x80
"""`inspect.CO_COROUTINE`: the module costs 10 ms to import, a tenth of a first result."""


def is_async(fn: Any) -> bool:
    """Whether calling it gives a coroutine: an `async def`, a partial or a method of one, an object that is called so.

    What was marked by `inspect.markcoroutinefunction` counts.
    """
    while isinstance(fn, functools.partial):
        fn = fn.func
    return _is_coroutine_function(fn) or _is_coroutine_function(getattr(type(fn), "__call__", None))  # noqa: B004


def _is_coroutine_function(fn: Any) -> bool:
    fn = getattr(fn, "__func__", fn)
    while isinstance(fn, functools.partial):
        fn = fn.func
    flags = getattr(getattr(fn, "__code__", None), "co_flags", 0)
    return bool(flags & COROUTINE) or hasattr(fn, "_is_coroutine_mark") or hasattr(fn, "_is_coroutine_marker")
