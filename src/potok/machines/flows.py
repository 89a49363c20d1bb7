"""What of a buffered channel is under way, at its home: items shipped to other spaces, room granted to others.

    channel.buffer ── ship ──▶ Shipping (a copy of each item until it was taken) ──▶ Inbox there
    channel.permits ── grant ──▶ Granting (places that belong to senders there)  ◀── push ── Outbox there

The counterpart of `machines.mailbox`. An item that was shipped keeps its place in the channel until a task took it,
so back-pressure does not depend on where the receivers are. Where two want what one holds unused, it is called back.

Invariants
    Items in the buffer + shipped and not taken + places granted and unused + free places = capacity.
    More than its parked receivers want is shipped to a space only while nobody else receives.
    While something is called back nothing is handed out: what comes back was first, and goes to the front.
    Receivers are told that the channel is empty and closed only once no item can come back from elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from potok.machines.mailbox import Lane
from potok.machines.waiting import Waiter

__all__ = ["PLACE", "Flows", "Granting", "Shipping"]

Show = Callable[[int, int, int], bool]
"""Put what was granted where that space sees it: `(slot, epoch, granted)`. False: it sees nothing from there."""


class _Place:
    """What a waiter among the senders brings that wants a free place, and sends nothing yet."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "PLACE"


PLACE: Final = _Place()
NEVER: Final = 1 << 62


class Shipping:
    """Items on their way to the receivers of one space."""

    __slots__ = (
        "_look",
        "alone",
        "behind",
        "epoch",
        "held",
        "lane",
        "limit",
        "need",
        "over",
        "pressed",
        "recalling",
        "shipped",
        "slot",
        "taken",
        "untold",
        "window",
    )

    def __init__(self, epoch: int, taken: int, slot: int, look: Callable[[int], int]) -> None:
        self.epoch = epoch
        self.slot = slot  # where that space counts what was taken
        self._look = look  # how many were taken, as far as can be seen from here
        self.held: deque[Any] = deque()  # shipped, and not known to be taken
        self.shipped = taken  # before this epoch, none but those taken
        self.lane: Lane | None = None
        self.behind = 0  # none goes by the lane before that space has heard of so many
        self.untold = 0  # items in the lane that it is to be told of
        self.taken = taken
        self.need = 0
        self.limit = 0
        self.window = 0  # the limit is so far from what was taken
        self.alone = False  # it was told that it may wait without saying so
        self.recalling = False
        self.pressed = False  # it was told that somebody waits for what it takes
        self.over = False  # it was told that nothing more comes

    def look(self) -> int:
        """How many were taken, as far as can be seen from here."""
        return self._look(self.slot)

    @property
    def excess(self) -> int:
        """Items that lie there and are wanted by nobody yet."""
        return self.shipped - max(self.need, self.taken)


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


class Flows:
    """All of one channel. Part of that machine: called inside of it."""

    __slots__ = ("grantings", "held_back", "keep", "machine", "mark", "said", "shippings", "stir")

    def __init__(self, machine: Any, stir: Callable[[int], object], keep: Callable[[Any], Any]) -> None:
        self.machine = machine
        self.stir = stir  # told of the space, when there is something to be said to it
        self.keep = keep  # what is kept of an item that is shipped
        self.shippings: dict[int, Shipping] = {}
        self.grantings: dict[int, Granting] = {}
        self.mark = NEVER  # so many places free: worth granting
        self.held_back = 0  # spaces that something is called back from
        self.said: dict[int, deque[tuple[str, tuple[Any, ...]]]] = {}

    def say(self, space: int, op: str, *args: Any) -> None:
        said = self.said.get(space)
        if said is None:
            said = self.said[space] = deque()
        said.append((op, args))
        if len(said) == 1:
            self.stir(space)

    # ── to receivers elsewhere ──────────────────────────────────────────────────────────────────────────────

    def _shipping(
        self, space: int, look: Callable[[int], int], epoch: int, taken: int, slot: int
    ) -> Shipping:
        shipping = self.shippings.get(space)
        if shipping is None:
            shipping = self.shippings[space] = Shipping(epoch, taken, slot, look)
        return shipping

    def pull(
        self,
        space: int,
        look: Callable[[int], int],
        epoch: int,
        taken: int,
        need: int,
        limit: int,
        slot: int,
        lane: Lane | None = None,
    ) -> None:
        """Its inbox tells where it stands."""
        shipping = self._shipping(space, look, epoch, taken, slot)
        shipping.lane = lane
        shipping.pressed = False  # it has forgotten it, as it told
        if shipping.epoch != epoch or shipping.recalling:
            self._took(shipping, taken)
            return  # its answer tells more
        shipping.need, shipping.limit, shipping.window = need, limit, limit - taken
        self._took(shipping, taken)
        self.settle()

    def lend_item(self, space: int, look: Callable[[int], int], epoch: int, taken: int, slot: int) -> None:
        """A task there, which does not wait, wants one if there is any."""
        shipping = self._shipping(space, look, epoch, taken, slot)
        if self.machine.buffer and not self.held_back:
            self._ship(space, shipping, 1, shipping.alone)
        self.settle()

    def lend_place(self, space: int, epoch: int) -> None:
        """A task there, which does not wait, wants room for one if there is any."""
        granting = self._granting(space, epoch)
        if not self.machine.open_receivers:
            self.shut(space)
        elif self.machine.take_place():
            granting.granted += 1
            self._say_room(space, granting)

    def returned(self, space: int, epoch: int, taken: int, need: int, limit: int) -> None:
        """It was called back, and has given back what it had not taken. Nothing was shipped to it meanwhile."""
        shipping = self.shippings.get(space)
        if shipping is None or shipping.epoch != epoch:
            return  # it has left meanwhile
        self.held_back -= shipping.recalling
        shipping.recalling = shipping.alone = shipping.pressed = False
        shipping.behind = 0
        shipping.need, shipping.limit, shipping.window = need, limit, limit - taken
        self._back(shipping, taken)
        self.settle()

    def left(self, space: int, taken: int) -> None:
        """Nobody receives there any more, in its epoch: what is still on its way there is not taken, either."""
        shipping = self.shippings.pop(space, None)
        if shipping is not None:
            self.held_back -= shipping.recalling
            self._back(shipping, taken)
            self.settle()

    def _took(self, shipping: Shipping, taken: int) -> None:
        """It was heard that so many were taken there."""
        self.machine.give_places(self._count(shipping, taken))

    def _count(self, shipping: Shipping, taken: int) -> int:
        """How many were taken since it was last heard of."""
        new = taken - shipping.taken
        if new > 0:
            shipping.taken = taken
            for _ in range(new):
                shipping.held.popleft()
        return new

    def _back(self, shipping: Shipping, taken: int) -> None:
        """Of what was shipped nothing but what was taken has left the channel."""
        new = self._count(shipping, taken)
        back, shipping.held, shipping.shipped = shipping.held, deque(), taken
        self.machine.put_back(back)
        self.machine.give_places(new)  # last: what waits for these comes after what is back

    def look(self) -> None:
        """See what was taken, without being told."""
        for shipping in list(self.shippings.values()):
            taken = shipping.look()
            if taken > shipping.taken and shipping.alone:
                shipping.limit = max(shipping.limit, taken + shipping.window)
            self._took(shipping, taken)

    @property
    def outstanding(self) -> int:
        """Items that may still come back."""
        return sum(len(shipping.held) for shipping in self.shippings.values())

    def feed(self) -> None:
        """Ship what may be shipped: what is to come back first, comes back first."""
        buffer = self.machine.buffer
        if not buffer or not self.shippings or self.held_back:
            return
        if len(self.shippings) > 1 and self._balance():
            return
        alone = self._alone()
        for space, shipping in list(self.shippings.items()):
            room = (shipping.limit if alone else shipping.need) - shipping.shipped
            if room > 0 and buffer:
                self._ship(space, shipping, min(room, len(buffer)), alone)
                if not alone:
                    self.shippings[space] = self.shippings.pop(space)  # the others come first next time

    def _ship(self, space: int, shipping: Shipping, count: int, alone: bool) -> None:
        buffer, keep = self.machine.buffer, self.keep
        items = [buffer.popleft() for _ in range(count)]
        shipping.held += [keep(item) for item in items]
        shipping.shipped += count
        rest = self._by_lane(shipping, items)
        if rest or alone is not shipping.alone:
            self._say_items(space, shipping, rest, alone)
        else:
            self.tell(space, shipping)
        if self.machine.senders.entries:
            self._press(space, shipping)

    def _say_items(self, space: int, shipping: Shipping, items: list[Any], alone: bool) -> None:
        shipping.alone = alone
        shipping.untold = 0
        self.say(space, "items", shipping.epoch, items, alone)

    def tell(self, space: int, shipping: Shipping) -> None:
        """See that it knows of what is in its lane."""
        if shipping.untold:
            self._say_items(space, shipping, [], shipping.alone)

    def _by_lane(self, shipping: Shipping, items: list[Any]) -> list[Any]:
        """Put the items into the lane; those that have to go by a message."""
        lane = shipping.lane
        if lane is None:
            return items
        if shipping.behind and lane.heard(shipping.epoch) >= shipping.behind:
            shipping.behind = 0
        gone = 0
        if not shipping.behind:
            for item in items:
                got = lane.put(shipping.epoch, item)
                if got is False:
                    break
                shipping.untold += got is None
                gone += 1
        if gone < len(items):
            shipping.behind = shipping.shipped
        return items[gone:]

    def forward(self, item: Any) -> bool | None:
        """Ship an item that has its place, past an empty buffer, by the lane to who alone receives.

        None: it is to be told of, by `tell`. False: it goes another way.
        """
        if len(self.shippings) != 1 or self.held_back or self.machine.buffer:
            return False
        (shipping,) = self.shippings.values()
        lane = shipping.lane
        if lane is None or not shipping.alone:
            return False
        if shipping.shipped >= shipping.limit:
            self.look()
            if shipping.shipped >= shipping.limit:
                return False
        if shipping.behind:
            if lane.heard(shipping.epoch) < shipping.behind:
                return False
            shipping.behind = 0
        got = lane.put(shipping.epoch, item)
        if got is not False:
            shipping.held.append(item)
            shipping.shipped += 1
            shipping.untold += got is None
        return got

    # ── who waits for what others hold ──────────────────────────────────────────────────────────────────────

    def settle(self) -> None:
        """After any change: call back, ship, press, and tell of the end, as it is due."""
        machine = self.machine
        self.look_no_more()
        if self.shippings:
            self._balance()
        if machine.receivers.entries and machine.buffer and not self.held_back:
            machine.hand_out()
        self.feed()
        if self.shippings and not machine.open_senders and not machine.buffer:
            self._end()
        if machine.senders.entries:
            self.crowd()

    def _alone(self) -> bool:
        """Whether but one space receives."""
        here = self.machine.receivers
        return len(self.shippings) == 1 and not (here.entries and here.live())

    def _balance(self) -> bool:
        """Call back what lies where nobody wants it, if somebody does elsewhere, and have all say what they want.

        Whether anything is to come back.
        """
        alone = self._alone()
        for space, shipping in list(self.shippings.items()):  # places that came free may have others fed
            if shipping.recalling:
                continue
            if shipping.alone and not alone:
                self._recall(space, shipping)
            elif shipping.excess > 0 and self._wanted_elsewhere(shipping):
                self._call_back(space, shipping)
        return self.held_back > 0

    def _call_back(self, space: int, shipping: Shipping) -> None:
        """Call back what nobody there wants, as far as is known."""
        self._took(shipping, shipping.look())
        if shipping.excess > 0 and not shipping.recalling:
            self._recall(space, shipping)

    def call_back(self) -> None:
        """Call back what nobody wants, wherever it lies: a task here would receive."""
        for space, shipping in list(self.shippings.items()):
            if shipping.excess > 0:
                self._call_back(space, shipping)

    def comes_back(self, party: Any) -> bool:
        """Whether something comes back that is to be received before what is in the buffer.

        A party that does not wait (None) is not kept from what is there.
        """
        if party is not None:
            self.call_back()
        return self.held_back > 0

    def _wanted_elsewhere(self, shipping: Shipping) -> bool:
        return self.machine.receivers.live() or any(
            other.need > other.shipped for other in self.shippings.values() if other is not shipping
        )

    def _recall(self, space: int, shipping: Shipping) -> None:
        shipping.recalling = True
        self.held_back += 1
        self.say(space, "recall", shipping.epoch)

    def _end(self) -> None:
        """No sender is left and the buffer is empty: tell the receivers, once nothing can come back any more."""
        self.look()
        if self.machine.buffer:
            return
        if self.outstanding:
            for space, shipping in self.shippings.items():
                self._press(space, shipping)
            return
        for space, shipping in self.shippings.items():
            if not shipping.over:
                shipping.over = True
                self.say(space, "over", self.machine.ending())
        self.machine.end_receivers()

    def _press(self, space: int, shipping: Shipping) -> None:
        if shipping.held and not shipping.pressed:
            shipping.pressed = True
            self.say(space, "press")

    def crowd(self) -> None:
        """A sender waits for a place: find out what was taken, ask for what is granted and unused."""
        self.look()
        if not self.machine.senders.live():
            return
        for space, shipping in self.shippings.items():
            self._press(space, shipping)
        for space, granting in self.grantings.items():
            if not granting.open or granting.recalling:
                continue
            if self._others(space):
                granting.recalling = True
                self.say(space, "recall_room")
            elif granting.granted > granting.told:
                self._say_room(space, granting)  # it waits beside room that is its own

    def _others(self, space: int) -> bool:
        """Whether somebody else than that space waits for a place."""
        return any(self.space_of(entry) != space for entry in self.machine.senders.waiting())

    def space_of(self, entry: Waiter) -> Any:
        """Which space waits there, as far as is known; None: this one."""
        return entry.end if entry.item is PLACE else None

    # ── from senders elsewhere ──────────────────────────────────────────────────────────────────────────────

    def _granting(self, space: int, epoch: int) -> Granting:
        granting = self.grantings.get(space)
        if granting is None:
            granting = self.grantings[space] = Granting(epoch)
        return granting

    # ── lanes from there ────────────────────────────────────────────────────────────────────────────────────

    def watch(self) -> bool:
        """Whether items may come by a lane, which a task here looks at from now on, and nobody else waits for them."""
        if self.shippings or self.machine.receivers.entries:
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

    # ── room for them ───────────────────────────────────────────────────────────────────────────────────────

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
        alone = not machine.senders.entries and len(self.grantings) == 1
        goal = granting.want if alone else granting.need
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
        wishes = [g.want - g.granted for g in self.grantings.values() if g.want > g.granted and not g.recalling]
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

    def push(self, space: int, epoch: int, items: list[Any], lane: Lane | None = None) -> None:
        """Items came, for which there is room: by the lane, and then these."""
        granting = self._granting(space, epoch)
        granting.lane = lane
        self._draw(granting)
        if items:
            self._received(granting, items)
            if lane is not None:
                lane.tell_heard(epoch, granting.received)

    def late(self, space: int, epoch: int, first: int, items: list[Any]) -> None:
        """That space is no more, and had noted down these, from number `first` on. Some may have come before."""
        granting = self._granting(space, epoch)
        if granting.epoch == epoch:
            self.push(space, epoch, items[granting.received - first :])

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

    def done(self, space: int) -> None:
        """Nobody sends there any more."""
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

    # ── the ends of life ────────────────────────────────────────────────────────────────────────────────────

    def nobody_receives(self) -> None:
        """The last receiver was closed."""
        self.look_no_more()
        for space in self.grantings:
            self.shut(space)

    def cancelled(self) -> None:
        self.look_no_more()
        for space in self.shippings:
            self.say(space, "cancel", self.machine.closed(sends=False))
        for space in self.grantings:
            self.shut(space)

    def gone(self, space: int, taken: int) -> None:
        """That space is no more; its tasks had taken at least so many."""
        self.done(space)
        shipping = self.shippings.pop(space, None)
        if shipping is not None:
            self.held_back -= shipping.recalling
            self._back(shipping, max(shipping.taken, taken))
        self.settle()
