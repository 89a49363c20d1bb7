"""Tasks in other address spaces: handles on them, and how their home serves them."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import Any

from potok.errors import PotokError
from potok.kernel.cancelling import cancel_task
from potok.kernel.current import carrier
from potok.kernel.task import Task
from potok.links.packing import Packed, Ref, pack, pack_error, safely_opened, told
from potok.machines.waiting import PARKED, Arm, new_arm
from potok.remote.board import board
from potok.remote.calling import Remote, ask, park_for
from potok.remote.channels import Watch, watch_here
from potok.remote.home import Home, home
from potok.remote.link import Link
from potok.remote.parties import PARKED_TOLD, Party

__all__ = ["RemoteTask", "outcome_of", "take_outcome"]


class TaskHome(Remote):
    """The scope that a task elsewhere belongs to, as far as it can be seen from here: its end can be waited for."""

    __slots__ = ()

    host = parent = reason = deadline = None
    shield = False
    ended = True  # nobody here has to tell it of failures
    children = members = ()
    handed: Any = MappingProxyType({})

    def join(self, party: Any, member: Any) -> Any:
        if member.finished:
            return None
        request = (*self.ref, "join", party is not None, ())
        well = partial(take_outcome, member)
        if party is not None:
            return park_for(self, party, "join", request, None, well)
        got = ask(request)
        return PARKED if got == PARKED_TOLD else well(got)

    def ready(self, arm: Arm) -> bool:
        return arm.item.finished or self.join(None, arm.item) is not PARKED

    attempt = ready

    def enqueue(self, arm: Arm) -> None:
        """Be told when it may be worth another try."""
        member, arm.item = arm.item, Watch(arm)
        arm.item.send(self.ref[0], (*member.ref, "watch", True, ()))


class RemoteTask(Task[Any]):
    """A handle on a task that belongs to a scope elsewhere."""

    __slots__ = ("count", "known", "ref", "remote_pid")

    def __init__(self, ref: Ref, kind: str, label: str, executor: str, pid: int | None) -> None:
        super().__init__(_elsewhere, (), TaskHome(ref), label)
        self.ref = ref
        self.known = (kind, label, executor, pid)
        self.count = 0
        self.kernel = _Elsewhere()
        self.executor = executor
        self.remote_pid = pid
        self.started = True

    @property
    def pid(self) -> int:
        return self.remote_pid or 0

    def done(self) -> bool:
        return self.finished or self.home.join(None, self) is not PARKED

    def __del__(self) -> None:
        if getattr(self, "count", 0):
            board.soon(partial(home.let_go, self.ref, self.count))


class _Elsewhere:
    """The kernel of a task that runs in another address space."""

    def interrupt(self, task: RemoteTask) -> None:
        reason = task.reason[0] if task.reason is not None else ""
        home.link_to(task.ref[0]).note("tell", *task.ref, "cancel", (pack(reason),))


def _elsewhere() -> None:
    """What the handle on a task elsewhere is said to run."""


def outcome_of(task: Task[Any]) -> tuple[Any, ...]:
    """How a finished task ended, as it is sent: `take_outcome` is the reverse."""
    if task.error is not None:
        return ("failed", *pack_error(task.error))
    value = task.value
    try:
        return "returned", value if isinstance(value, Packed) else pack(value)
    except Exception as error:
        return ("failed", *pack_error(error))


def take_outcome(task: Task[Any], outcome: tuple[Any, ...]) -> None:
    """End the handle as the task has ended."""
    kind, *rest = outcome
    if kind == "returned":
        task.value = rest[0]
    else:
        task.error = told(*rest)
    task.finished = True


def _export(task: Task[Any]) -> tuple[Any, ...]:
    return "task", task.name, task.executor, task.pid


def _serve(at: Home, link: Link, number: int, task: Any, op: str, wait: bool, args: tuple[Any, ...]) -> None:
    machine = task.home
    if op == "join":
        party = Party(link, number)
        party.done = partial(_ended, task)
        at.park(party, machine.guard.run, wait, (carrier(), machine.join, party if wait else None, task))
    elif op == "watch":
        watch_here(at, link, number, new_arm(machine, "join", task))
    elif op == "cancel":
        (reason,) = args
        cancel_task(task, safely_opened(reason))
    else:
        raise PotokError(f"a task has no operation {op!r}")


def _ended(task: Task[Any], _: Any) -> tuple[Any, ...]:
    task.asked = True
    return outcome_of(task)


home.serves[Task] = _serve
home.exports[Task] = home.exports[RemoteTask] = _export
home.makes["task"] = RemoteTask
