"""`potok.map` and `potok.starmap`: a function over a stream of items, in order or as they come."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import potok

if TYPE_CHECKING:  # the rest of this package is imported by those who map: `import potok` stays cheap
    from potok.dataflow.plan import Plan
    from potok.dataflow.progress import Meter, Progress
    from potok.dataflow.results import Results

__all__ = ["map", "starmap"]

NOT_BUILT = ("auto",)
CONCURRENT_COROUTINES = 100


def map(  # noqa: A001 - the name everybody knows it by
    fn: Callable[..., Any],
    *iterables: Iterable[Any],
    on: Any = None,
    workers: int | None = None,
    ordered: bool = True,
    window: int | str = "auto",
    on_error: str = "raise",
    progress: bool | Callable[[Progress], object] = False,
) -> Results:
    """Apply `fn` to every item, several at a time: `for result in potok.map(fn, items): ...`.

    Lazy: nothing is pulled, and nothing runs, before the first result is asked for, and then no further than the
    window; the input may be infinite. It is pulled in the caller's thread. `for` in `def`, `async for` in `async def`;
    `with` (or `async with`) around the loop adds that leaving it waits until all workers have ended. A task of the
    scope around it, and cancelled with that scope. To start tasks that are not alike, use `potok.scope`.

    Args:
        fn: `def` or `async def`.
        *iterables: one, or several of which `fn` takes an argument each, until the shortest ends.
        on: "threads" (the default for `def`), "coroutines" (for `async def`), "processes" or "interpreters" (for what
            computes), "inline" (the plain loop), or an executor.
        workers: how many items are worked on at a time, at most. By default on threads the usable cores and 4 more
            (for those that wait), at most 32; on coroutines 100; on processes and interpreters the usable cores,
            or what `potok.processes(workers=...)` says. Inline works on one.
        ordered: results in the order of the input; otherwise as they are completed.
        window: how many items may be pulled and not yet given out; "auto": four times the workers; on processes, which
            get short items in batches, four batches each. In order, a slow item holds back the results of so many
            others.
        on_error: "raise": an item's error is raised, bare, with a note that names the item, when its turn comes, and
            cancels the rest. "return": a `potok.BadItem` stands in place of its result, and the others go on.
        progress: print plain lines on stderr; or a callable that takes a `Progress` after each result.

    Raises: TypeError, ValueError for wrong arguments, here; everything else as the results are read. An error of
        the input itself is raised after the results of all items pulled before it.

    Executors: the same on all, but inline does not work ahead, and there an `async def` function read with plain
        `for` may await nothing that waits. On processes and interpreters items and results are copied. A result that
        can't be pickled is an error of its item; an item that can't (RemoteError), or a worker that dies (WorkerDied),
        ends the map.
    """
    if not iterables:
        raise TypeError("potok.map takes a function and at least one iterable")
    sources = [_iterator(iterable, f"iterable {n}") for n, iterable in enumerate(iterables, 1)]
    items = sources[0] if len(sources) == 1 else zip(*sources, strict=False)
    plan = _plan(fn, len(sources) > 1, on, workers, ordered, window, on_error, "map")
    return _results(plan, items, _meter(progress, iterables))


def starmap(
    fn: Callable[..., Any],
    iterable: Iterable[Iterable[Any]],
    *,
    on: Any = None,
    workers: int | None = None,
    ordered: bool = True,
    window: int | str = "auto",
    on_error: str = "raise",
    progress: bool | Callable[[Progress], object] = False,
) -> Results:
    """As `map`, over tuples of arguments: `fn(*item)` for every item."""
    items = _iterator(iterable, "the iterable")
    plan = _plan(fn, True, on, workers, ordered, window, on_error, "starmap")
    return _results(plan, items, _meter(progress, (iterable,)))


def _results(plan: Plan, items: Iterator[Any], meter: Meter | None) -> Results:
    from potok.dataflow.plan import Intake
    from potok.dataflow.results import Results

    return Results(plan, Intake(items), meter)


def _iterator(iterable: Any, which: str) -> Iterator[Any]:
    try:
        return iter(iterable)
    except TypeError:
        hint = "; collect an async iterable first" if hasattr(iterable, "__aiter__") else ""
        raise TypeError(f"{which} of potok.map is no iterable: {iterable!r:.200}{hint}") from None


def _plan(
    fn: Any, star: bool, on: Any, workers: Any, ordered: bool, window: Any, on_error: str, called: str
) -> Plan:
    from potok.dataflow.plan import Plan

    if not callable(fn):
        raise TypeError(f"potok.{called} takes a function first, not {fn!r:.200} (was it called already?)")
    is_async = _is_async(fn)
    on = _executor(on, is_async)
    count = _default_workers(on) if workers is None else _number("workers", workers, called)
    stretches = window == "auto"
    reach = 4 * count if stretches else _number("window", window, called)
    if on_error not in ("raise", "return"):
        raise ValueError(f'potok.{called}: on_error must be "raise" or "return", not {on_error!r}')
    return Plan(fn, _name(fn), is_async, star, on, count, reach, bool(ordered), on_error, stretches)


def _is_async(fn: Any) -> bool:
    import inspect

    while isinstance(fn, functools.partial):
        fn = fn.func
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(type(fn), "__call__", None))  # noqa: B004


def _executor(on: Any, is_async: bool) -> Any:
    if on is None:
        return "coroutines" if is_async else "threads"
    if isinstance(on, str) and on in NOT_BUILT:
        raise ValueError(
            f'on={on!r} is not in this version of potok; choose "threads", "coroutines", "processes", '
            f'"interpreters" or "inline"'
        )
    potok.scope(on=on)  # raises for what names no executor
    return on


def _default_workers(on: Any) -> int:
    match getattr(on, "name", on):
        case "inline":
            return 1
        case "coroutines":
            return CONCURRENT_COROUTINES
        case "processes" | "interpreters":
            return _workers_of(on) or _usable_cores()
        case _:
            return min(32, _usable_cores() + 4)


def _workers_of(on: Any) -> int | None:
    """What `potok.processes(workers=...)`, or `potok.interpreters`, says."""
    return getattr(getattr(on, "options", None), "workers", None)


def _usable_cores() -> int:
    from potok.cores import find_cores

    return find_cores().usable


def _number(name: str, value: Any, called: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        instead = '"auto"' if name == "window" else "None"
        raise TypeError(f"potok.{called}: {name} must be {instead} or a whole number >= 1, not {value!r}")
    if value < 1:
        raise ValueError(f"potok.{called}: {name} must be >= 1, not {value}")
    return value


def _meter(progress: Any, iterables: tuple[Any, ...]) -> Meter | None:
    if progress is False or progress is None:
        return None
    if progress is not True and not callable(progress):
        raise TypeError(f"potok.map: progress must be True, False or a callable, not {progress!r}")
    from potok.dataflow.progress import Meter, PlainLines

    return Meter(PlainLines() if progress is True else progress, _length(iterables))


def _length(iterables: tuple[Any, ...]) -> int | None:
    """How many items there will be, where every iterable can tell."""
    try:
        return min(len(iterable) for iterable in iterables)
    except TypeError:
        return None


def _name(fn: Any) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return getattr(fn, "__name__", None) or type(fn).__name__
