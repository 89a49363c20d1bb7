"""*simulated*: three schedules of each test, three others each time that it is repeated."""

from functools import partial

import pytest

from potok.testing import simulated
from potok.testing.conformance import *  # noqa: F403 - that is how a suite is taken over
from potok.testing.conformance import Target

SCHEDULES = 3


def on_schedule(seed: int) -> Target:
    return Target(
        partial(simulated, seed=seed),
        lacks={"event loop", "other threads", "root tasks"},
        tick=1.0,
        hosts={"def", "async"},
    )


@pytest.fixture(params=map(on_schedule, range(SCHEDULES)), ids=[f"seed{seed}" for seed in range(SCHEDULES)])
def executor(request: pytest.FixtureRequest) -> Target:
    """Under `--count` each repetition has other schedules: those of before would end as they did before."""
    repetition = request.node.callspec.params.get("__pytest_repeat_step_number", 0)
    return on_schedule(request.param_index + repetition * SCHEDULES) if repetition else request.param
