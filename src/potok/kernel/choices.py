"""Fair choices, where the schedule is nobody's to decide: a small generator of pseudo-random numbers.

Not from `random`: that costs an import of hashing modules, and its state would be the user's to seed.
"""

from __future__ import annotations

import os

__all__ = ["choose"]

_state = int.from_bytes(os.urandom(8), "little") | 1


def choose(n: int) -> int:
    """One of `range(n)` (Marsaglia's xorshift, 64 bits; a lost update between threads does no harm)."""
    global _state
    x = _state
    x ^= (x << 13) & 0xFFFFFFFFFFFFFFFF
    x ^= x >> 7
    x ^= (x << 17) & 0xFFFFFFFFFFFFFFFF
    _state = x
    return (x >> 11) % n
