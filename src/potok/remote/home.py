"""The home: who serves what others ask of this address space, and who of them holds what is ours.

    a task elsewhere ── CALL (space, number, op, args) ──▶ the home of the object: `op` in the name of a `Party`
                     ◀── ANSWER ──                          at once, or when the party is woken

A star: workers speak with the process that started them only, which forwards what is for others (`Relay`).

Every call that came is answered once, whatever becomes of the object; a party whose link has ended is withdrawn.
Which objects others refer to, and what stands here for theirs: see `references`.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from potok.errors import PotokError
from potok.kernel.current import carrier
from potok.kernel.task import Task
from potok.kernel.weakly import items_by_key, items_of, members_of
from potok.links.packing import Ref, export, set_handles
from potok.machines.waiting import PARKED, Machine
from potok.remote.link import Link
from potok.remote.page import Page
from potok.remote.parties import PARKED_TOLD, RECALLED_TOLD, Lending, Party, Relay, as_it_is, told_of
from potok.remote.references import References, kind_among

__all__ = ["Home", "Owner", "Stranger", "home", "me_as_owner", "register"]

Owner = tuple[int, int, str]
"""A task as other address spaces know it: its space, its id there, its name."""


class Stranger:
    """A task of another address space, as the holder of something here: it is known as long as it is one."""

    __slots__ = ("__weakref__", "gone", "id", "name", "space")

    def __init__(self, owner: Owner) -> None:
        self.space, self.id, self.name = owner
        self.gone = ""  # why its space is no more


Serve = Callable[["Home", Link, int, Any, str, bool, tuple[Any, ...]], Any]


class Home(References):
    """One for each process."""

    def __init__(self) -> None:
        super().__init__()
        self.run: Callable[[Link, int, tuple[Any, ...]], object] = _nobody_runs
        self.recall_run: Callable[[Link, int, Any], object] = _nobody_recalls
        self.about: Callable[[Link, Any], object] = _nobody_cares
        self.lost: Callable[[Link, BaseException], object] = _nobody_cares
        self.unsettled: Callable[[], bool] = _settled  # whether something is to run that is no task yet
        self.space_ops: dict[
            str, Callable[[Home, Link, int, tuple[Any, ...]], object]
        ] = {}  # of the space as such
        self.note_ops: dict[
            str, Callable[..., object]
        ] = {  # and what is done with notes of other rooms' kinds
            "release": self._released,
            "hold": self._held,
            "tell": self._told,
            "flow": self._flow_past,
        }
        self.serves: dict[type, Serve] = {}  # how objects of this class are served
        self.page = Page()  # where this space counts what its tasks take
        self.settle: Callable[[Link, BaseException], object] = (
            _nobody_cares  # what was under way, see `flows`
        )
        self.leaving: list[Callable[[Link], object]] = []  # told then, before that
        self.on_cut_off: Callable[[PotokError], object] = lambda error: None  # told in a forked child
        self.tasks: WeakValueDictionary[int, Task[Any]] = WeakValueDictionary()  # that others know as holders
        self.locks: WeakSet[Any] = WeakSet()  # that others know
        self.trips: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # whose action runs in that space
        self._borrowed: WeakKeyDictionary[Any, dict[int, int]] = WeakKeyDictionary()
        self._strangers: WeakValueDictionary[tuple[int, int], Stranger] = WeakValueDictionary()

    # ── who has what of ours ────────────────────────────────────────────────────────────────────────────────

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

    def borrowed(self, semaphore: Any, space: int, n: int) -> None:
        """Tasks there have entered, or left, so many blocks of it."""
        with self._lock:
            there = self._borrowed.setdefault(semaphore, {})
            there[space] = there.get(space, 0) + n

    def gone(self, space: int, why: str) -> None:
        """That address space is no more: what its tasks held is abandoned, what they had borrowed comes back."""
        me = carrier()
        with self._lock:
            strangers = [task for key, task in items_of(self._strangers) if key[0] == space]
        for stranger in strangers:  # first: what is lent comes back to them after, and looks
            stranger.gone = why
        for machine in self.held_there(space):
            machine.guard.run(me, _abandon_if_held, machine, space, why)
        for barrier in [barrier for barrier, there in items_by_key(self.trips) if there == space]:
            barrier.guard.run(me, barrier.abort)
        with self._lock:
            back = [(semaphore, there.pop(space, 0)) for semaphore, there in items_by_key(self._borrowed)]
        for semaphore, n in back:
            if n > 0:
                semaphore.guard.run(me, semaphore.release, n)
        if not self.space:
            for link in list(self.links.values()):
                link.note("gone", space, why)

    def held_there(self, space: int) -> list[Any]:
        """Locks of ours that a task of that space holds."""
        with self._lock:
            return [lock for lock in members_of(self.locks) if getattr(lock.holder, "space", None) == space]

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
                self.serves[kind_among(thing, self.serves)](self, link, number, thing, op, wait, args)
        except Exception as error:
            link.fail(number, told_of(error))

    def _forward(self, link: Link, number: int, request: Any) -> None:
        forward = self.link_to(request[0])
        relay = link.serving[number] = (
            Lending if request[2] in ("open", "open_like", "open_again") else Relay
        )(link, number, forward)
        relay.sent = forward.call(request, relay)

    def operate(
        self,
        link: Link,
        number: int,
        machine: Machine,
        op: Callable[..., Any],
        wait: bool,
        args: tuple[Any, ...],
        done: Callable[[Any], Any] = as_it_is,
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

    def noted(self, link: Link, note: Any) -> None:
        heard = self.note_ops.get(note[0])
        if heard is not None:
            heard(link, *note[1:])

    def _released(self, link: Link, ref: Ref, n: int) -> None:
        link.count(ref, -n)
        self.let_go(ref, n)

    def _held(self, link: Link, ref: Ref) -> None:
        if not self.space:
            link.count(ref, 1)  # until the message comes that it is for
        if ref[0] != self.space:
            self.pass_on(ref[0], "hold", ref)
        else:
            self.hold(ref)

    def _told(self, link: Link, space: int, target: int, op: str, args: tuple[Any, ...]) -> None:
        if space != self.space:
            self.pass_on(space, "tell", space, target, op, args)
        elif target in self._entries:
            thing = self._entries[target].thing
            self.serves[kind_among(thing, self.serves)](self, link, 0, thing, op, False, args)

    def _flow_past(self, link: Link, to: int, *rest: Any) -> None:
        """Nothing has flowed to or from this very space yet."""
        self.pass_on(to, "flow", to, *rest)

    def closed_elsewhere(self, by: Link | None, ref: Ref, why: Any) -> None:
        """This end was closed: tell all who have it."""
        stand_in = None if ref[0] == self.space else self.stand_ins.get(ref)
        if stand_in is not None:
            stand_in.machine.closed_at_home(stand_in, why)
        for link in list(self.links.values()):
            if link is not by and (self.space == 0 or by is None) and link.held.get(ref, 0) > 0:
                link.note("closed", ref, why)

    def pass_on(self, space: int, *note: Any) -> None:
        """To whom it is for."""
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
        for leave in self.leaving:
            leave(link)
        self.settle(link, error)

    def ended(self, link: Link, error: BaseException) -> None:
        """Nobody is left at the other side: take back what it waits for, and what it held."""
        for number in list(link.serving):
            serving = link.serving.pop(number, None)
            if isinstance(serving, Relay | Party):
                serving.recall()
            elif serving is not None:
                self.recall_run(link, number, str(error))
        for ref, n in link.held.copy().items():
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
