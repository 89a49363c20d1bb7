"""What a function could change as it runs: variables around it, what it is bound to. And whether it did.

A function whose changes matter must stay where they are kept: a worker in another address space would count on a
counter of its own, and workers in threads would race for this one. So before it is called, and after, what it can reach
is looked at, a little way in, for a bounded time:

    closure cells · globals that it refers to, also through functions of its own package · default values and attributes
    of the function · what `partial` has bound · the object it is a method of

A *sight* of a value is its identity (its value, for numbers and strings), how many elements it has, a checksum of an
array's bytes, and the sights of the first and last elements. Two sights of it that differ tell of a change, and where.

What is no change: modules, functions, objects of other packages' classes (loggers, locks) are not looked into, nor the
caches that `lru_cache` and `cached_property` make. A variable that was None, or an attribute that was not there, and
now is: somebody got ready (loaded a model, opened a connection), as every worker will. What changes in them later
counts.

Not seen: other modules' globals that are reached as attributes of the module, the middle of large containers, whatever
is deeper than `DEEP`. No attribute of an object is asked for that could run code (a proxy's, a property).
"""

from __future__ import annotations

import functools
import itertools
import random
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GeneratorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any, Final, NamedTuple

__all__ = ["Captured", "module_of"]

DEEP: Final = 4  # containers and objects in one another
ENDS: Final = 16  # elements that are looked at, from the beginning and from the end
FEW: Final = 150  # values, at most
BUDGET: Final = 0.001  # seconds of CPU time, for a look
CHECKED: Final = 1 << 18  # bytes of an array; of a larger one its beginning, its end and 14 places between
ATOMS: Final = frozenset({int, float, complex, str, bytes, bool, type(None), type(...), range})
CONTAINERS: Final = (dict, list, tuple, deque, set, frozenset)
ITEM: Final = "the item itself"
CACHED: Final = type(functools.cache(int))
RANDOM_MODULE: Final = getattr(random.random, "__self__", None)
"""What hides behind that module's functions: seeded anew in each process."""


class Sight(NamedTuple):
    """How a value looked."""

    value: Any
    mark: Any = None  # its size, its checksum
    inside: tuple[tuple[str, Any], ...] = ()  # of what is in it: how that is called, and its sight


class Captured:
    """What `fn` can change. `changed` says what has been since the last look."""

    def __init__(
        self, fn: Callable[..., Any], item: Any = None, clock: Callable[[], float] = time.thread_time
    ) -> None:
        self._fn = fn
        self._clock = clock
        self._item: Any = None
        self.cost = 0.0  # seconds that the last look took
        self._last: dict[str, Sight] = {}
        self.look(item)

    def look(self, item: Any = None) -> None:
        """See how everything is now; and the item that it is called with next, which it might change as well."""
        self._item = item
        began = self._clock()
        eyes = _Eyes(_package_of(self._fn), self._clock)
        self._last = {}
        for name, value in itertools.chain([(ITEM, item)], eyes.roots(self._fn)):
            with suppress(Exception):  # what can't be looked at, or is changed meanwhile, is left out
                self._last[name] = eyes.look(value, DEEP)
        self.cost = self._clock() - began

    def let_go(self) -> None:
        """Look no more at the item: others have it now."""
        self._last.pop(ITEM, None)
        self._item = None

    def changed(self) -> str | None:
        """What the function changed since the last look; the first thing that is found, as in "the global seen"."""
        last = self._last
        self.look(self._item)
        for name, sight in last.items():
            if name in self._last:
                found = _difference(name, sight, self._last[name])
                if found is not None:
                    return found
        return None


class _Eyes:
    """One look: what was seen already, and how long it may go on."""

    def __init__(self, package: str, clock: Callable[[], float]) -> None:
        self._package = package
        self._clock = clock
        self._until = clock() + BUDGET
        self._left = FEW
        self._functions: set[int] = set()
        self._seen: set[int] = set()

    # ── what a function can reach ──────────────────────────────────────────────────────────────────────────────

    def roots(self, fn: Any) -> Iterator[tuple[str, Any]]:
        """What it can reach, and how that is called."""
        if id(fn) in self._functions or self._is_over():
            return
        self._functions.add(id(fn))
        if isinstance(fn, functools.partial):
            for number, value in enumerate(fn.args):
                yield f"the bound argument {number}", value
            for key, value in fn.keywords.items():
                yield f"the bound argument {key}", value
            yield from self.roots(fn.func)
        elif isinstance(fn, MethodType | BuiltinFunctionType):
            yield from self._bound(fn)
        elif isinstance(fn, FunctionType):
            yield from self._of_function(fn)
        elif type(fn) is CACHED:
            yield from self.roots(fn.__wrapped__)
        elif not isinstance(fn, type):
            yield f"the {type(fn).__name__}", fn
            yield from self.roots(type(fn).__dict__.get("__call__", type))

    def _bound(self, fn: Any) -> Iterator[tuple[str, Any]]:
        owner = fn.__self__
        if owner is not None and not isinstance(owner, ModuleType):
            yield f"the {type(owner).__name__} that it is a method of", owner
        if isinstance(fn, MethodType):
            yield from self.roots(fn.__func__)

    def _of_function(self, fn: FunctionType) -> Iterator[tuple[str, Any]]:
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not there yet
                continue
            yield from self._variable(f"the variable {name}", value)
        if self._package:
            for name in _global_names(fn.__code__):
                if name in fn.__globals__:
                    yield from self._variable(f"the global {name}", fn.__globals__[name])
        for number, value in enumerate(fn.__defaults__ or ()):
            yield f"the default value {number} of {fn.__name__}", value
        for name, value in (fn.__kwdefaults__ or {}).items():
            yield f"the default value {name} of {fn.__name__}", value
        for name, value in fn.__dict__.items():
            yield from self._variable(f"the attribute {fn.__name__}.{name}", value)

    def _variable(self, name: str, value: Any) -> Iterator[tuple[str, Any]]:
        """The variable, and what a function in it can reach, if it is one of ours."""
        if not callable(value):
            yield name, value
        elif isinstance(value, type):
            if self._is_ours(value):
                yield name, value
        elif isinstance(value, FunctionType | functools.partial | MethodType | CACHED):
            if self._package and _package_of(value) == self._package:
                yield from self.roots(value)
        else:
            yield name, value

    # ── a look at a value ──────────────────────────────────────────────────────────────────────────────────────

    def look(self, value: Any, depth: int) -> Sight:
        """How it looks now."""
        kind = type(value)
        if kind in ATOMS:
            return Sight(value)
        self._left -= 1
        if not depth or id(value) in self._seen or self._is_over():
            return Sight(value, len(value) if kind in CONTAINERS else None)
        self._seen.add(id(value))
        if isinstance(value, CONTAINERS):
            mark, inside = _size_of(value), _ends_of(value)
        else:
            mark, inside = _inner_state(value), []
            if mark is None and (self._is_ours(kind) or self._is_ours(value)):
                inside = _attributes(value)
        return Sight(value, mark, tuple((name, self.look(part, depth - 1)) for name, part in inside))

    def _is_ours(self, kind: Any) -> bool:
        """Whether it is a class of the function's own package, so that its objects are the user's."""
        if not isinstance(kind, type):
            return False
        return kind is SimpleNamespace or kind.__module__.partition(".")[0] == self._package

    def _is_over(self) -> bool:
        return self._left <= 0 or self._clock() > self._until


def _package_of(fn: Any) -> str:
    """The top package of a function; none for the standard library's: what is in there is not the user's."""
    package = module_of(fn).partition(".")[0]
    return "" if package in sys.stdlib_module_names and package != "__main__" else package


def module_of(fn: Any) -> str:
    """The name of the module that a function is from; of an object that is called, its class's."""
    while isinstance(fn, functools.partial | MethodType):
        fn = fn.func if isinstance(fn, functools.partial) else fn.__func__
    name = getattr(fn, "__module__", None) or getattr(type(fn), "__module__", None)
    return name if isinstance(name, str) else ""


def _global_names(code: CodeType) -> Iterator[str]:
    """The names that this code, and the functions in it, look up; those of attributes among them."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


# ── kinds of values ────────────────────────────────────────────────────────────────────────────────────────────


def _size_of(value: Any) -> int:
    return int(_base_of(value).__len__(value))


def _ends_of(value: Any) -> list[tuple[str, Any]]:
    """The first and the last elements, and how they are called. By the methods of the language's own class."""
    base, size = _base_of(value), _size_of(value)
    if base is dict:
        items = dict.items(value)
        first = list(itertools.islice(items, 2 * ENDS))
        last = itertools.islice(reversed(items), ENDS if size > 2 * ENDS else 0)
        return [(f"[{_short(key)}]", part) for key, part in (*first, *last)]
    if base in (set, frozenset):
        return [
            (f"{{{index}}}", part) for index, part in enumerate(itertools.islice(base.__iter__(value), ENDS))
        ]
    ends = range(size) if size <= 2 * ENDS else (*range(ENDS), *range(size - ENDS, size))
    return [(f"[{index}]", base.__getitem__(value, index)) for index in ends]


def _base_of(value: Any) -> Any:
    return next(base for base in CONTAINERS if isinstance(value, base))


def _attributes(value: Any) -> list[tuple[str, Any]]:
    """Of an object: its attributes. Of a class: what is data in it."""
    if isinstance(value, type):
        return [
            (f".{name}", part)
            for name, part in list(vars(value).items())
            if not name.startswith("__") and not callable(part) and not hasattr(type(part), "__get__")
        ]
    found = list(getattr(value, "__dict__", {}).items())
    for kind in type(value).__mro__:
        for name, slot in kind.__dict__.items():
            if type(slot) is MemberDescriptorType:
                with suppress(AttributeError):  # nothing in it yet
                    found.append((name, slot.__get__(value)))
    return [(f".{name}", part) for name, part in found]


def _inner_state(value: Any) -> Any:
    """Of what has a state that one does not see by its attributes: an array's bytes, how far an iterator has come."""
    if isinstance(value, itertools.count):
        return repr(value)
    if type(value) is random.Random:
        return hash(value.getstate()) if value is not RANDOM_MODULE else None
    numbers = sys.modules.get("numpy.random")
    if numbers is not None and type(value) is getattr(numbers, "Generator", None):
        return repr(value.bit_generator.state)
    if isinstance(value, GeneratorType):  # where it stands
        return -1 if value.gi_frame is None else value.gi_frame.f_lasti
    try:
        view = memoryview(value)
    except (TypeError, ValueError, BufferError):  # it has no bytes, or hands out none
        return _steps_left(value)
    with view:
        return view.nbytes, _checksum(view)


def _steps_left(value: Any) -> int | None:
    """How much an iterator of the language's own has left."""
    if type(value).__module__ != "builtins" or not hasattr(type(value), "__length_hint__"):
        return None
    return int(value.__length_hint__())


def _checksum(view: memoryview) -> int | None:
    try:
        data = view.cast("B") if view.c_contiguous and view.nbytes else None
    except (TypeError, ValueError):  # of objects
        return None
    if data is None:
        return None
    with data:
        size = len(data)
        if size <= CHECKED:
            return zlib.crc32(data)
        sum_, part = 0, CHECKED // 16
        for number in range(16):
            start = number * (size - part) // 15
            sum_ = zlib.crc32(data[start : start + part], sum_)
        return sum_


# ── the difference between two sights ──────────────────────────────────────────────────────────────────────────


def _difference(name: str, old: Sight, new: Sight) -> str | None:
    if not _is_same(old.value, new.value):
        return None if old.value is None else f"{name} ({_short(old.value)} before, {_short(new.value)} now)"
    if old.mark != new.mark and old.mark is not None and new.mark is not None:
        if isinstance(old.mark, int) and isinstance(new.mark, int) and hasattr(old.value, "__len__"):
            return f"{name}, a {type(old.value).__name__} ({old.mark} elements before, {new.mark} now)"
        return f"{name}, a {type(old.value).__name__}"
    now = dict(new.inside)
    for part, sight in old.inside:
        if part in now:
            found = _difference(name + part, sight, now[part])
            if found is not None:
                return found
    return None


def _is_same(old: Any, new: Any) -> bool:
    if old is new:
        return True
    return type(old) is type(new) and type(old) in ATOMS and (old == new or old != old)  # noqa: PLR0124 - a nan


def _short(value: Any) -> str:
    if type(value) not in ATOMS:
        return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
