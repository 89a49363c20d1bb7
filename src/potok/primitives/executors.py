"""What `on=` takes: the names of the executors, and the objects that carry options."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from potok.errors import PotokError
from potok.kernel.current import HAVE_GREENLET
from potok.kernel.seam import Executor

__all__ = ["coroutines", "interpreters", "processes", "resolve", "simulated", "threads"]


def _inline() -> Executor:
    from potok.executors.inline import Inline

    return Inline()


def threads(isolate: bool = False) -> Executor:
    """The executor on which each task has an OS thread to itself.

    Args:
        isolate: copy what is started, sent and returned, as another address space would; a test on threads then
            proves that a program can move to processes.
    """
    from potok.executors.threads import Threads

    return Threads(isolate)


def coroutines(loop_factory: Callable[[], Any] | None = None) -> Executor:
    """The executor on which all tasks share one thread, `def` and `async def` alike.

    In a sub-interpreter, where greenlet does not load, it takes `async def` tasks alone: a `def` task is a PotokError.

    Args:
        loop_factory: makes the event loop, where one of potok's own is needed: `uvloop.new_event_loop`.
    """
    if loop_factory is not None and not callable(loop_factory):
        raise TypeError(f"loop_factory must be callable, like uvloop.new_event_loop, not {loop_factory!r}")
    if not HAVE_GREENLET:
        from potok.executors.natives import NativeCoroutines

        return NativeCoroutines(loop_factory)
    from potok.executors.coroutines import Coroutines

    return Coroutines(loop_factory)


def processes(
    workers: int | None = None,
    max_workers: int | None = None,
    initializer: Callable[[], object] | None = None,
    preload: tuple[str, ...] = (),
    start_method: str | None = None,
    max_tasks_per_worker: int | None = None,
    max_rss: int | None = None,
    isolate: bool = True,
) -> Executor:
    """The executor on which each task has a worker process to itself.

    Args:
        workers: how many `map` and its like use at a time; by default as many as there are usable cores (affinity and
            container quota count). Libraries for numbers get so many threads in each that all together keep to the
            cores, unless OMP_NUM_THREADS and its like say otherwise.
        max_workers: how many there may be at all; `start` beyond it raises. No bound by default.
        initializer: called once in each worker, before its first task; if it fails, that is the task's failure, and
            the next task gets a new worker. Globals of `__main__` that it has set are seen by the tasks of that worker.
        preload: names of modules to be imported before workers are made, so that they start warm.
        start_method: "forkserver" (Linux) or "spawn"; by default what is best here.
        max_tasks_per_worker: a worker that has run so many tasks is let go, against what leaks in it.
        max_rss: a worker that has more resident memory than so many bytes after a task is let go. Needs /proc.
        isolate: as `potok.threads` has it; processes share nothing, so it can only be True here.
    """
    if isolate is not True:
        raise ValueError(
            f"isolate must be True, not {isolate!r}: processes share nothing; take potok.threads() to share objects"
        )
    if start_method not in (None, "forkserver", "spawn"):
        raise ValueError(
            f'start_method must be "forkserver" or "spawn", not {start_method!r}; fork is never safe'
        )
    _check_counts(
        workers=workers,
        max_workers=max_workers,
        max_tasks_per_worker=max_tasks_per_worker,
        max_rss=max_rss,
    )
    packed = _packed(initializer)
    from potok.executors.processes import Options, Processes
    from potok.executors.processes.limits import HAS_RSS, threads_for

    if max_rss is not None and not HAS_RSS:
        raise ValueError(
            "max_rss needs /proc, to see how much memory a worker has; take max_tasks_per_worker here"
        )
    threads = threads_for(workers, max_workers)
    limits = (max_tasks_per_worker, max_rss, threads)
    return Processes(Options(workers, max_workers, packed, tuple(preload), start_method, *limits))


def interpreters(
    workers: int | None = None,
    max_workers: int | None = None,
    initializer: Callable[[], object] | None = None,
    max_tasks_per_worker: int | None = None,
) -> Executor:
    """The executor on which each task has a sub-interpreter of this very process to itself, with a GIL of its own.

    Choose it over *processes* where nobody may start processes, where starting them afresh costs more (there is no fork
    there), or where all should be one process to whoever looks. Choose *processes* for modules that do not load in a
    sub-interpreter (numpy, greenlet), and where what hangs must be killed: an interpreter can't be. `os._exit`, or a
    crash, in one ends the whole program. Signals, the working folder and the environment are the process's, and shared.

    A task of an interpreter can start others on any executor; but on *coroutines* only `async def` ones, as greenlet
    does not load there: `on="threads"` takes either colour.

    Args:
        workers: how many `map` and its like use at a time; by default as many as there are usable cores.
        max_workers: how many there may be at all; `start` beyond it raises. No bound by default.
        initializer: called once in each interpreter, before its first task.
        max_tasks_per_worker: an interpreter that has run so many tasks is ended, against what leaks in it.

    Raises: PotokError before Python 3.14, which can't do it.
    """
    _check_counts(workers=workers, max_workers=max_workers, max_tasks_per_worker=max_tasks_per_worker)
    packed = _packed(initializer)
    from potok.executors.interpreters import Interpreters, Options, unsupported

    why_not = unsupported()
    if why_not:
        raise PotokError(why_not)
    return Interpreters(Options(workers, max_workers, packed, max_tasks_per_worker))


def _check_counts(**counts: object) -> None:
    for name, number in counts.items():
        if number is not None and not _is_count(number):
            raise ValueError(f"{name} must be None or an int >= 1, not {number!r}")


def _packed(initializer: Any) -> Any:
    """As it travels to the workers."""
    if initializer is None:
        return None
    if not callable(initializer):
        raise TypeError(f"initializer must be callable without arguments, not {initializer!r}")
    from potok.links.packing import pack
    from potok.remote import handles  # noqa: F401 - what pickle must know to travel by reference

    packed = pack(initializer, beside=False)
    if packed.refs:
        raise TypeError(
            "initializer may not hold channel ends, locks or tasks; give them to the tasks that use them"
        )
    return packed


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 1


def simulated(strategy: Any = None, *, seed: int = 0) -> Executor:
    """The executor that chooses every switch, in virtual time: for tests. See `potok.executors.simulated`.

    Args:
        strategy: who decides (`begin`, `pick`, `number`); at random by default. A list of steps, as found in the
            executor's `schedule` after a run, is replayed exactly.
        seed: of the random strategy.
    """
    from potok.executors.simulated import RandomStrategy, ReplayStrategy, Simulated

    if strategy is None:
        strategy = RandomStrategy(seed)
    elif isinstance(strategy, list | tuple):
        strategy = ReplayStrategy(strategy)
    return Simulated(strategy)


_makers: dict[str, Callable[[], Executor]] = {
    "inline": _inline,
    "coroutines": coroutines,
    "threads": threads,
    "interpreters": interpreters,
    "processes": processes,
    "simulated": simulated,
}
_made: dict[str, Executor] = {}
_lock = threading.Lock()


def resolve(on: Any) -> Executor:
    """The executor that `on` names. Raises ValueError for unknown names, TypeError for what is none."""
    if isinstance(on, str):
        executor = _made.get(on)
        if executor is None:
            if on not in _makers:
                raise ValueError(
                    f"on={on!r} names no executor; choose one of {', '.join(map(repr, _makers))}"
                )
            with _lock:
                executor = _made.setdefault(on, _makers[on]())
        return executor
    if callable(getattr(on, "open", None)) and hasattr(on, "name"):
        return on  # type: ignore[no-any-return]
    raise TypeError(f"on must be an executor's name or an executor, like potok.threads(), not {on!r}")
