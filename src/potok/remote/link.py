"""A link: one end of a socket pair, the session on it, and what is to be done with what comes.

    whoever has something to say ──▶ session ──▶ socket        (at once; what does not fit when it can be written)
    socket ──▶ session ──▶ who asked, or who serves            (the thread that leads, see `board`)

The session has a guard, as machines have: a finalizer or signal handler that interrupts a thread inside of it may
only post what waits for nothing. What was heard is handled outside, in its order, also where handling it waits for an
answer and so hears more.

Invariants
    A thread in which a signal handler may raise leaves what it says to who leads: bytes cut short would end the link.
    What is said is sent in the order in which it was said, by whoever comes by: nobody waits for the socket.
    What a machine has said while it was held is sent before whatever the same thread says after that.
    Each call is ended once, by `owner.answered` or `owner.failed`; as the link ends, with what ended it.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
import time
from array import array
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from potok.errors import PotokError, WorkerDied
from potok.kernel.current import carrier
from potok.kernel.guard import Guard
from potok.links.packing import Carrying, Ref
from potok.links.session import (
    RING,
    RUNG,
    Answered,
    Call,
    Called,
    Ended,
    Event,
    Failed,
    Greeted,
    Noted,
    Recalled,
    Session,
)
from potok.links.wire import WireError
from potok.machines.mailbox import shown
from potok.remote.board import board, is_exposed
from potok.remote.buffers import store
from potok.remote.lanes import Lane
from potok.remote.page import Page

__all__ = ["Asker", "Link", "Server"]

CHUNK = 1 << 16  # bytes read, or written, at a time
LOOK = 0.05  # seconds after which who waits for the socket sees whether it is still open
QUIET = frozenset({"begun", "flow", "forget", "hold", "record", "release", "returned"})
"""Notes whose effects no task can see; those of flows count by their items."""
REMEMBERED = 8  # things that the other side said last
TOO_MANY_OPEN = "memory came over it that this process can't take: it has too many open files (RLIMIT_NOFILE)"
PASSED = socket.CMSG_SPACE(253 * 4)  # for all descriptors that the kernel passes at once
CLOSED_ON_EXEC = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))
CUT_SHORT = int(
    socket.MSG_CTRUNC
)  # a number: what the flags of `socket` do takes longer than the system call


class Asker(Protocol):
    """Who makes a call. Both are called by the thread that leads."""

    def answered(self, value: Any) -> None: ...

    def failed(self, error: Any) -> None:
        """`error` is what the other side told, or an exception of this side's: the link has ended."""


class Server(Protocol):
    """Who serves the other side's calls."""

    def greeted(self, link: Link, about: Any) -> None: ...

    def serve(self, link: Link, number: int, request: Any) -> None: ...

    def recall(self, link: Link, number: int, why: Any) -> None: ...

    def noted(self, link: Link, note: Any) -> None: ...

    def ends(self, link: Link, error: BaseException) -> None:
        """First, before calls fail."""

    def ended(self, link: Link, error: BaseException) -> None:
        """Last."""


class Link:
    """To another address space, whose number is `space`."""

    def __init__(self, sock: socket.socket, space: int, server: Server, about: Any = None) -> None:
        sock.setblocking(False)
        self.space = space
        self.page = Page()  # where it counts what its tasks take
        self.lanes: tuple[Lane, ...] = ()  # by which items may have come from there
        self.acts = 0  # said here: what somebody at the other side can see that it was done, and items
        self._acts_done = 0  # of those that were said there; shown in the page
        self.held: dict[Ref, int] = {}  # references that the other side has
        self._counting = threading.Lock()
        self.serving: dict[int, Any] = {}  # calls of the other side that are open here
        self.dismissed = False  # it was let go
        self.last: deque[tuple[Any, ...]] = deque(maxlen=REMEMBERED)  # what the other side did, see `lately`
        self.traffic = 0  # messages handled, but for those of whoever looks at it
        self.cause: BaseException | None = None  # why it has ended
        self.explain: Callable[[WireError | None], BaseException | None] = _unexplained
        # What machines of this space have said, each with what makes notes of it: sent before anything else is.
        self.unsaid: deque[tuple[deque[Any], Callable[..., tuple[Any, ...]]]] = deque()
        self._socket = sock
        self._server = server
        self._session = Session(partial(store.dumps, self), partial(store.loads, self), about)
        self._guard = Guard(None)
        self._unsent: deque[tuple[memoryview, tuple[int, ...]]] = deque()  # and the descriptors with it
        self._left: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()  # to who leads
        self._heard: deque[Event] = deque()
        self._stuck = False  # the socket is full
        self._kept_back = False  # see `together`
        self._ended: Ended | None = None  # and it is not known why
        board.watch(sock, self._ready)
        self._guard.run(carrier(), self._flush)

    @property
    def descriptor(self) -> int:
        """Of its socket; -1 once that is closed."""
        return self._socket.fileno()

    @property
    def is_stuck(self) -> bool:
        """Whether something that was said waits for the socket to take it."""
        return self._stuck

    @property
    def is_open(self) -> bool:
        return self.cause is None

    # ── speaking ────────────────────────────────────────────────────────────────────────────────────────────

    def call(self, request: tuple[Any, ...], owner: Asker) -> int:
        """Ask the other side; it is answered some time. The number, for `recall`.

        Raises: why the link has ended; WouldBlock from a finalizer or signal handler that interrupted a link.
        """
        call = self.prepare(request, owner)
        self.commit(call, request)
        return call.number

    def prepare(self, request: tuple[Any, ...], owner: Any) -> Call:
        """A call that is still to be sent, by `commit`. Raises as `call`."""
        try:
            return self._guard.run(carrier(), self._session.prepare, request, owner)  # type: ignore[no-any-return]
        except WireError:
            raise self.error() from None

    def commit(self, call: Call, request: tuple[Any, ...]) -> None:
        """Send it: wholly, or not at all (see `has`). Raises as `call`."""
        me = carrier()
        if me.inside is None and is_exposed(me):
            self._leave_to_others(self._commit_late, call, request)
            return
        board.let_flow()
        try:
            self._guard.run(me, self._in_order, self._commit, call, request)
        except WireError:
            raise self.error() from None

    def _commit(self, call: Call, request: tuple[Any, ...]) -> None:
        self._say_unsaid()
        self._session.commit(call)
        call.sent.append(True)
        self._sent_with(request)

    def _commit_late(self, call: Call, request: tuple[Any, ...]) -> None:
        call.sent.append(True)
        try:
            self._commit(call, request)
        except WireError:
            board.soon(partial(self._fail_late, call))

    def _fail_late(self, call: Call) -> None:
        """It was to be sent, and the link has ended since; why, may be told only later."""
        ended = self._ended
        if ended is None or self.cause is not None:
            call.owner.failed(self.error())
        else:
            self._ended = ended._replace(owners=(*ended.owners, call.owner))

    def has(self, call: Call) -> bool:
        """Whether it was sent, or is going to be; asked by who has prepared it, after an exception."""
        if any(args[0] is call for _, args in self._left.copy() if args):
            board.soon(self._take_over)  # who leads may not have been told
            return True
        return bool(call.sent)

    def recall(self, number: int, why: Any = None) -> None:
        """Take the call back, if it is not done yet; its one answer tells."""
        self._tell(self._session.recall, number, why)

    def answer(self, number: int, value: Any) -> None:
        """Answer a call of the other side."""
        self.serving.pop(number, None)
        self._tell(self._session.answer, number, value)

    def fail(self, number: int, error: Any) -> None:
        self.serving.pop(number, None)
        self._tell(self._session.fail, number, error)

    def draws(self, lane: Lane, drawn: Callable[[bool], object]) -> None:
        """Items come by this lane from now on, which `drawn` takes: before any message is handled.

        It is called with True where the other side has rung: whoever wants to hear of the next item, says so again.
        """
        lane.drawn = drawn
        if lane in self.lanes:
            return
        with self._counting:
            if lane not in self.lanes:
                self.lanes = (*self.lanes, lane)

    def note(self, *note: Any) -> None:
        if note[0] not in QUIET:
            self.acts_now()
        self._tell(self._session.note, note)

    def acts_now(self) -> None:
        """Something is said, before or after this, that comes before what is done next: nothing may overtake it."""
        with self._counting:
            self.acts += 1

    def _tell(self, *said: Any) -> None:
        me = carrier()
        if is_exposed(me):
            self._leave_to_others(self._say, *said)
            return
        board.let_flow()
        self._guard.post(me, self._in_order, self._say, *said)

    def _leave_to_others(self, *op: Any) -> None:
        """Have it done by who leads. A single step: an exception comes before or after."""
        self._left.append((op[0], op[1:]))
        board.soon(self._take_over)

    def _take_over(self) -> None:
        board.let_flow()
        self._guard.run(carrier(), self._in_order)
        self._handle_heard()

    def _in_order(self, *op: Any) -> None:
        """Do what was left to others, then this, and send."""
        while self._left:
            left, args = self._left[0]
            try:
                left(*args)
            except Exception:
                _log("%r, left to whoever handles messages, failed", args)
            self._left.popleft()
        if op:
            op[0](*op[1:])
        self._flush()

    def speak(self) -> None:
        """Send what was left in `unsaid`."""
        if self.unsaid:
            me = carrier()
            if is_exposed(me):
                self._leave_to_others(self._say_unsaid)
            else:
                self._guard.post(me, self._in_order, self._say_unsaid)

    def _say_unsaid(self) -> None:
        while self.unsaid:
            said, form = self.unsaid.popleft()
            while said:
                note = form(*said.popleft())
                self._session.note(note)
                self._sent_with(note)

    def taken_there(self, slot: int) -> int:
        """How many items the inbox with that slot has taken, as far as can be seen."""
        numbers = self.page.numbers
        return int(numbers[slot]) if 0 < slot < len(numbers) else 0

    def show_room(self, slot: int, epoch: int, granted: int) -> bool:
        """Let the outbox with that slot see how many places it was granted; False: it can't."""
        grants = self.page.grants
        is_seen = 0 < slot < len(grants)
        if is_seen:
            grants[slot] = shown(epoch, granted)
        return is_seen

    def ring(self) -> None:
        """Have the other side look into the lanes. It may overtake what was said before, which does no harm."""
        self._guard.post(carrier(), self._ring)

    def _ring(self) -> None:
        if self._stuck or self._kept_back or self._unsent or self._session.has_outgoing:
            self._session.ring()
            self._flush()
            return
        try:
            self._socket.send(RING)  # so short that it is sent whole, or not at all
        except BlockingIOError:
            self._session.ring()
            self._flush()
        except OSError:  # as in `_flush`
            pass

    def together(self, wanted: bool) -> None:
        """From now on keep back what is said, or send it in one piece."""
        self._kept_back = wanted
        if not wanted:
            self._guard.run(carrier(), self._flush)

    def _say(self, say: Callable[..., None], *said: Any) -> None:
        self._say_unsaid()
        say(*said)
        self._sent_with(said)

    def _sent_with(self, parts: tuple[Any, ...]) -> None:
        """The references in it are the other side's now."""
        for part in parts:
            kind = type(part)
            if kind is int or kind is str:  # most are
                continue
            if kind is Carrying:
                for ref in part.refs:
                    self.count(ref, 1)
                part.sent()
            elif isinstance(part, tuple):
                self._sent_with(part)

    def _came_with(self, parts: tuple[Any, ...]) -> None:
        """References to what lives elsewhere, for which the other side had said `hold`, are the message's now."""
        for part in parts:
            kind = type(part)
            if kind is int or kind is str:
                continue
            if kind is Carrying:
                for ref in part.refs:
                    if self.space and ref[0] != self.space:
                        self.count(ref, -1)
            elif isinstance(part, tuple):
                self._came_with(part)

    def count(self, ref: Ref, n: int) -> None:
        """The other side has so many references more, or fewer."""
        with self._counting:
            self.held[ref] = self.held.get(ref, 0) + n
            if not self.held[ref]:
                del self.held[ref]

    def _flush(self) -> None:
        """Send what there is to send, as far as the socket takes it."""
        if self._stuck or self._kept_back:
            return
        for data, descriptors in self._session.take_outgoing():
            self._unsent.append((memoryview(data), descriptors))
        if not self._unsent:
            return
        try:
            while self._unsent:
                self._send_some()
        except BlockingIOError:
            self._stuck = True
            board.also_write(self._socket, self._ready, True)
        except OSError:  # the other side has gone: reading tells of it
            self._unsent.clear()

    def drain(self) -> None:
        """Block until all that was said is written: what kills this process next does not unsay it.

        Not where this thread has interrupted a link, which would wait for itself; nor when the link has ended.
        """
        me = carrier()
        while self._has_to_say() and me.inside is None and self.descriptor >= 0:
            if is_exposed(me):
                time.sleep(LOOK / 100)  # whoever leads does it
            else:
                select.select((), (self._socket,), (), LOOK)
                self._guard.run(me, self._unstick)

    def _has_to_say(self) -> bool:
        return bool(self._left or self._unsent or self._session.has_outgoing)

    def _unstick(self) -> None:
        if self._stuck:
            self._stuck = False
            board.also_write(self._socket, self._ready, False)
        self._flush()

    def _send_some(self) -> None:
        """One system call: descriptors go with the first byte of their piece, and small pieces together."""
        if len(self._unsent) > 1:
            self._join()
        piece, descriptors = self._unsent[0]
        sent = (
            socket.send_fds(self._socket, [piece], descriptors) if descriptors else self._socket.send(piece)
        )
        if sent < len(piece):
            self._unsent[0] = piece[sent:], ()
        else:
            self._unsent.popleft()

    def _join(self) -> None:
        """Put the first pieces together, where they are small."""
        piece, descriptors = self._unsent.popleft()
        size, pieces = len(piece), [piece]
        while self._unsent and size + len(self._unsent[0][0]) <= CHUNK and not self._unsent[0][1]:
            pieces.append(self._unsent.popleft()[0])
            size += len(pieces[-1])
        self._unsent.appendleft((piece if len(pieces) == 1 else memoryview(b"".join(pieces)), descriptors))

    # ── listening ───────────────────────────────────────────────────────────────────────────────────────────

    def _ready(self, events: int, last: bool = False) -> None:
        """The socket can be read, or written. Called by the thread that leads."""
        self._guard.run(carrier(), self._read, last)
        self._handle_heard()

    def _read(self, last: bool) -> None:
        if self._stuck:
            self._unstick()
        descriptors: list[int] = []
        try:
            data, passed, flags, _ = self._socket.recvmsg(CHUNK, PASSED, CLOSED_ON_EXEC)
            if passed:
                descriptors = _descriptors_in(passed)
            if flags & CUT_SHORT:
                self._heard += self._session.give_up(WireError(TOO_MANY_OPEN))
        except BlockingIOError:
            if not last:  # a child of the other side may still hold the socket open
                return
            data = b""
        except OSError:
            data = b""
        if data == RING and self._session.is_between_frames:
            self._heard.append(RUNG)
        else:
            self._heard += self._session.receive(data, descriptors) if data else self._session.end_of_stream()

    def _handle_heard(self) -> None:
        """One after the other; what goes wrong with one concerns nobody else, least of all who happens to lead."""
        while self._heard:
            event = self._heard.popleft()
            try:
                for lane in self.lanes:
                    lane.draw(event is RUNG)
                self._handle(event)
            except Exception:
                _log("a message could not be handled: %r", event)

    def _handle(self, event: Event) -> None:
        if type(event) is Noted:  # most are
            self._noted(event.note)
            return
        if _counts(event):
            self.traffic += 1
        if event is RUNG:
            return
        match event:
            case Answered(_, value, owner):
                self._came_with((value,))
                owner.answered(value)
            case Called(number, request):
                self.last.append(request[:3])
                self._came_with(request)
                self._server.serve(self, number, request)
            case Failed(_, error, owner):
                owner.failed(error)
            case Recalled(number, why):
                self._server.recall(self, number, why)
            case Greeted(about):
                self._server.greeted(self, about)
            case Ended():
                self._end(event)

    def _noted(self, note: tuple[Any, ...]) -> None:
        if note[0] in ("returned", "forget"):
            store.noted(self, *note)
            return
        if note[0] != "suspect":
            self.traffic += 1
        self._came_with(note)
        done = _acts_in(note)
        try:
            self._server.noted(self, note)
        finally:
            if done:
                self._acts_done += done
                self.page.heard[0] = self._acts_done

    def _end(self, ended: Ended) -> None:
        """Nothing more comes. Why, may be told a little later: then `hang_up` is called."""
        self.close()
        self._ended = ended
        cause = self.explain(ended.cause)
        if cause is not None:
            self._conclude(cause)

    def _conclude(self, cause: BaseException) -> None:
        ended, self._ended = self._ended, None
        self.cause = cause
        self._guard.run(carrier(), self._leave_off)
        store.lost(self)
        if ended is not None:
            self._server.ends(self, self.error())
            for owner in ended.owners:
                owner.failed(self.error())
            self._server.ended(self, self.error())
            self.held.clear()

    def _leave_off(self) -> None:
        self._unsent.clear()
        for fd in self._session.leave():
            os.close(fd)

    def hang_up(self) -> None:
        """The other side is no more: hear its last words, then end. `explain` knows why by now."""
        while self._ended is None and self.cause is None:
            self._ready(0, last=True)
        if self.cause is None:
            self._conclude(self.explain(None) or PotokError("the other address space has gone"))

    def let_go(self) -> None:
        """Close it from here; who is at the other side goes away then."""
        self.dismissed = True
        self._heard += self._guard.run(carrier(), self._session.end_of_stream)
        self._handle_heard()
        if self.cause is None:  # how it ends is of no interest
            self._conclude(PotokError("this worker was let go: it had nothing to do"))

    def is_alive(self) -> bool:
        """Whether the other side has not closed its end, as far as can be told without waiting."""
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def forsake(self, why: str) -> None:
        """In a forked child: it is the parent's. Nothing is said."""
        self.cause = PotokError(why)
        self._guard = Guard(None)  # the other may be held by a thread that is not here
        self._leave_off()
        self._socket.close()

    def close(self) -> None:
        """Leave the socket. What is open fails only if the end was heard of."""
        try:
            board.forget(self._socket)
        except (KeyError, ValueError):  # it was closed before
            return
        self._socket.close()

    def error(self) -> BaseException:
        """A fresh exception that says why the link has ended."""
        cause = self.cause
        if cause is None:
            return PotokError("the link to the other address space is closing")
        if isinstance(cause, WorkerDied):
            return WorkerDied(
                str(cause),
                exit_code=cause.exit_code,
                signal=cause.signal,
                pid=cause.pid,
                task=cause.task,
                last_events=cause.last_events,
                memory=cause.memory,
            )
        return PotokError(str(cause))


def _descriptors_in(passed: list[tuple[int, int, bytes]]) -> list[int]:
    """Those that came with some bytes."""
    numbers = array("i")
    for level, kind, data in passed:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    if not CLOSED_ON_EXEC:
        for fd in numbers:
            os.set_inheritable(fd, False)
    return list(numbers)


def _acts_in(note: tuple[Any, ...]) -> int:
    """How much was done that its sender has counted in `acts`."""
    if note[0] != "flow":
        return note[0] not in QUIET
    *_, op, args = note
    return len(args[1][0]) if op == "push" else 0


def _unexplained(cause: WireError | None) -> BaseException:
    return PotokError(f"the other address space has gone{f': {cause}' if cause is not None else ''}")


def _log(what: str, *args: Any) -> None:
    logging.getLogger("potok").warning(what, *args, exc_info=True)


_LOOKS = ("look", "parked", "holders")  # by which spaces are looked at


def _counts(event: Event) -> bool:
    if isinstance(event, Called):
        return event.request[2] not in _LOOKS
    return getattr(getattr(event, "owner", None), "counts", True)
