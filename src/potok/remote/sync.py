"""Locks, semaphores, events, conditions, barriers, queues in other address spaces, and how their home serves them."""

from __future__ import annotations

from functools import partial
from typing import Any

from potok.errors import PotokError
from potok.kernel.current import carrier
from potok.kernel.task import Task
from potok.links.packing import opened
from potok.machines.barrier import BarrierMachine, Trip
from potok.machines.condition import ConditionMachine
from potok.machines.event import EventMachine
from potok.machines.lock import LockMachine, RLockMachine
from potok.machines.queue import QueueMachine
from potok.machines.semaphore import SemaphoreMachine
from potok.machines.waiting import Arm, Machine, new_arm
from potok.remote.calling import Remote, ask, asks, parks, reads, understood
from potok.remote.channels import NOBODY, Watch, watch_here
from potok.remote.home import Home, home, me_as_owner
from potok.remote.link import Link
from potok.remote.parties import packed, told_of

__all__ = ["RemoteBarrier", "RemoteCondition", "RemoteEvent", "RemoteLock", "RemoteQueue", "RemoteSemaphore"]


def _sent_owner(args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(me_as_owner(arg) if isinstance(arg, Task) else arg for arg in args)


class Selectable(Remote):
    """One that may be an arm of a select."""

    __slots__ = ()

    def attempt(self, arm: Arm) -> bool:
        done, arm.value, error = ask(self.request("attempt", False, self.sent(_arm_args(arm))))
        if error is not None:
            arm.error = understood(error)
        return bool(done)

    def enqueue(self, arm: Arm) -> None:
        """Be told when it may be worth another try."""
        args = self.sent(_arm_args(arm))
        arm.item = Watch(arm)
        arm.item.send(self.ref[0], self.request("watch", True, args))


def _arm_args(arm: Arm) -> tuple[Any, ...]:
    item = arm.item
    return item if isinstance(item, tuple) else (item,)


class RemoteLock(Selectable):
    """A Lock or RLock."""

    __slots__ = ()

    sent = staticmethod(_sent_owner)
    restore = parks("restore")
    held_by = asks("held_by")
    give_up = asks("give_up")
    release = asks("release")
    recover = asks("recover")
    depth = reads("depth")
    _acquire = parks("acquire")

    def acquire(self, party: Any, owner: Any = None) -> Any:
        return self._acquire(party, party if owner is None else owner)

    @property
    def holder(self) -> Any:
        """Who holds it; None if nobody does."""
        known = ask(self.request("read", False, ("holder",)))
        return None if known is None else home.owner(known)


class RemoteSemaphore(Selectable):
    """A semaphore, bounded or not."""

    __slots__ = ()

    acquire = parks("acquire")
    enter = parks("enter")
    leave = asks("leave")
    release = asks("release")
    value = reads("value")
    bound = reads("bound")


class RemoteEvent(Selectable):
    """An event."""

    __slots__ = ()

    wait = parks("wait")
    set = asks("set")
    clear = asks("clear")
    up = reads("up")


class RemoteCondition(Remote):
    """A condition, but for its lock."""

    __slots__ = ()

    wait = parks("wait")
    notify = asks("notify")

    @property
    def waiters(self) -> range:
        """As many as there are."""
        return range(ask(self.request("read", False, ("waiters",))))


class RemoteTrip(Trip):
    """A round whose action this task is to run."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        super().__init__([])
        self.number = number


def _trip_or_number(value: Any) -> Any:
    return RemoteTrip(value[1]) if isinstance(value, tuple) else value


class RemoteBarrier(Remote):
    """A barrier; its action runs where the last party comes."""

    __slots__ = ()

    arrive = parks("arrive", _trip_or_number)
    abort = asks("abort")
    reset = asks("reset")
    parties = reads("parties")
    broken = reads("broken")

    def acted(self, trip: RemoteTrip) -> Any:
        return ask(self.request("acted", False, (trip.number,)))

    @property
    def waiters(self) -> range:
        """As many as there are."""
        return range(ask(self.request("read", False, ("waiters",))))


class RemoteQueue(Remote):
    """A queue of any kind."""

    __slots__ = ()

    atomic = loose = compares = False
    shared = True
    putters = getters = NOBODY

    put = parks("put")
    get = parks("get")
    join = parks("join")
    task_done = asks("task_done")
    shutdown = asks("shutdown")
    resize = asks("resize")
    unfinished = reads("unfinished")
    maxsize = reads("maxsize")
    is_shutdown = reads("is_shutdown")

    @property
    def name(self) -> str:
        return str(self.known[1])

    @property
    def items(self) -> range:
        """As many as there are."""
        return range(ask(self.request("read", False, ("items",))))


# ── at home ─────────────────────────────────────────────────────────────────────────────────────────────────

KINDS: dict[type[Machine], tuple[str, type[Remote]]] = {
    LockMachine: ("lock", RemoteLock),
    RLockMachine: ("lock", RemoteLock),
    SemaphoreMachine: ("semaphore", RemoteSemaphore),
    EventMachine: ("event", RemoteEvent),
    ConditionMachine: ("condition", RemoteCondition),
    BarrierMachine: ("barrier", RemoteBarrier),
    QueueMachine: ("queue", RemoteQueue),
}

OWNED: set[type[Machine]] = {LockMachine, RLockMachine}

PARKING = {"acquire", "enter", "restore", "wait", "arrive", "put", "get", "join"}
PLAIN = {
    *(
        "release",
        "leave",
        "recover",
        "give_up",
        "held_by",
        "set",
        "clear",
        "notify",
        "acted",
        "abort",
        "reset",
    ),
    *("task_done", "shutdown", "resize"),
}
READ = {
    *("holder", "depth", "value", "bound", "up", "waiters", "parties", "broken"),
    *("unfinished", "maxsize", "is_shutdown", "items"),
}


def serve(
    at: Home, link: Link, number: int, machine: Any, op: str, wait: bool, args: tuple[Any, ...]
) -> None:
    """An operation of another address space on a machine of ours."""
    owned = type(machine) in OWNED
    if op == "read":
        (name,) = args
        if name not in READ:
            raise PotokError(f"{name!r} can't be read from another address space")
        link.answer(number, _plain(getattr(machine, name)))
        return
    if owned:
        args = tuple(at.owner(arg) if isinstance(arg, tuple) else arg for arg in args)
    if op == "leave":
        at.borrowed(machine, link.space, -1)
    if op in PARKING:
        if op == "put":
            args = _item_for(machine, args)
        at.operate(link, number, machine, getattr(machine, op), wait, args, _result_of(at, link, machine, op))
    elif op in ("attempt", "watch"):
        _serve_arm(at, link, number, machine, op, args)
    elif op in PLAIN:
        if op == "acted":
            at.trips.pop(machine, None)
            args = (machine.trip if id(machine.trip) == args[0] else None,)
        got = machine.guard.run(carrier(), getattr(machine, op), *args)
        link.answer(number, None if op == "shutdown" else got)
    else:
        raise PotokError(f"a {machine.describe()} has no operation {op!r}")


def _plain(value: Any) -> Any:
    """What can be told of an attribute."""
    if value is None or isinstance(value, int | float | str):
        return value
    if hasattr(value, "name"):  # a task, or a stranger
        return me_as_owner(value) if isinstance(value, Task) else (value.space, value.id, value.name)
    return value.count() if hasattr(value, "drain") else len(value)


def _item_for(machine: QueueMachine, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Items that are compared are needed as they are; others stay packed."""
    return (opened(args[0]),) if machine.compares else args


def _result_of(at: Home, link: Link, machine: Any, op: str) -> Any:
    if op == "get":
        return packed
    if op == "enter":
        return partial(_entered, at, link, machine)
    return partial(_told_trip, at, link, machine) if op == "arrive" else _same


def _entered(at: Home, link: Link, machine: Any, got: Any) -> Any:
    at.borrowed(machine, link.space, 1)
    return got


def _told_trip(at: Home, link: Link, machine: Any, got: Any) -> Any:
    if not isinstance(got, Trip):
        return got
    at.trips[machine] = link.space
    return "trip", id(got)


def _same(got: Any) -> Any:
    return got


def _serve_arm(at: Home, link: Link, number: int, machine: Any, op: str, args: tuple[Any, ...]) -> None:
    """A select elsewhere that has arms at several homes: do it if it is ready, tell when it may be."""
    op_here = "wait" if isinstance(machine, EventMachine) else "acquire"
    arm = new_arm(machine, op_here, args if isinstance(machine, RLockMachine) else args[0])
    if op == "attempt":
        done = machine.guard.run(carrier(), machine.attempt, arm)
        link.answer(
            number, (done, arm.value if done else None, None if arm.error is None else told_of(arm.error))
        )
    else:
        watch_here(at, link, number, arm)


def _export(machine: Any) -> tuple[Any, ...]:
    kind, _ = KINDS[type(machine)]
    if isinstance(machine, QueueMachine):
        machine.guard.run(carrier(), machine.share)
        return kind, machine.name
    if type(machine) in OWNED:
        home.locks.add(machine)
    return (kind,)


for _machine, (_kind, _remote) in KINDS.items():
    home.serves[_machine] = serve
    home.exports[_machine] = home.exports[_remote] = _export
    home.makes[_kind] = _remote
