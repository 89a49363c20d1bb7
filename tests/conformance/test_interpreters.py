"""*interpreters*, from Python 3.14 on; before, there is nothing to collect here."""

import sys

import pytest

import potok
from potok.testing.conformance import Target

if sys.version_info >= (
    3,
    14,
):  # before, `potok.interpreters()` is an error that says so: see tests/executors
    from potok.testing.conformance import *  # noqa: F403 - that is how a suite is taken over

    LACKS = {"one address space", "greenlets"}
    INTERPRETERS = Target(potok.interpreters(), tick=0.05, lacks=LACKS, crowd=24)

    @pytest.fixture(params=[INTERPRETERS], ids=["interpreters"])
    def executor(request: pytest.FixtureRequest) -> Target:
        return request.param
