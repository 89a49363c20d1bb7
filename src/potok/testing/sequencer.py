"""Steps of several tasks, forced into one order."""

from __future__ import annotations

import threading
from types import TracebackType

from potok.errors import ClosedError
from potok.primitives.channels import Receiver, Sender, channel

__all__ = ["Sequencer"]


class Sequencer:
    """Runs the blocks of several tasks in the order of their numbers, from 0 without gaps.

        seq = Sequencer()                 # shared by the tasks
        with seq(1): ...                  # in one task; `async with` in an `async def` one
        with seq(0): ...                  # in another: this block runs first

    A block that raises, a cancelled one included, lets the next one run all the same.
    Source: trio.testing.Sequencer. We deviate in having both spellings and no broken state.
    """

    def __init__(self) -> None:
        self._gates: dict[int, Gate] = {}
        self._lock = threading.Lock()
        self._gate(0).open()

    def __call__(self, step: int) -> Step:
        """The block of this number. Raises ValueError if the number is negative or was used before."""
        gate = self._gate(step)
        if step < 0 or gate.used:
            raise ValueError(
                f"step {step} is {'negative' if step < 0 else 'taken'}: each of 0, 1, 2, ... is used once"
            )
        gate.used = True
        return Step(gate, self._gate(step + 1))

    def _gate(self, step: int) -> Gate:
        with self._lock:
            return self._gates.setdefault(step, Gate())


class Gate:
    """Closed, then open for good: a channel without items, whose only news is its end."""

    def __init__(self) -> None:
        self.used = False
        self._tx: Sender[None]
        self._rx: Receiver[None]
        self._tx, self._rx = channel(name="step")

    def open(self) -> None:
        """Let through whoever waits, or will."""
        self._tx.close()

    def wait(self) -> None:
        """Wait until it is open."""
        try:
            self._rx.recv()
        except ClosedError:
            self._rx.close()

    async def await_(self) -> None:
        """Wait until it is open."""
        try:
            await self._rx.arecv()
        except ClosedError:
            self._rx.close()


class Step:
    """The block of one number; made by calling a `Sequencer`."""

    def __init__(self, mine: Gate, next_one: Gate) -> None:
        self._mine = mine
        self._next = next_one

    def __enter__(self) -> None:
        self._mine.wait()

    async def __aenter__(self) -> None:
        await self._mine.await_()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._next.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._next.open()
