"""Condition: `threading`'s, between tasks of any executor, in `def` and `async def`.

The awaitable spelling of `wait` is `await_`, for `await` is a keyword; that of `wait_for` is `await_for`.
Source: the `threading` module; asyncio's Condition for passing a notification on when its receiver is cancelled.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from potok.errors import PotokError
from potok.kernel.current import carrier, current, current_awaiting
from potok.kernel.guard import Guard
from potok.kernel.parking import (
    Elapsed,
    abandon,
    aperform,
    attend,
    await_woken,
    check_timeout,
    masked,
    perform,
    wait,
)
from potok.kernel.task import ASYNC, Task
from potok.machines.condition import ConditionMachine
from potok.primitives.locks import Lock, Mutex, RLock

__all__ = ["Condition"]

T = TypeVar("T")


class Condition:
    """Tasks wait, with a lock given up, until another that holds it notifies them.

    Args:
        lock: a potok.Lock or potok.RLock, to share it with other conditions; None makes an RLock.

    An Event is simpler where what is waited for happens once; a channel where there is something to hand over.
    """

    __slots__ = ("__weakref__", "_lock", "_machine")

    def __init__(self, lock: Lock | RLock | None = None) -> None:
        if lock is not None and not isinstance(lock, Mutex):
            raise TypeError(f"lock must be a potok.Lock or a potok.RLock, not {lock!r}")
        self._lock = RLock() if lock is None else lock
        self._machine = ConditionMachine()
        self._machine.guard = Guard(carrier())

    # ── the lock ────────────────────────────────────────────────────────────────────────────────────────────

    def acquire(self, blocking: bool = True, timeout: float | None = -1) -> bool:
        """Acquire the lock, as `Lock.acquire`."""
        return self._lock.acquire(blocking, timeout)

    async def aacquire(self, blocking: bool = True, timeout: float | None = -1) -> bool:
        """The awaitable spelling of `acquire`."""
        return await self._lock.aacquire(blocking, timeout)

    def release(self) -> None:
        """Release the lock, as `Lock.release`."""
        self._lock.release()

    def recover(self) -> bool:
        """Free the lock if its holder's worker has died, as `Lock.recover`."""
        return self._lock.recover()

    def locked(self) -> bool:
        """Whether somebody holds the lock."""
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self._lock.acquire()

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()

    async def __aenter__(self) -> bool:
        return await self._lock.aacquire()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()

    # ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────

    def wait(self, timeout: float | None = None) -> bool:
        """Give up the lock, wait to be notified, take the lock again. A park point.

        The lock is held again, as often as before, whatever this returns or raises: neither time nor cancellation
        stops it from being taken. (Only where Ctrl-C, or another signal's handler, raises just as it is taken does
        this raise without the lock.) What was waited for may have passed by then, and though it is rare,
        this may return with nobody having notified: check in a loop, as `wait_for` does.

        Returns: True; False if `timeout` seconds passed first.
        Raises: RuntimeError, with nothing changed, if the lock is not held; Cancelled; BlockingCallError in an
            `async def` task.
        """
        return self._wait(current(), self._lock._owner(), timeout)

    def _wait(self, task: Task[Any], owner: Task[Any], timeout: float | None) -> bool:
        deadline = self._prepare(task, owner, timeout, "wait")
        lock = self._lock._machine
        before, holder, depth = task.waiter, lock.holder, lock.depth
        given_up = notified = False
        try:
            self._stand_and_give_up(task, owner)
            given_up = True
            wait(task, deadline)
            notified = True
        except Elapsed:
            pass
        except BaseException as error:
            abandon(task, before, deadline, error)
            notified = True  # that came first
        finally:
            if given_up or lock.holder is not holder:
                self._retake(task, owner, depth, notified)
        return notified

    def _retake(self, task: Task[Any], owner: Task[Any], depth: int, notified: bool) -> None:
        """Take the lock again, shielded. An interruption is held back until we have it."""
        held_back: BaseException | None = None
        machine = self._lock._machine
        with masked(task):
            while True:
                try:
                    perform(machine, machine.restore, owner, depth, call="wait")
                    break
                except BaseException as error:
                    if not _can_wait(error, held_back):
                        raise
                    held_back = error
                    if machine.holder is owner:  # it came as we had the lock already
                        break
        self._raise_held_back(task, held_back, notified)

    async def await_(self, timeout: float | None = None) -> bool:
        """The awaitable spelling of `wait`."""
        task = current_awaiting()
        deadline = self._prepare(task, task, timeout, "")
        lock = self._lock._machine
        before, holder, depth = task.waiter, lock.holder, lock.depth
        given_up = notified = False
        try:
            self._stand_and_give_up(task, task)
            given_up = True
            await await_woken(task, deadline)
            notified = True
        except Elapsed:
            pass
        except BaseException as error:
            abandon(task, before, deadline, error)
            notified = True  # that came first
        finally:
            if given_up or lock.holder is not holder:
                await self._aretake(task, depth, notified)
        return notified

    async def _aretake(self, task: Task[Any], depth: int, notified: bool) -> None:
        held_back: BaseException | None = None
        machine = self._lock._machine
        with masked(task):
            while True:
                try:
                    await aperform(machine, machine.restore, task, depth)
                    break
                except BaseException as error:
                    if not _can_wait(error, held_back):
                        raise
                    held_back = error
                    if machine.holder is task:
                        break
        self._raise_held_back(task, held_back, notified)

    def _prepare(self, task: Task[Any], owner: Task[Any], timeout: float | None, call: str) -> float | None:
        """Look at everything that can be wrong while nothing has changed yet; the deadline."""
        check_timeout(timeout)
        if task.trap and (call or task.trap > ASYNC):
            attend(task, call and "wait()", "await_()")
        self._refuse_stranger(owner, "wait")
        return None if timeout is None else task.kernel.now() + timeout

    def _stand_and_give_up(self, task: Task[Any], owner: Task[Any]) -> None:
        """Queue the task, then give up the lock."""
        machine, lock = self._machine, self._lock._machine
        machine.guard.run(task.carrier, machine.wait, task)
        lock.guard.run(task.carrier, lock.give_up, owner)

    def _raise_held_back(self, task: Task[Any], error: BaseException | None, notified: bool) -> None:
        """With the lock held: raise what interrupted us. The notification that we had is another's then."""
        if error is not None:
            if notified:
                self._machine.guard.post(task.carrier, self._machine.notify, 1)
            raise error

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Wait until `predicate()`, called with the lock held, is true. A park point, if it is not true at once.

        Returns: what the predicate returned last; that is false only if `timeout` seconds have passed.
        Raises: as `wait`, and what the predicate raises.
        """
        task, owner = current(), self._lock._owner()
        deadline = None
        while not (got := predicate()):
            if deadline is None and timeout is not None:
                check_timeout(timeout)
                deadline = task.kernel.now() + timeout
            rest = None if deadline is None else deadline - task.kernel.now()
            if rest is not None and rest <= 0:
                break
            self._wait(task, owner, rest)
        return got

    async def await_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """The awaitable spelling of `wait_for`. The predicate is a plain function."""
        task = current_awaiting()
        deadline = None
        while not (got := predicate()):
            if deadline is None and timeout is not None:
                check_timeout(timeout)
                deadline = task.kernel.now() + timeout
            rest = None if deadline is None else deadline - task.kernel.now()
            if rest is not None and rest <= 0:
                break
            await self.await_(rest)
        return got

    # ── notifying ───────────────────────────────────────────────────────────────────────────────────────────

    def notify(self, n: int = 1) -> None:
        """Wake the first `n` of those who wait; they go on one by one, as they get the lock. Never waits.

        Raises: RuntimeError if the lock is not held; ValueError for a negative `n`.
        """
        if n < 0:
            raise ValueError(f"n must be >= 0, not {n}; notify_all() wakes everyone")
        self._notify(n)

    def notify_all(self) -> None:
        """Wake all who wait. Never waits. Raises RuntimeError if the lock is not held."""
        self._notify(None)

    def _notify(self, n: int | None) -> None:
        self._refuse_stranger(self._lock._owner(), "notify")
        self._machine.guard.post(carrier(), self._machine.notify, n)

    def _refuse_stranger(self, owner: Task[Any], call: str) -> None:
        if not self._lock._machine.held_by(owner):
            raise RuntimeError(
                f"{call}: task {owner.name} does not hold the lock of this Condition; "
                f"call {call} inside `with condition:` (in a coroutine, `async with condition:`)"
            )

    def __repr__(self) -> str:
        return f"<potok.Condition({self._lock!r}, {len(self._machine.waiters)} waiting)>"


def _can_wait(error: BaseException, held_back: BaseException | None) -> bool:
    """Whether an interruption can be held back until the lock is taken again.

    asyncio's cancellations always; another once, so that Ctrl-C ends a program which never gets its lock back; not
    the end of a coroutine, nor what potok itself has against waiting here.
    """
    if type(error).__name__ == "CancelledError":
        return True
    return held_back is None and not isinstance(error, GeneratorExit | PotokError)
