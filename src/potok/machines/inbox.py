"""Where the items of a channel arrive that lives in another address space: see `machines.mailbox`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from potok.errors import ClosedError
from potok.machines.mailbox import NEVER, Box, Error, epochs
from potok.machines.waiting import PARKED, Arm, Party, Waiter, park

__all__ = ["Inbox"]


class Inbox(Box):
    """Where items arrive."""

    __slots__ = (
        "alone",
        "arrived",
        "epoch",
        "known",
        "limit",
        "need",
        "numbers",
        "pressed",
        "seen",
        "slot",
        "taken",
        "tell_at",
        "told",
    )

    def __init__(
        self, channel: Any, stir: Callable[[], object], numbers: Any, slot: int, seen: bool = False
    ) -> None:
        super().__init__(channel, stir)
        self.numbers = numbers  # `numbers[slot]` tells how many were taken, also when this space is no more
        self.slot = slot
        self.seen = seen  # by the home, at any time
        self.taken = numbers[slot] = 0  # in all epochs
        self.begin()

    def forsake(self) -> None:
        super().forsake()
        self.numbers, self.slot = [0], 0

    def begin(self) -> None:
        """Nothing has been, and nobody knows of us."""
        self.epoch = next(epochs)  # another one each time that it was left
        self.known = False  # the home has heard of us
        self.arrived = self.taken
        self.told = self.taken  # what the home was told of `taken`, ...
        self.tell_at = self.taken + 1  # ... and is to be told of next
        self.need = self.taken  # ... how many receivers want in all, ...
        self.limit = self.taken  # ... and how many may come
        self.alone = False  # nobody else receives: they come up to the limit
        self.pressed = False  # the home waits to hear of the next one taken

    # ── the operations ──────────────────────────────────────────────────────────────────────────────────────

    def receive(self, party: Party | None, end: Any) -> Any:
        """Take the oldest item that is here, or park. Raises ClosedError when none will come any more."""
        self.check(end)
        if not self.buffer:
            self.draw()
        if self.buffer:
            return self.take()
        if self.ended is not None:
            raise self.ended()
        waiter = park(party, self, "recv", None, end)
        if waiter is not None:
            self.waiters.entries.append(waiter)
            self.ask()
        return PARKED

    def take(self) -> Any:
        """The oldest item."""
        item = self.buffer.popleft()
        self._took()
        return item

    def _took(self) -> None:
        self.taken += 1
        self.numbers[self.slot] = self.taken
        if self.pressed or self.taken >= self.tell_at:
            self.pull()

    def ask(self) -> None:
        if self.lane is not None:
            self.lane.leave()
            self.draw()
        if self.buffer:
            return
        limit = max(self.limit, self.taken + self.window) if self.tell_at == NEVER else self.limit
        if not (self.alone and limit - self.arrived >= len(self.waiters)):
            self.pull()

    def _has_no_limit(self) -> bool:
        """Whether the home never waits to hear what was taken: it sees that, and all places may be here."""
        size = self.channel.size
        return self.seen and size is not None and self.window >= size

    def watch(self) -> bool:
        """Whether items may come by the lane, which a task looks at from now on, and nobody else waits for them."""
        if self.lane is None or self.waiters.entries or not self.alone or self.ended is not None:
            return False
        self.lane.watch(self.epoch)
        return True

    def draw(self) -> None:
        """Take what has come by the lane."""
        if self.lane is not None:
            items = self.lane.take(self.epoch)
            if items:
                self._arrived(items)

    def rung(self) -> None:
        """It was told that there is something in the lane, and is told again if somebody waits."""
        self.draw()
        if self.lane is not None and self.waiters.entries:
            self.lane.leave()
            self.draw()

    def pull(self, more: int = 0) -> None:
        """Tell the home where we stand. `more` are wanted for nobody who is parked."""
        self.told = self.taken
        self.tell_at = NEVER if self._has_no_limit() else self.taken + self.window // 2 + 1
        self.need = self.taken + len(self.waiters) + more
        self.limit = max(self.need, self.taken + self.window)
        self.pressed = False
        self.known = True
        self.say("pull", self.epoch, self.taken, self.need, self.limit, self.slot, self.lane_number)

    def withdraw(self, entry: Waiter) -> bool:
        gone = self.waiters.withdraw(entry)
        if gone and self.need > self.arrived:
            self.pull()  # what comes now is wanted by nobody
        return gone

    def ready(self, arm: Arm) -> bool:
        if not self.buffer:
            self.draw()
        return arm.end.closed or bool(self.buffer) or self.ended is not None

    def attempt(self, arm: Arm) -> bool:
        try:
            arm.value = self.receive(None, arm.end)
        except ClosedError as error:
            arm.error = error
            return True
        return arm.value is not PARKED

    # ── what the home says ──────────────────────────────────────────────────────────────────────────────────

    def arrive(self, epoch: int, items: list[Any], alone: bool) -> None:
        """Items came. `alone`: more come unasked, up to the limit."""
        if epoch != self.epoch:
            return  # it was left meanwhile: the home has kept them
        self.alone = alone
        self._arrived(items)
        if self.lane is not None:
            if items:
                self.lane.tell_heard(self.epoch, self.arrived)
            self.rung()

    def _arrived(self, items: list[Any]) -> None:
        self.arrived += len(items)
        if not self.waiters.entries:
            self.buffer += items
        else:
            for item in items:
                waiter = None if self.buffer else self.waiters.pop()
                if waiter is None:
                    self.buffer.append(item)
                else:
                    waiter.value = item
                    self._took()
                    waiter.wake()
        if self.buffer and self.need > self.taken and not self.alone:
            self.pull()  # who wanted them has gone

    def press(self) -> None:
        """Somebody waits for what we take."""
        if self.taken > self.told:
            self.pull()
        else:
            self.pressed = True

    def recall(self, epoch: int) -> None:
        """Give back what no task took."""
        if epoch != self.epoch:
            return  # it was left meanwhile, which has given it back
        if self.lane is not None:
            self.lane.leave()
            self.draw()
        self.buffer.clear()
        self.arrived = self.told = self.taken
        self.tell_at = self.taken + 1
        self.alone = self.pressed = False
        self.need = self.limit = self.taken + len(self.waiters)
        if self.lane is not None:
            self.lane.tell_heard(self.epoch, self.arrived)
        self.say("returned", self.epoch, self.taken, self.need, self.limit)

    def cancel(self, error: Error) -> None:
        """The channel is no more."""
        self.recall(self.epoch)
        self.fail(error)

    def leave(self) -> None:
        """The last end here was closed: give everything back, and start anew if another one comes."""
        if self.known:
            self.buffer.clear()
            self.say("left", self.epoch, self.taken)
            self.begin()

    def give_back(self) -> None:
        """Unasked: also what is still on its way, which an answer to `recall` would not tell of."""
        if self.buffer or self.alone or self.limit > self.taken:
            self.leave()
            if len(self.waiters):
                self.pull()
