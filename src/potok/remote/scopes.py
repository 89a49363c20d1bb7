"""Scopes in other address spaces: siblings can be started there, and all can be cancelled.

A scope is entered and left where it was made; what travels is a handle on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar, copy_context
from typing import Any

from potok.errors import ScopeError
from potok.kernel.cancelling import cancel_scope
from potok.kernel.current import carrier
from potok.kernel.root import root
from potok.kernel.starting import checked_carry
from potok.kernel.task import Task
from potok.links.packing import pack, safely_opened
from potok.machines.scope import ScopeMachine
from potok.remote.calling import Remote, reads
from potok.remote.calling import ask as ask_home
from potok.remote.contexts import open_work, pack_work
from potok.remote.home import Home, home
from potok.remote.link import Link

__all__ = ["RemoteScope", "ScopeHandle"]


class RemoteScope(Remote):
    """What stands here for the machine of a scope elsewhere."""

    __slots__ = ()

    cancelled = reads("reason")

    @property
    def facade(self) -> ScopeHandle:
        """What users get."""
        return ScopeHandle(self)


class ScopeHandle:
    """A scope of another address space, as a task that was given it sees it."""

    __slots__ = ("_machine",)

    def __init__(self, machine: RemoteScope) -> None:
        self._machine = machine

    def start(
        self,
        fn: Callable[..., Any],
        *args: Any,
        on: Any = None,
        name: str | None = None,
        carry: Iterable[ContextVar[Any]] = (),
    ) -> Task[Any]:
        """Start a sibling, as `Scope.start`. Raises ScopeError if the scope has ended."""
        machine = self._machine
        work = pack_work(fn, args, copy_context(), checked_carry(carry))
        request = machine.request("start", False, (work, pack(on), name))
        return ask_home(request).open()  # type: ignore[no-any-return]

    def cancel(self, reason: object = "") -> None:
        """Cancel the scope's body and every task of it. Never waits."""
        home.link_to(self._machine.ref[0]).note("tell", *self._machine.ref, "cancel", (pack(reason),))

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled, by whomever."""
        return bool(self._machine.cancelled)

    def __enter__(self) -> Any:
        raise ScopeError("a scope is entered where it was made, not in another address space")

    def __exit__(self, *_: object) -> None:
        raise ScopeError(
            "this scope was entered by a task of another address space, and is left by that one only"
        )

    async def __aenter__(self) -> Any:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()

    def __reduce__(self) -> Any:
        return facade_of, (self._machine,)

    def __repr__(self) -> str:
        return "<Scope of another address space>"


def facade_of(machine: Any) -> Any:
    """What users know a scope's machine as."""
    facade = machine.facade
    if facade is None:
        raise ScopeError("this scope has ended")
    return facade


def _export(machine: ScopeMachine | RemoteScope) -> tuple[Any, ...]:
    return ("scope",)


def _stranger() -> Task[Any]:
    """Who starts a task here from elsewhere."""
    task: Task[Any] = Task(_elsewhere, (), root, "elsewhere")
    task.carrier = carrier()
    return task


def _elsewhere() -> None:
    """What a task of another address space is said to run."""


def _serve(
    at: Home, link: Link, number: int, machine: Any, op: str, wait: bool, args: tuple[Any, ...]
) -> None:
    if op == "start":
        work, on, name = args
        fn, rest, context, variables = open_work(work)  # not the context of whoever leads
        start = facade_of(machine).start_for
        task = context.run(start, _stranger(), fn, rest, on.open(), name, variables)
        link.answer(number, pack(task))
    elif op == "cancel":
        cancel_scope(machine, safely_opened(args[0]))
    else:
        link.answer(number, machine.reason is not None)


home.serves[ScopeMachine] = _serve
home.exports[ScopeMachine] = home.exports[RemoteScope] = _export
home.makes["scope"] = RemoteScope
