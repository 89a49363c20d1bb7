"""Pipes: two ends, each of which sends to and receives from the other; `multiprocessing.Pipe` between any tasks.

Made of two channels. Choose a channel where things go one way: it says so, and its ends can be closed one by one.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Generic, TypeVar

from potok.kernel.current import current, current_awaiting
from potok.kernel.ends import look_closer
from potok.kernel.guard import Guard
from potok.kernel.parking import Elapsed, abandon, attend, await_woken, check_timeout, wait
from potok.kernel.starting import Handed
from potok.kernel.task import ASYNC, Task
from potok.machines.channel import End
from potok.machines.peek import Peek, look
from potok.machines.waiting import PARKED, Arm, new_arm
from potok.primitives.channels import Receiver, Sender, Sending, channel
from potok.primitives.tasks import asleep, sleep

__all__ = ["Pipe", "pipe"]

T = TypeVar("T")

_FREE = Guard(None)  # a peek decides by its token: this only has to be entered


class Pipe(Handed, Generic[T]):
    """One end of a pipe: a sender and a receiver that live and are handed over together.

    All operations are those of the channel ends: `send` and `recv` are park points, and so on.
    """

    __slots__ = ("__weakref__", "_rx", "_tx")

    def __init__(self, tx: Sender[T], rx: Receiver[T]) -> None:
        self._tx = tx
        self._rx = rx

    def _ends(self) -> tuple[End, ...]:
        return (self._tx._end, self._rx._end)

    def _with_ends(self, *ends: End) -> Pipe[T]:
        return Pipe(Sender(ends[0]), Receiver(ends[1]))

    # ── sending ─────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, item: T, timeout: float | None = None) -> None:
        """Send to the other end; wait while it is `capacity` items behind. As `Sender.send`."""
        self._tx.send(item, timeout)

    async def asend(self, item: T, timeout: float | None = None) -> None:
        """The awaitable spelling of `send`."""
        await self._tx.asend(item, timeout)

    def send_nowait(self, item: T) -> None:
        """Send if that takes no waiting. As `Sender.send_nowait`."""
        self._tx.send_nowait(item)

    def sending(self, item: T) -> Sending:
        """This send as an arm of `potok.select`; the pipe itself is the arm that receives."""
        return self._tx.sending(item)

    # ── receiving ───────────────────────────────────────────────────────────────────────────────────────────

    def recv(self, timeout: float | None = None) -> T:
        """Take the next item from the other end, waiting for one. As `Receiver.recv`."""
        return self._rx.recv(timeout)

    async def arecv(self, timeout: float | None = None) -> T:
        """The awaitable spelling of `recv`."""
        return await self._rx.arecv(timeout)

    def recv_nowait(self) -> T:
        """Take an item that is there now. As `Receiver.recv_nowait`."""
        return self._rx.recv_nowait()

    def __iter__(self) -> Pipe[T]:
        return self

    def __next__(self) -> T:
        return next(self._rx)

    def __aiter__(self) -> Pipe[T]:
        return self

    async def __anext__(self) -> T:
        return await anext(self._rx)

    def _as_arm(self, arm: Arm) -> None:
        end = self._rx._end
        if end.alert:
            look_closer(arm.task, end)
        arm.op, arm.end, arm.machine = "recv", end, end.machine.near(end)

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────────────

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Whether `recv` would not wait (for an item, or the end): now, or within `timeout` seconds. A park point.

        Args:
            timeout: None: as long as it takes. 0: only what is there; others get to run all the same, so that a loop
                around it does not keep them from sending.

        Raises: ClosedError if this end is closed.
        """
        task = current()
        check_timeout(timeout)
        if task.trap:
            attend(task, "poll()", "apoll()")
        deadline = None if timeout is None else task.kernel.now() + timeout
        if timeout == 0:
            if _look(task, self._rx._end, wait_for=False) is not None:
                sleep(0)
            return _look(task, self._rx._end, wait_for=False) is None
        before, peek = task.waiter, None
        while True:
            try:
                if (peek := _look(task, self._rx._end, wait_for=True)) is None:
                    return True
                wait(task, deadline)
            except Elapsed:
                return False
            except BaseException as error:
                abandon(task, before, deadline, error)
            finally:
                if peek is not None:
                    _forget(task, peek)

    async def apoll(self, timeout: float | None = 0.0) -> bool:
        """The awaitable spelling of `poll`."""
        task = current_awaiting()
        check_timeout(timeout)
        if task.trap > ASYNC:
            attend(task)
        deadline = None if timeout is None else task.kernel.now() + timeout
        if timeout == 0:
            if _look(task, self._rx._end, wait_for=False) is not None:
                await asleep(0)
            return _look(task, self._rx._end, wait_for=False) is None
        before, peek = task.waiter, None
        while True:
            try:
                if (peek := _look(task, self._rx._end, wait_for=True)) is None:
                    return True
                await await_woken(task, deadline)
            except Elapsed:
                return False
            except BaseException as error:
                abandon(task, before, deadline, error)
            finally:
                if peek is not None:
                    _forget(task, peek)

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Close this end, both ways: the other end receives what was sent, then its end. Idempotent, never waits."""
        self._tx.close()
        self._rx.close()

    def cancel(self, cause: object = None) -> None:
        """Close the whole pipe: what was not received is dropped, whoever waits gets ClosedError with the cause."""
        self._tx.cancel(cause)
        self._rx.cancel(cause)

    def clone(self) -> Pipe[T]:
        """Another end of the same side, counted on its own. Raises ClosedError if this end is closed."""
        return Pipe(self._tx.clone(), self._rx.clone())

    @property
    def closed(self) -> bool:
        """Whether this very end was closed."""
        return self._tx.closed and self._rx.closed

    def __enter__(self) -> Pipe[T]:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self._tx.__exit__(kind, error, trace)
        self._rx.__exit__(kind, error, trace)

    async def __aenter__(self) -> Pipe[T]:
        return self

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        return f"<Pipe: {self._tx!r}, {self._rx!r}>"


def _look(task: Task[Any], end: End, wait_for: bool) -> Peek | None:
    """None if something is there; else the peek that the task is to park at (with `wait_for`)."""
    if end.alert:
        look_closer(task, end)
    peek, machine = Peek(_FREE), end.machine
    arm = new_arm(machine, "poll", None, end, peek, task)
    got = machine.guard.run(task.carrier, look, task if wait_for else None, peek, arm)
    if got is PARKED:
        return peek
    if end.alert:  # closed meanwhile, or elsewhere
        look_closer(task, end)
    return None


def _forget(task: Task[Any], peek: Peek) -> None:
    """Take its entry out of the machine's queue."""
    arm = peek.arm
    if not arm.claimed:
        arm.machine.guard.post(task.carrier, arm.machine.withdraw, arm)


def pipe(capacity: Any = 16) -> tuple[Pipe[Any], Pipe[Any]]:
    """A pipe: its two ends, `a, b = potok.pipe()`. What one sends, the other receives.

    Args:
        capacity: items that each end may send before the other receives one, as `potok.channel` takes it.

    An end passed to `start` is handed over as channel ends are: the task's own closes with the task.
    """
    to_b, from_a = channel(capacity, name="pipe")
    to_a, from_b = channel(capacity, name="pipe")
    return Pipe(to_b, from_b), Pipe(to_a, from_a)
