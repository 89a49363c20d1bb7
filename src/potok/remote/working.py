"""The worker, as it sees itself: it runs one task at a time, in one thread, for the program that started it."""

from __future__ import annotations

import copyreg
import gc
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from potok.errors import Cancelled, PotokError
from potok.kernel.cancelling import cancel_scope
from potok.kernel.colour import is_async
from potok.kernel.current import carrier
from potok.kernel.guard import Guard
from potok.kernel.root import root
from potok.kernel.running import run_here
from potok.kernel.services import serve_here
from potok.kernel.task import ASYNC, ATTEND, Task, count_from
from potok.kernel.threadkernel import ThreadKernel, closed_lock
from potok.links.packing import Packed, Ref, export, pack, pack_error, safely_opened
from potok.machines.scope import ScopeMachine
from potok.remote import (
    handles,  # noqa: F401 - what may be among the arguments
    records,
)
from potok.remote.board import board
from potok.remote.buffers import store
from potok.remote.contexts import open_work
from potok.remote.flowing import give_back
from potok.remote.home import home
from potok.remote.lines import flush_all
from potok.remote.link import Link
from potok.remote.mains import initialize
from potok.remote.page import receive_page

if TYPE_CHECKING:
    from potok.remote.crew import Options  # the program's side, which no worker imports

__all__ = ["Job", "Worker"]

SMALL = 1 << 12  # bytes of a call that are no burden to the program while its task runs
TIDY = 0.2  # seconds without work after which a worker collects its garbage


class Job:
    """A task that was sent here."""

    __slots__ = ("border", "id", "kit", "name", "number", "origin", "work")

    def __init__(self, number: int, request: tuple[Any, ...]) -> None:
        self.number = number
        self.name, self.id, self.origin, self.work, rest, reason, self.kit = request
        deadline = None if rest is None else time.monotonic() + rest
        self.border = ScopeMachine(root, None, "border", deadline)
        self.border.guard = Guard(None)
        self.border.collects = True
        if reason is not None:
            cancel_scope(self.border, safely_opened(reason))


class SentTask(Task[Any]):
    """A task of a scope elsewhere, which runs here. Who refers to it refers to the original."""

    __slots__ = ("ref",)

    ref: Ref

    @property
    def known(self) -> tuple[Any, ...]:
        """See `home.export`."""
        return "task", self.name, self.executor, self.pid


copyreg.pickle(SentTask, export)


class Worker:
    """This address space, as a worker. What depends on what it is, is said by who derives from it."""

    def __init__(self, sock: socket.socket) -> None:
        serve_here()
        self.me = carrier()
        self.bell = closed_lock()
        self.job: Job | None = None
        self.over = False
        self.initialized = False
        self.options: Options | None = None  # until it is told; and so what follows
        self.spec: Any = None
        self.setting: Any = None
        home.space = -1  # until it is told
        home.run = self.accept
        home.recall_run = self.recall
        home.about = self.greeted
        home.lost = self.lost
        home.unsettled = self.unsettled
        home.page = receive_page(sock)
        self.link = Link(sock, 0, home, self.about(sock))
        home.links[0] = self.link

    def about(self, sock: socket.socket) -> dict[str, Any]:
        """What the program is told of it."""
        return {"pid": os.getpid()}

    def called(self) -> str:
        """What people are told that it is."""
        raise NotImplementedError

    def explained(self, error: BaseException) -> BaseException:
        """What a task has failed with, as its program is told."""
        return error

    # ── called by the thread that leads ─────────────────────────────────────────────────────────────────────

    def greeted(self, link: Link, about: Any) -> None:
        home.space = about["space"]
        count_from(home.space << 40)

    def accept(self, link: Link, number: int, request: tuple[Any, ...]) -> None:
        self.job = Job(number, request)
        link.serving[number] = self.job
        self._ring()

    def recall(self, link: Link, number: int, why: Any) -> None:
        """The task was cancelled."""
        job = link.serving.get(number)
        if isinstance(job, Job):
            cancel_scope(job.border, safely_opened(why))

    def lost(self, link: Link, error: BaseException) -> None:
        """The program has ended, or lets this worker go. A task that still runs is of no use to anybody."""
        self.over = True
        if self.job is not None:
            self.abandon(self.job)
        self._ring()

    def abandon(self, job: Job) -> None:
        """The program has gone while this task runs."""
        raise NotImplementedError

    def settle_in(self, path: tuple[str, ...], folder: str) -> None:
        """A task comes from where modules are found by `path`, and whose working folder this is."""
        if tuple(sys.path) != path:
            sys.path[:] = path

    def unsettled(self) -> bool:
        """Whether it has work that is no task yet, or no longer."""
        job = self.job
        return job is not None and not job.border.members

    def _ring(self) -> None:
        try:
            self.bell.release()
        except RuntimeError:  # it was rung before
            pass
        self.me.rouse()

    # ── in the thread that runs the tasks ───────────────────────────────────────────────────────────────────────

    def serve(self) -> None:
        """Run what comes, one after the other, until the program lets this worker go."""
        while not self.over:
            self._wait()
            job = self.job
            if job is not None:
                self._begin(job.work)
                outcome = self._run(job)
                give_back()
                flush_all()
                self.job = None
                self.link.answer(job.number, outcome)
                del job, outcome
                store.tidy()

    def _begin(self, work: Packed) -> None:
        """Whatever happens to it from now on, nobody else is given this task.

        The page tells that. What the program has kept, to give it to another worker, it can drop only if it is told.
        """
        home.page.runs[0] += 1
        if not home.page.tells or work.needs_care or len(work.data) > SMALL:
            self.link.note("begun")
            self.link.drain()

    def _wait(self) -> None:
        """For work. What idles makes no garbage, so its collector would not come by for what the last task has left."""
        if board.wait(self.me, self.bell, TIDY):
            return
        if gc.isenabled():
            gc.collect()
        while not board.wait(self.me, self.bell, self.me.patience):
            pass

    def _run(self, job: Job) -> tuple[Any, ...]:
        try:
            if job.kit is not None:
                self._equip(*job.kit)
            self.settle_in(*self.setting)
            records.settle()
            failure = None if self.initialized else self._initialize(self.options)
            if failure is not None:
                return ("unfit", *pack_error(failure, self._place_of(job.name)), os.getpid())
            fn, args, context, _ = open_work(job.work)
        except BaseException as error:
            return ("failed", *pack_error(self.explained(error), self._place_of(job.name)), os.getpid())
        root.guard.run(self.me, root.attach, job.border)
        task = SentTask(fn, args, job.border, job.name)
        task.id = job.id
        task.ref = job.origin
        task.kernel = _kernel
        task.spec = self.spec
        task.executor = self.spec.name
        if is_async(fn):
            task.base_trap |= ASYNC
        task.trap = ATTEND
        task.context = context
        records.settle()  # the initializer may have cleared the handlers
        job.border.guard.run(self.me, job.border.add, task)
        del fn, args
        records.life(job.name, "starts")
        try:
            run_here(task)
        finally:
            root.guard.run(self.me, root.detach, job.border)
        if task.error is not None:
            task.error = self.explained(task.error)
        records.life(job.name, _described(task.error))
        return _outcome(task, self._place_of)

    def _place_of(self, task: str) -> str:
        """Where a traceback of it is from."""
        return f"in {self.called()}, task {task}"

    def _equip(self, options: Options, setting: tuple[tuple[str, ...], str]) -> None:
        """From now on run tasks so."""
        self.setting = setting
        if options != self.options:
            self.options, self.spec = options, options.executor()

    def _initialize(self, options: Any) -> PotokError | None:
        """Get ready for the first task. What went wrong, if it did: this worker is then of no use."""
        if options.initializer is not None:
            try:
                initialize(options.initializer)
            except BaseException as error:
                failure = PotokError(
                    f"the initializer of {options.executor()!r} failed in {self.called()}, which gets no task: "
                    f"{type(error).__name__}: {error}"
                )
                failure.__cause__ = error
                return failure
        options.prepare()
        self.initialized = True
        return None


def _described(error: BaseException | None) -> str:
    if error is None:
        return "has ended"
    return "was cancelled" if isinstance(error, Cancelled) else f"has failed: {type(error).__name__}: {error}"


def _outcome(task: Task[Any], place_of: Callable[[str], str]) -> tuple[Any, ...]:
    if task.error is None:
        try:
            return "returned", pack(task.value), os.getpid()
        except Exception as error:
            task.error, task.value = error.with_traceback(None), None
            error.__context__ = None  # whose frames hold the value
    if isinstance(task.error, MemoryError):
        traceback.clear_frames(task.error.__traceback__)  # what had no place is there
        store.relieve()
    try:
        return ("failed", *pack_error(task.error, place_of(task.name)), os.getpid())
    except MemoryError:
        return (
            "failed",
            None,
            f"{type(task.error).__name__}, and there is no memory left to tell more",
            os.getpid(),
        )


_kernel = ThreadKernel()
