"""Channel ends as tasks see them: handing them over to a task, and closing them.

The rule. An end that is an argument of `start` is handed over: the task gets a counted end of its own, closed when
the task ends, with its exception as the cause. The caller's own end is closed when the body of that scope ends, or
when the body's task first operates on the *other* side of that channel, whichever is first. So neither a task that
dies nor one that forgets to close leaves its peers waiting. An end that `moves` (a subscription to a broadcast: unread,
it would hold the sender back) closes at once.
"""

from __future__ import annotations

from typing import Any

from potok.kernel.carrier import Carrier
from potok.kernel.task import Task
from potok.machines.channel import ChannelMachine, End
from potok.machines.scope import ScopeMachine

__all__ = ["close_end", "hand_over", "look_closer", "mark_handed", "report_lost", "take_back_handed"]


def close_end(me: Carrier, end: End, cause: Any = None, why: str = "") -> None:
    """Close one end and report what can no longer be delivered. Safe from anywhere."""
    if not end.closed:
        end.machine.guard.post(me, end.machine.close, end, cause, why)
        report_lost(me, end.machine)


def report_lost(me: Carrier, machine: ChannelMachine) -> None:
    """Call the channel's `undelivered` for what was dropped, outside its mutex."""
    if machine.lost and machine.undelivered is not None and me.inside is None:
        failure: BaseException | None = None
        for item in machine.guard.run(me, machine.take_lost):
            try:
                machine.undelivered(item)
            except BaseException as error:  # the others are reported all the same
                failure = failure or error
        if failure is not None:
            raise failure


def hand_over(me: Carrier, end: End) -> End:
    """A counted end of its own for a task. Raises ClosedError if that side of the channel is closed."""
    return end.machine.guard.run(me, end.machine.open_like, end)  # type: ignore[no-any-return]


def mark_handed(me: Carrier, end: End, scope: ScopeMachine, to: Task[Any], by_body: bool) -> None:
    """Note that this end was given to a task, by the body of `scope`: from now on the other side's ends look closer."""
    if end.moves:
        close_end(me, end, None, f"it was handed over to task {to.name}; pass `clone()` of it to keep one yourself")
        return
    if not by_body:
        return
    scope.handed.append((end, to))
    end.machine.guard.run(me, _alert_other_side, end, scope, to)


def _alert_other_side(end: End, scope: ScopeMachine, to: Task[Any]) -> None:
    machine = end.machine
    if all(known is not end for known, _, _ in machine.handed):
        machine.handed.append((end, scope, to))
    for other in machine.ends:
        if other.sends is not end.sends and not other.owned:
            other.alert = True


def look_closer(task: Task[Any], end: End) -> None:
    """The slow path of an operation on an alerted end: is it closed, or does it settle a hand-over?"""
    machine = end.machine
    if end.closed:
        raise machine.end_closed(end)
    mine = [entry for entry in list(machine.handed) if entry[0].sends is not end.sends and entry[1].host is task]
    for handed, _, to in mine:
        close_end(task.carrier, handed, None, _why(machine, handed, to))
    machine.guard.run(task.carrier, _forget_closed, machine)


def take_back_handed(me: Carrier, scope: ScopeMachine) -> None:
    """The body of the scope is done: the ends that it handed over close."""
    for end, to in scope.handed:
        close_end(me, end, None, _why(end.machine, end, to))
        end.machine.guard.run(me, _forget_closed, end.machine)
    scope.handed.clear()


def _forget_closed(machine: ChannelMachine) -> None:
    machine.handed = [entry for entry in machine.handed if not entry[0].closed]
    if not machine.handed:
        for end in machine.ends:
            end.alert = False


def _why(machine: ChannelMachine, end: End, to: Task[Any]) -> str:
    side = "sender" if end.sends else "receiver"
    return (
        f"it had been handed over to task {to.name}, and the scope's body has ended or turned to the other side; "
        f"pass `{side}.clone()` to start to keep one for yourself"
    )
