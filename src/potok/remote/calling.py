"""Calling an object that lives elsewhere: park until it is answered, ask and block for a moment, or just tell.

`parks` sends the operation with the party's waiter as the one who asks, so that a task parks for a remote operation as
for one of this address space. Withdrawing sends a recall and says "not taken back": the one definite answer wakes the
waiter, either with the outcome, or with `RECALLED`, after which nothing has happened.

`asks` blocks the thread for a round trip, and is no park point; a note ("tell") is not even answered. They keep their
order.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from potok.errors import PotokError, WouldBlock
from potok.kernel.carrier import Carrier
from potok.kernel.current import carrier, current
from potok.kernel.parking import RECALLED
from potok.kernel.task import ATTEND
from potok.kernel.threadkernel import closed_lock
from potok.links.packing import Ref, told
from potok.machines.waiting import AGAIN, PARKED, Machine, Waiter, park
from potok.remote.board import board
from potok.remote.home import home
from potok.remote.link import Link
from potok.remote.parties import AGAIN_TOLD, PARKED_TOLD, RECALLED_TOLD

__all__ = [
    "Asked",
    "Away",
    "AwayGuard",
    "Remote",
    "Round",
    "Slot",
    "ask",
    "asks",
    "block_for",
    "park_for",
    "parks",
    "reads",
    "understood",
]


LAST_WAIT = 1.0  # seconds that an exception of a signal handler's waits for an answer that is on its way


class AwayGuard:
    """A stand-in has nothing to be protected: its operations are messages."""

    owner = None
    deferred = ()

    def run(self, me: Carrier, op: Callable[..., Any], *args: Any) -> Any:
        if me.inside is not None:
            raise WouldBlock(
                "this asks another address space, and was called from a signal handler or finalizer that interrupted "
                "potok"
            )
        return op(*args)

    def post(self, me: Carrier, op: Callable[..., Any], *args: Any) -> Any:
        """From a signal handler or finalizer that interrupted potok: a little later."""
        if me.inside is None:
            return op(*args)
        board.soon(partial(op, *args))
        return None


AWAY = AwayGuard()


def understood(error: Any) -> Any:
    """What `parties.told_of` told, as the error of a waiter."""
    if isinstance(error, BaseException):
        return error
    if error == RECALLED_TOLD:
        return RECALLED
    if error == AGAIN_TOLD:
        return AGAIN
    return told(*error[1:])


class Away:
    """What a waiter stands at whose call is answered elsewhere."""

    __slots__ = ()

    away = True

    def withdraw(self, entry: Waiter) -> bool:
        """Call back what it waits for. False, always: its answer tells."""
        asked = entry.item
        if isinstance(asked, Asked):
            asked.recall()
        return False

    def is_untold(self, entry: Waiter) -> bool:
        """Whether the home never heard of it: an exception came before."""
        return not (isinstance(entry.item, Asked) and entry.item.was_sent())


class Remote(Away, Machine):
    """What stands here for a machine whose home is elsewhere."""

    __slots__ = ("count", "known", "ref")

    sent: Any = staticmethod(lambda args: args)  # what is sent in place of the arguments

    def __init__(self, ref: Ref, *spec: Any) -> None:
        self.ref = ref
        self.known = spec
        self.count = 0  # references that it answers for
        self.guard = AWAY

    def __del__(self) -> None:
        if getattr(self, "count", 0):
            board.soon(partial(home.let_go, self.ref, self.count))

    def request(self, op: str, wait: bool, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (*self.ref, op, wait, args)

    def describe(self) -> str:
        return f"{type(self).__name__.removeprefix('Remote').lower()} of another address space"


class _Answered(Machine):
    """Where a waiter stands that was answered: its task may keep it for the next time, but not what it waited for."""

    __slots__ = ()

    away = True

    def withdraw(self, entry: Waiter) -> bool:
        return False

    def is_untold(self, entry: Waiter) -> bool:
        return False

    def describe(self) -> str:
        return "an answered call"


ANSWERED = _Answered()
ANSWERED.guard = AWAY


class Asking:
    """Who has made a call; whether it was sent is certain, whatever a signal handler raises meanwhile."""

    __slots__ = ("call", "link")

    def __init__(self) -> None:
        self.link: Any = None
        self.call: Any = None

    def send(self, space: int, request: tuple[Any, ...]) -> None:
        """Raises why it can't be sent; or what a signal handler raises, and then see `was_sent`."""
        self.link = link = home.link_to(space)
        self.call = call = link.prepare(request, self)
        link.commit(call, request)

    def was_sent(self) -> bool:
        """Whether an answer comes; asked by who has sent it, after an exception."""
        return self.call is not None and self.link.has(self.call)


class Asked(Asking):
    """A call with a waiter behind it."""

    __slots__ = ("waiter", "well")

    def __init__(self, waiter: Waiter, well: Callable[[Any], Any] | None = None) -> None:
        super().__init__()
        self.waiter = waiter
        self.well = well

    def recall(self) -> None:
        if self.call is not None:
            self.link.recall(self.call.number)

    def answered(self, value: Any) -> None:
        waiter = self.waiter
        waiter.claimed = True
        try:
            waiter.value = value if self.well is None else self.well(value)
        except Exception as error:
            waiter.error = error
        waiter.machine, waiter.end = ANSWERED, None
        waiter.wake()

    def failed(self, error: Any) -> None:
        waiter = self.waiter
        waiter.claimed = True
        waiter.error = understood(error)
        waiter.wake()


class Slot(Asking):
    """A call that a thread blocks for."""

    __slots__ = ("counts", "done", "error", "lock", "me", "value")

    def __init__(self, me: Carrier, counts: bool = True) -> None:
        super().__init__()
        self.me = me
        self.counts = counts  # as a message, in the eyes of who looks whether there are any
        self.lock = closed_lock()
        self.done = False
        self.value: Any = None
        self.error: Any = None

    def answered(self, value: Any) -> None:
        self.value = value
        self._done()

    def failed(self, error: Any) -> None:
        known = understood(error)
        self.error = known if isinstance(known, BaseException) else PotokError("the call was taken back")
        self._done()

    def _done(self) -> None:
        self.done = True
        self.lock.release()
        self.me.rouse()

    def outcome(self) -> Any:
        """What was answered. Raises what was told."""
        if self.error is not None:
            raise self.error
        return self.value

    def brings_something(self, wait: float) -> bool:
        """Whether it was answered with what must not be lost, or is within so many seconds."""
        if not self.done and not (self.was_sent() and board.wait(self.me, self.lock, wait)):
            return False
        return self.error is None and self.value != PARKED_TOLD


def ask(request: tuple[Any, ...], counts: bool = True) -> Any:
    """Block this thread for the answer. Raises what it was told, or why the link has ended."""
    return block_for(lambda slot: slot.send(request[0], request), counts)


def block_for(start: Callable[[Slot], object], counts: bool = True, timeout: float | None = None) -> Any:
    """Block this thread until what `start` has begun is answered; None if that takes longer than `timeout` seconds.

    Where a signal handler raises meanwhile, that waits for the answer, if it comes soon: what it brings is not lost.
    """
    me = carrier()
    slot = Slot(me, counts)
    until = None if timeout is None else time.monotonic() + timeout
    try:
        start(slot)
        while not board.wait(me, slot.lock, me.patience if timeout is None else min(me.patience, timeout)):
            if until is not None and time.monotonic() >= until:
                return None
        return slot.outcome()
    except BaseException as error:
        if error is slot.error:
            slot.error = None  # see `raise_once`
            raise
        if not slot.brings_something(LAST_WAIT):
            raise
        _raise_later(error)
        return slot.value


class Round:
    """The same asked of many spaces, which answer in any order and in any thread; `then` is called after the last.

    Answers are added to `answers` as they come. Who can't be asked, or fails, answers None.
    """

    __slots__ = ("_answers", "_lock", "_rest", "_then")

    counts = False  # as a message

    def __init__(
        self,
        links: list[Link],
        op: str,
        wait: bool,
        args: tuple[Any, ...],
        answers: list[Any],
        then: Callable[[], object],
    ) -> None:
        self._answers = answers
        self._lock = threading.Lock()  # answers come while others are still asked
        self._rest = len(links) + 1
        self._then = then
        for link in links:
            try:
                link.call((link.space, 0, op, wait, args), self)
            except Exception:  # it has just ended
                self.failed(None)
        self._count()

    def answered(self, value: Any) -> None:
        self._count(value)

    def failed(self, error: Any) -> None:
        self._count(None)

    def _count(self, *answers: Any) -> None:
        with self._lock:
            self._answers += answers
            self._rest -= 1
            is_last = not self._rest
        if is_last:
            self._then()


def _raise_later(error: BaseException) -> None:
    """At the next park point."""
    task = current()
    if task.pending is None:
        task.pending = error
    task.trap = ATTEND


def park_for(
    remote: Remote,
    party: Any,
    op: str,
    request: tuple[Any, ...],
    end: Any = None,
    well: Any = None,
    kind: Callable[..., Asked] = Asked,
) -> Any:
    """Have the party wait for the answer."""
    waiter: Any = park(party, remote, op, None, end)
    asked = kind(waiter, well)
    waiter.item = asked
    asked.send(request[0], request)
    return PARKED


def parks(op: str, well: Callable[[Any], Any] | None = None) -> Any:
    """An operation that may park: `op(party, *args)`."""

    def operation(self: Remote, party: Any, *args: Any) -> Any:
        if party is not None:
            return park_for(self, party, op, self.request(op, True, self.sent(args)), None, well)
        got = ask(self.request(op, False, self.sent(args)))
        if got == PARKED_TOLD:
            return PARKED
        return got if well is None else well(got)

    return operation


def asks(op: str) -> Any:
    """An operation that does not wait at home, but whose answer counts."""

    def operation(self: Remote, *args: Any) -> Any:
        return ask(self.request(op, False, self.sent(args)))

    return operation


def reads(name: str) -> Any:
    """An attribute at home."""
    return property(lambda self: ask(self.request("read", False, (name,))))
