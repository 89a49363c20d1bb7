"""A pipeline that runs: its tasks, which one scope holds, and the iterator over what comes out at its end.

    source ──▶ channel ──▶ stage ──▶ channel ──▶ stage ──▶ channel ──▶ the consumer
       task                 task                  task

The scope is held by a supervisor, as the workers of a map are (`crew`), and so ends as they do. Each channel has room
for `AHEAD` items: a stage that can't get rid of its results waits, and so does everything before it.

The tasks are light ones on *coroutines*, all in one thread with one event loop: that of a consumer that has one, else
the supervisor's. What takes time runs on the workers of the stages' maps; what may block without them (a source, a
map on *inline*), in a thread of its own, unless the loop is the consumer's. Nothing queues for a thread or a worker
behind another stage: they can't wait for each other in a circle.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, NamedTuple

import potok
from potok.dataflow.crew import LOST, Crew, Led, Reins, hire
from potok.dataflow.plan import Piece
from potok.dataflow.progress import Meter
from potok.dataflow.results import Results, raisable
from potok.dataflow.stages import Stage, Step, stages_of
from potok.dataflow.stream import CANCELLED, LAST

__all__ = ["Order", "Outlet", "PipelineResults"]

AHEAD: Final = 16  # items


class Order(NamedTuple):
    """What a pipeline was asked to do, checked. Made for one run."""

    name: str
    steps: tuple[Step, ...]
    on_error: str
    source: Any = None  # this, and what follows, is known as it begins
    on: Any = None  # where its tasks run
    beside: Any = None  # where those of them run that may block; None: there

    @property
    def title(self) -> str:
        """What it is called by, in the names of its tasks."""
        return self.name.removeprefix("potok.")


class Line(Crew):
    """The tasks."""

    __slots__ = ()

    _plan: Any

    def start(self, _number: int, *_rest: Any) -> None:
        """Start them all."""
        order: Order = self._plan
        stages = stages_of(order.steps, halts=order.on_error == "raise")
        tx, rx = potok.channel(AHEAD, name=f"{order.name}: source")
        feed = _afeed if _is_async(order.source) else _feed
        parks = _is_async(order.source) or isinstance(order.source, potok.Receiver | Results)
        feeds_on = None if parks else order.beside
        self._scope.start(feed, (order.source,), tx, on=feeds_on, name=f"{self._name}: source")
        tx.close()
        for stage in stages[:-1]:
            tx, after = potok.channel(AHEAD, name=f"{order.name}: {stage.name}")
            self._start(stage, rx, tx)
            tx.close()
            rx = after
        self._start(stages[-1], rx, self._outcomes)

    def _start(self, stage: Stage, rx: potok.Receiver[Any], tx: potok.Sender[Any]) -> None:
        on = self._plan.beside if stage.may_block else None
        self._scope.start(stage.work, rx, tx, on=on, name=f"{self._name}: {stage.name}")
        rx.close()


def _feed(source: Any, tx: potok.Sender[Any]) -> None:
    """Be the task of the source (in a tuple, so that no end is handed over): pull it as far as there is room."""
    last: BaseException | None = None
    try:
        for index, item in enumerate(source[0]):
            tx.send((index, item))
    except (potok.Cancelled, GeneratorExit):
        tx.cancel(CANCELLED)
        raise
    except BaseException as error:  # noqa: BLE001 - the consumer raises it
        last = raisable(error, "in potok.pipeline: the source")
    finally:
        item = source = None  # the traceback of a cancellation refers to this frame, and outlives it
    try:
        with suppress(potok.ClosedError):
            tx.send((LAST, last))
    finally:
        del last


async def _afeed(source: Any, tx: potok.Sender[Any]) -> None:
    """The same, for an async iterable."""
    last: BaseException | None = None
    index = 0
    try:
        async for item in source[0]:
            await tx.asend((index, item))
            index += 1
    except (potok.Cancelled, GeneratorExit):
        tx.cancel(CANCELLED)
        raise
    except Exception as error:  # noqa: BLE001 - the consumer raises it
        last = raisable(error, "in potok.pipeline: the source")
    finally:
        item = source = None
    try:
        with suppress(potok.ClosedError):
            await tx.asend((LAST, last))
    finally:
        del last


def _is_async(source: Any) -> bool:
    return hasattr(source, "__aiter__") and not hasattr(source, "__iter__")


class Outlet(Led):
    """The consumer's side: takes what comes out at the end."""

    __slots__ = ("_order", "_source")

    def __init__(self, order: Order, source: Any) -> None:
        self._order = order
        self._source = source  # until it begins: only who reads it keeps it
        self._reins: Reins | None = None

    def take(self) -> Piece | None:
        """The next outcome; None when everything has been given out."""
        reins = self._reins or self._begin(awaiting=False)
        try:
            return _piece(reins.outcomes.recv())
        except potok.ClosedError as error:
            raise self._abandoned() from error

    async def atake(self) -> Piece | None:
        """The awaitable spelling of `take`."""
        reins = self._reins or self._begin(awaiting=True)
        try:
            return _piece(await reins.outcomes.arecv())
        except potok.ClosedError as error:
            raise self._abandoned() from error

    def _begin(self, awaiting: bool) -> Reins:
        source, self._source = self._source, None
        executor = potok.current_task().executor
        if isinstance(source, potok.Receiver):  # as whoever iterates over it: that may close ends handed over
            aiter(source) if awaiting else iter(source)
        on = _EXECUTORS.get(executor)
        beside = "threads" if not awaiting and executor in _BESIDE else None
        order = self._order._replace(source=source, on=on, beside=beside)
        self._reins = hire(order, awaiting, Line, ahead=AHEAD)
        return self._reins

    def let_go(self) -> None:
        """Cancel the rest. Idempotent, never waits, safe from finalizers."""
        self._source = None
        if self._reins is not None:
            self._reins.let_go()

    def _abandoned(self) -> BaseException:
        """The supervisor ended before we did. Raises Cancelled if that is because we shall, too."""
        potok.checkpoint()
        return potok.ScopeError(
            f"{self._order.name} was stopped before its results were read: the scope, or the task, in which it was "
            f"iterated first has ended or was cancelled; read the results inside it"
        )


_EXECUTORS = {
    "inline": "coroutines",
    "threads": "coroutines",
    "coroutines": "coroutines",
    "processes": "coroutines",
    "interpreters": "threads",  # which have no greenlets
}
"""Where the tasks run, by where the consumer does; elsewhere with the consumer."""

_BESIDE = {"inline", "threads", "processes", "interpreters"}
"""Where a consumer has a thread that its pipeline does not share. Elsewhere what may block does so in its thread."""


def _piece(message: Any) -> Piece | None:
    index, value = message[0], message[-1]
    if index == LOST:
        return None if value is None else (LOST, None, value, 0)
    return index, [value], None, 1


class PipelineResults(Results):
    """The results of a pipeline, as those of a map."""

    __slots__ = ()

    def __init__(self, order: Order, source: Any, meter: Meter | None) -> None:
        super().__init__(order, source, meter)  # type: ignore[arg-type]

    @staticmethod
    def _kind(_plan: Any) -> Any:
        return Outlet

    def _open(self, piece: Piece) -> None:
        """What came out: a result, a BadItem in place of one, or the error that ends it all, which is raised."""
        error = piece[2]
        if error is None:
            super()._open(piece)
            return
        self._count(error, failed=True)
        try:
            raise error
        finally:
            del error, piece

    def __repr__(self) -> str:
        return f"<results of {self._plan.name}, {'ended' if self._over else 'open'}>"
