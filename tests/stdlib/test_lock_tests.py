"""CPython's own tests of `threading`'s locks, from the Python that runs, applied to potok's.

Left out are the cases that look at private names of the originals, each with its reason.
"""

import threading
import types
import unittest

import pytest

import potok

lock_tests = pytest.importorskip("test.lock_tests", reason="this Python comes without test.lock_tests")

FORK = "calls the private _at_fork_reinit: what a fork does to potok's locks is the root's business"

EXEMPT = {
    "LockTests": {"test_at_fork_reinit": FORK},
    "RLockTests": {
        "test_release_save_unacquired": "calls the private _release_save, threading.Condition's way into its lock",
        "test_recursion_count": "calls the private _recursion_count",
        "test__is_owned": "calls the private _is_owned",
    },
    "EventTests": {"test_at_fork_reinit": FORK},
}


def adapted(suite):
    """The suite, without the exempted cases. pytest collects it as a unittest.TestCase."""
    tests = getattr(lock_tests, suite)
    members = {"__module__": __name__}
    for name, reason in EXEMPT.get(suite, {}).items():
        if hasattr(tests, name):
            members[name] = unittest.skip(reason)(getattr(tests, name))
    return type(f"Test{suite}", (tests,), members)


class TestLock(adapted("LockTests")):
    locktype = staticmethod(potok.Lock)


class TestRLock(adapted("RLockTests")):
    locktype = staticmethod(potok.RLock)


class TestEvent(adapted("EventTests")):
    eventtype = staticmethod(potok.Event)


class TestCondition(adapted("ConditionTests")):
    condtype = staticmethod(potok.Condition)

    def test_acquire(self):
        """Run with potok's Lock where the case makes a threading.Lock for the condition: the two don't mix."""
        swapped = types.SimpleNamespace(**vars(threading))
        swapped.Lock = potok.Lock
        lock_tests.threading = swapped
        self.addCleanup(setattr, lock_tests, "threading", threading)
        super().test_acquire()


class TestConditionAsRLock(adapted("RLockTests")):
    """A condition is acquired and released as the RLock it makes. CPython has no such case."""

    locktype = staticmethod(potok.Condition)
    test_repr = test_locked_repr = None


class TestSemaphore(adapted("SemaphoreTests")):
    semtype = staticmethod(potok.Semaphore)


class TestBoundedSemaphore(adapted("BoundedSemaphoreTests")):
    semtype = staticmethod(potok.BoundedSemaphore)


class TestBarrier(adapted("BarrierTests")):
    barriertype = staticmethod(potok.Barrier)


def test_every_exemption_is_of_a_case_that_exists():
    """An exemption that nothing needs any more is noticed; newer Pythons add cases, so it may name one of those."""
    for suite, cases in EXEMPT.items():
        known = {name for name in dir(getattr(lock_tests, suite)) if name.startswith("test")}
        assert cases.keys() & known or not cases
