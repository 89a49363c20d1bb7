"""Values on their way to another address space: pickled where they are sent, unpickled where they are used. No I/O.

A `Packed` is a value as it was when it was packed, and the names of the handles in it: potok's own objects (channel
ends, locks, tasks) do not travel, they stay at their home and are named by a *reference*. In between nobody looks
inside; whoever forwards a Packed only sees how many references are under way in it.

Plain pickle first; cloudpickle for what that can't do: lambdas, closures, what is defined in `__main__`. Big buffers
go beside the pickle, see `parts`.

Invariants
    A reference in a Packed is counted at its home from `pack` until what `open` made of it is collected,
    or until the Packed is collected unopened.
    Opened where it was packed, without having left, a Packed gives the very object back.
"""

from __future__ import annotations

import pickle
import threading
import traceback
from collections.abc import Callable, Iterable
from errno import ENOMEM
from typing import Any, Final, Protocol

from potok.errors import RemoteError
from potok.links.parts import (
    BIG,
    CONTAINERS,
    Part,
    clouded,
    dumped,
    embarked,
    landed,
    opened_parts,
    reach_parts,
)

__all__ = [
    "ATOMS",
    "PLAIN",
    "Carrying",
    "Handles",
    "Packed",
    "Ref",
    "all_plain",
    "export",
    "give_back",
    "is_simple",
    "opened",
    "pack",
    "pack_error",
    "revive",
    "safely_opened",
    "set_handles",
    "set_pickling",
    "told",
]

Ref = tuple[int, int]
"""An address space and a number in it."""

MISSING: Final = object()
PLAIN: Final = frozenset({int, float, str, bytes, bool, type(None)})
# Values of these never change, and may go with others as they are; so may str and bytes of less than BIG.
ATOMS: Final = frozenset({int, float, bool, type(None)})
SHALLOW, FEW, SHORT = (
    2,
    64,
    1024,
)  # containers in it, one in another; items of one; bytes or characters of an item

_local = threading.local()


class Handles(Protocol):
    """Who knows this process's handles: see `potok.remote.home`."""

    def export(self, thing: Any) -> tuple[Ref, tuple[Any, ...]]:
        """Count a reference to it; how it is called, and what `revive` needs."""

    def hold(self, ref: Ref) -> None:
        """Count one more reference. Raises why its home can't be reached any more."""

    def revive(self, spec: tuple[Any, ...]) -> Any:
        """The thing itself, or what stands for it here; the reference's count is its business from now on."""

    def give_back(self, end: Any) -> None:
        """A façade over an end of this very address space, that a reference was revived to, is no more."""

    def release(self, refs: tuple[Ref, ...]) -> None:
        """These references are under way no more. Safe from anywhere, never waits."""


_handles: Any = None


def set_handles(handles: Handles) -> None:
    """Told once, by whoever knows them."""
    global _handles
    _handles = handles


class Packed:
    """A value under way."""

    __slots__ = ("data", "item", "parts", "refs")

    def __init__(
        self, data: bytes, refs: tuple[Ref, ...] = (), item: Any = MISSING, parts: tuple[Part, ...] = ()
    ) -> None:
        self.data = data  # empty where its pickle is the first part
        self.refs = refs
        self.item = item  # where it was packed: the value itself
        self.parts = parts

    def __reduce__(self) -> Any:
        if not self.data and not self.parts:  # bytes, which nobody could change meanwhile
            self.data, self.parts = _dump(self.item, [])
        if not self.parts:
            return (Carrying if self.refs else Packed), (self.data, self.refs)
        return _landed, (self.data, self.refs, embarked(self.parts))

    @property
    def needs_care(self) -> bool:
        """Whether there is more to it than its bytes."""
        return not self.data or bool(self.parts)

    def open(self) -> Any:
        """The value. Raises RemoteError where it can't be unpickled here."""
        if self.item is not MISSING:
            return self.item
        if not (self.refs or self.parts):  # most have none
            return _loads(self.data, ())
        refs, self.refs = self.refs, ()  # what is opened has them now
        return _load(self.data, refs, self.parts)

    def reach(self) -> None:
        """See whether there is room for what is beside it. No code of the user's runs.

        Raises: RemoteError, as `open` would.
        """
        try:
            reach_parts(self.parts)
        except (OSError, MemoryError) as error:
            raise _not_unpickled(error) from error

    def __repr__(self) -> str:
        return f"<Packed: {len(self.data)} bytes, {sum(part.size for part in self.parts)} beside them>"


def _landed(data: bytes, refs: tuple[Ref, ...], parts: tuple[tuple[int, int, int], ...]) -> Packed:
    return (Carrying if refs else Packed)(data, refs, MISSING, landed(parts))


class Carrying(Packed):
    """One with references in it; collected with them still in it, it gives them back."""

    __slots__ = ()

    @property
    def needs_care(self) -> bool:
        return True

    def again(self) -> Carrying:
        """The same once more, with references of its own. Raises why the home of one can't be reached any more."""
        held: list[Ref] = []
        try:
            for ref in self.refs:
                _handles.hold(ref)
                held.append(ref)
        except BaseException:
            _handles.release(tuple(held))
            raise
        return Carrying(self.data, self.refs, self.item, self.parts)

    def sent(self) -> None:
        """It left for another address space: the references are that one's now."""
        self.refs = ()

    def __del__(self) -> None:
        if self.refs and _handles is not None:
            _handles.release(self.refs)


def pack(value: Any, keep: bool = False, beside: bool = True) -> Packed:
    """The value as it is now. `keep`: opened in this very address space it shall be the object itself.

    `beside`: big buffers go beside the pickle. Without, two packed values are equal if their `data` are.

    Raises: RemoteError, that names the value and what in it can't be pickled.
    """
    item = value if keep else MISSING
    kind = type(value)
    if kind in PLAIN:
        if not (kind is bytes or kind is str) or len(value) < BIG or not beside:
            try:
                return Packed(pickle.dumps(value, 5), (), item)
            except MemoryError:
                raise _too_large(value) from None
        if keep:
            return Packed(b"", (), item)  # copied when it leaves, if it ever does
    elif kind in CONTAINERS and is_simple(value):
        return Packed(pickle.dumps(value, 5), (), item)
    outer = getattr(_local, "refs", None)
    refs: list[Ref] = []
    _local.refs = refs
    try:
        data, parts = _dump(value, refs, beside)
    except BaseException:
        if refs:
            _handles.release(tuple(refs))
        raise
    finally:
        _local.refs = outer
    return Carrying(data, tuple(refs), item, parts) if refs else Packed(data, (), item, parts)


def all_plain(values: Iterable[Any]) -> bool:
    """Whether they are values that never change, and need no packing to be fixed."""
    return all(type(value) in PLAIN for value in values)


def is_simple(  # noqa: C901, PLR0911, PLR0912 - called for most items: each call in it would be dear
    value: Any, depth: int = SHALLOW, met: list[int] | None = None
) -> bool:
    """Whether it is a small container of nothing but what pickle, or marshal, manages without help.

    Of exact types only: no code of the user's runs as it is copied. And no container is in it twice, of which marshal
    would make two.
    """
    if len(value) > FEW:
        return False
    parts = value
    if type(value) is dict:
        for key in value:
            if type(key) is not str and type(key) is not int:
                return False
        parts = value.values()
    for part in parts:
        kind = type(part)
        if kind in ATOMS:
            continue
        if kind is str or kind is bytes:
            if len(part) > SHORT:
                return False
        elif not depth or kind not in CONTAINERS:
            return False
        else:
            if met is None:
                met = [id(part)]
            elif id(part) in met:
                return False
            else:
                met.append(id(part))
            if not is_simple(part, depth - 1, met):
                return False
    return True


def _dump(value: Any, refs: list[Ref], beside: bool = True) -> tuple[bytes, tuple[Part, ...]]:
    try:
        got = dumped(value, None, beside)
        if got is not None:
            return got
    except MemoryError:
        raise _too_large(value) from None
    except Exception:  # noqa: S110 - cloudpickle may know more, and its error is the better one
        pass
    if refs:
        _handles.release(tuple(refs))
        refs.clear()
    try:
        return dumped(value, _pickler_by_value(), beside)  # type: ignore[return-value]
    except MemoryError:
        raise _too_large(value) from None
    except Exception as error:
        raise RemoteError(
            f"{_named(value)} can't go to another address space: {_culprit(value, error)}"
        ) from error


def _too_large(value: Any) -> RemoteError:
    kind = type(value).__qualname__
    return RemoteError(
        f"a {kind} can't go to another address space: it is too large for the memory of this process"
    )


def _load(data: bytes, refs: tuple[Ref, ...], parts: tuple[Part, ...]) -> Any:
    if not refs:
        return _loads(data, parts)
    outer = getattr(_local, "due", None)
    due = _local.due = list(refs)
    try:
        return _loads(data, parts)
    finally:
        _local.due = outer
        if due:  # what it was to be revived for failed
            _handles.release(tuple(due))


def set_pickling(loads: Callable[..., Any], pickler: Callable[[], Callable[..., Any]]) -> None:
    """Who unpickles here from now on, and the pickler for what plain pickle can't: see `parts.clouded`."""
    global _unpickle, _pickler_by_value
    _unpickle, _pickler_by_value = loads, pickler


_unpickle: Callable[..., Any] = pickle.loads
_pickler_by_value: Callable[[], Callable[..., Any]] = clouded


def _loads(data: bytes, parts: tuple[Part, ...]) -> Any:
    try:
        if not parts:
            return _unpickle(data)
        pickled, buffers = opened_parts(data, parts)
        return _unpickle(pickled, buffers=buffers)
    except Exception as error:
        raise _not_unpickled(error) from error


def _not_unpickled(error: Exception) -> RemoteError:
    full = isinstance(error, MemoryError) or getattr(error, "errno", None) == ENOMEM
    why = "it is too large for the memory of this process: " if full else ""
    return RemoteError(
        f"what came from another address space can't be unpickled here: {why}{type(error).__name__}: {error}"
    )


def export(thing: Any) -> Any:
    """How pickle is to reduce one of potok's own objects."""
    refs = getattr(_local, "refs", None)
    if refs is None or _handles is None:
        raise pickle.PicklingError(
            f"{thing!r:.100} is a handle of this program: it travels in what tasks are started with, send and return, "
            f"not through a pickle of your own"
        )
    ref, spec = _handles.export(thing)
    refs.append(ref)
    return revive, spec


def revive(*spec: Any) -> Any:
    """The other half of `export`."""
    due = getattr(_local, "due", None)
    thing = _handles.revive(spec)
    if due and spec[0] in due:
        due.remove(spec[0])
    return thing


def give_back(end: Any) -> None:
    """Told by such a façade as it is collected. Safe from anywhere."""
    if _handles is not None:
        _handles.give_back(end)


def opened(value: Any) -> Any:
    """The value itself, if it is packed."""
    return value.open() if isinstance(value, Packed) else value


def safely_opened(value: Any) -> Any:
    """As `opened`, for reasons and causes: what can't be unpickled here is described."""
    try:
        return opened(value)
    except Exception as error:
        return f"(a reason that can't be unpickled here: {error})"


# ── exceptions ──────────────────────────────────────────────────────────────────────────────────────────────


def pack_error(error: BaseException, where: str = "") -> tuple[Packed | None, str]:
    """An exception on its way, and a description in case it can't be pickled, or unpickled over there.

    `where` says in which worker it was raised; its traceback goes along as a note.
    """
    told = "".join(traceback.format_exception(error)).rstrip()
    if where:
        error.add_note(f"\n{where}:\n{told}")
    try:
        return pack(error), told
    except Exception:
        return None, told


def told(packed: Packed | None, text: str) -> BaseException:
    """The exception that `pack_error` packed, or a RemoteError with its description."""
    if packed is not None:
        try:
            error = packed.open()
        except Exception:
            error = None
        if isinstance(error, BaseException):
            return error
    return RemoteError(f"an exception that can't be pickled was raised in another address space:\n{text}")


# ── what is wrong with it ───────────────────────────────────────────────────────────────────────────────────


def _named(value: Any) -> str:
    try:
        return f"{value!r:.100}"
    except Exception:
        return f"a {type(value).__qualname__}"


def _culprit(value: Any, error: Exception) -> str:
    """Where in it the trouble is: `args[1]['lock']`, as deep as it can be told."""
    path = "".join(_path(value, 0))
    where = f"at {path} " if path else ""
    return f"{where}({type(error).__name__}: {error})"


def _path(value: Any, depth: int) -> list[str]:
    if depth > 8:
        return []
    for label, part in _parts(value):
        if not _can_be_pickled(part):
            return [label, *_path(part, depth + 1)]
    return []


def _parts(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"[{key!r:.40}]", part) for key, part in value.items()]
    if isinstance(value, list | tuple):
        return [(f"[{index}]", part) for index, part in enumerate(value)]
    cells = getattr(value, "__closure__", None)
    if cells:
        return [
            (f".<{name}>", cell.cell_contents)
            for name, cell in zip(value.__code__.co_freevars, cells, strict=True)
        ]
    state = getattr(value, "__dict__", None)
    return [(f".{name}", part) for name, part in state.items()] if isinstance(state, dict) else []


def _can_be_pickled(value: Any) -> bool:
    import cloudpickle

    outer = getattr(_local, "refs", None)
    refs = _local.refs = []
    try:
        cloudpickle.dumps(value, 5)
    except Exception:
        return False
    finally:
        _local.refs = outer
        if refs:
            _handles.release(tuple(refs))
    return True
