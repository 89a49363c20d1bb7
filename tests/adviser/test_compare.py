"""`potok.compare` on real runs: what it measures, and what it does with what can't be. Never how long it took."""

import asyncio
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import potok
from potok.adviser.comparison import Comparison, Row
from potok.adviser.heartbeat import gil_is_on
from potok.adviser.watching import Heartbeat, Memory, cpu_clocks, cpu_used

BUDGET = 30.0  # seconds: only a failing test takes them


def double(x: int) -> int:
    return x * 2


async def adouble(x: int) -> int:
    await asyncio.sleep(0)
    return x * 2


def picky(x: int) -> int:
    if x == 3:
        raise ValueError("not three")
    return x


def where(x: int) -> int:
    return os.getpid()


def stream(x: int) -> Iterator[int]:
    return (n for n in range(x))


@pytest.fixture(autouse=True)
def glances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch for a moment only: nobody reads the figures."""
    monkeypatch.setattr("potok.adviser.bench.WATCHED", 0.02)


def compare(fn: Any, inputs: Any = range(20), **options: Any) -> Comparison:
    return potok.compare(fn, inputs, **({"budget": BUDGET, "reps": 1} | options))


def rows(made: Comparison) -> dict[str, Row]:
    return {row.name: row for row in made.rows}


def is_measured(row: Row) -> bool:
    return (
        row.reason is None
        and row.difference is None
        and all(seconds > 0 for seconds in row.runs)
        and bool(row.runs)
    )


def test_every_executor_that_can_run_it() -> None:
    """By default; each against the plain loop, with the same results, in a table and as plain data."""
    made = compare(double, reps=2)
    expected = (
        ["threads", "processes"] if sys.version_info < (3, 14) else ["threads", "interpreters", "processes"]
    )
    assert list(rows(made)) == expected
    assert all(is_measured(row) for row in (made.loop, *made.rows)), made.remarks()
    assert (made.items, made.total, made.cut, made.steady) == (20, 20, False, True)
    assert len(made.loop.runs) == 2
    assert made.verdict.take in {"inline", *expected}
    assert [line.split("  ")[0] for line in made.table()] == [
        "executor",
        "plain loop",
        *(r.label for r in made.rows),
    ]
    (note,) = [note for note in made.notes if note.startswith("not measured: ")]
    assert note.startswith("not measured: coroutines (for async def)")
    assert ("interpreters (needs Python 3.14 or newer" in note) == (sys.version_info < (3, 14))
    assert made.to_dict()["version"] == 1
    assert made.function.endswith("double")


def test_async_functions_run_on_coroutines_too() -> None:
    made = compare(adouble)
    assert made.is_async
    assert "coroutines" in rows(made)
    assert all(is_measured(row) for row in (made.loop, *made.rows)), made.remarks()


def test_async_function_from_a_running_loop() -> None:
    """As in a notebook's cell, where asyncio.run is refused."""

    async def cell() -> Comparison:
        return compare(adouble, on=("coroutines",))

    assert is_measured(asyncio.run(cell()).rows[0])


def test_processes_have_their_own_figures() -> None:
    """What travels, and what the workers take; where the system tells."""
    made = compare(double, on="processes", workers=1)
    (row,) = made.rows
    assert made.parcel is not None
    assert made.parcel.argument_bytes > 0
    assert row.pickles
    assert row.workers == 1
    assert row.start_seconds is not None
    if sys.platform == "linux":
        assert row.cpu_workers is not None
        assert made.pickling(row) is not None


def test_curve_has_its_points() -> None:
    """One worker, and all the usable cores; and no fit that two points can't give."""
    made = compare(double, on=["threads"], workers=1)
    cores = made.cores
    counts = [point.workers for curve in made.curves for point in curve.points]
    if cores > 1:
        assert {1, cores} <= set(counts)
        assert all(curve.fit is None for curve in made.curves) or cores > 2


def test_executor_objects_are_taken_as_they_are() -> None:
    made = compare(double, on=[potok.processes(workers=1), potok.threads()])
    assert [(row.name, row.take) for row in made.rows] == [("processes", ""), ("threads", "")]
    assert made.rows[0].workers == 1
    assert all(is_measured(row) for row in made.rows)


def test_plain_loop_is_always_measured_and_never_twice() -> None:
    made = compare(double, on="inline")
    assert made.rows == ()
    assert made.verdict.take == "inline"
    assert made.loop.runs


# ── what is wrong is a row, not an end ──────────────────────────────────────────────────────────────────────────


def test_function_that_can_not_travel() -> None:
    """The others are measured all the same."""
    lock = threading.Lock()

    def locked(x: int) -> int:
        with lock:
            return x

    made = compare(locked, on=("processes", "threads"))
    assert "lock" in str(rows(made)["processes"].reason)
    assert is_measured(rows(made)["threads"])
    assert any(remark.startswith("processes: not measured: ") for remark in made.remarks())


def test_result_that_can_not_travel() -> None:
    """A generator; said with its reason. In the plain loop's place its type is all that can be compared."""
    made = compare(stream, on=("processes", "threads"))
    assert "pickle" in str(rows(made)["processes"].reason)
    assert is_measured(rows(made)["threads"])


def test_worker_that_dies() -> None:
    """With the function's own doing; the measurement goes on."""
    here = os.getpid()

    def deadly(x: int) -> int:
        if os.getpid() != here:
            os._exit(3)
        return x

    made = compare(deadly, on=("processes", "threads"))
    assert "WorkerDied" in str(rows(made)["processes"].reason)
    assert is_measured(rows(made)["threads"])


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="interpreters are there")
def test_executor_that_this_python_can_not_have() -> None:
    """Said where it was asked for, left out where it was not."""
    (row,) = compare(double, on="interpreters").rows
    assert "3.14" in str(row.reason)
    assert not [note for note in compare(double, on="threads").notes if "interpreters" in note]


def test_other_results_are_found() -> None:
    """With the first item; and such an executor is never taken."""
    made = compare(where, on=("processes", "threads"))
    difference = str(rows(made)["processes"].difference)
    assert difference.startswith("item 0 (0): ")
    assert difference.endswith(f"instead of {os.getpid()}")
    assert rows(made)["threads"].difference is None
    assert made.verdict.take != "processes"


def test_function_that_never_gives_the_same() -> None:
    """Says more about it than about the executors."""
    counter = itertools.count()
    made = compare(lambda _: next(counter), on="threads")
    assert made.steady is False
    assert rows(made)["threads"].difference is None


def test_items_that_fail_are_counted() -> None:
    """The same in the loop and elsewhere: no difference."""
    made = compare(picky)
    assert made.failed == 1
    assert [row.failed for row in made.rows] == [1] * len(made.rows)
    assert all(is_measured(row) for row in made.rows)
    assert "plain loop: 1 item failed, first item 3: ValueError: not three" in made.remarks()


def test_failures_that_only_workers_have() -> None:
    """Are other results than the loop's."""
    here = os.getpid()

    def homesick(x: int) -> int:
        if os.getpid() != here:
            raise OSError("far from home")
        return x

    made = compare(homesick, on="processes")
    assert made.rows[0].difference == "item 0 (0): OSError: far from home instead of 0"


# ── inputs and budget ───────────────────────────────────────────────────────────────────────────────────────────


def test_endless_inputs_are_cut_to_a_sample() -> None:
    made = compare(double, itertools.count(), on="threads", budget=0.5)
    assert made.cut
    assert made.total is None
    assert 0 < made.items <= 100_000
    assert any("fit the budget of 500 ms" in note for note in made.notes)


def test_slow_inputs_do_not_eat_the_budget() -> None:
    """What they give in a quarter of it is the sample."""

    def slow() -> Iterator[int]:
        for n in range(1000):
            threading.Event().wait(0.02)
            yield n

    made = compare(double, slow(), on="threads", budget=0.5)
    assert made.cut
    assert made.items < 100


def test_inputs_are_pulled_here_and_once() -> None:
    """In the caller's thread, in order; every run gets the same objects."""
    pulled, threads = [], set()

    def inputs() -> Iterator[int]:
        for n in range(5):
            pulled.append(n)
            threads.add(threading.current_thread())
            yield n

    assert compare(double, inputs(), on="threads").items == 5
    assert pulled == [0, 1, 2, 3, 4]
    assert threads == {threading.current_thread()}


def test_no_items() -> None:
    told: list[str] = []
    made = compare(double, [], progress=told.append)
    assert made.items == 0
    assert told == []
    assert all(row.reason == "there were no items" for row in made.rows)
    assert "There were no items to measure." in str(made)


def test_broken_inputs_are_raised() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the disk")

    with pytest.raises(OSError, match="the disk"):
        compare(double, broken())


def test_time_that_is_spent_leaves_rows_that_say_so() -> None:
    """Nobody hangs, and the loop is there."""
    made = compare(lambda _: threading.Event().wait(0.05), range(100), budget=0.01)
    assert made.loop.runs
    assert made.loop.cold
    assert all(row.runs or row.reason for row in made.rows)
    assert made.to_dict()["loop"]["cold"] is True


def test_progress_is_told() -> None:
    told: list[str] = []
    compare(double, on="threads", progress=told.append)
    assert told[0] == "the plain loop"
    assert "threads: its first run" in told
    assert "round 1 of 1" in told


def test_progress_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    compare(double, on="inline", progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("potok.compare: the plain loop\n")


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((1, []), {}, TypeError, "takes a function first, not 1"),
        ((double, 5), {}, TypeError, "takes an iterable of inputs second, not 5"),
        (
            (double, []),
            {"on": "nowhere"},
            ValueError,
            "on='nowhere' is no executor to measure; choose from 'inline'",
        ),
        ((double, []), {"on": ["threads", 3]}, ValueError, "on=3 is no executor"),
        ((double, []), {"on": "auto"}, ValueError, "on='auto' is no executor to measure"),
        ((double, []), {"workers": 0}, ValueError, "workers must be >= 1, not 0"),
        ((double, []), {"reps": 1.5}, TypeError, "reps must be None or a whole number >= 1, not 1.5"),
        ((double, []), {"budget": 0}, ValueError, "budget must be a number of seconds > 0, not 0"),
        (
            (double, []),
            {"budget": float("inf")},
            ValueError,
            "budget must be a number of seconds > 0, not inf",
        ),
        ((double, []), {"progress": 3}, TypeError, "progress must be True, False or a callable, not 3"),
    ],
)
def test_wrong_arguments(
    arguments: tuple[Any, Any], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """At once, naming the argument and what to do."""
    with pytest.raises(error) as caught:
        potok.compare(*arguments, **options)
    assert message in str(caught.value)


def test_import_does_without_the_rest_of_the_adviser() -> None:
    """`import potok` has the name, not what only those need who compare."""
    program = "import sys, potok; print(*sorted(m for m in sys.modules if m.startswith('potok.adviser')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["potok.adviser", "potok.adviser.comparing"]


# ── what the system tells ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not gil_is_on(), reason="no GIL")
def test_heartbeat_says_nothing_of_too_short_a_run() -> None:
    with Heartbeat() as heartbeat:
        pass
    assert heartbeat.gil is None


@pytest.mark.skipif(not gil_is_on(), reason="no GIL")
def test_heartbeat_sees_a_share() -> None:
    """Between nothing and all, of as many beats as there were."""
    with Heartbeat() as heartbeat:
        while len(heartbeat._late) < 20:
            pass
    gil = heartbeat.gil
    assert gil is not None
    assert 0 <= gil.held <= 1
    assert gil.beats >= 20
    assert gil.wait >= 0


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's /proc")
def test_memory_sees_a_peak() -> None:
    """Of what was there in between and is gone at the end."""
    with Memory() as memory:
        block = bytearray(b"x") * 50_000_000
        while (memory._peak_own or 0) < (memory._own or 0) + 40_000_000:
            pass
        del block
    assert (memory.peak(set()) or 0) >= 40_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's clocks")
def test_cpu_clocks_are_those_of_descendants() -> None:
    """Children and theirs; what used nothing is left out."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        clocks = cpu_clocks()
        assert clocks is not None
        assert child.pid in clocks
        assert os.getpid() not in clocks
        assert cpu_used({child.pid: 1.0, 7: 2.0}, {child.pid: 1.5, 7: 2.0, 8: 0.25}) == {
            child.pid: 0.5,
            8: 0.25,
        }
        assert cpu_used(None, clocks) is None
    finally:
        child.communicate(b"\n")
