"""Log records of workers, on their way to the handlers of the program: the workers' side. The other is in `desk`.

    worker: logger ──▶ root ──▶ Shipper ──▶ note on the link, written before `logger.info()` returns
    program: the thread that leads ──▶ queue ──▶ the thread "potok-logs" ──▶ the logger of the same name

A record that was logged is out of its worker's memory: what kills that worker next does not kill the record.

Invariants
    At a worker's loggers there is one handler of potok's, at the root, while records are wanted; at the program's none.
    What crosses is text and plain values, and pickles of extra attributes. Arguments of other kinds are formatted here.
    What is logged while a record is shipped goes to stderr, and is not shipped.
"""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable
from typing import Any

from potok.kernel.current import getcurrent
from potok.kernel.services import service_thread
from potok.links.packing import PLAIN, all_plain
from potok.remote.home import Home, home
from potok.remote.link import Link

__all__ = ["LIFE", "life", "made", "naming", "settle"]

LIFE = "potok.workers"  # the logger of life-cycle lines
USUAL = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"asctime", "message", "taskName"}


# ── a record on its way ─────────────────────────────────────────────────────────────────────────────────────


def _packed(record: logging.LogRecord) -> tuple[dict[str, Any], dict[str, Any]]:
    """The record as plain values, and its extra attributes as pickles, or as they look."""
    fields, extra = {}, {}
    for name, value in vars(record).items():
        if type(value) in PLAIN:
            fields[name] = value
        elif name not in USUAL:
            extra[name] = _pickled(value)
    if type(record.msg) is str and _is_plain(record.args):
        fields["args"] = record.args
    else:
        fields["msg"], fields["args"] = record.getMessage(), None
    if record.exc_info and not record.exc_text:
        fields["exc_text"] = _formatter.formatException(record.exc_info)
    fields["processName"] = f"worker-{home.space}"
    return fields, extra


_formatter = logging.Formatter()


def _is_plain(args: Any) -> bool:
    if not args:
        return True
    values = args.values() if type(args) is dict else args if type(args) is tuple else (args,)
    return all_plain(values)


def _pickled(value: Any) -> Any:
    """Its pickle, or how it looks."""
    try:
        return pickle.dumps(value, 5)
    except Exception:
        return f"{value!r:.200}"


def made(fields: dict[str, Any], extra: dict[str, Any]) -> logging.LogRecord:
    """The record again, in the program."""
    record = logging.makeLogRecord(fields)
    for name, value in extra.items():
        if isinstance(value, bytes):
            try:
                value = pickle.loads(value)  # noqa: S301, PLW2901 - from a socket that this run made itself
            except Exception as error:
                value = f"(can't be unpickled here: {error})"  # noqa: PLW2901
        setattr(record, name, value)
    return record


# ── which task: in the program and in workers ───────────────────────────────────────────────────────────────


class _Factory:
    """Makes records that say by `taskName` which task of potok's has made them."""

    def __init__(self, former: Callable[..., logging.LogRecord]) -> None:
        self.former = former
        self.on = True

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.former(*args, **kwargs)
        if self.on:
            task = getattr(getcurrent(), "task", None)
            if task is not None:
                record.taskName = task.name
            elif not hasattr(record, "taskName"):  # before 3.12
                record.taskName = None
        return record


class _Naming:
    """While records are wanted, logging's factory is one of ours, over the one that was there."""

    def __init__(self) -> None:
        self._factory: _Factory | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        with self._lock:
            if self._factory is None:
                self._factory = _Factory(logging.getLogRecordFactory())
                logging.setLogRecordFactory(self._factory)

    def stop(self) -> None:
        """Where somebody has put another factory over it, it stays below, and does nothing."""
        with self._lock:
            factory, self._factory = self._factory, None
            if factory is not None:
                factory.on = False
                if logging.getLogRecordFactory() is factory:
                    logging.setLogRecordFactory(factory.former)

    def reset(self) -> None:
        """In a forked child, where nobody is left who might have the lock."""
        self._lock = threading.Lock()
        self.stop()


naming = _Naming()


# ── in a worker ─────────────────────────────────────────────────────────────────────────────────────────────


class Shipper(logging.Handler):
    """The handler at a worker's root logger."""

    def __init__(self) -> None:
        super().__init__()
        self._busy = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        link = home.links.get(0)
        if link is None or getattr(self._busy, "now", False):
            if logging.lastResort is not None:
                logging.lastResort.handle(record)
            return
        try:
            fields, extra = _packed(record)
            self._busy.now = True
            try:
                link.note("record", fields, extra)
                link.drain()
            finally:
                self._busy.now = False
        except Exception:
            self.handleError(record)


class _Shipping:
    """Whether this worker ships, and what it was like before."""

    def __init__(self) -> None:
        self.wanted: int | None = None
        self._handler = Shipper()
        self._level: int | None = None  # that we have set
        self._former = logging.WARNING
        self._lock = threading.Lock()

    def settle(self) -> None:
        root = logging.getLogger()
        with self._lock:
            wanted = self.wanted
            if wanted is None:
                if self._level is not None:
                    root.removeHandler(self._handler)
                    if root.level == self._level:
                        root.setLevel(self._former)
                    self._level = None
                    naming.stop()
                return
            if self._handler not in root.handlers:  # not yet, or the user's code has cleared them
                root.addHandler(self._handler)
            if self._level != wanted:
                if self._level is None or root.level != self._level:
                    self._former = root.level
                root.setLevel(wanted)
                self._level = wanted
            naming.start()


_shipping = _Shipping()


def settle() -> None:
    """In a worker, before each task: ship what it logs, if that is wanted."""
    if _shipping.wanted is not None or _shipping._level is not None:
        _shipping.settle()


def life(task: str, told: str) -> None:
    """In a worker: a line of its life, about that task."""
    if _shipping.wanted is not None and (logger := logging.getLogger(LIFE)).isEnabledFor(logging.INFO):
        record = logger.makeRecord(LIFE, logging.INFO, __file__, 0, "task %s %s", (task, told), None)
        record.taskName = task
        logger.handle(record)


def _want(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    """The program wants records from that level on, or none. It is answered when that is so.

    Not by the thread that leads: whoever configures logging just now holds its lock, and may wait for an answer.
    """
    level, _ = args
    _shipping.wanted = level

    def obey() -> None:
        _shipping.settle()
        link.answer(number, None)

    try:
        service_thread(obey, "potok-logs").start()
    except RuntimeError:  # no more threads, or no daemons here: sub-interpreters may have none
        obey()


home.space_ops["want_records"] = _want
