"""*threads*: each task has an OS thread to itself, taken from a pool of idle ones or new; `start` never queues.

An `async def` task has an event loop of its own in its thread.
"""

from __future__ import annotations

from typing import Any

from potok.kernel.pool import PooledThreads
from potok.kernel.task import Task

__all__ = ["Threads"]


class Threads:
    """`on="threads"`; `isolate=True` copies what is sent, as another address space would."""

    name = "threads"

    def __init__(self, isolate: bool = False) -> None:
        self.isolate = isolate
        self._kernel = PooledThreads()

    def open(self, host: Task[Any], awaiting: bool) -> PooledThreads:
        return self._kernel

    def open_root(self) -> PooledThreads:
        return self._kernel

    def close(self, host: Task[Any], kernel: Any) -> None:
        """Threads go back to the pool by themselves."""

    def __repr__(self) -> str:
        return f"potok.threads({'isolate=True' if self.isolate else ''})"
