"""The channel's invariants, under whatever sequence of operations, short cuts without the mutex among them.

Operations under the mutex are whole steps here, as they are for each other. A short cut (`_offered` and `recv` in
`potok.primitives.channels`) is several: between any two of them other operations run, and the steps that take no
mutex may also fall right into an operation, between its look at the buffer and its standing in the queue.
"""

from collections import Counter
from operator import length_hint

from fakes import FakeWaiter, MachineTest, Party, guarded, make_arm, new_group
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from potok.errors import ClosedError
from potok.machines.channel import ChannelMachine
from potok.machines.select import try_or_queue
from potok.machines.waiting import PARKED

MUTEX = object()  # a short cut that stands before a step under the mutex


class Producer:
    """A task that sends numbered items, one after the other."""

    def __init__(self, name):
        self.name = name
        self.sent = 0
        self.busy = None  # its parked waiter, or its short cut


class Channel(MachineTest):
    """Each item that was sent is received once, or reported lost; those of one sender in order."""

    @initialize(capacity=st.none() | st.integers(0, 3), dropping=st.booleans())
    def create(self, capacity, dropping):
        dropping = dropping and bool(capacity)
        self.machine = guarded(ChannelMachine(capacity, dropping, undelivered=print))
        self.tx = [self.machine.open(sends=True)]
        self.rx = [self.machine.open(sends=False)]
        self.producers = [Producer(name) for name in "abc"]
        self.sent = []
        self.got = []
        self.lost = []
        self.cuts = []  # short cuts under way
        self.sending = {}  # waiters and arms that stand with an item, to producer and item
        self.receiving = []  # waiters and arms that stand for one
        self.over = set()  # those of them that were served or failed

    def teardown(self):
        if hasattr(self, "machine"):
            while self.cuts:
                self.advance(self.cuts[0])
            self.settle()
            self.everything_is_accounted_for()
            self.who_waits_has_to()

    # ── the parties ─────────────────────────────────────────────────────────────────────────────────────────

    def idle(self, index):
        free = [producer for producer in self.producers if producer.busy is None]
        assume(free)
        return free[index % len(free)]

    def interrupted_party(self, interrupted):
        """A party that is interrupted by the short cuts just before it stands in the queue."""
        party = Party()
        if interrupted:

            def waiter():
                for cut in list(self.cuts):
                    while cut.before is not MUTEX and cut in self.cuts:
                        self.advance(cut)
                return FakeWaiter()

            party.waiter_type = waiter
        return party

    def sends(self, producer, item):
        producer.sent += 1
        self.sent.append(item)

    def settle(self):
        """See what has become of those who stood in line."""
        for entry, (producer, item) in list(self.sending.items()):
            winner = entry if entry.group is None else entry.group.winner
            if winner is None or (entry.group is None and not entry.claimed):
                continue
            if entry is winner and entry.error is None:
                self.sends(producer, item)
            assert entry.error is None or entry.end.closed or not self.machine.open_receivers
            del self.sending[entry]
            producer.busy = None
        for entry in list(self.receiving):
            winner = entry if entry.group is None else entry.group.winner
            if winner is None or (entry.group is None and not entry.claimed):
                continue
            if entry is winner and entry.error is None:
                self.got.append(entry.value)
            assert entry.error is None or entry.end.closed or not self.machine.open_senders
            self.receiving.remove(entry)
        self.lost += self.machine.take_lost()

    # ── operations ──────────────────────────────────────────────────────────────────────────────────────────

    @rule(which=st.integers(0, 2), end=st.integers(0, 5), waits=st.booleans(), interrupted=st.booleans())
    def send(self, which, end, waits, interrupted):
        producer, end = self.idle(which), self.tx[end % len(self.tx)]
        item = (producer.name, producer.sent)
        party = self.interrupted_party(interrupted) if waits else None
        closed = end.closed or not self.machine.open_receivers
        served = not end.closed and self.machine.receivers.live()  # at an end that is paused
        try:
            got = self.machine.send(party, end, item)
        except ClosedError:
            assert closed
            return
        assert served or not closed
        if got is PARKED and waits:
            producer.busy = party.waiter
            self.sending[party.waiter] = (producer, item)
        elif got is not PARKED:
            self.sends(producer, item)
        self.settle()

    @rule(end=st.integers(0, 5), waits=st.booleans(), interrupted=st.booleans())
    def receive(self, end, waits, interrupted):
        end = self.rx[end % len(self.rx)]
        party = self.interrupted_party(interrupted) if waits else None
        over = end.closed or not (self.machine.open_senders or self.machine.buffer)
        served = not end.closed and self.machine.senders.live()
        try:
            got = self.machine.receive(party, end)
        except ClosedError:
            assert over
            return
        assert served or not over
        if got is not PARKED:
            self.got.append(got)
        elif waits:
            self.receiving.append(party.waiter)
        self.settle()

    @rule(
        sides=st.lists(st.booleans(), min_size=1, max_size=3),
        which=st.integers(0, 2),
        waits=st.booleans(),
        interrupted=st.booleans(),
    )
    def select(self, sides, which, waits, interrupted):
        """Over one or both sides, with several arms on one if need be."""
        producer = self.idle(which) if any(sides) else None
        group, arms = new_group(), []
        for sends in sides:
            item = (producer.name, producer.sent) if sends else None
            end = (self.tx if sends else self.rx)[0]
            arms.append(make_arm(group, self.machine, "send" if sends else "recv", item, end))
        party = self.interrupted_party(interrupted) if waits else None
        won = try_or_queue(party, group, arms, None)
        if won is PARKED:
            if waits:
                for arm in arms:
                    if arm.end.sends:
                        producer.busy = group
                        self.sending[arm] = (producer, arm.item)
                    else:
                        self.receiving.append(arm)
        elif won.error is None and won.end.sends:
            self.sends(producer, won.item)
        elif won.error is None:
            self.got.append(won.value)
        self.settle()

    @rule(sends=st.booleans(), index=st.integers(0, 5))
    def withdraw(self, sends, index):
        entries = list(self.sending) if sends else self.receiving
        assume(entries)
        entry = entries[index % len(entries)]
        if entry.group is not None:
            self.withdraw_group(entry.group)
            return
        assert self.machine.withdraw(entry)
        self.gone.append(entry)
        if sends:
            self.sending.pop(entry)[0].busy = None
        else:
            self.receiving.remove(entry)

    def withdraw_group(self, group):
        """As a select does whose time is up."""
        assert group.withdraw(group.waiter)
        for arm in [arm for arm in self.sending if arm.group is group]:
            assert self.machine.withdraw(arm)
            self.sending.pop(arm)[0].busy = None
        for arm in [arm for arm in self.receiving if arm.group is group]:
            assert self.machine.withdraw(arm)
            self.receiving.remove(arm)

    # ── ends ────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(sends=st.booleans())
    def clone(self, sends):
        ends = self.tx if sends else self.rx
        assume(len(ends) < 4 and any(not end.closed for end in ends))
        ends.append(self.machine.open(sends))

    @rule(sends=st.booleans(), index=st.integers(0, 5))
    def open_again(self, sends, index):
        """By any end of the side, closed or not, as long as one is open."""
        ends = self.tx if sends else self.rx
        assume(len(ends) < 4)
        left = any(not end.closed for end in ends)  # paused or not
        try:
            end = self.machine.open_again(ends[index % len(ends)])
        except ClosedError:
            assert not left
            return
        assert left
        assert not end.closed
        ends.append(end)

    @rule(sends=st.booleans(), index=st.integers(0, 5), pause=st.booleans())
    def pause_or_resume(self, sends, index, pause):
        """Those that are paused do not count: see `open_ends_are_counted`. Who waits at one is still served."""
        ends = self.tx if sends else self.rx
        end = ends[index % len(ends)]
        (self.machine.pause if pause else self.machine.resume)(end)
        assert end.paused == (pause and not end.closed)
        self.settle()

    @invariant()
    def open_ends_are_counted(self):
        if hasattr(self, "machine"):
            for ends, count in ((self.tx, self.machine.open_senders), (self.rx, self.machine.open_receivers)):
                assert count == sum(not end.closed and not end.paused for end in ends)

    @rule(sends=st.booleans(), index=st.integers(0, 5), cause=st.none() | st.just("cause"))
    def close(self, sends, index, cause):
        ends = self.tx if sends else self.rx
        end = ends[index % len(ends)]
        parked = [
            entry for entry in [*self.sending, *self.receiving] if entry.end is end and entry.group is None
        ]
        self.machine.close(end, cause)
        for entry in parked:
            assert isinstance(entry.error, ClosedError)
        self.settle()

    @precondition(lambda self: getattr(self, "sent", 0) and len(self.sent) > 10)
    @rule()
    def cancel(self):
        self.machine.cancel("poison")
        assert not self.machine.buffer
        assert all(end.closed for end in [*self.tx, *self.rx])
        self.settle()
        assert not self.sending
        assert not self.receiving

    # ── short cuts ──────────────────────────────────────────────────────────────────────────────────────────

    @rule(which=st.integers(0, 2))
    def begin_short_send(self, which):
        producer = self.idle(which)
        assume(self.machine.loose and not all(end.closed for end in self.tx))
        producer.busy = self.begin(self.short_send(producer))

    def short_send(self, producer):
        machine = self.machine
        if not machine.open_receivers:
            return
        yield
        if machine.capacity is not None:
            try:
                machine.permits.pop()
            except IndexError:
                return
        yield
        item = (producer.name, producer.sent)
        self.sends(producer, item)
        machine.buffer.append(item)
        yield
        if machine.receivers.entries or not machine.open_receivers:
            yield MUTEX
            machine.hand_out()

    @rule()
    def begin_short_receive(self):
        assume(self.machine.loose and not all(end.closed for end in self.rx))
        self.begin(self.short_receive())

    def short_receive(self):
        machine = self.machine
        try:
            self.got.append(machine.buffer.popleft())
        except IndexError:
            return
        yield
        if machine.capacity is not None:
            machine.permits.append(True)
            yield
            if machine.senders.entries:
                yield MUTEX
                machine.refill()

    def begin(self, steps):
        cut = Cut(steps)
        self.cuts.append(cut)
        self.advance(cut)
        return cut if cut in self.cuts else None

    @precondition(lambda self: getattr(self, "cuts", ()))
    @rule(index=st.integers(0, 5))
    def go_on(self, index):
        self.advance(self.cuts[index % len(self.cuts)])
        self.settle()

    def advance(self, cut):
        try:
            cut.before = next(cut.steps)
        except StopIteration:
            self.cuts.remove(cut)
            for producer in self.producers:
                if producer.busy is cut:
                    producer.busy = None

    # ── what always holds ───────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def everything_is_accounted_for(self):
        if hasattr(self, "machine"):
            assert Counter([*self.got, *self.lost, *self.machine.buffer]) == Counter(self.sent)

    @invariant()
    def items_of_one_sender_keep_their_order(self):
        for producer in getattr(self, "producers", ()):
            numbers = [number for name, number in self.got if name == producer.name]
            assert numbers == sorted(numbers)

    @invariant()
    def each_is_woken_once(self):
        for entry in [*getattr(self, "sending", ()), *getattr(self, "receiving", ())]:
            waiter = entry if entry.group is None else entry.group.waiter
            assert waiter.wakes == 0

    @invariant()
    def the_capacity_is_kept(self):
        if getattr(self, "machine", None) is None or self.machine.capacity is None:
            return
        places = len(self.machine.buffer) + len(self.machine.permits) + length_hint(self.machine.fresh)
        assert len(self.machine.buffer) <= self.machine.capacity
        if self.machine.open_receivers:
            assert places <= self.machine.capacity
            assert self.cuts or places == self.machine.capacity

    @invariant()
    def who_waits_has_to(self):
        """With no short cut under way, nobody stands beside what it waits for."""
        if not hasattr(self, "machine") or self.cuts:
            return
        machine = self.machine
        if self.receiving:
            assert not machine.buffer
            assert machine.open_senders
        if self.sending:
            assert len(machine.buffer) == machine.capacity
            assert machine.open_receivers
        sending = {id(entry.group or entry) for entry in self.sending}
        receiving = {id(entry.group or entry) for entry in self.receiving}
        assert not (sending and receiving) or (sending == receiving and len(sending) == 1)


class Cut:
    """A short cut under way."""

    def __init__(self, steps):
        self.steps = steps
        self.before = None


TestChannel = Channel.TestCase


def test_a_select_that_queues_looks_again():
    """What a short cut adds between a select's look at the buffer and its standing in the queue is not missed."""
    machine, group, party = guarded(ChannelMachine(None)), new_group(), Party()
    machine.open(sends=True)
    arm = make_arm(group, machine, "recv", end=machine.open(sends=False))

    def added_in_between():
        machine.buffer.append("item")
        assert not machine.receivers.entries, "so whoever added it has nothing more to do"
        return FakeWaiter()

    party.waiter_type = added_in_between
    assert try_or_queue(party, group, [arm], None) is PARKED
    assert (group.winner, arm.value, party.waiter.wakes) == (arm, "item", 1)


def test_a_select_that_queues_to_send_looks_again():
    """The same with a place that comes free."""
    machine, group, party = guarded(ChannelMachine(1)), new_group(), Party()
    end = machine.open(sends=True)
    machine.open(sends=False)
    machine.send(None, end, "first")
    arm = make_arm(group, machine, "send", "second", end)

    def freed_in_between():
        machine.buffer.popleft()
        machine.permits.append(True)
        assert not machine.senders.entries
        return FakeWaiter()

    party.waiter_type = freed_in_between
    assert try_or_queue(party, group, [arm], None) is PARKED
    assert (group.winner, list(machine.buffer), party.waiter.wakes) == (arm, ["second"], 1)


def test_a_receiver_that_queues_looks_again():
    """The same for a plain receive: what was added in between is handed to it."""
    machine, party = guarded(ChannelMachine(None)), Party()
    machine.open(sends=True)

    def added_in_between():
        machine.buffer.append("item")
        return FakeWaiter()

    party.waiter_type = added_in_between
    assert machine.receive(party, machine.open(sends=False)) is PARKED
    assert (party.waiter.value, party.waiter.wakes) == ("item", 1)


def test_a_sender_that_queues_looks_again():
    """And for a plain send, with a place that comes free."""
    machine, party = guarded(ChannelMachine(1)), Party()
    end = machine.open(sends=True)
    machine.open(sends=False)
    machine.send(None, end, "first")

    def freed_in_between():
        machine.buffer.popleft()
        machine.permits.append(True)
        return FakeWaiter()

    party.waiter_type = freed_in_between
    assert machine.send(party, end, "second") is PARKED
    assert (list(machine.buffer), party.waiter.wakes) == (["second"], 1)


def test_handing_out_makes_room_for_a_parked_sender():
    """An item that goes from the buffer to a parked receiver frees a place, which a parked sender's item takes."""
    machine = guarded(ChannelMachine(1))
    tx, rx = machine.open(sends=True), machine.open(sends=False)
    receiver, sender = Party(), Party()
    machine.receive(receiver, rx)
    machine.take_place()
    machine.buffer.append("first")  # a short cut in between
    machine.send(sender, tx, "second")
    machine.hand_out()
    assert (receiver.waiter.value, sender.waiter.wakes, list(machine.buffer)) == ("first", 1, ["second"])


def test_refilling_serves_a_receiver_that_had_parked_in_between():
    """A parked sender's item goes on to a receiver which parked beside an item that is gone."""
    machine = guarded(ChannelMachine(1))
    tx, rx = machine.open(sends=True), machine.open(sends=False)
    receiver, sender = Party(), Party()
    machine.receive(receiver, rx)
    machine.take_place()
    machine.buffer.append("first")  # one short cut, in between
    machine.send(sender, tx, "second")
    assert machine.buffer.popleft() == "first"  # another
    machine.permits.append(True)
    machine.hand_out()
    machine.refill()
    assert (receiver.waiter.value, sender.waiter.wakes, list(machine.buffer)) == ("second", 1, [])


def test_a_dropping_channel_takes_no_short_cuts():
    """Its senders can't wait, so nobody may be in between: the capacity is kept to the letter."""
    assert not ChannelMachine(1, dropping=True).loose
    assert ChannelMachine(1).loose


def test_it_can_be_described():
    """Reports tell capacity and what is there."""
    assert ChannelMachine(2).describe() == "channel(2), 0 buffered"
    assert ChannelMachine(None, name="jobs").describe() == "jobs(unbounded), 0 buffered"


def test_senders_are_told_why_a_receiver_has_gone_whichever_closes_last():
    """Of a task that failed or was cancelled, and of who had handed it its end, either may close first."""
    machine = guarded(ChannelMachine())
    tx, rx = machine.open(sends=True), machine.open(sends=False)
    other, party = machine.open_like(rx), Party()
    assert machine.send(party, tx, "item") is PARKED
    machine.close(rx, "cause")
    assert not party.waiter.claimed
    machine.close(other)
    assert party.waiter.error.cause == "cause"
