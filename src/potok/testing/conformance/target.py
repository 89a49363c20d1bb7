"""What is under test, and the fixture that runs a test's body on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest

import potok
from potok.testing.conformance.colours import Awaiting, Body, Do, Plain, step

__all__ = ["CAPABILITIES", "HOSTS", "Play", "Target", "needs", "play"]

CAPABILITIES = {
    "parking": "a task can't wait here: nothing else runs until it ends",
    "other threads": "only tasks of this executor take part: no other thread can reach them",
    "event loop": "tasks have no event loop here that could wait for asyncio's futures",
    "host": "this code can't host it",
    "root tasks": "nobody would run a task that belongs to no block (potok.start)",
}
"""What a test may need, and why it is skipped on an executor that lacks it."""

HOSTS = ("def", "async", "thread", "loop")
"""Who runs a test's body: a task of the executor in either colour, plain code in a thread, or an asyncio task."""

Test = TypeVar("Test", bound=Callable[..., Any])


class Target:
    """An executor under test.

    Args:
        on: what `on=` takes; several: each task that a test starts goes to the next of them.
        lacks: which of `CAPABILITIES` it can't offer.
        hosts: which of `HOSTS` can run a test's body.
        tick: a time that is short, and yet long enough for what happens at once to have happened; in seconds.
    """

    def __init__(
        self, *on: Any, lacks: Iterable[str] = (), tick: float = 0.01, hosts: Iterable[str] = HOSTS
    ) -> None:
        self.on = on
        self.lacks = frozenset(lacks)
        self.tick = tick
        self.hosts = frozenset(hosts)
        if unknown := self.lacks - CAPABILITIES.keys():
            raise ValueError(f"unknown capabilities: {', '.join(sorted(unknown))}")


def needs(*capabilities: str) -> Callable[[Test], Test]:
    """Declare what a test needs, if it is not just parking."""

    def declare(test: Test) -> Test:
        test.needs = capabilities  # type: ignore[attr-defined]
        return test

    return declare


class Play:
    """Runs a body on the target, `play(body, *args)`, as one of the hosts."""

    def __init__(self, target: Target, host: str, missing: str = "") -> None:
        self.target = target
        self.host = host
        self._missing = missing
        awaits = host in {"async", "loop"}
        colours = (awaits,) if len(target.on) == 1 else (awaits, not awaits)
        places = [(on, awaits) for awaits in colours for on in target.on]
        self.do: Do = (Awaiting if awaits else Plain)(places, target.tick)

    @property
    def on(self) -> Any:
        """The executor, for tests that call potok directly."""
        self._skip_if_missing()
        return self.target.on[0]

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
    wanted = {*getattr(request.function, "needs", ("parking",))}
    if request.param not in target.hosts:
        wanted.add("host")
    return Play(target, request.param, min(wanted & {*target.lacks, "host"}, default=""))
