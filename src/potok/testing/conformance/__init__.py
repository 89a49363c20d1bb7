"""The behaviour of every primitive, to be run on any executor; also on one of your own.

In a test file of yours:

    import pytest
    from potok.testing.conformance import *

    @pytest.fixture(params=[Target(MyExecutor(), lacks={"event loop"})])     # or just a name, or an executor object
    def executor(request): return request.param

Each test runs once for each of `HOSTS`. What an executor can't offer is one of `CAPABILITIES`: tests that need it are
not collected. (The fixture may also have no parameters and make the target itself: then they are skipped.) For
assertions that tell their values, `pytest.register_assert_rewrite("potok.testing.conformance")` in your conftest.py,
which also registers the marker `stress` if your markers are strict.
"""

from potok.testing.conformance import (
    arms,
    awaiting,
    broadcasting,
    buffers,
    cancelling,
    carrying,
    choosing,
    closing,
    foreign,
    handing,
    locking,
    memory,
    misuse,
    piping,
    polling,
    programs,
    queueing,
    racing,
    rendezvous,
    scoping,
    sharing,
    signalling,
    subscribing,
    surroundings,
    tasking,
    timeouts,
)
from potok.testing.conformance.target import CAPABILITIES, HOSTS, Play, Target, play

_SUBJECTS = (
    arms,
    awaiting,
    broadcasting,
    buffers,
    cancelling,
    carrying,
    choosing,
    closing,
    foreign,
    handing,
    locking,
    memory,
    misuse,
    piping,
    polling,
    programs,
    queueing,
    racing,
    rendezvous,
    scoping,
    sharing,
    signalling,
    subscribing,
    surroundings,
    tasking,
    timeouts,
)

__all__ = [
    "CAPABILITIES",
    "HOSTS",
    "Play",
    "Target",
    "play",
    "pytest_plugins",
]  # and every test of these subjects

pytest_plugins = (
    "potok.testing.conformance.collecting",
)  # what pytest looks for in the module that takes it over

for _subject in _SUBJECTS:
    for _name, _test in vars(_subject).items():
        if _name.startswith("test_"):
            if _name in globals():
                raise NameError(f"two tests are called {_name}")
            globals()[_name] = _test
            __all__ += [_name]  # noqa: PLE0604 - a string it is
