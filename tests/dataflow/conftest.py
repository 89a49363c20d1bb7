"""What the tests of maps share."""

import pytest

EXECUTORS = ["inline", "coroutines", "threads", "processes", "auto"]
POOLED = ["coroutines", "threads", "processes"]
ELSEWHERE = "processes"


@pytest.fixture(params=EXECUTORS)
def on(request: pytest.FixtureRequest) -> str:
    """Each executor by its name."""
    return str(request.param)


@pytest.fixture(params=[name for name in EXECUTORS if name != ELSEWHERE])
def on_near(request: pytest.FixtureRequest) -> str:
    """Each on which the function works with the test's own objects, not with copies."""
    return str(request.param)


@pytest.fixture(params=POOLED)
def pooled(request: pytest.FixtureRequest) -> str:
    """Each executor that works ahead of the caller."""
    return str(request.param)


@pytest.fixture(params=[name for name in POOLED if name != ELSEWHERE])
def near(request: pytest.FixtureRequest) -> str:
    """Each of those on which the function works with the test's own objects, not with copies."""
    return str(request.param)
