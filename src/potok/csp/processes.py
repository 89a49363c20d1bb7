"""Processes: a function with its arguments, that runs once, wherever `Parallel`, `Sequence` or `Spawn` lets it run.

    @process
    def worker(cin, cout): ...

    worker(+jobs, -results)        # a process, not yet running
    10 * worker(+jobs, -results)   # ten of them, each with ends of its own

`process` says nothing of where it runs; a `multiprocess` runs in an OS process of its own unless `on=` says otherwise.
The process has a port of its own for each end among the arguments, also for those in lists, tuples and dicts. It is
closed as the process ends; if that fails, or is killed, the channel is poisoned, with the error as the cause.
"""

from __future__ import annotations

import functools
import itertools
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import ContextVar
from operator import is_not
from typing import Any, ClassVar, NamedTuple

import potok
from potok.csp.channels import Channel, ChannelEnd, another_port, moved, poison, repeated, retire
from potok.csp.ending import ChannelPoisonException, ChannelRetireException, InfoException

__all__ = ["Gate", "Here", "MultiProcess", "Process", "here", "multiprocess", "process"]

_numbers: dict[str, itertools.count[int]] = {}
_numbering = threading.Lock()

here: ContextVar[Here | None] = ContextVar("here", default=None)
"""The process that runs at this point; none in the main program."""


class Here:
    """A running process: its id, where those that it runs are to run, and the scope of those that it has spawned."""

    __slots__ = ("_outside", "_stack", "id", "on")

    def __init__(self, ident: str, on: Any, stack: ExitStack) -> None:
        self.id = ident
        self.on = on
        self._outside = potok.current_scope()
        self._stack = stack

    def spawning(self) -> Any:
        """The scope for what is spawned here: one that this process leaves as it ends, or the innermost of its own."""
        inside = potok.current_scope()
        return self._stack.enter_context(potok.scope(self.on)) if inside is self._outside else inside


class Gate:
    """Where processes on threads wait for each other, so that none has done its work before others begin."""

    __slots__ = ("_arrived", "_count", "_open")

    def __init__(self, count: int) -> None:
        self._arrived = potok.Semaphore(0)
        self._open = potok.Event()
        self._count = count

    def arrive(self) -> None:
        """Be there, and wait for the others."""
        self._arrived.release()
        self._open.wait()

    def open(self) -> None:
        """Wait until all are there, and let them go."""
        for _ in range(self._count):
            self._arrived.acquire()
        self._open.set()


class _Given(NamedTuple):
    """An end of a process that has not begun: the port, unless it is handed over, and those of who keeps it."""

    kind: Callable[..., ChannelEnd]
    channel: Channel
    port: Any
    origins: tuple[Any, ...]


class _Body:
    """What a process's task runs: the function, and its arguments with places for the ends that are handed over."""

    def __init__(self, of: Process, on: Any, ends: list[_Given]) -> None:
        self.__name__ = of.name
        self.id = of.id
        self.source = of.source
        self.on = on
        self.args: Any = of.args
        self.kwargs: Any = of.kwargs
        self.ends = ends
        self.gate = of.gate

    def __call__(self, *ports: Any) -> Any:
        """Live, and pass on how that ended."""
        if self.gate is not None:
            self.gate.arrive()
        mine = iter(ports)
        ends = [given.kind(given.channel, given.port or next(mine), given.origins) for given in self.ends]
        args, kwargs = _filled(self.args, ends), _filled(self.kwargs, ends)
        self.args, self.kwargs, self.ends = (), {}, []  # nobody else holds what the process has let go
        function = getattr(self.source, "runs", self.source)
        with ExitStack() as stack:
            token = here.set(Here(self.id, self.on, stack))
            stack.callback(here.reset, token)
            try:
                return moved(function(*args, **kwargs))
            except ChannelRetireException:
                retire(ends)
            except ChannelPoisonException:
                poison(ends)
        return None

    def __repr__(self) -> str:
        return f"<process {self.__name__}>"

    def __reduce__(self) -> Any:
        on = self.on if self.on is None or isinstance(self.on, str) else self.on.name
        return _revived, (self.__dict__ | {"on": on},)


def _revived(state: dict[str, Any]) -> _Body:
    body = object.__new__(_Body)
    body.__dict__.update(state)
    return body


class Process:
    """A function and its arguments, to be run once. Made by a function under `@process`."""

    on: ClassVar[str | None] = None  # where it runs if nobody says

    def __init__(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        if not callable(fn):
            raise InfoException(f"a process is made of a function and its arguments, not of {fn!r}")
        self.source = fn  # the decorated one, where there is one: that is found again by its name
        self.args = args
        self.kwargs = kwargs
        label = getattr(fn, "__name__", type(fn).__name__)
        with _numbering:
            number = next(_numbers.setdefault(label, itertools.count(1)))
        self.name = f"{label}-{number}"
        self.id = f"{os.getpid()}.{self.name}"
        self.started = False
        self.gate: Gate | None = None  # where it waits for those that it is started with
        self.given: list[
            tuple[Any, bool, Any]
        ] = []  # by channel and side, the ports of the ends that it was given

    def refuse_again(self) -> None:
        """Raise InfoException if it was started."""
        if self.started:
            raise InfoException(f"process {self.name} has run already; call its function again for a new one")

    def start_in(self, start: Callable[..., potok.Task[Any]], on: Any, inner: Any) -> potok.Task[Any]:
        """Start it by `start`, on that executor; the processes that it runs itself run on `inner` if nobody says."""
        self.refuse_again()
        self.started = True
        found: dict[int, tuple[int, ChannelEnd]] = {}
        self.args, self.kwargs = _emptied(self.args, found), _emptied(self.kwargs, found)
        ends = [end for _, end in found.values()]
        self.given = [(end.channel.key, end.isWriter(), end.port()) for end in ends]
        places = [
            _Given(type(end), end.channel, another_port(end.port()), (end.port(), *end.origins()))
            for end in ends
        ]
        try:
            return self._start(start, on, inner, places)
        finally:
            self.args, self.kwargs = (), {}
            for place in places:
                place.port.close()  # the task has its own

    def _start(
        self, start: Callable[..., potok.Task[Any]], on: Any, inner: Any, places: list[_Given]
    ) -> potok.Task[Any]:
        ports = [None if place.port.closed else place.port for place in places]
        while True:
            given = [
                place._replace(port=None) if port else place
                for place, port in zip(places, ports, strict=True)
            ]
            try:
                return start(_Body(self, inner, given), *filter(None, ports), on=on, name=self.name)
            except potok.ClosedError:
                still_open = [port if port and _is_open(port) else None for port in ports]
                if still_open == ports:
                    raise
                ports = still_open  # one was poisoned in between, and its process is to learn so

    def __mul__(self, count: float) -> list[Process]:
        """A list of so many such processes, this one the first, each with ends of its own."""
        return [self, *(self._another() for _ in range(repeated(count) - 1))][: repeated(count)]

    __rmul__ = __mul__

    def _another(self) -> Process:
        found: dict[int, tuple[int, ChannelEnd]] = {}
        args, kwargs = _emptied(self.args, found), _emptied(self.kwargs, found)
        ends = [end.another() for _, end in found.values()]
        return type(self)(self.source, *_filled(args, ends), **_filled(kwargs, ends))

    def __reduce__(self) -> Any:
        if self.started:
            raise InfoException(f"process {self.name} has been started: it can't go elsewhere any more")
        return _made, (type(self), self.source, self.args, self.kwargs)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{', started' if self.started else ''}>"


class MultiProcess(Process):
    """A process that runs in an OS process of its own, if nobody says otherwise. Made under `@multiprocess`."""

    on: ClassVar[str | None] = "processes"


def _made(kind: type[Process], source: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Process:
    return kind(source, *args, **kwargs)


def _is_open(port: Any) -> bool:
    try:
        port.clone().close()
    except potok.ClosedError:
        return False
    return True


def process(func: Callable[..., Any]) -> Callable[..., Process]:
    """Make a function one that makes processes: `worker(+jobs, -results)` does not run it, but says what is to run.

    For `def` functions: an `async def` one can't call its ends, and takes `potok.scope` and its channels.
    """
    return _factory(Process, func)


def multiprocess(
    func: Callable[..., Any] | None = None,
    pycsp_host: str = "",  # noqa: ARG001 - there are programs that pass them
    pycsp_port: int | None = None,  # noqa: ARG001
) -> Callable[..., Any]:
    """As `process`, for what is to run in an OS process of its own; arguments, items and results are copied.

    Also with parentheses. `pycsp_host` and `pycsp_port` are taken and mean nothing: there is no server.
    """
    return functools.partial(_factory, MultiProcess) if func is None else _factory(MultiProcess, func)


def _factory(kind: type[Process], func: Callable[..., Any]) -> Callable[..., Process]:
    name = "multiprocess" if kind is MultiProcess else "process"
    if not callable(func):
        raise InfoException(f"@{name} stands before a function, not before {func!r}")
    if hasattr(func, "__code__") and func.__code__.co_flags & 0x2A0:  # of generators, coroutines and both
        raise InfoException(
            f"@{name} takes a plain function, and {func.__name__} is none: an async def one can't call its ends, and "
            f"a generator would not run; potok.scope runs the former"
        )

    @functools.wraps(func)
    def make(*args: Any, **kwargs: Any) -> Process:
        return kind(make, *args, **kwargs)

    make.runs = func  # type: ignore[attr-defined]
    return make


# ── the ends among the arguments ────────────────────────────────────────────────────────────────────────────


class _Place(NamedTuple):
    """Where an end stands among the arguments of a process that has not begun."""

    number: int


class _Holding(NamedTuple):
    """A container in which ends stand."""

    kind: type
    items: tuple[Any, ...]


_DEEP = 12  # containers in containers that are looked through


def _emptied(value: Any, found: dict[int, tuple[int, ChannelEnd]], depth: int = _DEEP) -> Any:
    """The arguments with places for the ends; what holds none is the very object that was passed."""
    if isinstance(value, ChannelEnd):
        return _Place(found.setdefault(id(value), (len(found), value))[0])
    kind = type(value)
    if not depth or not (kind is list or kind is tuple or kind is dict):
        return value
    old = list(value.items()) if kind is dict else value
    items = tuple([_emptied(item, found, depth - 1) for item in old])
    return _Holding(kind, items) if any(map(is_not, items, old)) else value


def _filled(value: Any, ends: list[ChannelEnd]) -> Any:
    """The reverse, with these ends."""
    if type(value) is _Place:
        return ends[value.number]
    if type(value) is _Holding:
        return value.kind([_filled(item, ends) for item in value.items])
    return value
