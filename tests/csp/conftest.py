"""What the tests of the CSP vocabulary share; `bodies.py` is importable by them."""

import sys
from pathlib import Path

import pytest

import potok
from potok.testing import simulated

sys.path.insert(0, str(Path(__file__).parent))

EVERYWHERE = ["threads", "coroutines", "processes"]


@pytest.fixture(params=EVERYWHERE)
def on(request: pytest.FixtureRequest) -> str:
    """Each executor that programs are run on."""
    return str(request.param)


@pytest.fixture(params=["threads", "coroutines", "simulated"])
def near(request: pytest.FixtureRequest) -> object:
    """Each executor on which processes work with the test's own objects."""
    return simulated(seed=1) if request.param == "simulated" else request.param


@pytest.fixture(params=["threads", "coroutines", "isolated"])
def started(request: pytest.FixtureRequest) -> object:
    """Each executor on which a process is started at once; on one of them it is given copies."""
    return potok.threads(isolate=True) if request.param == "isolated" else request.param
