"""*coroutines* on another event loop than asyncio's own."""

import pytest

import potok
from potok.testing.conformance import *  # noqa: F403 - that is how a suite is taken over
from potok.testing.conformance import Target

uvloop = pytest.importorskip("uvloop")

ON_UVLOOP = potok.coroutines(loop_factory=uvloop.new_event_loop)


@pytest.fixture(scope="module", autouse=True)
def made_once() -> None:
    """What lives as long as the process is there before anyone looks for leaks: the executor's loop thread."""

    async def nothing() -> None:
        pass

    potok.start(nothing, on=ON_UVLOOP).result()


@pytest.fixture(params=[Target(ON_UVLOOP, hosts={"async"})], ids=["uvloop"])
def executor(request: pytest.FixtureRequest) -> Target:
    return request.param
