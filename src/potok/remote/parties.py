"""Who operates here in the name of tasks elsewhere, and calls that only pass through here.

Every call that came is answered once, whatever becomes of the object: by who has served it, by its party as that is
woken or taken back, or by its relay, with what the home of the object has answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from potok.kernel.current import carrier
from potok.kernel.guard import run_outside
from potok.links.packing import Packed, pack, pack_error
from potok.machines.waiting import AGAIN, Waiter
from potok.remote.link import Link

__all__ = [
    "AGAIN_TOLD",
    "PARKED_TOLD",
    "RECALLED_TOLD",
    "Lending",
    "Party",
    "Relay",
    "as_it_is",
    "packed",
    "told_of",
]

RECALLED_TOLD = ("recalled",)
AGAIN_TOLD = ("again",)
PARKED_TOLD = ("parked",)
"""The answer to an operation that was not to wait, and would have to."""


class PartyWaiter(Waiter):
    """A call of another address space, parked here."""

    __slots__ = ()

    def wake(self) -> None:
        self.woken = True
        run_outside(carrier(), self.task.reply)  # what is answered is pickled, which is the user's code

    def settle(self) -> None:
        """Nothing of ours resumes."""


class Party:
    """Who operates here in the name of a task elsewhere: one for each call."""

    __slots__ = ("done", "link", "number", "spare", "tidy", "waiter")

    waiter_type = PartyWaiter

    def __init__(self, link: Link, number: int) -> None:
        self.link = link
        self.number = number
        self.waiter: Any = None
        self.spare: Any = None
        self.done: Callable[[Any], Any] = as_it_is  # makes the answer of what the operation gave
        self.tidy: Callable[[], object] | None = None  # to be called when it was woken or withdrawn

    def reply(self) -> None:
        """The waiter was woken: answer."""
        waiter, self.waiter = self.waiter, None  # which refers to us, and to what it brought
        if self.tidy is not None:
            self.tidy()
        if waiter.error is not None:
            self.link.fail(self.number, told_of(waiter.error))
        else:
            value, waiter.value, waiter.item = waiter.value, None, None  # it and we refer to each other
            self.answer(value)

    def answer(self, value: Any) -> None:
        try:
            self.link.answer(self.number, self.done(value))
        except Exception as error:
            self.link.fail(self.number, told_of(error))

    def recall(self) -> bool:
        """Take the waiter back; False if it was served."""
        waiter = self.waiter
        if waiter is None:
            return False
        machine = waiter.machine
        if not machine.guard.run(carrier(), machine.withdraw, waiter):
            return False
        self.waiter = None
        if self.tidy is not None:
            self.tidy()
        return True


class Relay:
    """A call that is on its way through here, to another space."""

    __slots__ = ("forward", "link", "number", "sent")

    def __init__(self, link: Link, number: int, forward: Any) -> None:
        self.link = link
        self.number = number
        self.forward = forward
        self.sent = 0

    def recall(self, why: Any = None) -> None:
        """Pass it on."""
        self.forward.recall(self.sent, why)

    def answered(self, value: Any) -> None:
        self.link.answer(self.number, value)

    def failed(self, error: Any) -> None:
        self.link.fail(self.number, told_of(error) if isinstance(error, BaseException) else error)


class Lending(Relay):
    """The answer is the number of an end that the asking side has from now on."""

    __slots__ = ()

    def answered(self, value: Any) -> None:
        self.link.count((self.forward.space, value), 1)
        super().answered(value)


def told_of(error: Any) -> Any:
    """An error as it is sent: `calling.understood` is the reverse."""
    if error is AGAIN:
        return AGAIN_TOLD
    return ("error", *pack_error(error))


def as_it_is(value: Any) -> Any:
    """The answer is what the operation gave."""
    return value


def packed(value: Any) -> Any:
    """An item on its way to a task elsewhere."""
    return value if isinstance(value, Packed) else pack(value)
