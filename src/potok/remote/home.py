"""The home: which objects of this process others refer to, what stands here for theirs, and who serves whom.

    a task elsewhere ── CALL (space, number, op, args) ──▶ the home of the object: `op` in the name of a `Party`
                     ◀── ANSWER ──                          at once, or when the party is woken

A star: workers speak with the process that started them only, which forwards what is for others (`Relay`).

Invariants
    An object that is referred to from elsewhere lives, and so does a counted end whose façades here are collected.
    References in transit count. Whoever has one tells the home when it lets go; for a dead link its ledger does.
    Every call that came is answered once, whatever becomes of the object; a party whose link has ended is withdrawn.
"""

from __future__ import annotations

import copyreg
import itertools
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from potok.errors import PotokError
from potok.kernel.current import carrier
from potok.kernel.ends import operate
from potok.kernel.guard import run_outside
from potok.kernel.task import Task
from potok.links.packing import Packed, Ref, export, pack, pack_error, set_handles
from potok.machines.channel import End
from potok.machines.waiting import AGAIN, PARKED, Machine, Waiter
from potok.remote.board import board
from potok.remote.link import Link
from potok.remote.page import Page

__all__ = [
    "AGAIN_TOLD",
    "PARKED_TOLD",
    "RECALLED_TOLD",
    "Home",
    "Owner",
    "Party",
    "Relay",
    "Stranger",
    "home",
    "me_as_owner",
    "packed",
    "register",
    "told_of",
]

RECALLED_TOLD = ("recalled",)
AGAIN_TOLD = ("again",)
PARKED_TOLD = ("parked",)
"""The answer to an operation that was not to wait, and would have to."""

Owner = tuple[int, int, str]
"""A task as other address spaces know it: its space, its id there, its name."""


class Stranger:
    """A task of another address space, as the holder of something here: it is known as long as it is one."""

    __slots__ = ("__weakref__", "gone", "id", "name", "space")

    def __init__(self, owner: Owner) -> None:
        self.space, self.id, self.name = owner
        self.gone = ""  # why its space is no more


class Entry:
    """An object that others refer to, and how often."""

    __slots__ = ("count", "number", "thing")

    def __init__(self, thing: Any, number: int) -> None:
        self.thing = thing
        self.number = number
        self.count = 0


class PartyWaiter(Waiter):
    """A call of another address space, parked here."""

    __slots__ = ()

    def wake(self) -> None:
        self.woken = True
        run_outside(carrier(), self.task.reply)  # what is answered is pickled, which is the user's code

    def settle(self) -> None:
        """Nothing of ours resumes."""


class Party:
    """Who operates here in the name of a task elsewhere: one for each call."""

    __slots__ = ("done", "link", "number", "spare", "tidy", "waiter")

    waiter_type = PartyWaiter

    def __init__(self, link: Link, number: int) -> None:
        self.link = link
        self.number = number
        self.waiter: Any = None
        self.spare: Any = None
        self.done: Callable[[Any], Any] = _as_it_is  # makes the answer of what the operation gave
        self.tidy: Callable[[], object] | None = None  # to be called when it was woken or withdrawn

    def reply(self) -> None:
        """The waiter was woken: answer."""
        waiter = self.waiter
        if self.tidy is not None:
            self.tidy()
        if waiter.error is not None:
            self.link.fail(self.number, told_of(waiter.error))
        else:
            value, waiter.value, waiter.item = waiter.value, None, None  # it and we refer to each other
            self.answer(value)

    def answer(self, value: Any) -> None:
        try:
            self.link.answer(self.number, self.done(value))
        except Exception as error:
            self.link.fail(self.number, told_of(error))

    def recall(self) -> bool:
        """Take the waiter back; False if it was served."""
        waiter = self.waiter
        if waiter is None:
            return False
        machine = waiter.machine
        if not machine.guard.run(carrier(), machine.withdraw, waiter):
            return False
        if self.tidy is not None:
            self.tidy()
        return True


class Relay:
    """A call that is on its way through here, to another space."""

    __slots__ = ("forward", "link", "number", "sent")

    def __init__(self, link: Link, number: int, forward: Any) -> None:
        self.link = link
        self.number = number
        self.forward = forward
        self.sent = 0

    def recall(self, why: Any = None) -> None:
        """Pass it on."""
        self.forward.recall(self.sent, why)

    def answered(self, value: Any) -> None:
        self.link.answer(self.number, value)

    def failed(self, error: Any) -> None:
        self.link.fail(self.number, told_of(error) if isinstance(error, BaseException) else error)


class Lending(Relay):
    """The answer is the number of an end that the asking side has from now on."""

    __slots__ = ()

    def answered(self, value: Any) -> None:
        self.link.count((self.forward.space, value), 1)
        super().answered(value)


def told_of(error: Any) -> Any:
    """An error as it is sent: `remotes.understood` is the reverse."""
    if error is AGAIN:
        return AGAIN_TOLD
    return ("error", *pack_error(error))


def _as_it_is(value: Any) -> Any:
    return value


def packed(value: Any) -> Any:
    """An item on its way to a task elsewhere."""
    return value if isinstance(value, Packed) else pack(value)


Serve = Callable[["Home", Link, int, Any, str, bool, tuple[Any, ...]], Any]


class Home:
    """One for each process."""

    def __init__(self) -> None:
        self.space = 0  # this one's number; the process that starts the workers has 0
        self.cut_off: dict[int, str] = {}  # why these can't be reached any more
        self.links: dict[int, Link] = {}  # to every space, or (in a worker) to 0 only
        self.run: Callable[[Link, int, tuple[Any, ...]], object] = _nobody_runs
        self.recall_run: Callable[[Link, int, Any], object] = _nobody_recalls
        self.about: Callable[[Link, Any], object] = _nobody_cares
        self.lost: Callable[[Link, BaseException], object] = _nobody_cares
        self.unsettled: Callable[[], bool] = _settled  # whether something is to run that is no task yet
        self.space_ops: dict[
            str, Callable[[Home, Link, int, tuple[Any, ...]], object]
        ] = {}  # of the space as such
        self.note_ops: dict[str, Callable[..., object]] = {}  # what is done with notes of other rooms' kinds
        self.serves: dict[type, Serve] = {}  # how objects of this class are served
        self.exports: dict[type, Callable[[Any], tuple[Any, ...]]] = {}  # what one is to be known by
        self.makes: dict[str, Callable[..., Any]] = {}  # what stands here for a thing of that kind
        self.stand_ins: WeakValueDictionary[Ref, Any] = WeakValueDictionary()
        self._entries: dict[int, Entry] = {}
        self._by_id: dict[int, Entry] = {}
        self.page = Page()  # where this space counts what its tasks take
        self.deliver_notes: Callable[..., object] = (
            _nobody_cares  # ... and of what a dead worker has noted down
        )
        self.on_departed: Callable[..., object] = _nobody_cares  # told of spaces that are no more
        self.on_cut_off: Callable[[PotokError], object] = lambda error: None  # told in a forked child
        self._numbered: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self.machines: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self.tasks: WeakValueDictionary[int, Task[Any]] = WeakValueDictionary()  # that others know as holders
        self.locks: WeakSet[Any] = WeakSet()  # that others know
        self.trips: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # whose action runs in that space
        self._borrowed: WeakKeyDictionary[Any, dict[int, int]] = WeakKeyDictionary()
        self._strangers: WeakValueDictionary[tuple[int, int], Stranger] = WeakValueDictionary()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    # ── references ──────────────────────────────────────────────────────────────────────────────────────────

    def export(self, thing: Any) -> tuple[Ref, tuple[Any, ...]]:
        """See `packing.Handles`."""
        ref = getattr(thing, "ref", None)
        if ref is not None:  # it lives elsewhere
            if ref[0] != self.space:
                self.hold(ref)
            return ref, (ref, *thing.known)
        entry = self._entry(thing)
        ref = (self.space, entry.number)
        self._hold(entry)
        return ref, (ref, *self.exports[_kind(thing, self.exports)](thing))

    def _entry(self, thing: Any) -> Entry:
        with self._lock:
            entry = self._by_id.get(id(thing))
            if entry is None:
                entry = Entry(thing, next(self._numbers))
                self._entries[entry.number] = self._by_id[id(thing)] = entry
            return entry

    def _hold(self, entry: Entry) -> None:
        with self._lock:
            entry.count += 1
        end = entry.thing
        if isinstance(end, End):
            end.machine.guard.run(carrier(), end.machine.hold, end)

    def hold(self, ref: Ref) -> None:
        """Count one more reference to what is referred to already."""
        if ref[0] != self.space:
            self.link_to(ref[0]).note("hold", ref)
        elif (entry := self._entries.get(ref[1])) is not None:
            self._hold(entry)

    def thing(self, number: int) -> Any:
        """The object of that number, which others refer to."""
        return self._entries[number].thing

    def refer(self, thing: Any) -> Ref:
        """Count a reference of our own, to be let go by who has asked for it."""
        entry = self._entry(thing)
        self._hold(entry)
        return self.space, entry.number

    def lend(self, thing: Any, link: Link) -> int:
        """Count a reference that the other side has from now on; the number of the thing."""
        ref = self.refer(thing)
        link.count(ref, 1)
        if isinstance(thing, End):
            thing.orphan = True  # nobody here has it: closed, when it is let go
        return ref[1]

    def number_of(self, machine: Machine) -> int:
        """A number for it, which counts as no reference."""
        with self._lock:
            number = self._numbered.get(machine)
            if number is None:
                number = self._numbered[machine] = next(self._numbers)
                self.machines[number] = machine
            return number

    def ref_of(self, thing: Any) -> Ref | None:
        """How it is known elsewhere; None: it is not."""
        entry = self._by_id.get(id(thing))
        return None if entry is None else (self.space, entry.number)

    def revive(self, spec: tuple[Any, ...]) -> Any:
        """See `packing.Handles`."""
        ref, *rest = spec
        if ref[0] == self.space:
            thing = self._entries[ref[1]].thing
            if not isinstance(thing, End):  # an end's reference is the façade's, see `give_back`
                self._let_go(ref, 1)
            return thing
        with self._lock:
            stand_in = self.stand_ins.get(ref)
            if stand_in is None:
                stand_in = self.stand_ins[ref] = self.makes[rest[0]](ref, *rest)
            stand_in.count += 1
            return stand_in

    def give_back(self, end: End) -> None:
        """A façade over an end of ours, that came home by a reference, was collected. Safe from anywhere."""
        entry = self._by_id.get(id(end))
        if entry is not None:
            board.soon(partial(self._let_go, (self.space, entry.number), 1))

    def release(self, refs: tuple[Ref, ...]) -> None:
        """See `packing.Handles`."""
        for ref in refs:
            board.soon(partial(self.let_go, ref, 1))

    def let_go(self, ref: Ref, n: int) -> None:
        """So many references are no more."""
        if ref[0] == self.space:
            self._let_go(ref, n)
            return
        link = self.links.get(ref[0] if self.space == 0 else 0)
        if link is not None:
            link.note("release", ref, n)

    def _let_go(self, ref: Ref, n: int) -> None:
        with self._lock:
            entry = self._entries.get(ref[1])
            if entry is None:
                return
            entry.count -= n
            if entry.count <= 0:
                del self._entries[ref[1]], self._by_id[id(entry.thing)]
        end = entry.thing
        if isinstance(end, End):
            operate(carrier(), end.machine, end.machine.let_go, end, n)

    def link_to(self, space: int) -> Link:
        """The link by which that space is reached. Raises why there is none any more."""
        by = space if self.space == 0 else 0
        link = self.links.get(by)
        if link is None:
            raise PotokError(self.cut_off.get(by, "its home, a worker process, has ended"))
        if link.cause is not None:
            raise link.error()
        return link

    def owner(self, known: Owner) -> Any:
        """The task of that name, as a holder."""
        key = known[:2]
        with self._lock:
            if key[0] == self.space and (mine := self.tasks.get(key[1])) is not None:
                return mine
            found = self._strangers.get(key)
            if found is None:
                found = self._strangers[key] = Stranger(known)
            return found

    def refers_to(self, space: int) -> bool:
        """Whether anything of that space is referred to, from here or from another."""
        if any(ref[0] == space for ref in list(self.stand_ins.keys())):
            return True
        return any(
            n > 0 and ref[0] == space
            for link in list(self.links.values())
            for ref, n in list(link.held.items())
        )

    def borrowed(self, semaphore: Any, space: int, n: int) -> None:
        """Tasks there have entered, or left, so many blocks of it."""
        with self._lock:
            there = self._borrowed.setdefault(semaphore, {})
            there[space] = there.get(space, 0) + n

    def gone(self, space: int, why: str) -> None:
        """That address space is no more: what its tasks held is abandoned, what they had borrowed comes back."""
        me = carrier()
        with self._lock:
            strangers = [task for key, task in self._strangers.items() if key[0] == space]
        for stranger in strangers:  # first: what is lent comes back to them after, and looks
            stranger.gone = why
        for machine in self.held_there(space):
            machine.guard.run(me, _abandon_if_held, machine, space, why)
        for barrier in [barrier for barrier, there in list(self.trips.items()) if there == space]:
            barrier.guard.run(me, barrier.abort)
        with self._lock:
            back = [(semaphore, there.pop(space, 0)) for semaphore, there in self._borrowed.items()]
        for semaphore, n in back:
            if n > 0:
                semaphore.guard.run(me, semaphore.release, n)
        if not self.space:
            for link in list(self.links.values()):
                link.note("gone", space, why)

    def held_there(self, space: int) -> list[Any]:
        """Locks of ours that a task of that space holds."""
        with self._lock:
            return [lock for lock in self.locks if getattr(lock.holder, "space", None) == space]

    # ── serving ─────────────────────────────────────────────────────────────────────────────────────────────

    def greeted(self, link: Link, about: Any) -> None:
        self.about(link, about)

    def serve(self, link: Link, number: int, request: Any) -> None:
        space, target, op, wait, args = request
        try:
            if space != self.space:
                self._forward(link, number, request)
            elif op == "run":
                self.run(link, number, args)
            elif not target:
                self.space_ops[op](self, link, number, (*args, wait))
            else:
                thing = self._entries[target].thing
                self.serves[_kind(thing, self.serves)](self, link, number, thing, op, wait, args)
        except Exception as error:
            link.fail(number, told_of(error))

    def _forward(self, link: Link, number: int, request: Any) -> None:
        forward = self.link_to(request[0])
        relay = link.serving[number] = (Lending if request[2] in ("open", "open_like") else Relay)(
            link, number, forward
        )
        relay.sent = forward.call(request, relay)

    def operate(
        self,
        link: Link,
        number: int,
        machine: Machine,
        op: Callable[..., Any],
        wait: bool,
        args: tuple[Any, ...],
        done: Callable[[Any], Any] = _as_it_is,
    ) -> None:
        """Run an operation that may park, in the name of who has called."""
        party = Party(link, number)
        party.done = done
        self.park(party, machine.guard.run, wait, (carrier(), op, party if wait else None, *args))

    def park(self, party: Party, run: Callable[..., Any], wait: bool, args: tuple[Any, ...]) -> None:
        """Answer with what `run` gives, now or once the party was woken."""
        link, number = party.link, party.number
        link.serving[number] = party
        try:
            got = run(*args)
        except Exception as error:
            link.fail(number, told_of(error))
            return
        if got is not PARKED:
            party.answer(got)
        elif not wait:
            link.answer(number, PARKED_TOLD)

    def recall(self, link: Link, number: int, why: Any) -> None:
        serving = link.serving.get(number)
        if isinstance(serving, Relay):
            serving.recall(why)
        elif isinstance(serving, Party):
            if serving.recall():
                link.fail(number, RECALLED_TOLD)
        elif serving is not None:
            self.recall_run(link, number, why)

    def noted(self, link: Link, note: Any) -> None:  # noqa: C901 - a line or two for each kind
        kind, *rest = note
        if kind == "release":
            ref, n = rest
            link.count(ref, -n)
            self.let_go(ref, n)
        elif kind == "hold":
            (ref,) = rest
            if not self.space:
                link.count(ref, 1)  # until the message comes that it is for
            if ref[0] != self.space:
                self._pass_on(ref[0], note)
            elif (entry := self._entries.get(ref[1])) is not None:
                self._hold(entry)
        elif kind == "flow" and rest[0] != self.space:
            self._pass_on(rest[0], note)
        elif kind in self.note_ops:
            self.note_ops[kind](link, *rest)
        elif kind == "tell":
            space, target, op, args = rest
            if space != self.space:
                self._pass_on(space, note)
            elif target in self._entries:
                thing = self._entries[target].thing
                self.serves[_kind(thing, self.serves)](self, link, 0, thing, op, False, args)

    def closed_elsewhere(self, by: Link | None, ref: Ref, why: Any) -> None:
        """This end was closed: tell all who have it."""
        stand_in = None if ref[0] == self.space else self.stand_ins.get(ref)
        if stand_in is not None:
            stand_in.machine.closed_at_home(stand_in, why)
        for link in list(self.links.values()):
            if link is not by and (self.space == 0 or by is None) and link.held.get(ref, 0) > 0:
                link.note("closed", ref, why)

    def _pass_on(self, space: int, note: Any) -> None:
        link = self.links.get(space)
        if link is not None:  # else its space is no more, and the note is of no use
            link.note(*note)

    def reset(self, why: str) -> None:
        """In a forked child: what is elsewhere is the parent's."""
        self.cut_off = dict.fromkeys(self.links, why)
        for link in self.links.values():
            link.forsake(why)
        self.links.clear()
        self.on_cut_off(PotokError(why))

    def ends(self, link: Link, error: BaseException) -> None:
        """Nobody is left at the other side: what was under way is settled before anybody hears of it."""
        self.links.pop(link.space, None)
        self.deliver_notes(self, link)
        numbers = link.page.used()
        link.page.close()
        self.on_departed(self, link.space, numbers, error)
        if not self.space:
            for other in list(self.links.values()):
                other.note("departed", link.space, numbers, pack_error(error))

    def ended(self, link: Link, error: BaseException) -> None:
        """Nobody is left at the other side: take back what it waits for, and what it held."""
        for number in list(link.serving):
            serving = link.serving.pop(number, None)
            if isinstance(serving, Relay | Party):
                serving.recall()
            elif serving is not None:
                self.recall_run(link, number, str(error))
        for ref, n in list(link.held.items()):
            if n > 0:
                self.let_go(ref, n)
        if not (
            self.space or link.dismissed
        ):  # what a task has left locked stays so, if its worker just had no work
            self.gone(link.space, str(error))
        self.lost(link, error)


def _abandon_if_held(machine: Any, space: int, why: str) -> None:
    if getattr(machine.holder, "space", None) == space:
        machine.abandon(why)


def _serve_is_home(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    """Is anything of this space referred to from others? What is under way to them counts."""
    link.answer(number, bool(at._entries))


def _kind(thing: Any, known: dict[type, Any]) -> type:
    for kind in type(thing).__mro__:
        if kind in known:
            return kind
    raise PotokError(f"a {type(thing).__qualname__} can't be reached from another address space")


def _nobody_runs(link: Link, number: int, args: tuple[Any, ...]) -> None:
    raise PotokError("nobody runs tasks here")


def _nobody_recalls(link: Link, number: int, why: Any) -> None:
    """Nothing was run."""


def _nobody_cares(*_: Any) -> None:
    """What was told is of no use here."""


def _settled() -> bool:
    return False


def register() -> None:
    """Have pickle know the handles: they travel by reference."""
    for kind in home.exports:
        copyreg.pickle(kind, export)


def me_as_owner(task: Task[Any]) -> Owner:
    """The task as other spaces know it."""
    home.tasks[task.id] = task
    return home.space, task.id, task.name


home = Home()
home.space_ops["is_home"] = _serve_is_home
home.note_ops["gone"] = lambda link, space, why: home.gone(space, why)
home.note_ops["closed"] = home.closed_elsewhere
set_handles(home)
