"""The short mutex around a machine, its owner's short cut, and what happens when a thread meets itself inside.

Nobody waits while it holds a guard, and no user code runs inside one but what interrupts it: a signal handler, a
finalizer, a weakref callback. Those may come back to a machine that their own thread is in the middle of. So:

    A thread that is inside no machine may block on a guard: whoever holds it leaves at once.
    A thread that is inside one already never blocks: where it can't enter, the operation is *deferred*, that is
    queued and run by whoever leaves that guard. Only operations whose result nobody needs at once may come
    this way (close, cancel, set, release, send_nowait: `post`); they then answer None.

With a GIL, a guard belongs to the first thread that enters, which from then on only marks `inside` (its own, so
nobody else writes it): an uncontended lock costs more than the rest of a buffered send. The first other thread
ends the privilege for good: it takes the mutex, clears `owner`, and waits until the old owner is not inside. The
owner marks first and checks `owner` after, so one of the two sees the other. Without a GIL the mutex is always taken.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from potok.errors import WouldBlock
from potok.kernel.build import FREE_THREADED
from potok.kernel.carrier import Carrier
from potok.kernel.current import carrier
from potok.machines.waiting import PARKED

__all__ = ["Guard", "guarded_together", "run_outside"]


class Guard:
    """Mutual exclusion for one machine. See the module's text for the rules."""

    __slots__ = ("deferred", "former", "mark", "mutex", "owner")

    def __init__(self, owner: Carrier | None) -> None:
        self.owner = None if FREE_THREADED else owner
        self.mutex = threading.Lock()
        self.deferred: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self.former: Carrier | None = None  # the owner that was, until it is known to be out
        self.mark = (self,)  # `inside` of a thread that holds the mutex: not the same object as the guard

    def run(self, me: Carrier, op: Callable[..., Any], *args: Any) -> Any:
        """Run `op(*args)` alone in the machine, then what was deferred meanwhile. Raises what `op` raises.

        Raises WouldBlock, with nothing done, where this thread was interrupted inside a machine and can't enter.
        """
        if me.inside is None:
            if self.owner is me:
                me.inside = self
                try:
                    if self.owner is me:
                        return op(*args)
                finally:
                    me.inside = None
                    if self.deferred:
                        self.run_deferred(me)
            me.inside = self.mark
            try:
                with self.mutex:  # not `acquire`: a signal handler may raise as that returns, before a `try`
                    if self.owner is not None or self.former is not None:
                        self.end_privilege()
                    return op(*args)
            finally:
                me.inside = None
                if self.deferred:
                    self.run_deferred(me)
        if not self._enter_at_once(me):
            raise WouldBlock(
                "called from a signal handler or finalizer that interrupted potok inside this very object"
            )
        got = self._run_nested(me, op, args)
        if got is PARKED and args and args[0] is not None:  # the party: it meant to wait
            raise WouldBlock(
                "this would wait inside an operation of potok: a comparison of items, a finalizer or a signal handler "
                "that interrupted one may call only what never waits"
            )
        return got

    def post(self, me: Carrier, op: Callable[..., Any], *args: Any) -> Any:
        """As `run`, for operations whose result can be done without: deferred where `run` would raise WouldBlock."""
        if me.inside is None:
            return self.run(me, op, *args)
        if self._enter_at_once(me):
            return self._run_nested(me, op, args)
        self.deferred.append((op, args))
        self._drain_nested(me)  # it may have been left in between, by one who did not see ours
        return None

    def _run_nested(self, me: Carrier, op: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Run in a thread that is inside another machine, the mutex taken."""
        outer, me.inside = me.inside, (self.mark, me.inside)
        try:
            return op(*args)
        finally:
            me.inside = outer
            self.mutex.release()
            self._drain_nested(me)

    def _drain_nested(self, me: Carrier) -> None:
        while self.deferred and self._enter_at_once(me):
            self._run_nested(me, self._pop_deferred, ())

    def _enter_at_once(self, me: Carrier) -> bool:
        """Take the mutex if that takes no waiting, also not for an owner with the short cut."""
        if not self.mutex.acquire(False):
            return False
        owner = self.owner
        if owner is not None:
            self.owner, self.former = None, owner
        former = self.former
        if former is not None and _is_inside(former, self):
            self.mutex.release()
            return False
        self.former = None
        return True

    def end_privilege(self) -> None:
        """With the mutex held: let no owner take the short cut any more, and wait until the last one is out."""
        if self.owner is not None:
            self.owner, self.former = None, self.owner
        while self.former is not None:
            if _is_inside(self.former, self):
                time.sleep(0)
            else:
                self.former = None

    def run_deferred(self, me: Carrier) -> None:
        """Run what was deferred, as the thread that leaves; again until nothing is left."""
        if me.inside is None:
            while self.deferred:
                self.run(me, self._pop_deferred)
            while (fn := _first_of(me.owed)) is not None:
                _run_logged(fn)

    def _pop_deferred(self) -> None:
        while self.deferred:
            try:
                op, args = self.deferred.popleft()
            except IndexError:
                return
            _run_logged(op, *args)


def run_outside(me: Carrier, fn: Callable[[], object]) -> None:
    """Run the user's code when this thread is inside no machine: now, or as it leaves the one it is in."""
    if me.inside is None:
        fn()
        return
    me.owed.append(fn)
    outermost = me.inside
    while not isinstance(outermost, Guard):
        outermost = outermost[-1]
    outermost.deferred.append((_take_over, (me.owed,)))  # so that it looks, as it is left


def _take_over(owed: list[Callable[[], object]]) -> None:
    """Whoever runs what was deferred has this to do, too, as it leaves: it may be another thread."""
    mine = carrier().owed
    while owed is not mine and (fn := _first_of(owed)) is not None:
        mine.append(fn)


def _first_of(owed: list[Callable[[], object]]) -> Callable[[], object] | None:
    """Taken out; several threads may be at it."""
    try:
        return owed.pop(0)
    except IndexError:
        return None


def _is_inside(carrier: Carrier, guard: Guard) -> bool:
    inside = carrier.inside
    while type(inside) is tuple and len(inside) == 2:
        inside = inside[1]
    return inside is guard or (type(inside) is list and guard in inside)


def _run_logged(op: Callable[..., Any], *args: Any) -> None:
    """Where an operation that a signal handler or finalizer asked for fails after that has returned, say so."""
    try:
        op(*args)
    except Exception:
        import logging

        told = "%r, asked for from a signal handler or finalizer, failed"
        logging.getLogger("potok").warning(told, op, exc_info=True)


def guarded_together(me: Carrier, guards: list[Guard], op: Callable[..., Any], *args: Any) -> Any:
    """Run `op(*args)` alone in all these machines (a select). Mutexes are taken in the order of the guards' ids."""
    if me.inside is not None:
        raise WouldBlock("select can't be called from a signal handler or finalizer that interrupted potok")
    if _all_owned(me, guards):
        me.inside = guards
        try:
            if _all_owned(me, guards):
                return op(*args)
        finally:
            me.inside = None
            _leave(me, guards)
    return _locked_together(me, sorted(set(guards), key=id), op, args)


def _all_owned(me: Carrier, guards: list[Guard]) -> bool:
    for guard in guards:  # noqa: SIM110 - twice as fast as all() over a generator
        if guard.owner is not me:
            return False
    return True


def _locked_together(me: Carrier, ordered: list[Guard], op: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    me.inside = tuple(guard.mark for guard in ordered)
    taken = []
    try:
        for guard in ordered:
            guard.mutex.acquire()
            taken.append(guard)
            guard.end_privilege()
        return op(*args)
    finally:
        for guard in taken:
            guard.mutex.release()
        me.inside = None
        _leave(me, ordered)


def _leave(me: Carrier, guards: list[Guard]) -> None:
    for guard in guards:
        if guard.deferred:
            guard.run_deferred(me)
