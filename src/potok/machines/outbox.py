"""Where the items go out of a channel that lives in another address space: see `machines.mailbox`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from potok.errors import ClosedError
from potok.machines.mailbox import Box, Error, epochs, granted_by, put_by_lane
from potok.machines.waiting import PARKED, Arm, Party, park

__all__ = ["Outbox"]

NO_GRANTS: Final = (0,)


class Outbox(Box):
    """Where items go out."""

    first = 16  # room that is not used is easily called back

    __slots__ = (
        "back",
        "behind",
        "calls",
        "epoch",
        "granted",
        "grants",
        "known",
        "places",
        "sent",
        "slot",
        "untold",
        "wanted",
        "wished",
    )

    def __init__(
        self, channel: Any, stir: Callable[[], object], grants: Any = NO_GRANTS, slot: int = 0
    ) -> None:
        super().__init__(channel, stir)
        self.grants = grants  # `grants[slot]` shows what was granted, see `shown`; nothing at slot 0
        self.slot = slot
        self.calls = 0  # items that wait for a place at home itself: nothing overtakes them
        self.begin()

    def begin(self) -> None:
        """Nothing has been, and nobody knows of us."""
        self.epoch = next(epochs)  # another one each time that it was left
        self.known = False  # the home has heard of us
        self.sent = 0  # items, by the lane and by messages
        self.behind = 1  # none goes by the lane before the home has heard of so many, and so of the lane
        self.untold = 0  # items in the lane that the home is to be told of
        self.places = 0  # for so many more items there is room at home
        self.granted = 0  # ... was, in all
        self.back = 0  # ... was, and was given back
        self.wanted = 0  # ... is to be, for those who are parked, as the home knows
        self.wished = 0  # the window that it knows of

    # ── the operations ──────────────────────────────────────────────────────────────────────────────────────

    def send(self, party: Party | None, end: Any, item: Any) -> Any:
        """Take the item along, if there is room at home, or park. Raises ClosedError: it was NOT sent."""
        self.check(end)
        if self.ended is not None:
            raise self.ended()
        if self.channel.size is not None:
            if not self.places:
                self.look()
            if self.places:
                self.places -= 1
            else:
                return self._park(party, end, item)
        self._put(item)
        return None

    def _park(self, party: Party | None, end: Any, item: Any) -> Any:
        waiter = park(party, self, "send", item, end)
        if waiter is not None:
            self.waiters.entries.append(waiter)
            self.ask()
        return PARKED

    def _put(self, item: Any) -> None:
        """One that has its place."""
        if not self.carry(item):
            self.buffer.append(item)

    def carry(self, item: Any) -> bool:
        """Put it into the lane; False: it has to go by a message."""
        if self.buffer or put_by_lane(self, item) is False:
            return False
        self.sent += 1
        return True

    def flush(self) -> None:
        """Have the items go, and the home know of what is in the lane."""
        if not self.buffer and self.untold and self.lane is not None:
            self.untold = 0
            self.lane.told(self.epoch)
            self.ring()
        elif self.buffer or self.untold:
            items = list(self.buffer)
            self.buffer.clear()
            self.sent += len(items)
            if items and self.lane is not None:
                self.behind = self.sent
            self.untold = 0
            self.known = True
            if self.lane is not None:
                self.lane.told(self.epoch)
            self.say("push", self.epoch, items, self.lane_number)

    def ring(self) -> None:
        """Have the home look into the lane."""
        self.say("push", self.epoch, [], self.lane_number)

    def ask(self) -> None:
        wish = self.granted + len(self.waiters)
        if wish > self.wanted:
            self.wanted = wish
            self.flush()
            self._want()

    def more(self) -> None:
        """Have room come before it is needed: always so many places."""
        if self.window and self.window != self.wished:
            self._want()

    def _want(self) -> None:
        self.known = True
        self.wished = self.window
        self.say("want", self.epoch, self.wanted, self.window, self.slot)

    def ready(self, arm: Arm) -> bool:
        if arm.end.closed or self.ended is not None or self.channel.size is None:
            return True
        if not self.places:
            self.look()
        return self.places > 0

    def attempt(self, arm: Arm) -> bool:
        try:
            return self.send(None, arm.end, arm.item) is not PARKED
        except ClosedError as error:
            arm.error = error
            return True

    # ── what the home says ──────────────────────────────────────────────────────────────────────────────────

    def look(self) -> None:
        """See whether there is more room, without being told."""
        self.room(*granted_by(self.grants[self.slot], self.epoch))

    def room(self, epoch: int, granted: int) -> None:
        """There is room for so many in all."""
        if epoch != self.epoch or granted <= self.granted:
            return  # it was left, or has seen more, meanwhile
        self.places += granted - self.granted
        self.granted = granted
        served = []
        while self.places and (waiter := self.waiters.pop()) is not None:
            self.places -= 1
            self._put(waiter.item)
            served.append(waiter)
        self.flush()  # first: what they say next comes after it
        self._leave_to_calls(self.calls)
        for waiter in served:
            waiter.wake()

    def called(self, n: int) -> None:
        """So many items more, or fewer, wait at home."""
        self.calls += n
        self._leave_to_calls(n)

    def _leave_to_calls(self, n: int) -> None:
        """Those that wait at home need the places that are here."""
        n = min(self.places, n)
        if n > 0:
            self.places -= n
            self.back += n
            self._say_unused()

    def recall(self) -> None:
        """Give back the room that nobody has used."""
        if not self.known:
            return  # it was left meanwhile, which has given it back; nothing is said in an epoch that has not begun
        self.look()
        self.flush()
        self.wanted = self.granted
        self.back += self.places
        self.places = 0
        self._say_unused()
        if self.waiters.entries:
            self.ask()

    def _say_unused(self) -> None:
        self.wished = 0  # it forgets that
        self.say("unused", self.epoch, self.back)

    def leave(self) -> None:
        """The last end here was closed."""
        self.flush()
        if self.known:
            self.say("done", self.epoch)
            self.begin()

    def fail(self, error: Error) -> None:
        self.flush()
        super().fail(error)
