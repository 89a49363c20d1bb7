"""The stream of events: what tasks did, to whoever subscribes.

Nothing is paid when nobody listens but the test of an empty tuple: emitters write `if events.sinks: emit(...)`.
A sink is called in the thread and at the place where it happened, so it must be quick and must not use potok's
primitives; one that raises is dropped, with a log line, and the program goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

__all__ = ["Event", "Sink", "emit", "sinks", "subscribe", "subscribed", "unsubscribe"]


class Event(NamedTuple):
    """Something that happened: `kind` in the past tense, the task it happened to, and to what."""

    kind: str  # "Started", "Parked", "Woken", "Ended", "Cancelled"
    task: Any
    time: float  # seconds on the clock of the task's kernel
    subject: Any = None  # the waiter, machine or scope concerned
    detail: Any = None


Sink = Callable[[Event], object]

sinks: list[Sink] = []  # replaced element-wise under `_lock`; emitters read a snapshot
_lock = threading.Lock()


def subscribe(sink: Sink) -> None:
    """Send every further event to `sink`."""
    with _lock:
        sinks.append(sink)


def unsubscribe(sink: Sink) -> None:
    """Send no more events to `sink`; unknown sinks are ignored."""
    with _lock:
        if sink in sinks:
            sinks.remove(sink)


@contextmanager
def subscribed(sink: Sink) -> Iterator[Sink]:
    """Subscribe for the time of a `with` block."""
    subscribe(sink)
    try:
        yield sink
    finally:
        unsubscribe(sink)


def emit(kind: str, task: Any, subject: Any = None, detail: Any = None) -> None:
    """Tell all sinks. Call it only where `sinks` is not empty."""
    event = Event(kind, task, task.kernel.now(), subject, detail)
    for sink in tuple(sinks):
        try:
            sink(event)
        except Exception:
            unsubscribe(sink)
            _log_dropped(sink)


def _log_dropped(sink: Sink) -> None:
    import logging

    logging.getLogger("potok").exception("the event sink %r failed and was dropped", sink)
