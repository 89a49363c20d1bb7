"""A buffered channel with ends in other spaces: its home and the boxes there, with wires that a test delivers.

Messages arrive in their order, but whenever the test likes; spaces die in the middle.
"""

from collections import deque
from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakes import Party, guarded  # isort: skip
from potok.errors import ClosedError
from potok.machines.channel import ChannelMachine
from potok.machines.flows import Flows
from potok.machines.mailbox import Inbox, Outbox
from potok.machines.waiting import PARKED

SPACES = (1, 2)


class ThereEnd:
    """An end in another space."""

    def __init__(self, sends):
        self.sends = sends
        self.closed = False


class Space:
    """Another address space with both boxes of the channel, and its wires."""

    def __init__(self, number, test):
        self.number = number
        self.size = test.capacity
        self.here = deque()  # messages to it
        self.home = deque()  # messages from it
        self.page = [0]
        self.dead = False
        self.inbox = Inbox(self, lambda: self.speak(self.inbox), self.page, 0)
        self.outbox = Outbox(self, lambda: self.speak(self.outbox))
        self.tx, self.rx = ThereEnd(True), ThereEnd(False)

    def speak(self, box):
        """Called before the first word is complete: what is said goes out as the test looks."""

    def gather(self):
        """Nothing that was said by one box may overtake: each has its own subjects."""
        for box in (self.inbox, self.outbox):
            while box.said:
                self.home.append(box.said.popleft())

    def end_closed(self, end):
        return ClosedError("this end was closed")

    def hear(self, op, args):
        match op:
            case "items":
                epoch, items, alone = args
                self.inbox.arrive(epoch, items, alone)
            case "recall":
                self.inbox.recall()
            case "press":
                self.inbox.press()
            case "over":
                (ending,) = args
                self.inbox.fail(lambda: ending[0])
            case "cancel":
                (error,) = args
                self.inbox.cancel(lambda: error)
            case "room":
                self.outbox.room(*args)
            case "recall_room":
                self.outbox.recall()
            case "shut":
                (error,) = args
                self.outbox.fail(lambda: error)


class FlowsTest(RuleBasedStateMachine):
    """See the invariants of `machines.flows` and `machines.mailbox`."""

    @initialize(capacity=st.sampled_from([1, 2, 5, None]), windows=st.tuples(*[st.sampled_from([0, 1, 8])] * 2))
    def begin(self, capacity, windows):
        self.capacity = capacity
        self.lost = []
        self.machine = machine = guarded(ChannelMachine(capacity, undelivered=self.lost.append))
        self.flows = machine.flows = Flows(machine, lambda space: None, lambda item: item)
        machine.share()
        self.tx, self.rx = machine.open(sends=True), machine.open(sends=False)
        self.spaces = {number: Space(number, self) for number in SPACES}
        self.homes = {number: (machine.open(sends=True), machine.open(sends=False)) for number in SPACES}
        for space, window in zip(self.spaces.values(), windows, strict=True):
            space.inbox.window = space.outbox.window = window
        self.items = count()
        self.sending = []  # (waiter, item, space or None)
        self.receiving = []  # (waiter, space or None)
        self.sent = []  # completed
        self.received = []
        self.maybe = set()  # of a dead space: whether they were sent, or taken, nobody knows
        self.gone = set()

    # ── what the tasks do ───────────────────────────────────────────────────────────────────────────────────

    def _box(self, where, sends):
        if where == 0:
            return self.machine, self.tx if sends else self.rx
        space = self.spaces[where]
        return (space.outbox, space.tx) if sends else (space.inbox, space.rx)

    @rule(where=st.sampled_from([0, *SPACES]), flush=st.booleans())
    def send(self, where, flush):
        if where in self.gone:
            return
        box, end = self._box(where, True)
        item, party = next(self.items), Party()
        operation = box.send
        try:
            got = operation(party, end, item)
        except ClosedError:
            assert end.closed or not self._someone_receives()
            return
        if got is PARKED:
            self.sending.append((party.waiter, item, where))
        else:
            self.sent.append(item)
            if where and flush:
                box.flush()
        self._look()

    @rule(where=st.sampled_from([0, *SPACES]))
    def receive(self, where):
        if where in self.gone:
            return
        box, end = self._box(where, False)
        party = Party()
        try:
            got = box.receive(party, end)
        except ClosedError:
            assert end.closed or not self._someone_sends()
            return
        if got is PARKED:
            self.receiving.append((party.waiter, where))
        else:
            self.received.append(got)
        self._look()

    @precondition(lambda self: self.receiving)
    @rule(index=st.integers(0, 20))
    def give_up_receiving(self, index):
        waiter, where = self.receiving[index % len(self.receiving)]
        if waiter.machine.withdraw(waiter):
            self.receiving.remove((waiter, where))
        self._look()

    @precondition(lambda self: self.sending)
    @rule(index=st.integers(0, 20))
    def give_up_sending(self, index):
        entry = self.sending[index % len(self.sending)]
        if entry[0].machine.withdraw(entry[0]):
            self.sending.remove(entry)
        self._look()

    @rule(where=st.sampled_from([0, *SPACES]), sends=st.booleans())
    def close(self, where, sends):
        if where in self.gone:
            return
        if where == 0:
            self.machine.close(self.tx if sends else self.rx)
        else:
            space = self.spaces[where]
            end, box = (space.tx, space.outbox) if sends else (space.rx, space.inbox)
            if not end.closed:
                end.closed = True
                box.end_closed(end)
                box.leave()
                space.gather()
                space.home.append(("close", (sends,)))
        self._look()

    # ── what the wires do ───────────────────────────────────────────────────────────────────────────────────

    @rule(number=st.sampled_from(SPACES), there=st.booleans())
    def carry(self, number, there):
        self._gather()
        space = self.spaces[number]
        if there and space.here and not space.dead:
            space.hear(*space.here.popleft())
        elif not there and space.home:
            self._heard(number, *space.home.popleft())
        self._look()

    def _gather(self):
        for number, space in self.spaces.items():
            space.gather()
            said = self.flows.said.get(number, ())
            while said:
                message = said.popleft()
                if not space.dead:
                    space.here.append(message)

    def _heard(self, number, op, args):
        flows, space = self.flows, self.spaces[number]
        match op:
            case "pull":
                flows.pull(number, lambda slot: space.page[slot], *args)
            case "returned":
                flows.returned(number, *args[:4])
            case "left":
                flows.left(number, *args)
            case "push" | "want" | "unused" | "done":
                getattr(flows, op)(number, *args)
            case "close":
                self.machine.close(self.homes[number][0 if args[0] else 1])
        self._look()

    @precondition(lambda self: len(self.gone) < 1)
    @rule(number=st.sampled_from(SPACES))
    def die(self, number):
        """What it has said is heard; what it had not said is gone with it."""
        if number in self.gone:
            return
        space = self.spaces[number]
        self._gather()
        while space.home:
            self._heard(number, *space.home.popleft())
        self._look()
        space.dead = True
        self.gone.add(number)
        self.maybe |= set(space.outbox.buffer)
        self.maybe |= {item for _, item, where in self.sending if where == number}
        self.sending = [entry for entry in self.sending if entry[2] != number]
        self.receiving = [entry for entry in self.receiving if entry[1] != number]
        self.flows.gone(number, space.page[0])
        for end in self.homes[number]:
            self.machine.close(end)
        self._look()

    def _look(self):
        """Who was woken meanwhile."""
        for entry in list(self.sending):
            if entry[0].wakes:
                self.sending.remove(entry)
                if entry[0].error is None:
                    self.sent.append(entry[1])
        for waiter, where in list(self.receiving):
            if waiter.wakes:
                self.receiving.remove((waiter, where))
                if waiter.error is None:
                    self.received.append(waiter.value)
                else:
                    assert (self.rx if where == 0 else self.spaces[where].rx).closed or not self._someone_sends()
        self.lost += self.machine.take_lost()

    def _someone_sends(self):
        return self.machine.open_senders > 0

    def _someone_receives(self):
        return self.machine.open_receivers > 0

    # ── what must hold ──────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def nothing_is_received_twice(self):
        if hasattr(self, "received"):
            got = [*self.received, *self.lost]
            assert len(got) == len(set(got))
            assert set(got) <= {*self.sent, *self.maybe}

    @invariant()
    def no_more_is_under_way_than_there_is_room_for(self):
        if hasattr(self, "received") and self.capacity is not None and self._someone_receives():
            assert len(self.sent) - len(self.received) - len(self.lost) <= self.capacity + len(self.maybe)

    @rule()
    def come_to_rest(self):  # noqa: C901 - all that must hold then
        """With everything delivered, nobody waits beside what it waits for, and nothing is missing."""
        for _ in range(10_000):
            self._gather()
            moved = False
            for number, space in self.spaces.items():
                if not space.dead:
                    space.outbox.flush()
                    space.gather()
                    if space.here:
                        space.hear(*space.here.popleft())
                        moved = True
                if space.home:
                    self._heard(number, *space.home.popleft())
                    moved = True
            self._look()
            if not moved:
                break
        else:
            raise AssertionError("it does not come to rest")
        assert not self.flows.held_back
        left = [*self.machine.buffer]
        for space in self.spaces.values():
            if not space.dead:
                left += space.inbox.buffer
        assert sorted([*left, *self.received, *self.lost]) == sorted(
            item for item in self.sent if item not in self.maybe
        ) or self.maybe
        if self.receiving:
            assert not left, f"{left} lie there while somebody waits"
            assert self._someone_sends(), "receivers wait, and nobody can send"
        if self.sending:
            assert self.capacity is not None
            assert len(left) == self.capacity, f"senders wait with {left} of {self.capacity} places used"
            assert self._someone_receives(), "senders wait, and nobody can receive"
        if not self._someone_receives():
            assert not left


TestFlows = FlowsTest.TestCase
