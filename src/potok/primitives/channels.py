"""Channels: a Sender end and a Receiver end, each counted, in `def` and `async def`, between any executors.

Every operation here is a park point, also when it does not have to wait. Cancelled or timed out: the item was NOT
sent, or none was taken. Source: Hoare, "Communicating Sequential Processes" (1978); Go's channels; Trio's memory
channels for the two counted ends. We deviate in handing ends over to tasks (`potok.kernel.ends`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from potok.errors import ClosedError, WouldBlock
from potok.kernel.build import FREE_THREADED
from potok.kernel.carrier import Carrier
from potok.kernel.current import adopt, carrier, current, current_awaiting, getcurrent
from potok.kernel.ends import (
    close_end,
    hand_over,
    look_closer,
    open_again,
    operate,
    report_lost,
    wait_for_end,
)
from potok.kernel.guard import Guard
from potok.kernel.isolation import copied
from potok.kernel.parking import RETRY, abandon, attend, await_woken, check_timeout, wait
from potok.kernel.starting import Handed
from potok.kernel.task import ASYNC, Task
from potok.links.packing import ATOMS, Packed, give_back, is_simple, opened, pack
from potok.links.parts import BIG, CONTAINERS
from potok.machines.channel import ChannelMachine, End
from potok.machines.waiting import PARKED, park

__all__ = ["UNBOUNDED", "Receiver", "Sender", "Sending", "channel", "fixed", "outgoing", "take_now"]

T = TypeVar("T")


class _Unbounded:
    """The type of `UNBOUNDED`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "potok.UNBOUNDED"


UNBOUNDED: Final = _Unbounded()


class Sending:
    """A send as an arm of a select: `tx.sending(v)`."""

    __slots__ = ("end", "item", "sender")

    def __init__(self, sender: Sender[Any], item: Any) -> None:
        self.sender = sender
        self.end = sender._end
        self.item = item


class _End(Handed):
    """What both ends share: closing, cloning, being a context manager."""

    __slots__ = ("__weakref__", "_end", "_lent")

    def __init__(self, end: End) -> None:
        self._end = end
        self._lent = False  # it came back to its home by a reference, which it answers for

    def _ends(self) -> tuple[End, ...]:
        return (self._end,)

    def _with_ends(self, *ends: End) -> Any:
        return type(self)(*ends)

    def close(self) -> None:
        """Close this end. Idempotent; operations parked on this same end fail. Safe from anywhere, never waits."""
        close_end(carrier(), self._end)

    def cancel(self, cause: object = None) -> None:
        """Close the whole channel: the buffer is dropped, and whoever waits gets ClosedError with the cause."""
        machine, me = self._end.machine, carrier()
        operate(me, machine, machine.cancel, cause)

    def clone(self) -> Any:
        """Another end of the same side, counted on its own. Raises ClosedError if this end is closed."""
        end = hand_over(carrier(), self._end)
        end.alert = bool(end.machine.handed)  # used first, it settles a hand-over just as this one would
        return self._with_ends(end)

    def rejoin(self) -> Any:
        """Another end of the same side, though this one may be closed, while any end of that side is open.

        A closed end is not counted, so who keeps one can let others join without keeping the channel open. Raises
        ClosedError, for good, once the last end of that side is closed.
        """
        end = open_again(carrier(), self._end)
        end.alert = bool(end.machine.handed)  # used first, it settles a hand-over just as any other would
        return self._with_ends(end)

    def pause(self) -> None:
        """Let this end not count, until `resume`: for an end that its owner keeps, and does not use meanwhile.

        If no other end of its side is open, whoever waits on the other side is told what it would be told if this
        one were closed. But nothing is lost: what is buffered stays, and the end works again. Idempotent, safe from
        anywhere, never waits.

        An end of a buffered channel that has ends in other address spaces is not paused: it goes on to count.
        """
        machine = self._end.machine
        operate(carrier(), machine, machine.pause, self._end)

    def resume(self) -> None:
        """Let this end count again. Idempotent; does nothing if it was closed meanwhile."""
        machine = self._end.machine
        operate(carrier(), machine, machine.resume, self._end)

    @property
    def closed(self) -> bool:
        """Whether this very end was closed."""
        return self._end.closed

    def __enter__(self) -> Any:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        close_end(carrier(), self._end, error)

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        close_end(carrier(), self._end, error)

    def __reduce__(self) -> Any:
        return _arrived, (type(self), self._end)

    def __del__(self) -> None:
        end = getattr(self, "_end", None)
        if end is None:
            return
        if self._lent:
            give_back(end)
        elif not end.closed:
            flows = end.machine.flows
            if flows is None:
                _reap(end)
            else:  # that may have to be told, which no finalizer can
                flows.soon(partial(_reap, end))

    def __repr__(self) -> str:
        state = "closed" if self._end.closed else "open"
        return f"<{type(self).__name__} of {self._end.machine.describe()}, {state}>"


def _arrived(kind: Any, end: End) -> Any:
    """The façade, in whatever address space it came to."""
    facade = kind(end)
    facade._lent = not end.machine.away
    return facade


def _reap(end: End) -> None:
    """An end was collected unclosed: close it; warn where that is news to somebody."""
    machine = end.machine
    missed = operate(carrier(), machine, machine.reap, end)
    if missed:
        side = "sender" if end.sends else "receiver"
        warnings.warn(
            f"the last {side} of {machine.name} was collected unclosed while the other side depended on it; "
            f"close it, or use it as a context manager",
            ResourceWarning,
            stacklevel=3,
        )


class Sender(_End, Generic[T]):
    """The end that sends. Shared by as many tasks as you like; each operation is atomic."""

    __slots__ = ()

    def send(self, item: T, timeout: float | None = None) -> None:  # noqa: C901, PLR0912 - as recv
        """Hand the item to a receiver, or to the buffer; wait until that is possible. A park point.

        Raises: ClosedError if this end, or the last receiver, is closed; TimeoutError after `timeout` seconds;
            BlockingCallError in an `async def` task. The item was NOT sent then.
        """
        try:
            task = getcurrent().task
        except AttributeError:
            task = adopt()
        if task.trap:
            attend(task, "send()", "asend()")
        deadline = None if timeout is None else _deadline(task, timeout)
        end = self._end
        if end.alert:
            look_closer(task, end)
        if task.isolate or isinstance(item, Handed):
            item = outgoing(task, item)
        machine = end.machine
        if machine.shared:
            if type(item) not in ATOMS:
                if _copied_there(task, item, end):
                    return
                item = fixed(item, machine)
            if end.quick is not None and end.quick.send_quickly(task.carrier, item, end):
                return
            flows = machine.flows
            if flows is not None and flows.offered(task, item, end):
                return
        if machine.loose and (machine.permits or machine.capacity is None) and _offered(machine, task, item):
            return
        before = task.waiter
        while True:
            try:
                got = _hand(machine, task, end, item) if machine.direct else RETRY
                if got is RETRY:
                    got = machine.guard.run(task.carrier, machine.send, task, end, item)
                if got is PARKED:
                    got = wait(task, deadline)
            except BaseException as error:
                got = abandon(task, before, deadline, error)
            if got is not RETRY:
                break
        if machine.lost:
            report_lost(task.carrier, machine)

    async def asend(self, item: T, timeout: float | None = None) -> None:  # noqa: C901, PLR0912 - as recv
        """The awaitable spelling of `send`."""
        try:
            task = getcurrent().task
        except AttributeError:
            task = adopt()
        if not task.driven:
            task = current_awaiting()
        if task.trap > ASYNC:
            attend(task)
        deadline = None if timeout is None else _deadline(task, timeout)
        end = self._end
        if end.alert:
            look_closer(task, end)
        if task.isolate or isinstance(item, Handed):
            item = outgoing(task, item)
        machine = end.machine
        if machine.shared:
            if type(item) not in ATOMS:
                if _copied_there(task, item, end):
                    return
                item = fixed(item, machine)
            if end.quick is not None and end.quick.send_quickly(task.carrier, item, end):
                return
            flows = machine.flows
            if flows is not None and flows.offered(task, item, end):
                return
        if machine.loose and (machine.permits or machine.capacity is None) and _offered(machine, task, item):
            return
        before = task.waiter
        while True:
            try:
                got = _hand(machine, task, end, item) if machine.direct else RETRY
                if got is RETRY:
                    got = machine.guard.run(task.carrier, machine.send, task, end, item)
                if got is PARKED:
                    got = await await_woken(task, deadline)
            except BaseException as error:
                got = abandon(task, before, deadline, error)
            if got is not RETRY:
                break
        if machine.lost:
            report_lost(task.carrier, machine)

    def send_nowait(self, item: T) -> None:
        """Send if that takes no waiting. Safe from signal handlers and finalizers. Not a park point.

        Raises: WouldBlock if no receiver waits and the buffer is full; ClosedError as `send`.
        """
        task, end = current(), self._end
        if end.alert:
            look_closer(task, end)
        if task.isolate or isinstance(item, Handed):
            item = outgoing(task, item)
        machine, me = end.machine, task.carrier
        if machine.shared:
            item = fixed(item, machine)
        operate(me, machine, _send_or_refuse, machine, end, item)

    def sending(self, item: T) -> Sending:
        """This send as an arm of `potok.select`."""
        return Sending(self, item)


class Receiver(_End, Generic[T]):
    """The end that receives; also an iterator, in `for` and `async for`, until the last sender is closed."""

    __slots__ = ()

    def recv(self, timeout: float | None = None) -> T:  # noqa: C901, PLR0912 - a call costs a tenth
        """Take the next item, waiting for one. A park point.

        Raises: ClosedError when no item is left and the last sender is closed; TimeoutError after `timeout`
            seconds; BlockingCallError in an `async def` task. No item was taken then.
        """
        try:
            task = getcurrent().task
        except AttributeError:
            task = adopt()
        if task.trap:
            attend(task, "recv()", "arecv()")
        deadline = None if timeout is None else _deadline(task, timeout)
        end = self._end
        if end.alert:
            look_closer(task, end)
        machine = end.machine
        if end.quick is not None:
            item = end.quick.receive_quickly(task.carrier, end)
            if item is not RETRY:
                return item.open() if isinstance(item, Packed) else item  # type: ignore[no-any-return]
        elif machine.buffer and machine.loose:
            try:
                item = machine.buffer.popleft()
            except IndexError:
                pass
            else:
                if machine.capacity is not None:
                    machine.permits.append(True)
                    if machine.senders.entries:
                        machine.guard.post(task.carrier, machine.refill)
                return item  # type: ignore[no-any-return]
        before = task.waiter
        while True:
            try:
                got: Any = RETRY
                if machine.direct:
                    got = _take(machine, task, end)
                elif machine.away:
                    got = machine.take_here(task, end)
                elif machine.flows is not None and not machine.buffer:
                    machine.flows.look_out(task)
                if got is RETRY:
                    got = machine.guard.run(task.carrier, machine.receive, task, end)
                if got is PARKED:
                    got = wait(task, deadline)
            except BaseException as error:
                got = abandon(task, before, deadline, error)
            if got is not RETRY:
                return opened(got) if machine.shared else got  # type: ignore[no-any-return]

    async def arecv(self, timeout: float | None = None) -> T:  # noqa: C901, PLR0912 - as recv
        """The awaitable spelling of `recv`."""
        try:
            task = getcurrent().task
        except AttributeError:
            task = adopt()
        if not task.driven:
            task = current_awaiting()
        if task.trap > ASYNC:
            attend(task)
        deadline = None if timeout is None else _deadline(task, timeout)
        end = self._end
        if end.alert:
            look_closer(task, end)
        machine = end.machine
        if end.quick is not None:
            item = end.quick.receive_quickly(task.carrier, end)
            if item is not RETRY:
                return item.open() if isinstance(item, Packed) else item  # type: ignore[no-any-return]
        elif machine.buffer and machine.loose:
            try:
                item = machine.buffer.popleft()
            except IndexError:
                pass
            else:
                if machine.capacity is not None:
                    machine.permits.append(True)
                    if machine.senders.entries:
                        machine.guard.post(task.carrier, machine.refill)
                return item  # type: ignore[no-any-return]
        before = task.waiter
        while True:
            try:
                got: Any = RETRY
                if machine.direct:
                    got = _take(machine, task, end)
                elif machine.away:
                    got = machine.take_here(task, end)
                if got is RETRY:
                    got = machine.guard.run(task.carrier, machine.receive, task, end)
                if got is PARKED:
                    got = await await_woken(task, deadline)
            except BaseException as error:
                got = abandon(task, before, deadline, error)
            if got is not RETRY:
                return opened(got) if machine.shared else got  # type: ignore[no-any-return]

    def recv_nowait(self) -> T:
        """Take an item that is there now. Not a park point.

        Raises: WouldBlock if none is; ClosedError as `recv`.
        """
        end = self._end
        if end.alert:
            look_closer(current(), end)
        got = take_now(carrier(), end)
        if got is PARKED:
            raise WouldBlock(f"{end.machine.describe()}: nothing to receive")
        return got  # type: ignore[no-any-return]

    def __iter__(self) -> Receiver[T]:
        wait_for_end(current(), self._end)
        return self

    def __next__(self) -> T:
        try:
            return self.recv()
        except ClosedError:
            if self._end.machine.is_clean_end(self._end):
                raise StopIteration from None
            raise

    def __aiter__(self) -> Receiver[T]:
        wait_for_end(current_awaiting(), self._end)
        return self

    async def __anext__(self) -> T:
        try:
            return await self.arecv()
        except ClosedError:
            if self._end.machine.is_clean_end(self._end):
                raise StopAsyncIteration from None
            raise


def _send_or_refuse(machine: ChannelMachine, end: End, item: Any) -> None:
    """A send that does not wait. Where it was deferred, the refusal goes to the log: nobody is left to be told."""
    if machine.send(None, end, item) is PARKED:
        raise WouldBlock(f"{machine.describe()}: no receiver waits and there is no room in the buffer")


def fixed(item: Any, machine: Any) -> Any:
    """An item of a channel with ends elsewhere, as it is at this moment."""
    kind = type(item)
    if kind in ATOMS or ((kind is str or kind is bytes) and len(item) < BIG):
        return item
    return pack(item, not machine.away)


def _copied_there(task: Task[Any], item: Any, end: End) -> bool:
    """Whether it went into a lane to its home as it is at this moment: at half the price of packing it first.

    At home it would have to be fixed all the same: what is shipped is kept there until a task took it.
    """
    quick = end.quick
    return bool(
        not FREE_THREADED  # another thread may change it meanwhile, which marshal does not expect
        and quick is not None
        and quick.lane is not None
        and type(item) in CONTAINERS
        and is_simple(item)
        and quick.send_quickly(task.carrier, item, end)
    )


def outgoing(task: Task[Any], item: Any) -> Any:
    """What is really sent: a counted clone of a channel end; a copy where the task is isolated."""
    if isinstance(item, Handed):
        return item._with_ends(*[hand_over(task.carrier, end) for end in item._ends()])
    return copied(item)


def _hand(machine: ChannelMachine, task: Task[Any], end: End, item: Any) -> Any:
    """`machine.send` for a rendezvous in the thread that the guard belongs to, without the detours; else RETRY.

    A third of a communication is saved. The rules are those of `Guard.run` and `ChannelMachine.send`.
    """
    me, guard = task.carrier, machine.guard
    if guard.owner is not me or me.inside is not None:
        return RETRY
    me.inside = guard
    try:
        entries = machine.receivers.entries
        if guard.owner is not me or end.closed:
            return RETRY
        if not entries:
            if not machine.open_receivers:
                return RETRY
            machine.senders.entries.append(park(task, machine, "send", item, end))
            return PARKED
        waiter = entries[0]
        if waiter.claimed or waiter.group is not None:
            return RETRY
        del entries[0]
        waiter.claimed = True
        waiter.value = item
        waiter.wake()
        return None
    finally:
        me.inside = None
        if guard.deferred:
            guard.run_deferred(me)


def _take(machine: ChannelMachine, task: Task[Any], end: End) -> Any:
    """The twin of `_hand` for `machine.receive`."""
    me, guard = task.carrier, machine.guard
    if guard.owner is not me or me.inside is not None:
        return RETRY
    me.inside = guard
    try:
        entries = machine.senders.entries
        if guard.owner is not me or end.closed:
            return RETRY
        if not entries:
            if not machine.open_senders:
                return RETRY
            machine.receivers.entries.append(park(task, machine, "recv", None, end))
            return PARKED
        waiter = entries[0]
        if waiter.claimed or waiter.group is not None:
            return RETRY
        del entries[0]
        waiter.claimed = True
        item = waiter.item
        waiter.wake()
        return item
    finally:
        me.inside = None
        if guard.deferred:
            guard.run_deferred(me)


def _offered(machine: ChannelMachine, task: Task[Any], item: Any) -> bool:
    """The short cut of a send into the buffer, without the mutex. False: take the long way."""
    if not machine.open_receivers:
        return False
    if machine.capacity is not None:
        try:
            machine.permits.pop()
        except IndexError:
            return False
    machine.buffer.append(item)
    if machine.receivers.entries or not machine.open_receivers:
        machine.guard.post(task.carrier, machine.hand_out)
        if machine.lost:  # the last receiver was closed in between
            report_lost(task.carrier, machine)
    return True


def take_now(me: Carrier, end: End) -> Any:
    """An item that is there, or PARKED; from the buffer without the mutex, where `recv` does. Raises ClosedError."""
    machine = end.machine
    if machine.buffer and machine.loose:
        try:
            item = machine.buffer.popleft()
        except IndexError:
            pass
        else:
            if machine.capacity is not None:
                machine.permits.append(True)
                if machine.senders.entries:
                    machine.guard.post(me, machine.refill)
            return item
    got = machine.guard.run(me, machine.receive, None, end)
    return opened(got) if machine.shared else got


def _deadline(task: Task[Any], timeout: float) -> float:
    check_timeout(timeout)
    return task.kernel.now() + timeout  # type: ignore[no-any-return]


def channel(
    capacity: int | _Unbounded = 0,
    *,
    overflow: str = "block",
    undelivered: Callable[[Any], object] | None = None,
    name: str = "channel",
    on_fail: str = "close",
) -> tuple[Sender[Any], Receiver[Any]]:
    """A channel: the end that sends and the end that receives.

    Args:
        capacity: items that may be sent before one is received. 0: rendezvous, `send` returns when a receiver has
            the item. `potok.UNBOUNDED`: `send` never waits, and nothing keeps a fast sender from filling the memory.
        overflow: "block": a full buffer makes senders wait. "drop-oldest": they never wait; the oldest item makes
            room (capacity >= 1).
        undelivered: called, outside of any lock, with each item that was sent and can't be received any more.
        name: for messages and reports.
        on_fail: what a task that fails with an end of its own does to the channel. "close": its end closes, others
            work on. "cancel": the channel is cancelled, with the error as the cause.
    """
    if capacity is None:
        raise TypeError(
            "capacity must be a number >= 0; an unbounded channel is spelled potok.UNBOUNDED, not None"
        )
    if isinstance(capacity, bool) or not isinstance(capacity, int | _Unbounded):
        raise TypeError(f"capacity must be an int >= 0 or potok.UNBOUNDED, not {capacity!r}")
    if isinstance(capacity, int) and capacity < 0:
        raise ValueError(
            f"capacity must be >= 0, not {capacity}; an unbounded channel is spelled potok.UNBOUNDED"
        )
    if overflow not in ("block", "drop-oldest"):
        raise ValueError(f'overflow must be "block" or "drop-oldest", not {overflow!r}')
    if overflow == "drop-oldest" and (isinstance(capacity, _Unbounded) or capacity < 1):
        raise ValueError(f'overflow="drop-oldest" needs a capacity >= 1 that can overflow, not {capacity!r}')
    if undelivered is not None and not callable(undelivered):
        raise TypeError(f"undelivered must be callable, not {undelivered!r}")
    if on_fail not in ("close", "cancel"):
        raise ValueError(f'on_fail must be "close" or "cancel", not {on_fail!r}')
    size = None if isinstance(capacity, _Unbounded) else capacity
    machine = ChannelMachine(size, overflow == "drop-oldest", undelivered, name, on_fail == "cancel")
    machine.guard = Guard(carrier())
    if FREE_THREADED:
        machine.loose = False
    return Sender(machine.open(sends=True)), Receiver(machine.open(sends=False))
