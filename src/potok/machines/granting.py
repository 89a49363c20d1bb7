"""Room in a channel that is granted to senders in other spaces. The counterpart of `outbox.Outbox`.

    channel.permits ── grant ──▶ Granting (places that belong to senders there)  ◀── push, lane ── Outbox there

Invariants
    What an outbox was granted, it may fill without asking; what it has not used is called back where others wait.
    Who is parked for room is told of it; who is not, sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from potok.machines.mailbox import Lane
from potok.machines.saying import Saying
from potok.machines.waiting import PLACE, Waiter

__all__ = ["NEVER", "Granting", "Grants"]

Show = Callable[[int, int, int], bool]
"""Put what was granted where that space sees it: `(slot, epoch, granted)`. False: it sees nothing from there."""

NEVER: Final = 1 << 62


class Granting:
    """Room that the senders of one space have."""

    __slots__ = (
        "back",
        "epoch",
        "granted",
        "lane",
        "need",
        "recalling",
        "received",
        "show",
        "slot",
        "told",
        "waiter",
        "want",
        "window",
    )

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.slot = 0  # where that space looks for what was granted
        self.show: Show = _show_nobody
        self.granted = 0  # places in all
        self.told = 0  # ... as it was told
        self.received = 0  # of those, used
        self.back = 0  # ... and given back
        self.need = 0  # what its parked senders want, in all
        self.want = 0  # what it would like to have
        self.window = 0  # it would always like to have so many places that are open
        self.lane: Lane | None = None
        self.recalling = False
        self.waiter: Any = None  # in the queue of senders

    @property
    def open(self) -> int:
        """Places that it has, and that nothing has come for."""
        return self.granted - self.received - self.back

    def wish(self) -> None:
        """Of what it would like to have, nothing less than it said."""
        if self.window:
            self.want = max(self.want, self.received + self.back + self.window)


def _show_nobody(slot: int, epoch: int, granted: int) -> bool:
    return False


class GrantWaiter(Waiter):
    """Stands among the parked senders, for a place."""

    __slots__ = ()

    def wake(self) -> None:
        self.task.placed(self)


class Grants(Saying):
    """All that one channel has granted. Part of `Flows`, which has the slots."""

    grantings: dict[int, Granting]  # by space
    done_in: dict[int, int]  # by space: the last epoch that is over
    mark: int  # so many places free: worth granting

    def _granting(self, space: int, epoch: int) -> Granting:
        granting = self.grantings.get(space)
        if granting is None:
            granting = self.grantings[space] = Granting(epoch)
        return granting

    def crowd(self) -> None:
        """A sender waits for a place."""
        raise NotImplementedError

    def is_wanted(self) -> bool:
        """Whether somebody waits, here or elsewhere, who does not look by itself."""
        raise NotImplementedError

    # ── lanes from there ────────────────────────────────────────────────────────────────────────────────────

    def watch(self) -> bool:
        """Whether items may come by a lane, which a task here looks at from now on, and nobody else waits for them."""
        if self.machine.receivers.entries:
            return False
        lanes = [(g.lane, g.epoch) for g in self.grantings.values() if g.lane is not None]
        for lane, epoch in lanes:
            lane.watch(epoch)
        return bool(lanes)

    def draw(self) -> None:
        """Take what has come by the lanes."""
        for granting in list(self.grantings.values()):
            self._draw(granting)

    def look_no_more(self) -> None:
        """Whoever waits now is to be told of what comes by the lanes; what has come is taken."""
        for granting in list(self.grantings.values()):
            if granting.lane is not None:
                granting.lane.leave()
                self._draw(granting)

    def _draw(self, granting: Granting) -> None:
        if granting.lane is not None:
            items = granting.lane.take(granting.epoch)
            if items:
                self._received(granting, items)

    def _received(self, granting: Granting, items: list[Any]) -> None:
        granting.received += len(items)
        if granting.window:
            granting.wish()
            self._set_mark()
        self.machine.deliver(items)
        self.top_up()

    # ── room ────────────────────────────────────────────────────────────────────────────────────────────────

    def want(self, space: int, show: Show, epoch: int, need: int, window: int, slot: int) -> None:
        """Its outbox wants room for so many in all, and always a window of so many places that are open."""
        granting = self._granting(space, epoch)
        granting.need, granting.want, granting.window = need, need, window
        granting.wish()
        granting.show, granting.slot = show, slot
        if granting.granted < need or not self.machine.open_receivers:
            self._grant(space, granting)
        else:
            self._tell_room(space, granting)
            self._set_mark()
            self.top_up()

    def lend_place(self, space: int, epoch: int) -> None:
        """A task there, which does not wait, wants room for one if there is any."""
        if epoch <= self.done_in.get(space, 0):
            return  # its end was closed as it asked
        granting = self._granting(space, epoch)
        if not self.machine.open_receivers:
            self.shut(space)
        elif self.machine.take_place():
            granting.granted += 1
            self._say_room(space, granting)

    def _tell_room(self, space: int, granting: Granting) -> None:
        """Show it what was granted; say it, too, where somebody is parked for that, or nothing is seen there."""
        is_seen = granting.show(granting.slot, granting.epoch, granting.granted)
        if granting.granted > granting.told and (granting.need > granting.told or not is_seen):
            self._say_room(space, granting)

    def _say_room(self, space: int, granting: Granting) -> None:
        granting.told = granting.granted
        self.say(space, "room", granting.epoch, granting.granted)

    def _grant(self, space: int, granting: Granting) -> None:
        machine = self.machine
        if granting.recalling or granting.waiter is not None:
            return
        if not machine.open_receivers:
            self.shut(space)
            return
        goal = granting.need
        if not machine.senders.entries:
            share = max(1, (machine.capacity or NEVER) // len(self.grantings))
            goal = max(goal, min(granting.want, granting.received + granting.back + share))
        while granting.granted < goal and machine.take_place():
            granting.granted += 1
        self._tell_room(space, granting)
        self._set_mark()
        if granting.granted < granting.need:
            self._queue(space, granting)

    def top_up(self) -> None:
        """Places are free: grant what is wanted beyond what is needed, not one by one."""
        if self.machine.places() >= self.mark:
            for space, granting in self.grantings.items():
                if granting.want > granting.granted:
                    self._grant(space, granting)

    def _set_mark(self) -> None:
        """All that somebody wishes, or a quarter of the capacity, is worth a word."""
        wishes = [
            g.want - g.granted for g in self.grantings.values() if g.want > g.granted and not g.recalling
        ]
        self.mark = min(*wishes, max(1, (self.machine.capacity or NEVER) // 4)) if wishes else NEVER

    def _queue(self, space: int, granting: Granting) -> None:
        waiter = granting.waiter = GrantWaiter()
        waiter.task, waiter.machine, waiter.op = self, self.machine, "send"
        waiter.item, waiter.end = PLACE, space
        waiter.group = waiter.value = waiter.error = None
        waiter.claimed = waiter.woken = False
        self.machine.senders.push(waiter)
        self.crowd()

    def placed(self, waiter: GrantWaiter) -> None:
        """It has come to its place, or nobody receives any more."""
        space: Any = waiter.end
        granting = self.grantings[space]
        granting.waiter = None
        if waiter.error is not None:
            self.shut(space)
            return
        granting.granted += 1
        self._tell_room(space, granting)
        self._grant(space, granting)
        if self.machine.senders.entries:
            self.crowd()  # who wanted it may have given up meanwhile

    # ── what the outboxes say ───────────────────────────────────────────────────────────────────────────────

    def push(self, space: int, epoch: int, items: list[Any], lane: Lane | None = None) -> None:
        """Items came, for which there is room: by the lane, and then these."""
        granting = self._granting(space, epoch)
        granting.lane = lane
        self._draw(granting)
        if items:
            self._received(granting, items)
            if lane is not None:
                lane.tell_heard(epoch, granting.received)
        self.rung()

    def rung(self) -> None:
        """It was told that there is something in a lane, and is told again if somebody wants it."""
        self.draw()
        if self.is_wanted():
            self.look_no_more()
        self.look()  # what was taken meanwhile makes room for the next

    def late(self, space: int, epoch: int, first: int, items: list[Any]) -> None:
        """That space is no more, and had noted down these, from number `first` on. Some may have come before."""
        if epoch <= self.done_in.get(space, 0):
            return  # all have
        granting = self._granting(space, epoch)
        if granting.epoch == epoch:
            self.push(space, epoch, items[max(0, granting.received - first) :], granting.lane)

    def unused(self, space: int, epoch: int, back: int) -> None:
        """It has given back the room that it had not used."""
        granting = self._granting(space, epoch)
        granting.recalling = False
        granting.need = granting.want = granting.granted
        granting.window = 0
        self._set_mark()
        new, granting.back = back - granting.back, back
        self.machine.give_places(new)
        self.settle()

    def done(self, space: int, epoch: int) -> None:
        """Nobody sends there any more, in its epoch."""
        self.done_in[space] = epoch
        self._take_back(space)

    def _take_back(self, space: int) -> None:
        """What it was granted, and has not used."""
        granting = self.grantings.get(space)
        if granting is not None:
            self._draw(granting)
            del self.grantings[space]
            self._set_mark()
            if granting.waiter is not None:
                self.machine.senders.withdraw(granting.waiter)
            self.machine.give_places(granting.open)
            self.settle()

    def shut(self, space: int) -> None:
        """Nobody receives any more."""
        self.say(space, "shut", self.machine.closed(sends=True))
