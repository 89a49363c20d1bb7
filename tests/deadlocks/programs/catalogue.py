"""The programs by name: on which executors each runs, and who must be found waiting for what.

A program is a plain function that is called in the main thread of a process of its own. What is stuck on purpose first
*meets* at a barrier, so that it gets stuck whatever the schedule.
"""

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import potok

LOOKS_STUCK = 0.6
"""Seconds for which innocent programs look stuck, several times what the detector looks at first.

Real seconds, the only ones in these tests: what can still wake somebody here (timers, signals, other threads and
processes, I/O) knows no virtual time.
"""

CYCLE, ENDS, TOTAL = "cycle", "ends", "total"
"""Why a program is stuck: (a) a cycle of RLocks and joins, (b) ends that only the stuck hold, (c) nobody can go on."""


class Program(NamedTuple):
    """One program on one executor."""

    name: str
    run: Callable[[], object]
    kind: str  # "" if it is innocent
    waits: dict[str, str]  # whom the message has to name, and what each waits for; both are patterns
    spared: tuple[str, ...]  # who has nothing to do with it


PROGRAMS: dict[str, Program] = {}

Function = Callable[..., object]


def stuck(
    kind: str, *executors: Any, spared: tuple[str, ...] = (), **waits: str
) -> Callable[[Function], Function]:
    """A program that ends in DeadlockError on each of these executors; without any, it chooses them by itself.

    `waits`: "body" is the main thread.
    """
    named = {"MainThread" if name == "body" else name: what for name, what in waits.items()}
    return _enter(kind, executors, named, spared)


def innocent(*executors: Any) -> Callable[[Function], Function]:
    """A program that only looks stuck and comes to its end."""
    return _enter("", executors, {}, ())


def _enter(
    kind: str, executors: tuple[Any, ...], waits: dict[str, str], spared: tuple[str, ...]
) -> Callable[[Function], Function]:
    def entered(function: Function) -> Function:
        for on in executors or (None,):
            name = function.__name__ if on is None else f"{function.__name__}[{on}]"
            assert name not in PROGRAMS, f"two programs have the name {name}"
            run = function if on is None else _on(function, on)
            PROGRAMS[name] = Program(name, run, kind, waits, spared)
        return function

    return entered


def _on(function: Function, on: str) -> Callable[[], object]:
    return lambda: function(on)


def load() -> dict[str, Program]:
    """All programs."""
    for path in sorted(Path(__file__).parent.glob("*_*.py")):
        importlib.import_module(path.stem)
    return PROGRAMS


# ── what several programs are made of ───────────────────────────────────────────────────────────────────────


@contextmanager
def later(fn: Callable[..., object], *args: object) -> Iterator[None]:
    """A threading.Timer calls `fn(*args)` when the block has looked stuck."""
    timer = threading.Timer(LOOKS_STUCK, fn, args)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@contextmanager
def thread(fn: Callable[..., object], *args: object) -> Iterator[threading.Thread]:
    """A thread that is not potok's runs `fn(*args)` beside the block."""
    foreign = threading.Thread(target=fn, args=args, name="foreign")
    foreign.start()
    try:
        yield foreign
    finally:
        foreign.join()


@contextmanager
def bystander() -> Iterator[None]:
    """A thread that is not potok's lives beside the block and has nothing to do with it: no deadlock is total."""
    over = threading.Event()
    with thread(over.wait):
        try:
            yield
        finally:
            over.set()


def work_on() -> None:
    """A task that always has something to do, until it is cancelled."""
    while True:
        sum(range(1000))
        potok.checkpoint()


@contextmanager
def raising(*errors: type[BaseException]) -> Iterator[None]:
    """The block raises one of these."""
    try:
        yield
    except errors:
        return
    raise AssertionError(f"nothing was raised of {errors}")
