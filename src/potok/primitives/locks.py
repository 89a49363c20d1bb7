"""Lock and RLock: `threading`'s, between tasks of any executor, in `def` and `async def`.

A lock that is released goes straight to whoever waited longest, in whatever thread or loop that task runs; nobody
barges in (why: `potok.machines.lock`). An acquire that raises, or returns False, does not hold the lock. A task that
ends with a lock held leaves it held, as a thread does: write `with lock:`.
Source: the `threading` module; we deviate in fairness, in the awaitable spellings, and in that the owner of an RLock
is a task, not a thread.
"""

from __future__ import annotations

from threading import TIMEOUT_MAX
from types import TracebackType
from typing import Any

from potok.errors import WouldBlock
from potok.kernel.current import carrier, current, current_awaiting
from potok.kernel.guard import Guard
from potok.kernel.parking import Elapsed, aperform, check_timeout, perform
from potok.kernel.task import Task
from potok.machines.lock import LockMachine, RLockMachine
from potok.machines.waiting import PARKED, Arm
from potok.primitives.tasks import current_task

__all__ = ["Lock", "Mutex", "RLock"]


class Mutex:
    """What Lock and RLock share: all but who owns them."""

    __slots__ = ("__weakref__", "_machine")

    _machine: LockMachine | RLockMachine

    def _owner(self) -> Task[Any]:
        """In whose name plain code takes and releases it here."""
        raise NotImplementedError

    def acquire(self, blocking: bool = True, timeout: float | None = -1) -> bool:
        """Take the lock, waiting for it. A park point, unless `blocking` is false.

        Args:
            blocking: if false, never wait; `timeout` can't be given then.
            timeout: seconds to wait at most; -1, or None, for ever.

        Returns: True once the lock is held; False if that would take waiting, or took longer than `timeout`.
        Raises: ValueError for another negative timeout, OverflowError for one beyond `threading.TIMEOUT_MAX`;
            BlockingCallError in an `async def` task; Cancelled. The lock is NOT held then.
        """
        machine = self._machine
        if not blocking:
            return self._try(timeout)
        seconds = _seconds(timeout)
        try:
            perform(machine, machine.acquire, self._owner(), timeout=seconds, call="acquire")
        except Elapsed:
            return False
        return True

    async def aacquire(self, blocking: bool = True, timeout: float | None = -1) -> bool:
        """The awaitable spelling of `acquire`."""
        machine = self._machine
        if not blocking:
            return self._try(timeout)
        seconds = _seconds(timeout)
        try:
            await aperform(machine, machine.acquire, current_awaiting(), timeout=seconds)
        except Elapsed:
            return False
        return True

    def _try(self, timeout: float | None) -> bool:
        if timeout is not None and timeout != -1:
            raise ValueError(
                f"timeout can't be given with blocking=False, which never waits; it is {timeout!r}"
            )
        machine = self._machine
        try:
            return machine.guard.run(carrier(), machine.acquire, None, self._owner()) is not PARKED
        except WouldBlock:  # in a signal handler or finalizer that interrupted an operation on this very lock
            return False

    def release(self) -> None:
        """Release the lock: the first of those who wait holds it now. Never waits; safe from anywhere.

        Raises: RuntimeError, with nothing changed, if the lock is not held, or is an RLock of another task. (From a
            signal handler or finalizer that interrupted an operation on this very lock, the release follows that
            operation, and its error is logged.)
        """
        machine = self._machine
        machine.guard.post(carrier(), machine.release, self._owner())

    def recover(self) -> bool:
        """Free a lock whose holder's worker has died (`AbandonedLock`); False if it is no such lock. Never waits.

        For who has looked after what the lock guards, which may be half done.
        """
        machine = self._machine
        return bool(machine.guard.run(carrier(), machine.recover))

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._machine.holder is not None

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    async def __aenter__(self) -> bool:
        return await self.aacquire()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()

    def _as_arm(self, arm: Arm) -> None:
        raise NotImplementedError


class Lock(Mutex):
    """A lock that one task holds at a time, and that any task may release.

    As an arm of `select` it is acquired if the select returns that arm. RLock lets its holder in again.
    """

    __slots__ = ()

    _machine: LockMachine

    def __init__(self) -> None:
        self._machine = LockMachine()
        self._machine.guard = Guard(carrier())

    def _owner(self) -> Task[Any]:
        return current()

    # What `with lock:` is made of, without asking for an owner: it is whoever waits, and anybody may release.

    def __enter__(self) -> bool:
        machine = self._machine
        return perform(machine, machine.acquire, call="acquire")  # type: ignore[no-any-return]

    def release(self) -> None:
        """Release the lock, whoever took it. Otherwise as `RLock.release`."""
        machine = self._machine
        machine.guard.post(carrier(), machine.release)

    def _as_arm(self, arm: Arm) -> None:
        arm.op, arm.machine, arm.item = "acquire", self._machine, arm.task

    def __repr__(self) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} potok.Lock object at {id(self):#x}>"


class RLock(Mutex):
    """A lock that the task which holds it may acquire again, and has to release as often; no other task can.

    As an arm of `select` it is acquired, once more if it was held, if the select returns that arm.
    """

    __slots__ = ()

    _machine: RLockMachine

    def __init__(self) -> None:
        self._machine = RLockMachine()
        self._machine.guard = Guard(carrier())

    def _owner(self) -> Task[Any]:
        return current_task()

    def _as_arm(self, arm: Arm) -> None:
        arm.op, arm.machine, arm.item = "acquire", self._machine, (current_task(), 1)

    def __repr__(self) -> str:
        machine = self._machine
        holder = getattr(machine.holder, "name", None)
        state = "unlocked" if holder is None else "locked"
        return f"<{state} potok.RLock object owner={holder} count={machine.depth} at {id(self):#x}>"


def _seconds(timeout: float | None) -> float | None:
    """`threading`'s spelling of a time-out, as potok's."""
    if timeout is None or timeout == -1:
        return None
    check_timeout(timeout)
    if timeout > TIMEOUT_MAX:
        raise OverflowError(
            f"timeout must be at most threading.TIMEOUT_MAX, not {timeout!r} s; -1 waits for ever"
        )
    return timeout
