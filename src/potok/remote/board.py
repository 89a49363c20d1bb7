"""The switchboard: who reads this process's links, and when.

    a thread that parks ──▶ leads, if nobody does: it polls all links and handles what comes, until it is woken itself
    the standby thread  ──▶ leads when no thread has for a while (all compute, or wait in somebody else's code)

A thread in between would double the way of every answer: so whoever waits for one reads it itself (leader and
followers). A thread that leads blocks in the poll, not on its lock: whoever wakes it rings the bell, too.

Invariants
    What is handled is handled to its end: a thread in which a signal handler may raise neither leads nor touches a
    link, but leaves that to who leads then.
    At most one thread leads. What it handles it handles as itself, inside no machine.
    The standby gives way after its next turn, where a thread came that would have led.
    A thread that waits for something gives way to one that bids: one that runs errands for other address spaces (see
    `shared`), and has them without a change of threads where it reads them itself.
    While links are open, either a thread leads or the standby will within twice `QUIET` seconds.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

from potok.kernel.build import FREE_THREADED, fence
from potok.kernel.carrier import Carrier
from potok.kernel.current import carrier
from potok.kernel.interrupts import may_raise, raise_pending
from potok.kernel.services import service_thread
from potok.kernel.threadkernel import wait_by
from potok.remote.polls import Polls
from potok.remote.spinning import Spinner

__all__ = ["Board", "board", "is_exposed"]

QUIET: Final = 0.001  # seconds that the standby waits for a thread to lead again
LINGER: Final = 0.001  # seconds at most that what was gathered waits for more


class Board:
    """One for each process."""

    def __init__(self) -> None:
        self._polls = Polls()
        self._spinner = Spinner()
        self._lead = threading.RLock()  # its holder may take it again: what it handles may wait for an answer
        self._standby: Any = None
        self._stirred = threading.Lock()  # the standby's: released to have it look
        self._stirred.acquire()
        self._left: object = None  # another object each time that a thread stops to lead
        self._watching = False  # the standby looks by itself whether one leads
        self._wanted = False  # a thread came that would have led
        self._bidders: deque[Carrier] = deque()  # threads that wait for the lead, and for nothing else
        self._closed = False
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._serial = itertools.count()
        self.gathered: deque[Callable[[], object]] = deque()
        self._flow = threading.RLock()
        self._letting = 0  # a thread is about it
        self._lingering = False  # a timer sees to what is gathered ...
        self._flown = False  # ... and there was something since it last did
        self._calling = False
        self._calls: deque[Callable[[], object]] = deque()
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)
        self._polls.register(self._ear, self._heard)

    # ── what is polled ──────────────────────────────────────────────────────────────────────────────────────

    def watch(self, sock: Any, then: Callable[[int], object]) -> None:
        """Call `then(events)` whenever the socket can be read."""
        self._polls.register(sock, then)
        self.begin()
        self.ring()

    def also_write(self, sock: Any, then: Callable[[int], object], wanted: bool) -> None:
        """Whether `then` is called when it can be written, too."""
        self._polls.modify(sock, then, wanted)

    def forget(self, sock: Any) -> None:
        """Poll it no more."""
        self._polls.unregister(sock)

    def descriptors(self) -> set[int]:
        """The file descriptors that it has open itself."""
        return {self._ear.fileno(), self._bell.fileno(), self._polls.fileno()}

    def soon(self, call: Callable[[], object]) -> None:
        """Have it called by whoever leads. Safe from anywhere, a finalizer included; never waits."""
        if self._closed:
            return
        self._calls.append(call)
        self.ring()

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Have it called by whoever leads, in so many seconds."""
        heappush(self._timers, (time.monotonic() + seconds, next(self._serial), call))
        self.ring()

    # ── what is gathered ────────────────────────────────────────────────────────────────────────────────────

    def gather(self, go: Callable[[], object]) -> None:
        """Have `go` called soon: before this thread waits, before anything else is said, or in `LINGER` seconds."""
        self.gathered.append(go)
        self._flown = True
        if not self._lingering:
            self._lingering = True
            self.later(LINGER, self._linger)

    def let_flow(self) -> None:
        """Have what was gathered go now. As this returns it has gone, whichever thread has seen to it.

        A thread that may not block leaves it to who leads: one that is exposed, or that a finalizer has interrupted
        inside of a machine, for which another one may be waiting that sees to it.
        """
        if not (self.gathered or self._letting):
            return
        me = carrier()
        self._let_flow_in(me, is_exposed(me))

    def _let_flow_in(self, me: Carrier, exposed: bool) -> None:
        if exposed or not self._flow.acquire(me.inside is None):
            self.soon(self.let_flow)
            return
        calm, me.calm = me.calm, True
        try:
            self._letting += 1
            while self.gathered:
                self.gathered.popleft()()
        finally:
            me.calm = calm
            self._letting -= 1
            self._flow.release()

    def _linger(self) -> None:
        self._lingering = False  # first: from now on, who gathers calls for a timer of its own
        flown, self._flown = self._flown, False
        self.let_flow()
        if flown and not self._lingering:
            self._lingering = True
            heappush(self._timers, (time.monotonic() + LINGER, next(self._serial), self._linger))

    def ring(self) -> None:
        """Have whoever leads look up from the poll."""
        try:
            self._bell.send(b"!")
        except (OSError, AttributeError):  # rung often enough; or this process is ending
            pass

    def _heard(self, events: int) -> None:
        try:
            self._ear.recv(4096)
        except BlockingIOError:
            pass

    # ── leading ─────────────────────────────────────────────────────────────────────────────────────────────

    def wait(self, me: Carrier, parker: threading.Lock, timeout: float) -> bool:
        """`parker.acquire(timeout=timeout)`, and lead meanwhile if nobody does."""
        exposed = is_exposed(me)
        if self.gathered or self._letting:
            self._let_flow_in(me, exposed)
        if parker.acquire(False):
            return True
        if exposed:
            return parker.acquire(timeout=timeout)
        if not (self._lead.acquire(False) or (me.bids and self._bid_for_lead(me))):
            self._wanted = True
            return parker.acquire(timeout=timeout)
        led = me.leads
        me.leads = self.ring
        if FREE_THREADED:
            fence()
        until = time.monotonic() + timeout if timeout < threading.TIMEOUT_MAX else None
        try:
            got = self._lead_until(me, parker, until, led)
        finally:
            me.leads = led
            self._lead.release()
            if led is None:
                self._stir()
        return parker.acquire(timeout=timeout if until is None else _rest(until)) if got is None else got

    def _lead_until(self, me: Carrier, parker: threading.Lock, until: float | None, led: Any) -> bool | None:
        """Whether the lock was acquired in time; None if another thread is to lead instead."""
        gives_way = led is None and not me.bids
        while not parker.acquire(False):
            rest = None if until is None else until - time.monotonic()
            if rest is not None and rest <= 0:
                return False
            if gives_way and self._bidders:
                return None
            self.turn(rest)
            if led is None:  # else something is still half done
                raise_pending()
        return True

    def _bid_for_lead(self, me: Carrier) -> bool:
        """Take the lead from a thread that waits for something: this one has nothing else to do."""
        self._bidders.append(me)
        try:
            self.ring()
            return self._lead.acquire(timeout=QUIET)
        finally:
            self._bidders.remove(me)

    def turn(self, timeout: float | None) -> None:
        """Poll once and handle what there is. Only for the leader."""
        if self._timers:
            due = max(0.0, self._timers[0][0] - time.monotonic())
            timeout = due if timeout is None else min(due, timeout)
        for then, events in self._spinner.poll(self._polls.poll, timeout):
            then(events)
        while self._timers and self._timers[0][0] <= time.monotonic():
            self._calls.append(heappop(self._timers)[2])
        if not self._calling:
            self._calling = True  # one that waits for an answer lets us turn, but not call the next
            try:
                while self._calls:
                    _call_logged(self._calls.popleft())
            finally:
                self._calling = False

    def _stir(self) -> None:
        self._left = object()
        if FREE_THREADED:
            fence()
        if not self._watching:
            try:
                self._stirred.release()
            except RuntimeError:  # it was stirred before
                pass

    # ── the standby ─────────────────────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """From now on somebody leads. Idempotent."""
        if self._standby is not None:
            return
        wait_by(self.wait)
        self._standby = service_thread(self._stand_by, "potok-links")
        self._standby.start()

    def _stand_by(self) -> None:
        me = carrier()
        while not self._closed:
            left = self._left
            time.sleep(QUIET)  # the thread that led is likely to come back
            if self._left is not left:
                continue
            if not self._lead.acquire(False):
                self._wait_to_be_stirred(left)
                continue
            me.leads = self.ring
            self._wanted = False
            try:
                while not (self._wanted or self._bidders or self._closed):
                    self.turn(None)
            except MemoryError:  # a task has taken it all: it will hear of that itself
                pass
            finally:
                me.leads = None
                self._lead.release()

    def _wait_to_be_stirred(self, left: object) -> None:
        """A thread leads, and goes on to: until it stops. Each stop that finds us watching costs it nothing."""
        self._watching = False
        fence()
        if self._left is left:
            self._stirred.acquire()
        self._watching = True

    def close(self) -> None:
        """The address space ends, and its process does not: leave no thread and no descriptor behind."""
        self._closed = True
        self._stir()
        self.ring()
        if self._standby is not None:
            self._standby.join()
        if self._lead.acquire(timeout=QUIET):  # else a thread that does not end still waits in the poll
            self._polls.close()
            self._ear.close()
            self._bell.close()
        # The hook for forks refers to us until it is too late to collect cycles, and a single object that is left over
        # has Python keep all memory of its sub-interpreter: so refer to nothing. Finalizers may still ask for things.
        gathered = self.gathered
        self.__dict__.clear()
        self._closed, self.gathered = True, gathered

    def reset(self) -> None:
        """In a forked child: the links are the parent's."""
        self._polls.close()
        self._ear.close()
        self._bell.close()
        self.__init__()  # type: ignore[misc]


def is_exposed(me: Carrier) -> bool:
    """Whether a signal handler may raise in this thread, at any of its steps. Half of a message sent is no message.

    Who leads, or is calm, has asked before, and has not run anything of the user's since.
    """
    return me.leads is None and not me.calm and me.takes_signals and may_raise()


def _rest(until: float) -> float:
    return max(0.0, until - time.monotonic())


def _call_logged(call: Callable[[], object]) -> None:
    """What was to be done some time: nobody is left to be told that it failed."""
    try:
        call()
    except Exception:
        import logging

        logging.getLogger("potok").warning(
            "%r, put off to be done outside of a finalizer, failed", call, exc_info=True
        )


board = Board()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=board.reset)
