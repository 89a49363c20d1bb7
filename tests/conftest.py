"""What every test is held to: nothing leaks, nothing warns, nothing hangs.

Warnings are errors (pyproject.toml), ResourceWarning and exceptions in threads and finalizers included.
A leak is reported by the test that made it, not by the fiftieth test after it, which finds no descriptor.
"""

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

SETTLE_SECONDS = 5.0
"""How long threads that are already ending may take; only a failing test waits that long."""

STRESS_SWITCH_INTERVAL = 1e-6

DESCRIPTORS = Path("/proc/self/fd")
"""Where there is no such folder, descriptors are not checked."""

# A deadline would assert a time. In CI the examples are always the same: it judges the change, not its luck.
IN_CI = bool(os.environ.get("CI"))
settings.register_profile("potok", deadline=None, print_blob=True, derandomize=IN_CI)
settings.register_profile("stress", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile("potok")


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail the test that leaves a thread, a file descriptor or an asyncio loop behind.

    A loop that is still open shows by the file descriptors of its selector and its wake-up sockets.
    """
    threads, descriptors = _threads(), _descriptors()
    yield
    if _threads() - threads or _descriptors() - descriptors:
        _settle(threads)
    leaks = [f"thread {thread.name!r}" for thread in _threads() - threads]
    leaks += [f"file descriptor {number} ({_target(number)})" for number in _descriptors() - descriptors]
    if leaks:
        pytest.fail("leaked: " + ", ".join(sorted(leaks)), pytrace=False)


@pytest.fixture(autouse=True)
def eager_switching(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let threads switch as often as they can in tests marked `stress`."""
    if request.node.get_closest_marker("stress") is None:
        yield
        return
    interval = sys.getswitchinterval()
    sys.setswitchinterval(STRESS_SWITCH_INTERVAL)
    yield
    sys.setswitchinterval(interval)


def _threads() -> set[threading.Thread]:
    """Return the threads that a test must not leave behind: all but potok's idle ones, which are daemons.

    A thread that `threading` did not start (`_DummyThread`) stays listed after its end, until 3.13; it is
    alive only while it has a frame.
    """
    frames = sys._current_frames()
    return {
        thread
        for thread in threading.enumerate()
        if thread.ident in frames and not (thread.daemon and thread.name.startswith("potok-"))
    }


def _descriptors() -> set[int]:
    if not DESCRIPTORS.exists():
        return set()
    # The listing contains the descriptor that it was read through, which by now has no target.
    return {int(entry.name) for entry in list(DESCRIPTORS.iterdir()) if _target(int(entry.name))}


def _target(number: int) -> str:
    try:
        return str((DESCRIPTORS / str(number)).readlink())
    except OSError:
        return ""


def _settle(before: set[threading.Thread]) -> None:
    """Give what is ending the time to end, and finalizers the chance to close (and to warn)."""
    deadline = time.monotonic() + SETTLE_SECONDS
    for thread in _threads() - before:
        thread.join(max(0.0, deadline - time.monotonic()))
    gc.collect()
