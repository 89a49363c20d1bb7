"""*threads*."""

import pytest

from potok.testing.conformance import *  # noqa: F403 - that is how a suite is taken over
from potok.testing.conformance import Target


@pytest.fixture(params=[Target("threads")], ids=["threads"])
def executor(request: pytest.FixtureRequest) -> Target:
    return request.param
