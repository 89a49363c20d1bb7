"""Threads of potok's own: they run tasks, which are looked at themselves, and wake nobody otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

__all__ = ["service_idents", "service_thread"]

_services: WeakSet[threading.Thread] = WeakSet()
_changing = threading.Lock()


def service_thread(target: Callable[..., object], name: str, args: tuple[Any, ...] = ()) -> threading.Thread:
    """A daemon thread, not started."""
    thread = threading.Thread(target=target, name=name, args=args, daemon=True)
    with _changing:
        _services.add(thread)
    return thread


def service_idents() -> set[int | None]:
    """The identifiers of those that are there."""
    with _changing:
        return {thread.ident for thread in _services}
