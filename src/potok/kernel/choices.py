"""Fair choices, where the schedule is nobody's to decide: a small generator of pseudo-random numbers.

Not from `random`: that costs an import of hashing modules, and its state would be the user's to seed.
"""

from __future__ import annotations

import os

__all__ = ["choose"]

_state = int.from_bytes(os.urandom(4), "little") & 0x7FFFFFFF


def choose(n: int) -> int:
    """One of `range(n)` (a linear congruence's high bits; a lost update between threads does no harm)."""
    global _state
    _state = x = (_state * 1103515245 + 12345) & 0x7FFFFFFF
    return (x >> 12) % n
