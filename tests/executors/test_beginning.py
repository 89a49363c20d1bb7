"""*processes*: a worker that dies before it has begun its task, and one that dies after."""

import gc
import itertools
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

import potok
from potok.testing import wait_all_parked

PATIENCE = 20.0  # seconds; only a failing test waits that long


def fresh() -> Any:
    """Workers that no other test has used."""
    return potok.processes(preload=("pytest",), max_workers=next(_bounds))


_bounds = itertools.count(100)


def stopped(s: Any, n: int = 1) -> list[int]:
    """Have `n` idle workers that are stopped: they are given tasks, and do not begin them."""
    ready, (tx, rx) = potok.Event(), potok.channel()
    tasks = [s.start(tell_pid, tx, ready) for _ in range(n)]
    pids = [rx.recv() for _ in tasks]
    ready.set()
    for task in tasks:
        task.join()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


def tell_pid(tx: potok.Sender[int], ready: potok.Event) -> None:
    tx.send(os.getpid())
    ready.wait()


def note_down(path: Path, tx: potok.Sender[str]) -> int:
    with path.open("a") as file:
        file.write("begun\n")
    tx.send("from over there")
    return os.getpid()


def test_worker_that_dies_as_it_is_taken_fails_nobody(tmp_path: Path) -> None:
    """The task begins on another worker, once, with what it was given, handles included."""
    tx, rx = potok.channel()
    with potok.scope(on=fresh()) as s:
        (pid,) = stopped(s)
        task = s.start(note_down, tmp_path / "notes", tx)
        assert task.pid == pid
        os.kill(pid, signal.SIGKILL)
        assert rx.recv() == "from over there"
        assert task.result() == task.pid != pid
    assert (tmp_path / "notes").read_text() == "begun\n"


def starts_another(path: Path, tx: potok.Sender[str], on: Any) -> int:
    with potok.scope(on=on) as s:
        return s.start(note_down, path, tx).result()


def test_the_same_for_a_task_that_a_worker_started(tmp_path: Path) -> None:
    """Its handles are of three address spaces' making."""
    tx, rx = potok.channel()
    on, other = fresh(), potok.processes(preload=("pytest",))
    with potok.scope(on=other) as s:
        (pid,) = stopped_on(on)
        task = s.start(starts_another, tmp_path / "notes", tx, on)
        wait_until_given(on)
        os.kill(pid, signal.SIGKILL)
        assert rx.recv() == "from over there"
        assert task.result() != pid
    assert (tmp_path / "notes").read_text() == "begun\n"


def stopped_on(on: Any) -> list[int]:
    with potok.scope(on=on) as s:
        return stopped(s)


def wait_until_given(on: Any) -> None:
    """Until the only worker there is given its task."""
    from potok.remote.crew import crew_of

    deadline = time.monotonic() + PATIENCE
    while any(worker.assigned is None for worker in list(crew_of(on.options).workers)):
        assert time.monotonic() < deadline
        potok.sleep(0.001)


def test_worker_after_worker_that_dies_is_the_task_s_error_at_last(tmp_path: Path) -> None:
    """WorkerDied says that it had not begun; so it was safe to try, and is safe to start again."""
    tx, rx = potok.channel()
    on = fresh()
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=on, on_fail="collect") as s:
        pids = stopped(s, 3)
        task = s.start(note_down, tmp_path / "notes", tx)
        for _ in pids:
            os.kill(task.pid, signal.SIGKILL)
            wait_until_elsewhere(task, pids)
        task.join()
    with tx, rx:
        (error,) = caught.value.exceptions
        assert isinstance(error, potok.WorkerDied)
        assert "before it began task note_down" in str(error)
        assert error.signal == signal.SIGKILL
    assert not (tmp_path / "notes").exists()


def wait_until_elsewhere(task: Any, pids: list[int]) -> None:
    """Until the task, whose worker was killed, is another's, or has ended."""
    dead = task.pid
    deadline = time.monotonic() + PATIENCE
    while not task.done() and task.pid == dead:
        assert time.monotonic() < deadline
        potok.sleep(0.001)


def dies_the_first_time(path: Path) -> str:
    with path.open("a") as file:
        file.write("begun\n")
    os.kill(os.getpid(), signal.SIGKILL)
    return "unreachable"


def test_task_that_has_begun_never_begins_again(tmp_path: Path) -> None:
    """Its worker's death is its error."""
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=fresh()) as s:
        s.start(dies_the_first_time, tmp_path / "notes")
    assert caught.group_contains(potok.WorkerDied, match="while it ran task dies_the_first_time")
    assert (tmp_path / "notes").read_text() == "begun\n"


def dies_as_it_is_prepared() -> None:
    os._exit(3)


def test_worker_that_dies_in_its_initializer_has_begun() -> None:
    """That is the user's code already."""
    on = potok.processes(initializer=dies_as_it_is_prepared)
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=on) as s:
        s.start(abs, -1)
    assert caught.group_contains(potok.WorkerDied, match="exit code 3 while it ran")


def test_task_that_is_cancelled_before_it_began_is_not_started_again(tmp_path: Path) -> None:
    """Its worker is killed: it was cancelled, and never ran."""
    tx, _rx = potok.channel()
    with potok.scope(on=fresh()) as s, _rx:
        (pid,) = stopped(s)
        task = s.start(note_down, tmp_path / "notes", tx)
        task.cancel("enough")
        os.kill(pid, signal.SIGKILL)
        assert isinstance(task.exception(), potok.TaskCancelled)
    assert not (tmp_path / "notes").exists()


def test_stopped_worker_runs_its_task_when_it_goes_on() -> None:
    """It was only slow."""
    with potok.scope(on=fresh()) as s:
        (pid,) = stopped(s)
        task = s.start(abs, -3)
        assert not task.join(timeout=0.01)
        os.kill(pid, signal.SIGCONT)
        assert task.result() == 3


class Nobody:
    """Serves nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args: None


def test_what_was_said_is_on_its_way_when_a_link_is_drained() -> None:
    """However full the socket was: a worker says so that it begins, and what kills it then does not unsay it."""
    from potok.remote.link import Link

    here, there = socket.socketpair()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    link = Link(here, -7, Nobody())
    link.note("long", bytes(1 << 20))
    link.note("last")
    heard = bytearray()

    def read() -> None:
        while b"last" not in heard[-100:]:
            heard.extend(there.recv(1 << 16))

    with there, potok.scope(on="threads") as s:
        reader = s.start(read)
        link.drain()
        reader.result()
        link.close()
    assert len(heard) > 1 << 20


def use(lock: Any) -> None:
    with lock, lock:
        pass


def test_a_home_forgets_who_has_used_its_locks() -> None:
    """Tasks elsewhere are known while they hold one."""
    from potok.remote.home import home

    gc.unfreeze()
    gc.collect()  # those of other tests, that are in cycles
    lock = potok.RLock()
    with potok.scope(on=fresh()) as s:
        for _ in range(5):
            s.start(use, lock).result()
        wait_all_parked()
        assert len(home._strangers) == 0
        assert lock.acquire()
        lock.release()
