"""*processes*: how long a worker lives, what it starts with, and what bounds it."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import potok
from potok.cores import find_cores
from potok.executors.processes import limits

PATIENCE = 20.0  # seconds; only a failing test waits that long


# ── how long it lives ───────────────────────────────────────────────────────────────────────────────────────


def pids_of(on: Any, n: int, task: Any = os.getpid) -> list[int]:
    """The workers of `n` tasks, one after the other."""
    with potok.scope(on=on) as s:
        return [s.start(task).result() for _ in range(n)]


def test_worker_is_used_again_by_default() -> None:
    """One after the other, all tasks run in the same one."""
    assert len(set(pids_of(potok.processes(preload=("json",)), 5))) == 1


@pytest.mark.parametrize("most", [1, 2])
def test_worker_that_has_run_its_tasks_is_let_go(most: int) -> None:
    """`max_tasks_per_worker` tasks in each, then a fresh one; also where there may be only one at a time."""
    pids = pids_of(potok.processes(max_tasks_per_worker=most, max_workers=1), 6)
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [most] * (6 // most)


def test_worker_that_gets_no_more_tasks_stays_while_it_is_a_home() -> None:
    """What its last task has made there is in use still."""

    def make() -> potok.Receiver[int]:
        tx, rx = potok.channel(1)
        tx.send(7)
        return rx

    with potok.scope(on=potok.processes(max_tasks_per_worker=1)) as s:
        first = s.start(make)
        first.join()
        s.start(abs, -1).result()
        assert first.result().recv() == 7


def setting(spoil: str) -> tuple[Path, tuple[str, ...], int]:
    """What a task begins with, and whose it is; then have other ones, for the rest of the worker's life."""
    found = Path.cwd(), tuple(sys.path), os.getpid()
    os.chdir(spoil)
    sys.path.append(spoil)
    return found


def test_each_task_begins_where_its_program_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its folder and with its module path, whatever they were before, or a task has made of them."""
    mine = potok.processes(preload=("textwrap",))
    here = Path.cwd()
    with potok.scope(on=mine) as s:
        for folder in (here, here, tmp_path, tmp_path, here):
            monkeypatch.chdir(folder)
            monkeypatch.syspath_prepend(str(folder))
            told = [s.start(setting, "/").result() for _ in range(2)]
            assert [each[:2] for each in told] == [(folder, tuple(sys.path))] * 2
            assert told[0][2] == told[1][2]


def hoard(size_bytes: int) -> int:
    """Have so much memory more, for as long as the worker lives."""
    import builtins

    kept = builtins.__dict__.setdefault("hoarded", [])
    kept.append(b"x" * size_bytes)
    return os.getpid()


def test_worker_that_is_too_big_is_let_go() -> None:
    """Over `max_rss` after a task, it gets no other one; a task that gives its memory back costs no worker."""
    on = potok.processes(max_rss=200_000_000)
    with potok.scope(on=on) as s:
        assert len({s.start(hoard, size).result() for size in (1, 1_000_000, 2_000_000)}) == 1
        big = s.start(hoard, 300_000_000).result()
        assert s.start(os.getpid).result() != big


@pytest.mark.parametrize(
    "option",
    [{"max_tasks_per_worker": 0}, {"max_rss": 1.5}, {"max_rss": True}, {"max_tasks_per_worker": "1"}],
)
def test_bounds_that_are_none_are_refused(option: dict[str, Any]) -> None:
    """The message names the option."""
    with pytest.raises(ValueError, match=next(iter(option))):
        potok.processes(**option)


# ── what it starts with ─────────────────────────────────────────────────────────────────────────────────────


def fail_to_prepare() -> None:
    raise LookupError("no database")


def test_failed_initializer_is_reported_once_and_clearly() -> None:
    """However many tasks there were, the scope fails with one error, which says what has failed where."""
    on = potok.processes(initializer=fail_to_prepare)
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=on) as s:
        for _ in range(4):
            s.start(potok.sleep, PATIENCE)
    (error,) = caught.value.exceptions
    assert isinstance(error, potok.PotokError)
    assert "initializer" in str(error)
    assert "LookupError: no database" in str(error)
    assert "fail_to_prepare" in error.__notes__[0]


def test_worker_whose_initializer_failed_is_not_used(tmp_path: Path) -> None:
    """The next task has a new worker, and the initializer another try."""

    def prepare() -> None:
        with (tmp_path / "tries").open("a") as tries:
            print(os.getpid(), file=tries)
        if len((tmp_path / "tries").read_text().split()) < 3:
            raise LookupError("not yet")

    with (
        pytest.raises(ExceptionGroup),
        potok.scope(on=potok.processes(initializer=prepare), on_fail="collect") as s,
    ):
        for _ in range(2):
            assert isinstance(s.start(abs, -1).exception(), potok.PotokError)
        assert s.start(abs, -1).result() == 1
        assert s.start(abs, -2).result() == 2
    assert len(set((tmp_path / "tries").read_text().split())) == 3


def test_what_an_initializer_of_main_sets_is_seen_by_tasks_of_main(printed: Callable[..., str]) -> None:
    """Whether it assigns or changes in place; what it does not name is as the program has it at each start.

    It stays in its worker: what that starts elsewhere has what the program sent, or what its own worker has set.
    """
    told = printed(
        """
        import threading
        import potok

        connection, cache, factor = None, {}, 1

        def connect(name):
            return f"connected to {name}", threading.Lock()  # which can't go anywhere

        def prepare():
            global connection, only_there
            connection = connect("it")
            only_there = True
            cache["calls"] = 0

        def work():
            cache["calls"] = cache.get("calls", 0) + 1
            assert helper() is connection
            return connection and connection[0], cache["calls"], factor

        def helper():
            return connection

        class Query:
            def run(self):
                return connection[0]

        def deeper(on):
            before = only_there, connection[0]
            with potok.scope(on=on) as s:
                return before, s.start(work).result(), s.start(lambda: "only_there" in globals()).result()

        prepared = potok.processes(initializer=prepare)
        with potok.scope(on=prepared) as s:
            print(*s.start(work).result())
            factor = 2
            print(*s.start(work).result())
            print(s.start(lambda: connection[0]).result(), s.start(Query().run).result())
            print(*s.start(deeper, "processes").result())
            print(*s.start(deeper, prepared).result())
        with potok.scope(on="processes") as s:
            print(s.start(lambda: connection).result())
        """,
    )
    assert told.splitlines() == [
        "connected to it 1 1",
        "connected to it 2 2",
        "connected to it connected to it",
        "(True, 'connected to it') (None, 1, 2) False",
        "(True, 'connected to it') ('connected to it', 1, 2) True",
        "None",
    ]


# ── threads of libraries ────────────────────────────────────────────────────────────────────────────────────


def threads_told() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}


@pytest.mark.parametrize("start_method", ["forkserver", "spawn"])
def test_libraries_are_told_to_keep_to_the_cores(monkeypatch: pytest.MonkeyPatch, start_method: str) -> None:
    """Workers x threads <= usable cores, in what every library is told before it is loaded."""
    for name in threads_told():
        monkeypatch.delenv(name)
    usable = find_cores().usable
    for workers, threads in ((None, 1), (1, usable), (usable, 1), (1000, 1)):
        with potok.scope(on=potok.processes(workers=workers, start_method=start_method)) as s:
            told = s.start(threads_told).result()
        assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"} <= set(told)
        assert set(told.values()) == {str(threads)}


def test_limit_of_the_user_stays() -> None:
    """Nothing that takes precedence is set beside it."""
    told = limits.environment(1, {"OMP_NUM_THREADS": "3"})
    assert told["OMP_NUM_THREADS"] == "3"
    assert "OPENBLAS_NUM_THREADS" not in told
    assert limits.environment(1, {"MKL_NUM_THREADS": "3"})["MKL_NUM_THREADS"] == "3"
    assert limits.environment(1, {"MKL_NUM_THREADS": "3"})["OMP_NUM_THREADS"] == "1"


def test_loaded_libraries_are_limited_by_threadpoolctl(tmp_path: Path, printed: Callable[..., str]) -> None:
    """Where it is installed, and something may have been loaded before the first task."""
    (tmp_path / "threadpoolctl.py").write_text("asked = []\ndef threadpool_limits(n):\n    asked.append(n)\n")
    told = printed(
        """
        import potok

        def asked():
            import threadpoolctl
            return threadpoolctl.asked

        with potok.scope(on=potok.processes(workers=1000, preload=("json",))) as s:
            print(s.start(asked).result(), s.start(asked).result())
        """,
    )
    assert told == "[1] [1]\n"


def test_processes_can_only_be_isolated() -> None:
    """The option that threads have is there, and says why it has but one value."""
    assert potok.processes(isolate=True).name == "processes"
    with pytest.raises(ValueError, match="isolate must be True, not False"):
        potok.processes(isolate=False)
