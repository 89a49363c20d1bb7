"""Fresh interpreters: how they are started, and the one that is to be a forkserver, while this process still imports.

Apart from `forking` and `spawning`: what those need takes as long to import as the interpreter takes to come up.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress

from potok.executors.processes.limits import environment

__all__ = ["HANDED_FD", "begin_forkserver", "forkserver_process", "spawn"]

HANDED_FD = 3

Kind = tuple[tuple[str, ...], int]
"""Of a forkserver: what it has preloaded, and how many threads that may start."""

_begun: dict[Kind, tuple[int, socket.socket]] = {}
_beginning = threading.Lock()


def spawn(code: str, sock: socket.socket, threads: int) -> int:
    """A fresh interpreter that runs `code`, with the socket as descriptor `HANDED_FD`; its pid.

    Libraries that it loads may start so many threads.
    """
    program = f"import sys; sys.path[:] = {sys.path!r}; {code}"
    arguments = [sys.executable, *subprocess._args_from_interpreter_flags(), "-c", program]  # type: ignore[attr-defined]
    fd = os.dup(sock.fileno()) if sock.fileno() == HANDED_FD else sock.fileno()
    try:
        return os.posix_spawn(
            sys.executable,
            arguments,
            environment(threads, os.environ),
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, HANDED_FD)],
            setsigmask=[signal.SIGINT],  # until its handler is there
        )
    finally:
        if fd != sock.fileno():
            os.close(fd)


def begin_forkserver(kind: Kind) -> bool:
    """Have one of this kind come up, that `forkserver_process` gives then; whether there is one."""
    with _beginning, suppress(OSError):  # whoever wants a worker is told
        if kind not in _begun:
            _begun[kind] = _forkserver(kind)
    return kind in _begun


def forkserver_process(kind: Kind) -> tuple[int, socket.socket]:
    """Its pid and our end of its control socket: of the one that was begun, or of a new one."""
    with _beginning:
        begun = _begun.pop(kind, None)
    return begun or _forkserver(kind)


def _forkserver(kind: Kind) -> tuple[int, socket.socket]:
    preload, threads = kind
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        try:
            code = f"from potok.executors.processes.forkserver import main; main({HANDED_FD}, {preload!r})"
            pid = spawn(code, there, threads)
        except BaseException:
            here.close()
            raise
    here.setblocking(False)
    return pid, here


def _forget_all() -> None:
    """In a forked child: they are the parent's."""
    global _beginning
    _beginning = threading.Lock()
    for _, sock in _begun.values():
        sock.close()
    _begun.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
