"""CPython's own tests of `queue`, from the Python that runs, applied to potok's queues.

Left out are the cases that replace private methods of the originals, each with its reason.
"""

import unittest

import pytest

import potok
from potok.kernel.build import FREE_THREADED

test_queue = pytest.importorskip(
    "test.test_queue", reason="this Python has no `test` package, or no test_queue in it"
)

EXEMPT = {
    "FailingQueueTest": {
        "test_failing_queue": "overrides _put and _get, private methods through which queue.Queue reaches its items",
    },
}


def adapted(suite):
    """The suite with potok's queues, without the exempted cases. pytest collects it as a unittest.TestCase."""
    tests = getattr(test_queue, suite)
    members = {"__module__": __name__, "queue": potok}
    for name, reason in EXEMPT.get(suite, {}).items():
        members[name] = unittest.skip(reason)(getattr(tests, name))
    return type(f"Test{suite}", (tests, unittest.TestCase), members)


TestQueue = adapted("QueueTest")
TestLifoQueue = adapted("LifoQueueTest")
TestPriorityQueue = adapted("PriorityQueueTest")
TestFailingQueue = adapted("FailingQueueTest")


class TestSimpleQueue(adapted("BaseSimpleQueueTest")):
    type2test = potok.SimpleQueue
    test_reentrancy = unittest.skipIf(
        FREE_THREADED,
        "asserts the order of a put and one that a finalizer makes inside it: no single step there",
    )(test_queue.CSimpleQueueTest.test_reentrancy)  # what only the original in C can do, potok's can


def test_every_exemption_is_of_a_case_that_exists():
    """An exemption that nothing needs any more is noticed."""
    for suite, cases in EXEMPT.items():
        assert cases.keys() <= set(dir(getattr(test_queue, suite)))
