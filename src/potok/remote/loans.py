"""Loans: memory of ours that a task fills in place and sends without a copy. Once it was sent, nobody may write there.

The array that was lent is made read-only (a memoryview is released), and so is the memory itself, as far as this
process is concerned: what got round the first (a memoryview taken of the array before) faults, rather than changing
what the receiver reads.

Invariants
    A loan that was sent without a copy has one user here, the array itself, and that one can't write any more.
    Where other views of it are about, or only a part of it is sent, it is copied: the loan goes on.
"""

from __future__ import annotations

import gc
import sys
from typing import Any
from weakref import ref

from potok.links.blocks import Block

__all__ = ["Loan"]


class Loan:
    """Who may write in a block of ours.

    Args:
        lent: the array, or memoryview, that is over the whole of it.
    """

    __slots__ = ("_lent", "_references")

    def __init__(self, lent: Any) -> None:
        self._lent = ref(lent)  # it keeps the block alive, not the other way round
        self._references = _references_to_memory(lent)

    def may_go(self, buffer: Any) -> bool:
        """Whether this, which is being packed, is the whole loan, and nobody else could write in it."""
        lent = self._lent()
        if lent is None or memoryview(buffer).obj is not lent:
            return False
        return _references_to_memory(lent) <= self._references

    def end(self, block: Block) -> None:
        """It was sent."""
        lent = self._lent()
        if isinstance(lent, memoryview):
            lent.release()
        elif lent is not None:
            lent.flags.writeable = False
        block.arena.protect(block.offset, False)


def _references_to_memory(lent: Any) -> int:
    """How many refer to what all views of it have in common."""
    if isinstance(lent, memoryview):
        (common,) = gc.get_referents(lent)
    else:
        common = lent.base
        while getattr(common, "base", None) is not None and isinstance(common.base, type(lent)):
            common = common.base
    return sys.getrefcount(common)
