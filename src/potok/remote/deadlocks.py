"""Deadlocks between tasks of several address spaces.

A space where tasks have been parked for a while, and nothing is to be found there alone, has the program look: it asks
all spaces, twice, who waits there without a deadline, and for what. What does not move in between was parked at the
moment between the two.

    a worker ── "suspect" ──▶ the program ── "parked" ──▶ all workers ── rows ──▶ the program: `graph`
             ◀───────────────── "deadlock" (task, where it was parked, the message) ───────────────┘

Invariants
    A cycle of RLocks and of ends of tasks is proven by each of its tasks being at the same waiter twice. So is one of
    channels, where in between no space knew of anybody else who holds one of them (`holding`).
    Anything else is told only of a total deadlock: in no space does a task run, or wait with a deadline, nor may
    anything outside wake one, and no message has been handled between the two looks.
"""

from __future__ import annotations

import gc
import math
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from potok.errors import DeadlockError
from potok.kernel.current import carrier
from potok.kernel.deadlock.graph import Way, dead, knots
from potok.kernel.deadlock.outside import someone_outside
from potok.kernel.deadlock.proof import all_around, arms_of, gather, is_handle_kept
from potok.kernel.deadlock.words import ended_by, sentence, waits, who
from potok.kernel.parking import INTERRUPTED, revoke
from potok.kernel.pulse import FIRST, SHARE
from potok.kernel.stuck import living
from potok.kernel.task import ATTEND, Task
from potok.links.packing import Ref
from potok.machines.channel import ChannelMachine
from potok.machines.lock import LockMachine, RLockMachine
from potok.machines.mailbox import Box
from potok.machines.scope import ScopeMachine
from potok.machines.waiting import Waiter
from potok.remote.calling import Round, block_for
from potok.remote.channels import RemoteChannel
from potok.remote.holding import Holding, ask_for_holders
from potok.remote.home import home
from potok.remote.looking import with_tasks
from potok.remote.sync import RemoteLock
from potok.remote.tasks import TaskHome

__all__ = ["Row", "Rows", "decide", "looks_stuck", "rows_here", "survey", "tell"]

Told = tuple[Any, ...]
"""A way out, on the way to the program: ("tasks", ids, all?), ("lock", ref), ("task", ref), ("channel", ref, sends?),
("lock here", id of the holder), or () for anybody's."""


class Row(NamedTuple):
    """One task that is parked without a deadline."""

    id: int
    name: str
    executor: str
    stamp: tuple[int, float]  # tells one wait from another
    op: str
    told: str
    ways: tuple[Told, ...]
    owns: tuple[tuple[Ref, bool], ...]  # its own ends: of which channel, and whether it sends


class Rows(NamedTuple):
    """What one space tells."""

    space: int
    rows: tuple[Row, ...]
    alive: bool  # somebody there runs or may come from outside
    traffic: int


SETTLED: Final = FIRST / 2
"""Seconds after which a task that is parked is taken to stay so: fewer than pass until it looks itself."""


# ── in every space ──────────────────────────────────────────────────────────────────────────────────────────


def rows_here(surely: bool = True) -> Rows:
    """Who waits in this space. `surely`: only who has for a while; whoever else is parked looks himself, if he stays.

    Where they are is told of those only: the frames of a task that is woken meanwhile change as they are looked at.
    """
    parked = gather()
    running = [task for task in parked.running if not _runs_elsewhere(task)]
    since = time.monotonic() - SETTLED if surely else math.inf
    places = {task: waiter for task, waiter in parked.places.items() if waiter.since <= since}
    alive = len(places) < len(parked.places) or bool(running) or home.unsettled()
    alive = alive or someone_outside(parked.places)
    rows = tuple(_row(task, waiter, surely) for task, waiter in places.items())
    return Rows(home.space, rows, alive, sum(link.traffic for link in list(home.links.values())))


def _runs_elsewhere(task: Task[Any]) -> bool:
    return hasattr(task.kernel, "pid_of")


def _row(task: Task[Any], waiter: Waiter, in_words: bool) -> Row:
    ways = tuple(_way(arm) for arm in arms_of(waiter)) or ((),)
    told = waits(task, waiter) if in_words else ""
    return Row(task.id, task.name, task.executor, _stamp(waiter), waiter.op, told, ways, tuple(_owned(task)))


def _stamp(waiter: Waiter) -> tuple[int, float]:
    return id(waiter), waiter.since


def _owned(task: Task[Any]) -> Iterator[tuple[Ref, bool]]:
    for end in task.ends or ():
        if not end.closed:
            yield _ref_of(end.machine), end.sends


def _ref_of(channel: Any) -> Ref:
    if isinstance(channel, RemoteChannel):
        return channel.ref
    return home.space, home.number_of(channel)


def _way(arm: Waiter) -> Told:  # noqa: PLR0911 - a line for each kind
    machine: Any = arm.machine
    if isinstance(machine, Box):
        return "channel", _ref_of(machine.channel), arm.op != "send"
    if isinstance(machine, RemoteChannel | ChannelMachine):
        return "channel", _ref_of(machine), arm.op != "send"
    if isinstance(machine, RemoteLock):
        return "lock", machine.ref
    if isinstance(machine, TaskHome):
        return "task", machine.ref
    if isinstance(machine, LockMachine) or type(machine) is RLockMachine:
        return "lock here", *_holder(machine)
    if isinstance(machine, ScopeMachine):
        if arm.op == "finish":
            return "tasks", tuple(member.id for member in list(machine.members)), True
        return "tasks", (arm.item.id,), False
    return ()


def _holder(lock: Any) -> tuple[tuple[int, ...] | None, bool]:
    """Who would have to release it, if that is known; and whether nobody else can."""
    holder = lock.holder
    known = getattr(holder, "id", None)
    certain = isinstance(lock, RLockMachine)
    if known is None or (isinstance(holder, Task) and holder.finished):
        return (() if isinstance(holder, Task) else None), certain
    return (known,), certain


def tell(task_id: int, stamp: tuple[int, float], message: str) -> None:
    """The program has proven that this task of ours can't go on from where it was parked."""
    for task, waiter in gather().places.items():
        if task.id == task_id and _stamp(waiter) == tuple(stamp):
            _raise_in(task, waiter, DeadlockError(message))


def _raise_in(task: Task[Any], waiter: Waiter, error: DeadlockError) -> None:
    """At its park point; what it has asked elsewhere is called back first."""
    if not waiter.machine.away:
        revoke(carrier(), waiter, error)
        return
    task.pending = error
    task.trap = ATTEND
    revoke(carrier(), waiter, INTERRUPTED)


# ── in the program ──────────────────────────────────────────────────────────────────────────────────────────

PATIENCE = 1.0  # seconds that a list waits for a process that does not answer

_surveying = threading.Lock()
_spent = 0.0  # seconds of work on the answers of this survey, without the waiting for them
_not_before = 0.0


def survey() -> None:
    """Ask all spaces, twice; then decide. One at a time, and they take no more than their share of the time."""
    global _spent
    if time.monotonic() >= _not_before and _surveying.acquire(blocking=False):
        _spent = 0.0
        try:
            _ask(lambda first: _ask(partial(_compare, first)))
        except BaseException:
            _over()
            raise


def _over() -> None:
    """The next may come."""
    global _not_before
    _not_before = time.monotonic() + SHARE * _spent
    try:
        _surveying.release()
    except RuntimeError:  # the round inside of this one has failed, and has said so
        pass


def _after_fork() -> None:
    global _surveying
    _surveying = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _ask(then: Any) -> None:
    """Ask all spaces who waits there; `then` is told, or told None if one has not answered."""
    answers: list[Any] = []

    def heard() -> None:
        global _spent
        began = time.thread_time()
        try:
            spaces = None if None in answers else [_unpacked(answer) for answer in answers]
            if spaces is not None:
                spaces.append(rows_here())
            _spent += time.thread_time() - began
            then(spaces)
        except BaseException:
            _over()
            raise

    Round(with_tasks(), "parked", True, (True,), answers, heard)


def _unpacked(answer: Any) -> Rows:
    space, rows, alive, traffic = answer
    return Rows(space, tuple(Row(*row) for row in rows), alive, traffic)


def _compare(first: list[Rows] | None, second: list[Rows] | None) -> None:
    global _spent
    began = time.thread_time()
    if first is not None and second is not None:
        if _tell_all(decide(first, second, _known())):
            _over()
            return
        wanted = decisive(first, second)
        if wanted:
            gc.collect()
            _spent += time.thread_time() - began
            ask_for_holders(wanted, second, lambda held: _ask(partial(_compare_with, held, second)))
            return
    _over()


def _compare_with(holders: Mapping[Ref, Holding], second: list[Rows], third: list[Rows] | None) -> None:
    """Those who were parked as it was asked who holds what, and still are at the same place."""
    if third is not None:
        _tell_all(decide(second, third, _known(), holders))
    _over()


def _known() -> dict[int, Task[Any]]:
    return {task.id: task for task in living()}


def _tell_all(told: Iterable[tuple[Row, int, str]]) -> bool:
    found = sorted(told, key=lambda each: each[1] == home.space)  # theirs first: who fails closes ends of others
    for row, space, message in found:
        if space == home.space:
            tell(row.id, row.stamp, message)
        else:
            home.pass_on(space, "deadlock", row.id, row.stamp, message)
    return bool(found)


def decisive(first: list[Rows], second: list[Rows]) -> list[Ref]:
    """The channels of which it matters who holds them: if nobody else did, those who wait there could not go on."""
    still = _still(first, second)
    ways = {
        number: [
            Way(frozenset()) if told[:1] == ("channel",) else _understood(told, {}, False)
            for told in row.ways
        ]
        for number, (row, _) in still.items()
    }
    told = (told for number in dead(ways) for told in still[number][0].ways)
    refs = {tuple(each[1]) for each in told if each[:1] == ("channel",)}
    return [ref for ref in refs if ref[0] == home.space]


def _still(first: list[Rows], second: list[Rows]) -> dict[int, tuple[Row, int]]:
    """By their ids, those who are at the same place in both looks, and in which space."""
    before = {row.id: row.stamp for rows in first for row in rows.rows}
    return {
        row.id: (row, rows.space) for rows in second for row in rows.rows if before.get(row.id) == row.stamp
    }


def _may_be_cancelled(
    knot: list[int], stuck: set[int], known: Mapping[int, Task[Any]], holders: Mapping[Ref, Holding]
) -> bool:
    """As `proof` asks it of tasks of one space."""
    ours = [known[number] for number in knot if number in known]
    if not all(held.handed for held in holders.values()):
        around = {None if host is None else host.id for host in all_around(ours)}
        if len(ours) < len(knot) or not around <= stuck:
            return True
    return is_handle_kept(ours, gather(), sys._getframe())


def decide(
    first: list[Rows],
    second: list[Rows],
    known: Mapping[int, Task[Any]] = MappingProxyType({}),
    holders: Mapping[Ref, Holding] = MappingProxyType({}),
) -> Iterator[tuple[Row, int, str]]:
    """Whom to tell what, and where they are.

    `known`: our tasks, those among them that run elsewhere. `holders`: who could use these channels.
    """
    told = {row.id for rows in second for row in rows.rows}
    sent = [task for task in known.values() if _runs_elsewhere(task)]
    missing = any(task.id not in told for task in sent)  # on its way, or just ended
    still = _still(first, second)
    total = not missing and _is_total(first) and _is_total(second) and _traffic(first) == _traffic(second)
    owners = _owners(sent, (row for row, _ in still.values()))
    ways = {
        number: [_understood(told, owners, total, holders=holders) for told in row.ways]
        for number, (row, _) in still.items()
    }
    stuck = dead(ways)
    for knot in knots(ways, stuck):
        if not total and holders and _may_be_cancelled(knot, stuck, known, holders):
            continue
        message = sentence([_line(still, known, number, ways[number]) for number in knot], total)
        ops = {number: still[number][0].op for number in knot}
        if "await" not in ops.values():  # nobody can tell what an asyncio future waits for
            for number in [n for n in knot if ops[n] != "finish"] or knot:
                yield *still[number], message


def _is_total(spaces: list[Rows]) -> bool:
    return not any(rows.alive for rows in spaces)


def _traffic(spaces: list[Rows]) -> dict[int, int]:
    return {rows.space: rows.traffic for rows in spaces}


def _owners(sent: Iterable[Task[Any]], rows: Iterable[Row]) -> dict[tuple[Ref, bool], set[int]]:
    """By channel and side: the tasks that have ends of their own, of those sent elsewhere and of those that wait."""
    found: dict[tuple[Ref, bool], set[int]] = {}
    owns = [*((task.id, tuple(_owned(task))) for task in sent), *((row.id, row.owns) for row in rows)]
    for number, ends in owns:
        for ref, sends in ends:
            found.setdefault(((ref[0], ref[1]), sends), set()).add(number)
    return found


def _understood(
    told: Told,
    owners: Mapping[tuple[Ref, bool], set[int]],
    total: bool,
    guess: bool = False,
    holders: Mapping[Ref, Holding] = MappingProxyType({}),
) -> Way:
    """A way out as the program knows it. `guess`: who is known to hold something is who gives it back."""
    way: Way = Way(None)
    kind = told[0] if told else ""
    if kind == "tasks":
        way = Way(frozenset(told[1]), all=told[2])
    elif kind == "task":
        task = home.thing(told[1][1])
        if task.finished:  # the answer is on its way
            return Way(None)
        way = Way(frozenset((task.id,)))
    elif kind in ("lock", "lock here"):
        by, certain = _holder(home.thing(told[1][1])) if kind == "lock" else told[1:]
        if by is not None and (certain or total or guess):
            way = Way(frozenset(by))
    elif kind == "channel" and (total or guess):
        way = Way(frozenset(owners.get((tuple(told[1]), told[2]), ())) or None)
    elif kind == "channel":
        held = holders.get(tuple(told[1]))
        way = Way(None if held is None else held.tasks)
    unknown = way.rescuers is None
    return Way(frozenset()) if total and unknown else way


def looks_stuck() -> set[int]:
    """The ids of tasks that wait for one another, in whatever space; none of it is proven. Blocks for a round trip."""
    answers: list[Any] = []
    block_for(
        lambda slot: Round(with_tasks(), "parked", True, (False,), answers, partial(slot.answered, True)),
        timeout=PATIENCE,
    )
    spaces = [_unpacked(answer) for answer in answers if answer is not None]
    spaces.append(rows_here(surely=False))
    rows = [row for told in spaces for row in told.rows]
    owners = _owners(filter(_runs_elsewhere, living()), rows)
    total = _is_total(spaces)
    return dead({row.id: [_understood(told, owners, total, guess=True) for told in row.ways] for row in rows})


def _line(
    still: dict[int, tuple[Row, int]], known: Mapping[int, Task[Any]], number: int, ways: list[Way]
) -> str:
    row, ours = still[number][0], known.get(number)
    head = f"  {row.name} on {row.executor}" if ours is None else who(ours)
    rescuers = {other for way in ways for other in way.rescuers or ()} - {number}
    return head + row.told + ended_by({still[other][0].name for other in rescuers if other in still})
