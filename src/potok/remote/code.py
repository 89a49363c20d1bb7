"""Functions that are sent again and again, and say all they need themselves: packed once, and opened once.

A function of `__main__` goes by value, through cloudpickle, with whatever it refers to as it is at that moment. One
that refers to no global, no closure and no default but plain values is the same code each time it is sent, and may be
the same object each time it arrives: that saves most of what a short `atomic` costs.
"""

from __future__ import annotations

import pickle
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from potok.links.packing import all_plain, pack

__all__ = ["data", "function"]

_packed: WeakKeyDictionary[Any, tuple[bytes, CodeType, Any]] = WeakKeyDictionary()


def data(fn: Any) -> bytes | None:
    """The function on its way, if it says all it needs itself; None if it has to be packed each time."""
    if type(fn) is not FunctionType:
        return None
    known = _packed.get(fn)
    if known is None or known[1:] != (fn.__code__, fn.__defaults__):
        if fn.__closure__ or fn.__dict__ or fn.__kwdefaults__ or not all_plain(fn.__defaults__ or ()):
            return None
        if not _names(fn.__code__).isdisjoint(fn.__globals__):
            return None
        known = _packed[fn] = pack(fn).data, fn.__code__, fn.__defaults__
    # A global of such a name may have come up since.
    return known[0] if _names(fn.__code__).isdisjoint(fn.__globals__) and not fn.__dict__ else None


@lru_cache(maxsize=256)
def function(sent: bytes) -> Any:
    """What `data` made bytes of."""
    return pickle.loads(sent)  # noqa: S301 - from a socket that this run made itself


@lru_cache(maxsize=256)
def _names(code: CodeType) -> frozenset[str]:
    """All names that it may look up, attributes among them."""
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset(code.co_names).union(*inner)
