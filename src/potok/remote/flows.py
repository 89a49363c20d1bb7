"""Buffered channels between address spaces: what carries the words of `machines.flows` and `machines.mailbox`.

    home                                                     elsewhere
    Flows (part of the channel) ◀── ("flow", …) notes ──▶    FlowingChannel: Inbox, Outbox

Items go in batches. The first of a burst goes at once; those that follow within `BURST` seconds go together, as soon as
there are `BATCH` of them, the thread waits for anything, it says anything else over a link, or `board.LINGER` is over.

Invariants
    What a channel has to say is said in the order in which it came to say it, and before whatever its task does next.
    An item is fixed when `send` returns: it is immutable (`PLAIN`) or packed.
"""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from weakref import WeakSet

from potok.errors import ClosedError, PotokError, RemoteError
from potok.kernel.current import carrier
from potok.kernel.ends import operate
from potok.kernel.guard import Guard, run_outside
from potok.kernel.parking import RETRY
from potok.kernel.task import Task
from potok.links.packing import PLAIN, Carrying, Packed, Ref, pack, pack_error, told
from potok.machines.channel import ChannelMachine, End
from potok.machines.flows import Flows
from potok.machines.mailbox import Box, Error, Inbox, Outbox
from potok.machines.waiting import PARKED, Arm, Waiter
from potok.remote.board import board
from potok.remote.calling import Asked, ask, park_for
from potok.remote.channels import RemoteChannel, RemoteEnd, channel_kinds, channels_here
from potok.remote.home import Home, home
from potok.remote.link import Link
from potok.remote.parties import Party

__all__ = ["FlowingChannel", "HomeFlows", "give_back", "let_flow"]

BURST: Final = 250e-6  # seconds after a batch in which items are gathered for the next
BATCH: Final = 64  # items that are sent together
SOON: Final = 0.005  # seconds: who comes back within these may have the next items unasked


# ── items on their way ──────────────────────────────────────────────────────────────────────────────────────


def bundled(items: list[Any]) -> tuple[Any, ...]:
    """The items as one message: values, at which places they are pickles, and those that need care of their own."""
    pickles: list[int] = []
    others: list[tuple[int, Packed]] = []
    values = items
    for place, item in enumerate(items):
        if isinstance(item, Packed):
            if values is items:
                values = list(items)
            if type(item) is Packed and not item.needs_care:
                values[place] = item.data
                pickles.append(place)
            else:
                values[place] = None
                others.append((place, item))
    return values, tuple(pickles), tuple(others)


def unbundled(
    values: list[Any], pickles: tuple[int, ...], others: tuple[tuple[int, Packed], ...]
) -> list[Any]:
    """The reverse: what is packed stays so."""
    for place in pickles:
        values[place] = Packed(values[place])
    for place, item in others:
        values[place] = item
    return values


def _is_raw(item: Any) -> bool:
    return type(item) not in PLAIN and not isinstance(item, Packed)


def _fix(items: list[Any]) -> None:
    """Pack what is neither immutable nor packed. Runs the user's code."""
    for place, item in enumerate(items):
        if _is_raw(item):
            try:
                items[place] = pack(item)
            except Exception as error:  # its receiver is told
                items[place] = Packed(pickle.dumps(_Unsent(str(error)), 5))


class _Unsent:
    """In place of an item that can't be pickled."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __reduce__(self) -> Any:
        return _refuse, (self.why,)


def _refuse(why: str) -> Any:
    raise RemoteError(why)


def _kept(item: Any) -> Any:
    """What the home keeps of an item that it ships: one that refers to something is sent for good."""
    return item.again() if type(item) is Carrying else item


# ── at home ─────────────────────────────────────────────────────────────────────────────────────────────────


class HomeFlows(Flows):
    """The flows of a channel of ours."""

    __slots__ = ("gathering", "last", "number", "unfixed")

    def __init__(self, machine: ChannelMachine, number: int) -> None:
        super().__init__(machine, self._stirred, _kept)
        self.number = number
        self.last = 0.0  # when items were sent
        self.gathering = False
        self.unfixed = True  # there may be items that were sent before any end was elsewhere
        _flowing.add(machine)

    def _stirred(self, space: int) -> None:
        said = self.said[space]
        if self.unfixed and self._is_raw(said):
            run_outside(carrier(), partial(self._fix_and_leave, space))
        else:
            _leave_to(space, said, partial(self._note, space))

    def _is_raw(self, said: deque[Any]) -> bool:
        """Whether something in it was sent before any end was elsewhere, and has to be packed yet."""
        if any(_is_raw(item) for op, args in said if op == "items" for item in args[1]):
            return True
        waiting = [waiter.item for waiter in self.machine.senders.entries]
        self.unfixed = any(map(_is_raw, self.machine.buffer)) or any(map(_is_raw, waiting))
        return False

    def _fix_and_leave(self, space: int) -> None:
        said = self.said.get(space, deque())
        for op, args in said.copy():
            if op == "items":
                _fix(args[1])
        _leave_to(space, said, partial(self._note, space))

    def _note(self, space: int, op: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if op == "items":
            epoch, items, alone = args
            args = (epoch, bundled(items), alone)
        elif op == "over":
            ((error, clean),) = args
            args = (pack_error(error), clean)
        elif op in ("cancel", "shut"):
            args = pack_error(args[0])
        return "flow", space, home.space, self.number, home.space, op, args

    # ── the short way of `Sender.send` ──────────────────────────────────────────────────────────────────────

    def offered(self, task: Task[Any], item: Any, end: End) -> bool:
        """Whether the item went into the buffer; if not, take the long way."""
        got = self.machine.guard.run(task.carrier, self._offer, item, end)
        if got is None:
            board.gather(self.flow_on)
            return True
        return bool(got)

    def _offer(self, item: Any, end: End) -> bool | None:
        machine = self.machine
        if (
            end.closed
            or not machine.open_receivers
            or machine.receivers.entries
            or machine.senders.entries
            or not machine.take_place()
        ):
            return False
        machine.buffer.append(item)
        if self.held_back or not self.shippings:
            return True
        now = time.monotonic()
        if now - self.last > BURST or len(machine.buffer) >= BATCH:
            self.last = now
            self.feed()
        elif not self.gathering:
            self.gathering = True
            return None
        return True

    def flow_on(self) -> None:
        """Have what was gathered go."""
        self.gathering = False
        self.last = time.monotonic()
        self.machine.guard.post(carrier(), self.feed)

    def space_of(self, entry: Waiter) -> Any:
        if isinstance(entry.task, Party):
            return entry.task.link.space
        return super().space_of(entry)

    soon = staticmethod(board.soon)

    def end_closed(self, end: End) -> None:
        """Whoever has this end, wherever, can't use it any more."""
        run_outside(carrier(), partial(_tell_holders, end, self.machine.end_closed(end)))


_flowing: WeakSet[ChannelMachine] = WeakSet()


def let_flow(machine: ChannelMachine, number: int) -> bool:
    """See that items of this channel can flow to and from elsewhere; False: each is to be called for."""
    if type(machine) is not ChannelMachine or machine.dropping or machine.capacity == 0:
        return False
    if machine.flows is None:
        machine.flows = HomeFlows(machine, number)
    return True


def _tell_holders(end: End, why: ClosedError) -> None:
    ref = home.ref_of(end)
    if ref is not None:
        home.closed_elsewhere(None, ref, pack_error(why))


def _hear(machine: ChannelMachine, space: int, op: str, args: tuple[Any, ...]) -> None:
    """Another space's boxes have said something."""
    flows, me = machine.flows, carrier()
    if op == "push":
        operate(me, machine, flows.push, space, args[0], unbundled(*args[1]))
    elif op == "late":
        operate(me, machine, flows.late, space, *args)
    elif op == "pull":
        operate(me, machine, flows.pull, space, _look_at(space), *args)
    elif op == "returned":
        operate(me, machine, flows.returned, space, *args[:4])
    elif op in ("left", "want", "unused", "done"):
        operate(me, machine, getattr(flows, op), space, *args)
    else:
        raise PotokError(f"a channel's flows know no {op!r}")


def _look_at(space: int) -> Any:
    """What tells, by slot, how many items that space's tasks have taken."""
    link = home.links.get(space) if home.space == 0 else None
    return _blind if link is None else link.taken_there


def _blind(slot: int) -> int:
    return 0


def serve_fetch(machine: ChannelMachine, link: Link, number: int, args: tuple[Any, ...]) -> None:
    """Somebody elsewhere must know now: an item, or a place, for a task that does not wait."""
    what, space, *rest = args
    if what == "item":
        operate(carrier(), machine, machine.flows.lend_item, space, _look_at(space), *rest)
    else:
        operate(carrier(), machine, machine.flows.lend_place, space, *rest)
    link.answer(number, None)


# ── elsewhere ───────────────────────────────────────────────────────────────────────────────────────────────


def _leave_to(
    space: int,
    said: deque[Any],
    form: Callable[..., tuple[Any, ...]],
    then: Callable[[Link], object] | None = None,
) -> None:
    """Have this sent to that space, at the latest as this thread has left the machine that it is in."""
    try:
        link = home.link_to(space)
    except PotokError:
        said.clear()  # it is no more, as will be told
        return
    link.unsaid.append((said, form))
    run_outside(carrier(), link.speak if then is None else partial(then, link))


def _stir(box: Box) -> None:
    space = box.channel.ref[0]
    _leave_to(
        space, box.said, partial(_note, box.channel.ref), None if home.space == 0 else partial(_speak, box)
    )


def _speak(box: Any, link: Link) -> None:
    link.speak()
    if home.page.notes_of is box and not link.is_stuck:
        box.guard.post(carrier(), box.noted)


def _note(ref: Ref, op: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return "flow", ref[0], *ref, home.space, op, (args[0], bundled(args[1])) if op == "push" else args


class FlowingInbox(Inbox):
    """An inbox of this space."""

    __slots__ = ("last",)

    lost = ()

    def __init__(self, channel: FlowingChannel) -> None:
        slot = home.page.allocate()
        super().__init__(channel, partial(_stir, self), home.page.numbers, slot)
        self.guard = Guard(carrier())
        self.last = 0.0

    def pace(self) -> None:
        """Receivers are about to wait: how many items may come unasked?"""
        now = time.monotonic()
        if now - self.last < SOON and (self.slot or home.space == 0):
            self.widen()
        else:
            self.window = 0
        self.last = now

    def ready(self, arm: Any) -> bool:
        if super().ready(arm):
            return True
        if self.need <= self.arrived and not (self.alone and self.limit > self.arrived):
            self.pull(1)  # where another arm is always ready, this one would never say that it waits
        return False

    def fetch(self, end: Any) -> None:
        """See for certain whether an item is there. Blocks for a round trip."""
        if not (end.closed or self.buffer or self.ended is not None):
            self.known = True
            ask((*end.ref, "fetch", False, ("item", home.space, self.epoch, self.taken, self.slot)))


class FlowingOutbox(Outbox):
    """An outbox of this space."""

    __slots__ = ("gathering", "last", "paced")

    lost = ()

    def __init__(self, channel: FlowingChannel) -> None:
        super().__init__(channel, partial(_stir, self))
        self.guard = Guard(carrier())
        self.gathering = False
        self.last = 0.0  # when items were sent
        self.paced = 0.0

    def more_soon(self) -> None:
        """There is no room: how much shall there be for the next, without asking?"""
        now = time.monotonic()
        if now - self.paced < SOON:
            self.widen()
        else:
            self.window = 0
        self.paced = now
        self.more()

    def offer(self, item: Any, end: Any) -> bool | None:
        """Whether it is on its way; None: it is gathered, have it go soon."""
        if end.closed or self.ended is not None or self.waiters.entries or self.calls:
            return False
        if self.channel.size is not None:
            if self.places <= 0:
                return False
            self.places -= 1
            if 2 * self.places == self.window:
                self.wishes = True
        self.buffer.append(item)
        now = time.monotonic()
        if now - self.last > BURST or len(self.buffer) >= BATCH or not self.note(item):
            self.last = now
            self.flush()
        elif not self.gathering:
            self.gathering = True
            return None
        return True

    def note(self, item: Any) -> bool:
        """Note it down, in case this worker dies before it goes; False: it is to go at once."""
        if home.space == 0:
            return True  # nobody survives this process
        page = home.page
        if page.notes_of is not self:
            if page.notes_of is not None or not page.tells or len(self.buffer) > 1:
                return False
            where, number = self.channel.ref
            page.begin_notes(self, where, number, self.epoch, self.sent)
        if isinstance(item, Packed):
            return not item.needs_care and page.note(pickle.dumps([item.data], 5))
        return page.note(pickle.dumps(item, 5))

    def noted(self) -> None:
        """What was noted down is on its way."""
        if not self.buffer and home.page.notes_of is self:
            home.page.end_notes()

    def flow_on(self) -> None:
        """Have what was gathered go."""
        self.gathering = False
        self.last = time.monotonic()
        self.guard.post(carrier(), self.flush)

    def attempt(self, arm: Any) -> bool:
        done = super().attempt(arm)
        self.flush()
        return done

    def fetch(self, end: Any) -> None:
        """See for certain whether there is room. Blocks for a round trip."""
        if not (end.closed or self.places or self.ended is not None or self.channel.size is None):
            self.known = True
            ask((*end.ref, "fetch", False, ("place", home.space, self.epoch)))


class FlowingChannel(RemoteChannel):
    """What stands here for a buffered channel whose home is elsewhere: a box for each direction."""

    __slots__ = ("clean", "inbox", "outbox")

    soon = staticmethod(board.soon)

    def __init__(self, ref: Ref, spec: tuple[Any, ...], name: str, size: int | None) -> None:
        super().__init__(ref, spec, name, size)
        self.inbox: FlowingInbox | None = None
        self.outbox: FlowingOutbox | None = None
        self.clean = False  # how the receivers' side ended

    def __del__(self) -> None:
        if self.inbox is not None:
            home.page.free(self.inbox.slot)

    @property
    def flows(self) -> FlowingChannel:
        return self

    def near(self, end: End) -> Any:
        """The machine of this space at which tasks wait that operate on the end."""
        if end.sends:
            if self.outbox is None:
                self.outbox = FlowingOutbox(self)
                self._look_for_home()
            return self.outbox
        if self.inbox is None:
            self.inbox = FlowingInbox(self)
            self._look_for_home()
        return self.inbox

    def _look_for_home(self) -> None:
        """A new box will not be told that its home is no more: that was told before."""
        try:
            home.link_to(self.ref[0])
        except PotokError as error:
            self.home_is_gone(error)

    # ── operations ──────────────────────────────────────────────────────────────────────────────────────────

    def ready(self, arm: Arm) -> bool:
        """For who looks whether something is there: a look draws nothing away from others, and so is made at home."""
        box = self.inbox
        return (box is not None and (bool(box.buffer) or box.ended is not None)) or super().ready(arm)

    def offered(self, task: Task[Any], item: Any, end: End) -> bool:
        """See `HomeFlows`."""
        box = self.outbox
        if box is None:
            return False
        got = box.guard.run(task.carrier, box.offer, item, end)
        if got is None:
            board.gather(box.flow_on)
            return True
        return bool(got)

    def take_here(self, task: Task[Any], end: End) -> Any:
        """An item without the long way; RETRY: there is none."""
        box = self.inbox
        if box is None or not box.buffer or end.closed:
            return RETRY
        return box.guard.run(task.carrier, _taken, box)

    def send(self, party: Any, end: Any, item: Any) -> Any:
        """Where there is no room, the item goes to its home all the same, and waits for its turn there."""
        box, me = self.near(end), carrier()
        got = box.guard.run(me, _send_at_once, box, end, item)
        if got is not PARKED:
            return got
        if party is not None:
            box.guard.run(me, box.more_soon)
            return park_for(
                self, party, "send", (*end.ref, "send", True, (item,)), end, kind=partial(Sent, box)
            )
        box.fetch(end)
        return box.guard.run(me, _send_at_once, box, end, item)

    def receive(self, party: Any, end: End) -> Any:
        box, me = self.near(end), carrier()
        if party is not None and not box.buffer:
            box.pace()
        got = box.guard.run(me, box.receive, party, end)
        if got is PARKED and party is None:
            box.fetch(end)
            got = box.guard.run(me, box.receive, None, end)
        return got

    # ── ends ────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self, end: RemoteEnd, cause: Any = None, why: str = "") -> None:
        if not end.closed:
            end.closed = True  # what is told after this comes after what is said by the boxes
            self._closed_here(end)
            end.closed = False
            super().close(end, cause, why)

    def closed_at_home(self, end: RemoteEnd, why: tuple[Any, ...]) -> None:
        """Somebody has closed this end at its home, or elsewhere."""
        if not end.closed:
            end.told = _told(why)()
            end.closed = end.alert = True
            self._closed_here(end)

    def _closed_here(self, end: RemoteEnd) -> None:
        box = self.outbox if end.sends else self.inbox
        if box is not None:
            me = carrier()
            box.guard.post(me, box.end_closed, end)
            self._leave_if_last(box, end.sends)

    def _leave_if_last(self, box: Any, sends: bool) -> None:
        if all(end.closed for end in self.ends if end.sends is sends):
            box.guard.post(carrier(), box.leave)

    def dropped(self, ref: Ref, count: int, sends: bool) -> None:
        box = self.outbox if sends else self.inbox
        if box is not None:
            self._leave_if_last(box, sends)
        super().dropped(ref, count, sends)

    def cancel(self, cause: Any = None) -> None:
        if self.outbox is not None:
            self.outbox.guard.post(carrier(), self.outbox.flush)
        super().cancel(cause)

    def is_clean_end(self, end: RemoteEnd) -> bool:
        return not end.closed and self.clean

    def home_is_gone(self, error: BaseException) -> None:
        """Nothing more comes of it."""
        for box in (self.inbox, self.outbox):
            if box is not None:
                box.guard.post(carrier(), box.fail, lambda: _fresh(error))


def give_back() -> None:
    """A task of this worker has ended: what came for it and it did not take goes back."""
    me = carrier()
    for channel in list(channels_here.values()):
        box = channel.inbox if isinstance(channel, FlowingChannel) else None
        if box is not None:
            box.guard.run(me, box.give_back)


def _taken(box: FlowingInbox) -> Any:
    return box.take() if box.buffer else RETRY


def _send_at_once(box: FlowingOutbox, end: End, item: Any) -> Any:
    if box.calls:
        return PARKED  # those were first
    got = box.send(None, end, item)
    box.flush()
    return got


class Sent(Asked):
    """An item that waits at its home for a place."""

    __slots__ = ("box",)

    def __init__(self, box: FlowingOutbox, waiter: Any, well: Any = None) -> None:
        super().__init__(waiter, well)
        self.box = box
        box.guard.run(carrier(), box.called, 1)

    def answered(self, value: Any) -> None:
        self.box.guard.run(carrier(), self.box.called, -1)
        super().answered(value)

    def failed(self, error: Any) -> None:
        self.box.guard.run(carrier(), self.box.called, -1)
        super().failed(error)


def _fresh(error: BaseException) -> Any:
    """The same error once more."""
    if isinstance(error, ClosedError):
        return ClosedError(str(error), cause=error.cause)
    return error


def _told(packed_error: tuple[Any, ...]) -> Error:
    error = told(*packed_error)
    return lambda: _fresh(error)


def _hear_home(  # noqa: C901 - a line for each word
    channel: FlowingChannel, op: str, args: tuple[Any, ...]
) -> None:
    """The home has said something to the boxes here."""
    me, inbox, outbox = carrier(), channel.inbox, channel.outbox
    if op in ("room", "recall_room", "shut"):
        if outbox is None:
            return
        if op == "room":
            outbox.guard.run(me, outbox.room, *args)
        elif op == "shut":
            outbox.guard.run(me, outbox.fail, _told(args))
        else:
            outbox.guard.run(me, outbox.recall)
    elif inbox is None:
        return
    elif op == "items":
        epoch, items, alone = args
        inbox.guard.run(me, inbox.arrive, epoch, unbundled(*items), alone)
    elif op == "over":
        error, channel.clean = args
        inbox.guard.run(me, inbox.fail, _told(error))
    elif op == "cancel":
        inbox.guard.run(me, inbox.cancel, _told(args))
    elif op == "recall":
        inbox.guard.run(me, inbox.recall, *args)
    elif op == "press":
        inbox.guard.run(me, inbox.press)
    else:
        raise PotokError(f"a channel's boxes know no {op!r}")


def hear(link: Link, to: int, where: int, number: int, space: int, op: str, args: tuple[Any, ...]) -> None:
    """A note of a flow that has come to where it belongs."""
    link.last.append(("flow", where, number, op))
    if where == home.space:
        machine = home.machines.get(number)
        if machine is not None:  # else nobody has an end of it any more
            _hear(machine, space, op, args)
        return
    channel = channels_here.get((where, number))
    if isinstance(channel, FlowingChannel):
        _hear_home(channel, op, args)


def departed(at: Home, space: int, numbers: tuple[int, ...], error: BaseException) -> None:
    """That space is no more: what it had of channels here comes back, and channels of its are no more."""
    me = carrier()
    for machine in list(_flowing):
        flows = machine.flows
        shipping = flows.shippings.get(space)
        taken = 0
        if shipping is not None and 0 < shipping.slot < len(numbers):
            taken = numbers[shipping.slot]
        if shipping is not None or space in flows.grantings:
            operate(me, machine, flows.gone, space, taken)
    for channel in list(channels_here.values()):
        if channel.ref[0] == space and isinstance(channel, FlowingChannel):
            channel.home_is_gone(error)


def cut_off(error: PotokError) -> None:
    """In a forked child: nothing flows to where these channels are, nor from there."""
    for channel in list(channels_here.values()):
        if isinstance(channel, FlowingChannel):
            for box in (channel.inbox, channel.outbox):
                if box is not None:
                    box.guard = Guard(None)  # the other may be held by a thread that is not here
            channel.home_is_gone(error)


def deliver_notes(at: Home, link: Link) -> None:
    """A worker is no more: what its tasks had sent, and was just being gathered, goes where it was to go."""
    where, number, epoch, first, noted = link.page.read_notes()
    items = [Packed(item[0]) if type(item) is list else item for item in noted]
    if items and where == at.space:
        hear(link, where, where, number, link.space, "late", (epoch, first, items))
    elif items and where in at.links:
        at.links[where].note("flow", where, where, number, link.space, "late", (epoch, first, items))


home.note_ops["flow"] = hear
home.note_ops["departed"] = lambda link, space, numbers, error: departed(home, space, numbers, told(*error))
home.deliver_notes = deliver_notes
home.on_departed = departed
home.on_cut_off = cut_off
channel_kinds[True] = FlowingChannel
