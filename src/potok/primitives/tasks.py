"""Running, starting, finding and pausing tasks."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from types import FrameType
from typing import Any, TypeVar

from potok.errors import BlockingCallError, PotokError
from potok.kernel import stuck as standing
from potok.kernel.callers import called_from
from potok.kernel.carrier import in_main_thread
from potok.kernel.current import current, getcurrent, running_loop
from potok.kernel.exiting import watch_exit
from potok.kernel.guard import Guard
from potok.kernel.imported import imported
from potok.kernel.parking import Elapsed, aperform, attend, perform
from potok.kernel.root import root
from potok.kernel.stuck import TaskInfo
from potok.kernel.task import ASYNC, ATTEND, Task
from potok.machines.nap import NapMachine
from potok.primitives.executors import resolve
from potok.primitives.scopes import Scope, launch

__all__ = [
    "RootScope",
    "asleep",
    "await_",
    "checkpoint",
    "current_scope",
    "current_task",
    "dump_on",
    "run",
    "sleep",
    "start",
    "stuck",
    "tasks",
]

T = TypeVar("T")

NAP = NapMachine("time")
NAP.guard = Guard(None)


def run(fn: Callable[..., Any], *args: Any, on: Any = "coroutines") -> Any:
    """Run `fn(*args)`, `def` or `async def`, in a root scope of its own, and return its result.

    Raises: what `fn` raised, bare. An ExceptionGroup only if `fn` itself did not fail but tasks that it started with
        `potok.current_scope().start` did. TaskCancelled if it was cancelled.
    """
    block = Scope(resolve(on), collects=False)
    task: Any = None
    try:
        with block:
            task = block.start(fn, *args)
    except BaseExceptionGroup as group:
        for error in group.exceptions:
            if task is None or error is task.error or error not in block._machine.errors:
                raise error from None  # what `fn` raised; or nothing was started; or the executor failed
        raise
    return task.outcome()


def start(
    fn: Callable[..., Any],
    *args: Any,
    on: Any = "threads",
    name: str | None = None,
    carry: Iterable[ContextVar[Any]] = (),
) -> Task[Any]:
    """Start `fn(*args)` as a task of the root, which no block waits for: `_thread.start_new_thread`, but owned.

    A failure goes to an except hook (the traceback on stderr) and leaves its siblings alone. What still runs as the
    interpreter exits is cancelled. The caller's own channel ends stay open until they are closed. `carry` as in
    `scope.start`.
    """
    executor = resolve(on)
    watch_exit()
    task = launch(root, current(), executor, executor.open_root(), fn, args, name, carry)
    task.origin = called_from()
    return task


class RootScope:
    """What `current_scope()` is outside of any block: it never ends."""

    def start(
        self,
        fn: Callable[..., Any],
        *args: Any,
        on: Any = None,
        name: str | None = None,
        carry: Iterable[ContextVar[Any]] = (),
    ) -> Task[Any]:
        """As `potok.start`."""
        return start(fn, *args, on="threads" if on is None else on, name=name, carry=carry)

    def cancel(self, reason: object = "") -> None:
        """The root can't be cancelled."""
        raise PotokError("the root scope can't be cancelled; cancel the scope or the task that is meant")

    def __repr__(self) -> str:
        return "<RootScope>"


_root_scope = RootScope()


def current_task() -> Task[Any]:
    """The task that runs here; code that potok did not start has an implicit one."""
    task = current()
    if task.driven or running_loop() is None:
        return task
    from potok.kernel.adopting import current_in_loop

    return current_in_loop()


def current_scope() -> Scope | RootScope:
    """The innermost scope around this point: of this task, or the one the task was started in."""
    machine = current_task().scope
    while machine is not None:
        if machine.facade is not None:
            return machine.facade  # type: ignore[no-any-return]
        machine = machine.parent
    return _root_scope


def sleep(seconds: float) -> None:
    """Park the current task for so many seconds."""
    try:
        perform(NAP, NAP.sleep, timeout=_checked(seconds), call="sleep")
    except Elapsed:
        pass


async def asleep(seconds: float) -> None:
    """The awaitable spelling of `sleep`."""
    try:
        await aperform(NAP, NAP.sleep, timeout=_checked(seconds))
    except Elapsed:
        pass


def _checked(seconds: float) -> float:
    if seconds is None:
        raise ValueError("sleep takes a number of seconds >= 0, not None")
    return seconds


def checkpoint() -> None:
    """A park point that waits for nothing: raises if the task was cancelled, lets others run. In both colours."""
    task = current_task()
    if task.trap:
        attend(task)
    face = task.face
    if face is not None:
        face.leave()
    try:
        task.kernel.pause(task)
    finally:
        if face is not None:
            face.enter()
    if task.trap == ATTEND:
        attend(task)


def await_(awaitable: Awaitable[T]) -> T:
    """Wait for an awaitable (a coroutine, an asyncio future) in a plain `def` task. A park point.

    On *coroutines* the other tasks of the thread go on meanwhile; elsewhere the awaitable gets a loop of its own.
    """
    task = current()
    if task.base_trap & ASYNC:
        raise BlockingCallError(
            f"await_() is for def tasks; write `await ...` in the async def task {task.name}"
        )
    if task.trap:
        attend(task, "await_()")
    kernel = task.kernel
    if hasattr(kernel, "need_loop") and getcurrent() is not kernel.main:
        from potok.kernel.stepping import await_in_greenlet

        return await_in_greenlet(task, awaitable)  # type: ignore[no-any-return]
    if running_loop() is not None:
        raise BlockingCallError("await_() would block the event loop that runs here; write `await ...`")

    async def waited() -> T:
        return await awaitable

    return run(waited, on="coroutines")  # type: ignore[no-any-return]


def tasks() -> list[TaskInfo]:
    """The live tasks of this process, each with what it waits for, since when, and who holds it."""
    infos = standing.live_tasks()
    looking = imported("potok.remote.looking")
    if looking is None or not any(hasattr(info.task.kernel, "pid_of") for info in infos):
        return infos
    told = looking.waits()
    return [info._replace(**_told(told, info)) for info in infos]


def stuck() -> list[TaskInfo]:
    """Those of `tasks()` that look stuck: they wait without a deadline, for one another as far as anybody knows.

    What is proven to be a deadlock is raised as DeadlockError. This lists what may still be resolved from outside, too:
    a Lock may be released by anybody, and nobody knows who will set an event. Where no task of the program runs, all
    that wait without a deadline look stuck.
    """
    remote = imported("potok.remote.home")
    if remote is not None and remote.home.links:
        from potok.remote.deadlocks import looks_stuck as looks_stuck_anywhere

        found = looks_stuck_anywhere()
    else:
        from potok.kernel.deadlock.proof import looks_stuck

        found = {task.id for task in looks_stuck()}
    return [info for info in tasks() if info.task.id in found]


def _told(told: dict[int, Any], info: TaskInfo) -> dict[str, Any]:
    """What the process that runs the task says of it."""
    if info.task.id not in told or not hasattr(info.task.kernel, "pid_of"):
        return {}
    return dict(zip(("waits_for", "since", "held_by"), told[info.task.id], strict=True))


def dump_on(signum: int) -> None:
    """Print all live tasks with their stacks to stderr whenever the signal arrives: `dump_on(signal.SIGUSR1)`.

    Only from the main thread. The dump is printed by the signal's handler, at once.
    """
    if not in_main_thread():
        raise PotokError("dump_on sets a signal handler: call it from the main thread")

    def handler(number: int, frame: FrameType | None) -> None:
        standing.dump()

    signal.signal(signum, handler)
