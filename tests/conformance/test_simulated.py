"""*simulated*: three schedules of each test."""

from functools import partial

import pytest

from potok.testing import simulated
from potok.testing.conformance import *  # noqa: F403 - that is how a suite is taken over
from potok.testing.conformance import Target

TARGETS = [
    Target(
        partial(simulated, seed=seed),
        lacks={"event loop", "other threads", "root tasks"},
        tick=1.0,
        hosts={"def", "async"},
    )
    for seed in range(3)
]


@pytest.fixture(params=TARGETS, ids=["seed0", "seed1", "seed2"])
def executor(request: pytest.FixtureRequest) -> Target:
    return request.param
