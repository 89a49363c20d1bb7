"""*simulated*: three schedules of each test."""

import pytest

from potok.testing import simulated
from potok.testing.conformance import *  # noqa: F403 - that is how a suite is taken over
from potok.testing.conformance import Target


@pytest.fixture(params=range(3), ids="seed{}".format)
def executor(request: pytest.FixtureRequest) -> Target:
    lacks = {"event loop", "other threads", "root tasks"}
    return Target(simulated(seed=request.param), lacks=lacks, tick=1.0, hosts={"def", "async"})
