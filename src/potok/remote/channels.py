"""Channel ends in other address spaces: what stands for them there, and how their home serves them.

Items are packed by the task that sends and opened by the task that receives; the home never looks inside. A channel
of which an end was exported packs what is sent at home, too (`ChannelMachine.shared`): a value is fixed as it is sent.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from potok.errors import ClosedError, PotokError
from potok.kernel.current import carrier
from potok.kernel.ends import close_end, operate, report_lost
from potok.kernel.parking import RETRY
from potok.kernel.weakly import members_of
from potok.links.packing import Packed, Ref, pack_error, safely_opened, told
from potok.machines.broadcast import BroadcastMachine, Subscription
from potok.machines.channel import ChannelMachine, End
from potok.machines.peek import Peek, look
from potok.machines.select import OPEN
from potok.machines.waiting import AGAIN, PARKED, Arm, new_arm
from potok.remote.board import board
from potok.remote.calling import Asked, Remote, ask, park_for
from potok.remote.home import Home, home
from potok.remote.link import Link
from potok.remote.parties import PARKED_TOLD, Party, packed

__all__ = [
    "NOBODY",
    "RemoteBroadcast",
    "RemoteChannel",
    "RemoteEnd",
    "Watch",
    "channel_kinds",
    "channels_here",
    "watch_here",
]

NOBODY: Any = type("NoQueue", (), {"entries": (), "__slots__": ()})()


class RemoteEnd(End):
    """What stands here for an end whose home is elsewhere."""

    __slots__ = ("__weakref__", "collected", "count", "known", "moves", "ref", "told")

    machine: RemoteChannel  # type: ignore[assignment]

    def __init__(
        self, ref: Ref, machine: RemoteChannel, sends: bool, moves: bool, spec: tuple[Any, ...]
    ) -> None:
        super().__init__(machine, sends)  # type: ignore[arg-type]
        self.ref = ref
        self.moves = moves
        self.known = spec
        self.count = 0  # references that it answers for
        self.collected = False  # though it may still be found: weak references to it end after `__del__`
        self.told: ClosedError | None = None  # that it was closed at its home
        machine.ends.add(self)

    def __del__(self) -> None:
        if getattr(self, "count", 0):
            self.collected = True
            board.soon(partial(self.machine.dropped, self.ref, self.count, self.sends))


class RemoteChannel(Remote):
    """What stands here for a channel whose home is elsewhere. It has no reference of its own: its ends have."""

    __slots__ = ("alerted", "ends", "handed", "name", "size")

    # What façades look at before they take a short cut: there is none.
    loose = direct = dropping = cancelled = False
    shared = True
    flows: Any = None  # each item is called for
    buffer = lost = permits = ()
    senders = receivers = NOBODY
    open_senders = open_receivers = 1
    undelivered = cause = None

    def __init__(self, ref: Ref, spec: tuple[Any, ...], name: str, size: int | None) -> None:
        super().__init__(ref, *spec)
        self.name = name
        self.size = size
        self.ends: WeakSet[RemoteEnd] = WeakSet()
        self.handed: dict[End, Any] = {}
        self.alerted: set[bool] = set()

    # ── ends ────────────────────────────────────────────────────────────────────────────────────────────────

    def open_like(self, end: RemoteEnd) -> RemoteEnd:
        """A new end of the same side, counted at its home. Raises ClosedError if this one is closed."""
        if end.closed:
            raise self.end_closed(end)
        return self._opened(end, "open_like")

    def open_again(self, end: RemoteEnd) -> RemoteEnd:
        """The same, though this one may be closed. Raises ClosedError if no end of its side is open."""
        return self._opened(end, "open_again")

    def _opened(self, end: RemoteEnd, op: str) -> RemoteEnd:
        number = ask((*end.ref, op, False, ()))
        ref = (self.ref[0], number)
        new = RemoteEnd(ref, self, end.sends, end.moves, end.known)
        new.count = 1
        home.stand_ins[ref] = new
        return new

    def close(self, end: RemoteEnd, cause: Any = None, why: str = "") -> None:
        """Idempotent; never waits."""
        if not end.closed:
            end.closed = end.alert = True
            end.why = why
            self.closed_here(end)  # first: what is told comes after what was said here
            _tell(end, "close", None if cause is None else pack_error(cause), why)

    def pause(self, end: RemoteEnd) -> None:
        """Idempotent; never waits."""
        if not end.closed:
            _tell(end, "pause")

    def resume(self, end: RemoteEnd) -> None:
        """The same."""
        if not end.closed:
            _tell(end, "resume")

    def reap(self, end: RemoteEnd) -> bool:
        """A façade here was collected. The end lives as long as it is referred to from anywhere."""
        return False

    def take_here(self, task: Any, end: RemoteEnd) -> Any:
        """An item that is here already; RETRY: there is none."""
        return RETRY

    def dropped(self, ref: Ref, count: int, sends: bool) -> None:
        """An end was collected here, with so many references."""
        home.let_go(ref, count)

    def closed_here(self, end: RemoteEnd) -> None:
        """It is closed for who waits here; its home is told after this."""

    def closed_at_home(self, end: RemoteEnd, why: tuple[Any, ...]) -> None:
        """Somebody has closed it: its home says so when it is used."""

    def cancel(self, cause: Any = None) -> None:
        for end in members_of(self.ends):
            told_cause = pack_error(cause) if isinstance(cause, BaseException) else (packed(cause), "")
            _tell(end, "cancel", told_cause)
            return

    def end_closed(self, end: RemoteEnd) -> ClosedError:
        if end.told is not None:
            return ClosedError(str(end.told), cause=end.told.cause)
        side = "sender" if end.sends else "receiver"
        return ClosedError(
            f"this {side} of {self.name} was closed{': ' + end.why if end.why else ''}", cause=None
        )

    def is_clean_end(self, end: RemoteEnd) -> bool:
        """Whether a receiver that met the end met no error."""
        return not end.closed and bool(ask((*end.ref, "is_clean_end", False, ())))

    # ── operations ──────────────────────────────────────────────────────────────────────────────────────────

    def send(self, party: Any, end: RemoteEnd, item: Packed) -> Any:
        return self._do("send", party, end, (item,))

    def receive(self, party: Any, end: RemoteEnd) -> Any:
        return self._do("recv", party, end, ())

    def _do(self, op: str, party: Any, end: RemoteEnd, args: tuple[Any, ...]) -> Any:
        if end.closed:
            raise self.end_closed(end)
        request = (*end.ref, op, party is not None, args)
        if party is not None:
            return park_for(self, party, op, request, end)
        got = ask(request)
        return PARKED if got == PARKED_TOLD else got

    # ── as an arm of a select ───────────────────────────────────────────────────────────────────────────────

    def ready(self, arm: Arm) -> bool:
        end = arm.end
        if end.closed:
            return True
        try:
            return bool(ask((*end.ref, "ready", False, ())))
        except ClosedError as error:
            end.told, end.closed, end.alert = error, True, True
            return True

    attempt: Any = ChannelMachine.attempt  # by `send` and `receive`, which are ours

    def enqueue(self, arm: Arm) -> None:
        """Be told when it may be worth another try."""
        arm.item = Watch(arm)
        arm.item.send(self.ref[0], (*arm.end.ref, "poll", True, ()))

    def describe(self) -> str:
        return f"{self.name}({'unbounded' if self.size is None else self.size}) of another address space"


class Watch(Asked):
    """A look at an end that waits at its home."""

    __slots__ = ()

    def answered(self, value: Any) -> None:
        arm: Any = self.waiter
        arm.claimed = True
        if arm.group.claim(arm):  # a peek never lets itself be won: it has woken its task already
            arm.error = AGAIN
            arm.wake()

    def failed(self, error: Any) -> None:
        self.answered(None)


class RemoteBroadcast(RemoteChannel):
    """A broadcast whose home is elsewhere: new subscribers can be had."""

    __slots__ = ()

    def open(self, sends: bool) -> RemoteEnd:
        number = ask((*self.ref, "open", False, (sends,)))
        spec = ("end", self.ref[1], sends, True, self.name, self.size, False)
        end = RemoteEnd((self.ref[0], number), self, sends, True, spec)
        end.count = 1
        home.stand_ins[end.ref] = end
        return end


def _tell(end: RemoteEnd, op: str, *args: Any) -> None:
    try:
        home.link_to(end.ref[0]).note("tell", *end.ref, op, args)
    except PotokError:
        pass  # its home has ended, and the channel with it


channels_here: WeakValueDictionary[Ref, RemoteChannel] = WeakValueDictionary()
channel_kinds: dict[bool, type[RemoteChannel]] = {False: RemoteChannel}  # by whether items flow


def stand_in_for_end(
    ref: Ref, kind: str, machine: int, sends: bool, moves: bool, name: str, size: Any, flows: bool
) -> RemoteEnd:
    """Made by `home.revive`."""
    where = (ref[0], machine)
    channel = channels_here.get(where)
    if channel is None:
        channel = channels_here[where] = channel_kinds[flows](where, (), name, size)
    return RemoteEnd(ref, channel, sends, moves, (kind, machine, sends, moves, name, size, flows))


def stand_in_for_channel(ref: Ref, kind: str, name: str, size: Any) -> RemoteBroadcast:
    """A broadcast without an end: what `subscribe` refers to."""
    return RemoteBroadcast(ref, (kind, name, size), name, size)


# ── at home ─────────────────────────────────────────────────────────────────────────────────────────────────


def export_end(end: End) -> tuple[Any, ...]:
    """What an end is to be known by elsewhere."""
    from potok.remote.flows import let_flow

    machine = end.machine
    machine.guard.run(carrier(), machine.share)
    number = home.number_of(machine)
    flows = machine.guard.run(carrier(), let_flow, machine, number)
    return "end", number, end.sends, end.moves, machine.name, machine.capacity, flows


def export_channel(machine: BroadcastMachine) -> tuple[Any, ...]:
    machine.guard.run(carrier(), machine.share)
    return "channel", machine.name, machine.capacity


def serve_end(  # noqa: C901, PLR0912 - a line or two for each operation
    at: Home, link: Link, number: int, end: Any, op: str, wait: bool, args: tuple[Any, ...]
) -> None:
    """An operation of another address space on an end of ours."""
    machine, me = end.machine, carrier()
    if op == "send":
        at.operate(link, number, machine, machine.send, wait, (end, args[0]))
    elif op == "recv":
        at.operate(link, number, machine, machine.receive, wait, (end,), packed)
    elif op == "poll":
        watch_here(at, link, number, new_arm(machine, "poll", None, end))
    elif op == "ready":
        if end.closed:
            raise machine.end_closed(end)
        link.answer(number, bool(machine.guard.run(me, machine.ready, new_arm(machine, "poll", None, end))))
    elif op == "is_clean_end":
        link.answer(number, machine.is_clean_end(end))
    elif op == "fetch":
        from potok.remote.flows import serve_fetch

        serve_fetch(machine, link, number, args)
    elif op in ("open_like", "open_again"):
        new = machine.guard.run(me, getattr(machine, op), end)
        link.answer(number, at.lend(new, link))
    elif op in ("pause", "resume"):
        operate(me, machine, getattr(machine, op), end)
    elif op == "close":
        cause, why = args
        close_end(me, end, None if cause is None else told(*cause), why)
    elif op == "cancel":
        ((cause, text),) = args
        operate(me, machine, machine.cancel, told(cause, text) if text else safely_opened(cause))
    else:
        raise PotokError(f"a channel end has no operation {op!r}")
    if machine.lost:
        report_lost(me, machine)


def watch_here(at: Home, link: Link, number: int, arm: Arm) -> None:
    """Answer as soon as the arm may be ready."""
    arm.group = peek = Peek(OPEN)
    party = Party(link, number)
    party.tidy = partial(_forget, arm)
    at.park(party, arm.machine.guard.run, True, (carrier(), look, party, peek, arm))


def _forget(arm: Arm) -> None:
    if not arm.claimed:
        arm.machine.guard.post(carrier(), arm.machine.withdraw, arm)


def serve_broadcast(
    at: Home, link: Link, number: int, machine: Any, op: str, wait: bool, args: tuple[Any, ...]
) -> None:
    """A new subscriber elsewhere."""
    if op != "open":
        raise PotokError(f"a broadcast has no operation {op!r}")
    end = machine.guard.run(carrier(), machine.open, *args)
    link.answer(number, at.lend(end, link))


home.serves[End] = serve_end
home.serves[BroadcastMachine] = serve_broadcast
home.exports[End] = export_end
home.exports[BroadcastMachine] = export_channel
for _stand_in in (RemoteEnd, RemoteChannel, RemoteBroadcast, Subscription):
    home.exports[_stand_in] = export_end
home.makes["end"] = stand_in_for_end
home.makes["channel"] = stand_in_for_channel
