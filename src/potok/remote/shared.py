"""Shared objects in other address spaces, and how their home serves them: one call, one answer for each step.

(But for those that a worker can do by itself: see `copies` and `shelves`.)

    shared[k] = v  there ── CALL "step" (who, "set item", (k, v)) ──▶ home: takes the object's lock for that task,
                         ◀── ANSWER: what it gave, or raised ──            does it, releases the lock

Who does it at home? Not the thread that leads the links, where it could take long or wait: a step on one of Python's
own containers, with plain values, it does itself; the rest, all that may run the user's code (functions, methods,
comparisons, pickling), is an *errand*: a task of the home's own, on a thread from the pool, to which the lock is lent.

    called ──lock is free──▶ has the lock ──plain──▶ done, answered
      │ another has it            └─────else──▶ errand ──▶ done, answered
      └──▶ parked ──▶ recalled, or handed the lock

Invariants
    A step that was begun is done, answered, and gives the lock back, whatever becomes of who asked for it.
    A recall takes back what waits for the lock; an errand it cancels: the function's next park point raises Cancelled.
    What is answered is pickled under the lock: nobody changes it meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

from potok.errors import Cancelled
from potok.kernel.cancelling import cancel_task
from potok.kernel.current import carrier
from potok.kernel.pool import PooledThreads, look_out
from potok.kernel.root import root
from potok.kernel.starting import withdraw_task
from potok.kernel.task import Task
from potok.links.packing import PLAIN, Ref, all_plain, opened, pack, pack_error
from potok.machines.cell import MISSING, NOT_HELD, READING, STEPS, CellMachine, is_plain, kind_of, methods_of
from potok.machines.waiting import PARKED
from potok.remote import code, sync
from potok.remote.arithmetic import is_small
from potok.remote.board import board
from potok.remote.calling import Asked, ask, park_for
from potok.remote.copies import TAKEN, is_leased, lease, show, was_taken
from potok.remote.home import Home, Owner, home, me_as_owner
from potok.remote.link import Link
from potok.remote.parties import PARKED_TOLD, RECALLED_TOLD, Party, told_of
from potok.remote.shelves import Shelf, Turn, Wish
from potok.remote.spinning import spins
from potok.remote.sync import RemoteLock

__all__ = ["RemoteCell"]

_TOLD = {"apply": "atomic", "code": "atomic"}  # how a step is called in reports
CALLER_GONE = "whoever asked for it was cancelled, is out of time, or is no more"


class RemoteCell(RemoteLock):
    """What stands here for a shared object elsewhere."""

    __slots__ = ("_methods", "_shelf", "_user")

    def __init__(self, ref: Ref, *spec: Any) -> None:
        super().__init__(ref, *spec)
        self._methods: frozenset[str] | None = None
        self._user: Owner | None = None
        self._shelf = Shelf(ref[1]) if home.space and not ref[0] and home.page.tells else None

    def look(self, owner: Task[Any], name: str, args: tuple[Any, ...]) -> Any:
        """What a step gives, where that is known here; or MISSING.

        For a task with a thread to itself: others in the thread of one that only looks would not get their turn.
        """
        shelf = self._shelf
        return MISSING if shelf is None or not spins(owner) else shelf.look(name, args)

    def step(self, party: Any, owner: Task[Any], name: str, args: tuple[Any, ...]) -> Any:
        """Have it done, mostly at home: parks; what it gave, maybe packed."""
        shelf = self._shelf
        if shelf is None or party is None or not spins(owner):
            return self._do("step", party, owner, name, args)
        well = shelf.keeps(name, args)
        if well is not None:
            return self._do("step", party, owner, name, args, shelf.slot, well=well)
        if shelf.may_write(name, args) and (turn := Turn()):
            return self._write(shelf, turn, party, owner, name, args)
        return self._do("step", party, owner, name, args)

    def _write(
        self, shelf: Shelf, turn: Turn, party: Any, owner: Task[Any], name: str, args: tuple[Any, ...]
    ) -> Any:
        """Do it here, or have it done at home, and wish for a lease. Ends the turn, now or as that is answered."""
        wish = None
        try:
            written, value = shelf.write(name, args)
            if written == 0:
                return value
            wish = Wish(turn, partial(shelf.adopt, value))
            return self._do("step", party, owner, name, args, shelf.slot, written, wish.of)
        finally:
            if wish is None or not wish.was_sent():
                turn.end()

    def held_step(self, party: Any, owner: Task[Any], name: str, args: tuple[Any, ...]) -> Any:
        """The same, where `owner` holds the lock already, or else it is refused."""
        return self._do("held", party, owner, name, args)

    def _do(
        self,
        op: str,
        party: Any,
        owner: Task[Any],
        name: str,
        args: tuple[Any, ...],
        slot: int = -1,
        written: Any = None,
        kind: Callable[..., Asked] = Asked,
        well: Any = None,
    ) -> Any:
        given: Any = args
        if name == "apply" and (data := code.data(args[0])) is not None:
            name, given = "code", (data, *args[1:])
        if not all_plain(given):
            given = pack(given)
        user = self._user
        if user is None or user[1] != owner.id:  # mostly it is the same task again
            user = self._user = me_as_owner(owner)
        request = (*self.ref, op, party is not None, (user, name, given, slot, written))
        if party is not None:
            return park_for(self, party, _TOLD.get(name, name), request, None, well, kind)
        return ask(request)

    @property
    def methods(self) -> frozenset[str]:
        """Names that are called rather than read. Asked once."""
        if self._methods is None:
            self._methods = frozenset(ask(self.request("methods", False, ())))
        return self._methods

    def describe(self) -> str:
        return f"shared {self.known[1]} of another address space"


# ── at home ─────────────────────────────────────────────────────────────────────────────────────────────────


class Step(Party):
    """One step that was asked for from elsewhere."""

    __slots__ = ("cell", "depth", "errand", "given", "name", "owner", "recalled", "slot")

    def __init__(
        self, link: Link, number: int, cell: CellMachine, owner: Any, name: str, given: Any, slot: int
    ) -> None:
        super().__init__(link, number)
        self.cell = cell
        self.owner = owner
        self.name = name
        self.given = given  # the arguments, or packed
        self.errand: Task[Any] | None = None
        self.depth = 0  # how often the owner has the lock that it has lent to the errand
        self.recalled = False
        self.slot = slot  # for a copy of what it gives, or a lease, see `copies`; -1: neither is wanted

    def acquire(self, wait: bool) -> Any:
        """Take the lock for the owner."""
        cell = self.cell
        acquire = cell.acquire_to_read if self.name in READING and self._is_plain() else cell.acquire
        return cell.guard.run(carrier(), acquire, self if wait else None, self.owner)

    def reply(self) -> None:
        """It was woken: it has the lock now, or the lock is abandoned."""
        error = self.waiter.error
        if error is not None:
            self.link.fail(self.number, told_of(error))
        elif self._is_plain():
            board.soon(self.go)  # not in the stack of who released the lock, who may be such a step, too
        else:
            self.go()

    def recall(self) -> bool:
        self.recalled = True
        errand = self.errand
        if errand is not None:
            cancel_task(errand, CALLER_GONE)
            return False
        return super().recall()

    def go(self) -> None:
        """The owner has the lock: do it."""
        if not self._is_plain():
            self._send_out(self._whole)
            return
        shows = self.slot >= 0 and self.name in READING and not is_leased(self.cell)  # before it is read
        try:
            value = STEPS[self.name](self.cell.content, *self.given)
        except Exception as error:
            self._release()
            self.link.fail(self.number, told_of(error))
            return
        if shows and is_small(value):
            shown = self.cell.guard.run(carrier(), show, self.cell, self.owner, self.link, self.slot)
            self.link.answer(self.number, (value, shown) if shown else value)
        elif type(value) in PLAIN:
            leased = self._give_back(self.cell.release, self.owner)
            self.link.answer(self.number, (value, *leased) if leased else value)
        else:
            self._send_out(partial(pack, value))

    def _is_plain(self) -> bool:
        return type(self.given) is tuple and is_plain(self.cell.content, self.name, self.given)

    def _release(self) -> None:
        self.cell.guard.run(carrier(), self.cell.release, self.owner)

    def _give_back(self, release: Callable[..., None], *args: Any) -> tuple[Any, ...]:
        """Release the lock; what is told of a lease, if who has asked for this gets one."""
        return self.cell.guard.run(carrier(), self._release_and_lease, release, args)  # type: ignore[no-any-return]

    def _release_and_lease(self, release: Callable[..., None], args: tuple[Any, ...]) -> tuple[Any, ...]:
        release(*args)
        return () if self.slot < 0 or self.name in READING else lease(self.cell, self.link, self.slot)

    # ── errands ─────────────────────────────────────────────────────────────────────────────────────────────

    def _send_out(self, work: Callable[[], Any]) -> None:
        """Have the rest done by a task of its own."""
        cell, me = self.cell, carrier()
        errand: Task[Any] = Task(
            self._run_errand, (work,), root, f"{_TOLD.get(self.name, self.name)} for {self.owner.name}"
        )
        errand.context, errand.executor = Context(), "threads"
        self.depth = cell.guard.run(me, cell.lend, self.owner, errand)
        root.guard.run(me, root.add, errand)
        self.errand = errand
        if self.recalled:  # just before there was an errand to be cancelled
            cancel_task(errand, CALLER_GONE)
        try:
            _threads.start(errand)
        except BaseException as error:  # no more threads
            withdraw_task(errand, me, error)
            self._end(self._told_of(error))

    def _run_errand(self, work: Callable[[], Any]) -> None:
        told = value = None
        try:
            value = work()
        except BaseException as error:
            told = self._told_of(error)
        look_out()  # who is handed the lock now may be the next
        self._end(told, value)

    def _whole(self) -> Any:
        """Open the arguments, do it, pack the outcome."""
        given, self.given = self.given, ()
        name, args = self.name, opened(given)
        if name == "code":
            name, args = "apply", (code.function(args[0]), *args[1:])
        value = STEPS[name](self.cell.content, *args)
        del given, args  # what was sent may be the last reference to something elsewhere
        return value if type(value) in PLAIN else pack(value)

    def _told_of(self, error: BaseException) -> Any:
        if self.recalled and isinstance(error, Cancelled):
            return RECALLED_TOLD
        return ("error", *pack_error(error, "at the home of the object"))

    def _end(self, told: Any, value: Any = None) -> None:
        """Give the lock back, then answer."""
        if told is not None or type(value) not in PLAIN:
            self.slot = -1
        leased = self._give_back(self.cell.take_back, self.owner, self.depth)
        if told is None:
            self.link.answer(self.number, (value, *leased) if leased else value)
        else:
            self.link.fail(self.number, told)


_threads = PooledThreads()


def serve(at: Home, link: Link, number: int, cell: Any, op: str, wait: bool, args: tuple[Any, ...]) -> None:
    """An operation of another address space on a shared object of ours."""
    if op in ("step", "held"):
        known, name, given, slot, written = args
        if written is not None and cell.guard.run(carrier(), was_taken, cell, link, written):
            link.answer(number, TAKEN)
            return
        step = Step(link, number, cell, at.owner(known), name, given, slot)
        if op == "held" and not cell.guard.run(carrier(), cell.held_by, step.owner):
            raise RuntimeError(NOT_HELD)
        link.serving[number] = step
        got = step.acquire(wait)
        if got is not PARKED:
            step.go()
        elif not wait:
            link.answer(number, PARKED_TOLD)
    elif op == "methods":
        link.answer(number, sorted(methods_of(type(cell.content))))
    else:
        sync.serve(at, link, number, cell, op, wait, args)


def _export(cell: Any) -> tuple[Any, ...]:
    if isinstance(cell, RemoteCell):
        return cell.known
    home.locks.add(cell)
    return "cell", kind_of(cell.content)


home.serves[CellMachine] = serve
home.exports[CellMachine] = home.exports[RemoteCell] = _export
home.makes["cell"] = RemoteCell
sync.OWNED.add(CellMachine)
