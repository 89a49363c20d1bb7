"""The ends of a buffered channel as another address space has them: a box for each direction, with its own waiters.

    home: channel ── items ──▶ Inbox ──▶ receivers here          senders here ──▶ Outbox ── push ──▶ channel: home
                  ◀── pull ──                                                        ◀── room ──

An `Inbox` tells its home how many items its receivers wait for (`need`) and how many may come unasked (`limit`); an
`Outbox` sends what it has room for, which its home has set aside. Both count from the first item on, so that a number
means the same at either side, whatever crosses on the way. What is to be said is put into `said`, in order.

Invariants
    Inbox: items that came = taken by tasks + in the buffer; the home keeps each until it hears that it was taken.
    A receiver is parked only while the buffer is empty, and then its home knows of it, or may send without knowing.
    Outbox: items sent + in the buffer + places left + given back = places that the home has granted.
    Asked to, a box gives back at once what nobody has used: its answer is definite.
    A box has a lane, or gets one, only before its home has heard of its epoch, and lets go of it after its last word.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, Final, Protocol

from potok.errors import ClosedError
from potok.machines.waiting import PARKED, Arm, Machine, Party, Waiter, WaitQueue, park

__all__ = ["WINDOW", "Box", "Inbox", "Lane", "Outbox", "granted_by", "put_by_lane", "shown"]

WINDOW = 128  # items at most that may come, or go, unasked

NO_GRANTS: Final = (0,)
COUNT_BITS: Final = 40
COUNTED: Final = (1 << COUNT_BITS) - 1
EPOCHS: Final = (1 << 64 - COUNT_BITS) - 1

Error = Callable[[], ClosedError]

_epochs = count(1)


def shown(epoch: int, granted: int) -> int:
    """The number that shows to an outbox what was granted in this epoch, and in an older one nothing."""
    return (epoch & EPOCHS) << COUNT_BITS | granted


def granted_by(number: int, epoch: int) -> tuple[int, int]:
    """The reverse, in this epoch: what was granted in another one is nothing here."""
    return epoch, number & COUNTED if number >> COUNT_BITS == epoch & EPOCHS else 0


class Lane(Protocol):
    """Memory that both sides see, in which items go one way without a message: see `potok.remote.lanes`.

    What came by it came before every message of its writer, which are heard after it was taken.
    """

    def put(self, epoch: int, item: Any) -> bool | None:
        """Put an item there; False: it has to go by a message.

        None: it is there, and the reader, who does not look by itself, is to be told.
        """

    def heard(self, epoch: int) -> int:
        """How many items the reader has had, as of the last that came by a message."""

    def take(self, epoch: int) -> list[Any]:
        """All that is there of this epoch. What is of an older one is dropped; what is of a newer one stays."""

    def watch(self, epoch: int) -> None:
        """The reader looks by itself from now on."""

    def leave(self) -> None:
        """It does so no more; what is there by now, it can see."""

    def tell_heard(self, epoch: int, count: int) -> None:
        """Items have come by a message; so many in all."""


def put_by_lane(side: Any, item: Any) -> bool | None:
    """Put an item into the lane of a side that writes: an outbox, or a shipping at home. As `Lane.put`.

    Not past what went by a message and is not known to be heard (`behind`); what is to be told is counted (`untold`).
    """
    lane = side.lane
    if lane is None:
        return False
    if side.behind:
        if lane.heard(side.epoch) < side.behind:
            return False
        side.behind = 0
    got: bool | None = lane.put(side.epoch, item)
    if got is None:
        side.untold += 1
    return got


class Box(Machine):
    """What both directions share: who waits, what is here, what is to be said, and how it ended."""

    __slots__ = ("buffer", "channel", "ended", "lane", "lane_number", "said", "stir", "waiters", "window")

    tells = True
    first = 2  # how wide the window is at first
    known: bool  # the home has heard of us

    def __init__(self, channel: Any, stir: Callable[[], object]) -> None:
        self.channel = channel
        self.buffer: deque[Any] = deque()
        self.waiters = WaitQueue()
        self.said: deque[tuple[str, tuple[Any, ...]]] = deque()
        self.stir = stir  # told when there is something to be said
        self.window = 0
        self.ended: Error | None = None
        self.lane: Lane | None = None
        self.lane_number = -1  # as the home knows it

    def say(self, op: str, *args: Any) -> None:
        self.said.append((op, args))
        if len(self.said) == 1:
            self.stir()

    def widen(self) -> None:
        """They come fast: the next ones may come unasked."""
        self.window = min(4 * self.window or self.first, WINDOW, self.channel.size or WINDOW)

    def forsake(self) -> None:
        """This is a copy: what other spaces see is the original's."""
        self.lane, self.lane_number = None, -1

    def begin(self) -> None:
        """Nothing has been, and nobody knows of us."""
        raise NotImplementedError

    def leave(self) -> None:
        """Have the home forget of us."""
        raise NotImplementedError

    def may_begin(self) -> bool:
        """Whether the home has heard nothing of this epoch, and nothing is here that would be said in it."""
        return not (self.known or self.buffer or self.waiters.entries)

    def begin_with(self, lane: Lane, number: int) -> None:
        """Have this lane. In a lane each epoch is newer than all that were there before, so this one begins now."""
        self.lane, self.lane_number = lane, number
        self.begin()

    def let_go(self) -> int:
        """Leave, and then have no lane any more. Its number, the only time that it is told; -1: there was none."""
        self.leave()
        number, self.lane, self.lane_number = self.lane_number, None, -1
        return number

    def check(self, end: Any) -> None:
        """Raise why nothing can be done through this end."""
        if end.closed:
            raise self.channel.end_closed(end)

    def fail(self, error: Error) -> None:
        """Nothing more will come of waiting here."""
        if self.ended is None:
            self.ended = error
            while (waiter := self.waiters.pop()) is not None:
                waiter.error = error()
                waiter.wake()

    def end_closed(self, end: Any) -> None:
        """This end was closed: who waits at it fails."""
        self.waiters.fail_those_at(end, lambda: self.channel.end_closed(end))

    def ask(self) -> None:
        """Have the home know of who waits here."""
        raise NotImplementedError

    def enqueue(self, arm: Arm) -> None:
        self.waiters.push(arm)
        self.ask()

    def withdraw(self, entry: Waiter) -> bool:
        return self.waiters.withdraw(entry)

    def describe(self) -> str:
        return str(self.channel.describe())


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
        "slot",
        "taken",
        "told",
    )

    def __init__(self, channel: Any, stir: Callable[[], object], numbers: Any, slot: int) -> None:
        super().__init__(channel, stir)
        self.numbers = numbers  # `numbers[slot]` tells how many were taken, also when this space is no more
        self.slot = slot
        self.taken = numbers[slot] = 0  # in all epochs
        self.begin()

    def forsake(self) -> None:
        super().forsake()
        self.numbers, self.slot = [0], 0

    def begin(self) -> None:
        """Nothing has been, and nobody knows of us."""
        self.epoch = next(_epochs)  # another one each time that it was left
        self.known = False  # the home has heard of us
        self.arrived = self.taken
        self.told = self.taken  # what the home knows of `taken`, ...
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
        if self.pressed or 2 * (self.taken - self.told) > self.window:
            self.pull()

    def ask(self) -> None:
        if self.lane is not None:
            self.lane.leave()
            self.draw()
        if not self.buffer and not (self.alone and self.limit - self.arrived >= len(self.waiters)):
            self.pull()

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

    def pull(self, more: int = 0) -> None:
        """Tell the home where we stand. `more` are wanted for nobody who is parked."""
        self.told = self.taken
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
        if self.lane is not None and items:
            self.lane.tell_heard(self.epoch, self.arrived)

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
        self.epoch = next(_epochs)  # another one each time that it was left
        self.known = False  # the home has heard of us
        self.sent = 0  # items, by the lane and by messages
        self.behind = 1  # none goes by the lane before the home has heard of so many, and so of the lane
        self.untold = 0  # items in the lane that the home is to be told of
        self.places = 0  # for so many more items there is room at home
        self.granted = 0  # ... was, in all
        self.back = 0  # ... was, and was given back
        self.wanted = 0  # ... is to be, for those who are parked, as the home knows

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
        if self.buffer or self.untold:
            items = list(self.buffer)
            self.buffer.clear()
            self.sent += len(items)
            if items and self.lane is not None:
                self.behind = self.sent
            self.untold = 0
            self.known = True
            self.say("push", self.epoch, items, self.lane_number)

    def ask(self) -> None:
        wish = self.granted + len(self.waiters)
        if wish > self.wanted:
            self.wanted = wish
            self.flush()
            self.known = True
            self.say("want", self.epoch, wish, self.window, self.slot)

    def more(self) -> None:
        """Have room come before it is needed: always so many places."""
        if self.window:
            self.known = True
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
            self.say("unused", self.epoch, self.back)

    def recall(self) -> None:
        """Give back the room that nobody has used."""
        if not self.known:
            return  # it was left meanwhile, which has given it back; nothing is said in an epoch that has not begun
        self.look()
        self.flush()
        self.wanted = self.granted
        self.back += self.places
        self.places = 0
        self.say("unused", self.epoch, self.back)
        if self.waiters.entries:
            self.ask()

    def leave(self) -> None:
        """The last end here was closed."""
        self.flush()
        if self.known:
            self.say("done", self.epoch)
            self.begin()

    def fail(self, error: Error) -> None:
        self.flush()
        super().fail(error)
