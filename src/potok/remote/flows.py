"""Buffered channels of ours with ends elsewhere: what carries the words of `machines.flows`.

    home                                                     elsewhere
    Flows (part of the channel) ◀── ("flow", …) notes ──▶    FlowingChannel: Inbox, Outbox (see `remote.flowing`)

Invariants
    What a channel has to say is said in the order in which it came to say it, and before whatever its task does next.
    An item is fixed when `send` returns: it is immutable (`PLAIN`) or packed, or a copy that came by a lane.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any
from weakref import WeakSet, ref

from potok.errors import ClosedError, PotokError
from potok.kernel.carrier import Carrier
from potok.kernel.current import carrier
from potok.kernel.ends import operate
from potok.kernel.guard import Guard, run_outside
from potok.kernel.parking import RETRY
from potok.kernel.task import Task
from potok.kernel.weakly import items_of, members_of
from potok.links.packing import Packed, pack_error, told
from potok.machines.channel import ChannelMachine, End
from potok.machines.flows import Flows
from potok.machines.shipping import Shipping
from potok.machines.waiting import Waiter
from potok.remote.board import board
from potok.remote.bundles import RINGS, Burst, bundled, fix, is_raw, kept, leave_to, unbundled
from potok.remote.channels import channels_here
from potok.remote.flowing import FlowingChannel, hear_home
from potok.remote.home import home
from potok.remote.lanes import Lane
from potok.remote.link import Link
from potok.remote.page import Page
from potok.remote.parties import Party
from potok.remote.spinning import Spinner, spins

__all__ = ["HomeFlows", "let_flow", "serve_fetch"]


class HomeFlows(Flows):
    """The flows of a channel of ours."""

    __slots__ = ("burst", "fixing", "looker", "number", "spinner")

    lane = None  # of its own: what is sent here is packed, and kept until it was taken

    def __init__(self, machine: ChannelMachine, number: int) -> None:
        super().__init__(machine, self._stirred, kept)
        self.number = number
        self.burst = Burst(machine, self.flow_on)
        self.spinner = Spinner()  # for senders
        self.looker = Spinner()  # for receivers
        self.fixing: set[int] = set()  # spaces for which items are being packed
        _flowing.add(machine)

    def _stirred(self, space: int) -> None:
        leave_to(space, self.said[space], partial(self._note, space))

    def say(self, space: int, op: str, *args: Any) -> None:
        if space in self.fixing:
            self.said[space].append((op, args))  # after what is being packed
        elif op == "items" and any(map(is_raw, args[1])):  # sent before any end was elsewhere
            said = self.said[space] = deque([(op, args)])
            self.fixing.add(space)
            run_outside(carrier(), partial(self._fix_and_leave, space, said))
        else:
            super().say(space, op, *args)

    def _fix_and_leave(self, space: int, said: deque[Any]) -> None:
        """Pack what is not yet, outside of the machine; until nothing of that kind is left."""
        run, me = self.machine.guard.run, carrier()
        while raw := run(me, self._leave_if_fixed, space, said):
            for items in raw:
                fix(items)

    def _leave_if_fixed(self, space: int, said: deque[Any]) -> list[list[Any]]:
        raw = [args[1] for op, args in said if op == "items" and any(map(is_raw, args[1]))]
        if not raw:
            self.fixing.discard(space)
            self._stirred(space)
        return raw

    def _note(self, space: int, op: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if op == "items":
            epoch, items, alone = args
            args = (epoch, bundled(items), alone)
        elif op == "over":
            ((error, clean),) = args
            args = (pack_error(error), clean)
        elif op in ("cancel", "shut"):
            args = pack_error(args[0])
        return "flow", space, home.space, self.number, home.space, op, args

    # ── the short ways of `Sender.send` and `Receiver.recv` ─────────────────────────────────────────────────

    def send_quickly(self, me: Carrier, item: Any, end: End) -> bool:
        """Whether the item went by the lane that the last one took: `offered` at a third of the price.

        The rules are those of `Guard.run` and `forward`. That the mutex is left is the barrier after which it shows
        whether who receives is to be told.
        """
        if self.road is None or me.inside is not None:
            return False
        machine, guard = self.machine, self.machine.guard
        me.inside = guard.mark
        try:
            with guard.mutex:
                if guard.owner is not None or guard.former is not None:
                    guard.end_privilege()
                road: Any = self.road
                if (
                    road is None
                    or not road.alone
                    or road.behind
                    or self.held_back
                    or machine.buffer
                    or machine.senders.entries
                    or machine.receivers.entries
                    or end.closed
                    or not machine.open_receivers
                    or (road.shipped >= road.limit and not self._has_more_room(road))
                    or not (machine.take_place() or self._finds_place())
                ):
                    return False
                epoch, lane = road.epoch, road.lane
                known = lane.known
                road.held.append(item)
                road.shipped += 1
                try:
                    lane.write(epoch, item)
                finally:  # a signal handler may raise before it is there, or after
                    if lane.known == known:
                        road.held.pop()
                        road.shipped -= 1
                        machine.give_places(1)
                if lane.known == known:
                    return False
        finally:
            me.inside = None
            if guard.deferred:
                guard.run_deferred(me)
        return lane.is_watched(epoch) or self.burst.offered(guard.run(me, self._untold, road, epoch))

    def _has_more_room(self, road: Shipping) -> bool:
        self.look()
        return road.shipped < road.limit

    def _untold(self, road: Shipping, epoch: int) -> bool | None:
        """An item is in the lane, and nobody looks: have it told, now or soon."""
        if road.epoch != epoch or not road.alone:
            return True  # it has left, or gives back what came
        road.untold += 1
        return self.burst.go() if self.burst.is_over(road.untold, RINGS) else self.burst.gather()

    def receive_quickly(self, me: Carrier, end: End) -> Any:
        """An item that is here, or in a lane; RETRY: there is none, or it takes the long way."""
        if self.shippings or me.inside is not None:
            return RETRY
        machine, guard = self.machine, self.machine.guard
        me.inside = guard.mark
        try:
            with guard.mutex:
                if guard.owner is not None or guard.former is not None:
                    guard.end_privilege()
                if end.closed or self.shippings or machine.senders.entries:
                    return RETRY
                if not machine.buffer:
                    self.draw()
                    if not machine.buffer:
                        return RETRY
                item = machine.buffer.popleft()
                if machine.capacity is not None:
                    machine.permits.append(True)
                    if len(machine.permits) >= self.mark:
                        self.top_up()
                return item
        finally:
            me.inside = None
            if guard.deferred:
                guard.run_deferred(me)

    def offered(self, task: Task[Any], item: Any, end: End) -> bool:
        """Whether the item went into the buffer; if not, take the long way."""
        run = self.machine.guard.run
        got = run(task.carrier, self._offer, item, end)
        if got is False and self._room_comes(task, end):
            got = run(task.carrier, self._offer, item, end)
        return self.burst.offered(got)

    def _room_comes(self, task: Task[Any], end: End) -> bool:
        """Whether a place comes free elsewhere within a moment: sooner than this task could park, and be woken."""
        machine = self.machine
        if end.closed or machine.receivers.entries or machine.senders.entries:
            return False
        if not self.shippings or not machine.open_receivers or machine.capacity is None or not spins(task):
            return False
        board.let_flow()
        return bool(self.spinner.spin(self._sees_room))

    def _sees_room(self) -> bool:
        return any(shipping.look() > shipping.taken for shipping in list(self.shippings.values()))

    def _offer(self, item: Any, end: End) -> bool | None:
        machine = self.machine
        if (
            end.closed
            or not machine.open_receivers
            or machine.receivers.entries
            or machine.senders.entries
            or not (machine.take_place() or self._finds_place())
        ):
            return False
        forwarded = self.forward(item)
        if forwarded:
            return True
        if forwarded is None:
            untold = sum(shipping.untold for shipping in self.shippings.values())
            return self.burst.go() if self.burst.is_over(untold, RINGS) else self.burst.gather()
        machine.buffer.append(item)
        if self.held_back or not self.shippings:
            return True
        return self.burst.go() if self.burst.is_over(len(machine.buffer)) else self.burst.gather()

    def look_out(self, task: Task[Any]) -> None:
        """Nothing is here: see whether something comes by a lane within a moment, before the task parks."""
        if self.grantings and spins(task) and self.machine.guard.run(task.carrier, self.watch):
            board.let_flow()
            self.looker.spin(self._has_come)

    def _has_come(self) -> bool:
        for granting in list(self.grantings.values()):
            lane: Any = granting.lane
            if lane is not None and lane.has_come():
                return True
        return False

    def ring(self, space: int, shipping: Shipping) -> None:
        link = _worker(space)
        if link is not None:
            link.ring()

    def _finds_place(self) -> bool:
        """What was taken elsewhere has left its place."""
        self.look()
        return not self.machine.senders.entries and bool(self.machine.take_place())

    def space_of(self, entry: Waiter) -> Any:
        if isinstance(entry.task, Party):
            return entry.task.link.space
        return super().space_of(entry)

    soon = staticmethod(board.soon)

    def end_closed(self, end: End) -> None:
        """Whoever has this end, wherever, can't use it any more."""
        run_outside(carrier(), partial(_tell_holders, end, self.machine.end_closed(end)))


_flowing: WeakSet[ChannelMachine] = WeakSet()


def let_flow(machine: ChannelMachine, number: int) -> bool:
    """See that items of this channel can flow to and from elsewhere; False: each is to be called for."""
    if type(machine) is not ChannelMachine or machine.dropping or machine.capacity == 0:
        return False
    if machine.flows is None:
        machine.flows = HomeFlows(machine, number)
        for end in machine.ends:
            end.quick = machine.flows
    return True


def _tell_holders(end: End, why: ClosedError) -> None:
    known = home.ref_of(end)
    if known is not None:
        home.closed_elsewhere(None, known, pack_error(why))


def _hear(machine: ChannelMachine, space: int, op: str, args: tuple[Any, ...]) -> None:
    """Another space's boxes have said something."""
    flows, me = machine.flows, carrier()
    if op == "push":
        epoch, items, number = args
        operate(me, machine, flows.push, space, epoch, unbundled(*items), _lane_from(space, number, machine))
    elif op == "pull":
        *told, number = args
        operate(me, machine, flows.pull, space, _look_at(space), *told, _lane_to(space, number))
    elif op == "want":
        operate(me, machine, flows.want, space, _show_to(space), *args)
    elif op in ("returned", "left", "unused", "done", "late"):
        operate(me, machine, getattr(flows, op), space, *args)
    else:
        raise PotokError(f"a channel's flows know no {op!r}")


def _worker(space: int) -> Link | None:
    """The link to a worker of ours, with which we share its page."""
    return home.links.get(space) if home.space == 0 else None


def _lane_from(space: int, number: int, machine: ChannelMachine) -> Lane | None:
    """The lane of that space's outbox; what comes by it goes into the channel before any message is handled."""
    link = _worker(space)
    if number < 0 or link is None or not link.page.lanes_home:
        return None
    lane = link.page.lanes_home[number]
    link.draws(lane, partial(_draw, ref(machine)))
    return lane


def _draw(known: ref[ChannelMachine], rung: bool) -> None:
    machine = known()
    if machine is not None:
        operate(carrier(), machine, machine.flows.rung if rung else machine.flows.draw)


def _lane_to(space: int, number: int) -> Lane | None:
    link = _worker(space)
    if number < 0 or link is None or not link.page.lanes_there:
        return None
    return link.page.lanes_there[number]


def _look_at(space: int) -> Any:
    """What tells, by slot, how many items that space's tasks have taken."""
    link = _worker(space)
    return _blind if link is None else link.taken_there


def _blind(slot: int) -> int:
    return 0


def _show_to(space: int) -> Any:
    """What shows to that space, by slot, how much room its tasks have."""
    link = _worker(space)
    return _hidden if link is None else link.show_room


def _hidden(slot: int, epoch: int, granted: int) -> bool:
    return False


def serve_fetch(machine: ChannelMachine, link: Link, number: int, args: tuple[Any, ...]) -> None:
    """Somebody elsewhere must know now: an item, or a place, for a task that does not wait."""
    what, space, *rest = args
    if what == "item":
        operate(carrier(), machine, machine.flows.lend_item, space, _look_at(space), *rest)
    else:
        operate(carrier(), machine, machine.flows.lend_place, space, *rest)
    link.answer(number, None)


def hear(link: Link, to: int, where: int, number: int, space: int, op: str, args: tuple[Any, ...]) -> None:
    """A note of a flow has come."""
    if to != home.space:
        home.pass_on(to, "flow", to, where, number, space, op, args)
        return
    link.last.append(("flow", where, number, op))
    if where == home.space:
        machine = home.machines.get(number)
        if machine is not None:  # else nobody has an end of it any more
            _hear(machine, space, op, args)
        return
    channel = channels_here.get((where, number))
    if isinstance(channel, FlowingChannel):
        hear_home(channel, op, args)


def settle(link: Link, error: BaseException) -> None:
    """The space at the other side is no more: what it had sent arrives, what it had not taken goes back."""
    for lane in link.page.lanes_home:
        lane.draw()
    _deliver_notes(link)
    numbers = link.page.used()
    link.lanes = ()
    link.page.close()
    _depart(link.space, numbers, error)
    if not home.space:
        for other in list(home.links.values()):
            other.note("departed", link.space, numbers, pack_error(error))


def _depart(space: int, numbers: tuple[int, ...], error: BaseException) -> None:
    """That space is no more: what it had of channels here comes back, and channels of its are no more."""
    me = carrier()
    for machine in members_of(_flowing):
        flows = machine.flows
        shipping = flows.shippings.get(space)
        taken = 0
        if shipping is not None and 0 < shipping.slot < len(numbers):
            taken = numbers[shipping.slot]
        if shipping is not None or space in flows.grantings:
            operate(me, machine, flows.gone, space, taken)
    for _, channel in items_of(channels_here):
        if channel.ref[0] == space and isinstance(channel, FlowingChannel):
            channel.home_is_gone(error)


def cut_off(error: PotokError) -> None:
    """In a forked child: nothing flows to where these channels are, nor from there; the memory is the parent's."""
    for machine in members_of(_flowing):
        machine.guard = Guard(None)  # the other may be held by a thread that is not here
        machine.flows.forsake()
    for _, channel in items_of(channels_here):
        if isinstance(channel, FlowingChannel):
            for box in (channel.inbox, channel.outbox):
                if box is not None:
                    box.guard = Guard(None)  # the other may be held by a thread that is not here
                    box.forsake()
            channel.home_is_gone(error)
    home.page = Page()


def _deliver_notes(link: Link) -> None:
    """A worker is no more: what its tasks had sent, and was just being gathered, goes where it was to go."""
    where, number, epoch, first, noted = link.page.read_notes()
    items = [Packed(item[0]) if type(item) is list else item for item in noted]
    if items and where == home.space:
        hear(link, where, where, number, link.space, "late", (epoch, first, items))
    elif items and where in home.links:
        home.links[where].note("flow", where, where, number, link.space, "late", (epoch, first, items))


home.note_ops["flow"] = hear
home.note_ops["departed"] = lambda link, space, numbers, error: _depart(space, numbers, told(*error))
home.settle = settle
home.on_cut_off = cut_off
