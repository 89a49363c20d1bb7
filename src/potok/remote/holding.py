"""Who holds the channels of this program, in all address spaces: for the proof that nobody else could use one.

Every reference to an end is accounted for: what façades here have of it, as within one space (`holders`), and those
from elsewhere, each of which must be what a stand-in there answers for, whose own holders its space tells. One that is
under way, in a message or an item of a buffer, is found nowhere, and so may be anybody's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from potok.kernel.deadlock.proof import holders_of
from potok.kernel.stuck import living
from potok.kernel.task import Task
from potok.kernel.weakly import members_of
from potok.links.packing import Ref
from potok.remote.calling import Round
from potok.remote.channels import channels_here
from potok.remote.home import home
from potok.remote.looking import with_tasks

__all__ = ["Holding", "ask_for_holders", "holders_here"]


class Holding(NamedTuple):
    """Who holds a channel."""

    tasks: frozenset[int] | None  # by their ids; None: anybody may
    handed: bool  # all its open ends are tasks' own


Told = dict[Ref, tuple[Any, tuple[tuple[Ref, int], ...]]]
"""By channel: the ids of its holders in one space, and how many references its stand-ins answer for, by end."""


def holders_here(refs: Iterable[Ref]) -> Told:
    """Asked by the program, in another space."""
    known = [((ref[0], ref[1]), channels_here.get((ref[0], ref[1]))) for ref in refs]
    counts = {
        ref: tuple((end.ref, end.count) for end in members_of(channel.ends))
        for ref, channel in known
        if channel is not None
    }
    names = {id(channel): ref for ref, channel in known if channel is not None}
    del known
    held = holders_of(_stand_ins(names), (), sys._getframe())
    return {ref: (held[number], counts[ref]) for number, ref in names.items()}


def _stand_ins(names: dict[int, Any]) -> dict[int, Any]:
    found = ((number, channels_here.get(ref)) for number, ref in names.items())
    return {number: channel for number, channel in found if id(channel) == number}


def ask_for_holders(
    refs: list[Ref], spaces: Iterable[Any], then: Callable[[dict[Ref, Holding]], object]
) -> None:
    """Ask all spaces; `then` is told what is certain. `spaces` tell who is parked."""
    answers: list[Any] = []
    parked = {row.id for rows in spaces for row in rows.rows}
    guests = [task for task in living() if hasattr(task.kernel, "pid_of") and task.id in parked]

    def heard() -> None:
        then({} if None in answers else _merged(refs, answers, guests))

    Round(with_tasks(), "holders", True, (refs,), answers, heard)


def _merged(refs: list[Ref], answers: list[Told], guests: list[Task[Any]]) -> dict[Ref, Holding]:
    numbers = {ref: id(home.machines.get(ref[1])) for ref in refs}
    here = holders_of(_channels(refs), guests, sys._getframe())
    return {ref: _holding(ref, here.get(numbers[ref]), answers) for ref in refs}


def _channels(refs: list[Ref]) -> dict[int, Any]:
    found = (home.machines.get(ref[1]) for ref in refs)
    return {id(channel): channel for channel in found if channel is not None}


def _holding(ref: Ref, mine: frozenset[int] | None, answers: list[Told]) -> Holding:
    channel = home.machines.get(ref[1])
    told = [{tuple(key): value for key, value in answer.items()}.get(ref) for answer in answers]
    theirs = [answer for answer in told if answer is not None]
    if channel is None or mine is None or any(tasks is None for tasks, _ in theirs):
        return Holding(None, False)
    counts: dict[Ref, int] = {}
    for _, ends in theirs:
        for end, count in ends:
            counts[end[0], end[1]] = counts.get((end[0], end[1]), 0) + count
    for end in list(channel.ends):
        known, count = home.counted(end)
        if count != counts.get(known, 0):
            return Holding(None, False)
    return Holding(mine.union(*(tasks for tasks, _ in theirs)), channel.is_handed_over())
