"""What the tests of maps share."""

import pytest

EXECUTORS = ["inline", "coroutines", "threads"]
POOLED = ["coroutines", "threads"]


@pytest.fixture(params=EXECUTORS)
def on(request: pytest.FixtureRequest) -> str:
    """Each executor by its name."""
    return str(request.param)


@pytest.fixture(params=POOLED)
def pooled(request: pytest.FixtureRequest) -> str:
    """Each executor that works ahead of the caller."""
    return str(request.param)
