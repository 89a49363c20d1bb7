"""*coroutines*."""

import pytest

from potok.testing.conformance import *  # noqa: F403 - that is how a suite is taken over
from potok.testing.conformance import Target


@pytest.fixture(params=[Target("coroutines")], ids=["coroutines"])
def executor(request: pytest.FixtureRequest) -> Target:
    return request.param
