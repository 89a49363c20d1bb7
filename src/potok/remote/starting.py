"""Starting tasks in workers, from any address space of the program, and taking their outcome."""

from __future__ import annotations

import os
import sys
import time
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from potok.errors import Cancelled, PotokError, RemoteError, WorkerDied
from potok.kernel.cancelling import effective, expire
from potok.kernel.current import carrier
from potok.kernel.finishing import finish
from potok.kernel.task import ATTEND, Task
from potok.kernel.threadkernel import ThreadKernel
from potok.links.packing import Packed, pack, told
from potok.remote import handles  # noqa: F401 - what may be among the arguments
from potok.remote.calling import ask, understood
from potok.remote.contexts import pack_work
from potok.remote.home import home

if TYPE_CHECKING:
    from potok.remote.crew import Assigned

__all__ = ["Run", "WorkerKernel"]


class Run(ThreadKernel):
    """One task in a worker: its kernel in the eyes of this process, and who is told how it ended."""

    def __init__(self, task: Task[Any]) -> None:
        self.task: Any = task
        self.number = 0
        self.pid: Any = None  # how to find it out; itself, once the task has ended
        self.ref = home.refer(task)  # the task is known under it wherever it runs
        self.recall: Any = None  # sees to it that the worker stops, at the latest by being killed
        self.reason: Any = None  # for which it was cancelled

    def interrupt(self, task: Task[Any]) -> None:
        """Have it cancelled over there."""
        reason = effective(task)
        if reason is not None and self.recall is not None:
            self.reason = reason
            self.recall(safely_packed(reason[0]))

    def pid_of(self, task: Task[Any]) -> int:
        """The process it runs in; blocks for a moment if that has only just been started."""
        return int(self.pid() if callable(self.pid) else self.pid)  # another's, if that dies before it begins

    def ask_pid(self) -> int:
        """From a worker, of one that the program has started for it."""
        return int(ask((0, 0, "pid", False, (self.number,))))

    # ── how it ended: called by the thread that leads ───────────────────────────────────────────────────────

    def answered(self, outcome: tuple[Any, ...]) -> None:
        kind, *rest, self.pid = outcome
        if kind == "unfit" and (reason := effective(self.task)) is not None:
            self._end(Cancelled(reason[0]))  # the first of its siblings has told of it
        elif kind == "returned":
            self.task.value = rest[0]
            self._end(_out_of_reach(rest[0]))
        else:
            self._end(told(*rest))

    def failed(self, error: Any) -> None:
        known = understood(error)
        if self.reason is not None and isinstance(known, WorkerDied):
            known = Cancelled(self.reason[0])  # it was killed because it did not stop, or as it did
        self._end(known if isinstance(known, BaseException) else PotokError(f"the worker answered {known!r}"))

    def _end(self, error: BaseException | None = None) -> None:
        task = self.task
        if error is not None:
            task.error, task.value = error, None
        task.carrier = carrier()
        if callable(self.pid):  # its worker has died
            self.pid = getattr(error, "pid", None) or 0
        home.let_go(self.ref, 1)
        if isinstance(error, Cancelled) and task.deadline is not None and self.now() >= task.deadline:
            expire(task)  # it saw the deadline first
        self.task = None  # which refers to us: a result may be the last reference to something elsewhere
        finish(task)


class WorkerKernel(ThreadKernel):
    """The seam: tasks start in a worker of their own, idle or new; each has a kernel to itself then, a `Run`."""

    def __init__(self, options: Any) -> None:
        self.options = options

    def start(self, task: Task[Any]) -> None:
        rest = None if task.deadline is None else max(0.0, task.deadline - time.monotonic())
        work = pack_work(task.fn, task.args, task.context, task.carry)
        run = task.kernel = Run(task)
        task.started = True
        try:
            self._send(task, run, work, rest)
        except BaseException:  # no more processes, or no more allowed
            home.let_go(run.ref, 1)
            raise
        if task.trap == ATTEND:
            run.interrupt(task)  # cancelled before there was somebody to be told

    def _send(self, task: Task[Any], run: Run, work: Packed, rest: float | None) -> None:
        reason = effective(task)  # it may be cancelled before it begins
        told = None if reason is None else safely_packed(reason[0])
        request = (
            task.name,
            task.id,
            run.ref,
            work,
            rest,
            told,
            self.options,
            (tuple(sys.path), os.getcwd()),
        )
        if home.space:
            link = home.link_to(0)
            run.pid = run.ask_pid
            run.number = link.call((0, 0, "run", True, request), run)
            run.recall = partial(link.recall, run.number)
        else:
            assigned = _assigned()(request, run)
            run.pid = assigned.known_pid
            assigned.send()
            run.recall = assigned.recall


@cache
def _assigned() -> type[Assigned]:
    """Found once: the crew is the program's, no worker imports it."""
    from potok.remote.crew import Assigned

    return Assigned


def _out_of_reach(result: Packed) -> RemoteError | None:
    """Why a result can't be opened here, as far as it can be told without running the user's code.

    The rest is seen by who opens it first, see `Task.outcome`; by then the scope may be over.
    """
    try:
        result.reach()
    except RemoteError as error:
        return error
    return None


def safely_packed(reason: Any) -> Packed:
    """A reason for a cancellation, by description if it can't be pickled."""
    try:
        return pack(reason)
    except Exception:
        return pack(f"{reason!r:.200}")
