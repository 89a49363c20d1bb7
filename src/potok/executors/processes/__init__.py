"""*processes*: each task has a worker process to itself, idle or new; nothing is shared but through links.

    this process ──control──▶ forkserver (warm, one thread) ──fork──▶ worker: one task at a time, in its main thread
         └───────────────── link (a socket pair for each worker) ──────────┘

Workers are children of the forkserver, which dies with this process, and they with it. Where there is no forkserver
each is spawned. A worker that wants to start tasks asks this process to: all workers are equals.
"""

from __future__ import annotations

from typing import Any

from potok.executors.processes.options import Options
from potok.kernel.task import Task

__all__ = ["Options", "Processes", "unsupported"]


class Processes:
    """`on="processes"`. See `potok.processes` for the options."""

    name = "processes"
    isolate = False  # what crosses is packed anyway

    def __init__(self, options: Options = Options()) -> None:  # noqa: B008 - it can't be changed
        self.options = options
        self._kernel: Any = None

    def open(self, host: Task[Any], awaiting: bool) -> Any:
        return self.open_root()

    def open_root(self) -> Any:
        if self._kernel is None:
            from potok.remote.starting import WorkerKernel

            self._kernel = WorkerKernel(self.options)
        return self._kernel

    def close(self, host: Task[Any], kernel: Any) -> None:
        """Workers go back to their crew by themselves."""

    def __reduce__(self) -> Any:
        return Processes, (self.options,)

    def __repr__(self) -> str:
        return f"potok.processes({self.options})"


def unsupported() -> str:
    """Why there can be no processes here; "" if there can."""
    try:
        import socket

        socket.AF_UNIX  # noqa: B018 - is it there?
    except (ImportError, AttributeError):
        return "no socket pairs of AF_UNIX here"
    return ""
