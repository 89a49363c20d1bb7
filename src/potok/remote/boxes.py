"""Buffered channels whose home is elsewhere: what stands for them here, with a box for each direction.

What carries the words of `machines.mailbox` to and from `remote.flows`.

Invariants
    What a box has to say is said in the order in which it came to say it, and before whatever its task does next.
    An item that was sent and not said yet is noted down in the worker's page, or goes at once.
    What a box has of the worker's page is given back once, by `_let_go` and `free_slot`, which forget it, and only as
    the box has left: until its home hears that, it reads and writes there. Who has it next says so after that.
"""

from __future__ import annotations

import pickle
import time
from functools import partial
from typing import Any, Final
from weakref import ref

from potok.errors import ClosedError, PotokError
from potok.kernel.current import carrier
from potok.kernel.guard import Guard
from potok.kernel.parking import RETRY
from potok.kernel.task import Task
from potok.links.packing import Packed, Ref, told
from potok.machines.channel import End
from potok.machines.mailbox import Box, Error, Inbox, Outbox, granted_by
from potok.machines.waiting import PARKED, Arm
from potok.remote.board import board
from potok.remote.bundles import Burst, bundled, leave_to, unbundled
from potok.remote.calling import Asked, ask, park_for
from potok.remote.channels import RemoteChannel, RemoteEnd, channel_kinds, channels_here
from potok.remote.home import home
from potok.remote.lanes import Lane
from potok.remote.link import Link
from potok.remote.spinning import Spinner, spins

__all__ = ["FlowingChannel", "give_back", "hear_home"]

SOON: Final = 0.005  # seconds: who comes back within these may have the next items unasked


def _stir(box: Box) -> None:
    space = box.channel.ref[0]
    leave_to(
        space, box.said, partial(_note, box.channel.ref), None if home.space == 0 else partial(_speak, box)
    )


def _speak(box: Any, link: Link) -> None:
    link.speak()
    if home.page.notes_of is box and not link.is_stuck:
        box.guard.post(carrier(), box.noted)


def _note(where: Ref, op: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    if op == "push":
        epoch, items, lane = args
        args = epoch, bundled(items), lane
    return "flow", where[0], *where, home.space, op, args


def _way(box: Box) -> tuple[Lane, ...]:
    """The lanes of which it could have one."""
    return home.page.lanes_there if isinstance(box, Inbox) else home.page.lanes_home


def _begin_with_lane(box: Any) -> None:
    """There is an end here, for the first time or again: a lane for its box, if one is left and it can have one."""
    link = home.links.get(0)
    if link is None or box.channel.ref[0] != 0 or box.lane is not None or not box.may_begin():
        return
    if isinstance(box, Inbox) and not box.slot:
        return
    way = _way(box)
    number = home.page.allocate_lane(way)
    if number >= 0:
        box.begin_with(way[number], number)
        if isinstance(box, Inbox):
            link.draws(way[number], partial(_draw, ref(box)))


def _let_go(box: Box) -> None:
    """The last end here was closed: another box may have the lane."""
    number = box.let_go()
    home.page.free_lane(_way(box), number)


def _give_up(box: FlowingInbox | FlowingOutbox) -> None:
    """Its channel is collected."""
    box.guard.post(carrier(), _let_go, box)
    box.guard.post(carrier(), box.free_slot)


def _draw(known: ref[Any]) -> None:
    box = known()
    if box is not None:
        box.guard.run(carrier(), box.draw)


def _pace(box: Any, may_widen: bool) -> None:
    """Tasks are about to wait at this box: how much may come, or go, unasked?"""
    now = time.monotonic()
    if may_widen and now - box.paced < SOON:
        box.widen()
    else:
        box.window = 0
    box.paced = now


class FlowingInbox(Inbox):
    """An inbox of this space."""

    __slots__ = ("paced", "spinner")

    lost = ()

    def __init__(self, channel: FlowingChannel) -> None:
        slot = home.page.allocate()
        super().__init__(channel, partial(_stir, self), home.page.numbers, slot)
        self.guard = Guard(carrier())
        self.paced = 0.0
        self.spinner = Spinner()
        _begin_with_lane(self)

    def free_slot(self) -> None:
        slot = self.slot
        self.numbers, self.slot = [0], 0
        home.page.free(slot)

    def look_out(self, task: Task[Any]) -> None:
        """Nothing is here: see whether something comes by the lane within a moment, before the task parks."""
        lane: Any = self.lane
        if lane is not None and spins(task) and self.guard.run(task.carrier, self.watch):
            board.let_flow()
            self.spinner.spin(lane.has_come)

    def ready(self, arm: Any) -> bool:
        if super().ready(arm):
            return True
        if self.need <= self.arrived and not (self.alone and self.limit > self.arrived):
            self.pull(1)  # where another arm is always ready, this one would never say that it waits
        return False

    def fetch(self, end: Any) -> None:
        """See for certain whether an item is there. Blocks for a round trip."""
        if not (end.closed or self.buffer or self.ended is not None):
            ask((*end.ref, "fetch", False, ("item", home.space, *self.guard.run(carrier(), self._stand))))

    def _stand(self) -> tuple[int, int, int]:
        self.known = True
        return self.epoch, self.taken, self.slot


class FlowingOutbox(Outbox):
    """An outbox of this space."""

    __slots__ = ("burst", "heard", "link", "paced", "spinner")

    lost = ()

    def __init__(self, channel: FlowingChannel) -> None:
        slot = home.page.allocate_grant() if channel.ref[0] == 0 else 0  # others can't write in our page
        super().__init__(channel, partial(_stir, self), home.page.grants, slot)
        self.guard = Guard(carrier())
        self.burst = Burst(self, self.flush)
        self.spinner = Spinner()
        self.paced = 0.0
        self.link = home.links.get(0)
        self.heard = home.page.heard
        _begin_with_lane(self)

    def free_slot(self) -> None:
        slot, self.slot = self.slot, 0
        home.page.free_grant(slot)

    def carry(self, item: Any) -> bool:
        """Not past what was said before: an item of another channel, or that an end was closed."""
        link = self.link
        if link is None:
            return False
        if link.acts == self.heard[0] and super().carry(item):
            return True
        link.acts_now()  # it goes by a message
        return False

    def more_soon(self) -> None:
        """There is no room: how much shall there be for the next, without asking?"""
        _pace(self, may_widen=True)
        self.flush()
        self.more()

    def room_comes(self, party: Any) -> bool:
        """Whether room comes within a moment: sooner than this task could park, and be woken."""
        return bool(self.slot and self.window) and spins(party) and bool(self.spinner.spin(self.sees_room))

    def sees_room(self) -> bool:
        return granted_by(self.grants[self.slot], self.epoch)[1] > self.granted

    def offer(self, item: Any, end: Any) -> bool | None:
        """Whether it is on its way; None: it is gathered, have it go soon. The long way sees to a lane."""
        is_new = self.lane is None and not self.known
        if is_new or end.closed or self.ended is not None or self.waiters.entries or self.calls:
            return False
        if self.channel.size is not None:
            if self.places <= 0:
                self.look()
                if self.places <= 0:
                    return False
            self.places -= 1
        if self.carry(item):
            untold = self.untold
            if not untold:
                return True
            return self.burst.go() if self.burst.is_over(untold) else self.burst.gather()
        self.buffer.append(item)
        if self.burst.is_over(len(self.buffer)) or not self.note(item):
            return self.burst.go()
        return self.burst.gather()

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
        elif page.notes_epoch != self.epoch:
            return False  # those of the last one are still on their way
        if isinstance(item, Packed):
            return not item.needs_care and page.note(pickle.dumps([item.data], 5))
        return page.note(pickle.dumps(item, 5))

    def noted(self) -> None:
        """What was noted down is on its way."""
        if not self.buffer and home.page.notes_of is self:
            home.page.end_notes()

    def attempt(self, arm: Any) -> bool:
        done = super().attempt(arm)
        self.flush()
        return done

    def fetch(self, end: Any) -> None:
        """See for certain whether there is room. Blocks for a round trip."""
        if not (end.closed or self.places or self.ended is not None or self.channel.size is None):
            ask((*end.ref, "fetch", False, ("place", home.space, self.guard.run(carrier(), self._stand))))

    def _stand(self) -> int:
        self.known = True
        return self.epoch


class FlowingChannel(RemoteChannel):
    """What stands here for a buffered channel whose home is elsewhere: a box for each direction."""

    __slots__ = ("clean", "inbox", "made", "outbox")

    soon = staticmethod(board.soon)

    def __init__(self, ref: Ref, spec: tuple[Any, ...], name: str, size: int | None) -> None:
        super().__init__(ref, spec, name, size)
        self.inbox: FlowingInbox | None = None
        self.outbox: FlowingOutbox | None = None
        self.made: dict[bool, Any] = {}  # both, by whether they send, each put there in one step
        self.clean = False  # how the receivers' side ended

    def __del__(self) -> None:
        """Its ends may be collected with it, and only then say that they are: it may be used after this."""
        for box in (self.inbox, self.outbox):
            if box is None:
                continue
            if box.lane is None and box.may_begin():
                box.free_slot()
            else:
                board.soon(partial(_give_up, box))

    @property
    def flows(self) -> FlowingChannel:
        return self

    def near(self, end: End) -> Any:
        """The machine of this space at which tasks wait that operate on the end."""
        box = self.outbox if end.sends else self.inbox
        if box is None:
            box = self._make_box(end.sends)
        elif box.lane is None and not box.known:
            box.guard.post(carrier(), _begin_with_lane, box)
        return box

    def _make_box(self, sends: bool) -> Any:
        made: Any = FlowingOutbox(self) if sends else FlowingInbox(self)
        box = self.made.setdefault(sends, made)
        if box is not made:  # another thread has come first
            _give_up(made)
        if sends:
            self.outbox = box
        else:
            self.inbox = box
        self._look_for_home()
        return box

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
        return box.burst.offered(box.guard.run(task.carrier, box.offer, item, end))

    def take_here(self, task: Task[Any], end: End) -> Any:
        """An item without the long way; RETRY: there is none."""
        box = self.inbox
        if box is None or end.closed:
            return RETRY
        if not box.buffer:
            box.look_out(task)
        return box.guard.run(task.carrier, _taken, box)

    def send(self, party: Any, end: Any, item: Any) -> Any:
        """Where there is no room, the item goes to its home all the same, and waits for its turn there."""
        board.let_flow()  # first: what others have gathered
        box, me = self.near(end), carrier()
        got = box.guard.run(me, _send_at_once, box, end, item)
        if got is not PARKED:
            return got
        if party is not None:
            box.guard.run(me, box.more_soon)
            if not box.calls and box.room_comes(party) and self.offered(party, item, end):
                return None
            return park_for(
                self, party, "send", (*end.ref, "send", True, (item,)), end, kind=partial(Sent, box)
            )
        box.fetch(end)
        return box.guard.run(me, _send_at_once, box, end, item)

    def receive(self, party: Any, end: End) -> Any:
        box, me = self.near(end), carrier()
        if party is not None and not box.buffer:
            _pace(box, may_widen=bool(box.slot) or home.space == 0)  # else what is taken is not seen at home
        got = box.guard.run(me, box.receive, party, end)
        if got is PARKED and party is None:
            box.fetch(end)
            got = box.guard.run(me, box.receive, None, end)
        return got

    # ── ends ────────────────────────────────────────────────────────────────────────────────────────────────

    def closed_at_home(self, end: RemoteEnd, why: tuple[Any, ...]) -> None:
        """Somebody has closed this end at its home, or elsewhere."""
        if not end.closed:
            end.told = _told(why)()
            end.closed = end.alert = True
            self.closed_here(end)

    def closed_here(self, end: RemoteEnd) -> None:
        box = self.outbox if end.sends else self.inbox
        if box is not None:
            me = carrier()
            box.guard.post(me, box.end_closed, end)
            box.guard.post(me, self._let_go_if_last, box, end.sends)

    def _let_go_if_last(self, box: Any, sends: bool) -> None:
        """Inside of the box: an end that is there by now was there before anything is done with it."""
        if all(end.closed for end in self.ends if end.sends is sends):
            _let_go(box)

    def dropped(self, ref: Ref, count: int, sends: bool) -> None:
        box = self.outbox if sends else self.inbox
        if box is not None:
            box.guard.post(carrier(), self._let_go_if_last, box, sends)
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
    if not box.buffer:
        box.draw()
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


def hear_home(  # noqa: C901 - a line for each word
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


channel_kinds[True] = FlowingChannel
