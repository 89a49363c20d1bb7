"""Functions that only compute: with items or attributes of an object, and plain values.

Whoever calls one that is in this way simple can't tell where it runs, nor how often, until its changes are made: it has
no name to look up, calls nothing and never goes back. So it may be tried on a stand-in that knows some of the object's
items; where it asks for more, nothing has happened.

    def add(counts): counts["x"] += 1
    def take(ns, n):
        if ns.left < n: return False
        ns.left -= n
        return True

What is simple is known by the instructions of its code, of which only those listed are: those of a Python that is newer
than the list make a function one that is not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any, Final

from potok.links.packing import ATOMS

__all__ = ["KEYS", "LONG", "attempt", "is_small", "only_computes"]

KEYS: Final = frozenset({str, int})  # of exactly these: True is 1, and 1.0 is, too
LONG: Final = 1024  # characters or bytes
INSTRUCTIONS: Final = 200  # of a function that is short

NESTED: Final = 0x04 | 0x08 | 0x20 | 0x80 | 0x200
"""Flags: *args, **kwargs, generators, coroutines, both of it."""
SIMPLE: Final = frozenset(
    """
    RESUME NOP CACHE EXTENDED_ARG NOT_TAKEN POP_TOP COPY SWAP RETURN_VALUE RETURN_CONST
    LOAD_CONST LOAD_SMALL_INT LOAD_COMMON_CONSTANT LOAD_FAST LOAD_FAST_CHECK LOAD_FAST_BORROW STORE_FAST
    LOAD_FAST_LOAD_FAST LOAD_FAST_BORROW_LOAD_FAST_BORROW STORE_FAST_LOAD_FAST STORE_FAST_STORE_FAST
    BINARY_SUBSCR STORE_SUBSCR LOAD_ATTR STORE_ATTR
    BINARY_OP UNARY_NEGATIVE UNARY_POSITIVE UNARY_INVERT UNARY_NOT COMPARE_OP IS_OP TO_BOOL
    POP_JUMP_FORWARD_IF_TRUE POP_JUMP_FORWARD_IF_FALSE POP_JUMP_FORWARD_IF_NONE POP_JUMP_FORWARD_IF_NOT_NONE
    POP_JUMP_IF_TRUE POP_JUMP_IF_FALSE POP_JUMP_IF_NONE POP_JUMP_IF_NOT_NONE
    JUMP_FORWARD JUMP_IF_TRUE_OR_POP JUMP_IF_FALSE_OR_POP
    """.split()  # noqa: SIM905 - it is read more easily
)


def is_small(value: Any) -> bool:
    """Whether it never changes, and takes little memory."""
    kind = type(value)
    return kind in ATOMS or ((kind is str or kind is bytes) and len(value) <= LONG)


def only_computes(fn: Any) -> bool:
    """Whether it is such a function, as far as can be seen."""
    return (
        type(fn) is FunctionType
        and not fn.__closure__
        and not fn.__kwdefaults__
        and _is_simple(fn.__code__)
        and all(map(is_small, fn.__defaults__ or ()))
    )


@lru_cache(maxsize=256)
def _is_simple(code: CodeType) -> bool:
    import dis  # takes a while, and few programs get here

    if code.co_flags & NESTED or code.co_kwonlyargcount or code.co_exceptiontable:
        return False
    if len(code.co_code) > 2 * INSTRUCTIONS or any(name.startswith("_") for name in code.co_names):
        return False
    constants = (constant for constant in code.co_consts if type(constant) is not str)
    return all(map(is_small, constants)) and all(step.opname in SIMPLE for step in dis.get_instructions(code))


class UnknownHereError(Exception):
    """What it asks for is known at the object's home only."""


def _unknown(*_: Any) -> Any:
    raise UnknownHereError


class _Known:
    """What it may use of the object; whatever else it does with it, is for the object itself."""

    __slots__ = ("_changes", "_items")

    _changes: dict[Any, Any]
    _items: dict[Any, Any]

    def __init__(self, items: dict[Any, Any]) -> None:
        object.__setattr__(self, "_items", items)
        object.__setattr__(self, "_changes", {})

    __bool__ = __eq__ = __iter__ = __contains__ = __repr__ = __str__ = __format__ = __index__ = _unknown
    __hash__ = _unknown
    __lt__ = __le__ = __gt__ = __ge__ = __ne__ = _unknown

    def _get(self, key: Any) -> Any:
        if type(key) not in KEYS:
            raise UnknownHereError
        changes = self._changes
        if key in changes:
            return changes[key]
        try:
            return self._items[key]
        except KeyError:
            raise UnknownHereError from None

    def _set(self, key: Any, value: Any) -> None:
        if type(key) not in KEYS or key not in self._items or not is_small(value):
            raise UnknownHereError
        self._changes[key] = value


class _Items(_Known):
    """A dict's or a list's items."""

    __slots__ = ()

    __getitem__ = _Known._get
    __setitem__ = _Known._set


class _Attributes(_Known):
    """A namespace's."""

    __slots__ = ()

    __getattr__ = _Known._get
    __setattr__ = _Known._set


def attempt(
    fn: Callable[..., Any], args: tuple[Any, ...], items: dict[Any, Any], by_name: bool
) -> tuple[dict[Any, Any], Any] | None:
    """What `fn(object, *args)` would change, and return; None: that can't be told here, and nothing has happened.

    `fn` only computes. `items` are what is known of the object: `by_name` attributes, or else items.
    """
    if not all(map(is_small, args)):
        return None
    known: Any = (_Attributes if by_name else _Items)(items)
    try:
        value = fn(known, *args)
    except Exception:  # its own, too: it is raised where the object is
        return None
    return (known._changes, value) if is_small(value) else None
