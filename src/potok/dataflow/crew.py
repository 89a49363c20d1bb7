"""The workers of a map, and the task that owns them.

A scope may not be held open across a `yield`, so the consumer, who takes results at its leisure, opens none. A
*supervisor* does, in a task of its own:

    consumer ──lots──▶ worker, worker, … ──outcomes──▶ consumer
        └─────leash──▶ supervisor: holds the workers' scope open until the leash is let go

The supervisor is a member of the scope around the consumer, so that cancelling that scope reaches everybody, and
that scope ends only after them. The consumer's end of the leash is closed when the consumer has what it wants, when
the results are collected, and (being handed over to the supervisor) when the body of the scope around it ends;
where the consumer itself ends, the supervisor sees that. So nobody waits for a map that nobody reads.
"""

from __future__ import annotations

import itertools
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

import potok
from potok.dataflow.plan import Lot, Piece, Plan, unheard
from potok.dataflow.progress import worker_states

__all__ = ["LOST", "Crew", "Led", "Reins", "hire", "tell_of", "wait_for_any"]

DONE = "its map has ended"
LOST = -1
"""The index of what is no item: the error is that a worker has died, or can't be started with that function."""

Lead: TypeAlias = Callable[..., None]
"""What a supervisor does: `lead(plan, name, lots, outcomes, *ends)`, until one of the ends comes about."""

_numbers = itertools.count(1)


class Crew:
    """The workers' side. A worker that has got its first lot starts the next one, as long as the limit allows."""

    __slots__ = ("_lots", "_name", "_outcomes", "_plan", "_scope")

    def __init__(
        self,
        plan: Plan,
        name: str,
        scope: Any,
        lots: potok.Receiver[Lot],
        outcomes: potok.Sender[list[Piece]],
    ) -> None:
        self._plan = plan
        self._name = name
        self._scope = scope
        self._lots = lots
        self._outcomes = outcomes

    @classmethod
    def lead(
        cls,
        plan: Plan,
        name: str,
        lots: potok.Receiver[Lot],
        outcomes: potok.Sender[list[Piece]],
        *ends: Any,
    ) -> None:
        """Have the workers' scope open until one of the `ends` comes about. A park point, in the supervisor."""
        with potok.scope(on=plan.on) as scope:
            cls(plan, name, scope, lots, outcomes).start(1)
            wait_for_any(*ends)
            scope.cancel(DONE)

    def start(self, number: int) -> None:
        """Start worker `number`, counted from 1."""
        work = self._awork if self._plan.is_async else self._work
        self._scope.start(work, number, name=f"{self._name}.{number}")

    def _work(self, number: int) -> None:
        lot = None
        try:
            for lot in self._lots:
                number = self._start_next(number)
                self._work_on(lot)
        except potok.ClosedError:
            pass  # the consumer wants no more
        finally:
            lot = None  # the tracebacks of items that failed refer to this frame

    def _work_on(self, lot: Lot) -> None:
        piece: Any = None
        try:
            for piece in self._plan.work(lot, unheard):
                try:
                    self._outcomes.send([piece])
                except (potok.Cancelled, potok.PotokError) as error:
                    self._unsent(lot, piece, error)
        finally:
            del lot, piece  # as above

    async def _awork(self, number: int) -> None:
        lot = None
        try:
            async for lot in self._lots:
                number = self._start_next(number)
                await self._awork_on(lot)
        except potok.ClosedError:
            pass
        finally:
            lot = None

    async def _awork_on(self, lot: Lot) -> None:
        first, items, tried = lot
        piece: Any = None
        try:
            for at, item in enumerate(items):
                piece = await self._plan.aattempt(first + at, item, tried, unheard)
                try:
                    await self._outcomes.asend([piece])
                except (potok.Cancelled, potok.PotokError) as error:
                    self._unsent(lot, piece, error)
        finally:
            del lot, items, piece

    def _start_next(self, number: int) -> int:
        """Called by worker `number` for each lot: the first has its successor started. Returns a number without."""
        if number < self._plan.workers:
            self.start(number + 1)
        return self._plan.workers

    def _unsent(self, lot: Lot, piece: Piece, error: BaseException) -> None:
        """Why was it not sent? Every item that was begun is answered for, all the same. Raises what ends the worker."""
        if isinstance(error, potok.ClosedError):
            raise error
        index, _, failure, attempts = piece
        if failure is None:
            piece = index, lot[1][index - lot[0]], error, attempts
        self._outcomes.send_nowait([piece])
        if isinstance(error, potok.Cancelled):
            if (
                not self._scope.cancelled
            ):  # this worker alone was, by its function for one: another takes its place
                self.start(self._plan.workers)
            raise error


def _close_all(*ends: Any) -> None:
    for end in ends:
        end.close()


class Reins:
    """The consumer's side: ends of the channels, and the supervisor."""

    __slots__ = ("__weakref__", "_collected", "leash", "lots", "name", "outcomes", "owner")

    def __init__(
        self,
        lots: potok.Sender[Any],
        outcomes: potok.Receiver[list[Piece]],
        leash: potok.Sender[None],
        owner: Any,
        name: str,
    ) -> None:
        self.name = name
        self.lots = lots
        self.outcomes = outcomes
        self.leash = leash
        self.owner = owner  # a potok task, or an asyncio task
        # The finalizer keeps the ends: were they collected in one cycle with the results, they might come first.
        self._collected = weakref.finalize(self, _close_all, leash, lots, outcomes)

    def let_go(self) -> None:
        """Cancel whatever still runs. Idempotent, never waits, safe from finalizers."""
        self._collected()

    def join(self) -> None:
        """Wait until all have ended, whatever happens to the consumer meanwhile.

        Raises: BlockingCallError while they are in an event loop, outside of potok's sight.
        """
        if isinstance(self.owner, potok.Task):
            with potok.shield():
                self.owner.join()
        elif not self.owner.done():
            raise potok.BlockingCallError("join() of what runs in an event loop; write `await ajoin()` there")

    async def ajoin(self) -> None:
        """The awaitable spelling of `join`."""
        with potok.shield(), suppress(potok.TaskCancelled):
            await self.owner


class Led:
    """What stands for tasks that a supervisor owns: there are none before something is asked of it."""

    __slots__ = ("_reins",)

    _reins: Reins | None

    def states(self) -> tuple[str, ...]:
        """What each of the tasks does, in a line."""
        return () if self._reins is None else worker_states(self._reins.name)

    def join(self) -> None:
        """Wait until all of them have ended."""
        if self._reins is not None:
            self._reins.join()

    async def ajoin(self) -> None:
        """The awaitable spelling of `join`."""
        if self._reins is not None:
            await self._reins.ajoin()


def hire(
    plan: Any,
    awaiting: bool,
    kind: type[Crew],
    *,
    lead: Lead | None = None,
    on: Any = None,
    ahead: Any = potok.UNBOUNDED,
) -> Reins:
    """Start the supervisor of a map whose consumer is the current task.

    Args:
        plan: the map; or what else has a `title` and says what its tasks run `on`.
        awaiting: whether the consumer reads by `async for`.
        kind: the workers.
        lead: what the supervisor does, if not `kind.lead`.
        on: where it runs; by default where the consumer does.
        ahead: how many outcomes may wait for the consumer, where the window does not say so.
    """
    lots_tx, lots = potok.channel(potok.UNBOUNDED, name=f"{plan.title}: items")
    outcomes, outcomes_rx = potok.channel(ahead, name=f"{plan.title}: outcomes")
    leash, watch = potok.channel(name=f"{plan.title}: leash")
    name = f"{plan.title}-{next(_numbers)}"
    here, around = potok.current_task(), potok.current_scope()
    enclosed = isinstance(around, type(potok.scope()))
    if awaiting and _needs_running_loop(plan, here, enclosed):
        owner: Any = _start_in_running_loop(_aown(kind, plan, name, lots, outcomes, watch), name)
        return Reins(lots_tx, outcomes_rx, leash, owner, name)
    if on is None:
        on = _EXECUTORS.get(here.executor)
    caller = (here,) if enclosed else ()
    # The watch is shared, in a tuple: handed over, it would tie the leash to the outcomes that the consumer waits for.
    lead = lead or kind.lead
    owner = around.start(_own, lead, plan, name, lots, outcomes, (watch,), leash, *caller, on=on, name=name)
    for end in (lots, outcomes):  # the supervisor has its own; but the leash stays with the consumer
        end.close()
    return Reins(lots_tx, outcomes_rx, leash, owner, name)


_EXECUTORS = {"inline": "threads", "threads": "threads", "coroutines": "coroutines"}
"""Where the supervisor runs, by where the consumer does; elsewhere it takes the scope's executor."""


def _own(
    lead: Lead,
    plan: Plan,
    name: str,
    lots: potok.Receiver[Lot],
    outcomes: potok.Sender[Any],
    shared: tuple[potok.Receiver[None]],
    leash: potok.Sender[None],
    *caller: potok.Task[Any],
) -> None:
    """Be the supervisor: hold the workers' scope open until the leash is let go, or the consumer ends."""
    leash.close()  # handed over only so that the consumer's own is closed as its scope's body ends
    (watch,) = shared
    try:
        with watch:
            lead(plan, name, lots, outcomes, watch, *caller)
    except* potok.PotokError as lost:  # workers that died, or could not take an item in
        tell_of(lost.exceptions[0], outcomes)


async def _aown(
    kind: type[Crew],
    plan: Plan,
    name: str,
    lots: potok.Receiver[Lot],
    outcomes: potok.Sender[Any],
    watch: potok.Receiver[None],
) -> None:
    """The same, in the consumer's own event loop, where nothing is handed over."""
    with lots, outcomes, watch:
        async with potok.scope(on=plan.on) as scope:
            kind(plan, name, scope, lots, outcomes).start(1)
            with suppress(potok.ClosedError):
                await watch.arecv()
            scope.cancel(DONE)


def wait_for_any(*ends: Any) -> None:
    """Wait until the leash is let go, or the consumer has ended in whatever way."""
    try:
        potok.select(*ends)
    except potok.Cancelled:
        raise
    except BaseException:  # noqa: BLE001, S110 - that is the news
        pass


def tell_of(error: BaseException, outcomes: potok.Sender[Any]) -> None:
    """The consumer raises it, once it has given out what was worked on before."""
    with suppress(potok.ClosedError):  # it wants to hear no more
        outcomes.send_nowait([(LOST, None, error, 0)])


def _needs_running_loop(plan: Plan, here: potok.Task[Any], enclosed: bool) -> bool:
    """Whether the workers belong on the consumer's event loop and no scope around the consumer leads there.

    So it is in an asyncio task that potok did not start and that is in no scope, and in an `async def` task on
    threads: its scope's tasks have threads and loops of their own.
    """
    if getattr(plan.on, "name", plan.on) != "coroutines":
        return False
    asyncio = sys.modules["asyncio"]  # somebody awaits in it
    return isinstance(asyncio.current_task(), asyncio.Task) and not (
        enclosed and here.executor == "coroutines"
    )


def _start_in_running_loop(coroutine: Any, name: str) -> Any:
    return sys.modules["asyncio"].get_running_loop().create_task(coroutine, name=name)
