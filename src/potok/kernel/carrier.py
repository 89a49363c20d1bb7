"""The OS thread as potok sees it: one `Carrier` for each thread that ever ran a task or called a primitive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

__all__ = ["Carrier", "in_main_thread"]

# A signal that arrives in the moment before the main thread blocks on a lock is not seen until that returns (CPython
# looks for signals before it gives up the GIL, not after). So the main thread comes up for a look now and then.
SIGNAL_LOOK = 0.25


def in_main_thread() -> bool:
    """Whether this is the main thread.

    `threading.current_thread()` would have `threading` list a thread that it did not start, until 3.13 for ever.
    """
    return threading.get_ident() == threading.main_thread().ident


class Carrier:
    """What belongs to one OS thread.

    `inside` says which machine this thread is in the middle of (see `guard`); `owed` is what it has to run once it is
    inside none; `hub` is the run queue of the coroutines this thread carries, if any; `patience` is how many seconds at
    most it may block at a time; `leads` rouses it from where it waits for other address spaces, while it does that;
    `calm`: no signal handler can raise in it, as it has found out just now;
    `bids`: as it has nothing else to do, it takes that from whoever waits for something (see `potok.remote.board`).
    """

    __slots__ = ("__weakref__", "bids", "calm", "hub", "ident", "inside", "leads", "owed", "patience")

    def __init__(self) -> None:
        self.ident = threading.get_ident()
        self.inside: Any = None
        self.owed: list[Callable[[], object]] = []
        self.hub: Any = None
        self.bids = False
        self.calm = False
        self.leads: Callable[[], None] | None = None
        self.patience = SIGNAL_LOOK if in_main_thread() else threading.TIMEOUT_MAX

    @property
    def name(self) -> str:
        """The thread's, where `threading` knows it: C code, `_thread` and the end of any thread may come here, too."""
        names = (thread.name for thread in threading.enumerate() if thread.ident == self.ident)
        return next(names, f"thread {self.ident}")

    @property
    def takes_signals(self) -> bool:
        """Whether it is the main thread, in which signal handlers run."""
        return self.patience == SIGNAL_LOOK

    def rouse(self) -> None:
        """Have it look up, if it waits for other address spaces; its own thread does so anyway."""
        leads = self.leads
        if leads is not None and self.ident != threading.get_ident():
            leads()
