"""The OS thread as potok sees it: one `Carrier` for each thread that ever ran a task or called a primitive."""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["Carrier"]


class Carrier:
    """What belongs to one OS thread.

    `inside` says which machine this thread is in the middle of (see `guard`); `hub` is the run queue of the
    coroutines this thread carries, if any.
    """

    __slots__ = ("__weakref__", "hub", "ident", "inside", "name")

    def __init__(self) -> None:
        thread = threading.current_thread()
        self.ident = threading.get_ident()
        self.name = thread.name
        self.inside: Any = None
        self.hub: Any = None
