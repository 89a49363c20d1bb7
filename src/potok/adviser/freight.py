"""What it takes to send a function, items and results to another address space: bytes, seconds, or why it can't be.

Items and results are pickled as potok would do it: with the plain pickle, and by value with cloudpickle where that
fails; buffers of 128 KiB and more go beside the pickle and are copied. Nothing is unpickled here, for that runs code of
the user's which nobody asked for: it is taken to last as long as pickling. Weighing stops when its time is up, so a
huge object costs no more than a small one: then the figures are the least that it takes.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections.abc import Callable, Sequence
from math import inf
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, Final, NamedTuple

from potok.adviser.state import module_of

__all__ = ["Load", "cloudpickle_is_loaded", "weigh", "weigh_each", "why_stuck", "why_unloadable"]

BESIDE: Final = 1 << 17
"""From so many bytes on a buffer goes beside the pickle."""

COPYING: Final = 5e9
"""Bytes a second that are copied: 0.2 ns each, once here and once there, of 0.43 that `benchmarks/auto_costs.py` has
measured in all."""

QUICK: Final = 0.0001
IMPORT: Final = 0.007  # seconds, of cloudpickle


class Load(NamedTuple):
    """What one value weighs."""

    size: int  # bytes, with the buffers that go beside
    seconds: float  # to pickle, to copy its buffers, and to do the same at the other end
    stuck: str | None = None  # why it can't go
    whole: bool = True  # False: time was up, and it weighs more
    unsure: bool = (
        False  # pickle can't; cloudpickle was not asked, as its import takes longer than there was time
    )


class _TimeIsUp(Exception):  # noqa: N818 - no error: see `weigh`
    pass


class _Scale:
    """The file that a pickler writes to: keeps nothing but the size."""

    def __init__(self, clock: Callable[[], float], until: float) -> None:
        self.size = 0
        self.beside = 0
        self._clock = clock
        self._until = until

    def write(self, data: Any) -> None:
        """Called by the pickler for every 64 KiB."""
        self.size += len(data)
        if self._clock() > self._until:
            raise _TimeIsUp

    def set_aside(self, buffer: pickle.PickleBuffer) -> bool:
        """Whether this buffer goes with the pickle."""
        try:
            size = buffer.raw().nbytes
        except BufferError:  # not contiguous
            return True
        if size < BESIDE:
            return True
        self.beside += size
        return False


def weigh(value: Any, budget: float = 0.001, clock: Callable[[], float] = time.perf_counter) -> Load:
    """What this value weighs; in about `budget` seconds, where pickle is able to stop."""
    began = clock()
    scale = _Scale(clock, began + budget)
    try:
        pickle.Pickler(scale, 5, buffer_callback=scale.set_aside).dump(value)
    except _TimeIsUp:
        return _load(scale, clock() - began, whole=False)
    except Exception:  # noqa: BLE001 - whatever a class's own methods raise; cloudpickle may know more
        if budget < IMPORT and not cloudpickle_is_loaded():
            return Load(scale.size, 0.0, unsure=True)
        return _weigh_by_value(value, budget, clock)
    return _load(scale, clock() - began)


def _weigh_by_value(value: Any, budget: float, clock: Callable[[], float]) -> Load:
    pickler = _pickler()
    began = clock()
    scale = _Scale(clock, began + budget)
    try:
        pickler(scale, 5, buffer_callback=scale.set_aside).dump(value)
    except _TimeIsUp:
        return _load(scale, clock() - began, whole=False)
    except Exception as error:  # noqa: BLE001 - as above
        return Load(scale.size, 0.0, _told(error))
    return _load(scale, clock() - began)


def _load(scale: _Scale, seconds: float, whole: bool = True) -> Load:
    size = scale.size + scale.beside
    return Load(size, 2 * (seconds + size / COPYING), None, whole)


def weigh_each(
    values: Sequence[Any], budget: float = 0.001, clock: Callable[[], float] = time.perf_counter
) -> Load:
    """What one of them weighs, on the average, when they go together; the last one, if they are too much for that.

    What is quick is done twice: the first time is that of somebody who has not done it for long.
    """
    count = len(values)
    load = weigh(list(values), budget, clock)
    if not load.whole and count > 1:
        return weigh(values[-1], budget, clock)
    if load.stuck is None and not load.unsure and load.seconds < QUICK:
        again = weigh(list(values), budget, clock)
        load = min(load, again, key=lambda each: each.seconds)
    return load._replace(size=round(load.size / count), seconds=load.seconds / count)


def why_stuck(fn: Any) -> str | None:
    """Why this function can't go to another address space; None if it can. Imports cloudpickle if it must (7 ms)."""
    if _is_main(fn):
        return _weigh_by_value(fn, inf, time.perf_counter).stuck
    return weigh(fn, inf).stuck


def _is_main(fn: Any) -> bool:
    """Whether it goes by value though plain pickle would go by its name, as over there `__main__` is another module."""
    return module_of(fn) == "__main__"


def cloudpickle_is_loaded() -> bool:
    """Whether `why_stuck` costs nothing but pickling."""
    return "cloudpickle" in sys.modules


_kind: list[type[Any]] = []


def _pickler() -> type[Any]:
    """The pickler by value; of potok's own handles, which it lets travel, it only notes that they are there."""
    if not _kind:
        import cloudpickle

        class ByValue(cloudpickle.Pickler):  # type: ignore[misc]
            def reducer_override(self, thing: Any) -> Any:
                if type(thing).__module__.startswith("potok."):
                    return str, ("a handle",)
                return super().reducer_override(thing)

        _kind.append(ByValue)
    return _kind[0]


def _told(error: Exception) -> str:
    text = str(error).strip().split("\n")[0][:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# ── sub-interpreters ───────────────────────────────────────────────────────────────────────────────────────────


def why_unloadable(fn: Any) -> str | None:
    """What this function needs that is not known to load in a sub-interpreter; None if nothing was found.

    Modules in C must say that they can be loaded more than once, and most do not (numpy). Only loading them tells, so
    the standard library's are trusted and others are not. Looked at: the modules that the function's own has names
    from, and those that these have, as all are imported with it; not potok's, which do without their parts in C there.
    """
    module = sys.modules.get(module_of(fn))
    code = getattr(fn, "__code__", None)
    names = vars(module) if module is not None else {}
    if _is_main(fn) and code is not None:  # goes by value, with what it refers to
        names = {name: names[name] for name in code.co_names if name in names}
    due, seen = _modules_in(names), set[str]()
    if module is not None and not _is_main(fn) and not _is_trusted(module):
        due.append(module)
    while due and len(seen) < FEW_MODULES:
        module = due.pop()
        if module.__name__ in seen:
            continue
        seen.add(module.__name__)
        if _is_in_c(module):
            return f"{module.__name__} is written in C, and not known to load in a sub-interpreter"
        due += _modules_in(vars(module))
    return None


FEW_MODULES: Final = 100
TRUSTED: Final = sys.stdlib_module_names | {"potok"}


def _modules_in(names: dict[str, Any]) -> list[ModuleType]:
    """The modules from which these values come, without the standard library's."""
    found: dict[str, ModuleType] = {}
    for value in list(names.values()):
        module = value if isinstance(value, ModuleType) else None
        if module is None and isinstance(value, FunctionType | BuiltinFunctionType | type):
            module = sys.modules.get(value.__module__ or "")
        if module is not None and not _is_trusted(module):
            found[module.__name__] = module
    return list(found.values())


def _is_trusted(module: ModuleType) -> bool:
    return module.__name__.partition(".")[0] in TRUSTED


def _is_in_c(module: ModuleType) -> bool:
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    return type(loader).__name__ == "ExtensionFileLoader"
