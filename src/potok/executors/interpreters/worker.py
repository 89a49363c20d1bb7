"""The interpreter as a worker: it runs tasks in the thread that entered it, and ends when it is let go.

It shares a process with the program: what it opened it closes, what belongs to the process (signals, the working
folder, the environment) it leaves alone, and whatever threads potok has in it end before it does.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
import traceback
from typing import Any

from potok.errors import RemoteError
from potok.kernel.cancelling import cancel_scope
from potok.kernel.exiting import end_space
from potok.remote.board import board
from potok.remote.home import Home, home
from potok.remote.lines import print_whole_lines
from potok.remote.link import Link
from potok.remote.working import Job, Worker

__all__ = ["work"]

REFUSED = re.compile(r"module (\S+) does not support loading in subinterpreters")


class InterpreterWorker(Worker):
    """This interpreter, as a worker."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        home.space_ops["stack"] = self.serve_stack

    def about(self, sock: socket.socket) -> dict[str, Any]:
        return super().about(sock) | {"descriptors": (sock.fileno(), *board.descriptors())}

    def called(self) -> str:
        return f"interpreter {home.space} of process {os.getpid()}"

    def abandon(self, job: Job) -> None:
        cancel_scope(job.border, "the program has let its interpreter go")

    def explained(self, error: BaseException) -> BaseException:
        """A module that can't be loaded here is the user's business only in so far as another executor is."""
        name = _refused(error)
        if name is None:
            return error
        package = name.partition(".")[0]
        of = f" of {package}" if package != name else ""
        told = RemoteError(
            f"the module {name}{of} does not load in a sub-interpreter: "
            f'run this task on="processes" or on="threads" instead'
        )
        told.__cause__ = error
        return told

    def serve_stack(self, at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
        """Where is the task's thread? And how many threads are there that would be waited for at the end?"""
        frame = sys._current_frames().get(self.me.ident)
        stack = "" if frame is None else "".join(traceback.format_stack(frame))
        ours = self.me.ident, threading.main_thread().ident  # the latter is that of the process
        others = sum(not thread.daemon and thread.ident not in ours for thread in threading.enumerate())
        link.answer(number, (stack, others))


def _refused(error: BaseException | None) -> str | None:
    """The module that could not be loaded, if that is behind this error."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, ImportError | RemoteError) and (found := REFUSED.search(str(error))):
            return found[1]
        error = error.__cause__ or error.__context__
    return None


def work(fd: int) -> None:
    """Be a worker, with the link at this file descriptor, until it ends."""
    # Threads that a task starts are no daemons, as in a process: for that, the one that it runs in must be none.
    threading.current_thread()._daemonic = False  # type: ignore[attr-defined]
    print_whole_lines()
    InterpreterWorker(socket.socket(fileno=fd)).serve()
    end_space()
    home.page.close()
    board.close()
