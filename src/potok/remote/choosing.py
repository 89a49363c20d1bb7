"""`select` over machines that live elsewhere.

All at one home (but for timers): the choice is made there, as a whole, by the rules of `machines.select`. At several:
arms here stand in their queues as ever; of those elsewhere we are told when one may be ready, and then try it there
without waiting. Either way exactly one takes effect: what another home does, its answer tells for certain. Where both
sides of a rendezvous would only be told so of each other, they meet: see `potok.remote.meeting`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from potok.kernel.choices import choose
from potok.kernel.current import carrier
from potok.kernel.guard import guarded_together
from potok.kernel.task import Task
from potok.machines.channel import End
from potok.machines.event import EventMachine
from potok.machines.lock import RLockMachine
from potok.machines.select import OPEN, Group, TimerMachine, try_or_queue
from potok.machines.waiting import PARKED, Arm, new_arm, park
from potok.remote.calling import Asked, Away, ask, understood
from potok.remote.home import Home, home, me_as_owner
from potok.remote.link import Link
from potok.remote.meeting import offer, offers_itself, serials, try_away
from potok.remote.parties import PARKED_TOLD, Party, packed, told_of
from potok.remote.tasks import outcome_of, take_outcome

__all__ = ["attempt_away"]

Choose = Callable[[int], int] | None


def attempt_away(task: Task[Any], party: Any, group: Group, arms: list[Arm], choose: Choose) -> Any:
    """As `try_or_queue`, where arms are elsewhere: the arm that completed, or PARKED."""
    timers = [arm for arm in arms if isinstance(arm.machine, TimerMachine)]
    others = [arm for arm in arms if arm not in timers]
    spaces = {arm.machine.ref[0] if arm.machine.away else None for arm in others}
    if len(spaces) > 1 or None in spaces:
        return _attempt_mixed(task, party, group, arms, choose)
    due = [arm for arm in timers if arm.machine.ready(arm)]
    if due and choose is None and arms.index(due[0]) == 0:
        return due[0]
    (space,) = spaces
    request = (
        space,
        0,
        "select",
        party is not None and not due,
        ([_described(a) for a in others], choose is None),
    )
    if party is None or due:
        got = ask(request)
        if got == PARKED_TOLD:
            return due[0] if due else PARKED
        return _won(others, got)
    stand_in = AwayGroup(group, others)
    waiter: Any = park(party, stand_in, "select")
    waiter.item = Asked(waiter, stand_in.won)
    waiter.item.send(space, request)
    return PARKED


class AwayGroup(Away, Group):
    """The arms of a select that is made elsewhere, in the eyes of the waiter that parks for them."""

    __slots__ = ("arms", "group")

    def __init__(self, group: Group, arms: list[Arm]) -> None:
        super().__init__(OPEN)
        self.group = group
        self.arms = arms

    def won(self, got: Any) -> None:
        self.group.winner = _won(self.arms, got)


def _won(arms: list[Arm], got: Any) -> Arm:
    """The arm that took effect, with its outcome."""
    index, error, value = got
    arm: Arm = arms[index]
    if error is not None:
        arm.error = understood(error)
    elif arm.op == "join":
        take_outcome(arm.item, value)
    else:
        arm.value = value
    return arm


def _described(arm: Arm) -> tuple[Any, ...]:
    """An arm as its home is told of it."""
    if arm.end is not None:
        return arm.end.ref[1], arm.op, arm.item
    if arm.op == "join":
        return arm.item.ref[1], arm.op, None
    item = arm.item
    if isinstance(item, tuple):  # an RLock's owner, and how often
        return arm.machine.ref[1], arm.op, (me_as_owner(item[0]), item[1])
    return arm.machine.ref[1], arm.op, me_as_owner(item) if isinstance(item, Task) else None


# ── at several homes ────────────────────────────────────────────────────────────────────────────────────────


def _attempt_mixed(task: Task[Any], party: Any, group: Group, arms: list[Arm], choose: Choose) -> Any:
    """First each arm is tried, while nobody can win another; then all are left standing where they live."""
    rest = list(arms)
    while rest:
        arm = rest.pop(choose(len(rest)) if choose is not None and len(rest) > 1 else 0)
        if (
            try_away(arm)
            if offers_itself(arm)
            else arm.machine.guard.run(task.carrier, arm.machine.attempt, arm)
        ):
            return arm
    if party is None:
        return PARKED
    here = [arm for arm in arms if not arm.machine.away]
    got = guarded_together(
        task.carrier, [arm.machine.guard for arm in here], try_or_queue, party, group, here, choose
    )
    if got is PARKED:
        serial = next(serials)
        for arm in arms:
            if offers_itself(arm):
                offer(arm, serial)
            elif arm.machine.away:
                arm.machine.enqueue(arm)
    return got


# ── at home ─────────────────────────────────────────────────────────────────────────────────────────────────


def serve_select(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    """A select of another address space, all of whose arms are here."""
    described, ordered, wait = args
    group = Group(OPEN)
    arms = [_arm(at, group, index, *arm) for index, arm in enumerate(described)]
    party = Party(link, number)
    party.done = partial(_told, group)
    party.tidy = partial(_give_up, group, arms)
    guards = [arm.machine.guard for arm in arms]
    how = None if ordered else choose
    at.park(
        party,
        guarded_together,
        wait,
        (carrier(), guards, try_or_queue, party if wait else None, group, arms, how),
    )


def _arm(at: Home, group: Group, index: int, number: int, op: str, item: Any) -> Arm:
    thing = at.thing(number)
    if isinstance(thing, End):
        return new_arm(thing.machine, op, item, thing, group, None, index)
    if op == "join":
        return new_arm(thing.home, op, thing, None, group, None, index)
    if isinstance(thing, RLockMachine):
        item = (at.owner(item[0]), item[1])
    elif item is not None and not isinstance(thing, EventMachine):
        item = at.owner(item)
    return new_arm(thing, op, item, None, group, None, index)


def _told(group: Group, got: Any) -> Any:
    """The winner, as it is sent: its index, its error, its value."""
    arm = got if isinstance(got, Arm) else group.winner
    if arm.error is not None:
        return arm.index, told_of(arm.error), None
    if arm.op == "join":
        arm.item.asked = True
        return arm.index, None, outcome_of(arm.item)
    return arm.index, None, packed(arm.value) if arm.op == "recv" else arm.value


def _give_up(group: Group, arms: list[Arm]) -> None:
    group.token.clear()
    for arm in arms:
        if arm is not group.winner and not arm.claimed:
            arm.machine.guard.post(carrier(), arm.machine.withdraw, arm)


home.space_ops["select"] = serve_select
