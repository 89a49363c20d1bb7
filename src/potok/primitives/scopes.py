"""Structured scopes: no task outlives the block it was started in, and no failure is lost.

    with potok.scope(on="threads") as s:
        t = s.start(work, 1)
    # here every task has ended; if one failed, the others were cancelled and an ExceptionGroup has left the block

A scope absorbs its own cancellation; an outer one passes through. KeyboardInterrupt, SystemExit and GeneratorExit
leave bare. Source: Smith, "Notes on structured concurrency" (2018); Trio's nurseries; PEP 654. We deviate from Trio in
that a task may be cancelled alone, and that its result is then an ordinary error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from potok.errors import Cancelled, ScopeError
from potok.kernel import interrupts
from potok.kernel.callers import called_from
from potok.kernel.cancelling import cancel_scope, echoes, effective_above
from potok.kernel.colour import in_coroutine
from potok.kernel.current import current, current_awaiting
from potok.kernel.ends import take_back_handed, wait_for_members
from potok.kernel.isolation import copied
from potok.kernel.parking import Elapsed, aperform, check_timeout, masked, perform, raise_if_cancelled
from potok.kernel.scoping import absorbs, asked_by_asyncio, enter, leave, refuse_async, take_back
from potok.kernel.seam import Executor
from potok.kernel.starting import checked_carry, prepare, withdraw_task
from potok.kernel.stuck import report_survivors
from potok.kernel.task import Task
from potok.machines.scope import ScopeMachine
from potok.primitives.executors import resolve

__all__ = ["Scope", "Shield", "Timeout", "launch", "scope", "shield", "timeout"]

BARE = (KeyboardInterrupt, SystemExit, GeneratorExit)
PATIENCE = 5.0  # seconds after which tasks that do not end though cancelled are named


def launch(
    machine: ScopeMachine,
    starter: Task[Any],
    executor: Executor,
    kernel: Any,
    fn: Callable[..., Any],
    args: tuple[Any, ...],
    name: str | None,
    carry: Iterable[ContextVar[Any]] = (),
) -> Task[Any]:
    """Make a task of the scope and start it on the kernel."""
    if carry != ():
        carry = checked_carry(carry)
    if executor.isolate:
        fn, args = copied((fn, args))
    task = prepare(fn, args, name, machine, starter)
    task.carry = carry
    task.spec, task.executor = executor, executor.name
    task.isolate = executor.isolate
    try:
        kernel.start(task)
    except BaseException as error:  # no more threads, for one
        withdraw_task(task, starter.carrier, error)
        raise
    return task


class Scope:
    """Made by `potok.scope`; entered with `with` or `async with`, once."""

    __slots__ = (
        "_asked",
        "_awaiting",
        "_collects",
        "_executor",
        "_kernel",
        "_machine",
        "_others",
        "_stopped",
        "_task",
        "_told",
    )

    def __init__(self, executor: Executor | None, collects: bool) -> None:
        self._executor: Any = executor
        self._collects = collects
        self._kernel: Any = None
        self._others: list[tuple[Executor, Any]] = []  # kernels of tasks started with `on=`
        self._machine: Any = None
        self._task: Any = None
        self._awaiting = False
        self._asked = self._told = 0  # cancellations of asyncio's that were there before the block
        self._stopped = False  # it was cancelled before the body ended

    # ── what users call ─────────────────────────────────────────────────────────────────────────────────────

    def start(
        self,
        fn: Callable[..., Any],
        *args: Any,
        on: Any = None,
        name: str | None = None,
        carry: Iterable[ContextVar[Any]] = (),
    ) -> Task[Any]:
        """Start `fn(*args)` as a task of this scope and return it at once. Not a park point.

        Args:
            fn: `def` or `async def`; keyword arguments go through functools.partial.
            args: channel ends among them are handed over: the task gets its own, closed when it ends.
            on: the executor, if not the scope's.
            name: unique by default: the function's name and a number.
            carry: context variables whose values go along to another address space; others have their defaults
                there. (Within one, all are copied.) They must be attributes of modules, to be found there.

        Raises: ScopeError if the scope has ended or was never entered; TypeError if `fn` can't be called; RemoteError
            for what can't go to another address space. Nothing was started then.
        """
        if self._machine is None:
            raise ScopeError("start: this scope was not entered yet; write `with potok.scope() as s:`")
        if self._machine.ended:
            raise ScopeError("start: this scope has ended; start tasks before its `with` block is left")
        task = self.start_for(self._starter(), fn, args, on, name, carry)
        task.origin = called_from()
        return task

    def start_for(
        self,
        starter: Task[Any],
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        on: Any,
        name: str | None,
        carry: Iterable[ContextVar[Any]] = (),
    ) -> Task[Any]:
        """`start`, in the name of this task, which may be one of another address space."""
        executor = self._executor if on is None else resolve(on)
        kernel = self._kernel if executor is self._executor else self._other_kernel(executor)
        return launch(self._machine, starter, executor, kernel, fn, args, name, carry)

    def __reduce__(self) -> Any:
        if self._machine is None:
            raise ScopeError("a scope that was not entered yet can't go to another address space")
        from potok.remote.scopes import facade_of

        return facade_of, (self._machine,)

    def cancel(self, reason: object = "") -> None:
        """Cancel the body and every task: each park point raises Cancelled(reason). Idempotent, safe from anywhere."""
        if self._machine is None:
            raise ScopeError("cancel: this scope was not entered yet")
        cancel_scope(self._machine, reason)

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled, by whomever."""
        return self._machine is not None and self._machine.reason is not None

    def __repr__(self) -> str:
        state = "not entered" if self._machine is None else self._machine.describe()
        return f"<Scope on {self._executor.name if self._executor else 'the current executor'}: {state}>"

    # ── entering ────────────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        task = current()
        refuse_async(task, "with potok.scope()", "async with potok.scope()")
        self._enter(task, awaiting=False)
        interrupts.guard_main(self._machine)
        return self

    async def __aenter__(self) -> Self:
        self._enter(current_awaiting(), awaiting=True)
        return self

    def _enter(self, task: Task[Any], awaiting: bool) -> None:
        if self._machine is not None:
            raise ScopeError("a scope is entered once; make a new one with potok.scope()")
        if self._executor is None:
            self._executor = resolve(_default_executor(task, awaiting))
        self._task, self._awaiting = task, awaiting
        self._told = task.told
        if awaiting:
            self._asked = asked_by_asyncio(task)
        self._kernel = self._executor.open(task, awaiting)
        self._machine = enter(task, "scope", 2)
        self._machine.collects = self._collects
        self._machine.facade = self

    def _starter(self) -> Task[Any]:
        task = current()
        if self._awaiting and not task.driven and task is not self._task:
            try:
                return current_awaiting()
            except RuntimeError:
                pass  # a sibling on another executor, or a callback
        return task

    def _other_kernel(self, executor: Executor) -> Any:
        for known, kernel in self._others:
            if known is executor:
                return kernel
        mine = self._starter() is self._task  # a sibling's thread can't drive what the opener has to
        opened = executor.open(self._task, self._awaiting) if mine else executor.open_root()
        self._others.append((executor, opened))
        return opened

    # ── leaving ─────────────────────────────────────────────────────────────────────────────────────────────

    def __exit__(self, kind: Any, body: BaseException | None, trace: TracebackType | None) -> bool:
        error = self._begin_leaving(current(), body)
        machine, patience = self._machine, None
        with masked(self._task):
            while True:
                try:
                    perform(machine, machine.finish, timeout=patience, call="scope's end")
                    break
                except Elapsed:
                    report_survivors(machine)
                    patience = None
                except BaseException as interruption:  # Ctrl-C where potok's handler is not in place
                    error = interruption
                    cancel_scope(machine, f"interrupted: {interruption!r}")
                    patience = PATIENCE
        return self._left(error, body)

    async def __aexit__(self, kind: Any, body: BaseException | None, trace: TracebackType | None) -> bool:
        error = self._begin_leaving(current_awaiting(), body)
        machine, patience = self._machine, None
        with masked(self._task):
            while True:
                try:
                    await aperform(machine, machine.finish, timeout=patience)
                    break
                except Elapsed:
                    report_survivors(machine)
                    patience = None
                except BaseException as interruption:  # asyncio cancels this task: so are ours
                    error = interruption
                    cancel_scope(machine, f"interrupted: {interruption!r}")
                    patience = PATIENCE
        return self._left(error, body)

    def _begin_leaving(self, task: Task[Any], error: BaseException | None) -> BaseException | None:
        """The body is done. If it failed, so do the tasks; what it had handed over closes."""
        machine = self._machine
        if task is not self._task or task.scope is not machine:
            leave(task, machine)  # raises: out of order
        if echoes(task, error):
            error = error.cause  # type: ignore[union-attr]
        wait_for_members(task, machine)
        try:
            take_back_handed(task.carrier, machine)
        except BaseException as failure:  # of a channel's `undelivered`
            error = error or failure
        self._stopped = machine.reason is not None
        if error is not None and not (self._collects and isinstance(error, Exception)):
            cancel_scope(machine, f"the body of the scope failed: {type(error).__name__}: {error}")
        return error

    def _left(self, error: BaseException | None, body: BaseException | None) -> bool:
        """Every task has ended: decide what leaves. True: nothing does, though the body had raised."""
        machine, task = self._machine, self._task
        own = self._stopped and absorbs(machine, error, self._asked)
        if machine.reason is not None and effective_above(machine) is None:
            take_back(task, self._told)
        leave(task, machine)
        machine.facade = None
        try:
            for executor, kernel in [*self._others, (self._executor, self._kernel)]:
                executor.close(task, kernel)
        finally:
            interrupts.release_main(machine)
        absorbed = self._decide(error, own, machine.errors)
        if error is not None and error is not body and not absorbed:
            raise error  # what interrupted the wait for the tasks
        return absorbed

    def _decide(self, error: BaseException | None, own: bool, errors: list[BaseException]) -> bool:
        bare = next((e for e in [error, *errors] if isinstance(e, BARE)), None)
        if bare is not None:
            if bare is error:
                return False
            raise bare
        if interrupts.was_interrupted(self._machine) and (error is None or own):
            where = None if error is None else error.__traceback__  # the body was, as it was cancelled
            raise KeyboardInterrupt().with_traceback(where) from None
        failed = [] if error is None or own or _is_cancellation(error) else [error]
        failed += [e for e in errors if e is not error]  # what a task fails with, its result() raises
        if failed:
            raise _group(failed) from None
        if error is None:
            raise_if_cancelled(self._task)  # from outside, while the body was done and its tasks were not
        return own


def _default_executor(task: Task[Any], awaiting: bool) -> Any:
    """The executor of the current task; at the root, `with` takes threads, `async with` the running loop."""
    if task.spec is not None:
        return task.spec
    return "coroutines" if awaiting else "threads"


def _is_cancellation(error: BaseException) -> bool:
    return isinstance(error, Cancelled) or type(error).__name__ == "CancelledError"


def _group(errors: list[BaseException]) -> BaseException:
    many = f"{len(errors)} errors" if len(errors) > 1 else "an error"
    return BaseExceptionGroup(f"{many} in a scope", errors)


def scope(on: Any = None, *, on_fail: str = "cancel") -> Scope:
    """A block that owns the tasks started in it: `with potok.scope(on="threads") as s: s.start(fn, *args)`.

    Args:
        on: an executor or its name; the current task's by default, at the root threads for `with` and the running
            loop for `async with`.
        on_fail: "cancel": the first failure cancels the siblings and the body. "collect": siblings go on.

    Raises, as the block is left: ExceptionGroup of all failures, the body's own included.
    Blocks: the end of the block waits until every task has ended.
    """
    if on_fail not in ("cancel", "collect"):
        raise ValueError(f'on_fail must be "cancel" or "collect", not {on_fail!r}')
    return Scope(None if on is None else resolve(on), on_fail == "collect")


class _Region:
    """A part of a task's run with a rule of its own: a time-out, a shield."""

    __slots__ = ("_asked", "_awaiting", "_machine", "_seconds", "_task", "_timer", "_told")

    kind = "region"

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds
        self._machine: Any = None
        self._task: Any = None
        self._timer: Any = None
        self._awaiting = False

    def __enter__(self) -> Self:
        if self._machine is not None:
            raise ScopeError(f"a {self.kind} is entered once; make a new one")
        self._awaiting = in_coroutine(sys._getframe(1))
        self._task = self._here()
        self._told = self._task.told
        self._asked = asked_by_asyncio(self._task) if self._awaiting else 0
        self._machine = enter(self._task, self.kind, 1, timeout=self._seconds, shield=self.kind == "shield")
        self._entered()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> bool:
        leave(self._here(), self._machine)
        return self._absorb(self._machine, error)

    def _here(self) -> Task[Any]:
        return current_awaiting() if self._awaiting else current()

    def _entered(self) -> None:
        """The region's own part of entering."""

    def _absorb(self, machine: ScopeMachine, error: BaseException | None) -> bool:
        return False


class Shield(_Region):
    """Made by `potok.shield`."""

    __slots__ = ()
    kind = "shield"


class Timeout(_Region):
    """Made by `potok.timeout`."""

    __slots__ = ()
    kind = "timeout"

    def _entered(self) -> None:
        watch = getattr(self._task.kernel, "watch_deadline", None)
        if watch is not None:  # an asyncio task may wait where only its loop sees the time
            self._timer = watch(self._task, self._seconds)

    def _absorb(self, machine: ScopeMachine, error: BaseException | None) -> bool:
        if self._timer is not None:
            self._timer.cancel()
        if machine.reason is not None and effective_above(machine) is None:
            take_back(self._task, self._told)
        if not (machine.expired and absorbs(machine, error, self._asked)):
            return False
        raise TimeoutError(f"timed out after {self._seconds} s (potok.timeout)") from None


def timeout(seconds: float) -> Timeout:
    """Let the block take at most so many seconds: `with potok.timeout(1.5): ...`, in `def` and `async def` alike.

    Acts at park points only, in this task and in the tasks of scopes opened inside; deadlines nest.
    Raises: TimeoutError as the block is left; ValueError for what is no number of seconds >= 0.
    """
    if seconds is None:
        raise ValueError("timeout must be a number of seconds >= 0, not None")
    check_timeout(seconds)
    return Timeout(seconds)


def shield() -> Shield:
    """Let no cancellation and no deadline from outside into the block: `with potok.shield(): ...`."""
    return Shield()
