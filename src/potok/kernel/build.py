"""What this build of Python promises."""

from __future__ import annotations

import sys
import threading

__all__ = ["FREE_THREADED", "fence"]

FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()

_lock = threading.Lock()


def _fence() -> None:
    """Order this thread's stores before its later loads, against another thread that does the same in between.

    Two threads that each store, pass here, then load: whoever passes second sees the other's store.
    """
    with _lock:
        pass


def _no_fence() -> None:
    """With a GIL, memory is sequentially consistent as it is."""


fence = _fence if FREE_THREADED else _no_fence
