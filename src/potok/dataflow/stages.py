"""A stage of a pipeline: a map with workers of its own, and what is done with its results on the spot.

    channel ──▶ Stream ──▶ potok.map(f) ──▶ filter ──▶ flat_map ──▶ batch ──▶ channel
                └───────────────────── one task ─────────────────────┘

All that a map can do (batches, retries, the death of a worker, …) is the map's. Where no map comes first, the steps
are done with what comes.

Invariants
    The last message of a stage is (LAST, error or None), unless it was cancelled: so is its channel, then.
    A failed item passes every later step by; with on_error="raise" it is the last message.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from types import CoroutineType
from typing import Any, Final, NamedTuple

import potok
from potok.dataflow.plan import shown, without_our_frames
from potok.dataflow.pooled import ordinary
from potok.dataflow.results import raisable
from potok.dataflow.stream import CANCELLED, LAST, Halt, Stream

__all__ = ["Stage", "Step", "Tally", "stages_of"]

WORKS_ITSELF: Final = ("inline", "auto")
"""Where a map does all its work, or some, in the task that reads its results."""


class Step(NamedTuple):
    """One call of the user's: `.map(f)`, `.batch(64)`."""

    kind: str
    fn: Any
    is_async: bool
    label: str  # for notes: "stage 2, parse on processes"
    options: dict[str, Any] | None = None  # of the map that does it; None: done on the spot
    size: int = 0  # of a batch


class Stage:
    """One per run, in one task."""

    __slots__ = ("_give", "_halts", "_light", "_map", "_ordered", "_tx")

    _tx: potok.Sender[Any]

    def __init__(self, first: Step | None, light: Iterable[Step], halts: bool) -> None:
        self._map = first
        self._halts = halts
        self._ordered = first is None or first.options is None or bool(first.options["ordered"])
        self._light: list[OnTheSpot] = []
        self._give: Give = self._send
        for step in reversed([*light]):
            done = _KINDS[step.kind](step, self._give, self.fail)
            self._light.insert(0, done)
            self._give = done.take

    @property
    def name(self) -> str:
        """What the task is called by."""
        step = self._map or (self._light[0].step if self._light else None)
        return "items" if step is None else step.label.partition(" on ")[0]

    @property
    def may_block(self) -> bool:
        """Whether the map is done in this very task, by a function that can't await (nor can what follows it)."""
        if self._map is None or self._map.is_async or any(done.step.is_async for done in self._light):
            return False
        return (self._map.options or {}).get("on") in WORKS_ITSELF

    def work(self, rx: potok.Receiver[Any], tx: potok.Sender[Any]) -> None:
        """Be the task."""
        self._tx = tx
        last: BaseException | None = None
        stream = Stream(rx, self._pass_on, self._halts, self._ordered)
        try:
            if self._map is None:
                self._do(stream)
            else:
                self._map_and_do(self._map, stream)
            last = stream.last
            if last is None:
                for step in self._light:
                    step.end()
        except Halt as halt:
            last = halt.error
        except (potok.Cancelled, GeneratorExit):
            tx.cancel(CANCELLED)
            raise
        except BaseException as error:  # noqa: BLE001 - the consumer raises it
            last = raisable(
                error, f"in potok.pipeline: {self.name if self._map is None else self._map.label}"
            )
        try:
            with suppress(potok.ClosedError):  # nobody wants to hear
                tx.send((LAST, last))
        finally:
            del last, stream  # the error's traceback refers to this frame

    def _do(self, stream: Stream) -> None:
        for number, item in enumerate(stream):
            self._give(stream.source_of(number), item)
            stream.let_pass()

    def _map_and_do(self, step: Step, stream: Stream) -> None:
        results = potok.map(step.fn, stream, on_error="return", **(step.options or {})).numbered()
        for number, result in results:
            index = stream.source_of(number)
            if isinstance(result, potok.BadItem):
                self.fail(step, index, result.item, result.error, result.attempts)
            else:
                self._give(index, result)
            stream.let_pass()

    def _send(self, index: int, value: Any) -> None:
        if isinstance(value, potok.BadItem) and self._halts:
            raise Halt(value.error)
        self._tx.send((index, value))

    def _pass_on(self, index: int, bad: potok.BadItem) -> None:
        self._tx.send((index, bad))

    def fail(self, step: Step, index: int, item: Any, error: BaseException, attempts: int = 1) -> None:
        """This item of a step has failed: the others are told, or the pipeline ends."""
        note = f"in potok.pipeline: {step.label}: item {index} ({shown(item)})"
        if self._halts:
            raise Halt(raisable(error, note))
        error.add_note(note)
        self._tx.send((index, potok.BadItem(index, item, error, attempts)))


Give = Callable[[int, Any], None]


class OnTheSpot:
    """A step without workers: it takes an item, and gives on none, one or several."""

    __slots__ = ("_fail", "_give", "step")

    def __init__(self, step: Step, give: Give, fail: Callable[..., None]) -> None:
        self.step = step
        self._give = give
        self._fail = fail

    def take(self, index: int, item: Any) -> None:
        """Do it with one item. What the user's function raises is the item's failure."""
        raise NotImplementedError

    def end(self) -> None:
        """That was the last."""

    def _call(self, item: Any) -> Any:
        if self.step.is_async:
            return potok.await_(self.step.fn(item))
        value = self.step.fn(item)
        if type(value) is CoroutineType:
            value.close()
            raise TypeError(f"{self.step.label} returned a coroutine; give it the async def function itself")
        return value

    def _failed(self, index: int, item: Any, error: BaseException) -> None:
        """The user's function has raised. Raises what is no failure of the item."""
        error = ordinary(error)
        if not isinstance(error, Exception):
            raise error
        without_our_frames(error)
        self._fail(self.step, index, item, error)


class Filter(OnTheSpot):
    """`.filter(g)`: what goes on is what it keeps."""

    __slots__ = ()

    def take(self, index: int, item: Any) -> None:
        try:
            kept = self._call(item)
        except BaseException as error:  # noqa: BLE001 - the item's
            self._failed(index, item, error)
        else:
            if kept:
                self._give(index, item)


class FlatMap(OnTheSpot):
    """`.flat_map(h)`: what is iterated here is no further ahead than what follows has room for."""

    __slots__ = ()

    def take(self, index: int, item: Any) -> None:
        try:
            parts = _iterator(self._call(item))
        except BaseException as error:  # noqa: BLE001 - the item's
            self._failed(index, item, error)
            return
        while True:
            try:
                part = next(parts)
            except StopIteration:
                return
            except BaseException as error:  # noqa: BLE001 - the item's
                self._failed(index, item, error)
                return
            self._give(index, part)


class Spread(OnTheSpot):
    """The parts that workers have made of an item."""

    __slots__ = ()

    def take(self, index: int, item: Any) -> None:
        for part in item:
            self._give(index, part)


class Batch(OnTheSpot):
    """`.batch(n)`: lists of n, the last one of what is left; its index is that of its first item."""

    __slots__ = ("_index", "_items")

    def __init__(self, step: Step, give: Give, fail: Callable[..., None]) -> None:
        super().__init__(step, give, fail)
        self._items: list[Any] = []
        self._index = 0

    def take(self, index: int, item: Any) -> None:
        if not self._items:
            self._index = index
        self._items.append(item)
        if len(self._items) == self.step.size:
            self.end()

    def end(self) -> None:
        if self._items:
            items, self._items = self._items, []
            self._give(self._index, items)


class Tally(int):
    """In place of so many results that nobody looks at."""

    __slots__ = ()


class Count(OnTheSpot):
    """How many have come: one message, at the end, where each would wake a thread that but counts."""

    __slots__ = ("_count",)

    def __init__(self, step: Step, give: Give, fail: Callable[..., None]) -> None:
        super().__init__(step, give, fail)
        self._count = 0

    def take(self, _index: int, _item: Any) -> None:
        self._count += 1

    def end(self) -> None:
        self._give(0, Tally(self._count))


_KINDS: dict[str, type[OnTheSpot]] = {
    "filter": Filter,
    "flat_map": FlatMap,
    "spread": Spread,
    "batch": Batch,
    "count": Count,
}


def _iterator(parts: Any) -> Iterator[Any]:
    if hasattr(parts, "__aiter__") and not hasattr(parts, "__iter__"):
        return _awaited(aiter(parts))
    return iter(parts)


def _awaited(parts: AsyncIterator[Any]) -> Iterator[Any]:
    while True:
        try:
            part = potok.await_(anext(parts))
        except StopAsyncIteration:
            return
        yield part


def stages_of(steps: Iterable[Step], halts: bool) -> list[Stage]:
    """The stages that do these steps: each map, or the source, with what can be done on the spot after it."""
    stages: list[tuple[Step | None, list[Step]]] = []
    for step in steps:
        if step.options is not None:
            stages.append((step, []))
        elif stages:
            stages[-1][1].append(step)
        else:
            stages.append((None, [step]))
    return [Stage(first, light, halts) for first, light in stages or [(None, [])]]
