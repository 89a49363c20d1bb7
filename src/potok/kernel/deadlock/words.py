"""A deadlock in words: who waits for what, held by whom, started where, since when."""

from __future__ import annotations

import dis
import os
import sys
import time
from collections.abc import Collection
from types import CodeType
from typing import Any

from potok.kernel.callers import users_frame
from potok.kernel.stuck import frame_of
from potok.kernel.task import Task
from potok.machines.scope import ScopeMachine
from potok.machines.waiting import Waiter

__all__ = ["ended_by", "sentence", "waits", "who"]


def sentence(lines: list[str], total: bool) -> str:
    """The whole message, of what is told of each task."""
    if len(lines) == 1:
        head = "deadlock: this task waits for what can never come"
    else:
        head = f"deadlock: these {len(lines)} tasks wait for each other"
    if total:
        head += ", and nothing else is left in the program that could wake anybody"
    return "\n".join([head, *lines])


def who(task: Task[Any]) -> str:
    """A task, on what it runs, and where it was started."""
    return f"  {task.name} on {task.executor}{_started_at(task)}"


def waits(task: Task[Any], waiter: Waiter) -> str:
    """Since when it is parked, where, and for what."""
    since = max(0.0, time.monotonic() - waiter.since)
    return f" has waited {since:.1f} s{_where(task)}: {waiter.op} on {_what(waiter)}"


def ended_by(rescuers: Collection[str]) -> str:
    """Who could end that wait."""
    if not rescuers:
        return ", which nobody is left to end"
    return f", which only {' or '.join(sorted(rescuers))} could end"


def _what(waiter: Waiter) -> str:
    arms = getattr(waiter.machine, "arms", None)
    if arms:
        return "any of " + ", ".join(f"{arm.op} on {arm.machine.describe()}" for arm in arms)
    if isinstance(waiter.machine, ScopeMachine) and isinstance(waiter.item, Task):
        return f"task {waiter.item.name}"
    holder = "" if waiter.machine.away else getattr(getattr(waiter.machine, "holder", None), "name", "")
    return f"{waiter.machine.describe()}{' held by ' + holder if holder else ''}"


def _started_at(task: Task[Any]) -> str:
    """The place of the call that started it, if that is known."""
    if task.origin is None:
        return ""
    code, offset = task.origin
    return f", started at {_short(code)}:{_line_of(code, offset)}"


def _line_of(code: CodeType, offset: int) -> int:
    line = code.co_firstlineno
    for start, number in dis.findlinestarts(code):
        if start > offset:
            break
        line = number or line
    return line


def _where(task: Task[Any]) -> str:
    """The user's code that waits."""
    frame = users_frame(frame_of(task))
    return "" if frame is None else f" at {_short(frame.f_code)}:{frame.f_lineno}"


def _short(code: CodeType) -> str:
    name = code.co_filename
    for root in sorted(filter(None, sys.path), key=len, reverse=True):
        if name.startswith(root + os.sep):
            return name[len(root) + 1 :]
    return name
