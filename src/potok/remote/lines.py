r"""Whole lines on a stream that several processes write to: stdout and stderr of workers.

All workers have the descriptors of the program. The system writes up to PIPE_BUF bytes of one `write` together, to a
pipe, a terminal or a file alike; Python's own buffers cut wherever they are full. So here what is printed is gathered
until a line is whole, for each thread, and whole lines go out in pieces of at most PIPE_BUF bytes.

    print("a", "b") ──▶ "a" " " "b" "\n"  ──▶  one write(2) of "a b\n"

Invariants
    A line of up to PIPE_BUF bytes, its end included, is written by one `write(2)`; none is held back once it is whole.
    What is no whole line yet goes out when it is flushed, by its thread or (`flush_all`) as the task ends.
What subprocesses write, and C libraries, is their own affair.
"""

from __future__ import annotations

import io
import os
import select
import sys
import threading
from typing import Any

__all__ = ["WholeLines", "flush_all", "print_whole_lines"]

PIPE_BUF = getattr(select, "PIPE_BUF", 512)


class WholeLines(io.RawIOBase):
    """The bytes below a text stream: gathers lines, writes them whole."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._parts: dict[int, bytearray] = {}  # by thread: the beginning of a line

    def write(self, data: Any) -> int:
        part = self._part()
        size = len(part)
        part += data
        taken = len(part) - size
        end = part.rfind(b"\n", size) + 1
        if not end and len(part) > PIPE_BUF:  # too long to be kept whole
            end = len(part)
        if end:
            self._write_begun(part, end)
        return taken

    def _part(self) -> bytearray:
        """What this thread has begun. It is never taken out: a signal handler may print in between."""
        me = threading.get_ident()
        part = self._parts.get(me)
        if part is None:
            part = self._parts.setdefault(me, bytearray())
        return part

    def _write_begun(self, part: bytearray, end: int) -> None:
        out = bytes(part[:end])
        del part[:end]
        if out:
            self._write_lines(out)

    def _write_lines(self, data: bytes) -> None:
        if len(data) <= PIPE_BUF:
            self._write_all(data)
            return
        start = 0
        while start < len(data):
            end = (
                data.rfind(b"\n", start, start + PIPE_BUF) + 1 if len(data) - start > PIPE_BUF else len(data)
            )
            if end <= start:  # a line that is too long goes alone
                end = data.find(b"\n", start) + 1 or len(data)
            self._write_all(data[start:end])
            start = end

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:  # somebody has set the program's stream so
                select.select((), (self._fd,), ())

    def flush(self) -> None:
        """Write what this thread has begun."""
        part = self._part()
        self._write_begun(part, len(part))

    def flush_all(self) -> None:
        """Write what any thread has begun."""
        for part in list(self._parts.values()):
            if part:
                self._write_begun(part, len(part))

    def forget(self) -> None:
        """In a forked child: what was begun is the parent's to write."""
        self._parts.clear()

    def fileno(self) -> int:
        return self._fd

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._fd)


_installed: list[WholeLines] = []
_ours: list[Any] = [None, None]  # the text streams above those: stdout, stderr


def print_whole_lines() -> None:
    """Have this process print whole lines, once and for all."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        try:
            stream.flush()
            raw = WholeLines(stream.fileno())
            text = io.TextIOWrapper(raw, stream.encoding, stream.errors, write_through=True)  # type: ignore[type-var]
        except (AttributeError, OSError, ValueError):  # there is none, or it is no file
            continue
        _installed.append(raw)
        _ours[name == "stderr"] = text
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    for raw in _installed:
        raw.forget()


def flush_all() -> None:
    """Write what was printed without an end of line. Never raises."""
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    for stream, ours in zip(streams, _ours, strict=True):
        try:
            if stream is not ours or ours is None or not ours.write_through:  # else it keeps nothing back
                stream.flush()
        except (AttributeError, OSError, ValueError):  # there is none; it was closed, or nobody reads it
            pass
    for raw in _installed:
        try:
            raw.flush_all()
        except OSError:
            pass
