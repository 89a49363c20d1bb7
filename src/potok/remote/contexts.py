"""Context variables in other address spaces: which one is meant, and the values that `carry=` takes along.

A ContextVar can't be pickled, and its name need not be unique. What both sides know is where it stands: the module
and the attribute that it is bound to, as for functions and classes. One of `__main__` is made anew in a worker, once.
"""

from __future__ import annotations

import copyreg
import importlib
import pickle
import sys
import threading
from collections.abc import Callable, Iterable
from contextvars import Context, ContextVar
from typing import Any

from potok.errors import RemoteError
from potok.links.packing import Packed, pack

__all__ = ["open_work", "pack_work"]

Place = tuple[str, str]
"""A module and an attribute of it."""

MAIN = "__main__"

_places: dict[ContextVar[Any], Place] = {}  # found once
_made: dict[Place, ContextVar[Any]] = {}  # here, in place of one of the program's `__main__`
_making = threading.Lock()


def pack_work(
    fn: Callable[..., Any], args: tuple[Any, ...], context: Context, carry: Iterable[ContextVar[Any]]
) -> Packed:
    """A call, and what these variables are set to in this context; one that is not set there is left out.

    Raises: RemoteError, that names what can't go to another address space.
    """
    pairs = tuple((var, context[var]) for var in carry if var in context) if carry else ()
    for var, _ in pairs:
        _place(var)  # raises
    try:
        return pack((fn, args, pairs))
    except RemoteError:
        for var, value in pairs:
            _try(var, value)
        raise


def _try(var: ContextVar[Any], value: Any) -> None:
    try:
        pack(value)
    except RemoteError as error:
        raise RemoteError(f"carry: the value of context variable {var.name!r}: {error}") from error


def open_work(
    work: Packed,
) -> tuple[Callable[..., Any], tuple[Any, ...], Context, tuple[ContextVar[Any], ...]]:
    """The call, a context with nothing in it but what was carried along, and which variables that were."""
    fn, args, pairs = work.open()
    context = Context()
    for var, value in pairs:
        context.run(_set, var, value)
    return fn, args, context, tuple(var for var, _ in pairs)


def _set(var: ContextVar[Any], value: Any) -> None:
    var.set(value)


# ── which variable is meant ─────────────────────────────────────────────────────────────────────────────────


def _place(var: ContextVar[Any]) -> Place:
    place = _places.get(var)
    if place is None or not _stands_at(var, place):
        place = _places[var] = _find(var)
    return place


def _stands_at(var: ContextVar[Any], place: Place) -> bool:
    return getattr(sys.modules.get(place[0]), place[1], None) is var or _made.get(place) is var


def _find(var: ContextVar[Any]) -> Place:
    """Where it stands, in a module that others can import if there is one; under its own name if it does."""
    modules = [(name, getattr(module, "__dict__", {})) for name, module in sys.modules.copy().items()]
    modules.sort(key=lambda named: named[0] == MAIN)  # a stable order: `__main__` comes last
    for name, attributes in modules:
        if attributes.get(var.name) is var:
            return name, var.name
    for name, attributes in modules:
        for attribute, value in attributes.copy().items():
            if value is var:
                return name, attribute
    raise RemoteError(
        f"context variable {var.name!r} can't be found in another address space, as no module has it as an attribute: "
        f"make it at the top of a module"
    )


def _reduce(var: ContextVar[Any]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    try:
        module, attribute = _place(var)
    except RemoteError as error:
        raise pickle.PicklingError(str(error)) from error
    return _variable, (module, attribute, *((var.name, *_default(var)) if module == MAIN else ()))


def _default(var: ContextVar[Any]) -> tuple[Any, ...]:
    try:
        return (Context().run(var.get),)
    except LookupError:
        return ()


def _variable(module: str, attribute: str, name: str = "", *default: Any) -> ContextVar[Any]:
    """The variable that stands there, in this address space."""
    if module == MAIN:
        return _variable_of_main((module, attribute), name, *default)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RemoteError(f"there is no context variable {module}.{attribute} here: {error}") from error
    return found  # type: ignore[no-any-return]


def _variable_of_main(place: Place, name: str, *default: Any) -> ContextVar[Any]:
    mine = getattr(sys.modules.get(MAIN), place[1], None)
    if isinstance(mine, ContextVar):  # back in the program
        return mine
    with _making:
        var = _made.get(place)
        if var is None:
            var = _made[place] = ContextVar(name, default=default[0]) if default else ContextVar(name)
            _places[var] = place
        return var


copyreg.pickle(ContextVar, _reduce)
