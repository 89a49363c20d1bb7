"""An executor whose tasks have a worker each: what *processes* and *interpreters* are alike in.

What takes time to come up begins while this process imports what it needs itself.

Apart from `starting`, which only who starts a task has to import.
"""

from __future__ import annotations

import sys
from typing import Any

from potok.kernel.task import Task

__all__ = ["WorkerExecutor"]


class WorkerExecutor:
    """Workers are no scope's: they go back to their crew by themselves."""

    name: str
    isolate = False  # what crosses is packed anyway

    def __init__(self, options: Any) -> None:
        self.options = options
        self._kernel: Any = None

    def open(self, host: Task[Any], awaiting: bool) -> Any:
        return self.open_root()

    def open_root(self) -> Any:
        if self._kernel is None:
            begun = "potok.remote.home" not in sys.modules and self.options.begin()
            from potok.remote.starting import WorkerKernel

            self._kernel = WorkerKernel(self.options)
            if begun:
                self.options.maker()
        return self._kernel

    def close(self, host: Task[Any], kernel: Any) -> None:
        """Nothing was opened for the scope."""

    def __reduce__(self) -> Any:
        return type(self), (self.options,)

    def __repr__(self) -> str:
        return f"potok.{self.name}({self.options})"
