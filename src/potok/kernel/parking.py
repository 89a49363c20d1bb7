"""How an operation parks, and all the ways it comes back. Every blocking primitive goes through here.

    look at the trap ─▶ run the machine's operation ─▶ done
                                   │ PARKED
                                   ▼
                      kernel.park ─▶ woken with value ─▶ done
                                   ├ woken with error ─▶ raise
                                   ├ TIMED_OUT ────────▶ a scope's deadline? cancel it; else TimeoutError
                                   └ INTERRUPTED ──────▶ cancelled? raise Cancelled; else try again

The hand-shake with a canceller: it records the reason, sets `trap`, then looks for `waiter`; we queue the waiter,
then look at `trap`. So one of the two sees the other, and the machine decides between the cancellation and a
hand-over that came first: `revoke` wins only if nobody claimed the waiter. An item is never lost between two tasks.

A waiter that was handed something is in no queue any more. With a GIL the task keeps it for its next park (that is a
tenth of a communication), unless a timer or a canceller may still know it: then a deadline or the trap is set.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, NoReturn

from potok.errors import BlockingCallError, Cancelled, ClosedError, DeadlockError, WouldBlock
from potok.kernel import events
from potok.kernel.build import FREE_THREADED, fence
from potok.kernel.carrier import Carrier
from potok.kernel.current import current, current_awaiting
from potok.kernel.task import ASYNC, ATTEND, DUE, PREEMPT, YIELDS, Task
from potok.machines.waiting import AGAIN, PARKED, Machine, Waiter

__all__ = [
    "ABANDONED",
    "INTERRUPTED",
    "RECALLED",
    "RETRY",
    "TIMED_OUT",
    "Elapsed",
    "abandon",
    "aperform",
    "attend",
    "await_woken",
    "check_timeout",
    "masked",
    "perform",
    "raise_if_cancelled",
    "raise_once",
    "revoke",
    "take_own",
    "take_pending",
    "unlucky",
    "wait",
]


class _Mark:
    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


TIMED_OUT: Final = _Mark("TIMED_OUT")
INTERRUPTED: Final = _Mark("INTERRUPTED")  # by a canceller
ABANDONED: Final = _Mark("ABANDONED")  # by its own task
RECALLED: Final = _Mark(
    "RECALLED"
)  # from another address space, for whatever reason: nothing has happened there
RETRY: Final = _Mark("RETRY")

reuse = (
    not FREE_THREADED
)  # waiters; `potok.testing` tells a parked task by its waiter and turns this off for a look


class Elapsed(TimeoutError):  # noqa: N818 - users see it under another name
    """The time given to an operation is over. Users see a TimeoutError; we can tell it from a signal handler's."""

    def __reduce__(self) -> Any:
        return TimeoutError, self.args


Elapsed.__module__, Elapsed.__name__, Elapsed.__qualname__ = "builtins", "TimeoutError", "TimeoutError"


def revoke(me: Carrier, waiter: Waiter, why: Any) -> None:
    """Take the waiter back and wake it with `why`, unless a hand-over has won. Safe from anywhere."""
    machine = waiter.machine
    machine.guard.post(me, _revoke, machine, waiter, why)


def _revoke(machine: Machine, waiter: Waiter, why: Any) -> None:
    if waiter.machine is machine and machine.withdraw(waiter):
        waiter.error = why
        waiter.wake()


def take_own(task: Task[Any], waiter: Waiter, why: Any) -> bool:
    """Take the task's own waiter back, in its own thread: no wake follows. False: a hand-over or canceller has won."""
    machine = waiter.machine
    while True:
        try:
            return machine.guard.run(task.carrier, _take_own, machine, waiter, why)  # type: ignore[no-any-return]
        except WouldBlock:  # in a finalizer inside another machine, and another thread is just in this one
            time.sleep(0)


def _take_own(machine: Machine, waiter: Waiter, why: Any) -> bool:
    if waiter.claimed:
        return False
    if machine.away:
        if machine.is_untold(waiter):  # type: ignore[attr-defined]
            waiter.error = why
            return True
        return machine.withdraw(waiter)  # its answer tells, and may be there before this returns
    waiter.error = why  # first: where a signal handler raises in between, this tells whose claim it was
    if machine.withdraw(waiter):
        return True
    waiter.error = None
    return False


def check_timeout(timeout: float | None) -> None:
    """Raise for what can't be a number of seconds to wait."""
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"timeout must be None or a number of seconds >= 0, not {timeout!r}")


def attend(task: Task[Any], call: str = "", instead: str = "") -> None:
    """The slow path at the head of an operation: everything a set trap may stand for.

    `call` is the blocking spelling that was used, if it was one, and `instead` the awaitable one.
    """
    base = task.base_trap
    if call and base & ASYNC:
        raise BlockingCallError(
            f"{call} would block the loop that runs the async def task {task.name}; write `await {instead}` there"
        )
    told = task.trap == ATTEND or FREE_THREADED  # without a GIL, one set in between would go unseen
    task.trap = base
    if task.pending is not None:
        task.trap = ATTEND  # there may be a cancellation, too
        raise_once(take_pending(task))
    if not task.masked:
        if base & YIELDS:
            _check_generators(task)
        if base & DUE:
            _check_deadline(task)
            told = told or task.trap == ATTEND
        if told:
            raise_if_cancelled(task)
    if base & PREEMPT:
        task.kernel.pause(task)
        if task.trap == ATTEND and not task.masked:
            raise_if_cancelled(task)


def raise_if_cancelled(task: Task[Any]) -> None:
    """Raise Cancelled, with the reason, if the task or a scope around it was cancelled and no shield is between."""
    from potok.kernel.cancelling import effective

    reason = effective(task)
    if reason is not None:
        task.trap = ATTEND
        if events.sinks:
            events.emit("Cancelled", task, None, reason[0])
        raise Cancelled(reason[0])


def _check_deadline(task: Task[Any]) -> None:
    if task.deadline is not None and task.kernel.now() >= task.deadline:
        from potok.kernel.cancelling import expire

        expire(task)


def _check_generators(task: Task[Any]) -> None:
    from potok.kernel.scoping import check_generators

    check_generators(task)


def deadline_after(task: Task[Any], timeout: float | None) -> float | None:
    """The absolute time `timeout` seconds from now on the task's clock."""
    return None if timeout is None else task.kernel.now() + timeout


def wait(task: Task[Any], deadline: float | None) -> Any:
    """Park the current task, whose waiter stands in a machine; its outcome, or RETRY after a false alarm.

    Raises: what the machine answered with; Cancelled; TimeoutError. In the last two cases nothing was handed over.
    """
    waiter = task.waiter
    due = deadline
    try:
        withdrawn = (task.trap == ATTEND or FREE_THREADED) and _recheck(task, waiter)
        if task.deadline is not None and not task.masked:
            due = task.deadline if due is None else min(due, task.deadline)
        if due is not None:
            waiter.due = due
        if events.sinks:
            events.emit("Parked", task, waiter)
        if not withdrawn:
            task.kernel.park(task, waiter, due)
    except BaseException as error:
        _take_back(task, waiter, error)
    task.waiter = None
    if events.sinks:
        events.emit("Woken", task, waiter)
    if waiter.error is not None:
        return unlucky(task, waiter, deadline)
    got, waiter.value = waiter.value, None
    if reuse and due is None and task.trap != ATTEND:
        waiter.item = waiter.end = None  # a stand-in for an end elsewhere is let go when nobody has it
        task.spare = waiter
    elif isinstance(task.pending, DeadlockError):  # it was told so late that a peer had gone on meanwhile
        task.pending = None
    return got


def abandon(task: Task[Any], before: Waiter | None, deadline: float | None, error: BaseException) -> Any:
    """An exception has come after the task's operation began and before it was waiting: raise it, but leave no waiter.

    A signal handler may raise anywhere. Where a hand-over has won, its outcome is returned (or raised) instead, and
    the exception comes at the next park point. `before` is the task's waiter as the operation began: not None where
    the operation is itself a signal handler's, in the middle of another.
    """
    try:
        waiter = task.waiter
        if waiter is before or waiter is None:
            raise error
        _take_back(task, waiter, error)
        task.waiter = None
        return waiter.value if waiter.error is None else unlucky(task, waiter, deadline)
    finally:
        del error  # its traceback refers to this frame


def _take_back(task: Task[Any], waiter: Waiter, error: BaseException) -> None:
    """An exception came in place of the wake: raise it, unless a hand-over has won, then at the next park point."""
    try:
        if not take_own(task, waiter, ABANDONED) and waiter.error is not ABANDONED:
            while (
                not waiter.woken and waiter.error is not TIMED_OUT
            ):  # by another thread; timing out is our own's
                time.sleep(0)
            waiter.settle()
        if waiter.error in (ABANDONED, INTERRUPTED, TIMED_OUT, RECALLED):
            task.waiter = None
            raise error
        if task.pending is None:
            task.pending = error
        task.trap = ATTEND
    finally:
        del error


def _recheck(task: Task[Any], waiter: Waiter) -> bool:
    """Our half of the hand-shake: a canceller that came before the waiter was visible has set the trap.

    True: the waiter is taken back, to look again. Not from another address space on a false alarm: what is called
    back there may have begun.
    """
    fence()
    if task.trap != ATTEND or task.masked or (waiter.machine.away and not _has_reason(task)):
        return False
    return take_own(task, waiter, ABANDONED)


def _has_reason(task: Task[Any]) -> bool:
    """Whether what set the trap ends the wait."""
    from potok.kernel.cancelling import effective

    return task.pending is not None or effective(task) is not None


def unlucky(task: Task[Any], waiter: Waiter, deadline: float | None) -> Any:
    """Woken with an error: raise it, or find out that there was none."""
    error = waiter.error
    if isinstance(task.pending, DeadlockError):  # and its peers have failed with it since
        raise_once(take_pending(task))
    if error is AGAIN:
        return RETRY
    if error is INTERRUPTED or error is ABANDONED or error is RECALLED:
        if task.pending is not None:
            raise_once(take_pending(task))
        task.trap = task.base_trap
        raise_if_cancelled(task)
        if error is not RECALLED:
            return RETRY
    if error is TIMED_OUT or error is RECALLED:
        if not task.masked:
            _check_deadline(task)
            raise_if_cancelled(task)
        if deadline is not None and task.kernel.now() >= deadline:
            raise Elapsed(f"{waiter.op} on {waiter.machine.describe()} timed out in task {task.name}")
        return RETRY
    if isinstance(error, ClosedError) and isinstance(error.cause, Cancelled):
        raise_if_cancelled(task)  # a neighbour was told first, and its ends have closed
    waiter.error = None
    try:
        raise error
    finally:
        del error  # as in `raise_once`


def take_pending(task: Task[Any]) -> Any:
    """What came with a hand-over, and is raised now."""
    pending, task.pending = task.pending, None
    return pending


def raise_once(error: BaseException) -> NoReturn:
    """Raise it, and keep nothing of it: its traceback refers to frames, and so to all that the callers know.

    Where one of these frames still knew the error, all that would live until the garbage collector comes by.
    """
    try:
        raise error
    finally:
        del error


def perform(
    machine: Machine, op: Callable[..., Any], *args: Any, timeout: float | None = None, call: str
) -> Any:
    """Run a machine's operation in the current task, waiting for it if need be. `call` names the public spelling."""
    task = current()
    if timeout is not None:
        check_timeout(timeout)
    if task.trap:
        attend(task, f"{call}()", "await_()" if call == "wait" else f"a{call}()")  # `await` is a keyword
    deadline = None if timeout is None else task.kernel.now() + timeout
    before = task.waiter
    while True:
        try:
            got = machine.guard.run(task.carrier, op, task, *args)
            if got is PARKED:
                got = wait(task, deadline)
        except BaseException as error:
            got = abandon(task, before, deadline, error)
        if got is not RETRY:
            return got


async def aperform(machine: Machine, op: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
    """The awaitable spelling of `perform`."""
    task = current_awaiting()
    if timeout is not None:
        check_timeout(timeout)
    if task.trap > ASYNC:
        attend(task)
    deadline = None if timeout is None else task.kernel.now() + timeout
    before = task.waiter
    while True:
        try:
            got = machine.guard.run(task.carrier, op, task, *args)
            if got is PARKED:
                got = await await_woken(task, deadline)
        except BaseException as error:
            got = abandon(task, before, deadline, error)
        if got is not RETRY:
            return got


async def await_woken(task: Task[Any], deadline: float | None) -> Any:
    """As `wait`, for a coroutine: one that potok drives parks right here, one of a foreign loop awaits a future."""
    if not task.driven:
        from potok.kernel.adopting import await_future

        return await await_future(task, deadline)
    face = task.face
    if face is None:
        return wait(task, deadline)
    face.leave()
    try:
        return wait(task, deadline)
    finally:
        face.enter()


class masked:  # noqa: N801 - a context manager
    """Let neither cancellation nor deadline into the park points of this block (`Condition.wait`'s re-acquire)."""

    __slots__ = ("task",)

    def __init__(self, task: Task[Any]) -> None:
        self.task = task

    def __enter__(self) -> None:
        self.task.masked += 1

    def __exit__(self, *_: object) -> None:
        self.task.masked -= 1
        if not self.task.masked:
            self.task.trap = ATTEND


def closed_with_arm(error: ClosedError, arm: Any) -> ClosedError:
    """The same error, naming the arm of a select that met it."""
    error.arm = arm
    return error
