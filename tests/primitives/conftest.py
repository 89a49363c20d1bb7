"""Tests here that ask for `play` run on each of these, hosted as the conformance suite hosts its own."""

import pytest

from potok.testing import simulated
from potok.testing.conformance import Target, play

__all__ = ["executor", "play"]

TARGETS = {
    "threads": lambda: Target("threads"),
    "coroutines": lambda: Target("coroutines"),
    "mixed": lambda: Target("threads", "coroutines"),
    "simulated": lambda: Target(
        simulated(seed=1),
        lacks={"event loop", "other threads", "root tasks"},
        tick=1.0,
        hosts={"def", "async"},
    ),
}


@pytest.fixture(params=TARGETS)
def executor(request: pytest.FixtureRequest) -> Target:
    return TARGETS[request.param]()
