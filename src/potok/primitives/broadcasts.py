"""Broadcasts: every subscriber gets every item. Tasks of either colour, on any executors.

Choose a channel where each item is for *one* of the receivers. What a subscriber may be behind with is bounded: then
it paces the senders, or it misses items and is told how many. Source: tokio's `broadcast` for the lag, Disruptor-like
pacing by the slowest for the alternative. We deviate in counting senders and in handing both ends over to tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from potok.kernel.current import carrier
from potok.kernel.ends import look_closer
from potok.kernel.guard import Guard
from potok.machines.broadcast import BroadcastMachine
from potok.machines.waiting import Arm
from potok.primitives.channels import Receiver, Sender

__all__ = ["Subscriber", "broadcast"]

T = TypeVar("T")


class Subscriber(Receiver[T]):
    """What a `subscribe` of `potok.broadcast` returns: a receiver, with an own place in what is sent.

    Its `recv` may also raise Lagged, once, at the place where items are missing (lag="drop-oldest"); it goes on with
    the oldest that is left. Several tasks that share one subscriber share its items; a `clone` has the same before it.
    Passed to `start`, it moves to the task: the caller's own is closed at once, since unread it would hold back the
    senders. As long as it is open it has to be read, so close it, or use it as a context manager.
    """

    __slots__ = ()

    def _as_arm(self, arm: Arm) -> None:
        end = self._end
        if end.alert:
            look_closer(arm.task, end)
        arm.op, arm.end, arm.machine = "recv", end, end.machine


def broadcast(
    capacity: int, lag: str = "block", *, name: str = "broadcast"
) -> tuple[Sender[Any], Callable[[], Subscriber[Any]]]:
    """A broadcast: the end that sends, and a function that makes subscribers.

        tx, subscribe = potok.broadcast(16)
        with potok.scope(on="threads") as s:
            s.start(show, subscribe())
            s.start(store, subscribe())
            with tx:
                for line in lines: tx.send(line)

    A subscriber gets what is sent from the call of `subscribe()` on. Without subscribers nothing is kept, and a send
    is done at once. When the last sender closes, subscribers get what is left for them, then ClosedError.

    Args:
        capacity: items, 1 or more, that the slowest subscriber may be behind with.
        lag: "block": then senders wait for it. "drop-oldest": senders never wait; it misses the oldest items, and its
            next `recv` raises Lagged with their number.
        name: for messages and reports.
    """
    if isinstance(capacity, bool) or not isinstance(capacity, int):
        raise TypeError(f"capacity must be an int >= 1, not {capacity!r}")
    if capacity < 1:
        raise ValueError(
            f"capacity must be >= 1, not {capacity}: in a rendezvous with several, a send that was cancelled half-way "
            f"would have reached some of them"
        )
    if lag not in ("block", "drop-oldest"):
        raise ValueError(f'lag must be "block" or "drop-oldest", not {lag!r}')
    machine = BroadcastMachine(capacity, lag == "drop-oldest", name)
    machine.guard = Guard(carrier())

    def subscribe() -> Subscriber[Any]:
        """A new subscriber, to what is sent from now on."""
        return Subscriber(machine.guard.run(carrier(), machine.open, False))

    return Sender(machine.open(sends=True)), subscribe
