"""What every test is held to: nothing leaks, nothing warns, nothing hangs.

Warnings are errors (pyproject.toml), ResourceWarning and exceptions in threads and finalizers included.
A leak is reported by the test that made it, not by the fiftieth test after it, which finds no descriptor.
"""

import gc
import itertools
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
from potok.kernel.imported import imported

SETTLE_SECONDS = 5.0
"""How long what is ending may take; only a failing test waits that long."""

ENDING_SECONDS = 0.05
"""How long threads may take before the garbage collector is asked whether somebody has forgotten to end them."""

STRESS_SWITCH_INTERVAL = 1e-6

LASTING = {"potok-idle", "potok-loop", "potok-links"}
"""Threads that may be there after a test: one that has no task, the root's loop, the one that reads links."""

DESCRIPTORS = Path("/proc/self/fd")
"""Where there is no such folder, descriptors are not checked."""

Held = dict[tuple[str, int], str]
"""Threads, tasks and descriptors by kind and number, each with how a report calls it."""

# A deadline would assert a time. In CI the examples are always the same: it judges the change, not its luck.
IN_CI = bool(os.environ.get("CI"))
settings.register_profile("potok", deadline=None, print_blob=True, derandomize=IN_CI)
settings.register_profile("stress", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile("potok")


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Under `-m stress --count=…` repeat only what is going to run.

    pytest-repeat multiplies all tests before the others are deselected: two and a half million, at 200 repetitions.
    """
    stressed = metafunc.definition.get_closest_marker("stress") is not None
    if metafunc.config.option.markexpr == "stress" and not stressed:
        metafunc.definition.add_marker(pytest.mark.repeat(1))


def pytest_collection_finish() -> None:
    """Spare `_settle` the collected tests, which live to the end: a collection takes what the tests made, no more."""
    gc.collect()
    gc.freeze()


_finished = itertools.count(1)


def pytest_runtest_logfinish() -> None:
    """Spare it the reports of the tests that are done, too: at the end of all a collection would take a second."""
    if next(_finished) % 500 == 0:
        gc.unfreeze()  # what has become garbage since
        gc.collect()
        gc.freeze()


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
    threads = {("thread", number): f"thread {number} {name!r}" for number, name in _threads()}
    tasks = {("task", info.task.id): f"task [{info}]" for info in potok.tasks()}
    return threads | tasks | {("fd", fd): f"file descriptor {fd} ({target})" for fd, target in _descriptors()}


def _threads() -> Iterator[tuple[int, str]]:
    """Yield the threads that run something: not potok's idle ones, and not those that live as long as the process.

    By the system's numbers, which are not given to the next thread at once. Not those that `threading` did not start:
    C libraries keep theirs, and one that made itself known (`_DummyThread`) stays listed after its end, until 3.13. To
    look for frames instead would make a frame object of whatever runs: tests must not depend on that.
    """
    idle = _idle_interpreters()
    for thread in threading.enumerate():
        known = thread.native_id is not None and not isinstance(thread, threading._DummyThread)
        if known and thread.name not in LASTING and thread.ident not in idle:
            yield thread.native_id, thread.name


def _descriptors() -> Iterator[tuple[int, str]]:
    """Yield the open file descriptors; but for the one of this very listing, which has no target any more."""
    kept, of_others = _kept_descriptors(), _kept_by_others()
    for entry in list(DESCRIPTORS.iterdir()) if DESCRIPTORS.exists() else ():
        with suppress(OSError):
            if int(entry.name) in kept:
                continue
            target = str(entry.readlink())
            if not any(name in target for name in of_others):
                yield int(entry.name), target


def _kept_by_others() -> tuple[str, ...]:
    """What is kept and can't be told by its number: the library of ctypes, and the memory of idle interpreters."""
    return ("libffi.so", "memfd:potok-memory") if _idle_interpreters() else ("libffi.so",)


def _idle_interpreters() -> set[int]:
    """The threads of interpreters that have no task."""
    making = imported("potok.executors.interpreters.making")
    return making.maker.idle_threads() if making is not None else set()


def _kept_descriptors() -> set[int]:
    """What idle worker processes, those who make and hear them, and memory that lies idle have open."""
    crew, buffers = imported("potok.remote.crew"), imported("potok.remote.buffers")
    kept = crew.kept_descriptors() if crew is not None else set()
    return kept | (
        buffers.store.descriptors() | buffers.board.descriptors() if buffers is not None else set()
    )


def _new_since(before: Held) -> Held:
    return {key: text for key, text in _held().items() if key not in before}


def _settle(before: Held) -> Held:
    """Give what is ending the time to end, and finalizers the chance to close (and to warn); return the rest."""
    begun, collected = time.monotonic(), False
    while leaked := _new_since(before):
        waited = time.monotonic() - begun
        if waited > SETTLE_SECONDS:
            break
        if not collected and (waited > ENDING_SECONDS or any(kind != "thread" for kind, _ in leaked)):
            gc.collect()
            collected = True
        time.sleep(0.001)  # a thread tells nobody when it has become idle
    return leaked
