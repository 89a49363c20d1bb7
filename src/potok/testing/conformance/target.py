"""What is under test, and the fixture that runs a test's body on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest

import potok
from potok.testing.conformance.colours import Awaiting, Body, Do, Plain, step

__all__ = ["CAPABILITIES", "HOSTS", "Play", "Target", "missing", "needs", "play"]

CAPABILITIES = {
    "parking": "a task can't wait here: nothing else runs until it ends",
    "other threads": "only tasks of this executor take part: no other thread can reach them",
    "event loop": "tasks have no event loop here that could wait for asyncio's futures",
    "one address space": "values are copies in another address space, and what is no handle stays where it is",
    "one process": "its tasks run in other processes",
    "host": "this code can't host it",
    "greenlets": "greenlet does not load where its tasks run, so that they can start no def tasks on coroutines",
    "root tasks": "nobody would run a task that belongs to no block (potok.start)",
}
"""What a test may need, and why it is left out, or skipped, on an executor that lacks it."""

HOSTS = ("def", "async", "thread", "loop")
"""Who runs a test's body: a task of the executor in either colour, plain code in a thread, or an asyncio task."""

Test = TypeVar("Test", bound=Callable[..., Any])


class Target:
    """An executor under test.

    Args:
        on: what `on=` takes, or a function that makes it anew for each test; several: each task that a test starts
            goes to the next of them.
        lacks: which of `CAPABILITIES` it can't offer.
        hosts: which of `HOSTS` can run a test's body.
        tick: a time that is short, and yet long enough for what happens at once to have happened; in seconds.
        crowd: how many tasks at a time are many, where each may take an address space to itself.
    """

    def __init__(
        self,
        *on: Any,
        lacks: Iterable[str] = (),
        tick: float = 0.01,
        hosts: Iterable[str] = HOSTS,
        crowd: int = 200,
    ) -> None:
        self.on = on
        self.lacks = frozenset(lacks)
        self.tick = tick
        self.hosts = frozenset(hosts)
        self.crowd = crowd
        if unknown := self.lacks - CAPABILITIES.keys():
            raise ValueError(f"unknown capabilities: {', '.join(sorted(unknown))}")


def needs(*capabilities: str, hosts: Iterable[str] = HOSTS) -> Callable[[Test], Test]:
    """Declare what a test needs, if it is not just parking, and which hosts it makes sense for, if not all."""

    def declare(test: Test) -> Test:
        test.needs, test.hosts = capabilities, frozenset(hosts)  # type: ignore[attr-defined]
        return test

    return declare


def missing(target: Target, host: str, test: Callable[..., Any]) -> str:
    """Which of `CAPABILITIES` the test would need here and the target lacks; "" if it can run."""
    if host not in target.hosts & getattr(test, "hosts", target.hosts):
        return "host"
    return min(target.lacks.intersection(getattr(test, "needs", ("parking",))), default="")


class Play:
    """Runs a body on the target, `play(body, *args)`, as one of the hosts."""

    def __init__(self, target: Target, host: str, missing: str = "") -> None:
        self.target = target
        self.host = host
        self._missing = missing
        self._on = [on() if callable(on) else on for on in target.on]
        awaits = host in {"async", "loop"}
        colours = (awaits,) if len(self._on) == 1 else (awaits, not awaits)
        places = [(on, awaits) for awaits in colours for on in self._on]
        self.do: Do = (Awaiting if awaits else Plain)(places, target.tick)

    @property
    def on(self) -> Any:
        """The executor, for tests that call potok directly."""
        self._skip_if_missing()
        return self._on[0]

    def same(self, one: Any, other: Any) -> bool:
        """Whether it is the very object; or, where it came from another address space, one like it."""
        if "one address space" not in self.target.lacks:
            return one is other
        return type(one) is type(other) and (getattr(one, "args", one) == getattr(other, "args", other))

    def __call__(self, body: Body, *args: Any) -> Any:
        self._skip_if_missing()
        if self.host == "thread":
            return step(body(self.do, *args))
        if self.host == "loop":
            return asyncio.run(body(self.do, *args))
        return potok.run(self.do.task(body), *args, on=self.on)

    def _skip_if_missing(self) -> None:
        """At one place for all tests, so that a summary of skipped ones has a line for each reason."""
        if self._missing:
            pytest.skip(CAPABILITIES[self._missing])


@pytest.fixture(params=HOSTS)
def play(request: pytest.FixtureRequest, executor: Any) -> Play:
    """How a test runs its body; once for each host."""
    target = executor if isinstance(executor, Target) else Target(executor)
    return Play(target, request.param, missing(target, request.param, request.function))
