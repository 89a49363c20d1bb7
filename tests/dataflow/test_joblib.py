"""The joblib backend "potok", and scikit-learn on it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
import pytest
from joblib import Parallel, delayed

import potok
import potok.dataflow.joblib as backend

both = pytest.mark.parametrize("on", ["processes", "threads"])


@pytest.fixture(autouse=True)
def nobody_left() -> Iterator[None]:
    """What was cancelled may take its time, in the background; the next test should not meet it."""
    yield
    for info in potok.tasks():
        if info.task.name.startswith("FuturesExecutor-"):
            info.task.join()


def square(x: int) -> int:
    return x * x


def pid(_: int = 0) -> int:
    return os.getpid()


def fail_at_five(x: int) -> int:
    if x == 5:
        raise ValueError(f"not {x}")
    return x


def test_parallel_on_processes() -> None:
    """Many short calls, joblib's batches; in order; in as many workers as asked for. Closures travel, too."""
    factor = 3
    assert Parallel(n_jobs=2, backend="potok")(delayed(square)(x) for x in range(500)) == [
        x**2 for x in range(500)
    ]
    assert Parallel(n_jobs=2, backend="potok")(delayed(lambda x: factor * x)(x) for x in range(3)) == [
        0,
        3,
        6,
    ]
    pids = set(Parallel(n_jobs=2, backend="potok")(delayed(pid)() for _ in range(20)))
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2


@both
@pytest.mark.parametrize("return_as", ["list", "generator", "generator_unordered"])
def test_every_way_to_return(on: str, return_as: str) -> None:
    """All results, whenever they are read; more than once with one Parallel."""
    with joblib.parallel_config("potok", on=on, n_jobs=2), Parallel(return_as=return_as) as parallel:
        for _ in range(2):
            assert sorted(parallel(delayed(square)(x) for x in range(20))) == [x**2 for x in range(20)]


@both
def test_a_call_that_fails_ends_it_with_its_error(on: str) -> None:
    """And with nothing else; the same Parallel can be used again."""
    with joblib.parallel_config("potok", on=on, n_jobs=2), Parallel(batch_size=1) as parallel:
        for _ in range(2):
            with pytest.raises(ValueError, match="not 5"):
                parallel(delayed(fail_at_five)(x) for x in range(100))
            results = parallel(delayed(square)(x) for x in range(3))
            assert results[-3:] == [
                0,
                1,
                4,
            ]  # joblib 1.6 gives a left-over of the failed call first, on every backend


def wait_or_fail(begun: potok.Event, fails: bool) -> None:
    if fails:
        begun.wait()
        raise KeyError("after the other has begun")
    begun.set()
    potok.Event().wait()


@both
def test_what_runs_is_cancelled_when_another_fails(on: str) -> None:
    """A call that would wait for ever does not hold up the error, nor the end of its worker."""
    with joblib.parallel_config("potok", on=on, n_jobs=2), pytest.raises(KeyError):
        Parallel(batch_size=1)(
            delayed(wait_or_fail)(event, fails) for event in [potok.Event()] for fails in (0, 1)
        )


def die(_: int) -> None:
    os.abort()


def test_a_worker_that_dies_is_an_error() -> None:
    """Which says so; the next Parallel is as good as any."""
    with pytest.raises(potok.WorkerDied, match="SIGABRT"):
        Parallel(n_jobs=2, backend="potok")(delayed(die)(x) for x in range(4))
    assert Parallel(n_jobs=2, backend="potok")(delayed(square)(x) for x in range(3)) == [0, 1, 4]


def run_inside(n_jobs: int, **options: Any) -> set[tuple[int, int]]:
    return set(Parallel(n_jobs=n_jobs, **options)(delayed(place)() for _ in range(4))) - {place()}


def place() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


@both
@pytest.mark.parametrize("options", [{}, {"backend": "potok"}, {"prefer": "threads"}])
def test_parallel_inside_of_a_call_starts_nobody(on: str, options: Any) -> None:
    """As many calls run at a time as the outer one asked for: the inner ones are made in its workers."""
    with joblib.parallel_config("potok", on=on, n_jobs=2):
        assert Parallel()(delayed(run_inside)(n_jobs, **options) for n_jobs in (2, -1, 3)) == [set()] * 3


def test_how_many_jobs() -> None:
    """As joblib has it: -1 stands for all cores, -2 for one less, and 0 for nothing."""
    cores = joblib.effective_n_jobs(-1)
    jobs = backend.PotokBackend(nesting_level=0).effective_n_jobs
    assert (jobs(3), jobs(None), jobs(-1), jobs(-1000)) == (3, 1, cores, 1)
    with pytest.raises(ValueError, match="n_jobs == 0"):
        jobs(0)
    with pytest.raises(ValueError, match="nowhere"):
        backend.PotokBackend(on="nowhere")
    assert Parallel(n_jobs=1, backend="potok")(delayed(pid)() for _ in range(2)) == [os.getpid()] * 2


def test_shared_memory_is_a_matter_of_the_executor() -> None:
    """On threads calls work on the caller's own objects; on processes joblib takes something else, as it does."""
    seen: list[int] = []
    with joblib.parallel_config("potok", on="threads", n_jobs=2):
        Parallel(require="sharedmem")(delayed(seen.append)(x) for x in range(5))
    assert sorted(seen) == list(range(5))
    assert not backend.PotokBackend().supports_sharedmem


def kind_of(array: Any) -> tuple[float, bool]:
    return float(array.sum()), array.base is None


def test_big_arrays_are_mapped_not_copied_into_pickles() -> None:
    """An array that has come is a view of memory that was mapped; joblib makes no file of it."""
    import numpy as np

    array = np.ones(100_000)
    got = Parallel(n_jobs=2, backend="potok")(delayed(kind_of)(array) for _ in range(3))
    assert got == [(100_000.0, False)] * 3


CROSS_VALIDATION = """
import sys
import joblib, potok.dataflow.joblib
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

if __name__ == "__main__":
    samples, labels = make_classification(200, random_state=0)
    expected = cross_val_score(LogisticRegression(), samples, labels)
    with joblib.parallel_config("potok", on=sys.argv[1]):
        scores = cross_val_score(LogisticRegression(), samples, labels, n_jobs=2)
    print(scores.tolist() == expected.tolist())
"""


@pytest.mark.skipif(find_spec("sklearn") is None, reason="scikit-learn is not installed")
@both
def test_cross_validation_of_scikit_learn(on: str, tmp_path: Path) -> None:
    """The scores of the plain loop. (A program of its own: what it imports would slow down every collection here.)"""
    script = tmp_path / "validate.py"
    script.write_text(CROSS_VALIDATION, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script, on], capture_output=True, text=True, check=False, timeout=55
    )
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
