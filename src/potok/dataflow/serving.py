"""The workers of a map in other address spaces: what each one does with the lots it is given.

    dispatcher ──lot──▶ worker: works on its items one after the other ──(number, kind, …)──▶ dispatcher

What a worker says
    (number, HERE)                           it has come up
    (number, BEGUN, index or None)           it begins with an item, or is between two; only where there is a time-out
    (number, DONE, first, seconds, count, pieces)
                                             what became of the first `count` items of the lot that begins with `first`;
                                             the rest it gives back
    (number, PART, first, count, pieces)     the same while it works on, where it is to be careful: one piece each time
    (number, FACTS, facts)                   what the function is like; once, where that was asked for
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from time import perf_counter
from typing import Any, Final

import potok
from potok.dataflow.calls import noted, retold
from potok.dataflow.plan import ENOUGH, Lot, Piece, Plan, shown, unheard, without_our_frames
from potok.dataflow.sizing import PATIENCE

__all__ = ["BEGUN", "DONE", "END", "FACTS", "HERE", "PART", "aserve", "serve"]

HERE, BEGUN, DONE, PART, FACTS = range(5)

END: Final[Lot] = (-2, [], 0)
"""No lot: there are no more. Comes before the channel is closed, of which a worker hears by asking only."""

MANY: Final = 256
"""Items, at most, that a probe looks on at."""


class _Server:
    """One worker, in its own address space."""

    def __init__(self, plan: Plan, number: int, mail: potok.Sender[Any]) -> None:
        self._plan = plan
        self._number = number
        self._mail = mail
        self._first = 0
        self._begun = 0.0
        self._done = 0
        self._pieces: list[Piece] = []
        self.begin: Callable[[int | None], None] = unheard if plan.timeout is None else self._tell_begun
        self._probe: Any = None
        self._looked = 0
        if plan.probes and plan.is_plain and not plan.is_async:
            from potok.adviser.probe import Probe

            self._probe = Probe(plan.fn, plan.star)
        mail.send_nowait((number, HERE))

    def open(self, first: int) -> None:
        """A new lot."""
        self._first, self._begun, self._done, self._pieces = first, perf_counter(), 0, []

    def add(self, piece: Piece, count: int) -> bool:
        """Keep a piece until the lot is done. A park point. True: enough for one lot.

        A worker that alone was cancelled, by its function for one, tells what is done and leaves the rest to others.
        """
        first, value, error, attempts = piece
        if error is None:
            self._done += len(value)
            self._add_values(piece)
        else:
            self._done += 1
            self._pieces.append((first, None, noted(error), attempts))
        try:
            potok.checkpoint()
        except potok.Cancelled:
            self.close()
            raise
        if self._plan.careful:
            self._tell(PART)
            return False
        return self._done < count and perf_counter() - self._begun > PATIENCE

    def _add_values(self, piece: Piece) -> None:
        """Join them to those of the neighbours before, where these came out as well: each piece costs its reader."""
        if self._pieces:
            _, values, error, attempts = self._pieces[-1]
            if error is None and attempts == piece[3]:
                values += piece[1]
                return
        self._pieces.append(piece)

    def close(self) -> None:
        """Tell what became of the lot, together, or, where something can't be pickled, one by one. Never waits."""
        self._tell(DONE, perf_counter() - self._begun)

    def _tell(self, kind: int, *seconds: float) -> None:
        pieces, self._pieces = self._pieces, []  # the tracebacks of items that failed would live on in them
        head = (self._number, kind, self._first, *seconds, self._done)
        try:
            self._mail.send_nowait((*head, pieces))
            return
        except potok.RemoteError:
            pass
        told: list[Piece] = []
        for first, values, failure, attempts in pieces:
            if failure is not None:
                told.append((first, values, failure, attempts))
                continue
            for at, value in enumerate(values):
                error = self._refusal(value)
                told.append((first + at, [value] if error is None else None, error, attempts))
        self._mail.send_nowait((*head, told))

    def _refusal(self, value: Any) -> BaseException | None:
        """Why a value can't be sent."""
        try:
            self._mail.send_nowait((self._number, None, value))
        except potok.RemoteError as error:
            return retold(error, f"the result {shown(value)}", "[2]")
        return None

    @property
    def looks_on(self) -> bool:
        """Whether the function is still to be found out about."""
        return self._probe is not None

    def looked_on(self, lot: Lot) -> Iterator[Piece]:
        """What becomes of the items of a lot, one by one, under the eyes of a probe, until it has seen enough."""
        first, items, tried = lot
        for at, item in enumerate(items):
            values: list[Any] = []
            try:
                self._probe.run([item], into=values)
            except BaseException as error:  # noqa: BLE001 - data from here on: the consumer decides
                yield first + at, item, without_our_frames(error), tried + 1
            else:
                refused = self._plan.refuse_coroutines(values)
                yield first + at, values if refused is None else item, refused, tried + 1
        self._looked += len(items)
        if self._probe.seen >= ENOUGH or self._looked >= MANY:
            self._mail.send_nowait((self._number, FACTS, self._probe.facts(sure=True)))
            self._probe = None

    def _tell_begun(self, index: int | None) -> None:
        self._mail.send_nowait((self._number, BEGUN, index))


def serve(plan: Plan, number: int, lots: potok.Receiver[Lot], mail: potok.Sender[Any]) -> None:
    """Work on lots, under a `def` function, until there are no more. The task of a worker."""
    server = _Server(plan, number, mail)
    with suppress(potok.ClosedError):  # the map has ended
        for lot in lots:
            if lot[0] == END[0]:
                return
            _work_on(lot, plan, server)
            del lot
            server.close()


def _work_on(lot: Lot, plan: Plan, server: _Server) -> None:
    server.open(lot[0])
    piece = None
    try:
        for piece in _pieces(lot, plan, server):
            if server.add(piece, len(lot[1])):
                return
    finally:
        del piece, lot  # the tracebacks of items that failed refer to this frame


def _pieces(lot: Lot, plan: Plan, server: _Server) -> Iterator[Piece]:
    if server.looks_on:
        return server.looked_on(lot)
    if not plan.careful:
        return plan.work(lot, server.begin)
    first, items, tried = lot
    return chain.from_iterable(
        plan.work((first + at, [item], tried), server.begin) for at, item in enumerate(items)
    )


async def aserve(plan: Plan, number: int, lots: potok.Receiver[Lot], mail: potok.Sender[Any]) -> None:
    """The same under an `async def` function: one item after the other, in an event loop of this worker's own."""
    server = _Server(plan, number, mail)
    with suppress(potok.ClosedError):
        async for lot in lots:
            if lot[0] == END[0]:
                return
            await _awork_on(lot, plan, server)
            del lot
            server.close()


async def _awork_on(lot: Lot, plan: Plan, server: _Server) -> None:
    first, items, tried = lot
    server.open(first)
    try:
        for at, item in enumerate(items):
            if server.add(await plan.aattempt(first + at, item, tried, server.begin), len(items)):
                return
    finally:
        del lot, items
