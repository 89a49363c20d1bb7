"""The worker process: it runs tasks in its main thread, and dies when the program does."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

from potok.kernel.interrupts import harmless
from potok.remote.home import home
from potok.remote.lines import flush_all, print_whole_lines
from potok.remote.working import Job, Worker

__all__ = ["work"]


class ProcessWorker(Worker):
    """This process, as a worker."""

    def called(self) -> str:
        return f"worker process {os.getpid()}"

    def abandon(self, job: Job) -> None:
        flush_all()
        os._exit(1)

    def settle_in(self, path: tuple[str, ...], folder: str) -> None:
        super().settle_in(path, folder)
        if os.getcwd() != folder:
            os.chdir(folder)

    def is_a_copy(self) -> None:
        """A task has forked: the link is the original's, and the copy ends when that task's function returns in it."""
        home.reset(
            "this process is a fork of a worker; what is elsewhere can be reached from the worker only"
        )
        self.over = True


def _pass_over(number: int, frame: Any) -> None:
    """Ctrl-C is the program's business, which cancels; what this worker starts reacts to it as always."""


def work(fd: int) -> None:
    """Be a worker, with the link at this file descriptor, until it ends."""
    signal.signal(signal.SIGINT, _pass_over)
    harmless.append(_pass_over)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # it came with the process
    print_whole_lines()
    worker = ProcessWorker(socket.socket(fileno=fd))
    os.register_at_fork(after_in_child=worker.is_a_copy)
    worker.serve()
