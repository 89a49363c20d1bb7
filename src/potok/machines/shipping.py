"""Items of a channel that are shipped to receivers in other spaces. The counterpart of `inbox.Inbox`.

    channel.buffer ── ship ──▶ Shipping (a copy of each item until it was taken) ──▶ Inbox there

An item that was shipped keeps its place in the channel until a task took it, so back-pressure does not depend on where
the receivers are. Where two want what one holds unused, it is called back.

Invariants
    More than its parked receivers want is shipped to a space only while nobody else receives.
    While something is called back nothing is handed out: what comes back was first, and goes to the front.
    Receivers are told that the channel is empty and closed only once no item can come back from elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from potok.machines.mailbox import Lane, put_by_lane
from potok.machines.saying import Saying

__all__ = ["Shipments", "Shipping"]


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


class Shipments(Saying):
    """All that one channel has shipped. Part of `Flows`, which has the slots."""

    keep: Callable[[Any], Any]  # what is kept of an item that is shipped
    shippings: dict[int, Shipping]  # by space
    left_in: dict[int, int]  # by space: the last epoch that was left
    held_back: int  # spaces that something is called back from
    road: Shipping | None  # whose lane was taken last by `forward`

    def look_no_more(self) -> None:
        """See `Grants`."""
        raise NotImplementedError

    # ── what the inboxes say ────────────────────────────────────────────────────────────────────────────────

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
        if limit == taken and self._is_left_to_one_task():
            limit += 1
        window = shipping.window = limit - taken
        shipping.need = need
        shipping.limit = max(limit, shipping.taken + window)  # it may have been seen to take more meanwhile
        self._took(shipping, taken)
        self.settle()

    def _is_left_to_one_task(self) -> bool:
        """Whether the only receiver is the own one of a task: nobody else can want the next item."""
        machine = self.machine
        return machine.open_receivers == 1 and all(end.owned for end in machine.ends if not end.sends)

    def lend_item(self, space: int, look: Callable[[int], int], epoch: int, taken: int, slot: int) -> None:
        """A task there, which does not wait, wants one if there is any."""
        if epoch <= self.left_in.get(space, 0):
            return  # its end was closed as it asked
        shipping = self._shipping(space, look, epoch, taken, slot)
        self.look_no_more()
        if self.machine.buffer and not self.held_back:
            self._ship(space, shipping, 1, shipping.alone)
        self.settle()

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

    def left(self, space: int, epoch: int, taken: int) -> None:
        """Nobody receives there any more, in its epoch: what is still on its way there is not taken, either."""
        self.left_in[space] = epoch
        shipping = self.shippings.pop(space, None)
        if shipping is not None:
            self.forget_road(shipping)
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
            if shipping.alone:
                shipping.limit = max(shipping.limit, taken + shipping.window)
            self._took(shipping, taken)

    @property
    def outstanding(self) -> int:
        """Items that may still come back."""
        return sum(len(shipping.held) for shipping in self.shippings.values())

    # ── shipping ────────────────────────────────────────────────────────────────────────────────────────────

    def feed(self) -> None:
        """Ship what may be shipped: what is to come back first, comes back first."""
        buffer = self.machine.buffer
        if not buffer or not self.shippings or self.held_back:
            return
        if len(self.shippings) > 1 and self._balance():
            return
        alone = self._alone()
        for space, shipping in list(self.shippings.items()):
            if alone and shipping.shipped >= shipping.limit:
                self.look()
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
        if shipping.lane is not None:
            shipping.lane.told(shipping.epoch)
        self.say(space, "items", shipping.epoch, items, alone)

    def tell(self, space: int, shipping: Shipping) -> None:
        """See that it knows of what is in its lane."""
        if shipping.untold and shipping.lane is not None:
            shipping.untold = 0
            shipping.lane.told(shipping.epoch)
            self.ring(space, shipping)

    def ring(self, space: int, shipping: Shipping) -> None:
        """Have that space look into its lane."""
        self._say_items(space, shipping, [], shipping.alone)

    def _by_lane(self, shipping: Shipping, items: list[Any]) -> list[Any]:
        """Put the items into the lane; those that have to go by a message."""
        gone = 0
        while gone < len(items) and put_by_lane(shipping, items[gone]) is not False:
            gone += 1
        if gone < len(
            items
        ):  # also where there is no lane as yet: what goes by the one that comes goes after these
            shipping.behind = shipping.shipped
        return items[gone:]

    def forward(self, item: Any) -> bool | None:
        """Ship an item that has its place, past an empty buffer, by the lane to who alone receives.

        None: it is to be told of, by `tell`. False: it goes another way.
        """
        if len(self.shippings) != 1 or self.held_back or self.machine.buffer:
            return False
        (shipping,) = self.shippings.values()
        if shipping.lane is None or not shipping.alone:
            return False
        if shipping.shipped >= shipping.limit:
            self.look()
            if shipping.shipped >= shipping.limit:
                return False
        got = put_by_lane(shipping, item)
        if got is not False:
            shipping.held.append(item)
            shipping.shipped += 1
            self.road = shipping
        return got

    def forget_road(self, shipping: Shipping) -> None:
        """It has left: nothing goes there."""
        shipping.alone = False
        if self.road is shipping:
            self.road = None

    # ── who waits for what others hold ──────────────────────────────────────────────────────────────────────

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
        shipping.untold = 0  # it takes what is in its lane as it hears this
        self.held_back += 1
        self.say(space, "recall", shipping.epoch)

    def end_shipping(self) -> None:
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
