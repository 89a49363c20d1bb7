"""A fresh interpreter for each worker, where there is no forkserver."""

from __future__ import annotations

import logging
import os
import signal
import socket
from functools import partial

from potok.executors.processes.fresh import HANDED_FD, spawn
from potok.executors.processes.limits import peak_memory
from potok.remote import crew
from potok.remote.board import board
from potok.remote.crew import Worker, kept

__all__ = ["ProcessMaker", "spawner_with"]

POLL = 0.02  # seconds between two looks whether a process has ended, where nothing tells


class ProcessMaker:
    """What makes worker processes can kill them."""

    gone = False

    def kill(self, worker: Worker) -> bool:
        raise NotImplementedError

    def overdue(self, worker: Worker) -> None:
        logging.getLogger("potok").warning(
            "task %s was cancelled %g s ago and has reached no park point: its worker process %d is killed",
            *(worker.task, crew.GRACE, worker.pid),
        )
        self.kill(worker)


class Spawner(ProcessMaker):
    """Starts every worker as a fresh interpreter: slower, but everywhere, and with nothing of this process in it."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.living: dict[int, Worker] = {}
        self.watched: dict[int, int] = {}  # what tells that a process has ended

    def make(self, worker: Worker, there: socket.socket) -> None:
        """Does not wait for it."""
        code = f"from potok.executors.processes.worker import work; work({HANDED_FD})"
        pid = spawn(code, there, self.threads)
        self.living[pid] = worker
        worker.is_called(pid)
        if hasattr(os, "pidfd_open"):
            fd = self.watched[pid] = os.pidfd_open(pid)
            board.watch(fd, lambda _: self._ended(pid, fd))
        else:
            board.later(POLL, partial(self._look_after, pid))

    def kill(self, worker: Worker) -> bool:
        if worker.pid in self.living:
            os.kill(worker.pid, signal.SIGKILL)
        return True

    def _look_after(self, pid: int) -> None:
        if not self._ended(pid, None):
            board.later(POLL, partial(self._look_after, pid))

    def _ended(self, pid: int, fd: int | None) -> bool:
        reaped, status, used = os.wait4(pid, os.WNOHANG)
        if not reaped:
            return False
        if fd is not None:
            board.forget(fd)
            os.close(self.watched.pop(pid))
        worker = self.living.pop(pid)
        worker.ended(os.waitstatus_to_exitcode(status), peak_memory(used))
        return True

    def descriptors(self, idle: list[Worker]) -> set[int]:
        """Those that are open for the sake of these workers."""
        return {self.watched[worker.pid] for worker in idle if worker.pid in self.watched}

    def forget(self) -> None:
        """In a forked child: its workers are the parent's."""
        for fd in self.watched.values():
            os.close(fd)
        self.watched.clear()
        self.living.clear()


spawners: dict[int, Spawner] = {}
"""By how many threads the libraries of their workers may start."""


def spawner_with(threads: int) -> Spawner:
    """The one whose workers are like that."""
    return spawners.setdefault(threads, Spawner(threads))


def _descriptors(idle: list[Worker]) -> set[int]:
    return {fd for spawner in list(spawners.values()) for fd in spawner.descriptors(idle)}


def _forget_all() -> None:
    for spawner in spawners.values():
        spawner.forget()


kept.append(_descriptors)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
