"""Semaphores, Event and Barrier: `threading`'s, between tasks of any executor, in `def` and `async def`.

Where `threading` says `wait`, the awaitable spelling is `await_`, for `await` is a keyword; `await event` does, too.
A wait that raises, or returns False, has taken no permit.
Source: the `threading` module; we deviate in that permits are handed over in order, and that a cancelled wait breaks
a Barrier (`java.util.concurrent.CyclicBarrier`: all or none), for the party that has left won't come back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any

from potok.errors import BrokenBarrierError, PotokError, WouldBlock
from potok.kernel.colour import is_async
from potok.kernel.current import carrier
from potok.kernel.guard import Guard
from potok.kernel.parking import Elapsed, aperform, check_timeout, perform
from potok.machines.barrier import BarrierMachine, Trip
from potok.machines.event import EventMachine
from potok.machines.semaphore import SemaphoreMachine
from potok.machines.waiting import PARKED, Arm

__all__ = ["Barrier", "BoundedSemaphore", "Event", "Semaphore"]


def _is_number(value: object, least: int) -> bool:
    return isinstance(value, int) and value >= least


def _is_plain(action: Any) -> bool:
    return callable(action) and not is_async(action)


class Semaphore:
    """A number of permits: `acquire` takes one, `release` gives one, or several, back or new.

    Args:
        value: how many there are at first.

    As an arm of `select` a permit is taken if the select returns that arm.
    """

    __slots__ = ("__weakref__", "_machine")

    def __init__(self, value: int = 1) -> None:
        if not _is_number(value, 0):
            raise ValueError(f"value must be an int >= 0, not {value!r}")
        self._machine = SemaphoreMachine(value, self._bound(value))
        self._machine.guard = Guard(carrier())

    def _bound(self, value: int) -> int | None:
        return None

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a permit, waiting for one. A park point, unless `blocking` is false.

        Returns: True; False if that would take waiting (`blocking=False`), or took longer than `timeout` seconds.
        Raises: ValueError for a negative timeout, or one with `blocking=False`; BlockingCallError in an `async def`
            task; Cancelled. No permit was taken then.
        """
        machine = self._machine
        if not blocking:
            return self._try(timeout)
        try:
            perform(machine, machine.acquire, timeout=timeout, call="acquire")
        except Elapsed:
            return False
        return True

    async def aacquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """The awaitable spelling of `acquire`."""
        machine = self._machine
        if not blocking:
            return self._try(timeout)
        try:
            await aperform(machine, machine.acquire, timeout=timeout)
        except Elapsed:
            return False
        return True

    def _try(self, timeout: float | None) -> bool:
        if timeout is not None:
            raise ValueError(
                f"timeout can't be given with blocking=False, which never waits; it is {timeout!r}"
            )
        machine = self._machine
        try:
            return machine.guard.run(carrier(), machine.acquire, None) is not PARKED
        except (
            WouldBlock
        ):  # in a signal handler or finalizer that interrupted an operation on this very semaphore
            return False

    def release(self, n: int = 1) -> None:
        """Give `n` permits; those who wait get them first. Never waits; safe from anywhere.

        Raises: ValueError, with none given, if `n` < 1, or if a BoundedSemaphore would have more than at first.
        """
        if not _is_number(n, 1):
            raise ValueError(f"n must be an int >= 1, not {n!r}")
        self._machine.guard.post(carrier(), self._machine.release, n)

    def __enter__(self) -> bool:
        machine = self._machine
        return perform(machine, machine.enter, call="acquire")  # type: ignore[no-any-return]

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        machine = self._machine
        machine.guard.post(carrier(), machine.leave)

    async def __aenter__(self) -> bool:
        machine = self._machine
        return await aperform(machine, machine.enter)  # type: ignore[no-any-return]

    async def __aexit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        machine = self._machine
        machine.guard.post(carrier(), machine.leave)

    def _as_arm(self, arm: Arm) -> None:
        arm.op, arm.machine = "acquire", self._machine

    def __repr__(self) -> str:
        machine = self._machine
        of = "" if machine.bound is None else f"/{machine.bound}"
        return f"<potok.{type(self).__name__} at {id(self):#x}: value={machine.value}{of}>"


class BoundedSemaphore(Semaphore):
    """A semaphore that never has more permits than at first: a `release` too many raises ValueError, and gives none."""

    __slots__ = ()

    def _bound(self, value: int) -> int | None:
        return value


class Event:
    """A flag that any number of tasks wait for, and that any may `set` and `clear`.

    As an arm of `select` it is ready while it is set; the value is True.
    """

    __slots__ = ("__weakref__", "_machine")

    def __init__(self) -> None:
        self._machine = EventMachine()
        self._machine.guard = Guard(carrier())

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._machine.up

    def set(self) -> None:
        """Set it, and wake all who wait. Idempotent; never waits; safe from anywhere."""
        self._machine.guard.post(carrier(), self._machine.set)

    def clear(self) -> None:
        """Unset it. Whoever was waiting when it was set returns all the same. Never waits; safe from anywhere."""
        self._machine.guard.post(carrier(), self._machine.clear)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set. A park point, also when it is set already.

        Returns: True; False if `timeout` seconds passed first.
        Raises: ValueError for a negative timeout; BlockingCallError in an `async def` task; Cancelled.
        """
        machine = self._machine
        try:
            perform(machine, machine.wait, timeout=timeout, call="wait")
        except Elapsed:
            return False
        return True

    async def await_(self, timeout: float | None = None) -> bool:
        """The awaitable spelling of `wait`; without a time-out, `await event` is the same."""
        machine = self._machine
        try:
            await aperform(machine, machine.wait, timeout=timeout)
        except Elapsed:
            return False
        return True

    def __await__(self) -> Generator[Any, Any, bool]:
        return self.await_().__await__()

    def _as_arm(self, arm: Arm) -> None:
        arm.op, arm.machine = "wait", self._machine

    def __repr__(self) -> str:
        return f"<potok.Event at {id(self):#x}: {'set' if self.is_set() else 'unset'}>"


class Barrier:
    """Tasks wait for each other: none goes on until `parties` have come. Then it is there for the next round.

    Args:
        parties: how many, >= 1.
        action: a plain function, called in each round by the task that came last, before any goes on; outside of
            any lock of potok's. If it raises, so does that task's wait, and the barrier breaks.
        timeout: seconds that a wait takes at most, if it is given none itself.
    """

    __slots__ = ("__weakref__", "_action", "_machine", "_timeout")

    def __init__(
        self, parties: int, action: Callable[[], object] | None = None, timeout: float | None = None
    ) -> None:
        if not _is_number(parties, 1):
            raise ValueError(f"parties must be an int >= 1, not {parties!r}")
        if action is not None and not _is_plain(action):
            raise TypeError(f"action must be a plain function without arguments, not {action!r}")
        check_timeout(timeout)
        self._action = action
        self._timeout = timeout
        self._machine = BarrierMachine(parties, acts=action is not None)
        self._machine.guard = Guard(carrier())

    def wait(self, timeout: float | None = None) -> int:
        """Wait until all parties have come. A park point.

        Returns: this task's number, 0 to parties - 1, in the order they came: another for each.
        Raises: BrokenBarrierError if the barrier is, or gets, broken: by `abort`, by a wait that took longer than
            `timeout` seconds, was cancelled or interrupted, or by an action that raised (that one raises its own
            error); or if it is reset meanwhile. ValueError, BlockingCallError: nothing was changed.
        """
        if timeout is None:
            timeout = self._timeout
        check_timeout(timeout)
        machine = self._machine
        try:
            got = perform(machine, machine.arrive, timeout=timeout, call="wait")
        except BaseException as error:
            self._failed(error, timeout)
            raise
        return self._pass(got)

    async def await_(self, timeout: float | None = None) -> int:
        """The awaitable spelling of `wait`."""
        if timeout is None:
            timeout = self._timeout
        check_timeout(timeout)
        machine = self._machine
        try:
            got = await aperform(machine, machine.arrive, timeout=timeout)
        except BaseException as error:
            self._failed(error, timeout)
            raise
        return self._pass(got)

    def _failed(self, error: BaseException, timeout: float | None) -> None:
        """This party won't come, so the others wait in vain. Not if it was the call that was wrong."""
        if isinstance(error, BrokenBarrierError | PotokError):
            return
        self.abort()
        if isinstance(error, TimeoutError) and timeout is not None:
            raise BrokenBarrierError(
                f"the other parties of this Barrier did not come within {timeout} s"
            ) from None

    def _pass(self, got: int | Trip) -> int:
        """The number; first, if this task completed the round, the action."""
        if not isinstance(got, Trip):
            return got
        machine, action = self._machine, self._action
        try:
            if action is not None:
                action()
        except BaseException:
            self.abort()
            raise
        return machine.guard.run(carrier(), machine.acted, got)  # type: ignore[no-any-return]

    def reset(self) -> None:
        """Make it as new, broken or not; those who wait get BrokenBarrierError. Never waits; safe from anywhere."""
        self._machine.guard.post(carrier(), self._machine.reset)

    def abort(self) -> None:
        """Break it: those who wait, and who come until it is reset, get BrokenBarrierError. Safe from anywhere."""
        self._machine.guard.post(carrier(), self._machine.abort)

    @property
    def parties(self) -> int:
        """How many it takes."""
        return self._machine.parties

    @property
    def n_waiting(self) -> int:
        """How many wait now."""
        return len(self._machine.waiters)

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return self._machine.broken

    def __repr__(self) -> str:
        state = "broken" if self.broken else f"waiters={self.n_waiting}/{self.parties}"
        return f"<potok.Barrier at {id(self):#x}: {state}>"
