"""Parallel, Sequence and Spawn: who runs where, with what result, and what a failure does."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from bodies import read_all, write

import potok
from potok.csp import (
    Channel,
    ChannelPoisonException,
    ChannelRetireException,
    InfoException,
    MultiProcess,
    Parallel,
    Process,
    Sequence,
    Spawn,
    current_process_id,
    multiprocess,
    process,
    retire,
)
from potok.testing import simulated


@process
def square(number: int, *, plus: int = 0) -> int:
    return number * number + plus


@process
def who() -> tuple[str, str, int]:
    return current_process_id(), potok.current_task().executor, os.getpid()


@multiprocess
def who_apart() -> tuple[str, str, int]:
    return current_process_id(), potok.current_task().executor, os.getpid()


@process
def within(processes: list[Any]) -> list[Any]:
    return Parallel(processes)


@multiprocess()
def within_apart() -> list[Any]:
    return Parallel(who(), who_apart())


@process
def read_one(cin: Any) -> Any:
    return cin()


@process
def fail(*_: Any) -> None:
    raise ValueError("out of order")


@process
def spawn_and_read(*numbers: int) -> list[Any]:
    """Spawn a writer for each number; read what they write."""
    channel = Channel()
    cin = +channel
    Spawn([write(-channel, number) for number in numbers])
    return sorted(cin() for _ in numbers)


@process
def spawn_and_leave(cout: Any) -> str:
    Spawn(write(cout, 1, 2))
    return "left"


@process
def spawn_a_failure() -> None:
    Spawn(fail())
    potok.sleep(60)


# ── Parallel ────────────────────────────────────────────────────────────────────────────────────────────────


def test_parallel_returns_results_in_order(on: str) -> None:
    """In the order of the processes, lists taken apart, whichever ends first."""
    assert Parallel(square(1), [square(2), [square(3, plus=1)]], square(number=4), on=on) == [1, 4, 10, 16]


def test_parallel_of_nothing() -> None:
    assert Parallel() == []
    assert Parallel([]) == []


def test_parallel_runs_all_at_the_same_time(on: str) -> None:
    """They meet: each waits for the other."""
    there, back = Channel(), Channel()

    @process
    def ping(cout: Any, cin: Any) -> Any:
        cout(1)
        return cin()

    @process
    def pong(cin: Any, cout: Any) -> None:
        cout(cin() + 1)

    assert Parallel(ping(-there, +back), pong(+there, -back), on=on) == [2, None]


def test_parallel_passes_objects_by_reference_where_memory_is_shared(near: object) -> None:
    """A list among the arguments is the caller's own."""
    found: list[int] = []

    @process
    def note(into: list[int], number: int) -> None:
        into.append(number)

    Parallel([note(found, number) for number in range(3)], on=near)
    assert sorted(found) == [0, 1, 2]


def test_parallel_takes_threads_in_the_main_program() -> None:
    """Without a word on where, each process has a thread; a multiprocess an OS process."""
    (_, executor, pid), (_, apart, other) = Parallel(who(), who_apart())
    assert (executor, pid) == ("threads", os.getpid())
    assert apart == "processes"
    assert other != os.getpid()


def test_on_is_for_all_processes_of_the_call() -> None:
    """Said at the call it holds for a multiprocess, too."""
    assert [executor for _, executor, _ in Parallel(who(), who_apart(), on="coroutines")] == [
        "coroutines"
    ] * 2


def test_on_is_handed_down() -> None:
    """What a process runs itself runs where it does; but a multiprocess keeps to its own."""
    [[(_, near, _), (_, apart, _)]] = Parallel(within([who(), who_apart()]), on="coroutines")
    assert (near, apart) == ("coroutines", "processes")


def test_in_a_multiprocess_plain_processes_are_threads() -> None:
    """They run in its OS process; a multiprocess in one more."""
    [[(_, near, pid), (_, apart, other)]] = Parallel(within_apart())
    assert (near, apart) == ("threads", "processes")
    assert len({pid, other, os.getpid()}) == 3


def test_within_a_potok_task_its_executor_is_taken() -> None:
    """The two vocabularies mix: a Parallel in a task runs where the task does."""
    [(_, executor, _)] = potok.run(lambda: Parallel(who()), on="coroutines")
    assert executor == "coroutines"


def test_on_takes_an_executor_object() -> None:
    executor = simulated(seed=3)
    assert Parallel([square(number) for number in range(3)], on=executor) == [0, 1, 4]
    assert executor.schedule


def test_on_refuses_what_is_no_executor() -> None:
    with pytest.raises(ValueError, match="names no executor"):
        Parallel(square(1), on="threats")


def test_parallel_refuses_what_is_no_process() -> None:
    """And has started nothing then: the first could be run afterwards."""
    first = square(3)
    for wrong in (square, 7, None):
        with pytest.raises(InfoException, match="Parallel takes processes"):
            Parallel(first, wrong)
    assert Parallel(first) == [9]


def test_a_process_runs_once() -> None:
    """A second time is refused, and so is the same one twice in one call."""
    once = square(3)
    assert Parallel(once) == [9]
    with pytest.raises(InfoException, match="has run already"):
        Parallel(once, on="coroutines")
    twice = square(3)
    with pytest.raises(InfoException, match="twice"):
        Parallel(twice, twice)
    assert Sequence(twice) == [9]


@pytest.mark.parametrize("run", [Parallel, Sequence])
def test_a_failure_leaves_in_a_group(on: str, run: Any) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        run(square(1), fail(), on=on)
    [error] = caught.value.exceptions
    assert isinstance(error, ValueError)
    assert "out of order" in str(error)


def test_a_failure_cancels_the_others(on: str) -> None:
    """Whoever would wait for ever for a process that has failed is cancelled, though its channel is open."""
    channel = Channel()
    cout, cin = -channel, +channel
    with pytest.raises(ExceptionGroup, match="an error in a scope"):
        Parallel(fail(cout), read_one(cin), on=on)


# ── many of a kind ──────────────────────────────────────────────────────────────────────────────────────────


def test_multiplied_processes_have_ends_of_their_own(on: str) -> None:
    """Ten readers: each reads one item and leaves, and the others go on."""
    channel = Channel()
    results = Parallel(write(-channel, *range(10)), 10 * read_one(+channel), on=on)
    assert results[0] is None
    assert sorted(results[1:]) == list(range(10))


def test_multiplied_ends_in_containers(near: object) -> None:
    """Ends in lists and dicts are multiplied as well; what holds none is shared."""
    channel, got = Channel(), []

    @process
    def read_both(ends: dict[str, list[Any]], into: list[Any]) -> None:
        into.append(ends["in"][0]())

    Parallel(write(-channel, 1, 2, 3), read_both({"in": [+channel]}, got) * 3, on=near)
    assert sorted(got) == [1, 2, 3]


def test_multiplied_by_a_number_of_things() -> None:
    """From either side, by none, by a float that is whole; and by nothing else."""
    assert [len(times) for times in (3 * square(1), square(1) * 2, 0 * square(1), 2.0 * square(1))] == [
        3,
        2,
        0,
        2,
    ]
    for wrong, error in ((1.5, ValueError), (-1, ValueError), ("2", TypeError), (True, TypeError)):
        with pytest.raises(error, match="multiplied"):
            wrong * square(1)  # type: ignore[operator]


# ── Sequence ────────────────────────────────────────────────────────────────────────────────────────────────


def test_sequence_runs_one_after_the_other(near: object) -> None:
    """Each begins when the one before has ended."""
    order: list[Any] = []

    @process
    def note(number: int) -> int:
        order.append(("begins", number))
        potok.checkpoint()
        order.append(("ends", number))
        return number

    assert Sequence(note(1), [note(2), note(3)], on=near) == [1, 2, 3]
    assert order == [(what, number) for number in (1, 2, 3) for what in ("begins", "ends")]


# ── Spawn ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_spawn_goes_on_at_once(on: str) -> None:
    """In the main program: it talks with what it has spawned."""
    channel = Channel()
    cin = +channel
    assert Spawn(write(-channel, 1, 2), on=on) is None
    assert [cin(), cin()] == [1, 2]
    with pytest.raises(ChannelRetireException):
        cin()


def test_spawn_in_a_process(on: str) -> None:
    assert Parallel(spawn_and_read(3, 1, 2), on=on) == [[1, 2, 3]]


def test_a_process_ends_after_those_it_has_spawned(near: object) -> None:
    """Parallel returns when they have ended, too: what they write is read by then."""
    channel = Channel()
    assert Parallel(spawn_and_leave(-channel), read_all(+channel), on=near) == ["left", [1, 2]]


def test_spawn_in_a_process_that_has_scopes_of_its_own(near: object) -> None:
    """In an open `potok.scope` of the process it is that scope that waits."""
    channel = Channel()

    @process
    def mixed(cin: Any, cout: Any) -> Any:
        with potok.scope():
            Spawn(write(cout, 5))
            return cin()

    assert Parallel(mixed(+channel, -channel), on=near) == [5]


def test_a_spawned_failure_fails_who_has_spawned_it(on: str) -> None:
    """It is cancelled where it waits, and Parallel raises."""
    with pytest.raises(ExceptionGroup) as caught:
        Parallel(spawn_a_failure(), on=on)
    [group] = caught.value.exceptions
    assert isinstance(group, ExceptionGroup)
    assert isinstance(group.exceptions[0], ValueError)


def test_a_spawned_failure_in_the_main_program_is_printed(on: str, capfd: pytest.CaptureFixture[str]) -> None:
    """On stderr; and who waits for what it would have written learns of it."""
    channel = Channel()
    cin = +channel
    Spawn(fail(-channel), on=on)
    with pytest.raises(ChannelPoisonException) as caught:
        cin()
    for task in [info.task for info in potok.tasks() if info.task.name.startswith("fail-")]:
        task.join()
    assert "out of order" in repr(caught.value.__cause__)
    retire(cin)
    assert "out of order" in capfd.readouterr().err


# ── processes as objects ────────────────────────────────────────────────────────────────────────────────────


def test_ids_tell_processes_apart(on: str) -> None:
    """Each has its own; the main program is `__main__`."""
    ids = [ident for ident, _, _ in Parallel(3 * who(), on=on)]
    assert len(set(ids)) == 3
    assert all("who" in ident for ident in ids)
    assert current_process_id() == "__main__"


def test_id_of_the_process_after_one_that_it_has_run() -> None:
    """Back from a Parallel it is its own again."""

    @process
    def outer() -> tuple[str, list[Any], str]:
        return current_process_id(), Parallel(who()), current_process_id()

    mine = outer()
    [(before, [(inner, _, _)], after)] = Parallel(mine, on="coroutines")
    assert before == after == mine.id != inner


def test_names_are_those_of_the_functions(near: object) -> None:
    """In messages and reports a process is called after its function."""
    named = square(2)
    assert named.name.startswith("square-")
    assert repr(named) == f"<Process {named.name}>"

    @process
    def name() -> str:
        return potok.current_task().name

    first, second = 2 * name()
    assert Parallel(first, second, on=near) == [first.name, second.name]


def test_decorated_functions_keep_their_names_and_make_processes() -> None:
    assert square.__name__ == "square"
    assert isinstance(square(1), Process)
    assert isinstance(who_apart(), MultiProcess)
    assert isinstance(within_apart(), MultiProcess)


def test_methods_make_processes(near: object) -> None:
    class Counter:
        def __init__(self) -> None:
            self.count = 0

        @process
        def add(self, number: int) -> None:
            self.count += number

    counter = Counter()
    Parallel(counter.add(1), counter.add(2), on=near)
    assert counter.count == 3


def test_processes_made_without_a_decorator(on: str) -> None:
    assert Parallel(Process(pow, 2, 5), Process(divmod, 7, 2), on=on) == [32, (3, 1)]
    assert Parallel(MultiProcess(os.getpid)) != [os.getpid()]


def test_multiprocess_takes_what_pycsp_took() -> None:
    """A host and a port, which mean nothing."""

    @multiprocess(pycsp_host="localhost", pycsp_port=9998)
    def apart(number: int) -> int:
        return number + 1

    assert Parallel(apart(1)) == [2]


async def _coroutine_function() -> None:
    pass


def _generator_function() -> Any:
    yield


@pytest.mark.parametrize("function", [_coroutine_function, _generator_function, 7])
@pytest.mark.parametrize("decorator", [process, multiprocess])
def test_decorators_refuse_what_would_not_run(decorator: Any, function: Any) -> None:
    with pytest.raises(InfoException, match=f"@{decorator.__name__} "):
        decorator(function)


def test_process_refuses_what_can_not_be_called() -> None:
    with pytest.raises(InfoException, match="made of a function"):
        Process(7)  # type: ignore[arg-type]


def test_what_can_not_be_pickled_is_named() -> None:
    """Nothing was started, and who waits for what it would have written learns why."""
    channel = Channel()
    cin = +channel
    with pytest.raises(ExceptionGroup) as caught:
        Parallel(write(-channel, threading.Lock()), on="processes")
    [error] = caught.value.exceptions
    assert isinstance(error, potok.RemoteError)
    assert "<process write-" in str(error)
    with pytest.raises(ChannelPoisonException) as told:
        cin()
    assert told.value.__cause__ is error


@process
def run_it(given: Any) -> Any:
    return Parallel(given)


def test_a_process_travels_as_an_argument(on: str) -> None:
    """A process is a value: another one runs it, with its ends, wherever that is."""
    channel = Channel()
    results = Parallel(run_it([write(-channel, 1, 2)]), read_all(+channel), on=on)
    assert results == [[None], [1, 2]]


def test_a_process_travels_through_a_channel(on: str) -> None:
    """And so it can be sent to who is to run it."""
    jobs, items = Channel(), Channel()

    @process
    def run_what_comes(cin: Any) -> Any:
        return Parallel(cin())

    @process
    def give(cout: Any, job: Any) -> None:
        cout(job)

    results = Parallel(run_what_comes(+jobs), give(-jobs, read_all(+items)), write(-items, 4), on=on)
    assert results == [[[4]], None, None]


def test_a_started_process_does_not_travel() -> None:
    done = square(1)
    Parallel(done)
    with pytest.raises(ExceptionGroup) as caught:
        Parallel(run_it(done), on=potok.threads(isolate=True))
    assert "has been started" in str(caught.value.exceptions[0])
