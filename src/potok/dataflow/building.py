"""A pipeline as it is put together, step by step, and what runs it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Self, TypedDict, Unpack

import potok
from potok.dataflow.arguments import name_of
from potok.dataflow.colour import is_async
from potok.dataflow.line import Order, PipelineResults
from potok.dataflow.mapping import meter_of
from potok.dataflow.stages import Step, Tally
from potok.dataflow.workload import work_of

__all__ = ["Options", "Pipeline", "Summary", "begin"]


class Summary(NamedTuple):
    """What `for_each` has done."""

    count: int  # type: ignore[assignment]  # items that came to the end, failures included
    failed: int


class Options(TypedDict, total=False):
    """What may be said of one stage: the options of `potok.map`, which says what they mean."""

    on: Any
    workers: int | None
    ordered: bool | None
    batch: Any
    window: Any
    retries: Any
    timeout: Any
    rate: Any


class _Source:
    """What is read; shared by all pipelines that begin with it."""

    __slots__ = ("_given", "_once", "_used", "kind")

    def __init__(self, given: Any) -> None:
        self._given = given
        self._used = False
        self.kind = type(given).__name__
        is_sync = hasattr(given, "__iter__") or hasattr(given, "__getitem__")
        if not is_sync and not hasattr(given, "__aiter__"):
            raise TypeError(
                f"the source of potok.pipeline must be an iterable, an async iterable or a receiver, not {given!r:.200}"
            )
        self._once = hasattr(given, "__next__") or (not is_sync and hasattr(given, "__anext__"))

    def use(self) -> Any:
        """What is read by the run that begins."""
        if not self._once:
            return self._given
        if self._used:
            raise potok.PotokError(
                f"this pipeline has been run already, and its source, a {self.kind}, can be read only once; make a "
                f"new pipeline, or give it a source that can be iterated again (a list, for one)"
            )
        self._used = True
        given, self._given = self._given, None
        return given


class Pipeline:
    """Made by `potok.pipeline`; immutable: each step returns a new one."""

    __slots__ = ("_entered", "_on_error", "_ordered", "_progress", "_source", "_steps")

    def __init__(
        self, source: _Source, steps: tuple[Step, ...], ordered: bool, on_error: str, progress: Any
    ) -> None:
        self._source = source
        self._steps = steps
        self._ordered = ordered
        self._on_error = on_error
        self._progress = progress
        self._entered: list[tuple[Any, PipelineResults]] = []  # by `with`, each by the task

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────

    def map(self, fn: Callable[[Any], Any], **options: Unpack[Options]) -> Pipeline:
        """Apply `fn`, `def` or `async def`, to every item, with workers of its own.

        Args:
            fn: what makes a result of an item.
            **options: those of `potok.map` that concern one stage: `on` (by default threads for `def`, coroutines for
                `async def`), `workers`, `ordered` (by default as the pipeline), `batch`, `window`, `retries`,
                `timeout`, `rate`. What else is not given is left to it.
        """
        return self._with("map", fn, options)

    def filter(self, fn: Callable[[Any], Any], **options: Unpack[Options]) -> Pipeline:
        """Keep the items for which `fn` returns what is true.

        Without options it is done on the spot, in the task of the stage before, and must be quick: what takes time or
        blocks holds up other stages; give it `on=`. (What waits by potok's means, or with `await`, does not.)
        """
        return self._with("filter", fn, options)

    def flat_map(self, fn: Callable[[Any], Any], **options: Unpack[Options]) -> Pipeline:
        """Put in place of each item those of the iterable that `fn` returns for it: none, one, or many.

        Without options it is done on the spot, as `filter` is, and the iterable (an async one, too) read as far as
        there is room; it may be infinite. With `on=` it is read to its end by the worker.
        """
        return self._with("flat_map", fn, options)

    def batch(self, size: int) -> Pipeline:
        """Gather the items into lists of so many; the last one may be shorter. Failed items are left out."""
        if isinstance(size, bool) or not isinstance(size, int):
            raise TypeError(f"potok.pipeline: the size of a batch must be a whole number >= 1, not {size!r}")
        if size < 1:
            raise ValueError(f"potok.pipeline: the size of a batch must be >= 1, not {size}")
        label = f"stage {self._number()}, batch({size})"
        return self._and(Step("batch", None, False, label, size=size))

    # ── running it ──────────────────────────────────────────────────────────────────────────────────────────

    def __iter__(self) -> PipelineResults:
        source = self._source.use()
        order = Order(repr(self)[1:-1], self._steps, self._on_error)
        as_many = all(step.kind in ("map", "for_each") for step in self._steps)
        meter = meter_of(self._progress, (source if as_many else None,), "pipeline")
        return PipelineResults(order, source, meter)

    def __aiter__(self) -> PipelineResults:
        return iter(self)

    def __enter__(self) -> PipelineResults:
        results = iter(self)
        self._entered.append((potok.current_task(), results))
        return results

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave().close()

    async def __aenter__(self) -> PipelineResults:
        return self.__enter__()

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._leave().aclose()

    def _leave(self) -> PipelineResults:
        me = potok.current_task()
        mine = [entry for entry in self._entered if entry[0] is me]
        entry = (mine or self._entered)[-1]  # a block may be left by another task than has entered it
        self._entered.remove(entry)
        return entry[1]

    def for_each(self, fn: Callable[[Any], Any], **options: Unpack[Options]) -> Summary:
        """Run the pipeline to its end, with `fn` as its last stage, and return how many items came there. A park point.

        Args:
            fn: `def` or `async def`. What it returns is dropped.
            **options: those of `map`.

        Raises: as an iteration over the pipeline. BlockingCallError in an `async def` task: write `afor_each`.
        """
        last = self._with("for_each", fn, options)
        try:
            potok.sleep(0)
        except potok.BlockingCallError:
            raise potok.BlockingCallError(
                "for_each() would block the event loop; write `await pipeline.afor_each(...)` in an async def task"
            ) from None
        count = failed = 0
        with last as results:
            for result in results:
                count += result if type(result) is Tally else 1
                failed += isinstance(result, potok.BadItem)
        return Summary(count, failed)

    async def afor_each(self, fn: Callable[[Any], Any], **options: Unpack[Options]) -> Summary:
        """The awaitable spelling of `for_each`."""
        count = failed = 0
        async with self._with("for_each", fn, options) as results:
            async for result in results:
                count += result if type(result) is Tally else 1
                failed += isinstance(result, potok.BadItem)
        return Summary(count, failed)

    def __repr__(self) -> str:
        steps = "".join(f".{_called(step)}" for step in self._steps if step.kind not in _THEN.values())
        return f"<potok.pipeline({self._source.kind}){steps}>"

    # ── putting it together ─────────────────────────────────────────────────────────────────────────────────

    def _with(self, kind: str, fn: Any, asked: Any) -> Pipeline:
        unknown = asked.keys() - Options.__annotations__.keys()
        if unknown:
            raise TypeError(
                f"potok.pipeline: {kind} takes {', '.join(Options.__annotations__)}; not {min(unknown)}"
                f"{_OF_ALL if min(unknown) in ('on_error', 'progress') else ''}"
            )
        if not callable(fn):
            raise TypeError(
                f"potok.pipeline: {kind} takes a function, not {fn!r:.200} (was it called already?)"
            )
        given = {name: value for name, value in asked.items() if value is not None}
        coroutine, name = is_async(fn), name_of(fn)
        label = f"stage {self._number()}, {name if kind == 'map' else f'{kind}({name})'}"
        if not given and kind in ("filter", "flat_map"):
            return self._and(Step(kind, fn, coroutine, label))
        awaits = coroutine or inspect.isasyncgenfunction(fn)
        options = {"on": "coroutines" if awaits else "threads", "ordered": self._ordered, **given}
        label += f" on {getattr(options['on'], 'name', options['on'])}"
        work = work_of(kind, fn, name, coroutine)
        potok.map(work, (), **options)  # raises for what is wrong with them
        then = _THEN.get(kind)
        if then == "count" and self._progress:
            then = None  # each result is progress
        step = Step(kind, work, coroutine, label, options)
        return self._and(step, *([Step(then, None, False, label)] if then else ()))

    def _number(self) -> int:
        return 1 + sum(step.kind not in _THEN.values() for step in self._steps)

    def _and(self, *steps: Step) -> Self:
        return type(self)(self._source, self._steps + steps, self._ordered, self._on_error, self._progress)


_THEN = {"filter": "spread", "flat_map": "spread", "for_each": "count"}
"""What is done on the spot with the results of a map that is such a step: part of it, and no call of the user's."""

_OF_ALL = ", which is said once, for the whole pipeline: potok.pipeline(source, on_error=..., progress=...)"


def _called(step: Step) -> str:
    name = step.label.partition(", ")[2].partition(" on ")[0]
    return f"map({name})" if step.kind == "map" else name


def begin(source: Any, ordered: bool, on_error: str, progress: Any) -> Pipeline:
    """`potok.pipeline`: check its arguments."""
    if on_error not in ("raise", "return"):
        raise ValueError(f'potok.pipeline: on_error must be "raise" or "return", not {on_error!r}')
    meter_of(progress, ((),), "pipeline")  # raises for what is no progress
    return Pipeline(_Source(source), (), bool(ordered), on_error, progress)
