"""What of a buffered channel is under way, at its home: items shipped to other spaces, room granted to others.

    channel.buffer ── ship ──▶ Shipping (a copy of each item until it was taken) ──▶ Inbox there
    channel.permits ── grant ──▶ Granting (places that belong to senders there)  ◀── push ── Outbox there

Invariants
    Items in the buffer + shipped and not taken + places granted and unused + free places = capacity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from potok.machines.granting import NEVER, Grants
from potok.machines.shipping import Shipments
from potok.machines.waiting import PLACE, Waiter

__all__ = ["Flows"]


class Flows(Grants, Shipments):
    """Both directions of one channel."""

    __slots__ = ("done_in", "grantings", "held_back", "keep", "left_in", "mark", "road", "shippings")

    def __init__(self, machine: Any, stir: Callable[[int], object], keep: Callable[[Any], Any]) -> None:
        super().__init__(machine, stir)
        self.keep = keep
        self.shippings = {}
        self.left_in = {}
        self.held_back = 0
        self.road = None
        self.grantings = {}
        self.done_in = {}
        self.mark = NEVER

    def watch(self) -> bool:
        return not self.shippings and super().watch()

    def is_wanted(self) -> bool:
        return bool(self.machine.receivers.entries or self.shippings)

    def settle(self) -> None:
        """After any change: call back, ship, press, and tell of the end, as it is due."""
        machine = self.machine
        if self.shippings:
            self._balance()  # first: what lies elsewhere is older than what the lanes bring
        self.look_no_more()
        if self.shippings:
            self._balance()
        if machine.receivers.entries and machine.buffer and not self.held_back:
            machine.hand_out()
        self._ship_all()
        if machine.senders.entries:
            self.crowd()

    def _ship_all(self) -> None:
        """Ship what may be shipped; if that was the last that ever comes, see to the end."""
        machine = self.machine
        self.feed()
        if self.shippings and not (machine.open_senders or machine.paused_senders or machine.buffer):
            self.end_shipping()

    def flow_on(self) -> None:
        """Have go what was gathered. The last sender may have closed while some of it had no room."""
        self._ship_all()
        for space, shipping in self.shippings.items():
            self.tell(space, shipping)

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

    def forsake(self) -> None:
        """This is a copy: nothing flows here, and what shows that to other spaces is the original's."""
        self.shippings.clear()
        self.grantings.clear()
        self.held_back = 0
        self.road = None
        self.mark = NEVER

    def gone(self, space: int, taken: int) -> None:
        """That space is no more; its tasks had taken at least so many."""
        self._take_back(space)
        shipping = self.shippings.pop(space, None)
        if shipping is not None:
            self.forget_road(shipping)
            self.held_back -= shipping.recalling
            self._back(shipping, max(shipping.taken, taken))
        self.settle()
