"""The cell: an object, and the lock under which everything that is done with it is done.

    free ──acquire──▶ held by a task ──release──▶ ...                        (all that is an RLock's: see `lock`)
                       │        ▲
                      lend   take_back
                       ▼        │
                     held by who acts for it

A task elsewhere holds the lock, but what it wants done with the object is done here, by somebody who acts for it. The
lock is lent to that one meanwhile: it may come back to the object while it has it in hand, and if the task is lost with
its whole address space, it brings to an end what it began.

Somebody elsewhere may have copies of what is in the object, or may change it there. That goes on while the lock is
free, or held by one who only reads: so whoever takes it in any other way ends that first.

Invariants
    Only the holder of the lock touches `content`.
    While it is lent, the lock is never abandoned: who acts for a task lives here.
    No copy is good while the lock is held by one who may change the object, nor while such a one waits for it.

What can be done with an object is a *step*, known by name everywhere; anything else is a function that is sent.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Final, Generic, TypeVar

from potok.machines.lock import RLockMachine
from potok.machines.waiting import Party

__all__ = [
    "MISSING",
    "NOT_HELD",
    "READING",
    "STEPS",
    "Box",
    "CellMachine",
    "Names",
    "is_plain",
    "kind_of",
    "methods_of",
]

T = TypeVar("T")

MISSING: Final = object()  # there is no copy of what was asked for
NOT_HELD: Final = (
    "what `with shared.locked() as proxy` gives is for the task that holds the lock, inside that block; outside of it, "
    "or in another task, use the shared object itself"
)


class CellMachine(RLockMachine):
    """An RLock, and what it guards."""

    __slots__ = ("content", "copies")

    def __init__(self, content: Any) -> None:
        super().__init__()
        self.content = content
        self.copies: Any = None  # who elsewhere has some, once somebody had: see `remote.copies`

    def acquire(self, party: Party | None, owner: Any) -> Any:
        """Take the lock for `owner`, once more if it has it: True, or park."""
        if self.copies is not None:
            self.copies.end(self.content)
        return RLockMachine.restore(self, party, owner, 1)

    def restore(self, party: Party | None, owner: Any, depth: int) -> Any:
        """Take the lock `depth` times at once: True, or park."""
        self._end_copies()
        return super().restore(party, owner, depth)

    def acquire_to_read(self, party: Party | None, owner: Any) -> Any:
        """As `acquire`, for a step that changes nothing: copies stay good."""
        if self.copies is not None:
            self.copies.look(self.content, getattr(owner, "space", 0))
        return super().restore(party, owner, 1)

    def _end_copies(self) -> None:
        if self.copies is not None:
            self.copies.end(self.content)

    def lend(self, owner: Any, to: Any) -> int:
        """From now on `to` holds the lock that `owner` holds; how often that one does."""
        self._refuse_stranger(owner)
        self._end_copies()
        self.holder = to
        return self.depth

    def take_back(self, owner: Any, depth: int) -> None:
        """Undo `lend`, and release it once in the owner's name.

        An owner that is gone for good by then says why in its `gone`: whoever lost it has told it before looking for
        locks that it holds. So either that one finds the lock in its hands, or we find it gone.
        """
        self.holder, self.depth = owner, depth
        lost = getattr(owner, "gone", "")
        self.release(owner)
        if lost and self.holder is owner:
            self.abandon(lost)

    def describe(self) -> str:
        return f"shared {kind_of(self.content)}"


class Names(SimpleNamespace):
    """What `potok.Namespace` holds: attributes, and nothing else."""

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"Namespace({told})"


class Box(Generic[T]):
    """What `potok.Value` holds: one value."""

    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Value({self.value!r})"


def kind_of(content: Any) -> str:
    """What reports call it."""
    return _KINDS.get(type(content), type(content).__name__)


_KINDS: Final[dict[type, str]] = {Names: "namespace", Box: "value"}


# ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────


def _call(content: Any, name: str, *args: Any) -> Any:
    return _at_rest(getattr(content, name)(*args))


def _call_with(content: Any, name: str, options: dict[str, Any], *args: Any) -> Any:
    return _at_rest(getattr(content, name)(*args, **options))


def _get(content: Any, name: str) -> Any:
    return _at_rest(getattr(content, name))


def _apply(content: Any, fn: Callable[..., Any], *args: Any) -> Any:
    return _at_rest(fn(content, *args))


def _snapshot(content: Any) -> list[Any]:
    walk = iter(content)
    if walk is content:
        raise TypeError(
            "iterating over a shared iterator would take all its items at once; shared.atomic(next) takes one"
        )
    return list(walk)


_VIEWS: Final[Any] = (type({}.keys()), type({}.values()), type({}.items()))


def _at_rest(value: Any) -> Any:
    """A view of a dict would be looked at when the lock is another's: as a list, it is what it was."""
    return list(value) if isinstance(value, _VIEWS) else value


STEPS: Final[dict[str, Callable[..., Any]]] = {
    "get item": operator.getitem,
    "set item": operator.setitem,
    "del item": operator.delitem,
    "in": operator.contains,
    "len": len,
    "bool": bool,
    "str": str,
    "iter": _snapshot,
    "get": _get,
    "set": setattr,
    "del": delattr,
    "call": _call,
    "call with": _call_with,
    "apply": _apply,
}
"""What is done with the object, by its name on the way; called with the object and the arguments."""

READING: Final = frozenset({"get item", "in", "len", "bool", "get"})
"""Those that change nothing, where they are plain."""

_ALWAYS = {"get item", "set item", "del item", "len", "bool", "get", "set", "del"}
_PLAIN: Final[dict[type, set[str]]] = {
    dict: {"in", "clear", "get", "pop", "popitem", "setdefault"},
    list: {"append", "clear", "insert", "pop", "reverse"},
    set: {"in", "add", "clear", "discard", "pop", "remove"},
    deque: {"append", "appendleft", "clear", "pop", "popleft", "rotate"},
    Names: set(),
    Box: set(),
}


def is_plain(content: Any, step: str, args: tuple[Any, ...]) -> bool:
    """Whether this step, with arguments that are plain values, runs no code but the interpreter's own, and not long."""
    known = _PLAIN.get(type(content))
    if known is None:
        return False
    if step == "call":
        return args[0] in known
    return step in _ALWAYS or step in known


def _methods_of(kind: type) -> frozenset[str]:
    """The public names that are called on objects of this class, rather than read."""
    return frozenset(
        name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name, None))
    )


methods_of: Callable[[type], frozenset[str]] = lru_cache(maxsize=256)(_methods_of)
