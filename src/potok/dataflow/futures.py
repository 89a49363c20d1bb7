"""`potok.FuturesExecutor`: a `concurrent.futures.Executor` on any of potok's executors. `agents` make its calls."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, Self

import potok
from potok.dataflow.agents import Call, crew_of, exit_first
from potok.dataflow.arguments import Checked, default_workers
from potok.dataflow.calls import answer_all

__all__ = ["FuturesExecutor"]


class FuturesExecutor(futures.Executor):
    """A `concurrent.futures.Executor`, for whatever takes one: `loop.run_in_executor`, and many libraries.

    To apply a function to many items choose `potok.map`: it pulls its input as it goes, and sends short items in
    batches. For tasks that belong together choose `potok.scope`.

    Workers are made as they are needed and used again. No `shutdown()` is needed: the workers of an executor that was
    collected go once all calls are done, and the interpreter waits at its exit for what was submitted. The futures are
    `concurrent.futures.Future`s whose `result()` is a park point: other coroutines of the thread go on meanwhile.

    Args:
        on: "processes", "interpreters", "threads", "coroutines", "inline", or an executor, like
            `potok.processes(workers=4)`.
        workers: how many calls run at a time, at most. By default as `potok.map` has it. Inline makes the call in
            `submit` itself.

    Raises: TypeError, ValueError for wrong arguments.

    Executors: `def` and `async def` on all; the future of an `async def` call has what it returns. Where memory is
        shared a call runs in a copy of the context (contextvars) it was submitted in. On *processes* and *interpreters*
        calls and results are copied. What can't be pickled is an error (RemoteError) of that future; a worker that dies
        is an error (WorkerDied) of the call it had in hand. The executor goes on with a new one, and never breaks as
        `ProcessPoolExecutor` does.
    """

    def __init__(self, on: Any = "processes", workers: int | None = None) -> None:
        if isinstance(on, int):
            raise TypeError(
                f"FuturesExecutor takes the executor first; write FuturesExecutor(workers={on!r})"
            )
        potok.scope(on=on)  # raises for what names no executor
        check = Checked("FuturesExecutor")
        count = default_workers(on) if workers is None else check.count("workers", workers, "None")
        self._crew = crew_of(on)(on, count)
        weakref.finalize(self, self._crew.let_go).atexit = False  # the exit has its own way to wait
        exit_first()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        """Have `fn(*args, **kwargs)` called by a worker; its future is returned at once. Never waits for a worker.

        Raises: RuntimeError after `shutdown()`, and as the interpreter exits; PotokError if no worker can be started.
        """
        future = _Future()
        self._crew.add(Call(future, fn, args, kwargs))
        return future

    def map(
        self,
        fn: Callable[..., Any],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **options: Any,
    ) -> Iterator[Any]:
        """As the standard library has it: submits everything first, and gives the results in order.

        Args:
            fn: called with an argument of each iterable.
            *iterables: until the shortest ends.
            timeout: TimeoutError for a result that is not there so many seconds after this call.
            chunksize: on processes and interpreters, how many calls travel together.
            **options: `buffersize`, from Python 3.14 on: how many calls may be out whose results were not given yet.
        """
        if chunksize < 1:
            raise ValueError(f"chunksize must be >= 1, not {chunksize}")
        if chunksize == 1 or not self._crew.far:
            return super().map(fn, *iterables, timeout=timeout, **options)
        chunks = _chunks(zip(*iterables, strict=False), chunksize)
        return _flat(super().map(partial(answer_all, fn), chunks, timeout=timeout, **options))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. What was submitted is still done, unless `cancel_futures` cancels what was not begun.

        Blocks: until all is done and the workers are gone, with `wait`; no cancellation cuts that short.
        Raises: BlockingCallError in an `async def` task (write `async with`, or `await executor.ashutdown()`). No more
            calls are taken then, either.
        """
        self._crew.close(cancel_futures)
        if wait:
            self._crew.join()

    async def ashutdown(self, *, cancel_futures: bool = False) -> None:
        """The awaitable spelling of `shutdown`."""
        self._crew.close(cancel_futures)
        await self._crew.ajoin()

    def terminate_workers(self) -> None:
        """Shut down at once, and cancel also the calls that run; their futures have a TaskCancelled. Never waits.

        The name is that of Python 3.14; what happens is potok's cancellation: `potok.Cancelled` is raised at the next
        park point of each call, and a process that comes to none within 5 s is killed. `shutdown()` waits for that.
        """
        self._crew.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.ashutdown()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a FuturesExecutor can't be pickled: it belongs to the process that made it; make one where it is used"
        )

    def __repr__(self) -> str:
        return f"<potok.FuturesExecutor on {self._crew.place}, workers={self._crew.limit}>"


class _Future(futures.Future[Any]):
    """One whose readers park as potok's tasks do, instead of holding up the thread with all tasks that it runs."""

    def result(self, timeout: float | None = None) -> Any:
        return super().result(self._left(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return super().exception(self._left(timeout))

    def _left(self, timeout: float | None) -> float | None:
        """Wait until it is done, or the time is up; return what time is left to the original."""
        if self.done() or potok.current_task().executor == "inline":  # there nothing parks
            return timeout
        done = potok.Event()
        self.add_done_callback(lambda _: done.set())
        try:
            done.wait(None if timeout is None else max(0.0, timeout))
        except potok.BlockingCallError:
            raise potok.BlockingCallError(
                "waiting for this future would block the event loop; write `await asyncio.wrap_future(future)` in an "
                "async def task"
            ) from None
        return 0


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _flat(chunks: Iterator[list[Any]]) -> Iterator[Any]:
    """The results, one by one; keeps none that was given out."""
    for chunk in chunks:
        chunk.reverse()
        while chunk:
            yield chunk.pop()
