"""A map with workers: lots go out as far as the window allows, pieces come back and are put in order.

    input ──pull──▶ lots ──▶ workers ──▶ pieces ──▶ ready ──▶ the caller
            └─────────────── at most `window` ──────────────┘

Invariants
    `held` items have been pulled and not given out; never more than the window. So neither channel needs a bound.
    Everything here happens in the task that asks for results; it waits for outcomes, and for a feed that has nothing.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any, Final

import potok
from potok.dataflow import calls
from potok.dataflow.crew import LOST, Crew, Led, Reins, hire
from potok.dataflow.intake import Intake
from potok.dataflow.plan import Piece, Plan

__all__ = ["Pooled", "ordinary"]

WAIT: Final[Any] = object()


class Pooled(Led):
    """The caller's side of a map on *threads* or *coroutines*; with batches (`batched`) on *processes*."""

    __slots__ = ("_held", "_intake", "_left", "_lost", "_next", "_ready", "_stopped", "plan")

    def __init__(self, plan: Plan, intake: Intake) -> None:
        self.plan = plan
        self._intake = intake
        self._held = 0
        self._next = intake.pulled  # the index that is due, where order is kept
        self._ready: dict[int, Piece] = {}
        self._lost: BaseException | None = None  # there are no workers (any more), and can be none
        self._reins: Reins | None = None  # until there is a first item
        self._left: tuple[int, list[Any]] | None = None  # pulled by somebody else, and not worked on
        self._stopped = False  # pulls no more, though there may be more

    def take(self) -> Piece | None:
        """The next piece; None when everything has been given out."""
        while True:
            try:
                got = self._poll(awaiting=False)
                if got is not WAIT:
                    return got  # type: ignore[no-any-return]
                if self._intake.awaited is None:
                    self._accept(self._reins.outcomes.recv())  # type: ignore[union-attr]
                else:
                    self._meet(potok.select(*self._awaited()))
            except potok.ClosedError as error:
                raise self._abandoned() from error

    async def atake(self) -> Piece | None:
        """The awaitable spelling of `take`."""
        while True:
            try:
                got = self._poll(awaiting=True)
                if got is not WAIT:
                    return got  # type: ignore[no-any-return]
                if self._intake.awaited is None:
                    self._accept(await self._reins.outcomes.arecv())  # type: ignore[union-attr]
                else:
                    self._meet(await potok.aselect(*self._awaited()))
            except potok.ClosedError as error:
                raise self._abandoned() from error

    def take_over(self, first: int, items: list[Any]) -> None:
        """Begin with items that were pulled already."""
        self._next = first
        self._left = first, items

    def stop(self) -> None:
        """Pull no more, and give out what is held; then `take` returns None, and the input is somebody else's."""
        self._stopped = True

    def dismiss(self) -> None:
        """The workers are not needed any more; the input stays open."""
        if self._reins is not None:
            self._reins.let_go()

    def busy_seconds(self) -> float | None:
        """Seconds that a worker is busy with an item, if that is known."""
        return None

    def facts(self) -> Any:
        """What a worker has found out about the function: None, as nobody here was asked to."""
        return None

    def let_go(self) -> None:
        """Cancel the rest. Idempotent, never waits, safe from finalizers."""
        self._intake.close()
        self._ready.clear()
        self._salvage()
        if self._reins is not None:
            self._reins.let_go()

    def _poll(self, awaiting: bool) -> Any:
        """Fill the window, then give out the next piece if it is there; WAIT if it is still to come."""
        if self._left is not None:
            left, self._left = self._left, None
            self._admit(*left, awaiting)
        if not self._stopped:
            self._fill(awaiting)
        if self._reins is not None:
            self._tell_if_all()
        piece = self._ready.pop(self._due(), None)
        if piece is not None:
            count = len(piece[1]) if piece[2] is None else 1
            self._held -= count
            self._next += count
            return piece
        if self._lost is not None:
            raise self._lost
        if self._held:
            return WAIT
        if self._intake.awaited is not None:
            return WAIT
        if not self._stopped:
            self._intake.end()
        return None

    def _due(self) -> int:
        if self.plan.ordered:
            return self._next
        return next(iter(self._ready), -1)

    def _fill(self, awaiting: bool) -> None:
        """Pull what there is room for; but where a result waits to be given out, not more than takes its place.

        The input may take its time: a caller whose next result is at hand should not have to wait for a full window.
        Whenever it is not, the window is filled, and stays full from then on.
        """
        pulled = False
        while self._intake.is_open:
            room = self._reach() - self._held
            if room <= 0 or (pulled and self._has_due()) or self._intake.is_dry():
                return
            first = self._intake.pulled
            items = self._intake.pull(min(room, self._lot_size()))
            if not items:
                return
            self._admit(first, items, awaiting)
            pulled = True

    def _admit(self, first: int, items: list[Any], awaiting: bool) -> None:
        """Items were pulled: to the workers with them, but for those whose outcome is recorded."""
        self._held += len(items)
        records = self._intake.records
        if records is None:
            if self._reins is None:
                self._reins = self._hire(awaiting)
            self._send(first, items)
            return
        for at, run, piece in records.sift(first, items):
            if piece is not None:
                self._keep(piece)
                continue
            if self._reins is None:
                self._reins = self._hire(awaiting)
            self._send(at, run)

    def _hire(self, awaiting: bool) -> Reins:
        return hire(self.plan, awaiting, Crew)

    def _awaited(self) -> list[Any]:
        """What a caller waits for whose input has nothing yet."""
        return [self._intake.awaited] if self._reins is None else [self._reins.outcomes, self._intake.awaited]

    def _meet(self, got: Any) -> None:
        """One of them has come."""
        if got.arm is self._intake.awaited:
            self._intake.bring(got.value)
        else:
            self._accept(got.value)

    def _reach(self) -> int:
        """How many items may be held."""
        return self.plan.window

    def _lot_size(self) -> int:
        """How many items to pull at a time, at most."""
        return 1

    def _send(self, first: int, items: list[Any]) -> None:
        """Give them to the workers, now or soon."""
        self._reins.lots.send_nowait((first, items, 0))  # type: ignore[union-attr]

    def _tell_if_all(self) -> None:
        """Tell the workers where no more will come: they are free for others, whenever the results are read."""

    def _has_due(self) -> bool:
        """Whether the next piece is there, counting those that nobody looked at yet."""
        if self._due() in self._ready:
            return True
        try:
            while self._reins is not None:
                self._accept(self._reins.outcomes.recv_nowait())
        except potok.WouldBlock:
            pass
        return self._due() in self._ready

    def _accept(self, pieces: list[Piece]) -> None:
        """Take what has come from the workers."""
        if self._intake.records is not None:
            self._intake.records.note(pieces)
        for piece in pieces:
            self._keep(piece)

    def _keep(self, piece: Piece) -> None:
        first, item, error, attempts = piece
        if error is None:
            self._ready[first] = piece
        elif first == LOST:
            self._lost = error
            self._intake.close()
        else:
            if self.plan.on_error == "raise":
                self._intake.close()  # what is out already may come before it; more would be work for nothing
            self._ready[first] = first, item, ordinary(error), attempts

    def _salvage(self) -> None:
        """The map ends early: what has come from the workers, and was not looked at, is recorded all the same."""
        if self._intake.records is None or self._reins is None:
            return
        with suppress(potok.PotokError):
            while True:
                self._intake.records.note(self._reins.outcomes.recv_nowait())

    def _abandoned(self) -> BaseException:
        """The supervisor ended before we did. Raises Cancelled if that is because we shall, too."""
        potok.checkpoint()
        return potok.ScopeError(
            f"the workers of this map over {self.plan.name} were stopped before its results were read: the scope, or "
            f"the task, in which it was iterated first has ended or was cancelled; read the results inside it"
        )


def ordinary(error: BaseException) -> BaseException:
    """An item's cancellation is an ordinary error here. Raises it if the consumer is cancelled as well."""
    told = calls.ordinary(error)
    if told is not error:
        potok.checkpoint()
        if not isinstance(error, potok.Cancelled) and _is_being_cancelled():
            raise error
    return told


def _is_being_cancelled() -> bool:
    """Whether somebody has asked asyncio to cancel the current task."""
    asyncio = sys.modules.get("asyncio")
    try:
        task = asyncio.current_task() if asyncio is not None else None
    except RuntimeError:  # there is no event loop here
        return False
    return task is not None and bool(task.cancelling())
