"""Shared objects: one dict, list or object of your own that tasks of any executor use as if it were theirs.

The object stays at its *home*, the address space that shared it; what is done with it is sent there. Each step (an
item, an attribute, a method call) is done under a lock of the object's own, so two steps never overlap; but between
two steps others get their turn. `ns.x += 5` is two steps, a read and a write: done by two tasks at once, one addition
may be lost. What belongs together goes into one function, `ns.atomic(add)`, or into `with ns.locked() as proxy:`.

    counts = potok.share({})                             # or potok.Namespace(x=1), potok.Value(0)
    counts["a"] = 1                                      # one step each: from any task, in any process
    counts.atomic(lambda counts: counts.update(a=counts["a"] + 1))     # one step, at home: nothing is lost

The same on all executors. In the address space where the object lives steps are calls: arguments and results go by
reference, unless the task is on an executor with `isolate=True`; from elsewhere they are copied, the object is not.

Choose a channel where things go one way, and share nothing. Choose `potok.Lock` to guard what is not one object.
Source: `multiprocessing.Manager`. We deviate in that the program itself is the server, in that each step takes the
lock, and in `atomic`: a Manager loses increments, or takes four messages for each.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, TypeVarTuple

from potok.kernel.colour import is_async
from potok.kernel.current import carrier, current_awaiting
from potok.kernel.guard import Guard
from potok.kernel.isolation import copied
from potok.kernel.parking import aperform, attend, perform
from potok.kernel.task import ASYNC, Task
from potok.links.packing import opened
from potok.machines.cell import MISSING, NOT_HELD, STEPS, Box, CellMachine, Names, methods_of
from potok.primitives.tasks import current_task

__all__ = ["Namespace", "Shared", "Value", "share"]

T = TypeVar("T")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")


class _Operated(Generic[T]):
    """What is done with a shared object: the operators, items, attributes and methods of the object itself."""

    __slots__ = ("__weakref__", "_machine")

    _machine: Any

    def _step(self, name: str, *args: Any) -> Any:
        """Do one of `STEPS` with the object, in the name of the current task."""
        raise NotImplementedError

    # ── items ───────────────────────────────────────────────────────────────────────────────────────────────

    def __getitem__(self, key: Any) -> Any:
        return self._step("get item", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._step("set item", key, value)

    def __delitem__(self, key: Any) -> None:
        self._step("del item", key)

    def __contains__(self, item: object) -> bool:
        return bool(self._step("in", item))

    def __len__(self) -> int:
        return int(self._step("len"))

    def __bool__(self) -> bool:
        return bool(self._step("bool"))

    def __iter__(self) -> Iterator[Any]:
        """Over a snapshot: what it holds at this moment."""
        return iter(self._step("iter"))

    # ── attributes and methods ──────────────────────────────────────────────────────────────────────────────

    def __getattr__(self, name: str) -> Any:
        _refuse_private(name)  # first: also where there is no machine yet
        machine = self._machine
        methods = machine.methods if machine.away else methods_of(type(machine.content))
        return partial(self._call, name) if name in methods else self._step("get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        self._refuse_own(name)
        self._step("set", name, value)

    def __delattr__(self, name: str) -> None:
        _refuse_private(name)
        self._refuse_own(name)
        self._step("del", name)

    def _call(self, method: str, /, *args: Any, **options: Any) -> Any:
        if options:
            return self._step("call with", method, options, *args)
        return self._step("call", method, *args)

    def _refuse_own(self, name: str) -> None:
        if hasattr(type(self), name):
            raise AttributeError(
                f"{name!r} is a name of {type(self).__name__} itself; the object's attribute is reached by a function: "
                f"shared.atomic(setattr, {name!r}, value)"
            )

    def __str__(self) -> str:
        """The object's."""
        return str(self._step("str"))

    def __repr__(self) -> str:
        return f"<potok.{type(self).__name__}: {self._machine.describe()}>"


class Shared(_Operated[T]):
    """An object that lives at its home, and is used from anywhere. Made by `potok.share`.

    Items (`shared[key]`, `in`, `len`), public attributes, method calls, `str()` and the truth of the object are those
    of the object, each a step of its own under its lock; iterating goes over a snapshot. A dict's views arrive as
    lists. A step waits while another task has the lock, so it is a park point, and plain code's only: an `async def`
    task writes `await shared.aatomic(...)`, or uses the proxy of `async with shared.locked() as proxy:`.

    The names `atomic`, `aatomic`, `locked` and `recover` are Shared's own; an attribute of the object that is called so
    is reached by a function, `shared.atomic(getattr, "locked")`. Names that begin with an underscore stay private
    to the object, in the same way. Whether a name is a method is looked up in the object's class, once.

    A Shared that goes to another address space keeps the object alive; when its home process ends, the object is gone.
    A worker that has read a number or a short string of it reads it again without asking, as long as nobody has taken
    the lock meanwhile: looking often at what seldom changes costs next to nothing. Where a worker is the only one that
    writes to it, it sets such items, and runs simple functions (see `atomic`), without asking either; the home has it
    as soon as anybody looks. All that with a dict, list, Namespace or Value to which nobody at home refers besides, as
    `share({...})` makes it: what another variable refers to may be changed past the lock.
    """

    __slots__ = ()

    def __init__(self, content: T) -> None:
        machine = CellMachine(copied(content) if current_task().isolate else content)
        machine.guard = Guard(carrier())
        object.__setattr__(self, "_machine", machine)

    def _step(self, name: str, *args: Any) -> Any:
        return self._do(SAID[name], "shared.aatomic(...)", name, args)

    def _do(self, call: str, instead: str, name: str, args: tuple[Any, ...]) -> Any:
        """Do it in plain code, waiting for the lock."""
        machine, task = self._machine, current_task()
        if not machine.away and machine.held_by(task):
            return _here(
                task, machine, name, args
            )  # also inside a function that an `async def` task has run here
        if task.trap:
            attend(task, call, instead)
        if machine.away:
            known = machine.look(task, name, args)
            if known is not MISSING:
                return known
            return opened(perform(machine, machine.step, task, name, args, call="atomic"))
        perform(machine, machine.acquire, task, call="atomic")
        try:
            return _here(task, machine, name, args)
        finally:
            machine.guard.run(carrier(), machine.release, task)

    # ── several at once ─────────────────────────────────────────────────────────────────────────────────────

    def atomic(self, fn: Callable[[T, *Ts], R], *args: *Ts) -> R:
        """Run `fn(object, *args)` at the object's home, under its lock. A park point.

        `fn` may change the object as it likes: nobody sees it half done. It may use this very Shared, and wait; others
        wait for the lock meanwhile, so it had better be short. Keyword arguments go through functools.partial.

        Returns: what `fn` returned: itself in the same address space, elsewhere a copy.
        Raises: what `fn` raised; RemoteError, that names the culprit, if `fn`, an argument or the result can't be
            pickled. The object is then as `fn` left it: an error takes nothing back, and what could not be sent did
            not run. AbandonedLock: see `locked`. BlockingCallError in an `async def` task: nothing was done.
            Cancelled, TimeoutError (of a `potok.timeout` around it): `fn` has not begun, or met it at a park point of
            its own; one that is under way and does not wait runs to its end, and its result is returned.

        Executors: the same on all. Called from another address space, `fn` runs once, as a task of the home's, on a
            thread of its own, and to its end even if the caller's process dies meanwhile (unless it waits: see above).
            One that only computes (numbers, strings, items and attributes; no call, no loop, no global name), with an
            object of a few items to which the caller's worker alone has written, runs there instead, which nobody can
            tell: its changes are the object's as soon as it ends.
        """
        _check(fn, "atomic")
        return self._do("atomic()", "aatomic()", "apply", (fn, *args))  # type: ignore[no-any-return]

    async def aatomic(self, fn: Callable[[T, *Ts], R], *args: *Ts) -> R:
        """The awaitable spelling of `atomic`. `fn` is a plain function; on this very loop it may not wait."""
        _check(fn, "aatomic")
        task = current_awaiting()
        machine, call = self._machine, (fn, *args)
        if machine.away:
            return opened(await aperform(machine, machine.step, task, "apply", call))  # type: ignore[no-any-return]
        await aperform(machine, machine.acquire, task)
        try:
            return _here(task, machine, "apply", call)  # type: ignore[no-any-return]
        finally:
            machine.guard.run(carrier(), machine.release, task)

    def locked(self) -> Locked[T]:
        """Hold the object's lock for a block: `with shared.locked() as proxy:`, or `async with`.

        Others wait until the block is left. The proxy has the object's items, attributes and methods, as the Shared
        has, and never waits for the lock; it is of no use outside of the block, or to another task. From another
        address space each step through it is a message and its answer, so `atomic`, which is one altogether, is faster.

        Raises (as the block is entered): Cancelled; BlockingCallError, for `with` in an `async def` task;
            AbandonedLock, if a worker process died inside such a block: the object may be half changed. Everybody gets
            it, for any step, until somebody has looked after that and called `recover()`.
        """
        return Locked(self._machine)

    def recover(self) -> bool:
        """Let others at the object again after `AbandonedLock`; False if it was not abandoned. Never waits."""
        machine = self._machine
        return bool(machine.guard.run(carrier(), machine.recover))

    def __reduce__(self) -> Any:
        return _revived, (type(self), self._machine)


class Held(_Operated[T]):
    """A shared object in the hands of the task that holds its lock: what `with shared.locked()` gives."""

    __slots__ = ()

    def __init__(self, machine: Any) -> None:
        object.__setattr__(self, "_machine", machine)

    def _step(self, name: str, *args: Any) -> Any:
        machine, task = self._machine, current_task()
        if not machine.away:
            if not machine.held_by(task):
                raise RuntimeError(NOT_HELD)
            return _here(task, machine, name, args)
        if task.base_trap & ASYNC:  # blocks for the answer, which nobody else's lock keeps back
            return opened(machine.held_step(None, task, name, args))
        return opened(perform(machine, machine.held_step, task, name, args, call="atomic"))

    def __reduce__(self) -> Any:
        raise TypeError(NOT_HELD)


class Locked(Generic[T]):
    """The block of `shared.locked()`."""

    __slots__ = ("_machine",)

    def __init__(self, machine: Any) -> None:
        self._machine = machine

    def __enter__(self) -> Held[T]:
        machine, task = self._machine, current_task()
        if not machine.away and machine.held_by(task):  # it does not wait: also where waiting is refused
            machine.guard.run(carrier(), machine.acquire, None, task)
            return Held(machine)
        if task.trap:
            attend(task, "`with shared.locked()`", "shared.aatomic(...)`, or `async with shared.locked()")
        perform(machine, machine.acquire, task, call="locked")
        return Held(machine)

    def __exit__(self, kind: object, error: BaseException | None, trace: types.TracebackType | None) -> None:
        self._machine.guard.post(carrier(), self._machine.release, current_task())

    async def __aenter__(self) -> Held[T]:
        machine = self._machine
        await aperform(machine, machine.acquire, current_awaiting())
        return Held(machine)

    async def __aexit__(
        self, kind: object, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        self._machine.guard.post(carrier(), self._machine.release, current_task())


class Namespace(Shared[Names]):
    """A shared object with attributes and nothing else: `ns = potok.Namespace(x=1, y=1)`; then `ns.x`, `ns.x = 2`.

    `ns.x += 5` is a read and a write: two tasks that do it at once may lose one of them. Write a function,
    `def add(ns): ns.x += 5`, and `ns.atomic(add)`.
    """

    __slots__ = ()

    def __init__(self, /, **names: Any) -> None:
        for name in names:
            _refuse_private(name)
            self._refuse_own(name)
        super().__init__(Names(**names))


class Value(Shared[Box[T]]):
    """One shared value: `total = potok.Value(0)`; then `total.value`, `total.value = 1`.

    `total.value += 1` is a read and a write: two tasks that do it at once may lose one of them. Write a function,
    `def add(total): total.value += 1`, and `total.atomic(add)`.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        value: T

    def __init__(self, value: T) -> None:
        super().__init__(Box(value))


def share(content: T) -> Shared[T]:
    """Share an object with tasks of all executors: it lives here, and what is done with it comes here. See `Shared`.

    Args:
        content: any object; whoever goes on using it directly goes past its lock. On an executor with `isolate=True` it
            is copied. One that is a handle already (a lock, a queue, a channel's end, a Shared) needs no sharing.
    """
    return Shared(content)


def _revived(kind: type[Shared[Any]], machine: Any) -> Shared[Any]:
    shared = kind.__new__(kind)
    object.__setattr__(shared, "_machine", machine)
    return shared


def _here(task: Task[Any], machine: CellMachine, name: str, args: tuple[Any, ...]) -> Any:
    """A step in the object's own address space, with the lock held."""
    if not task.isolate:
        return STEPS[name](machine.content, *args)
    return copied(STEPS[name](machine.content, *copied(args)))


def _check(fn: Any, call: str) -> None:
    if not callable(fn):
        raise TypeError(
            f"{call} takes a function and its arguments, not {fn!r:.200} (was it called already?)"
        )
    if is_async(fn):
        raise TypeError(
            f"{call}: {fn!r:.200} is a coroutine function; what runs under the object's lock is a plain function"
        )


def _refuse_private(name: str) -> None:
    if name.startswith("_"):
        raise AttributeError(
            f"{name!r} is private to the shared object; a function may use it: shared.atomic(getattr, {name!r})"
        )


SAID: Final = {
    "get item": "shared[key]",
    "set item": "shared[key] = value",
    "del item": "del shared[key]",
    "in": "`in` a Shared",
    "len": "len() of a Shared",
    "bool": "the truth of a Shared",
    "str": "str() of a Shared",
    "iter": "iterating over a Shared",
    "get": "an attribute of a Shared",
    "set": "setting an attribute of a Shared",
    "del": "deleting an attribute of a Shared",
    "call": "a method of a Shared",
    "call with": "a method of a Shared",
}
"""How a message calls each step."""
