"""The keys of a journal: what tells one item from all others, in every process.

A pickle is no key: it refers back to what is the same *object*, which depends on what was interned, and writes sets
in the order of their hashes, which differ by process. So an item is taken apart here: the built-in types by their
values, dicts and sets in an order of their own; everything else by what pickle would rebuild it from
(`__reduce_ex__`), taken apart in turn. What is written is prefix-free, so that no two items are written alike.
"""

from __future__ import annotations

import copyreg
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import blake2b
from operator import attrgetter
from pathlib import PurePath
from types import FunctionType
from typing import Any, Final, TypeAlias

import potok
from potok.dataflow.plan import shown

__all__ = ["Key", "key_of"]

Key: TypeAlias = bytes

Write: TypeAlias = Callable[[bytes], object]


def key_of(item: Any) -> Key:
    """A digest of an item: the same in every process, for equal items, and for these alone.

    Raises: PotokError that names the item, and what in it has no such key.
    """
    parts: list[bytes] = []
    try:
        _walk(item, parts.append)
    except RecursionError:
        raise _keyless(item, "it contains itself, or is nested too deeply") from None
    except Exception as error:
        raise _keyless(item, f"{error}") from error
    return blake2b(b"".join(parts), digest_size=16).digest()


def _keyless(item: Any, why: str) -> potok.PotokError:
    return potok.PotokError(
        f"the item {shown(item)} can't be found again in a journal: {why}. Map over what identifies it instead "
        f"(a name, a number, a path, a tuple of such), or do without journal="
    )


def _walk(item: Any, write: Write) -> None:
    kind = type(item)
    known = _KNOWN.get(kind)
    if known is not None:
        known(item, write)
    elif isinstance(item, type | FunctionType):
        _write_global(item, item.__qualname__, write)
    elif issubclass(kind, PurePath):
        write(b"p")
        _walk((kind.__name__, str(item)), write)
    elif issubclass(kind, set | frozenset):  # their own reduction lists the elements in the order of hashes
        write(b"u")
        _walk((kind, frozenset(item), getattr(item, "__dict__", None)), write)
    elif "__dataclass_fields__" in kind.__dict__:  # what was cached on it beside its fields doesn't count
        write(b"k")
        _walk((kind, [(name, getattr(item, name)) for name in _fields(item)]), write)
    elif kind is getattr(sys.modules.get("numpy"), "ndarray", None):
        _write_array(item, write)
    else:
        _write_reduced(item, write)


def _fields(item: Any) -> list[str]:
    import dataclasses

    return [field.name for field in dataclasses.fields(item)]


def _write_bytes(tag: bytes, data: bytes, write: Write) -> None:
    write(b"%b%d:" % (tag, len(data)))
    write(data)


def _write_float(item: float, write: Write) -> None:
    write(b"f" + struct.pack(">d", item) if item == item else b"q")  # noqa: PLR0124 - nan differs from itself


def _write_sequence(tag: bytes, items: Any, write: Write) -> None:
    write(b"%b%d:" % (tag, len(items)))
    for item in items:
        _walk(item, write)


def _write_set(tag: bytes, items: Iterable[Any], write: Write) -> None:
    _write_bytes(tag, b"".join(sorted(map(_digest, items))), write)


def _write_dict(item: dict[Any, Any], write: Write) -> None:
    if all(type(name) is str for name in item):  # rows and JSON: no digests needed
        write(b"d%d:" % len(item))
        for name in sorted(item):
            _walk(name, write)
            _walk(item[name], write)
    else:
        _write_set(b"D", item.items(), write)


def _digest(item: Any) -> bytes:
    parts: list[bytes] = []
    _walk(item, parts.append)
    return blake2b(b"".join(parts), digest_size=16).digest()


def _write_array(item: Any, write: Write) -> None:
    """A numpy array: its layout in memory doesn't count, nor do gaps in its records."""
    write(b"a")
    _walk((item.dtype, item.shape), write)
    if item.dtype.hasobject or item.dtype.names:
        _walk(item.tolist(), write)
    else:
        _write_bytes(b"b", item.tobytes(), write)


def _write_reduced(item: Any, write: Write) -> None:
    reduce = copyreg.dispatch_table.get(type(item))
    reduced: Any = reduce(item) if reduce is not None else item.__reduce_ex__(4)
    if isinstance(reduced, str):
        _write_global(item, reduced, write)
        return
    build, arguments, state, items, pairs, set_state = (*reduced, None, None, None, None)[:6]
    write(b"r")
    for part in (build, arguments, state, None if items is None else list(items), set_state):
        _walk(part, write)
    if pairs is not None:
        pairs = list(pairs) if isinstance(item, OrderedDict) else dict(pairs)
    _walk(pairs, write)


def _write_global(item: Any, name: str, write: Write) -> None:
    """What is found by its name in a module: classes, functions."""
    module = getattr(item, "__module__", None) or "builtins"
    try:
        found = attrgetter(name)(sys.modules[module])
    except (AttributeError, KeyError):
        found = None
    if found is not item:
        raise TypeError(f"{name} is not to be found in the module {module}")
    write(b"g")
    _walk((module, name), write)


_KNOWN: Final[dict[type, Callable[[Any, Write], object]]] = {
    type(None): lambda _, write: write(b"n"),
    type(...): lambda _, write: write(b"e"),
    bool: lambda item, write: write(b"+" if item else b"-"),
    int: lambda item, write: write(b"i%x;" % item),
    float: _write_float,
    complex: lambda item, write: _write_sequence(b"c", (item.real, item.imag), write),
    str: lambda item, write: _write_bytes(b"s", item.encode("utf-8", "surrogatepass"), write),
    bytes: lambda item, write: _write_bytes(b"b", item, write),
    bytearray: lambda item, write: _write_bytes(b"B", item, write),
    tuple: lambda item, write: _write_sequence(b"t", item, write),
    list: lambda item, write: _write_sequence(b"l", item, write),
    set: lambda item, write: _write_set(b"S", item, write),
    frozenset: lambda item, write: _write_set(b"F", item, write),
    dict: _write_dict,
}
