"""Memory for big data: a loan that is filled in place and sent without a copy; an array that all processes write."""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Sequence
from typing import Any

from potok.errors import PotokError

__all__ = ["block", "shared_array"]

Shape = int | Sequence[int]

NAMES = {
    "bool": "?",
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
    "float": "d",
    "int": "q",
}
"""What the formats of memoryviews are called elsewhere, for where numpy is not there."""


def block(shape: Shape, dtype: Any = "uint8") -> Any:
    """Lend memory to be filled in place, and then sent to another process without a copy.

    What is sent is fixed as `send` returns; for an ordinary array that takes a copy into memory that the other process
    can reach. A loan lies there already. Sent as a whole (by itself, or in a list, a tuple, ...) it is fixed where
    it is: from then on it can be read here, and written by nobody. To go on, ask for another: memory that receivers
    have done with is lent again. Between tasks of one process it goes by reference, as everything does there.

    For memory that several processes write at the same time, `shared_array`.

    Args:
        shape: elements, or elements along each axis.
        dtype: what numpy takes for one; without numpy a format of the `struct` module, or a name like "float64".

    Returns:
        A numpy array, where numpy can be imported, else a memoryview. Its contents are whatever was there before.

    Raises:
        ValueError, TypeError: that shape or dtype makes no sense.

    After it was sent, writing raises ValueError ("read-only"); a memoryview is released, and raises ValueError for
    reading, too. That is so also where `send` then timed out or was cancelled: send the same again. A loan of which
    there are other views (a slice that is still about), or of which only a part is sent, is copied and stays as it is.
    Only a memoryview that was taken of the array, or a pointer, escapes that: do not write through it after `send`.

    Blocks: no. Executors: the same on all; where a system has no memory to share, it is ordinary memory.
    """
    from potok.remote.buffers import store
    from potok.remote.loans import Loan

    shape, dtype, size = _checked("block", shape, dtype)
    memory, place = store.borrow(size)
    lent = _lay_out(memory, shape, dtype)
    del memory  # so that the loan is the only view
    if place is not None:
        place.loan = Loan(lent)
    return lent


def shared_array(shape: Shape, dtype: Any = "float64") -> Any:
    """Make an array that all processes write which it is sent to: over the same memory, without a copy.

    Nothing is locked: two tasks that write the same element lose one of the values, as threads would. Give each task
    a part of its own, or take a `potok.Lock`. Slices that are contiguous are shared as well; others are copied as they
    are sent, as every array is that was computed from it. For data that is written once and handed on, `block`.

    Args:
        shape: elements, or elements along each axis.
        dtype: what numpy takes for one; without numpy a format of the `struct` module, or a name like "float64".

    Returns:
        A numpy array of zeros, where numpy can be imported, else a memoryview. The memory has no name, and goes
        with the last array over it, in whatever process; a process that is killed leaves nothing behind.

    Raises:
        ValueError, TypeError: that shape or dtype makes no sense, or elements are Python objects.
        PotokError: this system has no such memory, or not so much.

    Blocks: no. Executors: the same on all. In a sub-interpreter, where numpy does not load, an array of numpy's can't
    be opened: share a memoryview (`memoryview(array)`).
    """
    from potok.remote.buffers import store

    shape, dtype, size = _checked("shared_array", shape, dtype)
    try:
        return _lay_out(store.shared(size), shape, dtype)
    except OSError as error:
        raise PotokError(
            f"shared_array: there is no memory to be shared here, {size} bytes: {error}"
        ) from error


def _checked(call: str, shape: Any, dtype: Any) -> tuple[tuple[int, ...], Any, int]:
    """The shape, what an element is, and the size of all in bytes."""
    try:
        axes = (
            (operator.index(shape),) if not isinstance(shape, Sequence) else tuple(map(operator.index, shape))
        )
    except TypeError as error:
        raise TypeError(f"{call}: shape must be an int or a sequence of ints, not {shape!r}") from error
    if any(axis < 0 for axis in axes):
        raise ValueError(f"{call}: shape must not be negative, but is {shape!r}")
    try:
        import numpy as np
    except ImportError:
        return axes, *_checked_format(call, axes, dtype)
    kind = np.dtype(dtype)
    if kind.hasobject:
        raise TypeError(f"{call}: dtype {kind} has Python objects in it, which live in one process only")
    return axes, kind, math.prod(axes) * kind.itemsize


def _checked_format(call: str, axes: tuple[int, ...], dtype: Any) -> tuple[str, int]:
    name = getattr(dtype, "__name__", dtype)
    form = NAMES.get(name, name)
    try:
        memoryview(b"").cast(form)
        return form, math.prod(axes) * struct.calcsize(form)
    except (TypeError, ValueError, struct.error) as error:
        raise ValueError(
            f"{call}: without numpy, dtype must be a format of one element like 'd', or one of {', '.join(NAMES)}; "
            f"not {dtype!r}"
        ) from error


def _lay_out(memory: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """These bytes as an array."""
    if isinstance(dtype, str):
        return memory.cast(dtype, shape) if len(memory) else memory.cast(dtype)
    import numpy as np

    return (
        np.frombuffer(memory, dtype, math.prod(shape)).reshape(shape)
        if len(memory)
        else np.empty(shape, dtype)
    )
