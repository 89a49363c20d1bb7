"""The workers of a map, and the task that owns them.

A scope may not be held open across a `yield`, so the consumer, who takes results at its leisure, opens none. A
*supervisor* does, in a task of its own:

    consumer ──jobs──▶ worker, worker, … ──outcomes──▶ consumer
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
from contextlib import suppress
from typing import Any

import potok
from potok.dataflow.plan import Outcome, Plan, failure_of

__all__ = ["LOST", "Crew", "Reins", "hire"]

DONE = "its map has ended"
LOST = -1
"""The index of what is no item: the error is that a worker has died, or can't be started with that function."""

_numbers = itertools.count(1)


class Crew:
    """The workers' side. A worker that has got its first job starts the next one, as long as the limit allows."""

    __slots__ = ("_jobs", "_name", "_outcomes", "_plan", "_scope")

    def __init__(
        self, plan: Plan, name: str, scope: Any, jobs: potok.Receiver[Any], outcomes: potok.Sender[Outcome]
    ) -> None:
        self._plan = plan
        self._name = name
        self._scope = scope
        self._jobs = jobs
        self._outcomes = outcomes

    def start(self, number: int, *rest: Any) -> None:
        """Start worker `number`, counted from 1; with work that another has left."""
        work = self._awork if self._plan.is_async else self._work
        self._scope.start(work, number, *rest, name=f"{self._name}.{number}")

    def _work(self, number: int, *rest: Any) -> None:
        job = None
        try:
            for job in rest:
                self._work_on(job)
            for job in self._jobs:
                number = self._start_next(number)
                self._work_on(job)
        except potok.ClosedError:
            pass  # the consumer wants no more
        finally:
            job, rest = None, ()  # the tracebacks of items that failed refer to this frame

    def _work_on(self, job: Any) -> None:
        outcome = self._plan.apply(job)
        try:
            self._outcomes.send(outcome)
        except (potok.Cancelled, potok.PotokError) as error:
            self._unsent(outcome, error)
        finally:
            del job, outcome  # as above

    async def _awork(self, number: int, *rest: Any) -> None:
        job = None
        try:
            for job in rest:
                await self._awork_on(job)
            async for job in self._jobs:
                number = self._start_next(number)
                await self._awork_on(job)
        except potok.ClosedError:
            pass
        finally:
            job, rest = None, ()

    async def _awork_on(self, job: Any) -> None:
        outcome = await self._plan.aapply(job)
        try:
            await self._outcomes.asend(outcome)
        except (potok.Cancelled, potok.PotokError) as error:
            self._unsent(outcome, error)
        finally:
            del job, outcome

    def _start_next(self, number: int) -> int:
        """Called by worker `number` for each job: the first has its successor started. Returns a number without."""
        if number < self._plan.workers:
            self.start(number + 1)
        return self._plan.workers

    def _unsent(self, outcome: Outcome, error: BaseException) -> None:
        """Why was it not sent? Every item that was begun is answered for, all the same. Raises what ends the worker."""
        if isinstance(error, potok.ClosedError):
            raise error
        index, item, _, failure = outcome
        self._outcomes.send_nowait(failure_of(index, item, error) if failure is None else outcome)
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

    __slots__ = ("__weakref__", "_collected", "jobs", "leash", "outcomes", "owner")

    def __init__(
        self,
        jobs: potok.Sender[Any],
        outcomes: potok.Receiver[Outcome],
        leash: potok.Sender[None],
        owner: Any,
    ) -> None:
        self.jobs = jobs
        self.outcomes = outcomes
        self.leash = leash
        self.owner = owner  # a potok task, or an asyncio task
        # The finalizer keeps the ends: were they collected in one cycle with the results, they might come first.
        self._collected = weakref.finalize(self, _close_all, leash, jobs, outcomes)

    def let_go(self) -> None:
        """Cancel whatever still runs. Idempotent, never waits, safe from finalizers."""
        self._collected()

    def join(self) -> None:
        """Wait until all have ended, whatever happens to the consumer meanwhile."""
        with potok.shield():
            self.owner.join()

    async def ajoin(self) -> None:
        """The awaitable spelling of `join`."""
        with potok.shield(), suppress(potok.TaskCancelled):
            await self.owner


def hire(plan: Plan, awaiting: bool, kind: type[Crew]) -> Reins:
    """Start the supervisor of a map whose consumer is the current task; `awaiting`: in `async for`."""
    jobs_tx, jobs = potok.channel(potok.UNBOUNDED, name=f"map({plan.name}): jobs")
    outcomes, outcomes_rx = potok.channel(potok.UNBOUNDED, name=f"map({plan.name}): outcomes")
    leash, watch = potok.channel(name=f"map({plan.name}): leash")
    name = f"map({plan.name})-{next(_numbers)}"
    here, around = potok.current_task(), potok.current_scope()
    enclosed = isinstance(around, type(potok.scope()))
    if awaiting and _needs_running_loop(plan, here, enclosed):
        owner: Any = _start_in_running_loop(_aown(kind, plan, name, jobs, outcomes, watch), name)
        return Reins(jobs_tx, outcomes_rx, leash, owner)
    on = _EXECUTORS.get(here.executor)
    caller = (here,) if enclosed else ()
    # The watch is shared, in a tuple: handed over, it would tie the leash to the outcomes that the consumer waits for.
    owner = around.start(_own, kind, plan, name, jobs, outcomes, (watch,), leash, *caller, on=on, name=name)
    for end in (jobs, outcomes):  # the supervisor has its own; but the leash stays with the consumer
        end.close()
    return Reins(jobs_tx, outcomes_rx, leash, owner)


_EXECUTORS = {"inline": "threads", "threads": "threads", "coroutines": "coroutines"}
"""Where the supervisor runs, by where the consumer does; elsewhere it takes the scope's executor."""


def _own(
    kind: type[Crew],
    plan: Plan,
    name: str,
    jobs: potok.Receiver[Any],
    outcomes: potok.Sender[Outcome],
    shared: tuple[potok.Receiver[None]],
    leash: potok.Sender[None],
    *caller: potok.Task[Any],
) -> None:
    """Be the supervisor: hold the workers' scope open until the leash is let go, or the consumer ends."""
    leash.close()  # handed over only so that the consumer's own is closed as its scope's body ends
    (watch,) = shared
    try:
        with watch, potok.scope(on=plan.on) as scope:
            kind(plan, name, scope, jobs, outcomes).start(1)
            try:
                potok.select(watch, *caller)
            except potok.Cancelled:
                raise
            except BaseException:  # noqa: BLE001, S110 - the leash was closed, or the consumer ended in whatever way
                pass
            scope.cancel(DONE)
    except* (potok.WorkerDied, potok.RemoteError) as lost:
        _tell_of(lost, outcomes)


async def _aown(
    kind: type[Crew],
    plan: Plan,
    name: str,
    jobs: potok.Receiver[Any],
    outcomes: potok.Sender[Outcome],
    watch: potok.Receiver[None],
) -> None:
    """The same, in the consumer's own event loop, where nothing is handed over."""
    with jobs, outcomes, watch:
        try:
            async with potok.scope(on=plan.on) as scope:
                kind(plan, name, scope, jobs, outcomes).start(1)
                with suppress(potok.ClosedError):
                    await watch.arecv()
                scope.cancel(DONE)
        except* (potok.WorkerDied, potok.RemoteError) as lost:
            _tell_of(lost, outcomes)


def _tell_of(lost: ExceptionGroup[Exception], outcomes: potok.Sender[Any]) -> None:
    """The consumer raises it, once it has given out what was worked on before."""
    with suppress(potok.ClosedError):  # it wants to hear no more
        outcomes.send_nowait((LOST, None, None, lost.exceptions[0]))


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
