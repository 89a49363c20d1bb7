"""Tasks of both colours on *threads* and *coroutines*, in one scope."""

import pytest

from potok.testing.conformance import *  # noqa: F403 - that is how a suite is taken over
from potok.testing.conformance import Target


@pytest.fixture(params=[Target("threads", "coroutines")], ids=["mixed"])
def executor(request: pytest.FixtureRequest) -> Target:
    return request.param
