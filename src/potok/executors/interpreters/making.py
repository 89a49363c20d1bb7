"""The program's side of its interpreters: a thread for each, that makes it, is its main thread, and destroys it.

    make ──▶ thread: create ── exec: `worker.work(fd)`, until the link is closed ── destroy ──▶ the crew is told

Nothing can kill one. Let go, it ends when its task does; a task that was cancelled and goes on is named, with its stack
as far as the interpreter itself can still tell it.

Invariants
    A descriptor belongs to one side: the worker's end of the socket pair is its interpreter's once `work` runs, and is
    closed by the thread where it never came to that.
    An interpreter is destroyed by the thread that was in it, after the last thing that ran there has returned.
"""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys
import time
from functools import partial
from typing import Any

from potok.errors import PotokError
from potok.executors.interpreters.exiting import watch_exit
from potok.kernel.services import service_thread
from potok.remote import crew
from potok.remote.board import board
from potok.remote.calling import block_for
from potok.remote.crew import Worker

__all__ = ["Maker", "maker"]

PATIENCE = 1.0  # seconds that an interpreter has to tell where its task is
FORK_PATIENCE = 5.0  # seconds that a fork waits for idle ones to end

Whereabouts = tuple[str, int]
"""A stack, and how many threads of its own the interpreter would wait for at its end."""


class InterpreterThread:
    """One interpreter, and the thread that is in it."""

    def __init__(self, worker: Worker, fd: int, maker: Maker) -> None:
        self.worker = worker
        self._fd = fd
        self._maker = maker
        self.thread = service_thread(self._run, "potok-interpreter")

    def _run(self) -> None:
        try:
            self._live()
        finally:
            board.soon(partial(self._maker.ended, self))

    def _live(self) -> None:
        try:
            interpreters = importlib.import_module("_interpreters")
            # Threads of potok's may be daemons: they end before the interpreter does, and don't keep the program.
            config = interpreters.new_config("isolated", allow_daemon_threads=True)
            number = interpreters.create(config)
        except Exception as error:
            self._fail(f"could not be made: {error}")
            return
        try:
            self._enter(interpreters, number)
        finally:
            try:
                interpreters.destroy(number)
            except Exception as error:
                self.worker.failure = self.worker.failure or f"could not be ended: {error}"

    def _enter(self, interpreters: Any, number: int) -> None:
        start = f"import sys; sys.path[:] = {sys.path!r}; from {WORKER} import work"
        error = interpreters.exec(number, start)
        if error is not None:
            self._fail(f"could not begin: {error.formatted}")
            return
        error = interpreters.exec(number, f"work({self._fd})")
        if error is not None:
            self.worker.failure = f"ended unexpectedly: {error.formatted}"

    def _fail(self, why: str) -> None:
        """It has not come to taking its end of the link."""
        self.worker.failure = why  # first: the end of the link tells that something is wrong
        os.close(self._fd)


WORKER = "potok.executors.interpreters.worker"


class Maker:
    """Makes interpreters; there is one, as there is one process."""

    gone = False

    def __init__(self) -> None:
        self.living: set[InterpreterThread] = set()

    def make(self, worker: Worker, there: socket.socket) -> None:
        """Does not wait for it."""
        watch_exit(self)
        worker.is_called(os.getpid())
        made = InterpreterThread(worker, there.detach(), self)
        self.living.add(made)
        try:
            made.thread.start()
        except RuntimeError as error:
            self.living.discard(made)
            os.close(made._fd)
            raise PotokError(f"no thread can be started for another interpreter: {error}") from error

    def kill(self, worker: Worker) -> bool:
        """Nothing can."""
        return False

    def overdue(self, worker: Worker) -> None:
        """It can't be stopped: say where it is. Called by whoever leads, who must not wait for the answer."""
        Question(worker)

    def ended(self, made: InterpreterThread) -> None:
        """Told in the name of the thread, which is about to end."""
        worker = made.worker
        made.thread.join()
        self.living.discard(made)
        worker.failure = worker.failure or "ended"  # it has no exit code to tell of
        worker.ended(0)

    def idle(self) -> list[InterpreterThread]:
        """Those that have no task."""
        return [made for made in list(self.living) if not made.worker.task]

    def idle_threads(self) -> set[int]:
        """The threads of those that have no task."""
        return {made.thread.ident or 0 for made in self.idle()}

    def clear_for_fork(self) -> None:
        """Python (3.14, 3.15) crashes in a forked child if any sub-interpreter is there, be it idle: end those."""
        until = time.monotonic() + FORK_PATIENCE
        while (idle := self.idle()) and time.monotonic() < until:
            for made in idle:
                made.worker.crew.dismiss(made.worker)
                made.thread.join(0.01)
                if not made.thread.is_alive():
                    self.living.discard(made)
        if self.living:
            logging.getLogger("potok").warning(
                "a fork while interpreters run tasks (%s): Python, as of 3.15, crashes in the child. Start processes "
                "by subprocess, multiprocessing's spawn or potok's processes instead",
                ", ".join(made.worker.task for made in list(self.living)),
            )

    def forget(self) -> None:
        """In a forked child, if it has come to that: Python has removed them all."""
        self.living.clear()


class Question:
    """To an interpreter whose task should have ended: where is it?"""

    counts = False  # as a message

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.run = worker.run
        self.open = True
        board.later(PATIENCE, self.unanswered)
        worker.link.call((worker.space, 0, "stack", False, ()), self)

    def answered(self, value: Whereabouts) -> None:
        self._tell(f"Its stack:\n{value[0]}")

    def failed(self, error: Any) -> None:
        """It has ended after all."""
        self.open = False

    def unanswered(self) -> None:
        self._tell(UNANSWERED)

    def _tell(self, where: str) -> None:
        if self.open and self.run == self.worker.run and self.worker.task:
            logging.getLogger("potok").warning(
                "task %s was cancelled %g s ago and has reached no park point; an interpreter can't be killed, so "
                "whoever waits for the task goes on waiting. %s",
                *(self.worker.task, crew.GRACE, where),
            )
        self.open = False


UNANSWERED = "Where it is can't be told: it lets no other thread of its interpreter run, so it is in C code."


def whereabouts(worker: Worker) -> Whereabouts | None:
    """Where the task of this worker is; None if its interpreter does not answer."""
    request = (worker.space, 0, "stack", False, ())
    try:
        return block_for(lambda slot: worker.link.call(request, slot), counts=False, timeout=PATIENCE)  # type: ignore[no-any-return]
    except Exception:  # it has ended meanwhile
        return None


maker = Maker()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=maker.clear_for_fork, after_in_child=maker.forget)
