"""Who gives work to the workers of a map in other address spaces, and knows what each one has in hand.

    consumer ─pending─▶ dispatcher ──lot──▶ worker 1, worker 2, …     a channel to each worker
    consumer ◀─pieces── dispatcher ◀─────── mail, from all of them

A worker is one task of the supervisor's scope. How many items make a lot follows what the workers tell (`sizing`).
Short lots are sent ahead, one to each worker, so that none of them waits for us; long ones are not, so that no item
waits behind a long one while another worker has nothing to do. Nor does an item wait for a worker that is yet to come
up, where another one could take it: only the first has its lot sent after it as it is started.

Invariants
    Every item is in one place: `pending`, `alone` (see `again`), the hand of one worker, or told to the consumer.
    A worker works on its lots in order: what it had begun, as it died, is in the first that is not answered.
    So of a worker's death are suspect the items of that lot only.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from time import monotonic, perf_counter
from typing import Any, Final

import potok
from potok.dataflow.again import Again
from potok.dataflow.board import Board, Hand, leaving, open_boards
from potok.dataflow.calls import retold
from potok.dataflow.crew import DONE as MAP_ENDED
from potok.dataflow.crew import tell_of
from potok.dataflow.plan import Lot, Piece, Plan, shown
from potok.dataflow.serving import BEGUN, DONE, END, FACTS, HERE, PART, aserve, serve

__all__ = ["lead"]

GRACE: Final = 0.1
"""Seconds that an item may take beyond its time-out, to end by itself, before its worker is killed."""

QUESTION: Final[Lot] = (-1, [], 0)
"""A lot without items, which no worker takes for work: its answer tells that everything before it was answered."""

FRUITLESS: Final = 3
"""Workers in a row that may die before they have come up."""


def lead(
    board: Board,
    plan: Plan,
    name: str,
    bell: potok.Receiver[None],
    outcomes: potok.Sender[list[Piece]],
    *ends: Any,
) -> None:
    """Be the dispatcher until one of the `ends` comes about, or the workers are lost. A park point."""
    open_boards.add(board)
    try:
        with potok.scope(on=plan.on, on_fail="collect") as scope:
            try:
                if _Dispatcher(board, plan, name, scope, bell, outcomes, ends).run():
                    return  # the workers end by themselves, which is over sooner
            except Exception as error:  # noqa: BLE001 - whatever it is, the consumer must hear of it
                tell_of(error, outcomes)
            scope.cancel(MAP_ENDED)
    except* Exception:  # noqa: BLE001, S110 - how workers failed was dealt with, one by one
        pass
    finally:
        open_boards.discard(board)


class _Dispatcher:
    """The supervisor's state, used by its task alone."""

    def __init__(
        self,
        board: Board,
        plan: Plan,
        name: str,
        scope: Any,
        bell: potok.Receiver[None],
        outcomes: potok.Sender[list[Piece]],
        ends: tuple[Any, ...],
    ) -> None:
        self._board = board
        self._plan = plan
        self._name = name
        self._scope = scope
        self._bell = bell
        self._outcomes = outcomes
        self._ends = ends
        self._mail_tx, self._mail = potok.channel(potok.UNBOUNDED, name=f"{name}: mail")
        self._pending = board.pending
        self._again = Again(plan, board.put_back, self._tell)
        self._lonely: Hand | None = None  # the worker for what is tried alone
        self._hands = board.hands
        self._numbers = 0
        self._most = plan.workers  # or as many as there were when the executor refused one more
        self._leaving: list[potok.Task[None]] = []  # those for whose end we wait to ask it again
        self._over = False
        self._fruitless = 0
        self._sizing = board.sizing

    def run(self) -> bool:
        """Until it is over: whether all was done.

        The one loop: take in what has come, see who has died, who is late, give out, wait.
        """
        try:
            while True:
                self._take_in()
                self._bury_dead()
                self._kill_late()
                self._give_out()
                if self._over:
                    return False
                if self._has_done_all():
                    self._send_newcomers_away()
                    return True
                self._wait()
        finally:
            self._mail_tx.close()
            self._mail.close()
            for hand in self._hands.values():
                hand.tx.close()

    def _has_done_all(self) -> bool:
        """Whether nothing is left to be done: the workers are free for others, whenever the results are read."""
        return self._has_given_all() and not any(hand.lots for hand in self._hands.values())

    def _has_given_all(self) -> bool:
        """Whether all is done or in the hands of workers, and no more will come."""
        return self._board.input_ended and not self._pending and not self._again.alone

    def _send_newcomers_away(self) -> None:
        """Who has not come up yet is not waited for: that may take as long as an initializer does."""
        for hand in self._hands.values():
            if not hand.greeted:
                hand.task.cancel(MAP_ENDED)

    # ── what comes in ───────────────────────────────────────────────────────────────────────────────────────

    def _take_in(self) -> None:
        while True:
            try:
                self._hear_worker(*self._mail.recv_nowait())
            except potok.WouldBlock:
                break
            except potok.RemoteError as error:
                self._ask_around(error)
        try:
            while True:
                self._bell.recv_nowait()  # that it rang is all that it says
        except potok.WouldBlock:
            pass
        except potok.ClosedError:  # the consumer wants no more
            self._over = True

    def _hear_worker(self, number: int, kind: int | None, *told: Any) -> None:
        hand = self._hands.get(number)
        if hand is None:  # given up: an interpreter that was late and can't be killed
            return
        if kind == DONE:
            self._answered(hand, *told)
        elif kind == BEGUN:
            self._has_begun(hand, *told)
        elif kind == PART:
            self._answered_in_part(hand, *told)
        elif kind == FACTS:
            self._board.facts = told[0]
        elif kind == HERE:
            hand.greeted, self._fruitless = True, 0

    def _has_begun(self, hand: Hand, index: int | None) -> None:
        while index is not None and not 0 <= index - hand.lots[0][0] < len(hand.lots[0][1]):
            self._again.unread(hand.lots.popleft())
        hand.index, hand.since = index, monotonic()

    def _ask_around(self, error: potok.RemoteError) -> None:
        """What a worker said can't be unpickled here, and nobody knows which one: each is given an empty lot.

        Its answer to that shows which lots it has answered before.
        """
        self._again.unreadable = error
        for hand in self._hands.values():
            if hand.lots:
                with suppress(potok.ClosedError):  # it has died: we shall see
                    hand.tx.send_nowait(QUESTION)
                    hand.lots.append(QUESTION)

    def _answered_in_part(self, hand: Hand, at: int, count: int, pieces: list[Piece]) -> None:
        """A careful worker has gone on. What it has told of before, and was not heard, can't be unpickled here."""
        while hand.lots[0][0] != at:
            self._again.unread(hand.lots.popleft())
        first, items, tried = hand.lots[0]
        for place in range(hand.part, count - len(pieces)):
            self._again.unread((first + place, [items[place]], tried))
        hand.part = count
        self._tell_with_items(pieces, first, items)

    def _tell_with_items(self, pieces: list[Piece], first: int, items: list[Any]) -> None:
        for place, piece in enumerate(pieces):
            if piece[2] is not None:  # failures travel without their items
                pieces[place] = piece[0], items[piece[0] - first], piece[2], piece[3]
        self._tell(pieces)

    def _answered(self, hand: Hand, at: int, seconds: float, count: int, pieces: list[Piece]) -> None:
        if hand.is_careful and hand.lots[0][0] == at:
            self._answered_in_part(hand, at, count, pieces)
            hand.part, pieces = 0, []
        while hand.lots[0][0] != at:
            self._again.unread(hand.lots.popleft())
        first, items, tried = hand.lots.popleft()
        hand.index = None
        hand.done += count
        if count < len(items):
            self._board.put_back((first + count, items[count:], tried))
        if count and seconds > 0:
            self._sizing.heard(seconds / count, count)
        self._tell_with_items(pieces, first, items)

    def _tell(self, pieces: list[Piece]) -> None:
        with suppress(potok.ClosedError):  # it wants to hear no more: the next look at the ends says so
            self._outcomes.send_nowait(pieces)

    # ── what goes out ───────────────────────────────────────────────────────────────────────────────────────

    def _give_out(self) -> None:
        if self._again.alone and not self._over:
            self._give_alone()
        for hand in list(self._hands.values()):
            if not hand.lots and self._can_take(hand):
                self._give(hand)
        while self._board.waiting() > self._coming() and not self._over and self._may_start():
            new = self._start()
            if new is None:
                return
            if self._can_take(new):
                self._give(new)
        if self._pending and self._sizing.sends_ahead:
            self._give_ahead()
        if self._has_given_all():
            self._say_it_was_all()

    def _give_ahead(self) -> None:
        """A second lot for whoever has one, as far as others would not miss it."""
        for hand in list(self._hands.values()):
            if len(hand.lots) == 1 and self._board.can_spare_lot(self._kept()):
                self._give(hand)

    def _kept(self) -> int:
        """How many items are not sent ahead: one for each worker that is to come up, and at the end for each of all.

        A worker that has nothing to do is not to see the last of them wait behind one that takes long.
        """
        return len(self._hands) if self._board.input_ended else self._coming()

    def _say_it_was_all(self) -> None:
        """So that each worker ends as it has answered its last lot, and is idle when the next map is begun.

        One that has died, or gives back what it got, is replaced: a task more for a worker that is there.
        """
        for hand in self._hands.values():
            if hand is not self._lonely and not hand.tx.closed:
                with suppress(potok.ClosedError):  # it has died: we shall see
                    hand.tx.send_nowait(END)
                hand.tx.close()

    def _can_take(self, hand: Hand) -> bool:
        """Whether it has come up, or is the only one, so that nobody else could take what it is sent."""
        return hand.greeted or hand is self._lonely or len(self._hands) == 1

    def _coming(self) -> int:
        """How many workers are to come up, and will then want something to do."""
        return sum(
            not hand.lots and not hand.tx.closed and not self._can_take(hand) for hand in self._hands.values()
        )

    def _give_alone(self) -> None:
        """To a careful worker; where there can be none more, one that has nothing to do makes room for it."""
        if self._lonely is None and self._may_start():
            self._lonely = self._start(careful=True)
        if self._lonely is None and not any(hand.tx.closed for hand in self._hands.values()):
            for hand in self._hands.values():
                if not hand.lots:
                    hand.tx.close()
                    return
        if self._lonely is not None and not self._lonely.lots:
            self._send(self._lonely, self._again.alone.popleft())

    def _appetite(self) -> int:
        """How many items could be given out as soon as they come: one, where a worker has nothing to do."""
        idle = [
            hand
            for hand in self._hands.values()
            if not hand.lots and not hand.tx.closed and self._can_take(hand)
        ]
        if any(hand is not self._lonely for hand in idle):
            return 0 if self._again.alone and self._lonely is None else 1
        if self._may_start():
            return 1 + self._coming()
        ahead = self._sizing.sends_ahead and any(
            len(hand.lots) == 1 and not hand.tx.closed and hand is not self._lonely
            for hand in self._hands.values()
        )
        return self._board.to_spare(self._sizing.size, self._kept()) if ahead else 0

    def _give(self, hand: Hand) -> None:
        """Send it the next lot, if there is one. A careful worker ends when nothing is left to be tried."""
        if hand is self._lonely:
            if not self._again.alone and not hand.lots:
                self._lonely = None
                hand.tx.close()
        elif self._pending and not hand.tx.closed:
            self._send(hand, self._board.cut())

    def _send(self, hand: Hand, lot: Lot) -> None:
        first, items, tried = lot
        began = perf_counter()
        try:
            hand.tx.send_nowait(lot)
        except potok.ClosedError:  # it has died, or ended: we shall see
            self._board.put_back(lot)
            return
        except potok.RemoteError as error:
            if len(items) == 1:
                told = retold(error, f"the item {shown(items[0])}", "[1][0]")
                self._tell([(first, items[0], told, tried + 1)])
            else:
                for at, item in enumerate(items):
                    self._send(hand, (first + at, [item], tried))
            return
        hand.lots.append(lot)
        self._sizing.sent((perf_counter() - began) / len(items))

    def _may_start(self) -> bool:
        """Whether there may be a worker more."""
        if self._leaving and any(task.done() for task in self._leaving):
            self._leaving = []
        return len(self._hands) < self._most and not self._leaving

    def _start(self, careful: bool = False) -> Hand | None:
        """One worker more; None if there can be none: then those that are there have to do, or it is over.

        But where the executor refuses it, and workers of a map before are about to end, it is asked again after that.
        """
        self._numbers += 1
        number = self._numbers
        tx, rx = potok.channel(potok.UNBOUNDED, name=f"{self._name}.{number}: lots")
        work = aserve if self._plan.is_async else serve
        about_to_end = leaving(self._plan.on)  # looked up first: who ends meanwhile has made room
        try:
            plan = self._plan._replace(
                on="elsewhere", careful=careful, probes=self._plan.probes and not careful
            )
            task = self._scope.start(
                work, plan, number, rx, self._mail_tx.clone(), name=f"{self._name}.{number}"
            )
        except potok.PotokError as error:  # the function can't be pickled; no more workers are allowed
            tx.close()
            rx.close()
            if about_to_end and not isinstance(error, potok.RemoteError):
                self._leaving = about_to_end
                return None
            if isinstance(error, potok.RemoteError) or not self._hands:
                self._lose(retold(error, f"the function {self._plan.name}", "[1][0][0]"))
            self._most = len(self._hands)
            return None
        rx.close()
        hand = self._hands[number] = Hand(number, task, tx, careful)
        return hand

    # ── who is late, who has died ───────────────────────────────────────────────────────────────────────────

    def _deadline(self) -> float | None:
        if self._plan.timeout is None:
            return None
        begun = [hand.since for hand in self._hands.values() if hand.index is not None and hand.late is None]
        return min(begun) + self._plan.timeout + GRACE if begun else None

    def _kill_late(self) -> None:
        deadline = self._deadline()
        if deadline is None or monotonic() < deadline:
            return
        for hand in list(self._hands.values()):
            if hand.index is None or hand.late is not None or hand.task.done():
                continue
            if monotonic() >= hand.since + self._plan.timeout + GRACE:  # type: ignore[operator]
                hand.late = hand.index
                pid = hand.task.pid
                if pid == os.getpid():  # an interpreter: it can't be killed, but left alone
                    hand.task.cancel("an item took too long")
                    self._bury(hand)
                else:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL if os.name == "posix" else signal.SIGTERM)

    def _bury_dead(self) -> None:
        for hand in [hand for hand in self._hands.values() if hand.task.done()]:
            self._take_in()  # what it said last comes before its end
            if hand.task.exception() is None and self._again.unreadable is not None:
                while hand.lots:  # it has answered all that it got
                    self._again.unread(hand.lots.popleft())
            self._bury(hand)

    def _bury(self, hand: Hand) -> None:
        """A worker has ended, or is given up: whatever it had in hand is taken up again, or reported."""
        del self._hands[hand.number]
        hand.tx.close()
        if self._lonely is hand:
            self._lonely = None
        error = hand.task.exception() if hand.task.done() else None
        lots = [lot for lot in hand.lots if lot is not QUESTION]
        begun = lots.pop(0) if lots else None
        if begun is not None and hand.part:
            left = begun[1][hand.part :]
            begun = (begun[0] + hand.part, left, begun[2]) if left else None
        for lot in reversed(lots):
            self._board.put_back(lot)
        if begun is None:
            if not hand.greeted and error is not None and not isinstance(error, potok.TaskCancelled):
                self._count_fruitless(error)
        elif hand.late is not None and hand.late == hand.index:
            self._again.late(begun, hand.late)
        elif error is None or isinstance(error, potok.TaskCancelled) or hand.late is not None:
            self._board.put_back(begun)
        elif not hand.greeted:
            self._board.put_back(begun)
            self._count_fruitless(error)
        else:
            self._again.suspect(begun, error, careful=hand.is_careful)

    def _count_fruitless(self, error: BaseException) -> None:
        self._fruitless += 1
        if not isinstance(error, potok.WorkerDied) or self._fruitless >= FRUITLESS:
            self._lose(error)

    def _lose(self, error: BaseException) -> None:
        tell_of(error, self._outcomes)
        self._over = True

    # ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────

    def _wait(self) -> None:
        self._board.hungry = self._appetite()
        if self._board.hungry and self._board.waiting() >= self._board.hungry:
            return
        deadline = self._deadline()
        timeout = None if deadline is None else max(0.0, deadline - monotonic())
        tasks = [*(hand.task for hand in self._hands.values()), *self._leaving]
        try:
            got = potok.select(self._mail, self._bell, *self._ends, *tasks, timeout=timeout)
        except potok.Cancelled:
            raise
        except potok.RemoteError as error:  # if it is how a task has failed, asking does no harm
            self._ask_around(error)
            return
        except BaseException as error:  # noqa: BLE001 - an arm's own: the leash was let go, a task has failed
            arm = getattr(error, "arm", None)
            self._over |= arm is self._bell or any(end is arm or _has_ended(end) for end in self._ends)
            return
        if got.arm is self._mail:
            self._hear_worker(*got.value)
        elif got.arm is not self._bell and any(end is got.arm for end in self._ends):
            self._over = True


def _has_ended(end: Any) -> bool:
    return isinstance(end, potok.Task) and end.done()
