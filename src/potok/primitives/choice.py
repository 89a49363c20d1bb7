"""`select`: wait for the first of several operations, and do that one only.

    got = potok.select(rx, tx.sending(v), task, lock, event, potok.after(0.5))
    got.arm is rx; got.value is the item

Source: Hoare's ALT (1978); Go's select. We deviate from Go in that locks, task ends and events are arms too, and from
PyCSP in that the choice is fair unless `pri_select` asks for order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from potok.errors import ClosedError
from potok.kernel.current import current, current_awaiting
from potok.kernel.ends import look_closer, report_lost
from potok.kernel.guard import Guard, guarded_together
from potok.kernel.parking import RETRY, Elapsed, abandon, attend, await_woken, check_timeout, wait
from potok.kernel.starting import Handed
from potok.kernel.task import ASYNC, Task
from potok.links.packing import opened
from potok.machines.select import OPEN, Group, TimerMachine, try_or_queue
from potok.machines.waiting import AGAIN, PARKED, Arm
from potok.primitives.channels import Receiver, Sending, fixed, outgoing, take_now

__all__ = ["After", "Selected", "after", "apri_select", "aselect", "pri_select", "select"]

_MISSING: Any = object()


class Selected:
    """What a select did: the very object that was passed, its place, and the operation's value. Unpacks as such."""

    __slots__ = ("arm", "index", "value")

    def __init__(self, arm: Any, index: int, value: Any) -> None:
        self.arm = arm
        self.index = index
        self.value = value

    def __iter__(self) -> Iterator[Any]:
        return iter((self.arm, self.index, self.value))

    def __eq__(self, other: object) -> bool:
        return tuple(self) == (tuple(other) if isinstance(other, Selected) else other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"Selected(arm={self.arm!r}, index={self.index}, value={self.value!r})"


class After:
    """A timer as an arm: ready from `seconds` after it was made. Made by `potok.after`."""

    __slots__ = ("deadline", "seconds")

    def __init__(self, seconds: float, deadline: float) -> None:
        self.seconds = seconds
        self.deadline = deadline

    def __repr__(self) -> str:
        return f"potok.after({self.seconds})"


def after(seconds: float) -> After:
    """A timer that becomes ready so many seconds from now, as an arm of `select`."""
    if seconds is None:
        raise ValueError("after takes a number of seconds >= 0, not None")
    check_timeout(seconds)
    return After(seconds, current().kernel.now() + seconds)


_TIMERS = TimerMachine()
_TIMERS.guard = Guard(None)


def _quick(task: Task[Any], objects: tuple[Any, ...], ordered: bool) -> Selected | None:
    """The short way, where all arms are receivers and items are there: no need to hold all machines at once."""
    ready = []
    for thing in objects:
        if type(thing) is not Receiver:
            return None
        end = thing._end
        if end.alert:
            return None
        machine = end.machine
        if machine.buffer or machine.senders.entries:
            ready.append(thing)
        elif not machine.open_senders:
            return None
    if not ready:
        return None
    rx = ready[0] if ordered or len(ready) == 1 else ready[task.kernel.choose(len(ready))]
    try:
        item = take_now(task.carrier, rx._end)
    except ClosedError:  # somebody else took the last item: the long way says so
        return None
    return None if item is PARKED else Selected(rx, objects.index(rx), item)


class _Choice:
    """One call of select, between its tries."""

    __slots__ = ("arms", "choose", "deadline", "group", "objects", "task", "timers")

    def __init__(
        self, task: Task[Any], objects: tuple[Any, ...], timeout: float | None, ordered: bool
    ) -> None:
        if not objects:
            raise ValueError(
                "select needs at least one arm: it would wait for ever (potok.sleep waits for time)"
            )
        self.task = task
        self.objects = objects
        self.choose = None if ordered else task.kernel.choose
        self.group: Any = None
        self.timers = [thing for thing in objects if type(thing) is After]
        self.deadline = None
        if timeout is not None:
            check_timeout(timeout)
            self.deadline = task.kernel.now() + timeout

    def attempt(self, party: Task[Any] | None) -> Any:
        """One try: the arm that completed, or PARKED (queued, unless the party is None)."""
        self.group = group = Group(OPEN)
        self.arms = arms = [_arm(self.task, group, index, thing) for index, thing in enumerate(self.objects)]
        if self.timers:
            self._look_at_clock()
        for arm in arms:
            if arm.machine.tells and (party is None or self.choose is None):
                arm.machine.fetch(arm.end)
        for arm in arms:
            if arm.machine.away:
                from potok.remote.choosing import attempt_away

                return attempt_away(self.task, party, group, arms, self.choose)
        guards = [arm.machine.guard for arm in arms]
        return guarded_together(self.task.carrier, guards, try_or_queue, party, group, arms, self.choose)

    def _look_at_clock(self) -> None:
        now = self.task.kernel.now()
        for arm in self.arms:
            if type(arm.arm) is After:
                arm.item = now >= arm.arm.deadline

    def wake_at(self) -> float | None:
        """When to look again, whatever happens."""
        if not self.timers:
            return self.deadline
        first = min(timer.deadline for timer in self.timers)
        return first if self.deadline is None else min(first, self.deadline)

    def give_up(self) -> None:
        """Take the arms that lost out of their queues, if they were queued."""
        if self.group is None or self.group.waiter is None:
            return
        self.group.token.clear()
        self.group.arms = []
        me, winner = self.task.carrier, self.group.winner
        for arm in self.arms:
            if arm is not winner and not arm.claimed:
                arm.machine.guard.post(me, arm.machine.withdraw, arm)

    def done(self, got: Any) -> Any:
        """The arm that took effect, given what the try or the wait has answered; None: try again."""
        arm = self.group.winner if got is None else got
        return None if arm is RETRY or arm.error is AGAIN else arm

    def timed_out(self) -> bool:
        """After the clock woke us: True if that was the end, False if a timer is ready."""
        return self.deadline is not None and self.task.kernel.now() >= self.deadline and not self._timer_due()

    def _timer_due(self) -> bool:
        now = self.task.kernel.now()
        return any(timer.deadline <= now for timer in self.timers)

    def result(self, arm: Arm) -> Selected:
        """What the caller gets for the arm that took effect. Raises what that operation met."""
        error: Any = arm.error
        if error is not None:
            if isinstance(error, ClosedError):
                error.arm = arm.arm
            arm.error = None
            try:
                raise error
            finally:
                del error  # see `raise_once`
        if arm.end is not None and arm.machine.lost:
            report_lost(self.task.carrier, arm.machine)
        value, arm.value = (
            arm.value,
            None,
        )  # arms that lost may stay in their queues for a while, and lead to this one
        if isinstance(arm.arm, Task):
            value = arm.arm.outcome()
        elif arm.op == "recv":
            value = opened(value)
        return Selected(arm.arm, arm.index, value)


def _arm(task: Task[Any], group: Group, index: int, thing: Any) -> Arm:
    """A fresh entry for this try: those of an earlier one may still stand in queues, given up."""
    arm = Arm()
    arm.task = task
    arm.group = group
    arm.claimed = False
    arm.arm = thing
    arm.index = index
    arm.value = arm.error = arm.item = arm.end = None
    kind = type(thing)
    if kind is Receiver:
        arm.op = "recv"
        _use_end(task, arm, thing._end)
    elif kind is Sending:
        arm.op = "send"
        arm.item = thing.item
        if task.isolate or isinstance(thing.item, Handed):
            arm.item = outgoing(task, thing.item)
        _use_end(task, arm, thing.end)
    elif kind is After:
        arm.op, arm.machine = "after", _TIMERS
    elif isinstance(thing, Task):
        arm.op, arm.machine, arm.item = "join", thing.home, thing
        thing.asked = True
    elif hasattr(thing, "_as_arm"):
        thing._as_arm(arm)
    else:
        raise TypeError(
            f"arm {index} of select is {thing!r}: it takes receivers, tx.sending(v), tasks, locks, semaphores, events, "
            f"potok.after(s)"
        )
    return arm


def _use_end(task: Task[Any], arm: Arm, end: Any) -> None:
    if end.alert and not end.closed:
        look_closer(task, end)
    arm.end = end
    machine = end.machine
    if arm.op == "send" and machine.shared:
        arm.item = fixed(arm.item, machine)
    arm.machine = machine.near(end)


def _select(
    objects: tuple[Any, ...], timeout: float | None, default: Any, ordered: bool, name: str
) -> Selected:
    task = current()
    if task.trap:
        attend(task, f"{name}()", f"a{name}()")
    quick = _quick(task, objects, ordered)
    if quick is not None:
        return quick
    choice = _Choice(task, objects, timeout, ordered)
    party = task if default is _MISSING else None
    before = task.waiter
    while True:
        try:
            got = choice.attempt(party)
            if got is PARKED and party is not None:
                got = wait(task, choice.wake_at())
        except Elapsed:
            if choice.timed_out():
                raise TimeoutError(
                    f"{name}: none of {len(objects)} arms was ready within {timeout} s"
                ) from None
            continue
        except BaseException as error:
            got = abandon(task, before, None, error)
        finally:
            choice.give_up()
        if got is PARKED:
            return Selected(None, -1, default)
        if (arm := choice.done(got)) is not None:
            return choice.result(arm)


async def _aselect(
    objects: tuple[Any, ...], timeout: float | None, default: Any, ordered: bool, name: str
) -> Selected:
    task = current_awaiting()
    if task.trap > ASYNC:
        attend(task)
    quick = _quick(task, objects, ordered)
    if quick is not None:
        return quick
    choice = _Choice(task, objects, timeout, ordered)
    party = task if default is _MISSING else None
    before = task.waiter
    while True:
        try:
            got = choice.attempt(party)
            if got is PARKED and party is not None:
                got = await await_woken(task, choice.wake_at())
        except Elapsed:
            if choice.timed_out():
                raise TimeoutError(
                    f"{name}: none of {len(objects)} arms was ready within {timeout} s"
                ) from None
            continue
        except BaseException as error:
            got = abandon(task, before, None, error)
        finally:
            choice.give_up()
        if got is PARKED:
            return Selected(None, -1, default)
        if (arm := choice.done(got)) is not None:
            return choice.result(arm)


def select(*arms: Any, timeout: float | None = None, default: Any = _MISSING) -> Selected:
    """Wait until one of the arms can be done, do it, and say which. Fair among those that are ready. A park point.

    Args:
        arms: receivers (value: the item), `tx.sending(v)` (None), tasks (their result), events (True), locks and
            semaphores (now acquired), `potok.after(s)` (None).
        timeout: seconds until TimeoutError.
        default: with it, select never waits: if no arm is ready, `arm` is None, `index` -1 and `value` this.

    Raises: ClosedError with `.arm` if that arm's channel is closed (that makes an arm ready); a task's exception;
        TimeoutError; ValueError without arms. No arm took effect then.
    """
    return _select(arms, timeout, default, False, "select")


def pri_select(*arms: Any, timeout: float | None = None, default: Any = _MISSING) -> Selected:
    """As `select`, but of several ready arms the first in order is done."""
    return _select(arms, timeout, default, True, "pri_select")


async def aselect(*arms: Any, timeout: float | None = None, default: Any = _MISSING) -> Selected:
    """The awaitable spelling of `select`."""
    return await _aselect(arms, timeout, default, False, "aselect")


async def apri_select(*arms: Any, timeout: float | None = None, default: Any = _MISSING) -> Selected:
    """The awaitable spelling of `pri_select`."""
    return await _aselect(arms, timeout, default, True, "apri_select")
