"""What weak collections hold at one moment.

Iterating over one is Python code, in which other threads have their turn: it fails where they add something meanwhile.
A copy of what is inside is made in one step.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

__all__ = ["items_by_key", "items_of", "members_of"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def members_of(things: WeakSet[V]) -> list[V]:
    """What is alive of a set."""
    return [thing for known in things.data.copy() if (thing := known()) is not None]  # type: ignore[attr-defined]


def items_of(things: WeakValueDictionary[K, V]) -> list[tuple[K, V]]:
    """Keys and values of which the value is alive."""
    data = things.data.copy()  # type: ignore[attr-defined]
    return [(key, thing) for key, known in data.items() if (thing := known()) is not None]


def items_by_key(things: WeakKeyDictionary[K, V]) -> list[tuple[K, V]]:
    """Keys and values of which the key is alive."""
    data = things.data.copy()  # type: ignore[attr-defined]
    return [(key, value) for known, value in data.items() if (key := known()) is not None]
