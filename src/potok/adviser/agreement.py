"""Whether an executor gave what the plain loop gave."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Failure", "first_difference", "same"]


class Failure(NamedTuple):
    """An item for which the function raised; two are the same if type and message are."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """What is kept of the error: not its traceback, which would keep alive what its frames refer to."""
        return cls(type(error).__qualname__, _first_line(str(error)))

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


def first_difference(items: Sequence[Any], expected: Sequence[Any], got: Sequence[Any]) -> str | None:
    """Say at which item they differ first, and how; None if they don't."""
    for index, (wanted, found) in enumerate(zip(expected, got, strict=False)):
        if not same(wanted, found):
            return f"item {index} ({_shown(items[index])}): {_told(found)} instead of {_told(wanted)}"
    return None


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal, arrays included; what compares by identity is compared by its pickled form.

    What can't be pickled either (a generator) is given the benefit of the doubt: only the types are compared.
    """
    if one is other:
        return True
    if isinstance(one, Failure) or isinstance(other, Failure):
        return isinstance(one, Failure) and isinstance(other, Failure) and tuple(one) == tuple(other)
    if type(one) is not type(other):
        return False
    try:
        equal = one == other
        if isinstance(equal, bool) and equal:
            return True
        if hasattr(equal, "all") and getattr(one, "shape", None) == getattr(other, "shape", None):
            whole = equal.all()
            if bool(whole.all() if hasattr(whole, "all") else whole):
                return True
    except Exception:  # noqa: BLE001, S110 - whatever its class does; the pickles decide
        pass
    return _same_pickled(one, other)


def _same_pickled(one: Any, other: Any) -> bool:
    """Pickled twice: whether two parts are one object in memory shows in a pickle, and is lost on the way."""
    try:
        return _settled(one) == _settled(other)
    except Exception:  # noqa: BLE001 - whatever its class does
        kind: Any = type(one)
        return bool(kind.__eq__ is object.__eq__)


def _settled(value: Any) -> bytes:
    return pickle.dumps(pickle.loads(pickle.dumps(value)))  # noqa: S301 - our own bytes


def _told(value: Any) -> str:
    return str(value) if isinstance(value, Failure) else _shown(value)


def _shown(value: Any) -> str:
    try:
        text = _first_line(repr(value))
    except Exception:  # noqa: BLE001 - a report must not fail over what it is about
        return f"a {type(value).__name__} whose repr fails"
    return text if len(text) <= 60 else text[:57] + "..."


def _first_line(text: str) -> str:
    lines = text.splitlines() or [""]
    line = lines[0] if len(lines) == 1 else f"{lines[0]} ..."
    return line if len(line) <= 200 else line[:197] + "..."
