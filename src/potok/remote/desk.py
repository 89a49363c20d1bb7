"""The program's desk for log records of its workers: who wants them, and the thread that has them handled.

A handler may be slow, wait or raise. So the thread that leads the links only puts what comes into a queue; a thread
of the desk's own gives it to the logger of the same name, whose level, filters and handlers apply. What a handler
raises is printed; a handler that never returns holds up records, and nothing else.

Invariants
    Records of one worker are handled in the order in which they were logged, and lines of its life in their place.
    When `end` returns, what was logged before is handled; unless a worker or a handler takes longer than `PATIENCE`.
    The thread is there while records are wanted and some have come.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from potok.kernel.services import service_thread
from potok.remote.calling import Round, Slot, ask, block_for
from potok.remote.home import Home, home
from potok.remote.link import Link
from potok.remote.records import LIFE, made, naming

__all__ = ["begin", "end", "greet", "lose", "tell"]

PATIENCE = 5.0  # seconds that `end` gives the workers to answer, and handlers to be done

Token = tuple[int, int]
"""Somebody who wants records: the address space, and a number."""


class Desk:
    """One for each program."""

    def __init__(self) -> None:
        self.wanted: dict[Token, int] = {}  # by each who wants records, from which level on
        self.leaving: set[Token] = set()  # who wants those that were logged before
        self.told: int | None = None  # what workers know of it
        self.changing = threading.RLock()  # around these three, and telling; nobody waits while he has it
        self._lock = threading.Lock()  # around the thread
        self._thread: threading.Thread | None = None
        self._arrived: queue.SimpleQueue[Any]  # this thread's

    @property
    def level(self) -> int | None:
        """From which on anybody wants records."""
        return min(self.wanted.copy().values(), default=None)

    def put(self, make: Callable[..., logging.LogRecord], *args: Any) -> None:
        """Have the record handled that `make(*args)` makes. Never waits."""
        with self._lock:
            if self.wanted or self.leaving:
                if self._thread is None:
                    self._begin()
                self._arrived.put((make, args))

    def _begin(self) -> None:
        self._arrived = queue.SimpleQueue()
        self._thread = service_thread(_run, "potok-logs", (self._arrived,))
        self._thread.start()
        atexit.register(self.finish)

    def finish(self) -> None:
        """Wait until what has come is handled, but not for ever; then the thread ends."""
        thread = self._thread
        if thread is None or thread.ident == threading.get_ident():
            self.dismiss()
            return
        if block_for(self.dismiss, timeout=PATIENCE):
            thread.join()
        else:
            print(
                f"potok.logs: a logging handler has been busy for {PATIENCE:g} s: records of workers may be lost",
                file=sys.stderr,
            )

    def dismiss(self, slot: Slot | None = None) -> None:
        """Let the thread end when it has handled what has come, and answer then. Never waits."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._arrived.put((None, slot))
        if thread is not None:
            atexit.unregister(self.finish)
        elif slot is not None:
            slot.answered(True)


def _run(arrived: queue.SimpleQueue[Any]) -> None:
    while True:
        make, args = arrived.get()
        if make is None:
            if args is not None:
                args.answered(True)
            return
        try:
            _handle(make(*args))
        except BaseException:
            if logging.raiseExceptions:
                traceback.print_exc()


def _handle(record: logging.LogRecord) -> None:
    logger = logging.getLogger(record.name)
    if logger.isEnabledFor(record.levelno):
        logger.handle(record)


desk = Desk()
_numbers = itertools.count(1)


# ── who wants them ──────────────────────────────────────────────────────────────────────────────────────────


def begin(level: int) -> Token:
    """Want records from that level on, from all workers, those that there are and those to come."""
    token = home.space, next(_numbers)
    if home.space:
        ask((0, 0, "begin_records", False, (token, level)))
    else:
        _begin(token, level)
    return token


def end(token: Token) -> None:
    """Want them no more. Blocks for the moment until what was logged is handled. Idempotent."""
    if home.space:
        ask((0, 0, "end_records", False, (token,)))
        return
    block_for(lambda slot: _leave(token, slot), timeout=PATIENCE)
    _forget(token, desk.finish)


def _begin(token: Token, level: int) -> None:
    with desk.changing:
        desk.wanted[token] = level
        naming.start()
        _tell()


def _leave(token: Token, slot: Slot) -> None:
    with desk.changing:
        if desk.wanted.pop(token, None) is not None:
            desk.leaving.add(token)
        _tell(slot)


def _forget(token: Token, finish: Callable[[], None]) -> None:
    with desk.changing:
        desk.wanted.pop(token, None)
        desk.leaving.discard(token)
        _tell()
        last = not (desk.wanted or desk.leaving)
        if last:
            naming.stop()
    if last:
        finish()


def _tell(slot: Slot | None = None) -> None:
    """Have the workers know what is wanted; answer the slot when they do."""
    level = desk.level
    links = list(home.links.values()) if level != desk.told else []
    desk.told = level
    _want(links, level, slot)


def _want(links: list[Link], level: int | None, slot: Slot | None = None) -> None:
    """Tell these workers; when all have answered, so is the slot."""

    def told() -> None:
        if slot is not None:
            slot.answered(True)

    Round(links, "want_records", False, (level,), [], told)


def greet(link: Link) -> None:
    """A worker is new: tell it before its first task."""
    with desk.changing:
        if desk.told is not None:
            _want([link], desk.told)


def lose(space: int) -> None:
    """A worker is gone: it wants nothing any more."""
    for token in [token for token in desk.wanted.copy() if token[0] == space]:
        _forget(token, desk.dismiss)


def _serve_begin(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    token, level, _ = args
    _begin(token, level)
    link.answer(number, None)


def _serve_end(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    _forget(args[0], desk.dismiss)
    link.answer(number, None)


home.space_ops["begin_records"] = _serve_begin
home.space_ops["end_records"] = _serve_end


# ── what comes ──────────────────────────────────────────────────────────────────────────────────────────────


def _noted(link: Link, fields: dict[str, Any], extra: dict[str, Any]) -> None:
    link.last.append(("logged", fields["levelname"], fields["name"], fields["msg"], fields["args"]))
    desk.put(made, fields, extra)


home.note_ops["record"] = _noted


def tell(space: int, pid: int, told: str, *args: object) -> None:
    """A line of the life of that worker, at INFO."""
    level = desk.level
    if level is not None and level <= logging.INFO:
        desk.put(_line, space, pid, told, args)


def _line(space: int, pid: int, told: str, args: tuple[object, ...]) -> logging.LogRecord:
    record = logging.LogRecord(LIFE, logging.INFO, __file__, 0, told, args, None)
    record.process, record.processName = pid, f"worker-{space}"
    record.taskName = None
    return record


def _reset() -> None:
    """In a forked child: the workers are the parent's."""
    desk.__init__()  # type: ignore[misc]
    naming.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset)
