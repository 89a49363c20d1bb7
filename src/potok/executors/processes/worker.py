"""The worker: a process that runs one task at a time, in its main thread, for the program that started it."""

from __future__ import annotations

import copyreg
import os
import signal
import socket
import sys
import time
from contextvars import Context
from typing import Any

from potok.executors.processes import Processes
from potok.executors.processes.options import Options
from potok.kernel.cancelling import cancel_scope
from potok.kernel.colour import is_async
from potok.kernel.current import carrier
from potok.kernel.guard import Guard
from potok.kernel.root import root
from potok.kernel.running import run_here
from potok.kernel.task import ASYNC, ATTEND, Task, count_from
from potok.kernel.threadkernel import ThreadKernel, closed_lock
from potok.links.packing import Ref, export, pack, pack_error, safely_opened
from potok.machines.scope import ScopeMachine
from potok.remote import handles  # noqa: F401 - what may be among the arguments
from potok.remote.board import board
from potok.remote.home import home
from potok.remote.link import Link

__all__ = ["work"]


class Job:
    """A task that was sent here."""

    __slots__ = ("border", "id", "name", "number", "options", "origin", "setting", "work")

    def __init__(self, number: int, request: tuple[Any, ...]) -> None:
        self.number = number
        self.name, self.id, self.origin, self.work, rest, reason, self.options, self.setting = request
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
    """This process, as a worker."""

    def __init__(self, sock: socket.socket) -> None:
        self.me = carrier()
        self.bell = closed_lock()
        self.job: Job | None = None
        self.over = False
        self.initialized: set[bytes] = set()
        home.space = -1  # until it is told
        home.run = self.accept
        home.recall_run = self.recall
        home.about = self.greeted
        home.lost = self.lost
        home.unsettled = self.unsettled
        self.link = Link(sock, 0, home, {"pid": os.getpid()})
        home.links[0] = self.link

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
            _flush()
            os._exit(1)
        self._ring()

    def is_a_copy(self) -> None:
        """A task has forked: the link is the original's, and the copy ends when that task's function returns in it."""
        home.reset(
            "this process is a fork of a worker; what is elsewhere can be reached from the worker only"
        )
        self.over = True

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

    # ── in the main thread ──────────────────────────────────────────────────────────────────────────────────

    def serve(self) -> None:
        """Run what comes, one after the other, until the program lets this worker go."""
        while not self.over:
            while not board.wait(self.me, self.bell, self.me.patience):
                pass
            job = self.job
            if job is not None:
                outcome = self._run(job)
                _flush()
                self.job = None
                self.link.answer(job.number, outcome)
                del job, outcome

    def _run(self, job: Job) -> tuple[Any, ...]:
        where = f"in worker process {os.getpid()}, task {job.name}"
        try:
            _settle_in(job.setting)
            self._initialize(job.options)
            fn, args = job.work.open()
        except BaseException as error:
            return ("failed", *pack_error(error, where), os.getpid())
        root.guard.run(self.me, root.attach, job.border)
        task = SentTask(fn, args, job.border, job.name)
        task.id = job.id
        task.ref = job.origin
        task.kernel = _kernel
        task.spec, task.executor = Processes(job.options), "processes"
        if is_async(fn):
            task.base_trap |= ASYNC
        task.trap = ATTEND
        task.context = Context()
        job.border.guard.run(self.me, job.border.add, task)
        del fn, args
        try:
            run_here(task)
        finally:
            root.guard.run(self.me, root.detach, job.border)
        return _outcome(task, where)

    def _initialize(self, options: Options) -> None:
        initializer = options.initializer
        if initializer is not None and initializer.data not in self.initialized:
            initializer.open()()
            self.initialized.add(initializer.data)


def _outcome(task: Task[Any], where: str) -> tuple[Any, ...]:
    if task.error is None:
        try:
            return "returned", pack(task.value), os.getpid()
        except Exception as error:
            task.error = error
    return ("failed", *pack_error(task.error, where), os.getpid())


def _settle_in(setting: tuple[tuple[str, ...], str]) -> None:
    path, folder = setting
    if tuple(sys.path) != path:
        sys.path[:] = path
    if os.getcwd() != folder:
        os.chdir(folder)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # it was closed, or nobody reads it
            pass


def _pass_over(number: int, frame: Any) -> None:
    """Ctrl-C is the program's business, which cancels; what this worker starts reacts to it as always."""


_kernel = ThreadKernel()


def work(fd: int) -> None:
    """Be a worker, with the link at this file descriptor, until it ends."""
    signal.signal(signal.SIGINT, _pass_over)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # it came with the process
    worker = Worker(socket.socket(fileno=fd))
    os.register_at_fork(after_in_child=worker.is_a_copy)
    worker.serve()
