"""Who refers to a channel, and so could still do something with it: a question to the garbage collector.

    channel ◀─ End ◀─ Receiver ◀─ ("args",) ◀─ Task          one of the tasks asked about: a *holder*
                            ◀─ a variable of a frame of a task     a holder, too
                            ◀─ anything else                       anybody

Every reference must be accounted for: those that objects hold, which the collector shows, and those of the frames of
tasks that are parked, whose variables can be looked at, and whose evaluation stacks tell what their code says. Wherever
an object has one reference more than that, somebody who is not parked may have it: then the holder is *anybody*.

It costs a few walks through all objects of the process, so it is for when nothing else happens.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections import Counter
from collections.abc import Iterable, Mapping
from types import CellType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any, Final

from potok.kernel.build import FREE_THREADED
from potok.kernel.deadlock.stackrefs import held_by_blocks
from potok.kernel.task import Task
from potok.machines.channel import End
from potok.machines.scope import ScopeMachine
from potok.machines.waiting import Waiter

__all__ = ["ANYBODY", "MANY", "Holders", "handles_of"]

ANYBODY: Final = None
MANY = 100  # holders of one thing; with more, who is who would take too long
LIMIT = 2000  # objects between the channels and who holds them; with more, it may be anybody
DEPTH = 12  # walks
_OPTIMIZED = 0x1  # CO_OPTIMIZED: the dict of such a frame's variables is made for whoever asks
_BORROWS = sys.version_info >= (3, 14) or FREE_THREADED  # frames may refer to what they do not count
_EXITS = ("__exit__", "__aexit__")
_PLUMBING = (
    "potok.remote.",
    *(f"potok.machines.{room}" for room in ("flows", "granting", "inbox", "mailbox", "outbox", "shipping")),
)
_FRAMES_OWN = 3  # references to the dict of a frame's variables: the frame's, one variable's, one argument's
_MODULE_NAMES = {"__name__", "__builtins__"}

Frames = Mapping[Task[Any], list[FrameType]]


class Holders:
    """One look: `of(thing)` tells which of the parked tasks hold it, or ANYBODY."""

    def __init__(self, things: dict[int, Any], parked: Frames, running: Iterable[FrameType]) -> None:
        """`things` by their ids, in the only reference to them that the caller has; it goes over to this object."""
        self._parked = parked
        self._running = running
        self._known = things  # from here on with what refers to them, directly or not
        self._referrers: dict[int, set[int]] = {}
        self._counts: Counter[int] = Counter()  # references that are accounted for
        self._held: dict[int, set[Task[Any]]] = {}
        self._loose: set[int] = set()  # what anybody may hold
        self._told: dict[int, frozenset[Task[Any]] | None] = {}
        self._aio = {id(task.value): task for task in parked if task.value is not None}
        self._frames = {id(frame): task for task, frames in parked.items() for frame in frames}
        self._functions: dict[CodeType, list[tuple[int, Any]]] = {}
        self._cells: dict[int, list[int]] = {}  # by the id of what is in them
        self._counted: set[tuple[int, int]] = set()
        if self._walk():
            self._look_at_frames()
            self._account()
        else:
            self._loose = set(self._known)

    def of(self, number: int) -> frozenset[Task[Any]] | None:
        """The parked tasks that hold the thing of this id, directly or not; ANYBODY if there may be others."""
        if number not in self._told:
            self._told[number] = self._find(number)
        return self._told[number]

    def _find(self, number: int) -> frozenset[Task[Any]] | None:
        found: set[Task[Any]] = set()
        seen = {number}
        ahead = [number]
        while ahead:
            number = ahead.pop()
            if number in self._loose or len(found) > MANY:
                return ANYBODY
            found |= self._held.get(number, set())
            further = self._referrers.get(number, set()) - seen
            seen |= further
            ahead += further
        return frozenset(found) if len(found) <= MANY else ANYBODY

    # ── objects that refer to others ────────────────────────────────────────────────────────────────────────

    def _walk(self) -> bool:
        """Find all that leads to the things. False: too much."""
        fresh = list(self._known)
        for _ in range(DEPTH):
            if not fresh:
                return True
            if len(self._known) > LIMIT:
                return False
            fresh = self._step(fresh)
        return not fresh

    def _step(self, fresh: list[int]) -> list[int]:
        """One walk through all objects: who refers to the fresh ones?"""
        wanted = set(fresh)
        mine = {id(self._known), id(self.__dict__), id(self._parked), id(self._frames), id(self._aio)}
        asked = tuple(self._known[number] for number in fresh)
        mine.add(id(asked))
        found: list[int] = []
        for container in gc.get_referrers(*asked):
            if id(container) in mine:
                continue
            its = wanted.intersection(map(id, gc.get_referents(container)))
            if not its:
                continue
            if self._settle(container, its):
                continue
            number = id(container)
            if number not in self._known:
                self._known[number] = container
                found.append(number)
            for thing in its:
                self._counts[thing] += 1
                self._referrers.setdefault(thing, set()).add(number)
        return found

    def _settle(self, container: Any, its: set[int]) -> bool:  # noqa: C901 - a line for each kind
        """Whether it is clear by itself who stands behind this container."""
        holder: Any
        if isinstance(container, Waiter):
            holder = ()  # it can only be woken
        elif type(container).__module__.startswith(_PLUMBING) and not isinstance(container, End):
            holder = ()  # it does what tasks have said
        elif isinstance(container, Task):
            holder = container if container in self._parked else ANYBODY
        elif isinstance(container, ScopeMachine):
            holder = container.host if container.host in self._parked else ANYBODY
        elif id(container) in self._aio:
            holder = self._aio[id(container)]
        elif isinstance(container, ModuleType | type) or _is_module(container):
            holder = ANYBODY
        elif (task := self._driving(container)) is not None:
            holder = task
            self._counted.update((id(_frame_of(container)), thing) for thing in its)
        else:
            return False
        for thing in its:
            self._counts[thing] += 1
            if holder is ANYBODY:
                self._loose.add(thing)
            elif holder != ():
                self._held.setdefault(thing, set()).add(holder)
        return True

    def _driving(self, container: Any) -> Task[Any] | None:
        """The parked task in whose stack this coroutine or generator stands."""
        frame = _frame_of(container)
        return None if frame is None else self._frames.get(id(frame))

    # ── frames ──────────────────────────────────────────────────────────────────────────────────────────────

    def _look_at_frames(self) -> None:
        for number, thing in self._known.items():
            if type(thing) is CellType:
                self._cells.setdefault(_content(thing), []).append(number)
            elif type(thing) is FunctionType:
                self._functions.setdefault(thing.__code__, []).append((number, thing))
        for task, frames in self._parked.items():
            call = (task.fn, *task.args)
            for number, thing in self._known.items():
                if type(thing) is tuple and len(thing) == len(call) and all(map(_is, thing, call)):
                    self._note(number, task)  # what `Context.run` was called with
            for frame in frames:
                self._look_at(frame, task)
                self._note_function(frame, task)
        if _BORROWS:
            for frame in self._running:
                self._mark_running(frame)

    def _look_at(self, frame: FrameType, task: Task[Any]) -> None:
        variables = frame.f_locals
        cells = {*frame.f_code.co_cellvars, *frame.f_code.co_freevars}
        for name, value in variables.items():
            number = id(value)
            if name in cells:
                self._note_cell(value, task)
            elif number in self._known and (id(frame), number) not in self._counted:
                self._note(number, task)
        for value in held_by_blocks(frame, variables):
            self._note_block(value, task)
        del variables
        _forget_variables(frame)

    def _note(self, number: int, task: Task[Any]) -> None:
        self._counts[number] += 1
        self._held.setdefault(number, set()).add(task)

    def _note_function(self, frame: FrameType, task: Task[Any]) -> None:
        """A frame refers to the function whose call it is."""
        for number, thing in self._functions.get(frame.f_code, ()):
            cells = thing.__closure__ or ()
            inside = zip(thing.__code__.co_freevars, map(_content, cells), strict=True)
            if all(id(frame.f_locals.get(name)) == content for name, content in inside):
                self._note(number, task)
        _forget_variables(frame)

    def _note_cell(self, value: Any, task: Task[Any]) -> None:
        """The frame refers to a cell, and that to the value. Which cell it is can't be seen, if there are several."""
        cells = self._cells.get(id(value), ())
        if len(cells) == 1:
            self._note(cells[0], task)

    def _note_block(self, value: Any, task: Task[Any]) -> None:
        if id(value) in self._known:
            methods = [
                number
                for number in self._referrers.get(id(value), ())
                if isinstance(self._known[number], MethodType) and self._known[number].__name__ in _EXITS
            ]
            self._note(methods[0] if methods else id(value), task)

    def _mark_running(self, frame: FrameType) -> None:
        """Where frames do not count all their references, those of running ones are looked for, too."""
        here: FrameType | None = frame
        while here is not None:
            values = list(here.f_locals.values())
            self._loose.update(number for number in map(id, values) if number in self._known)
            here = here.f_back

    # ── the sum ─────────────────────────────────────────────────────────────────────────────────────────────

    def _account(self) -> None:
        """Whatever has more references than were found is anybody's; so is what may be found by a weak one."""
        self._functions.clear()  # no references of ours but one
        probe = object()
        self._known[id(probe)] = probe
        number = id(probe)
        del probe
        ours = sys.getrefcount(self._known[number])
        del self._known[number]
        for number in self._known:
            thing = self._known[number]
            weak = weakref.getweakrefcount(thing) and _is_users(thing)
            del thing
            if weak or sys.getrefcount(self._known[number]) - ours > self._counts[number]:
                self._loose.add(number)


def handles_of(things: list[Any]) -> dict[int, Any]:
    """What was put aside and leads to tasks and scopes: a `cancel` of theirs, a variable of inner functions. By ids."""
    return {id(found): found for found in gc.get_referrers(*things) if _is_handle(found)}


def _is_handle(found: Any) -> bool:
    if isinstance(found, MethodType):
        return found.__name__ == "cancel"
    return type(found) is CellType


def _content(cell: CellType) -> int:
    try:
        return id(cell.cell_contents)
    except ValueError:  # it is empty
        return 0


def _is(one: Any, other: Any) -> bool:
    return one is other


def _frame_of(container: Any) -> FrameType | None:
    for name in ("cr_frame", "gi_frame", "ag_frame"):
        frame: FrameType | None = getattr(container, name, None) if name in dir(type(container)) else None
        if frame is not None:
            return frame
    return None


def _is_module(container: Any) -> bool:
    return type(container) is dict and container.keys() >= _MODULE_NAMES


def _is_users(thing: Any) -> bool:
    """Whether users may know of it: potok's own weak references lead to other things."""
    module = type(thing).__module__
    return not module.startswith("potok.") or module.startswith("potok.primitives.")


def _forget_variables(frame: FrameType) -> None:
    """Until 3.12 the dict made for `f_locals` stays with the frame, and keeps alive what the frame lets go.

    It is also what `locals()` has returned there: then it is the user's.
    """
    if sys.version_info < (3, 13) and frame.f_code.co_flags & _OPTIMIZED:
        variables = frame.f_locals
        if sys.getrefcount(variables) <= _FRAMES_OWN:
            variables.clear()
