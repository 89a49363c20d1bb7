"""Who makes the calls of a `potok.FuturesExecutor`.

    submit ──calls──▶ agent, agent, … (tasks: on threads, or on coroutines)  ──▶ the future of the call
                        └──(fn, args, kwargs)──▶ a worker of its own elsewhere ──(value, error)──▶ back

On *threads* and *coroutines* an agent makes the calls itself. On *processes* and *interpreters* it is a thread here
that gives them, one by one, to one worker over channels of theirs. All of a crew are in a scope that its keeper, a task
of the root, holds open.

Invariants
    `backlog` holds the calls that no agent has; a token is sent for each, so that agents wait as tasks do. A new agent
    is given its first call as it is started.
    A worker has at most the one call in hand that its agent waits for: with it that call is lost, and no other. (To
    send the next one ahead would hide the way there and back; but it could wait behind a long one while others are
    free, could not be cancelled though it was not begun, and might be made twice after a death.)
    Nothing of a crew refers to the executor: that is collected when its user lets go of it, and the crew goes.
    A crew grows, and is closed, under its lock: whoever was given a future has an agent that will see to it.
"""

from __future__ import annotations

import atexit
import itertools
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from typing import Any

import potok
from potok.dataflow.calls import Answer, answer, ordinary, serve

__all__ = ["Call", "Crew", "crew_of", "exit_first"]

AFTER = "cannot schedule new futures after shutdown"
AT_EXIT = "cannot schedule new futures after interpreter shutdown"

_numbers = itertools.count(1)
_open: dict[int, Crew] = {}  # those that have a keeper
_exiting = False


class Call:
    """What was submitted."""

    __slots__ = ("args", "context", "fn", "future", "kwargs")

    def __init__(self, future: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.future = future
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.context = copy_context()

    def make(self) -> Answer:
        """Make it here."""
        return self.context.run(answer, self.fn, self.args, self.kwargs)

    def settle(self, told: Answer) -> None:
        """Tell its future."""
        value, error = told
        if error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(ordinary(error))


class Crew:
    """Those who make the calls of one executor, which they do not know. These are tasks that make them themselves."""

    far = False  # calls are copied to another address space

    def __init__(self, on: Any, limit: int) -> None:
        self.on = on
        self.limit = limit
        self.number = next(_numbers)
        self.backlog: deque[Call] = deque()
        self.scope: Any = None
        self._lock = threading.RLock()  # a finalizer, or a signal's handler, may submit inside of a submit
        self._closed = False
        self._begun = 0  # agents
        self._free: deque[None] = deque()  # one for each agent that waits and has no call on its way
        name = f"FuturesExecutor-{self.number}"
        self._tokens, self._calls = potok.channel(potok.UNBOUNDED, name=f"{name}: calls")
        self._leash, self._watch = potok.channel(name=f"{name}: leash")
        self._keeper: potok.Task[Any] | None = None

    @property
    def place(self) -> str:
        """The name of the executor."""
        return str(getattr(self.on, "name", self.on))

    # ── the executor's side ─────────────────────────────────────────────────────────────────────────────────────

    def add(self, call: Call) -> None:
        """Have the call made. Raises RuntimeError if it is too late for that."""
        with self._lock:
            if self._closed or _exiting:
                raise RuntimeError(AT_EXIT if _exiting else AFTER)
            if self._free or self._begun >= self.limit or not self._grow(call):
                with suppress(IndexError):
                    self._free.pop()
                self.backlog.append(call)
                self._tokens.send_nowait(None)

    def _grow(self, call: Call) -> bool:
        """Start one more agent, for this call first. False: those that are there have to do."""
        if self._keeper is None:
            self._open()
        try:
            Context().run(self._start, call)  # not in the context of whoever happens to submit
        except (potok.PotokError, RuntimeError, OSError):
            if not self._begun:
                raise
            return False  # the executor's `max_workers`, or the system's limits
        self._begun += 1
        return True

    def _open(self) -> None:
        opened = threading.Event()
        self._keeper = Context().run(
            partial(potok.start, self._keep, opened, on="threads", name=f"FuturesExecutor-{self.number}")
        )
        opened.wait()
        if self.scope is None:
            keeper, self._keeper = self._keeper, None
            raise RuntimeError(f"no worker can be started on {self.place}: {keeper.exception()}")
        _open[self.number] = self
        exit_first()

    def close(self, cancel: bool = False) -> None:
        """Take no more. Idempotent, never waits."""
        with self._lock:
            self._closed = True
            if cancel:
                self.drop()
        self.let_go()
        if self._keeper is None:
            self._calls.close()
            self._watch.close()

    def cancel(self) -> None:
        """Close, and cancel whatever runs."""
        self.close(cancel=True)
        scope = self.scope
        if scope is not None:
            scope.cancel("its executor was told to terminate its workers")

    def let_go(self) -> None:
        """Have the agents end when all is done: nobody can submit any more. Idempotent, safe from finalizers."""
        self._tokens.close()
        self._leash.close()

    def drop(self) -> None:
        """Cancel what was not begun."""
        while True:
            try:
                call = self.backlog.popleft()
            except IndexError:
                return
            call.future.cancel()
            call.future.set_running_or_notify_cancel()

    def join(self) -> None:
        """Wait until all are gone, whatever happens to the current task meanwhile."""
        if self._keeper is None:
            return
        if self.scope is not None and potok.current_scope() is self.scope:
            raise RuntimeError(
                "a call can't wait for the end of the executor that makes it; write `executor.shutdown(wait=False)`"
            )
        try:
            with potok.shield():
                self._keeper.join()
        except potok.BlockingCallError:
            raise potok.BlockingCallError(
                "shutting an executor down waits until its calls are done, which would block the event loop; write "
                "`async with` or `await executor.ashutdown()` in an async def task"
            ) from None

    async def ajoin(self) -> None:
        """The awaitable spelling of `join`."""
        if self._keeper is not None:
            with potok.shield(), suppress(potok.TaskCancelled):
                await self._keeper

    # ── the crew's side ─────────────────────────────────────────────────────────────────────────────────────────

    def _keep(self, opened: threading.Event) -> None:
        """Be the keeper: hold the scope of the agents open until the leash is let go."""
        try:
            with self._watch, self._calls, potok.scope(on=self.on, on_fail="collect") as self.scope:
                opened.set()
                with suppress(potok.ClosedError):
                    self._watch.recv()
        except* (potok.PotokError, potok.Cancelled):
            pass  # of workers: each was told by the future of the call that it had in hand
        finally:
            opened.set()
            _open.pop(self.number, None)
            self.close(cancel=True)  # what was left, if the root was cancelled
            self.scope = None

    def _start(self, *calls: Call) -> None:
        """Start an agent, which has these calls to make first."""
        self.scope.start(self._work, list(calls), name=self._name())

    def _name(self) -> str:
        return f"FuturesExecutor-{self.number}.{next(_numbers)}"

    def _work(self, first: list[Call]) -> None:
        """Be an agent."""
        made = 0
        try:
            while (call := self._next(first)) is not None:
                self._answer(call, call.make())
                made += 1
                del call
        except potok.Cancelled:
            if made:  # maybe this agent alone was, by a function: another takes its place, or meets the same at once
                self._start()
            raise

    def _next(self, first: list[Call]) -> Call | None:
        """The next call, now running; None when there will be no more."""
        while True:
            try:
                if not first:
                    self._calls.recv()
                call = first.pop() if first else self.backlog.popleft()
            except potok.ClosedError:
                return None
            except IndexError:  # dropped
                continue
            if call.future.set_running_or_notify_cancel():
                return call
            self._release()

    def _answer(self, call: Call, told: Answer) -> None:
        self._release()  # before: who submits the next one when it has the result finds this agent free
        call.settle(told)

    def _release(self) -> None:
        if not self.backlog:
            self._free.append(None)


class _Far(Crew):
    """A crew that shares nothing with us: each agent is a thread with a worker of its own over there."""

    far = True

    def _start(self, *calls: Call) -> None:
        name = self._name()
        # Made here, not by the agent: once the interpreter begins to exit, nothing can be started any more.
        worker = (_Isolated if self.place == "threads" else _Worker)(self, name)
        exit_first()
        try:
            self.scope.start(self._drive, list(calls), worker, on="threads", name=name)
        except BaseException:
            worker.close()
            raise

    def _drive(self, first: list[Call], worker: _Worker | _Isolated) -> None:
        try:
            while (call := self._next(first)) is not None:
                self._answer(call, worker.make(call.fn, call.args, call.kwargs))
                del call
        finally:
            worker.close()


class _Worker:
    """A worker in another address space, as its agent sees it. One that dies is replaced when there is a call."""

    def __init__(self, crew: Crew, name: str) -> None:
        self._crew = crew
        self._name = name
        self._start()

    def _start(self) -> None:
        name = f"{self._name}.worker"
        self._jobs, jobs = potok.channel(potok.UNBOUNDED, name=f"{name}: calls")
        outcomes, self._outcomes = potok.channel(potok.UNBOUNDED, name=f"{name}: outcomes")
        with jobs, outcomes:  # the worker has its own, which close as it ends
            self._task = self._crew.scope.start(serve, jobs, outcomes, name=name)

    def close(self) -> None:
        self._jobs.close()
        self._outcomes.close()

    def make(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Answer:
        """What becomes of the call there."""
        try:
            while True:
                if self._task.done():
                    self.close()
                    self._start()
                try:
                    self._jobs.send_nowait((fn, args, kwargs))
                    return self._outcomes.recv()  # type: ignore[no-any-return]
                except potok.ClosedError as closed:
                    self._check_cancelled(closed)
        except BaseException as error:  # noqa: BLE001 - pickling, unpickling, a death, or the end: told as the others
            return None, error.with_traceback(None)

    def _check_cancelled(self, closed: potok.ClosedError) -> None:
        """The worker has gone. Raises why; but not if an earlier call cancelled it: then it has not begun with this."""
        with potok.shield():
            self._task.join()
        error = self._task.exception()
        if not isinstance(error, potok.TaskCancelled):
            raise error or closed
        potok.checkpoint()  # raises if it is all of the crew that is cancelled


class _Isolated:
    """A worker on `potok.threads(isolate=True)`: each call is a task, whose arguments and result potok copies."""

    def __init__(self, crew: Crew, name: str) -> None:
        self._crew = crew
        self._name = name

    def close(self) -> None:
        """Nothing is kept."""

    def make(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> Answer:
        """What becomes of the call, and of the copies."""
        try:
            return self._crew.scope.start(answer, fn, args, kwargs).result()  # type: ignore[no-any-return]
        except BaseException as error:  # noqa: BLE001 - as above
            return None, error.with_traceback(None)


class _Inline(Crew):
    """The plain call, at once."""

    def add(self, call: Call) -> None:
        if self._closed or _exiting:
            raise RuntimeError(AT_EXIT if _exiting else AFTER)
        call.future.set_running_or_notify_cancel()
        told = call.make()
        call.settle(told)
        if isinstance(told[1], KeyboardInterrupt):  # it was meant for this thread
            raise told[1]


def crew_of(on: Any) -> type[Crew]:
    """The kind of crew that an executor needs."""
    match getattr(on, "name", on):
        case "inline":
            return _Inline
        case "processes" | "interpreters":
            return _Far
        case "threads" if getattr(on, "isolate", False):
            return _Far
        case _:
            return Crew


def exit_first() -> None:
    """Have the exit begin with us: what the workers need may have registered an end of its own meanwhile."""
    atexit.unregister(_finish)
    atexit.register(_finish)


def _finish() -> None:
    """The interpreter exits: wait for what was submitted."""
    global _exiting
    _exiting = True
    crews = list(_open.values())
    for crew in crews:
        crew.close()
    for crew in crews:
        crew.join()
