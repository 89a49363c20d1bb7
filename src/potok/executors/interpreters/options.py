"""What `potok.interpreters(...)` was told, as it travels to wherever one is started."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from potok.links.packing import Packed

if TYPE_CHECKING:
    from potok.kernel.seam import Executor
    from potok.remote.crew import Maker, Worker

__all__ = ["Options"]


class Options(NamedTuple):
    """Interpreters of one crew are alike. See `potok.interpreters` for what they mean."""

    workers: int | None = None
    max_workers: int | None = None
    initializer: Packed | None = None
    max_tasks_per_worker: int | None = None

    def __str__(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self._asdict().items() if value is not None)

    # ── as `potok.remote.crew` sees them ────────────────────────────────────────────────────────────────────

    def called(self, worker: Worker) -> str:
        return f"interpreter {worker.space}"

    def prepare(self) -> None:
        """There is nothing to."""

    @property
    def bounds_memory(self) -> bool:
        """All have the memory of one process."""
        return False

    def is_too_big(self, pid: int) -> bool:
        return False

    def executor(self) -> Executor:
        from potok.executors.interpreters import Interpreters

        return Interpreters(self)

    def begin(self) -> bool:
        return False

    def maker(self) -> Maker:
        from potok.executors.interpreters.making import maker

        return maker
