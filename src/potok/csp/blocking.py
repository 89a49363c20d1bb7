"""Calls that block outside of potok: sleeping, reading from a socket or a file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import potok

__all__ = ["Io", "io"]


class Io:
    """One blocking call: `Io(time.sleep, 1).run()` does it, and lets the other processes of the thread go on."""

    def __init__(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        self._call = functools.partial(fn, *args, **kwargs)

    def run(self) -> Any:
        """Do it here, or on coroutines in a thread beside, and return what it returns or raise what it raises.

        Blocks: until it is done. On coroutines a park point.
        """
        if potok.current_task().executor == "coroutines":
            return potok.run(self._call, on="threads")
        return self._call()


def io(func: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function block without keeping other processes from running: on coroutines it runs in a thread.

    Anywhere else it is called as it is.
    """

    @functools.wraps(func)
    def call(*args: Any, **kwargs: Any) -> Any:
        return Io(func, *args, **kwargs).run()

    return call
