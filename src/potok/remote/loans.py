"""Loans: memory of ours that a task fills in place and sends without a copy. Once it was sent, nobody may write there.

The array that was lent is made read-only, a memoryview is released. Other arrays over the same memory are counted, by
the references to what they all are views of. What is not seen: a memoryview taken of the array, or a pointer to it.

Rejected: to take the right to write from the pages as well. That takes as long as the copy that a loan saves (2 ms for
64 MiB, and as much to give it back).

Invariants
    A loan that was sent without a copy has one user here, the array itself, and that one can't write any more.
    Where other views of it are about, or only a part of it is sent, it is copied: the loan goes on.
"""

from __future__ import annotations

import gc
import sys
from typing import Any
from weakref import ref

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

    def end(self) -> None:
        """It was sent."""
        lent = self._lent()
        if isinstance(lent, memoryview):
            lent.release()
        elif lent is not None:
            lent.flags.writeable = False


def _references_to_memory(lent: Any) -> int:
    """How many refer to what all views of it have in common."""
    if isinstance(lent, memoryview):
        (common,) = gc.get_referents(lent)
    else:
        common = lent.base
        while getattr(common, "base", None) is not None and isinstance(common.base, type(lent)):
            common = common.base
    return sys.getrefcount(common)
