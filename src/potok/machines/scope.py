"""The scope: who lives in it, what was cancelled, and when it is over.

    open ──body done──▶ closing ──last member ended──▶ ended

Invariants
    Members are started only while the scope has not ended; it ends when its body is done and no member lives.
    An ended member stays ended; each of its joiners is woken once, and so is the host that waits for the end.
    A reason of cancellation, once given, stays. It reaches everything below, but for what stands behind a shield.
    A scope is attached to its parent before anything can run in it, so a cancellation that walks down from above
    either finds it among the children or is seen by it when it looks up.

Scopes form a tree; each has its own guard. Walking it (`potok.kernel.cancelling`) takes one guard at a time.
"""

from __future__ import annotations

from typing import Any

from potok.errors import ScopeError
from potok.machines.waiting import PARKED, Arm, Machine, Party, Waiter, WaitQueue, park

__all__ = ["Member", "ScopeMachine"]


class Member:
    """What a scope asks of a task in it."""

    __slots__ = ("finished", "joiners")

    finished: bool
    joiners: WaitQueue | None


class ScopeMachine(Machine):
    """Members, children and state of one scope, time-out or shield."""

    __slots__ = (
        "body_done",
        "children",
        "collects",
        "deadline",
        "ended",
        "endings",
        "errors",
        "expired",
        "facade",
        "frame",
        "handed",
        "host",
        "kind",
        "members",
        "parent",
        "reason",
        "shield",
    )

    def __init__(
        self,
        parent: ScopeMachine | None,
        host: Any,
        kind: str = "scope",
        deadline: float | None = None,
        shield: bool = False,
    ) -> None:
        self.parent = parent
        self.host = host
        self.kind = kind
        self.deadline = deadline
        self.shield = shield
        self.expired = False
        self.reason: Any = None  # a 1-tuple once cancelled: the reason itself may be anything
        self.members: set[Any] = set()
        self.children: set[ScopeMachine] = set()
        self.body_done = False
        self.ended = False
        self.endings = WaitQueue()
        self.errors: list[BaseException] = []  # of members that failed
        self.collects = False  # a failure leaves the siblings alone
        self.handed: dict[Any, list[Any]] = {}  # ends that were handed to members: they close with the body
        self.facade: Any = None  # what users know this scope as, while its block runs
        self.frame: Any = None  # the generator this scope was opened in, if any

    # ── members ─────────────────────────────────────────────────────────────────────────────────────────────

    def add(self, member: Member) -> None:
        """Raises ScopeError, with nothing changed, once the scope has ended."""
        if self.ended:
            raise ScopeError("start: this scope has ended; start tasks before its `with` block is left")
        self.members.add(member)

    def remove(self, member: Member) -> None:
        """The member ended: wake its joiners, and the host if it was the last."""
        member.finished = True
        self.members.discard(member)
        if member.joiners is not None:
            for joiner in member.joiners.drain():
                joiner.wake()
        if not self.members and self.body_done:
            self.ended = True
            for host in self.endings.drain():
                host.wake()

    def join(self, party: Party | None, member: Member) -> Any:
        """Park until the member has ended; None at once if it has."""
        if member.finished:
            return None
        waiter = park(party, self, "join", member)
        if waiter is not None:
            self._joiners(member).push(waiter)
        return PARKED

    def finish(self, party: Party | None) -> Any:
        """The body is done: park until the last member has ended. A member may start others until then."""
        self.body_done = True
        if not self.members:
            self.ended = True
            return None
        waiter = park(party, self, "finish")
        if waiter is not None:
            self.endings.push(waiter)
        return PARKED

    def _joiners(self, member: Member) -> WaitQueue:
        if member.joiners is None:
            member.joiners = WaitQueue()
        return member.joiners

    # ── the tree ────────────────────────────────────────────────────────────────────────────────────────────

    def attach(self, child: ScopeMachine) -> None:
        self.children.add(child)

    def detach(self, child: ScopeMachine) -> None:
        self.children.discard(child)

    def cancel(self, reason: Any) -> tuple[Any, list[Any], list[ScopeMachine]] | None:
        """Note the reason; who is to be told: host, members, children. None if it was cancelled already."""
        if self.reason is not None or self.ended:
            return None
        self.reason = (reason,)
        return self.below()

    def below(self) -> tuple[Any, list[Any], list[ScopeMachine]]:
        return self.host, list(self.members), list(self.children)

    def cancelled(self) -> Any:
        """The reason in a 1-tuple, or None."""
        return self.reason

    # ── as an arm of a select: the end of a member ──────────────────────────────────────────────────────────

    def ready(self, arm: Arm) -> bool:
        return bool(arm.item.finished)

    def attempt(self, arm: Arm) -> bool:
        return bool(arm.item.finished)

    def enqueue(self, arm: Arm) -> None:
        self._joiners(arm.item).push(arm)

    def withdraw(self, entry: Waiter) -> bool:
        return (self.endings if entry.op == "finish" else self._joiners(entry.item)).withdraw(entry)

    def describe(self) -> str:
        return f"{self.kind} with {len(self.members)} live task(s)"
