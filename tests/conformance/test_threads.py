"""*threads*."""

import pytest

from potok.testing.conformance import *  # noqa: F403 - that is how a suite is taken over
from potok.testing.conformance import Target


@pytest.fixture
def executor() -> Target:
    return Target("threads")
