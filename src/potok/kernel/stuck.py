"""Who lives, what each waits for, since when, and where: for reports, the dump by signal, and error messages."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple

from potok.kernel.root import implicit, root
from potok.kernel.task import Task
from potok.kernel.weakly import items_of
from potok.machines.scope import ScopeMachine
from potok.machines.select import Group

__all__ = ["TaskInfo", "dump", "frame_of", "live_tasks", "living", "place", "report_survivors"]


class TaskInfo(NamedTuple):
    """One live task, as `potok.tasks()` lists it."""

    task: Task[Any]
    name: str
    executor: str
    waits_for: str  # "" when it runs
    since: float | None  # seconds it has waited
    held_by: str  # the holder of the lock it waits for, if there is one

    def __str__(self) -> str:
        if not self.waits_for:
            return f"{self.name} on {self.executor}: {self.task.state()}"
        held = f", held by {self.held_by}" if self.held_by else ""
        return f"{self.name} on {self.executor}: waits for {self.waits_for}{held}, for {self.since:.3f} s"


def live_tasks(ask_holders: bool = False) -> list[TaskInfo]:
    """Every live task of this process, adopted ones that wait included, in the order they were started.

    `ask_holders`: also of what has its home in another address space, which takes a round trip.
    """
    return [_info(task, ask_holders) for task in sorted(living(), key=lambda task: task.id)]


def living() -> set[Task[Any]]:
    """Every live task of this process, adopted ones that wait included."""
    found = {task for _, task in items_of(implicit) if task.waiter is not None}
    found.update(task for task in _below(root) if not task.finished)
    return found


def _below(scope: ScopeMachine) -> Iterator[Task[Any]]:
    yield from list(scope.members)
    for child in list(scope.children):
        if child.host is not None:
            yield child.host
        yield from _below(child)


def _info(task: Task[Any], ask_holders: bool = False) -> TaskInfo:
    waiter = task.waiter
    if waiter is None:
        return TaskInfo(task, task.name, task.executor, "", None, "")
    since = max(0.0, task.kernel.now() - waiter.since) if waiter.since > 0 else 0.0
    away = getattr(waiter.machine, "away", False)
    holder = None if away and not ask_holders else getattr(waiter.machine, "holder", None)
    held_by = getattr(holder, "name", "")
    return TaskInfo(
        task, task.name, task.executor, f"{waiter.op} on {waiter.machine.describe()}", since, held_by
    )


def place(task: Task[Any]) -> Any:
    """The waiter or asyncio future at which the task is parked; None if it runs, or is about to."""
    waiter = task.waiter
    if waiter is not None:
        group = waiter.machine
        woken = waiter.claimed or (isinstance(group, Group) and not group.open)
        return None if woken else waiter
    future = getattr(task.value, "_fut_waiter", None)  # of the asyncio task that carries it, if one does
    return None if future is None or future.done() else future


def frame_of(task: Task[Any]) -> FrameType | None:
    """Where the task is, if it can be seen from here."""
    strand = getattr(task, "greenlet", None)
    if strand is not None and strand.gr_frame is not None:
        return strand.gr_frame  # type: ignore[no-any-return]
    ident = getattr(getattr(task, "carrier", None), "ident", None)
    return None if strand is not None or ident is None else sys._current_frames().get(ident)


def dump(file: Any = None) -> None:
    """Print every live task with what it waits for and its stack."""
    out = io.StringIO()
    from potok.kernel.deadlock.proof import looks_stuck

    infos = live_tasks()
    suspects = looks_stuck()
    print(f"potok: {len(infos)} live task(s)", file=out)
    for info in infos:
        print(f"- {info}{' (looks stuck)' if info.task in suspects else ''}", file=out)
        frame = frame_of(info.task)
        if frame is not None:
            out.writelines(traceback.format_stack(frame))
    print(out.getvalue(), end="", file=sys.stderr if file is None else file, flush=True)


def report_survivors(scope: ScopeMachine) -> None:
    """A cancelled scope does not come to its end: name the tasks that keep it, with their stacks."""
    import logging

    lines = []
    for task in list(scope.members):
        frame = frame_of(task)
        stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
        lines.append(f"{_info(task)}\n{stack}")
    logging.getLogger("potok").warning(
        "a cancelled scope still waits for %d task(s) that reached no park point:\n%s",
        len(lines),
        "\n".join(lines),
    )
