"""`potok.compare`: the same function and inputs on each executor, against the best plain loop.

gather     pull the inputs and run the plain loop over them, until there is a sample that fits the budget
start      one run on each executor with new workers: does it work at all, and does it give the same?
cut        the sample to what the slowest of them can do in its share of the time
rounds     everybody once, then everybody once in the reverse order, and so on: what changes on the machine
           meanwhile changes for all
look       runs that are not timed: the GIL, memory; and what sending an item costs
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import potok

if TYPE_CHECKING:  # the rest of this package is imported by those who compare: `import potok` stays cheap
    from potok.adviser.bench import Candidate
    from potok.adviser.comparison import Comparison

__all__ = ["compare"]

CONCURRENT_COROUTINES: Final = 100  # as `potok.map` has it
REPETITIONS: Final = 5
BUDGET: Final = 20.0
NAMES: Final = ("inline", "threads", "coroutines", "interpreters", "processes")

_serial = itertools.count(1_000_000_000)


def compare(
    fn: Callable[[Any], Any],
    inputs: Iterable[Any],
    *,
    on: Any = None,
    workers: int | None = None,
    reps: int | None = None,
    budget: float = BUDGET,
    progress: bool | Callable[[str], object] = False,
) -> Comparison:
    """Measure `fn` over the inputs on each executor, against the plain loop: `print(potok.compare(fn, items))`.

    Choose it to learn which executor pays off for a function, and why; `potok.map` then runs it there. `fn` is called
    with each item of the sample many times over: don't compare a function that must do what it does only once, or that
    changes its argument. The sample's items and the plain loop's results are kept in memory meanwhile.

    Args:
        fn: `def` or `async def`, of one argument.
        inputs: any iterable, an endless one too; so much of it is pulled as fits into the budget.
        on: an executor or several, by name or as objects like `potok.processes(preload=...)`; by default all that exist
            here and can run this function. The plain loop ("inline") is measured always: `for item in inputs:
            fn(item)`, under `asyncio.run` for `async def`.
        workers: how many items are worked on at a time; by default for each executor what `potok.map` takes.
        reps: timed runs of each; by default 5, or what fits into the budget.
        budget: seconds that all of it may take, about. An item that was begun is never interrupted, so a few long
            items can take more.
        progress: print on stderr what is being done; or a callable that takes that line.

    Returns: a `Comparison`: print it, take `.verdict` or `.to_dict()`, or `.save("report.html")`. An executor that
        can't run the function is a row that says why.

    Raises: TypeError, ValueError for wrong arguments; what the inputs raise.

    Blocks: until all is measured.
    """
    if not callable(fn):
        raise TypeError(f"potok.compare takes a function first, not {fn!r:.200} (was it called already?)")
    from potok.dataflow.arguments import Checked

    stream = _stream(inputs)
    check = Checked("compare")
    workers = None if workers is None else check.count("workers", workers, "None")
    repetitions = REPETITIONS if reps is None else check.count("reps", reps, "None")
    seconds = _seconds(budget)
    tell = _teller(progress)
    from potok.adviser.bench import Bench
    from potok.dataflow.arguments import usable_cores

    candidates, left_out = _candidates(fn, on, workers)
    bench = Bench(fn, candidates, usable_cores(), repetitions, seconds, tell, left_out)
    measure = functools.partial(bench.measure, stream, _length(inputs), _called(fn), _python_version())
    if _in_event_loop():  # of a notebook, say, where asyncio.run is refused
        in_thread: Comparison = potok.start(measure, on="threads").result()
        return in_thread
    return measure()


def _stream(inputs: Any) -> Any:
    try:
        return iter(inputs)
    except TypeError:
        raise TypeError(f"potok.compare takes an iterable of inputs second, not {inputs!r:.200}") from None


def _length(inputs: Any) -> int | None:
    length = operator.length_hint(inputs, -1)
    return None if length < 0 else length


def _candidates(fn: Any, on: Any, workers: int | None) -> tuple[list[Candidate], list[str]]:
    """Whom to measure, and whom not that nobody asked for, with the reason.

    Raises: TypeError, ValueError for what names no executor.
    """
    from potok.dataflow.colour import is_async

    if on is None:
        names = ["threads", "coroutines", "interpreters", "processes"]
        left_out = []
        if not is_async(fn):
            names.remove("coroutines")
            left_out.append("coroutines (for async def)")
        found = [_candidate(fn, name, workers) for name in names]
        left_out += [f"{one.name} ({_briefly(one)})" for one in found if one.reason]
        return [candidate for candidate in found if not candidate.reason], left_out
    wanted = [on] if isinstance(on, str) or not isinstance(on, Iterable) else list(on)
    return [_candidate(fn, each, workers) for each in wanted if each != "inline"], []


def _briefly(candidate: Candidate) -> str:
    """Its reason without what to do about it."""
    return str(candidate.reason).partition(":")[0].removeprefix(f"the executor {candidate.name} ")


def _candidate(fn: Any, on: Any, workers: int | None) -> Candidate:
    from potok.adviser.bench import Candidate
    from potok.dataflow.arguments import default_workers

    name = getattr(on, "name", on)
    if name not in NAMES:
        raise ValueError(
            f"potok.compare: on={on!r:.200} is no executor to measure; choose from {', '.join(map(repr, NAMES))}, "
            f"or give an executor object"
        )
    count = workers or default_workers(on)
    take = on if isinstance(on, str) else ""
    try:
        potok.scope(on=on)
        return Candidate(fn, name, _fresh(on, count), count, take=take)
    except potok.PotokError as error:  # this Python can't have it
        return Candidate(fn, name, on, count, take=take, reason=str(error))


def _fresh(on: Any, workers: int) -> Any:
    """An executor whose workers nobody has started yet: those of a name may be there already, idle."""
    if on == "processes":
        return potok.processes(workers=workers, max_tasks_per_worker=next(_serial))
    if on == "interpreters":
        return potok.interpreters(workers=workers, max_tasks_per_worker=next(_serial))
    return on


def _seconds(budget: Any) -> float:
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget < math.inf:
        raise ValueError(f"potok.compare: budget must be a number of seconds > 0, not {budget!r}")
    return float(budget)


def _teller(progress: Any) -> Callable[[str], object]:
    if progress is False or progress is None:
        return _say_nothing
    if progress is True:
        return _say
    if not callable(progress):
        raise TypeError(f"potok.compare: progress must be True, False or a callable, not {progress!r}")
    return progress  # type: ignore[no-any-return]


def _say_nothing(line: str) -> None:
    """What is told to nobody."""
    del line


def _say(line: str) -> None:
    sys.stderr.write(f"potok.compare: {line}\n")
    sys.stderr.flush()


def _called(fn: Any) -> str:
    """How the report calls the function."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    name = getattr(fn, "__qualname__", None) or type(fn).__qualname__
    module = getattr(fn, "__module__", None)
    return name if module in (None, "__main__") else f"{module}.{name}"


def _python_version() -> str:
    import platform

    return platform.python_version()


def _in_event_loop() -> bool:
    """Whether an asyncio loop runs in this thread."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
