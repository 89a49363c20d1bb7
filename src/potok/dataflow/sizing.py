"""How many items make a lot of a map in other address spaces.

A lot costs its way there and back, some 0.3 ms of processor time in all, whatever is in it: one that takes `TARGET`
seconds spends little on that, and still little is lost where one worker ends that much earlier than another, or where
a worker dies with it. Sizes begin with one item and grow, or shrink, by what is heard of the lots before. Towards the
end of the input they shrink, so that all workers end together.
"""

from __future__ import annotations

from typing import Final

from potok.dataflow.plan import Plan

__all__ = ["LARGEST", "PATIENCE", "TYPICAL", "Sizing"]

TARGET: Final = 0.04
"""Seconds that a lot should take."""

TYPICAL: Final = TARGET / 8
"""Seconds that a lot takes over a whole map, with the short ones at its beginning and end: what is reckoned with."""

PATIENCE: Final = 1.5 * TARGET
"""Seconds after which a lot is not worked on to its end: its items take longer than was thought."""

AHEAD: Final = 1.5 * TARGET
"""Seconds that a lot may be expected to take for it to be sent ahead."""

SHORTEST: Final = 0.001
"""Seconds that a lot should take at least, also towards the end of the input."""

LARGEST: Final = 4096
"""Items in a lot, at most."""

GROWTH: Final = 256
"""Times as many items as before, at most: what turns out to take longer than was thought is given back."""

SENDING: Final = 0.005
"""Seconds that it should take to send a lot, at most: big items would fill the memory, and keep all others waiting."""

TRUST: Final = 8
"""How many items must have been heard of, for each that is taken to be like them."""


class Sizing:
    """Kept by the dispatcher; the consumer reads `size`, and `busy`."""

    __slots__ = ("_batch", "_heard", "_largest", "_seconds", "_sending", "_workers", "busy", "size")

    def __init__(self, plan: Plan) -> None:
        self._batch = plan.batch
        self._workers = plan.workers
        most = max(1, plan.window // (2 * plan.workers))
        self._largest = plan.batch or (LARGEST if plan.stretches else min(LARGEST, most))
        self._heard = 0  # of how many items
        self._seconds = 0.0  # that an item takes, or to send it, where that takes longer
        self._sending = 0.0  # seconds that it takes to send an item
        self.busy = 0.0  # seconds that a worker takes for an item, by the last lot
        self.size = plan.batch or 1

    def heard(self, seconds: float, items: int = 1) -> None:
        """A worker has taken so many seconds for each of so many items."""
        self._heard += items
        self.busy = seconds
        self._resize()

    def sent(self, seconds: float) -> None:
        """It has taken so many seconds to send an item; a single one may have been interrupted at that."""
        self._sending = min(seconds, 2 * self._sending) if self._sending else seconds
        self._resize()

    def _resize(self) -> None:
        self._seconds = max(self.busy, self._sending)
        if self._batch is None and self.busy:  # before that, nothing is known of what the first ones take
            most = min(TARGET / self._seconds, SENDING / self._sending if self._sending else LARGEST)
            self.size = max(1, min(int(most), GROWTH * self.size, self._largest))

    @property
    def sends_ahead(self) -> bool:
        """Whether a worker should have a second lot in hand; not before it is known how long the first one may take."""
        return self.busy > 0 and self._seconds * self.size <= AHEAD

    def is_short(self, count: int) -> bool:
        """Whether a lot of so many items is sooner done than asked for, about."""
        return self._seconds * count <= 2 * SHORTEST

    def of_the_last(self, left: int) -> int:
        """How many make a lot where so many are left, and no more will come.

        Never more than one worker's share, unless they are few beside those that were heard of: they may take much
        longer, and would wait behind each other while a worker has nothing to do.
        """
        if self._batch is not None:
            return self.size
        least = int(SHORTEST / self._seconds) if self._seconds else 1
        trusted = max(-(-left // self._workers), self._heard // TRUST)
        return max(1, min(self.size, trusted, max(least, left // (2 * self._workers))))
