"""The forkserver: a warm process with one thread that forks workers, reaps them, and tells what became of them.

    request: "fork", with the worker's end of its link attached; or "kill <pid>"      (one message each)
    told:    "born <pid>", in the order of the requests; "died <pid> <exit status as of waitpid>
             <bytes of memory that it had at most>"

A fork of the program itself would copy its threads' locks in whatever state they are; this process has no threads.
The end of the control socket is the end of the program: the server leaves, and its workers are killed with it.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from potok.executors.processes.limits import peak_memory

__all__ = ["main"]

PR_SET_PDEATHSIG = 1
MESSAGE = 4096  # bytes at most


def main(control_fd: int, preload: tuple[str, ...] = ()) -> None:  # noqa: C901 - a loop over its requests
    """Serve until the program has ended. Returns in the workers only, when these have ended."""
    signal.signal(signal.SIGINT, _pass_over)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    _close_stdin()
    work, die_with_parent = _warm_up(preload)
    gc.freeze()  # workers that collect their garbage leave alone what they share with us
    control = socket.socket(fileno=control_fd)
    bell_in, bell_out = os.pipe()
    os.set_blocking(bell_in, False)
    os.set_blocking(bell_out, False)
    signal.set_wakeup_fd(bell_out, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _pass_over)
    polls = selectors.DefaultSelector()
    polls.register(control, selectors.EVENT_READ)
    polls.register(bell_in, selectors.EVENT_READ)
    me = os.getpid()
    children: set[int] = set()
    while True:
        for key, _ in polls.select():
            if key.fileobj is control:
                try:
                    message, fds, _, _ = socket.recv_fds(control, MESSAGE, 1)
                except ConnectionResetError:  # it has not read all that it was told
                    message, fds = b"", []
                if not message:
                    _end(children)
                if message == b"fork":
                    try:
                        pid = os.fork()
                    except OSError:  # too many processes, say
                        os.close(fds[0])
                        _tell(control, "unborn 0")
                        continue
                    if pid == 0:
                        signal.set_wakeup_fd(-1)
                        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                        polls.close()
                        for fd in (bell_in, bell_out):
                            os.close(fd)
                        control.close()
                        die_with_parent(me)
                        work(fds[0])
                        return
                    children.add(pid)
                    os.close(fds[0])
                    _tell(control, f"born {pid}")
                elif message.startswith(b"kill "):
                    pid = int(message[5:])
                    if pid in children:
                        os.kill(pid, signal.SIGKILL)
            else:
                os.read(bell_in, MESSAGE)
        _reap(control, children)


def _end(children: set[int]) -> None:
    """The program has ended: leave nobody behind."""
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for pid in children:
        os.waitpid(pid, 0)
    os._exit(0)


def _reap(control: socket.socket, children: set[int]) -> None:
    while children:
        pid, status, used = os.wait4(-1, os.WNOHANG)
        if pid == 0:
            return
        children.discard(pid)
        _tell(control, f"died {pid} {os.waitstatus_to_exitcode(status)} {peak_memory(used)}")


def _tell(control: socket.socket, message: str) -> None:
    try:
        control.send(message.encode())
    except OSError:  # the program has ended, as will be heard next
        pass


def _pass_over(number: int, frame: Any) -> None:
    """Ignoring the signal would have the children of children ignore it, too."""


def _close_stdin() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _warm_up(preload: tuple[str, ...]) -> tuple[Callable[[int], None], Callable[[int], None]]:
    """Import once what every worker needs."""
    import ctypes
    import importlib

    from potok.executors.processes.worker import work

    for name in preload:
        try:
            importlib.import_module(name)
        except BaseException as error:
            print(f"potok: preload of {name!r} failed: {error!r}", file=sys.stderr)
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def die_with_parent(parent: int) -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return work, die_with_parent
