"""Queues with the methods, errors and semantics of the `queue` module, for tasks of either colour on any executor.

To move a program over from threads, `import potok as queue` is the change. For a new one, choose a channel: it has two
ends, each can be closed, and a task's end of it closes with the task, so that nobody waits for a consumer or
producer that is gone. A queue has no ends; what it has instead is `task_done` and `join`, a discipline, `shutdown`.

Beside each method that may wait stands an awaitable one (`aput`, `aget`, `ajoin`). These six are park points, also when
they don't have to wait, but for `SimpleQueue.put`, which never does. Cancelled or timed out: the item was NOT put, or
none was taken. Source: CPython's `queue`, `shutdown` as in 3.13. We deviate in that an operation that raises (an item
that can't be compared, say) leaves the queue as it was, and in that subclasses can't replace the discipline.
"""

from __future__ import annotations

from queue import Empty, Full
from typing import Any, Generic, TypeVar

from potok.errors import ShutDown, WouldBlock
from potok.kernel.build import FREE_THREADED
from potok.kernel.carrier import Carrier
from potok.kernel.current import adopt, carrier, current, current_awaiting, getcurrent
from potok.kernel.guard import Guard
from potok.kernel.isolation import copied
from potok.kernel.parking import RETRY, Elapsed, abandon, aperform, attend, await_woken, perform, wait
from potok.kernel.task import ASYNC, Task
from potok.links.packing import opened, pack
from potok.machines.queue import Discipline, QueueMachine, fifo, lifo, smallest
from potok.machines.waiting import PARKED

__all__ = ["Empty", "Full", "LifoQueue", "PriorityQueue", "Queue", "ShutDown", "SimpleQueue"]

T = TypeVar("T")


class _Getting(Generic[T]):
    """What all queues share: taking items out, and looking."""

    __slots__ = ("__weakref__", "_machine")

    _machine: QueueMachine

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Take the next item, waiting for one if `block`. A park point.

        Raises: Empty if there is none, now or for `timeout` seconds; ShutDown if there is none and the queue was shut
            down; ValueError for a negative timeout; BlockingCallError in an `async def` task. None was taken then.
        """
        if not block:
            return self.get_nowait()
        try:
            task = getcurrent().task
        except AttributeError:
            task = adopt()
        if task.trap:
            attend(task, "get()", "aget()")
        deadline = None if timeout is None else _deadline(task, timeout)
        machine = self._machine
        if machine.atomic and machine.items and (got := _pop(machine, task.carrier)) is not PARKED:
            return opened(got) if machine.shared else got  # type: ignore[no-any-return]
        before = task.waiter
        while True:
            try:
                got = machine.guard.run(task.carrier, machine.get, task)
                if got is PARKED:
                    got = wait(task, deadline)
            except Elapsed:
                raise Empty(f"{machine.name} was empty for {timeout} s") from None
            except BaseException as error:
                got = abandon(task, before, deadline, error)
            if got is not RETRY:
                return opened(got) if machine.shared else got  # type: ignore[no-any-return]

    async def aget(self, timeout: float | None = None) -> T:
        """The awaitable spelling of `get`."""
        task = current_awaiting()
        if task.trap > ASYNC:
            attend(task)
        deadline = None if timeout is None else _deadline(task, timeout)
        machine = self._machine
        if machine.atomic and machine.items and (got := _pop(machine, task.carrier)) is not PARKED:
            return opened(got) if machine.shared else got  # type: ignore[no-any-return]
        before = task.waiter
        while True:
            try:
                got = machine.guard.run(task.carrier, machine.get, task)
                if got is PARKED:
                    got = await await_woken(task, deadline)
            except Elapsed:
                raise Empty(f"{machine.name} was empty for {timeout} s") from None
            except BaseException as error:
                got = abandon(task, before, deadline, error)
            if got is not RETRY:
                return opened(got) if machine.shared else got  # type: ignore[no-any-return]

    def get_nowait(self) -> T:
        """Take an item that is there now. Not a park point.

        Raises: Empty if there is none; ShutDown if, moreover, the queue was shut down.
        """
        machine = self._machine
        got = machine.guard.run(carrier(), machine.get, None)
        if got is PARKED:
            raise Empty(f"{machine.name} is empty")
        return opened(got) if machine.shared else got  # type: ignore[no-any-return]

    def qsize(self) -> int:
        """The number of items at this moment."""
        return len(self._machine.items)

    def empty(self) -> bool:
        """Whether there are no items at this moment."""
        return not self._machine.items

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._machine.describe()}>"


class Queue(_Getting[T]):
    """First in, first out: `queue.Queue`, with awaitable spellings.

    Args:
        maxsize: how many items it holds before `put` waits; 0 or less: any number, and `put` never waits.
    """

    __slots__ = ()

    _discipline: Discipline = staticmethod(fifo)

    def __init__(self, maxsize: float = 0) -> None:
        self._machine = _make(_checked(maxsize), type(self)._discipline, type(self).__name__)

    # ── putting ─────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:  # noqa: C901 - a call costs
        """Put the item in, waiting for a place if `block`. A park point.

        Raises: Full if there is no place, now or for `timeout` seconds; ShutDown if the queue was shut down;
            ValueError for a negative timeout; BlockingCallError in an `async def` task. The item was NOT put then.
        """
        if not block:
            self.put_nowait(item)
            return
        try:
            task = getcurrent().task
        except AttributeError:
            task = adopt()
        if task.trap:
            attend(task, "put()", "aput()")
        machine = self._machine
        if task.isolate or machine.shared:
            item = _outgoing(task, machine, item)
        if machine.loose:
            _push(machine, task.carrier, item)
            return
        deadline = None if timeout is None or machine.maxsize <= 0 else _deadline(task, timeout)
        before = task.waiter
        while True:
            try:
                got = machine.guard.run(task.carrier, machine.put, task, item)
                if got is PARKED:
                    got = wait(task, deadline)
            except Elapsed:
                raise Full(f"{machine.name} was full for {timeout} s") from None
            except WouldBlock as error:
                if task.waiter is before and task.carrier.inside is not None and machine.maxsize <= 0:
                    machine.guard.post(
                        task.carrier, _put_now, machine, item
                    )  # a put that never waits may come later
                    return
                got = abandon(task, before, deadline, error)
            except BaseException as error:
                got = abandon(task, before, deadline, error)
            if got is not RETRY:
                return

    async def aput(self, item: T, timeout: float | None = None) -> None:
        """The awaitable spelling of `put`."""
        task = current_awaiting()
        if task.trap > ASYNC:
            attend(task)
        machine = self._machine
        if task.isolate or machine.shared:
            item = _outgoing(task, machine, item)
        if machine.loose:
            _push(machine, task.carrier, item)
            return
        deadline = None if timeout is None or machine.maxsize <= 0 else _deadline(task, timeout)
        before = task.waiter
        while True:
            try:
                got = machine.guard.run(task.carrier, machine.put, task, item)
                if got is PARKED:
                    got = await await_woken(task, deadline)
            except Elapsed:
                raise Full(f"{machine.name} was full for {timeout} s") from None
            except BaseException as error:
                got = abandon(task, before, deadline, error)
            if got is not RETRY:
                return

    def put_nowait(self, item: T) -> None:
        """Put the item in if there is a place now. Not a park point; safe from signal handlers and finalizers.

        Raises: Full if there is none; ShutDown if the queue was shut down. The item was NOT put then.
        """
        task = current()
        machine = self._machine
        if task.isolate or machine.shared:
            item = _outgoing(task, machine, item)
        if machine.loose:
            _push(machine, task.carrier, item)
        else:
            machine.guard.post(task.carrier, _put_now, machine, item)

    # ── work ────────────────────────────────────────────────────────────────────────────────────────────────

    def task_done(self) -> None:
        """Say that an item which `get` gave is done with. Not a park point; safe from signal handlers and finalizers.

        Raises: ValueError if there were more calls than items put.
        """
        machine = self._machine
        machine.guard.post(carrier(), machine.task_done)

    def join(self) -> None:
        """Wait until `task_done` was called for every item that was put. A park point."""
        perform(self._machine, self._machine.join, call="join")

    async def ajoin(self) -> None:
        """The awaitable spelling of `join`."""
        await aperform(self._machine, self._machine.join)

    @property
    def unfinished_tasks(self) -> int:
        """How many items were put and are not done yet."""
        return self._machine.unfinished

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────

    def shutdown(self, immediate: bool = False) -> None:
        """Let `put` raise ShutDown from now on, and `get` once the queue is empty; whoever waits is woken.

        Not a park point; safe from signal handlers and finalizers.

        Args:
            immediate: drop the items, as if each was taken and done, so that `get` raises at once.
        """
        machine = self._machine
        machine.guard.post(carrier(), machine.shutdown, immediate)

    @property
    def is_shutdown(self) -> bool:
        """Whether it was shut down."""
        return self._machine.is_shutdown

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────────────

    def full(self) -> bool:
        """Whether there is no place at this moment."""
        machine = self._machine
        return 0 < machine.maxsize <= len(machine.items)

    @property
    def maxsize(self) -> float:
        """The bound; 0 or less: none. It may be changed: items beyond it stay."""
        return self._machine.maxsize

    @maxsize.setter
    def maxsize(self, maxsize: float) -> None:
        machine = self._machine
        machine.guard.post(carrier(), machine.resize, _checked(maxsize))


class LifoQueue(Queue[T]):
    """Last in, first out: `queue.LifoQueue`, with awaitable spellings."""

    __slots__ = ()

    _discipline = staticmethod(lifo)


class PriorityQueue(Queue[T]):
    """The smallest item first: `queue.PriorityQueue`, with awaitable spellings. Items are usually (priority, data).

    Items are compared, by their `__lt__`, while the queue is held: it should be quick, wait for nothing, and leave this
    queue alone (a call raises WouldBlock). If it raises, the queue is as before, and who brought the item hears of it.
    """

    __slots__ = ()

    _discipline = staticmethod(smallest)


class SimpleQueue(_Getting[T]):
    """First in, first out, without bound, `task_done` and `shutdown`: `queue.SimpleQueue`, with awaitable spellings.

    Choose it where a signal handler, `__del__` or a weakref callback puts: its `put` is safe there.
    """

    __slots__ = ()

    def __init__(self) -> None:
        self._machine = _make(0, fifo, type(self).__name__)

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Put the item in. Never waits, so it is no park point; safe from signal handlers and finalizers."""
        try:
            task = getcurrent().task
        except AttributeError:
            task = adopt()
        machine = self._machine
        if task.isolate or machine.shared:
            item = _outgoing(task, machine, item)
        if machine.loose:
            _push(machine, task.carrier, item)
        else:
            machine.guard.post(task.carrier, machine.put, None, item)

    put_nowait = put

    async def aput(self, item: T) -> None:
        """The awaitable spelling of `put`, for code that is given one queue or the other. A park point."""
        task = current_awaiting()
        if task.trap > ASYNC:
            attend(task)
        self.put(item)


def _make(maxsize: float, discipline: Discipline, name: str) -> QueueMachine:
    machine = QueueMachine(maxsize, discipline, name, atomic=discipline is not smallest and not FREE_THREADED)
    machine.guard = Guard(carrier())
    return machine


def _outgoing(task: Task[Any], machine: QueueMachine, item: Any) -> Any:
    """What is really put: a copy, where the task is isolated; packed, where another address space may get it."""
    if task.isolate:
        item = copied(item)
    return pack(item, not machine.away) if machine.shared and not machine.compares else item


def _pop(machine: QueueMachine, me: Carrier) -> Any:
    """The short cut of a get that need not wait, without the mutex; PARKED if it has to."""
    try:
        item = machine.pop()
    except IndexError:
        return PARKED
    if machine.putters.entries:
        machine.guard.post(me, machine.refill)
    return item


def _push(machine: QueueMachine, me: Carrier, item: Any) -> None:
    """The short cut of a put that never waits, without the mutex."""
    if machine.is_shutdown:
        raise machine.shut()
    next(machine.puts)
    machine.push(item)
    if machine.getters.entries or machine.is_shutdown:
        machine.guard.post(me, machine.settle, item)


def _checked(maxsize: Any) -> float:
    if not isinstance(maxsize, int | float):
        raise TypeError(f"maxsize must be a number (0 or less: no bound), not {maxsize!r}")
    return maxsize


def _deadline(task: Task[Any], timeout: Any) -> float:
    if not isinstance(timeout, int | float):
        raise TypeError(f"'timeout' must be a non-negative number of seconds or None, not {timeout!r}")
    if not timeout >= 0:
        raise ValueError(f"'timeout' must be a non-negative number, not {timeout!r}")
    return task.kernel.now() + timeout  # type: ignore[no-any-return]


def _put_now(machine: QueueMachine, item: Any) -> None:
    """Inside the machine. Raises what `put_nowait` raises: in the log, if it was deferred and nobody waits for it."""
    if machine.put(None, item) is PARKED:
        raise Full(f"{machine.name} is full")
