"""What `potok.processes(...)` was told, as it travels to wherever a worker is started."""

from __future__ import annotations

from typing import NamedTuple

from potok.links.packing import Packed

__all__ = ["Options"]


class Options(NamedTuple):
    """Workers of one crew are alike. See `potok.processes` for what they mean."""

    workers: int | None = None
    max_workers: int | None = None
    initializer: Packed | None = None
    preload: tuple[str, ...] = ()
    start_method: str | None = None
    max_tasks_per_worker: int | None = None

    def __str__(self) -> str:
        default = Options()
        return ", ".join(
            f"{name}={value!r}" for name, value in self._asdict().items() if value != getattr(default, name)
        )
