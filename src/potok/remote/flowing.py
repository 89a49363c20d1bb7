"""Buffered channels whose home is elsewhere: what stands for them here, with a box for each direction (see `boxes`)."""

from __future__ import annotations

import os
import threading
from collections import deque
from functools import partial
from typing import Any

from potok.errors import ClosedError, PotokError
from potok.kernel.current import carrier
from potok.kernel.parking import RETRY
from potok.kernel.task import Task
from potok.kernel.weakly import items_of, members_of
from potok.links.packing import Ref, told
from potok.machines.channel import End
from potok.machines.mailbox import Error
from potok.machines.waiting import PARKED, Arm
from potok.remote.board import board
from potok.remote.boxes import FlowingInbox, FlowingOutbox, begin_with_lane, give_up, let_go, pace
from potok.remote.bundles import unbundled
from potok.remote.calling import Asked, park_for
from potok.remote.channels import RemoteChannel, RemoteEnd, channel_kinds, channels_here
from potok.remote.home import home

__all__ = ["FlowingChannel", "give_back", "hear_home"]


_departing: deque[Any] = deque()
"""Boxes of channels that were collected, which have not taken their leave of the home yet."""

_seeing_off = threading.Lock()


def _see_off() -> None:
    """Have them do so. When this returns all have that were there before, whoever saw to it."""
    with _seeing_off:
        while _departing:
            give_up(_departing.popleft())


def _forget_departing() -> None:
    """In a forked child: what stood here is the parent's, and so is who saw it off just then."""
    global _seeing_off
    _seeing_off = threading.Lock()
    _departing.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_departing)


class FlowingChannel(RemoteChannel):
    """What stands here for a buffered channel whose home is elsewhere: a box for each direction."""

    __slots__ = ("clean", "inbox", "made", "outbox")

    soon = staticmethod(board.soon)

    def __init__(self, ref: Ref, spec: tuple[Any, ...], name: str, size: int | None) -> None:
        super().__init__(ref, spec, name, size)
        if _departing:
            _see_off()  # what stood here for the same channel before speaks first
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
                _departing.append(box)
                board.soon(_see_off)

    @property
    def flows(self) -> FlowingChannel:
        return self

    def near(self, end: End) -> Any:
        """The machine of this space at which tasks wait that operate on the end."""
        box = self.outbox if end.sends else self.inbox
        if box is None:
            box = self._make_box(end.sends)
        elif box.lane is None and not box.known:
            box.guard.post(carrier(), begin_with_lane, box)
        end.quick = box
        return box

    def _make_box(self, sends: bool) -> Any:
        made: Any = FlowingOutbox(self) if sends else FlowingInbox(self)
        box = self.made.setdefault(sends, made)
        if box is not made:  # another thread has come first
            give_up(made)
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
            pace(box, may_widen=bool(box.slot) or home.space == 0)  # else what is taken is not seen at home
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
        if all(end.closed or end.collected for end in members_of(self.ends) if end.sends is sends):
            let_go(box)

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
    if not channels_here:
        return
    me = carrier()
    for _, channel in items_of(channels_here):
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
