"""Select over channels, locks, semaphores, events, task ends and timers: exactly one effect, whatever happens."""

from collections import Counter

from fakes import Party, guarded, make_arm, new_group
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from potok.machines.channel import ChannelMachine
from potok.machines.event import EventMachine
from potok.machines.lock import LockMachine
from potok.machines.scope import Member, ScopeMachine
from potok.machines.select import TimerMachine, try_or_queue
from potok.machines.semaphore import SemaphoreMachine
from potok.machines.waiting import PARKED, WaitQueue

KINDS = ("send 0", "recv 0", "send 1", "recv 1", "lock", "semaphore", "event", "join", "timer")


class Someone(Member):
    """A task that others wait for."""

    def __init__(self):
        self.finished = False
        self.joiners = None


class Select(RuleBasedStateMachine):
    """An arm has its effect if and only if it is the winner of its group, and a group has one winner at most."""

    def __init__(self):
        super().__init__()
        self.channels = [guarded(ChannelMachine(0)), guarded(ChannelMachine(1))]
        self.ends = {}
        for n, channel in enumerate(self.channels):
            self.ends[f"send {n}"] = channel.open(sends=True)
            self.ends[f"recv {n}"] = channel.open(sends=False)
        self.lock = guarded(LockMachine())
        self.semaphore = guarded(SemaphoreMachine(1))
        self.event = guarded(EventMachine())
        self.scope = guarded(ScopeMachine(None, None))
        self.timer = guarded(TimerMachine())
        self.someone = Someone()
        self.scope.add(self.someone)
        self.offered = 0
        self.groups = []  # those that parked, with their arms
        self.plain = []  # plain waiters
        self.effects = []  # the operations that took effect: what they were, and the item or None
        self.told = set()  # whose outcome was seen
        self.given = 1  # permits
        self.released = 0  # of the lock

    # ── what happens ────────────────────────────────────────────────────────────────────────────────────────

    def arm(self, group, kind):
        if kind in self.ends:
            item = self.new_item() if kind.startswith("send") else None
            end = self.ends[kind]
            return make_arm(group, end.machine, kind, item, end)
        machine = {
            "lock": self.lock,
            "semaphore": self.semaphore,
            "event": self.event,
            "join": self.scope,
            "timer": self.timer,
        }[kind]
        item = {"lock": "owner", "join": self.someone}.get(kind)
        return make_arm(group, machine, kind, item)

    def new_item(self):
        self.offered += 1
        return self.offered

    @rule(
        kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5),
        waits=st.booleans(),
        choices=st.none() | st.lists(st.integers(0, 9), min_size=5, max_size=5),
    )
    def select(self, kinds, waits, choices):
        group = new_group()
        arms = [self.arm(group, kind) for kind in kinds]
        ready = [arm for arm in arms if arm.machine.ready(arm)]
        choose = None if choices is None else (lambda n: choices.pop() % n)
        party = Party() if waits else None
        won = try_or_queue(party, group, arms, choose)
        if won is not PARKED:
            assert won in ready
            assert choose or won is ready[0]
            self.took_effect(won)
            assert party is None or party.waiter is None
        elif waits:
            self.groups.append((group, arms))
        assert won is not PARKED or not ready
        self.look()

    @rule(kind=st.sampled_from(KINDS[:8]), waits=st.booleans())
    def operate(self, kind, waits):
        """A plain operation."""
        party = Party() if waits else None
        item = None
        if kind.startswith("send"):
            item = self.new_item()
            got = self.ends[kind].machine.send(party, self.ends[kind], item)
        elif kind.startswith("recv"):
            got = item = self.ends[kind].machine.receive(party, self.ends[kind])
        else:
            operations = {
                "lock": (self.lock.acquire, "owner"),
                "semaphore": (self.semaphore.acquire,),
                "event": (self.event.wait,),
                "join": (self.scope.join, self.someone),
            }
            op, *args = operations[kind]
            got = op(party, *args)
        if got is not PARKED:
            self.effects.append((kind, item))
        elif waits:
            party.waiter.op = kind
            self.plain.append(party.waiter)
        self.look()

    @rule()
    def release_lock(self):
        assume(self.lock.holder is not None)
        self.lock.release("owner")
        self.released += 1
        self.look()

    @rule(n=st.integers(1, 2))
    def release_semaphore(self, n):
        self.semaphore.release(n)
        self.given += n
        self.look()

    @rule(up=st.booleans())
    def change_event(self, up):
        (self.event.set if up else self.event.clear)()
        self.look()

    @rule()
    def end_someone(self):
        self.scope.remove(self.someone)
        self.look()
        self.someone = Someone()
        self.scope.add(self.someone)

    @rule(index=st.integers(0, 20))
    def withdraw(self, index):
        """Time, or a cancellation, takes a select or a plain waiter away."""
        waiting = [group.waiter for group, _ in self.groups if group.open] + [
            waiter for waiter in self.plain if not waiter.claimed
        ]
        assume(waiting)
        waiter = waiting[index % len(waiting)]
        assert waiter.machine.withdraw(waiter)
        assert not waiter.machine.withdraw(waiter)
        self.told.add(waiter)
        self.look()

    @rule(index=st.integers(0, 20))
    def give_up(self, index):
        """What a select does on its way out: take the arms that lost out of their queues."""
        done = [entry for entry in self.groups if not entry[0].open]
        assume(done)
        group, arms = done[index % len(done)]
        for arm in arms:
            if arm is not group.winner and not arm.claimed:
                arm.machine.withdraw(arm)
        self.groups.remove((group, arms))

    # ── what came of it ─────────────────────────────────────────────────────────────────────────────────────

    def took_effect(self, entry):
        assert entry.error is None
        self.effects.append((entry.op, entry.value if entry.op.startswith("recv") else entry.item))

    def look(self):
        for group, _ in self.groups:
            if group.winner is not None and group.waiter not in self.told:
                self.told.add(group.waiter)
                self.took_effect(group.winner)
        for waiter in self.plain:
            if waiter.claimed and waiter not in self.told:
                self.told.add(waiter)
                self.took_effect(waiter)

    @invariant()
    def each_is_woken_once(self):
        for group, _ in self.groups:
            assert group.waiter.wakes == (group.winner is not None)
            assert group.waiter.claimed == (not group.open)
        for waiter in self.plain:
            assert waiter.wakes <= 1

    @invariant()
    def items_are_neither_lost_nor_doubled(self):
        for n, channel in enumerate(self.channels):
            sent = Counter(item for kind, item in self.effects if kind == f"send {n}")
            got = Counter(item for kind, item in self.effects if kind == f"recv {n}")
            assert sent == got + Counter(channel.buffer)

    @invariant()
    def the_lock_has_one_holder(self):
        taken = sum(kind == "lock" for kind, _ in self.effects)
        assert taken - self.released == (self.lock.holder is not None)

    @invariant()
    def permits_are_neither_lost_nor_doubled(self):
        taken = sum(kind == "semaphore" for kind, _ in self.effects)
        assert taken + self.semaphore.value == self.given

    @invariant()
    def nobody_waits_for_what_is_ready(self):
        for group, arms in self.groups:
            if not group.open:
                continue
            for arm in arms:
                opposite = {"send": "recv", "recv": "send"}.get(arm.op[:4])
                own = any(
                    other.machine is arm.machine and other.op.startswith(str(opposite)) for other in arms
                )
                assert own or not arm.machine.ready(arm)


TestSelect = Select.TestCase


def test_a_select_does_not_match_itself():
    """With both ends of a rendezvous as arms, only another task completes either."""
    channel, group, party = guarded(ChannelMachine(0)), new_group(), Party()
    tx, rx = channel.open(sends=True), channel.open(sends=False)
    arms = [make_arm(group, channel, "send", 1, tx), make_arm(group, channel, "recv", None, rx)]
    assert try_or_queue(party, group, arms, None) is PARKED
    assert group.open
    assert channel.receive(None, rx) == 1
    assert (group.winner, party.waiter.wakes) == (arms[0], 1)
    assert channel.receive(None, rx) is PARKED


def test_two_selects_match_each_other():
    """Both with both ends: one sends to the other, and each has one effect."""
    channel = guarded(ChannelMachine(0))
    tx, rx = channel.open(sends=True), channel.open(sends=False)

    def choose_either(item):
        group, party = new_group(), Party()
        arms = [make_arm(group, channel, "send", item, tx), make_arm(group, channel, "recv", None, rx)]
        return try_or_queue(party, group, arms, None), group, party

    got, first, waiting = choose_either("first")
    assert got is PARKED
    got, _, second = choose_either("second")
    assert (got.op, second.waiter) == ("send", None)
    assert (first.winner.op, first.winner.value, waiting.waiter.wakes) == ("recv", "second", 1)


def test_a_timer_is_ready_when_the_clock_says_so():
    """The machine knows no clock: whoever makes the arm says whether it is time."""
    timer = guarded(TimerMachine())
    for due in (True, False):
        arm = make_arm(new_group(), timer, "after", due)
        assert timer.ready(arm) is due
        assert timer.attempt(arm) is due
        assert timer.enqueue(arm) is None
        assert timer.withdraw(arm)


def test_groups_can_be_described():
    """A task that waits in a select waits for several arms."""
    assert new_group().describe() == "several arms"
    assert WaitQueue().live() is False
