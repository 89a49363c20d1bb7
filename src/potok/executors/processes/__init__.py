"""*processes*: each task has a worker process to itself, idle or new; nothing is shared but through links.

    this process ──control──▶ forkserver (warm, one thread) ──fork──▶ worker: one task at a time, in its main thread
         └───────────────── link (a socket pair for each worker) ──────────┘

Workers are children of the forkserver, which dies with this process, and they with it. Where there is no forkserver
each is spawned. A worker that wants to start tasks asks this process to: all workers are equals.
"""

from __future__ import annotations

from potok.executors.processes.options import Options
from potok.remote.executing import WorkerExecutor

__all__ = ["Options", "Processes"]


class Processes(WorkerExecutor):
    """`on="processes"`. See `potok.processes` for the options."""

    name = "processes"
