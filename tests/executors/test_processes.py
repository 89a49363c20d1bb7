"""*processes*: what only another address space can do: die, hang, refuse to be pickled, outlive its parent."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import potok
from potok.testing import wait_all_parked

TESTED = potok.processes(preload=("pytest",))
PATIENCE = 20.0  # seconds; only a failing test waits that long


SPAWNED = potok.processes(start_method="spawn")


def test_spawned_workers_do_the_same() -> None:
    """Fresh interpreters, where there is no forkserver: results, channels, deaths, and nobody left."""
    tx, rx = potok.channel()
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=SPAWNED, on_fail="collect") as s:
        s.start(sends_then_dies, tx, 3, name="victim")
        with pytest.raises(potok.ClosedError):
            assert [rx.recv(), rx.recv(), rx.recv()] == [0, 1, 2]
            rx.recv()
        assert s.start(lambda: 42).result() == 42
    (error,) = caught.value.exceptions
    assert isinstance(error, potok.WorkerDied)
    assert (error.signal, error.task) == (signal.SIGKILL, "victim")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"start_method": "fork"}, "start_method"),
        ({"workers": 0}, "workers"),
        ({"max_workers": 1.5}, "max_workers"),
        ({"initializer": 3}, "initializer"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], named: str) -> None:
    """The message names the option."""
    with pytest.raises((TypeError, ValueError), match=named):
        potok.processes(**options)


def dies_by_signal(number: int) -> None:
    os.kill(os.getpid(), number)
    while True:
        time.sleep(1)


def ends_with(code: int) -> None:
    os._exit(code)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_killed_worker_is_an_error_of_its_task(number: int) -> None:
    """WorkerDied names the signal, the process and the task; the siblings are cancelled as for any failure."""
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=TESTED) as s:
        task = s.start(dies_by_signal, number, name="victim")
        pid = task.pid
    (error,) = caught.value.exceptions
    assert isinstance(error, potok.WorkerDied)
    assert (error.signal, error.exit_code, error.pid, error.task) == (number, None, pid, "victim")


def test_worker_that_exits_is_an_error_of_its_task() -> None:
    """The same for `os._exit`, with its code."""
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=TESTED) as s:
        s.start(ends_with, 3)
    (error,) = caught.value.exceptions
    assert isinstance(error, potok.WorkerDied)
    assert (error.signal, error.exit_code) == (None, 3)


def test_death_of_one_worker_spares_the_others() -> None:
    """With `on_fail="collect"` the siblings go on; the next task gets a worker as ever."""

    def double(rx: potok.Receiver[int]) -> list[int]:
        return [2 * item for item in rx]

    tx, rx = potok.channel()
    results: list[object] = []
    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED, on_fail="collect") as s:
        survivor = s.start(double, rx)
        victim = s.start(ends_with, 3)
        victim.join()
        with tx:
            for item in range(3):
                tx.send(item)
        results += [survivor.result(), s.start(abs, -1).result()]
    assert results == [[0, 2, 4], 1]


def sends_then_dies(tx: potok.Sender[int], n: int) -> None:
    for item in range(n):
        tx.send(item)
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("capacity", [0, 3, 100])
def test_what_a_dead_worker_sent_arrives_and_then_why_it_ends(capacity: int) -> None:
    """Every item whose `send` returned is received; then the channel ends with the death as its cause."""
    tx, rx = potok.channel(capacity)
    got = []
    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED, on_fail="collect") as s:
        s.start(sends_then_dies, tx, 5)
        with pytest.raises(potok.ClosedError) as caught:
            for item in rx:
                got.append(item)  # noqa: PERF402 - up to the error
    assert got == list(range(5))
    assert isinstance(caught.value.cause, potok.WorkerDied)


def receives_until_killed(rx: potok.Receiver[int], ready: potok.Event) -> None:
    ready.set()
    rx.recv()


def test_worker_that_dies_while_it_waits_takes_nothing() -> None:
    """The item goes to the next receiver."""
    tx, rx = potok.channel()
    ready = potok.Event()
    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED, on_fail="collect") as s:
        victim = s.start(receives_until_killed, rx.clone(), ready)
        ready.wait()
        wait_all_parked()
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        s.start(tx.send, "kept")
        assert rx.recv() == "kept"


def holds_and_dies(lock: potok.Lock, semaphore: potok.Semaphore) -> None:
    with lock, semaphore:
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(PATIENCE)


@pytest.mark.parametrize("make_lock", [potok.Lock, potok.RLock])
def test_lock_of_a_dead_worker_is_abandoned_until_it_is_recovered(make_lock: Callable[[], Any]) -> None:
    """Whoever asks gets AbandonedLock, without holding it; a permit taken by `with` comes back."""
    lock, semaphore = make_lock(), potok.Semaphore(1)
    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED, on_fail="collect") as s:
        s.start(holds_and_dies, lock, semaphore, name="holder").join()
        for _ in range(2):
            with pytest.raises(potok.AbandonedLock, match="holder"):
                lock.acquire()
        with pytest.raises(potok.AbandonedLock):
            potok.select(lock)
        with pytest.raises(potok.AbandonedLock):
            s.start(lock.acquire).result()
        assert semaphore.acquire(blocking=False)
        assert lock.recover()
        assert not lock.recover()
        assert lock.acquire(timeout=0)
        lock.release()


def test_who_waits_for_a_lock_learns_that_it_was_abandoned() -> None:
    """A task that is parked for the lock as its holder dies."""
    lock, ready = potok.Lock(), potok.Event()

    def hold(lock: potok.Lock, ready: potok.Event) -> None:
        with lock:
            ready.set()
            potok.sleep(PATIENCE)

    with pytest.raises(ExceptionGroup), potok.scope(on=TESTED, on_fail="collect") as s:
        holder = s.start(hold, lock, ready)
        ready.wait()
        waiting = s.start(lock.acquire)
        wait_all_parked()
        os.kill(holder.pid, signal.SIGKILL)
        with pytest.raises(potok.AbandonedLock):
            waiting.result()


# ── what can't be pickled ───────────────────────────────────────────────────────────────────────────────────


class Sealed:
    """Refuses to be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("sealed")


class TwoFacedError(Exception):
    """Can be pickled, but not unpickled."""

    def __init__(self, one: object, other: object) -> None:
        super().__init__(one)


def test_argument_that_cannot_be_pickled_is_refused_at_once() -> None:
    """By `start`, which names it and the path to what is wrong in it; the scope goes on."""
    with potok.scope(on=TESTED) as s:
        with pytest.raises(potok.RemoteError, match=r"at \[1\]\[0\]\['a'\]\[1\].*sealed"):
            s.start(print, {"a": [1, Sealed()]})
        assert s.start(abs, -1).result() == 1


def gives_what_cannot_be_pickled() -> object:
    return {"a": [1, Sealed()]}


def raises_what_cannot_be_unpickled() -> None:
    raise TwoFacedError(1, 2)


def sends_what_cannot_be_pickled(tx: potok.Sender[object]) -> str:
    with pytest.raises(potok.RemoteError, match="sealed"):
        tx.send(Sealed())
    tx.send("fine")
    return "went on"


def test_result_that_cannot_be_pickled_is_an_error_of_its_task() -> None:
    """RemoteError, with the path."""
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=TESTED) as s:
        s.start(gives_what_cannot_be_pickled)
    assert caught.group_contains(potok.RemoteError, match=r"at \['a'\]\[1\]")


def test_exception_that_cannot_be_unpickled_is_described() -> None:
    """RemoteError, with the traceback of over there."""
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=TESTED) as s:
        s.start(raises_what_cannot_be_unpickled)
    assert caught.group_contains(potok.RemoteError, match="raises_what_cannot_be_unpickled")


def test_item_that_cannot_be_pickled_is_refused_where_it_is_sent() -> None:
    """`send` raises, nothing was sent, the channel goes on."""
    tx, rx = potok.channel()
    with potok.scope(on=TESTED) as s:
        task = s.start(sends_what_cannot_be_pickled, tx)
        assert rx.recv() == "fine"
        assert task.result() == "went on"


def fails_here() -> None:
    raise LookupError("over there")


def test_exception_carries_the_traceback_of_over_there() -> None:
    """As a note, with the process and the task."""
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=TESTED) as s:
        task = s.start(fails_here, name="failing")
    (error,) = caught.value.exceptions
    assert isinstance(error, LookupError)
    (note,) = error.__notes__
    assert "fails_here" in note
    assert f"process {task.pid}" in note
    assert "failing" in note


def test_functions_that_plain_pickle_refuses() -> None:
    """Lambdas, closures, partials and bound methods."""
    import functools

    factor = 3
    with potok.scope(on=TESTED) as s:
        tasks = [
            s.start(lambda value: value * factor, 5),
            s.start(functools.partial(pow, exp=2), 5),
            s.start([3, 1, 2].index, 2),
        ]
        assert [task.result() for task in tasks] == [15, 25, 2]


def test_value_is_fixed_when_send_returns() -> None:
    """What the sender does to it afterwards nobody sees, also where the sender is at the channel's home."""
    tx, rx = potok.channel(3)

    def collect(rx: potok.Receiver[list[int]]) -> list[list[int]]:
        return list(rx)

    with potok.scope(on=TESTED) as s:
        task = s.start(collect, rx)
        with tx:
            items = [0]
            for number in range(3):
                items[0] = number
                tx.send(items)
        assert task.result() == [[0], [1], [2]]


# ── stopping ────────────────────────────────────────────────────────────────────────────────────────────────


def never_parks() -> None:
    while True:
        pass


def test_task_that_reaches_no_park_point_is_killed_after_a_grace(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Cancelled, it has a moment; then its worker goes, and the scope ends as after any cancellation."""
    from potok.remote import crew

    monkeypatch.setattr(crew, "GRACE", 0.1)
    with potok.scope(on=TESTED) as s:
        task = s.start(never_parks)
        assert task.pid
        s.cancel("enough")
    assert isinstance(task.exception(), potok.TaskCancelled)
    assert "is killed" in caplog.text


@pytest.mark.stress
def test_start_with_twenty_busy_threads_around() -> None:
    """No thread's lock is copied in the middle of something: workers come from a process without threads."""
    from potok.remote import crew

    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            sorted(range(100))

    threads = [threading.Thread(target=churn) for _ in range(20)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            with potok.scope(on=TESTED) as s:
                assert s.start(abs, -1).result() == 1
            crew.dismiss()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


PROGRAM = """
import potok

def wait(tx):
    tx.send(None)
    potok.sleep(3600)

if __name__ == "__main__":
    tx, rx = potok.channel()
    with potok.scope(on="processes") as s:
        tasks = [s.start(wait, tx) for _ in range(3)]
        for _ in tasks:
            rx.recv()
        print(*[task.pid for task in tasks], flush=True)
"""


def run_program(tmp_path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    program = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert program.stdout is not None
    return program, [int(pid) for pid in program.stdout.readline().split()]


def all_gone(pids: list[int]) -> bool:
    """Wait until none of them is alive; another's children tell us nothing when they end."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if not any(is_alive(pid) for pid in pids):
            return True
        time.sleep(0.005)
    return False


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("to_all", [False, True], ids=["to the program", "to its process group"])
def test_ctrl_c_is_one_clean_cancellation(tmp_path: Path, to_all: bool) -> None:
    """One KeyboardInterrupt, one traceback, nobody left."""
    program, pids = run_program(tmp_path)
    with program:
        if to_all:
            os.killpg(program.pid, signal.SIGINT)
        else:
            program.send_signal(signal.SIGINT)
        _, told = program.communicate(timeout=PATIENCE)
    assert program.returncode == -signal.SIGINT
    assert told.count("Traceback") == 1
    assert told.rstrip().endswith("KeyboardInterrupt")
    assert all_gone(pids)


def test_workers_of_a_killed_program_are_gone(tmp_path: Path) -> None:
    """SIGKILL leaves it no moment to clean up, and yet nobody stays behind."""
    program, pids = run_program(tmp_path)
    assert len(pids) == 3
    with program:
        program.kill()
    assert all_gone(pids)


def sends_garbage() -> None:
    """Write on the link what is no message."""
    from potok.remote.home import home

    os.write(home.links[0].descriptor, b"garbage" * 100)
    potok.sleep(PATIENCE)


def test_worker_that_writes_garbage_is_stopped() -> None:
    """It fails its own task, and nobody else's."""
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=TESTED, on_fail="collect") as s:
        bad, good = s.start(sends_garbage), s.start(abs, -1)
        bad.join()
        assert good.result() == 1
        assert s.start(abs, -2).result() == 2
    assert caught.group_contains(potok.WorkerDied)


def closes_all_descriptors() -> str:
    os.closerange(3, 256)
    return "returned"


def test_worker_that_closes_its_link_is_an_error_of_its_task() -> None:
    """What makes a daemon closes all file descriptors, ours too: nobody waits for that worker for ever."""
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=TESTED, on_fail="collect") as s:
        bad = s.start(closes_all_descriptors)
        bad.join()
        assert s.start(abs, -1).result() == 1
    assert caught.group_contains(potok.WorkerDied)  # it may see by itself that it is of no use, and end


def test_initializer_runs_once_in_each_worker() -> None:
    """Before the first task; its failure is the failure of the tasks."""

    def prepare() -> None:
        import builtins

        builtins.prepared = getattr(builtins, "prepared", 0) + 1  # type: ignore[attr-defined]

    def look() -> int:
        import builtins

        return int(builtins.prepared)  # type: ignore[attr-defined]

    on = potok.processes(initializer=prepare)
    with potok.scope(on=on) as s:
        assert [s.start(look).result() for _ in range(3)] == [1, 1, 1]


def test_idle_workers_are_let_go_unless_they_are_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that has had no work for a while ends; one whose channel is still in use does not."""
    from potok.remote import crew

    monkeypatch.setattr(crew, "IDLE_SECONDS", 0.02)

    def make() -> potok.Receiver[int]:
        tx, rx = potok.channel(1)
        tx.send(7)
        return rx

    on = potok.processes(preload=("string",))
    with potok.scope(on=on) as s:
        idle, useful = s.start(abs, -1), s.start(make)
        pids = [idle.pid, useful.pid]
        idle.join()
    rx = useful.result()
    assert all_gone(pids[:1])
    assert is_alive(pids[1])
    assert rx.recv() == 7
    del rx, useful
    assert all_gone(pids)


def test_max_workers_is_a_bound_that_start_tells_of() -> None:
    """`start` never queues: past the bound it raises, and starts nothing."""
    tx, rx = potok.channel()
    on = potok.processes(max_workers=1)
    with potok.scope(on=on) as s:
        s.start(rx.recv)
        with pytest.raises(potok.PotokError, match="max_workers=1"):
            s.start(abs, -1)
        tx.send(None)
