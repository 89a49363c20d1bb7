"""*interpreters*: each task has a sub-interpreter to itself, idle or new; nothing is shared but through links.

    this interpreter ──exec, in a thread──▶ sub-interpreter: one task at a time, in that thread, under a GIL of its own
            └──────────────── link (a socket pair for each, within one process) ───────────────┘

As processes, in one: cheaper to make where nothing can be forked, and one process to whoever looks from outside. What
it costs: it can't be killed, so a task that never parks is never stopped; a crash or `os._exit` in one ends all; and
modules in C that do not say that they can be loaded in a sub-interpreter, numpy and greenlet among them, are not.
From Python 3.14 on.
"""

from __future__ import annotations

import importlib
import socket
import sys

from potok.executors.interpreters.options import Options
from potok.remote.executing import WorkerExecutor

__all__ = ["Interpreters", "Options", "unsupported"]


class Interpreters(WorkerExecutor):
    """`on="interpreters"`. See `potok.interpreters` for the options."""

    name = "interpreters"


def unsupported() -> str:
    """Why there can be no interpreters here; "" if there can."""
    version = sys.version.split()[0]
    instead = 'take on="processes", which gives each task an address space too, or on="threads"'
    if tuple(sys.version_info) < (3, 14):
        return f"the executor interpreters needs Python 3.14 or newer, and this is {version}: {instead}"
    try:
        importlib.import_module("_interpreters")
    except ImportError as error:
        return f"this Python {version} has no sub-interpreters ({error}): {instead}"
    if not hasattr(socket, "AF_UNIX"):
        return f"the executor interpreters needs socket pairs of AF_UNIX, which are not here: {instead}"
    return ""
