"""`potok.map` and `potok.starmap`: a function over a stream of items, in order or as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import potok

if TYPE_CHECKING:  # the rest of this package is imported by those who map: `import potok` stays cheap
    from potok.dataflow.journal import Journal
    from potok.dataflow.plan import Plan
    from potok.dataflow.progress import Meter, Progress
    from potok.dataflow.records import Records
    from potok.dataflow.results import Results

__all__ = ["map", "starmap"]


def map(  # noqa: A001 - the name everybody knows it by
    fn: Callable[..., Any],
    *iterables: Iterable[Any],
    on: Any = "auto",
    workers: int | None = None,
    ordered: bool = True,
    batch: int | str = "auto",
    window: int | str = "auto",
    retries: int = 0,
    timeout: float | None = None,
    rate: float | None = None,
    on_error: str = "raise",
    progress: bool | Callable[[Progress], object] = False,
    journal: Journal | str | PathLike[str] | None = None,
) -> Results:
    """Apply `fn` to every item, several at a time: `for result in potok.map(fn, items): ...`.

    Lazy: nothing is pulled, and nothing runs, before the first result is asked for, and then no further than the
    window; the input may be infinite. It is pulled in the caller's thread. `for` in `def`, `async for` in `async def`;
    `with` (or `async with`) around the loop adds that leaving it waits until all workers have ended. A task of the
    scope around it, and cancelled with that scope. To start tasks that are not alike, use `potok.scope`.

    Args:
        fn: `def` or `async def`.
        *iterables: one, or several of which `fn` takes an argument each, until the shortest ends.
        on: "auto": begin with the plain loop, in the caller's own task, and move to what a measurement shows to be
            faster, and back (`results.explain()` says why); read by `async for`, a `def` function goes to threads.
            "threads", "coroutines" (for `async def`), "processes" or "interpreters" (for what computes), "inline" (the
            plain loop), or an executor. None is threads for `def` and coroutines for `async def`.
        workers: how many items are worked on at a time, at most. By default on threads the usable cores and 4 more
            (for those that wait), at most 32; on coroutines 100; on processes and interpreters the usable cores,
            or what `potok.processes(workers=...)` says. Inline works on one.
        ordered: results in the order of the input; otherwise as they are completed.
        batch: how many items go to a worker of another address space at a time; "auto": as many as take some 20 ms.
        window: how many items may be pulled and not yet given out; "auto": four times the workers; on processes, which
            get short items in batches, four batches each. In order, a slow item holds back the results of so many
            others.
        retries: how often an item that failed is tried again, after 0.1 s, 0.2 s and so on, at most 10 s.
        timeout: seconds that one try may take; TimeoutError is its error then. It acts where `fn` parks in potok or
            awaits; on processes a worker that goes on all the same is killed. Threads and interpreters can't be.
        rate: how many tries may begin in a second, over all workers; they begin at even intervals.
        on_error: "raise": an item's error is raised, bare, with a note that names the item, when its turn comes, and
            cancels the rest. "return": a `potok.BadItem` stands in place of its result, and the others go on.
        progress: True: a bar on a terminal (with `rich`) or in a notebook, plain lines on stderr elsewhere; or a
            callable that takes a `Progress` after each result.
        journal: a file in which what becomes of each item is recorded, before it is given out. A map with the journal
            of an earlier one, killed or not, works only on the items that are not in it or have failed; equal items
            count as one. It holds pickles: open only your own.

    Raises: TypeError, ValueError for wrong arguments, here; everything else as the results are read. An error of
        the input itself is raised after the results of all items pulled before it.

    Executors: the same on all, but inline does not work ahead, and there an `async def` function read with plain
        `for` may await nothing that waits. On processes and interpreters items and results are copied; what can't be
        pickled is an error of its item. An item whose worker dies is tried once more, alone in a fresh worker; then
        WorkerDied is its error. The items that its worker had begun with it are worked on again.
    """
    if not iterables:
        raise TypeError("potok.map takes a function and at least one iterable")
    sources = [_iterator(iterable, f"iterable {n}") for n, iterable in enumerate(iterables, 1)]
    items = sources[0] if len(sources) == 1 else zip(*sources, strict=False)
    options = Options(on, workers, ordered, batch, window, retries, timeout, rate, on_error, journal)
    plan = _plan(fn, len(sources) > 1, options, "map")
    return _results(plan, items, iterables, options, progress)


def starmap(
    fn: Callable[..., Any],
    iterable: Iterable[Iterable[Any]],
    *,
    on: Any = "auto",
    workers: int | None = None,
    ordered: bool = True,
    batch: int | str = "auto",
    window: int | str = "auto",
    retries: int = 0,
    timeout: float | None = None,
    rate: float | None = None,
    on_error: str = "raise",
    progress: bool | Callable[[Progress], object] = False,
    journal: Journal | str | PathLike[str] | None = None,
) -> Results:
    """As `map`, over tuples of arguments: `fn(*item)` for every item."""
    items = _iterator(iterable, "the iterable")
    options = Options(on, workers, ordered, batch, window, retries, timeout, rate, on_error, journal)
    plan = _plan(fn, True, options, "starmap")
    return _results(plan, items, (iterable,), options, progress)


EXECUTORS = ("auto", "inline", "coroutines", "threads", "interpreters", "processes")


class Options(NamedTuple):
    """What `map` and `starmap` take besides the function and its input, as it was given."""

    on: Any
    workers: Any
    ordered: Any
    batch: Any
    window: Any
    retries: Any
    timeout: Any
    rate: Any
    on_error: Any
    journal: Any


def _results(
    plan: Plan, items: Iterator[Any], iterables: tuple[Any, ...], options: Options, progress: Any
) -> Results:
    from potok.dataflow.intake import Intake, is_at_hand
    from potok.dataflow.results import Results

    at_hand = all(is_at_hand(iterable) for iterable in iterables)
    row = iterables[0] if len(iterables) == 1 and type(iterables[0]) is list else None
    intake = Intake(items, at_hand, _records(options.journal, plan.fn), _length(iterables), row)
    return Results(plan, intake, meter_of(progress, iterables))


def _records(journal: Any, fn: Any) -> Records | None:
    if journal is None:
        return None
    from potok.dataflow.records import Records

    if not isinstance(journal, str | PathLike) and not hasattr(journal, "look_up"):
        raise TypeError(f"potok.map: journal must be None, a path or a Journal, not {journal!r}")
    return Records(journal, fn)


def _iterator(iterable: Any, which: str) -> Iterator[Any]:
    try:
        return iter(iterable)
    except TypeError:
        hint = "; collect an async iterable first" if hasattr(iterable, "__aiter__") else ""
        raise TypeError(f"{which} of potok.map is no iterable: {iterable!r:.200}{hint}") from None


def _plan(fn: Any, star: bool, options: Options, called: str) -> Plan:
    from potok.dataflow.arguments import Checked, default_workers, name_of
    from potok.dataflow.colour import is_async
    from potok.dataflow.plan import Pace, Plan

    if not callable(fn):
        raise TypeError(f"potok.{called} takes a function first, not {fn!r:.200} (was it called already?)")
    coroutine = is_async(fn)
    on = _executor(options.on, coroutine, called)
    check = Checked(called)
    workers = (
        default_workers(on) if options.workers is None else check.count("workers", options.workers, "None")
    )
    stretches = options.window == "auto"
    window = 4 * workers if stretches else check.count("window", options.window, '"auto"')
    batch = None if options.batch == "auto" else check.count("batch", options.batch, '"auto"')
    if batch is not None and stretches:
        window = 4 * workers * batch
    if options.on_error not in ("raise", "return"):
        raise ValueError(f'potok.{called}: on_error must be "raise" or "return", not {options.on_error!r}')
    retries = check.count("retries", options.retries, least=0)
    timeout = check.seconds("timeout", options.timeout)
    rate = check.seconds("rate", options.rate)
    pace = None if rate is None else potok.share(Pace(rate))
    return Plan(
        fn=fn,
        name=name_of(fn),
        is_async=coroutine,
        star=star,
        on=on,
        workers=workers,
        window=window,
        ordered=bool(options.ordered),
        on_error=options.on_error,
        stretches=stretches and batch is None,
        batch=batch,
        retries=retries,
        timeout=timeout,
        pace=pace,
    )


def _executor(on: Any, coroutine: bool, called: str) -> Any:
    if on is None:
        return "coroutines" if coroutine else "threads"
    from potok.dataflow.plan import Auto

    if isinstance(on, str) and on == "auto":
        return Auto()
    if isinstance(on, Auto):
        return on
    try:
        potok.scope(on=on)
    except ValueError:
        names = ", ".join(repr(name) for name in EXECUTORS)
        raise ValueError(f"potok.{called}: on={on!r} names no executor; choose one of {names}") from None
    return on


def meter_of(progress: Any, iterables: tuple[Any, ...], called: str = "map") -> Meter | None:
    """Who counts and tells, where that was asked for. Raises TypeError for what is no progress."""
    if progress is False or progress is None:
        return None
    if progress is not True and not callable(progress):
        raise TypeError(f"potok.{called}: progress must be True, False or a callable, not {progress!r}")
    from potok.dataflow.progress import Meter, choose_display

    return Meter(choose_display(f"potok.{called}") if progress is True else progress, _length(iterables))


def _length(iterables: tuple[Any, ...]) -> int | None:
    """How many items there will be, where every iterable can tell."""
    try:
        return min(len(iterable) for iterable in iterables)
    except Exception:  # noqa: BLE001 - has none, has more than `len` can tell, or whatever the user's class does
        return None
