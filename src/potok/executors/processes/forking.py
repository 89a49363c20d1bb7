"""The program's side of the forkserver: what it was asked for, and what it tells of those whom it made."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import deque

from potok.errors import PotokError
from potok.executors.processes.fresh import forkserver_process
from potok.executors.processes.spawning import ProcessMaker
from potok.remote.board import board
from potok.remote.crew import Worker, kept

__all__ = ["Forkserver", "forkserver_with", "forkservers"]

forkservers: dict[tuple[tuple[str, ...], int], Forkserver] = {}
"""By what they have preloaded, and how many threads that may start."""

_founding = threading.Lock()


def forkserver_with(preload: tuple[str, ...], threads: int) -> Forkserver:
    """The one that has these modules; made if there is none."""
    with _founding:
        server = forkservers.get((preload, threads))
        if server is None:
            server = forkservers[preload, threads] = Forkserver(preload, threads)
        return server


class Forkserver(ProcessMaker):
    """The process that forks, and what it was asked for."""

    def __init__(self, preload: tuple[str, ...], threads: int) -> None:
        self.unborn: deque[Worker] = deque()
        self.living: dict[int, Worker] = {}
        self.asking = threading.Lock()
        self.pid, self.control = forkserver_process((preload, threads))
        board.watch(self.control, self._told)

    def make(self, worker: Worker, there: socket.socket) -> None:
        """Have a worker made that speaks over this socket. Does not wait for it."""
        fd = there.fileno()
        with self.asking:
            self.unborn.append(worker)
            while True:
                try:
                    socket.send_fds(self.control, [b"fork"], [fd])
                    return
                except BlockingIOError:
                    time.sleep(0.001)
                except OSError as error:
                    self.unborn.pop()
                    raise PotokError(
                        f"the forkserver has ended, so no worker can be started: {error}"
                    ) from error

    def kill(self, worker: Worker) -> bool:
        try:
            self.control.send(f"kill {worker.known_pid()}".encode())
        except OSError:  # it has ended, and with it whom it was to kill
            pass
        return True

    def _told(self, events: int) -> None:
        while True:
            try:
                message = self.control.recv(4096)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self._ended()
                return
            what, *numbers = message.decode().split()
            if what == "born":
                worker = self.unborn.popleft()
                self.living[int(numbers[0])] = worker
                worker.is_called(int(numbers[0]))
            elif what == "unborn":
                self.unborn.popleft().link.hang_up()
            else:
                pid, status, memory = map(int, numbers)
                worker_gone = self.living.pop(pid, None)
                if worker_gone is not None:
                    worker_gone.ended(status, memory)

    def _ended(self) -> None:
        self.gone = True
        board.forget(self.control)
        self.control.close()
        for kind in [kind for kind, server in forkservers.items() if server is self]:
            forkservers.pop(kind, None)
        _reap(self.pid)
        for worker in [*self.living.values(), *self.unborn]:  # they die with it, and nobody else will tell
            worker.link.hang_up()


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def _descriptors(idle: list[Worker]) -> set[int]:
    return {server.control.fileno() for server in forkservers.values()}


def _forget_all() -> None:
    """In a forked child: they are the parent's."""
    for server in forkservers.values():
        server.gone = True
        server.control.close()
    forkservers.clear()


kept.append(_descriptors)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
