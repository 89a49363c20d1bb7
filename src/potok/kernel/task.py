"""The task: one call of a function, its place in the tree of scopes, and its outcome.

Traps. Whatever the next operation of a task has to look at first is one truth value, `trap`, so that the common
case costs one test. A task writes `trap` from its own `base_trap`; anybody else writes only the constant `ATTEND`
("look at everything"), and does so after it has recorded what there is to see. See `potok.kernel.parking.attend`.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

from potok.errors import Cancelled, RemoteError, TaskCancelled
from potok.kernel.build import FREE_THREADED
from potok.links.packing import opened
from potok.machines.scope import Member

__all__ = ["ASYNC", "ATTEND", "DUE", "PREEMPT", "YIELDS", "Task", "count_from"]

T = TypeVar("T")

ASYNC = 1  # an async def task: blocking spellings are refused
DUE = 2  # a deadline is set: look at the clock
PREEMPT = 4  # the kernel wants to choose before every operation
YIELDS = 8  # a scope was opened in a generator: look whether it still runs
ATTEND = 31  # somebody else asks for attention

_ids = itertools.count(1)
_numbers: dict[str, itertools.count[int]] = {}
_numbering = threading.Lock()


def count_from(first: int) -> None:
    """Let the ids of tasks begin there: they tell tasks of all processes apart."""
    global _ids
    _ids = itertools.count(first)


def _next_number(name: str) -> int:
    numbers = _numbers.get(name)
    if numbers is None or FREE_THREADED:
        with _numbering:
            return next(_numbers.setdefault(name, itertools.count(1)))
    return next(numbers)


def name_of(fn: Callable[..., Any]) -> str:
    """What people call this function."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return getattr(fn, "__name__", None) or type(fn).__name__


class Task(Member, Generic[T]):
    """A running, or finished, call. Made by `scope.start` and `potok.start`; never by users.

    The blocking members are park points; `await task` is the awaitable spelling of `result()`.
    """

    __slots__ = (
        "__weakref__",
        "_label",
        "args",
        "asked",
        "base_trap",
        "carrier",
        "carry",
        "context",
        "deadline",
        "driven",
        "ends",
        "error",
        "executor",
        "face",
        "fn",
        "foreign_told",
        "greenlet",
        "home",
        "id",
        "isolate",
        "kernel",
        "masked",
        "number",
        "origin",
        "parker",
        "pending",
        "reason",
        "scope",
        "spare",
        "spec",
        "started",
        "told",
        "trap",
        "value",
        "waiter",
        "waiter_type",
    )

    kernel: Any  # what carries it
    carrier: Any  # the OS thread it runs in
    waiter_type: Any  # how its kernel waits
    parker: Any  # on threads: the lock it parks on
    greenlet: Any  # on hubs: the greenlet it runs in
    executor: str  # its executor's name

    def __init__(
        self, fn: Callable[..., Any], args: tuple[Any, ...], home: Any, name: str | None = None
    ) -> None:
        self.fn = fn
        self.args = args
        self.home = home  # the scope it was started in
        self.scope = home  # the innermost one it is in
        self.id = next(_ids)
        self._label = name
        self.number = 0 if name is not None else _next_number(name_of(fn))
        self.finished = False
        self.joiners = None
        self.value: Any = None
        self.error: BaseException | None = None
        self.reason: Any = None  # 1-tuple, once this very task was cancelled
        self.asked = False  # somebody read the outcome
        self.trap = self.base_trap = 0
        self.masked = 0  # > 0: neither cancellation nor deadline gets in
        self.pending: BaseException | None = None  # an interrupt that came with a hand-over: raised next time
        self.deadline: float | None = home.deadline if home is not None else None
        self.waiter: Any = None  # while it is parked in potok
        self.spare: Any = None  # the waiter of an earlier time, to be used again
        self.context: Any = None
        self.carry: Any = ()  # the variables of it that go along to another address space
        self.ends: Any = None  # channel ends handed over to it
        self.spec: Any = None  # the executor it was started on
        self.isolate = False
        self.driven = False  # its coroutine is stepped by potok inside a greenlet
        self.face: Any = None  # how asyncio sees it
        self.foreign_told = False  # a cancellation was delivered at a foreign await
        self.told = 0  # cancellations that potok asked of asyncio for it, and has not taken back
        self.started = False
        self.origin: Any = None  # the code that started it, and where in it
        self.kernel = None  # until it is given to one
        self.executor = ""
        self.greenlet = None
        if self.deadline is not None:
            self.trap = self.base_trap = DUE

    # ── what users see ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def name(self) -> str:
        """Unique by default: the function's name and a number."""
        if self._label is None:
            self._label = f"{name_of(self.fn)}-{self.number}"
        return self._label

    @property
    def pid(self) -> int:
        """The process it runs in."""
        pid_of = getattr(self.kernel, "pid_of", None)
        return os.getpid() if pid_of is None else pid_of(self)

    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.finished

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; False if `timeout` seconds passed first. Never raises its error. A park point."""
        from potok.kernel.joining import join

        return join(self, timeout)

    def result(self, timeout: float | None = None) -> T:
        """What it returned. A park point.

        Raises: its own exception; TaskCancelled if it was cancelled; TimeoutError if it is still running.
        """
        from potok.kernel.joining import join

        self.asked = True
        if not self.finished and not join(self, timeout):
            raise TimeoutError(f"task {self.name} is still running after {timeout} s")
        return self.outcome()

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The exception it ended with (TaskCancelled if it was cancelled), or None. A park point."""
        try:
            self.result(timeout)
        except BaseException as error:
            if self.finished and (error is self.error or isinstance(error, TaskCancelled)):
                return error
            raise
        return None

    def outcome(self) -> T:
        """Return or raise what it ended with. Only for a finished task.

        A result from another address space is opened here, by who asks for it first: that may run the user's code. If
        it can't be opened, the task has failed.
        """
        error = self.error
        if error is None:
            value = self.value
            try:
                value = self.value = opened(value)
                return value  # type: ignore[no-any-return]
            except RemoteError as failure:
                from potok.kernel.finishing import fail_late

                fail_late(self, value, failure)
            return self.outcome()  # another thread may have opened it meanwhile
        if isinstance(error, Cancelled):
            told = f": {error.reason}" if error.reason != "" else ""
            raise TaskCancelled(f"task {self.name} was cancelled{told}", reason=error.reason) from error
        raise error

    def cancel(self, reason: object = "") -> None:
        """Ask it to stop: its next park point, and every further one, raises `Cancelled`. Safe from anywhere."""
        from potok.kernel.cancelling import cancel_task

        cancel_task(self, reason)

    def __await__(self) -> Generator[Any, Any, T]:
        from potok.kernel.joining import ajoin

        self.asked = True
        yield from ajoin(self).__await__()
        return self.outcome()

    def __repr__(self) -> str:
        return f"<Task {self.name} on {self.executor}, {self.state()}>"

    def state(self) -> str:
        """In a word or two, for reports."""
        if self.finished:
            if self.error is None:
                return "done"
            return "cancelled" if isinstance(self.error, Cancelled) else "failed"
        if not self.started:
            return "not started"
        waiter = self.waiter
        return f"waiting: {waiter.op} on {waiter.machine.describe()}" if waiter is not None else "running"

    # ── how hubs see it: an entry of the run queue ──────────────────────────────────────────────────────────

    def switch(self) -> None:
        """Run, or go on; returns when the caller is resumed."""
        self.kernel.launch(self)
