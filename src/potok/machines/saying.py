"""What both directions of a flow share: the channel that they are of, and what is to be said to other spaces."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Saying"]


class Saying:
    """Part of a channel at its home: called inside of it."""

    __slots__ = ("machine", "said", "stir")

    def __init__(self, machine: Any, stir: Callable[[int], object]) -> None:
        self.machine = machine
        self.stir = stir  # told of the space, when there is something to be said to it
        self.said: dict[int, deque[tuple[str, tuple[Any, ...]]]] = {}

    def say(self, space: int, op: str, *args: Any) -> None:
        said = self.said.get(space)
        if said is None:
            said = self.said[space] = deque()
        said.append((op, args))
        if len(said) == 1:
            self.stir(space)

    def look(self) -> None:
        """See what was taken elsewhere, without being told."""
        raise NotImplementedError

    def settle(self) -> None:
        """After any change: do whatever is due."""
        raise NotImplementedError
