"""How two selects meet at a rendezvous whose home is neither's, each with other arms at other homes: both, or neither.

A select is won where its task is, by taking its group's one token. At the home of a channel it stands as an *offer*,
which nobody there can win without asking. Two offers on the two sides of a channel are *engaged* by its home H:

    P, Q: homes of the selects              H: home of the channel
      offer ────────────────────────────▶     both stand there; H engages them, and tells neither anything else
      claim ◀────────────────────────────     first the select of the smaller id, then the other
      yes, with the item (P sends) ─────▶     its token is taken: neither an arm nor a time-out can win it now
      met, with the item (Q receives) ◀──     both said yes. Else "look again", to both

Who comes alone finds no offer to win: a plain receive, or a select all of whose arms are at H, stands there for real,
and an offer that faces it is told to look again. Looking again tries each arm for real, while nobody can win another.

Exactly one effect: a select is claimed by one home at a time, as its token is one; from its yes to H's answer nothing
    else happens to it, and H answers "met" to both or to neither (in one piece: see `Link.together`).
Nobody waits for ever: a claim waits only for a select that another home has claimed. That one claims in the order of
    ids, too, so it waits, if at all, for a select of greater id: no circle. What waits is answered with no.
None is missed: offers are left standing under the mutex of the channel, so the later of two finds the earlier, or
    finds it engaged; then that meeting takes place, or its two are told to look again, and find the later one.
They do not elude each other: trying passes over offers and disturbs none, so two that look again both stand in the end.
    Of the selects that are engaged, take the first claimed with the greatest id: the other that it claims is no
    other's first, so it is met, or was won elsewhere. Each round some select goes on.
Whoever dies says no, by its link's end. If H dies, its two are told so, unless it had said "met".
"""

from __future__ import annotations

import itertools
import threading
from functools import partial
from typing import Any

from potok.kernel.current import carrier
from potok.machines.channel import End
from potok.machines.peek import Peek
from potok.machines.select import OPEN, Group
from potok.machines.waiting import AGAIN, PARKED, Arm, WaitQueue, new_arm, park
from potok.remote.calling import ask, understood
from potok.remote.channels import Watch
from potok.remote.home import Home, home
from potok.remote.link import Link
from potok.remote.parties import Party, packed, told_of

__all__ = ["offer", "offers_itself", "serials", "try_away"]

Who = tuple[int, int, int]
"""An offer as all know it: its select's space and number there, which are the id; its own number there."""

serials = itertools.count(1)  # of selects
_numbers = itertools.count(1)  # of offers
_lock = threading.Lock()
_offered: dict[int, Offered] = {}  # what stands elsewhere
_claimed: dict[Group, list[tuple[Link, int]]] = {}  # selects that some home has claimed; the claims that wait


# ── where the select is ─────────────────────────────────────────────────────────────────────────────────────


class Offered(Watch):
    """An arm that stands as an offer at its home. Its one answer ends that, and whatever came of it."""

    __slots__ = ("claimed", "item", "key")

    def __init__(self, arm: Arm, key: int) -> None:
        super().__init__(arm)
        self.key = key
        self.item = arm.item  # what it sends
        self.claimed = False

    def answered(self, value: Any) -> None:
        arm: Any = self.waiter
        with _lock:
            del _offered[self.key]
            refused = _claimed.pop(arm.group) if self.claimed else ()
        for link, number in refused:
            link.answer(number, None)
        if not self.claimed:
            super().answered(None)
            return
        arm.claimed = True
        if value is None:
            arm.error = AGAIN
        else:
            arm.value = value[0]
        arm.wake()


def offers_itself(arm: Arm) -> bool:
    """Whether the arm is one side of a rendezvous elsewhere."""
    return arm.machine.away and arm.end is not None and arm.machine.size == 0


def try_away(arm: Arm) -> bool:
    """As `attempt`, but for those that only offer themselves: these are left alone."""
    end = arm.end
    if end.closed:
        return arm.machine.attempt(arm)  # type: ignore[no-any-return]
    request = (end.ref[0], 0, "try", False)
    if end.sends and not ask((*request, (end.ref[1],)))[0]:
        return False  # without having sent the item for nothing
    done, value, error = ask((*request, (end.ref[1], arm.item)))
    arm.value = value
    if error is not None:
        arm.error = understood(error)
    return bool(done)


def offer(arm: Arm, serial: int) -> None:
    """Let the arm stand at its home."""
    key = next(_numbers)
    offered = _offered[key] = Offered(arm, key)
    arm.item = offered
    space, number = arm.end.ref
    try:
        offered.send(space, (space, 0, "offer", True, (number, (home.space, serial, key))))
    except BaseException:
        if not offered.was_sent():
            del _offered[key]
        raise


def _serve_claim(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    """The home of a channel asks for a select of ours: no (None), or yes, and nobody else has it until that answers."""
    key, _ = args
    with _lock:
        offered = _offered.get(key)
        if offered is not None:
            arm: Any = offered.waiter
            if (waiting := _claimed.get(arm.group)) is not None:
                waiting.append((link, number))
                return
            if arm.group.claim(arm):
                _claimed[arm.group] = []
                offered.claimed = True
            else:
                offered = None
    link.answer(number, None if offered is None else (offered.item,))


# ── where the channel is ────────────────────────────────────────────────────────────────────────────────────


class Offer(Peek):
    """An arm of a select elsewhere. Whoever would win it tells it to look again, unless it is engaged."""

    __slots__ = ("engaged", "party", "who")

    def __init__(self, party: Party, who: Who) -> None:
        super().__init__(OPEN)
        self.party = party
        self.who = who
        self.engaged: Meeting | None = None  # with one that it has found

    def told(self, value: Any) -> None:
        """The engagement is over: `value` is None, or what came of it."""
        self.waiter.value = value
        self.wake()


class Meeting:
    """Two offers that are engaged; nobody else ends them."""

    __slots__ = ("items", "offers")

    def __init__(self, *offers: Offer) -> None:
        self.offers = sorted(offers, key=lambda each: each.who)
        self.items: list[Any] = []  # of those that said yes

    def claim_next(self) -> None:
        """Claim the select whose turn it is; with both, they have met."""
        if len(self.items) == 2:
            self._conclude()
            return
        space, _, key = self.offers[len(self.items)].who
        try:
            home.link_to(space).call((space, 0, "claim", True, (key,)), self)
        except Exception as error:  # it has died
            self.failed(error)

    def answered(self, value: Any) -> None:
        if value is None:
            self.failed(None)
        else:
            self.items += value
            self.claim_next()

    def failed(self, error: Any) -> None:
        for each in self.offers:
            each.told(None)

    def _conclude(self) -> None:
        machine = self.offers[0].arm.machine
        if not machine.guard.run(carrier(), _both_open, self.offers):
            self.failed(None)
            return
        item = self.items[0 if self.offers[0].arm.end.sends else 1]
        links = {each.party.link for each in self.offers}
        for link in links:
            link.together(True)
        try:
            for each in sorted(
                self.offers, key=lambda each: each.arm.end.sends
            ):  # first who has the item then
                each.told((None if each.arm.end.sends else item,))
        finally:
            for link in links:
                link.together(False)


def _both_open(offers: list[Offer]) -> bool:
    return not any(each.arm.end.closed or not each.party.link.is_open for each in offers)


def _serve_offer(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    """An arm of a select elsewhere comes to stand at a channel of ours."""
    end_number, who, _ = args
    end = at.thing(end_number)
    party = Party(link, number)
    offered = Offer(party, who)
    arm = new_arm(end.machine, "recv", None, end, offered)
    party.tidy = partial(_forget, arm)
    at.park(party, end.machine.guard.run, True, (carrier(), _stand, party, offered, arm))
    if offered.engaged is not None:
        offered.engaged.claim_next()


def _stand(party: Any, offered: Offer, arm: Arm) -> Any:
    """Inside the machine: None, to look again; or PARKED, and engaged with whoever offers itself on the other side."""
    if _is_served(arm):
        return None
    offered.arm = arm
    offered.waiter = park(party, offered, "offer", arm)
    arm.machine.enqueue(arm)
    for other in _opposite(arm):
        if type(other.group) is Peek:
            other.group.claim(other)  # there may be something
        elif isinstance(other.group, Offer) and other.group.who[:2] != offered.who[:2] and other.group.token:
            offered.token.clear()
            other.group.token.clear()
            offered.engaged = Meeting(offered, other.group)
            break
    return PARKED


def _opposite(arm: Arm) -> list[Any]:
    """Those who wait on the other side of the channel."""
    queue: WaitQueue = arm.machine.receivers if arm.end.sends else arm.machine.senders
    return queue.waiting()


def _is_served(arm: Arm) -> bool:
    """Whether somebody stands on the other side for real, or the channel is at its end."""
    machine, end = arm.machine, arm.end
    if end.closed or not (machine.open_receivers if end.sends else machine.open_senders):
        return True
    return any(
        each.group is None or (each.group.open and not isinstance(each.group, Peek))
        for each in _opposite(arm)
    )


def _forget(arm: Arm) -> None:
    if not arm.claimed:
        arm.machine.guard.post(carrier(), arm.machine.withdraw, arm)


def _serve_try(at: Home, link: Link, number: int, args: tuple[Any, ...]) -> None:
    """Do it, if somebody waits for it for real: whether it was done, its value, its error. Without an item: look."""
    end_number, *item, _ = args
    end: End = at.thing(end_number)
    arm = new_arm(end.machine, "send" if end.sends else "recv", item[0] if item else None, end)
    done = end.machine.guard.run(carrier(), _try, arm, bool(item))
    error = None if arm.error is None else told_of(arm.error)
    received = done and error is None and not end.sends
    link.answer(number, (done, packed(arm.value) if received else None, error))


def _try(arm: Arm, do: bool) -> bool:
    return _is_served(arm) and (not do or arm.machine.attempt(arm))


home.space_ops["offer"] = _serve_offer
home.space_ops["try"] = _serve_try
home.space_ops["claim"] = _serve_claim
