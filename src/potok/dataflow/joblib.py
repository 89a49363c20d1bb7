"""The joblib backend "potok": `import potok.dataflow.joblib` registers it.

    import joblib, potok.dataflow.joblib
    joblib.Parallel(n_jobs=4, backend="potok")(joblib.delayed(fn)(x) for x in inputs)
    with joblib.parallel_config("potok", on="threads", n_jobs=4): ...       # scikit-learn, for one, asks joblib

joblib has no entry point by which it could find a backend itself (1.6): the import is needed. Written against its
public `ParallelBackendBase`: joblib makes the batches, and each is a call of a `potok.FuturesExecutor`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
    register_parallel_backend,
)

import potok
from potok.dataflow.arguments import usable_cores
from potok.dataflow.futures import FuturesExecutor

__all__ = ["PotokBackend"]


class PotokBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # joblib ships no types
    """What joblib knows as "potok".

    Parallel calls inside of a call run there, one after the other: `n_jobs` is how many run at a time in all. Arrays
    of 128 KiB and more travel as potok sends them, in memory that is mapped at the other side, without joblib's files.

    Args:
        on: the executor, or its name, as `potok.FuturesExecutor` takes it.
        **options: joblib's own.

    Raises: in `Parallel(...)`, what a call raised; WorkerDied if it killed its worker. The rest is cancelled then: what
        was not begun never is, what runs is stopped, at once where it waits in potok, else killed after 5 s (a thread
        can't be: it finishes its batch).
    """

    supports_retrieve_callback = True
    default_n_jobs = -1

    def __init__(self, on: Any = "processes", **options: Any) -> None:
        potok.scope(on=on)  # raises for what names no executor
        super().__init__(**options)
        self._on = on
        self._executor: FuturesExecutor | None = None

    @property
    def supports_sharedmem(self) -> bool:
        """Whether calls work on the caller's own objects."""
        return getattr(self._on, "name", self._on) not in ("processes", "interpreters")

    @property
    def uses_threads(self) -> bool:
        """The same to joblib, which asks for either."""
        return self.supports_sharedmem

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many calls run at a time: one inside of another parallel call."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning; -1 stands for all usable cores")
        if n_jobs is None or self.nesting_level:
            return 1
        return n_jobs if n_jobs > 0 else max(usable_cores() + 1 + n_jobs, 1)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **_options: Any) -> int:
        """Called before a `Parallel` begins; returns the number of workers."""
        count = self.effective_n_jobs(n_jobs)
        if count == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        # Said by the executor, too: so are the threads of numeric libraries shared out among so many workers.
        on = potok.processes(workers=count) if self._on == "processes" else self._on
        self._executor = FuturesExecutor(on, workers=count)
        return count

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], Any] | None = None) -> Future[Any]:
        """Have a batch worked on; `callback` gets the future when it is done."""
        if self._executor is None:
            raise RuntimeError("this Parallel has ended: no more calls can be made")
        future = self._executor.submit(_work_on, func)
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """The results of a batch that is done, or its error."""
        return out.result()

    def get_nested_backend(self) -> tuple[Any, int | None]:
        """What `Parallel` inside of a call uses."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None

    def terminate(self) -> None:
        """Called when a `Parallel` has ended. Idle workers wait for the next one, with potok's other idle ones."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown()
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """A call has failed: stop the others. Never waits for them."""
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.terminate_workers()
        if ensure_ready:
            self.configure(n_jobs=self.parallel.n_jobs, parallel=self.parallel)


def _work_on(batch: Callable[[], Any]) -> Any:
    """Of this module, so that "potok" is known to joblib in the worker, too."""
    return batch()


register_parallel_backend("potok", PotokBackend)
