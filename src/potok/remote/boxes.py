"""The boxes of a channel whose home is elsewhere: what carries the words of `machines.mailbox` to and fro.

Invariants
    What a box has to say is said in the order in which it came to say it, and before whatever its task does next.
    An item that was sent and not said yet is noted down in the worker's page, or goes at once.
    What a box has of the worker's page is given back once, by `let_go` and `free_slot`, which forget it, and only as
    the box has left: until its home hears that, it reads and writes there. Who has it next says so after that.
"""

from __future__ import annotations

import pickle
import time
from functools import partial
from typing import Any, Final
from weakref import ref

from potok.kernel.carrier import Carrier
from potok.kernel.current import carrier
from potok.kernel.guard import Guard
from potok.kernel.parking import RETRY
from potok.kernel.task import Task
from potok.links.packing import Packed, Ref
from potok.machines.channel import End
from potok.machines.inbox import Inbox
from potok.machines.mailbox import Box, granted_by
from potok.machines.outbox import Outbox
from potok.remote.board import board
from potok.remote.bundles import RINGS, Burst, bundled, leave_to
from potok.remote.calling import ask
from potok.remote.channels import RemoteChannel
from potok.remote.home import home
from potok.remote.lanes import Lane
from potok.remote.link import Link
from potok.remote.spinning import Spinner, spins

__all__ = ["FlowingInbox", "FlowingOutbox", "begin_with_lane", "give_up", "let_go", "pace"]

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


def begin_with_lane(box: Any) -> None:
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


def let_go(box: Box) -> None:
    """The last end here was closed: another box may have the lane."""
    number = box.let_go()
    home.page.free_lane(_way(box), number)


def give_up(box: FlowingInbox | FlowingOutbox) -> None:
    """Its channel is collected."""
    box.guard.post(carrier(), let_go, box)
    box.guard.post(carrier(), box.free_slot)


def _draw(known: ref[Any], rung: bool) -> None:
    box = known()
    if box is not None:
        box.guard.run(carrier(), box.rung if rung else box.draw)


def pace(box: Any, may_widen: bool) -> None:
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

    def __init__(self, channel: RemoteChannel) -> None:
        slot = home.page.allocate()
        seen = bool(slot) and channel.ref[0] == 0
        super().__init__(channel, partial(_stir, self), home.page.numbers, slot, seen)
        self.guard = Guard(carrier())
        self.paced = 0.0
        self.spinner = Spinner()
        begin_with_lane(self)

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

    def receive_quickly(self, me: Carrier, end: End) -> Any:
        """The short way of `Receiver.recv`: see `HomeFlows.receive_quickly`."""
        if me.inside is not None:
            return RETRY
        guard = self.guard
        me.inside = guard.mark
        try:
            with guard.mutex:
                if guard.owner is not None or guard.former is not None:
                    guard.end_privilege()
                if end.closed:
                    return RETRY
                if not self.buffer:
                    self.draw()
                    if not self.buffer:
                        return RETRY
                item = self.buffer.popleft()
                self.taken = taken = self.taken + 1
                self.numbers[self.slot] = taken
                if self.pressed or taken >= self.tell_at:
                    self.pull()
                return item
        finally:
            me.inside = None
            if guard.deferred:
                guard.run_deferred(me)

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

    def __init__(self, channel: RemoteChannel) -> None:
        slot = home.page.allocate_grant() if channel.ref[0] == 0 else 0  # others can't write in our page
        super().__init__(channel, partial(_stir, self), home.page.grants, slot)
        self.guard = Guard(carrier())
        self.burst = Burst(self, self.flush)
        self.spinner = Spinner()
        self.paced = 0.0
        self.link = home.links.get(0)
        self.heard = home.page.heard
        begin_with_lane(self)

    def free_slot(self) -> None:
        slot, self.slot = self.slot, 0
        home.page.free_grant(slot)

    def ring(self) -> None:
        if self.link is not None:
            self.link.ring()

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
        pace(self, may_widen=True)
        self.flush()
        self.more()

    def room_comes(self, party: Any) -> bool:
        """Whether room comes within a moment: sooner than this task could park, and be woken."""
        return bool(self.slot and self.window) and spins(party) and bool(self.spinner.spin(self.sees_room))

    def sees_room(self) -> bool:
        return granted_by(self.grants[self.slot], self.epoch)[1] > self.granted

    def send_quickly(self, me: Carrier, item: Any, end: End) -> bool:
        """The short way of `Sender.send`: see `HomeFlows.send_quickly`."""
        link: Any = self.link
        if self.lane is None or me.inside is not None:
            return False
        guard = self.guard
        me.inside = guard.mark
        try:
            with guard.mutex:
                if guard.owner is not None or guard.former is not None:
                    guard.end_privilege()
                lane: Any = self.lane
                if (
                    lane is None
                    or self.behind
                    or self.buffer
                    or self.waiters.entries
                    or self.calls
                    or end.closed
                    or self.ended is not None
                    or link.acts != self.heard[0]
                ):
                    return False
                bounded = self.channel.size is not None
                if bounded and self.places <= 0:
                    self.look()
                    if self.places <= 0:
                        return False
                epoch, known = self.epoch, lane.known
                self.places -= bounded
                self.sent += 1
                try:
                    lane.write(epoch, item)
                finally:  # a signal handler may raise before it is there, or after
                    if lane.known == known:
                        self.places += bounded
                        self.sent -= 1
                if lane.known == known:
                    return False
        finally:
            me.inside = None
            if guard.deferred:
                guard.run_deferred(me)
        return lane.is_watched(epoch) or self.burst.offered(guard.run(me, self._untold, epoch))

    def _untold(self, epoch: int) -> bool | None:
        """An item is in the lane, and nobody looks: have it told, now or soon."""
        if self.epoch != epoch:
            return True  # it was told as it left
        self.untold += 1
        return self.burst.go() if self.burst.is_over(self.untold, RINGS) else self.burst.gather()

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
            return self.burst.go() if self.burst.is_over(untold, RINGS) else self.burst.gather()
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
