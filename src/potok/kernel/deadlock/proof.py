"""Deadlocks, found while the program runs: who waits is gathered, who can't go on is proven, and those are told.

    gather   every task that is parked without a deadline, and its ways out; nobody knows of most ways who takes them
    holders  who could use the channels that they wait at: only where that decides something
    prove    the dead (`graph`), and their knots
    raise    DeadlockError at the park points of each knot

Called by whoever has been parked for a while (`potok.kernel.pulse`), never by an operation.

Invariants
    What is raised was proven of one moment, at which all of the dead were parked: each is seen at the same waiter
    before and after. None of them could have been woken in between, so none was.
    In doubt nobody is told: a task that runs, a lock that anybody may release, a reference that nobody accounts for,
    a stored `cancel` are ways out.

Source: Saioc et al., "Dynamic partial deadlock detection and recovery via garbage collection" (2025), for asking the
collector who can still reach a channel.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

from potok.errors import DeadlockError
from potok.kernel.current import carrier
from potok.kernel.deadlock.graph import Way, dead, knots
from potok.kernel.deadlock.holders import ANYBODY, MANY, Holders, handles_of
from potok.kernel.deadlock.outside import handles_signals, may_be_timed, someone_outside, threads_outside
from potok.kernel.deadlock.words import ended_by, sentence, waits, who
from potok.kernel.parking import revoke
from potok.kernel.pulse import beyond, neighbours
from potok.kernel.root import own_code
from potok.kernel.stuck import frame_of, living, place
from potok.kernel.task import Task
from potok.machines.channel import ChannelMachine
from potok.machines.lock import LockMachine, RLockMachine
from potok.machines.scope import ScopeMachine
from potok.machines.select import Group, TimerMachine
from potok.machines.waiting import NOT_YET, Waiter

__all__ = [
    "Parked",
    "all_around",
    "arms_of",
    "gather",
    "holders_of",
    "is_handle_kept",
    "looks_stuck",
    "resolve",
]

_NOBODY = Way(frozenset())
_ANYBODY = Way(None)


class _At(NamedTuple):
    """A way out at a channel: whoever holds an end of it. By its id, since a reference would be one more to explain."""

    channel: int


Places = Mapping[Task[Any], Waiter]
Ways = dict[Task[Any], list[Any]]  # of Way and _At


class Parked(NamedTuple):
    """The tasks that wait without a deadline, and where; and those that may run."""

    places: dict[Task[Any], Waiter]
    running: list[Task[Any]]


def resolve(here: FrameType) -> None:
    """Look, and raise DeadlockError in the tasks of every knot that is found; else ask beyond this address space.

    `here` is the frame of the current thread from which the frames of the task that is parked in it begin.
    """
    parked = gather()
    alone = not any(there_are() for there_are in neighbours)
    total = alone and not parked.running and not someone_outside(parked.places)
    ways = _in_total(parked.places) if total else _provable(parked.places)
    suspects = dead({task: [_optimistic(way) for way in its] for task, its in ways.items()})
    if not suspects:
        _ask_beyond()
        return
    gc.collect()  # what nobody can reach any more may close an end as it goes
    if not total:
        _ask_for_holders(ways, suspects, parked, here)
    stuck = dead(ways)
    found = [knot for knot in knots(ways, stuck) if all(parked.places[task].op != "await" for task in knot)]
    if not total:
        found = [knot for knot in found if not _may_be_cancelled(knot, stuck, parked, here)]
    if not found:
        _ask_beyond()
        return
    if any(wait_without_end(task) is not parked.places[task] for task in stuck):
        return
    told = [
        sentence([_line(task, parked.places[task], ways[task]) for task in knot], total) for knot in found
    ]
    for knot, message in zip(found, told, strict=True):  # at once: who is told may cancel the others
        for task in _first_to_go(knot, parked.places):
            revoke(carrier(), parked.places[task], DeadlockError(message))


def _ask_beyond() -> None:
    for ask in beyond:
        ask()


def _line(task: Task[Any], waiter: Waiter, ways: Iterable[Way]) -> str:
    rescuers = {other.name for way in ways for other in way.rescuers or ()} - {task.name}
    return who(task) + waits(task, waiter) + ended_by(rescuers)


def _first_to_go(knot: list[Task[Any]], places: Places) -> list[Task[Any]]:
    """Whom to tell: who waits for the end of a scope will hear of it from its members."""
    return [task for task in knot if places[task].op != "finish"] or knot


def looks_stuck() -> list[Task[Any]]:
    """The tasks that wait for one another, as far as it is known who holds what; none of it is proven.

    Where no task of the process runs, these are all that wait.
    """
    parked = gather()
    ways = _guessed(parked.places) if parked.running else _in_total(parked.places)
    return sorted(dead(ways), key=lambda task: task.id)


# ── who waits ───────────────────────────────────────────────────────────────────────────────────────────────


def gather() -> Parked:
    """Who waits in this process, and who may run."""
    places, running = {}, []
    for task in living():
        waiter = wait_without_end(task)
        if waiter is not None:
            places[task] = waiter
        else:
            running.append(task)
    return Parked(places, running)


def wait_without_end(task: Task[Any]) -> Waiter | None:
    """The waiter that it is parked at for good, unless somebody wakes it."""
    waiter = place(task)
    if not isinstance(waiter, Waiter) or not getattr(task.kernel, "in_real_time", False):
        return None
    if waiter.since == NOT_YET or waiter.due is not None or task.pending is not None:
        return None
    return None if any(map(_is_over, arms_of(waiter))) else waiter


def _is_over(arm: Waiter) -> bool:
    """Whether what it waits for, the end of a task or scope, has come: then its wake is on the way."""
    if not isinstance(arm.machine, ScopeMachine):
        return False
    return arm.machine.ended if arm.op == "finish" else bool(arm.item.finished)


# ── their ways out ──────────────────────────────────────────────────────────────────────────────────────────


def _provable(places: Places) -> Ways:
    """What is certain whatever else goes on in the process."""
    signals = handles_signals()
    return {
        task: _ways(waiter, _certain) + ([_ANYBODY] if _may_be_interrupted(task, signals) else [])
        for task, waiter in places.items()
    }


def _may_be_interrupted(task: Task[Any], signals: bool) -> bool:
    """Whether what potok does not know may end its wait: a time-out of asyncio's, a signal handler that raises."""
    return may_be_timed(task) or (signals and task.carrier.takes_signals)


def _in_total(places: Places) -> Ways:
    """Nobody but these tasks can do anything: who is known to hold something is who would have to give it."""
    owners = _owners(places)
    found: Ways = {}
    for task, waiter in places.items():
        ways = _ways(waiter, partial(_likely, owners=owners))
        found[task] = [_NOBODY if way.rescuers is None else way for way in ways]
    return found


def _guessed(places: Places) -> Ways:
    """The same, where others may do something: of what nobody is known to hold, anybody may."""
    owners = _owners(places)
    return {
        task: _ways(waiter, lambda arm: _likely(arm, owners) if _is_owned(arm) else _certain(arm, False))
        for task, waiter in places.items()
    }


def arms_of(waiter: Waiter) -> list[Waiter]:
    """What a task waits for: those of its select, or the one."""
    machine = waiter.machine
    return list(machine.arms) if isinstance(machine, Group) else [waiter]


def _ways(waiter: Waiter, way: Callable[[Waiter], Any]) -> list[Any]:
    return [way(arm) for arm in arms_of(waiter)] or [_ANYBODY]


def _certain(arm: Waiter, ask: bool = True) -> Any:
    machine = arm.machine
    if machine.away or isinstance(machine, TimerMachine):
        return _ANYBODY
    if type(machine) is RLockMachine:
        return _held_by(machine.holder)
    if isinstance(machine, ScopeMachine):
        if arm.op == "finish":
            return Way(frozenset(machine.members), all=True)
        return Way(frozenset((arm.item,)))
    if isinstance(machine, ChannelMachine) and not machine.shared and ask:
        return _At(id(machine))
    return _ANYBODY


def _likely(arm: Waiter, owners: Mapping[int, set[Task[Any]]]) -> Way:
    machine = arm.machine
    if isinstance(machine, LockMachine | RLockMachine):
        return _held_by(machine.holder)
    if isinstance(machine, ChannelMachine):
        its = owners.get(id(machine), set())
        return _ANYBODY if len(its) > MANY else Way(frozenset(its - {arm.task}))
    return _certain(arm)  # type: ignore[no-any-return]


def _held_by(holder: Any) -> Way:
    """A lock: a task that has ended with it will never release it."""
    if not isinstance(holder, Task):
        return _ANYBODY
    return _NOBODY if holder.finished else Way(frozenset((holder,)))


def _owners(places: Places) -> dict[int, set[Task[Any]]]:
    """By channel: the tasks that have an end of it of their own."""
    found: dict[int, set[Task[Any]]] = {}
    for task in places:
        for end in task.ends or ():
            if not end.closed:
                found.setdefault(id(end.machine), set()).add(task)
    return found


def _is_owned(arm: Waiter) -> bool:
    machine = arm.machine
    if isinstance(machine, ChannelMachine):
        return machine.is_handed_over()
    return isinstance(machine, LockMachine)


def _optimistic(way: Any) -> Way:
    return _NOBODY if isinstance(way, _At) else way


# ── who holds the channels ──────────────────────────────────────────────────────────────────────────────────


def _ask_for_holders(ways: Ways, suspects: set[Any], parked: Parked, here: FrameType) -> None:
    """Put in, for each channel that may be decisive, who could use it."""
    wanted = {way.channel for task in suspects for way in ways[task] if isinstance(way, _At)}
    holders = Holders(_channels(parked.places, wanted), *_frames(parked, here)) if wanted else None
    for its in ways.values():
        for number, way in enumerate(its):
            if isinstance(way, _At):
                known = holders is not None and way.channel in wanted
                its[number] = Way(holders.of(way.channel) if known else None)  # type: ignore[union-attr]


def _channels(places: Places, wanted: set[int]) -> dict[int, Any]:
    return {
        id(arm.machine): arm.machine
        for waiter in places.values()
        for arm in arms_of(waiter)
        if id(arm.machine) in wanted
    }


def _frames(parked: Parked, here: FrameType) -> tuple[dict[Task[Any], list[FrameType]], list[FrameType]]:
    """Those of the tasks that are parked, and of what runs."""
    stacks = {task: list(_stack(task, here)) for task in parked.places}
    current = sys._current_frames()
    running = [current[ident] for ident in threads_outside(parked.places) if ident in current]
    running += [frame for task in parked.running if (frame := frame_of(task)) is not None]
    return stacks, running


def _stack(task: Task[Any], here: FrameType) -> Iterator[FrameType]:
    strand = task.greenlet
    frame = here if strand is None and task.carrier is carrier() else frame_of(task)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _may_be_cancelled(knot: list[Any], stuck: set[Any], parked: Parked, here: FrameType) -> bool:
    """Whether somebody may want to cancel one of them: then they only look stuck.

    One who keeps a `cancel` does. And so does the live body of a scope around them, unless it is clear that they wait
    for each other: by locks that have holders, by ends that were handed over to them.
    """
    if not all(map(_is_entangled, map(parked.places.get, knot))) and not all_around(knot) <= stuck:
        return True
    return is_handle_kept(knot, parked, here)


def is_handle_kept(knot: Iterable[Any], parked: Parked, here: FrameType) -> bool:
    """Whether somebody has put aside a way to cancel one of these tasks."""
    handles = handles_of([*knot, *_scopes(knot)])
    if not handles:
        return False
    numbers = list(handles)
    holders = Holders(handles, *_frames(parked, here))
    return any(holders.of(number) is ANYBODY for number in numbers)


def holders_of(
    things: dict[int, Any], guests: Iterable[Task[Any]], here: FrameType
) -> dict[int, frozenset[int] | None]:
    """By the ids of these things: the ids of the parked tasks that hold them, or ANYBODY. `things` as in `Holders`.

    `guests`: tasks that are parked elsewhere, but what is kept for them is here.
    """
    numbers = list(things)
    stacks, running = _frames(gather(), here)
    holders = Holders(things, {**stacks, **{task: [] for task in guests}}, running)
    found = {number: holders.of(number) for number in numbers}
    return {
        number: None if tasks is None else frozenset(task.id for task in tasks)
        for number, tasks in found.items()
    }


def _is_entangled(waiter: Any) -> bool:
    return all(
        not isinstance(arm.machine, ChannelMachine) or arm.machine.is_handed_over() for arm in arms_of(waiter)
    )


def all_around(knot: Iterable[Any]) -> set[Any]:
    """The tasks whose scopes they are in; the root (None) for those that no block waits for."""
    found = set()
    for task in knot:
        scope = task.scope if task.fn is not own_code else None
        while scope is not None:
            found.add(scope.host)
            scope = scope.parent if scope.parent is None or scope.parent.host is not None else None
    return found


def _scopes(knot: Iterable[Any]) -> Iterator[Any]:
    """What users know as the scopes around these tasks."""
    for task in knot:
        scope = task.scope
        while scope is not None:
            if scope.facade is not None:
                yield scope.facade
            scope = scope.parent
