"""Threads of potok's own: they run tasks, which are looked at themselves, and wake nobody otherwise."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

__all__ = ["serve_here", "service_idents", "service_thread"]

_services: WeakSet[threading.Thread] = WeakSet()
_serving: set[int] = set()
_changing = threading.Lock()


def service_thread(target: Callable[..., object], name: str, args: tuple[Any, ...] = ()) -> threading.Thread:
    """A daemon thread, not started."""
    thread = threading.Thread(target=target, name=name, args=args, daemon=True)
    with _changing:
        _services.add(thread)
    return thread


def serve_here() -> None:
    """This very thread is one of them, from now on."""
    with _changing:
        _serving.add(threading.get_ident())


def service_idents() -> set[int | None]:
    """The identifiers of those that are there."""
    with _changing:  # a thread that has ended leaves its identifier to another
        return {*_serving, *(thread.ident for thread in _services if thread.is_alive())}


def _after_fork() -> None:
    global _changing
    _changing = threading.Lock()  # another thread may have held it
    _serving.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
