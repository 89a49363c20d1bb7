"""*processes*."""

import pytest

import potok
from potok.testing.conformance import *  # noqa: F403 - that is how a suite is taken over
from potok.testing.conformance import Target

PROCESSES = potok.processes(preload=("potok.testing.conformance",))


@pytest.fixture(
    params=[Target(PROCESSES, tick=0.05, lacks={"one address space", "one process"})], ids=["processes"]
)
def executor(request: pytest.FixtureRequest) -> Target:
    return request.param
