"""Channel ends as tasks see them: handing them over to a task, and closing them.

The rule. An end that is an argument of `start` is handed over: the task gets a counted end of its own, closed when
the task ends, with its exception as the cause. The caller's own end is closed when the body of that scope ends, or
when the body's task first operates on the *other* side of that channel, whichever is first. So neither a task that
dies nor one that forgets to close leaves its peers waiting. An end that `moves` (a subscription to a broadcast: unread,
it would hold the sender back) closes at once.

    produce ──a──▶ stage ──b──▶ body: for item in b

Here the body touches `b` only, and waits for its end; that needs the end of `stage`, and so the end of `a`, of which
the body still has a sender. So whoever starts to wait for the *end* of something (iterates over a receiver, waits for
a task without a time-out, leaves a scope in another one) closes its own handed-over senders up the line of the tasks
that it has started: with them open it would wait for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from potok.kernel.carrier import Carrier
from potok.kernel.current import carrier
from potok.kernel.guard import run_outside
from potok.kernel.task import Task
from potok.links.packing import opened
from potok.machines.channel import ChannelMachine, End
from potok.machines.scope import ScopeMachine

__all__ = [
    "close_end",
    "hand_over",
    "look_closer",
    "mark_handed",
    "open_again",
    "operate",
    "report_lost",
    "take_back_handed",
    "wait_for_end",
    "wait_for_members",
    "wait_for_task",
]


class Handed(NamedTuple):
    """An end that the body of a scope has handed over, and to whom."""

    scope: ScopeMachine
    tasks: list[Task[Any]]


def close_end(me: Carrier, end: End, cause: Any = None, why: str = "") -> None:
    """Close one end and report what can no longer be delivered. Safe from anywhere."""
    if not end.closed:
        operate(me, end.machine, end.machine.close, end, cause, why)


def operate(me: Carrier, machine: ChannelMachine, op: Callable[..., Any], *args: Any) -> Any:
    """`Guard.post` for a channel: what the operation drops is reported, if need be as this thread leaves potok."""
    if me.inside is not None:
        return machine.guard.post(me, _operate_inside, machine, op, args)
    got = machine.guard.run(me, op, *args)
    if machine.lost:
        report_lost(me, machine)
    return got


def _operate_inside(machine: ChannelMachine, op: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    me = carrier()  # of the thread that runs what was deferred
    try:
        return op(*args)
    finally:
        if machine.lost:
            run_outside(me, partial(report_lost, me, machine))


def report_lost(me: Carrier, machine: ChannelMachine) -> None:
    """Call the channel's `undelivered` for what was dropped, outside of any machine."""
    if machine.undelivered is None:
        return
    if me.inside is not None:
        run_outside(me, partial(report_lost, me, machine))
        return
    failure: BaseException | None = None
    for item in machine.guard.run(me, machine.take_lost):
        try:
            machine.undelivered(opened(item))
        except BaseException as error:  # the others are reported all the same
            failure = failure or error
    if failure is not None:
        raise failure


def hand_over(me: Carrier, end: End) -> End:
    """A counted end of its own for a task. Raises ClosedError if that side of the channel is closed."""
    return end.machine.guard.run(me, end.machine.open_like, end)  # type: ignore[no-any-return]


def open_again(me: Carrier, end: End) -> End:
    """Another end of the side of this one, which may be closed. Raises ClosedError if none of that side is open."""
    return end.machine.guard.run(me, end.machine.open_again, end)  # type: ignore[no-any-return]


def mark_handed(me: Carrier, end: End, scope: ScopeMachine, to: Task[Any], by_body: bool) -> None:
    """Note that this end was given to a task, by the body of `scope`: from now on the other side's ends look closer."""
    if by_body:
        scope.handed.setdefault(to, []).append(end)
        end.machine.guard.run(me, _note_handed, end, scope, to)
    if end.moves:
        close_end(
            me, end, None, f"it was handed over to task {to.name}; pass `clone()` of it to keep one yourself"
        )


def _note_handed(end: End, scope: ScopeMachine, to: Task[Any]) -> None:
    machine = end.machine
    if end in machine.handed:
        machine.handed[end].tasks.append(to)
    else:
        machine.handed[end] = Handed(scope, [to])
    if end.sends not in machine.alerted:  # else they are, those that were made since included
        machine.alerted.add(end.sends)
        for other in machine.ends:
            if other.sends is not end.sends and not other.owned:
                other.alert = True


def look_closer(task: Task[Any], end: End) -> None:
    """The slow path of an operation on an alerted end: is it closed, or does it settle a hand-over?"""
    machine = end.machine
    if end.closed:
        raise machine.end_closed(end)
    _settle(task, machine, sends=not end.sends)


def wait_for_end(me: Task[Any], end: End) -> None:
    """`me` is going to receive until the last sender is closed."""
    if end.machine.handed:
        _wait_for_ends(me, [end.machine])


def wait_for_task(me: Task[Any], task: Task[Any]) -> None:
    """`me` is going to wait until `task` has ended."""
    scope = task.home
    if scope.host is me and task in scope.handed:
        _wait_for_ends(me, [end.machine for end in scope.handed[task] if not end.sends])


def wait_for_members(me: Task[Any], scope: ScopeMachine) -> None:
    """`me` is going to wait until all tasks of this scope of its have ended."""
    if scope.handed and scope.parent is not None and scope.parent.host is me:
        _wait_for_ends(me, [end.machine for ends in scope.handed.values() for end in ends if not end.sends])


def _wait_for_ends(me: Task[Any], channels: list[ChannelMachine]) -> None:
    """Close what `me` has handed over of the senders of these channels, and of all up the line."""
    seen: set[ChannelMachine] = set()
    while channels:
        machine = channels.pop()
        if machine in seen:
            continue
        seen.add(machine)
        for task in _settle(me, machine, sends=True):
            channels += [end.machine for end in task.home.handed.get(task, ()) if not end.sends]


def _settle(me: Task[Any], machine: ChannelMachine, sends: bool) -> list[Task[Any]]:
    """Close what `me` has handed over of this side; the tasks that got it."""
    to: list[Task[Any]] = []
    for end, handed in machine.guard.run(me.carrier, _handed_over, machine):
        if end.sends is sends and handed.scope.host is me:
            close_end(me.carrier, end, None, _why(end, handed.tasks[0]))
            to += handed.tasks
    machine.guard.run(me.carrier, _calm_down, machine)
    return to


def _handed_over(machine: ChannelMachine) -> list[tuple[End, Handed]]:
    return list(machine.handed.items())


def _calm_down(machine: ChannelMachine) -> None:
    if machine.alerted and all(end.closed for end in machine.handed):
        machine.alerted.clear()
        for end in machine.ends:
            end.alert = False


def take_back_handed(me: Carrier, scope: ScopeMachine) -> None:
    """The body of the scope is done: the ends that it handed over close.

    Raises what a channel's `undelivered` raises, after all of them are closed.
    """
    handed, scope.handed = scope.handed, {}
    failure: BaseException | None = None
    mine: dict[ChannelMachine, list[End]] = {}
    for to, ends in handed.items():
        for end in ends:
            mine.setdefault(end.machine, []).append(end)
            try:
                close_end(me, end, None, _why(end, to))
            except BaseException as error:
                failure = failure or error
    for machine, ends in mine.items():
        machine.guard.run(me, _forget_handed, machine, ends)
    if failure is not None:
        raise failure


def _forget_handed(machine: ChannelMachine, ends: list[End]) -> None:
    for end in ends:
        machine.handed.pop(end, None)
    _calm_down(machine)


def _why(end: End, to: Task[Any]) -> str:
    side = "sender" if end.sends else "receiver"
    return (
        f"it had been handed over to task {to.name}, and the scope's body has ended or turned to the other side; "
        f"pass `{side}.clone()` to start to keep one for yourself"
    )
