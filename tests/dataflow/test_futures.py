"""`potok.FuturesExecutor`: what CPython's own tests (tests/stdlib) don't ask of an executor, or by private names."""

import asyncio
import contextvars
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent import futures
from functools import partial
from itertools import chain
from operator import truediv
from typing import Any, ClassVar, NoReturn

import pytest

import potok
from potok.testing import wait_all_parked

EXECUTORS = ["inline", "coroutines", "threads", "processes"] + ["interpreters"] * (
    sys.version_info >= (3, 14)
)
POOLED = EXECUTORS[1:]
NEAR = ["coroutines", "threads"]

everywhere = pytest.mark.parametrize("on", EXECUTORS)
pooled = pytest.mark.parametrize("on", POOLED)
near = pytest.mark.parametrize("on", NEAR)


def keywords(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


async def later(x: int) -> int:
    await potok.asleep(0)
    return 2 * x


async def fail_later() -> NoReturn:
    await potok.asleep(0)
    raise KeyError("later")


def pass_gate(gate: potok.Event, x: int = 0) -> int:
    gate.wait()
    return x


def meet(barrier: potok.Barrier) -> int:
    return barrier.wait()


def pid() -> int:
    return os.getpid()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crews() -> list[potok.Task[Any]]:
    """The tasks of executors that live: keepers, agents, workers."""
    return [info.task for info in potok.tasks() if info.task.name.startswith("FuturesExecutor-")]


# ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────────


@everywhere
def test_calls_of_both_colours_and_their_errors(on: str) -> None:
    """The future of an `async def` call has what it returns; keyword arguments go along, whatever they are called."""
    with potok.FuturesExecutor(on, workers=2) as executor:
        assert executor.submit(keywords, 1, fn=2, self=3).result() == ((1,), {"fn": 2, "self": 3})
        assert executor.submit(later, 21).result() == 42
        assert executor.submit(partial(later, x=4)).result() == 8
        assert isinstance(executor.submit(truediv, 1, 0).exception(), ZeroDivisionError)
        assert isinstance(executor.submit(fail_later).exception(), KeyError)


@everywhere
@pytest.mark.parametrize("chunksize", [1, 3, 100])
def test_map_is_that_of_the_standard_library(on: str, chunksize: int) -> None:
    """In order, over several iterables to the end of the shortest, in chunks or not; the first error is raised."""
    with potok.FuturesExecutor(on, workers=2) as executor:
        assert list(executor.map(pow, range(10), [2] * 7, chunksize=chunksize)) == [x**2 for x in range(7)]
        assert list(executor.map(later, range(10), chunksize=chunksize)) == list(range(0, 20, 2))
        results = executor.map(truediv, [1, 1, 1], [1, 0, 1], chunksize=chunksize)
        with pytest.raises(ZeroDivisionError):
            list(results)


@pooled
def test_map_gives_up_after_its_timeout(on: str) -> None:
    """And cancels what was not begun."""
    gate = potok.Event()
    with potok.FuturesExecutor(on, workers=1) as executor:
        with pytest.raises(TimeoutError):
            list(executor.map(pass_gate, [gate, gate], timeout=0))
        gate.set()


@pytest.mark.skipif(sys.version_info < (3, 14), reason="Executor.map has no buffersize before 3.14")
@pytest.mark.parametrize("chunksize", [1, 2])
def test_buffersize_makes_map_lazy(chunksize: int) -> None:
    """No more is pulled from the input than is out."""
    pulled: list[int] = []

    def items() -> Iterator[int]:
        for x in range(100):
            pulled.append(x)
            yield x

    with potok.FuturesExecutor("processes", workers=1) as executor:
        results = executor.map(later, items(), chunksize=chunksize, buffersize=3)
        assert next(results) == 0
        assert len(pulled) <= 4 * chunksize
        results.close()  # type: ignore[attr-defined]


@pooled
def test_workers_are_as_many_as_are_needed_and_no_more_than_asked_for(on: str) -> None:
    """Two that wait for each other run at a time; of many, never three."""
    with potok.FuturesExecutor(on, workers=2) as executor:
        barrier = potok.Barrier(2)
        assert {future.result() for future in [executor.submit(meet, barrier) for _ in range(2)]} == {0, 1}
        gate, arrived = potok.Event(), potok.Semaphore(0)
        calls = [executor.submit(arrive, arrived, gate) for _ in range(6)]
        arrived.acquire()
        arrived.acquire()
        wait_all_parked()
        assert not arrived.acquire(blocking=False)
        gate.set()
        futures.wait(calls)


def arrive(arrived: potok.Semaphore, gate: potok.Event) -> None:
    arrived.release()
    gate.wait()


def test_workers_are_used_again() -> None:
    """What is submitted when the result before it has come goes to the same worker."""
    with potok.FuturesExecutor("processes", workers=4) as executor:
        pids = {executor.submit(pid).result() for _ in range(20)}
        assert os.getpid() not in pids
        assert len(pids) == 1


def test_the_executor_may_say_how_many_workers() -> None:
    """As for `potok.map`."""
    assert "workers=3" in repr(potok.FuturesExecutor(potok.processes(workers=3)))
    assert "workers=2" in repr(potok.FuturesExecutor(potok.processes(workers=3), workers=2))


@near
def test_a_call_sees_the_context_it_was_submitted_in(on: str) -> None:
    """And not that of a call before it, nor that of whoever had its worker started."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="nothing")
    with potok.FuturesExecutor(on, workers=1) as executor:
        token = variable.set("first")
        assert executor.submit(variable.get).result() == "first"
        executor.submit(variable.set, "inside").result()
        variable.reset(token)
        assert executor.submit(variable.get).result() == "nothing"


def remember(seen: list[int]) -> list[int]:
    seen.append(1)
    return seen


def test_isolated_threads_get_copies() -> None:
    """As another process would: of arguments and results; what can't be copied is an error of its call."""
    seen: list[int] = []
    with potok.FuturesExecutor(potok.threads(isolate=True), workers=2) as executor:
        got = executor.submit(remember, seen).result()
        assert (seen, got) == ([], [1])
        with pytest.raises(potok.PotokError, match="isolate=True"):
            executor.submit(len, [threading.Lock()]).result()
        assert isinstance(executor.submit(truediv, 1, 0).exception(), ZeroDivisionError)
        assert list(executor.map(later, range(5), chunksize=2)) == [0, 2, 4, 6, 8]


def test_fewer_workers_than_asked_for_have_to_do() -> None:
    """Where the executor allows no more: calls wait, submit does not fail; but with none at all it does."""
    gate = potok.Event()
    on = potok.processes(max_workers=1)
    with potok.FuturesExecutor(on, workers=3) as executor:
        calls = [executor.submit(pass_gate, gate, x) for x in range(4)]
        with (
            potok.FuturesExecutor(on, workers=3) as other,
            pytest.raises(potok.PotokError, match="max_workers"),
        ):
            other.submit(pid)
        gate.set()
        assert [call.result() for call in calls] == [0, 1, 2, 3]


# ── futures ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pooled
def test_submit_never_waits_and_what_was_not_begun_can_be_cancelled(on: str) -> None:
    """A call that runs can't; callbacks and whoever waits are told."""
    gate, told = potok.Event(), []
    with potok.FuturesExecutor(on, workers=1) as executor:
        first = executor.submit(pass_gate, gate, 1)
        others = [executor.submit(pass_gate, gate, x) for x in range(100)]
        others[50].add_done_callback(told.append)
        assert others[50].cancel()
        assert told == [others[50]]
        while not first.running():
            wait_all_parked()
        assert not first.cancel()
        gate.set()
        assert futures.wait([first, *others]).not_done == set()
        assert [other.result() for other in others if other is not others[50]] == [
            *range(50),
            *range(51, 100),
        ]
        assert set(futures.as_completed([first, *others])) == {first, *others}
    with pytest.raises(futures.CancelledError):
        others[50].result()


@pooled
def test_futures_in_asyncio(on: str) -> None:
    """`run_in_executor`, `wrap_future`, and `async with`, which does not hold the loop up."""

    async def main() -> list[Any]:
        async with potok.FuturesExecutor(on, workers=2) as executor:
            run = partial(asyncio.get_running_loop().run_in_executor, executor)
            future = executor.submit(pow, 2, 3)
            got = [
                *await asyncio.gather(*[run(pow, x, 2) for x in range(5)]),
                await asyncio.wrap_future(future),
            ]
            with pytest.raises(ZeroDivisionError):
                await run(truediv, 1, 0)
        return got

    expected = [0, 1, 4, 9, 16, 8]
    assert asyncio.run(main()) == expected
    assert potok.run(main) == expected


@near
def test_a_task_that_reads_a_future_lets_the_others_of_its_thread_go_on(on: str) -> None:
    """What the call waits for is done by another coroutine of the reader's thread."""
    gate = potok.Event()
    with potok.FuturesExecutor(on, workers=1) as executor, potok.scope(on="coroutines") as scope:
        reader = scope.start(executor.submit(pass_gate, gate, 7).result)
        scope.start(gate.set)
        assert reader.result() == 7


def test_a_task_that_reads_a_future_can_be_cancelled() -> None:
    """The call goes on."""
    gate = potok.Event()
    with potok.FuturesExecutor("threads", workers=1) as executor:
        future = executor.submit(pass_gate, gate, 7)
        with potok.scope(on="threads") as scope:
            reader = scope.start(future.exception)
            wait_all_parked()
            scope.cancel()
        assert isinstance(reader.exception(), potok.TaskCancelled)
        gate.set()
        assert future.result() == 7


def test_blocking_spellings_are_refused_in_async_tasks() -> None:
    """Each names what to write instead; the executor takes no more calls all the same."""

    async def main() -> None:
        gate = potok.Event()
        executor = potok.FuturesExecutor("threads", workers=1)
        future = executor.submit(pass_gate, gate)
        with pytest.raises(potok.BlockingCallError, match="wrap_future"):
            future.result()
        with pytest.raises(potok.BlockingCallError, match="ashutdown"):
            executor.shutdown()
        with pytest.raises(RuntimeError, match="after shutdown"):
            executor.submit(pid)
        gate.set()
        await executor.ashutdown()
        assert future.done()

    potok.run(main)


# ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────


@everywhere
def test_after_shutdown_nothing_is_taken_and_all_that_was_is_done(on: str) -> None:
    """Also with `wait=False`, and shut down twice."""
    executor = potok.FuturesExecutor(on, workers=2)
    calls = [executor.submit(pow, x, 2) for x in range(20)]
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(pid)
    executor.shutdown()
    assert all(call.done() for call in calls)
    assert [call.result() for call in calls] == [x**2 for x in range(20)]
    assert crews() == []


@pooled
def test_shutdown_can_cancel_what_was_not_begun(on: str) -> None:
    """And whoever waits for those is told."""
    gate = potok.Event()
    executor = potok.FuturesExecutor(on, workers=1)
    calls = [executor.submit(pass_gate, gate, x) for x in range(10)]
    executor.shutdown(wait=False, cancel_futures=True)
    gate.set()
    assert futures.wait(calls).not_done == set()
    assert calls[0].result() == 0
    assert all(call.cancelled() for call in calls[1:])
    executor.shutdown()


def cancellable(begun: potok.Event, told: potok.Sender[str]) -> None:
    begun.set()
    try:
        potok.Event().wait()
    except potok.Cancelled as reason:
        told.send_nowait(str(reason))
        raise


@pooled
def test_workers_can_be_terminated(on: str) -> None:
    """What runs is cancelled, what was not begun never is; nobody who reads a future waits for ever."""
    begun, (tell, told) = potok.Event(), potok.channel(potok.UNBOUNDED)
    with tell, told, potok.FuturesExecutor(on, workers=1) as executor:
        runs = executor.submit(cancellable, begun, tell)
        waits = executor.submit(pid)
        begun.wait()
        executor.terminate_workers()
        assert waits.cancelled()
        assert isinstance(runs.exception(), potok.TaskCancelled)
        assert told.recv().startswith("cancelled")
        with pytest.raises(RuntimeError, match="after shutdown"):
            executor.submit(pid)


@pooled
def test_workers_can_be_terminated_before_they_have_begun(on: str) -> None:
    """Every future comes to an end."""
    executor = potok.FuturesExecutor(on, workers=2)
    calls = [executor.submit(abs, x) for x in range(6)]
    executor.terminate_workers()
    executor.shutdown()
    assert futures.wait(calls, timeout=0).not_done == set()


@near
def test_a_call_that_waits_for_the_end_of_its_executor_is_refused(on: str) -> None:
    """It would wait for itself."""
    executor = potok.FuturesExecutor(on, workers=1)
    with pytest.raises(RuntimeError, match="wait=False"):
        executor.submit(executor.shutdown).result()
    executor.shutdown()


@pooled
def test_the_workers_of_a_collected_executor_go(on: str) -> None:
    """Once all calls are done."""
    gate = potok.Event()
    executor = potok.FuturesExecutor(on, workers=2)
    calls = [executor.submit(pass_gate, gate, x) for x in range(5)]
    tasks = crews()
    assert tasks
    gone = weakref.ref(executor)
    del executor
    gc.collect()
    assert gone() is None
    gate.set()
    assert [call.result() for call in calls] == list(range(5))
    for task in tasks:
        task.join()


def test_an_executor_that_was_never_used_has_nothing() -> None:
    """No thread, no task: workers come with calls."""
    executor = potok.FuturesExecutor("processes")
    assert crews() == []
    executor.shutdown()


EXIT = """
import atexit, os, time
import potok

def speak(word):
    time.sleep(0.01)  # so that the interpreter exits first
    os.write(1, word + b"\\n")  # in one piece, beside the others

def too_late():
    try:
        executor.submit(print)
    except RuntimeError as error:
        print(error)

atexit.register(too_late)
if __name__ == "__main__":
    executor = potok.FuturesExecutor({on!r}, workers=2)
    for x in range(6):
        executor.submit(speak, b"word")
    {then}
"""


@pooled
@pytest.mark.parametrize(
    "then", ["pass", "executor.shutdown(wait=False)", "executor.submit(speak, b'word').result()"]
)
def test_the_exit_of_the_interpreter_waits_for_what_was_submitted(on: str, then: str, tmp_path: Any) -> None:
    """It loses nothing, hangs nowhere, complains of nothing; afterwards nothing is taken."""
    script = tmp_path / "script.py"
    script.write_text(EXIT.format(on=on, then=then))
    done = subprocess.run([sys.executable, script], capture_output=True, check=False, text=True, timeout=50)
    assert done.stderr == ""
    *words, last = done.stdout.splitlines()
    assert words == ["word"] * (7 if "speak" in then else 6)
    assert last.startswith("cannot schedule new futures after")
    assert done.returncode == 0


# ── what goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"on": "nowhere"}, ValueError, "nowhere"),
        ({"on": 3}, TypeError, "executor"),
        ({"workers": 0}, ValueError, "workers must be >= 1, not 0"),
        ({"workers": "2"}, TypeError, "potok.FuturesExecutor: workers must be"),
    ],
)
def test_wrong_arguments_are_refused(arguments: Any, error: type[Exception], match: str) -> None:
    """With what is wrong with which."""
    with pytest.raises(error, match=match):
        potok.FuturesExecutor(**arguments)


def test_an_executor_cannot_be_pickled() -> None:
    """The error says where to make one."""
    with pytest.raises(TypeError, match="make one where it is used"):
        pickle.dumps(potok.FuturesExecutor("inline"))


class PickyError(Exception):
    """One that can't be made again from what pickle keeps of it."""

    def __init__(self, item: int, why: str) -> None:
        super().__init__(f"{item}: {why}")


def raise_picky() -> NoReturn:
    raise PickyError(3, "odd")


def test_what_cannot_travel_is_an_error_of_its_future() -> None:
    """Function, argument, result, exception; the worker goes on."""
    lock = threading.Lock()
    with potok.FuturesExecutor("processes", workers=1) as executor:
        one = executor.submit(pid).result()
        for call in (
            executor.submit(lambda: lock),
            executor.submit(len, [lock]),
            executor.submit(threading.Lock),
            executor.submit(raise_picky),
        ):
            assert isinstance(call.exception(), potok.RemoteError)
        assert "3: odd" in str(call.exception())
        assert executor.submit(pid).result() == one


def test_the_traceback_comes_along_as_a_note() -> None:
    """From another address space, where the error itself has none."""
    with potok.FuturesExecutor("processes", workers=1) as executor:
        error = executor.submit(raise_value).exception()
    assert "raise ValueError" in "".join(error.__notes__)  # type: ignore[union-attr]


def raise_value() -> NoReturn:
    raise ValueError("here")


def test_a_worker_that_dies_takes_the_one_call_that_it_had_in_hand() -> None:
    """The others are made by others, and the executor goes on."""
    with potok.FuturesExecutor("processes", workers=2) as executor:
        calls = list(
            chain.from_iterable((executor.submit(pow, x, 2), executor.submit(die)) for x in range(5))
        )
        for call in calls[1::2]:
            with pytest.raises(potok.WorkerDied, match="SIGKILL"):
                call.result()
        assert [call.result() for call in calls[::2]] == [x**2 for x in range(5)]
        assert executor.submit(pow, 2, 3).result() == 8


def test_a_worker_that_dies_without_a_call_is_nobodys_error() -> None:
    """The next call gets a new one."""
    with potok.FuturesExecutor("processes", workers=1) as executor:
        os.kill(executor.submit(pid).result(), signal.SIGKILL)
        for task in crews():
            if task.executor == "processes":
                task.join()
        assert executor.submit(pow, 2, 3).result() == 8


def fail_to_begin() -> None:
    raise ValueError("not today")


def test_an_initializer_that_fails_is_an_error_of_the_calls() -> None:
    """Each of them, for each gets a new worker; nobody waits for ever."""
    with potok.FuturesExecutor(potok.processes(initializer=fail_to_begin), workers=1) as executor:
        for _ in range(2):
            assert "initializer" in str(executor.submit(pid).exception())


def cancel_oneself(park: bool) -> int:
    potok.current_task().cancel("enough")
    if park:
        potok.sleep(0)
    return 1


@pooled
@pytest.mark.parametrize("park", [False, True])
def test_a_call_that_cancels_its_task_ends_that_call_only(on: str, park: bool) -> None:
    """With TaskCancelled, which is not the reader's own cancellation; if it returns, its result counts."""
    with potok.FuturesExecutor(on, workers=1) as executor:
        calls = [executor.submit(cancel_oneself, park) for _ in range(3)]
        for call in calls:
            assert isinstance(call.exception(), potok.TaskCancelled) if park else call.result() == 1
        assert executor.submit(pow, 2, 3).result() == 8


class Noted:
    """Knows which of its kind are alive, in each address space."""

    alive: ClassVar[weakref.WeakSet[Any]] = weakref.WeakSet()

    def __init__(self) -> None:
        self.alive.add(self)

    def __reduce__(self) -> Any:
        return Noted, ()


def fail_with(noted: Noted) -> NoReturn:
    gc.disable()  # the worker ends after this test
    raise ValueError("fails with it in its frame")


def give_back(noted: Noted) -> Noted:
    return noted


def count_alive() -> int:
    return len(Noted.alive)


@pytest.mark.parametrize("call", [give_back, fail_with])
def test_a_worker_keeps_nothing_of_a_call(call: Any) -> None:
    """Neither argument nor result nor error: not until a garbage collector comes by."""
    with potok.FuturesExecutor(potok.processes(max_tasks_per_worker=1), workers=1) as executor:
        for _ in range(3):
            executor.submit(call, Noted()).exception()
        assert executor.submit(count_alive).result() == 0


@near
def test_submitting_from_many_threads_while_it_is_shut_down(on: str) -> None:
    """Whoever got a future gets its result; the others a RuntimeError."""
    executor = potok.FuturesExecutor(on, workers=3)
    go, calls, refusals = threading.Barrier(5), [], []

    def submit() -> None:
        go.wait()
        for x in range(50):
            try:
                calls.append(executor.submit(abs, x))
            except RuntimeError as error:
                refusals.append(str(error))

    with potok.scope(on="threads") as scope:
        for _ in range(4):
            scope.start(submit)
        go.wait()
        executor.shutdown()
    assert all(call.done() for call in calls)
    assert not any(call.exception() for call in calls)
    assert len(calls) + len(refusals) == 200
    assert set(refusals) <= {"cannot schedule new futures after shutdown"}


@pooled
def test_an_executor_inside_of_a_task_of_potok(on: str) -> None:
    """Also in another process."""
    with potok.scope(on="processes") as scope:
        assert scope.start(use_one, on).result() == [0, 2, 4]


def use_one(on: str) -> list[int]:
    with potok.FuturesExecutor(on, workers=2) as executor:
        return list(executor.map(later, range(3)))


def test_number_of_workers_is_no_executor() -> None:
    """As the standard library's executors have it first."""
    with pytest.raises(TypeError, match=r"write FuturesExecutor\(workers=4\)"):
        potok.FuturesExecutor(4)
