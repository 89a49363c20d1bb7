"""A buffered channel with ends in other spaces: its home and the boxes there, with wires that a test delivers.

Messages arrive in their order, but whenever the test likes; spaces die in the middle.
"""

from collections import deque
from itertools import count

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakes import Party, guarded  # isort: skip
from potok.errors import ClosedError
from potok.machines import mailbox
from potok.machines.channel import ChannelMachine
from potok.machines.flows import Flows
from potok.machines.inbox import Inbox
from potok.machines.mailbox import shown
from potok.machines.outbox import Outbox
from potok.machines.waiting import PARKED
from potok.remote.lanes import LANE_WORDS, Lane

SPACES = (1, 2)


def lane(size):
    """Both ends of one: who writes and who reads."""
    words, memory = memoryview(bytearray(8 * LANE_WORDS)).cast("Q"), memoryview(bytearray(size))
    return Lane(words, memory), Lane(words, memory)


class ThereEnd:
    """An end in another space."""

    def __init__(self, sends):
        self.sends = sends
        self.closed = False


class Ringing(Outbox):
    """What rings is heard some time, past all messages."""

    __slots__ = ()

    def ring(self):
        self.channel.rung_home = True


class RingingFlows(Flows):
    __slots__ = ("ringing",)

    def ring(self, space, shipping):
        self.ringing.add(space)


class Space:
    """Another address space with both boxes of the channel, and its wires."""

    def __init__(self, number, test):
        self.number = number
        self.size = test.capacity
        self.here = deque()  # messages to it
        self.home = deque()  # messages from it
        self.page = [0]
        self.dead = False
        self.rung_home = False
        self.let_go_of = []  # lanes
        self.inbox = Inbox(self, lambda: self.speak(self.inbox), self.page, 0, bool(test.sees))
        self.grants = [0, 0]
        self.outbox = Ringing(self, lambda: self.speak(self.outbox), self.grants, test.sees)
        # The lanes to this space and from it, of which both sides have an end; no box has those that are free.
        self.lanes = {
            sends: [lane(test.lanes) for _ in range(2 if test.lanes else 0)] for sends in (True, False)
        }
        self.free = {sends: list(range(len(lanes))) for sends, lanes in self.lanes.items()}
        self.begin(self.inbox)
        self.begin(self.outbox)
        self.tx, self.rx = ThereEnd(True), ThereEnd(False)

    def begin(self, box):
        """There is an end here, perhaps for the first time."""
        sends = box is self.outbox
        if self.free[sends] and box.lane is None and box.may_begin():
            number = self.free[sends].pop()
            writer, reader = self.lanes[sends][number]
            box.begin_with(writer if sends else reader, number)

    def let_go(self, box):
        """The last end here was closed. Another channel has the lane then, and leaves something there: see `done`."""
        sends = box is self.outbox
        number = box.let_go()
        if number >= 0:
            self.free[sends].append(number)
            if sends:
                self.let_go_of.append(number)

    def done(self):
        """The home has heard so; an outbox of another channel puts nothing there before."""
        for number in self.let_go_of:
            writer, _ = self.lanes[True][number]
            if self.outbox.lane_number != number or not self.outbox.known:
                writer.put(next(mailbox.epochs), "of another channel")
        self.let_go_of.clear()

    def lane_at_home(self, sends, number):
        if number < 0:
            return None
        writer, reader = self.lanes[sends][number]
        return reader if sends else writer

    def show(self, slot, epoch, granted):
        if slot:
            self.grants[slot] = shown(epoch, granted)
        return bool(slot)

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
        self.inbox.draw()
        match op:
            case "items":
                epoch, items, alone = args
                self.inbox.arrive(epoch, items, alone)
            case "recall":
                self.inbox.recall(*args)
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

    @initialize(
        capacity=st.sampled_from([1, 2, 5, None]),
        windows=st.tuples(*[st.sampled_from([0, 1, 8])] * 2),
        sees=st.booleans(),
        lanes=st.sampled_from([0, 64, 256]),
    )
    def begin(self, capacity, windows, sees, lanes):
        self.capacity = capacity
        self.lanes = lanes  # of so many bytes; 0: there are none
        self.sees = int(sees)  # the slot at which room is shown
        self.lost = []
        self.machine = machine = guarded(ChannelMachine(capacity, undelivered=self.lost.append))
        self.flows = machine.flows = RingingFlows(machine, lambda space: None, lambda item: item)
        self.flows.ringing = set()  # spaces that are to hear a ring
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

    @rule(where=st.sampled_from([0, *SPACES]))
    def look_out(self, where):
        """A task is about to receive, or has just done so, and looks at the lanes by itself."""
        if where == 0:
            self.flows.watch()
        elif where not in self.gone and not self.spaces[where].rx.closed:
            self.spaces[where].inbox.watch()

    @rule(told=st.booleans())
    def send_the_short_way(self, told):
        machine, flows = self.machine, self.flows
        if (
            self.tx.closed
            or not machine.open_receivers
            or machine.receivers.entries
            or machine.senders.entries
        ):
            return
        if not machine.take_place():
            return
        self.sent.append(item := next(self.items))
        if flows.forward(item) is False:
            machine.buffer.append(item)
        if told:
            self._tell()
        self._look()

    def _tell(self):
        self.flows.flow_on()

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
                space.let_go(box)
                space.gather()
                space.home.append(("close", (self.homes[where][0 if sends else 1],)))
        self._look()

    @rule(number=st.sampled_from(SPACES), sends=st.booleans())
    def come_again(self, number, sends):
        """Another end of the channel goes there, where the last one was closed."""
        space = self.spaces[number]
        known = (self.tx if sends else self.rx), *(self.homes[n][0 if sends else 1] for n in SPACES)
        open_ends = [end for end in known if not end.closed]
        box = space.outbox if sends else space.inbox
        if number in self.gone or not (space.tx if sends else space.rx).closed or not open_ends:
            return
        new, (tx, rx) = self.machine.open_like(open_ends[0]), self.homes[number]
        self.homes[number] = (new, rx) if sends else (tx, new)
        if sends:
            space.tx = ThereEnd(True)
        else:
            space.rx = ThereEnd(False)
        space.begin(box)
        self._look()

    @rule(number=st.sampled_from(SPACES))
    def give_back(self, number):
        """A task there has ended."""
        if number not in self.gone:
            self.spaces[number].inbox.give_back()

    @rule(number=st.sampled_from(SPACES), sends=st.booleans())
    def fetch(self, number, sends):
        """A task there that does not wait asks for an item, or for room."""
        space = self.spaces[number]
        inbox, outbox = space.inbox, space.outbox
        if number in self.gone or (space.tx if sends else space.rx).closed:
            return
        space.gather()
        if sends and not outbox.places and outbox.ended is None and self.capacity is not None:
            outbox.known = True
            space.home.append(("lend_place", (outbox.epoch,)))
        elif not sends and not inbox.buffer and inbox.ended is None:
            inbox.known = True
            space.home.append(("lend_item", (inbox.epoch, inbox.taken, 0)))

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

    @rule(number=st.sampled_from(SPACES))
    def hear_ring(self, number):
        space = self.spaces[number]
        if number in self.flows.ringing and not space.dead:
            self.flows.ringing.discard(number)
            space.inbox.rung()
        elif space.rung_home:
            space.rung_home = False
            self.flows.rung()
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
        flows.draw()
        match op:
            case "pull":
                *told, at = args
                flows.pull(number, lambda slot: space.page[slot], *told, space.lane_at_home(False, at))
            case "push":
                epoch, items, at = args
                flows.push(number, epoch, items, space.lane_at_home(True, at))
            case "lend_item":
                flows.lend_item(number, lambda slot: space.page[slot], *args)
            case "want":
                flows.want(number, space.show, *args)
            case "done":
                flows.done(number, *args)
                space.done()
            case "unused" | "lend_place" | "returned" | "left":
                getattr(flows, op)(number, *args)
            case "close":
                self.machine.close(*args)
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
                    assert (
                        self.rx if where == 0 else self.spaces[where].rx
                    ).closed or not self._someone_sends()
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
    def come_to_rest(self):  # noqa: C901, PLR0912 - all that must hold then
        """With everything delivered, nobody waits beside what it waits for, and nothing is missing."""
        for _ in range(10_000):
            self._tell()
            self._gather()
            moved = False
            for number, space in self.spaces.items():
                moved = moved or space.rung_home or (number in self.flows.ringing and not space.dead)
                self.hear_ring(number)
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
        waiting = len(self.receiving)
        self.flows.draw()
        for space in self.spaces.values():
            if not space.dead:
                space.inbox.draw()
        self._look()
        assert len(self.receiving) == waiting, "somebody waits beside what is in a lane"
        left = [*self.machine.buffer]
        for space in self.spaces.values():
            if not space.dead:
                left += space.inbox.buffer
        assert (
            sorted([*left, *self.received, *self.lost])
            == sorted(item for item in self.sent if item not in self.maybe)
            or self.maybe
        )
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


def flowing(capacity):
    """A channel at its home: the machine, its flows, a sender, a receiver."""
    machine = guarded(ChannelMachine(capacity))
    machine.flows = type("Flowing", (Flows,), {})(machine, lambda space: None, lambda item: item)
    machine.share()
    return machine, machine.flows, machine.open(sends=True), machine.open(sends=False)


def send_all(machine, tx, items):
    return [party for item in items if machine.send(party := Party(), tx, item) is PARKED]


def test_what_comes_back_is_received_before_what_waits_for_its_places():
    """Items that are given back were first; one that waits at home takes a place that came free, behind them."""
    machine, flows, tx, rx = flowing(3)
    send_all(machine, tx, range(3))
    flows.pull(1, lambda slot: 0, 1, 0, 3, 3, 0)  # three wait there,
    flows.pull(1, lambda slot: 0, 1, 0, 1, 1, 0)  # and two have given up before the items came
    (sender,) = send_all(machine, tx, [3])
    receiver = Party()
    assert machine.receive(receiver, rx) is PARKED
    assert flows.said[1].pop() == ("recall", (1,))
    flows.returned(1, 1, 1, 1, 1)
    assert sender.waiter.wakes == 1
    assert (receiver.waiter.value, *machine.buffer) == (1, 2, 3)


def test_spaces_are_fed_while_it_is_looked_what_others_have_taken():
    """A look at what was taken frees places, so that an item that waits goes to another space at once."""
    machine, flows, tx, _ = flowing(2)
    page = [0, 0, 0]
    for space in SPACES:
        flows.pull(space, page.__getitem__, 1, 0, 1, 1, space)
    waiting = send_all(machine, tx, range(4))
    assert len(waiting) == 2  # items 0 and 1 lie there
    flows.pull(2, page.__getitem__, 1, 0, 0, 0, 2)  # whoever wanted it has given up,
    page[2] = 1  # but another one came
    flows.pull(1, page.__getitem__, 1, 0, 3, 3, 1)
    assert [party.waiter.wakes for party in waiting] == [1, 0]
    assert ("items", (1, [2], False)) in flows.said[1]


def gather(machine, items):
    """Send them, and leave them for more to come."""
    for item in items:
        assert machine.take_place()
        machine.buffer.append(item)


def test_what_was_seen_to_be_taken_makes_room_though_an_older_word_tells_of_less():
    """An inbox whose window is all places never tells what it takes: what is left behind would never be shipped."""
    machine, flows, tx, _ = flowing(4)
    page = [0, 0]
    flows.pull(1, page.__getitem__, 1, 0, 0, 4, 1)
    gather(machine, range(4))
    flows.flow_on()
    page[1] = 3
    flows.look()
    flows.pull(1, page.__getitem__, 1, 1, 1, 5, 1)
    gather(machine, range(4, 7))
    machine.close(tx)
    assert (list(machine.buffer), flows.said[1][-1]) == ([], ("press", ()))


def test_the_end_is_told_though_the_last_items_went_after_the_last_sender_had_closed():
    machine, flows, tx, _ = flowing(4)
    page = [0, 0]
    flows.pull(1, page.__getitem__, 1, 0, 0, 1, 1)
    gather(machine, range(2))
    machine.close(tx)
    page[1] = 1
    flows.flow_on()
    assert (list(machine.buffer), flows.said[1][-1]) == ([], ("press", ()))
    flows.pull(1, page.__getitem__, 1, 2, 2, 2, 1)
    assert flows.said[1][-1][0] == "over"


class Wired:
    """An inbox in space 1, and the wires between it and the flows at its home."""

    size = None

    def __init__(self, flows):
        self.flows = flows
        self.page = [0, 0]
        self.inbox = Inbox(self, lambda: None, self.page, 1)
        self.inbox.window = 8

    def carry_home(self):
        while self.inbox.said:
            op, args = self.inbox.said.popleft()
            if op == "pull":
                self.flows.pull(1, self.page.__getitem__, *args[:-1])
            else:
                getattr(self.flows, op)(1, *args)

    def carry_here(self):
        while self.flows.said[1]:
            op, args = self.flows.said[1].popleft()
            {"items": self.inbox.arrive, "recall": self.inbox.recall, "press": self.inbox.press}[op](*args)


def one_taken_and_one_held():
    """A channel at its home, and an inbox where a task has taken item 0, and item 1 lies."""
    machine, flows, tx, rx = flowing(None)
    there = Wired(flows)
    assert there.inbox.receive(Party(), ThereEnd(sends=False)) is PARKED
    there.carry_home()
    send_all(machine, tx, range(2))
    there.carry_here()
    return machine, tx, rx, there


def test_task_with_the_only_receiver_is_sent_the_next_item_while_it_is_busy_with_one():
    """However long it takes: nobody else can want that item. One, not more; none while there is another receiver."""
    machine, flows, tx, rx = flowing(None)
    rx.owned = True
    there = Wired(flows)
    there.inbox.window = 0  # it comes seldom
    assert there.inbox.receive(Party(), ThereEnd(sends=False)) is PARKED
    there.carry_home()
    send_all(machine, tx, range(3))
    there.carry_here()  # takes item 0, and says so
    there.carry_home()
    there.carry_here()
    assert (list(there.inbox.buffer), list(machine.buffer)) == ([1], [2])
    machine.open_like(rx)
    assert there.inbox.receive(Party(), ThereEnd(sends=False)) == 1
    there.carry_home()
    there.carry_here()
    assert (list(there.inbox.buffer), list(machine.buffer)) == ([], [2])


def test_only_receiver_that_tasks_share_has_nothing_sent_to_who_is_busy():
    """Another of them may want the item, here or elsewhere, and look for it where the channel is."""
    machine, flows, tx, _ = flowing(None)
    there = Wired(flows)
    there.inbox.window = 0
    assert there.inbox.receive(Party(), ThereEnd(sends=False)) is PARKED
    there.carry_home()
    send_all(machine, tx, range(2))
    there.carry_here()
    there.carry_home()
    assert (list(flows.said[1]), list(machine.buffer)) == ([], [1])


def test_what_is_given_back_unasked_is_not_taken_though_it_arrives():
    """An item that was under way as the last task there ended belongs to the channel again, and to it only."""
    machine, tx, rx, there = one_taken_and_one_held()
    send_all(machine, tx, [2])  # on its way there ...
    there.inbox.give_back()
    there.carry_home()
    there.carry_here()  # ... and arrives
    assert (list(there.inbox.buffer), list(machine.buffer)) == ([], [1, 2])
    assert there.inbox.receive(Party(), ThereEnd(sends=False)) is PARKED
    there.carry_home()
    there.carry_here()
    there.carry_home()
    assert there.inbox.taken == 2
    assert [machine.receive(Party(), rx) for _ in machine.buffer] == []


def test_a_call_for_what_was_left_meanwhile_is_not_answered_with_what_came_since():
    """The answer to a recall is definite: nothing was shipped to that epoch of the inbox in between."""
    machine, tx, rx, there = one_taken_and_one_held()
    here = Party()
    assert machine.receive(here, rx) is PARKED  # so item 1 is called back,
    there.inbox.give_back()  # and has left by itself
    waiting = Party()
    assert there.inbox.receive(waiting, ThereEnd(sends=False)) is PARKED
    there.carry_home()
    assert here.waiter.value == 1
    send_all(machine, tx, [2])  # is on its way as the call arrives
    there.carry_here()
    there.carry_home()
    assert waiting.waiter.value == 2
    assert not machine.buffer


class WiredOutbox:
    """An outbox in space 1 that sees what room it has, and the wires between it and the flows at its home."""

    size = 4

    def __init__(self, flows):
        self.flows = flows
        self.grants = [0, 0]
        self.outbox = Outbox(self, lambda: None, self.grants, 1)
        self.tx = ThereEnd(True)

    def show(self, slot, epoch, granted):
        self.grants[slot] = shown(epoch, granted)
        return True

    def carry(self):
        """Deliver all that was said, there and back, until nobody says more. What was said to the space."""
        heard = []
        while self.outbox.said or self.flows.said.get(1):
            while self.outbox.said:
                op, args = self.outbox.said.popleft()
                before, after = {"want": ([self.show], None), "push": ([], -1)}.get(op, ([], None))
                getattr(self.flows, op)(1, *before, *args[:after])
            while self.flows.said.get(1):
                op, args = self.flows.said[1].popleft()
                heard.append(op)
                {"room": self.outbox.room, "recall_room": self.outbox.recall}[op](*args)
        return heard

    def send(self, *items):
        """Whether each went."""
        gone = [self.outbox.send(None, self.tx, item) is not PARKED for item in items]
        self.outbox.flush()
        return gone


def test_room_is_seen_without_a_word_and_called_back_though_nobody_has_looked():
    machine, flows, tx, rx = flowing(4)
    there = WiredOutbox(flows)
    there.outbox.window = 4
    there.outbox.more()
    assert there.carry() == []  # nobody waits for it
    assert there.send(*range(5)) == [True] * 4 + [False]
    assert there.carry() == []
    there.outbox.more()  # for the next ones
    there.carry()
    assert [machine.receive(None, rx) for _ in range(4)] == [0, 1, 2, 3]
    assert there.carry() == []
    assert there.grants[1] == shown(there.outbox.epoch, 8)
    here = send_all(machine, tx, range(10, 14))  # there is no place left that is not granted,
    assert len(here) == 4
    assert there.carry() == ["recall_room"]
    assert [party.waiter.wakes for party in here] == [1] * 4  # and now all is given back
    assert there.send(4) == [False]


def test_item_that_waits_at_home_gets_a_place_that_was_only_shown_to_its_space():
    machine, flows, tx, rx = flowing(4)
    there = WiredOutbox(flows)
    flows.space_of = lambda entry: 1
    there.outbox.window = 4
    there.outbox.more()
    there.carry()
    assert there.send(*range(4)) == [True] * 4
    there.outbox.more()
    there.outbox.called(1)
    there.carry()
    assert [machine.receive(None, rx) for _ in range(4)] == [0, 1, 2, 3]  # and all places are granted anew,
    (called,) = send_all(machine, tx, [4])  # as the fifth comes to wait for one
    assert there.carry() == ["room"]
    assert called.waiter.wakes == 1


def test_who_parks_is_told_of_room_that_it_has_not_seen():
    machine, flows, _, _ = flowing(4)
    there = WiredOutbox(flows)
    there.outbox.window = 4
    there.outbox.more()
    party = Party()
    assert there.outbox.send(party, there.tx, 0) is PARKED
    assert there.carry() == ["room"]
    assert party.waiter.wakes == 1
    assert list(machine.buffer) == [0]


def test_room_of_another_epoch_is_none():
    outbox = Outbox(WiredOutbox(None), lambda: None, grants := [0, 0], 1)
    grants[1] = shown(outbox.epoch + 1, 3)
    outbox.look()
    assert outbox.places == 0
    grants[1] = shown(outbox.epoch, 3)
    outbox.look()
    outbox.room(outbox.epoch, 2)  # told before, and heard after
    assert outbox.places == 3


def test_room_that_is_called_back_from_who_has_left_is_not_given_back_twice():
    """Nor is anything said in an epoch that has not begun: its home would take the next one for another."""
    machine, flows, tx, _ = flowing(4)
    there = WiredOutbox(flows)
    there.outbox.window = 4
    there.outbox.more()
    there.carry()
    (here,) = send_all(machine, tx, [0])  # so it is called back
    there.outbox.let_go()
    assert there.carry() == ["recall_room"]
    assert here.waiter.wakes == 1
    assert not flows.grantings
    assert machine.places() == 3


def test_what_comes_after_the_last_word_of_an_epoch_is_nothing():
    """What a dead space had noted down, and a task asked for whose end was closed meanwhile."""
    machine, flows, _, _ = flowing(4)
    flows.push(1, 5, [1, 2])
    flows.done(1, 5)
    flows.late(1, 5, 0, [1, 2])
    flows.lend_place(1, 5)
    assert list(machine.buffer) == [1, 2]
    assert not flows.grantings
    flows.pull(1, lambda slot: 0, 6, 0, 0, 0, 0)
    flows.left(1, 6, 0)
    flows.lend_item(1, lambda slot: 0, 6, 0, 0)
    assert not flows.shippings
    flows.late(1, 7, 0, [3])
    assert list(machine.buffer) == [1, 2, 3]


class BothWired:
    """A channel at its home and spaces 1 and 2, by whose wires a test carries what it likes."""

    def __init__(self, window=0):
        self.test = FlowsTest()
        self.test.begin(capacity=8, windows=(window, 0), sees=True, lanes=256)
        self.flows, self.spaces = self.test.flows, self.test.spaces

    def carry_all(self):
        for _ in range(40):
            self.test._tell()
            for number in SPACES:
                self.test.hear_ring(number)
                self.test.hear_ring(number)
                self.test.carry(number, there=True)
                self.test.carry(number, there=False)

    def receive(self, where):
        """What comes of it, once all is carried."""
        self.test.receive(where)
        self.carry_all()
        return self.test.received[-1] if self.test.received else None


def test_who_is_called_back_does_not_hear_afterwards_that_it_is_alone():
    """An item in its lane, of which it was to be told, is told of by that call itself."""
    wired = BothWired(window=2)
    test, inbox = wired.test, wired.spaces[1].inbox
    test.receive(1)
    wired.carry_all()
    test.send(0, True)
    wired.carry_all()
    inbox.window = 2
    wired.receive(1)
    test.send(0, True)
    wired.carry_all()
    assert test.received == [0, 1]
    test.send_the_short_way(told=False)  # into its lane
    test.receive(0)  # so it is called back; and then the burst flows
    test._tell()
    wired.carry_all()
    assert test.received == [0, 1, 2]
    wired.receive(2)
    assert inbox.alone == wired.flows.shippings[1].alone is False
    test.receive(1)
    wired.carry_all()
    test.give_up_receiving(len(test.receiving) - 1)
    wired.carry_all()
    test.receive(1)
    for _ in range(2):
        test.send(0, True)
        wired.carry_all()
    assert len(test.received) == 5
    assert not test.receiving


def test_what_was_fetched_by_a_message_is_received_before_what_goes_by_the_lane():
    wired = BothWired(window=2)
    test, space = wired.test, wired.spaces[1]
    for _ in range(2):
        test.send(0, True)
    space.inbox.known = True
    space.home.append(("lend_item", (space.inbox.epoch, space.inbox.taken, 0)))  # one task looks,
    test.receive(1)  # another one waits
    space.gather()
    while space.home:
        test._heard(1, *space.home.popleft())
    wired.carry_all()
    wired.receive(1)
    assert test.received == [0, 1]


def test_who_looks_elsewhere_finds_what_lies_in_the_lane_of_a_sender_that_is_silent():
    wired = BothWired()
    test, silent, looks = wired.test, wired.spaces[1], wired.spaces[2]
    silent.outbox.window = 4
    silent.outbox.more()
    wired.carry_all()
    test.send(1, True)  # the first goes by a message
    wired.carry_all()
    wired.flows.watch()
    test.send(1, False)  # nobody is told
    assert test.machine.receive(None, test.rx) == 0
    test.received.append(0)
    looks.inbox.known = True
    wired.flows.lend_item(2, lambda slot: 0, looks.inbox.epoch, 0, 0)
    wired.carry_all()
    assert list(looks.inbox.buffer) == [1]


def test_what_comes_by_a_lane_does_not_overtake_what_lies_elsewhere_unwanted():
    wired = BothWired(window=4)
    test, sends, holds = wired.test, wired.spaces[1], wired.spaces[2]
    sends.outbox.window = 8
    sends.outbox.more()
    wired.carry_all()
    test.send(1, True)  # the first goes by a message
    holds.inbox.window = 4
    test.receive(2)
    wired.carry_all()
    test.receive(2)
    for _ in range(3):
        test.send(1, True)
        wired.carry_all()
    holds.inbox.draw()
    assert list(holds.inbox.buffer) == [2, 3]  # for nobody yet
    wired.flows.draw = lambda: None  # it comes into the lane in the moment before the receiver parks
    test.send(1, False)
    test.receive(0)
    del wired.flows.draw
    wired.carry_all()
    assert test.received == [0, 1, 2]
