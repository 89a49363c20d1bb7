"""Channel ends as tasks see them: handing them over to a task, and closing them.

The rule. An end that is an argument of `start` is handed over: the task gets a counted end of its own, closed when
the task ends, with its exception as the cause. The caller's own end is closed when the body of that scope ends, or
when the body's task first *turns to the other side*, whichever is first. So neither a task that dies nor one that
forgets to close leaves its peers waiting.

    produce ──a──▶ stage ──b──▶ body        the body receives from b: its own sender of b closes; and, as that needs
                                            `stage` to come to its end, its own sender of a, too

To turn to the other side is to operate on the other end of that channel, of one further down (or up) the line of tasks
that the body has started, or to wait for the end of a task on it: whatever would wait for ever while the end is open.
An end that `moves` (a subscription to a broadcast: unread, it would hold the sender back) closes at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from potok.kernel.carrier import Carrier
from potok.kernel.current import carrier
from potok.kernel.guard import run_outside
from potok.kernel.task import Task
from potok.machines.channel import ChannelMachine, End
from potok.machines.scope import ScopeMachine

__all__ = [
    "close_end",
    "hand_over",
    "look_closer",
    "mark_handed",
    "operate",
    "report_lost",
    "take_back_handed",
    "turn_to_task",
]


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
    if by_body:
        scope.handed.append((end, to))
    if end.moves:
        close_end(me, end, None, f"it was handed over to task {to.name}; pass `clone()` of it to keep one yourself")
    elif by_body:
        end.machine.guard.run(me, _alert_other_side, end, scope)


def _alert_other_side(end: End, scope: ScopeMachine) -> None:
    machine = end.machine
    if all(known is not end for known, _ in machine.handed):
        machine.handed.append((end, scope))
    for other in machine.ends:
        if other.sends is not end.sends and not other.owned:
            other.alert = True


def look_closer(task: Task[Any], end: End) -> None:
    """The slow path of an operation on an alerted end: is it closed, or does it settle a hand-over?"""
    machine, me = end.machine, task.carrier
    if end.closed:
        raise machine.end_closed(end)
    other_side = not end.sends
    for scope in {s for handed, s in list(machine.handed) if handed.sends is other_side and s.host is task}:
        _turn(me, scope, [(machine, other_side)])
    machine.guard.run(me, _forget_closed, machine)


def turn_to_task(me: Task[Any], task: Task[Any]) -> None:
    """`me` waits for the end of `task`: if that is on the line of tasks it has started, it turns to the other side."""
    scope = task.home
    if scope.handed and scope.host is me:
        _turn(me.carrier, scope, [(end.machine, not end.sends) for end, to in scope.handed if to is task])


def _turn(me: Carrier, scope: ScopeMachine, sides: list[tuple[ChannelMachine, bool]]) -> None:
    """Close the body's own ends of these sides (senders if True), and of those that depend on them along the line."""
    given: dict[Task[Any], list[End]] = defaultdict(list)
    kept: dict[tuple[ChannelMachine, bool], list[tuple[End, Task[Any]]]] = defaultdict(list)
    for end, to in scope.handed:
        given[to].append(end)
        kept[end.machine, end.sends].append((end, to))
    seen: set[tuple[ChannelMachine, bool]] = set()
    while sides:
        side = sides.pop()
        if side in seen:
            continue
        seen.add(side)
        sends = side[1]
        for end, to in kept[side]:
            close_end(me, end, None, _why(end, to))
            sides += [(other.machine, sends) for other in given[to] if other.sends is not sends]


def take_back_handed(me: Carrier, scope: ScopeMachine) -> None:
    """The body of the scope is done: the ends that it handed over close."""
    for end, to in scope.handed:
        close_end(me, end, None, _why(end, to))
        end.machine.guard.run(me, _forget_closed, end.machine)
    scope.handed.clear()


def _forget_closed(machine: ChannelMachine) -> None:
    machine.handed = [entry for entry in machine.handed if not entry[0].closed]
    if not machine.handed:
        for end in machine.ends:
            end.alert = False


def _why(end: End, to: Task[Any]) -> str:
    side = "sender" if end.sends else "receiver"
    return (
        f"it had been handed over to task {to.name}, and the scope's body has ended or turned to the other side; "
        f"pass `{side}.clone()` to start to keep one for yourself"
    )
