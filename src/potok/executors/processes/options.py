"""What `potok.processes(...)` was told, as it travels to wherever a worker is started."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from potok.executors.processes.limits import hold_threads, resident_bytes
from potok.links.packing import Packed

if TYPE_CHECKING:
    from potok.kernel.seam import Executor
    from potok.remote.crew import Maker, Worker

__all__ = ["Options"]


class Options(NamedTuple):
    """Workers of one crew are alike. See `potok.processes` for what they mean."""

    workers: int | None = None
    max_workers: int | None = None
    initializer: Packed | None = None
    preload: tuple[str, ...] = ()
    start_method: str | None = None
    max_tasks_per_worker: int | None = None
    max_rss: int | None = None
    threads: int = 1  # that libraries may start in each worker

    def __str__(self) -> str:
        default = Options()
        return ", ".join(
            f"{name}={value!r}"
            for name, value in self._asdict().items()
            if value != getattr(default, name) and name != "threads"
        )

    # ── as `potok.remote.crew` sees them ────────────────────────────────────────────────────────────────────

    def called(self, worker: Worker) -> str:
        return f"worker process {worker.pid}"

    def executor(self) -> Executor:
        from potok.executors.processes import Processes

        return Processes(self)

    def prepare(self) -> None:
        if (
            self.preload or self.initializer is not None
        ):  # libraries may have been loaded before the first task
            hold_threads(self.threads)

    @property
    def bounds_memory(self) -> bool:
        return self.max_rss is not None

    def is_too_big(self, pid: int) -> bool:
        return self.max_rss is not None and resident_bytes(pid) > self.max_rss

    @property
    def forks(self) -> bool:
        """Whether a forkserver makes the workers."""
        return self.start_method != "spawn" and sys.platform == "linux"

    def begin(self) -> bool:
        if not self.forks:
            return False
        from potok.executors.processes.fresh import begin_forkserver

        return begin_forkserver((self.preload, self.threads))

    def maker(self) -> Maker:
        if self.forks:
            from potok.executors.processes.forking import forkserver_with

            return forkserver_with(self.preload, self.threads)
        from potok.executors.processes.spawning import spawner_with

        return spawner_with(self.threads)
