"""*processes*: damage done for real to a whole program: Ctrl-C, forks, closed descriptors, frames cut short."""

import contextlib
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import potok
from potok.links.session import Kind
from potok.links.wire import encode

TESTED = potok.processes(preload=("pytest",))
PATIENCE = 20.0  # seconds; only a failing test waits that long

STARTING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests may ignore it
import potok

def wait(tx):
    tx.send(None)
    potok.sleep(3600)

if __name__ == "__main__":
    tx, rx = potok.channel()
    with potok.scope(on="processes") as s:
        print("entered", flush=True)
        for number in range(3):
            s.start(wait, tx)
            print(f"started {number}", flush=True)
        for number in range(3):
            rx.recv()
            print(f"running {number}", flush=True)
        potok.sleep(3600)
"""

STAGES = ["entered", "started 0", "started 1", "started 2", "running 0", "running 1", "running 2"]


@contextlib.contextmanager
def started(tmp_path: Path, text: str) -> Iterator[subprocess.Popen[str]]:
    """A program in a session of its own, so that all who belong to it can be found; in the end nobody is left."""
    script = tmp_path / "program.py"
    script.write_text(text)
    program = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        with program:
            yield program
    except BaseException:
        program.kill()
        raise
    assert all_gone(program.pid)


def read_until(program: subprocess.Popen[str], line: str) -> None:
    assert program.stdout is not None
    for told in program.stdout:
        if told.rstrip("\n") == line:
            return
    raise AssertionError(f"{line!r} was never printed")


def members(session: int) -> list[int]:
    """Who is alive of that session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, of = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(of) == session and state != "Z":
                found.append(int(entry.name))
    return found


def all_gone(session: int) -> bool:
    """Wait until nobody is left of it; another's children tell us nothing when they end."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if not members(session):
            return True
        time.sleep(0.005)
    return False


# ── signals ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("to_all", [False, True], ids=["to the program", "to its process group"])
def test_ctrl_c_in_the_middle_of_start_up(tmp_path: Path, stage: str, to_all: bool) -> None:
    """One KeyboardInterrupt and one traceback, whatever was being started; nobody is left, a shell sees 130."""
    with started(tmp_path, STARTING) as program:
        read_until(program, stage)
        for _ in range(random.randrange(20_000)):  # some way further
            pass
        (os.killpg if to_all else os.kill)(program.pid, signal.SIGINT)
        _, told = program.communicate(timeout=PATIENCE)
    assert program.returncode == -signal.SIGINT, told  # 128 + 2 in a shell
    assert told.count("Traceback") == 1, told
    assert told.rstrip().endswith("KeyboardInterrupt"), told


@pytest.mark.parametrize("stage", STAGES)
def test_program_killed_in_the_middle_of_start_up_leaves_nobody(tmp_path: Path, stage: str) -> None:
    """Neither a forkserver that is just coming up, nor workers that have not greeted yet."""
    with started(tmp_path, STARTING) as program:
        read_until(program, stage)
        program.kill()
    assert all_gone(program.pid)


def test_subprocesses_of_workers_react_to_ctrl_c(tmp_path: Path) -> None:
    """A worker passes the signal over, but what it starts does not inherit that."""
    text = f"""
import signal, subprocess, sys
from pathlib import Path
import potok

def work(tx):
    child = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); import time; time.sleep(3600)"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )
    child.stdout.readline()
    tx.send(None)
    Path({str(tmp_path / "code")!r}).write_text(str(child.wait()))

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tx, rx = potok.channel()
    with potok.scope(on="processes") as s:
        s.start(work, tx)
        rx.recv()
        print("running", flush=True)
        potok.sleep(3600)
"""
    with started(tmp_path, text) as program:
        read_until(program, "running")
        os.killpg(program.pid, signal.SIGINT)
        _, told = program.communicate(timeout=PATIENCE)
    assert (program.returncode, told.count("Traceback")) == (-signal.SIGINT, 1), told
    assert (tmp_path / "code").read_text() == str(-signal.SIGINT)


# ── what is open ────────────────────────────────────────────────────────────────────────────────────────────


def sockets_of(pid: int) -> set[str]:
    """The inodes of its sockets."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


@pytest.mark.parametrize("start_method", ["forkserver", "spawn"])
def test_nothing_listens_and_nothing_has_a_path(tmp_path: Path, start_method: str) -> None:
    """All sockets of a program with workers are pairs that it has made itself: nobody else can speak on them."""
    text = STARTING.replace('"processes"', f"potok.processes(start_method={start_method!r})")
    with started(tmp_path, text) as program:
        read_until(program, "running 2")
        pids = members(program.pid)
        assert len(pids) == (5 if start_method == "forkserver" else 4)
        mine = set().union(*(sockets_of(pid) for pid in pids))
        table = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
        known = {fields[6]: fields for fields in table if fields[6] in mine}
        network = {
            line.split()[9]
            for name in ("tcp", "tcp6", "udp", "udp6")
            if (file := Path("/proc/net") / name).exists()
            for line in file.read_text().splitlines()[1:]
        }
        program.kill()
    assert len(mine) >= 2 * 3  # both ends of each worker's link
    assert set(known) == mine
    assert not mine & network
    for fields in known.values():
        assert len(fields) == 7, f"it has a path: {fields}"
        assert not int(fields[3], 16) & 0x10000, f"it listens: {fields}"


def close_everything() -> None:
    """As a daemon does when it begins."""
    os.closerange(3, 256)
    signal.pause()


def test_worker_that_closes_its_link_and_lives_on_is_stopped() -> None:
    """It can't be spoken with any more: that is an error of its task, at once."""
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=TESTED, on_fail="collect") as s:
        bad, good = s.start(close_everything, name="daemon"), s.start(abs, -1)
        pid = bad.pid
        bad.join()
        assert good.result() == 1
    (error,) = caught.value.exceptions
    assert isinstance(error, potok.WorkerDied)
    assert (error.pid, error.task) == (pid, "daemon")
    assert "closed its link" in str(error)


def cut_short(how: str) -> None:
    """Begin a message, and never end it."""
    from potok.remote.home import home

    frame = encode(Kind.NOTE, b"x" * 1000)
    os.write(home.links[0].descriptor, frame[: len(frame) // 2])
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "closed":
        os.close(home.links[0].descriptor)
        signal.pause()
    os._exit(3)


@pytest.mark.parametrize(
    ("how", "told"), [("killed", "SIGKILL"), ("left", "exit code 3"), ("closed", "closed its link")]
)
def test_frame_that_is_cut_short_is_an_error_of_its_worker(how: str, told: str) -> None:
    """Whatever the reason; the others go on, and the next task has a worker."""
    tx, rx = potok.channel()
    with pytest.raises(ExceptionGroup) as caught, potok.scope(on=TESTED, on_fail="collect") as s:
        other = s.start(rx.recv)
        bad = s.start(cut_short, how)
        bad.join()
        tx.send("fine")
        assert other.result() == "fine"
        assert s.start(abs, -1).result() == 1
    (error,) = caught.value.exceptions
    assert isinstance(error, potok.WorkerDied)
    assert told in str(error)


# ── threads and forks ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(180)
def test_two_hundred_workers_are_started_beside_twenty_busy_threads() -> None:
    """Whatever locks these hold, no worker is born with one that nobody will release."""
    stop = threading.Event()
    quiet = logging.getLogger("quiet")
    quiet.propagate = False
    quiet.addHandler(logging.NullHandler())

    def churn() -> None:
        with open(os.devnull, "w") as nothing:  # noqa: PTH123 - a device
            while not stop.wait(0.005):
                quiet.warning("%r", sorted(random.sample(range(100), 20)))
                print("busy", file=nothing, flush=True)
                __import__("json").dumps({"a": [1] * 20})

    threads = [threading.Thread(target=churn) for _ in range(20)]
    for thread in threads:
        thread.start()
    try:
        with potok.scope(on=potok.processes(max_tasks_per_worker=1, preload=("json", "logging"))) as s:
            pids = []
            for _ in range(50):
                pids += [task.result() for task in [s.start(os.getpid) for _ in range(4)]]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(set(pids)) == 200


def test_fork_in_the_program_harms_neither_side(printed: Callable[..., str]) -> None:
    """The copy leaves the workers alone, and may have its own; the program goes on with them."""
    told = printed(
        """
        import os, warnings
        import potok
        warnings.simplefilter("ignore", DeprecationWarning)

        def echo(rx, tx):
            for item in rx:
                tx.send(item)

        if __name__ == "__main__":
            (there, asked), (told, back) = potok.channel(), potok.channel()
            with potok.scope(on="processes") as s:
                task = s.start(echo, asked, told)
                there.send(1)
                assert back.recv() == 1
                pid = os.fork()
                if not pid:
                    try:
                        got = potok.run(lambda: sum([1, 2]), on="threads")
                        with potok.scope(on="processes") as mine:
                            got += mine.start(abs, -3).result()
                        print("copy", got, flush=True)
                    finally:
                        os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
                there.send(2)
                print("program", back.recv(), s.start(abs, -4).result(), flush=True)
                there.close()
            print(task.exception())
        """
    )
    assert told == "copy 6\nprogram 2 4\nNone\n"


def fork_and_go_on(tx: potok.Sender[str], how: str) -> str:
    pid = os.fork()
    if not pid:
        if how == "uses what is elsewhere":
            try:
                tx.send("from the copy")
            except potok.PotokError as error:
                os._exit(7 if "fork of a worker" in str(error) else 8)
        if how == "returns":
            return "the copy's"
        os._exit(7)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    tx.send(f"copy: {code}")
    return "the worker's"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("how", "code"),
    [("uses what is elsewhere", 7), ("exits", 7), ("returns", 0)],
    ids=str,
)
def test_fork_in_a_worker_harms_neither_side(how: str, code: int) -> None:
    """The copy can't speak for the worker, and ends when its function does; the worker's task has one result."""
    tx, rx = potok.channel(1)
    with potok.scope(on=TESTED) as s:
        task = s.start(fork_and_go_on, tx, how)
        assert rx.recv() == f"copy: {code}"
        assert task.result() == "the worker's"
        assert s.start(os.getpid).result() == task.pid
