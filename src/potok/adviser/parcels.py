"""How big the arguments and results are when pickled, and how long that takes."""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from typing import Any, Final

from potok.adviser.agreement import Failure
from potok.adviser.comparison import Parcel

__all__ = ["weigh"]

SECONDS: Final = 0.2  # that looking may take
MOST: Final = 2000  # items that are looked at


def weigh(items: Sequence[Any], values: Sequence[Any]) -> Parcel | None:
    """Pickle arguments and results, and back, as links do; None if one of them can't be pickled.

    Buffers travel outside of the pickle and are copied once. Items are taken from all over the sample.
    """
    until = time.perf_counter() + SECONDS
    step = max(1, len(items) // MOST)
    sizes, seconds, looked_at = [0, 0], [0.0, 0.0], 0
    for item, value in zip(items[::step], values[::step], strict=True):
        if isinstance(value, Failure):
            continue
        for place, part in enumerate((item, value)):
            began = time.perf_counter()
            try:
                size = _there_and_back(part)
            except Exception:  # noqa: BLE001 - whatever its class does
                return None
            seconds[place] += time.perf_counter() - began
            sizes[place] += size
        looked_at += 1
        if time.perf_counter() > until:
            break
    if not looked_at:
        return None
    return Parcel(*(total / looked_at for total in (*sizes, *seconds)))


def _there_and_back(part: Any) -> int:
    buffers: list[pickle.PickleBuffer] = []
    packed = pickle.dumps(part, protocol=5, buffer_callback=buffers.append)
    copies = [bytes(buffer.raw()) for buffer in buffers]
    pickle.loads(packed, buffers=copies)  # noqa: S301 - our own bytes
    return len(packed) + sum(map(len, copies))
