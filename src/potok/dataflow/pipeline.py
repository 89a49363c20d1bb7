"""`potok.pipeline`: maps joined by channels, each stage on the executor that suits it."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the rest of this package is imported by those who build one: `import potok` stays cheap
    from potok.dataflow.building import Pipeline
    from potok.dataflow.progress import Progress

__all__ = ["pipeline"]


def pipeline(
    source: Iterable[Any] | AsyncIterable[Any],
    *,
    ordered: bool = True,
    on_error: str = "raise",
    progress: bool | Callable[[Progress], object] = False,
) -> Pipeline:
    """Begin a pipeline: `potok.pipeline(urls).map(fetch, on="coroutines").map(parse, on="processes").for_each(store)`.

    Every call of `map`, `filter`, `flat_map` and `batch` returns a new pipeline, one step longer, and runs nothing.
    To run it, iterate over it (`for` in `def`, `async for` in `async def`), or end it with `for_each`. The stages then
    work at the same time, each with workers of its own, and pass their results on through channels with room for a
    few items: a slow stage, or a slow reader, holds back those before it, down to the source. Memory stays flat, the
    source may be infinite. For one function over its inputs, use `potok.map`.

    All of it is one scope, inside of the caller's: whatever ends it (the end, an error, `break`, a cancellation) ends
    all of it. `with` (or `async with`) around the loop adds that leaving it waits for that. Nothing is kept from one
    run to the next; a source that can be read only once (a generator) allows one run.

    Args:
        source: an iterable, an async iterable, or a receiver. It is read by one task of the pipeline from beginning
            to end: where the caller is `async def`, or on coroutines, in the caller's thread (which it should not
            block); else in a thread of its own, so that a source that takes its time holds up nobody.
        ordered: results in the order of the source; otherwise as they are completed. A stage may say otherwise.
        on_error: "raise": the first error is raised, bare, with a note that names the stage and the item, when the
            turn of its item comes (`ordered`) or at once, and cancels the rest. "return": a failed item passes all
            further stages by, and a `potok.BadItem` comes out in place of what would have become of it. Its index is
            that of the item of the source. (A BadItem that a function returns, or the source brings, is a failed
            item, too.)
        progress: as in `potok.map`: print plain lines, or a callable. It counts what comes out at the end.

    Raises: TypeError, ValueError for wrong arguments, here and in each step; everything else as it runs. An error of
        the source is raised after the results of what came before it.
    """
    from potok.dataflow.building import begin

    return begin(source, ordered, on_error, progress)
