"""CPython's own tests of `concurrent.futures`' executors, from the Python that runs, applied to potok's.

Left out are the cases that look at private names of the originals, each with its reason. What a case expects of a pool
that breaks is expected of the one future instead: potok's executor goes on.
"""

import unittest
import unittest.mock
from functools import partial
from pathlib import Path

import pytest

import potok

pytest.importorskip(
    "test.test_concurrent_futures.executor",
    reason="this Python comes without its tests of executors (3.13 has them)",
)
from test.support import script_helper
from test.test_concurrent_futures import (
    executor,
    test_as_completed,
    test_deadlock,
    test_init,
    test_process_pool,
    test_shutdown,
    test_thread_pool,
    test_wait,
    util,
)

THREADS = "looks at the private _threads of ThreadPoolExecutor"
PROCESSES = "looks at the private _processes of ProcessPoolExecutor"
INTERNALS = "replaces private parts of ProcessPoolExecutor"
RECYCLING = (
    "an option of ProcessPoolExecutor alone; potok.processes(max_tasks_per_worker=...) counts potok's tasks"
)

EXEMPT = {
    "ExecutorTest": {
        "test_max_workers_negative": "expects the words of the original's message; ours names our argument",
    },
    "ThreadPoolExecutorTest": {
        "test_default_workers": "looks at the private _max_workers",
        "test_saturation": THREADS,
        "test_idle_thread_reuse": THREADS,
        "test_hang_global_shutdown_lock": "makes the originals, not the executor under test",
    },
    "ThreadPoolShutdownTest": {
        "test_threads_terminate": THREADS,
        "test_context_manager_shutdown": THREADS,
        "test_del_shutdown": THREADS,
        "test_shutdown_no_wait": THREADS,
        "test_thread_names_assigned": THREADS,
        "test_thread_names_default": THREADS,
    },
    "ProcessPoolExecutorTest": {
        "test_killed_child": PROCESSES,
        "test_saturation": PROCESSES,
        "test_idle_process_reuse_one": PROCESSES,
        "test_idle_process_reuse_multiple": PROCESSES,
        "test_traceback": "looks for the private _RemoteTraceback; potok tells the traceback in a note",
        "test_ressources_gced_in_workers": "a multiprocessing.Manager talks to processes of multiprocessing only",
        "test_max_tasks_per_child": RECYCLING,
        "test_max_tasks_per_child_defaults_to_spawn_context": RECYCLING,
        "test_max_tasks_early_shutdown": RECYCLING,
        "test_python_finalization_error": INTERNALS,
    },
    "ProcessPoolShutdownTest": {
        "test_processes_terminate": PROCESSES,
        "test_context_manager_shutdown": PROCESSES,
        "test_del_shutdown": PROCESSES,
        "test_shutdown_no_wait": PROCESSES,
    },
    "ExecutorDeadlockTest": {
        "test_shutdown_deadlock_pickle": "looks at the private _executor_manager_thread",
        "test_gh105829_should_not_deadlock_if_wakeup_pipe_full": INTERNALS,
    },
}

OURS = {
    "test_error_at_task_pickle": potok.RemoteError,  # PicklingError there
    "test_error_during_result_pickle_on_worker": potok.RemoteError,  # the same
    "test_error_at_task_unpickle": potok.RemoteError,  # a broken pool there: the worker ends of it
    "test_exit_at_task_unpickle": SystemExit,  # the same
    "test_error_during_result_unpickle_in_result_handler": potok.RemoteError,  # a broken pool there: its thread ends
    "test_exit_during_result_unpickle_in_result_handler": SystemExit,  # the same
}
"""What becomes of a future where potok has another error for it than the original, by the name of the case."""


class OnThreads(potok.FuturesExecutor):
    """With the arguments of the originals; the cases make executors by their class, and scripts by its name."""

    on = "threads"

    def __init__(self, max_workers=None, mp_context=None, initializer=None, initargs=()):
        on = self.on
        if initializer is not None:
            on = potok.processes(initializer=partial(initializer, *initargs))
        super().__init__(on, max_workers)


class OnProcesses(OnThreads):
    on = "processes"


class OnCoroutines(OnThreads):
    on = "coroutines"


# It counts threads: potok's idle ones stay for some seconds, and tests/conftest.py looks for leaks.
util.BaseTestCase.setUp = unittest.TestCase.setUp
util.BaseTestCase.tearDown = unittest.TestCase.tearDown


def adapted(suite, executor_type):
    """The suite on one executor, without the exempted cases. pytest collects it as a unittest.TestCase."""
    members = {"__module__": __name__, "executor_type": executor_type}
    for kind in suite.__mro__:
        for name, reason in EXEMPT.get(kind.__name__, {}).items():
            if hasattr(suite, name):
                members[name] = unittest.skip(reason)(getattr(suite, name))
    name = f"Test{suite.__name__}{executor_type.__name__}"
    return type(name, (suite, util.ExecutorMixin, util.BaseTestCase), members)


TestWaitOnThreads = adapted(test_wait.ThreadPoolWaitTests, OnThreads)
TestWaitOnProcesses = adapted(test_wait.WaitTests, OnProcesses)
TestAsCompletedOnThreads = adapted(test_as_completed.AsCompletedTests, OnThreads)
TestAsCompletedOnProcesses = adapted(test_as_completed.AsCompletedTests, OnProcesses)
TestExecutorOnThreads = adapted(test_thread_pool.ThreadPoolExecutorTest, OnThreads)
TestExecutorOnProcesses = adapted(test_process_pool.ProcessPoolExecutorTest, OnProcesses)
TestExecutorOnCoroutines = adapted(executor.ExecutorTest, OnCoroutines)
TestInitializerOnProcesses = adapted(test_init.InitializerMixin, OnProcesses)


class TestDeadlock(adapted(test_deadlock.ExecutorDeadlockTest, OnProcesses)):
    def get_context(self):
        """What the suite gives to the originals, and `OnThreads` ignores."""

    def _check_crash(self, error, *args, **options):
        super()._check_crash(OURS.get(self._testMethodName, error), *args, **options)


class Scripted:
    """Cases that run scripts, in which the names of the originals stand for potok's."""

    def setUp(self):
        super().setUp()
        ours = partial(_run, script_helper.assert_python_ok)
        self.enterContext(unittest.mock.patch.object(test_shutdown, "assert_python_ok", ours))


class TestShutdownOnThreads(Scripted, adapted(test_shutdown.ThreadPoolShutdownTest, OnThreads)):
    pass


class TestShutdownOnProcesses(Scripted, adapted(test_shutdown.ProcessPoolShutdownTest, OnProcesses)):
    pass


def _run(run, option, script):
    names = {"OnThreads": "threads", "OnProcesses": "processes", "ThreadPoolExecutor": "threads"}
    swaps = "".join(
        f"concurrent.futures.{name} = lambda max_workers=None: potok.FuturesExecutor({on!r}, max_workers)\n"
        for name, on in names.items()
    )
    found = f"import sys; sys.path.insert(0, {str(Path(potok.__file__).parents[1])!r})"  # it runs without PYTHONPATH
    return run(option, f"{found}\nimport concurrent.futures, potok\n{swaps}{script}", __isolated=False)


@pytest.fixture(autouse=True)
def our_errors(monkeypatch):
    """What the suite of deadlocks knows as the end of a pool is the end of one worker."""
    monkeypatch.setattr(test_deadlock, "BrokenProcessPool", potok.WorkerDied)


def test_every_exemption_is_of_a_case_that_exists():
    """An exemption that nothing needs any more is noticed."""
    for suites in (executor, test_thread_pool, test_process_pool, test_shutdown, test_deadlock):
        for suite, cases in EXEMPT.items():
            if suite in vars(suites):
                assert cases.keys() <= set(dir(getattr(suites, suite)))
    assert OURS.keys() <= set(dir(test_deadlock.ExecutorDeadlockTest))
