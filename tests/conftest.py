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
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

import potok

SETTLE_SECONDS = 5.0
"""How long threads that are already ending may take; only a failing test waits that long."""

STRESS_SWITCH_INTERVAL = 1e-6

DESCRIPTORS = Path("/proc/self/fd")
"""Where there is no such folder, descriptors are not checked."""

Held = dict[tuple[str, int], str]
"""Threads, tasks and descriptors by kind and number, each with how a report calls it."""

# A deadline would assert a time. In CI the examples are always the same: it judges the change, not its luck.
IN_CI = bool(os.environ.get("CI"))
settings.register_profile("potok", deadline=None, print_blob=True, derandomize=IN_CI)
settings.register_profile("stress", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile("potok")


@pytest.fixture(scope="session", autouse=True)
def loop_thread() -> None:
    """Have the root's loop thread made before anyone looks for leaks: it lives as long as the process."""

    async def nothing() -> None:
        pass

    potok.start(nothing, on="coroutines").result()


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail the test that leaves a thread, a task, a file descriptor or an asyncio loop behind.

    A loop that is still open shows by the file descriptors of its selector and its wake-up sockets.
    """
    before = _held()
    yield
    if leaked := _new_since(before) and _settle(before):
        pytest.fail("leaked: " + ", ".join(sorted(leaked.values())), pytrace=False)


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


def _held() -> Held:
    """Return what a test must not leave more of."""
    threads = {("thread", thread.ident or 0): f"thread {thread.name!r}" for thread in _threads()}
    tasks = {("task", info.task.id): f"task [{info}]" for info in potok.tasks()}
    return threads | tasks | {("fd", fd): f"file descriptor {fd} ({target})" for fd, target in _descriptors()}


def _threads() -> Iterator[threading.Thread]:
    """Yield the threads that run something: not potok's idle ones, those of idle interpreters, and the root's loop.

    A thread that `threading` did not start (`_DummyThread`) stays listed after its end, until 3.13; it is
    alive only while it has a frame.
    """
    frames = sys._current_frames()
    making = sys.modules.get("potok.executors.interpreters.making")
    idle = making.maker.idle_threads() if making is not None else set()
    for thread in threading.enumerate():
        if thread.ident in idle or thread.name in {"potok-idle", "potok-loop", "potok-links"}:
            continue
        if thread.ident in frames:
            yield thread


def _descriptors() -> Iterator[tuple[int, str]]:
    """Yield the open file descriptors; but for the one of this very listing, which has no target any more."""
    kept = _kept_descriptors()
    for entry in list(DESCRIPTORS.iterdir()) if DESCRIPTORS.exists() else ():
        with suppress(OSError):
            if int(entry.name) in kept:
                continue
            yield int(entry.name), str(entry.readlink())


def _kept_descriptors() -> set[int]:
    """What idle workers, and those who make and hear them, have open."""
    crew = sys.modules.get("potok.remote.crew")
    return crew.kept_descriptors() if crew is not None else set()


def _new_since(before: Held) -> Held:
    return {key: text for key, text in _held().items() if key not in before}


def _settle(before: Held) -> Held:
    """Give what is ending the time to end, and finalizers the chance to close (and to warn); return the rest."""
    gc.collect()  # takes seconds where a hundred thousand tests were collected, and lets no thread run meanwhile
    deadline = time.monotonic() + SETTLE_SECONDS
    while (leaked := _new_since(before)) and time.monotonic() < deadline:
        time.sleep(0.005)  # a thread tells nobody when it has become idle
    return leaked
